"""Holds one episode as figures show it, and finds the rows of memory that they show."""

import jax
import numpy as np
from flax import struct

USED = 0.05  # the weight from which a row counts as used


@struct.dataclass(kw_only=True)
class Episode:
    """Holds one episode of a model, in the channels of its task."""

    inputs: jax.Array  # [T, in]
    targets: jax.Array  # [T, out]
    mask: jax.Array  # [T], 1 where the output is scored
    probabilities: jax.Array  # [T, out]
    read_weightings: jax.Array  # [T, R, N]
    write_weightings: jax.Array  # [T, H, N]
    symbols: jax.Array | None = None  # [T], the inputs of a task of symbols


def used_rows(weights: np.ndarray) -> np.ndarray:
    """Returns the rows that are used and those between them, in the order in which a head walks over them.

    Memory is a circle (eq. 8): it is cut open where the most unused rows lie in a row, so that a walk over
    its end stays in one piece.

    Args:
      weights: `[N]`, the greatest weight that a row ever gets.

    Returns:
      Row numbers; all if none is used.
    """
    used = np.flatnonzero(weights >= USED)
    if not len(used):
        return np.arange(len(weights))
    gaps = np.diff(used, append=used[0] + len(weights))
    widest = len(gaps) - 1 - int(np.argmax(gaps[::-1]))  # of several, the one at the end
    first, last = used[(widest + 1) % len(used)], used[widest]
    return np.arange(first, first + (last - first) % len(weights) + 1) % len(weights)
