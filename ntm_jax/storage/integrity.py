"""Whether a checkpoint is what was written: its layout's number, and a checksum of each of its files.

<update>/
  checksums.json    written last, before the folder gets its name: SHA-256 by file
  run/metadata      JSON, with the number of the layout

Layout 1 had neither; what Orbax cannot read in it is all that can be told of it.
Layout 2 has both, and counts the updates that were skipped.
"""

import hashlib
import json
import shutil
import sys
from pathlib import Path

from ntm_jax.errors import UserError
from ntm_jax.storage.files import write_atomically

LAYOUT = 2
CHECKSUMS = "checksums.json"
RUN = Path("run") / "metadata"
# Orbax's notes to itself, of when and where a checkpoint was committed, written after the checksums.
NOTES = ("commit_success.txt", "_CHECKPOINT_METADATA")


def write_checksums(folder: Path) -> None:
    """Writes the checksums of a checkpoint's files beside them."""
    (folder / CHECKSUMS).unlink(missing_ok=True)  # of what it was before
    sums = {str(path.relative_to(folder)): _checksum(path) for path in _files(folder)}
    write_atomically(folder / CHECKSUMS, json.dumps(sums, indent=1).encode())


def find_damage(folder: Path) -> str | None:
    """What is wrong with a checkpoint; None if it is sound.

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
    """The update of the newest sound checkpoint, None if there is none of either kind; names those that are not.

    Args:
      checkpoints: their folder.
      set_aside: rename those that are not sound, out of the way of new ones, and remove those that are older
        than the newest sound one.

    Raises:
      UserError: none is sound, or one has another version's layout.
    """
    found, broken = None, []
    for update in sorted(_updates(checkpoints), reverse=True):
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
            f"--workdir: no checkpoint in {checkpoints} is sound; in {folder.name}, {what}"
        )
    for folder, what in broken:
        print(f"ntm_jax: {folder} is damaged: {what}; {found} is used", file=sys.stderr)
        if set_aside:
            aside = folder.with_name(f"{folder.name}.damaged")
            shutil.rmtree(aside, ignore_errors=True)
            folder.rename(aside)
    return found


def _updates(checkpoints: Path) -> list[int]:
    try:
        return [int(path.name) for path in checkpoints.iterdir() if path.name.isdecimal()]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserError(f"--workdir: {checkpoints} cannot be read ({error.strerror})") from None


def _checksums(folder: Path) -> dict[str, str]:
    """By file; none where the layout had none. What has checksums is checked before its layout is believed."""
    path = folder / CHECKSUMS
    run = json.loads((folder / RUN).read_bytes()) if not path.exists() else None
    if run is not None and run.get("layout", 1) == 1:
        return {}
    sums: dict[str, str] = json.loads(path.read_bytes())
    if sums.get(str(RUN)) == _checksum(folder / RUN):
        layout = json.loads((folder / RUN).read_bytes()).get("layout")
        if layout != LAYOUT:
            raise UserError(
                f"--workdir: {folder} has layout {layout!r}, this version of ntm_jax knows those up to {LAYOUT}; "
                "use the version that wrote it"
            )
    return sums


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in NOTES)


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
