"""Reads the Complete Tang Poems from the npm package `chinese-poetry`, a tarball or a folder.

Nothing of a tarball is written to disk, and what is read of it has limits.
"""

import gzip
import io
import json
import re
import shutil
import subprocess
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ntm_jax.errors import UserError

NAME, VERSION = "chinese-poetry", "2.0.1"
POEMS = re.compile(r"dist/quantangshi/(poet\.tang\.\d+\.json)")
MOST_BYTES = 2**30  # of a tarball unpacked; the package has 364 MB
MOST_BYTES_OF_FILE = 2**26
NPM_SECONDS = 600


@dataclass(frozen=True)
class RawPoem:
    """Holds a poem as in the package."""

    id: str
    paragraphs: tuple[str, ...]


@contextmanager
def fetched() -> Iterator[Path]:
    """Downloads the package's tarball with npm, from its configured registry. Deletes it afterwards.

    Raises:
      UserError: no npm, or it fails.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise UserError(
            f"acrostic: npm is not installed, so {NAME} cannot be downloaded; install it, or pass --from a tarball or folder"
        )
    with tempfile.TemporaryDirectory() as folder:
        command = [npm, "pack", f"{NAME}@{VERSION}", "--ignore-scripts", "--pack-destination"]
        try:
            done = subprocess.run(
                [*command, folder], capture_output=True, timeout=NPM_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            done = None
        found = sorted(Path(folder).glob("*.tgz"))
        if done is None or done.returncode or len(found) != 1:
            code = re.search(rb"code (E\w+)", done.stderr) if done else None
            reason = code[1].decode() if code else "it fails, or takes too long"
            raise UserError(
                f"acrostic: npm cannot download {NAME}@{VERSION} ({reason}); "
                "check the network, or pass --from a tarball or folder"
            )
        yield found[0]


def read(source: Path) -> list[RawPoem]:
    """Returns all Tang poems in a tarball or folder of the package, sorted by file name.

    Raises:
      UserError: nothing there, damaged, another package or version, or not of the expected form.
    """
    if not source.exists():
        raise UserError(f"--from: there is no {source}")
    files = dict(_folder(source) if source.is_dir() else _tarball(source))
    _check_version(source, files.get("package.json"))
    names = sorted(name for name in files if POEMS.fullmatch(name))
    if not names:
        raise UserError(f"--from: {source} has no dist/quantangshi/poet.tang.*.json")
    return [poem for name in names for poem in _poems(source, name, files[name])]


def _wanted(name: str) -> bool:
    return name == "package.json" or POEMS.fullmatch(name) is not None


def _folder(source: Path) -> Iterator[tuple[str, bytes]]:
    paths = [source / "package.json", *(source / "dist" / "quantangshi").glob("*.json")]
    for path in paths:
        name = path.relative_to(source).as_posix()
        if not _wanted(name) or not path.is_file():
            continue
        try:
            if path.stat().st_size > MOST_BYTES_OF_FILE:
                raise _too_large(source, name)
            yield name, path.read_bytes()
        except OSError as error:
            raise UserError(f"--from: {path} cannot be read ({error.strerror})") from None


def _tarball(source: Path) -> Iterator[tuple[str, bytes]]:
    try:
        with (
            gzip.open(source) as unpacked,
            # Read as a stream: what it unpacks to is counted, whatever its headers say.
            tarfile.open(fileobj=_Limited(unpacked, source), mode="r|") as members,
        ):
            for member in members:
                parts = PurePosixPath(member.name).parts
                if ".." in parts or member.name.startswith("/"):
                    raise UserError(
                        f"--from: {source} has a path that leads out of it, {member.name[:60]!r}; "
                        "it is not what npm packs"
                    )
                name = "/".join(parts[1:])  # the first is 'package'
                if not member.isfile() or not _wanted(name):
                    continue
                if member.size > MOST_BYTES_OF_FILE:
                    raise _too_large(source, name)
                file = members.extractfile(member)
                assert file is not None
                yield name, file.read()
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        reason = " ".join(str(error).split())[:100]
        raise UserError(f"--from: {source} is not a whole tarball of npm ({reason})") from None


class _Limited(io.RawIOBase):
    """Reads a file's content up to `MOST_BYTES`."""

    def __init__(self, file: Any, source: Path):
        self._file, self._source, self._left = file, source, MOST_BYTES

    def read(self, size: int = -1) -> bytes:
        content: bytes = self._file.read(size)
        self._left -= len(content)
        if self._left < 0:
            raise _too_large(self._source, "what is in it")
        return content


def _too_large(source: Path, name: str) -> UserError:
    return UserError(f"--from: {source}: {name} is larger than anything in {NAME}@{VERSION}")


def _check_version(source: Path, content: bytes | None) -> None:
    try:
        about = json.loads((content or b"").decode())
        found = str(about["name"])[:40], str(about["version"])[:40]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise UserError(
            f"--from: {source} has no package.json that says what it is; {NAME}@{VERSION} is needed"
        ) from None
    if found != (NAME, VERSION):
        raise UserError(f"--from: {source} is {'@'.join(found)}; {NAME}@{VERSION} is needed")


def _poems(source: Path, name: str, content: bytes) -> Iterator[RawPoem]:
    try:
        listed = json.loads(content.decode())
        for poem in listed:
            paragraphs = poem["paragraphs"]
            if not (
                isinstance(poem["id"], str)
                and isinstance(paragraphs, list)
                and all(isinstance(one, str) for one in paragraphs)
            ):
                raise TypeError("a poem without id or paragraphs")
            yield RawPoem(poem["id"], tuple(paragraphs))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:100]
        raise UserError(f"--from: {source}: {name} is not a list of poems ({reason})") from None
