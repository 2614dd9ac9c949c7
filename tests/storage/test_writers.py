"""Checkpoints that processes write for many runs are those that a run writes itself."""

import numpy as np
import pytest

from ntm_jax.errors import UserError
from ntm_jax.storage.checkpoints import Checkpoints
from ntm_jax.storage.writers import RUNS_A_PROCESS, CheckpointWriters, Saving
from tests.helpers.configs import tiny

RUNS = 2 * RUNS_A_PROCESS


@pytest.fixture(autouse=True)
def two_cores(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 2)


def savings(folder, update):
    config = tiny()
    return [
        Saving(
            Checkpoints(folder / str(run)),
            update,
            {"w": np.full((2, 3), run, np.float32)},
            (np.int32(update), {"m": np.full(2, run + 0.5, np.float32)}),
            1.5,
            config,
            run,
        )
        for run in range(RUNS)
    ]


def assert_written(written):
    for run, saving in enumerate(written):
        assert saving.checkpoints.newest() == saving.update
        newest = Checkpoints(saving.checkpoints._folder.parent, write=False)
        assert newest.newest() == saving.update
        parameters, training, seconds, skipped = newest.restore(
            saving.update, saving.parameters, saving.training
        )
        assert np.all(parameters["w"] == run)
        assert np.all(training[1]["m"] == run + 0.5)
        assert (seconds, skipped) == (1.5, run)


def test_processes_write_what_a_run_writes_and_end(tmp_path):
    with CheckpointWriters(RUNS) as writers:
        processes = writers._processes
        assert len(processes) == 2
        saved = savings(tmp_path, 3)
        writers.write(saved)
        assert_written(saved)
        # One is killed, as for want of memory: its runs are saved all the same.
        processes[0].kill()
        processes[0].wait()
        saved = savings(tmp_path, 5)
        writers.write(saved)
        assert_written(saved)
        # One run's folder cannot be written to.
        saved = savings(tmp_path, 7)
        (tmp_path / "1" / "checkpoints").rename(tmp_path / "1" / "old")
        (tmp_path / "1" / "checkpoints").write_text("no folder")
        with pytest.raises(UserError, match=r"^--workdir: the checkpoint of update 7 cannot be"):
            writers.write(saved)
        assert saved[1].checkpoints.newest() == 5
    assert all(process.poll() is not None for process in processes)


def test_few_runs_are_written_without_processes(tmp_path):
    with CheckpointWriters(RUNS_A_PROCESS) as writers:
        assert writers._processes == []
        saved = savings(tmp_path, 3)[:2]
        writers.write(saved)
        assert_written(saved)
