"""What answers to acrostics are worth: costs of symbols, the bigram beside them, and accuracies."""

import math
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntm_jax.acrostic import bigram, scores
from ntm_jax.acrostic.corpus import END, LINEFEED, MARKS
from ntm_jax.acrostic.task import as_episode
from ntm_jax.tasks import losses

# ---- The cost of symbols


def test_costs_of_hand_made_symbols():
    logits = np.log(np.float32([[[0.5, 0.25, 0.25]], [[0.1, 0.1, 0.8]], [[1 / 3] * 3]]))
    targets = np.int32([[[1]], [[2]], [[0]]])
    mask = np.float32([[1], [1], [0]])
    nats = losses.SYMBOLS.nats(logits, targets, mask)
    np.testing.assert_allclose(nats, [np.log(4) - np.log(0.8)], rtol=1e-6)
    assert losses.SYMBOLS.errors(logits, targets, mask).tolist() == [1]
    spoilt = np.where(mask[..., None] > 0, logits, np.nan)
    np.testing.assert_array_equal(losses.SYMBOLS.nats(spoilt, targets, mask), nats)


# ---- The bigram


def slow_kneser_ney(sequences, size):
    """P(w | v) from dictionaries, formula by formula."""
    pairs = Counter()
    for one in sequences:
        pairs.update(zip([END, *one[:-1]], one, strict=True))
    once = sum(n == 1 for n in pairs.values())
    twice = sum(n == 2 for n in pairs.values())
    discount = once / (once + 2 * twice)
    before = Counter(w for _, w in pairs)
    unseen = size - len(before)

    def continuation(w):
        if unseen == 0:
            return before[w] / len(pairs)
        return (before[w] + 1 / size) / (len(pairs) + 1)

    def probability(v, w):
        total = sum(n for (a, _), n in pairs.items() if a == v)
        if total == 0:
            return continuation(w)
        kinds = sum(a == v for a, _ in pairs)
        direct = max(pairs[v, w] - discount, 0) / total
        return direct + discount * kinds / total * continuation(w)

    return probability


def test_kneser_ney_against_a_slow_one():
    draw = np.random.default_rng(0)
    sequences = [draw.zipf(1.5, size=n) % 9 + 2 for n in draw.integers(2, 9, size=30)]
    size = 14  # some of them never seen
    anchor, slow = (
        bigram.fit(sequences, size),
        slow_kneser_ney([s.tolist() for s in sequences], size),
    )
    before, after = (
        x.ravel() for x in np.meshgrid(np.arange(size), np.arange(size), indexing="ij")
    )
    found = anchor.probability(before, after).reshape(size, size)
    expected = [[slow(v, w) for w in range(size)] for v in range(size)]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_allclose(anchor.unigram.sum(), 1, rtol=1e-12)
    assert (found > 0).all()


# ---- What answers are worth


def hand_made():
    """Two lines, 甲乙 and 丙, of which 乙 and 丙 are shown; a batch of it and a shorter one."""
    a, b, c, n = MARKS, MARKS + 1, MARKS + 2, LINEFEED
    one = as_episode(jnp.array([a, b, n, c, n]), jnp.array([0, 1, 1, 1, 1]) > 0, jnp.int32(5))
    two = as_episode(jnp.array([c, n, 0, 0, 0]), jnp.array([0, 1, 0, 0, 0]) > 0, jnp.int32(2))
    return jax.tree.map(lambda x, y: jnp.stack([x, y], axis=1), one, two)


def test_kinds_of_hand_made_answers():
    rest, key, line = scores.REST, scores.KEYWORD, scores.NEW_LINE
    assert scores.kinds(hand_made(), 5).T.tolist() == [
        [rest, key, line, key, line],
        [rest, line, 0, 0, 0],
    ]


def test_a_report_of_hand_made_answers():
    batch, size = hand_made(), MARKS + 3
    chance = np.full((10, 2, size), 1 / 16)
    right = {0: [1 / 4, 1 / 2, 1 / 2, 1 / 8, 1 / 2], 1: [1 / 2, 1 / 2]}
    for b, start in ((0, 5), (1, 2)):
        for i, p in enumerate(right[b]):
            chance[start + i, b] = (1 - p) / (size - 1)
            chance[start + i, b, int(batch.targets[start + i, b, 0])] = p
    logits = jnp.log(jnp.float32(chance))
    found = scores.statistics(batch, logits, 5, 8)
    assert {x.shape for x in found.values()} == {(2, 8)}
    anchor = bigram.fit([np.array([MARKS, MARKS + 1, LINEFEED])], size)
    told = scores.summarise(jax.device_get(found), anchor)
    assert told["bits_per_character"] == pytest.approx((2 + 1 + 1 + 3 + 1 + 1 + 1) / 7)
    assert told["keyword_bits"] == pytest.approx((1 + 3) / 2)
    assert told["linefeed_bits"] == pytest.approx(1)
    assert told["rest_bits"] == pytest.approx((2 + 1) / 2)
    # At 1/8 another symbol has more.
    assert (told["keyword_accuracy"], told["linefeed_accuracy"]) == (0.5, 1)
    pairs = [(END, 4), (4, 5), (5, 2), (2, 6), (6, 2), (END, 6), (6, 2)]
    bits = [-math.log2(float(anchor.probability(np.array(v), np.array(w)))) for v, w in pairs]
    assert told["bigram_bits_per_character"] == pytest.approx(sum(bits) / 7)
    told_some = told["bigram_told_keywords_and_linefeeds_bits_per_character"]
    assert told_some == pytest.approx((bits[0] + bits[5]) / 7)


def test_a_picture_costs_what_the_answers_do():
    batch = jax.tree.map(lambda x: x[:, 0], hand_made())
    logits = jax.random.normal(jax.random.key(0), (10, MARKS + 3))
    shown, expected, chance = scores.picture(batch, logits)
    assert shown.argmax(axis=1).tolist() == [0, 1, 2, 1, 2, 3, 4, 4, 2, 4]
    assert shown.sum(axis=1).tolist() == [1] * 10
    assert expected[5:].argmax(axis=1).tolist() == [2, 0, 1, 0, 1]
    nats = -jnp.log(jnp.sum(chance * expected, axis=1)[5:]).sum()
    alone = jax.tree.map(lambda x: x[:, None], batch)
    whole = losses.SYMBOLS.nats(logits[:, None], alone.targets, alone.mask)[0]
    np.testing.assert_allclose(nats, whole, rtol=1e-5)
