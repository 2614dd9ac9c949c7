"""Words for what a page draws: an input's channels, and the stretches of an episode."""

from typing import Any

import numpy as np

from ntm_jax.acrostic.task import Acrostic
from ntm_jax.tasks import Task
from ntm_jax.tasks.associative_recall import AssociativeRecall
from ntm_jax.tasks.copy import Copy
from ntm_jax.tasks.ngram import NGram
from ntm_jax.tasks.priority_sort import PrioritySort
from ntm_jax.tasks.repeat_copy import RepeatCopy

COUNT_CHANNELS = {
    "scalar": ["count"],
    "binary": ["start", "sequence over", "count", "count over"],
    "linear": ["start", "count", "count over"],
}


def input_channels(task: Task) -> list[str]:
    """A name for each channel of the input."""
    match task:
        case Acrostic():
            return ["blank", "given character", "linefeed", "end of poem", "character before"]
        case Copy(flags=2):
            flags = ["start", "delimiter"]
        case Copy():
            flags = ["delimiter"]
        case RepeatCopy():
            flags = COUNT_CHANNELS[task.count]
        case AssociativeRecall():
            flags = ["item", "query"]
        case PrioritySort():
            flags = ["priority", "delimiter"]
        case _:
            flags = []
    bits = task.input_size - len(flags)
    return [*_bits(bits), *flags]


def output_channels(task: Task) -> list[str]:
    """A name for each channel of the output."""
    if isinstance(task, RepeatCopy):
        return [*_bits(task.output_size - 1), "end"]
    if isinstance(task, NGram):
        return ["next bit"]
    if isinstance(task, Acrostic):
        return ["keyword", "linefeed", "other character"]
    return _bits(task.output_size)


def spans(task: Task, inputs: np.ndarray, mask: np.ndarray) -> list[dict[str, Any]]:
    """Stretches of an episode worth a mark: `{"from", "to", "label", "role"}`, steps inclusive.

    Args:
      task: whose episode it is.
      inputs: `[T, in]`.
      mask: `[T]`.

    Returns:
      The answer; for associative recall the items before it, the one asked for and the next, which is the
      answer, with roles of their own.
    """
    scored = np.flatnonzero(mask > 0)
    answer = [_span(int(scored[0]), int(scored[-1]), "answer", "answer")] if len(scored) else []
    return (_items(task, inputs) if isinstance(task, AssociativeRecall) else []) + answer


def _items(task: AssociativeRecall, inputs: np.ndarray) -> list[dict[str, Any]]:
    length = task.item_length
    starts = np.flatnonzero(inputs[:, task.bits] > 0) + 1
    query = int(np.flatnonzero(inputs[:, task.bits + 1] > 0)[0]) + 1
    asked = inputs[query : query + length]
    # The last item is never asked for, and may by chance be the same.
    same = [np.array_equal(inputs[start : start + length], asked) for start in starts[:-1]]
    found = same.index(True)
    roles = {found: "asked", found + 1: "next"}
    marks = [
        _span(int(start), int(start) + length - 1, str(i + 1), roles.get(i, "item"))
        for i, start in enumerate(starts)
    ]
    return [*marks, _span(query, query + length - 1, "query", "asked")]


def _span(start: int, end: int, label: str, role: str) -> dict[str, Any]:
    return {"from": start, "to": end, "label": label, "role": role}


def _bits(count: int) -> list[str]:
    return ["bit"] if count == 1 else [f"bit {i}" for i in range(count)]
