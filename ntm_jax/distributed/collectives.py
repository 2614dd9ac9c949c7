"""Gathers and broadcasts among the processes of a run, and lets them agree."""

import zlib
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
import numpy as np

from ntm_jax.distributed import jax_compat
from ntm_jax.errors import UserError

T = TypeVar("T")

LONGEST_MESSAGE = 2000  # bytes


def process_count() -> int:
    """Returns how many processes train together."""
    return jax.process_count()


def is_first() -> bool:
    """Returns whether this is process 0, which alone writes, shows and evaluates."""
    return jax.process_index() == 0


def is_distributed() -> bool:
    """Returns whether this process has joined others and not left them."""
    return jax.distributed.is_initialized()


def all_gather(numbers: Sequence[int]) -> np.ndarray:
    """Returns every process's numbers, `[processes, n]`."""
    mine = np.array(numbers, np.int32)
    if process_count() == 1:
        return mine[None]
    return jax_compat.all_gather(mine)


def broadcast(tree: Any) -> Any:
    """Broadcasts a pytree from process 0. All processes must pass the same structure and shapes."""
    if process_count() == 1:
        return tree
    return jax_compat.broadcast(tree)


def on_first_process(action: Callable[[], T], elsewhere: T) -> T:
    """Calls `action` in process 0 alone; returns its result there, and `elsewhere` in the other processes.

    Raises:
      UserError: raised by `action`; in every process.
    """
    result, message = elsewhere, ""
    if is_first():
        try:
            result = action()
        except UserError as error:
            if process_count() == 1:
                raise
            message = str(error)
    if process_count() > 1:
        letters = np.zeros(LONGEST_MESSAGE, np.uint8)
        text = message.encode()[:LONGEST_MESSAGE]
        letters[: len(text)] = np.frombuffer(text, np.uint8)
        message = bytes(np.asarray(broadcast(letters))).rstrip(b"\0").decode(errors="replace")
        if message:
            raise UserError(message)
    return result


def check_equal(what: str, text: str) -> None:
    """Raises `UserError` in every process unless all have the same text."""
    sums = all_gather([zlib.crc32(text.encode()) & 0x7FFFFFFF])
    if (sums != sums[0]).any():
        others = [str(i) for i in range(process_count()) if sums[i, 0] != sums[0, 0]]
        raise UserError(f"{what} of process {', '.join(others)} is not that of process 0")
