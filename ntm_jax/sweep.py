"""Trains one config with several seeds: `python -m ntm_jax.sweep --config copy --seeds 0-9`.

Each seed is an ordinary run of `ntm_jax.main` in its own process, on its own cores. With `--together`, all of them
are one program in this process, and each leaves the same files. An interrupted sweep resumes: finished runs are
kept, and the others resume from their checkpoints.
"""

import itertools
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
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
  python -m ntm_jax.sweep --config copy --seeds 0-127 --together
  python -m ntm_jax.sweep --config copy --seeds 0-9 --vary optimizer.learning_rate=1e-4,3e-4 --together
"""


@dataclass(eq=False)
class Job:
    """The run of one seed and one setting."""

    seed: int
    folder: Path
    config: "ConfigDict"
    overrides: Sequence[str]  # of which `config` was made
    setting: Mapping[str, Any]  # what is varied besides the seed
    process: subprocess.Popen[bytes] | None = None
    cores: frozenset[int] = field(default_factory=frozenset)

    @property
    def log(self) -> Path:
        """The file with the run's output."""
        return self.folder.with_name(f"{self.folder.name}.log")

    def updates_done(self) -> int:
        """Returns the update of the last whole line of its metrics, 0 if there is none."""
        from ntm_jax.training import metrics

        return metrics.updates_done(self.folder / metrics.NAME)


def sweep(
    config: str,
    overrides: Sequence[str],
    seeds: Sequence[int],
    jobs: int,
    workdir: Path,
    *,
    vary: Sequence[str] = (),
    together: bool = False,
) -> dict[str, Any]:
    """Runs every seed with every setting, and returns the summary of their evaluations.

    Writes the summary to `workdir/summary.json`, and a chart to `workdir/learning_curves.png`.

    Args:
      config: as `--config` of `ntm_jax.main`.
      overrides: such as `train.updates=500`.
      seeds: each runs in `workdir/seed_<seed>`.
      jobs: the most processes at a time. They share the cores.
      workdir: the sweep's folder.
      vary: such as `optimizer.learning_rate=1e-4,3e-4`. Every combination is a setting.
      together: whether all runs are one program in this process.

    Raises:
      UserError: the config is not allowed, or these runs cannot be one program. No run is started then.
    """
    from ntm_jax.storage.run_folder import same_run

    settings = parse_vary(vary)
    every = [
        _job(config, [*overrides, *setting], seed, workdir, setting)
        for setting in settings
        for seed in seeds
    ]
    _check_folders_differ(every)
    for job in every:
        if (job.folder / "config.json").exists():
            same_run(job.folder, job.config)
    for job in every[:: len(seeds)]:  # one of each setting
        _check_it_builds(job.config)
    if together:
        _check_together(every)
    updates = every[0].config.train.updates

    workdir.mkdir(parents=True, exist_ok=True)
    if together:
        failed = _run_together(every, updates)
    else:
        failed = _run_all(every, jobs, updates, lambda job: _start(job, config))
    result = _summary(every, failed)
    text = json.dumps(result, indent=2) + "\n"
    (workdir / "summary.json").write_text(text, encoding="utf-8")
    if len(failed) < len(every):
        from ntm_jax.evaluation import canvas, curves
        from ntm_jax.training import metrics

        files = {job.folder.name: job.folder / "metrics.csv" for job in every}
        done = {name: metrics.read(path) for name, path in files.items() if path.exists()}
        canvas.save(curves.learning_of_runs(done), workdir / "learning_curves.png")
    return result


def _job(
    config: str, overrides: Sequence[str], seed: int, workdir: Path, varied: Sequence[str]
) -> Job:
    from ntm_jax import config as configs

    loaded = configs.load(config, [*overrides, f"seed={seed}"])
    values = dict(configs.flatten(loaded))
    names = [override.partition("=")[0] for override in varied]
    setting = {name: values.get(name) for name in names}
    words = [f"seed_{seed}"]
    words += [f"{name.rpartition('.')[2]}_{value}" for name, value in setting.items()]
    folder = workdir / "-".join(re.sub(r"[^\w.+-]", "_", word) for word in words)
    return Job(seed, folder, loaded, overrides, setting)


def _check_folders_differ(every: Sequence[Job]) -> None:
    names = [job.folder.name for job in every]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UserError(f"--vary: two settings have the same name, {twice}; give each value once")


def _check_together(every: Sequence[Job]) -> None:
    """Raises `UserError` if these runs cannot be one program."""
    from ntm_jax.training import population

    if every[0].config.monitor.port >= 0:
        raise UserError("monitor.port: --together has no monitor; use -1")
    population.differing([job.config for job in every])


