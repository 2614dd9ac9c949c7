"""Saves the training state to a checkpoint, and restores it."""

import jax.numpy as jnp
from ml_collections import ConfigDict

from ntm_jax.distributed import collectives
from ntm_jax.storage.checkpoints import Checkpoints, CheckpointStore
from ntm_jax.storage.writers import Saving
from ntm_jax.training.trainer import Trainer, TrainState


def saving(
    state: TrainState, checkpoints: CheckpointStore, seconds: float, config: ConfigDict
) -> Saving:
    """Returns the checkpoint of a state, to be written.

    It has the whole state except `nonfinite`, which each call of `Trainer.run` sets.

    Args:
      state: finite.
      checkpoints: of the run.
      seconds: trained so far.
      config: of the run.
    """
    training = (state.update, state.optimizer, state.sums)
    update, skipped = int(state.update), int(state.skipped)
    return Saving(checkpoints, update, state.parameters, training, seconds, config, skipped)


def restore(checkpoints: Checkpoints, update: int, like: TrainState) -> tuple[TrainState, float]:
    """Returns the state in a checkpoint and the seconds trained by then.

    Args:
      checkpoints: of the run.
      update: of the checkpoint.
      like: a state of the same structure and shapes.

    Raises:
      UserError: the checkpoint cannot be read.
    """
    training = (like.update, like.optimizer, like.sums)
    parameters, (done, optimizer, sums), seconds, skipped = checkpoints.restore(
        update, like.parameters, training
    )
    state = TrainState(done, parameters, optimizer, sums, jnp.int32(skipped), like.nonfinite)
    return state, seconds


def newest(checkpoints: CheckpointStore, first: TrainState) -> tuple[TrainState, float]:
    """Returns the newest checkpoint's state and the seconds trained by then, or the first state.

    Raises:
      UserError: the checkpoint cannot be read.
    """
    update = checkpoints.newest()
    if update is None:
        return first, 0.0
    assert isinstance(checkpoints, Checkpoints), "which the first process has"
    return restore(checkpoints, update, first)


def begin(trainer: Trainer, checkpoints: CheckpointStore) -> tuple[TrainState, float]:
    """Returns the newest checkpoint's state, or the first state, on all devices; and the seconds trained by then.

    Every process of a run calls it; the first one reads, and broadcasts what it has read.

    Raises:
      UserError: the checkpoint cannot be read.
    """
    first = trainer.initial_state()

    state, seconds = collectives.on_first_process(lambda: newest(checkpoints, first), (first, 0.0))
    state = collectives.broadcast(state)
    checkpoints.resumed(int(state.update))
    return trainer.devices.place(state), seconds
