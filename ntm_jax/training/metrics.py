"""Numbers of a training run: metrics.csv and TensorBoard events."""

import csv
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Self

from tensorboardX import SummaryWriter


@dataclass(frozen=True)
class Row:
    """One line of metrics.csv: means over the updates since the line before."""

    update: int  # done when the line was written
    sequences: int  # seen by then
    seconds: float  # trained by then, stops left out
    loss_bits_per_sequence: float
    bit_errors_per_sequence: float
    gradient_norm: float  # nats, before clipping
    learning_rate: float


class Metrics:
    """Appends rows to a run's `metrics.csv` and TensorBoard events.

    Args:
      workdir: the run's folder.
      update: what the run goes on from; rows after it, of a session that did not save them, are dropped.
    """

    def __init__(self, workdir: Path, update: int):
        path = workdir / "metrics.csv"
        names = [field.name for field in fields(Row)]
        old = path.read_text(encoding="utf-8") if path.exists() else ""
        whole = old.split("\n")[1:-1]  # the last ends with a newline, or was cut short
        kept = [line for line in whole if int(line.split(",")[0]) <= update]
        partial = path.with_suffix(".partial")
        partial.write_text("\n".join([",".join(names), *kept, ""]), encoding="utf-8")
        partial.replace(path)
        self._file = path.open("a", newline="", encoding="utf-8")
        self._csv = csv.DictWriter(self._file, names, lineterminator="\n")
        # Without a limit to its queue: its thread ends with its first error, and would never empty a full one.
        self._events = SummaryWriter(str(workdir), purge_step=update + 1, max_queue=0)
        self._last: Row | None = None  # of this session

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._file.close()
        finally:
            self._close_events()

    def _close_events(self) -> None:
        """A copy for TensorBoard is not worth an error, and the disk may be full."""
        try:
            self._events.close()
        except OSError:
            # Or it tries again when the process ends, and fails in many lines.
            writer = self._events.file_writer.event_writer
            writer._worker.stop()
            writer._closed = True

    def write(self, row: Row) -> None:
        """Adds one row, on disk when this returns."""
        values = asdict(row)
        self._csv.writerow(values)
        self._file.flush()
        for name in ("loss_bits_per_sequence", "bit_errors_per_sequence"):
            self._events.add_scalar(f"train/{name}", values[name], row.update)
        for name in ("gradient_norm", "learning_rate"):
            self._events.add_scalar(f"optimizer/{name}", values[name], row.update)
        if self._last and row.seconds > self._last.seconds:
            speed = (row.sequences - self._last.sequences) / (row.seconds - self._last.seconds)
            self._events.add_scalar("train/sequences_per_second", speed, row.update)
        self._last = row


def first_below(path: Path, bits: float, after: int = 0) -> dict[str, float] | None:
    """The first row of a metrics.csv after that many updates that costs fewer bits per sequence, or None."""
    rows = (row for row in read(path) if row["update"] > after)
    return next((row for row in rows if row["loss_bits_per_sequence"] < bits), None)


def read(path: Path) -> list[dict[str, float]]:
    """The rows of a metrics.csv as numbers, oldest first; a line cut short is left out."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if None not in row.values()]
    return [{name: float(value) for name, value in row.items()} for row in rows]
