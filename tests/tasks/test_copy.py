"""Copy: what no other task has."""

import jax
import pytest

from ntm_jax.tasks import make
from tests.helpers.episodes import EPISODES, assert_equal, sample, sampler
from tests.helpers.task_oracles import DEFAULTS

pytestmark = pytest.mark.usefixtures("quick_compile")


def test_everything_is_open_without_a_curriculum_and_whole_numbers_will_do() -> None:
    task, key = DEFAULTS["copy"], jax.random.key(0)
    assert_equal(sampler(task)(key, EPISODES), sample(task))
    assert_equal(sampler(task)(key, EPISODES, 0), sample(task, 0.0))


def test_cases_do_not_depend_on_what_is_trained_on() -> None:
    short = make("copy", min_length=2, max_length=3)
    assert [case.task for case in short.cases()] == [case.task for case in make("copy").cases()]
