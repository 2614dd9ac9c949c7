"""What other libraries' threads print of an error that a program says itself, in one line."""

import sys
import threading
from types import TracebackType

CALLED = "call_soon_threadsafe"  # of an event loop


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
