"""N-grams: the tables behind the bits, and the best possible predictor."""

import dataclasses
import functools
import math

import jax
import numpy as np
import pytest

from ntm_jax.tasks import Batch, Task, make
from tests.helpers.episodes import (
    EPISODES,
    UNLIKELY,
    assert_evenly,
    first,
    sample,
)
from tests.helpers.task_oracles import (
    NGRAM_OF_2,
)

pytestmark = pytest.mark.usefixtures("quick_compile")


@pytest.mark.parametrize(("progress", "looks_back"), [(0.0, 1), (0.5, 3), (0.8, 4), (1.0, 5)])
def test_a_curriculum_of_ngrams_looks_back_further_and_further(progress, looks_back) -> None:
    """After a context, how often a 1 comes depends on its newest bits alone: the rest splits it evenly."""
    episodes = 50
    task = make("ngram", length=4000)
    batch = jax.jit(task.sample, static_argnums=1)(jax.random.key(0), episodes, progress)
    bits = np.asarray(batch.inputs[:, :, 0], int)
    contexts = sum(bits[4 - age : -1 - age] << age for age in range(5))
    after = bits[5:]
    for looked in range(1, 6):
        spread = []
        for one in range(episodes):
            counts = np.zeros((2, 32))
            np.add.at(counts, (after[:, one], contexts[:, one]), 1)
            zeros, ones = counts.reshape(2, -1, 2**looked).swapaxes(1, 2)  # [newest, older]
            visits = zeros + ones
            expected = visits * (ones.sum(-1) / np.maximum(visits.sum(-1), 1))[:, None]
            variance = expected * (1 - expected / np.maximum(visits, 1))
            known = variance > 3
            spread.extend(((ones - expected) ** 2)[known] / variance[known])
        # One of the groups' free numbers is spent on its own mean, hence below 1.
        assert (np.mean(spread) < 1.2) == (looked >= looks_back), (looked, np.mean(spread))


NGRAM = make("ngram")

MANY = 4 * EPISODES


@functools.cache
def many() -> Batch:
    """Enough episodes for fine statistics."""
    batches = [sample(NGRAM, seed=seed) for seed in range(4)]
    return jax.tree.map(lambda *arrays: np.concatenate(arrays, axis=1), *batches)


@dataclasses.dataclass
class Seen:
    """What had followed the contexts of every predicted bit when it was drawn, `[predictions, B]`."""

    bit: np.ndarray
    zeros: np.ndarray
    ones: np.ndarray
    first: np.ndarray  # where the context is the episode's first, and comes back for the first time
    alike: np.ndarray  # [6, predictions, B], 1 or -1, the bit that the contexts one bit away, and


@functools.cache
def seen_so_far() -> Seen:
    batch = many()
    bits = np.concatenate([batch.inputs[:, :, 0], batch.targets[-1:, :, 0]]).astype(int)
    episode = np.arange(MANY)
    counts = np.zeros((MANY, 32, 2), int)
    steps = []
    for step in range(5, 200):
        context = sum(bits[step - back] << (back - 1) for back in range(1, 6))
        if step == 5:
            start = context
        bit = bits[step]
        zeros, ones = counts[episode, context].T
        others = [counts[episode, context ^ (1 << place)] for place in range(5)]
        others.append(counts.sum(axis=1) - counts[episode, context])
        alike = np.sign([other[:, 1] - other[:, 0] for other in others])
        steps.append((bit, zeros, ones, (context == start) & (zeros + ones == 1), alike))
        counts[episode, context, bit] += 1
    bit, zeros, ones, first, alike = (np.stack(column) for column in zip(*steps, strict=True))
    return Seen(bit, zeros, ones, first, alike.swapaxes(0, 1))


def deviations(bits: np.ndarray, chances: np.ndarray) -> float:
    """How many standard deviations the number of ones is off, each `bits` being 1 with its chance."""
    return float(np.sum(bits - chances) / np.sqrt(np.sum(chances * (1 - chances))))


def test_ngram_first_bits_are_fair_coins() -> None:
    bits = many().inputs[:5, :, 0]
    numbers = np.sum(bits * 2 ** np.arange(5)[:, None], axis=0)
    assert_evenly(numbers, range(32))


