"""Asked to stop: what was done is saved, within seconds, and it is said in one line."""

import os
import re
import signal
import subprocess
import sys
import threading
import time

import pytest

from ntm_jax import signals
from ntm_jax.signals import ChunkSize, Stopped
from ntm_jax.training import loop
from tests.helpers import programs
from tests.helpers.configs import quick_compile, tiny
from tests.helpers.runs import assert_same, config_of, rows, saved


@pytest.fixture(scope="module", autouse=True)
def quick(tmp_path_factory):
    with quick_compile(tmp_path_factory.getbasetemp()):
        yield


def ask_after(monkeypatch, chunks, *numbers):
    """Sends signals to this process during such a chunk of updates, counted from 1; gives the list of chunks."""
    done = []
    measured = ChunkSize.update

    def patched(pace, updates, seconds):
        done.append(updates)
        if len(done) == chunks:
            for number in numbers:
                os.kill(os.getpid(), number)
        measured(pace, updates, seconds)

    monkeypatch.setattr(ChunkSize, "update", patched)
    return done


@pytest.mark.parametrize(
    ("numbers", "status", "name"),
    [
        ([signal.SIGTERM], 143, "SIGTERM"),
        ([signal.SIGINT], 130, "Ctrl-C"),
        ([signal.SIGINT, signal.SIGTERM], 143, "SIGTERM"),  # as a sweep's runs get them
        ([signal.SIGTERM, signal.SIGTERM], 143, "SIGTERM"),
    ],
)
def test_what_was_done_is_saved_and_gone_on_with(monkeypatch, tmp_path, numbers, status, name):
    monkeypatch.setattr(signals, "FIRST_UPDATES", 1)
    config = config_of(train__updates=12, train__log_every=5, train__checkpoint_every=100)
    expected = loop.train(config, tmp_path / "straight")
    handlers = [signal.getsignal(number) for number in signals.SIGNALS]
    with monkeypatch.context() as patch:
        chunks = ask_after(patch, 3, *numbers)
        with pytest.raises(Stopped) as caught:
            loop.train(config, tmp_path / "run")
    done = sum(chunks)
    assert len(chunks) == 3
    assert done < 12
    assert caught.value.status == status
    message = f"stopped by {name}; update {done} is saved; the same command resumes from there"
    assert str(caught.value) == message
    assert handlers == [signal.getsignal(number) for number in signals.SIGNALS]
    assert saved(tmp_path / "run", config)[0] == done

    assert_same(loop.train(config, tmp_path / "run"), expected)
    assert rows(tmp_path / "run") == rows(tmp_path / "straight")


def test_a_second_ctrl_c_does_not_wait(monkeypatch, tmp_path):
    ask_after(monkeypatch, 1, signal.SIGINT, signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        loop.train(tiny(train__updates=100), tmp_path)


def test_asked_in_the_last_chunk_it_is_all_saved_and_not_evaluated(monkeypatch, tmp_path):
    config = config_of(train__updates=4)
    ask_after(monkeypatch, 1, signal.SIGTERM)
    with pytest.raises(Stopped, match="update 4 is saved"):
        loop.train(config, tmp_path)
    assert saved(tmp_path, config)[0] == 4


def test_a_program_that_saves_nothing_stops_at_once():
    def ask():
        with signals.raise_on_sigterm():
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(1)

    with pytest.raises(Stopped) as caught:
        ask()
    assert str(caught.value) == "stopped by SIGTERM"
    assert caught.value.status == 143


def test_the_pace_is_that_of_looks_seconds_apart():
    pace = ChunkSize()
    pace.update(16, 30.0)  # compilation
    assert pace.updates == 1
    for _ in range(30):
        pace.update(pace.updates, pace.updates * 0.001)
    assert 500 <= pace.updates <= 2000
    pace.update(40, 0.04)  # up to the next line of metrics: says little
    assert 500 <= pace.updates <= 2000
    pace.update(pace.updates, 20.0)
    assert pace.updates <= 200
    for _ in range(10):
        pace.update(pace.updates, pace.updates * 60.0)
    assert pace.updates == 1


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize(
    ("number", "status", "name"), [(signal.SIGTERM, 143, "SIGTERM"), (signal.SIGINT, 130, "Ctrl-C")]
)
def test_the_program_ends_within_seconds_however_seldom_it_logs(tmp_path, number, status, name):
    seldom = {"train__log_every": 10**6, "train__checkpoint_every": 10**6}
    process = programs.start(tmp_path.parent, tmp_path, **seldom)
    programs.wait_for((tmp_path / "metrics.csv").exists)
    time.sleep(5)  # into a chunk
    begun = time.monotonic()
    process.send_signal(number)
    found, line = programs.end(process, seconds=30)
    assert time.monotonic() - begun < 10
    assert found == status
    said = re.fullmatch(rf"ntm_jax: stopped by {name}; update ([\d,]+) is saved; .*", line)
    assert programs.checkpoints_in(tmp_path) == [int(said[1].replace(",", ""))]


# ---- While C++ blocks the main thread

BLOCKED = """
import ctypes, os
from ntm_jax import signals

def end(stopped):
    print(stopped, flush=True)
    os._exit(stopped.status)

with signals.end_from_a_thread(end):
    print("ready", flush=True)
    ctypes.CDLL(None).sleep(60)
"""


@pytest.mark.parametrize(
    ("number", "status", "name"),
    [(signal.SIGTERM, 143, "SIGTERM"), (signal.SIGINT, 130, "Ctrl-C")],
)
def test_a_thread_ends_a_process_that_waits_in_c(number, status, name):
    command = [sys.executable, "-c", BLOCKED]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=programs.ROOT) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        said = process.stdout.read()
    assert process.returncode == status
    assert said == f"stopped by {name}; the same command resumes from the last checkpoint\n"


def test_afterwards_signals_are_handled_as_before():
    def state():
        wakeup = signal.set_wakeup_fd(-1)
        signal.set_wakeup_fd(wakeup)
        handlers = [signal.getsignal(number) for number in signals.SIGNALS]
        return handlers, wakeup, threading.enumerate(), len(os.listdir("/proc/self/fd"))

    before = state()
    with signals.end_from_a_thread(pytest.fail):
        assert all(now != then for now, then in zip(state(), before, strict=True))
        signal.raise_signal(signal.SIGWINCH)  # others' signals end nothing
    assert state() == before
