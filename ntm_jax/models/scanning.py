"""`lax.scan` for sequences of any length, and a limit to the derivatives that pass a step."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import jax
import jax.numpy as jnp

SEGMENT = 512  # steps; of longer sequences, only some states are kept for the backward pass

Tree = TypeVar("Tree")


def scan(step: Callable[..., Any], state: Any, inputs: Any) -> tuple[Any, Any]:
    """Returns `lax.scan(step, state, inputs)`, in segments of about √T steps if T is large.

    Of a sequence longer than `SEGMENT`, states are kept at the ends of segments. The backward pass runs each
    segment again to have those within. The last segment is shorter where √T does not divide T.

    Args:
      step: `(state, inputs of one step) -> (state, record)`.
      state: before the first step.
      inputs: a pytree of arrays with leading axis T.

    Returns:
      The state after the last step, and the records stacked along time.
    """
    length = jax.tree.leaves(inputs)[0].shape[0]
    if length <= SEGMENT:
        return jax.lax.scan(step, state, inputs)
    size = math.isqrt(length - 1) + 1
    count = length // size

    def head(values: jax.Array) -> jax.Array:
        return values[: count * size].reshape(count, size, *values.shape[1:])

    segment = jax.checkpoint(partial(jax.lax.scan, step), prevent_cse=False)
    state, records = jax.lax.scan(segment, state, jax.tree.map(head, inputs))
    records = jax.tree.map(lambda x: x.reshape(count * size, *x.shape[2:]), records)
    if count * size == length:
        return state, records
    state, rest = jax.lax.scan(step, state, jax.tree.map(lambda x: x[count * size :], inputs))
    return state, jax.tree.map(lambda *both: jnp.concatenate(both), records, rest)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def limit_gradient(limit: float, values: Tree) -> Tree:
    """Returns the same values. Every element of their cotangent is limited to `-limit .. limit`.

    Backwards through many steps of finding, reading and rewriting the same rows, cotangents can grow
    exponentially. The gradient of such an episode, limited only at the end, points in a useless direction. The
    paper limits 'during the backward pass' (section 4.6), as Graves (2013, section 2.1) did at every step.
    """
    return values


limit_gradient.defvjp(
    lambda limit, values: (values, None),
    lambda limit, _, d: (jax.tree.map(lambda x: jnp.clip(x, -limit, limit), d),),
)
