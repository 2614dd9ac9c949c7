"""Poems with their linefeeds elsewhere: lines of other widths than the usual are rare, and have to be counted too."""

import jax
import jax.numpy as jnp

from ntm_jax.acrostic.corpus import LINEFEED

FARTHEST = 2  # characters


def draw(symbols: jax.Array, length: jax.Array, key: jax.Array) -> jax.Array:
    """The same characters in the same order, but each linefeed up to `FARTHEST` earlier or later, the last in its place.

    A poem with a line of `2 FARTHEST` characters or fewer is as it was: its lines are of other widths already.

    Args:
      symbols: `[S]`, of which the first `length`, `[]`, are there.
      length: of the poem, with its last linefeed.
      key: decides how far each is moved.

    Returns:
      Symbols `[S]`.
    """
    place = jnp.arange(symbols.size)
    ends = symbols == LINEFEED
    before = jax.lax.cummax(jnp.where(ends, place, -1))
    widths = place - jnp.append(-1, before[:-1]) - 1
    wide = jnp.all(~ends | (widths > 2 * FARTHEST))
    shifts = jax.random.randint(key, symbols.shape, -FARTHEST, FARTHEST + 1)
    to = place + jnp.where(place < length - 1, shifts, 0)
    elsewhere = jnp.zeros_like(ends).at[jnp.where(ends, to, symbols.size)].set(True, mode="drop")
    characters = symbols[jnp.argsort(ends, stable=True)]
    others = characters[jnp.cumsum(~elsewhere) - 1]
    return jnp.where(wide, jnp.where(elsewhere, LINEFEED, others), symbols)
