"""Checks the wheel as a user without a clone would use it: `python scripts/check_wheel.py`.

It builds the wheel and compares its files with the tree. It installs the wheel with its dependencies in a new
environment, and runs the cell and the programs from an empty folder.
"""

import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

ROOT = Path(__file__).resolve().parents[1]
# Compiled code runs only a few times here, and the two evaluations share it.
QUICK = {
    "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.2",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}
SHORT = ["--config.train.updates=20", "--config.evaluate.episodes=2"]
CELL = """
from importlib import metadata
from pathlib import Path
from types import MappingProxyType

import jax.numpy as jnp
from flax import nnx

import ntm_jax
from ntm_jax import NTMCell, unroll

cell = NTMCell(3, 2, memory_size=8, word_size=4, rngs=nnx.Rngs(0))
outputs, trace = unroll(cell, jnp.ones((5, 1, 3)))
assert outputs.shape == (5, 1, 2), outputs.shape
assert ntm_jax.__version__ == metadata.version("ntm_jax"), ntm_jax.__version__
assert (Path(ntm_jax.__file__).parent / "py.typed").is_file()
print(ntm_jax.__file__)
"""
LOAD = "import ntm_jax; ntm_jax.load('runs/copy-ntm-lstm')"


class Failed(Exception):
    """Raised when a check of the wheel fails."""


class Installed:
    """A new environment with the wheel installed, and an empty folder to run it from."""

    def __init__(self, folder: Path, wheel: Path):
        self.folder = folder / "elsewhere"
        self.folder.mkdir()
        self._quick = QUICK | {"JAX_COMPILATION_CACHE_DIR": str(folder / "compiled")}
        self._programs = folder / "environment" / ("Scripts" if os.name == "nt" else "bin")
        _call([sys.executable, "-m", "venv", "--without-pip", folder / "environment"], ROOT)
        pip = [sys.executable, "-m", "pip", "--python", str(self._programs / "python"), "install"]
        _call([*pip, "--quiet", "-c", ROOT / "constraints.txt", wheel], ROOT)

    def run(self, program: str, *arguments: str, status: int = 0) -> str:
        """Runs a program of the environment and returns its output, or its errors if `status` is not 0.

        Raises:
          Failed: the program exits with another status.
        """
        return _call([self._programs / program, *arguments], self.folder, status, self._quick)

    def refuses(self, program: str, *arguments: str, names: Iterable[str]) -> None:
        """Raises `Failed` unless a program exits with status 2 and prints one line with these words."""
        said = self.run(program, *arguments, status=2)
        if said.count("\n") != 1 or not all(name in said for name in names):
            raise Failed(f"{program} {' '.join(arguments)}: one line was expected:\n{said}")


def build(folder: Path) -> Path:
    """Builds the tree's wheel in a folder and returns its path."""
    _call([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, ROOT], ROOT)
    (wheel,) = folder.glob("*.whl")
    return wheel


def differences(wheel: Path, root: Path = ROOT) -> list[str]:
    """Returns a line for each file that the wheel lacks, or that is not in ntm_jax/ or configs/."""
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    wanted = {
        path.relative_to(root).as_posix()
        for path in (root / "ntm_jax").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    wanted |= {f"ntm_jax/configs/{path.name}" for path in (root / "configs").glob("*.py")}
    missing = [f"{name} is not in the wheel" for name in sorted(wanted - packed)]
    return missing + [f"{name} is in the wheel alone" for name in sorted(packed - wanted)]


def check(folder: Path) -> None:
    """Runs every check in an empty folder.

    Raises:
      Failed: a check fails.
    """
    with _timed("the wheel is built"):
        wheel = build(folder)
    if found := differences(wheel):
        hint = "Is the list of packages in pyproject.toml complete? Is build/ older than the tree?"
        raise Failed("\n".join([*found, hint]))
    print(f"{wheel.name}: {wheel.stat().st_size / 1e3:.0f} kB")
    with _timed("it is installed"):
        installed = Installed(folder, wheel)
    with _timed("the cell runs"):
        where = installed.run("python", "-c", CELL)
        if ROOT in Path(where.strip()).parents:
            raise Failed(f"the tree's package was imported: {where}")
    with _timed("the programs explain themselves"):
        for program in ("ntm-jax", "ntm-jax-sweep"):
            if "associative_recall, copy" not in " ".join(installed.run(program, "--help").split()):
                raise Failed(f"{program} --help does not name the built-in configs")
    with _timed("a built-in config trains"):
        installed.run("ntm-jax", "--config", "copy:ntm-lstm", *SHORT)
    with _timed("its run is evaluated and loaded"):
        run = installed.folder / "runs" / "copy-ntm-lstm"
        (run / "evaluation.json").unlink()
        module = ("-m", "ntm_jax.main")
        installed.run("python", *module, "--mode", "evaluate", "--workdir", str(run))
        if not (run / "evaluation.json").exists():
            raise Failed("there is no evaluation.json")
        installed.run("python", "-c", LOAD)
    with _timed("errors are one line"):
        installed.refuses("ntm-jax", "--config", "copi", names=["copi", "associative_recall, copy"])
        installed.refuses("ntm-jax", "--mode", "serve", names=["ntm_jax[web]"])


@contextmanager
def _timed(title: str) -> Iterator[None]:
    start = time.monotonic()
    yield
    print(f"{title} ({time.monotonic() - start:.0f} s)", flush=True)


def _call(
    command: Iterable[str | Path],
    folder: Path,
    status: int = 0,
    variables: Mapping[str, str] = MappingProxyType({}),
) -> str:
    words = [str(word) for word in command]
    environment = {**os.environ, **variables}
    environment.pop("PYTHONPATH", None)  # may contain the tree
    done = subprocess.run(
        words, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != status:
        said = f"{done.stdout}{done.stderr}"
        raise Failed(f"{' '.join(words)}: status {done.returncode}, not {status}\n{said}")
    return done.stderr if status else done.stdout


def main() -> None:
    """Runs the checks, and exits with status 1 if one fails."""
    try:
        with tempfile.TemporaryDirectory(prefix="ntm_jax_wheel_") as folder:
            check(Path(folder).resolve())
    except Failed as failure:
        sys.exit(f"check_wheel: {failure}")


if __name__ == "__main__":
    main()
