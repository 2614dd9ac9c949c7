"""Every task, against episodes written down step by step from what their inputs show."""

import dataclasses
import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntm_jax.tasks import Task, make
from tests.helpers.episodes import (
    EPISODES,
    UNLIKELY,
    assert_equal,
    assert_evenly,
    first,
    padded,
    sample,
    sampler,
)
from tests.helpers.task_oracles import (
    COPY_3_TO_7,
    DEFAULTS,
    NGRAM_OF_2,
    RECALL_4_TO_9,
    RECALL_WIDE,
    REPEAT_3_TO_20,
    SCORED,
    SORT_WIDE,
    drawn,
    every_task,
    read,
    where,
)

pytestmark = pytest.mark.usefixtures("quick_compile")


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


@every_task
def test_number_of_scored_steps(task: Task) -> None:
    for episode in first(120, sample(task)):
        assert episode.mask.sum() == SCORED[task.name](**read(task, episode)[0])


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


@every_task
def test_tasks_are_values(task: Task) -> None:
    copy = dataclasses.replace(task)
    assert copy == task
    assert hash(copy) == hash(task)
    assert make(task.name, **dataclasses.asdict(task)) == task


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


@every_task
def test_only_ngrams_have_a_known_optimum(task: Task) -> None:
    batch = jax.tree.map(lambda array: array[:, :20], sample(task))
    assert (task.optimal_nats(batch) is None) == (task.name != "ngram")


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
