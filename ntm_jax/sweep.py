"""Trains one config with several seeds: `python -m ntm_jax.sweep --config copy --seeds 0-9`.

Each seed is an ordinary run of `ntm_jax.main` in its own process, on its own cores. An interrupted
sweep resumes: finished seeds are kept, and the others resume from their checkpoints.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ntm_jax.cli import Parser, config_overrides, run_program
from ntm_jax.errors import UserError

if TYPE_CHECKING:
    from ml_collections import ConfigDict

DESCRIPTION = """\
Trains and evaluates one config with several seeds, in parallel.

  python -m ntm_jax.sweep --config copy --seeds 0-9
  python -m ntm_jax.sweep --config configs/ngram.py:ntm-lstm --seeds 0,1,5 --jobs 2
"""


@dataclass
class Job:
    """The run of one seed."""

    seed: int
    folder: Path
    process: subprocess.Popen[bytes] | None = None
    cores: frozenset[int] = field(default_factory=frozenset)

    @property
    def log(self) -> Path:
        """The file with the run's output."""
        return self.folder.with_suffix(".log")

    def updates_done(self) -> int:
        """Returns the update of the last whole line of its metrics, 0 if there is none."""
        from ntm_jax.training import metrics

        return metrics.updates_done(self.folder / metrics.NAME)


def sweep(
    config: str, overrides: Sequence[str], seeds: Sequence[int], jobs: int, workdir: Path
) -> dict[str, Any]:
    """Runs every seed, and returns the summary of their evaluations.

    Writes the summary to `workdir/summary.json`, and a chart to `workdir/learning_curves.png`.

    Args:
      config: as `--config` of `ntm_jax.main`.
      overrides: such as `train.updates=500`.
      seeds: each runs in `workdir/seed_<seed>`.
      jobs: the most processes at a time. They share the cores.
      workdir: the sweep's folder.

    Raises:
      UserError: the config is not allowed. No run is started then.
    """
    from ntm_jax import config as configs
    from ntm_jax.storage.run_folder import same_run

    every = []
    for seed in seeds:
        checked = configs.load(config, [*overrides, f"seed={seed}"])
        job = Job(seed, workdir / f"seed_{seed}")
        if (job.folder / "config.json").exists():
            same_run(job.folder, checked)
        every.append(job)
    _check_it_builds(checked)
    updates = checked.train.updates

    workdir.mkdir(parents=True, exist_ok=True)
    failed = _run_all(every, jobs, updates, lambda job: _start(job, config, overrides))
    result = summary([job.folder for job in every if job.seed not in failed], failed)
    text = json.dumps(result, indent=2) + "\n"
    (workdir / "summary.json").write_text(text, encoding="utf-8")
    if len(failed) < len(every):
        from ntm_jax.evaluation import canvas, curves
        from ntm_jax.training import metrics

        files = {job.folder.name: job.folder / "metrics.csv" for job in every}
        done = {name: metrics.read(path) for name, path in files.items() if path.exists()}
        canvas.save(curves.learning_of_runs(done), workdir / "learning_curves.png")
    return result


def _run_all(
    every: Sequence[Job], jobs: int, updates: int, start: Callable[[Job], None]
) -> list[int]:
    """Runs what is not finished, at most `jobs` at a time, and returns the seeds that failed."""
    from ntm_jax.training import progress

    waiting = [job for job in every if not _finished(job, updates)]
    free = _share_cores(min(jobs, max(len(waiting), 1)))
    running: list[Job] = []
    failed: list[int] = []
    total, before = updates * len(every), sum(job.updates_done() for job in every)
    with closing(progress.bar("sweep", total, "update", done=before)) as bar:
        try:
            while waiting or running:
                while waiting and free:
                    job = waiting.pop(0)
                    job.cores = free.pop()
                    start(job)
                    running.append(job)
                time.sleep(0.3)
                for job in list(running):
                    assert job.process is not None
                    if job.process.poll() is not None:
                        running.remove(job)
                        free.append(job.cores)
                        if job.process.returncode:
                            failed.append(job.seed)
                            progress.say(f"seed {job.seed} failed; see {job.log}", file=sys.stderr)
                bar.move_to(
                    sum(job.updates_done() for job in every),
                    f"{len(running)} running, {len(waiting)} waiting",
                )
        finally:
            for process in [job.process for job in running if job.process is not None]:
                process.terminate()
            for process in [job.process for job in running if job.process is not None]:
                process.wait()  # until it has saved
    return failed


