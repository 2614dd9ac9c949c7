"""Trains a run: chunks of updates, checkpoints, metrics, and being stopped."""

import math
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from ntm_jax import config as configs
from ntm_jax import signals
from ntm_jax.config import with_memory_size
from ntm_jax.distributed import cluster, collectives
from ntm_jax.errors import UserError
from ntm_jax.storage import files
from ntm_jax.storage.checkpoints import Checkpoints, CheckpointStore, FollowerCheckpoints
from ntm_jax.storage.run_folder import open_run_folder
from ntm_jax.tasks import losses
from ntm_jax.training import data_parallel, nonfinite
from ntm_jax.training.metrics import Row
from ntm_jax.training.progress import NullProgress, Progress
from ntm_jax.training.trainer import Sums, Trainer, TrainState
from ntm_jax.web import monitor


def train(config: ConfigDict, workdir: Path) -> TrainState:
    """Trains to `config.train.updates`, going on from the newest checkpoint in `workdir`, if any.

    Args:
      config: a whole config.
      workdir: the run's folder, made if it is not there.

    Returns:
      The last state, which is also the newest checkpoint.

    Raises:
      UserError: something in the config, or a folder that holds another run or is trained in by another
        process. Nothing is written then.
        Or the disk is full; the checkpoints that are there are sound.
      Stopped: SIGTERM or Ctrl-C came. The newest checkpoint is of the update that training got to.
    """
    collectives.check_equal("the config", configs.to_json(config))
    trainer = Trainer(config, data_parallel.build(config))
    if config.evaluate.memory_size:
        with_memory_size(
            config, config.evaluate.memory_size
        )  # may not be possible: better said now
    with (
        _folder(config, workdir) as (publish, checkpoints),
        signals.catch_stop_signals() as request,
    ):
        try:
            state = _train(trainer, workdir, checkpoints, publish, request)
        except OSError as error:
            raise UserError(
                f"--workdir: {workdir} cannot be written to ({error.strerror}); "
                "the same command goes on from the last checkpoint"
            ) from None
        except (jax.errors.JaxRuntimeError, ValueError) as error:
            raise cluster.explained(error) from None
        request.what_is_left = (
            f"update {int(state.update):,} is saved; the same command goes on from there"
        )
    return state


@contextmanager
def _folder(config: ConfigDict, workdir: Path) -> Iterator[tuple[monitor.Publish, CheckpointStore]]:
    """The monitor and the checkpoints of the run, whose folder one process has."""
    with ExitStack() as stack:

        def opened() -> tuple[monitor.Publish, CheckpointStore]:
            publish = stack.enter_context(monitor.beside(config, workdir))
            return publish, stack.enter_context(open_run_folder(workdir, config))

        elsewhere: tuple[monitor.Publish, CheckpointStore] = (
            monitor.nothing,
            FollowerCheckpoints(),
        )
        yield collectives.on_first_process(opened, elsewhere)


def _train(
    trainer: Trainer,
    workdir: Path,
    checkpoints: CheckpointStore,
    publish: monitor.Publish,
    request: signals.StopRequest,
) -> TrainState:
    config, pace, asked = trainer.config, signals.ChunkSize(), False
    if collectives.is_first():
        for name, text in trainer.task.source.run_files().items():
            files.write_atomically(workdir / name, text.encode())
    state, before = _begin(trainer, checkpoints)
    start, done = time.monotonic(), int(state.update)
    publish(done, state.parameters)
    reports = NullProgress()
    if collectives.is_first():
        reports = Progress(config, workdir, publish, done, int(state.skipped))
    with reports:
        while done < config.train.updates and not asked:
            stop, begun = min(_next_stop(config, done), done + pace.updates), time.monotonic()
            before_it = nonfinite.copy(state)
            state = trainer.run(state, np.int32(stop - done))
            if state.stuck:
                state = _skipped(trainer, before_it, int(state.update), checkpoints)
                stop = int(state.update)
            pace.update(stop - done, time.monotonic() - begun)
            seconds = before + time.monotonic() - start
            reports.advance(stop - done)
            done = stop
            last = done == config.train.updates
            if last or done % config.train.log_every == 0:
                reports.tell(_row(trainer, state, seconds), state.parameters, int(state.skipped))
                state = replace(state, sums=trainer.devices.place(Sums.zero()))
            asked = _agree(request, pace)
            if last or asked or done % config.train.checkpoint_every == 0:
                _save(trainer, state, checkpoints, seconds)
    return state


