"""Summarises the evaluations of a sweep's runs."""

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ntm_jax import config as configs
from ntm_jax.training import metrics


def summary(folders: Sequence[Path], failed: Sequence[int]) -> dict[str, Any]:
    """Returns median, quartiles and best of the runs in `folders` for each case, and of the sequences to solve it.

    A run solves its task at the first line of metrics below `train.solved_below`. Runs that do not are
    left out. With one run, the quartiles are that run's value.
    """
    results = [json.loads((f / "evaluation.json").read_text(encoding="utf-8")) for f in folders]
    cases = []
    for number, case in enumerate(results[0]["cases"] if results else []):
        same = [result["cases"][number] for result in results]
        entry: dict[str, Any] = {"name": case["name"], "difficulty": case["difficulty"]}
        for name, value in case.items():
            if isinstance(value, float) and not name.endswith("standard_error"):
                entry[name] = _spread([one[name] for one in same], name == "perfect_fraction")
        cases.append(entry)
    result = {"runs": [folder.name for folder in folders], "failed": list(failed), "cases": cases}
    first = [row["sequences"] for folder in folders if (row := _solved(folder)) is not None]
    if first:
        result["sequences_to_solve"] = {"runs": len(first), **_spread(first, most_is_best=False)}
    return result


def _solved(folder: Path) -> dict[str, float] | None:
    config = configs.read(folder / "config.json")
    goal, easier = config.train.solved_below, configs.easier_updates(config)
    return metrics.first_below(folder / "metrics.csv", goal, easier)


def table(result: Mapping[str, Any]) -> str:
    """Returns a summary as text, or the summaries of several settings."""
    if "settings" in result:
        return "\n\n".join(
            "\n".join([_words(one["setting"]), table(one)]) for one in result["settings"]
        )
    heading = f"{'bits/sequence':<26}{'median':>10}{'quartiles':>22}{'best':>10}{'perfect':>9}"
    lines = [heading] if result["cases"] else []
    for case in result["cases"]:
        bits, perfect = case["bits_per_sequence"], case["perfect_fraction"]["median"]
        quartiles = f"{bits['lower_quartile']:.4f} - {bits['upper_quartile']:.4f}"
        lines.append(
            f"{case['name']:<26}{bits['median']:>10.4f}{quartiles:>22}{bits['best']:>10.4f}{perfect:>9.1%}"
        )
    if "sequences_to_solve" in result:
        first = result["sequences_to_solve"]
        lines.append(
            f"solved by {first['runs']} runs, after {first['median']:,.0f} sequences (median; quartiles "
            f"{first['lower_quartile']:,.0f} - {first['upper_quartile']:,.0f}, best {first['best']:,.0f})"
        )
    runs, failed = len(result["runs"]), result["failed"]
    lines.append(f"{runs} runs" + (f"; failed: seeds {failed}" if failed else ""))
    return "\n".join(lines)


def _words(setting: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in setting.items())


def _spread(values: list[float], most_is_best: bool) -> dict[str, float]:
    lower, _, upper = (
        statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
    )
    return {
        "median": statistics.median(values),
        "lower_quartile": lower,
        "upper_quartile": upper,
        "best": max(values) if most_is_best else min(values),
        "worst": min(values) if most_is_best else max(values),
    }
