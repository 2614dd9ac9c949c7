"""Writes what one run of a session does: metrics.csv, checkpoints, and whatever its observers show."""

import math
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import jax
import optax
from ml_collections import ConfigDict

from ntm_jax import tasks
from ntm_jax.storage import files
from ntm_jax.storage.checkpoints import CheckpointStore
from ntm_jax.storage.writers import Saving
from ntm_jax.tasks import losses
from ntm_jax.training import resume
from ntm_jax.training.metrics import Metrics, Row
from ntm_jax.training.observers import Begun, Observer
from ntm_jax.training.trainer import TrainState


@dataclass
class RunRecord:
    """Writes one run's folder and calls its observers.

    In a process that leaves writing to process 0, it has no metrics and no observers.
    """

    config: ConfigDict
    workdir: Path
    checkpoints: CheckpointStore
    observers: Sequence[Observer]
    learning_rate: optax.Schedule
    metrics: Metrics | None = None

    def begin(self, state: TrainState, source: tasks.Source, stack: ExitStack) -> None:
        """Opens metrics.csv, until the stack closes, and calls the observers."""
        for name, text in source.run_files().items():
            files.write_atomically(self.workdir / name, text.encode())
        update, skipped = int(state.update), int(state.skipped)
        self.metrics = stack.enter_context(Metrics(self.workdir, update))
        begun = Begun(self.config, self.workdir, update, skipped, state.parameters)
        for observer in self.observers:
            observer.begin(begun)

    def log(self, state: TrainState, seconds: float) -> None:
        """Writes a row of metrics.csv."""
        row = self._row(state, seconds)
        if self.metrics is not None:
            self.metrics.write(row)
        for observer in self.observers:
            observer.row(row, state.parameters, int(state.skipped))

    def saving(self, state: TrainState, seconds: float) -> Saving:
        """Returns the checkpoint to write."""
        return resume.saving(state, self.checkpoints, seconds, self.config)

    def saved(self, update: int) -> None:
        """Tells the observers that a checkpoint is on disk."""
        for observer in self.observers:
            observer.saved(update)

    def advance(self, update: int) -> None:
        """Tells the observers how many updates are done."""
        for observer in self.observers:
            observer.advance(update)

    def _row(self, state: TrainState, seconds: float) -> Row:
        sums, update = jax.device_get(state.sums), int(state.update)
        updates = float(sums.updates) or math.nan  # of all that were skipped there is no mean
        return Row(
            update=update,
            sequences=update * self.config.train.batch_size,
            seconds=round(seconds, 3),
            loss_bits_per_sequence=float(sums.nats) / updates * losses.BITS_PER_NAT,
            bit_errors_per_sequence=float(sums.bit_errors) / updates,
            gradient_norm=float(sums.gradient_norm) / updates,
            learning_rate=float(self.learning_rate(update - 1)),
        )
