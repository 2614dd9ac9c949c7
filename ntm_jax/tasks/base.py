"""What every task is: a pure function from a random key to a batch of episodes, and its evaluation cases."""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from ntm_jax.errors import UserError
from ntm_jax.tasks import losses


@struct.dataclass
class Batch:
    """Episodes, time-major and padded to the task's longest; one episode alone has no `B` axis."""

    inputs: jax.Array  # [T, B, in]; of symbols [T, B, 1], whole numbers
    targets: jax.Array  # [T, B, out], 0 or 1; of symbols [T, B, 1], whole numbers
    mask: jax.Array  # [T, B], 1 where the output is scored


@dataclass(frozen=True)
class Case:
    """A named difficulty to evaluate at."""

    name: str
    difficulty: Mapping[str, int | str]
    task: "Task"


@dataclass(frozen=True)
class Task(ABC):
    """A kind of episode at some range of difficulties, the dataclass's fields.

    Every subclass draws one episode with static shapes, so that `jit`, `vmap` and `scan` run over it.
    """

    name: ClassVar[str]
    outputs: ClassVar[losses.Outputs] = losses.BITS
    episodes_at_once: ClassVar[int] = 100  # in evaluation

    @property
    @abstractmethod
    def input_size(self) -> int:
        """Width of the inputs."""

    @property
    @abstractmethod
    def output_size(self) -> int:
        """Width of the outputs."""

    @property
    @abstractmethod
    def steps(self) -> int:
        """T, the length of the longest episode."""

    @abstractmethod
    def episode(self, key: jax.Array, progress: jax.Array) -> Batch:
        """One episode, `[T, in]`, `[T, out]`, `[T]`, at a difficulty drawn from the range.

        Args:
          key: decides everything about the episode.
          progress: `[]` in [0, 1], the share of the range that a curriculum has opened; 1 is all of it.
        """

    @abstractmethod
    def cases(self) -> list[Case]:
        """The evaluation's cases, in range and beyond it; the paper's, at least."""

    def sample(
        self,
        key: jax.Array,
        batch_size: int,
        progress: jax.Array | float = 1.0,
        part: Callable[[jax.Array], jax.Array] = lambda keys: keys,
    ) -> Batch:
        """A batch of independent episodes.

        Args:
          key: decides everything.
          batch_size: B.
          progress: see `episode`.
          part: which of the episodes' keys `[B]` to draw, if not all.
        """
        keys = part(jax.random.split(key, batch_size))
        return jax.vmap(self.episode, in_axes=(0, None), out_axes=1)(keys, jnp.asarray(progress))

    @property
    def most_steps(self) -> int:
        """What `steps` is at most, by the fields alone; no data is read for it."""
        return self.steps

    # What tasks have whose episodes are of very different lengths, or not without end.

    @property
    def shapes(self) -> tuple["Task", ...]:
        """The tasks, each with static shapes of its own, from which batches are drawn; most tasks have one."""
        return (self,)

    @property
    def early(self) -> "Task":
        """What training draws from until a curriculum comes to what is left for the last; it has as many `shapes`."""
        return self

    def shares(self, progress: jax.Array, late: jax.Array) -> jax.Array:
        """`[shapes]`, how often training's batches are of each of `shapes`, in any unit.

        Args:
          progress: as in `episode`.
          late: `[]`, whether the update has come from which on a curriculum draws what is left for later.
        """
        return jnp.ones(1)

    def sequences(self, batch_size: int) -> tuple[int, ...]:
        """How many sequences a training batch of each of `shapes` has, if `batch_size` on average."""
        return (batch_size,)

    @property
    def answer_steps(self) -> int:
        """From an episode's first scored step to the last, at most."""
        return self.steps

    def tests(self, episodes: int) -> tuple[tuple["Task", int], ...]:
        """What an evaluation of so many episodes consists of: tasks of one shape, and episodes of each."""
        return ((self, episodes),)

    def test_batch(self, key: jax.Array, first: jax.Array, episodes: int, batch_size: int) -> Batch:
        """A batch of an evaluation's episodes.

        Args:
          key: decides what is random.
          first: `[]`, the number of its first episode.
          episodes: how many the evaluation has, of this shape.
          batch_size: B. What the last batch has beyond `episodes` does not count.
        """
        return self.sample(key, batch_size)

    def unseen(self) -> "Task":
        """What a glance beside training is to be at: of one shape, and not what is trained on, where that ends."""
        return self

    def measures(self, batch: Batch, logits: jax.Array) -> dict[str, jax.Array]:
        """What `report` needs of an evaluation's episodes beside their costs, each `[B, ...]`.

        Args:
          batch: of `test_batch`.
          logits: `[T, B, out]`.
        """
        return {}

    def report(self, measures: dict[str, np.ndarray]) -> dict[str, float]:
        """More fields for a case of `evaluation.json`, from the `measures` of all its episodes, `[E, ...]`."""
        return {}

    def picture(self, batch: Batch, logits: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """An episode as a figure shows it: channels put in, expected and said, `[T, in]`, `[T, out]`, `[T, out]`.

        Args:
          batch: one episode, `[T, in]`, `[T, out]`, `[T]`.
          logits: `[T, out]`.
        """
        return batch.inputs, batch.targets, jax.nn.sigmoid(logits)

    def records(self) -> dict[str, str]:
        """Texts that belong to a run beside its config, by the file's name: what its numbers stand for."""
        return {}

    def optimal_nats(self, batch: Batch) -> jax.Array | None:
        """`[B]`, the cost of the best possible predictor on these episodes, where one is known."""
        return None

    def at(self, **difficulty: int | str) -> Self:
        """This task with other fields."""
        return dataclasses.replace(self, **difficulty)


def require(ok: bool, message: str) -> None:
    """Raises `UserError` with `message` unless `ok`."""
    if not ok:
        raise UserError(message)


def require_range(what: str, low: int, high: int, least: int = 1) -> None:
    """Raises `UserError` unless `least <= low <= high`, for the fields `min_<what>` and `max_<what>`."""
    require(low >= least, f"task.min_{what}: {low} is given, at least {least} is needed")
    require(high >= low, f"task.max_{what}: {high} is given, below task.min_{what}, which is {low}")


def draw_between(key: jax.Array, low: int, high: int, progress: jax.Array) -> jax.Array:
    """A whole number `[]` from `low` to `high`, or to what a curriculum has opened of that range."""
    return jax.random.randint(key, (), low, opened(low, high, progress) + 1)


def opened(low: int, high: int, progress: jax.Array) -> jax.Array:
    """The highest of `low` to `high`, `[]`, that a curriculum has opened: `high` at progress 1."""
    return low + jnp.round((high - low) * jnp.clip(progress, 0, 1)).astype(jnp.int32)


def random_bits(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Fair bits as float32."""
    return jax.random.bernoulli(key, shape=shape).astype(jnp.float32)


def random_vectors(key: jax.Array, shape: tuple[int, int], zeros: int) -> jax.Array:
    """Vectors `[L, width]` of fair bits, but of so many percent of them as `zeros` says all bits are 0."""
    nothing = jax.random.bernoulli(jax.random.fold_in(key, 1), zeros / 100, (shape[0], 1))
    return jnp.where(nothing, 0, random_bits(key, shape))


def rows_from(source: jax.Array, positions: jax.Array, present: jax.Array) -> jax.Array:
    """`source[positions]` where `present`, else zeros: how an episode places vectors in time.

    Args:
      source: `[L, width]`.
      positions: `[T]`, which row stands at each step; any value where not present.
      present: `[T]`, booleans.

    Returns:
      `[T, width]`.
    """
    rows = source[jnp.clip(positions, 0, source.shape[0] - 1)]
    return jnp.where(present[:, None], rows, 0)


def flag(present: jax.Array) -> jax.Array:
    """A channel `[T, 1]` that is 1 where `present` `[T]`."""
    return present.astype(jnp.float32)[:, None]
