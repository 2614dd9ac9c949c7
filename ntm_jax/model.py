"""Models as a whole: built from a config, and unrolled over time."""

from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from flax import nnx, struct
from ml_collections import ConfigDict

from ntm_jax.cell import NTMCell, NTMState, Step
from ntm_jax.controllers import LSTMCarry
from ntm_jax.errors import UserError
from ntm_jax.heads import Controls
from ntm_jax.lstm import LSTM

Model: TypeAlias = NTMCell | LSTM
State: TypeAlias = NTMState | LSTMCarry


@struct.dataclass
class Trace:
    """What the heads did, time-major. A model without memory has zero heads and rows, and no controls."""

    read_weightings: jax.Array  # [T, B, R, N]
    write_weightings: jax.Array  # [T, B, H, N]
    reads: jax.Array  # [T, B, R, W]
    controls: Controls | None  # every field with leading [T, B]
    memory: jax.Array | None  # [T, B, N, W] after each step's write, if asked for


def build(config: ConfigDict, input_size: int, output_size: int) -> Model:
    """The model that `config.model` describes, with first parameters drawn from `config.seed`.

    Args:
      config: a whole config, see `ntm_jax.config`.
      input_size: width of the task's inputs.
      output_size: width of the task's outputs.

    Raises:
      UserError: a name or combination that is not allowed; the message names the field.
    """
    options: dict[str, Any] = dict(config.model)
    kind = options.pop("kind")
    rngs = nnx.Rngs(config.seed)
    if kind == "lstm":
        return LSTM(input_size, output_size, **options, rngs=rngs)
    if kind == "ntm":
        return NTMCell(input_size, output_size, **options, rngs=rngs)
    raise UserError(f"model.kind: {kind!r} is unknown; choose one of lstm, ntm")


def parameter_count(model: Model) -> int:
    """How many numbers are learned."""
    return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(model, nnx.Param)))


def unroll(
    model: Model,
    inputs: jax.Array,
    *,
    state: State | None = None,
    key: jax.Array | None = None,
    memory: bool = False,
) -> tuple[jax.Array, Trace]:
    """Runs a model over a batch of sequences: one `lax.scan` of its step.

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
    if inputs.ndim != 3 or inputs.shape[-1] != model.input_size:
        raise UserError(
            f"inputs: expected shape [T, B, {model.input_size}], got {list(inputs.shape)}"
        )
    if state is None:
        state = model.initial_state((inputs.shape[1],), key)

    def step(state: Any, x: jax.Array) -> tuple[Any, Any]:
        state, record = model.advance(state, x)
        return state, (record, state.memory if memory and isinstance(state, NTMState) else None)

    _, (record, memories) = jax.lax.scan(step, state, inputs)
    return model.output(record), _trace(model, record, memories)


def _trace(model: Model, record: Step | jax.Array, memories: jax.Array | None) -> Trace:
    if isinstance(model, LSTM):
        empty = jnp.zeros((*record.shape[:2], 0, 0), record.dtype)  # type: ignore[union-attr]
        return Trace(empty, empty, empty, None, None)
    assert isinstance(record, Step)
    heads = model.heads
    return Trace(
        read_weightings=record.weightings[:, :, : heads.read_heads],
        write_weightings=record.weightings[:, :, -heads.write_heads :],
        reads=record.reads,
        controls=record.controls,
        memory=memories,
    )
