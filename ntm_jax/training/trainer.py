"""Training: many updates inside one jitted loop, episodes drawn on the device."""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import optax
from flax import nnx, struct
from ml_collections import ConfigDict

from ntm_jax import models, tasks
from ntm_jax.config import with_memory_size
from ntm_jax.tasks.losses import first_scored, window
from ntm_jax.training import curriculum, optimizers
from ntm_jax.training.data_parallel import DataParallel

Parameters: TypeAlias = Any  # nested dicts of arrays


@struct.dataclass
class Sums:
    """Sums over the updates since the last line of metrics."""

    updates: jax.Array  # []
    nats: jax.Array  # [], mean cross-entropy per sequence of each update
    bit_errors: jax.Array  # [], mean wrong bits per sequence of each update
    gradient_norm: jax.Array  # [], before clipping

    @classmethod
    def zero(cls) -> "Sums":
        """Nothing added yet."""
        return cls(jnp.zeros((), jnp.int32), *(jnp.zeros(()) for _ in range(3)))


@struct.dataclass
class TrainState:
    """All that an update changes."""

    update: jax.Array  # [], updates done
    parameters: Parameters
    optimizer: optax.OptState
    sums: Sums
    skipped: jax.Array  # [], updates that were not finite, of the whole run
    stuck: jax.Array  # [], whether the last update was not finite


