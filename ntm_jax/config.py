"""Configs: loaded from a file, overridden from the command line, checked field by field.

Its errors are one line each, with the nearest name where one was mistyped; that is why the flags of
ml_collections are not used here.
"""

import difflib
import importlib.util
import json
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from ntm_jax.errors import UserError, unknown_choice

# Field -> least and most allowed. A field that a config does not have is not checked.
LIMITS: dict[str, tuple[float, float]] = {
    "seed": (0, 2**31 - 1),
    "model.controller_size": (1, 100_000),
    "model.controller_layers": (1, 100),
    "model.memory_size": (1, 1_000_000),
    "model.word_size": (1, 100_000),
    "model.read_heads": (1, 64),
    "model.write_heads": (1, 64),
    "model.shift_range": (0, 64),
    "model.embedding_size": (0, 100_000),
    "model.dropout": (0, 0.99),
    "model.gate_bias": (-1e4, 1e4),
    "model.no_shift_bias": (-1e4, 1e4),
    "model.sharpening_bias": (-1e4, 1e4),
    "model.cosine_epsilon": (0, 1),  # of weights of fumin/ntm alone
    "optimizer.learning_rate": (1e-12, 1e3),
    "optimizer.warmup": (0, 10**9),
    "optimizer.clip_limit": (1e-12, 1e12),
    "optimizer.state_gradient_limit": (0, 1e12),
    "curriculum.updates": (1, 10**9),
    "curriculum.late": (0, 10**9),
    "curriculum.last": (0, 10**9),
    "curriculum.rows": (0, 100),
    "train.updates": (1, 10**9),
    "train.first_updates": (0, 10**9),
    "train.batch_size": (1, 65_536),
    "train.blur_penalty": (0, 1e6),
    "train.write_penalty": (0, 1e6),
    "train.log_every": (1, 10**9),
    "train.checkpoint_every": (1, 10**9),
    "train.solved_below": (0, 1e9),
    "train.max_skipped_updates": (1, 10**9),
    "mesh.data": (1, 65_536),
    "evaluate.episodes": (1, 10**7),
    "evaluate.memory_size": (0, 1_000_000),
    "evaluate.seed": (0, 2**31 - 1),
    "monitor.port": (-1, 65_535),
}
# Of these, those that are not whole numbers.
REAL = (
    *("model.gate_bias", "model.no_shift_bias", "model.sharpening_bias", "model.cosine_epsilon"),
    "model.dropout",
    *("optimizer.learning_rate", "optimizer.clip_limit", "optimizer.state_gradient_limit"),
    *("curriculum.rows", "train.blur_penalty", "train.write_penalty", "train.solved_below"),
)
# What configs of runs mean that were begun before there was a field.
BEFORE = {
    **{"model.compute": "float32", "mesh.data": 1, "optimizer.state_gradient_limit": 0.0},
    **{"train.on_nonfinite": "stop", "train.max_skipped_updates": 100},
    **{"train.write_penalty": 0.0, "train.first_updates": 0, "task.zero_vector_percent": 0},
    **{"curriculum.late": 0, "curriculum.last": 0, "curriculum.rows": 0.0},
    **{"task.concatenated_percent": 0, "task.irregular_weight": 1},
    **{"task.shifted_linefeeds_percent": 0, "task.message_like_percent": 0},
}
NEEDED = (
    "task.name",
    "model.kind",
    "optimizer.name",
    "curriculum.name",
    *(f for f in LIMITS if f not in BEFORE and not f.startswith(("model.", "monitor."))),
)
# Old name -> today's, in configs of older runs and weight files, and in overrides.
ALIASES = {
    "model.stay_bias": "model.no_shift_bias",
    "optimizer.clip_at": "optimizer.clip_limit",
    "optimizer.clip_state_at": "optimizer.state_gradient_limit",
    "train.blur_cost": "train.blur_penalty",
    "train.write_cost": "train.write_penalty",
    "train.most_skipped": "train.max_skipped_updates",
}
# The same for the fields of each task: another task may have fields of these names.
TASK_ALIASES = {
    "copy": {"task.zeros": "task.zero_vector_percent"},
    "repeat_copy": {"task.zeros": "task.zero_vector_percent"},
    "acrostic": {
        "task.joined": "task.concatenated_percent",
        "task.moved": "task.shifted_linefeeds_percent",
        "task.unusual": "task.irregular_weight",
        "task.varied": "task.message_like_percent",
        "task.more": "task.extra_keywords_percent",
    },
}
CURRICULA = ("none", "growing")
ON_NONFINITE = ("stop", "skip")
# What may change between two sessions of one run.
MAY_CHANGE = (
    *("train.updates", "train.log_every", "train.checkpoint_every", "train.solved_below"),
    *("train.on_nonfinite", "train.max_skipped_updates"),
    *("evaluate.", "mesh.", "monitor."),
)


