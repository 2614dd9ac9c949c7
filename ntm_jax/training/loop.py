"""Trains runs in chunks of updates, with checkpoints, metrics and stop signals.

A session trains one run (`train`), or several as one program (`ntm_jax.training.population`). `Program` is what runs
their updates, and a `RunRecord` is what each of them writes.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, Protocol, TypeAlias

import jax
import numpy as np
from ml_collections import ConfigDict

from ntm_jax import config as configs
from ntm_jax import signals
from ntm_jax.config import with_memory_size
from ntm_jax.distributed import cluster, collectives
from ntm_jax.errors import UserError
from ntm_jax.storage.checkpoints import CheckpointStore, FollowerCheckpoints
from ntm_jax.storage.run_folder import open_run_folder
from ntm_jax.storage.writers import Saving
from ntm_jax.training import data_parallel, nonfinite, resume
from ntm_jax.training.observers import Observer
from ntm_jax.training.record import RunRecord
from ntm_jax.training.trainer import Sums, Trainer, TrainState

States: TypeAlias = Any  # of all runs of a program


class Counts(NamedTuple):
    """Holds each run's counts, `[runs]`, on the host."""

    update: np.ndarray
    skipped: np.ndarray
    nonfinite: np.ndarray  # whether the last update was


class Program(Protocol):
    """Runs the updates of one run, or of several that have the same updates, logs and checkpoints."""

    @property
    def trainer(self) -> Trainer:
        """Returns the trainer of all runs. Its config has the fields that they share."""

    def begin(self, stores: Sequence[CheckpointStore]) -> tuple[States, list[float]]:
        """Returns the states to begin with, and the seconds that each run was trained by then."""

    def run(self, states: States, ends: Sequence[int]) -> States:
        """Runs each run's updates to its end, or to one that is not finite. Reuses the buffers of `states`."""

    def split(self, states: States) -> list[TrainState]:
        """Returns each run's state."""

    def without_sums(self, states: States, runs: Sequence[int]) -> States:
        """Returns the states with the sums of some runs set to zero."""

    def gradient_norms(self, run: int, state: TrainState) -> Any:
        """Returns the norms of one run's gradient at its next update; see `Trainer.gradient_norms`."""


@dataclass(frozen=True)
class Alone:
    """Runs the updates of one run. Its state is that of the trainer."""

    trainer: Trainer

    def begin(self, stores: Sequence[CheckpointStore]) -> tuple[States, list[float]]:
        """As in `Program`."""
        state, seconds = resume.begin(self.trainer, stores[0])
        return state, [seconds]

    def run(self, states: States, ends: Sequence[int]) -> States:
        """As in `Program`."""
        return self.trainer.run(states, np.int32(ends[0] - int(states.update)))

    def split(self, states: States) -> list[TrainState]:
        """As in `Program`."""
        return [states]

    def without_sums(self, states: States, runs: Sequence[int]) -> States:
        """As in `Program`."""
        return replace(states, sums=self.trainer.devices.place(Sums.zero())) if runs else states

    def gradient_norms(self, run: int, state: TrainState) -> Any:
        """As in `Program`."""
        return self.trainer.gradient_norms(state)


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
        record = RunRecord(config, workdir, checkpoints, told, trainer.learning_rate)
        with explained_errors(workdir):
            state: TrainState = Session(Alone(trainer), [record], request).train()
        request.what_is_left = what_is_saved(int(state.update))
    return state


def what_is_saved(update: int) -> str:
    """Returns what to say of a session that was stopped."""
    return f"update {update:,} is saved; the same command resumes from there"


