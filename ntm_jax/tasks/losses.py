"""Computes the masked cross-entropy of logits, in nats, and finds the scored steps."""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp

BITS_PER_NAT = 1.4426950408889634


def sequence_nats(logits: jax.Array, targets: jax.Array, mask: jax.Array) -> jax.Array:
    """Returns the cross-entropy of each sequence, summed over scored steps and output bits.

    Args:
      logits: `[T, B, out]`.
      targets: `[T, B, out]`, 0 or 1.
      mask: `[T, B]`, 1 where scored. Logits elsewhere are ignored, even NaN.

    Returns:
      `[B]`, in nats.
    """
    scored = mask[:, :, None] > 0
    nats = bit_nats(jnp.where(scored, logits, 0), targets)
    return jnp.sum(jnp.where(scored, nats, 0), axis=(0, 2))


def sequence_bit_errors(logits: jax.Array, targets: jax.Array, mask: jax.Array) -> jax.Array:
    """Counts the wrong bits of each sequence `[B]`, outputs thresholded at 1/2; shapes as above."""
    wrong = (logits > 0) != (targets > 0.5)
    return jnp.sum(wrong & (mask[:, :, None] > 0), axis=(0, 2)).astype(jnp.float32)


def bit_nats(logits: jax.Array, bits: jax.Array) -> jax.Array:
    """Returns -log of the probability of each bit, of one shape with `logits`, in nats."""
    bits = bits.astype(logits.dtype)
    # log(1 - sigmoid(x)) = log_sigmoid(-x), without cancellation.
    return -bits * jax.nn.log_sigmoid(logits) - (1.0 - bits) * jax.nn.log_sigmoid(-logits)


def symbol_nats(logits: jax.Array, symbols: jax.Array) -> jax.Array:
    """Returns -log softmax(logits)[symbol]: `[..., V]`, whole numbers `[...]` -> `[...]`, in nats."""
    chosen = jnp.take_along_axis(logits, symbols[..., None], axis=-1).take(0, axis=-1)
    return jax.nn.logsumexp(logits, axis=-1) - chosen


def sequence_symbol_nats(logits: jax.Array, targets: jax.Array, mask: jax.Array) -> jax.Array:
    """Returns the cross-entropy of sequences of symbols: `[T, B, V]`, `[T, B, 1]`, `[T, B]` -> `[B]`, in nats."""
    scored = mask > 0
    nats = symbol_nats(jnp.where(scored[..., None], logits, 0), targets[..., 0])
    return jnp.sum(jnp.where(scored, nats, 0), axis=0)


def sequence_symbol_errors(logits: jax.Array, targets: jax.Array, mask: jax.Array) -> jax.Array:
    """Counts symbols of each sequence `[B]` that are not the most probable at their step; shapes as above."""
    wrong = jnp.argmax(logits, axis=-1) != targets[..., 0]
    return jnp.sum(wrong & (mask > 0), axis=0).astype(jnp.float32)


@dataclass(frozen=True)
class Outputs:
    """Defines how a task's outputs are scored. Both functions take logits, targets and mask."""

    nats: Callable[[jax.Array, jax.Array, jax.Array], jax.Array]  # [B]
    errors: Callable[[jax.Array, jax.Array, jax.Array], jax.Array]  # [B], wrong bits or symbols


BITS = Outputs(sequence_nats, sequence_bit_errors)
SYMBOLS = Outputs(sequence_symbol_nats, sequence_symbol_errors)


def first_scored(mask: jax.Array) -> jax.Array:
    """Returns the first scored step of each sequence: `[T, B]` -> `[B]`."""
    return jnp.argmax(mask > 0, axis=0)


def window(values: jax.Array, start: jax.Array, count: int) -> jax.Array:
    """Returns `count` steps of each sequence from its own `start`: `[T, B, ...]`, `[B]` -> `[count, B, ...]`.

    `start + count <= T` has to hold.
    """

    def one(values: jax.Array, start: jax.Array) -> jax.Array:
        return jax.lax.dynamic_slice_in_dim(values, start, count)

    return jax.vmap(one, in_axes=(1, 0), out_axes=1)(values, start)
