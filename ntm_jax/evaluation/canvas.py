"""Makes figures in the sizes of a journal's columns, draws images on them, and saves them.

Figures are drawn by Agg without pyplot, so the user's own backend and figures are left alone.
"""

import io
import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from ntm_jax.evaluation import palette
from ntm_jax.storage import files

# Other modules import Matplotlib's classes from here, so that this runs first: a notebook's MPLBACKEND, inherited where that backend is not installed, stops the import of Matplotlib.
_backend = None if "matplotlib" in sys.modules else os.environ.pop("MPLBACKEND", None)
try:
    import matplotlib
    from matplotlib import font_manager
    from matplotlib.axes import Axes as Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure as Figure
    from matplotlib.ticker import EngFormatter as EngFormatter
    from matplotlib.ticker import NullFormatter as NullFormatter
    from matplotlib.ticker import NullLocator as NullLocator
    from matplotlib.ticker import StrMethodFormatter as StrMethodFormatter
finally:
    if _backend is not None:
        os.environ["MPLBACKEND"] = _backend
if _backend:
    with suppress(ValueError):
        matplotlib.rcParams["backend"] = _backend  # as Matplotlib does

FORMATS = ("png", "svg", "pdf")
COLUMN, PAGE = 3.25, 6.75  # inches: one column of a journal, and two
DOTS_PER_INCH = 200
STYLE: dict[Any, Any] = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.2,
    "grid.linewidth": 0.4,
}
# Text stays text. Files of equal figures are equal.
FILES: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "ntm_jax", "pdf.fonttype": 42}
UNDATED: dict[str, dict[str, None]] = {
    "svg": {"Date": None},
    "pdf": {"CreationDate": None},
    "png": {},
}


def styled() -> AbstractContextManager[None]:
    """Returns a context in which text and lines have the sizes of a journal; ticks are made when they are drawn."""
    return matplotlib.rc_context(STYLE)


def figure(width: float, height: float) -> Figure:
    """Makes an empty figure of this size, in inches."""
    result = Figure((width, height), layout="constrained")
    FigureCanvasAgg(result)  # which the figure keeps
    return result


def save(figure: Figure, path: Path, about: Mapping[str, str] | None = None) -> None:
    """Writes a figure to a file, atomically; the name ends in one of `FORMATS`.

    Args:
      figure: the figure.
      path: of the file.
      about: what is written in the file's metadata: `Title`, `Author` or `Keywords`.
    """
    kind = path.suffix.removeprefix(".")
    content = io.BytesIO()
    metadata = {**UNDATED[kind], **(about or {})}
    with matplotlib.rc_context({**STYLE, **FILES}), warnings.catch_warnings():
        # Of text in an SVG that this system cannot write; its reader can.
        warnings.filterwarnings("ignore", "Glyph .* missing")
        figure.savefig(content, format=kind, dpi=DOTS_PER_INCH, metadata=metadata)
    files.write_atomically(path, content.getvalue())


def pixels(figure: Figure) -> np.ndarray:
    """Returns a figure as `[height, width, 3]` bytes."""
    canvas = FigureCanvasAgg(figure)
    with styled():
        canvas.draw()  # type: ignore[no-untyped-call]
    return np.asarray(canvas.buffer_rgba())[..., :3]  # type: ignore[no-untyped-call]


def max_pooled(values: np.ndarray, most_rows: int, most_columns: int) -> np.ndarray:
    """Returns the greatest value of each block, so that a thin line has no holes when it is drawn small.

    Args:
      values: `[n, m]`.
      most_rows: of the result, in which every block is of the same number of rows.
      most_columns: of the result.
    """
    rows, columns = values.shape
    down, along = -(-rows // most_rows), -(-columns // most_columns)
    if down == along == 1:
        return values
    blocks_down, blocks_along = -(-rows // down), -(-columns // along)
    padding = ((0, blocks_down * down - rows), (0, blocks_along * along - columns))
    padded = np.pad(values, padding, constant_values=-np.inf)
    return padded.reshape(blocks_down, down, blocks_along, along).max(axis=(1, 3))


def colour_map(colours: Sequence[str]) -> LinearSegmentedColormap:
    """Returns a colour map through these colours, evenly spaced."""
    return LinearSegmentedColormap.from_list("ntm_jax", list(colours))


def shades(count: int) -> list[tuple[float, ...]]:
    """Returns that many colours without a meaning, for lines that only have to differ."""
    return [tuple(shade) for shade in matplotlib.colormaps["viridis"](np.linspace(0, 0.9, count))]


def image(
    ax: Axes,
    values: np.ndarray,
    *,
    name: str,
    ylabel: str,
    unit: str,
    colours: Sequence[str],
    limits: tuple[float | None, float | None],
    inches: tuple[float, float] | None = None,
) -> None:
    """Draws an image whose cells are centred on whole numbers, the first row on top, with its colour bar.

    Args:
      ax: where.
      values: `[n, m]`, NaN where there is none.
      name: above it.
      ylabel: of its rows.
      unit: of its values.
      colours: of its values, from the least to the greatest.
      limits: its range.
      inches: width and height of the axes. If given, the image has at most a cell a point, each with the
        greatest value of what it stands for.
    """
    rows, columns = values.shape
    drawn = values
    if inches is not None:
        drawn = max_pooled(values, *(max(1, int(72 * side)) for side in reversed(inches)))
    down, along = -(-rows // len(drawn)), -(-columns // drawn.shape[1])
    right, bottom = along * drawn.shape[1] - 0.5, down * len(drawn) - 0.5
    shown = ax.imshow(
        drawn,
        aspect="auto",
        interpolation="nearest",
        cmap=colour_map(colours),
        vmin=limits[0],
        vmax=limits[1],
        extent=(-0.5, right, bottom, -0.5),
    )
    ax.set_xlim(-0.5, columns - 0.5)
    ax.set_ylim(rows - 0.5, -0.5)
    ax.set_facecolor(palette.NOT_SCORED)
    ax.set_title(name, loc="left")
    ax.set_ylabel(ylabel)
    ax.locator_params("y", integer=True)
    beyond = limits[1] is not None and np.nanmax(values, initial=-np.inf) > limits[1] + 1e-3
    ax.figure.colorbar(shown, ax=ax, label=unit, pad=0.01, extend="max" if beyond else "neither")


def font_for(text: str, kind: str) -> str | None:
    """Returns the name of a font for text that may be Chinese, or None if it could not be read in a file.

    An SVG holds text as text, and its reader chooses the font.

    Args:
      text: what is to be written.
      kind: of the file, one of `FORMATS`.
    """
    if text.isascii():
        return "sans-serif"
    there = {font.name for font in font_manager.fontManager.ttflist}
    found = next((name for name in palette.CHINESE_FONTS if name in there), None)
    return found or ("sans-serif" if kind == "svg" else None)


def row_ticks(rows: np.ndarray, most: int = 8) -> tuple[list[int], list[str]]:
    """Returns at most `most` tick positions along an axis of `rows`, and their row numbers."""
    places = range(0, len(rows), -(-len(rows) // most))
    return list(places), [str(rows[place]) for place in places]


def name_ticks(ax: Axes, names: Sequence[str]) -> None:
    """Labels the rows of an image with names."""
    ax.set_yticks(range(len(names)), names)
