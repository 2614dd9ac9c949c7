"""A run's folder: its config, its checkpoints, and the model in its newest one.

config.json       what the run is; another run is refused the folder
lock              held by the process that trains in it
checkpoints/      Orbax, by update: parameters, the rest of the training state, and the config again
"""

import json
import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import jax
import orbax.checkpoint as ocp
from flax import nnx
from ml_collections import ConfigDict

from ntm_jax import config as configs
from ntm_jax import files, tasks
from ntm_jax import model as models
from ntm_jax.errors import UserError

# Orbax tells of every step it takes.
logging.getLogger("absl").setLevel(logging.ERROR)

# What a run that ended before it had a config.json may have left.
CLAIMING = (files.LOCK, "config.partial")


@contextmanager
def claimed(workdir: Path, config: ConfigDict) -> Iterator[None]:
    """`workdir` as the folder of the run that `config` describes, and of this process alone; made if it is not there.

    Raises:
      UserError: it holds another run, or something else, or another process trains in it.
    """
    _check_claim(workdir, config)
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        lock = ExitStack()
        lock.enter_context(files.alone(workdir))
    except OSError as error:
        raise UserError(f"--workdir: {workdir} cannot be made ({error.strerror})") from None
    with lock:
        claim(workdir, config)
        yield


def claim(workdir: Path, config: ConfigDict) -> None:
    """Makes `workdir` the folder of the run that `config` describes, or checks that it is.

    Raises:
      UserError: it holds another run, or something else.
    """
    _check_claim(workdir, config)
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        files.write_whole(workdir / "config.json", configs.to_json(config).encode())
    except OSError as error:
        raise UserError(f"--workdir: {workdir} cannot be made ({error.strerror})") from None


def _check_claim(workdir: Path, config: ConfigDict) -> None:
    if (workdir / "config.json").exists():
        same_run(workdir, config)
    elif workdir.exists() and (
        not workdir.is_dir() or any(path.name not in CLAIMING for path in workdir.iterdir())
    ):
        raise UserError(
            f"--workdir: {workdir} is not empty and holds no run; choose another folder"
        )


def same_run(workdir: Path, config: ConfigDict) -> None:
    """Raises `UserError` unless `workdir` holds the run that `config` describes."""
    path = workdir / "config.json"
    if not path.is_file():
        raise UserError(f"--workdir: {workdir} holds no run; train one first")
    old = configs.from_json(path)
    field = configs.difference(old, config)
    if field:
        before, after = (dict(configs.flatten(c)).get(field) for c in (old, config))
        raise UserError(
            f"--workdir: {workdir} holds another run, with {field}={before!r} where {after!r} is asked; "
            "choose another folder"
        )


class Checkpoints:
    """The checkpoints of a run, written in the background; the newest `keep` stay."""

    def __init__(self, workdir: Path, keep: int = 3):
        self._manager = ocp.CheckpointManager(
            (workdir / "checkpoints").absolute(),
            options=ocp.CheckpointManagerOptions(max_to_keep=keep),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._manager.wait_until_finished()
        self._manager.close()

    def newest(self) -> int | None:
        """The update of the newest checkpoint, or None."""
        update: int | None = self._manager.latest_step()
        return update

    def save(
        self, update: int, parameters: Any, training: Any, seconds: float, config: ConfigDict
    ) -> None:
        """Begins to write a checkpoint; the arrays are copied before this returns.

        Args:
          update: updates done.
          parameters: of the model.
          training: the rest of the training state.
          seconds: trained so far.
          config: of the run.
        """
        self._manager.save(
            update,
            args=ocp.args.Composite(
                parameters=ocp.args.StandardSave(parameters),
                training=ocp.args.StandardSave(training),
                run=ocp.args.JsonSave({"seconds": seconds, "config": config.to_dict()}),
            ),
        )

    def restore(self, update: int, parameters: Any, training: Any) -> tuple[Any, Any, float]:
        """The parameters, training state and seconds of a checkpoint, with the shapes of those given."""
        restored = self._manager.restore(
            update,
            args=ocp.args.Composite(
                parameters=ocp.args.StandardRestore(_shapes(parameters)),
                training=ocp.args.StandardRestore(_shapes(training)),
                run=ocp.args.JsonRestore(),
            ),
        )
        return restored.parameters, restored.training, float(restored.run["seconds"])

    def restore_parameters(self, update: int, parameters: Any) -> Any:
        """The parameters alone."""
        args = ocp.args.Composite(parameters=ocp.args.StandardRestore(_shapes(parameters)))
        return self._manager.restore(update, args=args).parameters


def load(workdir: str | Path, *, memory_size: int | None = None) -> models.Model:
    """The model in the newest checkpoint of a run, ready for `unroll`.

    Args:
      workdir: the run's folder.
      memory_size: rows, if other than it was trained with.

    Raises:
      UserError: no run or no checkpoint there, or a memory that cannot change its size.
    """
    config = configs.from_json(Path(workdir) / "config.json")
    return load_as(Path(workdir), config, memory_size)[0]


def load_as(
    workdir: Path, config: ConfigDict, memory_size: int | None = None
) -> tuple[models.Model, int]:
    """The model in the newest checkpoint of `config`'s run, and its update; see `load`."""
    if not (workdir / "checkpoints").is_dir():
        raise UserError(f"--workdir: {workdir} holds no checkpoint; train first")
    task = tasks.make(config.task.name, **tasks.difficulty(config.task))
    if memory_size is not None:
        config = resized(config, memory_size)
    shapes = nnx.eval_shape(lambda: models.build(config, task.input_size, task.output_size))
    structure, parameters = nnx.split(shapes)
    with Checkpoints(workdir) as checkpoints:
        update = checkpoints.newest()
        if update is None:
            raise UserError(f"--workdir: {workdir} holds no checkpoint; train first")
        restored = checkpoints.restore_parameters(update, nnx.to_pure_dict(parameters))
    return nnx.merge(structure, restored), update


def resized(config: ConfigDict, memory_size: int) -> ConfigDict:
    """The config with another number of memory rows.

    Raises:
      UserError: the model has no memory, or learned something for each row.
    """
    if config.model.kind != "ntm":
        raise UserError("evaluate.memory_size: an lstm has no memory; leave it at 0")
    for part in ("initial_memory", "initial_weighting"):
        if config.model[part] == "learned" and memory_size != config.model.memory_size:
            raise UserError(
                f"evaluate.memory_size: model.{part}='learned' has values for each of "
                f"{config.model.memory_size} rows, so {memory_size} rows cannot be used"
            )
    config = ConfigDict(json.loads(configs.to_json(config)))
    config.model.memory_size = memory_size
    configs.check(config)
    return config


def _shapes(tree: Any) -> Any:
    return jax.tree.map(ocp.utils.to_shape_dtype_struct, tree)
