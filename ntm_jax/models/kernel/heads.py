"""Computes parts of addressing inside the kernels of `sequence`, for a group of heads of one sequence.

A memory is `[1, words, rows]` and a group's weightings `[n, rows]`, padded to powers of two. Padded rows have weight 0,
padded words hold 0 once they are loaded. Only operations that Pallas lowers for a GPU occur here. A reduction costs threads a barrier,
whatever its size, so a group of heads is reduced at once.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton

from ntm_jax.models.heads import ADDS, KEYS, STRENGTHS, Activation
from ntm_jax.models.kernel.layout import (
    GATE,
    SHARPENING,
    SHIFT,
    STRENGTH,
    Form,
    Group,
    indices,
    padded,
)
from ntm_jax.models.memory_ops import total


class Raw:
    """Reads the controls of a step from the raw numbers, and stores derivatives by raw numbers.

    Args:
      form: of the cell.
      raw: the raw numbers, a ref `[T, B, columns]`; with `form.by_steps` the controls, which `activated` makes of them.
      d_raw: a ref of the same shape for derivatives by `raw`; None in the forward kernel.
      t, b: the step and the sequence.
    """

    def __init__(self, form: Form, raw: Any, d_raw: Any, t: Any, b: Any):
        self.form, self.raw, self.d_raw, self.t, self.b = form, raw, d_raw, t, b

    def _bent(self, activation: Activation, values: jax.Array) -> jax.Array:
        """Applies an activation, unless it was."""
        return values if self.form.by_steps else activation(values)

    def _through(self, activation: Activation, values: jax.Array, d: jax.Array) -> jax.Array:
        """Returns d of the numbers from d of what `_bent` makes of them."""
        return d if self.form.by_steps else jax.vjp(activation, values)[1](d)[0]

    def _words(self, first: Callable[[Any], Any], group: Group) -> jax.Array:
        """Loads a vector for each of a group's members, 0 where it has none."""
        columns, there = self._columns(first, group)
        return triton.load(self.raw.at[self.t, self.b, columns], mask=there, other=0.0)

    def _columns(self, first: Callable[[Any], Any], group: Group) -> tuple[jax.Array, jax.Array]:
        """Returns the columns `[n, words]` of a group's vectors, and which of them there are."""
        shape, heads = (group.size, self.form.words), self.form.heads
        member = group.start + jax.lax.broadcasted_iota(jnp.int32, shape, 0)
        word = jax.lax.broadcasted_iota(jnp.int32, shape, 1)
        count = heads.addressings if first == self.form.key else heads.write_heads
        there = (word < heads.word_size) & (member >= 0) & (member < count)
        return first(member) + word, there

    def _scalars(self, which: int, group: Group) -> jax.Array:
        member = group.start + jnp.arange(group.size)
        return self.raw[self.t, self.b, self.form.scalar(member, which)]

    def keys(self, group: Group) -> jax.Array:
        """Returns the keys `[n, words]` of a group of addressings."""
        activation = KEYS[self.form.heads.key_activation]
        return self._bent(activation, self._words(self.form.key, group))

    def strengths(self, group: Group) -> jax.Array:
        """Returns the strengths `[n]`."""
        activation = STRENGTHS[self.form.heads.strength_activation]
        return self._bent(activation, self._scalars(STRENGTH, group))

    def gates(self, group: Group) -> jax.Array:
        """Returns the gates `[n]`."""
        return self._bent(jax.nn.sigmoid, self._scalars(GATE, group))

    def sharpenings(self, group: Group) -> jax.Array:
        """Returns the sharpenings `[n]`."""
        return self._bent(sharpening, self._scalars(SHARPENING, group))

    def _raw_shifts(self, group: Group) -> list[jax.Array]:
        return [self._scalars(SHIFT + move, group) for move in range(self.form.raw_shifts)]

    def _shifts_of(self, raw: list[jax.Array]) -> list[jax.Array]:
        if self.form.heads.shift_activation == "interpolated":
            z = 2 * jax.nn.sigmoid(raw[0]) - 1
            lower, higher = jnp.maximum(z, 0), jnp.maximum(-z, 0)
            return [lower, 1 - lower - higher, higher]
        largest = raw[0]
        for other in raw[1:]:
            largest = jnp.maximum(largest, other)
        powers = [jnp.exp(one - jax.lax.stop_gradient(largest)) for one in raw]
        whole = total(powers)
        return [power / whole for power in powers]

    def shifts(self, group: Group) -> list[jax.Array]:
        """Returns the probabilities `[n]` of each move, from -k to k rows."""
        return self._shifts_of(self._raw_shifts(group))

    def erases(self, group: Group) -> jax.Array:
        """Returns the erase vectors `[n, words]` of a group of write heads, 0 where there is none."""
        erases = self._bent(jax.nn.sigmoid, self._words(self.form.erase, group))
        return self._if_there(group, erases)

    def adds(self, group: Group) -> jax.Array:
        """Returns the add vectors `[n, words]`, 0 where there is none."""
        return self._add_of(group, self._words(self.form.add, group))

    def _add_of(self, group: Group, raw: jax.Array) -> jax.Array:
        return self._if_there(group, self._bent(ADDS[self.form.heads.add_activation], raw))

    def _if_there(self, group: Group, values: jax.Array) -> jax.Array:
        return jnp.where(self._columns(self.form.add, group)[1], values, 0)

    def _store_words(self, first: Callable[[Any], Any], group: Group, d: jax.Array) -> None:
        columns, there = self._columns(first, group)
        triton.store(self.d_raw.at[self.t, self.b, columns], d, mask=there)

    def store_keys(self, group: Group, d: jax.Array) -> None:
        """Stores the derivatives that follow from those by the keys."""
        activation = KEYS[self.form.heads.key_activation]
        d_raw = self._through(activation, self._words(self.form.key, group), d)
        self._store_words(self.form.key, group, d_raw)

    def store_sharpenings_and_shifts(
        self, group: Group, d_sharpenings: jax.Array, d_shifts: list[jax.Array]
    ) -> None:
        """Stores the derivatives that follow from those by the sharpenings and by each move.

        All are given as `[n, rows]`, whose rows are to be added.
        """
        if not self.form.by_steps:
            d_sharpenings *= jax.nn.sigmoid(self._scalars(SHARPENING, group))[:, None]
        shape = d_sharpenings.shape
        raw = [jnp.broadcast_to(one[:, None], shape) for one in self._raw_shifts(group)]
        (d_raw,) = jax.vjp(self._shifts_of, raw)[1](d_shifts)
        self._store_scalars(SHARPENING, group, [d_sharpenings, *d_raw])

    def store_strengths_and_gates(
        self, group: Group, d_strengths: jax.Array, d_gates: jax.Array
    ) -> None:
        """Stores the derivatives that follow from those by the strengths and gates, given as above."""
        if not self.form.by_steps:
            activation = STRENGTHS[self.form.heads.strength_activation]
            strengths, gates = self._scalars(STRENGTH, group), self.gates(group)
            slopes = self._through(activation, strengths, jnp.ones_like(strengths))
            d_strengths *= slopes[:, None]
            d_gates *= (gates * (1 - gates))[:, None]
        self._store_scalars(STRENGTH, group, [d_strengths, d_gates])

    def _store_scalars(self, first: int, group: Group, parts: Sequence[jax.Array]) -> None:
        """Stores adjacent scalars, each the sum of the rows `[n, rows]` of its part, by one reduction and one store."""
        shape = (group.size, padded(len(parts)), self.form.rows)
        index = jax.lax.broadcasted_iota(jnp.int32, shape, 1)
        rows = total(
            jnp.where(index == i, jnp.broadcast_to(part[:, None, :], shape), 0)
            for i, part in enumerate(parts)
        )
        member = group.start + jax.lax.broadcasted_iota(jnp.int32, shape[:2], 0)
        which = jax.lax.broadcasted_iota(jnp.int32, shape[:2], 1)
        place = self.d_raw.at[self.t, self.b, self.form.scalar(member, first + which)]
        triton.store(place, jnp.sum(rows, axis=2), mask=which < len(parts))

    def store_erases(self, group: Group, d: jax.Array) -> None:
        """Stores the derivatives that follow from those by the erase vectors."""
        if not self.form.by_steps:
            erases = self.erases(group)
            d = d * erases * (1 - erases)
        self._store_words(self.form.erase, group, d)

    def store_adds(self, group: Group, d: jax.Array) -> None:
        """Stores the derivatives that follow from those by the add vectors."""
        activation = partial(self._add_of, group)
        d_raw = self._through(activation, self._words(self.form.add, group), d)
        self._store_words(self.form.add, group, d_raw)


