"""Priority sort (paper, section 4.5): return the vectors with the highest priorities, in order.

4 items, 2 kept    step   0    1    2    3    4   5   6
input  vector (8)         a    b    c    d    .   .   .
       priority          -.3   .9   .1  -.8   .   .   .     from U[-1, 1]
       delimiter          .    .    .    .    1   .   .
output vector (8)         .    .    .    .    .   b   c
scored                    .    .    .    .    .   1   1

A curriculum begins with two vectors, and the answer has the same share of them.
"""

from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from ntm_jax.tasks import editing, labels
from ntm_jax.tasks.base import Batch, Case, Task
from ntm_jax.tasks.drawing import flag, opened, random_bits, require, rows_from


@dataclass(frozen=True)
class PrioritySort(Task):
    """Draws `items` vectors of `bits` bits. The answer is the `kept` ones with the highest priorities."""

    name: ClassVar[str] = "priority_sort"
    items: int = 20
    kept: int = 16
    bits: int = 8

    def __post_init__(self) -> None:
        require(self.items >= 1, f"task.items: {self.items} is not allowed; it must be at least 1")
        require(
            1 <= self.kept <= self.items,
            f"task.kept: {self.kept} is not allowed; it must be from 1 to task.items ({self.items})",
        )
        require(self.bits >= 1, f"task.bits: {self.bits} is not allowed; it must be at least 1")

    @property
    def input_size(self) -> int:
        return self.bits + 2

    @property
    def output_size(self) -> int:
        return self.bits

    @property
    def steps(self) -> int:
        return self.items + 1 + self.kept

    def episode(self, key: jax.Array, progress: jax.Array) -> Batch:
        bits_key, priority_key = jax.random.split(key)
        vectors = random_bits(bits_key, (self.items, self.bits))
        priorities = jax.random.uniform(priority_key, (self.items,), jnp.float32, -1, 1)
        items = opened(min(2, self.items), self.items, progress)
        kept = jnp.maximum(items * self.kept // self.items, 1)
        listed = jnp.arange(self.items) < items
        order = jnp.argsort(jnp.where(listed, -priorities, 2))
        step = jnp.arange(self.steps)
        listing = step < items
        answered = (step > items) & (step <= items + kept)
        inputs = jnp.concatenate(
            [
                rows_from(vectors, step, listing),
                rows_from(priorities[:, None], step, listing),
                flag(step == items),
            ],
            axis=1,
        )
        targets = rows_from(vectors[order], step - items - 1, answered)
        return Batch(inputs, targets, answered.astype(jnp.float32))

    def editable(self, batch: Batch) -> editing.Editable:
        inputs = np.asarray(batch.inputs)
        items = int(np.flatnonzero(inputs[:, self.bits + 1] > 0)[0])
        numbers = tuple(editing.Number(f"priority {i + 1}", -1, 1) for i in range(items))
        values = tuple(map(float, inputs[:items, self.bits]))
        return editing.Editable(np.arange(items), self.bits, numbers, values)

    def edited(self, batch: Batch, content: editing.Content) -> Batch:
        editable = self.editable(batch)
        inputs = editing.with_bits(batch.inputs, editable, content.bits)
        inputs[editable.steps, self.bits] = content.numbers
        order = np.argsort(-content.numbers, kind="stable")[: int(np.sum(batch.mask))]
        return Batch(inputs, editing.answer(batch, content.bits[order]), batch.mask)

    def cases(self) -> list[Case]:
        return [
            Case(
                f"items_{items}_kept_{kept}",
                {"items": items, "kept": kept},
                self.at(items=items, kept=kept),
            )
            for items, kept in ((10, 8), (20, 16), (30, 24))
        ]

    def channels(self) -> labels.Channels:
        vector = labels.bits(self.bits)
        return labels.Channels((*vector, "priority", "delimiter"), vector)

    def viewer_fields(self) -> tuple[labels.ViewerField, ...]:
        return (
            labels.ViewerField("items", ("items",), 1, 500),
            labels.ViewerField("kept", ("kept",), 1, 500),
        )

    def explanation(self) -> labels.Explanation:
        return labels.Explanation(
            "The model is shown bit vectors, each with a priority, and must give back those of the highest priorities in descending order.",
            "Look at the order of the rows written to: by priority, as in the paper, or by time, so that each vector has to be found by content.",
        )

    def memory_picture(self) -> labels.MemoryPicture:
        arguments = {"items": self.items, "bits": self.bits}
        return labels.MemoryPicture("by_priority", "items_20_kept_16", arguments=arguments)
