"""Measures runs that train as one program, beside one run alone: `python -m benchmarks.population_speed`.

It measures the device that JAX uses. Each setting is trained alone, then by populations of several sizes, in turn.
`--config.<field>=<value>` sets any field.
"""

import json
import os
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from benchmarks.training_speed import CONFIGS, SETTINGS
from ntm_jax import config as configs
from ntm_jax.cli import Parser, config_overrides, run_program
from ntm_jax.errors import UserError
from ntm_jax.storage.checkpoints import FollowerCheckpoints
from ntm_jax.storage.files import write_atomically
from ntm_jax.training import progress
from ntm_jax.training.population import Population
from ntm_jax.training.trainer import Trainer

SIZES = (1, 2, 8, 32, 128)
HEADING = (
    f"{'setting':<16}{'batch':>6}{'runs':>6}{'updates/s, each':>17}{'sequences/s, all':>18}"
    f"{'times one alone':>22}{'compile s':>11}"
)


def alone(config: ConfigDict) -> Callable[[int], None]:
    """Returns a function that trains one run by so many updates, from the first."""
    trainer = Trainer(config)

    def run(updates: int) -> None:
        jax.block_until_ready(trainer.run(trainer.initial_state(), jnp.int32(updates)))  # type: ignore[no-untyped-call]

    return run


def together(config: ConfigDict, runs: int) -> Callable[[int], None]:
    """Returns a function that trains so many seeds as one program by so many updates, from the first."""
    every = [configs.with_values(config, {"seed": seed}) for seed in range(runs)]
    population = Population(every)
    first, _ = population.begin([FollowerCheckpoints() for _ in every])

    def run(updates: int) -> None:
        states = jax.tree.map(jnp.copy, first)  # their buffers are reused
        jax.block_until_ready(population.run(states, [updates] * runs))  # type: ignore[no-untyped-call]

    return run


def measure(
    name: str, overrides: Sequence[str], sizes: Sequence[int], rounds: int, seconds: float
) -> list[dict[str, Any]]:
    """Measures one run alone and populations, in turn, `rounds` times each.

    Args:
      name: a key of `SETTINGS`.
      overrides: of its config.
      sizes: numbers of runs.
      rounds: measurements of each.
      seconds: approximate length of a measurement.

    Returns:
      A row for the run alone, whose `runs` is 0, and one for each size.
    """
    task, model, usual = SETTINGS[name]
    config = configs.load(f"{CONFIGS / task}.py:{model}", [*usual, *overrides])
    paths = {0: alone(config)} | {size: together(config, size) for size in sizes}
    compiled = {size: _timed(path, 1) for size, path in paths.items()}
    updates = {size: _updates(path, seconds) for size, path in paths.items()}
    times: dict[int, list[float]] = {size: [] for size in paths}
    for _ in range(rounds):
        for size, path in paths.items():
            times[size].append(_timed(path, updates[size]) / updates[size])
    rows = []
    for size, each in times.items():
        ratios = sorted(max(size, 1) * one / own for one, own in zip(times[0], each, strict=True))
        second = 1 / statistics.median(each)
        rows.append(
            {
                "setting": name,
                "batch_size": config.train.batch_size,
                "runs": size,
                "updates_per_second": second,
                "sequences_per_second": second * config.train.batch_size * max(size, 1),
                "times_alone": statistics.median(ratios),
                "times_alone_least": ratios[0],
                "times_alone_most": ratios[-1],
                "compile_seconds": compiled[size],
            }
        )
    return rows


def _timed(path: Callable[[int], None], updates: int) -> float:
    start = time.perf_counter()
    path(updates)
    return time.perf_counter() - start


def _updates(path: Callable[[int], None], seconds: float) -> int:
    """Returns how many updates take about so long."""
    return max(2, round(2 * seconds / max(_timed(path, 2), 1e-5)))


def line(row: dict[str, Any]) -> str:
    """Returns a row as a line of the table under `HEADING`."""
    ratio = (
        f"{row['times_alone']:.2f} ({row['times_alone_least']:.2f} - {row['times_alone_most']:.2f})"
    )
    return (
        f"{row['setting']:<16}{row['batch_size']:>6}{row['runs'] or 'alone':>6}"
        f"{row['updates_per_second']:>17,.1f}{row['sequences_per_second']:>18,.0f}"
        f"{ratio:>22}{row['compile_seconds']:>11.1f}"
    )


def run(arguments: Sequence[str]) -> None:
    """Runs the program with these command-line arguments."""
    parser = Parser("python -m benchmarks.population_speed", __doc__)
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="also write the rows here")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each (3)")
    parser.add_argument("--seconds", type=float, default=2.0, help="about, a measurement (2)")
    parser.add_argument("--only", choices=sorted(SETTINGS), nargs="*", help="some of the settings")
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES, help="numbers of runs")
    options, others = parser.parse_known_args(arguments)
    overrides = config_overrides(others)
    if options.rounds < 1 or not options.seconds > 0 or any(size < 1 for size in options.sizes):
        raise UserError("--rounds, --seconds and --sizes: must be more than 0")
    device = jax.devices()[0].device_kind
    names, rows = options.only or list(SETTINGS), []
    progress.say(f"{device}, {os.cpu_count()} cores, jax {jax.__version__}\n{HEADING}")
    with closing(progress.bar("population speed", len(names), "setting")) as bar:
        for done, name in enumerate(names, 1):
            found = measure(name, overrides, options.sizes, options.rounds, options.seconds)
            rows += found
            progress.say("\n".join(map(line, found)))
            if options.out is not None:
                result = {"device": device, "jax": jax.__version__, "settings": rows}
                write_atomically(options.out, (json.dumps(result, indent=2) + "\n").encode())
            bar.move_to(done)


if __name__ == "__main__":
    run_program(run)
