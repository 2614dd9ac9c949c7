"""Handles resets at the first step of a new sequence, and padding steps that leave the state unchanged."""

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from flax import struct

from ntm_jax.errors import UserError

Tree = TypeVar("Tree")


@struct.dataclass
class Marks:
    """Marks of the steps `[T, B]`, or of one step `[B]`; None where nothing is marked."""

    reset: jax.Array | None = None  # the state before the step is the initial state
    mask: jax.Array | None = None  # False: the step is padding and leaves the state as it is

    @classmethod
    def of(cls, steps: tuple[int, int], reset: Any, mask: Any, lengths: Any) -> "Marks":
        """Checks what `unroll` was given, for `steps` = `(T, B)`.

        Raises:
          UserError: an argument of another shape or dtype, lengths out of bounds, or both a mask and lengths.
        """
        if lengths is not None:
            if mask is not None:
                raise UserError("lengths: give a mask or lengths, not both")
            mask = _mask(lengths, *steps)
        return cls(_booleans("reset", reset, steps), _booleans("mask", mask, steps))

    def cleared(self, inputs: jax.Array) -> jax.Array:
        """Returns inputs `[T, B, ...]` with zeros in padding, so that no NaN there reaches a gradient."""
        return inputs if self.mask is None else select(self.mask, inputs, jnp.zeros_like(inputs))

    def around(self, step: Callable[..., Any], first: Any) -> Callable[..., Any]:
        """Wraps a step: resets before it, padding after it.

        Args:
          step: `(state, now) -> (state, record)`.
          first: the initial state; not used without resets.

        Returns:
          A step whose `now` is a pair: what `step` takes, and the `Marks` of that step.
        """

        def marked_step(state: Any, now: tuple[Any, Marks]) -> tuple[Any, Any]:
            inputs, marks = now
            if marks.reset is not None:
                state = select(marks.reset, first, state)
            after, record = step(state, inputs)
            if marks.mask is not None:
                after = select(marks.mask, after, state)
            return after, record

        return marked_step


def select(mask: jax.Array, chosen: Tree, otherwise: Tree) -> Tree:
    """Returns a pytree with `chosen` where the mask is True.

    Args:
      mask: of the leading axes of every array, boolean.
      chosen, otherwise: pytrees of one structure, of arrays `[*mask.shape, ...]`.
    """

    def leaf(a: jax.Array, b: jax.Array) -> jax.Array:
        return jnp.where(mask.reshape(*mask.shape, *[1] * (a.ndim - mask.ndim)), a, b)

    return jax.tree.map(leaf, chosen, otherwise)


def reset(model: Any, state: Tree, done: jax.Array, key: jax.Array | None = None) -> Tree:
    """Returns the state with those batch elements reset to the initial state that are done.

    Args:
      model: `NTMCell` or `LSTM`, whose state it is.
      state: with leading axes `[*batch_shape]`.
      done: `[*batch_shape]`, boolean.
      key: for a random initial state.

    Raises:
      UserError: `done` is not boolean, or not of the batch's shape.
    """
    done = jnp.asarray(done)
    _check_boolean("done", done)
    leaf, first = jax.tree.leaves(state)[0], jax.eval_shape(model.initial_state)
    batch_shape = leaf.shape[: leaf.ndim - jax.tree.leaves(first)[0].ndim]
    if done.shape != batch_shape:
        raise UserError(
            f"done: expected shape {list(batch_shape)} as the state's batch, got {list(done.shape)}"
        )
    return select(done, model.initial_state(done.shape, key), state)


def _booleans(name: str, values: Any, shape: tuple[int, int]) -> jax.Array | None:
    if values is None:
        return None
    array = jnp.asarray(values)
    _check_boolean(name, array)
    if array.shape != shape:
        raise UserError(
            f"{name}: expected shape [T, B] = {list(shape)} as inputs have, got {list(array.shape)}"
        )
    return array


def _check_boolean(name: str, array: jax.Array) -> None:
    if array.dtype != jnp.bool_:
        raise UserError(f"{name}: expected booleans, got {array.dtype}")


def _mask(lengths: Any, length: int, batch: int) -> jax.Array:
    array = jnp.asarray(lengths)
    if not jnp.issubdtype(array.dtype, jnp.integer):
        raise UserError(f"lengths: expected whole numbers, got {array.dtype}")
    if array.shape != (batch,):
        raise UserError(f"lengths: expected shape [B] = [{batch}], got {list(array.shape)}")
    if not isinstance(array, jax.core.Tracer) and batch:  # inside jit, nobody knows them yet
        for wrong in (int(array.min()), int(array.max())):
            if not 0 <= wrong <= length:
                raise UserError(
                    f"lengths: {wrong} is not allowed; it must be from 0 to T = {length}"
                )
    return jnp.arange(length)[:, None] < array[None, :]
