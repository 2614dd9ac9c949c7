"""Draws a clip of an episode: the memory after each step, with the heads on its rows."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx
from PIL import Image

from ntm_jax import models, tasks
from ntm_jax.evaluation import canvas, palette
from ntm_jax.evaluation.canvas import Axes, Figure
from ntm_jax.evaluation.episode import used_rows
from ntm_jax.storage import files

MOST_STEPS = 150  # that are shown
MILLISECONDS = 120  # a step
PAUSE = 1500  # milliseconds, at the end


@dataclass(frozen=True)
class Scene:
    """Holds what a clip shows of one episode, as NumPy arrays."""

    inputs: np.ndarray  # [T, in]
    outputs: np.ndarray  # [T, out], NaN where not scored
    memory: np.ndarray  # [T, n, W] after each step, of the rows that are shown
    writes: np.ndarray  # [T, n], the largest weight of any write head
    reads: np.ndarray  # [T, n]
    rows: np.ndarray  # [n], their numbers


def scene(model: models.Model, task: tasks.Task, key: jax.Array) -> Scene:
    """Runs a model with memory on one episode that `key` decides."""
    structure, parameters = nnx.split(model)
    inputs, mask, probabilities, memory, writes, reads = (
        np.asarray(values)[:MOST_STEPS, 0]
        for values in jax.device_get(_run(structure, task, parameters, key))
    )
    writes, reads = writes.max(axis=1), reads.max(axis=1)
    rows = used_rows(np.maximum(writes, reads).max(axis=0))
    return Scene(
        inputs=inputs,
        outputs=np.where(mask[:, None] > 0, probabilities, np.nan),
        memory=memory[:, rows],
        writes=writes[:, rows],
        reads=reads[:, rows],
        rows=rows,
    )


@partial(jax.jit, static_argnums=(0, 1))
def _run(
    structure: Any, task: tasks.Task, parameters: Any, key: jax.Array
) -> tuple[jax.Array, ...]:
    batch_key, model_key = jax.random.split(key)
    batch = task.sample(batch_key, 1)
    model = nnx.merge(structure, parameters)
    state = model.initial_state((1,), model_key)
    logits, trace = models.unroll(model, batch.inputs, state=state, memory=True)
    assert trace.memory is not None, "a model with memory"
    return (
        *(batch.inputs, batch.mask, jax.nn.sigmoid(logits)),
        *(trace.memory, trace.write_weightings, trace.read_weightings),
    )


def save(path: Path, shown: Scene, caption: str) -> None:
    """Writes a clip as an animated GIF, atomically.

    Args:
      path: of the file.
      shown: the episode.
      caption: below every picture, before the step.
    """
    first, *others = [Image.fromarray(frame).quantize(64) for frame in frames(shown, caption)]
    times = [MILLISECONDS] * len(others) + [PAUSE]
    content = io.BytesIO()
    first.save(
        content, "GIF", save_all=True, append_images=others, duration=times, loop=0, optimize=False
    )
    files.write_atomically(path, content.getvalue())


def frames(shown: Scene, caption: str) -> Iterator[np.ndarray]:
    """Yields the picture of each step, `[height, width, 3]` bytes."""
    reach = float(np.abs(shown.memory).max()) or 1.0
    with canvas.styled():
        figure = canvas.figure(canvas.PAGE, 4.4)
        axes = figure.subplots(2, 2, height_ratios=(1, 2.4))
        text = figure.supxlabel(caption)
        values = canvas.colour_map(
            palette.VALUES_WITH_SIGN if shown.inputs.min() < 0 else palette.VALUES
        )
        low = -1 if shown.inputs.min() < 0 else 0
        put_in = _image(axes[0, 0], "input", shown.inputs.T, values, (low, 1))
        out = _image(
            axes[0, 1], "output", shown.outputs.T, canvas.colour_map(palette.VALUES), (0, 1)
        )
        signed = canvas.colour_map(palette.SIGNED)
        memory = _image(
            axes[1, 0], "memory after the step", shown.memory[0], signed, (-reach, reach)
        )
        walk = _image(axes[1, 1], "heads so far", np.ones((*shown.writes.T.shape, 3)), None, (0, 1))
        heads = _markers(axes[1, 0], shown)
        for ax in axes[1]:
            ax.set_yticks(*canvas.row_ticks(shown.rows))
            ax.set_ylabel("row")
        axes[1, 1].set_xlabel("step")
        axes[1, 0].set_xlabel("element; red: write head, blue: read head")
        _fix_layout(figure)
        for step in range(len(shown.inputs)):
            later = np.arange(len(shown.inputs)) > step
            put_in.set_data(np.where(later, np.nan, shown.inputs.T))
            out.set_data(np.where(later, np.nan, shown.outputs.T))
            memory.set_data(shown.memory[step])
            walk.set_data(_both(shown, step))
            for points, weights in zip(heads, (shown.writes, shown.reads), strict=True):
                points.set_sizes(40 * weights[step])
            text.set_text(f"{caption}, step {step + 1} of {len(shown.inputs)}")
            yield canvas.pixels(figure)


def _image(
    ax: Axes, name: str, values: np.ndarray, colours: Any, limits: tuple[float, float]
) -> Any:
    """Draws an image whose values change, without a colour bar."""
    ax.set_title(name, loc="left")
    ax.set_facecolor(palette.NOT_SCORED)
    ax.locator_params("y", integer=True)
    limit = {} if colours is None else {"cmap": colours, "vmin": limits[0], "vmax": limits[1]}
    return ax.imshow(values, aspect="auto", interpolation="nearest", **limit)


def _markers(ax: Axes, shown: Scene) -> list[Any]:
    """Draws a triangle at every row for either kind of head; its size becomes the weight."""
    rows = np.arange(len(shown.rows))
    width = shown.memory.shape[2]
    ax.set_xlim(-2.5, width + 1.5)
    return [
        ax.scatter(np.full(len(rows), x), rows, 0, color=colour, marker=marker)
        for x, colour, marker in ((-1.5, palette.WRITE, ">"), (width + 0.5, palette.READ, "<"))
    ]


def _both(shown: Scene, step: int) -> np.ndarray:
    """Returns the weightings up to a step as `[n, T, 3]`, the write heads red and the read heads blue, on white."""
    picture = np.ones((*shown.writes.T.shape, 3))
    for weights, colour in ((shown.writes, palette.WRITE), (shown.reads, palette.READ)):
        ink = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        until = np.where(np.arange(len(weights)) <= step, weights.T, 0)
        picture -= until[..., None] * (1 - ink)
    return picture.clip(0, 1)


def _fix_layout(figure: Figure) -> None:
    """Lays the figure out once, so that it does not move between pictures."""
    figure.canvas.draw()
    figure.set_layout_engine("none")
