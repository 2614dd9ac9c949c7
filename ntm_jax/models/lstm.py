"""Defines the paper's baseline, a stacked LSTM without external memory (section 4)."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from ntm_jax.models import streams
from ntm_jax.models.controllers import LSTMCarry, StackedLSTM
from ntm_jax.models.linear import Linear, set_products
from ntm_jax.models.precision import HIGHEST


class LSTM(nnx.Module):
    """Stacks LSTM layers below a linear output, with the interface of `NTMCell`.

    Args:
      input_size: width of the input.
      output_size: width of the output (logits).
      controller_size: units in each layer.
      controller_layers: layers.
      compute: precision of the layers' products, `float32` or `bfloat16`, see `NTMCell`.
      precision: of float32 products, see `NTMCell`.
      param_dtype: of parameters and state.
      rngs: random streams for the initial parameters.
    """

    def __init__(
        self,
        input_size: int,
        output_size: int,
        *,
        controller_size: int,
        controller_layers: int = 3,
        compute: str = "float32",
        precision: str = HIGHEST,
        param_dtype: Any = jnp.float32,
        rngs: nnx.Rngs,
    ):
        self.input_size, self.output_size = input_size, output_size
        self.precision = precision
        self.layers = StackedLSTM(
            input_size,
            controller_size,
            layers=controller_layers,
            param_dtype=param_dtype,
            rngs=rngs,
        )
        self.to_output = Linear(controller_size, output_size, param_dtype=param_dtype, rngs=rngs)
        set_products(self, compute, precision)

    def initial_state(
        self, batch_shape: tuple[int, ...] = (), key: jax.Array | None = None
    ) -> LSTMCarry:
        """Returns zeros, with leading axes `batch_shape`."""
        return self.layers.initial_carry(batch_shape)

    def reset(self, state: LSTMCarry, done: jax.Array, key: jax.Array | None = None) -> LSTMCarry:
        """Resets to the initial state the batch elements for which `done` is True; see `NTMCell.reset`."""
        return streams.reset(self, state, done, key)

    def advance(self, state: LSTMCarry, inputs: jax.Array) -> tuple[LSTMCarry, jax.Array]:
        """Computes one step without its output: new state and hidden `[..., controller_size]`."""
        return self.layers(state, inputs.astype(self.layers.param_dtype))

    def output(self, hidden: jax.Array) -> jax.Array:
        """Returns logits `[..., output_size]` of one step, or of many at once."""
        return self.to_output(hidden)

    def __call__(self, carry: LSTMCarry, inputs: jax.Array) -> tuple[LSTMCarry, jax.Array]:
        """Computes one step: state and input `[..., input_size]` -> new state and logits."""
        carry, hidden = self.advance(carry, inputs)
        return carry, self.output(hidden)

    def initialize_carry(
        self, input_shape: tuple[int, ...], rngs: Any = None, carry_init: Any = None
    ) -> LSTMCarry:
        """Returns the state for inputs of shape `[..., input_size]`."""
        return self.initial_state(input_shape[:-1])

    @property
    def num_feature_axes(self) -> int:
        """Inputs and outputs have one axis besides batch and time."""
        return 1
