"""Several processes that train one run together: how they meet, agree, and notice that one of them is gone.

JAX does the work: `jax.distributed`, whose coordinator is in process 0, and collectives between the devices. Every
process runs the same program; what is to be done once (files, progress, evaluation) the first does. Alone, all of
this is nothing.
"""

import ctypes
import errno
import os
import signal
import socket
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax

from ntm_jax.distributed.collectives import all_gather, is_distributed, is_first, process_count
from ntm_jax.errors import UserError
from ntm_jax.signals import Stopped

HEARTBEAT_SECONDS = 30  # without a sign of life, after which a process counts as gone
LOST_STATUS = 3
LOST = "another process of this run has ended, or cannot be reached"
GO_ON = "start all of them again to go on from the last checkpoint"


@dataclass(frozen=True)
class ClusterSpec:
    """Where the processes of a run meet; None: what JAX recognises of a cluster's launcher, such as Slurm."""

    coordinator: str | None = None  # host:port of process 0
    processes: int | None = None
    process: int | None = None
    seconds: int = 300  # to wait for each other

    @property
    def asked(self) -> bool:
        """Whether anything was said, in flags or in the environment."""
        return (self.coordinator, self.processes, self.process) != (None, None, None)


class PeerLost(Stopped):
    """Training cannot go on, for a process is gone."""

    def __init__(self, reason: str):
        BaseException.__init__(self, f"{LOST} ({reason}); {GO_ON}")
        self.status = LOST_STATUS


# ---- ClusterSpec and parting


def join(spec: ClusterSpec) -> None:
    """Meets the other processes, before JAX's first computation; where nothing was asked, in a cluster only.

    Raises:
      UserError: what was given cannot be. Where the others do not come, the process ends at once, with one line
        and status 2.
    """
    _check(spec)
    _check_port(spec)
    options: Any = jax.config
    options.update("jax_cpu_collectives_implementation", "gloo")
    # Or it takes SIGTERM for itself.
    options.update("jax_enable_preemption_service", False)
    where = spec.coordinator or "the place that the cluster names"
    _abort.prepare(
        f"the processes did not all come to {where} within {spec.seconds} s; each needs the same coordinator "
        "and --processes, and a --process of its own",
        2,
    )
    try:
        jax.distributed.initialize(
            spec.coordinator,
            spec.processes,
            spec.process,
            initialization_timeout=spec.seconds,
            heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
        )
    except ValueError as error:  # nothing is recognised
        _abort.drop()
        if spec.asked:
            raise UserError(
                "--coordinator, --processes, --process: all three are needed, for no cluster is recognised here "
                f"({_short(error)})"
            ) from None
        return
    except RuntimeError as error:
        _abort.drop()
        raise UserError(f"--coordinator: {where} cannot be used ({_short(error)})") from None
    _abort.prepare(f"{LOST}; {GO_ON}", LOST_STATUS, beside_a_bar=is_first())
    all_gather([0])  # connects all with all while none is busy


def _check(spec: ClusterSpec) -> None:
    if spec.coordinator is not None:
        host, _, port = spec.coordinator.rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
            raise UserError(
                f"--coordinator: {spec.coordinator!r} is given, HOST:PORT of process 0 is needed"
            )
    if spec.processes is not None and spec.processes < 1:
        raise UserError(f"--processes: {spec.processes} is given, at least 1 is needed")
    if spec.process is not None and not 0 <= spec.process < (spec.processes or 2**31):
        raise UserError(
            f"--process: {spec.process} is given; of {spec.processes} processes, the first is 0"
        )
    if spec.seconds < 1:
        raise UserError(f"--join-seconds: {spec.seconds} is given, at least 1 is needed")


def _check_port(spec: ClusterSpec) -> None:
    """In process 0, whether its port is free: JAX listens at all addresses, and crashes where it cannot."""
    if spec.coordinator is None or spec.process != 0:
        return
    port = int(spec.coordinator.rpartition(":")[2])
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.create_server(("", port), family=family).close()
        except OSError as error:
            here_are_none = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)  # of that family
            if error.errno not in here_are_none:
                raise UserError(
                    f"--coordinator: {spec.coordinator} cannot be used ({_short(error)})"
                ) from None


def leave() -> None:
    """Parts from the others, once all have come to this point; what follows, each does alone."""
    if is_distributed():
        jax.distributed.shutdown()  # type: ignore[no-untyped-call]
        _abort.drop()


class _Abort:
    """What to say when JAX's C++ ends the process, which it does when another is gone, by SIGABRT and a page of text.

    The page goes to a file, which the line names. Python's own handlers of signals would come too late.
    """

    def __init__(self) -> None:
        self.stderr = 2
        self.line, self.status = b"", 1
        self.log: Path | None = None
        self.handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(self._aborted)

    def prepare(self, message: str, status: int, beside_a_bar: bool = False) -> None:
        """From now on, an abort is this line on standard error, below a progress bar's if any, and this status."""
        if self.log is None:
            self._divert()
        text = f"ntm_jax: {message} (JAX's own words: {self.log})\n"
        self.line = f"\n{text}".encode() if beside_a_bar else text.encode()
        self.status = status

    def drop(self) -> None:
        """Nothing is to be expected any more."""
        if self.log is not None:
            os.dup2(self.stderr, 2)
            self.log.unlink(missing_ok=True)
            self.log = None
            signal.signal(signal.SIGABRT, signal.SIG_DFL)

    def _divert(self) -> None:
        """File descriptor 2, which C++ writes to, becomes a file; Python goes on writing to standard error."""
        handle, name = tempfile.mkstemp(prefix="ntm_jax_", suffix=".log")
        self.log = Path(name)
        sys.stderr.flush()
        self.stderr = os.dup(2)
        os.dup2(handle, 2)
        os.close(handle)
        sys.stderr = open(self.stderr, "w", buffering=1, encoding="utf-8", closefd=False)  # noqa: SIM115
        handler = ctypes.cast(self.handler, ctypes.c_void_p)
        set_handler = ctypes.CDLL(None).signal
        set_handler.argtypes, set_handler.restype = [ctypes.c_int, ctypes.c_void_p], ctypes.c_void_p
        set_handler(signal.SIGABRT, handler)

    def _aborted(self, number: int) -> None:
        os.write(self.stderr, self.line)
        os._exit(self.status)

    def silence(self, status: int) -> None:
        """Something else is said."""
        self.line, self.status = b"", status


_abort = _Abort()


def end_at_once(message: str, status: int) -> None:
    """Ends this process with a message. JAX's own way would wait for the others; so, they notice."""
    _abort.silence(status)
    print(message, file=sys.stderr)
    sys.stdout.flush()
    if is_first():
        # The coordinator goes last, or others end before they have said what they would.
        time.sleep(1)
    if _abort.log is not None:
        _abort.log.unlink(missing_ok=True)
    os._exit(status)


def explained(error: Exception) -> Exception | PeerLost:
    """`PeerLost`, if an error is of a collective whose other side is gone; else the error itself."""
    text = str(error)
    if process_count() > 1 and any(word in text for word in ("Gloo", "NCCL", "coordination")):
        return PeerLost(_short(error))
    return error


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:150]
