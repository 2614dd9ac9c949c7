"""Draws figures from arrays.

Figures are drawn by Agg without pyplot, so the user's own backend and figures are left alone.
"""

import io
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from ntm_jax.evaluation.episode import Episode
from ntm_jax.storage import files

# A notebook's MPLBACKEND, inherited where that backend is not installed, stops the import of Matplotlib.
_backend = None if "matplotlib" in sys.modules else os.environ.pop("MPLBACKEND", None)
try:
    import matplotlib
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter, NullLocator
finally:
    if _backend is not None:
        os.environ["MPLBACKEND"] = _backend
if _backend:
    with suppress(ValueError):
        matplotlib.rcParams["backend"] = _backend  # as Matplotlib does

Rows: TypeAlias = Sequence[Mapping[str, float]]
INK, RED = "#20639b", "#d1495b"
MOST_NAMED = 20  # runs in a legend


def learning_curve(rows: Rows) -> Figure:
    """Draws cost and wrong bits per sequence against sequences seen, from the rows of a run's metrics."""
    figure, axes = _curve_axes("Training")
    for name, label, colour in (
        ("loss_bits_per_sequence", "cost (bits)", INK),
        ("bit_errors_per_sequence", "wrong bits", RED),
    ):
        sequences = [row["sequences"] for row in rows]
        axes.plot(sequences, [row[name] for row in rows], label=label, color=colour)
    axes.set_ylim(bottom=0)  # after plotting: the top is found from the lines
    axes.legend()
    return figure


def learning_curves(of_runs: Mapping[str, Rows], title: str = "Training") -> Figure:
    """Draws the cost per sequence of several runs, one line each, from their metrics."""
    runs = f"{len(of_runs)} run{'s' * (len(of_runs) != 1)}"
    figure, axes = _curve_axes(f"{title}, {runs}")
    colours = matplotlib.colormaps["viridis"](np.linspace(0, 0.9, len(of_runs)))
    for (name, rows), colour in zip(of_runs.items(), colours, strict=True):
        sequences = [row["sequences"] for row in rows]
        bits = [row["loss_bits_per_sequence"] for row in rows]
        axes.plot(sequences, bits, label=name.replace("_", " "), color=colour)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("cost per sequence (bits)")
    if len(of_runs) <= MOST_NAMED:
        axes.legend(ncols=2, fontsize="small")
    return figure


def generalisation(title: str, seeds: Mapping[str, dict[str, Any]]) -> Figure:
    """Draws the cost per sequence by case, median and range over seeds, from each model's sweep summary."""
    figure = _figure((6.4, 3.6))
    axes = figure.subplots()
    for (name, summary), colour in zip(seeds.items(), (INK, RED, "#3c896d"), strict=False):
        cases = [case["name"].replace("_", " ") for case in summary["cases"]]
        bits = [case["bits_per_sequence"] for case in summary["cases"]]
        median, best, worst = ([one[of] for one in bits] for of in ("median", "best", "worst"))
        axes.plot(cases, median, "o-", color=colour, label=f"{name}, {len(summary['runs'])} seeds")
        axes.fill_between(cases, best, worst, color=colour, alpha=0.2)
    axes.set(title=title, ylabel="cost per sequence (bits)")
    axes.set_yscale("symlog", linthresh=0.01)
    axes.set_ylim(bottom=0)
    axes.tick_params(axis="x", labelrotation=30)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    return figure


def growth(points: Sequence[dict[str, Any]]) -> Figure:
    """Draws time and memory of a gradient against each size in `benchmarks.gradient_scaling`, beside the plain path."""
    axes_of = list(dict.fromkeys(point["axis"] for point in points))
    figure = _figure((11, 5))
    grid = figure.subplots(2, len(axes_of), squeeze=False)
    for column, axis in enumerate(axes_of):
        of_axis = [point for point in points if point["axis"] == axis]
        sizes = [point["size"] for point in of_axis]
        for row, (name, scale, label) in enumerate(
            (("seconds", 1e3, "gradient (ms)"), ("bytes", 2**-20, "memory (MiB)"))
        ):
            ax = grid[row, column]
            for prefix, colour, title in (("", INK, "ntm_jax"), ("plain_", RED, "plain")):
                values = [scale * point[prefix + name] for point in of_axis]
                ax.loglog(sizes, values, "o-", color=colour, label=title)
            ax.set(xlabel=axis.replace("_", " "), ylabel=label)
            ax.set_xticks(sizes, [f"{size:,}" for size in sizes], minor=False)
            ax.xaxis.set_minor_locator(NullLocator())
            ax.yaxis.set_minor_formatter(NullFormatter())
            ax.grid(alpha=0.3)
    grid[0, 0].legend()
    return figure


