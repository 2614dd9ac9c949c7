"""Writes files atomically, and locks a folder for one process."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ntm_jax.errors import UserError

LOCK = "lock"


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file atomically: readers see either the old or the new content, even after a crash."""
    partial = path.with_suffix(".partial")
    partial.write_bytes(content)
    partial.replace(path)


@contextmanager
def exclusive_lock(folder: Path) -> Iterator[None]:
    """Locks a folder against other processes that call this, for as long as the context lasts.

    The system releases the lock when the process ends, however it ends. The file `lock` stays and means nothing by
    itself. It holds the number of the process that had the lock last.

    Raises:
      UserError: another process has the lock.
    """
    import filelock  # only training needs it

    lock = filelock.FileLock(folder / LOCK)
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        holder = ""
        with suppress(OSError):  # Windows does not let others read it
            holder = (folder / LOCK).read_text(encoding="utf-8", errors="replace").strip()
        raise UserError(
            f"--workdir: {folder} is being trained in by another process ({holder or 'unknown'}); "
            "choose another folder, or wait until it ends"
        ) from None
    try:
        with suppress(OSError):  # for whoever is refused
            (folder / LOCK).write_text(f"{os.getpid()}\n", encoding="utf-8")
        yield
    finally:
        lock.release()
