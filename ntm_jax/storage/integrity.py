"""Checks whether a checkpoint is intact, by its layout number and a checksum of each file.

<update>/
  run/metadata      JSON: the number of the layout, the config, seconds and updates skipped
  checksums.json    SHA-256 by file, of all other files

Layout 1 had neither the number nor checksums. It is damaged if Orbax cannot read it.
Layout 2 had both, but no checksums of two kinds of files that Orbax wrote last. Its arrays are Orbax's OCDBT.
Layout 3 has a checksum of every file. Each array is a folder of its own.
"""

import hashlib
import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ntm_jax.errors import UserError
from ntm_jax.storage.files import write_atomically

LAYOUT = 3
WITH_CHECKSUMS = (2, LAYOUT)
CHECKSUMS = "checksums.json"
RUN = (
    Path("run") / "metadata"
)  # in layouts 1 and 2, a name of Orbax's; earlier versions look for it


def seal(folder: Path, run: Mapping[str, Any]) -> None:
    """Writes what says that a checkpoint is complete, once its arrays are in its folder.

    Args:
      folder: of the checkpoint.
      run: JSON values that belong to it.
    """
    (folder / RUN).parent.mkdir(exist_ok=True)
    write_atomically(folder / RUN, json.dumps({"layout": LAYOUT, **run}).encode())
    write_checksums(folder)


def read_run(folder: Path) -> dict[str, Any]:
    """Returns what `seal` was given, from a valid checkpoint of any layout."""
    run: dict[str, Any] = json.loads((folder / RUN).read_bytes())
    return run


def write_checksums(folder: Path) -> None:
    """Writes the checksums of a checkpoint's files beside them."""
    (folder / CHECKSUMS).unlink(missing_ok=True)  # of what it was before
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    sums = {path.relative_to(folder).as_posix(): _checksum(path) for path in files}
    write_atomically(folder / CHECKSUMS, json.dumps(sums, indent=1).encode())


def find_damage(folder: Path) -> str | None:
    """Returns what is wrong with a checkpoint, or None if it is valid.

    Raises:
      UserError: it has a layout that this version does not know.
    """
    try:
        for name, wanted in _checksums(folder).items():
            if _checksum(folder / name) != wanted:
                return f"{name} is not what was written"
    except UserError:
        raise
    except FileNotFoundError as error:
        return f"{Path(error.filename).relative_to(folder)} is missing"
    except OSError as error:
        return f"{Path(error.filename).relative_to(folder)} cannot be read ({error.strerror})"
    except (AttributeError, TypeError, ValueError):
        return "it is not what was written"
    return None


def latest_valid(checkpoints: Path, *, set_aside: bool = False) -> int | None:
    """Returns the update of the newest valid checkpoint, or None if there are no checkpoints.

    Newer ones that are damaged are reported on standard error.

    Args:
      checkpoints: their folder.
      set_aside: whether to rename damaged checkpoints that are newer than the newest valid one, and to remove
        those that are older.

    Raises:
      UserError: none is valid, or one has another version's layout.
    """
    found, broken = None, []
    for update in sorted(updates(checkpoints), reverse=True):
        folder = checkpoints / str(update)
        what = find_damage(folder)
        if what is None:
            found = update if found is None else found
            if not set_aside:
                break
        elif found is None:
            broken.append((folder, what))
        else:  # half deleted, most likely, by a run that was killed: it was about to go
            shutil.rmtree(folder, ignore_errors=True)
    if broken and found is None:
        folder, what = broken[0]
        raise UserError(
            f"--workdir: no checkpoint in {checkpoints} is valid; in {folder.name}, {what}"
        )
    for folder, what in broken:
        print(f"ntm_jax: {folder} is damaged: {what}; {found} is used", file=sys.stderr)
        if set_aside:
            aside = folder.with_name(f"{folder.name}.damaged")
            shutil.rmtree(aside, ignore_errors=True)
            folder.rename(aside)
    return found


def updates(checkpoints: Path) -> list[int]:
    """Returns the updates of which there is a checkpoint, valid or not."""
    try:
        return [int(path.name) for path in checkpoints.iterdir() if path.name.isdecimal()]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserError(f"--workdir: {checkpoints} cannot be read ({error.strerror})") from None


def _checksums(folder: Path) -> dict[str, str]:
    """Returns checksums by file, none for layout 1. Verifies the file with the layout number before using it."""
    path = folder / CHECKSUMS
    if not path.exists() and read_run(folder).get("layout", 1) == 1:
        return {}
    sums: dict[str, str] = json.loads(path.read_bytes())
    if sums.get(RUN.as_posix()) == _checksum(folder / RUN):
        layout = read_run(folder).get("layout")
        if layout not in WITH_CHECKSUMS:
            raise UserError(
                f"--workdir: {folder} has layout {layout!r}, this version of ntm_jax knows those up to {LAYOUT}; "
                "use the version that wrote it"
            )
    return sums


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
