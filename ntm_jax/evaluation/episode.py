"""Holds one episode as figures show it."""

import jax
from flax import struct


@struct.dataclass
class Episode:
    """Holds one episode of a model, in the channels of its task."""

    inputs: jax.Array  # [T, in]
    targets: jax.Array  # [T, out]
    mask: jax.Array  # [T], 1 where the output is scored
    probabilities: jax.Array  # [T, out]
    read_weightings: jax.Array  # [T, R, N]
    write_weightings: jax.Array  # [T, H, N]
