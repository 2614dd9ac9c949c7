"""An episode with another input: its targets are those that the task would have drawn for it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntm_jax.tasks import Task, make
from ntm_jax.tasks.editing import Content, content

TASKS = {
    "copy": make("copy", min_length=6, max_length=6),
    "copy_two_flags": make("copy", min_length=6, max_length=6, flags=2),
    "repeat_copy": make("repeat_copy", min_length=4, max_length=4, min_repeats=3, max_repeats=3),
    "binary": make(
        "repeat_copy", count="binary", min_length=4, max_length=4, min_repeats=5, max_repeats=5
    ),
    "linear": make(
        "repeat_copy", count="linear", min_length=4, max_length=4, min_repeats=3, max_repeats=3
    ),
    "recall": make("associative_recall", min_items=5, max_items=5, bits=16),
    "ngram": make("ngram", length=40),
    "sort": make("priority_sort", items=8, kept=5),
}
every_task = pytest.mark.parametrize("task", TASKS.values(), ids=TASKS.keys())


def episode(task: Task, seed: int):
    return jax.device_get(task.episode(jax.random.key(seed), jnp.ones(())))


@every_task
def test_an_episode_with_anothers_content_is_the_other(task):
    one, other = episode(task, 1), episode(task, 2)
    editable = task.editable(other)
    found = task.edited(one, content(other.inputs, editable))
    np.testing.assert_array_equal(found.inputs, other.inputs)
    last = -1 if task.name == "ngram" else None  # whose last bit is no input
    np.testing.assert_array_equal(found.targets[:last], other.targets[:last])
    np.testing.assert_array_equal(found.mask, other.mask)
    assert (found.targets[:last] != one.targets[:last]).any()


@every_task
def test_the_same_content_changes_nothing(task):
    one = episode(task, 3)
    found = task.edited(one, content(one.inputs, task.editable(one)))
    for field in ("inputs", "targets", "mask"):
        np.testing.assert_array_equal(getattr(found, field), getattr(one, field))


def test_a_vector_of_zeros_is_still_the_input():
    """Nothing but flags says where a sequence ends."""
    task = TASKS["repeat_copy"]
    one = episode(task, 1)
    editable = task.editable(one)
    blank = Content(np.zeros((4, 8), np.float32), np.zeros(0, np.float32))
    found = task.edited(one, blank)
    np.testing.assert_array_equal(task.editable(found).steps, editable.steps)
    assert found.targets[:, :8].sum() == 0
    assert found.targets[:, 8].sum() == 1  # the end is still marked


def test_another_item_can_be_asked_for():
    task = TASKS["recall"]
    one = episode(task, 1)
    editable = task.editable(one)
    bits = content(one.inputs, editable).bits
    for asked in (1, 4):
        found = task.edited(one, Content(bits, np.float32([asked])))
        np.testing.assert_array_equal(
            found.targets[found.mask > 0], bits[3 * asked : 3 * asked + 3]
        )
        assert task.editable(found).values == (asked,)
