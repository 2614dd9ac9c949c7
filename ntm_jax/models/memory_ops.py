"""Computes products and sums between heads and memory, rows last, in forms that XLA compiles well on a CPU.

With heads' words `[B, A, W]`, heads' rows `[B, A, N]` and a memory `[B, W, N]`:

    over_words(words, memory) [B, A, N] = Σ_w words(w) memory(w, n)      how a key meets every row
    over_rows(rows, memory)   [B, A, W] = Σ_n rows(n) memory(w, n)       how a weighting reads
    outer(words, rows)        [B, W, N] = Σ_a words(a, w) rows(a, n)     how a weighting writes

XLA's loops on a CPU run along an array's last axis, a SIMD register at a time; a reduction along that axis
runs one number at a time. Which form is quickest is measured in docs/lab_book/speed.md.
`precision` is one of `ntm_jax.models.precision`.
"""

from collections.abc import Iterable
from functools import partial, reduce

import jax
import jax.numpy as jnp

from ntm_jax.models.precision import HIGHEST

LANES = 16  # floats that one step of a compiled loop should cover
MOST_TERMS = 64  # in a sum that is written out
FEW_HEADS = 2  # up to here, each head by itself is quicker than a matrix product of all


def over_words(words: jax.Array, memory: jax.Array, precision: str = HIGHEST) -> jax.Array:
    """Σ_w words(a, w) memory(w, n): `[B, A, W]`, `[B, W, N]` -> `[B, A, N]`."""
    heads = words.shape[1]
    if heads > FEW_HEADS:
        return jnp.einsum("baw,bwn->ban", words, memory, precision=precision)
    product = partial(jnp.einsum, "bw,bwn->bn", precision=precision)
    each = [product(words[:, head], memory) for head in range(heads)]
    return jnp.stack(each, axis=1)


def over_rows(rows: jax.Array, memory: jax.Array, precision: str = HIGHEST) -> jax.Array:
    """Σ_n rows(a, n) memory(w, n): `[B, A, N]`, `[B, W, N]` -> `[B, A, W]`."""
    heads = rows.shape[1]
    if heads > FEW_HEADS:
        return jnp.einsum("ban,bwn->baw", rows, memory, precision=precision)
    product = partial(jnp.einsum, "bn,bwn->bw", precision=precision)
    each = [product(rows[:, head], memory) for head in range(heads)]
    return jnp.stack(each, axis=1)


def outer(words: jax.Array, rows: jax.Array, precision: str = HIGHEST) -> jax.Array:
    """Σ_a words(a, w) rows(a, n): `[B, A, W]`, `[B, A, N]` -> `[B, W, N]`."""
    heads = words.shape[1]
    if heads > FEW_HEADS:
        return jnp.einsum("baw,ban->bwn", words, rows, precision=precision)
    return total(words[:, head, :, None] * rows[:, head, None, :] for head in range(heads))


def squared_norm(memory: jax.Array) -> jax.Array:
    """Σ_w memory(w, n)²: `[B, W, N]` -> `[B, N]`."""
    width = memory.shape[1]
    if width > MOST_TERMS:
        return jnp.sum(memory**2, axis=1)
    return total(memory[:, w] ** 2 for w in range(width))


def sum_last(values: jax.Array) -> jax.Array:
    """Sums over the last axis `[..., N]` -> `[...]`, as a product with ones that never rounds its inputs."""
    return jnp.matmul(values, jnp.ones(values.shape[-1], values.dtype), precision=HIGHEST)


def max_last(values: jax.Array) -> jax.Array:
    """Returns the maximum over the last axis `[..., N]` -> `[...]`: first across registers, then within one."""
    rows = values.shape[-1]
    if rows % LANES or rows // LANES > MOST_TERMS:
        return jnp.max(values, axis=-1)
    parts = (values[..., start : start + LANES] for start in range(0, rows, LANES))
    return jnp.max(reduce(jnp.maximum, parts), axis=-1)


def total(terms: Iterable[jax.Array]) -> jax.Array:
    """Returns the sum of one or more arrays, as explicit additions."""
    first, *rest = terms
    return sum(rest, start=first)
