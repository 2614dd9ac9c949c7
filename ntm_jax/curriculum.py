"""What each update trains on: which kind of batch, how hard its episodes are, and how much memory there is for them."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from ntm_jax import mesh, tasks
from ntm_jax.checkpoints import resized


class Kind(NamedTuple):
    """Batches of one shape."""

    task: tasks.Task  # of one shape
    sequences: int  # a multiple of the devices that share them
    rows: int | None  # of memory; None for all that the model has


def kinds(config: ConfigDict, task: tasks.Task) -> tuple[Kind, ...]:
    """All that training draws from: the task's shapes with the whole memory; then, if it begins otherwise, with that.

    Raises:
      UserError: `curriculum.rows` for a model whose memory cannot have fewer.
    """
    whole = _kinds(config, task)
    if not _begins_otherwise(config, task):
        return whole
    early = _kinds(config, task.early)
    if not config.curriculum.get("rows", 0):
        return whole + early
    return whole + tuple(kind._replace(rows=tight_rows(config, kind.task)) for kind in early)


def _kinds(config: ConfigDict, task: tasks.Task) -> tuple[Kind, ...]:
    devices = mesh.wanted_devices(config)
    sizes = [max(1, size // devices) * devices for size in task.sequences(config.train.batch_size)]
    return tuple(Kind(*one, None) for one in zip(task.shapes, sizes, strict=True))


def _begins_otherwise(config: ConfigDict, task: tasks.Task) -> bool:
    """Whether there is something before update `curriculum.late` that the task's own shapes are not."""
    late, rows = (config.curriculum.get(name, 0) for name in ("late", "rows"))
    return bool(rows) or (late > 0 and task.early != task)


def tight_rows(config: ConfigDict, task: tasks.Task) -> int:
    """How many rows of memory the episodes of a task have before update `curriculum.late`.

    `curriculum.rows` for each step of the longest answer; no fewer than a shift reaches, no more than the model has.
    """
    rows = round(config.curriculum.rows * task.answer_steps)
    least = 2 * config.model.get("shift_range", 0) + 1
    rows = min(max(rows, least), config.model.get("memory_size", rows))
    return resized(config, rows, "curriculum.rows").model.memory_size


def chosen(config: ConfigDict, task: tasks.Task, update: jax.Array) -> jax.Array:
    """`[]`, which of `kinds` an update's batch is of."""
    key = jax.random.fold_in(keys(config, update)[0], 0)
    late = update >= config.curriculum.get("late", 0)
    opened = progress(config, update)
    shares = task.shares(opened, late)
    if not _begins_otherwise(config, task):
        return jax.random.categorical(key, jnp.log(shares))
    shares = jnp.where(late, shares, task.early.shares(opened, late))
    return jax.random.categorical(key, jnp.log(shares)) + len(shares) * ~late


def progress(config: ConfigDict, update: jax.Array) -> jax.Array:
    """`[]`, the share of the task's range that is open: 1, or growing over the first `curriculum.updates`."""
    if config.curriculum.name == "none":
        return jnp.ones(())
    return jnp.minimum(update / config.curriculum.updates, 1.0)


def keys(config: ConfigDict, update: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Where an update's batch and its model's random start come from: the seed and the update, nothing else."""
    key = jax.random.fold_in(jax.random.key(config.seed), update)
    batch_key, model_key = jax.random.split(key)
    return batch_key, model_key
