"""A run's folder: its config, its checkpoints, and the model in its newest one.

config.json       what the run is; another run is refused the folder
lock              held by the process that trains in it
checkpoints/      Orbax, by update: parameters, the rest of the training state, and the config again
"""

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import jax
import orbax.checkpoint as ocp
from ml_collections import ConfigDict

from ntm_jax.distributed import collectives
from ntm_jax.errors import UserError
from ntm_jax.storage import integrity

# Orbax tells of every step it takes, and of errors that it raises, too.
logging.getLogger("absl").setLevel(logging.CRITICAL)


class Checkpoints:
    """The checkpoints of a run, written in the background; the newest `keep` stay.

    Args:
      workdir: the run's folder.
      keep: how many.
      write: what others left half written is removed, and what is damaged is set aside.

    Raises:
      UserError: there are checkpoints, but none is sound, or one is another version's, or the newest is not to be
        trained on.
    """

    def __init__(self, workdir: Path, keep: int = 3, *, write: bool = True):
        self._folder = (workdir / "checkpoints").absolute()
        self._newest = integrity.latest_valid(self._folder, set_aside=write)
        self._saving = 0  # the update whose checkpoint was begun last
        if write:
            self._check_training()
            self._folder.mkdir(exist_ok=True)
        self._manager = ocp.CheckpointManager(
            self._folder,
            options=ocp.CheckpointManagerOptions(
                max_to_keep=keep,
                create=False,
                read_only=not write,
                cleanup_tmp_directories=write,
                lightweight_initialize=True,  # which damage cannot disturb
                async_options=ocp.AsyncOptions(post_finalization_callback=self._seal),
                multiprocessing_options=_alone(),
            ),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.wait()
            with self._explained():
                self._manager.close()
        except UserError:
            if error is None:  # or what came first is said
                raise

    def _check_training(self) -> None:
        """Raises `UserError` if the newest checkpoint is there to be evaluated only, as some that ship."""
        if self._newest is not None and not (self._folder / f"{self._newest}/training").is_dir():
            raise UserError(
                f"--workdir: {self._folder / str(self._newest)} has no state of an optimiser, so that "
                "training cannot go on from there; choose another folder"
            )

    def newest(self) -> int | None:
        """The update of the newest sound checkpoint, or None."""
        return self._newest

    def wait(self) -> None:
        """Until what is being written is on disk.

        Raises:
          UserError: it could not be written.
        """
        with self._explained():
            self._manager.wait_until_finished()
        self._newest = self._manager.latest_step() if self._saving else self._newest

    def save(
        self,
        update: int,
        parameters: Any,
        training: Any,
        seconds: float,
        config: ConfigDict,
        skipped: int = 0,
    ) -> None:
        """Begins to write a checkpoint; the arrays are copied before this returns.

        Args:
          update: updates done.
          parameters: of the model.
          training: the rest of the training state.
          seconds: trained so far.
          config: of the run.
          skipped: updates that were not finite.

        Raises:
          UserError: the one before could not be written.
        """
        self.wait()
        self._saving = update
        run = {"layout": integrity.LAYOUT, "seconds": seconds, "config": config.to_dict()}
        run["skipped"] = skipped
        if (
            collectives.process_count() > 1
        ):  # the others do not know that what they have too is written
            parameters, training = jax.device_get((parameters, training))
        with self._explained():
            self._manager.save(
                update,
                args=ocp.args.Composite(
                    parameters=ocp.args.StandardSave(parameters),
                    training=ocp.args.StandardSave(training),
                    run=ocp.args.JsonSave(run),
                ),
            )

    def restore(self, update: int, parameters: Any, training: Any) -> tuple[Any, Any, float, int]:
        """The parameters, training state, seconds and updates skipped, with the shapes of those given.

        Raises:
          UserError: Orbax cannot read it.
        """
        restored = self._restore(
            update,
            parameters=ocp.args.StandardRestore(_shapes(parameters)),
            training=ocp.args.StandardRestore(_shapes(training)),
            run=ocp.args.JsonRestore(),
        )
        seconds, skipped = float(restored.run["seconds"]), int(restored.run.get("skipped", 0))
        return restored.parameters, restored.training, seconds, skipped

    def restore_parameters(self, update: int, parameters: Any) -> Any:
        """The parameters alone; as `restore`."""
        return self._restore(
            update, parameters=ocp.args.StandardRestore(_shapes(parameters))
        ).parameters

    def _restore(self, update: int, **items: Any) -> Any:
        try:
            return self._manager.restore(update, args=ocp.args.Composite(**items))
        except Exception as error:  # Orbax raises whatever its parts raise, and bare ones
            raise UserError(
                f"--workdir: {self._folder / str(update)} cannot be restored ({_reason(error)})"
            ) from None

    def _seal(self) -> None:
        """Called by Orbax when all of a checkpoint is written and its folder has not yet its name."""
        (folder,) = self._folder.glob(f"{self._saving}.orbax-checkpoint-tmp*")
        integrity.write_checksums(folder)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """What keeps a checkpoint from being written, in one line."""
        try:
            yield
        except Exception as error:  # Orbax raises whatever its parts raise
            # Which would tell of every part's error again when the process ends.
            logging.getLogger("asyncio").setLevel(logging.CRITICAL)
            for folder in self._folder.glob(f"{self._saving}.orbax-checkpoint-tmp*"):
                shutil.rmtree(folder, ignore_errors=True)  # the disk may be full
            sound = f"update {self._newest}" if self._newest is not None else "none"
            raise UserError(
                f"--workdir: the checkpoint of update {self._saving} cannot be written to {self._folder} "
                f"({_reason(error)}); the last sound one is of {sound}"
            ) from None


class FollowerCheckpoints:
    """The checkpoints of a run as a process sees them that leaves them to another, at the same updates."""

    def __init__(self) -> None:
        self._newest: int | None = None

    def newest(self) -> int | None:
        """The update of the newest checkpoint."""
        return self._newest

    def wait(self) -> None:
        """For nothing."""

    def restored(self, update: int) -> None:
        """What the other has gone on from, 0 if from nothing."""
        self._newest = update or None

    def save(self, update: int, *values: Any, **more: Any) -> None:
        """The other process does."""
        self._newest = update


def _alone() -> ocp.options.MultiprocessingOptions:
    """Orbax is to wait for no other process: whoever opens checkpoints does so alone."""
    if collectives.process_count() == 1:
        return ocp.options.MultiprocessingOptions()
    this = jax.process_index()
    return ocp.options.MultiprocessingOptions(
        primary_host=this, active_processes={this}, barrier_sync_key_prefix=str(this)
    )


def _reason(error: Exception) -> str:
    return " ".join(str(getattr(error, "strerror", None) or error).split())[:150]


def _shapes(tree: Any) -> Any:
    return jax.tree.map(ocp.utils.to_shape_dtype_struct, tree)
