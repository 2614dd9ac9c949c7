"""What the episodes of each task have to be, read off what their inputs show."""

import jax
import numpy as np
import pytest

from ntm_jax.tasks import Batch, Task, make
from tests.helpers.episodes import EPISODES, only, row, sample

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

COPY_3_TO_7 = make("copy", min_length=3, max_length=7, bits=5)

REPEAT_3_TO_20 = make("repeat_copy", max_length=4, min_repeats=3, max_repeats=20)

RECALL_WIDE = make("associative_recall", bits=16)  # so wide that no two items are equal

RECALL_4_TO_9 = make("associative_recall", min_items=4, max_items=9, item_length=2, bits=16)

NGRAM_OF_2 = make("ngram", length=30, context=2)

SORT_WIDE = make("priority_sort", items=7, kept=3, bits=24)


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


# How many steps are scored, by difficulty.
SCORED = {
    "copy": lambda length: length,
    "repeat_copy": lambda length, repeats: length * repeats + 1,
    "associative_recall": lambda items: 3,
    "ngram": lambda length: length - 5,
    "priority_sort": lambda items, kept: kept,
}
