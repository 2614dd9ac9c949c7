"""TensorBoard's copy of the metrics: what is in it, and that it is never a reason to stop."""

import errno
import io
import struct

import pytest
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.record_writer import masked_crc32c

from ntm_jax.training import event_writer
from ntm_jax.training.event_writer import EventWriter
from ntm_jax.training.metrics import Row
from ntm_jax.training.observers import Begun
from tests.helpers.configs import tiny

ROWS = [Row(10, 20, 1.0, 8.5, 2.5, 0.5, 1e-3), Row(20, 40, 3.0, 7.5, 1.5, 0.25, 1e-3)]


def begun(folder, update=0):
    return Begun(tiny(), folder, update, 0, {})


def events(folder):
    """Every event of every file, with its checksums checked."""
    found = []
    for path in sorted(folder.glob("events.out.tfevents.*")):
        stream = io.BytesIO(path.read_bytes())
        while length := stream.read(8):
            assert stream.read(4) == struct.pack("<I", masked_crc32c(length))
            content = stream.read(struct.unpack("<Q", length)[0])
            assert stream.read(4) == struct.pack("<I", masked_crc32c(content))
            found.append(Event.FromString(content))
    return found


def written(folder, update=0):
    writer = EventWriter()
    writer.begin(begun(folder, update))
    for row in ROWS:
        writer.row(row, {}, 0)
    writer.close()
    return events(folder)


def test_every_number_of_a_row_and_the_speed(tmp_path):
    found = written(tmp_path)
    numbers = {(e.step, v.tag): v.simple_value for e in found for v in e.summary.value}
    assert numbers[10, "train/loss_bits_per_sequence"] == 8.5
    assert numbers[20, "train/bit_errors_per_sequence"] == 1.5
    assert numbers[20, "optimizer/gradient_norm"] == 0.25
    assert numbers[10, "optimizer/learning_rate"] == pytest.approx(1e-3)
    assert numbers[20, "train/sequences_per_second"] == 10
    assert len(numbers) == 9


def test_a_file_begins_with_its_version_and_where_the_session_begins(tmp_path):
    """TensorBoard then drops what earlier sessions have of later updates."""
    version, start, *_ = written(tmp_path, update=7)
    assert version.file_version == "brain.Event:2"
    assert (start.step, start.session_log.status) == (8, SessionLog.START)


def test_a_row_is_on_disk_at_once(tmp_path):
    writer = EventWriter()
    writer.begin(begun(tmp_path))
    writer.row(ROWS[0], {}, 0)
    *_, row = events(tmp_path)
    assert len(row.summary.value) == 4
    writer.close()


class Full(io.BytesIO):
    """A file on a disk that becomes full."""

    def flush(self):
        raise OSError(errno.ENOSPC, "No space left on device")

    def close(self):
        super().close()
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_no_error_and_ends_the_copy(tmp_path, monkeypatch):
    file = Full()
    monkeypatch.setattr(event_writer.Path, "open", lambda path, mode: file)
    writer = EventWriter()
    writer.begin(begun(tmp_path))
    for row in ROWS:
        writer.row(row, {}, 0)
    writer.close()
    assert file.closed


def test_a_folder_that_cannot_be_written_to_is_no_error(tmp_path):
    writer = EventWriter()
    writer.begin(begun(tmp_path / "nowhere"))
    writer.row(ROWS[0], {}, 0)
    writer.close()


def test_it_may_be_closed_unopened():
    EventWriter().close()


def test_whether_it_is_installed(monkeypatch):
    assert event_writer.installed()
    monkeypatch.setattr(event_writer.importlib.util, "find_spec", lambda name: None)
    assert not event_writer.installed()
