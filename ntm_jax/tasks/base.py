"""Defines a task: a pure function from a random key to an episode, its evaluation cases and its labels."""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from ntm_jax.tasks import labels, losses
from ntm_jax.tasks.editing import Content, Editable
from ntm_jax.tasks.labels import Channels, Explanation, MemoryPicture, Span, ViewerField


@struct.dataclass
class Batch:
    """Holds episodes, time-major and padded to the task's longest. One episode alone has no `B` axis."""

    inputs: jax.Array  #: `[T, B, in]`; of symbols `[T, B, 1]`, whole numbers
    targets: jax.Array  #: `[T, B, out]`, 0 or 1; of symbols `[T, B, 1]`, whole numbers
    mask: jax.Array  #: `[T, B]`, 1 where the output is scored


@dataclass(frozen=True)
class Case:
    """Names a difficulty to evaluate at."""

    name: str
    difficulty: Mapping[str, int | str]
    task: "Task"


@dataclass(frozen=True)
class Task(ABC):
    """Defines a kind of episode at some range of difficulties, which are the dataclass's fields.

    A subclass has to define five members: `input_size`, `output_size`, `steps`, `episode` and `cases`.
    Episodes have static shapes, so that `jit`, `vmap` and `scan` run over `episode`.
    """

    name: ClassVar[str]
    outputs: ClassVar[losses.Outputs] = losses.BITS
    keeps_table: ClassVar[bool] = False  # whether there is `episode_with_table`
    opening_seed: ClassVar[int] = 0  # of the episode that a page opens with

    @property
    @abstractmethod
    def input_size(self) -> int:
        """Returns the width of the inputs."""

    @property
    @abstractmethod
    def output_size(self) -> int:
        """Returns the width of the outputs."""

    @property
    @abstractmethod
    def steps(self) -> int:
        """Returns T, the length of the longest episode."""

    @abstractmethod
    def episode(self, key: jax.Array, progress: jax.Array) -> Batch:
        """Draws one episode, `[T, in]`, `[T, out]`, `[T]`, at a difficulty within the range.

        Args:
          key: decides everything about the episode.
          progress: `[]` in [0, 1], how much of the difficulty range the curriculum allows so far; 1 is all of it.
        """

    @abstractmethod
    def cases(self) -> list[Case]:
        """Returns the evaluation cases, in range and beyond it; the paper's, at least."""

    @property
    def source(self) -> "Source":
        """Returns where batches come from, independent episodes of one shape by default."""
        return Source(self)

    def sample(
        self,
        key: jax.Array,
        batch_size: int,
        progress: jax.Array | float = 1.0,
        part: Callable[[jax.Array], jax.Array] = lambda keys: keys,
    ) -> Batch:
        """Draws a batch of independent episodes.

        Args:
          key: decides everything.
          batch_size: B, the number of episodes.
          progress: see `episode`.
          part: selects the keys `[B]` of the episodes to draw.
        """
        keys = part(jax.random.split(key, batch_size))
        return jax.vmap(self.episode, in_axes=(0, None), out_axes=1)(keys, jnp.asarray(progress))

    def at(self, **difficulty: int | str) -> Self:
        """Returns this task with other fields."""
        return dataclasses.replace(self, **difficulty)

    def as_tested(self) -> Self:
        """Returns this task without what only training's episodes have."""
        return self

    # The best possible predictor, where one is known.

    def optimal_probability(self, batch: Batch) -> jax.Array | None:
        """Returns the best possible probabilities of a 1, `[T, B, out]`, if they are known."""
        return None

    def optimal_nats(self, batch: Batch) -> jax.Array | None:
        """Returns the cost `[B]` of the best possible predictor on these episodes, if one is known."""
        return None

    def episode_with_table(self, key: jax.Array, table_key: jax.Array) -> Batch:
        """Draws an episode whose hidden table, such as an n-gram's probabilities, comes from `table_key`.

        Only tasks with `keeps_table` define it.
        """
        raise NotImplementedError

    # An episode with another input, as a visitor of the viewer makes it.

    def editable(self, batch: Batch) -> Editable | None:
        """Returns what can be changed in one episode, `[T, in]`, `[T, out]`, `[T]`, or None."""
        return None

    def edited(self, batch: Batch, content: Content) -> Batch:
        """Returns one episode with another content; the targets follow by the task's rule.

        Only tasks with `editable` define it. Steps and mask stay.
        """
        raise NotImplementedError

    # What pages and figures show.

    def channels(self) -> Channels:
        """Names the channels of the inputs and outputs, as `Source.picture` shows them."""
        return Channels(labels.bits(self.input_size), labels.bits(self.output_size))

    def spans(self, inputs: np.ndarray, mask: np.ndarray) -> list[Span]:
        """Returns the ranges of steps to mark, given inputs `[T, in]` and mask `[T]`."""
        return labels.answer_spans(mask)

    def viewer_fields(self) -> tuple[ViewerField, ...]:
        """Returns the numbers that the viewer can set, by default all whole numbers of the task."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return labels.whole_number_fields(values)

    def explanation(self) -> Explanation | None:
        """Returns what is asked in this task and what to look for, for the viewer."""
        return None

    def memory_picture(self) -> MemoryPicture | None:
        """Returns which picture shows the memory use in this task, or None."""
        return None


@dataclass(frozen=True)
class Source:
    """Draws a task's batches: independent episodes, all of one shape.

    A task defines its own source if its episodes differ much in length or come from a finite set. `shapes` then
    returns several tasks, each with its own number of steps. Every batch comes from one of them.
    """

    task: Task
    episodes_at_once: ClassVar[int] = 100  # in evaluation
    # Field of `summarise` -> its heading and format in the evaluation's table.
    columns: ClassVar[Mapping[str, tuple[str, str]]] = {}

    @property
    def most_steps(self) -> int:
        """Returns the most steps an episode can have by the task's fields alone. It reads no data."""
        return self.task.steps

    @property
    def answer_steps(self) -> int:
        """Returns the most steps from an episode's first scored step to its last."""
        return self.task.steps

    # Training

    @property
    def shapes(self) -> tuple[Task, ...]:
        """Returns the tasks, each with static shapes of its own, from which batches are drawn."""
        return (self.task,)

    def batch_sizes(self, batch_size: int) -> tuple[int, ...]:
        """Returns how many sequences a batch of each of `shapes` has, if `batch_size` on average."""
        return (batch_size,)

    def probabilities(self, progress: jax.Array) -> jax.Array:
        """Returns how often batches are of each of `shapes`, `[shapes]`, in any unit.

        Args:
          progress: as in `Task.episode`.
        """
        return jnp.ones(1)

    def run_files(self) -> dict[str, str]:
        """Returns texts to write into a run's folder, by file name."""
        return {}

    # Evaluation

    def held_out(self) -> Task:
        """Returns a task of one shape whose episodes training does not draw."""
        return self.task

    def evaluation_shapes(self, episodes: int) -> tuple[tuple[Task, int], ...]:
        """Returns the shapes of an evaluation, each with its number of episodes.

        Args:
          episodes: the number to evaluate.
        """
        return ((self.task, episodes),)

    def evaluation_batch(
        self, key: jax.Array, first: jax.Array, episodes: int, batch_size: int
    ) -> Batch:
        """Draws a batch of an evaluation's episodes.

        Args:
          key: decides what is random.
          first: `[]`, the number of the batch's first episode.
          episodes: how many the evaluation has of this shape.
          batch_size: B, the number of episodes. Those of the last batch beyond `episodes` are ignored.
        """
        return self.task.sample(key, batch_size)

    def episode_statistics(self, batch: Batch, logits: jax.Array) -> dict[str, jax.Array]:
        """Returns what `summarise` needs of each episode beside its cost, each `[B, ...]`.

        Args:
          batch: from `evaluation_batch`.
          logits: `[T, B, out]`.
        """
        return {}

    def summarise(self, statistics: dict[str, np.ndarray]) -> dict[str, float]:
        """Returns more fields for a case of `evaluation.json`, from all `episode_statistics` `[E, ...]`."""
        return {}

    def symbol_names(self, symbols: np.ndarray) -> list[str]:
        """Returns how a figure writes input symbols `[T]`, for tasks of symbols: their numbers, unless overridden."""
        return [str(symbol) for symbol in symbols]

    def picture(self, batch: Batch, logits: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Returns inputs, targets and probabilities as a figure shows them, in the task's `channels`.

        Args:
          batch: one episode, `[T, in]`, `[T, out]`, `[T]`.
          logits: `[T, out]`.
        """
        return batch.inputs, batch.targets, jax.nn.sigmoid(logits)
