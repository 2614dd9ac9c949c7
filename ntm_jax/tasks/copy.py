"""Copy (paper, section 4.1): repeat a sequence after it has ended.

length 3           step   0   1   2   3   4   5   6
input  vector (8)         a   b   c   .   .   .   .
       delimiter          .   .   .   1   .   .   .
output vector (8)         .   .   .   .   a   b   c
scored                    .   .   .   .   1   1   1

With two flags, as in `fumin/ntm`, a start flag precedes the sequence. Its channel precedes the delimiter's.
"""

from dataclasses import dataclass
from typing import ClassVar, Self

import jax
import jax.numpy as jnp
import numpy as np

from ntm_jax.tasks import editing, labels
from ntm_jax.tasks.base import Batch, Case, Task
from ntm_jax.tasks.drawing import (
    draw_between,
    flag,
    random_vectors,
    require,
    require_percent,
    require_range,
    rows_from,
)


@dataclass(frozen=True)
class Copy(Task):
    """Draws `min_length` to `max_length` random vectors of `bits` bits.

    `flags` is 1, the delimiter alone, or 2, with a start before the sequence. `zero_vector_percent` is the percentage
    of vectors set to zero, which models easily mistake for the end of the input. One random vector of 8 bits in 256
    is zero anyway.
    """

    name: ClassVar[str] = "copy"
    min_length: int = 1
    max_length: int = 20
    bits: int = 8
    flags: int = 1
    zero_vector_percent: int = 0

    def __post_init__(self) -> None:
        require_range("length", self.min_length, self.max_length)
        require(self.bits >= 1, f"task.bits: {self.bits} is not allowed; it must be at least 1")
        require(self.flags in (1, 2), f"task.flags: {self.flags} is not allowed; it must be 1 or 2")
        require_percent("zero_vector_percent", self.zero_vector_percent)

    @property
    def input_size(self) -> int:
        return self.bits + self.flags

    @property
    def output_size(self) -> int:
        return self.bits

    @property
    def steps(self) -> int:
        return 2 * self.max_length + self.flags

    def episode(self, key: jax.Array, progress: jax.Array) -> Batch:
        length_key, bits_key = jax.random.split(key)
        length = draw_between(length_key, self.min_length, self.max_length, progress)
        vectors = random_vectors(bits_key, (self.max_length, self.bits), self.zero_vector_percent)
        step = jnp.arange(self.steps) - (self.flags - 1)  # since the sequence's first vector
        shown = rows_from(vectors, step, (step >= 0) & (step < length))
        answered = (step > length) & (step <= 2 * length)
        targets = rows_from(vectors, step - length - 1, answered)
        flags = [flag(step == -1), flag(step == length)][-self.flags :]
        inputs = jnp.concatenate([shown, *flags], axis=1)
        return Batch(inputs, targets, answered.astype(jnp.float32))

    def as_tested(self) -> Self:
        return self.at(zero_vector_percent=0)

    def editable(self, batch: Batch) -> editing.Editable:
        delimiter = int(np.flatnonzero(np.asarray(batch.inputs)[:, -1] > 0)[0])
        return editing.Editable(np.arange(self.flags - 1, delimiter), self.bits)

    def edited(self, batch: Batch, content: editing.Content) -> Batch:
        inputs = editing.with_bits(batch.inputs, self.editable(batch), content.bits)
        return Batch(inputs, editing.answer(batch, content.bits), batch.mask)

    def cases(self) -> list[Case]:
        return [
            Case(
                f"length_{length}",
                {"length": length},
                self.as_tested().at(min_length=length, max_length=length),
            )
            for length in (10, 20, 30, 50, 120)
        ]

    def channels(self) -> labels.Channels:
        flags = ("start", "delimiter")[-self.flags :]
        return labels.Channels((*labels.bits(self.bits), *flags), labels.bits(self.bits))

    def viewer_fields(self) -> tuple[labels.ViewerField, ...]:
        return (labels.ViewerField("length", ("min_length", "max_length"), 1, 1000),)

    def explanation(self) -> labels.Explanation:
        return labels.Explanation(
            "The model is shown some random bit vectors once, then a delimiter, and must repeat the vectors in order.",
            "Look for two diagonals: the write head stores one vector in each row, and the read head later follows the same rows.",
        )

    def memory_picture(self) -> labels.MemoryPicture:
        return labels.MemoryPicture("walk", "length_20")
