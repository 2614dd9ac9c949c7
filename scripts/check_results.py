"""Measures the shipped models on episodes of a second generator, and compares with their evaluation.json.

    python -m scripts.check_results
    python -m scripts.check_results --only copy-ntm-ff --cases length_10 --episodes 100000

The episodes are from scripts/paper_episodes.py, which is written from the paper's text and shares no code with the
package. Costs are computed from the models' logits in NumPy, in float64. N-grams are bits above the best possible
predictor of the same episodes. Each model has as many memory rows as in its evaluation.

A case differs if the means are more than 4 standard errors of their difference apart. It also differs if the shares of
perfect episodes do by Fisher's exact test at the same level, which is 1 in 16,000. Costs of rare failures vary too
much for the first test, and the second counts them. The command exits with status 1 if a case differs. Models without weights,
and repeat copy with other counts than the paper's, are left out.
"""

import json
import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

import ntm_jax
from ntm_jax.cli import Parser, run_program
from ntm_jax.errors import ProgramEnd, UserError
from scripts import paper_episodes

PRETRAINED = Path("runs/pretrained")
EPISODES, SEED = 1000, 1410
AT_ONCE = 100  # episodes of a batch
MOST_STANDARD_ERRORS = 4.0
LEAST_PROBABILITY = math.erfc(MOST_STANDARD_ERRORS / math.sqrt(2))  # that of a normal variable
TITLES = (
    "task",
    "model",
    "case",
    "bits, published",
    "bits, independent",
    "standard errors apart",
    "wrong bits, published",
    "wrong bits, independent",
    "perfect, published",
    "perfect, independent",
    "",
)


@dataclass(frozen=True)
class Measured:
    """Summarises a case's episodes."""

    episodes: int
    bits: float  # mean per sequence; of n-grams, above the best possible predictor
    standard_error: float  # of `bits`
    wrong_bits: float  # mean per sequence
    perfect: float  # share of episodes without a wrong bit

    @property
    def failures(self) -> int:
        """Returns the number of episodes with a wrong bit."""
        return round((1 - self.perfect) * self.episodes)

    @property
    def shown_bits(self) -> str:
        """Returns the cost and its standard error, which has two digits."""
        error = self.standard_error
        places = max(0, 1 - math.floor(math.log10(error))) if error else 3
        return f"{self.bits:.{places}f} ± {error:.{places}f}"


@dataclass(frozen=True)
class Comparison:
    """Compares a case's published numbers with those on independent episodes."""

    task: str
    model: str
    case: str
    published: Measured
    independent: Measured

    @property
    def standard_errors(self) -> float:
        """Returns how many standard errors of the difference the means are apart."""
        error = math.hypot(self.published.standard_error, self.independent.standard_error)
        difference = self.independent.bits - self.published.bits
        return difference / error if error else math.copysign(math.inf, difference)

    @property
    def differs(self) -> bool:
        """Returns whether chance is no explanation; see the module."""
        apart = abs(self.standard_errors) > MOST_STANDARD_ERRORS
        probability = fisher_probability(
            (self.published.failures, self.independent.failures),
            (self.published.episodes, self.independent.episodes),
        )
        return apart or probability < LEAST_PROBABILITY

    def row(self) -> str:
        """Returns the case's line of the table."""
        published, independent = self.published, self.independent
        cells = (
            self.task.replace("_", " "),
            f"`{self.model}`",
            self.case,
            published.shown_bits,
            independent.shown_bits,
            f"{self.standard_errors:+.1f}",
            *(f"{m.wrong_bits:.3g}" for m in (published, independent)),
            *(f"{m.perfect:.2%}" for m in (published, independent)),
            "differs" if self.differs else "",
        )
        return _line(cells)


def fisher_probability(failures: tuple[int, int], episodes: tuple[int, int]) -> float:
    """Returns how probable counts of failures that differ at least so much are, if the rate is the same."""
    both, total = sum(failures), sum(episodes)
    possible = range(max(0, both - episodes[1]), min(both, episodes[0]) + 1)
    ways = [
        _log_choose(episodes[0], first) + _log_choose(episodes[1], both - first)
        for first in possible
    ]
    found = ways[failures[0] - possible.start]
    every = _log_choose(total, both)
    return math.fsum(math.exp(way - every) for way in ways if way <= found + 1e-9)


def compare(run: Path, episodes: int, seed: int, cases: Sequence[str] = ()) -> Iterator[Comparison]:
    """Measures a shipped run on independent episodes, case by case.

    Args:
      run: its folder, with config.json, evaluation.json and weights.safetensors.
      episodes: the number per case.
      seed: decides the episodes, together with the task and the case.
      cases: their names; all of them if there are none.
    """
    published = _evaluation(run)
    model = ntm_jax.load(run, memory_size=published.get("memory_size"))
    task = published["task"]
    for case in published["cases"]:
        if cases and case["name"] not in cases:
            continue
        rng = np.random.default_rng([seed, zlib.crc32(f"{task} {case['name']}".encode())])
        drawn = paper_episodes.DRAW[task](rng, episodes, **case["difficulty"])
        found = measure(model, drawn, above_optimum=task == "ngram")
        yield Comparison(task, published["model"], case["name"], read(case), found)


