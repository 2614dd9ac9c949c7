"""Models as one file: safetensors that carry their config, and the Go implementation's JSON.

A safetensors file has one array for each parameter, named by its place in the model
(`controller/linear/kernel`), and in its metadata `config` (JSON) and `update`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import jax
import numpy as np
import safetensors
import safetensors.numpy
from flax import nnx
from ml_collections import ConfigDict

from ntm_jax import config as configs
from ntm_jax import models, tasks
from ntm_jax.config import with_memory_size
from ntm_jax.errors import UserError
from ntm_jax.storage import fumin

# Tasks and sizes of fumin/ntm. A file does not say which it is; its length does. Its repeat copy with a
# scalar count begins with a flag that no task here has.
GO_SIZES = {"controller_size": 100, "memory_size": 128, "word_size": 20}
GO_TASKS: tuple[tuple[int, dict[str, Any]], ...] = (  # heads, task
    (1, {"name": "copy", "min_length": 1, "max_length": 20, "flags": 2}),
    (1, {"name": "ngram", "length": 200}),
    *(
        (
            2,
            {
                **{"name": "repeat_copy", "min_length": 1, "max_length": 10},
                **{"min_repeats": 1, "max_repeats": 10, "count": count, "bits": 6},
            },
        )
        for count in ("linear", "binary")
    ),
)
EVALUATE = configs.defaults("ntm")["evaluate"]


@dataclass(frozen=True)
class Weights:
    """Holds a model's parameters, their config and their update."""

    config: ConfigDict  # with task, model, seed and evaluate, at least
    parameters: Any  # nested dicts of arrays
    update: int  # that made them; 0 if the file does not say

    def model(self, memory_size: int | None = None) -> models.Model:
        """Returns the model, with another number of rows if given.

        Raises:
          UserError: a memory that cannot change its size.
        """
        config = self.config
        if memory_size is not None and memory_size != config.model.get("memory_size"):
            config = with_memory_size(config, memory_size)
        structure, _ = _shapes(config)
        return nnx.merge(structure, self.parameters)


def dump(parameters: Any, config: ConfigDict, update: int) -> bytes:
    """Returns the content of a safetensors file.

    Args:
      parameters: nested dicts of arrays, as `nnx.to_pure_dict` gives them.
      config: of the run.
      update: after which the parameters are these.
    """
    arrays = {name: np.ascontiguousarray(leaf) for name, leaf in _named(parameters).items()}
    metadata = {"config": json.dumps(config.to_dict()), "update": str(update)}
    return safetensors.numpy.save(arrays, metadata)


def load(path: Path) -> Weights:
    """Returns the weights in a safetensors or JSON file.

    Raises:
      UserError: no such file, neither kind, or not the arrays that its config describes.
    """
    try:
        with path.open("rb") as file:
            start = file.read(16)
    except OSError as error:
        raise UserError(f"--weights: {path} cannot be read ({error.strerror})") from None
    return _load_go(path) if start.lstrip().startswith(b"[") else _load_safetensors(path)


def load_parameters(path: Path, like: Any) -> tuple[Any, int]:
    """Returns the parameters in a safetensors file, and the update that they are from.

    Args:
      path: the file.
      like: nested dicts of arrays or shapes, which the file has to match.

    Raises:
      UserError: no such file, another kind of file, or other arrays.
    """
    arrays, metadata = _read_safetensors(path)
    return _filled(path, like, arrays), _update(path, metadata)


def read_update(path: Path) -> int:
    """Returns the update that a safetensors file's parameters are from.

    Raises:
      UserError: no such file, or another kind of file.
    """
    return _update(path, _read_safetensors(path, with_arrays=False)[1])


