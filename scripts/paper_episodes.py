"""Draws episodes of the paper's five tasks (arXiv 1410.5401, sections 4.1 to 4.5) in NumPy, from its text alone.

It imports nothing of the package and shares no code with `ntm_jax.tasks`. Only the layout of the channels is that of the
package: the vector first, then the tasks' other channels, in the order of the constants below.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

VECTOR_BITS = 8  # of copy, repeat copy and priority sort
DELIMITER = VECTOR_BITS  # copy: the input channel after the vector
COUNT = VECTOR_BITS  # repeat copy: input
END = VECTOR_BITS  # repeat copy: output
PRIORITY, SORT_DELIMITER = VECTOR_BITS, VECTOR_BITS + 1  # priority sort
ITEM_BITS, ITEM_VECTORS = 6, 3  # associative recall
ITEM, QUERY = ITEM_BITS, ITEM_BITS + 1
REPEATS = np.arange(1, 11)  # of training, over which the count has mean 0 and variance 1
CONTEXT = 5  # bits that an n-gram source looks back


@dataclass(frozen=True)
class Episodes:
    """Holds B episodes of one difficulty, time-major."""

    inputs: np.ndarray  # [T, B, in], float32
    targets: np.ndarray  # [T, B, out], booleans
    scored: np.ndarray  # [T], booleans: the steps whose outputs count


def draw_copy(rng: np.random.Generator, episodes: int, length: int) -> Episodes:
    """Draws episodes of copy: vectors, a delimiter, then the vectors again."""
    vectors = _bits(rng, length, episodes, VECTOR_BITS)
    blank = _empty(2 * length + 1, episodes, VECTOR_BITS + 1, VECTOR_BITS)
    blank.inputs[:length, :, :VECTOR_BITS] = vectors
    blank.inputs[length, :, DELIMITER] = 1
    return _answered(blank, vectors)


def draw_repeat_copy(
    rng: np.random.Generator, episodes: int, length: int, repeats: int
) -> Episodes:
    """Draws episodes of repeat copy: vectors and a count, then the vectors so many times and an end marker."""
    vectors = _bits(rng, length, episodes, VECTOR_BITS)
    blank = _empty(length + 1 + length * repeats + 1, episodes, VECTOR_BITS + 1, VECTOR_BITS + 1)
    blank.inputs[:length, :, :VECTOR_BITS] = vectors
    blank.inputs[length, :, COUNT] = (repeats - REPEATS.mean()) / REPEATS.std()
    answer = np.zeros((length * repeats + 1, episodes, VECTOR_BITS + 1), dtype=bool)
    answer[:-1, :, :VECTOR_BITS] = np.concatenate([vectors] * repeats)
    answer[-1, :, END] = True
    return _answered(blank, answer)


def draw_associative_recall(rng: np.random.Generator, episodes: int, items: int) -> Episodes:
    """Draws episodes of associative recall: items, then one of them but the last; the answer is the next item."""
    shown = _bits(rng, items * ITEM_VECTORS, episodes, ITEM_BITS)
    shown = shown.reshape(items, ITEM_VECTORS, episodes, ITEM_BITS)
    asked = rng.integers(items - 1, size=episodes)
    each = ITEM_VECTORS + 1  # a delimiter before the vectors
    steps = each * (items + 1) + 1 + ITEM_VECTORS
    blank = _empty(steps, episodes, ITEM_BITS + 2, ITEM_BITS)
    for number, vectors in enumerate(shown):
        blank.inputs[number * each, :, ITEM] = 1
        blank.inputs[number * each + 1 : (number + 1) * each, :, :ITEM_BITS] = vectors
    query = items * each
    blank.inputs[[query, query + each], :, QUERY] = 1
    answer = np.zeros((ITEM_VECTORS, episodes, ITEM_BITS), dtype=bool)
    for episode, item in enumerate(asked):
        blank.inputs[query + 1 : query + each, episode, :ITEM_BITS] = shown[item, :, episode]
        answer[:, episode] = shown[item + 1, :, episode]
    return _answered(blank, answer)


def draw_ngram(rng: np.random.Generator, episodes: int, length: int) -> Episodes:
    """Draws episodes of dynamic n-grams: each bit but the last is an input, and the target is the bit after it."""
    table = rng.beta(0.5, 0.5, size=(episodes, 2**CONTEXT))
    everyone = np.arange(episodes)
    bits = np.zeros((length, episodes), dtype=bool)
    bits[:CONTEXT] = _bits(rng, CONTEXT, episodes)
    for step in range(CONTEXT, length):
        probability = table[everyone, _context(bits, step)]
        bits[step] = rng.random(episodes) < probability
    blank = _empty(length - 1, episodes, 1, 1)
    blank.inputs[:, :, 0] = bits[:-1]
    return _answered(blank, bits[CONTEXT:, :, None])


def draw_priority_sort(rng: np.random.Generator, episodes: int, items: int, kept: int) -> Episodes:
    """Draws episodes of priority sort: vectors with priorities, then those of the highest, highest first."""
    vectors = _bits(rng, items, episodes, VECTOR_BITS)
    priorities = rng.uniform(-1, 1, size=(items, episodes))
    blank = _empty(items + 1 + kept, episodes, VECTOR_BITS + 2, VECTOR_BITS)
    blank.inputs[:items, :, :VECTOR_BITS] = vectors
    blank.inputs[:items, :, PRIORITY] = priorities
    blank.inputs[items, :, SORT_DELIMITER] = 1
    highest = np.argsort(-priorities, axis=0)[:kept]
    return _answered(blank, np.take_along_axis(vectors, highest[:, :, None], axis=0))


DRAW: Mapping[str, Callable[..., Episodes]] = {
    "copy": draw_copy,
    "repeat_copy": draw_repeat_copy,
    "associative_recall": draw_associative_recall,
    "ngram": draw_ngram,
    "priority_sort": draw_priority_sort,
}


def optimal_bits(episodes: Episodes) -> np.ndarray:
    """Returns what the best predictor of n-grams costs, `[B]`, in bits per sequence.

    It predicts a 1 with probability (N1 + 1/2) / (N0 + N1 + 1), where N0 and N1 count what has followed the same
    context in the same episode (section 4.4).
    """
    bits = np.concatenate([episodes.inputs[:, :, 0] > 0.5, episodes.targets[-1:, :, 0]])
    everyone = np.arange(bits.shape[1])
    counts = np.zeros((bits.shape[1], 2**CONTEXT, 2))
    cost = np.zeros(bits.shape[1])
    for step in range(CONTEXT, len(bits)):
        context, outcome = _context(bits, step), bits[step].astype(int)
        seen = counts[everyone, context]  # [B, 2]
        cost -= np.log2((seen[everyone, outcome] + 0.5) / (seen.sum(axis=1) + 1))
        counts[everyone, context, outcome] += 1
    return cost


def bits_per_sequence(logits: np.ndarray, episodes: Episodes) -> np.ndarray:
    """Returns the cross-entropy of logits `[T, B, out]` over scored steps, `[B]`, in bits, computed in float64."""
    wanted = episodes.targets[episodes.scored]
    given = logits[episodes.scored].astype(np.float64)
    # -log sigmoid(x) = log(1 + exp(-x)), of -x where the target is 0
    nats = np.logaddexp(0, np.where(wanted, -given, given))
    return nats.sum(axis=(0, 2)) / np.log(2)


def wrong_bits(logits: np.ndarray, episodes: Episodes) -> np.ndarray:
    """Counts the output bits of logits `[T, B, out]` on the wrong side of 1/2, `[B]`."""
    wrong = (logits > 0) != episodes.targets
    return wrong[episodes.scored].sum(axis=(0, 2))


def _bits(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.random(shape) < 0.5


def _context(bits: np.ndarray, step: int) -> np.ndarray:
    """Returns the number that the bits before a step make, the latest the lowest: `[length, B]` -> `[B]`."""
    weights = 2 ** np.arange(CONTEXT - 1, -1, -1)
    return weights @ bits[step - CONTEXT : step]


def _empty(steps: int, episodes: int, inputs: int, outputs: int) -> Episodes:
    return Episodes(
        np.zeros((steps, episodes, inputs), dtype=np.float32),
        np.zeros((steps, episodes, outputs), dtype=bool),
        np.zeros(steps, dtype=bool),
    )


def _answered(blank: Episodes, answer: np.ndarray) -> Episodes:
    """Puts the answer `[A, B, out]` on the last steps, which are scored."""
    blank.targets[-len(answer) :] = answer
    blank.scored[-len(answer) :] = True
    return blank
