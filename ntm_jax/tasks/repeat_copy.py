"""Repeat copy (paper, section 4.2): repeat a sequence a given number of times, then output an end marker.

    length 2, repeats 2, count `scalar`
                       step   0   1   2   3   4   5   6   7
    input  vector (8)         a   b   .   .   .   .   .   .
           count              .   .   c   .   .   .   .   .     c = (repeats - 5.5) / 2.87
    output vector (8)         .   .   .   a   b   a   b   .
           end                .   .   .   .   .   .   .   1
    scored                    .   .   .   1   1   1   1   1

The scalar is normalised to mean 0 and variance 1 over 1 to 10 repeats, whatever range is drawn. The two
other counts are those of `fumin/ntm`, on vectors of 6 bits, where flags open the sequence and close the count:

    length 2, repeats 2       `binary`                          `linear`
    input  vector (6)         .   a   b   .   .   .   .         .   a   b   .   .   .
           start              1   .   .   .   .   .   .         1   .   .   .   .   .
           sequence over      .   .   .   1   .   .   .         (not there)
           count              .   .   .   .   0   1   .         .   .   .   1   1   .
           count over         .   .   .   .   .   .   1         .   .   .   .   .   1

`binary` gives the count's digits, least significant first; `linear` one 1 for each repeat.
"""

from dataclasses import dataclass, field
from typing import ClassVar, Self

import jax
import jax.numpy as jnp
import numpy as np

from ntm_jax.errors import unknown_choice
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

# The input's channels beside the vector's, for each way to give the count.
COUNTS = {
    "scalar": ("count",),
    "binary": ("start", "sequence over", "count", "count over"),
    "linear": ("start", "count", "count over"),
}
SCALAR_MEAN, SCALAR_DEVIATION = 5.5, (99 / 12) ** 0.5  # of the whole numbers 1 to 10


