"""Handles SIGTERM and Ctrl-C, and decides how often training looks whether they came."""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from ntm_jax.errors import ProgramEnd

SIGNALS = (signal.SIGTERM, signal.SIGINT)
RESUMES = "the same command resumes from the last checkpoint"
# Between two looks at whether to stop. A look costs less than a millisecond.
SECONDS = 2.0
FIRST_UPDATES = 16


class Stopped(ProgramEnd):
    """A program was asked to stop by a signal, and has stopped."""

    def __init__(self, number: int, what_is_left: str = ""):
        name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        message = f"stopped by {name}{what_is_left and '; '}{what_is_left}"
        super().__init__(message, 128 + number)  # as shells have it


class StopRequest:
    """Holds whether this process was asked to stop, and what to say once it has."""

    number: int | None = None  # of the signal
    what_is_left = ""

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """Notes a signal; a second Ctrl-C stops at once."""
        if self.number == number == signal.SIGINT:
            raise KeyboardInterrupt
        self.number = number


@contextmanager
def catch_stop_signals() -> Iterator[StopRequest]:
    """Notes SIGTERM and Ctrl-C for as long as the context lasts, which then ends with `Stopped`."""
    request = StopRequest()
    with _handled(SIGNALS, request.on_signal):
        yield request
    if request.number is not None:
        raise Stopped(request.number, request.what_is_left)


@contextmanager
def raise_on_sigterm() -> Iterator[None]:
    """Makes SIGTERM raise `Stopped`, for a program that has nothing to save but maybe processes to end."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Stopped(number)

    with _handled((signal.SIGTERM,), stop):
        yield


@contextmanager
def end_from_a_thread(end: Callable[[Stopped], None]) -> Iterator[None]:
    """Calls `end` in a thread when SIGTERM or Ctrl-C comes. It must end the process.

    Python's handlers run in the main thread, once it is back from C++. In this context it may take minutes there,
    without the interpreter's lock. Outside the main thread, and on Windows, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread() or os.name != "posix":
        yield
        return
    receiving, sending = os.pipe()
    os.set_blocking(sending, False)

    def wait() -> None:
        while came := os.read(receiving, 1):  # nothing once the other end is closed
            if came[0] in SIGNALS:
                end(Stopped(came[0], RESUMES))

    waiting = threading.Thread(target=wait, daemon=True)
    waiting.start()
    try:
        with _handled(SIGNALS, lambda number, frame: None), _interrupting_others():
            before = signal.set_wakeup_fd(sending)  # Python's C code writes to it
            try:
                yield
            finally:
                signal.set_wakeup_fd(before)
    finally:
        os.close(sending)
        waiting.join()
        os.close(receiving)


@contextmanager
def _interrupting_others() -> Iterator[None]:
    """Has signals interrupt other threads, for a thread that aborts sleeps in C (see `ntm_jax.distributed.aborts`)."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _handled(
    numbers: Sequence[signal.Signals], handler: Callable[[int, FrameType | None], None]
) -> Iterator[None]:
    """Sends signals to `handler`. Outside the main thread, where they do not arrive, nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


class ChunkSize:
    """How many updates to do before looking: about `SECONDS` of them, found out by doing some."""

    def __init__(self) -> None:
        self.updates = FIRST_UPDATES

    def update(self, updates: int, seconds: float) -> None:
        """What the last ones cost. Compilation in the first passes for slowness, which soon shows as none."""
        if seconds > SECONDS:
            self.updates = max(int(updates * SECONDS / seconds), 1)
        elif updates == self.updates and seconds < SECONDS / 2:
            self.updates *= 2
