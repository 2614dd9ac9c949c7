"""Programs set up their process, threads print no errors that programs report, and the package sets nothing."""

import asyncio
import errno
import json
import logging
import os
import subprocess
import sys
import threading

import jax
import pytest

from ntm_jax import cli
from ntm_jax.errors import UserError
from tests.helpers import programs
from tests.helpers.configs import COPY, FOLDER, tiny_overrides

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


def fail_in(module, error):
    """Raises in code of the module called so."""
    scope = {"__name__": module}
    exec("def fail(error): raise error", scope)
    scope["fail"](error)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("module", ["tensorboardX.event_file_writer", "orbax.checkpoint.a"])
def test_a_full_disk_is_not_told_by_threads_that_write(told, module, number):
    cli.prepare_process()
    in_a_thread(lambda: fail_in(module, OSError(number, "full")))
    assert told == []


@pytest.mark.parametrize(
    ("module", "error"),
    [
        ("tensorboardX.event_file_writer", OSError(errno.EIO, "broken")),
        ("tensorboardX.event_file_writer", PermissionError(errno.EACCES, "not allowed")),
        ("tensorboardX.event_file_writer", OSError("of no number")),
        ("tensorboardX.event_file_writer", ValueError("a bug")),
        ("tensorboard_of_mine", OSError(errno.ENOSPC, "full")),
        ("ntm_jax.web.monitor.worker", OSError(errno.ENOSPC, "full")),
    ],
    ids=repr,
)
def test_threads_print_all_other_errors(told, module, error):
    cli.prepare_process()
    in_a_thread(lambda: fail_in(module, error))
    assert told == [error]


def test_what_others_print_of_a_closed_loop_is_not_told(told):
    def error_of(function, *arguments):
        with pytest.raises(RuntimeError) as caught:
            function(*arguments)
        return caught.value

    loop = asyncio.new_event_loop()
    loop.close()
    closed, of_program = error_of(loop.call_soon_threadsafe, print), error_of(loop.call_soon, print)
    cli.prepare_process()
    for error, frames in ((closed, 1), (closed, 0), (of_program, 1)):  # past the test's own, or not
        traceback = error.__traceback__
        for _ in range(frames):
            traceback = traceback.tb_next
        sys.excepthook(RuntimeError, error, traceback)
    assert told == [closed, of_program]


def test_an_error_of_the_users_is_a_value_error_of_one_line():
    """So that programs which import the package may catch it as Python's own functions' errors."""
    with pytest.raises(ValueError, match=r"^copi\\nx: unknown$"):
        raise UserError("copi\nx: unknown")


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


def test_a_program_prints_no_messages_of_absl():
    cli.prepare_process()
    assert logging.getLogger("absl").level == logging.CRITICAL
    assert logging.getLogger("asyncio").level < logging.CRITICAL


def test_a_program_prints_no_errors_of_orbaxs_tasks(caplog):
    logger = logging.getLogger("asyncio")
    cli.prepare_process()
    for module in ("orbax.checkpoint.a", "mine"):
        with pytest.raises(ValueError, match="of a task") as caught:
            fail_in(module, ValueError("of a task"))
        logger.error("an exception of %s was never retrieved", module, exc_info=caught.value)
    logger.error("destroyed: <Task coro=<save() at /packages/orbax/checkpoint/b.py:1>>")
    logger.error("destroyed: <Task coro=<save() at /mine/b.py:1>>")
    assert caplog.messages == [
        "an exception of mine was never retrieved",
        "destroyed: <Task coro=<save() at /mine/b.py:1>>",
    ]


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


@pytest.mark.slow
def test_training_and_evaluating_change_nothing_of_the_process(tmp_path):
    arguments = [COPY, tmp_path / "run", *tiny_overrides(train__updates=4, train__log_every=2)]
    changed, err = in_somebodys_process(TRAIN, *arguments, CRC32C_SW_MODE="auto")
    assert (tmp_path / "run" / "evaluation.json").exists()
    assert changed == {}
    assert "WARNING" not in err


# ---- The compiler's option

OPTION = f"--xla_backend_extra_options={cli.SMALL_LOOP}={cli.SMALL_LOOP_BYTES}"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, OPTION),
        ("--xla_cpu_enable_fast_math=false", f"--xla_cpu_enable_fast_math=false {OPTION}"),
        ("--xla_backend_extra_options=mine=1", "--xla_backend_extra_options=mine=1"),
    ],
)
def test_the_option_is_added_to_what_is_there(monkeypatch, before, after):
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    if before is not None:
        monkeypatch.setenv("XLA_FLAGS", before)
    cli.prepare_process()
    assert os.environ["XLA_FLAGS"] == after


