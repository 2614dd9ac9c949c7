"""Loads configs from Python files and run folders, and overrides their fields."""

import difflib
import importlib.util
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict, FrozenConfigDict

from ntm_jax.config import stages
from ntm_jax.config.checks import check, current_name, field_of, flatten
from ntm_jax.config.stored import read, upgrade_in_place
from ntm_jax.errors import UserError


def load(argument: str, overrides: Sequence[str] = ()) -> ConfigDict:
    """Returns the config in a file, for one of its models, with fields overridden.

    Args:
      argument: `path/to/config.py` or `path/to/config.py:model`.
      overrides: such as `train.updates=500`.

    Raises:
      UserError: no such file, model, field or value.
    """
    config = override(run_file(argument), overrides)
    check(config)
    return config


def load_run(workdir: Path, overrides: Sequence[str] = ()) -> ConfigDict:
    """Returns the config of the run in a folder, with fields overridden as in `load`.

    Raises:
      UserError: the folder holds no run; no such field or value.
    """
    path = workdir / "config.json"
    if not path.is_file():
        raise UserError(f"--workdir: {workdir} holds no run; train one first")
    config = override(read(path), overrides)
    check(config)
    return config


def split_argument(argument: str) -> tuple[Path, str]:
    """Splits `path/to/config.py:model` into the path and the model, which is empty if not given.

    Colons may occur in paths, such as those of Windows.
    """
    path, colon, model = argument.rpartition(":")
    if not colon or Path(argument).is_file() or {"/", "\\"} & set(model) or model.endswith(".py"):
        return Path(argument), ""
    return Path(path), model


def override(config: ConfigDict, overrides: Sequence[str]) -> ConfigDict:
    """Sets fields of `config`, each given as `train.updates=500`, and returns it.

    Raises:
      UserError: no such field, or a value of another type or out of bounds.
    """
    for one in overrides:
        name, equals, text = one.partition("=")
        if not equals:
            raise UserError(f"--config.{one}: no value is given; write --config.{name}=VALUE")
        _set(config, current_name(config, name), text)
    return config


def _set(config: ConfigDict, name: str, text: str) -> None:
    if stages.override(config, name, text):
        return
    known = dict(flatten(config))
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f"; do you mean {near[0]}?" if near else ""
        raise UserError(f"{name}: there is no such field{hint}")
    field = field_of(config, name)
    value = _parse(name, text, field.type if field is not None else type(known[name]))
    if field is not None:
        field.check(name, value)
    *path, last = name.split(".")
    holder = config
    for part in path:
        holder = holder[part]
    with holder.ignore_type():
        holder[last] = value


def _parse(name: str, text: str, kind: type) -> Any:
    """Returns `text` as a value of type `kind`."""
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise UserError(f"{name}: {text!r} is given, true or false is needed")
        return text.lower() == "true"
    if kind is int:
        try:
            return int(text)
        except ValueError:
            raise UserError(f"{name}: {text!r} is given, a whole number is needed") from None
    if kind is float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise UserError(f"{name}: {text!r} is given, a finite number is needed")
        return value
    if kind in (list, tuple):
        try:
            return json.loads(text)
        except (RecursionError, ValueError):
            raise UserError(f"{name}: {text!r} is given, a list in JSON is needed") from None
    return text


def run_file(argument: str) -> ConfigDict:
    """Runs a config file, which may also add tasks to `TASKS`, and returns its config unchecked.

    Args:
      argument: as for `load`.

    Raises:
      UserError: no such file or model, or the file raises an error.
    """
    path, model = split_argument(argument)
    if not path.is_file():
        others = sorted(
            p.name for p in path.parent.glob("*.py") if p.stem not in ("base", "__init__")
        )
        hint = f"; there are {', '.join(others)}" if others else ""
        raise UserError(f"--config: there is no file {path}{hint}")
    spec = importlib.util.spec_from_file_location(f"configs.{path.stem}", path)
    if spec is None or spec.loader is None:
        raise UserError(f"--config: {path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.resolve().parent.parent))  # for `from configs import base`
    try:
        spec.loader.exec_module(module)
        config = module.get_config(model) if model else module.get_config()
        if isinstance(config, FrozenConfigDict):
            config = ConfigDict(config)
        if isinstance(config, ConfigDict):
            upgrade_in_place(config)
    except UserError:
        raise
    except Exception as error:  # the file may raise anything
        raise _load_error(path, error) from None
    finally:
        sys.path.pop(0)
    if not isinstance(config, ConfigDict):
        raise UserError(f"--config: {path}: get_config returns no ConfigDict")
    return config


def _load_error(path: Path, error: Exception) -> UserError:
    if isinstance(error, ModuleNotFoundError) and error.name in ("configs", "configs.base"):
        return UserError(
            f"--config: {path} imports configs.base, which is not found; start the program in the "
            "folder of the repository, or move the file into a folder named configs, beside a copy of base.py"
        )
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    return UserError(f"--config: {path} does not load ({reason})")
