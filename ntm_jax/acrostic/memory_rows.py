"""Finds the rows of memory that hold a poem's given characters.

The write head reaches a character's row one step after the character was shown. At the end of a line it moves on at
once, and rests on the next character's row. So the row that is written to most until the next character is shown may
be the wrong one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LEAST_WEIGHT = 0.1  # for a row to be in use


@dataclass(frozen=True)
class Kept:
    """Says where one given character was kept.

    Attributes:
      place: in the poem, linefeeds counted, from 0. The character is shown at this step.
      row: of memory.
      written: weight of the row one step after the character was shown.
      due: the largest weight with which a head reads the row at the step at which the character is due.
      most_read_at: the place in the poem at which the row is read most.
      most_read: the largest weight then.
    """

    place: int
    row: int
    written: float
    due: float
    most_read_at: int
    most_read: float


def kept(weightings: np.ndarray, places: Sequence[int], read_heads: int) -> list[Kept]:
    """Returns the row of each given character: the one with the largest write weight one step after it was shown.

    Args:
      weightings: `[2 S, A, N]`, read heads first.
      places: of the given characters, below S - 1, for a linefeed follows each line.
      read_heads: of the A heads.
    """
    read, write = _largest(weightings, read_heads)
    answers = read[len(read) // 2 :]
    found = []
    for place in places:
        row = int(write[place + 1].argmax())
        most = int(answers[:, row].argmax())
        found.append(
            Kept(
                int(place),
                row,
                float(write[place + 1, row]),
                float(answers[place, row]),
                most,
                float(answers[most, row]),
            )
        )
    return found


def in_use(weightings: np.ndarray, found: Sequence[Kept], read_heads: int) -> list[int]:
    """Returns the rows written to while the form is shown or read while the poem is written.

    They are in the order of when that happens most, and at the same step the larger weight first. Those of the given
    characters are in the order of the message.

    Args:
      weightings: `[2 S, A, N]`, read heads first.
      found: from `kept`, whose rows are included whatever their weights.
      read_heads: of the A heads.
    """
    read, write = _largest(weightings, read_heads)
    size = len(read) // 2
    weights = np.concatenate([write[:size], read[size:]])
    steps = {
        int(row): int(weights[:, row].argmax())
        for row in np.flatnonzero(weights.max(axis=0) > LEAST_WEIGHT)
    }
    steps |= {one.row: one.place + 1 for one in reversed(found)}
    return sorted(steps, key=lambda row: (steps[row], -weights[steps[row], row], row))


def _largest(weightings: np.ndarray, read_heads: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the largest weight of the read heads and of the write heads, `[2 S, N]` each."""
    return weightings[:, :read_heads].max(axis=1), weightings[:, read_heads:].max(axis=1)
