"""Aligns a table for the terminal."""

from collections.abc import Sequence


def aligned(headings: Sequence[str], rows: Sequence[Sequence[str]], first_width: int = 0) -> str:
    """Returns a table, its first column flush left and the others flush right.

    Args:
      headings: of the columns.
      rows: cells, as many as headings.
      first_width: characters of the first column, at least.
    """
    lines = [headings, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
    widths[0] = max(widths[0], first_width)
    return "\n".join(_line(line, widths) for line in lines)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    right = [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
    return "  ".join([cells[0].ljust(widths[0]), *right]).rstrip()
