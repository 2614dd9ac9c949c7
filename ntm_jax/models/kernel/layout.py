"""Lays out a cell's arrays for the kernels of `sequence`, whose axes are powers of two.

Axes are padded with zeros. In the raw vector, what belongs together becomes adjacent columns: all keys, erase and add
vectors, then the scalars of each addressing. All functions can be differentiated.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ntm_jax.models.heads import Heads

MOST_IN_TILE = 32_768  # weights that one product loads at once, at most
MOST_PIECES = 8  # of a product whose weights are loaded in smaller tiles
MOST_COLUMNS = 128  # that a kernel of a step computes at once
MOST_IN_HEADS_TILE = 16_384  # numbers of [addressings, words, rows] that are computed at once
MANY = 128  # sequences; a large GPU has about so many multiprocessors
VERY_MANY = 512
STRENGTH, GATE, SHARPENING, SHIFT = range(4)  # an addressing's scalars; its shifts are the last

Arrays = dict[str, jax.Array]
Refs = dict[str, Any]  # references to arrays, in a kernel


def padded(size: int) -> int:
    """Returns the least power of two that is not below `size`."""
    return 1 << (size - 1).bit_length()


def indices(part: Any) -> jax.Array:
    """Returns the indices in a slice."""
    return part.start + jnp.arange(part.size)


@dataclass(frozen=True)
class Group:
    """Some of the heads or addressings: as many as are computed at once, a power of two."""

    start: int
    size: int

    @property
    def members(self) -> slice:
        """Returns their indices, as a slice of an axis of heads."""
        return slice(self.start, self.start + self.size)


def groups(count: int, most: int) -> list[Group]:
    """Splits `count` heads into groups of at most `most`, a power of two."""
    result, start = [], 0
    while start < count:
        size = min(most, 1 << (count - start).bit_length() - 1)
        result.append(Group(start, size))
        start += size
    return result


@dataclass(frozen=True)
class Form:
    """What the kernels have to know of a cell and of how it runs, without parameters."""

    heads: Heads
    memory_size: int
    controller_size: int
    layers: int  # of the controller
    batch: int  # sequences in one launch
    by_steps: bool  # whether a kernel computes one step, and products of all sequences lie between
    activation: str | None  # of a feed-forward controller; None for an LSTM
    reads_written: bool  # whether heads read what was written
    epsilon: float  # the cosine's ε
    precision: str  # of all products but those within a sequence's kernel, which are exact
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

    def key(self, addressing: Any) -> Any:
        """Returns the first column of a key."""
        return addressing * self.heads.word_size

    def erase(self, head: Any) -> Any:
        """Returns the first column of an erase vector."""
        return (self.heads.addressings + head) * self.heads.word_size

    def add(self, head: Any) -> Any:
        """Returns the first column of an add vector."""
        return self.erase(self.heads.write_heads + head)

    @cached_property
    def scalars(self) -> int:
        """Returns the scalars of an addressing, padded."""
        return padded(SHIFT + self.raw_shifts)

    def scalar(self, addressing: Any, which: Any) -> Any:
        """Returns the column of an addressing's scalar, such as `GATE`."""
        return self.add(self.heads.write_heads) + addressing * self.scalars + which

    @cached_property
    def used_columns(self) -> int:
        """Returns the columns of all heads."""
        return self.scalar(self.heads.addressings, 0)

    def has_column(self, column: jax.Array) -> jax.Array:
        """Returns which columns mean something."""
        scalar = column - self.scalar(0, 0)
        of_addressing = scalar % self.scalars < SHIFT + self.raw_shifts
        return (scalar < 0) | (of_addressing & (column < self.used_columns))

    @property
    def heads_at_once(self) -> int:
        """Returns how many addressings are computed at once, at most."""
        return max(1, MOST_IN_HEADS_TILE // (self.rows * self.words))

    @cached_property
    def groups(self) -> list[Group]:
        """Returns the groups of addressings."""
        return groups(self.heads.addressings, self.heads_at_once)

    @cached_property
    def readers(self) -> list[Group]:
        """Returns the groups of read heads."""
        return groups(self.heads.read_heads, self.heads_at_once)

    @cached_property
    def writers(self) -> list[Group]:
        """Returns the groups of write heads."""
        return groups(self.heads.write_heads, self.heads_at_once)

    @cached_property
    def readers_at_once(self) -> list[Group]:
        """Returns the groups of read heads whose part of the controller's weights makes a tile."""
        return groups(
            self.heads.read_heads, max(1, self.weights_at_once // (self.words * self.units))
        )

    @property
    def first_writer(self) -> int:
        """Returns the addressing of the first write head."""
        return self.heads.addressings - self.heads.write_heads

    @property
    def pre_activations(self) -> int:
        """Returns the numbers of one of the controller's layers, all gates together."""
        return self.gates * self.units

    @cached_property
    def weights_at_once(self) -> int:
        """Returns how many weights one product loads at once.

        The more, the less it waits, and the more registers it takes, which decide how many sequences run at once.
        """
        if self.batch <= (MANY if self.lstm else VERY_MANY):
            return MOST_IN_TILE
        few = 8_192 if self.lstm else 4_096
        return min(MOST_IN_TILE, max(few, self.pre_activations * self.units // MOST_PIECES))

    @property
    def warps(self) -> int:
        """Returns how many warps compute a sequence: fewer if there are many, unless they would lack registers."""
        in_tile = self.groups[0].size * self.rows * self.words
        spare = (self.by_steps or not self.lstm) and in_tile <= MOST_IN_HEADS_TILE // 2
        return 4 if spare and self.batch > MANY else 8

    @cached_property
    def columns_at_once(self) -> int:
        """Returns how many columns a kernel computes at once."""
        most = MOST_COLUMNS if self.by_steps else self.weights_at_once // self.units
        return min(padded(self.used_columns), most)

    @cached_property
    def columns(self) -> int:
        """Returns all columns, a multiple of `columns_at_once`."""
        return -(-self.used_columns // self.columns_at_once) * self.columns_at_once

    @cached_property
    def column_of(self) -> Any:
        """Returns the column of each number of the cell's raw vector, `[sum(heads.widths)]`."""
        heads = self.heads
        addressing, writer = np.arange(heads.addressings), np.arange(heads.write_heads)
        word, move = np.arange(heads.word_size), np.arange(self.raw_shifts)
        parts: list[Any] = [
            self.key(addressing[:, None]) + word,
            self.scalar(addressing, STRENGTH),
            self.scalar(addressing, GATE),
            self.scalar(addressing[:, None], SHIFT + move),
            self.scalar(addressing, SHARPENING),
            self.erase(writer[:, None]) + word,
            self.add(writer[:, None]) + word,
        ]
        return np.concatenate([part.ravel() for part in parts])


def pad_last(values: jax.Array, *sizes: int) -> jax.Array:
    """Pads the last axes with zeros to these sizes."""
    missing = [
        (0, size - axis) for size, axis in zip(sizes, values.shape[-len(sizes) :], strict=True)
    ]
    return jnp.pad(values, [(0, 0)] * (values.ndim - len(sizes)) + missing)


def to_columns(form: Form, raw: jax.Array) -> jax.Array:
    """Moves the numbers of the cell's raw vector to their columns: `[..., sum(widths)]` -> `[..., columns]`."""
    heads = form.heads
    ends = np.cumsum(heads.widths)[:-1].tolist()
    key, strength, gate, shift, sharpening, erase, add = jnp.split(raw, ends, axis=-1)

    def apart(part: jax.Array, count: int) -> jax.Array:
        return part.reshape(*part.shape[:-1], count, part.shape[-1] // count)

    scalars = jnp.concatenate(
        [apart(part, heads.addressings) for part in (strength, gate, sharpening, shift)], axis=-1
    )
    parts = [key, erase, add, pad_last(scalars, form.scalars)]
    flat = [part.reshape(*raw.shape[:-1], -1) for part in parts]
    return pad_last(jnp.concatenate(flat, axis=-1), form.columns)


def layer_inputs(form: Form, kernel: jax.Array, bias: jax.Array, x: jax.Array) -> jax.Array:
    """Returns the inputs' part of the first layer at all steps.

    Args:
      form: of the cell.
      kernel: `[input_size + R W (+ size), gates size]`.
      bias: `[gates size]`.
      x: `[T, B, input_size]`.

    Returns:
      `[T, B, gates units]`.
    """
    product = jnp.matmul(x, kernel[: x.shape[-1]], precision=form.precision)
    return _gates(form, product + jnp.broadcast_to(bias, product.shape))


def weights(form: Form, layers: list[tuple[jax.Array, jax.Array]], input_size: int) -> Arrays:
    """Lays out the weights that the kernels use.

    Args:
      form: of the cell.
      layers: kernel and bias of each of the controller's layers, then of the heads'.
      input_size: of the cell; these rows of the first kernel are left out, see `layer_inputs`.

    Returns:
      `reads [R words, gates units]`, `heads [units, columns]`, `heads_bias [columns]`; for an LSTM also
      `hidden [L units, gates units]`, and with several layers `below [(L - 1) units, gates units]` and
      `below_bias [L - 1, gates units]`.
    """
    *controller, (to_heads, heads_bias) = layers
    reads, word, size = form.heads.read_heads, form.heads.word_size, form.controller_size

    def square(kernel: jax.Array) -> jax.Array:
        return pad_last(_gates(form, kernel), form.units, form.pre_activations)

    of_reads = _gates(form, controller[0][0][input_size:][: reads * word])
    of_reads = of_reads.reshape(reads, word, form.pre_activations)
    result = {
        "reads": pad_last(of_reads, form.words, form.pre_activations).reshape(
            -1, form.pre_activations
        ),
        "heads": pad_last(to_columns(form, to_heads), form.units, form.columns),
        "heads_bias": to_columns(form, heads_bias),
    }
    if form.lstm:
        result["hidden"] = jnp.concatenate([square(kernel[-size:]) for kernel, _ in controller])
    if form.layers > 1:
        result["below"] = jnp.concatenate([square(kernel[:size]) for kernel, _ in controller[1:]])
        result["below_bias"] = jnp.stack([_gates(form, bias) for _, bias in controller[1:]])
    return result


def _gates(form: Form, values: jax.Array) -> jax.Array:
    """Pads the units of each gate: `[..., gates size]` -> `[..., gates units]`."""
    apart = values.reshape(*values.shape[:-1], form.gates, form.controller_size)
    return pad_last(apart, form.units).reshape(*values.shape[:-1], form.pre_activations)


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
