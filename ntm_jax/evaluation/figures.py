"""Draws episodes and how a memory is used, from arrays."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ntm_jax.evaluation import canvas, palette
from ntm_jax.evaluation.canvas import Axes, Figure, NullFormatter, NullLocator
from ntm_jax.evaluation.episode import Episode, used_rows
from ntm_jax.tasks import Task
from ntm_jax.tasks.labels import Channels

PANEL_WIDTH = 5.2  # inches of an episode's images, beside labels and colour bars
STEPS_A_LINE = 48  # labels beside one another that can be read
LEAST_WEIGHT = 0.1  # of a point; a flat weighting points to no row


def episode(
    shown: Episode,
    channels: Channels | None = None,
    steps: Sequence[str] | None = None,
    kind: str = "png",
) -> Figure:
    """Draws one episode: inputs, targets, predictions, and where the heads were on the rows that are used.

    Args:
      shown: NumPy arrays; steps that are not scored are left blank.
      channels: their names, which become labels if they are words rather than bits.
      steps: a label for each step, such as a character. Left out if `canvas.font_for` knows no font.
      kind: of the file that the figure is for.
    """
    scored = np.asarray(shown.mask)[:, None] > 0
    targets = np.asarray(shown.targets)
    predicted = np.where(scored, shown.probabilities, np.nan)
    put_in, outputs = (channels.inputs, channels.outputs) if channels else ((), ())
    names = {"input": put_in, "target": outputs, "prediction": outputs, "error": outputs}
    panels = [
        ("input", np.asarray(shown.inputs), "value", *_input_look(np.asarray(shown.inputs))),
        ("target", np.where(scored, targets, np.nan), "value", palette.VALUES, (0, 1)),
        ("prediction", predicted, "probability", palette.VALUES, (0, 1)),
        ("error", np.abs(predicted - targets), "|p - target|", palette.ERRORS, (0, 1)),
    ]
    heads = _weightings(shown)
    greatest = [weights.max(axis=0) for _, _, weights in heads]
    rows = used_rows(np.max(greatest, axis=0)) if heads else np.empty(0, int)
    heights = [_channels_height(values.shape[1]) for _, values, _, _, _ in panels]
    heights += [_rows_height(len(rows)) for _ in heads]
    with canvas.styled():
        figure = canvas.figure(canvas.PAGE, sum(heights) + 0.22 * len(heights) + 0.4)
        axes = figure.subplots(len(heights), height_ratios=heights, sharex=True, squeeze=False)
        for ax, (name, values, unit, colours, limits) in zip(axes[:4, 0], panels, strict=True):
            look: dict[str, Any] = {"unit": unit, "colours": colours, "limits": limits}
            canvas.image(ax, values.T, name=name, ylabel="channel", **look)
            _name_channels(ax, names[name])
        for ax, (name, kind, weights), height in zip(axes[4:, 0], heads, heights[4:], strict=True):
            _weights(ax, weights[:, rows], name, kind, rows, (PANEL_WIDTH, height))
        axes[-1, 0].set_xlabel("step")
        font = canvas.font_for("".join(steps), kind) if steps else None
        if steps and font:
            lines = -(-len(steps) // STEPS_A_LINE)
            texts = ["\n" * (at % lines) + text for at, text in enumerate(steps)]
            axes[-1, 0].set_xticks(range(len(steps)), texts, family=font)
            axes[-1, 0].set_xlabel("symbol at each step")
    return figure


def of_task(task: Task, shown: Episode, kind: str = "png") -> Figure:
    """Draws an episode of a task with its channels' names and, for a task of symbols, the symbols; see `episode`."""
    symbols = shown.symbols
    steps = None if symbols is None else task.source.symbol_names(np.asarray(symbols))
    return episode(shown, task.channels(), steps, kind)


def _input_look(values: np.ndarray) -> tuple[Sequence[str], tuple[float, float]]:
    """Returns colours and range of inputs, in which a bit looks as it does in the target; numbers above 1 are cut."""
    if np.nanmin(values, initial=0) < 0:
        return palette.VALUES_WITH_SIGN, (-1, 1)
    return palette.VALUES, (0, 1)


def _weightings(shown: Episode) -> list[tuple[str, str, np.ndarray]]:
    """Returns name, kind and weights `[T, N]` of every head; one that reads where it writes is named once."""
    writes, reads = (np.asarray(of) for of in (shown.write_weightings, shown.read_weightings))
    if writes.shape == reads.shape and np.array_equal(writes, reads):
        both = [
            ("read and write weighting", "write", writes[:, at]) for at in range(reads.shape[1])
        ]
        return _numbered(both)
    write = _numbered(
        [("write weighting", "write", writes[:, at]) for at in range(writes.shape[1])]
    )
    return write + _numbered(
        [("read weighting", "read", reads[:, at]) for at in range(reads.shape[1])]
    )


