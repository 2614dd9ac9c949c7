"""Runs one episode of a model and packs everything that a page draws of it."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx, struct

from ntm_jax import models, tasks
from ntm_jax.errors import UserError
from ntm_jax.evaluation.episode import Episode
from ntm_jax.models.cell import NTMCell, NTMState
from ntm_jax.models.heads import Controls
from ntm_jax.tasks import Batch, editing, losses
from ntm_jax.tasks.labels import Span
from ntm_jax.web.packing import pack
from ntm_jax.web.viewer import edits, interventions
from ntm_jax.web.viewer.interventions import Intervention
from ntm_jax.web.viewer.questions import Question

LEAST_CHANCE = 1e-7  # of a symbol, in float32
SHORTEST = 64  # steps that a model is compiled for, and twice that, and so on


@struct.dataclass
class Watched(Episode):
    """Holds one episode with everything its model did, as NumPy arrays."""

    logits: jax.Array  # [T, out]
    optimal: jax.Array | None  # [T, out], the best possible probabilities, where they are known
    reads: jax.Array  # [T, R, W]
    controls: Controls | None  # every field with a leading [T]
    memory: jax.Array | None  # [T, N, W] after each step
    first_memory: jax.Array | None  # [N, W] before the first
    first_weightings: jax.Array | None  # [A, N] before the first


def watch(model: models.Model, question: Question) -> Watched:
    """Runs the episode that a visitor asks for on a model that has as many rows as asked."""
    batch, optimal, key = draw(question)
    return run(model, question.task, batch, key, optimal, question.interventions)


def draw(question: Question) -> tuple[Batch, jax.Array | None, jax.Array]:
    """Draws the episode that a visitor asks for.

    Returns:
      The episode, `[T, in]`, `[T, out]`, `[T]`; the best possible probabilities `[T, out]`, if they are known; and the
      key of a random initial state.
    """
    batch_key, model_key = jax.random.split(jax.random.key(question.seed))
    table = None
    if question.table is not None:
        table, _ = jax.random.split(jax.random.key(question.table))
    batch, optimal = _draw(question.task, batch_key, table)
    if question.bits is not None or question.numbers is not None:
        batch = _edited(question, jax.device_get(batch))
        optimal = optimal_probability(question.task, jax.tree.map(jnp.asarray, batch))
    return batch, optimal, model_key


def _edited(question: Question, batch: Batch) -> Batch:
    editable = question.task.editable(batch)
    if editable is None:
        raise UserError(f"bits: the input of {question.task.name} cannot be edited")
    drawn = editing.content(np.asarray(batch.inputs), editable)
    content = edits.decode(question.bits, question.numbers, editable, drawn)
    return question.task.edited(batch, content)


def run(
    model: models.Model,
    task: tasks.Task,
    batch: Batch,
    key: jax.Array,
    optimal: jax.Array | None = None,
    changes: Sequence[Intervention] = (),
) -> Watched:
    """Runs a model on one episode, shown in the channels of the task.

    Args:
      model: with its rows.
      task: whose episode it is.
      batch: the episode, `[T, in]`, `[T, out]`, `[T]`.
      key: for a random initial state.
      optimal: `[T, out]`, where a best predictor is known.
      changes: made inside the model meanwhile.

    Raises:
      UserError: changes that this model cannot have.
    """
    steps = batch.inputs.shape[0]
    longest = max(SHORTEST, 1 << (steps - 1).bit_length())
    # With NumPy, for a padding of its own for each length would be compiled for each.
    inputs = np.pad(np.asarray(batch.inputs), ((0, longest - steps), (0, 0)))
    structure, parameters = nnx.split(model)
    if changes:
        made = _changes(model, changes)
        seen = jax.device_get(_watch_changed(structure, parameters, inputs, key, made))
    else:
        seen = jax.device_get(_watch(structure, parameters, inputs, key))
    logits, trace, first = seen
    # What comes after the last step has no influence on what came before.
    logits, trace = jax.tree.map(lambda values: values[:steps], (logits, trace))
    shown: Any = batch.inputs, batch.targets, logits
    if task.outputs is not losses.BITS:
        put_in, expected, chance = jax.device_get(task.source.picture(batch, logits))
        chance = np.clip(chance, LEAST_CHANCE, 1 - LEAST_CHANCE)
        shown = put_in, expected, np.log(chance) - np.log1p(-chance)
    inputs, targets, logits = shown
    probabilities: Any = 1 / (1 + np.exp(-np.asarray(logits, np.float64)))
    return Watched(
        inputs=inputs,
        targets=targets,
        mask=batch.mask,
        probabilities=probabilities,
        read_weightings=trace.read_weightings,
        write_weightings=trace.write_weightings,
        logits=logits,
        optimal=optimal,
        reads=trace.reads,
        controls=trace.controls,
        memory=trace.memory,
        first_memory=None if first is None else first[0],
        first_weightings=None if first is None else first[1],
    )


@partial(jax.jit, static_argnums=0)
def _draw(
    task: tasks.Task, key: jax.Array, table_key: jax.Array | None
) -> tuple[Batch, jax.Array | None]:
    if task.keeps_table:
        batch = task.episode_with_table(key, key if table_key is None else table_key)
    else:
        batch = task.episode(key, jnp.ones(()))
    return batch, optimal_probability(task, batch)


def optimal_probability(task: tasks.Task, batch: Batch) -> jax.Array | None:
    """Returns the best possible probabilities in one episode, `[T, out]`, if they are known."""
    found = task.optimal_probability(jax.tree.map(lambda values: values[:, None], batch))
    return None if found is None else found[:, 0]


@partial(jax.jit, static_argnums=0)
def _watch(
    structure: Any, parameters: Any, inputs: jax.Array, key: jax.Array
) -> tuple[jax.Array, models.Trace, tuple[jax.Array, jax.Array] | None]:
    model = nnx.merge(structure, parameters)
    state = model.initial_state((1,), key)
    logits, trace = models.unroll(model, inputs[:, None], state=state, memory=True)
    first = (state.memory[0], state.weightings[0]) if isinstance(state, NTMState) else None
    return logits[:, 0], jax.tree.map(lambda values: values[:, 0], trace), first


def _changes(model: models.Model, wanted: Sequence[Intervention]) -> interventions.Changes:
    if not isinstance(model, NTMCell):
        raise UserError("break: this model has no heads that could be changed")
    return interventions.changes(wanted, model, model.initial.memory_size)


@partial(jax.jit, static_argnums=0)
def _watch_changed(
    structure: Any,
    parameters: Any,
    inputs: jax.Array,
    key: jax.Array,
    made: interventions.Changes,
) -> tuple[jax.Array, models.Trace, tuple[jax.Array, jax.Array]]:
    model = nnx.merge(structure, parameters)
    state = jax.tree.map(lambda values: values[0], model.initial_state((1,), key))
    logits, reads, weightings, controls, memory = interventions.unroll(
        model, state, inputs, made, key
    )
    heads = model.heads
    reading, writing = weightings[:, : heads.read_heads], weightings[:, -heads.write_heads :]
    trace = models.Trace(reading, writing, reads, controls, memory)
    return logits, trace, (state.memory, state.weightings)


def scores(episode: Watched) -> dict[str, float]:
    """Returns what the episode cost, and what it would cost at best."""
    mask = np.asarray(episode.mask)[:, None] > 0
    targets, logits = np.asarray(episode.targets), np.asarray(episode.logits, np.float64)
    nats = np.logaddexp(0, np.where(targets > 0, -logits, logits))
    result = {
        "scored_bits": int(mask.sum() * targets.shape[1]),
        "wrong_bits": int((((logits > 0) != (targets > 0)) & mask).sum()),
        "bits": float((nats * mask).sum() * losses.BITS_PER_NAT),
    }
    if episode.optimal is not None:
        p = np.asarray(episode.optimal, np.float64)
        best = -np.log(np.where(targets > 0, p, 1 - p))
        result["optimal_bits"] = float((best * mask).sum() * losses.BITS_PER_NAT)
    return result


def to_json(episode: Watched, task: tasks.Task, memory: bool = True) -> dict[str, Any]:
    """Returns an episode for the page.

    Args:
      episode: from `watch` or `run`.
      task: whose it is.
      memory: whether to send the memory, which is most of it.
    """
    arrays: dict[str, Any] = {
        "inputs": episode.inputs,
        "targets": episode.targets,
        "mask": episode.mask,
        "probabilities": episode.probabilities,
        "read_weightings": episode.read_weightings,
        "write_weightings": episode.write_weightings,
        "reads": episode.reads,
    }
    if episode.optimal is not None:
        arrays["optimal"] = episode.optimal
    if episode.controls is not None:
        arrays |= vars(episode.controls)
    packed = {name: pack(values) for name, values in arrays.items()}
    if memory and episode.memory is not None:
        packed["memory"] = pack(episode.memory, rounded=True)
        packed["first_memory"] = pack(episode.first_memory, rounded=True)
        packed["first_weightings"] = pack(episode.first_weightings, rounded=True)
    batch = Batch(episode.inputs, episode.targets, episode.mask)
    return {**describe(batch, task), "scores": scores(episode), "arrays": packed}


def describe(batch: Batch, task: tasks.Task) -> dict[str, Any]:
    """Describes an episode as the page shows it, without its numbers.

    Args:
      batch: `[T, in]`, `[T, out]`, `[T]`, in the channels of the task.
      task: whose it is.
    """
    channels, explanation = task.channels(), task.explanation()
    inputs, mask = np.asarray(batch.inputs), np.asarray(batch.mask)
    batch = Batch(inputs, np.asarray(batch.targets), mask)  # type: ignore[arg-type]
    editable = task.editable(batch) if task.outputs is losses.BITS else None
    return {
        "task": task.name,
        "explanation": None if explanation is None else vars(explanation),
        "steps": len(mask),
        "input_channels": channels.inputs,
        "output_channels": channels.outputs,
        "priority_channel": (
            channels.inputs.index("priority") if "priority" in channels.inputs else None
        ),
        "spans": [_span(span) for span in task.spans(inputs, mask)],
        "editable": None if editable is None else edits.describe(editable),
    }


def _span(span: Span) -> dict[str, Any]:
    return {"from": span.start, "to": span.end, "label": span.label, "role": span.role}
