"""Thins the learning curves of a sweep's seeds to a small file, and reads it."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ntm_jax.errors import UserError
from ntm_jax.training import metrics

NAME = "curves.csv"
MOST_POINTS = 200  # of a seed
BITS = "loss_bits_per_sequence"
COLUMNS = ("run", "update", "sequences", "seconds", BITS)


def thinned(rows: Sequence[Mapping[str, float]], most: int = MOST_POINTS) -> list[dict[str, float]]:
    """Returns at most `most` rows of metrics, each the end of a stretch of equal length with its median cost."""
    stretches = [part for part in np.array_split(np.arange(len(rows)), min(most, len(rows)) or 1)]
    return [
        {
            **{name: rows[part[-1]].get(name, np.nan) for name in COLUMNS[1:-1]},
            BITS: float(np.median([rows[at][BITS] for at in part])),
        }
        for part in stretches
        if len(part)
    ]


def text(of_runs: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """Returns the content of `curves.csv`: a line for each point of each run, numbers with six digits."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for run, rows in of_runs.items():
        for row in thinned(rows):
            whole = (f"{row[name]:.0f}" for name in COLUMNS[1:3])
            writer.writerow([run, *whole, f"{row['seconds']:.6g}", f"{row[BITS]:.6g}"])
    return out.getvalue()


def read(folder: Path) -> list[list[dict[str, float]]]:
    """Reads the learning curve of every seed of a shipped run, or of the shipped one if there is no `curves.csv`.

    Raises:
      UserError: the file is damaged.
    """
    path = folder / NAME
    if not path.exists():
        return [metrics.read(folder / metrics.NAME)]
    runs: dict[str, list[dict[str, float]]] = {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for line in csv.DictReader(file, strict=True):
                numbers = {name: float(line[name]) for name in COLUMNS[1:]}
                runs.setdefault(line["run"], []).append(numbers)
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise UserError(f"{path} is damaged ({error}); ship the sweep again") from None
    return list(runs.values())
