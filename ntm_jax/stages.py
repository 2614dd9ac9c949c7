"""The stages of a curriculum as a config lists them, and what older configs have in their place.

`config.curriculum.stages` is a list of dicts, each with some of the fields of `Stage`:

    [{"start": 0, "memory_rows_per_step": 0.55},
     {"start": 4000, "task": {"joined": 40}},
     {"start": 12000, "task": {"unusual": 3}, "restart_schedule": True}]
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from itertools import pairwise
from typing import Any

from ml_collections import ConfigDict

from ntm_jax.errors import UserError, unknown_choice

FIELD = "curriculum.stages"
MOST_START, MOST_ROWS = 10**9, 100.0
# Fields of a task that older configs switched on at `curriculum.late` or `curriculum.last`, and their values before.
FROM_LATE = {"joined": 0}
FROM_LAST = {"unusual": 1, "moved": 0, "varied": 0}
REPLACED = ("curriculum.late", "curriculum.last", "curriculum.rows", "train.first_updates")


@dataclass(frozen=True)
class Stage:
    """Updates that train on the same batches, up to the start of the next stage."""

    start: int = 0  # the update that it begins with
    # Fields of the config's task with other values from here on, in later stages too.
    task: Mapping[str, Any] = field(default_factory=dict)
    # Rows of memory for each step of the longest answer, in this stage only. 0: all that the model has.
    memory_rows_per_step: float = 0.0
    # Whether the learning rate and the penalties follow their schedules up to `start` as if training ended there.
    restart_schedule: bool = False


def read(config: ConfigDict) -> tuple[Stage, ...]:
    """Returns a config's stages in order; none where it has no such field.

    Raises:
      UserError: a stage that cannot be.
    """
    listed = config.curriculum.get("stages", ())
    _require_list(listed)
    stages = tuple(_stage(f"{FIELD}.{place}", values) for place, values in enumerate(listed))
    for place, (before, after) in enumerate(pairwise(stages), 1):
        if after.start <= before.start:
            raise UserError(
                f"{FIELD}.{place}.start: {after.start} is given, "
                f"more than {before.start} of the stage before is needed"
            )
    return stages


def _require_list(listed: Any) -> None:
    if not isinstance(listed, list | tuple):
        raise UserError(f"{FIELD}: {listed!r} is given, a list of stages is needed")


def _stage(name: str, values: Any) -> Stage:
    if not isinstance(values, Mapping):
        raise UserError(f"{name}: {values!r} is given, fields such as {{'start': 1000}} are needed")
    known = [one.name for one in fields(Stage)]
    for key in values:
        if key not in known:
            raise unknown_choice(f"{name}, field", key, known)
    stage = Stage(**values)
    if type(stage.start) is not int or not 0 <= stage.start <= MOST_START:
        raise UserError(
            f"{name}.start: {stage.start!r} is given, a whole number from 0 to {MOST_START:g} is needed"
        )
    rows = stage.memory_rows_per_step
    if type(rows) not in (int, float) or not 0 <= rows <= MOST_ROWS:
        raise UserError(
            f"{name}.memory_rows_per_step: {rows!r} is given, a number from 0 to {MOST_ROWS:g} is needed"
        )
    if type(stage.restart_schedule) is not bool:
        raise UserError(
            f"{name}.restart_schedule: {stage.restart_schedule!r} is given, true or false is needed"
        )
    if not isinstance(stage.task, Mapping):
        raise UserError(f"{name}.task: {stage.task!r} is given, fields of the task are needed")
    for key, value in stage.task.items():
        if type(value) not in (int, str):
            raise UserError(
                f"{name}.task.{key}: {value!r} is given, a name or a whole number is needed"
            )
    return stage


def override(config: ConfigDict, name: str, text: str) -> bool:
    """Sets `curriculum.stages` or one field of a stage, as a command line has it.

    Args:
      config: changed in place.
      name: `curriculum.stages` (as JSON), or like `curriculum.stages.1.start` or `curriculum.stages.1.task.joined`.
      text: the value.

    Returns:
      Whether the name is of stages.

    Raises:
      UserError: a value that cannot be read, a stage that is not there, or a field of older configs.
    """
    if name in REPLACED:
        raise UserError(
            f"{name}: stages have taken its place; write --config.{FIELD}.0.start={text}, or all of them like "
            f"""--config.{FIELD}='[{{"start": 0, "memory_rows_per_step": 0.5}}, {{"start": 100}}]'"""
        )
    if name != FIELD and not name.startswith(f"{FIELD}."):
        return False
    if name == FIELD:
        listed = _json(name, text)
        _require_list(listed)
        config.curriculum.stages = listed
        return True
    listed = [dict(one) for one in config.curriculum.get("stages", ())]
    place, *path = name.removeprefix(f"{FIELD}.").split(".")
    if not place.isdecimal() or int(place) >= len(listed) or not 1 <= len(path) <= 2:
        raise UserError(f"{name}: there is no such field; {FIELD} has {len(listed)} stages, from 0")
    holder = listed[int(place)]
    if len(path) == 2:
        if path[0] != "task":
            raise UserError(f"{name}: there is no such field; do you mean {FIELD}.{place}.task?")
        holder["task"] = holder = dict(holder.get("task", {}))
        holder[path[1]] = int(text) if text.removeprefix("-").isdecimal() else text
    else:
        holder[path[0]] = _json(name, text)
    config.curriculum.stages = listed
    return True


def _json(name: str, text: str) -> Any:
    try:
        return json.loads(text, parse_constant=lambda word: math.nan)
    except (ValueError, RecursionError):
        raise UserError(f"{name}: {text!r} is given, JSON is needed") from None


def upgrade(values: Mapping[str, Any], aliases: Mapping[str, str]) -> dict[str, Any]:
    """Returns a config's nested values with stages in place of the four numbers that older ones have.

    `curriculum.late` and `last` were updates from which on a task had all of its fields, `curriculum.rows` the rows
    a step before `late`, and `train.first_updates` the update at which schedules began again.

    Args:
      values: of a config of any age; not changed.
      aliases: old name of a field -> today's, for the fields of the stages' tasks.
    """
    values = {**values}
    sections = ("task", "curriculum", "train")
    if not all(isinstance(values.get(section), Mapping) for section in sections):
        return values  # no whole config: whoever reads it says so
    values.update({section: {**values[section]} for section in sections})
    task, curriculum, train = (values[section] for section in sections)
    late, last, rows = (curriculum.pop(name, 0) for name in ("late", "last", "rows"))
    restart = train.pop("first_updates", 0)
    if late or last or restart:
        curriculum["stages"] = _from_numbers(task, late, max(late, last), rows, restart)
    curriculum["stages"] = [
        _with_aliases(stage, aliases) if isinstance(stage, Mapping) else stage
        for stage in curriculum.get("stages", ())
    ]
    return values


def _from_numbers(
    task: dict[str, Any], late: int, last: int, rows: float, restart: int
) -> list[dict[str, Any]]:
    """Stages for the old numbers; `task` gets the values that its fields have before the first of them."""
    found: dict[int, dict[str, Any]] = {}
    if rows:
        found[0] = {"memory_rows_per_step": rows}
        found[late] = {}
    for start, before in ((late, FROM_LATE), (last, FROM_LAST)):
        changed = {
            name: task[name] for name in before if task.get(name, before[name]) != before[name]
        }
        if start and changed:
            stage = found.setdefault(start, {})
            stage["task"] = {**stage.get("task", {}), **changed}
            task.update({name: before[name] for name in changed})
    if restart:
        found.setdefault(restart, {})["restart_schedule"] = True
    return [{"start": start, **found[start]} for start in sorted(found)]


def _with_aliases(stage: Mapping[str, Any], aliases: Mapping[str, str]) -> dict[str, Any]:
    if not isinstance(stage.get("task"), Mapping):
        return dict(stage)
    names = {name: aliases.get(f"task.{name}", f"task.{name}") for name in stage["task"]}
    return {
        **stage,
        "task": {names[name].removeprefix("task."): value for name, value in stage["task"].items()},
    }
