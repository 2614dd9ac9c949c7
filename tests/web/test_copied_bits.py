"""A page without a server edits bits as the task's own rule does."""

import jax
import numpy as np
import pytest

from ntm_jax.tasks import Batch, editing
from ntm_jax.tasks.associative_recall import AssociativeRecall
from ntm_jax.tasks.copy import Copy
from ntm_jax.tasks.ngram import NGram
from ntm_jax.tasks.priority_sort import PrioritySort
from ntm_jax.tasks.repeat_copy import RepeatCopy
from ntm_jax.web.report import copied_bits

TASKS = {
    "copy": Copy(min_length=7, max_length=7),
    "copy of one": Copy(min_length=1, max_length=1, bits=1),
    "copy with two flags": Copy(min_length=5, max_length=5, flags=2),
    "scalar repeat copy": RepeatCopy(min_length=4, max_length=4, min_repeats=3, max_repeats=3),
    "binary repeat copy": RepeatCopy(
        min_length=4, max_length=4, min_repeats=3, max_repeats=3, count="binary"
    ),
    "recall": AssociativeRecall(min_items=4, max_items=4),
    "sort": PrioritySort(items=6, kept=4),
}


def drawn(task, seed=0):
    return jax.device_get(task.episode(jax.random.key(seed), np.float32(1)))


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
@pytest.mark.parametrize("seed", range(3))
def test_copies_follow_the_rule_of_the_task(task, seed):
    batch = drawn(task, seed)
    copies = copied_bits.find(task, batch)
    editable = task.editable(batch)
    size = len(editable.steps) * editable.channels
    for one in range(4):
        bits = np.random.default_rng(one).integers(0, 2, size).astype(np.float32)
        content = editing.Content(bits.reshape(-1, editable.channels), editing.content(batch.inputs, editable).numbers)  # fmt: skip
        expected = task.edited(batch, content)
        inputs, targets = copied_bits.applied(copies, batch, bits)
        np.testing.assert_array_equal(inputs, expected.inputs)
        np.testing.assert_array_equal(targets, expected.targets)


def test_every_target_of_copy_is_a_bit_of_the_input():
    batch = drawn(TASKS["copy"])
    copies = copied_bits.find(TASKS["copy"], batch)
    assert (copies.targets[8:] == np.arange(56).reshape(7, 8)).all()
    assert (copies.targets[:8] == copied_bits.NO_COPY).all()
    assert (copies.inputs[:, 8] == copied_bits.NO_COPY).all()


def test_what_is_no_copy_cannot_be_edited():
    class Parity(Copy):
        def edited(self, batch, content):
            made = super().edited(batch, content)
            return Batch(made.inputs, np.cumsum(made.targets, axis=0) % 2, made.mask)

    task = Parity(min_length=4, max_length=4)
    assert copied_bits.find(task, drawn(task)) is None
    assert copied_bits.find(NGram(length=20), drawn(NGram(length=20))) is not None
