"""Evaluates a model on the named cases of its task: arrays in, numbers out."""

import dataclasses
import math
import zlib
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx, struct
from ml_collections import ConfigDict

from ntm_jax import config as configs
from ntm_jax import models, tasks
from ntm_jax.evaluation.episode import Episode
from ntm_jax.tasks import losses
from ntm_jax.training import progress

OPTIONS = {"episodes", "memory_size", "seed"}  # of `evaluate` itself, not fields of a task


@struct.dataclass
class Scores:
    """Holds the costs of E episodes."""

    nats: jax.Array  # [E]
    bit_errors: jax.Array  # [E]; of symbols, those that are not the most probable
    optimal_nats: jax.Array | None  # [E], where the task knows a best predictor
    statistics: dict[str, jax.Array] = dataclasses.field(
        default_factory=dict
    )  # [E, ...], the task's own


def evaluate_model(
    config: ConfigDict,
    model: models.Model,
    update: int,
    draw: Callable[[str, Episode], None] = lambda name, episode: None,
    case_done: Callable[[Mapping[str, Any]], None] = lambda case: None,
    show: Callable[[str, int, str], progress.Bar] = progress.bar,
) -> dict[str, Any]:
    """Evaluates a model on the named cases of its task; writes nothing.

    Args:
      config: with `task`, `model` and `evaluate`.
      model: with the number of memory rows to evaluate with.
      update: the update of its checkpoint.
      draw: called with every case's name and first episode.
      case_done: called with every case's numbers.
      show: makes the progress bar.

    Returns:
      What `evaluation.json` holds.
    """
    task = evaluated_task(config)
    found = []
    there = cases(config, task)
    with closing(show("evaluating", len(there), "case")) as bar:
        for done, case in enumerate(there, 1):
            key = case_key(config, case.name)
            scores, episode = score(model, case.task, key, config.evaluate.episodes)
            found.append(case_result(case, scores))
            case_done(found[-1])
            draw(case.name, episode)
            bar.move_to(done)
    return result(config, model, update, found)


def cases(config: ConfigDict, task: tasks.Task) -> list[tasks.Case]:
    """Returns the cases of a task of which there are episodes."""
    episodes = config.evaluate.episodes
    return [case for case in task.cases() if case.task.source.evaluation_shapes(episodes)]


def case_result(case: tasks.Case, scores: Scores) -> dict[str, Any]:
    """Returns a case's numbers as `evaluation.json` has them."""
    statistics = case.task.source.summarise(jax.device_get(scores.statistics))
    return {
        "name": case.name,
        "difficulty": dict(case.difficulty),
        **summary(scores),
        **statistics,
    }


def result(
    config: ConfigDict, model: models.Model, update: int, cases: list[dict[str, Any]]
) -> dict[str, Any]:
    """Returns what `evaluation.json` holds.

    Args:
      config: a whole config.
      model: what was evaluated, or its shapes.
      update: of its checkpoint.
      cases: from `case_result`.
    """
    return {
        "task": config.task.name,
        "model": configs.model_name(config),
        "update": update,
        "parameters": models.parameter_count(model),
        **({"memory_size": config.evaluate.memory_size} if config.evaluate.memory_size else {}),
        "cases": cases,
    }


def evaluated_task(config: ConfigDict) -> tasks.Task:
    """Returns the task to evaluate.

    Fields of the task that the config's `evaluate` section has too, like `part`, get their values from there.
    """
    task = tasks.make(config.task.name, **tasks.difficulty(config.task))
    names = {field.name for field in dataclasses.fields(task)} - OPTIONS
    replaced = {name: value for name, value in config.evaluate.items() if name in names}
    return tasks.make(task.name, **{**tasks.difficulty(config.task), **replaced})


def case_key(config: ConfigDict, name: str) -> jax.Array:
    """Returns the key of a case's episodes, from `evaluate.seed` and its name. Training never uses this key."""
    key, _ = jax.random.split(jax.random.key(config.evaluate.seed))
    return jax.random.fold_in(key, zlib.crc32(name.encode()))


def score(
    model: models.Model, task: tasks.Task, key: jax.Array, episodes: int
) -> tuple[Scores, Episode]:
    """Runs a model on `episodes` episodes, in batches, and returns their costs and the first episode."""
    structure, parameters = nnx.split(model)
    found, first_episodes = [], []
    for shape in batches(task, key, episodes):
        costs, episode = _score(structure, shape.static, parameters, shape.keys)
        found.append(_first(costs, shape.static.count))
        first_episodes.append(episode)
    return jax.tree.map(lambda *parts: jnp.concatenate(parts), *found), first_episodes[0]


