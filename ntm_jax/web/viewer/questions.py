"""Reads what a visitor asks of a run's task from an address, within limits."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ntm_jax.errors import UserError, unknown_choice
from ntm_jax.tasks import Task
from ntm_jax.web.viewer import edits, interventions
from ntm_jax.web.viewer.interventions import Intervention

CHANGES = ("bits", "numbers", "break")  # of the input, and inside the model
LARGEST_SEED = 2**31 - 1
MOST_ROWS = 4096
MOST_STEPS = 3000
CONFIG_NAMES = re.compile(r"\b(task|model)\.(?=\w)")  # what a config says before a field's name
MOST_NUMBERS = 16_000_000  # in the memory's history, steps x rows x word size


@dataclass(frozen=True)
class Question:
    """Describes the episode that a visitor requests."""

    task: Task  # at one difficulty
    difficulty: tuple[tuple[str, int], ...]
    seed: int
    rows: int  # of memory; 0 for a model that has none
    table: int | None  # the seed whose hidden table is kept, of a task that `keeps_table`
    bits: str | None = None  # the input's, edited; see `edits`
    numbers: str | None = None
    interventions: tuple[Intervention, ...] = ()


def usual(task: Task) -> dict[str, int]:
    """Returns the difficulty that a page begins with: the hardest of the task's own range."""
    return {field.name: getattr(task, field.sets[-1]) for field in task.viewer_fields()}


def read(
    task: Task,
    given: Mapping[str, str],
    usual_rows: int,
    word_size: int,
    fixed_rows: bool,
    least_rows: int = 1,
) -> Question:
    """Returns what a visitor asks for, from an address's parameters; the rest has its usual value.

    Args:
      task: of the run, at any difficulty.
      given: `length`, `seed`, `rows`, `table`, ... as text.
      usual_rows: of the run's memory; 0 if it has none.
      word_size: of a row.
      fixed_rows: whether the model learned something for each row.
      least_rows: that the model's shifts need.

    Raises:
      UserError: an unknown name, no whole number, or one beyond a limit, which is named.
    """
    fields = task.viewer_fields()
    kept = ("table",) if task.keeps_table else ()
    allowed = [*(field.name for field in fields), "seed", "rows", *kept]
    for name in given:
        if name not in (*allowed, *CHANGES):
            raise unknown_choice("parameter", name, allowed)
    for name in CHANGES:
        if len(given.get(name, "")) > edits.MOST_TEXT:
            raise UserError(f"{name}: the text is too long")

    difficulty = usual(task)
    changes: dict[str, int] = {}
    for field in fields:
        if field.name in given:
            difficulty[field.name] = whole(field.name, given[field.name], field.least, field.most)
        changes |= dict.fromkeys(field.sets, difficulty[field.name])
    try:
        task = task.as_tested().at(**changes)
    except UserError as error:
        raise UserError(CONFIG_NAMES.sub("", str(error))) from None
    seed = whole("seed", given.get("seed", "0"), 0, LARGEST_SEED)
    rows = _rows(given.get("rows"), usual_rows, fixed_rows, least_rows)
    table = whole("table", given["table"], 0, LARGEST_SEED) if "table" in given else None
    _check_size(task.source.most_steps, rows, word_size)
    changes_made = interventions.parse(given["break"]) if given.get("break") else ()
    return Question(
        task,
        tuple(difficulty.items()),
        seed,
        rows,
        table,
        given.get("bits") or None,
        given.get("numbers") or None,
        changes_made,
    )


def describe(task: Task) -> list[dict[str, Any]]:
    """Returns the fields with their limits and usual values, for the page."""
    start = usual(task)
    return [
        {"name": f.name, "least": f.least, "most": f.most, "value": start[f.name]}
        for f in task.viewer_fields()
    ]


def _rows(text: str | None, usual_rows: int, fixed: bool, least: int) -> int:
    if text is None:
        return usual_rows
    if usual_rows == 0:
        whole("rows", text, 0, 0)
        return 0
    rows = whole("rows", text, least, MOST_ROWS)
    if fixed and rows != usual_rows:
        raise UserError(
            f"rows: {rows} is not allowed; this model learned values for each of its {usual_rows} rows"
        )
    return rows


def _check_size(steps: int, rows: int, word_size: int) -> None:
    if steps > MOST_STEPS:
        raise UserError(f"the episode would take {steps} steps; at most {MOST_STEPS} are allowed")
    if steps * rows * word_size > MOST_NUMBERS:
        most = MOST_NUMBERS // (steps * word_size)
        raise UserError(
            f"rows: {rows} is not allowed; it must be at most {most} for an episode of {steps} steps"
        )


def whole(name: str, text: str, least: int, most: int) -> int:
    """Returns the whole number that a parameter is given as text.

    Raises:
      UserError: it is none, or beyond a limit, which is named.
    """
    shown = text if len(text) <= 20 else f"{text[:20]}..."
    # isascii: int() would also take digits of other scripts, and underscores.
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal()):
        raise UserError(f"{name}: {shown!r} is not a whole number")
    if len(digits) > 12 or not least <= int(text) <= most:
        raise UserError(f"{name}: {shown} is not allowed; it must be from {least} to {most}")
    return int(text)
