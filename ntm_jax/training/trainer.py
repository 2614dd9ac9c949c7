"""Defines one update of training and the loop of updates, as pure functions from a state to the next.

An update

1. looks up what to train on (`Stages.at`): the kind of its batch (task, number of sequences, steps that are scored,
   rows of the memory), how much of the difficulty range the curriculum allows, and two random keys, one for the
   episodes and one for the model. All of it depends only on the config and the update's number, so a resumed run draws
   the same batches as an uninterrupted one;
2. takes the gradient of the loss (`Trainer.total_gradient`). Each device draws its own sequences of the batch
   (`Trainer.draw`) and differentiates its part of the loss (`loss_fn`): the mean cross-entropy of a sequence in nats,
   plus penalties. On the way back through time, the derivative by the model's state may be clipped at every step. The
   parts of all devices are added up;
3. applies it (`Trainer.apply`): the optimizer clips the gradient and makes a step, with the learning rate of the
   schedule. The costs and the gradient's norm are added to the sums behind the next row of metrics.csv. If the
   cross-entropy or the norm is not finite, parameters, optimizer and sums stay as they were. The update's number still
   advances, so its batch is not drawn again, and `skipped` goes up by one.

Shapes are in brackets: T steps, B sequences of this device.

The loop (`Trainer.run`) repeats this on the device until enough updates are done or one was skipped.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import optax
from flax import nnx, struct
from ml_collections import ConfigDict

from ntm_jax import models, tasks
from ntm_jax.config import with_memory_size, with_values
from ntm_jax.tasks import losses
from ntm_jax.tasks.losses import first_scored, window
from ntm_jax.training import optimizers
from ntm_jax.training.curriculum import BatchSpec, Moment, Stages
from ntm_jax.training.data_parallel import DataParallel

Parameters: TypeAlias = Any  # nested dicts of arrays
Structure: TypeAlias = Any  # all of a model but its parameters
Costs: TypeAlias = tuple[jax.Array, jax.Array]  # [], nats and wrong outputs, see `loss_fn`


@struct.dataclass
class Sums:
    """Holds sums over the updates since the last row of metrics.csv, where the caller sets them to zero.

    Skipped updates are left out.
    """

    updates: jax.Array  #: `[]`, updates that were added
    nats: jax.Array  #: `[]`, mean cross-entropy per sequence of each update
    bit_errors: jax.Array  #: `[]`, mean wrong outputs per sequence of each update
    gradient_norm: jax.Array  #: `[]`, before the optimizer clips it

    @classmethod
    def zero(cls) -> "Sums":
        """Returns sums over no update."""
        return cls(jnp.zeros((), jnp.int32), *(jnp.zeros(()) for _ in range(3)))


@struct.dataclass
class TrainState:
    """Holds everything carried from one update to the next."""

    update: jax.Array  #: `[]`, updates done, skipped ones too; the next one's number
    parameters: Parameters
    optimizer: optax.OptState
    sums: Sums
    skipped: jax.Array  #: `[]`, updates of the whole run that were not finite
    nonfinite: jax.Array  #: `[]`, whether the last update was one of them


@dataclass(frozen=True)
class Drawn:
    """Holds everything random in one update: the batch, and the keys for the model."""

    batch: tasks.Batch  #: `[T, B, ...]`, this device's sequences
    is_real: jax.Array | None  #: `[B]`, False for padding that makes shards equal; None if all are
    select: Callable[[jax.Array], jax.Array] | None  #: picks the steps to predict, None for all
    state_key: jax.Array  #: `[B]`, for a random initial state
    dropout_key: jax.Array
    bernoulli: Callable[..., jax.Array]  #: draws what dropout keeps, for these sequences


@dataclass(frozen=True)
class LossOptions:
    """Holds the options of the loss, which are the same at every update."""

    outputs: losses.Outputs  #: cross-entropy and wrong outputs of each sequence
    batch_size: int  #: number of sequences that the loss divides by
    blur_penalty: float  #: nats for each step, times how far the heads' weightings spread over rows
    write_penalty: float  #: nats for each scored step, times how much the heads erase and add
    state_gradient_limit: float  #: to ± this, derivatives by the state are clipped; 0: none


def loss_fn(
    parameters: Parameters,
    structure: Structure,
    drawn: Drawn,
    penalty_weight: jax.Array,
    options: LossOptions,
) -> tuple[jax.Array, Costs]:
    """Returns the loss of a batch, and its cross-entropy and wrong outputs per sequence.

    The loss is::

        loss = mean_b nats_b + penalty_weight * (blur_penalty  * mean_b Σ_t blur_tb
                                               + write_penalty * mean_b Σ_{t scored} writing_tb)

    `mean_b` is a sum over this device's sequences, divided by `options.batch_size`. So the parts of all devices add up
    to the whole. A kind of batch with fewer sequences than that has a smaller loss: each sequence weighs the same in
    every kind. Blur counts at all steps, writing at scored ones.
    """
    batch = drawn.batch
    targets, mask = batch.targets, batch.mask
    if drawn.select is not None:
        targets, mask = drawn.select(targets), drawn.select(mask)

    def mean(costs: jax.Array) -> jax.Array:
        if drawn.is_real is not None:
            costs = jnp.where(drawn.is_real, costs, 0)
        return jnp.sum(costs) / options.batch_size

    logits, usage = models.training_outputs(
        nnx.merge(structure, parameters),
        batch.inputs,
        key=drawn.state_key,
        dropout=drawn.dropout_key,
        draw=drawn.bernoulli,
        select=drawn.select,
        state_gradient_limit=options.state_gradient_limit,
        writing=options.write_penalty > 0,
    )
    nats = mean(options.outputs.nats(logits, targets, mask))
    errors = mean(options.outputs.errors(logits, targets, mask))
    loss = nats
    if options.blur_penalty:
        loss += penalty_weight * options.blur_penalty * mean(jnp.sum(usage.blur, axis=0))
    if options.write_penalty and usage.writing is not None:
        # Usage is of all steps, also where only some are selected for the loss.
        writing = jnp.where(batch.mask > 0, usage.writing, 0)
        loss += penalty_weight * options.write_penalty * mean(jnp.sum(writing, axis=0))
    return loss, (nats, errors)


def penalty_weight(update: jax.Array, schedule_ends: Sequence[int]) -> jax.Array:
    """Returns the weight of the penalties, `[]`. It rises linearly from 0 at 25% of training to 1 at 75%.

    Penalties from the start would keep heads from searching and writing, and nothing would be learned.
    Percentages count from update 0 to the next end of the schedule. So the weight falls where the schedule restarts.

    Args:
      update: `[]`.
      schedule_ends: ascending; training is taken to end at the first of them that is after `update`, or at the last.
    """
    *restarts, last = schedule_ends
    end: jax.Array | int = last
    for restart in reversed(restarts):
        end = jnp.where(update < restart, restart, end)
    return jnp.clip(2 * update / end - 0.5, 0, 1)


def dropout_key(model_key: jax.Array) -> jax.Array:
    """Returns the key of an update's dropout.

    It is the key that device 0 used in an earlier version. It stays, so that shipped models can be trained again.
    """
    return jax.random.fold_in(jax.random.fold_in(model_key, 0), 0)


class Trainer:
    """Builds the model, task and optimizer of a config, and compiles the training loop.

    `run(state, updates)` is the compiled loop. It donates the buffers of `state`. Another number of updates does not
    recompile it.

    Args:
      config: a whole config, see `ntm_jax.config`.
      devices: those that share the batches.

    Raises:
      UserError: the config is invalid.
    """

    def __init__(self, config: ConfigDict, devices: DataParallel = DataParallel()):  # noqa: B008
        self.config, self.devices = config, devices
        self.task = tasks.make(config.task.name, **tasks.difficulty(config.task))
        self.stages = Stages(config)
        ends = self.stages.schedule_ends
        self.optimizer = optimizers.build(config, ends)
        self.learning_rate = optimizers.schedule(config, ends)  # for metrics
        self.structure, first = self._split(config)
        self._first_parameters = nnx.to_pure_dict(first)
        # The model of each number of memory rows that a stage may reduce it to. No parameter depends on that number.
        self._structures: dict[int | None, Structure] = {None: self.structure}
        for spec in self.stages.specs:
            rows = spec.memory_rows
            if rows is not None and rows not in self._structures:
                self._structures[rows] = self._split(with_memory_size(config, rows))[0]
        self.options = LossOptions(
            outputs=self.task.outputs,
            batch_size=config.train.batch_size,
            blur_penalty=config.train.blur_penalty,
            write_penalty=config.train.write_penalty,
            # Dividing the loss by batch_size divides its derivatives too, so their limit is divided as well.
            state_gradient_limit=config.optimizer.state_gradient_limit / config.train.batch_size,
        )
        self.run = self._compiled()

    def with_values(self, values: Mapping[str, jax.Array]) -> "Trainer":
        """Returns a trainer of the same model and task with other values of some fields, which may be traced.

        Its first parameters are still those of this trainer's seed.

        Args:
          values: `[]` by field: `seed`, `optimizer.learning_rate` or `optimizer.clip_limit`.
        """
        other = copy.copy(self)
        other.config = with_values(self.config, values)
        other.stages = self.stages.with_seed(other.config.seed)
        other.optimizer = optimizers.build(other.config, self.stages.schedule_ends)
        other.learning_rate = optimizers.schedule(other.config, self.stages.schedule_ends)
        other.run = other._compiled()
        return other

    def _compiled(self) -> Callable[[TrainState, Any], TrainState]:
        run: Callable[[TrainState, Any], TrainState]
        run = self.devices.jit(self.run_updates, donate_argnums=0)
        return run

    def initial_state(self) -> TrainState:
        """Returns the state before the first update, with the parameters that this trainer was built with."""
        return self.state_before(jax.tree.map(jnp.copy, self._first_parameters))

    def first_parameters(self) -> Parameters:
        """Draws the first parameters anew from `config.seed`, which may be traced."""
        return nnx.to_pure_dict(self._split(self.config)[1])

    def state_before(self, parameters: Parameters) -> TrainState:
        """Returns the state before the first update, with these parameters."""
        optimizer = self.optimizer.init(parameters)
        zero = jnp.zeros((), jnp.int32)
        return TrainState(
            zero, parameters, optimizer, Sums.zero(), jnp.copy(zero), jnp.zeros((), bool)
        )

    def model(self, state: TrainState) -> models.Model:
        """Returns the model with a state's parameters."""
        return nnx.merge(self.structure, state.parameters)

    def _split(self, config: ConfigDict) -> tuple[nnx.GraphDef[models.Model], Any]:
        return nnx.split(models.build(config, self.task.input_size, self.task.output_size))

    def run_updates(self, state: TrainState, count: jax.Array) -> TrainState:
        """Runs up to `count` updates. An update that is not finite ends the loop, and the caller decides how to continue."""
        end = state.update + count

        def should_continue(state: TrainState) -> jax.Array:
            return (state.update < end) & ~state.nonfinite

        state = replace(state, nonfinite=jnp.zeros((), bool))
        return jax.lax.while_loop(should_continue, self.update, state)

    def update(self, state: TrainState) -> TrainState:
        """Runs one update."""
        gradient, costs = self.total_gradient(state)
        return self.apply(state, gradient, costs)

    def total_gradient(self, state: TrainState) -> tuple[Parameters, Costs]:
        """Draws the next update's batch and returns the loss's gradient and costs.

        Every device runs this on its own sequences. The sum of their parts is the loss of the whole batch.
        """
        moment = self.stages.at(state.update)
        # Kinds of batches have different shapes, so each has a branch that draws its own.
        branches = [partial(self.device_gradient, spec) for spec in self.stages.specs]
        parts = jax.lax.switch(moment.kind, branches, state.parameters, moment)
        total: tuple[Parameters, Costs] = self.devices.sum_over_devices(parts)
        return total

    def device_gradient(
        self, spec: BatchSpec, parameters: Parameters, moment: Moment
    ) -> tuple[Parameters, Costs]:
        """Draws a batch of one kind and returns this device's part of the loss's gradient and costs."""
        drawn = self.draw(spec, moment)
        weight = penalty_weight(moment.update, self.stages.schedule_ends)
        structure = self._structures[spec.memory_rows]
        gradient: tuple[Parameters, Costs] = jax.grad(loss_fn, has_aux=True)(
            parameters, structure, drawn, weight, self.options
        )
        return gradient

    def draw(self, spec: BatchSpec, moment: Moment) -> Drawn:
        """Draws this device's sequences of a batch of one kind, and the keys for its model."""
        shard, sequences = self.devices.shard, spec.sequences
        batch = spec.task.sample(moment.batch_key, sequences, moment.progress, shard)
        select = None
        if spec.answer_steps is not None:
            start = first_scored(batch.mask)
            select = partial(window, start=start, count=spec.answer_steps)
        return Drawn(
            batch=batch,
            is_real=self.devices.is_real(sequences),
            select=select,
            state_key=shard(jax.random.split(moment.model_key, sequences)),
            dropout_key=dropout_key(moment.model_key),
            bernoulli=partial(self.devices.bernoulli, sequences=sequences),
        )

    def apply(self, state: TrainState, gradient: Parameters, costs: Costs) -> TrainState:
        """Applies a gradient. If its norm or the cost is not finite, only `update`, `skipped` and `nonfinite` change.

        The condition costs 1% of an update of copy (ntm-ff, batch 1: 331 against 329 us of processor time, best of 5
        times 2,000 updates). Selecting between the new and the old arrays with `jnp.where` would cost 6%.
        """
        nats, bit_errors = costs
        norm = optax.tree.norm(gradient)
        finite = jnp.isfinite(norm) & jnp.isfinite(nats)

        def step() -> tuple[Parameters, optax.OptState, Sums]:
            steps, optimizer = self.optimizer.update(gradient, state.optimizer, state.parameters)
            sums = Sums(
                updates=state.sums.updates + 1,
                nats=state.sums.nats + nats,
                bit_errors=state.sums.bit_errors + bit_errors,
                gradient_norm=state.sums.gradient_norm + norm,
            )
            return optax.apply_updates(state.parameters, steps), optimizer, sums

        def no_step() -> tuple[Parameters, optax.OptState, Sums]:
            return state.parameters, state.optimizer, state.sums

        parameters, optimizer, sums = jax.lax.cond(finite, step, no_step)
        return TrainState(
            update=state.update + 1,
            parameters=parameters,
            optimizer=optimizer,
            sums=sums,
            skipped=state.skipped + (~finite).astype(jnp.int32),
            nonfinite=~finite,
        )

    def gradient_norms(self, state: TrainState) -> Any:
        """Returns the norm of each parameter's gradient at the next update, nested dicts of `[]`."""
        gradient, _ = self.devices.jit(self.total_gradient)(state)
        return jax.tree.map(jnp.linalg.norm, gradient)
