"""Scans sequences of any length, and limits the gradients that pass a step."""

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

    For a sequence longer than `SEGMENT`, only the states at the ends of segments are stored. The backward pass
    recomputes those within each segment. The last segment may be shorter.

    Args:
      step: `(state, inputs of one step) -> (state, record)`.
      state: before the first step.
      inputs: a pytree of arrays with leading axis T.

    Returns:
      The state after the last step, and the records stacked along time.
    """
    return in_segments(partial(jax.lax.scan, step), state, inputs)


def in_segments(run: Callable[..., Any], state: Any, inputs: Any) -> tuple[Any, Any]:
    """Returns `run(state, inputs)`, in segments as `scan` has them.

    Args:
      run: `(state, inputs of some steps) -> (state, records of these steps)`.
      state: before the first step.
      inputs: a pytree of arrays with leading axis T.

    Returns:
      The state after the last step, and the records of all steps.
    """
    length = jax.tree.leaves(inputs)[0].shape[0]
    if length <= SEGMENT:
        return run(state, inputs)
    size = math.isqrt(length - 1) + 1
    count = length // size

    def head(values: jax.Array) -> jax.Array:
        return values[: count * size].reshape(count, size, *values.shape[1:])

    segment = jax.checkpoint(run, prevent_cse=False)
    state, records = jax.lax.scan(segment, state, jax.tree.map(head, inputs))
    records = jax.tree.map(lambda x: x.reshape(count * size, *x.shape[2:]), records)
    if count * size == length:
        return state, records
    state, rest = run(state, jax.tree.map(lambda x: x[count * size :], inputs))
    return state, jax.tree.map(lambda *both: jnp.concatenate(both), records, rest)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def limit_gradient(limit: float, values: Tree) -> Tree:
    """Returns the same values. Every element of their cotangent is limited to `-limit .. limit`.

    In the backward pass, cotangents can grow exponentially over many steps that read and rewrite the same rows. If
    the gradient is clipped only at the end, its direction is useless. The
    paper limits 'during the backward pass' (section 4.6), as Graves (2013, section 2.1) did at every step.
    """
    return values


limit_gradient.defvjp(
    lambda limit, values: (values, None),
    lambda limit, _, d: (jax.tree.map(lambda x: jnp.clip(x, -limit, limit), d),),
)
