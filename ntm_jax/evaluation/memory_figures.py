"""Draws how a model uses its memory: the paper's figures 6, 9, 12, 15 and 17.

Episodes are drawn as in evaluation, from its seed. With several heads, pictures show the largest of their weights
on each row.
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from flax import nnx, struct

from ntm_jax import config as configs
from ntm_jax import models, tasks
from ntm_jax.evaluation import evaluate, figures
from ntm_jax.evaluation.episode import used_rows
from ntm_jax.storage import restore

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@struct.dataclass
class Episodes:
    """Holds inputs and outputs of a model and of its memory, as NumPy arrays."""

    inputs: np.ndarray  # [T, B, in]
    mask: np.ndarray  # [T, B], 1 where the output is scored
    probabilities: np.ndarray  # [T, B, out]
    adds: np.ndarray  # [T, B, H, W]
    reads: np.ndarray  # [T, B, R, W]
    write_weightings: np.ndarray  # [T, B, H, N]
    read_weightings: np.ndarray  # [T, B, R, N]


def picture(folder: Path) -> "Figure | None":
    """Draws how a run's newest checkpoint uses its memory, with the picture that its task defines.

    Args:
      folder: of the run.

    Returns:
      The figure; None where there is no model, no memory, or no such picture of the task.
    """
    config = configs.read(folder / "config.json")
    if config.model.kind != "ntm" or not restore.has_model(folder):
        return None
    task = tasks.make(config.task.name, **tasks.difficulty(config.task))
    wanted = task.memory_picture()
    if wanted is None:
        return None
    model, _ = restore.load_as(folder, config, config.evaluate.memory_size or None)
    (case,) = (case for case in task.cases() if case.name == wanted.case)
    key = evaluate.case_key(config, case.name)
    return draw(case.task, run(model, case.task, key, wanted.episodes))


def draw(task: tasks.Task, episodes: "Episodes") -> "Figure":
    """Draws episodes in the way that the task's `memory_picture` says, which has to be one."""
    wanted = task.memory_picture()
    assert wanted is not None
    return KINDS[wanted.kind](episodes, **wanted.arguments)


def run(model: models.Model, task: tasks.Task, key: jax.Array, count: int) -> Episodes:
    """Runs `count` episodes of `task` that `key` decides."""
    structure, parameters = nnx.split(model)
    return Episodes(*jax.device_get(_run(structure, task, count, parameters, key)))


@partial(jax.jit, static_argnums=(0, 1, 2))
def _run(
    structure: Any, task: tasks.Task, count: int, parameters: Any, key: jax.Array
) -> tuple[jax.Array, ...]:
    batch_key, model_key = jax.random.split(key)
    batch = task.sample(batch_key, count)
    model = nnx.merge(structure, parameters)
    logits, trace = models.unroll(model, batch.inputs, key=model_key)
    assert trace.controls is not None, "a model with memory"
    return (
        *(batch.inputs, batch.mask, jax.nn.sigmoid(logits)),
        *(trace.controls.add, trace.reads, trace.write_weightings, trace.read_weightings),
    )


def walk(episodes: Episodes) -> dict[str, np.ndarray]:
    """Returns what `figures.memory_walk` shows of the first episode: the rows that are used, and no others."""
    writes, reads = (
        weightings[:, 0].max(axis=1)
        for weightings in (episodes.write_weightings, episodes.read_weightings)
    )
    rows = used_rows(np.maximum(writes.max(axis=0), reads.max(axis=0)))
    scored = episodes.mask[:, 0, None] > 0
    steps = len(writes)
    return {
        "inputs": episodes.inputs[:, 0],
        "adds": episodes.adds[:, 0].reshape(steps, -1),
        "write_weightings": writes[:, rows],
        "outputs": np.where(scored, episodes.probabilities[:, 0], np.nan),
        "reads": episodes.reads[:, 0].reshape(steps, -1),
        "read_weightings": reads[:, rows],
        "rows": rows,
    }