def _curve_axes(title: str) -> tuple[Figure, Axes]:
    figure = _figure((6.4, 3.6))
    axes = figure.subplots()
    axes.set(xlabel="sequences", ylabel="per sequence", title=title)
    axes.set_yscale("symlog", linthresh=0.01)
    axes.grid(alpha=0.3)
    return figure, axes


def episode(title: str, shown: Episode) -> Figure:
    """Draws one episode: inputs, targets, predictions, and where the heads were.

    Args:
      title: above it all.
      shown: NumPy arrays; steps that are not scored are left blank.
    """
    scored = np.asarray(shown.mask)[:, None] > 0
    targets = np.asarray(shown.targets)
    predicted = np.where(scored, shown.probabilities, np.nan)
    panels = [
        ("input", np.asarray(shown.inputs), "channel", "value", "viridis", (None, None)),
        ("target", np.where(scored, targets, np.nan), "bit", "value", "viridis", (0, 1)),
        ("prediction", predicted, "bit", "probability", "viridis", (0, 1)),
        ("error", np.abs(predicted - targets), "bit", "|p - target|", "magma", (0, 1)),
    ]
    for kind, weightings in (("write", shown.write_weightings), ("read", shown.read_weightings)):
        heads = weightings.shape[1]
        for head in range(heads):
            name = f"{kind} weighting" + (f", head {head + 1}" if heads > 1 else "")
            panels.append((name, np.asarray(weightings[:, head]), "row", "weight", "magma", (0, 1)))

    heights = [2.6 if kind == "row" else 1.0 for _, _, kind, _, _, _ in panels]
    figure = _figure((8, 0.9 * sum(heights) + 0.8))
    axes = figure.subplots(len(panels), height_ratios=heights, sharex=True, squeeze=False)
    for ax, (name, values, ylabel, unit, colours, limits) in zip(axes[:, 0], panels, strict=True):
        _image(ax, values.T, name, ylabel, unit, colours, limits)
    axes[-1, 0].set_xlabel("step")
    figure.suptitle(title)
    return figure


