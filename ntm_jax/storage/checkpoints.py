"""Stores the checkpoints of a run.

checkpoints/
  <update>/      complete, for it gets this name last
    parameters/  of the model, see `array_folders`
    training/    the rest of the training state
    run/metadata and checksums.json, see `integrity`
  partial/       what is being written or removed; a run that is killed may leave it
"""

import shutil
from pathlib import Path
from typing import Any, Protocol

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from ntm_jax.errors import UserError
from ntm_jax.storage import array_folders, integrity

PARTIAL = "partial"
# What versions with layouts 1 and 2 left half written, by Orbax's name for it then.
OLD_PARTIAL = "*.orbax-checkpoint-tmp*"


class CheckpointStore(Protocol):
    """Defines the checkpoint store that training uses, in any process."""

    def newest(self) -> int | None:
        """Returns the update of the newest valid checkpoint, or None."""

    def save(
        self,
        update: int,
        parameters: Any,
        training: Any,
        seconds: float,
        config: ConfigDict,
        skipped: int = 0,
    ) -> None:
        """Writes a checkpoint."""

    def saved_elsewhere(self, update: int) -> None:
        """Notes that another process has written a checkpoint by `save`."""

    def resumed(self, update: int) -> None:
        """Notes that training continues from a checkpoint; 0 if from nothing."""


class Checkpoints:
    """Stores checkpoints in a run's folder. Methods read and write immediately.

    Args:
      workdir: the run's folder.
      keep: how many of the newest checkpoints are kept.
      write: whether this process writes checkpoints. It removes what others left half written then, and renames
        damaged checkpoints.

    Raises:
      UserError: there are checkpoints, but none is valid, or one has another version's layout, or training cannot
        continue from the newest.
    """

    def __init__(self, workdir: Path, keep: int = 3, *, write: bool = True):
        self._folder, self._keep = (workdir / "checkpoints").absolute(), keep
        self._newest = integrity.latest_valid(self._folder, set_aside=write)
        if write:
            self._check_training()
            for left in (self._folder / PARTIAL, *self._folder.glob(OLD_PARTIAL)):
                shutil.rmtree(left, ignore_errors=True)

    def _check_training(self) -> None:
        """Raises `UserError` if the newest checkpoint can only be evaluated, as in some shipped runs."""
        if self._newest is not None and not self._path(self._newest, "training").is_dir():
            raise UserError(
                f"--workdir: {self._path(self._newest)} has no optimizer state, so training cannot be "
                "resumed from it; choose another folder"
            )

    def newest(self) -> int | None:
        """Returns the update of the newest valid checkpoint, or None."""
        return self._newest

    def saved_elsewhere(self, update: int) -> None:
        """Notes that another process has written a checkpoint by `save`."""
        self._newest = update

    def resumed(self, update: int) -> None:
        """Does nothing: this process has read the checkpoint itself."""

    def save(
        self,
        update: int,
        parameters: Any,
        training: Any,
        seconds: float,
        config: ConfigDict,
        skipped: int = 0,
    ) -> None:
        """Writes a checkpoint, and removes those that are too many.

        It is on disk and was read back when this returns.

        Args:
          update: number of updates done.
          parameters: of the model, a pytree of arrays.
          training: the rest of the training state, a pytree of arrays.
          seconds: of training so far.
          config: of the run.
          skipped: number of updates that were not finite.

        Raises:
          UserError: it could not be written. The checkpoints before it are as they were.
        """
        partial = self._folder / PARTIAL
        written = partial / str(update)
        try:
            shutil.rmtree(partial, ignore_errors=True)
            written.mkdir(parents=True)
            array_folders.save(written / "parameters", parameters)
            array_folders.save(written / "training", training)
            integrity.seal(
                written, {"seconds": seconds, "skipped": skipped, "config": config.to_dict()}
            )
            self._remove(update)
            written.rename(self._path(update))
        except Exception as error:  # Orbax raises whatever its parts raise
            shutil.rmtree(partial, ignore_errors=True)  # the disk may be full
            valid = "there is no valid one"
            if self._newest is not None:
                valid = f"the last valid one is of update {self._newest}"
            raise UserError(
                f"--workdir: the checkpoint of update {update} cannot be written to {self._folder} "
                f"({_reason(error)}); {valid}"
            ) from None
        self._newest = update
        for old in sorted(integrity.updates(self._folder))[: -self._keep]:
            self._remove(old)
        shutil.rmtree(partial, ignore_errors=True)

    def restore(self, update: int, parameters: Any, training: Any) -> tuple[Any, Any, float, int]:
        """Returns the parameters, the training state, the seconds and the number of skipped updates.

        Args:
          update: of the checkpoint.
          parameters: arrays, or shapes, like those of the checkpoint.
          training: likewise.

        Raises:
          UserError: it cannot be read.
        """
        run = integrity.read_run(self._path(update))
        trees = (
            self._restore(update, "parameters", parameters),
            self._restore(update, "training", training),
        )
        return *trees, float(run["seconds"]), int(run.get("skipped", 0))

    def restore_parameters(self, update: int, parameters: Any) -> Any:
        """Returns the parameters alone; see `restore`."""
        return self._restore(update, "parameters", parameters)

    def _restore(self, update: int, name: str, like: Any) -> Any:
        try:
            return jax.tree.map(jnp.asarray, array_folders.restore(self._path(update, name), like))
        except Exception as error:  # Orbax raises whatever its parts raise, and bare ones
            raise UserError(
                f"--workdir: {self._path(update)} cannot be restored ({_reason(error)})"
            ) from None

    def _path(self, update: int, *name: str) -> Path:
        return self._folder.joinpath(str(update), *name)

    def _remove(self, update: int) -> None:
        """Removes a checkpoint, if it exists. A partly removed one never has a checkpoint's name."""
        if self._path(update).exists():
            removed = self._folder / PARTIAL / f"{update}.removed"
            self._path(update).rename(removed)
            shutil.rmtree(removed, ignore_errors=True)


class FollowerCheckpoints:
    """Stands for a run's checkpoints in processes that leave reading and writing to process 0.

    All processes call the methods at the same updates.
    """

    def __init__(self) -> None:
        self._newest: int | None = None

    def newest(self) -> int | None:
        """Returns the update of the newest checkpoint, or None."""
        return self._newest

    def saved_elsewhere(self, update: int) -> None:
        """Notes that another process has written a checkpoint."""
        self._newest = update

    def resumed(self, update: int) -> None:
        """Notes the update from which process 0 continues; 0 if from nothing."""
        self._newest = update or None

    def save(
        self,
        update: int,
        parameters: Any,
        training: Any,
        seconds: float,
        config: ConfigDict,
        skipped: int = 0,
    ) -> None:
        """Notes that process 0 writes a checkpoint."""
        self._newest = update


def _reason(error: Exception) -> str:
    return " ".join(str(getattr(error, "strerror", None) or error).split())[:150]
