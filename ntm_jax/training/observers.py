"""Defines observers of a run. The training loop calls them at every event, and waits for them to return."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from ntm_jax.training.metrics import Row


@dataclass(frozen=True)
class Begun:
    """Describes a session of training when it begins."""

    config: ConfigDict
    workdir: Path  # of the run, this process's alone
    update: int  # that it resumes from, 0 for a new run
    skipped: int  # updates of the run so far that were not finite
    parameters: Any  # nested dicts of arrays


class Observer:
    """Watches a run. Subclasses override the methods they need; the others do nothing.

    The training loop reuses the buffers of the arrays it passes. Copy those that you need later.
    """

    def open(self, config: ConfigDict, workdir: Path) -> None:
        """Called before the run's folder is opened or written.

        Raises:
          UserError: this observer cannot watch the run. Training does not begin.
        """

    def begin(self, begun: Begun) -> None:
        """Called once, before the first update."""

    def advance(self, update: int) -> None:
        """Called every few seconds with how many updates are done."""

    def row(self, row: Row, parameters: Any, skipped: int) -> None:
        """Called with every row of metrics.csv, the parameters after it, and the updates skipped so far."""

    def saved(self, update: int) -> None:
        """Called when a checkpoint is on disk."""

    def close(self) -> None:
        """Called last if `open` was called, even if `open` or training raised an error."""