def _numbered(heads: list[tuple[str, str, np.ndarray]]) -> list[tuple[str, str, np.ndarray]]:
    if len(heads) < 2:
        return heads
    return [(f"{name}, head {at}", kind, of) for at, (name, kind, of) in enumerate(heads, 1)]


def _channels_height(count: int) -> float:
    return min(1.0, max(0.35, 0.09 * count))  # inches


def _rows_height(count: int) -> float:
    return min(1.5, max(0.5, 0.06 * count))  # inches


def _name_channels(ax: Axes, names: Sequence[str]) -> None:
    """Labels the channels that are no numbered bits, if there are names for them."""
    words = [(place, name) for place, name in enumerate(names) if not name.startswith("bit ")]
    if words:
        ax.set_yticks([place for place, _ in words], [name for _, name in words])
        ax.set_ylabel("")


def _weights(
    ax: Axes,
    weights: np.ndarray,
    name: str,
    kind: str,
    rows: np.ndarray,
    inches: tuple[float, float],
) -> None:
    """Draws a head's weights `[T, n]` on some rows, row 0 above row 1."""
    colours = palette.WEIGHTS[kind]
    look: dict[str, Any] = {"unit": "weight", "colours": colours, "limits": (0, 1)}
    canvas.image(ax, weights.T, name=name, ylabel="row", inches=inches, **look)
    ax.set_yticks(*canvas.row_ticks(rows, max(2, min(8, int(inches[1] / 0.12)))))


def memory_walk(
    *,
    inputs: np.ndarray,
    adds: np.ndarray,
    write_weightings: np.ndarray,
    outputs: np.ndarray,
    reads: np.ndarray,
    read_weightings: np.ndarray,
    rows: np.ndarray,
) -> Figure:
    """Draws one episode like the paper's figure 6: inputs and writes, reads and outputs.

    Args:
      inputs: `[T, in]`.
      adds: `[T, W]`, the vectors that are added to memory.
      write_weightings: `[T, n]`, of the rows that are shown.
      outputs: `[T, out]`, NaN where not scored.
      reads: `[T, W]`, the vectors that are read.
      read_weightings: `[T, n]`.
      rows: `[n]`, their numbers.
    """
    columns = (
        ("write", ("input", inputs, "value"), ("added", adds), write_weightings),
        ("read", ("output", outputs, "probability"), ("read", reads), read_weightings),
    )
    with canvas.styled():
        figure = canvas.figure(canvas.PAGE, 4.6)
        axes = figure.subplots(3, 2, height_ratios=(1, 1.4, 2), sharex=True)
        for places, (kind, (name, values, unit), (what, vectors), weights) in zip(
            axes.T, columns, strict=True
        ):
            colours, limits = _input_look(values)
            look: dict[str, Any] = {"unit": unit, "colours": colours, "limits": limits}
            canvas.image(places[0], values.T, name=name, ylabel="channel", **look)
            reach = (
                float(np.abs(vectors).max()) or 1.0
            )  # vectors have signs, and each its own range
            look = {"unit": "value", "colours": palette.SIGNED, "limits": (-reach, reach)}
            canvas.image(places[1], vectors.T, name=what, ylabel="element", **look)
            _weights(places[2], weights, f"{kind} weighting", kind, rows, (2.4, 1.6))
            places[2].set_xlabel("step")
    return figure


def memory_by_context(panels: Mapping[str, Mapping[str, np.ndarray]], bits: int) -> Figure:
    """Draws which rows an n-gram model reads after each context, and writes a step later (paper, figure 15).

    Args:
      panels: by name, each with `contexts` `[C]`, `rows` `[n]`, and mean weightings `reads` and `writes` `[C, n]`.
      bits: in a context.
    """
    with canvas.styled():
        figure = canvas.figure(canvas.PAGE, 0.3 + 3.9 * len(panels))
        axes = figure.subplots(len(panels), 2, squeeze=False)
        for line, (name, panel) in zip(axes, panels.items(), strict=True):
            contexts = [f"{context:0{bits}b}" for context in panel["contexts"]]
            for ax, kind, what in (
                (line[0], "read", "read after the context"),
                (line[1], "write", "written a step later"),
            ):
                colours = palette.WEIGHTS[kind]
                look: dict[str, Any] = {"unit": "weight", "colours": colours, "limits": (0, None)}
                label = "context (oldest bit first)"
                canvas.image(ax, panel[f"{kind}s"], name=f"{what}, {name}", ylabel=label, **look)
                ax.set_xticks(*canvas.row_ticks(panel["rows"]))
                ax.set_yticks(range(len(contexts)), contexts, family="monospace")
                ax.set_xlabel("row")
    return figure


