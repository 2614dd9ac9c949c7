"""Masked cross-entropy of logits: nats inside, bits outside."""

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
