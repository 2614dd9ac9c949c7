"""Wraps a model of vectors into a model of symbols, with one embedding for inputs and outputs."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from ntm_jax.models.cell import NTMCell
from ntm_jax.models.lstm import LSTM

Draw = Callable[[jax.Array, float, tuple[int, ...]], jax.Array]  # as jax.random.bernoulli


class Embedded(nnx.Module):
    """Embeds symbols, runs a core, and uses the same embedding for its output (Press and Wolf 2017, arXiv 1608.05859).

    The core's input is the symbol's row times √E; the logits are the core's output times the table, plus a bias.
    Rows start with a variance of 1 / E. Inputs then have unit variance, and logits have the scale of the core's output.

    Args:
      core: with inputs and outputs of `embedding_size`, E.
      symbols: V.
      dropout: the share of the core's inputs and outputs set to 0, if `embed` and `logits` get a key.
      rngs: random streams for the initial table.
    """

    def __init__(
        self,
        core: NTMCell | LSTM,
        symbols: int,
        *,
        dropout: float = 0.0,
        param_dtype: Any = jnp.float32,
        rngs: nnx.Rngs,
    ):
        self.core, self.dropout = core, dropout
        self.input_size, self.output_size = 1, symbols
        size = core.input_size
        table = jax.random.normal(rngs.params(), (symbols, size), param_dtype) / math.sqrt(size)
        self.table = nnx.Param(table)
        self.bias = nnx.Param(jnp.zeros(symbols, param_dtype))

    def initial_state(self, batch_shape: tuple[int, ...] = (), key: jax.Array | None = None) -> Any:
        """Returns the core's initial state."""
        return self.core.initial_state(batch_shape, key)

    def embed(
        self,
        symbols: jax.Array,
        key: jax.Array | None = None,
        draw: Draw = jax.random.bernoulli,
    ) -> jax.Array:
        """Embeds whole numbers: `[..., 1]` -> `[..., E]`. Dropout uses `key` and `draw`; a key of None disables it."""
        table = self.table[...]
        rows = table[symbols[..., 0]] * jnp.asarray(math.sqrt(table.shape[1]), table.dtype)
        return self._dropped(rows, key, draw)

    def logits(
        self,
        outputs: jax.Array,
        key: jax.Array | None = None,
        draw: Draw = jax.random.bernoulli,
    ) -> jax.Array:
        """Converts the core's outputs to logits: `[..., E]` -> `[..., V]`; `key` and `draw` as in `embed`."""
        bias = self.bias[...]
        shown, columns = self._dropped(outputs, key, draw), self.table[...].T
        scores = jnp.matmul(shown, columns, precision=self.core.precision)
        return scores + jnp.broadcast_to(bias, scores.shape)

    def _dropped(self, values: jax.Array, key: jax.Array | None, draw: Draw) -> jax.Array:
        if key is None or not self.dropout:
            return values
        kept = 1 - self.dropout
        there = draw(key, kept, values.shape)
        return jnp.where(there, values / kept, 0)
