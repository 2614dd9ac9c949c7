"""Writes and parses metrics.csv."""

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Self

NAME = "metrics.csv"


@dataclass(frozen=True)
class Row:
    """Holds one row of metrics.csv, with means over the updates since the previous row."""

    update: int  # done when the row was written
    sequences: int  # seen by then
    seconds: float  # trained by then, stops left out
    loss_bits_per_sequence: float
    bit_errors_per_sequence: float
    gradient_norm: float  # nats, before clipping
    learning_rate: float


COLUMNS = tuple(field.name for field in fields(Row))


class Parser:
    """Parses the lines of a metrics.csv in order, by the names in its header."""

    def __init__(self) -> None:
        self._names: list[str] | None = None

    def __call__(self, line: str) -> dict[str, float] | None:
        """Returns a line's numbers by column, or None for the header and for a damaged line.

        Args:
          line: a whole one, without its end.
        """
        words = line.rstrip("\r").split(",")
        if self._names is None:
            self._names = words
            return None
        try:
            values = dict(zip(self._names, map(float, words), strict=True))
            update = values["update"]
        except (KeyError, ValueError):
            return None
        return values if update == update else None  # not NaN


def parse(text: str) -> Iterator[dict[str, float]]:
    """Yields the rows of a metrics.csv's text, oldest first. Skips a last line without a newline, which is incomplete."""
    parser = Parser()
    for line in text.split("\n")[:-1]:
        row = parser(line)
        if row is not None:
            yield row


def read(path: Path) -> list[dict[str, float]]:
    """Returns the rows of a metrics.csv, oldest first; a line that was cut short is left out."""
    return list(parse(path.read_text(encoding="utf-8")))


def updates_done(path: Path) -> int:
    """Returns the update of a metrics.csv's last row, 0 if there is none."""
    try:
        rows = read(path)
    except (OSError, ValueError):
        return 0
    return int(rows[-1]["update"]) if rows else 0


def first_below(path: Path, bits: float, after: int = 0) -> dict[str, float] | None:
    """Returns the first row after update `after` that costs fewer bits per sequence, or None."""
    rows = (row for row in read(path) if row["update"] > after)
    return next((row for row in rows if row["loss_bits_per_sequence"] < bits), None)


class Metrics:
    """Appends rows to a run's metrics.csv.

    Args:
      workdir: the run's folder.
      update: the update from which the run resumes. Rows of later updates, from a session that stopped before its
        next checkpoint, are dropped.
    """

    def __init__(self, workdir: Path, update: int):
        path = workdir / NAME
        old = path.read_text(encoding="utf-8") if path.exists() else ""
        partial = path.with_suffix(".partial")
        with partial.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS, restval="nan", lineterminator="\n")
            writer.writeheader()
            writer.writerows(_kept(old, update))
        partial.replace(path)
        self._file = path.open("a", newline="", encoding="utf-8")
        self._csv = csv.DictWriter(self._file, COLUMNS, lineterminator="\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    def write(self, row: Row) -> None:
        """Adds one row, on disk when this returns."""
        self._csv.writerow(asdict(row))
        self._file.flush()


def _kept(text: str, update: int) -> Iterable[Mapping[str, str]]:
    """Yields the rows of an earlier session up to an update, as text, by column. Drops unknown columns."""
    header, *lines = text.split("\n")
    names, parser = header.split(","), Parser()
    parser(header)
    for line in lines[:-1]:  # the last ends with a newline, or was cut short
        row = parser(line)
        if row is not None and row["update"] <= update:
            words = dict(zip(names, line.split(","), strict=True))
            yield {name: words[name] for name in COLUMNS if name in words}