def _read_safetensors(
    path: Path, with_arrays: bool = True
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            names = file.keys() if with_arrays else []
            return {name: file.get_tensor(name) for name in names}, file.metadata() or {}
    except (safetensors.SafetensorError, OSError):
        raise UserError(
            f"--weights: {path} is neither a safetensors file nor a JSON list of numbers"
        ) from None


def _update(path: Path, metadata: Mapping[str, str]) -> int:
    try:
        return int(metadata["update"])
    except (KeyError, ValueError) as error:
        raise UserError(f"--weights: {path} does not carry a run's config ({error})") from None


def _load_safetensors(path: Path) -> Weights:
    arrays, metadata = _read_safetensors(path)
    try:
        config = configs.upgrade(json.loads(metadata["config"]))
        configs.check(config)
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise UserError(f"--weights: {path} does not carry a run's config ({error})") from None
    _, expected = _shapes(config)
    return Weights(config, _filled(path, expected, arrays), _update(path, metadata))


def _filled(path: Path, parameters: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """Returns `parameters` with the arrays in place of the shapes."""
    wanted = _named(parameters)
    for name in sorted(wanted.keys() | arrays.keys()):
        if name not in wanted or name not in arrays:
            holder, lacking = ("the file", "its config") if name in arrays else ("its config", "it")
            raise UserError(f"--weights: {path}: {holder} has {name}, {lacking} has not")
        if arrays[name].shape != wanted[name].shape:
            raise UserError(
                f"--weights: {path}: {name} is {list(arrays[name].shape)}, "
                f"its config needs {list(wanted[name].shape)}"
            )
        if not np.isfinite(arrays[name]).all():
            raise UserError(f"--weights: {path}: {name} has numbers that are not finite")
    leaves = [
        jax.numpy.asarray(arrays[name], wanted[name].dtype) for name in wanted
    ]  # in the order of the tree's leaves
    return jax.tree.unflatten(jax.tree.structure(parameters), leaves)


def _load_go(path: Path) -> Weights:
    length = fumin.count(path)
    lengths = {}
    for heads, task in GO_TASKS:
        config = _go_config(heads, task)
        sizes = {**GO_SIZES, "heads": heads, **_task_sizes(config)}
        lengths[sum(rows * columns for rows, columns in fumin.shapes(**sizes))] = config, sizes
    if length not in lengths:
        known = ", ".join(f"{n} ({c.task.name})" for n, (c, _) in sorted(lengths.items()))
        raise UserError(f"--weights: {path} holds {length} weights; known are {known}")
    config, sizes = lengths[length]
    parameters = nnx.to_pure_dict(nnx.state(fumin.load(path, layout="auto", **sizes)))
    return Weights(config, parameters, 0)


def _go_config(heads: int, task: dict[str, Any]) -> ConfigDict:
    sizes = {**GO_SIZES, "read_heads": heads, "write_heads": heads}
    model = {"kind": "ntm", **fumin.CELL, **sizes}
    return ConfigDict({"seed": 0, "task": task, "model": model, "evaluate": EVALUATE})


def _task_sizes(config: ConfigDict) -> dict[str, int]:
    task = tasks.make(config.task.name, **tasks.difficulty(config.task))
    return {"input_size": task.input_size, "output_size": task.output_size}


def _shapes(config: ConfigDict) -> tuple[Any, Any]:
    """Returns the structure of a config's model, and nested dicts of its parameters' shapes. Do not modify them."""
    return _shapes_of(json.dumps(config.to_dict(), sort_keys=True))


@lru_cache(maxsize=16)  # the monitor's worker loads the same config again and again
def _shapes_of(content: str) -> tuple[Any, Any]:
    config = ConfigDict(json.loads(content))
    sizes = _task_sizes(config)
    model = nnx.eval_shape(lambda: models.build(config, sizes["input_size"], sizes["output_size"]))
    structure, shapes = nnx.split(model)
    return structure, nnx.to_pure_dict(shapes)


def _named(parameters: Any) -> dict[str, Any]:
    leaves, _ = jax.tree.flatten_with_path(parameters)
    return {"/".join(str(key.key) for key in path): leaf for path, leaf in leaves}
