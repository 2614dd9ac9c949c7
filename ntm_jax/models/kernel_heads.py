"""Computes parts of addressing inside the kernels of `sequence_kernel`, for one head of one sequence.

A memory is `[words, rows]` and a weighting `[rows]`, padded to powers of two. Padded rows have weight 0, padded words
hold 0. Only operations that Pallas lowers for a GPU occur here.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl

from ntm_jax.models.heads import ADDS, KEYS, STRENGTHS
from ntm_jax.models.kernel_layout import GATE, SHARPENING, SHIFT, STRENGTH, Form
from ntm_jax.models.memory_ops import total


class Raw:
    """Reads the controls of a step from the raw numbers, and stores derivatives by raw numbers.

    Args:
      form: of the cell.
      raw: the raw numbers, a ref `[T, B, columns]`.
      d_raw: a ref of the same shape for their derivatives; None in the forward kernel.
      t, b: the step and the sequence.
    """

    def __init__(self, form: Form, raw: Any, d_raw: Any, t: Any, b: Any):
        self.form, self.raw, self.d_raw, self.t, self.b = form, raw, d_raw, t, b

    def _word(self, start: int) -> jax.Array:
        return self.raw[self.t, self.b, pl.ds(start, self.form.words)]

    def _scalar(self, a: int, which: int) -> jax.Array:
        return self.raw[self.t, self.b, self.form.scalar(a, which)]

    def key(self, a: int) -> jax.Array:
        """Returns the key `[words]` of addressing `a`."""
        return KEYS[self.form.heads.key_activation](self._word(self.form.key(a)))

    def strength(self, a: int) -> jax.Array:
        """Returns the strength `[]`."""
        return STRENGTHS[self.form.heads.strength_activation](self._scalar(a, STRENGTH))

    def gate(self, a: int) -> jax.Array:
        """Returns the gate `[]`."""
        return jax.nn.sigmoid(self._scalar(a, GATE))

    def sharpening(self, a: int) -> jax.Array:
        """Returns the sharpening `[]`."""
        return 1 + jax.nn.softplus(self._scalar(a, SHARPENING))

    def raw_shift(self, a: int) -> list[jax.Array]:
        """Returns the raw numbers of the shift, each `[]`."""
        return [self._scalar(a, SHIFT + i) for i in range(self.form.raw_shifts)]

    def shift_of(self, raw: list[jax.Array]) -> list[jax.Array]:
        """Returns the probability `[]` of each move, from -k to k rows."""
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

    def shift(self, a: int) -> list[jax.Array]:
        """Returns the probabilities of addressing `a`, see `shift_of`."""
        return self.shift_of(self.raw_shift(a))

    def erase(self, head: int) -> jax.Array:
        """Returns the erase vector `[words]` of a write head."""
        return jax.nn.sigmoid(self._word(self.form.erase(head)))

    def _add_of(self, raw: jax.Array) -> jax.Array:
        add = ADDS[self.form.heads.add_activation](raw)
        if self.form.words == self.form.heads.word_size:
            return add
        return jnp.where(jnp.arange(self.form.words) < self.form.heads.word_size, add, 0)

    def add(self, head: int) -> jax.Array:
        """Returns the add vector `[words]` of a write head, 0 in padded words."""
        return self._add_of(self._word(self.form.add(head)))

    def _store_word(self, start: int, d: jax.Array) -> None:
        self.d_raw[self.t, self.b, pl.ds(start, self.form.words)] = d

    def _store_scalar(self, a: int, which: int, d: jax.Array) -> None:
        self.d_raw[self.t, self.b, self.form.scalar(a, which)] = d

    def store_key(self, a: int, d: jax.Array) -> None:
        """Stores the derivatives that follow from that by the key."""
        activation = KEYS[self.form.heads.key_activation]
        (d_raw,) = jax.vjp(activation, self._word(self.form.key(a)))[1](d)
        self._store_word(self.form.key(a), d_raw)

    def store_strength(self, a: int, d: jax.Array) -> None:
        """Stores the derivative that follows from that by the strength."""
        activation = STRENGTHS[self.form.heads.strength_activation]
        (d_raw,) = jax.vjp(activation, self._scalar(a, STRENGTH))[1](d)
        self._store_scalar(a, STRENGTH, d_raw)

    def store_gate(self, a: int, d: jax.Array) -> None:
        """Stores the derivative that follows from that by the gate."""
        gate = self.gate(a)
        self._store_scalar(a, GATE, d * gate * (1 - gate))

    def store_sharpening(self, a: int, d: jax.Array) -> None:
        """Stores the derivative that follows from that by the sharpening."""
        self._store_scalar(a, SHARPENING, d * jax.nn.sigmoid(self._scalar(a, SHARPENING)))

    def store_shift(self, a: int, d: list[jax.Array]) -> None:
        """Stores the derivatives that follow from those by the probabilities of the moves."""
        (d_raw,) = jax.vjp(self.shift_of, self.raw_shift(a))[1](d)
        for i, one in enumerate(d_raw):
            self._store_scalar(a, SHIFT + i, one)

    def store_erase(self, head: int, d: jax.Array) -> None:
        """Stores the derivatives that follow from those by the erase vector."""
        erase = self.erase(head)
        self._store_word(self.form.erase(head), d * erase * (1 - erase))

    def store_add(self, head: int, d: jax.Array) -> None:
        """Stores the derivatives that follow from those by the add vector."""
        (d_raw,) = jax.vjp(self._add_of, self._word(self.form.add(head)))[1](d)
        self._store_word(self.form.add(head), d_raw)


def content(
    form: Form, memory: jax.Array, squares: jax.Array, key: jax.Array, strength: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Computes equations 5 and 6.

    Args:
      form: of the cell.
      memory: `[words, rows]`.
      squares: `[rows]`, |M(i)|².
      key: `[words]`.
      strength: `[]`.

    Returns:
      The cosines, their denominators and the content weighting, each `[rows]`.
    """
    root = jnp.sqrt(jnp.sum(key * key) * squares + form.epsilon)
    if form.rows > form.memory_size:  # where ε may be all that is there, and may be 0
        root = jnp.where(jnp.arange(form.rows) < form.memory_size, root, 1)
    cosine = jnp.sum(memory * key[:, None], axis=0) / root
    return cosine, root, softmax(form, strength * cosine)


