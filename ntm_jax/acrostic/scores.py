"""Scores answers to acrostics: keywords, linefeeds and the rest, with a bigram for comparison."""

import jax
import jax.numpy as jnp
import numpy as np

from ntm_jax.acrostic.bigram import Bigram
from ntm_jax.acrostic.corpus import BLANK, END, LINEFEED
from ntm_jax.tasks import losses
from ntm_jax.tasks.base import Batch
from ntm_jax.tasks.losses import first_scored, window

NOTHING, KEYWORD, NEW_LINE, REST = range(4)  # kinds of symbols in an answer
# Of `picture`.
INPUT_CHANNELS = ("blank", "given character", "linefeed", "end of poem", "character before")
OUTPUT_CHANNELS = ("keyword", "linefeed", "other character")


def kinds(batch: Batch, count: int) -> jax.Array:
    """Returns the kind of each symbol of the answers, `[count, B]`, from what was shown."""
    start = first_scored(batch.mask)
    asked = batch.inputs[:count, :, 0]
    symbols, scored = (window(x, start, count) for x in (batch.targets[..., 0], batch.mask))
    keyword = jnp.where(asked == BLANK, REST, KEYWORD)
    return jnp.where(scored > 0, jnp.where(symbols == LINEFEED, NEW_LINE, keyword), NOTHING)


def statistics(batch: Batch, logits: jax.Array, count: int, width: int) -> dict[str, jax.Array]:
    """Returns symbols, their kinds, costs, and whether they are the most probable, each `[B, width]`.

    Args:
      batch: episodes.
      logits: `[T, B, V]`.
      count: of symbols in the longest of them.
      width: at least `count`.
    """
    start = first_scored(batch.mask)
    symbols = window(batch.targets[..., 0], start, count)
    answers = window(logits, start, count)
    parts = {
        "symbols": symbols,
        "kinds": kinds(batch, count),
        "nats": losses.symbol_nats(answers, symbols),
        "right": jnp.argmax(answers, axis=-1) == symbols,
    }
    return {name: jnp.pad(x.T, ((0, 0), (0, width - count))) for name, x in parts.items()}


def summarise(statistics: dict[str, np.ndarray], anchor: Bigram) -> dict[str, float]:
    """Returns bits a character, accuracies, and the bigram's and unigram's bits on the same episodes.

    Linefeeds count as characters.

    Args:
      statistics: from `statistics`, `[E, S]`.
      anchor: of the training part.
    """
    symbols, kind = statistics["symbols"], statistics["kinds"]
    there = kind != NOTHING
    count = float(there.sum())
    before = np.concatenate([np.full_like(symbols[:, :1], END), symbols[:, :-1]], axis=1)
    costs = {
        "bits_per_character": statistics["nats"] * losses.BITS_PER_NAT,
        "unigram_bits_per_character": -np.log2(anchor.unigram[symbols]),
        "bigram_bits_per_character": -np.log2(anchor.probability(before, symbols)),
    }
    result = {name: float(bits[there].sum() / count) for name, bits in costs.items()}
    given = costs["bigram_bits_per_character"][kind == REST].sum() / count
    result["bigram_told_keywords_and_linefeeds_bits_per_character"] = float(given)
    for name, which in (("keyword", KEYWORD), ("linefeed", NEW_LINE), ("rest", REST)):
        of = kind == which
        if of.any():
            result[f"{name}_accuracy"] = float(statistics["right"][of].mean())
            result[f"{name}_bits"] = float(costs["bits_per_character"][of].mean())
    return result


def picture(batch: Batch, logits: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Returns one episode `[T, 1]`, `[T, 1]`, `[T]` and logits `[T, V]` as channels in place of symbols.

    The inputs `[T, 5]` are `INPUT_CHANNELS`, the targets `[T, 3]` `OUTPUT_CHANNELS`. The probabilities `[T, 3]` are
    those of the right symbol, in the channel of its kind.
    """
    inputs, mask = batch.inputs[:, 0], batch.mask > 0
    steps = inputs.size
    first = first_scored(batch.mask)
    marks = jnp.stack([inputs == mark for mark in (BLANK, LINEFEED, END)], axis=1)
    character = ~marks.any(axis=1)
    early = jnp.arange(steps) < first
    channels = [marks[:, 0], character & early, marks[:, 1], marks[:, 2], character & ~early]
    shown = jnp.stack(channels, axis=1).astype(jnp.float32)
    alone = jax.tree.map(lambda x: x[:, None], batch)
    kind = kinds(alone, steps // 2)[:, 0]
    expected = (kind[:, None] == jnp.array([KEYWORD, NEW_LINE, REST])[None, :]).astype(jnp.float32)
    expected = jax.lax.dynamic_update_slice_in_dim(jnp.zeros((steps, 3)), expected, first, 0)
    chance = jnp.exp(-losses.symbol_nats(logits, batch.targets[:, 0]))
    return shown, expected, jnp.where(mask, chance, 0)[:, None] * expected
