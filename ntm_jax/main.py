"""Trains, evaluates and shows runs: `python -m ntm_jax.main --config copy`."""

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from ntm_jax import signals
from ntm_jax.cli import Parser, config_overrides, run_program
from ntm_jax.errors import UserError, needs

if TYPE_CHECKING:
    from ml_collections import ConfigDict

    from ntm_jax.distributed import cluster
    from ntm_jax.training.observers import Observer
    from ntm_jax.web.monitor.run_monitor import RunMonitor

DESCRIPTION = """\
Trains a Neural Turing Machine on a task, evaluates what was trained, or shows it in a browser.

  python -m ntm_jax.main --config copy
  python -m ntm_jax.main --config copy:ntm-lstm --config.train.updates=5000
  python -m ntm_jax.main --config configs/copy.py --config.monitor.port=8082
  python -m ntm_jax.main --mode evaluate --workdir runs/copy-ntm-ff --config.evaluate.memory_size=256
  python -m ntm_jax.main --mode serve --workdir runs/copy-ntm-ff --beside runs/pretrained/copy-ntm-lstm
  python -m ntm_jax.main --mode figures --workdir runs/copy-ntm-ff --format pdf
  python -m ntm_jax.main --mode report --out gallery
"""
MODES = ("train", "evaluate", "serve", "report", "figures")
FORMATS = ("png", "svg", "pdf", "gif")
PORT = 9000
GALLERY = Path("gallery")  # the folder of a report of all runs


def parser() -> Parser:
    """Builds the parser of the command line."""
    from ntm_jax.config import built_in

    result = Parser(
        "python -m ntm_jax.main",
        DESCRIPTION,
        "--config.<field>=<value> sets any field. --help-config lists them.",
    )
    add = result.add_argument
    add(
        "--config",
        metavar="NAME|FILE[:MODEL]",
        help=f"a built-in config ({', '.join(built_in.paths())}) or a Python file, and one of its models: "
        "ntm-ff (the default), ntm-lstm, lstm. Not needed to evaluate a --workdir, which has its own config",
    )
    add(
        "--workdir",
        type=Path,
        metavar="DIR",
        help="the run's folder (default: runs/<task>-<model>). A run in it is resumed",
    )
    add(
        "--mode",
        choices=MODES,
        default="train",
        help="train, then evaluate (the default); evaluate the newest checkpoint; serve a viewer of it; "
        "write a report, which is the viewer as one HTML file, or without a run a gallery of all runs in runs/ and "
        "runs/pretrained/, which is a folder; draw figures for a paper into figures/",
    )
    add(
        "--out",
        type=Path,
        metavar="DIR",
        help=f"report of all runs: the folder, which must not have other files (default: {GALLERY})",
    )
    add(
        "--format",
        choices=FORMATS,
        help="figures: of the files (default: png); gif is a clip of the heads",
    )
    add(
        "--weights",
        type=Path,
        metavar="FILE",
        help="evaluate, serve, report: a safetensors file from the monitor's /Weights, or a file of fumin/ntm, "
        "instead of a run's folder",
    )
    add(
        "--beside",
        type=Path,
        action="append",
        default=[],
        metavar="DIR|FILE",
        help="serve, report: another run or weights file to choose from; may be repeated",
    )
    add("--coordinator", metavar="HOST:PORT", help="train: address of process 0 of several")
    add("--processes", type=int, metavar="P", help="train: number of processes")
    add("--process", type=int, metavar="I", help="train: index of this process, from 0")
    add(
        "--join-seconds",
        type=int,
        default=300,
        metavar="S",
        help="train: how long to wait for all processes (default: 300)",
    )
    add("--port", type=int, default=PORT, help=f"serve: default {PORT}; 0 takes any free port")
    add("--host", default="127.0.0.1", help="serve: default 127.0.0.1, this machine only")
    add(
        "--help-config",
        action="store_true",
        help="list every field with its bounds and its meaning, and exit; with --config or --workdir, the fields "
        "of that config with their values",
    )
    return result


