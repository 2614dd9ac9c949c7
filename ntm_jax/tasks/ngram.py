"""Dynamic n-grams (paper, section 4.4): predict the next bit of a source that changes every episode.

An episode draws one probability from Beta(1/2, 1/2) for each context of `context` bits; its bits follow that
table, the first `context` of them drawn with probability 1/2. A curriculum begins with sources that look back
one bit only.

    context 5          step   0   1   2   3   4   5   6  ...  198
    input  bit               b0  b1  b2  b3  b4  b5  b6  ... b198
    output next bit           .   .   .   .  b5  b6  b7  ... b199
    scored                    .   .   .   .   1   1   1  ...    1
"""

from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from ntm_jax.tasks import editing, labels
from ntm_jax.tasks.base import Batch, Case, Task
from ntm_jax.tasks.drawing import opened, random_bits, require


@dataclass(frozen=True)
class NGram(Task):
    """Draws sequences of `length` bits. All but the first `context` are predicted."""

    name: ClassVar[str] = "ngram"
    keeps_table: ClassVar[bool] = True
    opening_seed: ClassVar[int] = 1  # the episode of seed 0 ends in ones alone
    length: int = 200
    context: int = 5

    def __post_init__(self) -> None:
        require(
            1 <= self.context <= 16,
            f"task.context: {self.context} is not allowed; it must be from 1 to 16",
        )
        require(
            self.length > self.context,
            f"task.length: {self.length} is not allowed; it must be more than task.context ({self.context})",
        )

    @property
    def input_size(self) -> int:
        return 1

    @property
    def output_size(self) -> int:
        return 1

    @property
    def steps(self) -> int:
        return self.length - 1

    def episode(self, key: jax.Array, progress: jax.Array) -> Batch:
        # Under a curriculum, contexts that end in the same bits share a probability.
        bits = opened(1, self.context, progress)
        table = self.table(key)[jnp.arange(2**self.context) % 2**bits]
        return self.episode_from(table, key)

    def table(self, key: jax.Array) -> jax.Array:
        """Draws the probability `[2^context]` of a 1 after each context."""
        table_key, _, _ = jax.random.split(key, 3)
        # Beta(1/2, 1/2) is the arcsine distribution, so no rejection sampling is needed.
        return jnp.sin(jnp.pi / 2 * jax.random.uniform(table_key, (2**self.context,))) ** 2

    def episode_with_table(self, key: jax.Array, table_key: jax.Array) -> Batch:
        return self.episode_from(self.table(table_key), key)

    def episode_from(self, table: jax.Array, key: jax.Array) -> Batch:
        """Draws an episode `[T, 1]`, `[T, 1]`, `[T]` whose bits follow a given table `[2^context]`."""
        _, first_key, bits_key = jax.random.split(key, 3)
        first = random_bits(first_key, (self.context,))
        uniform = jax.random.uniform(bits_key, (self.length - self.context,))
        values = 2 ** jnp.arange(self.context - 1, -1, -1)  # the oldest bit counts most
        start = jnp.sum(first.astype(jnp.int32) * values)

        def draw(context: jax.Array, chance: jax.Array) -> tuple[jax.Array, jax.Array]:
            bit = (chance < table[context]).astype(jnp.int32)
            return (2 * context + bit) % 2**self.context, bit

        _, rest = jax.lax.scan(draw, start, uniform)
        bits = jnp.concatenate([first, rest.astype(jnp.float32)])
        scored = jnp.arange(self.steps) >= self.context - 1
        targets = jnp.where(scored[:, None], bits[1:, None], 0)
        return Batch(bits[:-1, None], targets, scored.astype(jnp.float32))

    def optimal_probability(self, batch: Batch) -> jax.Array:
        """Returns the best estimate of every next bit, given the bits so far (paper, eq. 10; Murphy 2012).

        P(1 | context) = (N₁ + ½) / (N₁ + N₀ + 1), where N₁ and N₀ count how often 1 and 0 followed the context so far.

        Args:
          batch: from `sample`.

        Returns:
          `[T, B, 1]`; 1/2 where nothing is scored.
        """
        size = batch.inputs.shape[1:2]

        def step(carry: tuple[jax.Array, jax.Array], now: Batch) -> tuple[tuple, jax.Array]:  # type: ignore[type-arg]
            counts, context = carry  # [B, contexts, 2] and [B]
            context = (2 * context + now.inputs[:, 0].astype(jnp.int32)) % 2**self.context
            example = jnp.arange(size[0])
            zeros, ones = counts[example, context, 0], counts[example, context, 1]
            probability = jnp.where(now.mask > 0, (ones + 0.5) / (ones + zeros + 1), 0.5)
            bit = now.targets[:, 0].astype(jnp.int32)
            counts = counts.at[example, context, bit].add(now.mask)
            return (counts, context), probability[:, None]

        start = (jnp.zeros((*size, 2**self.context, 2)), jnp.zeros(size, jnp.int32))
        return jax.lax.scan(step, start, batch)[1]

    def optimal_nats(self, batch: Batch) -> jax.Array:
        """Returns the cost `[B]` of `optimal_probability` on these episodes."""
        probability = self.optimal_probability(batch)
        chance = jnp.where(batch.targets > 0, probability, 1 - probability)
        return -jnp.sum(jnp.log(chance)[..., 0] * batch.mask, axis=0)

    def editable(self, batch: Batch) -> editing.Editable:
        return editing.Editable(np.arange(len(batch.inputs)), 1)

    def edited(self, batch: Batch, content: editing.Content) -> Batch:
        # The last bit is a target only, and stays.
        following = np.concatenate([content.bits[1:], np.asarray(batch.targets)[-1:]])
        scored = following[np.asarray(batch.mask) > 0]
        inputs = editing.with_bits(batch.inputs, self.editable(batch), content.bits)
        return Batch(inputs, editing.answer(batch, scored), batch.mask)

    def cases(self) -> list[Case]:
        return [
            Case(f"length_{length}", {"length": length}, self.at(length=length))
            for length in (200, 400, 1000)
        ]

    def channels(self) -> labels.Channels:
        return labels.Channels(("bit",), ("next bit",))

    def viewer_fields(self) -> tuple[labels.ViewerField, ...]:
        return (labels.ViewerField("length", ("length",), self.context + 1, 2000),)

    def explanation(self) -> labels.Explanation:
        return labels.Explanation(
            "The model sees random bits one by one and must predict the next; how likely a 1 is depends on the five bits before it.",
            "Look for the same rows read whenever the same five bits come round again: the model counts there what followed them.",
        )

    def memory_picture(self) -> labels.MemoryPicture:
        arguments = {"bits": self.context}
        return labels.MemoryPicture("by_context", "length_200", 100, arguments)