def moved(
    form: Form, ref: Any, at: tuple[Any, ...], values: jax.Array, back: bool = False
) -> list[jax.Array]:
    """Returns rows `[rows]` after each move from -k to k rows, or before it.

    Other threads have these rows. So they are loaded again, from where they were stored before the last barrier.

    Args:
      form: of the cell.
      ref: holds the rows at `at`.
      at: indices of all axes but the last.
      values: the same rows, not moved.
      back: whether to undo the moves.
    """
    count, row, reach = form.memory_size, jnp.arange(form.rows), form.reach
    result = []
    for move in range(-reach, reach + 1):
        distance = (move if back else -move) % count
        source = jnp.where(row < count, (row + distance) % count, row)
        result.append(ref[(*at, source)] if distance else values)
    return result


def softmax(form: Form, scores: jax.Array) -> jax.Array:
    """Computes a softmax over the rows `[rows]`, 0 for padded ones."""
    if form.rows > form.memory_size:
        scores = jnp.where(jnp.arange(form.rows) < form.memory_size, scores, -jnp.inf)
    powers = jnp.exp(scores - jnp.max(scores))
    return powers / jnp.sum(powers)


def softmax_backward(result: jax.Array, d: jax.Array) -> jax.Array:
    """Returns the cotangent of the scores, from the softmax and its cotangent."""
    weighted = result * d
    return weighted - result * jnp.sum(weighted)


def mix(shift: Sequence[jax.Array], parts: Sequence[jax.Array]) -> jax.Array:
    """Computes equation 8: the sum of rows after each move, times its probability."""
    return total(s * part for s, part in zip(shift, parts, strict=True))


def at_least_tiny(values: jax.Array) -> jax.Array:
    """Replaces 0 by the smallest normal number, as `addressing.sharpen` does."""
    return jnp.maximum(values, tiny(values))


def tiny(like: jax.Array) -> float:
    """Returns the smallest normal number of an array's dtype."""
    return float(jnp.finfo(like.dtype).tiny)  # type: ignore[no-untyped-call]


def left(erase: jax.Array, weighting: jax.Array) -> jax.Array:
    """Returns 1 - e w(i) of one head, `[words, rows]`."""
    return 1 - erase[:, None] * weighting[None, :]
