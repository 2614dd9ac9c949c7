"""A run's folder: whose it is, and who trains in it."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ml_collections import ConfigDict

from ntm_jax import config as configs
from ntm_jax.errors import UserError
from ntm_jax.storage import files
from ntm_jax.storage.checkpoints import Checkpoints

# What a run that ended before it had a config.json may have left.
CLAIMING = (files.LOCK, "config.partial")


@contextmanager
def open_run_folder(workdir: Path, config: ConfigDict) -> Iterator[Checkpoints]:
    """The checkpoints in `workdir`, which is the folder of `config`'s run, and this process's alone; made if not there.

    Raises:
      UserError: it holds another run, or something else, or checkpoints of which none is sound, or another
        process trains in it.
    """
    _check_claim(workdir, config)
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        lock = ExitStack()
        lock.enter_context(files.exclusive_lock(workdir))
    except OSError as error:
        raise UserError(f"--workdir: {workdir} cannot be made ({error.strerror})") from None
    with lock:
        if not (workdir / "config.json").exists():
            register(workdir, config)
        with Checkpoints(workdir) as checkpoints:
            register(workdir, config)  # now that it can be gone on with
            yield checkpoints


def register(workdir: Path, config: ConfigDict) -> None:
    """Makes `workdir` the folder of the run that `config` describes, or checks that it is.

    Raises:
      UserError: it holds another run, or something else.
    """
    _check_claim(workdir, config)
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        files.write_atomically(workdir / "config.json", configs.to_json(config).encode())
    except OSError as error:
        raise UserError(f"--workdir: {workdir} cannot be made ({error.strerror})") from None


def _check_claim(workdir: Path, config: ConfigDict) -> None:
    if (workdir / "config.json").exists():
        same_run(workdir, config)
    elif workdir.exists() and (
        not workdir.is_dir() or any(path.name not in CLAIMING for path in workdir.iterdir())
    ):
        raise UserError(
            f"--workdir: {workdir} is not empty and holds no run; choose another folder"
        )


def same_run(workdir: Path, config: ConfigDict) -> None:
    """Raises `UserError` unless `workdir` holds the run that `config` describes."""
    old = configs.load_run(workdir)
    field = configs.difference(old, config)
    if field:
        before, after = (dict(configs.flatten(c)).get(field) for c in (old, config))
        raise UserError(
            f"--workdir: {workdir} holds another run, with {field}={before!r} where {after!r} is asked; "
            "choose another folder"
        )
