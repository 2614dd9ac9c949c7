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
    of_threads, of_others = threading.excepthook, sys.excepthook

    def from_python(told: threading.ExceptHookArgs) -> None:
        if not isinstance(told.exc_value, OSError):
            of_threads(told)

    def from_elsewhere(
        kind: type[BaseException], error: BaseException, traceback: TracebackType | None
    ) -> None:
        # Called by TensorStore, not from anywhere in the program; in the program's thread, too.
        theirs = traceback is not None and traceback.tb_frame.f_code.co_name == CALLED
        if not theirs or str(error) != "Event loop is closed":
            of_others(kind, error, traceback)

    threading.excepthook, sys.excepthook = from_python, from_elsewhere
