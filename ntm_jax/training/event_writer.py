"""Copies a run's metrics to TensorBoard. Needs the package tensorboardX."""

import importlib.util
import os
import socket
import struct
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from ntm_jax.training.metrics import Row
from ntm_jax.training.observers import Begun, Observer

# Of a row of metrics.csv -> where TensorBoard shows it.
TAGS = {
    "loss_bits_per_sequence": "train/loss_bits_per_sequence",
    "bit_errors_per_sequence": "train/bit_errors_per_sequence",
    "gradient_norm": "optimizer/gradient_norm",
    "learning_rate": "optimizer/learning_rate",
}


def installed() -> bool:
    """Returns whether tensorboardX is."""
    return importlib.util.find_spec("tensorboardX") is not None


class EventWriter(Observer):
    """Writes each row of metrics.csv as TensorBoard events into the run's folder, a file for each session.

    An event that cannot be written, as on a full disk, raises no error and is the last. `SummaryWriter` would raise
    in its own thread, where the error cannot be caught, so this class writes the records itself.
    """

    def __init__(self) -> None:
        self._file: BinaryIO | None = None
        self._last: Row | None = None  # of this session

    def begin(self, begun: Begun) -> None:
        """Opens the session's file; TensorBoard drops what earlier ones have of later updates."""
        from tensorboardX.proto.event_pb2 import SessionLog

        name = f"events.out.tfevents.{time.time():.6f}.{socket.gethostname()}.{os.getpid()}"
        try:
            self._file = Path(begun.workdir, name).open("wb")  # noqa: SIM115
        except OSError:
            return
        self._write(file_version="brain.Event:2")
        self._write(step=begun.update + 1, session_log=SessionLog(status=SessionLog.START))

    def row(self, row: Row, parameters: Any, skipped: int) -> None:
        """Writes the row's numbers, and the speed since the row before."""
        values = asdict(row)
        numbers = {tag: float(values[name]) for name, tag in TAGS.items()}
        last = self._last
        if last is not None and row.seconds > last.seconds:
            speed = (row.sequences - last.sequences) / (row.seconds - last.seconds)
            numbers["train/sequences_per_second"] = speed
        self._last = row
        self._write_numbers(numbers, row.update)

    def _write_numbers(self, numbers: dict[str, float], update: int) -> None:
        from tensorboardX.proto.summary_pb2 import Summary

        values = [Summary.Value(tag=tag, simple_value=number) for tag, number in numbers.items()]
        self._write(step=update, summary=Summary(value=values))

    def _write(self, **fields: Any) -> None:
        """Writes one event as a record: its length, the event, and a checksum of each."""
        if self._file is None:
            return
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.record_writer import masked_crc32c

        content = Event(wall_time=time.time(), **fields).SerializeToString()
        length = struct.pack("<Q", len(content))
        sums = [struct.pack("<I", masked_crc32c(part)) for part in (length, content)]
        try:
            self._file.write(length + sums[0] + content + sums[1])
            self._file.flush()
        except OSError:
            self.close()

    def close(self) -> None:
        """Closes the session's file."""
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):
                file.close()
