"""Makes memory, weightings and reads before the first step, each chosen by name.

The choice `learned` has parameters for each of the N memory rows, which fixes N. With all other choices, the same
parameters can run with more rows than they were trained with.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from ntm_jax.errors import UserError, unknown_choice
from ntm_jax.models.memory import read
from ntm_jax.models.precision import HIGHEST

MEMORIES = {"constant", "learned_row", "learned", "random"}
WEIGHTINGS = {"first_row", "learned", "random", "uniform"}
READS = {"zeros", "learned", "memory"}
ROW_CONSTANT = 1e-6  # Collier and Beel 2018 (arXiv 1807.08518) found a small constant best
RANDOM_DEVIATION = 0.5


class InitialState(nnx.Module):
    """Makes the first memory `[N, W]`, weightings `[A, N]` and reads `[R, W]` of an episode.

    Args:
      memory: `constant` (1e-6), `learned_row` (one learned row, N times), `learned` (all of it), `random`
        (normal, drawn for every episode).
      weighting: `first_row` (one-hot), `learned` (softmax of logits), `random` (softmax of normals, drawn for
        every episode), `uniform`.
      reads: `zeros`, `learned`, `memory` (what the first weightings read from the first memory).
      memory_size: N, rows.
      word_size: W, the width of a row.
      addressings: A, the number of weightings.
      read_heads: R, the number of read heads.
      param_dtype: of parameters and of the state.
      rngs: random streams for the initial parameters.
    """

    def __init__(
        self,
        *,
        memory: str,
        weighting: str,
        reads: str,
        memory_size: int,
        word_size: int,
        addressings: int,
        read_heads: int,
        precision: str = HIGHEST,
        param_dtype: Any = jnp.float32,
        rngs: nnx.Rngs,
    ):
        for field, given, table in (
            ("initial_memory", memory, MEMORIES),
            ("initial_weighting", weighting, WEIGHTINGS),
            ("initial_reads", reads, READS),
        ):
            if given not in table:
                raise unknown_choice(f"model.{field}", given, table)
        if memory in ("constant", "learned_row") and weighting == "uniform":
            raise UserError(
                f"model.initial_weighting: 'uniform' with model.initial_memory {memory!r} keeps all rows "
                "identical at every step, so nothing can be learned; choose 'first_row' or 'learned'"
            )
        self.memory, self.weighting, self.reads = memory, weighting, reads
        self.memory_size, self.word_size = memory_size, word_size
        self.addressings, self.read_heads = addressings, read_heads
        self.precision, self.param_dtype = precision, param_dtype

        def normal(*shape: int, deviation: float) -> nnx.Param[jax.Array]:
            values = deviation * jax.random.normal(rngs.params(), shape, param_dtype)
            return nnx.Param(values)

        if memory == "learned":
            self.memory_values = normal(memory_size, word_size, deviation=0.1)
        if memory == "learned_row":
            self.row_values = normal(word_size, deviation=0.1)
        if weighting == "learned":
            self.weighting_logits = normal(addressings, memory_size, deviation=1.0)
        if reads == "learned":
            self.read_values = normal(read_heads, word_size, deviation=0.1)

    def __call__(self, key: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Returns memory `[N, W]`, weightings `[A, N]`, reads `[R, W]` of one episode. Random choices use `key`."""
        memory_key, weighting_key = jax.random.split(key)
        rows, width, dtype = self.memory_size, self.word_size, self.param_dtype

        match self.memory:
            case "constant":
                memory = jnp.full((rows, width), ROW_CONSTANT, dtype)
            case "learned_row":
                memory = jnp.broadcast_to(self.row_values[...], (rows, width))
            case "learned":
                memory = self.memory_values[...]
            case "random":
                memory = RANDOM_DEVIATION * jax.random.normal(memory_key, (rows, width), dtype)

        match self.weighting:
            case "first_row":
                weightings = jnp.zeros((self.addressings, rows), dtype).at[:, 0].set(1)
            case "learned":
                weightings = jax.nn.softmax(self.weighting_logits[...])
            case "random":
                logits = jax.random.normal(weighting_key, (self.addressings, rows), dtype)
                weightings = jax.nn.softmax(logits)
            case "uniform":
                weightings = jnp.full((self.addressings, rows), 1 / rows, dtype)

        match self.reads:
            case "zeros":
                reads = jnp.zeros((self.read_heads, width), dtype)
            case "learned":
                reads = self.read_values[...]
            case "memory":
                reads = read(memory, weightings[: self.read_heads], self.precision)
        return memory, weightings, reads
