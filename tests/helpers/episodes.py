"""Batches of a task's episodes: drawn once, compared, and written down step by step."""

import functools
import math
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from ntm_jax.tasks import Batch, Task
from tests.helpers.compiling import QUICK

# Every batch that is drawn here, in one size: compiling takes longer than drawing.
EPISODES = 1000

# Statistical tests run on fixed seeds; a right task is nowhere this many standard deviations off.
UNLIKELY = 4.5


@functools.cache
def sampler(task: Task):
    return jax.jit(task.sample, static_argnums=1, compiler_options=QUICK)


@functools.cache
def sample(task: Task, progress: float = 1.0, seed: int = 0) -> Batch:
    """A batch of `EPISODES`, as NumPy arrays."""
    batch = sampler(task)(jax.random.key(seed), EPISODES, jnp.float32(progress))
    return jax.tree.map(np.asarray, batch)


def first(n: int, batch: Batch) -> Iterator[Batch]:
    """The first `n` episodes of a batch, one by one."""
    for b in range(n):
        yield jax.tree.map(lambda array, b=b: array[:, b], batch)


def assert_equal(batch: Batch, expected: Batch) -> None:
    """Equal but for the rounding of the two inputs that are not bits: a scalar count, a priority."""
    np.testing.assert_allclose(batch.inputs, expected.inputs, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(batch.targets, expected.targets)
    np.testing.assert_array_equal(batch.mask, expected.mask)


def row(width: int, vector=(), channel: int | None = None, value: float = 1.0) -> np.ndarray:
    """A step's channels: a vector first, one other channel set."""
    channels = np.zeros(width)
    channels[: len(vector)] = vector
    if channel is not None:
        channels[channel] = value
    return channels


def padded(task: Task, steps: list) -> Batch:
    """The steps as one episode, padded with zeros that are not scored."""
    inputs = np.zeros((task.steps, task.input_size))
    targets = np.zeros((task.steps, task.output_size))
    mask = np.zeros(task.steps)
    for step, (given, answer) in enumerate(steps):
        inputs[step] = given
        if answer is not None:
            targets[step] = answer
            mask[step] = 1
    return Batch(inputs, targets, mask)


def only(channel: np.ndarray) -> int:
    """The one step where a channel is not zero."""
    (step,) = np.flatnonzero(channel)
    return int(step)


def assert_evenly(values: np.ndarray, among: range) -> None:
    """Every one of `among` about equally often, nothing else."""
    n, share = len(values), 1 / len(among)
    assert set(values) <= set(among)
    counts = np.array([np.sum(values == value) for value in among])
    assert counts.min() > 0
    assert np.abs(counts - n * share).max() <= UNLIKELY * math.sqrt(n * share * (1 - share))
