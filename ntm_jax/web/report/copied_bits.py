"""Finds which bits of an episode are copies of its editable bits, so that a page can edit them by itself.

In copy, every target bit is a bit of the input. Other tasks copy whole vectors in an order that their numbers, such
as priorities, decide; with the same numbers, the order stays.
"""

from dataclasses import dataclass

import numpy as np

from ntm_jax.tasks import Batch, Task, editing

NO_COPY = -1


@dataclass(frozen=True)
class Copies:
    """Holds the place among the editable bits, `[V * C]`, that each bit is a copy of, or `NO_COPY`."""

    inputs: np.ndarray  # [T, in]
    targets: np.ndarray  # [T, out]


def find(task: Task, batch: Batch) -> Copies | None:
    """Returns the copies, or None if the bits cannot be edited or something else follows from them.

    Args:
      task: of the episode.
      batch: the episode, `[T, in]`, `[T, out]`, `[T]`, NumPy arrays.
    """
    editable = task.editable(batch)
    if editable is None or not editable.channels:
        return None
    drawn = editing.content(batch.inputs, editable)

    def edited(bits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        content = editing.Content(bits.reshape(drawn.bits.shape), drawn.numbers)
        result = task.edited(batch, content)
        return np.asarray(result.inputs), np.asarray(result.targets)

    # Every bit is shown its own number, from 1 on, a binary digit an episode. Copies show the same number.
    numbers = np.arange(1, drawn.bits.size + 1)
    digits = (
        int(numbers[-1]).bit_length() + 1
    )  # the last digit of all is 0, what is always 1 has another
    shown = [edited((numbers >> digit & 1).astype(np.float32)) for digit in range(digits)]
    inputs, targets = (
        sum((values == 1).astype(np.int64) << digit for digit, values in enumerate(part)) - 1
        for part in zip(*shown, strict=True)
    )
    found = Copies(*(np.where(part < drawn.bits.size, part, NO_COPY) for part in (inputs, targets)))
    bits = np.random.default_rng(0).integers(0, 2, drawn.bits.size).astype(np.float32)
    copied = applied(found, batch, bits)
    return found if all(map(np.array_equal, copied, edited(bits))) else None


def applied(copies: Copies, batch: Batch, bits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the inputs `[T, in]` and targets `[T, out]` of an episode with other editable bits `[V * C]`."""
    return tuple(  # type: ignore[return-value]
        np.where(places == NO_COPY, np.asarray(values), bits[places])
        for places, values in (
            (copies.inputs, batch.inputs),
            (copies.targets, batch.targets),
        )
    )
