"""Describes one field of a config, and checks values against the description."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ntm_jax.errors import UserError, unknown_choice

KINDS = {int: "a whole number", float: "a finite number", str: "text", bool: "true or false"}
KINDS |= {dict: "a mapping", list: "a list"}


@dataclass(frozen=True)
class Field:
    """Defines one field of a config.

    Attributes:
      default: the value in new configs, which also gives the type. A type alone means that there is
        no default here: each config, or the class of its task, has one.
      help: what the field means, with its unit.
      least, most: the smallest and the largest number that are allowed.
      choices: the names that are allowed.
      may_change: whether two sessions of one run may have different values.
      before: the value of runs that began before the field existed; None if every run has the field.
      models: the kinds of model for which configs/base.py has the field. Where this is empty, the
        configs that need the field add it.
      tasks: the tasks that have it, for a field of `task`.
      items: the fields of each mapping, for a field whose value is a list of mappings.
    """

    default: Any
    help: str
    least: float | None = None
    most: float | None = None
    choices: tuple[str, ...] = ()
    may_change: bool = False
    before: Any = None
    models: tuple[str, ...] = ("ntm", "lstm")
    tasks: tuple[str, ...] = ()
    items: "Mapping[str, Field] | None" = None

    @property
    def type(self) -> type:
        """Returns the type of the values, which is bool, int, float, str or list."""
        if self.items is not None:
            return list
        return self.default if isinstance(self.default, type) else type(self.default)

    @property
    def allowed(self) -> str:
        """Returns the allowed values in words, such as `from 1 to 64`."""
        if self.items is not None:
            return f"a list of mappings with {', '.join(self.items)}"
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        if self.least is None:
            return KINDS[self.type]
        if self.most is None:
            return f"at least {_short(self.least)}"
        return f"from {_short(self.least)} to {_short(self.most)}"

    def check(self, name: str, value: Any) -> None:
        """Raises `UserError` if the field called `name` may not be `value`."""
        if self.items is not None:
            _check_items(name, value, self.items)
        elif self.choices and not (isinstance(value, str) and value in self.choices):
            raise unknown_choice(name, value, self.choices)
        elif not _is_a(self.type, value):
            raise UserError(f"{name}: {value!r} is given, {KINDS[self.type]} is needed")
        elif self.type in (int, float) and not self._within_bounds(value):
            raise UserError(f"{name}: {value} is given, allowed is {self.allowed}")

    def _within_bounds(self, value: float) -> bool:
        enough = self.least is None or value >= self.least
        return enough and (self.most is None or value <= self.most)


def _short(number: float) -> str:
    """Returns a number in the shorter of the forms that are exact."""
    return f"{number:g}" if float(f"{number:g}") == number else str(number)


def _is_a(kind: type, value: Any) -> bool:
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, int | float if kind is float else kind)


def _check_items(name: str, value: Any, fields: Mapping[str, Field]) -> None:
    if not isinstance(value, list | tuple):
        raise UserError(f"{name}: {value!r} is given, a list of mappings is needed")
    for number, item in enumerate(value):
        where = f"{name}[{number}]"
        if not hasattr(item, "items"):
            raise UserError(f"{where}: {item!r} is given, a mapping is needed")
        for key, of_item in item.items():
            if key not in fields:
                raise unknown_choice(f"{where}, field", key, fields)
            fields[key].check(f"{where}.{key}", of_item)