def load(argument: str, overrides: Sequence[str] = ()) -> ConfigDict:
    """The config in a file, for one of its models, with fields overridden.

    Args:
      argument: `path/to/config.py` or `path/to/config.py:model`.
      overrides: like `train.updates=500`.

    Raises:
      UserError: no such file, model, field or value.
    """
    path, _, model = argument.partition(":")
    return _overridden(_get_config(Path(path), model), overrides)


def load_run(workdir: Path, overrides: Sequence[str] = ()) -> ConfigDict:
    """The config of the run in a folder, with fields overridden as in `load`.

    Raises:
      UserError: no run is there; no such field or value.
    """
    path = workdir / "config.json"
    if not path.is_file():
        raise UserError(f"--workdir: {workdir} holds no run; train one first")
    return _overridden(read(path), overrides)


def check(config: ConfigDict) -> None:
    """Raises `UserError` for a value of the wrong kind or outside `LIMITS`.

    Names and combinations are checked where they are used.
    """
    values = dict(flatten(config))
    for field in NEEDED:
        if field not in values:
            raise UserError(
                f"{field}: the config does not have it; begin with base.get_config(model)"
            )
    for section in ("task", "model"):
        for name, value in config[section].items():
            if isinstance(value, ConfigDict):
                raise UserError(
                    f"{section}.{name}: has fields of its own, a name or a number is needed"
                )
    for field, value in values.items():
        if field in LIMITS:
            _check_number(field, value)
        elif field.startswith(("task.", "model.")) and not isinstance(value, str | int | None):
            raise UserError(f"{field}: {value!r} is given, a name or a whole number is needed")
    if config.curriculum.name not in CURRICULA:
        raise unknown_choice("curriculum.name", config.curriculum.name, CURRICULA)
    if values.get("curriculum.rows") and not values.get("curriculum.late"):
        raise UserError(
            f"curriculum.rows: {config.curriculum.rows} is for the updates before curriculum.late, which is 0; "
            "set it to an update"
        )
    if config.train.get("on_nonfinite", "stop") not in ON_NONFINITE:
        raise unknown_choice("train.on_nonfinite", config.train.on_nonfinite, ON_NONFINITE)
    devices = values.get("mesh.data", 1)
    if config.train.batch_size % devices:
        raise UserError(
            f"mesh.data: {devices} devices cannot share train.batch_size={config.train.batch_size} evenly; "
            "train.batch_size has to be a multiple of it"
        )
    if "shift_range" in config.model and 2 * config.model.shift_range >= config.model.memory_size:
        raise UserError(
            f"model.shift_range: {config.model.shift_range} reaches around "
            f"model.memory_size={config.model.memory_size} rows; make it smaller"
        )


def _check_number(field: str, value: Any) -> None:
    least, most = LIMITS[field]
    if isinstance(value, bool) or not isinstance(value, int | float if field in REAL else int):
        kind = "finite" if field in REAL else "whole"
        raise UserError(f"{field}: {value!r} is given, a {kind} number is needed")
    if not least <= value <= most:
        raise UserError(f"{field}: {value} is given, allowed is from {least:g} to {most:g}")


