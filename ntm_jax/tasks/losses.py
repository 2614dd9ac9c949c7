"""Masked cross-entropy of logits: nats inside, bits outside."""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import optax

BITS_PER_NAT = 1.4426950408889634


def sequence_nats(logits: jax.Array, targets: jax.Array, mask: jax.Array) -> jax.Array:
    """Cross-entropy of each sequence, summed over its scored steps and all output bits.

    Args:
      logits: `[T, B, out]`.
      targets: `[T, B, out]`, 0 or 1.
      mask: `[T, B]`, 1 where scored. What a model says elsewhere counts for nothing, not even NaN.

    Returns:
      `[B]`, in nats.
    """
    scored = mask[:, :, None] > 0
    nats = optax.sigmoid_binary_cross_entropy(jnp.where(scored, logits, 0), targets)
    return jnp.sum(jnp.where(scored, nats, 0), axis=(0, 2))


def sequence_bit_errors(logits: jax.Array, targets: jax.Array, mask: jax.Array) -> jax.Array:
    """Wrong bits of each sequence `[B]`, outputs thresholded at probability 1/2; shapes as above."""
    wrong = (logits > 0) != (targets > 0.5)
    return jnp.sum(wrong & (mask[:, :, None] > 0), axis=(0, 2)).astype(jnp.float32)


def symbol_nats(logits: jax.Array, symbols: jax.Array) -> jax.Array:
    """-log softmax(logits)[symbol] at every step: `[..., V]`, whole numbers `[...]` -> `[...]`, in nats."""
    return optax.softmax_cross_entropy_with_integer_labels(logits, symbols)


def sequence_symbol_nats(logits: jax.Array, targets: jax.Array, mask: jax.Array) -> jax.Array:
    """As `sequence_nats`, of outputs that are one symbol a step: logits `[T, B, V]`, targets `[T, B, 1]`."""
    scored = mask > 0
    nats = symbol_nats(jnp.where(scored[..., None], logits, 0), targets[..., 0])
    return jnp.sum(jnp.where(scored, nats, 0), axis=0)


def sequence_symbol_errors(logits: jax.Array, targets: jax.Array, mask: jax.Array) -> jax.Array:
    """Symbols of each sequence `[B]` that are not the most probable at their step; shapes as above."""
    wrong = jnp.argmax(logits, axis=-1) != targets[..., 0]
    return jnp.sum(wrong & (mask > 0), axis=0).astype(jnp.float32)


@dataclass(frozen=True)
class Outputs:
    """What a task's outputs stand for, and so what they cost."""

    nats: Callable[[jax.Array, jax.Array, jax.Array], jax.Array]  # of each sequence
    errors: Callable[[jax.Array, jax.Array, jax.Array], jax.Array]  # in each sequence


BITS = Outputs(sequence_nats, sequence_bit_errors)
SYMBOLS = Outputs(sequence_symbol_nats, sequence_symbol_errors)
