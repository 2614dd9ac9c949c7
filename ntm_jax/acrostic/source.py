"""Draws batches of poems, and scores an evaluation of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from ntm_jax.acrostic import batching, bigram, corpus, scores
from ntm_jax.acrostic.corpus import BLANK, END, LINEFEED, MARKS, MOST_SYMBOLS, UNKNOWN
from ntm_jax.tasks.base import Batch, Source

if TYPE_CHECKING:
    from ntm_jax.acrostic.task import Acrostic

# What training may add to the corpus, switched off.
PLAIN = {"irregular_weight": 1, "shifted_linefeeds_percent": 0, "message_like_percent": 0}


@dataclass(frozen=True)
class PoemSource(Source):
    """Draws batches of poems of similar length. An evaluation has every poem of a part once, or an even sample."""

    task: "Acrostic"
    episodes_at_once: ClassVar[int] = 32
    columns: ClassVar[Mapping[str, tuple[str, str]]] = {
        "bits_per_character": ("bits/character", ".3f"),
        "keyword_accuracy": ("keywords", ".2%"),
        "linefeed_accuracy": ("linefeeds", ".2%"),
    }

    @property
    def most_steps(self) -> int:
        return 2 * min(self.task.longest, MOST_SYMBOLS)

    @property
    def answer_steps(self) -> int:
        return self.task.symbols

    @property
    def shapes(self) -> tuple["Acrostic", ...]:
        """Returns a task for each bucket of lengths, and one for concatenated poems."""
        task = self.task
        shapes = tuple(
            task.at(concatenated_percent=0, shortest=shortest, longest=longest)
            for shortest, longest in self._buckets()
        )
        return (*shapes, task.at(concatenated_percent=100)) if task.concatenated_percent else shapes

    def batch_sizes(self, batch_size: int) -> tuple[int, ...]:
        poems, longest = self._counts()
        if not poems:
            return (batch_size,)
        symbols = [shape.symbols for shape in self.shapes]
        return batching.batch_sizes(batch_size, poems, longest, symbols)

    def probabilities(self, progress: jax.Array) -> jax.Array:
        """Returns percentages so that all poems are drawn equally often; a curriculum begins with the shortest."""
        concatenated = self.task.concatenated_percent
        found = batching.bucket_percentages(*self._counts(), 100 - concatenated, progress)
        return jnp.append(found, float(concatenated)) if concatenated else found

    def run_files(self) -> dict[str, str]:
        """Returns the vocabulary, so that writing needs no corpus."""
        return {corpus.VOCABULARY: self.task.selection.open()[0].characters + "\n"}

    def held_out(self) -> "Acrostic":
        """Returns validation poems of about one length."""
        part = "validation" if self.task.part == "train" else self.task.part
        shapes = self.task.at(part=part, concatenated_percent=0, **PLAIN).source.shapes
        return shapes[len(shapes) // 2]

    def evaluation_shapes(self, episodes: int) -> tuple[tuple["Acrostic", int], ...]:
        if not len(self.task.selection.read()[1]):
            return ()
        shapes = [(shape, len(shape.selection.open()[1])) for shape in self.shapes]
        total = sum(poems for _, poems in shapes)
        share = min(1.0, episodes / total)
        return tuple((shape, max(1, round(poems * share))) for shape, poems in shapes)

    def evaluation_batch(
        self, key: jax.Array, first: jax.Array, episodes: int, batch_size: int
    ) -> Batch:
        poems = self.task.selection.open()[1]
        spread = jnp.asarray(poems[np.arange(episodes) * len(poems) // episodes])
        numbers = jnp.minimum(first + jnp.arange(batch_size), episodes - 1)
        keys = jax.random.split(key, batch_size)
        return jax.vmap(self.task.episode_of, out_axes=1)(spread[numbers], keys)

    def episode_statistics(self, batch: Batch, logits: jax.Array) -> dict[str, jax.Array]:
        return scores.statistics(batch, logits, self.task.symbols, MOST_SYMBOLS)

    def summarise(self, statistics: dict[str, np.ndarray]) -> dict[str, float]:
        found = self.task.selection.open()[0]
        return scores.summarise(statistics, bigram.of_corpus(found, self.task.output_size))

    def symbol_names(self, symbols: np.ndarray) -> list[str]:
        """Returns the characters; a blank is `_`, a linefeed `⏎`, the end `‖`, an unknown character `□`."""
        marks = {BLANK: "_", LINEFEED: "⏎", END: "‖", UNKNOWN: "□"}
        characters = self.task.selection.open()[0].characters
        return [marks.get(symbol) or characters[symbol - MARKS] for symbol in symbols.tolist()]

    def picture(self, batch: Batch, logits: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        return scores.picture(batch, logits)

    def _buckets(self) -> list[tuple[int, int]]:
        """Returns the shortest and longest length of each bucket; none if all poems are concatenated."""
        found, poems = self.task.selection.open()
        if self.task.concatenated_percent == 100:
            return []
        return batching.buckets(found.lengths[poems], self.task.shortest, self.task.longest)

    def _counts(self) -> tuple[list[int], list[int]]:
        """Returns how many poems each bucket has, and their most symbols."""
        shapes = self.shapes[: len(self._buckets())]
        poems = [len(shape.selection.open()[1]) for shape in shapes]
        return poems, [shape.symbols for shape in shapes]