@pytest.mark.parametrize("visits", range(7))
def test_ngram_tables_are_drawn_from_beta_half_half(visits: int) -> None:
    # Having given `ones` of `visits`, a probability from Beta(1/2, 1/2) gives a 1 next with probability
    # (ones + 1/2) / (visits + 1), whichever contexts were visited in between: the moments of the distribution.
    seen = seen_so_far()
    for ones in range(visits + 1):
        here = (seen.zeros == visits - ones) & (seen.ones == ones)
        assert here.sum() > 500
        chance = np.full(here.sum(), (ones + 0.5) / (visits + 1))
        assert abs(deviations(seen.bit[here], chance)) < UNLIKELY


def test_ngram_contexts_have_a_probability_each() -> None:
    # What other contexts favoured, one bit away or all together, says nothing about this one.
    seen = seen_so_far()
    chance = (seen.ones + 0.5) / (seen.zeros + seen.ones + 1)
    for favoured in seen.alike:
        surprise = np.sum(favoured * (seen.bit - chance))
        spread = np.sqrt(np.sum(favoured**2 * chance * (1 - chance)))
        assert abs(surprise / spread) < UNLIKELY


def test_ngram_first_prediction_has_the_first_bits_as_context() -> None:
    seen = seen_so_far()
    first_bit = np.broadcast_to(seen.bit[0], seen.bit.shape)
    agrees = (seen.bit == first_bit)[seen.first]
    assert len(agrees) > 1000
    assert abs(deviations(agrees, np.full(len(agrees), 0.75))) < UNLIKELY


@pytest.mark.parametrize(
    "task",
    [NGRAM, NGRAM_OF_2],
    ids=str,
)
def test_ngram_optimum_counts_what_followed_each_context(task: Task) -> None:
    batch = jax.tree.map(lambda array: array[:, :20], sample(task))
    probability = np.asarray(task.optimal_probability(batch))
    cost = np.asarray(task.optimal_nats(batch))
    assert probability.shape == (task.steps, 20, 1)
    for example, episode in enumerate(first(20, batch)):
        bits = [int(bit) for bit in (*episode.inputs[:, 0], episode.targets[-1, 0])]
        followed: dict[tuple, list] = {}
        expected, nats = [0.5] * (task.context - 1), 0.0
        for place in range(task.context, len(bits)):
            so_far = followed.setdefault(tuple(bits[place - task.context : place]), [])
            chance = (so_far.count(1) + 0.5) / (len(so_far) + 1)
            nats -= math.log(chance if bits[place] else 1 - chance)
            expected.append(chance)
            so_far.append(bits[place])
        np.testing.assert_allclose(probability[:, example, 0], expected, rtol=1e-6)
        assert cost[example] == pytest.approx(nats, rel=1e-5)


@functools.cache
def optimal_bits() -> np.ndarray:
    """`[MANY]`, the optimum's cost in bits."""
    nats = jax.jit(NGRAM.optimal_nats)(many())
    return np.asarray(nats, np.float64) / math.log(2)


def test_ngram_optimum_costs_what_it_did_elsewhere() -> None:
    bits = optimal_bits()
    assert bits.shape == (MANY,)
    error = math.hypot(0.6, bits.std() / math.sqrt(MANY))  # 127.5 +- 0.6 on 4,000 episodes
    assert abs(bits.mean() - 127.5) < 3 * error
    assert 33 < bits.std() < 39


def test_ngram_optimum_beats_every_constant() -> None:
    ones = many().targets[5 - 1 :, :, 0].sum(axis=0, dtype=np.float64)
    for chance in np.linspace(0.01, 0.99, 99):
        constant = -(ones * np.log2(chance) + (195 - ones) * np.log2(1 - chance))
        assert optimal_bits().mean() < constant.mean() - 50
    # The best constant in hindsight, one for each episode, loses too.
    share = np.clip(ones / 195, 1e-9, 1 - 1e-9)
    hindsight = -(ones * np.log2(share) + (195 - ones) * np.log2(1 - share))
    assert optimal_bits().mean() < hindsight.mean() - 20


@pytest.mark.parametrize("pseudocount", [0.1, 0.4, 0.6, 1.0])
def test_ngram_optimum_beats_other_pseudocounts(pseudocount: float) -> None:
    seen = seen_so_far()
    chance = (seen.ones + pseudocount) / (seen.zeros + seen.ones + 2 * pseudocount)
    other = -np.log2(np.where(seen.bit == 1, chance, 1 - chance)).sum(axis=0)
    lost = other - optimal_bits()
    assert lost.mean() > 3 * lost.std() / math.sqrt(MANY)