def activated(form: Form, columns: Any, raw: jax.Array) -> jax.Array:
    """Returns the controls of a slice of columns from their raw numbers; a shift's numbers stay as they are."""
    heads, first_scalar = form.heads, form.scalar(0, 0)
    column, end = indices(columns), columns.start + columns.size
    vectors = (
        (form.key(0), form.erase(0), KEYS[heads.key_activation]),
        (form.erase(0), form.add(0), jax.nn.sigmoid),
        (form.add(0), first_scalar, ADDS[heads.add_activation]),
    )
    scalars = (
        (STRENGTH, STRENGTHS[heads.strength_activation]),
        (GATE, jax.nn.sigmoid),
        (SHARPENING, sharpening),
    )
    result = raw
    if end > first_scalar:
        which = (column - first_scalar) % form.scalars
        for index, activation in scalars:
            result = jnp.where(which == index, activation(raw), result)
    for first, after, activation in vectors:
        if first < end and columns.start < after:
            result = jnp.where((first <= column) & (column < after), activation(raw), result)
    return result


def sharpening(raw: jax.Array) -> jax.Array:
    """Returns the sharpening (γ) of a raw number."""
    return 1 + jax.nn.softplus(raw)


def load_memory(form: Form, ref: Any, at: tuple[Any, ...]) -> jax.Array:
    """Loads a memory `[1, words, rows]`, at these indices of a ref."""
    if not form.by_steps:
        *before, last = at
        return ref[(*before, pl.ds(last, 1))]
    place, is_word = _words_of_memory(form)
    return triton.load(ref.at[(*at, *place)], mask=is_word, other=0.0)


