"""What each update trains on: which kind of batch, how hard its episodes are, and how much memory there is for them."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from ntm_jax import tasks
from ntm_jax.config import with_memory_size


class Kind(NamedTuple):
    """Batches of one shape."""

    task: tasks.Task  # of one shape
    sequences: int
    rows: int | None  # of memory; None for all that the model has


class Phase(NamedTuple):
    """Updates that draw from the same batches."""

    start: int  # the first of them
    task: tasks.Task
    tight: bool  # whether episodes have few rows of memory


def phases(config: ConfigDict, task: tasks.Task) -> tuple[Phase, ...]:
    """What training draws from, in order; a phase that would be empty, or like the one before, is left out."""
    late, last, rows = (config.curriculum.get(name, 0) for name in ("late", "last", "rows"))
    last = max(late, last)
    every = [
        Phase(0, task.source.first_stage, bool(rows)),
        Phase(late, task.source.first_stage, False),
        Phase(last, task, False),
    ]
    ends = (late, last, config.train.updates)
    found: list[Phase] = []
    for phase, end in zip(every, ends, strict=True):
        empty = phase.start >= min(end, config.train.updates)
        if not empty and not (found and found[-1][1:] == phase[1:]):
            found.append(phase)
    return tuple(found)


def kinds(config: ConfigDict, task: tasks.Task) -> tuple[Kind, ...]:
    """All that training draws from: the shapes of each phase's task.

    Raises:
      UserError: `curriculum.rows` for a model whose memory cannot have fewer.
    """
    found = []
    for phase in phases(config, task):
        sizes = phase.task.source.batch_sizes(config.train.batch_size)
        for shape, size in zip(phase.task.source.shapes, sizes, strict=True):
            rows = tight_rows(config, shape) if phase.tight else None
            found.append(Kind(shape, size, rows))
    return tuple(found)


def tight_rows(config: ConfigDict, task: tasks.Task) -> int:
    """How many rows of memory the episodes of a task have before update `curriculum.late`.

    `curriculum.rows` for each step of the longest answer; no fewer than a shift reaches, no more than the model has.
    """
    rows = round(config.curriculum.rows * task.source.answer_steps)
    least = 2 * config.model.get("shift_range", 0) + 1
    rows = min(max(rows, least), config.model.get("memory_size", rows))
    return with_memory_size(config, rows, "curriculum.rows").model.memory_size


def chosen(config: ConfigDict, task: tasks.Task, update: jax.Array) -> jax.Array:
    """`[]`, which of `kinds` an update's batch is of."""
    key = jax.random.fold_in(keys(config, update)[0], 0)
    late = update >= config.curriculum.get("late", 0)
    found = phases(config, task)
    number = sum(update >= phase.start for phase in found[1:])
    shares = jnp.stack(
        [phase.task.source.probabilities(progress(config, update), late) for phase in found]
    )
    shape = jax.random.categorical(key, jnp.log(shares[number]))
    return number * shares.shape[1] + shape


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
