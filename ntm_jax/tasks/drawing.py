"""Checks a task's fields, draws an episode's random parts and places them in time."""

import jax
import jax.numpy as jnp

from ntm_jax.errors import UserError


def require(ok: bool, message: str) -> None:
    """Raises `UserError` with `message` unless `ok`."""
    if not ok:
        raise UserError(message)


def require_range(what: str, low: int, high: int, least: int = 1) -> None:
    """Raises `UserError` unless `least <= low <= high`, for the fields `min_<what>` and `max_<what>`."""
    require(low >= least, f"task.min_{what}: {low} is not allowed; it must be at least {least}")
    require(high >= low, f"task.max_{what}: {high} is below task.min_{what}, which is {low}")


def require_percent(field: str, value: int) -> None:
    """Raises `UserError` unless a task's field is 0 to 100."""
    require(0 <= value <= 100, f"task.{field}: {value} is not allowed; it must be from 0 to 100")


def draw_between(key: jax.Array, low: int, high: int, progress: jax.Array) -> jax.Array:
    """Draws a whole number `[]` from `low` to `opened(low, high, progress)`."""
    return jax.random.randint(key, (), low, opened(low, high, progress) + 1)


def opened(low: int, high: int, progress: jax.Array) -> jax.Array:
    """Returns the highest number `[]` that a curriculum has opened: `low` at progress 0, `high` at 1."""
    return low + jnp.round((high - low) * jnp.clip(progress, 0, 1)).astype(jnp.int32)


def random_bits(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Draws fair bits as float32."""
    return jax.random.bernoulli(key, shape=shape).astype(jnp.float32)


def random_vectors(key: jax.Array, shape: tuple[int, int], zero_percent: int) -> jax.Array:
    """Draws vectors `[L, width]` of fair bits; `zero_percent` of them are set to zero."""
    nothing = jax.random.bernoulli(jax.random.fold_in(key, 1), zero_percent / 100, (shape[0], 1))
    return jnp.where(nothing, 0, random_bits(key, shape))


def rows_from(source: jax.Array, positions: jax.Array, present: jax.Array) -> jax.Array:
    """Returns `source[positions]` where `present` and zeros elsewhere.

    Args:
      source: `[L, width]`.
      positions: `[T]`, which row stands at each step; any value where not present.
      present: `[T]`, booleans.

    Returns:
      `[T, width]`.
    """
    rows = source[jnp.clip(positions, 0, source.shape[0] - 1)]
    return jnp.where(present[:, None], rows, 0)


def flag(present: jax.Array) -> jax.Array:
    """Returns a channel `[T, 1]` that is 1 where `present` `[T]`."""
    return present.astype(jnp.float32)[:, None]
