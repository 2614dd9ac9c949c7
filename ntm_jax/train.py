"""Training: many updates inside one jitted loop, episodes drawn on the device."""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import optax
from flax import nnx, struct
from ml_collections import ConfigDict

from ntm_jax import losses, model, optimizers, tasks

Parameters: TypeAlias = Any  # an nnx.State


@struct.dataclass
class TrainState:
    """All that an update changes."""

    update: jax.Array  # [], updates done
    parameters: Parameters
    optimizer: optax.OptState


@struct.dataclass
class Sums:
    """Sums over the updates of one chunk; divide by `updates` for means."""

    updates: jax.Array  # []
    nats: jax.Array  # [], mean cross-entropy per sequence of each update
    bit_errors: jax.Array  # [], mean wrong bits per sequence of each update
    gradient_norm: jax.Array  # [], before clipping


class Trainer:
    """What a config means for training: the model's structure, its task, and one jitted `run`.

    Args:
      config: a whole config, see `ntm_jax.config`.

    Raises:
      UserError: something in the config that is not allowed.
    """

    def __init__(self, config: ConfigDict):
        self.config = config
        self.task = tasks.make(config.task.name, **task_fields(config))
        self.optimizer = optimizers.build(config, config.train.updates)
        self.learning_rate = optimizers.schedule(config, config.train.updates)
        built = model.build(config, self.task.input_size, self.task.output_size)
        self.structure, self._first_parameters = nnx.split(built)
        self.run: Callable[[TrainState, jax.Array], tuple[TrainState, Sums]] = jax.jit(
            self._run, donate_argnums=0
        )

    def initial_state(self) -> TrainState:
        """The state before the first update, decided by `config.seed` alone."""
        parameters = jax.tree.map(jnp.copy, self._first_parameters)
        return TrainState(jnp.zeros((), jnp.int32), parameters, self.optimizer.init(parameters))

    def model(self, state: TrainState) -> model.Model:
        """The model with this state's parameters."""
        return nnx.merge(self.structure, state.parameters)

    def _run(self, state: TrainState, updates: jax.Array) -> tuple[TrainState, Sums]:
        """`updates` updates in one loop on the device. Their number is traced: another one compiles nothing."""
        zero = jnp.zeros(())
        sums = Sums(jnp.zeros((), jnp.int32), zero, zero, zero)
        return jax.lax.fori_loop(0, updates, lambda _, carry: self._update(*carry), (state, sums))

    def _update(self, state: TrainState, sums: Sums) -> tuple[TrainState, Sums]:
        key = jax.random.fold_in(jax.random.key(self.config.seed), state.update)
        batch_key, model_key = jax.random.split(key)
        batch = self.task.sample(
            batch_key, self.config.train.batch_size, curriculum(self.config, state.update)
        )
        loss = partial(self._loss, batch=batch, key=model_key)
        (nats, bit_errors), gradient = jax.value_and_grad(loss, has_aux=True)(state.parameters)
        steps, optimizer = self.optimizer.update(gradient, state.optimizer, state.parameters)
        parameters = optax.apply_updates(state.parameters, steps)
        norm = optax.global_norm(gradient)
        return TrainState(state.update + 1, parameters, optimizer), Sums(
            sums.updates + 1,
            sums.nats + nats,
            sums.bit_errors + bit_errors,
            sums.gradient_norm + norm,
        )

    def _loss(
        self, parameters: Parameters, batch: tasks.Batch, key: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Mean nats and wrong bits per sequence."""
        ntm = nnx.merge(self.structure, parameters)
        logits, _ = model.unroll(ntm, batch.inputs, key=key)
        scored = logits, batch.targets, batch.mask
        return jnp.mean(losses.sequence_nats(*scored)), jnp.mean(losses.sequence_bit_errors(*scored))


def task_fields(config: ConfigDict) -> dict[str, Any]:
    """The difficulty that `config.task` gives, for `tasks.make`."""
    return {field: value for field, value in config.task.items() if field != "name"}


def curriculum(config: ConfigDict, update: jax.Array) -> jax.Array:
    """`[]`, the share of the task's range that is open: 1, or growing over the first `updates`."""
    if config.curriculum.name == "none":
        return jnp.ones(())
    return jnp.minimum(update / config.curriculum.updates, 1.0)
