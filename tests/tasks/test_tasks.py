"""The tasks, against episodes written down step by step from what their inputs show."""

import dataclasses
import functools
import json
import math
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntm_jax.errors import UserError
from ntm_jax.tasks import TASKS, Batch, Task, make

pytestmark = pytest.mark.usefixtures("quick_compile")

# Every batch that is drawn here, in one size: compiling takes longer than drawing.
EPISODES = 1000

# Statistical tests run on fixed seeds; a right task is nowhere this many standard deviations off.
UNLIKELY = 4.5

DEFAULTS = {
    "copy": make("copy"),
    "copy_two_flags": make("copy", flags=2),
    "repeat_copy_scalar": make("repeat_copy"),
    "repeat_copy_binary": make("repeat_copy", count="binary"),
    "repeat_copy_linear": make("repeat_copy", count="linear"),
    "associative_recall": make("associative_recall"),
    "ngram": make("ngram"),
    "priority_sort": make("priority_sort"),
}
every_task = pytest.mark.parametrize("task", DEFAULTS.values(), ids=DEFAULTS.keys())


@functools.cache
def sampler(task: Task):
    # XLA takes three times as long to compile the random numbers with its fusion emitters.
    options = {"xla_cpu_use_fusion_emitters": False, "xla_cpu_parallel_codegen_split_count": 1}
    return jax.jit(task.sample, static_argnums=1, compiler_options=options)


@functools.cache
def sample(task: Task, progress: float = 1.0, seed: int = 0) -> Batch:
    """A batch of `EPISODES`, as NumPy arrays."""
    batch = sampler(task)(jax.random.key(seed), EPISODES, jnp.float32(progress))
    return jax.tree.map(np.asarray, batch)


def first(n: int, batch: Batch) -> Iterator[Batch]:
    """The first `n` episodes of a batch, one by one."""
    for b in range(n):
        yield jax.tree.map(lambda array, b=b: array[:, b], batch)