def flatten(config: ConfigDict, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every field as `("train.updates", 500)`."""
    for name, value in config.items():
        if isinstance(value, ConfigDict):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def model_name(config: ConfigDict) -> str:
    """`ntm-ff`, `ntm-lstm` or `lstm`."""
    if config.model.kind == "lstm":
        return "lstm"
    return {"feedforward": "ntm-ff", "lstm": "ntm-lstm"}[config.model.controller]


def easier_updates(config: ConfigDict) -> int:
    """How many updates a curriculum makes easier than the task is."""
    return 0 if config.curriculum.name == "none" else int(config.curriculum.updates)


def difference(old: ConfigDict, new: ConfigDict) -> str | None:
    """The first field in which two configs of one run may not differ, but do; None if there is none."""
    before, after = (BEFORE | dict(flatten(config)) for config in (old, new))
    for field in sorted(before.keys() | after.keys()):
        if before.get(field) != after.get(field) and not field.startswith(MAY_CHANGE):
            return field
    return None


def with_memory_size(
    config: ConfigDict, memory_size: int, field: str = "evaluate.memory_size"
) -> ConfigDict:
    """The config with another number of memory rows, which `field` asks for.

    Raises:
      UserError: the model has no memory, or learned something for each row.
    """
    if config.model.kind != "ntm":
        raise UserError(f"{field}: an lstm has no memory; leave it at 0")
    for part in ("initial_memory", "initial_weighting"):
        if config.model[part] == "learned" and memory_size != config.model.memory_size:
            raise UserError(
                f"{field}: model.{part}='learned' has values for each of "
                f"{config.model.memory_size} rows, so {memory_size} rows cannot be used"
            )
    config = ConfigDict(json.loads(to_json(config)))
    config.model.memory_size = memory_size
    check(config)
    return config


def upgrade(values: dict[str, Any]) -> ConfigDict:
    """Returns the config in nested `values` with today's names in place of older ones.

    Args:
      values: a config as JSON has it; not changed.
    """
    config = ConfigDict(values)
    for old, new in aliases(config).items():
        section, _, name = old.partition(".")
        if section in config and name in config[section]:
            value = config[section][name]
            del config[section][name]
            config[section][new.partition(".")[2]] = value
    return config


def aliases(config: ConfigDict) -> dict[str, str]:
    """Returns today's name of every field that had another name, for a config of this task."""
    name = str(config.task.get("name")) if "task" in config else ""
    return {**ALIASES, **TASK_ALIASES.get(name, {})}


def to_json(config: ConfigDict) -> str:
    """The config as JSON text."""
    return json.dumps(config.to_dict(), indent=2) + "\n"


def read(path: Path) -> ConfigDict:
    """The config in a run's `config.json`.

    Raises:
      UserError: the file is not there or not a config.
    """
    try:
        config = upgrade(json.loads(path.read_text(encoding="utf-8")))
        check(config)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except (AttributeError, RecursionError, TypeError, ValueError) as error:
        raise UserError(f"{path}: is not the config of a run ({error})") from None
    return config


def _get_config(path: Path, model: str) -> ConfigDict:
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
    except UserError:
        raise
    except Exception as error:  # whatever the file does wrong is for its author to see
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(f"--config: {path} does not load ({reason})") from None
    finally:
        sys.path.pop(0)
    if not isinstance(config, ConfigDict):
        raise UserError(f"--config: {path}: get_config returns no ConfigDict")
    return config


def _overridden(config: ConfigDict, overrides: Sequence[str]) -> ConfigDict:
    for override in overrides:
        field, equals, value = override.partition("=")
        if not equals:
            raise UserError(f"--config.{override}: no value is given; write --config.{field}=VALUE")
        _set(config, field, value)
    check(config)
    return config


def _set(config: ConfigDict, field: str, text: str) -> None:
    field = aliases(config).get(field, field)
    known = dict(flatten(config))
    if field not in known:
        near = difflib.get_close_matches(field, known, n=1, cutoff=0.5)
        hint = f"; do you mean {near[0]}?" if near else ""
        raise UserError(f"{field}: there is no such field{hint}")
    *path, name = field.split(".")
    holder = config
    for part in path:
        holder = holder[part]
    holder[name] = _parse(field, text, known[field])


def _parse(field: str, text: str, old: Any) -> Any:
    """`text` as a value of the same type as `old`."""
    if isinstance(old, bool):
        if text.lower() not in ("true", "false"):
            raise UserError(f"{field}: {text!r} is given, true or false is needed")
        return text.lower() == "true"
    if isinstance(old, int):
        try:
            return int(text)
        except ValueError:
            raise UserError(f"{field}: {text!r} is given, a whole number is needed") from None
    if isinstance(old, float):
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise UserError(f"{field}: {text!r} is given, a finite number is needed")
        return value
    return text
