"""Lays out a cell's arrays for the kernels of `sequence_kernel`, whose axes are powers of two.

Axes are padded with zeros. In the raw vector, a head's parts become columns of their own: keys, erase and add vectors
of a padded word each, then for each addressing its scalars. All functions can be differentiated.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ntm_jax.models.heads import Heads

MOST_IN_TILE = 32_768  # numbers of a weight matrix that one product loads at once
STRENGTH, GATE, SHARPENING, SHIFT = range(4)  # an addressing's scalars; its shifts are the last

Arrays = dict[str, jax.Array]


def padded(size: int) -> int:
    """Returns the least power of two that is not below `size`."""
    return 1 << (size - 1).bit_length()


@dataclass(frozen=True)
class Form:
    """What the kernels have to know of a cell and of how it runs, without parameters."""

    heads: Heads
    memory_size: int
    controller_size: int
    layers: int  # of the controller
    activation: str | None  # of a feed-forward controller; None for an LSTM
    reads_written: bool  # whether heads read what was written
    epsilon: float  # the cosine's ε
    precision: str  # of the products over all steps; within a step, all are exact
    state_gradient_limit: float  # 0: none
    masked: bool  # whether some steps leave the state as it is
    memory_trace: bool  # whether the memory after every step is a result

    @property
    def lstm(self) -> bool:
        """Returns whether the controller is an LSTM."""
        return self.activation is None

    @property
    def gates(self) -> int:
        """Returns the pre-activations of one unit."""
        return 4 if self.lstm else 1

    @cached_property
    def rows(self) -> int:
        """Returns N, padded."""
        return padded(self.memory_size)

    @cached_property
    def words(self) -> int:
        """Returns W, padded."""
        return padded(self.heads.word_size)

    @cached_property
    def units(self) -> int:
        """Returns the controller's size, padded."""
        return padded(self.controller_size)

    @property
    def raw_shifts(self) -> int:
        """Returns the raw numbers of one addressing's shift."""
        return self.heads.widths[3] // self.heads.addressings

    @property
    def reach(self) -> int:
        """Returns k, the most rows that a shift moves."""
        return self.heads.shift_range if self.heads.shift_activation == "softmax" else 1

    def key(self, addressing: int) -> int:
        """Returns the first column of a key."""
        return addressing * self.words

    def erase(self, head: int) -> int:
        """Returns the first column of an erase vector."""
        return (self.heads.addressings + head) * self.words

    def add(self, head: int) -> int:
        """Returns the first column of an add vector."""
        return self.erase(self.heads.write_heads + head)

    def scalar(self, addressing: int, which: int) -> int:
        """Returns the column of an addressing's scalar, such as `GATE`."""
        return self.add(self.heads.write_heads) + addressing * (SHIFT + self.raw_shifts) + which

    @cached_property
    def used_columns(self) -> int:
        """Returns the columns that mean something."""
        return self.scalar(self.heads.addressings, 0)

    @cached_property
    def columns_at_once(self) -> int:
        """Returns how many columns one product computes."""
        return min(padded(self.used_columns), MOST_IN_TILE // self.units)

    @cached_property
    def columns(self) -> int:
        """Returns all columns, a multiple of `columns_at_once`."""
        return -(-self.used_columns // self.columns_at_once) * self.columns_at_once

    @cached_property
    def column_of(self) -> Any:
        """Returns the column of each number of the cell's raw vector, `[sum(heads.widths)]`."""
        heads, addressings = self.heads, range(self.heads.addressings)
        word = np.arange(heads.word_size)
        writers = range(heads.write_heads)
        parts: list[Any] = [
            *(self.key(a) + word for a in addressings),
            *([self.scalar(a, STRENGTH)] for a in addressings),
            *([self.scalar(a, GATE)] for a in addressings),
            *(self.scalar(a, SHIFT) + np.arange(self.raw_shifts) for a in addressings),
            *([self.scalar(a, SHARPENING)] for a in addressings),
            *(self.erase(h) + word for h in writers),
            *(self.add(h) + word for h in writers),
        ]
        return np.concatenate(parts)


def pad_last(values: jax.Array, *sizes: int) -> jax.Array:
    """Pads the last axes with zeros to these sizes."""
    missing = [
        (0, size - axis) for size, axis in zip(sizes, values.shape[-len(sizes) :], strict=True)
    ]
    return jnp.pad(values, [(0, 0)] * (values.ndim - len(sizes)) + missing)


def to_columns(form: Form, raw: jax.Array) -> jax.Array:
    """Moves the numbers of the cell's raw vector to their columns: `[..., sum(widths)]` -> `[..., columns]`."""
    return jnp.zeros((*raw.shape[:-1], form.columns), raw.dtype).at[..., form.column_of].set(raw)


def layer_inputs(form: Form, kernel: jax.Array, bias: jax.Array, x: jax.Array) -> jax.Array:
    """Returns the inputs' part of the first layer at all steps.

    Args:
      form: of the cell.
      kernel: `[input_size + R W (+ size), gates size]`.
      bias: `[gates size]`.
      x: `[T, B, input_size]`.

    Returns:
      `[T, B, gates, units]`.
    """
    product = jnp.matmul(x, kernel[: x.shape[-1]], precision=form.precision)
    product = product + jnp.broadcast_to(bias, product.shape)
    return pad_last(product.reshape(*x.shape[:-1], form.gates, form.controller_size), form.units)


def weights(form: Form, layers: list[tuple[jax.Array, jax.Array]], input_size: int) -> Arrays:
    """Lays out the weights that the kernels use.

    Args:
      form: of the cell.
      layers: kernel and bias of each of the controller's layers, then of the heads'.
      input_size: of the cell; these rows of the first kernel are left out, see `layer_inputs`.

    Returns:
      `reads [R, words, gates, units]`, `heads [units, columns]`, `heads_bias [columns]`; for an LSTM also
      `hidden [L, units, gates, units]`, and with several layers `below [L - 1, units, gates, units]` and
      `below_bias [L - 1, gates, units]`.
    """
    *controller, (to_heads, heads_bias) = layers
    reads, word, size, units = (
        form.heads.read_heads,
        form.heads.word_size,
        form.controller_size,
        form.units,
    )

    def gates(kernel: jax.Array, *rows: int) -> jax.Array:
        return pad_last(kernel.reshape(*rows, form.gates, size), units)

    first = controller[0][0][input_size:]
    of_reads = gates(first[: reads * word], reads, word)
    result = {
        "reads": pad_last(of_reads, form.words, form.gates, units),
        "heads": pad_last(to_columns(form, to_heads), units, form.columns),
        "heads_bias": to_columns(form, heads_bias),
    }
    if form.lstm:
        hidden = [gates(kernel[-size:], size) for kernel, _ in controller]
        result["hidden"] = pad_last(jnp.stack(hidden), units, form.gates, units)
    if form.layers > 1:
        below = [gates(kernel[:size], size) for kernel, _ in controller[1:]]
        result["below"] = pad_last(jnp.stack(below), units, form.gates, units)
        result["below_bias"] = jnp.stack([gates(bias) for _, bias in controller[1:]])
    return result


def state(
    form: Form, memory: jax.Array, weightings: jax.Array, reads: jax.Array, carry: Any
) -> Arrays:
    """Lays out a state of one batch axis; its memory is `[B, N, W]`.

    Returns:
      `memory [B, words, rows]`, `weightings [B, A, rows]`, `reads [B, R, words]`, and for an LSTM `hidden` and
      `cell`, `[B, L, units]`.
    """
    result = {
        "memory": pad_last(jnp.swapaxes(memory, -1, -2), form.words, form.rows),
        "weightings": pad_last(weightings, form.rows),
        "reads": pad_last(reads, form.words),
    }
    if form.lstm:
        for index, name in enumerate(("hidden", "cell")):
            layers = jnp.stack([layer[index] for layer in carry], axis=1)
            result[name] = pad_last(layers, form.units)
    return result


def unpadded_memory(form: Form, memory: jax.Array) -> jax.Array:
    """Returns a memory `[..., words, rows]` as `[..., N, W]`."""
    return jnp.swapaxes(memory[..., : form.heads.word_size, : form.memory_size], -1, -2)
