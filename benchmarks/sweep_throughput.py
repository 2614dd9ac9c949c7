"""Measures the speed of a sweep's seeds side by side and of one alone: a part of `benchmarks.training_speed`."""

import os
import statistics
import tempfile
from pathlib import Path
from typing import Any

from ntm_jax import sweep
from ntm_jax.training import metrics

CONFIG = Path(__file__).parents[1] / "configs" / "copy.py"
UPDATES = 16_000


def measure(rounds: int, updates: int = UPDATES) -> dict[str, Any]:
    """Measures the updates/s of one seed with all cores and of one seed per core, `rounds` times in turn.

    The time from a run's first line of metrics to its last is counted, without compilation and evaluation.

    Returns:
      `seeds`: how many run side by side.
      `alone` and `together`: median updates/s, summed over the seeds.
      `times_one`: the sorted ratios of the rounds.
    """
    cores = os.cpu_count() or 1
    counts = (1, cores)
    pairs = [[_updates_per_second(count, updates) for count in counts] for _ in range(rounds)]
    alone, together = (statistics.median(of) for of in zip(*pairs, strict=True))
    return {
        "seeds": cores,
        "alone": alone,
        "together": together,
        "times_one": sorted(many / one for one, many in pairs),
    }


def _updates_per_second(seeds: int, updates: int) -> float:
    every = max(updates // 16, 1)
    overrides = [
        *(f"train.updates={updates}", f"train.log_every={every}", "evaluate.episodes=1"),
        f"train.checkpoint_every={updates}",
    ]
    with tempfile.TemporaryDirectory(prefix="ntm_jax_sweep_") as folder:
        workdir = Path(folder)
        sweep.sweep(str(CONFIG), overrides, range(seeds), seeds, workdir)
        return sum(_speed(workdir / f"seed_{seed}" / "metrics.csv") for seed in range(seeds))


def _speed(path: Path) -> float:
    rows = metrics.read(path)
    first, last = rows[0], rows[-1]
    return (last["update"] - first["update"]) / (last["seconds"] - first["seconds"])


def line(result: dict[str, Any]) -> str:
    """Returns the result as a line of text."""
    ratios = result["times_one"]
    return (
        f"a sweep of copy ntm-ff: {result['together']:,.0f} updates/s by {result['seeds']} seeds side by side, "
        f"{result['alone']:,.0f} by one alone; {statistics.median(ratios):.2f} times as many "
        f"({ratios[0]:.2f} - {ratios[-1]:.2f})"
    )