@dataclasses.dataclass(frozen=True)
class StaticBatches:
    """Describes batches of episodes that have one shape."""

    task: tasks.Task
    count: int  # episodes of all batches
    at_once: int  # of a batch

    def draw(self, number: jax.Array, key: jax.Array) -> tuple[tasks.Batch, jax.Array]:
        """Returns a batch, and the key of what is random in the model."""
        batch_key, model_key = jax.random.split(key)
        first = number * self.at_once
        batch = self.task.source.evaluation_batch(batch_key, first, self.count, self.at_once)
        return batch, model_key


class Batches(NamedTuple):
    """Holds the batches of one shape of a case's episodes."""

    static: StaticBatches
    keys: jax.Array  # [batches]


def batches(task: tasks.Task, key: jax.Array, episodes: int) -> list[Batches]:
    """Returns the batches of a case's episodes, by their shapes."""
    found = []
    for number, (shape, count) in enumerate(task.source.evaluation_shapes(episodes)):
        at_once = min(count, task.source.episodes_at_once)
        own = key if number == 0 else jax.random.fold_in(key, number)
        keys = jax.random.split(own, math.ceil(count / at_once))
        found.append(Batches(StaticBatches(shape, count, at_once), keys))
    return found


def _first(scores: Scores, count: int) -> Scores:
    """Returns the first `count` episodes of batches: `[batches, B, ...]` -> `[count, ...]`."""
    return jax.tree.map(lambda values: values.reshape(-1, *values.shape[2:])[:count], scores)


def scores(task: tasks.Task, batch: tasks.Batch, logits: jax.Array) -> Scores:
    """Returns the costs of a batch, `[B]`, for a model's logits `[T, B, outputs]`."""
    scored = logits, batch.targets, batch.mask
    return Scores(
        task.outputs.nats(*scored),
        task.outputs.errors(*scored),
        task.optimal_nats(batch),
        task.source.episode_statistics(batch, logits),
    )


@partial(jax.jit, static_argnums=(0, 1))
def _score(
    structure: Any, static: StaticBatches, parameters: Any, keys: jax.Array
) -> tuple[Scores, Episode]:
    task = static.task

    def one_batch(number_and_key: tuple[jax.Array, jax.Array]) -> tuple[Scores, Episode]:
        batch, model_key = static.draw(*number_and_key)
        model = nnx.merge(structure, parameters)
        logits, trace = models.unroll(model, batch.inputs, key=model_key)
        first: tasks.Batch = jax.tree.map(lambda values: values[:, 0], batch)
        inputs, targets, probabilities = task.source.picture(first, logits[:, 0])
        episode = Episode(
            inputs=inputs,
            targets=targets,
            mask=first.mask,
            probabilities=probabilities,
            read_weightings=trace.read_weightings[:, 0],
            write_weightings=trace.write_weightings[:, 0],
            symbols=first.inputs[:, 0] if task.outputs is losses.SYMBOLS else None,
        )
        return scores(task, batch, logits), episode

    found, first_episodes = jax.lax.map(one_batch, (jnp.arange(len(keys)), keys))
    return found, jax.tree.map(lambda values: values[0], first_episodes)


def summary(scores: Scores) -> dict[str, float | int]:
    """Returns means over episodes, in bits, with standard errors."""
    bits = np.asarray(scores.nats) * losses.BITS_PER_NAT
    errors = np.asarray(scores.bit_errors)
    result: dict[str, float | int] = {
        "episodes": len(bits),
        "bits_per_sequence": float(bits.mean()),
        "bits_per_sequence_standard_error": _standard_error(bits),
        "bit_errors_per_sequence": float(errors.mean()),
        "perfect_fraction": float((errors == 0).mean()),
    }
    if scores.optimal_nats is not None:
        optimal = np.asarray(scores.optimal_nats) * losses.BITS_PER_NAT
        gap = bits - optimal  # on the same episodes, which differ far more than the gap does
        result["optimal_bits_per_sequence"] = float(optimal.mean())
        result["gap_bits_per_sequence"] = float(gap.mean())
        result["gap_bits_per_sequence_standard_error"] = _standard_error(gap)
    return result


def _standard_error(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else 0.0
