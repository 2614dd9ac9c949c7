"""Runs a model over time: one `lax.scan` of its step."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from flax import struct

from ntm_jax.errors import UserError
from ntm_jax.models import fused_step
from ntm_jax.models.build import Model
from ntm_jax.models.cell import NTMCell, NTMState, Step
from ntm_jax.models.controllers import LSTMCarry
from ntm_jax.models.heads import Controls, exportable
from ntm_jax.models.linear import frozen, scan_with_taps, tapped
from ntm_jax.models.lstm import LSTM
from ntm_jax.models.memory_ops import sum_last
from ntm_jax.models.token_model import Draw, Embedded
from ntm_jax.tasks.losses import window

State: TypeAlias = NTMState | LSTMCarry
SEGMENT = 512  # steps; longer sequences keep only some of their memories


@exportable
@struct.dataclass
class Trace:
    """What the heads did, time-major. A model without memory has zero heads and rows, and no controls."""

    read_weightings: jax.Array  # [T, B, R, N]
    write_weightings: jax.Array  # [T, B, H, N]
    reads: jax.Array  # [T, B, R, W]
    controls: Controls | None  # every field with leading [T, B]
    memory: jax.Array | None  # [T, B, N, W] after each step's write, if asked for


@exportable
@struct.dataclass
class MemoryUse:
    """What training can put a price on, `[T, B]`. A model without memory uses none."""

    blur: jax.Array  # 1 - Σ w(i)², 0 for a head on one row, summed over the addressings
    # Mean of e + |a| over the words, 0 to 2, summed over the write heads; only if asked for.
    writing: jax.Array | None


def unroll(
    model: Model,
    inputs: jax.Array,
    *,
    state: State | None = None,
    key: jax.Array | None = None,
    memory: bool = False,
) -> tuple[jax.Array, Trace]:
    """Runs a model over a batch of sequences: one `lax.scan` of its step.

    Reverse mode gives first derivatives under every transformation. Forward mode (`jax.jvp`, `jax.jacfwd`,
    `jax.hessian`) raises a `TypeError` for an `NTMCell`, and a gradient of its gradient is wrong: for both,
    use `flax.nnx.RNN` of the same cell.

    Args:
      model: from `build`, `load`, `go_weights.load` or `NTMCell(...)`.
      inputs: `[T, B, input_size]`.
      state: to begin with; the model's initial state if not given.
      key: for a random initial state.
      memory: whether the trace holds the memory after every step (it is `T` times as large as all else).

    Returns:
      Logits `[T, B, output_size]` and the `Trace`.

    Raises:
      UserError: inputs of another shape.
    """
    _check(model, inputs)
    if isinstance(model, Embedded):
        embedded = model.embed(inputs)
        outputs, trace = unroll(model.core, embedded, state=state, key=key, memory=memory)
        return model.logits(outputs), trace
    if isinstance(model, LSTM):
        hidden = _scan_lstm(model, inputs, state, key)
        empty = jnp.zeros((*hidden.shape[:2], 0, 0), hidden.dtype)
        return model.output(hidden), Trace(empty, empty, empty, None, None)

    def record(state: NTMState, step: Step) -> tuple[Step, jax.Array | None]:
        return step, jnp.swapaxes(state.memory, -1, -2) if memory else None

    steps, memories = _scan_ntm(model, inputs, state, key, record)
    return model.output(steps.hidden, steps.reads), Trace(
        read_weightings=steps.weightings[:, :, : model.heads.read_heads],
        write_weightings=steps.weightings[:, :, -model.heads.write_heads :],
        reads=steps.reads,
        controls=steps.controls,
        memory=memories,
    )


def logits(
    model: Model,
    inputs: jax.Array,
    *,
    key: jax.Array | None = None,
    dropout: jax.Array | None = None,
    draw: Draw = jax.random.bernoulli,
    answers: tuple[jax.Array, int] | None = None,
    state_gradient_limit: float = 0.0,
    writing: bool = False,
) -> tuple[jax.Array, MemoryUse]:
    """What training needs of `unroll`: nothing else is kept along the way.

    Args:
      model: as for `unroll`.
      inputs: `[T, B, input_size]`.
      key: for a random initial state.
      dropout: the key for it, where the model has some; None leaves it out.
      draw: draws what it keeps, as `jax.random.bernoulli` does.
      answers: the steps to give logits of, if not all: the first `[B]` of each sequence, and how many.
      state_gradient_limit: what an element of the derivative by the state is limited to at every step backwards;
        0 for no limit. For a model without memory there is none.
      writing: whether the use of the memory has it, which a step takes longer for.

    Returns:
      Logits `[T, B, output_size]`, or of the answers' steps, and how the memory was used at every step.
    """
    _check(model, inputs)
    if isinstance(model, Embedded):
        keys: Any = (None, None) if dropout is None else jax.random.split(dropout)
        embedded = model.embed(inputs, keys[0], draw)
        options: Any = {"state_gradient_limit": state_gradient_limit, "writing": writing}
        outputs, use = logits(model.core, embedded, key=key, answers=answers, **options)
        return model.logits(outputs, keys[1], draw), use

    def answered(values: jax.Array) -> jax.Array:
        return values if answers is None else window(values, *answers)

    if isinstance(model, LSTM):
        hidden = _scan_lstm(model, inputs, None, key)
        none = jnp.zeros(inputs.shape[:2], hidden.dtype)
        return model.output(answered(hidden)), MemoryUse(none, none)

    def record(_: NTMState, step: Step) -> tuple[jax.Array, jax.Array, MemoryUse]:
        return step.hidden, step.reads, _use(step, writing)

    hidden, reads, use = _scan_ntm(model, inputs, None, key, record, state_gradient_limit)
    return model.output(answered(hidden), answered(reads)), use


def _use(step: Step, writing: bool) -> MemoryUse:
    blur = jnp.sum(1 - sum_last(step.weightings**2), axis=-1)
    if not writing:
        return MemoryUse(blur, None)
    written = jnp.mean(step.controls.erase + jnp.abs(step.controls.add), axis=-1)
    return MemoryUse(blur, jnp.sum(written, axis=-1))


def _check(model: Model, inputs: jax.Array) -> None:
    if inputs.ndim != 3 or inputs.shape[-1] != model.input_size:
        raise UserError(
            f"inputs: expected shape [T, B, {model.input_size}], got {list(inputs.shape)}"
        )


def _scan_lstm(model: LSTM, inputs: jax.Array, state: Any, key: jax.Array | None) -> jax.Array:
    state = model.initial_state((inputs.shape[1],), key) if state is None else state
    return jax.lax.scan(model.advance, state, inputs)[1]


def _scan_ntm(
    model: NTMCell,
    inputs: jax.Array,
    state: Any,
    key: jax.Array | None,
    record: Callable[[NTMState, Step], Any],
    state_gradient_limit: float = 0.0,
) -> Any:
    """What `record` makes of every step and the state after it, stacked along time."""
    state = model.initial_state((inputs.shape[1],), key) if state is None else state

    def scan(model: Any, taps: Any, state: NTMState, inputs: Any) -> Any:
        cell = model if taps is None else frozen(model)
        one = fused_step.opaque_one(state.memory.dtype)

        def step(state: NTMState, now: tuple[jax.Array, Any]) -> tuple[NTMState, Any]:
            x, taps = now
            state = (
                _clipped_backwards(state_gradient_limit, state) if state_gradient_limit else state
            )
            this = cell if taps is None else tapped(cell, taps)
            state, happened = fused_step.advance(this, state, x, one)
            return state, record(state, happened)

        return _scan(step, state, (inputs, taps))

    return scan_with_taps(scan, model, fused_step.turn(state), inputs)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _clipped_backwards(at: float, state: NTMState) -> NTMState:
    """The same state; every element of its cotangent is limited to `-at .. at`.

    Backwards through many steps of finding, reading and rewriting the same rows, cotangents can grow
    exponentially: limited once at the end, such an episode's gradient is a direction of no use. The paper
    limits 'during the backward pass' (section 4.6), as Graves (2013, section 2.1) did at every step.
    """
    return state


_clipped_backwards.defvjp(
    lambda at, state: (state, None),
    lambda at, _, d: (jax.tree.map(lambda x: jnp.clip(x, -at, at), d),),
)


def _scan(step: Callable[..., Any], state: Any, inputs: Any) -> Any:
    """`lax.scan(step, state, inputs)[1]`; a long sequence goes by segments of about √T steps.

    Then memories are kept at the segments' ends only, and within one while it is differentiated. Steps
    added to fill the last segment come after all others, and are dropped.
    """
    length = jax.tree.leaves(inputs)[0].shape[0]
    if length <= SEGMENT:
        return jax.lax.scan(step, state, inputs)[1]
    size = math.isqrt(length - 1) + 1
    count = -(-length // size)

    def fill(values: jax.Array) -> jax.Array:
        padding = ((0, count * size - length), *((0, 0),) * (values.ndim - 1))
        return jnp.pad(values, padding).reshape(count, size, *values.shape[1:])

    segment = jax.checkpoint(partial(jax.lax.scan, step), prevent_cse=False)
    _, records = jax.lax.scan(segment, state, jax.tree.map(fill, inputs))
    return jax.tree.map(lambda x: x.reshape(count * size, *x.shape[2:])[:length], records)
