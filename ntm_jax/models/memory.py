"""Reads and writes the memory of one example with all heads at once (paper, sections 3.1 and 3.2)."""

import jax
import jax.numpy as jnp

from ntm_jax.models.precision import HIGHEST


def read(memory: jax.Array, weightings: jax.Array, precision: str = HIGHEST) -> jax.Array:
    """Returns what the heads read (eq. 2).

    `r_h = Σ_i w_h(i) M(i)`

    Args:
      memory: `[N, W]`.
      weightings: `[R, N]`, one a read head.
      precision: of the product, see `ntm_jax.models.precision`.

    Returns:
      `[R, W]`, one read vector a head.
    """
    return jnp.matmul(weightings, memory, precision=precision)


def write(
    memory: jax.Array,
    weightings: jax.Array,
    erase: jax.Array,
    add: jax.Array,
    precision: str = HIGHEST,
) -> jax.Array:
    """Erases, then adds (eqs. 3 and 4).

    `M_t = M_{t-1} ∘ Π_h (1 - w_h e_hᵀ) + Σ_h w_h a_hᵀ`

    With several heads, every erase comes before every add. So the order of the heads does not matter.

    Args:
      memory: `[N, W]`.
      weightings: `[H, N]`, one a write head (w).
      erase: `[H, W]`, in [0, 1] (e).
      add: `[H, W]` (a).
      precision: of the product, as in `read`.

    Returns:
      The new memory, `[N, W]`.
    """
    kept = jnp.prod(1 - weightings[:, :, None] * erase[:, None, :], axis=0)
    return memory * kept + jnp.matmul(weightings.T, add, precision=precision)
