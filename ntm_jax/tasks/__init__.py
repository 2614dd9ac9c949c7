"""The tasks, by name."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from ntm_jax.acrostic.task import Acrostic
from ntm_jax.errors import UserError, unknown_choice
from ntm_jax.tasks.associative_recall import AssociativeRecall
from ntm_jax.tasks.base import Batch, Case, Task
from ntm_jax.tasks.copy import Copy
from ntm_jax.tasks.ngram import NGram
from ntm_jax.tasks.priority_sort import PrioritySort
from ntm_jax.tasks.repeat_copy import CHANNELS, RepeatCopy

__all__ = ["TASKS", "Batch", "Case", "Task", "difficulty", "make"]

TASKS: dict[str, type[Task]] = {
    task.name: task for task in (Copy, RepeatCopy, AssociativeRecall, NGram, PrioritySort, Acrostic)
}
OPTIONAL = ("repeat_copy", "bits")  # the only field that may be None
MOST = 1_000_000  # of any field, and of an episode's steps


def make(name: str, /, **difficulty: Any) -> Task:
    """The task called `name`, at a difficulty given by its fields.

    Example: `make("copy", min_length=20, max_length=20).sample(jax.random.key(0), batch_size=16)`.

    Raises:
      UserError: an unknown task or field, or an impossible difficulty.
    """
    if not isinstance(name, str) or name not in TASKS:
        raise unknown_choice("task", name, TASKS)
    fields = {field.name: field for field in dataclasses.fields(TASKS[name])}
    for field in difficulty:
        if field not in fields:
            raise unknown_choice(f"task {name}, field", field, fields)
    for field, value in difficulty.items():
        if field == "count":
            if not isinstance(value, str):
                raise unknown_choice("task.count", value, CHANNELS)
        elif fields[field].type is str:
            if not isinstance(value, str):
                raise UserError(f"task.{field}: {value!r} is given, text is needed")
        elif type(value) is not int and not (value is None and (name, field) == OPTIONAL):
            raise UserError(f"task.{field}: {value!r} is given, a whole number is needed")
        elif value is not None and value > MOST:
            raise UserError(f"task.{field}: {value} is given, at most {MOST:,} is allowed")
    made = TASKS[name](**difficulty)
    if made.most_steps > MOST:
        raise UserError(f"task {name}: an episode of {made.most_steps} steps; {MOST:,} are allowed")
    return made


def difficulty(config: Mapping[str, Any]) -> dict[str, Any]:
    """What a config's `task` gives beside the task's name: the arguments for `make`."""
    return {field: value for field, value in config.items() if field != "name"}