def measure(
    model: nnx.Module, episodes: paper_episodes.Episodes, above_optimum: bool = False
) -> Measured:
    """Measures a model on episodes of one difficulty.

    Args:
      model: what `ntm_jax.load` returns.
      episodes: to be run, in batches.
      above_optimum: whether to subtract the cost of the best predictor of n-grams.
    """
    structure, parameters = nnx.split(model)
    count = episodes.inputs.shape[1]
    batches = (episodes.inputs[:, first : first + AT_ONCE] for first in range(0, count, AT_ONCE))
    parts = [_logits(structure, parameters, jnp.asarray(inputs)) for inputs in batches]
    logits = np.concatenate(parts, axis=1)
    bits = paper_episodes.bits_per_sequence(logits, episodes)
    if above_optimum:
        bits -= paper_episodes.optimal_bits(episodes)
    wrong = paper_episodes.wrong_bits(logits, episodes)
    return Measured(
        count,
        float(bits.mean()),
        float(bits.std(ddof=1) / math.sqrt(count)),
        float(wrong.mean()),
        float((wrong == 0).mean()),
    )


def read(case: dict[str, Any]) -> Measured:
    """Reads what `evaluation.json` says of a case."""
    bits = "gap_bits_per_sequence" if "gap_bits_per_sequence" in case else "bits_per_sequence"
    return Measured(
        case["episodes"],
        case[bits],
        case[f"{bits}_standard_error"],
        case["bit_errors_per_sequence"],
        case["perfect_fraction"],
    )


def find_runs(pretrained: Path, only: Sequence[str] = ()) -> list[Path]:
    """Returns the folders of the runs that can be measured.

    Args:
      pretrained: holds the runs' folders.
      only: names of folders; all that can be measured if there are none.

    Raises:
      UserError: there is no such run.
    """
    weights = sorted(pretrained.glob("*/weights.safetensors"))
    runs = {path.parent.name: path.parent for path in weights if _of_the_paper(path.parent)}
    if not runs:
        raise UserError(f"--pretrained: {pretrained} holds no run of the paper's tasks")
    for name in only:
        if name not in runs:
            raise UserError(f"--only: {name!r} is none of {', '.join(runs)}")
    return [run for name, run in runs.items() if not only or name in only]


def run(arguments: Sequence[str]) -> None:
    """Prints the table.

    Raises:
      UserError: an argument is wrong.
      ProgramEnd: a case differs.
    """
    parser = Parser("python -m scripts.check_results", __doc__)
    parser.add_argument("--pretrained", type=Path, default=PRETRAINED, help=f"({PRETRAINED})")
    parser.add_argument("--only", nargs="+", default=[], metavar="RUN", help="names of folders")
    parser.add_argument("--cases", nargs="+", default=[], metavar="CASE", help="their names")
    parser.add_argument("--episodes", type=int, default=EPISODES, help=f"per case ({EPISODES})")
    parser.add_argument("--seed", type=int, default=SEED, help=f"of the episodes ({SEED})")
    options = parser.parse_args(arguments)
    if options.episodes < 2:
        raise UserError(f"--episodes: {options.episodes} is less than 2")
    if options.seed < 0:
        raise UserError(f"--seed: {options.seed} is negative")
    runs = find_runs(options.pretrained, options.only)
    _check_cases(runs, options.cases)
    print(f"{_line(TITLES)}\n{_line(['---'] * len(TITLES))}", flush=True)
    cases, differing = 0, 0
    for folder in runs:
        for comparison in compare(folder, options.episodes, options.seed, options.cases):
            print(comparison.row(), flush=True)
            cases += 1
            differing += comparison.differs
    print(f"\n{cases} cases, of which {differing} differ")
    if differing:
        raise ProgramEnd(f"{differing} of {cases} cases differ", 1)


def _evaluation(run: Path) -> dict[str, Any]:
    return json.loads((run / "evaluation.json").read_text(encoding="utf-8"))


def _check_cases(runs: Sequence[Path], cases: Sequence[str]) -> None:
    known = {case["name"]: None for run in runs for case in _evaluation(run)["cases"]}
    for name in cases:
        if name not in known:
            raise UserError(f"--cases: {name!r} is none of {', '.join(known)}")


def _of_the_paper(run: Path) -> bool:
    task = json.loads((run / "config.json").read_text(encoding="utf-8"))["task"]
    return task["name"] in paper_episodes.DRAW and task.get("count", "scalar") == "scalar"


@partial(jax.jit, static_argnums=0)
def _logits(structure: Any, parameters: Any, inputs: jax.Array) -> jax.Array:
    """Runs a model on `[T, B, in]`; the trace is not computed."""
    return ntm_jax.unroll(nnx.merge(structure, parameters), inputs)[0]


def _log_choose(total: int, chosen: int) -> float:
    return math.lgamma(total + 1) - math.lgamma(chosen + 1) - math.lgamma(total - chosen + 1)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    run_program(run)
