"""Priority sort: the order of the answer, the priorities, and the curriculum."""

import numpy as np
import pytest

from ntm_jax.tasks import make
from tests.helpers.episodes import assert_equal, assert_evenly, first, padded, sample
from tests.helpers.task_oracles import DEFAULTS, SORT_WIDE, read

pytestmark = pytest.mark.usefixtures("quick_compile")


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


@pytest.mark.parametrize("progress", [0.0, 0.3, 0.5, 0.8, 1.0])
def test_a_curriculum_of_sort_lists_more_and_more_and_answers_the_same_share(progress) -> None:
    full = make("priority_sort")
    items = round(2 + progress * 18)
    shorter = make("priority_sort", items=items, kept=max(items * 16 // 20, 1))
    for episode in first(20, sample(full, progress)):
        _, steps = read(shorter, episode)
        assert_equal(episode, padded(full, steps))
