"""Stretches of time that begin at a step of their own in each sequence."""

import jax
import jax.numpy as jnp


def first_scored(mask: jax.Array) -> jax.Array:
    """The first step of each sequence that is scored: `[T, B]` -> `[B]`."""
    return jnp.argmax(mask > 0, axis=0)


def window(values: jax.Array, start: jax.Array, count: int) -> jax.Array:
    """`count` steps from `start` on, of each sequence: `[T, B, ...]`, `[B]` -> `[count, B, ...]`; `start + count <= T`."""

    def one(values: jax.Array, start: jax.Array) -> jax.Array:
        return jax.lax.dynamic_slice_in_dim(values, start, count)

    return jax.vmap(one, in_axes=(1, 0), out_axes=1)(values, start)
