"""Controllers: the network between input and heads (paper, section 3.4).

Both have one interface: `initial_carry(batch_shape)`, and a call `(carry, inputs) -> (carry, hidden)`
that takes any leading batch axes. A scan runs `step` instead, a function without parameters, with the layers
of `linear_layers()` as functions.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from flax import nnx

from ntm_jax.errors import unknown_choice
from ntm_jax.models.linear import Apply, Linear

ACTIVATIONS = {"tanh": jnp.tanh, "sigmoid": jax.nn.sigmoid, "relu": jax.nn.relu}

LSTMCarry = tuple[tuple[jax.Array, jax.Array], ...]  # per layer (hidden, cell), each [..., size]

Step: TypeAlias = Callable[[Sequence[Apply], Any, jax.Array], tuple[Any, jax.Array]]


class FeedForward(nnx.Module):
    """Computes one layer, `h = f(W [x, 1])`. Its carry is empty."""

    def __init__(
        self,
        input_size: int,
        size: int,
        *,
        activation: str = "tanh",
        param_dtype: Any = jnp.float32,
        rngs: nnx.Rngs,
    ):
        if activation not in ACTIVATIONS:
            raise unknown_choice("model.activation", activation, ACTIVATIONS)
        self.size = size
        self.activation = activation
        self.linear = Linear(input_size, size, param_dtype=param_dtype, rngs=rngs)

    def linear_layers(self) -> list[Linear]:
        """Returns the one layer."""
        return [self.linear]

    def initial_carry(self, batch_shape: tuple[int, ...]) -> tuple[()]:
        """Returns nothing, for nothing is carried."""
        return ()

    @property
    def step(self) -> Step:
        """Returns the step as a function of layers, carry and inputs."""
        return partial(_feedforward_step, self.activation)

    def __call__(self, carry: tuple[()], inputs: jax.Array) -> tuple[tuple[()], jax.Array]:
        """Computes one step: `[..., input_size]` -> `[..., size]`."""
        return _feedforward_step(self.activation, self.linear_layers(), carry, inputs)


def _feedforward_step(
    activation: str, layers: Sequence[Apply], carry: tuple[()], inputs: jax.Array
) -> tuple[tuple[()], jax.Array]:
    (linear,) = layers
    return carry, ACTIVATIONS[activation](linear(inputs))


class StackedLSTM(nnx.Module):
    """Stacks layers of LSTM, without peepholes (Graves 2013, arXiv 1308.0850, eqs. 7-11).

    The forget gate's bias starts at 1 (Gers et al. 2000), the carry at 0.
    """

    def __init__(
        self,
        input_size: int,
        size: int,
        *,
        layers: int = 1,
        param_dtype: Any = jnp.float32,
        rngs: nnx.Rngs,
    ):
        self.size = size
        self.param_dtype = param_dtype

        def layer(width: int) -> Linear:
            linear = Linear(width + size, 4 * size, param_dtype=param_dtype, rngs=rngs)
            bias = jnp.zeros(4 * size, param_dtype).at[size : 2 * size].set(1)
            linear.bias = nnx.Param(bias)
            return linear

        self.layers = nnx.List([layer(input_size if i == 0 else size) for i in range(layers)])

    def linear_layers(self) -> list[Linear]:
        """Returns the layers, the lowest first."""
        return list(self.layers)

    def initial_carry(self, batch_shape: tuple[int, ...]) -> LSTMCarry:
        """Returns zeros."""
        zeros = jnp.zeros((*batch_shape, self.size), self.param_dtype)
        return tuple((zeros, zeros) for _ in self.layers)

    @property
    def step(self) -> Step:
        """Returns the step as a function of layers, carry and inputs."""
        return _lstm_step

    def __call__(self, carry: LSTMCarry, inputs: jax.Array) -> tuple[LSTMCarry, jax.Array]:
        """Computes one step: `[..., input_size]` -> `[..., size]`, the hidden state of the top layer."""
        return _lstm_step(self.linear_layers(), carry, inputs)


def _lstm_step(
    layers: Sequence[Apply], carry: LSTMCarry, inputs: jax.Array
) -> tuple[LSTMCarry, jax.Array]:
    new_carry = []
    for linear, (hidden, cell) in zip(layers, carry, strict=True):
        gates = linear(jnp.concatenate([inputs, hidden], axis=-1))
        hidden, cell = lstm_gates(gates, cell)
        new_carry.append((hidden, cell))
        inputs = hidden
    return tuple(new_carry), inputs


def lstm_gates(gates: jax.Array, cell: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns the new hidden state and cell.

    Args:
      gates: `[..., 4 size]`, for input, forget, candidate and output.
      cell: `[..., size]`, the old one.
    """
    enter, forget, candidate, leave = jnp.split(gates, 4, axis=-1)
    cell = jax.nn.sigmoid(forget) * cell + jax.nn.sigmoid(enter) * jnp.tanh(candidate)
    return jax.nn.sigmoid(leave) * jnp.tanh(cell), cell