class Trainer:
    """What a config means for training: the model's structure, its task, and one jitted `run`.

    `run(state, updates)` does that many updates in one loop on the device, or up to the first that is not finite,
    and gives the new state; the old one's buffers are reused. The number is traced, so another one compiles nothing.

    Args:
      config: a whole config, see `ntm_jax.config`.
      devices: that share the batches, see `ntm_jax.mesh`.

    Raises:
      UserError: something in the config that is not allowed.
    """

    def __init__(self, config: ConfigDict, devices: DataParallel = DataParallel()):  # noqa: B008
        self.config, self.devices = config, devices
        self.task = tasks.make(config.task.name, **tasks.difficulty(config.task))
        ends = config.train.updates, config.train.get("first_updates", 0)
        self.optimizer = optimizers.build(config, *ends)
        self.kinds = curriculum.kinds(config, self.task)
        self.learning_rate = optimizers.schedule(config, *ends)
        self.structure, first = self._split(config)
        self._structures = [self._structure(kind.rows) for kind in self.kinds]
        self._first_parameters = nnx.to_pure_dict(first)
        self.run: Callable[[TrainState, Any], TrainState] = devices.jit(self._run, donate_argnums=0)

    def initial_state(self) -> TrainState:
        """The state before the first update, decided by `config.seed` alone; `devices.place` gives it to all."""
        parameters = jax.tree.map(jnp.copy, self._first_parameters)
        optimizer = self.optimizer.init(parameters)
        zero = jnp.zeros((), jnp.int32)
        return TrainState(
            zero, parameters, optimizer, Sums.zero(), jnp.copy(zero), jnp.zeros((), bool)
        )

    def model(self, state: TrainState) -> models.Model:
        """The model with this state's parameters."""
        return nnx.merge(self.structure, state.parameters)

    def _split(self, config: ConfigDict) -> tuple[nnx.GraphDef[models.Model], Any]:
        return nnx.split(models.build(config, self.task.input_size, self.task.output_size))

    def _structure(self, rows: int | None) -> Any:
        """The model's, with so many rows of memory."""
        return self._split(with_memory_size(self.config, rows))[0] if rows else self.structure

    def _run(self, state: TrainState, updates: jax.Array) -> TrainState:
        end = state.update + updates

        def goes_on(state: TrainState) -> jax.Array:
            return (state.update < end) & ~state.stuck

        return jax.lax.while_loop(goes_on, self._update, state)

    def _update(self, state: TrainState) -> TrainState:
        gradient, (nats, bit_errors) = self._gradient(state)
        steps, optimizer = self.optimizer.update(gradient, state.optimizer, state.parameters)
        norm = optax.tree.norm(gradient)
        return TrainState(
            update=state.update + 1,
            parameters=optax.apply_updates(state.parameters, steps),
            optimizer=optimizer,
            sums=Sums(
                updates=state.sums.updates + 1,
                nats=state.sums.nats + nats,
                bit_errors=state.sums.bit_errors + bit_errors,
                gradient_norm=state.sums.gradient_norm + norm,
            ),
            skipped=state.skipped,
            stuck=~(jnp.isfinite(norm) & jnp.isfinite(nats)),
        )

    def gradient_norms(self, state: TrainState) -> Any:
        """The norm of each parameter's gradient at the next update, nested dicts of `[]`."""
        gradient, _ = self.devices.jit(self._gradient)(state)
        return jax.tree.map(jnp.linalg.norm, gradient)

    def _gradient(self, state: TrainState) -> tuple[Parameters, tuple[jax.Array, jax.Array]]:
        batch_key, model_key = curriculum.keys(self.config, state.update)
        progress = curriculum.progress(self.config, state.update)
        price = self._price(state.update)
        part = self.devices.part

        def of(kind: curriculum.Kind, structure: Any) -> Callable[[Parameters], Any]:
            def gradient(parameters: Parameters) -> Any:
                batch = kind.task.sample(batch_key, kind.sequences, progress, part)
                key = model_key
                if self.devices.devices > 1:
                    key = part(jax.random.split(model_key, kind.sequences))
                # The second 0 was the device's number once, and what ships was drawn so.
                dropout = jax.random.fold_in(jax.random.fold_in(model_key, 0), 0)
                loss = partial(self._loss, structure, kind=kind, batch=batch, price=price)
                return jax.grad(loss, has_aux=True)(parameters, key=key, dropout=dropout)

            return gradient

        gradients = [of(*one) for one in zip(self.kinds, self._structures, strict=True)]
        if len(gradients) == 1:
            return self.devices.total(gradients[0](state.parameters))
        chosen = curriculum.chosen(self.config, self.task, state.update)
        return self.devices.total(jax.lax.switch(chosen, gradients, state.parameters))

    def _loss(
        self,
        structure: Any,
        parameters: Parameters,
        kind: curriculum.Kind,
        batch: tasks.Batch,
        key: jax.Array,
        dropout: jax.Array,
        price: jax.Array,
    ) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        """What is minimised; nats and wrong outputs per sequence, of `train.batch_size` sequences.

        Of several devices, this one's part. A batch that has more sequences, because they are shorter, counts
        for no more.
        """
        model, task = nnx.merge(structure, parameters), kind.task
        # Of a batch's mean, a sequence's derivatives are as many times smaller.
        limit = (
            self.config.optimizer.get("state_gradient_limit", 0.0) / self.config.train.batch_size
        )
        scored, select = (batch.targets, batch.mask), None
        if task.source.answer_steps < task.steps:
            select = partial(window, start=first_scored(batch.mask), count=task.source.answer_steps)
            scored = select(batch.targets), select(batch.mask)
        write_penalty = self.config.train.get("write_penalty", 0.0)
        options = {
            "key": key,
            "dropout": dropout,
            "select": select,
            "state_gradient_limit": limit,
        }
        options["writing"] = bool(write_penalty)
        options["draw"] = partial(self.devices.bernoulli, sequences=kind.sequences)
        logits, use = models.training_outputs(model, batch.inputs, **options)
        mean = partial(self._mean, self.devices.counted(kind.sequences))
        nats = mean(task.outputs.nats(logits, *scored))
        errors = mean(task.outputs.errors(logits, *scored))
        cost, blur_penalty = nats, self.config.train.blur_penalty
        if blur_penalty:
            cost += price * blur_penalty * mean(jnp.sum(use.blur, axis=0))
        if use.writing is not None:
            writing = jnp.where(batch.mask > 0, use.writing, 0)
            cost += price * write_penalty * mean(jnp.sum(writing, axis=0))
        return cost, (nats, errors)

    def _mean(self, counted: jax.Array | None, costs: jax.Array) -> jax.Array:
        """Over the batch, of each sequence's `[B]`; of several devices, this one's part of it."""
        if counted is not None:
            costs = jnp.where(counted, costs, 0)
        return jnp.sum(costs) / self.config.train.batch_size

    def _price(self, update: jax.Array) -> jax.Array:
        """The share of `train.blur_penalty` and `train.write_penalty` that counts: from 0 at a quarter of the updates to
        1 at three quarters; before `train.first_updates`, of those.

        From the start they would keep heads from looking around and from writing, and nothing would be learned.
        """
        updates, first = (self.config.train.get(name, 0) for name in ("updates", "first_updates"))
        if 0 < first < updates:
            updates = jnp.where(update < first, first, updates)
        return jnp.clip(2 * update / updates - 0.5, 0, 1)
