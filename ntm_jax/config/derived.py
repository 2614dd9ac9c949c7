"""Answers questions about a config, and derives a config with another memory size."""

import json

from ml_collections import ConfigDict

from ntm_jax.config.checks import check
from ntm_jax.config.stored import to_json
from ntm_jax.errors import UserError


def model_name(config: ConfigDict) -> str:
    """Returns the model's name: `ntm-ff`, `ntm-lstm` or `lstm`."""
    if config.model.kind == "lstm":
        return "lstm"
    return {"feedforward": "ntm-ff", "lstm": "ntm-lstm"}[config.model.controller]


def easier_updates(config: ConfigDict) -> int:
    """Returns the number of updates at which a curriculum is easier than the task."""
    return 0 if config.curriculum.name == "none" else int(config.curriculum.updates)


def with_memory_size(
    config: ConfigDict, memory_size: int, field: str = "evaluate.memory_size"
) -> ConfigDict:
    """Returns the config with another number of memory rows.

    Args:
      config: a whole config; not changed.
      memory_size: rows.
      field: the field that asks for them, for error messages.

    Raises:
      UserError: the model has no memory, or learned values for each row.
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