def _run_together(every: Sequence[Job], updates: int) -> list[Job]:
    """Trains and evaluates what is not finished, each as one program, and returns the jobs that failed."""
    from ntm_jax.evaluation import together
    from ntm_jax.training import event_writer, population, progress
    from ntm_jax.training.observers import Observer

    waiting = [job for job in every if not _finished(job, updates)]
    if not waiting:
        return []
    shown, failed = progress.PopulationProgress(len(waiting)), []

    def on_lost(run: int, error: UserError) -> None:
        job = waiting[run]
        failed.append(job)
        shown.lose(job.folder.name, str(error))
        with job.log.open("a", encoding="utf-8") as log:
            log.write(f"{error}\n")

    members = []
    for job in waiting:
        observers: list[Observer] = [shown.watch(job.folder.name)]
        if event_writer.installed():
            observers.append(event_writer.EventWriter())
        members.append(population.Member(job.config, job.folder, observers))
    states = population.train(members, on_lost)
    trained = [pair for pair in zip(waiting, states, strict=True) if pair[0] not in failed]
    if trained:
        folders = [job.folder for job, _ in trained]
        parameters = [state.parameters for _, state in trained]
        together.evaluate_and_write(trained[0][0].config, folders, parameters, updates)
    return failed


def _summary(every: Sequence[Job], failed: Sequence[Job]) -> dict[str, Any]:
    """Returns the summary of all runs or, if settings differ, one for each setting."""
    from ntm_jax.evaluation.sweep_summary import summary

    groups = []
    for setting, group in itertools.groupby(every, lambda job: job.setting):
        jobs = list(group)
        folders = [job.folder for job in jobs if job not in failed]
        seeds = [job.seed for job in jobs if job in failed]
        groups.append({"setting": dict(setting), **summary(folders, seeds)})
    if not every[0].setting:
        del groups[0]["setting"]
        return groups[0]
    return {"settings": groups}


def _run_all(
    every: Sequence[Job], jobs: int, updates: int, start: Callable[[Job], None]
) -> list[Job]:
    """Runs what is not finished, at most `jobs` at a time, and returns the jobs that failed."""
    from ntm_jax.training import progress

    waiting = [job for job in every if not _finished(job, updates)]
    free = _share_cores(min(jobs, max(len(waiting), 1)))
    running: list[Job] = []
    failed: list[Job] = []
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
                            failed.append(job)
                            progress.say(
                                f"{job.folder.name} failed; see {job.log}", file=sys.stderr
                            )
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


def parse_vary(texts: Sequence[str]) -> list[tuple[str, ...]]:
    """Returns every combination of the values in texts, each as overrides.

    `["a=1,2", "b=3"]` gives `[("a=1", "b=3"), ("a=2", "b=3")]`.

    Raises:
      UserError: text of another form, or the seed, which `--seeds` varies.
    """
    choices = []
    for text in texts:
        name, equals, values = text.partition("=")
        if not name or not equals or not all(values.split(",")):
            raise UserError(
                f"--vary: {text!r} cannot be read; write it like optimizer.learning_rate=1e-4,3e-4"
            )
        if name == "seed":
            raise UserError("--vary: seed is varied by --seeds")
        choices.append([f"{name}={value}" for value in values.split(",")])
    return list(itertools.product(*choices))


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


def _start(job: Job, config: str) -> None:
    command = [sys.executable, "-m", "ntm_jax.main", "--config", config]
    command += ["--workdir", str(job.folder), f"--config.seed={job.seed}"]
    command += [f"--config.{override}" for override in job.overrides]
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
        "--vary",
        action="append",
        default=[],
        metavar="FIELD=A,B,...",
        help="also run every seed with each of these values; may be repeated",
    )
    parser.add_argument(
        "--together",
        action="store_true",
        help="train all runs as one program, for a GPU; they may differ in seed, optimizer.learning_rate "
        "and optimizer.clip_limit",
    )
    parser.add_argument(
        "--workdir", type=Path, help="the sweep's folder (default: runs/sweep-<config>-<model>)"
    )
    options, others = parser.parse_known_args(arguments)
    overrides = config_overrides(others)
    jobs = options.jobs if options.jobs is not None else os.cpu_count() or 1
    if jobs < 1:
        raise UserError(f"--jobs: {jobs} is not allowed; it must be at least 1")
    if options.together and options.jobs is not None:
        raise UserError("--jobs: --together is one process; leave one of them out")
    path, model = split_argument(options.config)
    workdir = options.workdir or Path("runs") / f"sweep-{path.stem}-{model or 'ntm-ff'}"
    result = sweep(
        options.config,
        overrides,
        parse_seeds(options.seeds),
        jobs,
        workdir,
        vary=options.vary,
        together=options.together,
    )
    from ntm_jax.evaluation.sweep_summary import table

    print(table(result))
    print(f"{workdir}: summary.json, learning_curves.png, seed_*/")
    if any(one["failed"] for one in result.get("settings", [result])):
        sys.exit(1)


def main() -> None:
    """Runs the program on the process's flags."""
    run_program(run)


if __name__ == "__main__":
    main()
