"""What training shows of itself while it runs: lines of metrics, the monitor, and a bar in the terminal."""

from pathlib import Path
from typing import Any, Self

from ml_collections import ConfigDict
from tqdm import tqdm

from ntm_jax import config as configs
from ntm_jax.training.metrics import Metrics, Row, first_below
from ntm_jax.web.monitor import Publish


class NullProgress:
    """Shows nothing; of a process that others report for."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: Any) -> None:
        pass

    def advance(self, updates: int) -> None:
        """So many more are done."""

    def tell(self, row: Row, parameters: Any, skipped: int) -> None:
        """A line of metrics, the parameters after it, and the updates skipped in the whole run."""


class Progress(NullProgress):
    """Shows it.

    Args:
      config: of the run.
      workdir: its folder.
      publish: the monitor's.
      update: that the session begins with.
      skipped: updates that were, by then.
    """

    def __init__(
        self, config: ConfigDict, workdir: Path, publish: Publish, update: int, skipped: int
    ):
        self._goal, self._easier = config.train.solved_below, configs.easier_updates(config)
        self._publish, self._skipped = publish, skipped
        self._metrics = Metrics(workdir, update)
        self._solved = first_below(workdir / "metrics.csv", self._goal, self._easier) is not None
        self._bar = _progress_bar(config, update)

    def __exit__(self, *raised: Any) -> None:
        self._bar.close()
        self._metrics.__exit__(*raised)

    def advance(self, updates: int) -> None:
        """Moves the bar."""
        self._bar.update(updates)

    def tell(self, row: Row, parameters: Any, skipped: int) -> None:
        """Writes it to metrics.csv, and what is new to the terminal."""
        self._metrics.write(row)
        self._publish(row.update, parameters)
        bits = row.loss_bits_per_sequence
        self._bar.set_postfix_str(f"{bits:.3f} bits/sequence", refresh=False)  # `advance` draws it
        if skipped > self._skipped:
            self._skipped = skipped
            self._bar.write(
                f"update {row.update:,}: {skipped} were not finite, and skipped, so far"
            )
        if bits < self._goal and row.update > self._easier and not self._solved:
            self._solved = True
            self._bar.write(
                f"below {self._goal:g} bits/sequence after {row.sequences:,} sequences, {row.seconds:.0f} s"
            )


def _progress_bar(config: ConfigDict, done: int) -> tqdm:
    batch_size = config.train.batch_size
    return tqdm(
        total=config.train.updates,
        initial=done,
        unit="seq",
        unit_scale=batch_size,
        desc="training",
        dynamic_ncols=True,
    )
