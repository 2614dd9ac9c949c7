"""The three products between heads and memory, rows last, each the other two's gradient.

With heads' words `[B, A, W]`, heads' rows `[B, A, N]` and a memory `[B, W, N]`:

    over_words(words, memory) [B, A, N] = Σ_w words(w) memory(w, n)      how a key meets every row
    over_rows(rows, memory)   [B, A, W] = Σ_n rows(n) memory(w, n)       how a weighting reads
    outer(words, rows)        [B, W, N] = Σ_a words(a, w) rows(a, n)     how a weighting writes

XLA turns small batched matrix products on a CPU into many calls of a library made for large ones. Written
as sums of scaled vectors with the rows last, each becomes one loop over whole SIMD registers (measured:
docs/experiments.md). Where N or W is too large for that, they are ordinary matrix products.
"""

import jax
import jax.numpy as jnp

LANES = 16  # floats that one step of the compiled loops should cover
MOST_TERMS = 64  # in a sum that is written out


@jax.custom_vjp
def over_words(words: jax.Array, memory: jax.Array) -> jax.Array:
    """Σ_w words(a, w) memory(w, n): `[B, A, W]`, `[B, W, N]` -> `[B, A, N]`."""
    width = memory.shape[1]
    if width > MOST_TERMS:
        return jnp.einsum("baw,bwn->ban", words, memory)
    terms = [words[:, :, w, None] * memory[:, None, w, :] for w in range(width)]
    return sum(terms[1:], start=terms[0])


@jax.custom_vjp
def over_rows(rows: jax.Array, memory: jax.Array) -> jax.Array:
    """Σ_n rows(a, n) memory(w, n): `[B, A, N]`, `[B, W, N]` -> `[B, A, W]`."""
    return sum_last(rows[:, :, None, :] * memory[:, None, :, :])


@jax.custom_vjp
def outer(words: jax.Array, rows: jax.Array) -> jax.Array:
    """Σ_a words(a, w) rows(a, n): `[B, A, W]`, `[B, A, N]` -> `[B, W, N]`."""
    terms = [words[:, a, :, None] * rows[:, a, None, :] for a in range(words.shape[1])]
    return sum(terms[1:], start=terms[0])


def sum_last(values: jax.Array) -> jax.Array:
    """Sum over the last axis `[..., N]` -> `[...]`, first of whole registers, then within one."""
    rows = values.shape[-1]
    if rows % LANES or rows // LANES > MOST_TERMS:
        return jnp.sum(values, axis=-1)
    parts = [values[..., start : start + LANES] for start in range(0, rows, LANES)]
    partial = sum(parts[1:], start=parts[0])
    flat = partial.reshape(-1, LANES) @ jnp.ones((LANES, 1), values.dtype)
    return flat.reshape(values.shape[:-1])


def max_last(values: jax.Array) -> jax.Array:
    """Greatest along the last axis `[..., N]` -> `[...]`; not differentiated."""
    rows = values.shape[-1]
    values = jax.lax.stop_gradient(values)
    if rows % LANES or rows // LANES > MOST_TERMS:
        return jnp.max(values, axis=-1)
    partial = values[..., :LANES]
    for start in range(LANES, rows, LANES):
        partial = jnp.maximum(partial, values[..., start : start + LANES])
    return jnp.max(partial, axis=-1)


@jax.custom_vjp
def squared_norm(memory: jax.Array) -> jax.Array:
    """Σ_w memory(w, n)²: `[B, W, N]` -> `[B, N]`."""
    width = memory.shape[1]
    if width > MOST_TERMS:
        return jnp.sum(memory**2, axis=1)
    terms = [memory[:, w] ** 2 for w in range(width)]
    return sum(terms[1:], start=terms[0])


squared_norm.defvjp(
    lambda memory: (squared_norm(memory), memory),
    lambda memory, d: (2 * memory * d[:, None, :],),
)
over_words.defvjp(
    lambda words, memory: (over_words(words, memory), (words, memory)),
    lambda kept, d: (over_rows(d, kept[1]), outer(kept[0], d)),
)
over_rows.defvjp(
    lambda rows, memory: (over_rows(rows, memory), (rows, memory)),
    lambda kept, d: (over_words(d, kept[1]), outer(d, kept[0])),
)
outer.defvjp(
    lambda words, rows: (outer(words, rows), (words, rows)),
    lambda kept, d: (over_rows(kept[1], d), over_words(kept[0], d)),
)
