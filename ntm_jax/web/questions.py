"""What a visitor may ask of a run's task: the fields of its difficulty, their limits, and reading them."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ntm_jax.errors import UserError, unknown_choice
from ntm_jax.tasks import Task
from ntm_jax.tasks.ngram import NGram

LARGEST_SEED = 2**31 - 1
MOST_ROWS = 4096
MOST_STEPS = 3000
MOST_NUMBERS = 16_000_000  # in the memory's history, steps x rows x word size


@dataclass(frozen=True)
class Field:
    """One number that a visitor chooses."""

    name: str  # in the page, its links and the server's addresses
    sets: tuple[str, ...]  # the task's fields that it stands for
    least: int
    most: int


FIELDS: dict[str, tuple[Field, ...]] = {
    "copy": (Field("length", ("min_length", "max_length"), 1, 1000),),
    "repeat_copy": (
        Field("length", ("min_length", "max_length"), 1, 200),
        Field("repeats", ("min_repeats", "max_repeats"), 1, 200),
    ),
    "associative_recall": (Field("items", ("min_items", "max_items"), 2, 400),),
    "ngram": (Field("length", ("length",), 2, 2000),),
    "acrostic": (
        Field("keywords", ("keywords",), 0, 8),
        Field("position", ("position",), -8, 8),
        Field("longest", ("longest",), 2, 256),
    ),
    "priority_sort": (Field("items", ("items",), 1, 500), Field("kept", ("kept",), 1, 500)),
}


@dataclass(frozen=True)
class Question:
    """Which episode a visitor asks for."""

    task: Task  # at one difficulty
    difficulty: tuple[tuple[str, int], ...]
    seed: int
    rows: int  # of memory; 0 for a model that has none
    table: int | None  # n-grams: the seed whose probability table is kept


def fields_of(task: Task) -> tuple[Field, ...]:
    """A task's fields; for one that is not listed above, each of its whole numbers."""
    listed = FIELDS.get(task.name)
    if listed is not None:
        return listed
    whole = (f.name for f in dataclasses.fields(task) if type(getattr(task, f.name)) is int)
    return tuple(Field(name, (name,), 0, 1000) for name in whole)


def usual(task: Task) -> dict[str, int]:
    """The difficulty that a page begins with: the hardest of the task's own range."""
    return {field.name: getattr(task, field.sets[-1]) for field in fields_of(task)}


def read(
    task: Task, given: Mapping[str, str], usual_rows: int, word_size: int, fixed_rows: bool
) -> Question:
    """What a visitor asks for, from an address's parameters; what is not given is as usual.

    Args:
      task: of the run, at any difficulty.
      given: `length`, `seed`, `rows`, `table`, ... as text.
      usual_rows: of the run's memory; 0 if it has none.
      word_size: of a row.
      fixed_rows: whether the model learned something for each row.

    Raises:
      UserError: an unknown name, no whole number, or one beyond a limit, which is named.
    """
    fields = fields_of(task)
    kept = ("table",) if isinstance(task, NGram) else ()
    allowed = [*(field.name for field in fields), "seed", "rows", *kept]
    for name in given:
        if name not in allowed:
            raise unknown_choice("parameter", name, allowed)

    difficulty = usual(task)
    changes: dict[str, int] = {}
    for field in fields:
        if field.name in given:
            difficulty[field.name] = whole(field.name, given[field.name], field.least, field.most)
        changes |= dict.fromkeys(field.sets, difficulty[field.name])
    task = task.at(**changes)
    seed = whole("seed", given.get("seed", "0"), 0, LARGEST_SEED)
    rows = _rows(given.get("rows"), usual_rows, fixed_rows)
    table = whole("table", given["table"], 0, LARGEST_SEED) if "table" in given else None
    _check_size(task.most_steps, rows, word_size)
    return Question(task, tuple(difficulty.items()), seed, rows, table)


def describe(task: Task) -> list[dict[str, Any]]:
    """The fields with their limits and usual values, for the page."""
    start = usual(task)
    return [
        {"name": f.name, "least": f.least, "most": f.most, "value": start[f.name]}
        for f in fields_of(task)
    ]


def _rows(text: str | None, usual_rows: int, fixed: bool) -> int:
    if text is None:
        return usual_rows
    if usual_rows == 0:
        whole("rows", text, 0, 0)
        return 0
    rows = whole("rows", text, 1, MOST_ROWS)
    if fixed and rows != usual_rows:
        raise UserError(
            f"rows: {rows} is given, but this model learned values for each of {usual_rows} rows"
        )
    return rows


def _check_size(steps: int, rows: int, word_size: int) -> None:
    if steps > MOST_STEPS:
        raise UserError(f"the episode would take {steps} steps, at most {MOST_STEPS} are allowed")
    if steps * rows * word_size > MOST_NUMBERS:
        most = MOST_NUMBERS // (steps * word_size)
        raise UserError(
            f"rows: {rows} is given, at most {most} are allowed for an episode of {steps} steps"
        )


def whole(name: str, text: str, least: int, most: int) -> int:
    """The whole number that a parameter is given as text.

    Raises:
      UserError: it is none, or beyond a limit, which is named.
    """
    shown = text if len(text) <= 20 else f"{text[:20]}..."
    # isascii: int() would also take digits of other scripts, and underscores.
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal()):
        raise UserError(f"{name}: {shown!r} is given, a whole number is needed")
    if len(digits) > 12 or not least <= int(text) <= most:
        raise UserError(f"{name}: {shown} is given, {least} to {most} is allowed")
    return int(text)
