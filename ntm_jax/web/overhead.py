"""How much the monitor slows training: `python -m ntm_jax.web.overhead --config configs/copy.py`.

One run is trained in short blocks, with the monitor working in every other one and its processes stopped in
the rest, so that both kinds see the same machine. A block is to be as long as the worker's rest, for it begins
each one with work.
"""

import argparse
import os
import signal
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import jax.numpy as jnp

from ntm_jax import config as configs
from ntm_jax import train
from ntm_jax.main import config_overrides, exit_clearly
from ntm_jax.web import monitor

WARM_UP_SECONDS = 30.0  # at most, for the monitor's processes to have compiled


def measure(config_path: str, overrides: Sequence[str], pairs: int, seconds: float) -> list[float]:
    """How many times as long an update takes with the monitor, once for each pair of blocks.

    Args:
      config_path: as `--config` of `ntm_jax.main`.
      overrides: like `train.batch_size=16`.
      pairs: of blocks.
      seconds: of a block, about.
    """
    config = configs.load(config_path, [*overrides, "monitor.port=0"])
    trainer = train.Trainer(config)
    state = trainer.initial_state()
    chunk = config.train.log_every
    with (
        tempfile.TemporaryDirectory() as folder,
        monitor.beside(config, Path(folder) / "run") as publish,
    ):
        children = _children()
        begun = time.monotonic()
        while time.monotonic() - begun < WARM_UP_SECONDS:
            state = trainer.run(state, jnp.int32(chunk))
            publish(int(state.update), state.parameters)

        def block(watched: bool) -> float:
            """Seconds an update."""
            nonlocal state
            for child in children:
                os.kill(child, signal.SIGCONT if watched else signal.SIGSTOP)
            begun, updates = time.perf_counter(), 0
            while time.perf_counter() - begun < seconds:
                state = trainer.run(state, jnp.int32(chunk))
                state.update.block_until_ready()
                if watched:
                    publish(int(state.update), state.parameters)
                updates += chunk
            return (time.perf_counter() - begun) / updates

        ratios = []
        for number in range(pairs):
            order = (True, False) if number % 2 else (False, True)
            times = {watched: block(watched) for watched in order}
            ratios.append(times[True] / times[False])
        return ratios


def _children() -> list[int]:
    """The monitor's processes, by what the system lists of this one's (Linux)."""
    listed = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    return [int(word) for path in listed for word in path.read_text().split()]


def run(arguments: Sequence[str]) -> None:
    """Does what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m ntm_jax.web.overhead", description=__doc__)
    parser.add_argument("--config", required=True, metavar="FILE[:MODEL]")
    parser.add_argument("--pairs", type=int, default=12, help="of blocks; 12 if not given")
    parser.add_argument("--seconds", type=float, default=8.0, help="of a block; 8 if not given")
    options, others = parser.parse_known_args(arguments)
    ratios = measure(options.config, config_overrides(others), options.pairs, options.seconds)
    lower, median, upper = statistics.quantiles(ratios, n=4, method="inclusive")
    print(
        f"time of an update with the monitor / without: median {median:.4f}, "
        f"quartiles {lower:.4f} - {upper:.4f}, {len(ratios)} pairs of blocks"
    )


if __name__ == "__main__":
    exit_clearly(run)
