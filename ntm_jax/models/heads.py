"""Converts the controller's raw outputs to named, activated head controls (paper, sections 3.2 and 3.3).

The only place where those activations are applied. Every choice is a name in one of the tables below.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from ntm_jax.errors import UserError, unknown_choice
from ntm_jax.models.export import exportable


@exportable
@struct.dataclass
class Controls:
    """Holds the controls of the heads at one step, for one example or with leading batch axes."""

    key: jax.Array  #: `[..., A, W]` (k, eq. 5)
    strength: jax.Array  #: `[..., A]` (β, eq. 5), positive
    gate: jax.Array  #: `[..., A]` (g, eq. 7), in (0, 1)
    shift: jax.Array  #: `[..., A, S]` (s, eq. 8), sums to 1
    sharpening: jax.Array  #: `[..., A]` (γ, eq. 9), at least 1
    erase: jax.Array  #: `[..., H, W]` (e, eq. 3), in (0, 1)
    add: jax.Array  #: `[..., H, W]` (a, eq. 4)


def identity(raw: jax.Array) -> jax.Array:
    """Returns the raw value."""
    return raw


def bounded_exp(raw: jax.Array) -> jax.Array:
    """Returns exp, limited to e^13, at which a softmax of cosines is already one-hot.

    With a strength above 1e7, the rounding error of strength times cosine exceeds 1. XLA may compute that product
    twice and round it differently. The softmax's largest exponential could then be 0 or infinite.
    """
    return jnp.exp(jnp.minimum(raw, 13))


def interpolated_shift(raw: jax.Array) -> jax.Array:
    """Spreads one real move over the two rows it falls between.

    The move is `z = 2 sigmoid(raw) - 1`, in (-1, 1). `[..., 1]` becomes `[..., 3]`.

    `fumin/ntm` reads row i + z, so a positive z moves a weighting to lower rows.
    """
    z = 2 * jax.nn.sigmoid(raw) - 1
    lower, higher = jnp.maximum(z, 0), jnp.maximum(-z, 0)
    return jnp.concatenate([lower, 1 - lower - higher, higher], axis=-1)


Activation = Callable[[jax.Array], jax.Array]
KEYS: dict[str, Activation] = {"identity": identity, "tanh": jnp.tanh}
STRENGTHS: dict[str, Activation] = {"softplus": jax.nn.softplus, "exp": bounded_exp}
SHIFTS: dict[str, Activation] = {"softmax": jax.nn.softmax, "interpolated": interpolated_shift}
ADDS: dict[str, Activation] = {
    "identity": identity,
    "tanh": jnp.tanh,
    "sigmoid": jax.nn.sigmoid,
}


@dataclass(frozen=True)
class Heads:
    """Defines how many heads there are and how their controls are made.

    There are `A` addressings: one for each read head, then one for each write head; with
    `shared_weighting` the n-th read head and the n-th write head use one between them.
    """

    read_heads: int
    write_heads: int
    word_size: int
    shift_range: int = 1
    key_activation: str = "tanh"
    strength_activation: str = "softplus"
    shift_activation: str = "softmax"
    add_activation: str = "tanh"
    shared_weighting: bool = False

    def __post_init__(self) -> None:
        for field, table in (
            ("key_activation", KEYS),
            ("strength_activation", STRENGTHS),
            ("shift_activation", SHIFTS),
            ("add_activation", ADDS),
        ):
            if getattr(self, field) not in table:
                raise unknown_choice(f"model.{field}", getattr(self, field), table)
        if self.shared_weighting and self.read_heads != self.write_heads:
            raise UserError(
                f"model.shared_weighting needs as many write heads as read heads, "
                f"but model.write_heads is {self.write_heads} and model.read_heads is {self.read_heads}"
            )

    @property
    def addressings(self) -> int:
        """Returns A, the number of weightings."""
        return self.read_heads if self.shared_weighting else self.read_heads + self.write_heads

    @property
    def widths(self) -> tuple[int, ...]:
        """Returns the raw numbers of each field of `Controls`, in the raw vector's order."""
        a, h, w = self.addressings, self.write_heads, self.word_size
        moves = 2 * self.shift_range + 1 if self.shift_activation == "softmax" else 1
        return a * w, a, a, a * moves, a, h * w, h * w

    def first_bias(self, gate: float, stay: float, sharpening: float, dtype: Any) -> jax.Array:
        """Returns the raw vector's first bias `[sum(widths)]`.

        It is 0 except for gates, shifts by 0 rows and sharpenings.
        """
        a, moves = self.addressings, self.widths[3] // self.addressings
        shift = jnp.zeros((a, moves), dtype)
        if self.shift_activation == "softmax":
            shift = shift.at[:, self.shift_range].set(stay)
        parts = [jnp.zeros(width, dtype) for width in self.widths]
        parts[2], parts[3] = jnp.full(a, gate, dtype), shift.reshape(-1)
        parts[4] = jnp.full(a, sharpening, dtype)
        return jnp.concatenate(parts)

    def controls(self, raw: jax.Array) -> Controls:
        """Splits the raw vector `[..., sum(widths)]` into controls, and activates them."""
        ends = [sum(self.widths[: i + 1]) for i in range(len(self.widths) - 1)]
        key, strength, gate, shift, sharpening, erase, add = jnp.split(raw, ends, axis=-1)

        def per(heads: int, part: jax.Array) -> jax.Array:
            return part.reshape(*part.shape[:-1], heads, part.shape[-1] // heads)

        return Controls(
            key=KEYS[self.key_activation](per(self.addressings, key)),
            strength=STRENGTHS[self.strength_activation](strength),
            gate=jax.nn.sigmoid(gate),
            shift=SHIFTS[self.shift_activation](per(self.addressings, shift)),
            sharpening=1 + jax.nn.softplus(sharpening),
            erase=jax.nn.sigmoid(per(self.write_heads, erase)),
            add=ADDS[self.add_activation](per(self.write_heads, add)),
        )
