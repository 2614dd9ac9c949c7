"""Joins several processes that train one run together, and reports it when one of them is gone.

JAX does the work: `jax.distributed`, whose coordinator is in process 0, and collectives between the devices. Every
process runs the same program. Process 0 does what is to be done once: files, progress, evaluation.
"""

import errno
import os
import socket
import sys
import time
from dataclasses import dataclass

import jax

from ntm_jax import signals
from ntm_jax.distributed import jax_compat
from ntm_jax.distributed.aborts import JOIN_STATUS, LOST_STATUS, AbortReport
from ntm_jax.distributed.collectives import all_gather, is_distributed, is_first, process_count
from ntm_jax.errors import ProgramEnd, UserError

HEARTBEAT_SECONDS = 30  # without a sign of life, after which a process counts as gone
LOST = "another process of this run has ended, or cannot be reached"
GO_ON = "start all of them again to resume from the last checkpoint"


@dataclass(frozen=True)
class ClusterSpec:
    """Describes how the processes of a run connect. JAX detects fields that are None from a launcher such as Slurm."""

    coordinator: str | None = None  # host:port of process 0
    processes: int | None = None
    process: int | None = None
    seconds: int = 300  # to wait for each other

    @property
    def asked(self) -> bool:
        """Returns whether any field was set, by flags or in the environment."""
        return (self.coordinator, self.processes, self.process) != (None, None, None)


class PeerLost(ProgramEnd):
    """Ends a process that cannot train any more, because another one is gone."""

    def __init__(self, reason: str):
        super().__init__(f"{LOST} ({reason}); {GO_ON}", LOST_STATUS)


_abort = AbortReport()


def join(spec: ClusterSpec) -> None:
    """Joins the other processes, before JAX's first computation. If nothing was given, only in a cluster.

    If the others do not come, the process ends with one line and status 2. SIGTERM and Ctrl-C end it at once.

    Raises:
      UserError: what was given is not possible.
    """
    _check(spec)
    _check_port(spec)
    jax_compat.prepare_for_several_processes()
    where = spec.coordinator or "the place that the cluster names"
    _abort.prepare(
        f"the processes did not all come to {where} within {spec.seconds} s; each needs the same coordinator "
        "and --processes, and a --process of its own",
        JOIN_STATUS,
    )
    try:
        with signals.end_from_a_thread(_end_joining):
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
                f"--coordinator: {spec.coordinator!r} is not allowed; it must be HOST:PORT of process 0"
            )
    if spec.processes is not None and spec.processes < 1:
        raise UserError(f"--processes: {spec.processes} is not allowed; it must be at least 1")
    if spec.process is not None and not 0 <= spec.process < (spec.processes or 2**31):
        raise UserError(
            f"--process: {spec.process} is not allowed; the P processes are numbered from 0 to P - 1"
        )
    if spec.seconds < 1:
        raise UserError(f"--join-seconds: {spec.seconds} is not allowed; it must be at least 1")


def _check_port(spec: ClusterSpec) -> None:
    """Raises `UserError` if process 0's port is taken: JAX listens at all addresses, and crashes if it cannot."""
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


def _end_joining(stopped: signals.Stopped) -> None:
    if _abort.has_reported():  # the signal is the watchdog's
        os._exit(JOIN_STATUS)
    _end(f"ntm_jax: {stopped}", stopped.status)


def leave() -> None:
    """Leaves the other processes, once all have come to this point. Each continues alone."""
    if is_distributed():
        jax.distributed.shutdown()  # type: ignore[no-untyped-call]
        _abort.drop()


def end_at_once(message: str, status: int) -> None:
    """Ends this process with a message. JAX's own way would wait for the others; so, they notice."""
    # The coordinator goes last, or others end before they have said what they would.
    _end(message, status, later_by=1.0 if is_first() else 0.0)


def _end(message: str, status: int, later_by: float = 0.0) -> None:
    _abort.silence()
    print(message, file=sys.stderr)
    sys.stdout.flush()
    time.sleep(later_by)
    _abort.remove_log()
    os._exit(status)


def explained(error: Exception) -> Exception | PeerLost:
    """Returns `PeerLost` for an error of a collective whose other side is gone, else the error itself."""
    if process_count() > 1 and jax_compat.is_peer_failure(error):
        return PeerLost(_short(error))
    return error


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:150]
