"""What the programs of this package share: flags, settings of the process, and how they end.

The settings are for a program's own process. The package, imported by another program, sets nothing.
"""

import argparse
import errno
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, NoReturn

import jax

from ntm_jax import signals
from ntm_jax.errors import ProgramEnd, UserError

# XLA's CPU compiler turns a loop that touches fewer bytes into one function. A loop of many small
# kernels spends more time between them than in them. Larger loops keep their kernels, which use the
# caches and several cores better. Training one sequence at a time with few heads takes 0.5 to 0.65 of
# its time. XLA reads the option once in a process, so it is set before JAX compiles anything.
SMALL_LOOP = "xla_cpu_small_while_loop_byte_threshold"
SMALL_LOOP_BYTES = 2**20
DISK_IS_FULL = (errno.ENOSPC, errno.EDQUOT)
# JAX's options that decide random bits and types of numbers, with its defaults, and the precision of products outside
# of models. A run would otherwise depend on variables of the environment, which it does not record.
NUMBERS = {
    "jax_default_matmul_precision": "highest",
    "jax_default_prng_impl": "threefry2x32",
    "jax_enable_x64": False,
    "jax_high_dynamic_range_gumbel": False,
    "jax_numpy_dtype_promotion": "standard",
    "jax_random_seed_offset": 0,
    "jax_threefry_partitionable": True,
}
# Their threads and tasks raise errors that the program reports itself.
WRITERS = ("orbax", "tensorboardX", "tensorstore")


class Parser(argparse.ArgumentParser):
    """An `ArgumentParser` that raises `UserError`, takes no abbreviations and keeps the lines of its description."""

    def __init__(self, prog: str, description: str | None, epilog: str | None = None):
        options: Any = {"formatter_class": argparse.RawDescriptionHelpFormatter}
        super().__init__(prog, None, description, epilog, allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        """Raises `UserError` instead of printing the usage, which is long."""
        raise UserError(f"{' '.join(message.split())}; see {self.prog} --help")


def config_overrides(flags: Sequence[str]) -> list[str]:
    """Returns the overrides in flags: `seed=3` for `--config.seed=3`.

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
    """Sets the process up, runs a program on the process's flags, and ends the process if it fails.

    An error of the user's prints one line and exits with status 2. SIGTERM and Ctrl-C print one line
    and exit with status 143 and 130.
    """
    prepare_process()
    try:
        with signals.raise_on_sigterm():
            program(sys.argv[1:])
        return
    except UserError as error:
        message, status = str(error), 2
    except ProgramEnd as end:
        message, status = str(end), end.status
    except KeyboardInterrupt:
        stopped = signals.Stopped(signal.SIGINT, signals.RESUMES)
        message, status = str(stopped), stopped.status
    except Exception:
        if _is_distributed():
            message, status = traceback.format_exc(), 1
        elif (reason := _unusable_platform()) is not None:
            message, status = str(UserError(reason)), 2
        else:
            raise
    if _is_distributed():
        from ntm_jax.distributed import cluster

        cluster.end_at_once(f"ntm_jax: {message}", status)
    print(f"ntm_jax: {message}", file=sys.stderr)
    sys.exit(status)


def prepare_process() -> None:
    """Makes every setting that programs need in their process. JAX must not have compiled anything yet."""
    compile_small_loops_whole()
    _set_numbers()
    _silence_absl()
    _silence_reported_errors()


def compile_small_loops_whole() -> None:
    """Adds the option to the environment's `XLA_FLAGS`, unless the user set options of that kind."""
    flags = os.environ.get("XLA_FLAGS", "")
    if "--xla_backend_extra_options" not in flags:
        option = f"--xla_backend_extra_options={SMALL_LOOP}={SMALL_LOOP_BYTES}"
        os.environ["XLA_FLAGS"] = f"{flags} {option}".strip()


def _set_numbers() -> None:
    """Sets JAX's options in `NUMBERS` here and in processes that this one starts, whatever the environment says."""
    for name, value in NUMBERS.items():
        jax.config.update(name, value)  # type: ignore[no-untyped-call]
        os.environ[name.upper()] = str(value)


def _silence_absl() -> None:
    """Suppresses absl's log, in which Orbax reports every step and every error that it raises."""
    from absl import logging as absl_logging  # it makes its logger, of a class of its own

    absl_logging.get_absl_logger().setLevel(logging.CRITICAL)


def _silence_reported_errors() -> None:
    """Suppresses errors of other libraries' threads that the program reports itself.

    On a full disk, the thread of tensorboardX ends with an `OSError`, Orbax's tasks are left with
    errors that nobody retrieves, and TensorStore's threads call an event loop that is closed, even
    while the program ends. All other errors are printed as usual.
    """
    of_threads, of_others, unraised = threading.excepthook, sys.excepthook, sys.unraisablehook

    def in_thread(failed: threading.ExceptHookArgs) -> None:
        error = failed.exc_value
        full = isinstance(error, OSError) and error.errno in DISK_IS_FULL
        if not (full and _is_raised_by_writers(failed.exc_traceback)):
            of_threads(failed)

    # TensorStore's threads end in either of these, depending on whether Python knows the thread.
    def in_other_thread(
        kind: type[BaseException], error: BaseException, traceback: TracebackType | None
    ) -> None:
        if not _is_call_of_closed_loop(error, traceback):
            of_others(kind, error, traceback)

    def unraisable(failed: "sys.UnraisableHookArgs") -> None:
        if not _is_call_of_closed_loop(failed.exc_value, failed.exc_traceback):
            unraised(failed)

    threading.excepthook, sys.excepthook = in_thread, in_other_thread
    sys.unraisablehook = unraisable
    logging.getLogger("asyncio").addFilter(_is_of_others)


def _is_of_others(record: logging.LogRecord) -> bool:
    """Returns whether asyncio logs an error that is none of Orbax's tasks."""
    error = record.exc_info[1] if record.exc_info else None
    in_text = any(f"{os.sep}{name}{os.sep}" in record.getMessage() for name in WRITERS)
    return not in_text and not (error and _is_raised_by_writers(error.__traceback__))


def _is_raised_by_writers(raised: TracebackType | None) -> bool:
    modules = (frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(raised))
    return any(name.partition(".")[0] in WRITERS for name in modules)


def _is_call_of_closed_loop(error: BaseException | None, raised: TracebackType | None) -> bool:
    """Returns whether code outside Python called a closed event loop.

    The traceback then begins in the call. An error of the program's own begins elsewhere.
    """
    if raised is None and error is not None:
        raised = error.__traceback__
    if raised is None or raised.tb_frame.f_code.co_name != "call_soon_threadsafe":
        return False
    return str(error) == "Event loop is closed"


def _unusable_platform() -> str | None:
    """Returns why JAX cannot use the platform in JAX_PLATFORMS, or None if it can."""
    platform, jax = os.environ.get("JAX_PLATFORMS"), sys.modules.get("jax")
    if not platform or jax is None:
        return None
    try:
        jax.devices()
    except (
        Exception
    ) as error:  # JAX raises an empty AssertionError where the plugin is not installed
        reason = " ".join(str(error).split()).partition(" (set JAX_PLATFORMS")[0]
        reason = reason or "JAX has no plugin for it here"
        return f"JAX_PLATFORMS: {platform!r} cannot be used ({reason}); unset it, or choose cpu"
    return None


def _is_distributed() -> bool:
    collectives = sys.modules.get("ntm_jax.distributed.collectives")  # not imported by --help
    return collectives is not None and collectives.is_distributed()
