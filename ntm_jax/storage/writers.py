"""Writes the checkpoints of many runs in processes of their own, as `python -m ntm_jax.storage.writers`.

Writing one takes some 0.1 s of Python, whatever the model's size. A process reads a `Saving` from its input, writes
it, and replies with an error's text or None. It ends when its input does, so none outlives a program that is killed.
"""

import os
import pickle
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from ml_collections import ConfigDict

from ntm_jax.errors import UserError
from ntm_jax.storage import array_folders
from ntm_jax.storage.checkpoints import CheckpointStore

RUNS_A_PROCESS = 8  # below, starting it takes longer than it saves


@dataclass(frozen=True)
class Saving:
    """Holds one checkpoint to write; see `CheckpointStore.save`."""

    checkpoints: CheckpointStore
    update: int
    parameters: Any
    training: Any
    seconds: float
    config: ConfigDict
    skipped: int

    def write(self) -> None:
        """Writes the checkpoint in this process."""
        self.checkpoints.save(
            self.update,
            self.parameters,
            self.training,
            self.seconds,
            self.config,
            skipped=self.skipped,
        )


class CheckpointWriters:
    """Writes checkpoints in several processes at once, or in this one if there are few runs.

    Args:
      runs: how many runs save at a time.
    """

    def __init__(self, runs: int):
        count = min(os.cpu_count() or 1, runs // RUNS_A_PROCESS)
        self._processes = [_start() for _ in range(count if count > 1 else 0)]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for process in self._processes:
            process.communicate()  # closes its input

    def write(self, savings: Sequence[Saving]) -> None:
        """Writes checkpoints, all of them on disk when this returns.

        Raises:
          UserError: one could not be written. Others may have been.
        """
        count = len(self._processes)
        if count == 0:
            for saving in savings:
                saving.write()
            return
        parts = [savings[at::count] for at in range(count)]
        with ThreadPoolExecutor(count) as threads:
            list(threads.map(_write, self._processes, parts))


def _start() -> subprocess.Popen[bytes]:
    # The accelerator is for training, and Ctrl-C for the program, which then saves by these processes.
    return subprocess.Popen(
        [sys.executable, "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
        start_new_session=True,
    )


def _write(process: subprocess.Popen[bytes], savings: Sequence[Saving]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    for saving in savings:
        try:
            pickle.dump(saving, process.stdin)
            process.stdin.flush()
            error = pickle.load(process.stdout)
        except (EOFError, OSError):  # it was killed
            saving.write()
            continue
        if error is not None:
            raise UserError(error)
        saving.checkpoints.saved_elsewhere(saving.update)


def _serve() -> None:
    """Writes what comes on standard input, until it ends."""
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no reply
    array_folders.prepare()
    while True:
        try:
            saving = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        error = None
        try:
            saving.write()
        except UserError as raised:
            error = str(raised)
        pickle.dump(error, replies)
        replies.flush()


if __name__ == "__main__":
    _serve()