def assert_equal(batch: Batch, expected: Batch) -> None:
    """Equal but for the rounding of the two inputs that are not bits: a scalar count, a priority."""
    np.testing.assert_allclose(batch.inputs, expected.inputs, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(batch.targets, expected.targets)
    np.testing.assert_array_equal(batch.mask, expected.mask)


# ---- Writing an episode down: a list of (what is put in, what is to come out or None)


def row(width: int, vector=(), channel: int | None = None, value: float = 1.0) -> np.ndarray:
    """A step's channels: a vector first, one other channel set."""
    channels = np.zeros(width)
    channels[: len(vector)] = vector
    if channel is not None:
        channels[channel] = value
    return channels


def padded(task: Task, steps: list) -> Batch:
    """The steps as one episode, padded with zeros that are not scored."""
    inputs = np.zeros((task.steps, task.input_size))
    targets = np.zeros((task.steps, task.output_size))
    mask = np.zeros(task.steps)
    for step, (given, answer) in enumerate(steps):
        inputs[step] = given
        if answer is not None:
            targets[step] = answer
            mask[step] = 1
    return Batch(inputs, targets, mask)


def only(channel: np.ndarray) -> int:
    """The one step where a channel is not zero."""
    (step,) = np.flatnonzero(channel)
    return int(step)


def read_copy(task: Task, episode: Batch) -> tuple[dict, list]:
    width, delimiter = task.input_size, task.input_size - 1
    opening = [row(width, channel=task.bits)] if task.flags == 2 else []
    end = only(episode.inputs[:, delimiter]) - len(opening)
    vectors = episode.inputs[len(opening) : end + len(opening), : task.bits]
    steps = [(given, None) for given in opening]
    steps += [(row(width, vector), None) for vector in vectors]
    steps += [(row(width, channel=delimiter), None)]
    steps += [(row(width), vector) for vector in vectors]
    return {"length": end}, steps


def read_repeat_copy(task: Task, episode: Batch) -> tuple[dict, list]:
    inputs, bits, width = episode.inputs, task.width, task.input_size
    one_to_ten = range(1, 11)
    if task.count == "scalar":
        end = only(inputs[:, bits])
        vectors = inputs[:end, :bits]
        repeats = round(inputs[end, bits] * np.std(one_to_ten) + np.mean(one_to_ten))
        normalised = (repeats - np.mean(one_to_ten)) / np.std(one_to_ten)
        opening, count = [], [row(width, channel=bits, value=normalised)]
    elif task.count == "binary":
        start, over, digits, closed = inputs[:, bits:].T
        assert only(start) == 0
        vectors = inputs[1 : only(over), :bits]
        written = digits[only(over) + 1 : only(closed)]
        repeats = round(sum(digit * 2**place for place, digit in enumerate(written)))
        opening, count = [row(width, channel=bits)], [row(width, channel=bits + 1)]
        for digit in reversed(f"{repeats:b}"):
            count.append(row(width, channel=bits + 2, value=float(digit)))
        count.append(row(width, channel=bits + 3))
    else:
        start, ones, closed = inputs[:, bits:].T
        assert only(start) == 0
        repeats = len(np.flatnonzero(ones))
        vectors = inputs[1 : only(closed) - repeats, :bits]
        opening = [row(width, channel=bits)]
        count = [row(width, channel=bits + 1)] * repeats + [row(width, channel=bits + 2)]

    steps = [(given, None) for given in opening]
    steps += [(row(width, vector), None) for vector in vectors]
    steps += [(given, None) for given in count]
    for _ in range(repeats):
        steps += [(row(width), row(bits + 1, vector)) for vector in vectors]
    steps += [(row(width), row(bits + 1, channel=bits))]
    return {"length": len(vectors), "repeats": repeats}, steps


def read_associative_recall(task: Task, episode: Batch) -> tuple[dict, list]:
    inputs, bits, width = episode.inputs, task.bits, task.bits + 2
    starts = np.flatnonzero(inputs[:, bits])
    items = [inputs[start + 1 : start + 1 + task.item_length, :bits] for start in starts]
    opened, closed = np.flatnonzero(inputs[:, bits + 1])
    query = inputs[opened + 1 : closed, :bits]
    # No item but the last is asked for. Two equal items are rare; none is among the episodes read here.
    (asked,) = (i for i, item in enumerate(items[:-1]) if np.array_equal(item, query))
    steps = []
    for item in items:
        steps += [(row(width, channel=bits), None)]
        steps += [(row(width, vector), None) for vector in item]
    steps += [(row(width, channel=bits + 1), None)]
    steps += [(row(width, vector), None) for vector in items[asked]]
    steps += [(row(width, channel=bits + 1), None)]
    steps += [(row(width), vector) for vector in items[asked + 1]]
    return {"items": len(items)}, steps


def read_ngram(task: Task, episode: Batch) -> tuple[dict, list]:
    # The last bit is predicted but never shown.
    bits = [*episode.inputs[:, 0], episode.targets[-1, 0]]
    assert set(bits) <= {0.0, 1.0}
    steps = []
    for step in range(len(bits) - 1):
        predicted = step + 1 >= task.context
        steps.append((row(1, [bits[step]]), [bits[step + 1]] if predicted else None))
    return {"length": len(bits)}, steps


def read_priority_sort(task: Task, episode: Batch) -> tuple[dict, list]:
    inputs, bits, width = episode.inputs, task.bits, task.bits + 2
    items = only(inputs[:, bits + 1])
    steps = []
    for step in range(items):
        vector, priority = inputs[step, :bits], inputs[step, bits]
        steps.append((row(width, vector, channel=bits, value=priority), None))
    steps.append((row(width, channel=bits + 1), None))
    left = list(range(items))
    for _ in range(task.kept):
        best = left[0]
        for item in left:
            if inputs[item, bits] > inputs[best, bits]:
                best = item
        left.remove(best)
        steps.append((row(width), inputs[best, :bits]))
    return {"items": items, "kept": task.kept}, steps


READERS = {
    "copy": read_copy,
    "repeat_copy": read_repeat_copy,
    "associative_recall": read_associative_recall,
    "ngram": read_ngram,
    "priority_sort": read_priority_sort,
}


def read(task: Task, episode: Batch) -> tuple[dict, list]:
    """The difficulty that an episode's inputs show, and the whole episode as they imply it."""
    return READERS[task.name](task, episode)


def drawn(task: Task, batch: Batch) -> dict[str, np.ndarray]:
    """`[B]`, the difficulty of every episode; at its fastest, for `read` is the one that checks."""
    inputs, scored = batch.inputs, batch.mask.sum(axis=0).astype(int)
    if task.name == "copy":
        return {"length": scored}
    if task.name == "associative_recall":
        return {"items": inputs[:, :, task.bits].sum(axis=0).astype(int)}
    if task.count == "linear":
        repeats = inputs[:, :, task.width + 1].sum(axis=0).astype(int)
        return {"length": (scored - 1) // repeats, "repeats": repeats}
    if task.count == "binary":
        length = np.argmax(inputs[:, :, task.width + 1], axis=0) - 1
    else:
        length = np.argmax(inputs[:, :, task.width] != 0, axis=0)
    return {"length": length, "repeats": (scored - 1) // length}


def where(task: Task, **difficulty: int) -> Batch:
    """The episodes of that difficulty."""
    batch = sample(task)
    here = np.full(EPISODES, True)
    for field, value in difficulty.items():
        here &= drawn(task, batch)[field] == value
    return jax.tree.map(lambda array: array[:, here], batch)


# ---- What an episode holds


COPY_3_TO_7 = make("copy", min_length=3, max_length=7, bits=5)
REPEAT_3_TO_20 = make("repeat_copy", max_length=4, min_repeats=3, max_repeats=20)
RECALL_WIDE = make("associative_recall", bits=16)  # so wide that no two items are equal
RECALL_4_TO_9 = make("associative_recall", min_items=4, max_items=9, item_length=2, bits=16)
NGRAM_OF_2 = make("ngram", length=30, context=2)
SORT_WIDE = make("priority_sort", items=7, kept=3, bits=24)


@pytest.mark.parametrize(
    ("task", "mixed"),
    [
        *((task, task.name not in ("ngram", "priority_sort")) for task in DEFAULTS.values()),
        (COPY_3_TO_7, True),
        (REPEAT_3_TO_20, True),
        (make("repeat_copy", count="binary", max_length=3, max_repeats=33, bits=4), True),
        (make("repeat_copy", count="binary", max_length=1, max_repeats=1), False),
        (RECALL_4_TO_9, True),
        (NGRAM_OF_2, False),
        (SORT_WIDE, False),
    ],
    ids=str,
)
def test_episodes_are_what_their_inputs_imply(task: Task, mixed: bool) -> None:
    seen = set()
    for episode in first(120, sample(task)):
        difficulty, steps = read(task, episode)
        seen.add(tuple(difficulty.values()))
        assert_equal(episode, padded(task, steps))
    assert len(seen) > 1 if mixed else len(seen) == 1


PICTURES = {
    "copy": (
        {"length": 3},
        """
        vector  a b c . . . . .
        flag    . . . 1 . . . .
        answer  . . . . a b c .
        scored  . . . . 1 1 1 .
        """,
    ),
    "repeat_copy_scalar": (
        {"length": 2, "repeats": 2},
        """
        vector  a b .       . . . . . .
        flag    . . -1.2185 . . . . . .
        answer  . . .       a b a b . .
        end     . . .       . . . . 1 .
        scored  . . .       1 1 1 1 1 .
        """,
    ),
    "repeat_copy_binary": (  # 6 is 110 in binary
        {"length": 2, "repeats": 6},
        """
        vector  . a b . . . . . . . . . . . . . . . . . . .
        flag    1 . . . . . . . . . . . . . . . . . . . . .
        flag    . . . 1 . . . . . . . . . . . . . . . . . .
        flag    . . . . . 1 1 . . . . . . . . . . . . . . .
        flag    . . . . . . . 1 . . . . . . . . . . . . . .
        answer  . . . . . . . . a b a b a b a b a b a b . .
        end     . . . . . . . . . . . . . . . . . . . . 1 .
        scored  . . . . . . . . 1 1 1 1 1 1 1 1 1 1 1 1 1 .
        """,
    ),
    "repeat_copy_linear": (
        {"length": 2, "repeats": 2},
        """
        vector  . a b . . . . . . . . .
        flag    1 . . . . . . . . . . .
        flag    . . . 1 1 . . . . . . .
        flag    . . . . . 1 . . . . . .
        answer  . . . . . . a b a b . .
        end     . . . . . . . . . . 1 .
        scored  . . . . . . 1 1 1 1 1 .
        """,
    ),
    "associative_recall": (  # of two items, only the first can be asked for
        {"items": 2},
        """
        vector  . a b c . d e f . a b c . . . . .
        flag    1 . . . 1 . . . . . . . . . . . .
        flag    . . . . . . . . 1 . . . 1 . . . .
        answer  . . . . . . . . . . . . . d e f .
        scored  . . . . . . . . . . . . . 1 1 1 .
        """,
    ),
    "ngram": (
        {},
        """
        vector  a b c d e f g h
        answer  . . . . f g h i
        scored  . . . . 1 1 1 1
        """,
    ),
}


@pytest.mark.parametrize("name", PICTURES)
def test_episodes_begin_like_the_picture(name: str) -> None:
    task, (difficulty, picture) = DEFAULTS[name], PICTURES[name]
    rows = [line.split() for line in picture.strip().splitlines()]
    bits = task.input_size - sum(label == "flag" for label, *_ in rows)
    length = len(rows[0]) - 1
    for episode in first(5, where(task, **difficulty)):
        flags = iter(episode.inputs[:length, bits:].T)
        vectors = {".": np.zeros(bits)}
        for label, *cells in rows:
            if label in ("vector", "answer"):
                shown = episode.inputs if label == "vector" else episode.targets
                for vector, cell in zip(shown[:length, :bits], cells, strict=True):
                    np.testing.assert_array_equal(vector, vectors.setdefault(cell, vector))
            else:
                values = {"end": episode.targets[:length, -1], "scored": episode.mask[:length]}
                shown = next(flags) if label == "flag" else values[label]
                expected = [0 if cell == "." else float(cell) for cell in cells]
                np.testing.assert_allclose(shown, expected, atol=1e-4)


@every_task
def test_batches_are_time_major_and_as_long_as_the_longest_episode(task: Task) -> None:
    batch = sample(task)
    assert batch.inputs.shape == (task.steps, EPISODES, task.input_size)
    assert batch.targets.shape == (task.steps, EPISODES, task.output_size)
    assert batch.mask.shape == (task.steps, EPISODES)
    assert {array.dtype for array in jax.tree.leaves(batch)} == {np.dtype("float32")}
    assert batch.mask[-1].any()


@pytest.mark.parametrize(
    ("task", "steps", "input_size", "output_size"),
    [
        (make("copy"), 20 + 1 + 20, 9, 8),
        (make("repeat_copy"), 10 + 1 + 100 + 1, 9, 9),
        (make("repeat_copy", count="binary"), 1 + 10 + 1 + 4 + 1 + 100 + 1, 10, 7),
        (make("repeat_copy", count="linear"), 1 + 10 + 10 + 1 + 100 + 1, 9, 7),
        (make("repeat_copy", count="linear", bits=8), 1 + 10 + 10 + 1 + 100 + 1, 11, 9),
        (make("associative_recall"), 6 * 4 + 1 + 3 + 1 + 3, 8, 6),
        (make("ngram"), 199, 1, 1),
        (make("priority_sort"), 20 + 1 + 16, 10, 8),
    ],
    ids=str,
)
def test_sizes_are_those_of_the_paper_and_of_the_go_program(
    task: Task, steps: int, input_size: int, output_size: int
) -> None:
    assert (task.steps, task.input_size, task.output_size) == (steps, input_size, output_size)


@every_task
def test_targets_and_mask_are_0_or_1_and_padding_is_zero(task: Task) -> None:
    batch = sample(task)
    assert np.isin(batch.targets, (0, 1)).all()
    assert np.isin(batch.mask, (0, 1)).all()
    assert not batch.targets[batch.mask == 0].any()
    for episode in first(EPISODES, batch):
        scored = np.flatnonzero(episode.mask)
        np.testing.assert_array_equal(scored, np.arange(scored[0], scored[-1] + 1))
        assert not episode.inputs[scored[-1] + 1 :].any()
        if task.name != "ngram":  # the only task that is told something while it answers
            assert not episode.inputs[scored].any()


# How many steps are scored, by difficulty.
SCORED = {
    "copy": lambda length: length,
    "repeat_copy": lambda length, repeats: length * repeats + 1,
    "associative_recall": lambda items: 3,
    "ngram": lambda length: length - 5,
    "priority_sort": lambda items, kept: kept,
}


@every_task
def test_number_of_scored_steps(task: Task) -> None:
    for episode in first(120, sample(task)):
        assert episode.mask.sum() == SCORED[task.name](**read(task, episode)[0])


# ---- How episodes are drawn


@every_task
def test_a_key_decides_everything(task: Task) -> None:
    batch = sample(task)
    again = sampler(task)(jax.random.key(0), EPISODES, jnp.float32(1))
    jax.tree.map(np.testing.assert_array_equal, batch, again)
    assert not np.array_equal(batch.inputs, sample(task, seed=1).inputs)


@pytest.mark.parametrize(
    "name", ["copy", "repeat_copy_binary", "associative_recall", "ngram", "priority_sort"]
)
def test_a_batch_is_its_episodes_each_from_a_key_of_its_own(name: str) -> None:
    """The batch is jitted and vmapped, the episode alone is neither."""
    task = DEFAULTS[name]
    keys = jax.random.split(jax.random.key(0), EPISODES)
    episodes = list(first(EPISODES, sample(task)))
    for b in (0, 1, EPISODES - 1):
        alone = task.episode(keys[b], jnp.float32(1))
        assert_equal(jax.tree.map(np.asarray, alone), episodes[b])
    for other in episodes[1:10]:
        assert not np.array_equal(episodes[0].inputs, other.inputs)


def test_everything_is_open_without_a_curriculum_and_whole_numbers_will_do() -> None:
    task, key = DEFAULTS["copy"], jax.random.key(0)
    assert_equal(sampler(task)(key, EPISODES), sample(task))
    assert_equal(sampler(task)(key, EPISODES, 0), sample(task, 0.0))


@every_task
def test_tasks_are_values(task: Task) -> None:
    copy = dataclasses.replace(task)
    assert copy == task
    assert hash(copy) == hash(task)
    assert make(task.name, **dataclasses.asdict(task)) == task


def assert_evenly(values: np.ndarray, among: range) -> None:
    """Every one of `among` about equally often, nothing else."""
    n, share = len(values), 1 / len(among)
    assert set(values) <= set(among)
    counts = np.array([np.sum(values == value) for value in among])
    assert counts.min() > 0
    assert np.abs(counts - n * share).max() <= UNLIKELY * math.sqrt(n * share * (1 - share))


RANGES = [
    (DEFAULTS["copy"], "length", range(1, 21)),
    (COPY_3_TO_7, "length", range(3, 8)),
    (DEFAULTS["repeat_copy_scalar"], "length", range(1, 11)),
    (DEFAULTS["repeat_copy_scalar"], "repeats", range(1, 11)),
    (DEFAULTS["repeat_copy_binary"], "length", range(1, 11)),
    (DEFAULTS["repeat_copy_binary"], "repeats", range(1, 11)),
    (DEFAULTS["repeat_copy_linear"], "length", range(1, 11)),
    (DEFAULTS["repeat_copy_linear"], "repeats", range(1, 11)),
    (REPEAT_3_TO_20, "repeats", range(3, 21)),
    (DEFAULTS["associative_recall"], "items", range(2, 7)),
    (RECALL_4_TO_9, "items", range(4, 10)),
]


@pytest.mark.parametrize(("task", "field", "values"), RANGES, ids=str)
def test_difficulties_cover_their_range_evenly(task: Task, field: str, values: range) -> None:
    assert_evenly(drawn(task, sample(task))[field], values)


@pytest.mark.parametrize("count", ["scalar", "binary", "linear"])
def test_length_and_repeats_are_drawn_independently(count: str) -> None:
    task = make("repeat_copy", count=count)
    difficulty = drawn(task, sample(task))
    rank = {field: (values - 1) // 2 for field, values in difficulty.items()}  # 0 to 4
    assert_evenly(5 * rank["length"] + rank["repeats"], range(25))


@pytest.mark.parametrize(
    ("name", "opening", "fields"),
    [
        ("copy", 0, {"bits": 8}),
        ("copy", 1, {"bits": 3, "flags": 2}),
        ("repeat_copy", 0, {"bits": 8}),
        ("repeat_copy", 1, {"bits": 6, "count": "binary"}),
        ("repeat_copy", 1, {"bits": 6, "count": "linear"}),
    ],
)
def test_some_more_vectors_are_all_zeros(name: str, opening: int, fields: dict) -> None:
    """The answer has them as any others; test episodes have no more of them than chance gives."""
    task = make(name, zero_vector_percent=30, min_length=10, max_length=10, **fields)
    batch = sample(task)
    zeros = (batch.inputs[opening : opening + 10, :, : task.bits] == 0).all(axis=-1)
    expected = 0.3 + 0.7 / 2**task.bits
    assert abs(zeros.mean() - expected) < 4.5 * math.sqrt(expected * (1 - expected) / zeros.size)
    for episode in first(20, batch):
        assert_equal(episode, padded(task, read(task, episode)[1]))
    assert {case.task.zero_vector_percent for case in task.cases()} == {0}


@pytest.mark.parametrize(("task", "field", "values"), RANGES, ids=str)
def test_a_curriculum_opens_the_range_from_below(task: Task, field: str, values: range) -> None:
    low, high = values[0], values[-1]
    hardest = []
    for progress in (-1.0, 0.0, 0.25, 0.5, 0.75, 1.0, 2.0):
        difficulty = drawn(task, sample(task, progress))[field]
        share = min(max(progress, 0), 1)
        assert difficulty.min() == low
        assert abs(difficulty.max() - (low + share * (high - low))) < 1
        assert_evenly(difficulty, range(low, difficulty.max() + 1))
        hardest.append(difficulty.max())
    assert hardest == sorted(hardest)
    assert hardest[:2] == [low, low]
    assert hardest[-2:] == [high, high]


@pytest.mark.parametrize("progress", [0.0, 0.3, 0.5, 0.8, 1.0])
def test_a_curriculum_of_sort_lists_more_and_more_and_answers_the_same_share(progress) -> None:
    full = make("priority_sort")
    items = round(2 + progress * 18)
    shorter = make("priority_sort", items=items, kept=max(items * 16 // 20, 1))
    for episode in first(20, sample(full, progress)):
        _, steps = read(shorter, episode)
        assert_equal(episode, padded(full, steps))


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


@every_task
def test_bits_are_fair_and_independent(task: Task) -> None:
    """Of the first six vectors (recall: of two items), each bit alone, and every two of them.

    Beside the bits: the difficulty and the priorities, on which no bit depends.
    """
    inputs, beside = sample(task).inputs, []
    if task.name == "ngram":
        vectors = inputs[:5]
    elif task.name == "priority_sort":
        vectors = inputs[:6, :, : task.bits]
        beside = inputs[:6, :, task.bits] * math.sqrt(3)  # the variance of U[-1, 1] is 1/3
    else:
        difficulty = drawn(task, sample(task))
        if task.name == "associative_recall":
            long_enough = difficulty["items"] >= 2
            vectors = inputs[[1, 2, 3, 5, 6, 7], :, : task.bits]
        else:
            long_enough = difficulty["length"] >= 6
            flagged = task.flags == 2 if task.name == "copy" else task.count != "scalar"
            opening = int(flagged)  # the start flag
            bits = task.bits if task.name == "copy" else task.width
            vectors = inputs[opening : opening + 6, :, :bits]
        vectors = vectors[:, long_enough]
        for values in difficulty.values():
            values = values[long_enough]
            beside.append((values - values.mean()) / values.std())
    episodes = vectors.shape[1]
    assert episodes > 400
    columns = (2 * vectors - 1).swapaxes(0, 1).reshape(episodes, -1)
    columns = np.column_stack([columns, *beside])  # [B, everything], of mean 0 and variance 1
    assert np.abs(columns.mean(axis=0)).max() * math.sqrt(episodes) < UNLIKELY
    correlations = np.triu(columns.T @ columns, k=1) / math.sqrt(episodes)
    assert np.abs(correlations).max() < UNLIKELY


# ---- Repeat copy


@pytest.mark.parametrize("task", [DEFAULTS["repeat_copy_scalar"], REPEAT_3_TO_20], ids=str)
def test_the_scalar_is_normalised_over_1_to_10_whatever_is_drawn(task: Task) -> None:
    batch = sample(task)
    scalars = batch.inputs[:, :, 8].sum(axis=0)
    repeats = drawn(task, batch)["repeats"]
    np.testing.assert_allclose(scalars, (repeats - 5.5) / math.sqrt(8.25), rtol=1e-5)
    # Each of 1 to 10 once; what the second range lacks of it is 1 and 2.
    values = np.unique(scalars[repeats <= 10]).astype(float)
    values = np.union1d(values, [(n - 5.5) / math.sqrt(8.25) for n in (1, 2) if n < min(repeats)])
    assert len(values) == 10
    assert values.mean() == pytest.approx(0, abs=1e-6)
    assert values.var() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("count", ["scalar", "binary", "linear"])
def test_the_end_is_marked_once_after_the_last_repeat(count: str) -> None:
    for episode in first(EPISODES, sample(make("repeat_copy", count=count))):
        end = only(episode.targets[:, -1])
        assert end == np.flatnonzero(episode.mask)[-1]
        assert not episode.targets[end, :-1].any()


@pytest.mark.parametrize(("repeats", "digits"), [(1, "1"), (2, "01"), (5, "101"), (10, "0101")])
def test_binary_count_on_time(repeats: int, digits: str) -> None:
    inputs = where(DEFAULTS["repeat_copy_binary"], length=3, repeats=repeats).inputs[:, 0]
    vectors, (start, over, count, closed) = inputs[:, :6], inputs[:, 6:].T
    last = 5 + len(digits)
    assert inputs.shape[1] == 10
    assert (only(start), only(over), only(closed)) == (0, 4, last)
    np.testing.assert_array_equal(count[5:last], [float(digit) for digit in digits])
    assert not count[:5].any()
    assert not count[last:].any()
    assert not vectors[[0, *range(4, len(vectors))]].any()


@pytest.mark.parametrize("repeats", [1, 2, 10])
def test_linear_count_on_time(repeats: int) -> None:
    inputs = where(DEFAULTS["repeat_copy_linear"], length=3, repeats=repeats).inputs[:, 0]
    vectors, (start, count, closed) = inputs[:, :6], inputs[:, 6:].T
    assert inputs.shape[1] == 9
    assert (only(start), only(closed)) == (0, 4 + repeats)
    np.testing.assert_array_equal(np.flatnonzero(count), np.arange(4, 4 + repeats))
    assert set(count) == {0, 1}
    assert not vectors[[0, *range(4, len(vectors))]].any()


# ---- Associative recall


@pytest.mark.parametrize("items", range(2, 7))
def test_every_item_but_the_last_is_asked_for(items: int) -> None:
    batch = where(RECALL_WIDE, items=items)
    asked = []
    for episode in first(batch.mask.shape[1], batch):
        inputs, targets = episode.inputs, episode.targets
        listed = inputs[: 4 * items].reshape(items, 4, 18)[:, 1:, :16]
        query = inputs[4 * items + 1 : 4 * items + 4, :16]
        (place,) = np.flatnonzero((listed == query).all(axis=(1, 2)))
        answer = targets[4 * items + 5 : 4 * items + 8]
        np.testing.assert_array_equal(answer, listed[place + 1])
        asked.append(place)
    assert_evenly(np.array(asked), range(items - 1))


# ---- Priority sort


def test_vectors_stay_whole_and_come_by_priority() -> None:
    for episode in first(120, sample(SORT_WIDE)):
        vectors, priorities = episode.inputs[:7, :24], episode.inputs[:7, 24]
        came_from = []
        for answer in episode.targets[8:]:
            (item,) = np.flatnonzero((vectors == answer).all(axis=1))
            came_from.append(item)
        assert len(set(came_from)) == 3
        assert (np.diff(priorities[came_from]) < 0).all()
        left_out = np.setdiff1d(np.arange(7), came_from)
        assert priorities[left_out].max() < priorities[came_from].min()


def test_priorities_are_uniform_from_minus_1_to_1() -> None:
    priorities = sample(DEFAULTS["priority_sort"]).inputs[:20, :, 8].ravel()
    assert_evenly(np.floor((priorities + 1) * 10).astype(int), range(20))


# ---- N-grams

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
    # at last all of them, have favoured, else 0


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


@every_task
def test_only_ngrams_have_a_known_optimum(task: Task) -> None:
    batch = jax.tree.map(lambda array: array[:, :20], sample(task))
    assert (task.optimal_nats(batch) is None) == (task.name != "ngram")


# ---- Evaluation cases

PAPER = {
    "copy": [{"length": length} for length in (10, 20, 30, 50, 120)],
    "repeat_copy": [
        {"length": 10, "repeats": 10},
        {"length": 20, "repeats": 10},
        {"length": 10, "repeats": 20},
    ],
    "associative_recall": [{"items": items} for items in (6, 12, 15, 20)],
    "ngram": [{"length": 200}],
    "priority_sort": [{"items": 20, "kept": 16}],
}


@every_task
def test_cases_include_the_papers(task: Task) -> None:
    given = [dict(case.difficulty) for case in task.cases()]
    assert all(difficulty in given for difficulty in PAPER[task.name])
    assert json.loads(json.dumps(given)) == given
    if task.name == "associative_recall":
        assert max(difficulty["items"] for difficulty in given) == 20


@every_task
def test_cases_are_named_after_their_difficulty(task: Task) -> None:
    cases = task.cases()
    assert len({case.name for case in cases}) == len(cases)
    for case in cases:
        words = [f"{field}_{value}" for field, value in case.difficulty.items()]
        assert case.name == "_".join(words)


@every_task
def test_cases_change_nothing_but_the_difficulty(task: Task) -> None:
    fields = {field.name for field in dataclasses.fields(task)}
    for case in task.cases():
        fixed = {}
        for field, value in case.difficulty.items():
            bounds = [field] if field in fields else [f"min_{field}", f"max_{field}"]
            fixed.update(dict.fromkeys(bounds, value))
        assert case.task == make(task.name, **(dataclasses.asdict(task) | fixed))


@pytest.mark.parametrize(
    ("task", "name"),
    [
        (DEFAULTS["copy"], "length_120"),
        (DEFAULTS["repeat_copy_scalar"], "length_20_repeats_10"),
        (RECALL_WIDE, "items_20"),
        (DEFAULTS["ngram"], "length_200"),
        (DEFAULTS["priority_sort"], "items_20_kept_16"),
    ],
    ids=str,
)
def test_a_case_has_the_difficulty_that_it_says(task: Task, name: str) -> None:
    (case,) = (case for case in task.cases() if case.name == name)
    batch = sample(case.task)
    for episode in first(30, batch):
        difficulty, steps = read(case.task, episode)
        assert difficulty == case.difficulty
        assert_equal(episode, padded(case.task, steps))
    scored = SCORED[task.name](**case.difficulty)
    np.testing.assert_array_equal(batch.mask.sum(axis=0), scored)
    assert batch.mask[-1].all()  # no step too many


def test_cases_do_not_depend_on_what_is_trained_on() -> None:
    short = make("copy", min_length=2, max_length=3)
    assert [case.task for case in short.cases()] == [case.task for case in make("copy").cases()]


# ---- What a user can get wrong


def test_every_task_has_its_name() -> None:
    assert set(TASKS) == {*READERS, "acrostic"}  # which has tests of its own
    for name, task in TASKS.items():
        assert type(make(name)) is task
        assert make(name).name == name


@pytest.mark.parametrize(
    ("name", "difficulty", "said"),
    [
        ("copy", {"min_length": 5, "max_length": 4}, ["task.max_length", "4", "task.min_length"]),
        ("copy", {"min_length": 21}, ["task.max_length", "20", "task.min_length", "21"]),
        ("copy", {"min_length": 0}, ["task.min_length", "0"]),
        ("copy", {"max_length": 0}, ["task.max_length", "0"]),
        ("copy", {"max_length": -3}, ["task.max_length", "-3"]),
        ("copy", {"min_length": -3}, ["task.min_length", "-3"]),
        ("copy", {"bits": 0}, ["task.bits", "0"]),
        ("copy", {"zero_vector_percent": -1}, ["task.zero_vector_percent", "-1"]),
        ("copy", {"max_length": "20"}, ["task.max_length", "'20'"]),
        ("copy", {"max_length": 2.5}, ["task.max_length", "2.5"]),
        ("copy", {"max_length": True}, ["task.max_length", "True"]),
        ("copy", {"min_length": None}, ["task.min_length", "None"]),
        ("copy", {"length": 20}, ["copy", "'length'", "min_length", "max_length"]),
        ("repeat_copy", {"min_length": 11}, ["task.max_length", "10", "task.min_length", "11"]),
        ("repeat_copy", {"min_length": 0}, ["task.min_length", "0"]),
        ("repeat_copy", {"min_repeats": 3, "max_repeats": 2}, ["task.max_repeats", "2"]),
        ("repeat_copy", {"min_repeats": 0}, ["task.min_repeats", "0"]),
        ("repeat_copy", {"max_repeats": -1}, ["task.max_repeats", "-1"]),
        ("repeat_copy", {"max_repeats": "ten"}, ["task.max_repeats", "'ten'"]),
        ("repeat_copy", {"bits": 0}, ["task.bits", "0"]),
        ("repeat_copy", {"bits": "8"}, ["task.bits", "'8'"]),
        ("repeat_copy", {"zero_vector_percent": 101}, ["task.zero_vector_percent", "101"]),
        ("repeat_copy", {"count": "unary"}, ["task.count", "'unary'", "binary, linear, scalar"]),
        ("repeat_copy", {"count": 3}, ["task.count", "3", "binary, linear, scalar"]),
        ("repeat_copy", {"repeats": 3}, ["repeat_copy", "'repeats'", "max_repeats"]),
        ("associative_recall", {"min_items": 1}, ["task.min_items", "1", "2"]),
        ("associative_recall", {"min_items": 0}, ["task.min_items", "0"]),
        ("associative_recall", {"min_items": 5, "max_items": 3}, ["task.max_items", "3", "5"]),
        ("associative_recall", {"max_items": 1}, ["task.max_items", "1"]),
        ("associative_recall", {"item_length": 0}, ["task.item_length", "0"]),
        ("associative_recall", {"bits": -1}, ["task.bits", "-1"]),
        ("associative_recall", {"bits": "six"}, ["task.bits", "'six'"]),
        ("associative_recall", {"items": 6}, ["associative_recall", "'items'", "max_items"]),
        ("ngram", {"length": 0}, ["task.length", "0"]),
        ("ngram", {"length": 5}, ["task.length", "5"]),
        ("ngram", {"length": -200}, ["task.length", "-200"]),
        ("ngram", {"length": "200"}, ["task.length", "'200'"]),
        ("ngram", {"length": None}, ["task.length", "None"]),
        ("ngram", {"context": 0}, ["task.context", "0"]),
        ("ngram", {"context": 17}, ["task.context", "17", "16"]),
        ("ngram", {"max_length": 200}, ["ngram", "'max_length'", "length"]),
        ("priority_sort", {"items": 15}, ["task.kept", "16", "15"]),
        ("priority_sort", {"kept": 21}, ["task.kept", "21", "20"]),
        ("priority_sort", {"kept": 0}, ["task.kept", "0"]),
        ("priority_sort", {"items": 0}, ["task.items", "0"]),
        ("priority_sort", {"items": -1, "kept": -1}, ["task.items", "-1"]),
        ("priority_sort", {"items": "20"}, ["task.items", "'20'"]),
        ("priority_sort", {"bits": 0}, ["task.bits", "0"]),
        ("priority_sort", {"max_items": 20}, ["priority_sort", "'max_items'", "items"]),
        ("sorting", {}, ["task", "'sorting'", "priority_sort"]),
        ("", {}, ["task", "''", "copy"]),
        (None, {}, ["task", "None", "copy"]),
    ],
    ids=str,
)
def test_impossible_difficulties_are_named(name: str, difficulty: dict, said: list[str]) -> None:
    with pytest.raises(UserError) as error:
        make(name, **difficulty)
    message = str(error.value)
    assert "\n" not in message
    assert [word for word in said if word not in message] == []


def test_the_ways_around_make_are_guarded_too() -> None:
    with pytest.raises(UserError, match="max_length"):
        make("copy").at(min_length=30)
    with pytest.raises(UserError, match="count"):
        TASKS["repeat_copy"](count="unary")
    with pytest.raises(UserError, match="kept"):
        TASKS["priority_sort"](items=4)
