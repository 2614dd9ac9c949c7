"""Loads, overrides, checks and upgrades configs.

Errors are one line each and suggest the nearest field name. The flags of ml_collections cannot do
that, so they are not used.
"""

from ntm_jax.config.checks import check, flatten
from ntm_jax.config.derived import easier_updates, model_name, with_memory_size
from ntm_jax.config.field import Field
from ntm_jax.config.fields import ALIASES, FIELDS, SECTIONS, defaults
from ntm_jax.config.files import (
    load,
    load_run,
    override,
    run_file,
    split_argument,
    with_values,
)
from ntm_jax.config.listing import describe
from ntm_jax.config.stored import difference, read, to_json, upgrade

__all__ = [
    "ALIASES",
    "FIELDS",
    "SECTIONS",
    "Field",
    "check",
    "defaults",
    "describe",
    "difference",
    "easier_updates",
    "flatten",
    "load",
    "load_run",
    "model_name",
    "override",
    "read",
    "run_file",
    "split_argument",
    "to_json",
    "upgrade",
    "with_memory_size",
    "with_values",
]
