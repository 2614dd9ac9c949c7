"""What other libraries' threads print of an error that a program says itself, in one line."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType


@contextmanager
def threads() -> Iterator[None]:
    """For as long as the context lasts, threads print no errors of the disk's.

    Where the disk is full, tensorboardX's thread ends with an `OSError`, and TensorStore's go on to tell an event
    loop that Orbax has closed. Whatever else a thread raises is printed as ever.
    """
    of_threads, of_others = threading.excepthook, sys.excepthook

    def from_python(told: threading.ExceptHookArgs) -> None:
        if not isinstance(told.exc_value, OSError):
            of_threads(told)

    def from_elsewhere(
        kind: type[BaseException], error: BaseException, traceback: TracebackType | None
    ) -> None:
        main = threading.current_thread() is threading.main_thread()
        if main or not isinstance(error, RuntimeError) or str(error) != "Event loop is closed":
            of_others(kind, error, traceback)

    threading.excepthook, sys.excepthook = from_python, from_elsewhere
    try:
        yield
    finally:
        threading.excepthook, sys.excepthook = of_threads, of_others
