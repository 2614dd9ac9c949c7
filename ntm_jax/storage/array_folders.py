"""Stores pytrees of arrays as folders, with documented functions of Orbax. No other module uses Orbax.

Every call writes or reads one folder and returns when that is done. Each array is a Zarr array in a folder of its
own (`use_ocdbt=False`): Orbax then neither merges files nor searches for them by patterns, in which the brackets of
a folder like `lr[0.1]` would have a meaning.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import numpy as np

from ntm_jax.distributed import collectives

CLOUDS = ("/gs/", "/s3/")  # which Orbax takes for addresses in a cloud


def save(folder: Path, tree: Any) -> None:
    """Writes a pytree of arrays to a folder that does not exist, and reads it back.

    Raises:
      OSError: what is read back is not what was written.
      Exception: whatever Orbax raises, on a full disk for example.
    """
    arrays = jax.tree.map(np.asarray, jax.device_get(tree))
    with _checkpointer() as (ocp, checkpointer):
        checkpointer.save(_literal(folder), args=ocp.args.PyTreeSave(arrays))
    written, found = jax.tree.leaves(arrays), jax.tree.leaves(restore(folder, arrays))
    if any(one.tobytes() != other.tobytes() for one, other in zip(written, found, strict=True)):
        raise OSError(f"{folder.name} cannot be read back as it was written")


def restore(folder: Path, like: Any) -> Any:
    """Returns the pytree in a folder, as NumPy arrays.

    Args:
      folder: written by `save`, or by Orbax's `StandardSave` of the layouts before.
      like: a pytree of the same structure, of arrays or of their shapes.

    Raises:
      ValueError: an array has another shape or type.
      Exception: whatever Orbax raises if it cannot read the folder.
    """
    shape: Any = jax.ShapeDtypeStruct
    shapes = jax.tree.map(lambda leaf: shape(leaf.shape, leaf.dtype), like)
    with _checkpointer() as (ocp, checkpointer):
        as_numpy = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), shapes)
        arguments = ocp.args.PyTreeRestore(item=shapes, restore_args=as_numpy)
        found = checkpointer.restore(_literal(folder), args=arguments)
    for (path, wanted), leaf in zip(
        jax.tree.leaves_with_path(shapes), jax.tree.leaves(found), strict=True
    ):
        if (leaf.shape, leaf.dtype) != (wanted.shape, wanted.dtype):
            raise ValueError(
                f"{jax.tree_util.keystr(path)} is {leaf.dtype}{list(leaf.shape)}, "
                f"not {wanted.dtype}{list(wanted.shape)}"
            )
    return found


def prepare() -> None:
    """Imports what the other functions need, which takes a second."""
    with _checkpointer():
        pass


@contextmanager
def _checkpointer() -> Iterator[tuple[Any, Any]]:
    """Imports Orbax, which takes a second, and gives it with a checkpointer that waits for no other process."""
    with _without_messages():
        import orbax.checkpoint as ocp

        options = {}
        if collectives.process_count() > 1:
            this = jax.process_index()
            options["multiprocessing_options"] = ocp.options.MultiprocessingOptions(
                primary_host=this, active_processes={this}, barrier_sync_key_prefix=str(this)
            )
        handler = ocp.PyTreeCheckpointHandler(use_ocdbt=False, **options)
        with ocp.Checkpointer(handler, **options) as checkpointer:
            yield ocp, checkpointer


def _literal(folder: Path) -> str:
    """Returns an absolute path that Orbax takes for a folder of this machine."""
    path = os.path.abspath(folder)
    return f"/{path}" if path.startswith(CLOUDS) else path  # POSIX: //gs/runs is /gs/runs


@contextmanager
def _without_messages() -> Iterator[None]:
    """Suppresses Orbax's log messages inside the context, and leaves the process's logging as it was.

    Logging by absl gives the root logger a handler if it has none, after which `logging.basicConfig` does nothing.
    """
    logger, handlers = logging.getLogger("absl"), list(logging.root.handlers)

    def of_others(record: logging.LogRecord) -> bool:  # one for each context: they nest
        return "orbax" not in record.pathname

    logger.addFilter(of_others)
    try:
        yield
    finally:
        logger.removeFilter(of_others)
        for handler in logging.root.handlers[:] if not handlers else ():
            format_of = getattr(handler.formatter, "_fmt", None)
            if type(handler) is logging.StreamHandler and format_of == logging.BASIC_FORMAT:
                logging.root.removeHandler(handler)
