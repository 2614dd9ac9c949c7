"""Checks that a config has the fields it needs, and that their values are allowed."""

from collections.abc import Iterator
from typing import Any

from ml_collections import ConfigDict

from ntm_jax.config import stages
from ntm_jax.config.field import Field
from ntm_jax.config.fields import ALIASES, FIELDS
from ntm_jax.errors import UserError

# The classes of tasks and models have a default for each of their fields.
OPEN_SECTIONS = ("task", "model")
NEEDED = (
    *("task.name", "model.kind"),
    *(
        name
        for name, field in FIELDS.items()
        if field.models and name.partition(".")[0] not in OPEN_SECTIONS
    ),
)


def flatten(config: ConfigDict, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yields every field with its value, such as `("train.updates", 500)`."""
    for name, value in config.items():
        if isinstance(value, ConfigDict):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def field_of(config: ConfigDict, name: str) -> Field | None:
    """Returns the table's entry for a field of this config, or None if it has none.

    Tasks may have fields that are named as those of other tasks.
    """
    field, task = FIELDS.get(name), section_of(config, "task")
    if field is not None and field.tasks and (task is None or task.get("name") not in field.tasks):
        return None
    return field


def current_name(config: ConfigDict, name: str) -> str:
    """Returns today's name of a field of this config, which may be given by an older one."""
    new = ALIASES.get(name, name)
    return name if field_of(config, new) is None else new


def section_of(config: ConfigDict, name: str) -> ConfigDict | None:
    """Returns a section of the config, or None if the config has no such section."""
    section = config.get(name)
    return section if isinstance(section, ConfigDict) else None


def check(config: ConfigDict) -> None:
    """Raises `UserError` if a field is missing or a value is not allowed.

    The modules that use a name, such as an optimizer's, check it. So do the classes of tasks and
    models for combinations of their own fields.
    """
    values = dict(flatten(config))
    for name in NEEDED:
        if name not in values:
            raise UserError(
                f"{name}: the config lacks this field; begin with base.get_config(model)"
            )
    for section in OPEN_SECTIONS:
        for name, value in config[section].items():
            if isinstance(value, ConfigDict):
                raise UserError(
                    f"{section}.{name}: has fields of its own; it must be a name or a number"
                )
    for name, value in values.items():
        field = field_of(config, name)
        if name.startswith("task.") and value is None:
            continue  # the task's class says which of its fields may be None
        if field is not None:
            field.check(name, value)
        elif name.startswith(("task.", "model.")) and not isinstance(value, str | int | None):
            raise UserError(f"{name}: {value!r} is not a name or a whole number")
    _check_combinations(config)


def _check_combinations(config: ConfigDict) -> None:
    stages.read(config)
    if config.train.batch_size % config.mesh.data:
        raise UserError(
            f"mesh.data: {config.mesh.data} devices cannot share train.batch_size={config.train.batch_size} evenly; "
            "train.batch_size has to be a multiple of it"
        )
    if "shift_range" in config.model and 2 * config.model.shift_range >= config.model.memory_size:
        raise UserError(
            f"model.shift_range: {config.model.shift_range} is too large for "
            f"model.memory_size={config.model.memory_size}; 2 * shift_range has to be smaller"
        )
