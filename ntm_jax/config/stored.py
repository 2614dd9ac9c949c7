"""Reads and writes configs as JSON, in run folders and weight files, and upgrades older ones."""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from ntm_jax.config import stages
from ntm_jax.config.checks import check, current_name, field_of, flatten, section_of
from ntm_jax.config.field import Field
from ntm_jax.config.fields import ALIASES, FIELDS
from ntm_jax.errors import UserError


def to_json(config: ConfigDict) -> str:
    """Returns the config as JSON text."""
    return json.dumps(config.to_dict(), indent=2) + "\n"


def read(path: Path) -> ConfigDict:
    """Returns the config in a run's `config.json`, upgraded and checked.

    Raises:
      UserError: the file cannot be read or holds no config.
    """
    try:
        config = upgrade(json.loads(path.read_text(encoding="utf-8")))
        check(config)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except (AttributeError, RecursionError, TypeError, ValueError) as error:
        raise UserError(f"{path}: is not the config of a run ({error})") from None
    return config


def upgrade(values: Mapping[str, Any]) -> ConfigDict:
    """Returns the config in nested `values` as the current version writes it.

    Old names are replaced. Fields that did not exist yet get the value that such runs had.

    Args:
      values: a config as JSON has it; not changed.
    """
    config = ConfigDict(values)
    upgrade_in_place(config)
    return config


def upgrade_in_place(config: ConfigDict) -> None:
    """Upgrades a config as `upgrade` does, and keeps references between its fields."""
    with config.unlocked():
        for old, new in ALIASES.items():
            section, _, name = old.partition(".")
            found = section_of(config, section)
            if found is not None and name in found and current_name(config, old) == new:
                value = found[name]
                del found[name]
                with found.ignore_type():
                    found[new.partition(".")[2]] = value
        stages.upgrade_in_place(config, partial(current_name, config))
        for name, field in FIELDS.items():
            if field.before is None or (
                name.startswith("task.") and field_of(config, name) is None
            ):
                continue
            section, _, last = name.partition(".")
            if section not in config:
                config[section] = ConfigDict()
            found = section_of(config, section)
            if found is not None and last not in found and _has(config, field):
                found[last] = field.before


def _has(config: ConfigDict, field: Field) -> bool:
    """Returns whether configs of this kind of model have the field."""
    model = config.get("model")
    kind = model.get("kind") if isinstance(model, ConfigDict) else None
    return kind is None or not field.models or kind in field.models


def difference(old: ConfigDict, new: ConfigDict) -> str | None:
    """Returns the first field that makes two configs different runs, or None if they are one run."""
    before, after = (dict(flatten(upgrade(json.loads(to_json(c))))) for c in (old, new))
    for name in sorted(before.keys() | after.keys()):
        field = FIELDS.get(name)
        if before.get(name) != after.get(name) and not (field is not None and field.may_change):
            return name
    return None
