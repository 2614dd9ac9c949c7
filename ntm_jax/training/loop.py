"""Trains a run in chunks of updates, with checkpoints, metrics and stop signals."""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import jax
import numpy as np
from ml_collections import ConfigDict

from ntm_jax import config as configs
from ntm_jax import signals
from ntm_jax.config import with_memory_size
from ntm_jax.distributed import cluster, collectives
from ntm_jax.errors import UserError
from ntm_jax.storage import files
from ntm_jax.storage.checkpoints import CheckpointStore, FollowerCheckpoints
from ntm_jax.storage.run_folder import open_run_folder
from ntm_jax.tasks import losses
from ntm_jax.training import data_parallel, nonfinite, resume
from ntm_jax.training.metrics import Metrics, Row
from ntm_jax.training.observers import Begun, Observer
from ntm_jax.training.trainer import Sums, Trainer, TrainState


def train(
    config: ConfigDict,
    workdir: Path,
    observers: Sequence[Observer] = (),
    *,
    trainer_class: type[Trainer] = Trainer,
) -> TrainState:
    """Trains to `config.train.updates`, resuming from the newest checkpoint in `workdir` if there is one.

    Writes checkpoints and metrics.csv. Observers write and show everything else.

    Args:
      config: a whole config.
      workdir: the run's folder, made if it is not there.
      observers: called at every event. With several processes, only those of the first are called.
      trainer_class: the class that computes updates.

    Returns:
      The last state, which is also the newest checkpoint.

    Raises:
      UserError: an invalid config, or a folder that holds another run or is used by another process. Nothing is
        written then. Also a full disk, which leaves existing checkpoints valid.
      Stopped: SIGTERM or Ctrl-C was received. A checkpoint of the last update was saved.
    """
    collectives.check_equal("the config", configs.to_json(config))
    trainer = trainer_class(config, data_parallel.build(config))
    if config.evaluate.memory_size:
        with_memory_size(config, config.evaluate.memory_size)  # or evaluation fails at the end
    with (
        _opened(config, workdir, observers) as (checkpoints, told),
        signals.catch_stop_signals() as request,
    ):
        session = _Session(trainer, workdir, checkpoints, told, request)
        try:
            state = session.train()
        except OSError as error:
            raise UserError(
                f"--workdir: {workdir} cannot be written to ({error.strerror}); "
                "the same command resumes from the last checkpoint"
            ) from None
        except (jax.errors.JaxRuntimeError, ValueError) as error:
            raise cluster.explained(error) from None
        request.what_is_left = (
            f"update {int(state.update):,} is saved; the same command resumes from there"
        )
    return state


@contextmanager
def _opened(
    config: ConfigDict, workdir: Path, observers: Sequence[Observer]
) -> Iterator[tuple[CheckpointStore, Sequence[Observer]]]:
    """Opens the observers, then the run's folder, in the first process; others follow it.

    Yields:
      The checkpoints, and the observers of this process.
    """
    with ExitStack() as stack:

        def opened() -> tuple[CheckpointStore, Sequence[Observer]]:
            for observer in observers:
                stack.callback(observer.close)
                observer.open(config, workdir)
            return stack.enter_context(open_run_folder(workdir, config)), observers

        followed: tuple[CheckpointStore, Sequence[Observer]] = FollowerCheckpoints(), ()
        yield collectives.on_first_process(opened, followed)


@dataclass
class _Session:
    """Runs one process's part of a session, from the newest checkpoint to the end or a stop."""

    trainer: Trainer
    workdir: Path
    checkpoints: CheckpointStore
    observers: Sequence[Observer]
    request: signals.StopRequest

    def train(self) -> TrainState:
        """Trains to the end, or until it is asked to stop; returns the last state, which is saved."""
        state, before = resume.begin(self.trainer, self.checkpoints)
        with ExitStack() as stack:
            metrics = None
            if collectives.is_first():
                for name, text in self.trainer.task.source.run_files().items():
                    files.write_atomically(self.workdir / name, text.encode())
                metrics = stack.enter_context(Metrics(self.workdir, int(state.update)))
                self._begin(state)
            return self._updates(state, before, metrics)

    def _begin(self, state: TrainState) -> None:
        done, skipped = int(state.update), int(state.skipped)
        begun = Begun(self.trainer.config, self.workdir, done, skipped, state.parameters)
        for observer in self.observers:
            observer.begin(begun)

    def _updates(self, state: TrainState, before: float, metrics: Metrics | None) -> TrainState:
        """Runs the updates in chunks, each ending at the next log, checkpoint or after some seconds.

        Args:
          state: to begin with.
          before: seconds trained by then.
          metrics: to write to, in the first process.
        """
        config, chunk, asked = self.trainer.config, signals.ChunkSize(), False
        start, done = time.monotonic(), int(state.update)
        while done < config.train.updates and not asked:
            stop, begun = min(next_stop(config, done), done + chunk.updates), time.monotonic()
            state = self.trainer.run(state, np.int32(stop - done))
            if state.nonfinite:
                self._check_skipped(state)
            stop = int(state.update)  # earlier if an update was skipped
            chunk.update(stop - done, time.monotonic() - begun)
            seconds = before + time.monotonic() - start
            done = stop
            last = done == config.train.updates
            if last or done % config.train.log_every == 0:
                self._log(state, seconds, metrics)
                state = replace(state, sums=self.trainer.devices.place(Sums.zero()))
            asked = self._asked_to_stop(chunk)
            if last or asked or done % config.train.checkpoint_every == 0:
                self._save(state, seconds)
            for observer in self.observers:
                observer.advance(done)
        return state

    def _log(self, state: TrainState, seconds: float, metrics: Metrics | None) -> None:
        row = _row(self.trainer, state, seconds)
        if metrics is not None:
            metrics.write(row)
        for observer in self.observers:
            observer.row(row, state.parameters, int(state.skipped))

    def _save(self, state: TrainState, seconds: float) -> None:
        if not nonfinite.all_finite(state.parameters):
            what = "the parameters after it are"
            raise self._not_finite(state, int(state.update), what, int(state.skipped))
        resume.save(state, self.checkpoints, seconds, self.trainer.config)
        for observer in self.observers:
            observer.saved(int(state.update))

    def _check_skipped(self, state: TrainState) -> None:
        """Raises `UserError` if the last update, which was skipped, is one too many."""
        update, skipped = int(state.update), int(state.skipped)
        if skipped > nonfinite.limit(self.trainer.config):
            before = replace(state, update=state.update - 1)
            what = "the loss or the gradient is"
            raise self._not_finite(before, update, what, skipped - 1)

    def _not_finite(self, state: TrainState, update: int, what: str, skipped: int) -> UserError:
        norms = self.trainer.gradient_norms(state)
        return nonfinite.error(update, what, norms, self.checkpoints.newest(), skipped)

    def _asked_to_stop(self, chunk: signals.ChunkSize) -> bool:
        """Returns whether any process was asked to stop. Sets every process's chunk size to that of the first."""
        gathered = collectives.all_gather([self.request.number or 0, chunk.updates])
        chunk.updates = int(gathered[0, 1])
        asked = int(gathered[:, 0].max())
        if asked:
            self.request.number = asked
        return bool(asked)


def next_stop(config: ConfigDict, done: int) -> int:
    """Returns the update at which something is next to be logged or saved, or training ends."""
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
