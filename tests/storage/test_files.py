"""Files are replaced whole, and a folder has one owner, whom a lock does not outlive."""

import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest

from ntm_jax import tasks
from ntm_jax.errors import UserError
from ntm_jax.evaluation import report
from ntm_jax.storage import run_folder
from ntm_jax.storage.files import exclusive_lock, write_atomically
from ntm_jax.training import loop
from tests.helpers.configs import quick_compile, tiny
from tests.helpers.runs import files, refused, save

HOLD = """
import sys
from pathlib import Path
from ntm_jax.storage.files import exclusive_lock
with exclusive_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module", autouse=True)
def quick(tmp_path_factory):
    with quick_compile(tmp_path_factory.getbasetemp()):
        yield


@contextmanager
def holder(folder):
    """Another process that has a folder."""
    command = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_a_second_run_in_a_folder_is_refused_until_the_first_is_killed(tmp_path, monkeypatch):
    config = tiny(train__updates=4)
    save(tmp_path, config)
    one = [tasks.Case("length_2", {"length": 2}, tasks.make("copy", min_length=2, max_length=2))]
    monkeypatch.setattr(tasks.TASKS["copy"], "cases", lambda task: one)
    with holder(tmp_path) as process:
        message = refused(tmp_path, loop.train, config, tmp_path)
        assert f"{tmp_path} is being trained in by another process ({process.pid})" in message
        assert report.evaluate_run(config, tmp_path)["update"] == 3
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert (tmp_path / "lock").is_file()
    assert int(loop.train(config, tmp_path).update) == 4


def test_two_in_one_process_are_refused_too(tmp_path):
    with exclusive_lock(tmp_path):
        with pytest.raises(UserError, match=f"another process \\({os.getpid()}\\)"):
            exclusive_lock(tmp_path).__enter__()
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"
    with exclusive_lock(tmp_path):
        pass


def test_what_a_run_left_that_ended_before_it_had_a_config_is_no_hindrance(tmp_path):
    for name in ("lock", "config.partial"):
        (tmp_path / name).write_text("{")
    with run_folder.open_run_folder(tmp_path, tiny()):
        run_folder.same_run(tmp_path, tiny())
    assert sorted(files(tmp_path)) == ["config.json", "lock"]


def test_a_file_that_cannot_be_written_whole_stays_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "config.json"
    write_atomically(path, b"old")

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(type(path), "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    write_atomically(path, b"new")
    assert files(tmp_path) == {"config.json": b"new"}
