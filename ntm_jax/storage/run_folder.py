"""Opens a run's folder for training: checks whose it is, locks it and registers the run in it."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ml_collections import ConfigDict

from ntm_jax import config as configs
from ntm_jax.errors import UserError
from ntm_jax.storage import files, integrity
from ntm_jax.storage.checkpoints import Checkpoints

WEIGHTS = "weights.safetensors"  # in place of checkpoints/ in runs that are shipped
# What a run that ended before it had a config.json may have left.
CLAIMING = (files.LOCK, "config.partial")


@contextmanager
def open_run_folder(workdir: Path, config: ConfigDict) -> Iterator[Checkpoints]:
    """Opens the folder of `config`'s run for this process alone, and gives its checkpoints.

    Creates the folder if it does not exist. On an error, writes nothing.

    Raises:
      UserError: it holds another run, or something else, or a model without the state of its training, or
        checkpoints of which none is valid, or another process trains in it.
    """
    _check_claim(workdir, config)
    if (workdir / WEIGHTS).exists() and not integrity.updates(workdir / "checkpoints"):
        raise UserError(
            f"--workdir: {workdir / WEIGHTS} has no optimizer state, so training cannot be resumed "
            "from it; choose another folder"
        )
    with ExitStack() as stack:
        try:
            workdir.mkdir(parents=True, exist_ok=True)
            stack.enter_context(files.exclusive_lock(workdir))
        except OSError as error:
            raise UserError(f"--workdir: {workdir} cannot be made ({error.strerror})") from None
        checkpoints = Checkpoints(workdir)
        _register(workdir, config)
        yield checkpoints


def register(workdir: Path, config: ConfigDict) -> None:
    """Makes `workdir` the folder of `config`'s run without opening it.

    Raises:
      UserError: it holds another run, or something else.
    """
    _check_claim(workdir, config)
    _register(workdir, config)


def _register(workdir: Path, config: ConfigDict) -> None:
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        files.write_atomically(workdir / "config.json", configs.to_json(config).encode())
    except OSError as error:
        raise UserError(f"--workdir: {workdir} cannot be made ({error.strerror})") from None


def _check_claim(workdir: Path, config: ConfigDict) -> None:
    """Raises `UserError` if `workdir` holds anything but `config`'s run."""
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
            f"--workdir: {workdir} holds another run, with {field}={before!r} instead of {after!r}; "
            "choose another folder"
        )