@dataclass(frozen=True)
class RepeatCopy(Task):
    """Draws sequences of `min_length` to `max_length` vectors, to be repeated `min_repeats` to `max_repeats` times.

    `bits` is the width of a vector: if None, 8 with the paper's scalar count, 6 with the others.
    `zero_vector_percent` is the percentage of vectors set to zero. A scalar count near 0 is hard to distinguish from
    them. One random vector of 8 bits in 256 is zero anyway.
    """

    name: ClassVar[str] = "repeat_copy"
    min_length: int = 1
    max_length: int = 10
    min_repeats: int = 1
    max_repeats: int = 10
    count: str = field(default="scalar", metadata={"choices": COUNTS})
    bits: int | None = None
    zero_vector_percent: int = 0

    def __post_init__(self) -> None:
        require_range("length", self.min_length, self.max_length)
        require_range("repeats", self.min_repeats, self.max_repeats)
        if self.count not in COUNTS:
            raise unknown_choice("task.count", self.count, COUNTS)
        require(self.width >= 1, f"task.bits: {self.bits} is not allowed; it must be at least 1")
        require_percent("zero_vector_percent", self.zero_vector_percent)

    @property
    def width(self) -> int:
        """Returns the number of bits in a vector."""
        if self.bits is None:
            return 8 if self.count == "scalar" else 6
        return self.bits

    @property
    def input_size(self) -> int:
        return self.width + len(COUNTS[self.count])

    @property
    def output_size(self) -> int:
        return self.width + 1

    @property
    def steps(self) -> int:
        longest_count = {
            "scalar": 1,
            "binary": 3 + self.max_repeats.bit_length(),
            "linear": 2 + self.max_repeats,
        }
        return self.max_length + longest_count[self.count] + self.max_length * self.max_repeats + 1

    def episode(self, key: jax.Array, progress: jax.Array) -> Batch:
        length_key, repeats_key, bits_key = jax.random.split(key, 3)
        length = draw_between(length_key, self.min_length, self.max_length, progress)
        repeats = draw_between(repeats_key, self.min_repeats, self.max_repeats, progress)
        vectors = random_vectors(bits_key, (self.max_length, self.width), self.zero_vector_percent)
        step = jnp.arange(self.steps)

        opening = 0 if self.count == "scalar" else 1  # the start flag
        shown = (step >= opening) & (step < opening + length)
        flags, answer_start = self._count(step, opening + length, repeats)
        if opening:
            flags = [flag(step == 0), *flags]
        inputs = jnp.concatenate([rows_from(vectors, step - opening, shown), *flags], axis=1)

        since = step - answer_start
        repeated = (since >= 0) & (since < length * repeats)
        ended = since == length * repeats
        answer = rows_from(vectors, since % length, repeated)
        targets = jnp.concatenate([answer, flag(ended)], axis=1)
        return Batch(inputs, targets, (repeated | ended).astype(jnp.float32))

    def _count(
        self, step: jax.Array, start: jax.Array, repeats: jax.Array
    ) -> tuple[list[jax.Array], jax.Array]:
        """Returns the channels `[T, 1]` that show the count from step `start` on, and the first step of the answer."""
        if self.count == "scalar":
            value = (repeats.astype(jnp.float32) - SCALAR_MEAN) / SCALAR_DEVIATION
            return [flag(step == start) * value], start + 1
        if self.count == "binary":
            digits = jnp.sum(repeats >= 2 ** jnp.arange(self.max_repeats.bit_length()))
            place = step - start - 1
            one = ((repeats >> jnp.clip(place, 0, 30)) & 1) == 1
            during = (place >= 0) & (place < digits)
            return [flag(step == start), flag(during & one), flag(place == digits)], (
                start + digits + 2
            )
        during = (step >= start) & (step < start + repeats)
        return [flag(during), flag(step == start + repeats)], start + repeats + 1

    def as_tested(self) -> Self:
        return self.at(zero_vector_percent=0)

    def editable(self, batch: Batch) -> editing.Editable:
        opening = 0 if self.count == "scalar" else 1
        first = np.abs(np.asarray(batch.inputs)[opening:, self.width :]).sum(axis=1)
        length = int(np.flatnonzero(first)[0])  # to what gives the count, or says that it comes
        return editing.Editable(np.arange(opening, opening + length), self.width)

    def edited(self, batch: Batch, content: editing.Content) -> Batch:
        inputs = editing.with_bits(batch.inputs, self.editable(batch), content.bits)
        repeats = (int(np.sum(batch.mask)) - 1) // len(content.bits)
        repeated = np.tile(content.bits, (repeats, 1))
        # The end marker is a channel and a step of its own.
        vectors = np.pad(repeated, ((0, 1), (0, 1)))
        vectors[-1, -1] = 1
        return Batch(inputs, editing.answer(batch, vectors), batch.mask)

    def cases(self) -> list[Case]:
        return [
            Case(
                f"length_{length}_repeats_{repeats}",
                {"length": length, "repeats": repeats},
                self.as_tested().at(
                    min_length=length,
                    max_length=length,
                    min_repeats=repeats,
                    max_repeats=repeats,
                ),
            )
            for length, repeats in ((5, 5), (10, 10), (15, 10), (20, 10), (10, 15), (10, 20))
        ]

    def channels(self) -> labels.Channels:
        vector = labels.bits(self.width)
        return labels.Channels((*vector, *COUNTS[self.count]), (*vector, "end"))

    def viewer_fields(self) -> tuple[labels.ViewerField, ...]:
        return (
            labels.ViewerField("length", ("min_length", "max_length"), 1, 200),
            labels.ViewerField("repeats", ("min_repeats", "max_repeats"), 1, 200),
        )

    def explanation(self) -> labels.Explanation:
        return labels.Explanation(
            "The model is shown some random bit vectors and a number, and must repeat the vectors that many times, then mark the end.",
            "Look at what the read head does between two repeats. It jumps back to the first row, or it walks on along a new copy that the write head makes at each repeat.",
        )

    def memory_picture(self) -> labels.MemoryPicture:
        return labels.MemoryPicture("walk", "length_10_repeats_10")
