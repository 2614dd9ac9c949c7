"""Turns an abort by JAX's C++ code after the loss of a process into a one-line error and an exit status.

JAX writes a page of text then and calls `abort`. The page goes to a file, which the line names. No Python runs in
the handler of SIGABRT, for the aborting thread may not get the interpreter's lock, or may have it:

- `faulthandler` writes to the watchdog's standard input, in C, and calls the handler that was there before it;
- that is C's `sleep`, with SIGABRT's number as its seconds, which keeps the thread from going on;
- the watchdog, a small process, prints the line and sends the signal whose number is the exit status;
- the handler of that signal is C's `_exit`, whose argument is the signal's number. While processes join, it is
  Python's, for the signal is that of Ctrl-C too. JAX joins without the interpreter's lock, so Python can tell them apart.

If the watchdog is gone, the process ends by SIGABRT once `sleep` returns.
"""

import ctypes
import faulthandler
import os
import select
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from ntm_jax.distributed import watchdog

JOIN_STATUS, LOST_STATUS = 2, 3
# SIGINT and SIGQUIT: the numbers are what matters, see above.
SIGNALS = {JOIN_STATUS: signal.Signals(JOIN_STATUS), LOST_STATUS: signal.Signals(LOST_STATUS)}


class AbortReport:
    """Sets what is reported if this process is aborted. Does nothing on Windows."""

    def __init__(self) -> None:
        self._log: Path | None = None
        self._stderr = 2
        self._watchdog: subprocess.Popen[bytes] | None = None
        self._handlers: dict[signal.Signals, Any] = {}
        self._faulthandler = False

    def prepare(self, message: str, status: int, beside_a_bar: bool = False) -> None:
        """Reports an abort from now on by a line on standard error and an exit status.

        Args:
          message: the line, without its end.
          status: `JOIN_STATUS` or `LOST_STATUS`. While it is the first, Ctrl-C has the same handler.
          beside_a_bar: whether the line begins below a progress bar's.
        """
        if os.name != "posix":
            return
        if self._watchdog is None:
            self._start()
        self._restore_handlers()
        number = SIGNALS[status]
        self._handlers[number] = signal.getsignal(number)
        _set_c_handler(number, "_exit")
        start = "\0" if beside_a_bar else ""
        self._tell(f"report {status} {start}ntm_jax: {message} (JAX's own words: {self._log})")

    def has_reported(self) -> bool:
        """Returns whether the watchdog has reported an abort. True is returned once."""
        if self._watchdog is None or self._watchdog.stdout is None:
            return False
        said = self._watchdog.stdout
        return bool(select.select([said], [], [], 0)[0] and said.read(1))

    def silence(self) -> None:
        """Reports nothing from now on: the process says itself why it ends."""
        if self._watchdog is not None:
            self._tell("silent")

    def drop(self) -> None:
        """Lets an abort be an abort again."""
        if self._watchdog is None or self._watchdog.stdin is None or self._log is None:
            return
        self._restore_handlers()
        faulthandler.disable()
        signal.signal(signal.SIGABRT, signal.SIG_DFL)
        self._watchdog.communicate()
        self._watchdog = None
        os.dup2(self._stderr, 2)
        if self._faulthandler:
            faulthandler.enable(2)
        self.remove_log()

    def remove_log(self) -> None:
        """Removes the file with JAX's own words."""
        if self._log is not None:
            self._log.unlink(missing_ok=True)
            self._log = None

    def _start(self) -> None:
        """Starts the watchdog and sets the handlers. From then on, C++ writes to a file and Python to standard error."""
        command = [sys.executable, "-I", "-S", watchdog.__file__, str(os.getpid())]
        self._watchdog = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        assert self._watchdog.stdin is not None
        self._faulthandler = faulthandler.is_enabled()
        faulthandler.disable()  # or it would not take over the handler that is set now
        _set_c_handler(signal.SIGABRT, "sleep")
        faulthandler.enable(self._watchdog.stdin, all_threads=False)

        handle, name = tempfile.mkstemp(prefix="ntm_jax_", suffix=".log")
        self._log = Path(name)
        sys.stderr.flush()
        self._stderr = os.dup(2)
        os.dup2(handle, 2)
        os.close(handle)
        sys.stderr = open(self._stderr, "w", buffering=1, encoding="utf-8", closefd=False)  # noqa: SIM115

    def _restore_handlers(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._handlers.clear()

    def _tell(self, line: str) -> None:
        assert self._watchdog is not None
        assert self._watchdog.stdin is not None
        try:
            self._watchdog.stdin.write(line.replace("\n", " ").encode() + b"\n")
            self._watchdog.stdin.flush()
        except BrokenPipeError:  # somebody ended it
            pass


def _set_c_handler(number: signal.Signals, function: str) -> None:
    """Makes a function of C's library the handler of a signal."""
    library = ctypes.CDLL(None)
    set_handler = library.signal
    set_handler.argtypes, set_handler.restype = [ctypes.c_int, ctypes.c_void_p], ctypes.c_void_p
    set_handler(number, ctypes.cast(getattr(library, function), ctypes.c_void_p))