@contextmanager
def explained_errors(workdir: Path) -> Iterator[None]:
    """Raises `UserError` for a folder that cannot be written to, and `PeerLost` for a lost process."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"--workdir: {workdir} cannot be written to ({error.strerror}); "
            "the same command resumes from the last checkpoint"
        ) from None
    except (jax.errors.JaxRuntimeError, ValueError) as error:
        raise cluster.explained(error) from None


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


def _write_each(savings: Sequence[Saving]) -> None:
    for saving in savings:
        saving.write()


def _raise(run: int, error: UserError) -> NoReturn:
    raise error


@dataclass
class Session:
    """Runs one process's part of a session, from the newest checkpoints to the end or a stop.

    Runs that resumed from a later update than others wait for them.

    Args:
      program: runs the updates.
      records: of each run.
      request: whether to stop.
      on_lost: called with a run's number and the error that ends it, after which the others go on.
      write: writes the checkpoints of runs that save at the same update.
    """

    program: Program
    records: Sequence[RunRecord]
    request: signals.StopRequest
    on_lost: Callable[[int, UserError], None] = _raise
    write: Callable[[Sequence[Saving]], None] = _write_each
    lost: set[int] = field(default_factory=set, init=False)  # runs that ended by an error

    def train(self) -> States:
        """Trains to the end, or until it is asked to stop; returns the last states, which are saved."""
        stores = [record.checkpoints for record in self.records]
        states, before = self.program.begin(stores)
        with ExitStack() as stack:
            if collectives.is_first():
                source = self.program.trainer.task.source
                for record, state in zip(self.records, self.program.split(states), strict=True):
                    record.begin(state, source, stack)
            return self._updates(states, before)

    def _updates(self, states: States, before: Sequence[float]) -> States:
        """Runs the updates in chunks, each ending at the next log, checkpoint or after some seconds.

        Args:
          states: to begin with.
          before: seconds that each run was trained by then.
        """
        config, chunk, asked = self.program.trainer.config, signals.ChunkSize(), False
        start, counts = time.monotonic(), _counts(states)
        done = self._done(counts)
        while done < config.train.updates and not asked:
            stop, begun = min(next_stop(config, done), done + chunk.updates), time.monotonic()
            ends = [0 if run in self.lost else stop for run in range(len(self.records))]
            states, old = self.program.run(states, ends), counts
            counts = _counts(states)
            self._end_nonfinite(states, counts, old)
            stop = self._done(counts)  # earlier if an update was skipped
            chunk.update(stop - done, time.monotonic() - begun)
            seconds = [one + time.monotonic() - start for one in before]
            done = stop
            last = done == config.train.updates
            arrived = self._arrived(counts, old, done)
            if last or done % config.train.log_every == 0:
                self._log(states, arrived, seconds)
                states = self.program.without_sums(states, arrived)
            asked = self._asked_to_stop(chunk)
            if last or asked or done % config.train.checkpoint_every == 0:
                self._save(states, arrived, seconds)
            for record in self.records:
                record.advance(done)
        return states

    def _done(self, counts: Counts) -> int:
        """Returns the updates that every run has done, those left out that are lost."""
        going = (int(update) for run, update in enumerate(counts.update) if run not in self.lost)
        return min(going, default=int(self.program.trainer.config.train.updates))

    def _arrived(self, counts: Counts, old: Counts, done: int) -> list[int]:
        """Returns the runs that have just done `done` updates."""
        arrived = np.flatnonzero((old.update < done) & (counts.update == done))
        return [int(run) for run in arrived if run not in self.lost]

    def _log(self, states: States, runs: Sequence[int], seconds: Sequence[float]) -> None:
        split = self.program.split(states)
        for run in runs:
            self.records[run].log(split[run], seconds[run])

    def _save(self, states: States, runs: Sequence[int], seconds: Sequence[float]) -> None:
        split, savings = self.program.split(states), {}
        for run in runs:
            state = split[run]
            if nonfinite.all_finite(state.parameters):
                savings[run] = self.records[run].saving(state, seconds[run])
            else:
                what = "the parameters after it are"
                self._lose(run, state, int(state.update), what, int(state.skipped))
        self.write(list(savings.values()))
        for run, saving in savings.items():
            self.records[run].saved(saving.update)

    def _end_nonfinite(self, states: States, counts: Counts, old: Counts) -> None:
        """Ends the runs whose last update, which was skipped, is one too many."""
        spent = counts.nonfinite & (counts.skipped > nonfinite.limit(self.program.trainer.config))
        for run in np.flatnonzero(spent & (counts.update > old.update)):
            state = self.program.split(states)[run]
            before = replace(state, update=state.update - 1)
            what, skipped = "the loss or the gradient is", int(state.skipped) - 1
            self._lose(int(run), before, int(state.update), what, skipped)

    def _lose(self, run: int, state: TrainState, update: int, what: str, skipped: int) -> None:
        norms, newest = self.program.gradient_norms(run, state), self.records[run].checkpoints
        self.lost.add(run)
        self.on_lost(run, nonfinite.error(update, what, norms, newest.newest(), skipped))

    def _asked_to_stop(self, chunk: signals.ChunkSize) -> bool:
        """Returns whether any process was asked to stop. Sets every process's chunk size to that of the first."""
        gathered = collectives.all_gather([self.request.number or 0, chunk.updates])
        chunk.updates = int(gathered[0, 1])
        asked = int(gathered[:, 0].max())
        if asked:
            self.request.number = asked
        return bool(asked)


def _counts(states: States) -> Counts:
    """Returns the counts of the runs of a program, of which one alone has no axis of runs."""
    found = jax.device_get((states.update, states.skipped, states.nonfinite))
    return Counts(*(np.atleast_1d(np.array(count)) for count in found))


def next_stop(config: ConfigDict, done: int) -> int:
    """Returns the update at which something is next to be logged or saved, or training ends."""
    train = config.train
    marks = [(done // every + 1) * every for every in (train.log_every, train.checkpoint_every)]
    return int(min(*marks, train.updates))
