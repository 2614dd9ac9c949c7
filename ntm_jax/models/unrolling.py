"""Runs a model over time in one scan. `unroll` records a trace, and training records memory use."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal, TypeAlias, overload

import jax
import jax.numpy as jnp
from flax import nnx, struct

from ntm_jax.errors import UserError
from ntm_jax.models import engine, fused_step
from ntm_jax.models.build import Model
from ntm_jax.models.cell import NTMCell, NTMState, Step
from ntm_jax.models.controllers import LSTMCarry
from ntm_jax.models.export import exportable
from ntm_jax.models.fused_step import FusedState
from ntm_jax.models.heads import Controls
from ntm_jax.models.linear import Apply, scan_layers
from ntm_jax.models.lstm import LSTM
from ntm_jax.models.memory_ops import sum_last
from ntm_jax.models.scanning import limit_gradient, scan
from ntm_jax.models.streams import Marks
from ntm_jax.models.token_model import Draw, Embedded

State: TypeAlias = NTMState | LSTMCarry


@exportable
@struct.dataclass
class Trace:
    """Holds what the heads did, time-major. A model without memory has zero heads and rows, and no controls."""

    read_weightings: jax.Array  #: `[T, B, R, N]`
    write_weightings: jax.Array  #: `[T, B, H, N]`
    reads: jax.Array  #: `[T, B, R, W]`
    controls: Controls | None  #: every field with leading `[T, B]`
    memory: jax.Array | None  #: `[T, B, N, W]` after each step's write, if asked for


@exportable
@struct.dataclass
class MemoryUse:
    """Holds the memory use that training can penalise, `[T, B]`. It is 0 for a model without memory."""

    blur: jax.Array  # 1 - Σ w(i)², 0 for a head on one row, summed over the addressings
    # Mean of e + |a| over the words, 0 to 2, summed over the write heads; only if asked for.
    writing: jax.Array | None


@overload
def unroll(
    model: Model,
    inputs: jax.Array,
    *,
    state: State | None = None,
    key: jax.Array | None = None,
    reset: jax.Array | None = None,
    mask: jax.Array | None = None,
    lengths: jax.Array | None = None,
    memory: bool = False,
    return_state: Literal[False] = False,
) -> tuple[jax.Array, Trace]: ...


@overload
def unroll(
    model: Model,
    inputs: jax.Array,
    *,
    state: State | None = None,
    key: jax.Array | None = None,
    reset: jax.Array | None = None,
    mask: jax.Array | None = None,
    lengths: jax.Array | None = None,
    memory: bool = False,
    return_state: Literal[True],
) -> tuple[jax.Array, Trace, State]: ...


def unroll(
    model: Model,
    inputs: jax.Array,
    *,
    state: State | None = None,
    key: jax.Array | None = None,
    reset: jax.Array | None = None,
    mask: jax.Array | None = None,
    lengths: jax.Array | None = None,
    memory: bool = False,
    return_state: bool = False,
) -> tuple[jax.Array, Trace] | tuple[jax.Array, Trace, State]:
    """Runs a model over a batch of sequences.

    To run a sequence in chunks, pass each call the state that the previous call returned. Logits and traces are
    then those of the whole sequence. So are gradients, if one loss covers all chunks.
    `jax.lax.stop_gradient(state)` between two chunks truncates backpropagation.

    Reverse mode gives first derivatives under every transformation of JAX. Forward mode (`jax.jvp`,
    `jax.jacfwd`, `jax.hessian`) and second derivatives raise a `TypeError` for an `NTMCell`. For both, use
    `flax.nnx.RNN` of the same cell.

    If a subclass of `NTMCell` overrides `advance`, `unroll` calls it and uses JAX's derivatives.

    Args:
      model: `NTMCell(...)`, `LSTM(...)`, or what `load` or `go_weights.load` returns.
      inputs: `[T, B, input_size]`. T or B may be 0.
      state: before the first step; the model's initial state if not given.
      key: for a random initial state.
      reset: booleans `[T, B]`, True where a new sequence begins: the state before that step is the model's
        initial state, also if the step is padding. With a random one, all resets of an example have the same draw.
      mask: booleans `[T, B]`, False where a step is padding. Such a step leaves the state as it is, and its
        inputs are ignored. Its logits and its part of the trace are meaningless.
      lengths: integers `[B]`, an alternative to a mask: steps from `lengths` on are padding. Inside `jit`, lengths are
        clipped to 0 .. T. Elsewhere, a length out of these bounds raises an error.
      memory: whether the trace holds the memory after every step, `[T, B, N, W]`. This is usually most of the trace.
      return_state: whether to return the state after the last step as well.

    Returns:
      Logits `[T, B, output_size]` and the `Trace`. With `return_state`, also the state after the last step:
      an `NTMState` of `[B, ...]` arrays, or the LSTM's carry, `(hidden, cell)` of `[B, size]` for each layer.

    Raises:
      UserError: a wrong shape or dtype of an argument, lengths out of bounds, or a subclass that overrides
        `__call__`.
    """
    _check_inputs(model, inputs)
    steps, batch, _ = inputs.shape
    marks = Marks.of((steps, batch), reset, mask, lengths)
    run = _Run(_TraceRecorder(memory), marks)
    logits, trace, state = run(model, inputs, state, key)
    return (logits, trace, state) if return_state else (logits, trace)


def training_outputs(
    model: Model,
    inputs: jax.Array,
    *,
    key: jax.Array | None = None,
    dropout: jax.Array | None = None,
    draw: Draw = jax.random.bernoulli,
    select: Callable[[jax.Array], jax.Array] | None = None,
    state_gradient_limit: float = 0.0,
    writing: bool = False,
) -> tuple[jax.Array, MemoryUse]:
    """Runs a model as `unroll` does, recording only what training needs.

    Args:
      model: as for `unroll`.
      inputs: `[T, B, input_size]`.
      key: for a random initial state.
      dropout: the key for dropout, if the model has it. None leaves it out.
      draw: draws the dropout mask, with the signature of `jax.random.bernoulli`.
      select: picks the steps whose logits are needed, `[T, B, ...]` -> `[S, B, ...]`; all if not given.
      state_gradient_limit: limits each element of the derivative by the state, at every step of the backward
        pass. 0 is no limit. It does not apply to models without memory.
      writing: whether to return `MemoryUse.writing`, which makes steps slower.

    Returns:
      Logits `[T, B, output_size]`, or of the selected steps, and the use of the memory at every step.
    """
    run = _Run(_UseRecorder(writing), Marks(), dropout, draw, select, state_gradient_limit)
    logits, use, _ = run(model, inputs, None, key)
    return logits, use


@dataclass(frozen=True)
class _TraceRecorder:
    """Records everything the heads did, for `unroll`."""

    memory: bool

    def step(self, state: NTMState, step: Step) -> Any:
        """Returns what to stack along time, of a step and the state after it."""
        return step.weightings, step.controls, state.memory if self.memory else None

    def result(self, model: NTMCell, reads: jax.Array, stacked: Any) -> Trace:
        """Builds the trace from reads `[T, B, R, W]` and what was stacked."""
        weightings, controls, memory = stacked
        heads = model.heads
        return Trace(
            read_weightings=weightings[:, :, : heads.read_heads],
            write_weightings=weightings[:, :, -heads.write_heads :],
            reads=reads,
            controls=controls,
            memory=memory,
        )

    def without_memory(self, hidden: jax.Array) -> Trace:
        """Builds the trace of a model that has no memory."""
        empty = jnp.zeros((*hidden.shape[:2], 0, 0), hidden.dtype)
        return Trace(empty, empty, empty, None, None)


@dataclass(frozen=True)
class _UseRecorder:
    """Records how the memory was used, for training."""

    writing: bool
    memory: ClassVar[bool] = False

    def step(self, _: NTMState, step: Step) -> MemoryUse:
        """Returns what to stack along time, of a step and the state after it."""
        blur = jnp.sum(1 - sum_last(step.weightings**2), axis=-1)
        if not self.writing:
            return MemoryUse(blur, None)
        written = jnp.mean(step.controls.erase + jnp.abs(step.controls.add), axis=-1)
        return MemoryUse(blur, jnp.sum(written, axis=-1))

    def result(self, model: NTMCell, reads: jax.Array, stacked: MemoryUse) -> MemoryUse:
        """Returns what was stacked."""
        return stacked

    def without_memory(self, hidden: jax.Array) -> MemoryUse:
        """Returns zeros."""
        none = jnp.zeros(hidden.shape[:2], hidden.dtype)
        return MemoryUse(none, none)


@dataclass(frozen=True)
class _Run:
    """Runs any model over time: logits, what the recorder makes of the steps, and the last state."""

    recorder: _TraceRecorder | _UseRecorder
    marks: Marks
    dropout: jax.Array | None = None
    draw: Draw = jax.random.bernoulli
    select: Callable[[jax.Array], jax.Array] | None = None
    state_gradient_limit: float = 0.0

    def __call__(
        self, model: Model, inputs: jax.Array, state: State | None, key: jax.Array | None
    ) -> tuple[jax.Array, Any, State]:
        _check_inputs(model, inputs)
        if isinstance(model, Embedded):
            keys: Any = (None, None) if self.dropout is None else jax.random.split(self.dropout)
            embedded = model.embed(inputs, keys[0], self.draw)
            outputs, recorded, state = self(model.core, embedded, state, key)
            return model.logits(outputs, keys[1], self.draw), recorded, state
        _check_step(model)
        batch_shape = (inputs.shape[1],)
        first = None  # the initial state, where it is needed again
        if self.marks.reset is not None:
            first = model.initial_state(batch_shape, key)
        if state is not None:
            _check_state(model, batch_shape, state)
        else:
            state = model.initial_state(batch_shape, key) if first is None else first
        inputs = self.marks.cleared(inputs)
        if isinstance(model, LSTM):
            step = self.marks.around(model.advance, first)
            state, hidden = scan(step, state, (inputs, self.marks))
            recorded = self.recorder.without_memory(hidden)
            return model.output(self._selected(hidden)), recorded, state
        state, (hidden, reads, stacked) = self._scan_ntm(model, state, first, inputs)
        recorded = self.recorder.result(model, reads, stacked)
        return model.output(self._selected(hidden), self._selected(reads)), recorded, state

    def _selected(self, values: jax.Array) -> jax.Array:
        return values if self.select is None else self.select(values)

    def _scan_ntm(
        self, cell: NTMCell, state: Any, first: Any, inputs: jax.Array
    ) -> tuple[NTMState, tuple[jax.Array, jax.Array, Any]]:
        """Runs a kernel, or scans the fused step or the cell's own.

        Args:
          cell: whose step it is.
          state: before the first step.
          first: the initial state, for resets; None if there are none.
          inputs: `[T, B, input_size]`.

        Returns:
          The state after the last step, and of every step hidden, reads and what the recorder keeps.
        """
        limit = self.state_gradient_limit
        steps, batch, _ = inputs.shape
        which = engine.choose(cell, steps, batch, first is not None)
        if which != "scan":
            keeps = self.recorder.memory
            after, every, of_steps = engine.run_kernel(
                cell, which, state, inputs, self.marks, limit, keeps
            )
            return after, (of_steps.hidden, of_steps.reads, self.recorder.step(every, of_steps))

        limited = partial(limit_gradient, limit) if limit else _same

        def record(state: NTMState, step: Step) -> tuple[jax.Array, jax.Array, Any]:
            return step.hidden, step.reads, self.recorder.step(state, step)

        if not fused_step.computes_step_of(cell):

            def own_step(state: NTMState, x: jax.Array) -> tuple[NTMState, Any]:
                state, happened = cell.advance(limited(state), x)
                return state, record(state, happened)

            return scan(self.marks.around(own_step, first), state, (inputs, self.marks))

        structure = fused_step.Structure.of(cell)

        def fused_scan(
            apply: Callable[[Any], Sequence[Apply]],
            recorders: Any,
            states: tuple[FusedState, FusedState | None],
            inputs: tuple[jax.Array, Marks],
        ) -> tuple[FusedState, Any]:
            state, first = states
            one = fused_step.opaque_one(state.memory.dtype)

            def step(state: FusedState, now: tuple[jax.Array, Any]) -> tuple[FusedState, Any]:
                x, recorders = now
                layers = apply(recorders)
                state, happened = fused_step.advance(structure, layers, limited(state), x, one)
                return state, record(state.to_ntm_state(), happened)

            x, marks = inputs
            return scan(marks.around(step, first), state, ((x, recorders), marks))

        layers = fused_step.linear_layers(cell)
        states = FusedState.of(state), None if first is None else FusedState.of(first)
        last, recorded = scan_layers(fused_scan, layers, states, (inputs, self.marks))
        return last.to_ntm_state(), recorded


def _same(state: Any) -> Any:
    return state


def _check_inputs(model: Model, inputs: jax.Array) -> None:
    if not isinstance(model, NTMCell | LSTM | Embedded):
        hint = "; pass its cell" if isinstance(model, nnx.RNN) else ""
        raise UserError(f"model: expected NTMCell or LSTM, got {type(model).__name__}{hint}")
    if inputs.ndim != 3 or inputs.shape[-1] != model.input_size:
        raise UserError(
            f"inputs: expected shape [T, B, {model.input_size}], got {list(inputs.shape)}"
        )


def _check_step(model: NTMCell | LSTM) -> None:
    base = NTMCell if isinstance(model, NTMCell) else LSTM
    if type(model).__call__ is not base.__call__:
        raise UserError(
            f"model: unroll does not run the step in {type(model).__name__}.__call__; "
            "use flax.nnx.RNN, or give the class an `advance` in place of it"
        )


def _check_state(model: NTMCell | LSTM, batch_shape: tuple[int, ...], state: State) -> None:
    expected = jax.eval_shape(partial(model.initial_state, batch_shape))
    structure: Any = jax.tree.structure(expected)
    if structure != jax.tree.structure(state):
        raise UserError(
            f"state: expected one as {type(model).__name__}.initial_state makes it, "
            f"got {type(state).__name__}"
        )
    shapes = jax.tree.leaves(expected)
    for (path, leaf), shape in zip(jax.tree.leaves_with_path(state), shapes, strict=True):
        if jnp.shape(leaf) != shape.shape:
            raise UserError(
                f"state{jax.tree_util.keystr(path)}: expected shape {list(shape.shape)}, "
                f"got {list(jnp.shape(leaf))}"
            )
        if jnp.result_type(leaf) != shape.dtype:
            raise UserError(
                f"state{jax.tree_util.keystr(path)}: expected {shape.dtype}, "
                f"got {jnp.result_type(leaf)}"
            )