def store_memory(form: Form, ref: Any, at: tuple[Any, ...], memory: jax.Array) -> None:
    """Stores a memory `[1, words, rows]`, at these indices of a ref."""
    if not form.by_steps:
        *before, last = at
        ref[(*before, pl.ds(last, 1))] = memory
        return
    place, is_word = _words_of_memory(form)
    triton.store(ref.at[(*at, *place)], memory, mask=is_word)


def _words_of_memory(form: Form) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
    """Returns where the numbers of a memory are, and which are not padding.

    With a kernel for each step, a memory is loaded and stored at every step. Without padding, this takes fewer
    instructions and registers.
    """
    shape = (1, form.words, form.rows)
    word, row = (jax.lax.broadcasted_iota(jnp.int32, shape, axis) for axis in (1, 2))
    return (word, row), word < form.heads.word_size


def cosines(
    form: Form, memory: jax.Array, squares: jax.Array, keys: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Computes equation 6.

    Args:
      form: of the cell.
      memory: `[1, words, rows]`.
      squares: `[1, rows]`, |M(i)|².
      keys: `[n, words]`.

    Returns:
      The cosines and their denominators, each `[n, rows]`.
    """
    norms = jnp.sum(keys * keys, axis=1, keepdims=True)
    root = jnp.sqrt(norms * squares + form.epsilon)
    root = where_used(root, form.memory_size, 1)  # elsewhere ε may be all that is there, and 0
    return jnp.sum(only_words(form, memory * keys[:, :, None]), axis=1) / root, root


def moved(
    form: Form,
    ref: Any,
    at: tuple[Any, ...],
    group: Group,
    values: jax.Array,
    back: bool = False,
) -> list[jax.Array]:
    """Returns rows `[n, rows]` after each move from -k to k rows, or before it.

    Other threads have these rows. So they are loaded again, from where they were stored before the last barrier.

    Args:
      form: of the cell.
      ref: holds the rows at `at`, `[A, rows]`.
      at: indices of all axes but the last two.
      group: of addressings.
      values: the same rows, not moved.
      back: whether to undo the moves.
    """
    count, row, reach = form.memory_size, jnp.arange(form.rows), form.reach
    member = jnp.broadcast_to(group.start + jnp.arange(group.size)[:, None], values.shape)
    result = []
    for move in range(-reach, reach + 1):
        distance = (move if back else -move) % count
        source = jnp.where(row < count, (row + distance) % count, row)
        source = jnp.broadcast_to(source[None, :], values.shape)
        result.append(ref[(*at, member, source)] if distance else values)
    return result


def softmax(form: Form, scores: jax.Array) -> jax.Array:
    """Computes a softmax over the rows `[n, rows]`, 0 for padded ones."""
    scores = where_used(scores, form.memory_size, -jnp.inf)
    powers = jnp.exp(scores - jnp.max(scores, axis=1, keepdims=True))
    return powers / jnp.sum(powers, axis=1, keepdims=True)


def softmax_backward(result: jax.Array, d: jax.Array) -> jax.Array:
    """Returns the cotangent of the scores, from the softmax and its cotangent, `[n, rows]`."""
    weighted = result * d
    return weighted - result * jnp.sum(weighted, axis=1, keepdims=True)


def where_used(values: jax.Array, used: int, elsewhere: float) -> jax.Array:
    """Replaces what is padding on the last axis, of which so many are used."""
    if values.shape[-1] == used:
        return values
    index = jax.lax.broadcasted_iota(jnp.int32, values.shape, values.ndim - 1)
    return jnp.where(index < used, values, elsewhere)


def mix(shifts: Sequence[jax.Array], parts: Sequence[jax.Array]) -> jax.Array:
    """Computes equation 8: the sum of rows `[n, rows]` after each move, times its probability `[n]`."""
    return total(s[:, None] * part for s, part in zip(shifts, parts, strict=True))


def at_least_tiny(values: jax.Array) -> jax.Array:
    """Replaces 0 by the smallest normal number, as `addressing.sharpen` does."""
    return jnp.maximum(values, tiny(values))


def tiny(like: jax.Array) -> float:
    """Returns the smallest normal number of an array's dtype."""
    return float(jnp.finfo(like.dtype).tiny)  # type: ignore[no-untyped-call]


def outer(form: Form, words: jax.Array, rows: jax.Array) -> jax.Array:
    """Multiplies `[n, words]` by `[n, rows]`: `[n, words, rows]`."""
    return only_words(form, words[:, :, None] * rows[:, None, :])


def only_words(form: Form, values: jax.Array) -> jax.Array:
    """Says that padded words `[n, words, rows]` hold 0, so that a kernel of a step need not compute them."""
    if not form.by_steps:
        return values
    word = jax.lax.broadcasted_iota(jnp.int32, values.shape, 1)
    return jnp.where(word < form.heads.word_size, values, 0)
