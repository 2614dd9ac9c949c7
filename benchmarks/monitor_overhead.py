"""Measures how much the monitor slows training: `python -m benchmarks.monitor_overhead --config configs/copy.py`.

One run is trained in short blocks of three kinds, once each per round and in random order. In a *watched* block the
monitor is running, and a visitor requests news every second. In the two *alone* blocks all of their processes are
stopped. Those two differ only by the machine's noise. So the same estimate from them, printed beside the monitor's,
shows the smallest effect that could have been seen.
"""

import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from ntm_jax import config as configs
from ntm_jax.cli import Parser, config_overrides, run_program
from ntm_jax.errors import UserError
from ntm_jax.training import progress
from ntm_jax.training.trainer import Trainer
from ntm_jax.web.monitor import run_monitor

WARM_UP_SECONDS = 40.0  # until the monitor's processes have compiled
KINDS = ("watched", "alone", "alone again")
RESAMPLES = 10_000
# The visitor makes the same requests as the page, with the standard library only.
VISITOR = """
import json, os, sys, threading, time, urllib.request
os.nice(10)
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
known = -1
while True:
    try:
        with urllib.request.urlopen(f"{sys.argv[1]}api/progress?after={known}", timeout=5) as answer:
            rows = json.load(answer)["rows"]
        known = int(rows[-1]["update"]) if rows else known
        urllib.request.urlopen(f"{sys.argv[1]}api/episode", timeout=5).read()
    except OSError:
        pass
    time.sleep(1)
"""


@dataclass(frozen=True)
class Estimate:
    """A median, and its 95% bootstrap interval."""

    median: float
    lower: float
    upper: float

    def __str__(self) -> str:
        return f"{self.median:.4f}, 95% interval {self.lower:.4f} - {self.upper:.4f}"


def measure(
    block: Callable[[str], float], rounds: int, seed: int, report: Callable[[int], None]
) -> dict[str, list[float]]:
    """Returns the seconds per update of each kind of block, one for each round.

    Args:
      block: trains for a while as one of `KINDS`, and returns the seconds per update.
      rounds: how many, with one block of each kind.
      seed: for the order of the blocks.
      report: called with the number of finished rounds.
    """
    order = random.Random(seed)
    times: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for done in range(rounds):
        for kind in order.sample(KINDS, len(KINDS)):
            times[kind].append(block(kind))
        report(done + 1)
    return times


def estimate(times: Sequence[float], others: Sequence[float], seed: int = 0) -> Estimate:
    """Returns the median over rounds of `times / others`, with a bootstrap interval over rounds."""
    ratios = np.asarray(times) / np.asarray(others)
    drawn = np.random.default_rng(seed).integers(0, len(ratios), (RESAMPLES, len(ratios)))
    lower, upper = np.quantile(np.median(ratios[drawn], axis=1), [0.025, 0.975])
    return Estimate(float(np.median(ratios)), float(lower), float(upper))


def summary(times: dict[str, list[float]]) -> str:
    """Returns the result as text: the monitor's ratio, and that of the two kinds that are the same."""
    watched, alone, again = (times[kind] for kind in KINDS)
    milliseconds = 1000 * statistics.median(alone)
    return (
        f"an update alone takes {milliseconds:.3f} ms (median of {len(alone)} blocks)\n"
        f"with the monitor / alone: {estimate(watched, alone)}\n"
        f"    alone again / alone: {estimate(again, alone)} (the noise of this machine)"
    )


@contextmanager
def blocks(
    config_path: str, overrides: Sequence[str], seconds: float, warm_up: float = WARM_UP_SECONDS
) -> Iterator[Callable[[str], float]]:
    """Yields the `block` for `measure`, which trains a config in a temporary folder.

    Args:
      config_path: as `--config` of `ntm_jax.main`.
      overrides: like `train.batch_size=16`.
      seconds: approximate length of a block.
      warm_up: seconds of training before the first block.
    """
    config = configs.load(config_path, [*overrides, "monitor.port=0"])
    trainer = Trainer(config)
    state = trainer.initial_state()
    chunk = config.train.log_every
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        before = set(_children())
        with redirect_stdout(StringIO()) as said:
            watcher = stack.enter_context(closing(run_monitor.RunMonitor()))
            watcher.open(config, folder / "run")
        others = [child for child in _children() if child not in before]
        address = next(word for word in said.getvalue().split() if word.startswith("http://"))
        visitor = subprocess.Popen([sys.executable, "-c", VISITOR, address], stdin=subprocess.PIPE)
        others.append(visitor.pid)

        def block(kind: str, seconds: float = seconds) -> float:
            nonlocal state
            watched = kind == KINDS[0]
            for process in others:
                os.kill(process, signal.SIGCONT if watched else signal.SIGSTOP)
            begun, updates = time.perf_counter(), 0
            while time.perf_counter() - begun < seconds:
                state = trainer.run(state, jnp.int32(chunk))
                state.update.block_until_ready()
                if watched:
                    watcher.publish(int(state.update), state.parameters)
                updates += chunk
            return (time.perf_counter() - begun) / updates

        try:
            block(KINDS[0], warm_up)
            yield block
        finally:
            for process in others:
                os.kill(process, signal.SIGCONT)
            visitor.kill()
            visitor.communicate()


def _children() -> list[int]:
    """Returns the child processes of this process, as Linux lists them."""
    listed = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    return [int(word) for path in listed for word in path.read_text().split()]


def run(arguments: Sequence[str]) -> None:
    """Runs the program with these command-line arguments."""
    parser = Parser("python -m benchmarks.monitor_overhead", __doc__)
    parser.add_argument("--config", required=True, metavar="FILE[:MODEL]")
    parser.add_argument("--rounds", type=int, default=60, help="of three blocks; 60 if not given")
    parser.add_argument("--seconds", type=float, default=4.0, help="of a block; 4 if not given")
    parser.add_argument("--seed", type=int, default=0, help="of the blocks' order; 0 if not given")
    options, others = parser.parse_known_args(arguments)
    overrides = config_overrides(others)
    if options.rounds < 1 or options.seconds <= 0:
        raise UserError("--rounds and --seconds: must be more than 0")

    with (
        closing(progress.bar("rounds", options.rounds, "round")) as bar,
        blocks(options.config, overrides, options.seconds) as block,
    ):
        times = measure(block, options.rounds, options.seed, bar.move_to)
    print(summary(times))


if __name__ == "__main__":
    run_program(run)
