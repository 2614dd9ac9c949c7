"""Holds code shared by the monitor's two processes."""

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

Parse: TypeAlias = Callable[[str], dict[str, float] | None]


def end_with_parent() -> None:
    """Ends this process when its input does, which is when training's process is gone."""

    def wait() -> None:
        sys.stdin.buffer.read()
        os._exit(0)

    threading.Thread(target=wait, daemon=True).start()


class Tail:
    """Reads the lines of a file that grows, each once.

    Args:
      path: of the file, which need not exist yet. If it is replaced by another, its lines are read anew.
      parser: makes a parser of a file's lines, which gives a value, or None for a line that is not wanted.
    """

    def __init__(self, path: Path, parser: Callable[[], Parse]):
        self._path, self._parser = path, parser
        self._parse = parser()
        self._file: int | None = None
        self._read = 0
        self.values: list[dict[str, float]] = []

    def refresh(self) -> list[dict[str, float]]:
        """Returns all values so far."""
        try:
            with self._path.open("rb") as file:
                stat = os.fstat(file.fileno())
                if stat.st_ino != self._file or stat.st_size < self._read:
                    self._file, self._read, self.values = stat.st_ino, 0, []
                    self._parse = self._parser()
                file.seek(self._read)
                new = file.read()
        except OSError:
            return self.values
        whole, end, _ = new.rpartition(b"\n")  # what follows is still being written
        self._read += len(whole) + len(end)
        parsed = (self._parse(line) for line in whole.decode(errors="replace").split("\n") if line)
        self.values += [value for value in parsed if value is not None]
        return self.values
