"""The model in a run's newest checkpoint."""

from pathlib import Path

import jax
import jax.numpy as jnp
from flax import nnx
from ml_collections import ConfigDict

from ntm_jax import config as configs
from ntm_jax import models, tasks
from ntm_jax.errors import UserError
from ntm_jax.storage.checkpoints import Checkpoints


def load(workdir: str | Path, *, memory_size: int | None = None) -> models.Model:
    """The model in the newest checkpoint of a run, ready for `unroll`.

    Args:
      workdir: the run's folder.
      memory_size: rows, if other than it was trained with.

    Raises:
      UserError: no run or no sound checkpoint there, or a memory that cannot change its size.
    """
    config = configs.read(Path(workdir) / "config.json")
    return load_as(Path(workdir), config, memory_size)[0]


def load_as(
    workdir: Path, config: ConfigDict, memory_size: int | None = None
) -> tuple[models.Model, int]:
    """The model in the newest checkpoint of `config`'s run, and its update; see `load`."""
    if not (workdir / "checkpoints").is_dir():
        raise UserError(f"--workdir: {workdir} holds no checkpoint; train first")
    task = tasks.make(config.task.name, **tasks.difficulty(config.task))
    if memory_size is not None:
        config = configs.with_memory_size(config, memory_size)
    shapes = nnx.eval_shape(lambda: models.build(config, task.input_size, task.output_size))
    structure, parameters = nnx.split(shapes)
    with Checkpoints(workdir, write=False) as checkpoints:
        update = checkpoints.newest()
        if update is None:
            raise UserError(f"--workdir: {workdir} holds no checkpoint; train first")
        restored = checkpoints.restore_parameters(update, nnx.to_pure_dict(parameters))
    # What several processes saved comes back as NumPy's arrays.
    return nnx.merge(structure, jax.tree.map(jnp.asarray, restored)), update
