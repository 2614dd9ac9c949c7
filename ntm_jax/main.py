"""The program: `python -m ntm_jax.main --config configs/copy.py`."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from ntm_jax.errors import UserError

DESCRIPTION = """\
Trains a Neural Turing Machine on a task, or evaluates what was trained.

  python -m ntm_jax.main --config configs/copy.py
  python -m ntm_jax.main --config configs/copy.py:ntm-lstm --config.train.updates=5000
  python -m ntm_jax.main --config configs/copy.py --mode evaluate --config.evaluate.memory_size=256
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    result = argparse.ArgumentParser(
        prog="python -m ntm_jax.main",
        description=DESCRIPTION,
        epilog="--config.<field>=<value> sets any field; `config.json` in a run's folder lists them.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    result.add_argument(
        "--config",
        required=True,
        metavar="FILE[:MODEL]",
        help="a file of configs/, and one of its models: ntm-ff (the default), ntm-lstm, lstm",
    )
    result.add_argument(
        "--workdir",
        type=Path,
        metavar="DIR",
        help="the run's folder; runs/<task>-<model> if not given. A run there is gone on with",
    )
    result.add_argument(
        "--mode",
        choices=["train", "evaluate"],
        default="train",
        help="train (and evaluate at the end), or evaluate the newest checkpoint",
    )
    return result


def config_overrides(flags: Sequence[str]) -> list[str]:
    """`--config.seed=3` -> `seed=3`, for each flag.

    Raises:
      UserError: a flag of another form.
    """
    for flag in flags:
        if not flag.startswith("--config."):
            raise UserError(f"{flag}: there is no such flag; see --help")
        if "=" not in flag:
            raise UserError(f"{flag}: no value is given; write {flag}=VALUE")
    return [flag.removeprefix("--config.") for flag in flags]


def run(arguments: Sequence[str]) -> None:
    """Does what the command line says.

    Raises:
      UserError: something in it is not allowed.
    """
    options, others = parser().parse_known_args(arguments)
    overrides = config_overrides(others)

    # After the flags: these take seconds to import, and --help should not.
    from ntm_jax import config as configs
    from ntm_jax import evaluate, train

    config = configs.load(options.config, overrides)
    workdir = options.workdir or Path("runs") / f"{config.task.name}-{configs.model_name(config)}"
    if options.mode == "train":
        train.train(config, workdir)
    result = evaluate.evaluate(config, workdir)
    print(evaluate.table(result))
    print(f"{workdir}: evaluation.json, figures/")


def exit_clearly(program: Callable[[Sequence[str]], None]) -> None:
    """Runs a program on this process's flags; what the user got wrong is one line and exit status 2."""
    try:
        program(sys.argv[1:])
    except UserError as error:
        print(f"ntm_jax: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print(
            "ntm_jax: interrupted; the same command goes on from the last checkpoint",
            file=sys.stderr,
        )
        sys.exit(130)


def main() -> None:
    """The program."""
    exit_clearly(run)


if __name__ == "__main__":
    main()
