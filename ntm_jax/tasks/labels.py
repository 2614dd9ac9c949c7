"""Names the channels, ranges of steps and settings of a task, for pages and figures."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Channels:
    """Names each channel of an episode, as shown on pages."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Span:
    """Describes a range of steps that a page marks."""

    start: int  # step
    end: int  # step, inclusive
    label: str
    role: str  # answer, item, asked or next: decides the colour


@dataclass(frozen=True)
class ViewerField:
    """Describes a number that a visitor of the viewer can set."""

    name: str  # in the page, its links and the server's addresses
    sets: tuple[str, ...]  # the task's fields that get this number
    least: int
    most: int


@dataclass(frozen=True)
class Explanation:
    """Explains a task to somebody who knows none of its papers, a sentence each."""

    asked: str  # what the model is shown and has to answer
    look_for: str  # what its heads do if it has learned the task


@dataclass(frozen=True)
class MemoryPicture:
    """Selects the picture of memory use for a task; see `evaluation.memory_figures`."""

    kind: str  # walk, by_context or by_priority
    case: str  # the evaluation case that is drawn
    episodes: int = 1
    arguments: Mapping[str, int] = field(default_factory=dict)  # of the kind


def bits(count: int) -> tuple[str, ...]:
    """Returns a name for each of `count` channels of bits."""
    return ("bit",) if count == 1 else tuple(f"bit {i}" for i in range(count))


def answer_spans(mask: np.ndarray) -> list[Span]:
    """Returns the range from the first scored step to the last; `mask` is `[T]`."""
    scored = np.flatnonzero(mask > 0)
    return [Span(int(scored[0]), int(scored[-1]), "answer", "answer")] if len(scored) else []


def whole_number_fields(values: Mapping[str, Any]) -> tuple[ViewerField, ...]:
    """Returns a field for each whole number among a task's fields."""
    names = (name for name, value in values.items() if type(value) is int)
    return tuple(ViewerField(name, (name,), 0, 1000) for name in names)