# Loss of ten updates and the kernels of the compiled loop, by a process with or without the option.
PROGRAM = """
import json, sys
if sys.argv[2] == "with":
    from ntm_jax import cli
    cli.prepare_process()
import jax, jax.numpy as jnp
from ntm_jax import config
from ntm_jax.training.trainer import Trainer
trainer = Trainer(config.load(sys.argv[1], ["optimizer.learning_rate=1e-3"]))
state = trainer.initial_state()
compiled = jax.jit(trainer.run_updates).lower(state, jnp.int32(1)).compile()
state = compiled(state, jnp.int32(10))
whole = compiled.as_text().count("xla_cpu_small_call")
print(json.dumps([whole, float(state.sums.nats), float(state.sums.gradient_norm)]))
"""


@pytest.mark.slow
def test_training_with_it_is_training_without_it():
    def run(how):
        command = [sys.executable, "-c", PROGRAM, str(FOLDER / "copy.py"), how]
        environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
        output = subprocess.run(command, env=environment, check=True, capture_output=True)
        return json.loads(output.stdout)

    (whole, *numbers), (kernels, *others) = run("with"), run("without")
    assert whole > kernels  # else the option has another name by now
    assert numbers == pytest.approx(others, rel=1e-4)


# ---- Variables of the environment that would decide the numbers

ENVIRONMENT = {
    "JAX_DEFAULT_MATMUL_PRECISION": "bfloat16",
    "JAX_DEFAULT_PRNG_IMPL": "rbg",
    "JAX_ENABLE_X64": "1",
    "JAX_HIGH_DYNAMIC_RANGE_GUMBEL": "1",
    "JAX_NUMPY_DTYPE_PROMOTION": "strict",
    "JAX_RANDOM_SEED_OFFSET": "3",
    "JAX_THREEFRY_PARTITIONABLE": "0",
}
DRAW = """
import jax, jax.numpy as jnp
def draw():
    key = jax.random.key(2)
    bits = jax.random.bits(key, (5,)).tolist()
    return [bits, str(key.dtype), str(jnp.ones(1).dtype), jax.config.jax_default_matmul_precision]
"""
PROCESSES = f"""
import json, subprocess, sys
from ntm_jax import cli
{DRAW}
before = draw()
cli.prepare_process()
code = {DRAW + "print(draw())"!r}
child = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
print(json.dumps([before, draw(), eval(child.stdout)]))
"""


def test_the_environment_decides_no_number_of_a_program():
    """Nor of the processes that it starts."""
    command, environment = [sys.executable, "-c", PROCESSES], os.environ | ENVIRONMENT
    done = subprocess.run(command, env=environment, check=True, capture_output=True)
    before, after, of_child = json.loads(done.stdout)
    bits = jax.random.bits(jax.random.key(2), (5,)).tolist()
    assert after == of_child == [bits, "key<fry>", "float32", "highest"]
    assert all(one != other for one, other in zip(before, after, strict=True))


@pytest.mark.slow
def test_a_run_is_resumed_and_evaluated_alike_in_another_environment(tmp_path, monkeypatch):
    """One process trains and evaluates; or one begins, and one with these variables does the rest."""
    cases = "from ntm_jax.tasks import base, ngram\nngram.NGram.cases = lambda task: [base.Case('as_trained', {}, task)]"
    ended = {"task": "ngram", "train__log_every": 2, "train__checkpoint_every": 2}

    def run(name, updates):
        process = programs.start(
            tmp_path, tmp_path / name, first=cases, train__updates=updates, **ended
        )
        assert programs.end(process)[0] == 0

    run("whole", 6)
    run("parts", 2)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    run("parts", 6)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert len(programs.rows(whole)) == 3
    assert programs.rows(parts) == programs.rows(whole)
    results = [json.loads((run / "evaluation.json").read_text()) for run in (whole, parts)]
    assert results[0]["cases"] == results[1]["cases"]


# ---- A platform that is not there


@pytest.mark.parametrize("platform", ["cuda", "nonsense"])
def test_a_platform_that_is_not_there_is_one_line(tmp_path, platform):
    if platform == "cuda" and jax.default_backend() == "gpu":
        pytest.skip("it is there")
    command = [sys.executable, "-m", "ntm_jax.main", *programs.flags(tmp_path / "run")]
    environment = os.environ | {"JAX_PLATFORMS": platform}
    done = subprocess.run(
        command, env=environment, cwd=programs.ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"ntm_jax: JAX_PLATFORMS: {platform!r} cannot be used (")
    assert last.endswith("; unset it, or choose cpu")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


def test_an_error_of_a_program_is_raised(monkeypatch):
    """Also where modules of several processes are imported, and where the platform is there."""
    from ntm_jax.distributed import cluster  # noqa: F401

    def broken(arguments):
        raise ValueError("a bug")

    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    with pytest.raises(ValueError, match="a bug"):
        cli.run_program(broken)
