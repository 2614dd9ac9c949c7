"""What the programs of this package share: flags, and how they end.

What the user got wrong is one line on standard error and exit status 2, whether it is a flag or a value.
"""

import argparse
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from ntm_jax import compiler, quiet, signals
from ntm_jax.errors import UserError


class Parser(argparse.ArgumentParser):
    """An `ArgumentParser` that raises `UserError`, takes no abbreviations and leaves its description's lines alone."""

    def __init__(self, prog: str, description: str | None, epilog: str | None = None):
        options: Any = {"formatter_class": argparse.RawDescriptionHelpFormatter}
        super().__init__(prog, None, description, epilog, allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        """In place of the usage, which is long."""
        raise UserError(f"{' '.join(message.split())}; see {self.prog} --help")


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


def run_program(program: Callable[[Sequence[str]], None]) -> None:
    """Runs a program on this process's flags.

    What the user got wrong is one line and exit status 2; being stopped by SIGTERM or Ctrl-C is one line and
    status 143 or 130.
    """
    compiler.compile_small_loops_whole()
    quiet.program()
    try:
        with signals.raise_on_sigterm():
            program(sys.argv[1:])
        return
    except UserError as error:
        message, status = str(error), 2
    except signals.Stopped as stopped:
        message, status = str(stopped), stopped.status
    except KeyboardInterrupt:
        message = "stopped by Ctrl-C; the same command goes on from the last checkpoint"
        status = 130
    except Exception:
        if not _joined():
            raise
        message, status = traceback.format_exc(), 1
    if _joined():
        from ntm_jax.distributed import cluster

        cluster.end_at_once(f"ntm_jax: {message}", status)
    print(f"ntm_jax: {message}", file=sys.stderr)
    sys.exit(status)


def _joined() -> bool:
    found = sys.modules.get("ntm_jax.distributed.cluster")  # not imported by --help
    return found is not None and found.joined()
