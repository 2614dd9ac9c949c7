"""Shares poems out among batches of about one length, each of about as many symbols.

Poems differ tenfold in length. A batch is of poems from one bucket of lengths, padded to the longest.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from ntm_jax.acrostic.corpus import MOST_SYMBOLS
from ntm_jax.tasks.drawing import opened

# The longest poem in each bucket, in symbols: 7x4 has 32, 5x8 48, 7x8 64. More buckets pad less and
# compile longer; of these 11% are padding.
LONGEST = (32, 48, 64, 96, 144, MOST_SYMBOLS)


def buckets(lengths: np.ndarray, shortest: int, longest: int) -> list[tuple[int, int]]:
    """Returns the shortest and longest length of every bucket that has a poem.

    Args:
      lengths: `[P]`, of the poems, all from `shortest` to `longest`.
      shortest, longest: the bounds of all buckets together.
    """
    found, least = [], shortest
    for most in LONGEST:
        if np.any((lengths >= least) & (lengths <= most)):
            found.append((least, min(most, longest)))
        least = max(least, most + 1)
    return found


def bucket_percentages(
    poems: Sequence[int], longest: Sequence[int], percent: int, progress: jax.Array
) -> jax.Array:
    """Returns how often a batch is of each bucket, so that every poem is drawn equally often.

    Args:
      poems: in each bucket.
      longest: symbols in each bucket.
      percent: of all buckets together, once all are open.
      progress: `[]`, the share of the buckets, shortest first, that a curriculum has opened.
    """
    symbols = np.array([p * most for p, most in zip(poems, longest, strict=True)], np.float32)
    percentages = symbols * percent / max(1.0, float(symbols.sum()))
    allowed = jnp.arange(len(symbols)) < opened(1, len(symbols), progress)
    return jnp.where(allowed, percentages, 0)


def batch_sizes(
    batch_size: int, poems: Sequence[int], longest: Sequence[int], shapes: Sequence[int]
) -> tuple[int, ...]:
    """Returns how many sequences batches of each shape have, so that all have about as many symbols.

    Args:
      batch_size: sequences on average over the buckets.
      poems: in each bucket.
      longest: symbols in each bucket.
      shapes: symbols of an episode of each shape, buckets or not.
    """
    total = sum(count * most for count, most in zip(poems, longest, strict=True))
    mean = total / sum(poems)
    return tuple(max(1, round(batch_size * mean / symbols)) for symbols in shapes)