def by_context(episodes: Episodes, bits: int) -> dict[str, np.ndarray]:
    """Returns mean weightings of an n-gram model after each context (paper, figure 15).

    Reads are those of the step that completes the context. Writes are those of the next step, the first at which the
    following bit is known. The last step's context is therefore left out.

    Args:
      episodes: of one input channel.
      bits: in a context.

    Returns:
      `contexts` `[C]`, those that occur, the oldest bit counting most; `reads` and `writes` `[C, n]`; and
      `rows` `[n]`. Contexts are sorted by the row that they read more than other contexts do.
    """
    stream = episodes.inputs[:, :, 0].astype(np.int64)
    values = 2 ** np.arange(bits - 1, -1, -1)
    windows = np.lib.stride_tricks.sliding_window_view(stream, bits, axis=0)[:-1]  # [t, B, bits]
    context = (windows @ values).reshape(-1)
    now = slice(bits - 1, len(stream) - 1)
    after = slice(bits, len(stream))
    rows = episodes.read_weightings.shape[-1]
    read = episodes.read_weightings[now].max(axis=2).reshape(-1, rows)
    written = episodes.write_weightings[after].max(axis=2).reshape(-1, rows)

    contexts = np.unique(context)
    member = context == contexts[:, None]  # [C, t * B]
    share = member / member.sum(axis=1, keepdims=True)
    reads, writes = share @ read, share @ written
    shown = used_rows(np.maximum(reads.max(axis=0), writes.max(axis=0)))
    reads, writes = reads[:, shown], writes[:, shown]
    order = np.argsort(np.argmax(reads - reads.mean(axis=0), axis=1), kind="stable")
    return {
        "contexts": contexts[order],
        "reads": reads[order],
        "writes": writes[order],
        "rows": shown,
    }


def by_priority(episodes: Episodes, items: int, bits: int) -> dict[str, np.ndarray]:
    """Finds where a sorting model stores each item of the first episode, and when it reads it (paper, figure 17).

    An item's row is the one most written at its step, by any head.

    Args:
      episodes: of priority sort, the priority in the channel after the vector's `bits`.
      items: in the list; the step after them is the delimiter's, which counts as 0 below.
      bits: in a vector.

    Returns:
      `priorities` `[items]`; `rows` and `write_weights` `[items, H]`, where each head writes most at the item's step;
      `read_steps` and `read_weights` `[items, R]`, the step after the list at which each head is most on the
      item's row; `answer_steps` `[items]`, the step at which the item is to be answered, NaN if it is not.
    """
    priorities = episodes.inputs[:items, 0, bits]
    written = episodes.write_weightings[:items, 0]  # [items, H, N]
    read = episodes.read_weightings[items:, 0]  # [steps after the list, R, N]
    on_row = read[:, :, written.max(axis=1).argmax(axis=1)]  # [steps, R, items]
    rank = np.argsort(np.argsort(-priorities)) + 1
    return {
        "priorities": priorities,
        "rows": written.argmax(axis=2),
        "write_weights": written.max(axis=2),
        "read_steps": on_row.argmax(axis=0).T,
        "read_weights": on_row.max(axis=0).T,
        "answer_steps": np.where(rank < len(read), rank, np.nan),
    }


def _draw_walk(episodes: Episodes) -> "Figure":
    return figures.memory_walk(**walk(episodes))


def _draw_by_context(episodes: Episodes, bits: int) -> "Figure":
    one: Any = jax.tree.map(lambda values: values[:, :1], episodes)
    several = f"mean of {episodes.inputs.shape[1]} episodes"
    panels = {
        name: by_context(of, bits) for name, of in (("one episode", one), (several, episodes))
    }
    return figures.memory_by_context(panels, bits)


def _draw_by_priority(episodes: Episodes, items: int, bits: int) -> "Figure":
    return figures.memory_by_priority(**by_priority(episodes, items, bits))


# Of `labels.MemoryPicture`.
KINDS: Mapping[str, "Callable[..., Figure]"] = {
    "walk": _draw_walk,
    "by_context": _draw_by_context,
    "by_priority": _draw_by_priority,
}