def run(arguments: Sequence[str]) -> None:
    """Runs the program with these arguments.

    Raises:
      UserError: an argument is not allowed.
    """
    options, others = parser().parse_known_args(arguments)
    overrides = config_overrides(others)
    if options.help_config:
        _describe(options, overrides)
        return
    _check_together(options, overrides)
    if options.mode == "figures":
        _draw(options, overrides)
    elif options.mode in ("serve", "report"):
        _show(options, overrides)
    elif options.weights is not None:
        _evaluate_weights(options.weights, overrides)
    else:
        _train_or_evaluate(options, overrides)


def _check_together(options: argparse.Namespace, overrides: Sequence[str]) -> None:
    """Raises `UserError` for flags that are needed, or cannot be used together."""
    if options.config is None:
        if options.mode == "train":
            raise UserError("--config: required for training; see --help")
        if options.mode == "evaluate" and options.workdir is None and options.weights is None:
            raise UserError("--workdir: required for evaluation, or --config; see --help")
        if options.mode != "evaluate" and overrides:
            raise UserError(f"--config.{overrides[0]}: needs --config")
    if options.weights is not None and (options.mode == "train" or options.config):
        other = "--config" if options.config else "--mode train"
        raise UserError(f"--weights: the file has its own config; it cannot be used with {other}")
    if options.mode == "figures" and (options.weights is not None or options.beside):
        given = "--weights" if options.weights is not None else "--beside"
        raise UserError(f"{given}: not for --mode figures, which draws the run in --workdir")
    if options.mode == "figures" and options.config is None and options.workdir is None:
        raise UserError("--workdir: required for figures, or --config; see --help")
    one = options.workdir is not None or options.weights is not None or options.config is not None
    if options.out is not None and (options.mode != "report" or one):
        raise UserError(
            "--out: only for --mode report of all runs, without --workdir and --weights"
        )
    if options.format is not None and options.mode != "figures":
        raise UserError("--format: only for --mode figures")
    joining = (options.coordinator, options.processes, options.process)
    if options.mode != "train" and joining != (None, None, None):
        raise UserError("--coordinator, --processes, --process: only for --mode train")


def _describe(options: argparse.Namespace, overrides: Sequence[str]) -> None:
    from ntm_jax import config as configs

    given = options.config is not None or options.workdir is not None
    text = configs.describe(_config(options, overrides) if given else None)
    try:
        print(text, flush=True)
    except BrokenPipeError:  # of `| head`; Python would report it again at the end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _config(options: argparse.Namespace, overrides: Sequence[str]) -> "ConfigDict":
    from ntm_jax import config as configs

    if options.config is None:
        return configs.load_run(options.workdir, overrides)
    return configs.load(options.config, overrides)


def _workdir(options: argparse.Namespace, config: "ConfigDict") -> Path:
    from ntm_jax import config as configs

    return options.workdir or Path("runs") / f"{config.task.name}-{configs.model_name(config)}"


def _train_or_evaluate(options: argparse.Namespace, overrides: Sequence[str]) -> None:
    from ntm_jax.evaluation import report  # takes seconds, which --help should not

    config = _config(options, overrides)
    workdir = _workdir(options, config)
    with ExitStack() as stack:
        watching = None
        if options.mode == "train":
            watching = _monitor(config, options.config, stack)
            if not _train(options, config, workdir, watching):
                return
        case_done = report.ignore_case if watching is None else watching.case
        result, written = report.evaluate_and_write(config, workdir, case_done=case_done)
        print(report.table(config, result), flush=True)
        if written:
            print(f"{workdir}: {', '.join(written)}", flush=True)
        if watching is not None:
            watching.evaluated()


def _meeting(options: argparse.Namespace) -> "cluster.ClusterSpec":
    """Returns how processes meet, from the flags or from JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES, JAX_PROCESS_ID."""
    from ntm_jax.distributed import cluster

    def number(flag: int | None, name: str) -> int | None:
        text = os.environ.get(name)
        if flag is not None or text is None:
            return flag
        if not text.isdecimal():
            raise UserError(f"{name}: {text!r} is not a whole number")
        return int(text)

    return cluster.ClusterSpec(
        options.coordinator or os.environ.get("JAX_COORDINATOR_ADDRESS"),
        number(options.processes, "JAX_NUM_PROCESSES"),
        number(options.process, "JAX_PROCESS_ID"),
        options.join_seconds,
    )


