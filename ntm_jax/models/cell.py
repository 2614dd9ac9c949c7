"""Defines the Neural Turing Machine's cell, which computes one step (paper, section 3 and figure 1)."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx, struct

from ntm_jax.errors import UserError, unknown_choice
from ntm_jax.models import streams
from ntm_jax.models.addressing import COSINE_EPSILON, address
from ntm_jax.models.controllers import FeedForward, StackedLSTM
from ntm_jax.models.export import exportable
from ntm_jax.models.heads import Controls, Heads
from ntm_jax.models.initial_state import InitialState
from ntm_jax.models.linear import Linear, set_products
from ntm_jax.models.memory import read, write
from ntm_jax.models.precision import HIGHEST

CONTROLLERS = ("feedforward", "lstm")
READS_FROM = ("written", "previous")
ENGINES = ("auto", "scan", "kernel", "step_kernel")  # see ntm_jax.models.engine
# With the range of float32 at least. In float16, the gradients of addressing overflow.
PARAM_DTYPES = ("bfloat16", "float32", "float64")


@exportable
@struct.dataclass
class NTMState:
    """Holds the state between two steps; `...` stands for batch axes."""

    memory: jax.Array  #: `[..., N, W]` (M)
    weightings: jax.Array  #: `[..., A, N]` (w), read heads, then write heads
    reads: jax.Array  #: `[..., R, W]` (r)
    controller: Any  #: the carry, () or `((hidden, cell), ...)` with `[..., size]`


@exportable
@struct.dataclass
class Step:
    """Holds the results of one step, for the output and for drawing the heads."""

    hidden: jax.Array  #: `[..., size]`, of the controller
    reads: jax.Array  #: `[..., R, W]`
    weightings: jax.Array  #: `[..., A, N]`
    controls: Controls


class NTMCell(nnx.Module):
    """Combines controller, heads and memory, for `flax.nnx.RNN` or `unroll`.

    The defaults are the paper's cell. Its read heads see the memory after this step's write, and its output
    sees this step's reads. Configs have the same defaults, except for `initial_memory="learned_row"` and
    `initial_reads="learned"`. As defaults of the cell, these two would add parameters to existing models.

    Args:
      input_size: width of the input.
      output_size: width of the output (logits; no sigmoid is applied).
      controller: `feedforward` or `lstm`.
      controller_size: units in each layer.
      controller_layers: layers of the LSTM; the feed-forward controller has one.
      activation: of the feed-forward controller, `tanh`, `sigmoid` or `relu`.
      memory_size: N, rows.
      word_size: W, the width of a row.
      read_heads: R, the number of read heads.
      write_heads: H, the number of write heads.
      shift_range: k, the most rows that a `softmax` shift moves.
      key_activation: `tanh` or `identity`.
      strength_activation: `softplus` or `exp`.
      shift_activation: `softmax` or `interpolated`.
      add_activation: `tanh`, `sigmoid` or `identity`.
      shared_weighting: the n-th read and write head use one weighting, as in `fumin/ntm`.
      reads_from: `written` reads the memory after this step's write, `previous` the memory before it.
      output_reads: whether the output layer sees this step's reads as well as the controller's output.
      initial_memory: `constant`, `learned_row`, `learned` or `random`, see
        `ntm_jax.models.initial_state.InitialState`.
      initial_weighting: `first_row`, `learned`, `random` or `uniform`.
      initial_reads: `zeros`, `learned` or `memory`.
      gate_bias: initial bias of the gates. Below 0, heads begin by location rather than content.
      no_shift_bias: initial bias of a `softmax` shift by 0 rows. Above 0, heads begin by staying.
      sharpening_bias: initial bias of the sharpening. Above 0, weightings begin sharper.
      cosine_epsilon: added inside the root of the cosine's denominator.
      compute: precision of the layers' products, `float32` or `bfloat16`. `float32` stands for the parameters' own
        dtype. Addressing and memory never use `bfloat16`.
      precision: of every matrix product of float32 numbers, as in `jax.lax.Precision`: `highest`, `high` or
        `default`. A CPU computes all alike. GPUs round to TF32 below `highest`, TPUs to bfloat16 at `default`.
      engine: how `unroll` computes a sequence: `scan`, `kernel` or `step_kernel` for GPUs, or `auto`, see
        `ntm_jax.models.engine`.
      param_dtype: of parameters and of the state, `bfloat16`, `float32` or `float64`.
      rngs: random streams for the initial parameters.

    Raises:
      UserError: an unknown name, or choices that exclude each other.
    """

    def __init__(
        self,
        input_size: int,
        output_size: int,
        *,
        controller: str = "feedforward",
        controller_size: int = 100,
        controller_layers: int = 1,
        activation: str = "tanh",
        memory_size: int = 128,
        word_size: int = 20,
        read_heads: int = 1,
        write_heads: int = 1,
        shift_range: int = 1,
        key_activation: str = "tanh",
        strength_activation: str = "softplus",
        shift_activation: str = "softmax",
        add_activation: str = "tanh",
        shared_weighting: bool = False,
        reads_from: str = "written",
        output_reads: bool = True,
        initial_memory: str = "constant",
        initial_weighting: str = "first_row",
        initial_reads: str = "zeros",
        gate_bias: float = 0.0,
        no_shift_bias: float = 0.0,
        sharpening_bias: float = 0.0,
        cosine_epsilon: float = COSINE_EPSILON,
        compute: str = "float32",
        precision: str = HIGHEST,
        engine: str = "auto",
        param_dtype: Any = jnp.float32,
        rngs: nnx.Rngs,
    ):
        _check_dtype(param_dtype)
        if engine not in ENGINES:
            raise unknown_choice("model.engine", engine, ENGINES)
        if reads_from not in READS_FROM:
            raise unknown_choice("model.reads_from", reads_from, READS_FROM)
        for field, size in (
            ("controller_size", controller_size),
            ("controller_layers", controller_layers),
            ("memory_size", memory_size),
            ("word_size", word_size),
            ("read_heads", read_heads),
            ("write_heads", write_heads),
        ):
            if size < 1:
                raise UserError(f"model.{field}: {size} is not allowed; it must be at least 1")
        if shift_range < 0:
            raise UserError(
                f"model.shift_range: {shift_range} is not allowed; it must be at least 0"
            )
        self.input_size, self.output_size = input_size, output_size
        self.reads_from, self.output_reads = reads_from, output_reads
        self.cosine_epsilon, self.precision, self.engine = cosine_epsilon, precision, engine
        self.heads = Heads(
            read_heads=read_heads,
            write_heads=write_heads,
            word_size=word_size,
            shift_range=shift_range,
            key_activation=key_activation,
            strength_activation=strength_activation,
            shift_activation=shift_activation,
            add_activation=add_activation,
            shared_weighting=shared_weighting,
        )
        controller_input = input_size + read_heads * word_size
        self.controller: FeedForward | StackedLSTM
        if controller == "feedforward":
            if controller_layers != 1:
                raise UserError("model.controller_layers: a feedforward controller has 1")
            self.controller = FeedForward(
                controller_input,
                controller_size,
                activation=activation,
                param_dtype=param_dtype,
                rngs=rngs,
            )
        elif controller == "lstm":
            self.controller = StackedLSTM(
                controller_input,
                controller_size,
                layers=controller_layers,
                param_dtype=param_dtype,
                rngs=rngs,
            )
        else:
            raise unknown_choice("model.controller", controller, CONTROLLERS)
        self.to_heads = Linear(
            controller_size, sum(self.heads.widths), param_dtype=param_dtype, rngs=rngs
        )
        self.to_heads.bias = nnx.Param(
            self.heads.first_bias(gate_bias, no_shift_bias, sharpening_bias, param_dtype)
        )
        output_input = controller_size + (read_heads * word_size if output_reads else 0)
        self.to_output = Linear(output_input, output_size, param_dtype=param_dtype, rngs=rngs)
        set_products(self, compute, precision)
        self.initial = InitialState(
            memory=initial_memory,
            weighting=initial_weighting,
            reads=initial_reads,
            memory_size=memory_size,
            word_size=word_size,
            addressings=self.heads.addressings,
            read_heads=read_heads,
            precision=precision,
            param_dtype=param_dtype,
            rngs=rngs,
        )

    def initial_state(
        self, batch_shape: tuple[int, ...] = (), key: jax.Array | None = None
    ) -> NTMState:
        """Returns the state before the first step, with leading axes `batch_shape`.

        Args:
          batch_shape: `()` for one example.
          key: draws a random initial state. Either one key, or one for each example, `[*batch_shape]`. The
            default is `jax.random.key(0)`.
        """
        key = jax.random.key(0) if key is None else key
        initial = self.initial
        if "random" in (initial.memory, initial.weighting):
            keys = key if _one_of_each(key, batch_shape) else jax.random.split(key, batch_shape)
            make = initial.__call__
            for _ in batch_shape:
                make = jax.vmap(make)
            memory, weightings, reads = make(keys)
        else:
            memory, weightings, reads = (
                jnp.broadcast_to(part, (*batch_shape, *part.shape))
                for part in initial(jax.random.key(0))  # which has no part in it
            )
        return NTMState(memory, weightings, reads, self.controller.initial_carry(batch_shape))

    def reset(self, state: NTMState, done: jax.Array, key: jax.Array | None = None) -> NTMState:
        """Resets to the initial state the batch elements for which `done` is True.

        Args:
          state: with leading axes `[*batch_shape]`.
          done: booleans `[*batch_shape]`, True where a new sequence begins at the next step to compute.
          key: draws a random initial state, as in `initial_state`.
        """
        return streams.reset(self, state, done, key)

    def advance(self, state: NTMState, inputs: jax.Array) -> tuple[NTMState, Step]:
        """Computes one step without its output: controller, addressing, write, read.

        `inputs` are `[..., input_size]`.
        """
        batch_shape = inputs.shape[:-1]
        seen = jnp.concatenate([inputs.astype(state.reads.dtype), _joined(state.reads)], axis=-1)
        carry, hidden = self.controller(state.controller, seen)
        controls = self.heads.controls(self.to_heads(hidden))
        access = self._access
        for _ in batch_shape:
            access = jax.vmap(access)
        memory, weightings, reads = access(state.memory, state.weightings, controls)
        state = NTMState(memory, weightings, reads, carry)
        return state, Step(hidden, reads, weightings, controls)

    def _access(
        self, memory: jax.Array, previous: jax.Array, controls: Controls
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Addresses, writes and reads, for one example: new memory, weightings and reads."""
        one_head = partial(address, epsilon=self.cosine_epsilon, precision=self.precision)
        weightings = jax.vmap(one_head, in_axes=(None, 0, 0, 0, 0, 0, 0))(
            memory,
            previous,
            controls.key,
            controls.strength,
            controls.gate,
            controls.shift,
            controls.sharpening,
        )
        reading, writing = (
            weightings[: self.heads.read_heads],
            weightings[-self.heads.write_heads :],
        )
        written = write(memory, writing, controls.erase, controls.add, self.precision)
        source = written if self.reads_from == "written" else memory
        return written, weightings, read(source, reading, self.precision)

    def output(self, hidden: jax.Array, reads: jax.Array) -> jax.Array:
        """Returns logits `[..., output_size]` from hidden `[..., size]` and reads `[..., R, W]`, of any steps."""
        if not self.output_reads:
            return self.to_output(hidden)
        return self.to_output(jnp.concatenate([hidden, _joined(reads)], axis=-1))

    # What flax.nnx.RNN asks of a cell.

    def __call__(self, carry: NTMState, inputs: jax.Array) -> tuple[NTMState, jax.Array]:
        """Computes one step: state and input `[..., input_size]` -> new state and logits `[..., output_size]`."""
        carry, step = self.advance(carry, inputs)
        return carry, self.output(step.hidden, step.reads)

    def initialize_carry(
        self, input_shape: tuple[int, ...], rngs: Any = None, carry_init: Any = None
    ) -> NTMState:
        """Returns the state for inputs of shape `[..., input_size]`.

        Only a random initial state uses `rngs`.
        """
        key = None if rngs is None else rngs.carry() if isinstance(rngs, nnx.Rngs) else rngs()
        return self.initial_state(input_shape[:-1], key)

    @property
    def num_feature_axes(self) -> int:
        """Inputs and outputs have one axis besides batch and time."""
        return 1


def _check_dtype(param_dtype: Any) -> None:
    """Raises `UserError` for a type that is not in `PARAM_DTYPES`."""
    try:
        name = str(jnp.dtype(param_dtype))
    except TypeError:  # it is no type of numbers at all
        name = str(param_dtype)
    if name not in PARAM_DTYPES:
        allowed = ", ".join(PARAM_DTYPES)
        raise UserError(f"param_dtype: {name} is not allowed; choose one of {allowed}")


def _joined(reads: jax.Array) -> jax.Array:
    """Joins the heads' vectors: `[..., R, W]` -> `[..., R W]`. A size of -1 would fail for empty arrays."""
    return reads.reshape(*reads.shape[:-2], reads.shape[-2] * reads.shape[-1])


def _one_of_each(key: jax.Array, batch_shape: tuple[int, ...]) -> bool:
    """Returns whether `key` holds one key per example. An old-style key is itself an array."""
    return (
        bool(batch_shape)
        and jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
        and key.shape == batch_shape
    )
