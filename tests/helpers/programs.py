"""Whole programs in processes of their own, on a tiny run that compiles quickly, and once for all of them."""

import csv
import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

from tests.helpers import ROOT
from tests.helpers.configs import tiny_overrides

STARTED = []  # processes, for whoever is to leave none behind
# The rate and the costs do not depend on where the end is.
USUAL = {
    "train__updates": 10**7,
    "train__log_every": 50,
    "train__checkpoint_every": 200,
    "train__blur_penalty": 0.0,
    "train__write_penalty": 0.0,
    "optimizer__schedule": "constant",
    "optimizer__warmup": 20,
}


def environment(base):
    """Of the programs: as `quick_compile` is for the tests' own process."""
    return os.environ | {
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
        "JAX_COMPILATION_CACHE_DIR": str(base / "compiled"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.2",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        "PYTHONPATH": str(ROOT),
    }


def flags(workdir, task="copy", model="ntm-ff", **fields):
    """A tiny run on a command line."""
    overrides = tiny_overrides(task, model, **(USUAL | fields))
    config = ROOT / "configs" / f"{task}.py"
    first = ["--config", f"{config}:{model}", "--workdir", str(workdir)]
    return [*first, *(f"--config.{override}" for override in overrides)]


def start(base, workdir, *more, first="", pass_fds=(), **fields):
    """`ntm_jax.main` on a tiny run, its output in pipes.

    Args:
      base: the test session's temporary folder.
      workdir: the run's folder.
      more: flags.
      first: Python to run in the process before the program.
      pass_fds: what the process gets open.
      fields: of the config, like `train__updates=3`, and which `task` and `model`, if not copy's first.
    """
    code = f"from ntm_jax import main\n{first}\nmain.main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *flags(workdir, **fields), *more],
        pass_fds=pass_fds,
        cwd=ROOT,
        env=environment(base),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    STARTED.append(process)
    return process


@contextmanager
def listening(host=""):
    """A port of this machine that is taken, at one of its addresses or at all of them."""
    with socket.create_server((host, 0), family=socket.AF_INET) as server:
        yield server.getsockname()[1]


def free_port():
    """One that nobody listens at."""
    with listening() as port:
        return port


def start_together(base, workdir, count, *more, each=None, **fields):
    """As `start`, so many processes that train one run; `each` gives further fields by process."""
    address = f"127.0.0.1:{free_port()}"
    flags = ["--coordinator", address, "--processes", str(count), "--join-seconds", "100", *more]
    fields = {"mesh__data": count, **fields}
    return [
        start(base, workdir, *flags, "--process", str(i), **(fields | (each or {}).get(i, {})))
        for i in range(count)
    ]


def end_together(processes, seconds=300):
    """As `end`, of each; none is left behind when one is not as it should be."""
    try:
        return [end(process, seconds) for process in processes]
    finally:
        for process in processes:
            process.kill()


def end(process, seconds=300):
    """Exit status and the last line of standard error, once a program has ended; there is no traceback before it."""
    try:
        _, err = process.communicate(timeout=seconds)
    finally:
        process.kill()  # where it has not ended
    assert "Traceback" not in err, err
    lines = err.replace("\r", "\n").splitlines()
    return process.returncode, lines[-1] if lines else ""


def wait_for(found, seconds=120):
    """What `found()` gives once it is true."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if result := found():
            return result
        time.sleep(0.01)
    raise AssertionError("it did not happen in time")


def rows(workdir):
    """metrics.csv as text, without its seconds; none where it is not there yet."""
    path = workdir / "metrics.csv"
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [
            {n: text for n, text in row.items() if n != "seconds"} for row in csv.DictReader(file)
        ]


def checkpoints_in(workdir):
    """The updates there are checkpoints of."""
    folder = workdir / "checkpoints"
    found = folder.iterdir() if folder.exists() else ()
    return sorted(int(path.name) for path in found if path.name.isdecimal())
