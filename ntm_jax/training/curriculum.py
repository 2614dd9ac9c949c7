"""Determines each update's kind of batch, its difficulty and its random keys."""

import copy
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from ntm_jax import tasks
from ntm_jax.config import stages, with_memory_size


class BatchSpec(NamedTuple):
    """Describes a kind of batch. Its arrays have one static shape, so each kind is compiled once."""

    task: tasks.Task  # draws the episodes
    sequences: int  # B
    memory_rows: int | None  # None for all that the model has
    # From the first scored step of an episode to its last; None where those are all steps.
    answer_steps: int | None


class Moment(NamedTuple):
    """Describes one update's batch. Every field is `[]` and depends only on the config and the update's number."""

    update: jax.Array  # updates done before it
    kind: jax.Array  # of its batch, an index in `Stages.specs`
    progress: jax.Array  # the share of the task's range of difficulties that is open, 0 to 1
    batch_key: jax.Array  # draws the batch
    model_key: jax.Array  # draws what is random in the model


class _Stage(NamedTuple):
    """Describes a stage that training reaches."""

    start: int
    source: tasks.Source
    specs: list[int]  # index in `Stages.specs` of each of the source's shapes


class Stages:
    """Determines what each update trains on, from a config's `curriculum`.

    Args:
      config: a whole config.

    Attributes:
      specs: every kind of batch that training draws.
      schedule_ends: the updates at which schedules end, ascending. The last is `train.updates`. Up to each
        of them, the learning rate and the penalties are what they would be if training ended there.

    Raises:
      UserError: an invalid stage, or fewer memory rows for a model whose number of rows is fixed.
    """

    def __init__(self, config: ConfigDict):
        self._config, self._seed = config, config.seed
        updates = config.train.updates
        fields = tasks.difficulty(config.task)
        specs: dict[BatchSpec, int] = {}
        self._stages: list[_Stage] = []
        restarts = []
        for stage, end in _with_ends(config):
            fields |= stage.task
            if 0 < stage.start < updates and stage.restart_schedule:
                restarts.append(stage.start)
            if stage.start < min(end, updates):
                source = tasks.make(config.task.name, **fields).source
                kinds = _specs(config, source, stage.memory_rows_per_step)
                numbers = [specs.setdefault(kind, len(specs)) for kind in kinds]
                self._stages.append(_Stage(stage.start, source, numbers))
        self.specs = tuple(specs)
        self.schedule_ends = (*restarts, updates)

    def with_seed(self, seed: int | jax.Array) -> "Stages":
        """Returns the same stages with another seed of all batches, `[]`, which may be traced."""
        other = copy.copy(self)
        other._seed = seed
        return other

    def at(self, update: jax.Array) -> Moment:
        """Returns what update number `update`, counted from 0, trains on."""
        batch_key, model_key = _keys(self._seed, update)
        progress = self._progress(update)
        spec = self._choose(update, batch_key, progress)
        return Moment(update, spec, progress, batch_key, model_key)

    def _progress(self, update: jax.Array) -> jax.Array:
        """Returns the share of the range that is open: 1, or growing over the first `curriculum.updates`."""
        if self._config.curriculum.name == "none":
            return jnp.ones(())
        return jnp.minimum(update / self._config.curriculum.updates, 1.0)

    def _choose(self, update: jax.Array, batch_key: jax.Array, progress: jax.Array) -> jax.Array:
        """Draws the kind of the update's batch, by its stage's probabilities."""
        if len(self.specs) == 1:
            return jnp.zeros((), jnp.int32)
        most = max(len(stage.specs) for stage in self._stages)
        number = sum(
            ((update >= stage.start).astype(jnp.int32) for stage in self._stages[1:]),
            start=jnp.zeros((), jnp.int32),
        )
        probabilities = jnp.stack(
            [_filled(stage.source.probabilities(progress), most) for stage in self._stages]
        )
        indices = np.array(
            [stage.specs + [0] * (most - len(stage.specs)) for stage in self._stages]
        )
        if most == 1:
            # Decided by the update alone, so that runs with different seeds share a branch.
            return jnp.asarray(indices, jnp.int32)[number, 0]
        key = jax.random.fold_in(batch_key, 0)
        shape = jax.random.categorical(key, jnp.log(probabilities[number]))
        return jnp.asarray(indices, jnp.int32)[number, shape]


def _with_ends(config: ConfigDict) -> list[tuple[stages.Stage, int]]:
    """Returns the config's stages, one of no changes first if none starts at 0, each with its end."""
    found = list(stages.read(config))
    if not found or found[0].start > 0:
        found.insert(0, stages.Stage())
    ends = [stage.start for stage in found[1:]] + [config.train.updates]
    return list(zip(found, ends, strict=True))


def _specs(config: ConfigDict, source: tasks.Source, rows_per_step: float) -> list[BatchSpec]:
    """Returns the kinds of batches of a stage, one for each shape."""
    sizes = source.batch_sizes(config.train.batch_size)
    found = []
    for shape, size in zip(source.shapes, sizes, strict=True):
        rows = reduced_memory(config, shape, rows_per_step) if rows_per_step else None
        steps = shape.source.answer_steps
        found.append(BatchSpec(shape, size, rows, steps if steps < shape.steps else None))
    return found


def reduced_memory(config: ConfigDict, task: tasks.Task, rows_per_step: float) -> int | None:
    """Returns the rows of memory in a stage that has `rows_per_step` for each step of the longest answer.

    There are at least as many as a shift needs. Returns None if the model has no more than that.

    Raises:
      UserError: the model has no memory, or has parameters for each row.
    """
    rows = round(rows_per_step * task.source.answer_steps)
    rows = max(rows, 2 * config.model.get("shift_range", 0) + 1)
    rows = min(rows, config.model.get("memory_size", rows))
    with_memory_size(config, rows, f"{stages.NAME}: memory_rows_per_step")
    return None if rows == config.model.memory_size else rows


def _filled(probabilities: jax.Array, count: int) -> jax.Array:
    """Returns `[count]` probabilities, those after the given ones 0."""
    return jnp.pad(probabilities, (0, count - probabilities.size))


def _keys(seed: int | jax.Array, update: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns the keys of an update's batch and of its model, from the seed and the update alone."""
    key = jax.random.fold_in(jax.random.key(seed), update)
    batch_key, model_key = jax.random.split(key)
    return batch_key, model_key
