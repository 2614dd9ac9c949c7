"""Loads the model of a run: its newest checkpoint or, of a run that is shipped, its weights."""

from pathlib import Path

from flax import nnx
from ml_collections import ConfigDict

from ntm_jax import config as configs
from ntm_jax import models, tasks
from ntm_jax.errors import UserError
from ntm_jax.storage import integrity, weights
from ntm_jax.storage.checkpoints import Checkpoints
from ntm_jax.storage.run_folder import WEIGHTS


def load(workdir: str | Path, *, memory_size: int | None = None) -> models.Model:
    """Loads the model of a run, ready for `unroll`.

    Args:
      workdir: the run's folder, with `checkpoints/` or `weights.safetensors`. The newest valid checkpoint is used
        if there are both.
      memory_size: number of memory rows, if other than in training.

    Raises:
      UserError: there is no run or no valid checkpoint, or the memory cannot change its size.
    """
    config = configs.read(Path(workdir) / "config.json")
    return load_as(Path(workdir), config, memory_size)[0]


def load_as(
    workdir: Path, config: ConfigDict, memory_size: int | None = None
) -> tuple[models.Model, int]:
    """Loads the model of `config`'s run, and the update that its parameters are from; see `load`."""
    path = find_model(workdir)
    task = tasks.make(config.task.name, **tasks.difficulty(config.task))
    if memory_size is not None:
        config = configs.with_memory_size(config, memory_size)
    model = nnx.eval_shape(lambda: models.build(config, task.input_size, task.output_size))
    structure, shapes = nnx.split(model)
    if path.name == WEIGHTS:
        parameters, update = weights.load_parameters(path, nnx.to_pure_dict(shapes))
        return nnx.merge(structure, parameters), update
    checkpoints = Checkpoints(workdir, write=False)
    newest = checkpoints.newest()
    assert newest is not None, "one was found, and of several that are damaged it raises"
    parameters = checkpoints.restore_parameters(newest, nnx.to_pure_dict(shapes))
    return nnx.merge(structure, parameters), newest


def find_model(workdir: Path) -> Path:
    """Returns the folder of a run's newest checkpoint, valid or not, or the file with its weights.

    Raises:
      UserError: there is neither.
    """
    updates = integrity.updates(workdir / "checkpoints")
    if updates:
        return workdir / "checkpoints" / str(max(updates))
    if (workdir / WEIGHTS).is_file():
        return workdir / WEIGHTS
    raise UserError(f"--workdir: {workdir} holds no checkpoint; train first")


def has_model(workdir: Path) -> bool:
    """Returns whether there is a checkpoint or a file with weights."""
    try:
        find_model(workdir)
    except UserError:
        return False
    return True


def model_update(path: Path) -> int:
    """Returns the update that a model's parameters are from.

    Args:
      path: what `find_model` returned.

    Raises:
      UserError: it is a file with weights that cannot be read.
    """
    return weights.read_update(path) if path.name == WEIGHTS else int(path.name)
