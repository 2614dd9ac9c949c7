"""Measures how the cost of a gradient grows with steps, rows, words and heads.

This is a part of `benchmarks.training_speed`. The plain path, for comparison, is `flax.nnx.RNN` over the cell. Time is
that of a call, without compilation. Memory is what XLA allocates for it, without arguments and results.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from ntm_jax import config as configs
from ntm_jax import models
from ntm_jax.training import progress
from ntm_jax.training.trainer import Trainer

CONFIG = Path(__file__).parents[1] / "configs" / "copy.py"
BATCH_SIZE = 4
USUAL = {"steps": 41, "memory_size": 128, "word_size": 20, "heads": 1}  # copy at length 20
AXES: dict[str, Sequence[int]] = {
    "steps": (20, 100, 1000, 10_000),
    "memory_size": (128, 1024, 16_384),
    "word_size": (20, 40, 80),
    "heads": (1, 2, 4, 8),
}


@dataclass(frozen=True)
class Point:
    """The cost of one size."""

    axis: str
    size: int
    seconds: float  # per gradient, median
    plain_seconds: float
    bytes: int
    plain_bytes: int


def growth(rounds: int) -> Iterator[dict[str, Any]]:
    """Yields a point for each size in `AXES`, with the other sizes as in `USUAL`.

    Both paths are called `rounds` times each, in turn.
    """
    sizes = [(axis, size) for axis, sizes in AXES.items() for size in sizes]
    with closing(progress.bar("growth", len(sizes), "size")) as bar:
        for done, (axis, size) in enumerate(sizes, 1):
            yield asdict(measure(axis, size, rounds))
            bar.move_to(done)


def measure(axis: str, size: int, rounds: int) -> Point:
    """Measures one point."""
    usual = USUAL | {axis: size}
    config = configs.load(
        str(CONFIG),
        [
            *(f"model.{field}={usual[field]}" for field in ("memory_size", "word_size")),
            *(f"model.{kind}_heads={usual['heads']}" for kind in ("read", "write")),
        ],
    )
    trainer = Trainer(config)
    parameters = trainer.initial_state().parameters
    shape = usual["steps"], BATCH_SIZE, trainer.task.input_size
    inputs = jax.random.bernoulli(jax.random.key(0), shape=shape).astype(jnp.float32)

    def ours(cell: Any) -> jax.Array:
        return models.training_outputs(cell, inputs)[0]

    def plain(cell: Any) -> jax.Array:
        return nnx.RNN(cell, time_major=True)(inputs)

    def compiled(logits: Callable[[Any], jax.Array]) -> Any:
        def total(parameters: Any) -> jax.Array:
            return jnp.sum(logits(nnx.merge(trainer.structure, parameters)))

        return jax.jit(jax.grad(total)).lower(parameters).compile()

    paths = [compiled(path) for path in (ours, plain)]
    seconds = [[_seconds(path, parameters) for path in paths] for _ in range(rounds + 1)][1:]
    times = [statistics.median(of) for of in zip(*seconds, strict=True)]
    memory = [int(path.memory_analysis().temp_size_in_bytes) for path in paths]
    return Point(axis, size, times[0], times[1], memory[0], memory[1])


def _seconds(path: Callable[[Any], Any], parameters: Any) -> float:
    start = time.perf_counter()
    jax.block_until_ready(path(parameters))  # type: ignore[no-untyped-call]
    return time.perf_counter() - start


HEADING = f"{'gradient, batch 4':<24}{'ms':>10}{'plain':>10}{'MiB':>10}{'plain':>10}"


def line(point: dict[str, Any]) -> str:
    """Returns a point as a line of the table under `HEADING`."""
    times = [1e3 * point[name] for name in ("seconds", "plain_seconds")]
    memory = [point[name] / 2**20 for name in ("bytes", "plain_bytes")]
    title = f"{point['axis']} {point['size']}".replace("_", " ")
    return f"{title:<24}" + "".join(f"{value:>10.1f}" for value in [*times, *memory])
