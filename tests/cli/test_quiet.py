"""Threads do not print what the program says itself, and print all else."""

import asyncio
import json
import logging
import os
import subprocess
import sys
import threading

import pytest

from ntm_jax import quiet
from tests.helpers import programs
from tests.helpers.configs import COPY, tiny_overrides

PRETRAINED = programs.ROOT / "runs" / "pretrained" / "copy-ntm-ff"


@pytest.fixture
def told(monkeypatch):
    """Which errors are printed."""
    told = []
    monkeypatch.setattr(threading, "excepthook", lambda args: told.append(args.exc_value))
    monkeypatch.setattr(sys, "excepthook", lambda kind, error, traceback: told.append(error))
    return told


def in_a_thread(function):
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()


def throw(error):
    raise error


def test_a_full_disk_is_not_told_by_threads(told):
    bug = ValueError("a bug")
    quiet.threads()
    for error in (OSError("full"), bug):
        in_a_thread(lambda error=error: throw(error))
    assert told == [bug]


def test_what_others_print_of_a_closed_loop_is_not_told(told):
    def error_of(function, *arguments):
        with pytest.raises(RuntimeError) as caught:
            function(*arguments)
        return caught.value

    loop = asyncio.new_event_loop()
    loop.close()
    closed, of_program = error_of(loop.call_soon_threadsafe, print), error_of(loop.call_soon, print)
    quiet.threads()
    for error, frames in ((closed, 1), (closed, 0), (of_program, 1)):  # past the test's own, or not
        traceback = error.__traceback__
        for _ in range(frames):
            traceback = traceback.tb_next
        sys.excepthook(RuntimeError, error, traceback)
    assert told == [closed, of_program]


# ---- The package in somebody else's process

# What an import of it may not change, nor loading, training or evaluating; beyond what importing JAX changes.
LIBRARY = """
import asyncio, json, logging, os, signal, sys, threading, warnings
import absl.logging, jax, ml_collections, numpy, optax, safetensors
from flax import nnx

def process():
    import matplotlib
    return {
        "levels": {name: logging.getLogger(name).level for name in ("", "absl", "asyncio", "jax", "orbax")},
        "handlers": [str(handler) for name in ("", "absl") for handler in logging.getLogger(name).handlers],
        "filters": [str(f) for name in ("", "absl") for f in logging.getLogger(name).filters],
        "warnings": [str(f) for f in warnings.filters],
        "environment": dict(os.environ),
        "hooks": [str(h) for h in (sys.excepthook, sys.unraisablehook, threading.excepthook, sys.displayhook)],
        "signals": [str(signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM)],
        "precision": [str(numpy.geterr()), jax.config.jax_enable_x64, jax.config.jax_numpy_dtype_promotion],
        "backend": matplotlib.rcParams._get_backend_or_none(),
        "pyplot": "matplotlib.pyplot" in sys.modules,
        "folder": os.getcwd(),
    }

before = process()
%s
after = process()
print(json.dumps({name: [value, after[name]] for name, value in before.items() if after[name] != value}))
"""
LOAD = "import ntm_jax; ntm_jax.load(sys.argv[1])"


def in_somebodys_process(code, *arguments, **environment):
    """What changed, and standard error."""
    command = [sys.executable, "-c", LIBRARY % code, *map(str, arguments)]
    environment = {name: v for name, v in os.environ.items() if name != "MPLBACKEND"} | environment
    done = subprocess.run(
        command, env=environment, cwd=programs.ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), done.stderr


def test_importing_and_loading_change_nothing_of_the_process():
    assert in_somebodys_process("import ntm_jax") == ({}, "")
    assert in_somebodys_process(LOAD, PRETRAINED) == ({}, "")


@pytest.mark.parametrize("name", ["absl", "asyncio"])
def test_a_users_own_messages_are_printed_after_it(name):
    code = f"""{LOAD}
import logging
logging.basicConfig(level=logging.INFO, format="mine: %(message)s")
logging.getLogger("{name}").warning("what I have to say")
logging.getLogger("mine").info("and more")
logging.root.handlers.clear()
logging.root.setLevel(logging.WARNING)"""
    assert in_somebodys_process(code, PRETRAINED)[1].splitlines() == [
        "mine: what I have to say",
        "mine: and more",
    ]


def test_contexts_without_orbaxs_messages_nest(caplog):
    logger = logging.getLogger("absl")

    def say(folder):
        record = logger.makeRecord("absl", logging.ERROR, f"/{folder}/a.py", 1, folder, (), None)
        logger.handle(record)

    with quiet.orbax():
        with quiet.orbax():
            say("orbax")
        say("orbax")
        say("mine")
    assert caplog.messages == ["mine"]
    say("orbax")
    assert caplog.messages == ["mine", "orbax"]


def test_a_program_prints_no_messages_of_orbax():
    quiet.after_an_error()
    assert logging.getLogger("asyncio").level < logging.CRITICAL  # it is not one
    quiet.program()
    quiet.after_an_error()
    for name in ("absl", "asyncio"):
        assert logging.getLogger(name).level == logging.CRITICAL


TRAIN = """
import sys
from pathlib import Path
from ntm_jax import config, tasks
from ntm_jax.evaluation import report
from ntm_jax.training import loop
kind = tasks.TASKS["copy"]
kind.cases = lambda task: [tasks.Case("length_2", {"length": 2}, task.at(min_length=2, max_length=2))]
run = config.load(sys.argv[1], sys.argv[3:])
loop.train(run, Path(sys.argv[2]))
report.evaluate_run(run, Path(sys.argv[2]))
"""


def test_training_and_evaluating_change_nothing_of_the_process(tmp_path):
    arguments = [COPY, tmp_path / "run", *tiny_overrides(train__updates=4, train__log_every=2)]
    changed, err = in_somebodys_process(TRAIN, *arguments, CRC32C_SW_MODE="auto")
    assert (tmp_path / "run" / "evaluation.json").exists()
    assert changed == {}
    assert "WARNING" not in err
