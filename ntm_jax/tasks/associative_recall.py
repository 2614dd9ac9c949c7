"""Associative recall (paper, section 4.3): shown one item of a list, answer with the next.

    2 items, query a   step   0   1   2   3   4   5   6   7   8   9  10  11  12  13  14  15
    input  vector (6)         .  a1  a2  a3   .  b1  b2  b3   .  a1  a2  a3   .   .   .   .
           item               1   .   .   .   1   .   .   .   .   .   .   .   .   .   .   .
           query              .   .   .   .   .   .   .   .   1   .   .   .   1   .   .   .
    output vector (6)         .   .   .   .   .   .   .   .   .   .   .   .   .  b1  b2  b3
    scored                    .   .   .   .   .   .   .   .   .   .   .   .   .   1   1   1

The query is any item but the last.
"""

from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from ntm_jax.tasks import editing, labels
from ntm_jax.tasks.base import Batch, Case, Task
from ntm_jax.tasks.drawing import (
    draw_between,
    flag,
    random_bits,
    require,
    require_range,
    rows_from,
)


@dataclass(frozen=True)
class AssociativeRecall(Task):
    """Draws `min_items` to `max_items` items of `item_length` vectors of `bits` bits."""

    name: ClassVar[str] = "associative_recall"
    min_items: int = 2
    max_items: int = 6
    item_length: int = 3
    bits: int = 6

    def __post_init__(self) -> None:
        require_range("items", self.min_items, self.max_items, least=2)
        for field in ("item_length", "bits"):
            given = getattr(self, field)
            require(given >= 1, f"task.{field}: {given} is not allowed; it must be at least 1")

    @property
    def input_size(self) -> int:
        return self.bits + 2

    @property
    def output_size(self) -> int:
        return self.bits

    @property
    def steps(self) -> int:
        return (self.max_items + 1) * (self.item_length + 1) + 1 + self.item_length

    def episode(self, key: jax.Array, progress: jax.Array) -> Batch:
        items_key, query_key, bits_key = jax.random.split(key, 3)
        items = draw_between(items_key, self.min_items, self.max_items, progress)
        query = jax.random.randint(query_key, (), 0, items - 1)
        vectors = random_bits(bits_key, (self.max_items * self.item_length, self.bits))
        step = jnp.arange(self.steps)
        block, place = jnp.divmod(step, self.item_length + 1)  # an item: its delimiter, its vectors

        listing = (block < items) & (place > 0)
        asking = (block == items) & (place > 0)
        item = jnp.where(asking, query, block)
        shown = rows_from(vectors, item * self.item_length + place - 1, listing | asking)
        answer_start = (items + 1) * (self.item_length + 1) + 1
        inputs = jnp.concatenate(
            [
                shown,
                flag((block < items) & (place == 0)),
                flag(((block == items) & (place == 0)) | (step == answer_start - 1)),
            ],
            axis=1,
        )

        since = step - answer_start
        answered = (since >= 0) & (since < self.item_length)
        targets = rows_from(vectors, (query + 1) * self.item_length + since, answered)
        return Batch(inputs, targets, answered.astype(jnp.float32))

    def editable(self, batch: Batch) -> editing.Editable:
        spans = self.spans(np.asarray(batch.inputs), np.asarray(batch.mask))
        items = [span for span in spans if span.label.isdecimal()]
        steps = [np.arange(span.start, span.end + 1) for span in items]
        (asked,) = (float(span.label) for span in items if span.role == "asked")
        number = editing.Number("item asked for", 1, len(items) - 1, whole=True)
        return editing.Editable(np.concatenate(steps), self.bits, (number,), (asked,))

    def edited(self, batch: Batch, content: editing.Content) -> Batch:
        items = content.bits.reshape(-1, self.item_length, self.bits)
        asked = int(content.numbers[0]) - 1
        inputs = editing.with_bits(batch.inputs, self.editable(batch), content.bits)
        query = int(np.flatnonzero(inputs[:, self.bits + 1] > 0)[0]) + 1
        inputs[query : query + self.item_length, : self.bits] = items[asked]
        return Batch(inputs, editing.answer(batch, items[asked + 1]), batch.mask)

    def cases(self) -> list[Case]:
        return [
            Case(f"items_{items}", {"items": items}, self.at(min_items=items, max_items=items))
            for items in (2, 3, 4, 5, 6, 8, 10, 12, 15, 20)
        ]

    def channels(self) -> labels.Channels:
        vector = labels.bits(self.bits)
        return labels.Channels((*vector, "item", "query"), vector)

    def spans(self, inputs: np.ndarray, mask: np.ndarray) -> list[labels.Span]:
        """Returns the items, the query and the answer; the item asked for and the next have their own roles."""
        length = self.item_length
        starts = np.flatnonzero(inputs[:, self.bits] > 0) + 1
        query = int(np.flatnonzero(inputs[:, self.bits + 1] > 0)[0]) + 1
        asked = inputs[query : query + length]
        # The last item is never asked for, and may by chance be the same.
        same = [np.array_equal(inputs[start : start + length], asked) for start in starts[:-1]]
        found = same.index(True)
        roles = {found: "asked", found + 1: "next"}
        items = [
            labels.Span(int(start), int(start) + length - 1, str(i + 1), roles.get(i, "item"))
            for i, start in enumerate(starts)
        ]
        query_span = labels.Span(query, query + length - 1, "query", "asked")
        return [*items, query_span, *labels.answer_spans(mask)]

    def viewer_fields(self) -> tuple[labels.ViewerField, ...]:
        return (labels.ViewerField("items", ("min_items", "max_items"), 2, 400),)

    def explanation(self) -> labels.Explanation:
        return labels.Explanation(
            "The model is shown a list of items, then one of them again, and must answer with the item that came next in the list.",
            "Look for the step at which a read head jumps by content, to the rows of the item asked for or straight to those of the next.",
        )

    def memory_picture(self) -> labels.MemoryPicture:
        return labels.MemoryPicture("walk", "items_6")
