"""Suppresses what other libraries print about errors that this package reports itself, in one line.

A program may do this for its whole process. The package, imported by somebody else's program, does not.
"""

import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

CALLED = "call_soon_threadsafe"  # of an event loop

_whole_process = False


def program() -> None:
    """Suppresses them for the rest of the process, which has to be a program's own."""
    from absl import logging as absl_logging  # which makes its logger, of a class of its own

    global _whole_process
    _whole_process = True
    absl_logging.get_absl_logger().setLevel(logging.CRITICAL)
    threads()


def after_an_error() -> None:
    """Suppresses the errors of unfinished parts, which asyncio prints when a program ends; only in programs."""
    if _whole_process:
        logging.getLogger("asyncio").setLevel(logging.CRITICAL)


@contextmanager
def orbax() -> Iterator[None]:
    """Suppresses Orbax's log messages inside the context, and leaves the process's logging as it was.

    Logging by absl gives the root logger a handler if it has none, after which `logging.basicConfig` does nothing.
    """
    logger, handlers = logging.getLogger("absl"), list(logging.root.handlers)

    def of_others(record: logging.LogRecord) -> bool:  # one for each context: they nest
        return "orbax" not in record.pathname

    logger.addFilter(of_others)
    try:
        yield
    finally:
        logger.removeFilter(of_others)
        for handler in logging.root.handlers[:] if not handlers else ():
            format_of = getattr(handler.formatter, "_fmt", None)
            if type(handler) is logging.StreamHandler and format_of == logging.BASIC_FORMAT:
                logging.root.removeHandler(handler)


def threads() -> None:
    """From now on, to the end of the process, threads print no errors of the disk's.

    Where the disk is full, tensorboardX's thread ends with an `OSError`, and TensorStore's go on to tell an event
    loop that Orbax has closed, also while the program ends. Whatever else a thread raises is printed as ever.
    """
    of_threads, of_others, unraised = threading.excepthook, sys.excepthook, sys.unraisablehook

    def from_python(told: threading.ExceptHookArgs) -> None:
        if not isinstance(told.exc_value, OSError):
            of_threads(told)

    # TensorStore tells either of these, as its thread is or is not known to Python.
    def from_elsewhere(
        kind: type[BaseException], error: BaseException, traceback: TracebackType | None
    ) -> None:
        if not _told_a_closed_loop(error, traceback):
            of_others(kind, error, traceback)

    def ignored(told: "sys.UnraisableHookArgs") -> None:
        if not _told_a_closed_loop(told.exc_value, told.exc_traceback):
            unraised(told)

    threading.excepthook, sys.excepthook = from_python, from_elsewhere
    sys.unraisablehook = ignored


def _told_a_closed_loop(error: BaseException | None, traceback: TracebackType | None) -> bool:
    """Whether the error begins in the call, made from outside Python; in the program's thread it begins elsewhere."""
    begun = traceback or (error and error.__traceback__)
    if not begun or begun.tb_frame.f_code.co_name != CALLED:
        return False
    return str(error) == "Event loop is closed"