def memory_by_priority(
    *,
    priorities: np.ndarray,
    rows: np.ndarray,
    write_weights: np.ndarray,
    read_steps: np.ndarray,
    read_weights: np.ndarray,
    answer_steps: np.ndarray,
) -> Figure:
    """Draws where a sorting model writes each item, and when it reads it, against its priority (paper, figure 17).

    A point's size is its weight. Points below `LEAST_WEIGHT` are left out, since they point nowhere.

    Args:
      priorities: `[items]`.
      rows: `[items, H]`, where each head writes each item.
      write_weights: `[items, H]`, there.
      read_steps: `[items, R]`, steps after the delimiter at which each head reads the item's row.
      read_weights: `[items, R]`, then.
      answer_steps: `[items]`, the step at which each is part of the answer, NaN if it is not.
    """
    with canvas.styled():
        figure = canvas.figure(canvas.PAGE, 2.9)
        where, when = figure.subplots(1, 2)
        _head_points(where, priorities, rows, write_weights, "write")
        where.set(ylabel="row where an item is written")
        where.invert_yaxis()  # row 0 on top, as everywhere
        when.plot(
            priorities,
            answer_steps,
            "o",
            color=palette.GREY,
            fillstyle="none",
            label="its answer is due",
        )
        _head_points(when, priorities, read_steps, read_weights, "read")
        when.set(ylabel="steps after the delimiter")
        for ax in (where, when):
            ax.set(xlabel="priority", xlim=(-1.05, 1.05))
            ax.yaxis.get_major_locator().set_params(integer=True)
            ax.grid(alpha=0.3)
            count = len(ax.get_legend_handles_labels()[0])
            if count:
                place = {"loc": "lower center", "bbox_to_anchor": (0.5, 1)}
                ax.legend(**place, ncols=min(3, count), frameon=False)
    return figure


def _head_points(
    ax: Axes, x: np.ndarray, values: np.ndarray, weights: np.ndarray, kind: str
) -> None:
    """Draws a point for each item `[items]` and head `[items, heads]` whose weight is enough, sized by it."""
    shades = canvas.colour_map(palette.WEIGHTS[kind])(np.linspace(0.55, 1, max(2, values.shape[1])))
    for head in range(values.shape[1]):
        shown = weights[:, head] >= LEAST_WEIGHT
        if not shown.any():
            continue
        name = f"{kind} head {head + 1}" if values.shape[1] > 1 else f"{kind} head"
        marker = palette.MARKERS[head % len(palette.MARKERS)]
        sizes = 18 * weights[shown, head]
        ax.scatter(
            x[shown], values[shown, head], sizes, color=shades[head], marker=marker, label=name
        )


def growth(points: Sequence[dict[str, Any]]) -> Figure:
    """Draws time and memory of a gradient against each size in `benchmarks.gradient_scaling`, beside the plain path."""
    axes_of = list(dict.fromkeys(point["axis"] for point in points))
    figure = canvas.figure(11, 5)
    grid = figure.subplots(2, len(axes_of), squeeze=False)
    for column, axis in enumerate(axes_of):
        of_axis = [point for point in points if point["axis"] == axis]
        sizes = [point["size"] for point in of_axis]
        for row, (name, scale, label) in enumerate(
            (("seconds", 1e3, "gradient (ms)"), ("bytes", 2**-20, "memory (MiB)"))
        ):
            ax = grid[row, column]
            for prefix, colour, title in (
                ("", palette.INK, "ntm_jax"),
                ("plain_", palette.WRITE, "plain"),
            ):
                values = [scale * point[prefix + name] for point in of_axis]
                ax.loglog(sizes, values, "o-", color=colour, label=title)
            ax.set(xlabel=axis.replace("_", " "), ylabel=label)
            ax.set_xticks(sizes, [f"{size:,}" for size in sizes], minor=False)
            ax.xaxis.set_minor_locator(NullLocator())
            ax.yaxis.set_minor_formatter(NullFormatter())
            ax.grid(alpha=0.3)
    grid[0, 0].legend()
    return figure
