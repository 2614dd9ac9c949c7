"""Lists the fields of configs: for `--help-config`, and as tables of the documentation."""

import json
import textwrap
from typing import Any

from ml_collections import ConfigDict

from ntm_jax.config.checks import field_of, flatten
from ntm_jax.config.field import Field
from ntm_jax.config.fields import FIELDS, SECTIONS


def describe(config: ConfigDict | None = None) -> str:
    """Returns the fields of a config by section: value, help and allowed values.

    Without a config, returns all fields that there are, with their defaults.
    """
    if config is None:
        fields: dict[str, Field | None] = {**FIELDS}
        values = {
            name: "" if has_no_default(field) else field.default for name, field in FIELDS.items()
        }
    else:
        values = dict(flatten(config))
        order = [
            *(name for name in FIELDS if name in values),
            *sorted(values.keys() - FIELDS.keys()),
        ]
        fields = {name: field_of(config, name) for name in order}
    lines = []
    for section, title in SECTIONS.items():
        lines += ["", title]
        for name, field in fields.items():
            if name.rpartition(".")[0] == section:
                lines.append(f"  --config.{name}={as_text(values[name])}")
                if field is not None:
                    lines += _indented(f"{field.help} Allowed: {field.allowed}.")
    return "\n".join(lines[1:])


def has_no_default(field: Field) -> bool:
    """Returns whether the table has only the type of a field, and each config its value."""
    return isinstance(field.default, type)


def as_text(value: Any) -> str:
    """Returns a value as the command line takes it."""
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _indented(text: str) -> list[str]:
    return textwrap.wrap(text, 100, initial_indent=" " * 6, subsequent_indent=" " * 6)


def tables() -> str:
    """Returns a Markdown table of fields for each section."""
    parts = []
    for section, title in SECTIONS.items():
        fields = {n: f for n, f in FIELDS.items() if n.rpartition(".")[0] == section}
        second = "Tasks" if section == "task" else "Default"
        rows = [f"| Field | {second} | Allowed | Meaning |", "| --- | --- | --- | --- |"]
        for name, field in fields.items():
            value = ", ".join(field.tasks) or "all" if section == "task" else _default(field)
            changes = " *" if field.may_change else ""
            rows.append(f"| `{name}`{changes} | {value} | {field.allowed} | {field.help} |")
        parts.append("\n".join([f"## {title}", "", *rows]))
    return "\n\n".join(parts) + "\n"


def _default(field: Field) -> str:
    if has_no_default(field):
        return ""
    return f"`{as_text(field.default)}`" if field.default != "" else "empty"
