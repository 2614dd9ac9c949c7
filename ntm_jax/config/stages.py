"""Reads the stages of a curriculum from a config, and upgrades the fields of older configs to stages.

`config.curriculum.stages` is a list of mappings, each with some of the fields of `Stage`:

    [{"start": 0, "memory_rows_per_step": 0.55},
     {"start": 4000, "task": {"max_length": 40}},
     {"start": 12000, "restart_schedule": True}]
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from ml_collections import ConfigDict

from ntm_jax.config.field import Field
from ntm_jax.errors import UserError

NAME = "curriculum.stages"
STAGE = {
    "start": Field(0, "First update of the stage.", 0, 10**9),
    "task": Field({}, "Fields of the task that are different from here on, in later stages too."),
    "memory_rows_per_step": Field(
        0.0, "Rows of memory for each step of the answer, in this stage. 0: all rows.", 0, 100
    ),
    "restart_schedule": Field(
        False, "Whether rate and penalties are up to here as if training ended here."
    ),
}
# The numbers that older configs have in place of stages.
REPLACED = ("curriculum.late", "curriculum.last", "curriculum.rows", "train.first_updates")
# Fields of a task that such a config switched on at `late` and at `last`, and their values before.
FROM_LATE = {"joined": 0}
FROM_LAST = {"unusual": 1, "moved": 0, "varied": 0}


@dataclass(frozen=True)
class Stage:
    """Describes updates with the same kinds of batches, up to the next stage. `STAGE` defines the fields."""

    start: int = 0
    task: Mapping[str, Any] = field(default_factory=dict)
    memory_rows_per_step: float = 0.0
    restart_schedule: bool = False


def read(config: ConfigDict) -> tuple[Stage, ...]:
    """Returns a config's stages in order.

    Raises:
      UserError: a stage that starts no later than the one before, or has an unknown field of the task.
    """
    stages = tuple(Stage(**values) for values in config.curriculum.stages)
    for number, (before, after) in enumerate(pairwise(stages), 1):
        if after.start <= before.start:
            raise UserError(
                f"{NAME}[{number}].start: {after.start} is not allowed; "
                f"it must be more than {before.start}, the start of the stage before"
            )
    for number, stage in enumerate(stages):
        for name, value in stage.task.items():
            if type(value) not in (int, str):
                raise UserError(
                    f"{NAME}[{number}].task.{name}: {value!r} is not a name or a whole number"
                )
    return stages


def override(config: ConfigDict, name: str, text: str) -> bool:
    """Sets one field of a stage from the command line.

    Args:
      config: changed in place.
      name: such as `curriculum.stages.1.start` or `curriculum.stages.1.task.max_length`.
      text: the value.

    Returns:
      Whether the name is of a stage's field. `curriculum.stages` itself is not.

    Raises:
      UserError: an invalid value, a missing stage, or a field of older configs.
    """
    if name in REPLACED:
        raise UserError(
            f"{name}: was replaced by stages; write --config.{NAME}.0.start={text}, or all of them like "
            f"""--config.{NAME}='[{{"start": 0, "memory_rows_per_step": 0.5}}, {{"start": 100}}]'"""
        )
    if not name.startswith(f"{NAME}."):
        return False
    stages = [dict(stage) for stage in config.curriculum.stages]
    number, *path = name.removeprefix(f"{NAME}.").split(".")
    if not number.isdecimal() or int(number) >= len(stages):
        raise UserError(
            f"{name}: there is no such field; the {len(stages)} stages are counted from 0"
        )
    where, stage = f"{NAME}[{number}]", stages[int(number)]
    if len(path) == 2 and path[0] == "task":
        value = int(text) if text.removeprefix("-").isdecimal() else text
        stage["task"] = {**stage.get("task", {}), path[1]: value}
    elif len(path) == 1 and path[0] in STAGE:
        stage[path[0]] = _parse(name, text)
        STAGE[path[0]].check(f"{where}.{path[0]}", stage[path[0]])
    else:
        raise UserError(f"{name}: there is no such field; a stage has {', '.join(STAGE)}")
    config.curriculum.stages = stages
    return True


def _parse(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise UserError(f"{name}: {text!r} is not JSON") from None


def upgrade_in_place(config: ConfigDict, current_name: Callable[[str], str]) -> None:
    """Replaces the four curriculum fields of an older config by stages.

    At `curriculum.late` and `last`, more of the task's fields took effect. `curriculum.rows` was the number of rows per
    step before `late`, and `train.first_updates` the update at which schedules restarted.

    Args:
      config: unlocked, its task with the current names of fields; changed in place.
      current_name: from the name of a field, which may be an older one.
    """
    sections = [config.get(name) for name in ("task", "curriculum", "train")]
    if not all(isinstance(section, ConfigDict) for section in sections):
        return  # not a whole config
    task, curriculum, train = sections

    def current(values: Mapping[str, Any]) -> dict[str, Any]:
        names = {name: current_name(f"task.{name}").removeprefix("task.") for name in values}
        return {names[name]: value for name, value in values.items()}

    late, last, rows = (_take(curriculum, name) for name in ("late", "last", "rows"))
    restart = _take(train, "first_updates")
    last = max(late, last)
    if late or last or restart:
        switched = ((late, current(FROM_LATE)), (last, current(FROM_LAST)))
        curriculum["stages"] = _from_numbers(task, switched, (late, rows), restart)
    listed = curriculum.get("stages")
    if isinstance(listed, list | tuple):
        with curriculum.ignore_type():
            curriculum["stages"] = [
                {**stage, "task": current(stage["task"])}
                if isinstance(stage, Mapping) and isinstance(stage.get("task"), Mapping)
                else stage
                for stage in listed
            ]


def _take(section: ConfigDict, name: str) -> Any:
    """Removes a number from a section and returns it, 0 if it is not there."""
    value = section.get(name, 0)
    if name in section:
        del section[name]
    return value


def _from_numbers(
    task: ConfigDict,
    switched: Sequence[tuple[int, Mapping[str, Any]]],
    few_rows: tuple[int, float],
    restart: int,
) -> list[dict[str, Any]]:
    """Returns stages for the numbers of an older config.

    Args:
      task: gets the values that its fields have before the first of the stages.
      switched: updates, and the fields that are switched on there with their values before.
      few_rows: the update up to which there are few rows, and how many a step.
      restart: the update at which schedules begin again, or 0.
    """
    found: dict[int, dict[str, Any]] = {}
    until, rows = few_rows
    if rows:
        found[0] = {"memory_rows_per_step": rows}
        found[until] = {}
    for start, before in switched:
        changed = {n: task[n] for n in before if task.get(n, before[n]) != before[n]}
        if start and changed:
            stage = found.setdefault(start, {})
            stage["task"] = {**stage.get("task", {}), **changed}
            task.update({name: before[name] for name in changed})
    if restart:
        found.setdefault(restart, {})["restart_schedule"] = True
    return [{"start": start, **found[start]} for start in sorted(found)]