def memory_walk(
    title: str,
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
      title: above it all.
      inputs: `[T, in]`.
      adds: `[T, W]`, the vectors that are added to memory.
      write_weightings: `[T, n]`, of the rows that are shown.
      outputs: `[T, out]`, NaN where not scored.
      reads: `[T, W]`, the vectors that are read.
      read_weightings: `[T, n]`.
      rows: `[n]`, their numbers.
    """
    columns = (
        (("input", inputs), ("added", adds), ("write weighting", write_weightings)),
        (("output", outputs), ("read", reads), ("read weighting", read_weightings)),
    )
    figure = _figure((10, 6.4))
    axes = figure.subplots(3, 2, height_ratios=(1, 1.4, 2), sharex=True)
    # Added and read vectors have signs, and each its own range.
    reach = [float(np.abs(vectors).max()) or 1.0 for vectors in (adds, reads)]
    for column, panels in enumerate(columns):
        looks: tuple[tuple[str, str, str, tuple[float | None, float | None]], ...] = (
            ("channel", "value", "viridis", (None, None))
            if column == 0
            else ("channel", "probability", "viridis", (0, 1)),
            ("element", "value", "RdBu_r", (-reach[column], reach[column])),
            ("row", "weight", "magma", (0, 1)),
        )
        for ax, (name, values), look in zip(axes[:, column], panels, looks, strict=True):
            _image(ax, values.T, name, *look)
        axes[2, column].set_yticks(*_row_ticks(rows))
        axes[2, column].set_xlabel("step")
    figure.suptitle(title)
    return figure


def memory_by_context(
    title: str, panels: Mapping[str, Mapping[str, np.ndarray]], bits: int
) -> Figure:
    """Draws which rows an n-gram model reads after each context, and writes a step later (paper, figure 15).

    Args:
      title: above it all.
      panels: by name, each with `contexts` `[C]`, `rows` `[n]`, and mean weightings `reads` and `writes` `[C, n]`.
      bits: in a context.
    """
    figure = _figure((10, 0.8 + 4.2 * len(panels)))
    axes = figure.subplots(len(panels), 2, squeeze=False)
    for line, (name, panel) in zip(axes, panels.items(), strict=True):
        contexts = [f"{context:0{bits}b}" for context in panel["contexts"]]
        for ax, of, what in (
            (line[0], "reads", "read after the context"),
            (line[1], "writes", "written a step later"),
        ):
            label = "context (oldest bit first)"
            _image(ax, panel[of], f"{what}, {name}", label, "weight", "magma", (0, None))
            ax.set_xticks(*_row_ticks(panel["rows"]))
            ax.set_yticks(range(len(contexts)), contexts, fontsize=6, family="monospace")
            ax.set_xlabel("row")
    figure.suptitle(title)
    return figure


def memory_by_priority(
    title: str,
    *,
    priorities: np.ndarray,
    rows: np.ndarray,
    read_steps: np.ndarray,
    answer_steps: np.ndarray,
) -> Figure:
    """Draws where a sorting model writes each item, and when it reads it, against its priority (paper, figure 17).

    Args:
      title: above it all.
      priorities: `[items]`.
      rows: `[items]`, where each is written.
      read_steps: `[items]`, steps after the delimiter at which that row is read, NaN for never.
      answer_steps: `[items]`, the step at which each is part of the answer.
    """
    figure = _figure((10, 4))
    where, when = figure.subplots(1, 2)
    where.plot(priorities, rows, "o", color=INK)
    where.set(title="where an item is written", ylabel="row")
    when.plot(
        priorities, answer_steps, "o", color="0.6", fillstyle="none", label="its answer is due"
    )
    when.plot(priorities, read_steps, "o", color=RED, markersize=4, label="its row is read")
    when.set(title="when it is read", ylabel="steps after the delimiter")
    when.legend(fontsize="small")
    for ax in (where, when):
        ax.set(xlabel="priority", xlim=(-1.05, 1.05))
        ax.yaxis.get_major_locator().set_params(integer=True)
        ax.grid(alpha=0.3)
    figure.suptitle(title)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Writes a figure to a PNG file, atomically."""
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=130)
    files.write_atomically(path, content.getvalue())


def pixels(figure: Figure) -> np.ndarray:
    """Returns a figure as `[height, width, 3]` bytes."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    return np.asarray(canvas.buffer_rgba())[..., :3]  # type: ignore[no-untyped-call]


def _figure(inches: tuple[float, float]) -> Figure:
    figure = Figure(inches, layout="constrained")
    FigureCanvasAgg(figure)  # which the figure keeps
    return figure


def _row_ticks(rows: np.ndarray) -> tuple[list[int], list[str]]:
    """Returns at most eight tick positions along an axis of `rows`, and their row numbers."""
    places = range(0, len(rows), -(-len(rows) // 8))
    return list(places), [str(rows[place]) for place in places]


def _image(
    ax: Axes,
    values: np.ndarray,
    title: str,
    ylabel: str,
    unit: str,
    colours: str,
    limits: tuple[float | None, float | None],
) -> None:
    image = ax.imshow(
        values,
        aspect="auto",
        interpolation="nearest",
        cmap=colours,
        vmin=limits[0],
        vmax=limits[1],
    )
    ax.set_facecolor("0.9")  # not scored
    ax.set_title(title, fontsize="small", loc="left")
    ax.set_ylabel(ylabel)
    ax.figure.colorbar(image, ax=ax, label=unit, pad=0.01)
