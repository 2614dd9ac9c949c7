"""Computes the weighting of a head over the rows of memory (paper, section 3.3).

Every function works on one head of one example. The weighting of the step before enters at the gate,
and the four stages follow the paper's figure 2::

    key, strength -> content weighting -> gate -> shift -> sharpen -> weighting

Source of all equations: Graves, Wayne, Danihelka 2014, arXiv 1410.5401.
"""

import jax
import jax.numpy as jnp

from ntm_jax.models.precision import HIGHEST

# Inside the root of the cosine's denominator: an all-zero row or key then has similarity 0 and finite gradients.
COSINE_EPSILON = 1e-6


def cosine_similarity(
    memory: jax.Array,
    key: jax.Array,
    epsilon: float = COSINE_EPSILON,
    precision: str = HIGHEST,
) -> jax.Array:
    """Returns the similarity of every row to the key (eq. 6).

    `K[k, M(i)] = k·M(i) / √(|k|² |M(i)|² + ε)`

    Args:
      memory: `[N, W]`.
      key: `[W]` (the paper's k).
      epsilon: added inside the root, where it also bounds the gradient.
      precision: of the product, see `ntm_jax.models.precision`.

    Returns:
      `[N]`, each in [-1, 1].
    """
    dot = jnp.matmul(memory, key, precision=precision)
    squared = jnp.sum(memory**2, axis=-1) * jnp.sum(key**2)
    return dot * jax.lax.rsqrt(squared + jnp.asarray(epsilon, squared.dtype))


def content_weighting(
    memory: jax.Array,
    key: jax.Array,
    strength: jax.Array,
    epsilon: float = COSINE_EPSILON,
    precision: str = HIGHEST,
) -> jax.Array:
    """Returns the weighting of the rows by their similarity to the key (eq. 5).

    `w^c = softmax(β K[k, M])`

    Args:
      memory: `[N, W]`.
      key: `[W]` (k).
      strength: `[]`, positive (β).
      epsilon, precision: see `cosine_similarity`.

    Returns:
      `[N]`, a weighting: not negative, sum 1.
    """
    return jax.nn.softmax(strength * cosine_similarity(memory, key, epsilon, precision))


def interpolate(content: jax.Array, previous: jax.Array, gate: jax.Array) -> jax.Array:
    """Interpolates between the content weighting and the previous one (eq. 7).

    `w^g = g w^c + (1 - g) w_{t-1}`

    Args:
      content: `[N]` (w^c).
      previous: `[N]` (w_{t-1}).
      gate: `[]`, in [0, 1] (g).

    Returns:
      `[N]`, a weighting.
    """
    return gate * content + (1 - gate) * previous


def shift_weighting(weighting: jax.Array, shift: jax.Array) -> jax.Array:
    """Moves a weighting by circular convolution (eq. 8).

    `w̃(i) = Σ_j w^g(j) s(i - j)`

    Args:
      weighting: `[N]`.
      shift: `[2k + 1]`, the probability of each move from -k to k rows (s).

    Returns:
      `[N]`. A one-hot shift is a roll; a positive move goes to higher rows, the last row's to the first.
    """
    reach = (shift.shape[0] - 1) // 2
    moved = [
        probability * jnp.roll(weighting, move)
        for move, probability in zip(range(-reach, reach + 1), shift, strict=True)
    ]
    return sum(moved[1:], start=moved[0])


def sharpen(weighting: jax.Array, sharpening: jax.Array) -> jax.Array:
    """Sharpens a weighting (eq. 9).

    `w(i) = w̃(i)^γ / Σ_j w̃(j)^γ`, computed as `softmax(γ log w̃)`.

    Raising small weights to a high power underflows to 0/0; the softmax does not. A weight of exactly 0
    counts as the least normal number, and its gradient is 0.

    Args:
      weighting: `[N]`.
      sharpening: `[]`, at least 1 (γ).

    Returns:
      `[N]`, a weighting.
    """
    tiny = jnp.finfo(weighting.dtype).tiny  # type: ignore[no-untyped-call]
    return jax.nn.softmax(sharpening * jnp.log(jnp.maximum(weighting, tiny)))


def address(
    memory: jax.Array,
    previous: jax.Array,
    key: jax.Array,
    strength: jax.Array,
    gate: jax.Array,
    shift: jax.Array,
    sharpening: jax.Array,
    epsilon: float = COSINE_EPSILON,
    precision: str = HIGHEST,
) -> jax.Array:
    """Returns one head's new weighting by the four stages in turn (figure 2).

    Args:
      memory: `[N, W]`.
      previous: `[N]`, this head's weighting at the step before (w_{t-1}).
      key: `[W]` (k).
      strength: `[]` (β).
      gate: `[]` (g).
      shift: `[2k + 1]` (s).
      sharpening: `[]` (γ).
      epsilon, precision: see `cosine_similarity`.

    Returns:
      `[N]`, a weighting.
    """
    content = content_weighting(memory, key, strength, epsilon, precision)
    gated = interpolate(content, previous, gate)
    return sharpen(shift_weighting(gated, shift), sharpening)