def _begin(trainer: Trainer, checkpoints: CheckpointStore) -> tuple[TrainState, float]:
    """The state of the newest checkpoint, or the first; and the seconds until then."""
    first = trainer.initial_state()

    def restored() -> tuple[TrainState, float]:
        newest = checkpoints.newest()
        if newest is None:
            return first, 0.0
        assert isinstance(checkpoints, Checkpoints), "which the first process has"
        return _restore(checkpoints, newest, first)

    state, before = collectives.on_first_process(restored, (first, 0.0))
    state = collectives.broadcast(state)
    checkpoints.resumed(int(state.update))
    return trainer.devices.place(state), before


def _agree(request: signals.StopRequest, pace: signals.ChunkSize) -> bool:
    """Whether any process was asked to stop; from here on all have the first one's pace."""
    told = collectives.all_gather([request.number or 0, pace.updates])
    pace.updates = int(told[0, 1])
    asked = int(told[:, 0].max())
    if asked:
        request.number = asked
    return bool(asked)


def _save(
    trainer: Trainer,
    state: TrainState,
    checkpoints: CheckpointStore,
    seconds: float,
) -> None:
    if not nonfinite.all_finite(state.parameters):
        what = "the parameters after it are"
        raise _not_finite(trainer, state, int(state.update), checkpoints, what)
    training = (state.update, state.optimizer, state.sums)
    checkpoints.save(
        *(int(state.update), state.parameters, training, seconds, trainer.config),
        skipped=int(state.skipped),
    )


def _skipped(
    trainer: Trainer, before: TrainState, bad: int, checkpoints: CheckpointStore
) -> TrainState:
    """The state after an update that was not finite, with nothing of it, from one before it.

    The updates between are done again. To keep them in the loop would cost every update; this, only such a one.
    """
    state = trainer.run(before, jnp.int32(bad - 1 - int(before.update)))
    if int(state.skipped) >= nonfinite.limit(trainer.config):
        raise _not_finite(trainer, state, bad, checkpoints, "the loss or the gradient is")
    return replace(state, update=state.update + 1, skipped=state.skipped + 1)


def _not_finite(
    trainer: Trainer,
    state: TrainState,
    update: int,
    checkpoints: CheckpointStore,
    what: str,
) -> UserError:
    norms = trainer.gradient_norms(state)
    return nonfinite.error(update, what, norms, checkpoints.newest(), int(state.skipped))


def _restore(checkpoints: Checkpoints, newest: int, state: TrainState) -> tuple[TrainState, float]:
    training = (state.update, state.optimizer, state.sums)
    parameters, (update, optimizer, sums), seconds, skipped = checkpoints.restore(
        newest, state.parameters, training
    )
    return TrainState(update, parameters, optimizer, sums, jnp.int32(skipped), state.stuck), seconds


def _next_stop(config: ConfigDict, done: int) -> int:
    """The update at which the loop next comes back from the device: to log, to save, or because it is the last."""
    train = config.train
    marks = [(done // every + 1) * every for every in (train.log_every, train.checkpoint_every)]
    return int(min(*marks, train.updates))


def _row(trainer: Trainer, state: TrainState, seconds: float) -> Row:
    sums, update = jax.device_get(state.sums), int(state.update)
    updates = float(sums.updates) or math.nan  # of all that were skipped there is no mean
    return Row(
        update=update,
        sequences=update * trainer.config.train.batch_size,
        seconds=round(seconds, 3),
        loss_bits_per_sequence=float(sums.nats) / updates * losses.BITS_PER_NAT,
        bit_errors_per_sequence=float(sums.bit_errors) / updates,
        gradient_norm=float(sums.gradient_norm) / updates,
        learning_rate=float(trainer.learning_rate(update - 1)),
    )
