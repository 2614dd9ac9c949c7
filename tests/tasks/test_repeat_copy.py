"""Repeat copy: the count in its three forms, and the end."""

import math

import numpy as np
import pytest

from ntm_jax.tasks import Task, make
from tests.helpers.episodes import EPISODES, assert_evenly, first, only, sample
from tests.helpers.task_oracles import DEFAULTS, REPEAT_3_TO_20, drawn, where

pytestmark = pytest.mark.usefixtures("quick_compile")


@pytest.mark.parametrize("count", ["scalar", "binary", "linear"])
def test_length_and_repeats_are_drawn_independently(count: str) -> None:
    task = make("repeat_copy", count=count)
    difficulty = drawn(task, sample(task))
    rank = {field: (values - 1) // 2 for field, values in difficulty.items()}  # 0 to 4
    assert_evenly(5 * rank["length"] + rank["repeats"], range(25))


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
