"""Copy (paper, section 4.1): repeat a sequence after it has ended.

length 3           step   0   1   2   3   4   5   6
input  vector (8)         a   b   c   .   .   .   .
       delimiter          .   .   .   1   .   .   .
output vector (8)         .   .   .   .   a   b   c
scored                    .   .   .   .   1   1   1
"""

from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp

from ntm_jax.tasks.base import (
    Batch,
    Case,
    Task,
    draw_between,
    flag,
    random_bits,
    require,
    require_range,
    rows_from,
)


@dataclass(frozen=True)
class Copy(Task):
    """Random vectors of `bits` bits, `min_length` to `max_length` of them."""

    name: ClassVar[str] = "copy"
    min_length: int = 1
    max_length: int = 20
    bits: int = 8

    def __post_init__(self) -> None:
        require_range("length", self.min_length, self.max_length)
        require(self.bits >= 1, f"task.bits: {self.bits} is given, at least 1 is needed")

    @property
    def input_size(self) -> int:
        return self.bits + 1

    @property
    def output_size(self) -> int:
        return self.bits

    @property
    def steps(self) -> int:
        return 2 * self.max_length + 1

    def episode(self, key: jax.Array, progress: jax.Array) -> Batch:
        length_key, bits_key = jax.random.split(key)
        length = draw_between(length_key, self.min_length, self.max_length, progress)
        vectors = random_bits(bits_key, (self.max_length, self.bits))
        step = jnp.arange(self.steps)
        shown = rows_from(vectors, step, step < length)
        answered = (step > length) & (step <= 2 * length)
        targets = rows_from(vectors, step - length - 1, answered)
        inputs = jnp.concatenate([shown, flag(step == length)], axis=1)
        return Batch(inputs, targets, answered.astype(jnp.float32))

    def cases(self) -> list[Case]:
        return [
            Case(
                f"length_{length}",
                {"length": length},
                self.at(min_length=length, max_length=length),
            )
            for length in (10, 20, 30, 50, 120)
        ]
