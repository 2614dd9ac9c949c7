"""A run's folder: its config, its checkpoints, and the model in its newest one.

config.json       what the run is; another run is refused the folder
lock              held by the process that trains in it
checkpoints/      Orbax, by update: parameters, the rest of the training state, and the config again
"""

import glob
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import jax
from ml_collections import ConfigDict

from ntm_jax.distributed import collectives
from ntm_jax.errors import UserError
from ntm_jax.storage import integrity, orbax_messages

if TYPE_CHECKING:
    import orbax.checkpoint as ocp
    from etils import epath


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
        self._quiet = ExitStack()
        self._saving = 0  # the update whose checkpoint was begun last
        self._arrays: dict[str, int] = {}  # in each of its items
        if write:
            self._check_training()
            self._folder.mkdir(exist_ok=True)
        ocp = _orbax()
        with orbax_messages.silenced():
            self._manager = ocp.CheckpointManager(
                _literal(self._folder),
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
        self._quiet.enter_context(orbax_messages.silenced())  # for the threads that write
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
        finally:
            self._quiet.close()

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
        items = {"parameters": parameters, "training": training}
        self._arrays = {name: len(jax.tree.leaves(item)) for name, item in items.items()}
        ocp = _orbax()
        with self._explained():
            self._manager.save(
                update,
                args=ocp.args.Composite(
                    **{name: ocp.args.StandardSave(item) for name, item in items.items()},
                    run=ocp.args.JsonSave(run),
                ),
            )

    def restore(self, update: int, parameters: Any, training: Any) -> tuple[Any, Any, float, int]:
        """The parameters, training state, seconds and updates skipped, with the shapes of those given.

        Raises:
          UserError: Orbax cannot read it.
        """
        ocp = _orbax()
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
        item = _orbax().args.StandardRestore(_shapes(parameters))
        return self._restore(update, parameters=item).parameters

    def _restore(self, update: int, **items: Any) -> Any:
        try:
            with orbax_messages.silenced():
                return self._manager.restore(update, args=_orbax().args.Composite(**items))
        except Exception as error:  # Orbax raises whatever its parts raise, and bare ones
            raise UserError(
                f"--workdir: {self._folder / str(update)} cannot be restored ({_reason(error)})"
            ) from None

    def _seal(self) -> None:
        """Called by Orbax when all of a checkpoint is written and its folder has not yet its name.

        Raises:
          OSError: an array that was written cannot be read.
        """
        (folder,) = self._folder.glob(f"{self._saving}.orbax-checkpoint-tmp*")
        for name, arrays in self._arrays.items():
            found = _readable_arrays(folder / name)
            if found != arrays:
                raise OSError(f"{name}: {found} of {arrays} arrays can be read back")
        integrity.write_checksums(folder)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """What keeps a checkpoint from being written, in one line."""
        try:
            with orbax_messages.silenced():
                yield
        except Exception as error:  # Orbax raises whatever its parts raise
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


def _orbax() -> Any:
    """Imports Orbax, which takes a second and gives the root logger a handler, when it is first needed."""
    with orbax_messages.silenced():
        import orbax.checkpoint as ocp
    return ocp


def _literal(folder: Path) -> "epath.Path":
    """Returns a path for Orbax in which no character has a meaning of its own."""
    return _literal_kind()(folder)


@cache
def _literal_kind() -> Any:
    from etils import epath

    kind: Any = type(epath.Path(os.curdir))

    class Literal(kind):  # type: ignore[misc]
        """A path of etils, which takes brackets in folders for patterns, and `/gs`, `/s3` for clouds."""

        _uri_scheme = None

        def glob(self, pattern: str) -> Iterator[Any]:
            for name in glob.glob(pattern, root_dir=os.fspath(self)):
                yield self / name

    return Literal


def _readable_arrays(item: Path) -> int:
    """Returns how many arrays TensorStore finds in an item of a checkpoint; reads all of their values."""
    import tensorstore

    base = {"driver": "file", "path": f"{item}/"}
    store = tensorstore.KvStore.open({"driver": "ocdbt", "base": base}).result()
    names = store.list().result()
    for reading in [store.read(name) for name in names]:
        reading.result()
    return sum(name.endswith(b".zarray") for name in names)


def _alone() -> "ocp.options.MultiprocessingOptions":
    """Orbax is to wait for no other process: whoever opens checkpoints does so alone."""
    ocp = _orbax()
    if collectives.process_count() == 1:
        return ocp.options.MultiprocessingOptions()
    this = jax.process_index()
    return ocp.options.MultiprocessingOptions(
        primary_host=this, active_processes={this}, barrier_sync_key_prefix=str(this)
    )


def _reason(error: Exception) -> str:
    return " ".join(str(getattr(error, "strerror", None) or error).split())[:150]


def _shapes(tree: Any) -> Any:
    return jax.tree.map(_orbax().utils.to_shape_dtype_struct, tree)
