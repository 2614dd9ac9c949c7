"""Describes what a visitor may change in an episode's input; the task then derives what follows from it."""

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Number:
    """Describes a number of the input that can be edited, such as a priority."""

    name: str
    least: float
    most: float
    whole: bool = False


@dataclass(frozen=True)
class Editable:
    """Describes the editable part of an episode: some vectors of bits, and some numbers."""

    steps: np.ndarray  # [V], at which the vectors are shown
    channels: int  # C; a vector's bits are the first C input channels
    numbers: tuple[Number, ...] = ()  # K
    values: tuple[float, ...] = ()  # K, of this episode


@dataclass(frozen=True)
class Content:
    """Holds what an editable episode contains."""

    bits: np.ndarray  # [V, C], 0 or 1
    numbers: np.ndarray  # [K]


def content(inputs: Any, editable: Editable) -> Content:
    """Returns what an episode's inputs `[T, in]` contain."""
    bits = np.asarray(inputs)[editable.steps, : editable.channels]
    return Content(bits, np.asarray(editable.values, np.float32))


def with_bits(inputs: Any, editable: Editable, bits: np.ndarray) -> Any:
    """Returns a copy of the inputs `[T, in]` with other bits `[V, C]` at the editable places."""
    result = np.array(inputs, np.float32)
    result[editable.steps, : editable.channels] = bits
    return result


def answer(batch: Any, vectors: np.ndarray) -> Any:
    """Returns targets `[T, out]` with these vectors at the scored steps of an episode, and 0 elsewhere."""
    targets = np.zeros(batch.targets.shape, np.float32)
    targets[np.asarray(batch.mask) > 0] = vectors
    return targets
