"""Files that are there whole or not at all, and a folder that one process has to itself."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ntm_jax.errors import UserError

LOCK = "lock"


def write_atomically(path: Path, content: bytes) -> None:
    """Replaces a file at once, so that a reader, and who comes after a crash, sees the old one or the new one."""
    partial = path.with_suffix(".partial")
    partial.write_bytes(content)
    partial.replace(path)


@contextmanager
def exclusive_lock(folder: Path) -> Iterator[None]:
    """Keeps other processes that ask for the same out of a folder, for as long as the context lasts.

    The system holds the lock for this process and lets it go when the process ends, however that ends; the
    file `lock` stays, and says nothing by being there. On Windows nothing is locked.

    Raises:
      UserError: another process has the folder.
    """
    if sys.platform == "win32":
        yield
        return
    import fcntl

    with (folder / LOCK).open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise UserError(
                f"--workdir: {folder} is being trained in by another process ({file.read().strip()}); "
                "choose another folder, or wait until it ends"
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")  # for whoever is refused
        file.flush()
        yield
