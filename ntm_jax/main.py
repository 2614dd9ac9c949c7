"""The program: `python -m ntm_jax.main --config configs/copy.py`."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ntm_jax import signals
from ntm_jax.cli import Parser, config_overrides, run_program
from ntm_jax.errors import UserError

if TYPE_CHECKING:
    from ml_collections import ConfigDict

    from ntm_jax.distributed import cluster

DESCRIPTION = """\
Trains a Neural Turing Machine on a task, evaluates what was trained, or shows it in a browser.

  python -m ntm_jax.main --config configs/copy.py
  python -m ntm_jax.main --config configs/copy.py:ntm-lstm --config.train.updates=5000
  python -m ntm_jax.main --config configs/copy.py --config.monitor.port=8082
  python -m ntm_jax.main --mode evaluate --workdir runs/copy-ntm-ff --config.evaluate.memory_size=256
  python -m ntm_jax.main --mode serve --workdir runs/copy-ntm-ff --beside runs/pretrained/copy-ntm-lstm
"""
MODES = ("train", "evaluate", "serve", "report")
PORT = 9000


def parser() -> Parser:
    """The command line."""
    result = Parser(
        "python -m ntm_jax.main",
        DESCRIPTION,
        "--config.<field>=<value> sets any field; `config.json` in a run's folder lists them.",
    )
    add = result.add_argument
    add(
        "--config",
        metavar="FILE[:MODEL]",
        help="a file of configs/, and one of its models: ntm-ff (the default), ntm-lstm, lstm; to evaluate a "
        "--workdir, its own config if not given",
    )
    add(
        "--workdir",
        type=Path,
        metavar="DIR",
        help="the run's folder; runs/<task>-<model> if not given. A run there is gone on with",
    )
    add(
        "--mode",
        choices=MODES,
        default="train",
        help="train (and evaluate at the end); evaluate the newest checkpoint; serve a viewer of it; "
        "report the same as one HTML file",
    )
    add(
        "--weights",
        type=Path,
        metavar="FILE",
        help="evaluate, serve, report: a safetensors file of the monitor's /Weights, or one of fumin/ntm, "
        "instead of a run's folder",
    )
    add(
        "--beside",
        type=Path,
        action="append",
        default=[],
        metavar="DIR|FILE",
        help="serve, report: another run or weights to choose; can be given again",
    )
    add("--coordinator", metavar="HOST:PORT", help="train: where process 0 of several is found")
    add("--processes", type=int, metavar="P", help="train: how many train together")
    add("--process", type=int, metavar="I", help="train: which of them this is, from 0")
    add("--join-seconds", type=int, default=300, metavar="S", help="train: to wait for them (300)")
    add("--port", type=int, default=PORT, help=f"serve: {PORT} if not given; 0 takes a free one")
    add("--host", default="127.0.0.1", help="serve: 127.0.0.1, this machine alone, if not given")
    return result


def run(arguments: Sequence[str]) -> None:
    """Does what the command line says.

    Raises:
      UserError: something in it is not allowed.
    """
    options, others = parser().parse_known_args(arguments)
    overrides = config_overrides(others)
    if options.config is None:
        evaluated = options.mode == "evaluate" and options.weights is None
        if options.mode == "train":
            raise UserError("--config: is needed to train; see --help")
        if evaluated and options.workdir is None:
            raise UserError("--workdir: is needed to evaluate, or --config; see --help")
        if overrides and not evaluated:
            raise UserError(f"--config.{overrides[0]}: --config is not given")
    if options.weights is not None and (options.mode == "train" or options.config):
        other = "--config" if options.config else "--mode train"
        raise UserError(f"--weights: the file says what it is of; it cannot be with {other}")
    joining = (options.coordinator, options.processes, options.process)
    if options.mode != "train" and joining != (None, None, None):
        raise UserError("--coordinator, --processes, --process: only for --mode train")
    if options.mode in ("serve", "report"):
        _show(options, overrides)
    elif options.weights is not None:
        _evaluate_weights(options.weights)
    else:
        _train_or_evaluate(options, overrides)


def _train_or_evaluate(options: argparse.Namespace, overrides: Sequence[str]) -> None:
    # After the flags: these take seconds to import, and --help should not.
    from ntm_jax import config as configs
    from ntm_jax.evaluation import report

    if options.config is None:
        config = configs.load_run(options.workdir, overrides)
    else:
        config = configs.load(options.config, overrides)
    workdir = options.workdir or Path("runs") / f"{config.task.name}-{configs.model_name(config)}"
    if options.mode == "train" and not _train(config, workdir, _meeting(options)):
        return
    result = report.evaluate_run(config, workdir)
    print(report.table(config, result))
    print(f"{workdir}: evaluation.json, figures/")


def _meeting(options: argparse.Namespace) -> "cluster.ClusterSpec":
    """From the flags, or the environment's JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID."""
    from ntm_jax.distributed import cluster

    def number(flag: int | None, name: str) -> int | None:
        text = os.environ.get(name)
        if flag is not None or text is None:
            return flag
        if not text.isdecimal():
            raise UserError(f"{name}: {text!r} is given, a whole number is needed")
        return int(text)

    return cluster.ClusterSpec(
        options.coordinator or os.environ.get("JAX_COORDINATOR_ADDRESS"),
        number(options.processes, "JAX_NUM_PROCESSES"),
        number(options.process, "JAX_PROCESS_ID"),
        options.join_seconds,
    )


def _train(config: "ConfigDict", workdir: Path, meeting: "cluster.ClusterSpec") -> bool:
    """Trains, with others if they were asked for; whether this process is to evaluate."""
    from ntm_jax.distributed import cluster, collectives
    from ntm_jax.training import data_parallel, loop

    # One that was asked for nothing never waits for anyone.
    if meeting.asked or data_parallel.wanted_devices(config) > 1:
        cluster.join(meeting)
    try:
        loop.train(config, workdir)
    except signals.Stopped as stopped:
        if not isinstance(stopped, cluster.PeerLost):
            cluster.leave()
        raise
    cluster.leave()
    return collectives.is_first()


def _evaluate_weights(path: Path) -> None:
    from ntm_jax.evaluation import evaluate, report
    from ntm_jax.storage import weights

    found = weights.load(path)
    model = found.model(found.config.evaluate.memory_size or None)
    result = evaluate.evaluate_model(found.config, model, found.update)
    print(report.table(found.config, result))


def _show(options: argparse.Namespace, overrides: Sequence[str]) -> None:
    from ntm_jax import config as configs
    from ntm_jax.storage import run_folder
    from ntm_jax.web import report, sources, viewer

    first = options.weights or options.workdir
    if options.config is not None:
        config = configs.load(options.config, overrides)
        first = first or Path("runs") / f"{config.task.name}-{configs.model_name(config)}"
        run_folder.same_run(first, config)
    paths = [first] if first else sources.find_runs(Path("runs"))
    shown = sources.open_sources([*paths, *options.beside])
    if not shown:
        raise UserError(
            "--workdir: runs/ holds no run; train one first, or name a folder or --weights"
        )
    if options.mode == "serve":
        from ntm_jax.acrostic.page import AcrosticPage

        viewer.serve(shown, options.host, options.port, [AcrosticPage()])
        return
    path = Path("report.html") if first is None else first / "report.html"
    if first is not None and not first.is_dir():
        path = first.with_name(f"{first.name}-report.html")
    size = report.report(shown, path)
    print(f"{path}: {size / 1e6:.1f} MB, opens without a server")


def main() -> None:
    """The program."""
    run_program(run)


if __name__ == "__main__":
    main()