def _check_it_builds(config: "ConfigDict") -> None:
    """Raises `UserError` for names and combinations that the runs would refuse; allocates no parameters."""
    from flax import nnx

    from ntm_jax import models, tasks
    from ntm_jax.config import with_memory_size
    from ntm_jax.training import curriculum, optimizers

    task = tasks.make(config.task.name, **tasks.difficulty(config.task))
    nnx.eval_shape(lambda: models.build(config, task.input_size, task.output_size))
    optimizers.build(config, curriculum.Stages(config).schedule_ends)
    if config.evaluate.memory_size:
        with_memory_size(config, config.evaluate.memory_size)


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
    from ntm_jax import config as configs
    from ntm_jax.training import metrics

    config = configs.read(folder / "config.json")
    goal, easier = config.train.solved_below, configs.easier_updates(config)
    return metrics.first_below(folder / "metrics.csv", goal, easier)


def table(result: dict[str, Any]) -> str:
    """Returns the summary as text."""
    lines = [f"{'bits/sequence':<26}{'median':>10}{'quartiles':>22}{'best':>10}{'perfect':>9}"]
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


def parse_seeds(text: str) -> list[int]:
    """Returns the seeds in a text: `[0, 1, 2, 3, 7]` for `"0-3,7"`.

    Raises:
      UserError: text of another form.
    """
    seeds: list[int] = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise UserError(f"--seeds: {text!r} cannot be read; write it like 0-9 or 0,3,5")
        seeds.extend(range(int(first), int(last if dash else first) + 1))
    if not seeds or len(set(seeds)) != len(seeds):
        raise UserError(f"--seeds: {text!r} names no seed, or one twice")
    return seeds


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


def _finished(job: Job, updates: int) -> bool:
    try:
        result = json.loads((job.folder / "evaluation.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(result.get("update") == updates)


def _share_cores(jobs: int) -> list[frozenset[int]]:
    """Returns a set of cores for each job: all cores where there are fewer than jobs, none if the system cannot say."""
    if not hasattr(os, "sched_getaffinity"):
        return [frozenset()] * jobs
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < jobs:
        return [frozenset(cores)] * jobs
    return [frozenset(cores[i::jobs]) for i in range(jobs)]


def _start(job: Job, config: str, overrides: Sequence[str]) -> None:
    command = [sys.executable, "-m", "ntm_jax.main", "--config", config]
    command += ["--workdir", str(job.folder), f"--config.seed={job.seed}"]
    command += [f"--config.{override}" for override in overrides]
    with job.log.open("ab") as log:
        job.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    if job.cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(job.process.pid, job.cores)


def run(arguments: Sequence[str]) -> None:
    """Runs the program with these arguments."""
    from ntm_jax.config import built_in, split_argument

    parser = Parser(
        "python -m ntm_jax.sweep",
        DESCRIPTION,
        "--config.<field>=<value> sets any field, as in ntm_jax.main.",
    )
    parser.add_argument(
        "--config",
        required=True,
        metavar="NAME|FILE[:MODEL]",
        help=f"a built-in config ({', '.join(built_in.paths())}) or a Python file",
    )
    parser.add_argument("--seeds", required=True, help="such as 0-9 or 0,3,5")
    parser.add_argument(
        "--jobs", type=int, help="processes at a time (default: the number of cores)"
    )
    parser.add_argument(
        "--workdir", type=Path, help="the sweep's folder (default: runs/sweep-<config>-<model>)"
    )
    options, others = parser.parse_known_args(arguments)
    overrides = config_overrides(others)
    jobs = options.jobs if options.jobs is not None else os.cpu_count() or 1
    if jobs < 1:
        raise UserError(f"--jobs: {jobs} is not allowed; it must be at least 1")
    path, model = split_argument(options.config)
    workdir = options.workdir or Path("runs") / f"sweep-{path.stem}-{model or 'ntm-ff'}"
    result = sweep(options.config, overrides, parse_seeds(options.seeds), jobs, workdir)
    print(table(result))
    print(f"{workdir}: summary.json, learning_curves.png, seed_*/")
    if result["failed"]:
        sys.exit(1)


def main() -> None:
    """Runs the program on the process's flags."""
    run_program(run)


if __name__ == "__main__":
    main()