def _train(
    options: argparse.Namespace,
    config: "ConfigDict",
    workdir: Path,
    watching: "RunMonitor | None",
) -> bool:
    """Trains, together with other processes if there are any. Returns whether this process evaluates."""
    from ntm_jax.distributed import cluster, collectives
    from ntm_jax.training import loop

    meeting = _meeting(options)
    # A process with neither flags nor several devices never waits for others.
    if meeting.asked or config.mesh.data > 1:
        cluster.join(meeting)
    try:
        loop.train(config, workdir, _observers(watching))
    except signals.Stopped:
        cluster.leave()
        raise
    cluster.leave()
    return collectives.is_first()


def _monitor(config: "ConfigDict", config_file: str, stack: ExitStack) -> "RunMonitor | None":
    """Returns the monitor of a run of this config, from this file, if it wants one; it ends with the stack."""
    if config.monitor.port < 0:
        return None
    from ntm_jax.web.monitor.run_monitor import RunMonitor

    result = RunMonitor(config_file, stays=True)
    stack.callback(result.end)
    return result


def _observers(watching: "RunMonitor | None") -> "list[Observer]":
    """Returns what shows a run while it trains."""
    from ntm_jax.training import event_writer
    from ntm_jax.training.progress import Progress

    observers: list[Observer] = [Progress()]
    if event_writer.installed():
        observers.append(event_writer.EventWriter())
    return observers if watching is None else [*observers, watching]


def _evaluate_weights(path: Path, overrides: Sequence[str]) -> None:
    from ntm_jax import config as configs
    from ntm_jax.evaluation import evaluate, report
    from ntm_jax.storage import weights

    for override in overrides:
        if not override.startswith("evaluate."):
            raise UserError(f"--config.{override}: with --weights, only evaluate.* can be set")
    found = weights.load(path)
    config = configs.override(found.config, overrides)
    model = found.model(config.evaluate.memory_size or None)
    print(report.table(config, evaluate.evaluate_model(config, model, found.update)))


def _show(options: argparse.Namespace, overrides: Sequence[str]) -> None:
    from ntm_jax.storage import run_folder

    with needs("web"):
        from ntm_jax.web.report import gallery, single_file
        from ntm_jax.web.viewer import server as viewer
        from ntm_jax.web.viewer import sources

    first = options.weights or options.workdir
    if options.config is not None:
        config = _config(options, overrides)
        first = _workdir(options, config)
        run_folder.same_run(first, config)
    paths = [first] if first else sources.find_runs(Path("runs"))
    shown = sources.open_sources([*paths, *options.beside])
    if not shown:
        raise UserError(
            "--workdir: runs/ holds no run; train one first, or name a folder or --weights"
        )
    if options.mode == "serve":
        from ntm_jax.acrostic.page import AcrosticPage
        from ntm_jax.web.viewer.moments_page import MomentsPage

        pages: list[viewer.Page] = [AcrosticPage(), MomentsPage()]
        viewer.serve(shown, options.host, options.port, pages)
        return
    if first is None:
        path = (options.out or GALLERY) / gallery.INDEX
        size = gallery.write(shown, path.parent)
    else:
        path = (
            first / "report.html"
            if first.is_dir()
            else first.with_name(f"{first.name}-report.html")
        )
        size = single_file.report(shown, path)
    print(f"{path}: {size / 1e6:.1f} MB, opens without a server")


def _draw(options: argparse.Namespace, overrides: Sequence[str]) -> None:
    from ntm_jax.evaluation import run_figures
    from ntm_jax.storage import run_folder

    workdir = options.workdir
    if options.config is not None:
        config = _config(options, overrides)
        workdir = _workdir(options, config)
        run_folder.same_run(workdir, config)
    if options.format == "gif":
        print(run_figures.write_clip(workdir))
        return
    written = run_figures.write(workdir, options.format or FORMATS[0])
    print(f"{workdir / run_figures.FOLDER}: {', '.join(path.name for path in written)}")


def main() -> None:
    """Runs the program on the process's flags."""
    run_program(run)


if __name__ == "__main__":
    main()
