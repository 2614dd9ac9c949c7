"""What several processes do together: gather, broadcast and agree."""

import zlib
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from ntm_jax.errors import UserError

T = TypeVar("T")


LONGEST_MESSAGE = 2000  # bytes


def process_count() -> int:
    """How many processes train together."""
    return jax.process_count()


def is_first() -> bool:
    """Whether this is the process that writes, shows and evaluates."""
    return jax.process_index() == 0


def is_distributed() -> bool:
    """Whether this process still answers to others."""
    return jax.distributed.is_initialized()


def all_gather(numbers: Sequence[int]) -> np.ndarray:
    """Every process's numbers, `[processes, n]`."""
    mine = np.array(numbers, np.int32)
    if process_count() == 1:
        return mine[None]
    return np.asarray(multihost_utils.process_allgather(mine)).reshape(process_count(), -1)


def broadcast(tree: Any) -> Any:
    """The first process's numbers, of a tree of arrays whose structure and shapes all have."""
    if process_count() == 1:
        return tree
    return multihost_utils.broadcast_one_to_all(tree)


def on_first_process(action: Callable[[], T], elsewhere: T) -> T:
    """What `action()` gives in the first process, where alone it is called, and `elsewhere` in the others.

    Raises:
      UserError: that `action()` raises, in every process.
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
