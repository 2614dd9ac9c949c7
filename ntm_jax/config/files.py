"""Loads configs from Python files and run folders, and overrides their fields."""

import difflib
import importlib.util
import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict, FrozenConfigDict

from ntm_jax.config import built_in, stages
from ntm_jax.config.checks import check, current_name, field_of, flatten
from ntm_jax.config.stored import read, upgrade_in_place
from ntm_jax.errors import UserError


def load(argument: str, overrides: Sequence[str] = ()) -> ConfigDict:
    """Returns the config in a file, for one of its models, with fields overridden.

    Args:
      argument: a built-in config's name like `copy`, or the path of a file; either may end with `:model`.
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
    """Splits `path/to/config.py:model` or `copy:model` into the path or name, and the model, empty if not given.

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
    _put(config, name, value)


def with_values(config: ConfigDict, values: Mapping[str, Any]) -> ConfigDict:
    """Returns a copy of `config` with other values of some fields, unchecked.

    Args:
      config: not changed.
      values: by field, such as `{"optimizer.learning_rate": 1e-4}`. They may be traced arrays.
    """
    result = config.copy_and_resolve_references()
    for name, value in values.items():
        _put(result, name, value)
    return result


def _put(config: ConfigDict, name: str, value: Any) -> None:
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
            raise UserError(f"{name}: {text!r} is not true or false")
        return text.lower() == "true"
    if kind is int:
        try:
            return int(text)
        except ValueError:
            raise UserError(f"{name}: {text!r} is not a whole number") from None
    if kind is float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise UserError(f"{name}: {text!r} is not a finite number")
        return value
    if kind in (list, tuple):
        try:
            return json.loads(text)
        except (RecursionError, ValueError):
            raise UserError(f"{name}: {text!r} is not a list in JSON") from None
    return text


def run_file(argument: str) -> ConfigDict:
    """Runs a config file, which may also add tasks to `TASKS`, and returns its config unchecked.

    Args:
      argument: as for `load`.

    Raises:
      UserError: no such file or model, or the file raises an error.
    """
    path, model = split_argument(argument)
    path = built_in.paths().get(str(path), path)
    if not path.is_file():
        raise _no_file(path)
    spec = importlib.util.spec_from_file_location(f"configs.{path.stem}", path)
    if spec is None or spec.loader is None:
        raise UserError(f"--config: {path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.resolve().parent.parent))  # for `from configs import ...`
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


def _no_file(path: Path) -> UserError:
    beside = built_in.in_folder(path.parent) if path.suffix == ".py" else {}
    if beside:
        hint = f"there are {', '.join(other.name for other in beside.values())}"
    elif path.stem in built_in.paths():
        hint = f"the built-in config is called {path.stem}"
    else:
        hint = f"built-in configs are {', '.join(built_in.paths())}"
    return UserError(f"--config: there is no file {path}; {hint}")


def _load_error(path: Path, error: Exception) -> UserError:
    if isinstance(error, ModuleNotFoundError) and (error.name or "").startswith("configs"):
        return UserError(
            f"--config: {path} imports {error.name}, which is not found; in its place, "
            "write `from ntm_jax.config import base`, or call ntm_jax.config.load with a built-in config's name"
        )
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    return UserError(f"--config: {path} does not load ({reason})")
