"""Registers the tasks by name. A task's module is imported when the task is first used."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from ntm_jax.errors import UserError, unknown_choice
from ntm_jax.tasks.base import Batch, Case, Source, Task
from ntm_jax.tasks.registry import Registry

__all__ = ["TASKS", "Batch", "Case", "Source", "Task", "difficulty", "make"]

TASKS = Registry(
    {
        "copy": "ntm_jax.tasks.copy:Copy",
        "repeat_copy": "ntm_jax.tasks.repeat_copy:RepeatCopy",
        "associative_recall": "ntm_jax.tasks.associative_recall:AssociativeRecall",
        "ngram": "ntm_jax.tasks.ngram:NGram",
        "priority_sort": "ntm_jax.tasks.priority_sort:PrioritySort",
        "acrostic": "ntm_jax.acrostic.task:Acrostic",
    }
)
OPTIONAL = (int | None, "int | None")  # types of fields that may be None
MOST = 1_000_000  # of any field, and of an episode's steps


def make(name: str, /, **difficulty: Any) -> Task:
    """Returns the task called `name`, at a difficulty given by its fields.

    Example: `make("copy", min_length=20, max_length=20).sample(jax.random.key(0), batch_size=16)`.

    Raises:
      UserError: an unknown task or field, or an impossible difficulty.
    """
    if not isinstance(name, str) or name not in TASKS:
        raise UserError(
            f"{unknown_choice('task', name, TASKS)}. To use your own task, import the config file that "
            "adds it to TASKS, or pass it as --config"
        )
    fields = {field.name: field for field in dataclasses.fields(TASKS[name])}
    for field, value in difficulty.items():
        if field not in fields:
            raise unknown_choice(f"task {name}, field", field, fields)
        _check(fields[field], value)
    made = TASKS[name](**difficulty)
    if made.source.most_steps > MOST:
        raise UserError(
            f"task {name}: an episode of {made.source.most_steps} steps is too long; at most {MOST:,} are allowed"
        )
    return made


def _check(field: "dataclasses.Field[Any]", value: Any) -> None:
    """Raises `UserError` unless a value has the type of its field, which is text, int or int | None."""
    if field.type in (str, "str"):
        if not isinstance(value, str):
            if "choices" in field.metadata:
                raise unknown_choice(f"task.{field.name}", value, field.metadata["choices"])
            raise UserError(f"task.{field.name}: {value!r} is not text")
    elif type(value) is not int and not (value is None and field.type in OPTIONAL):
        raise UserError(f"task.{field.name}: {value!r} is not a whole number")
    elif value is not None and value > MOST:
        raise UserError(f"task.{field.name}: {value} is not allowed; it must be at most {MOST:,}")


def difficulty(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the fields of a config's `task` except the name, as arguments for `make`."""
    return {field: value for field, value in config.items() if field != "name"}
