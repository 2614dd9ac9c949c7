"""How the cost of a gradient grows with steps, rows, words and heads, beside the plain path: a part of `benchmarks.training_speed`.

The plain path is `flax.nnx.RNN` over the cell. Time is a call's, compilation left out; memory is what XLA
sets aside for it beside arguments and results.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from tqdm import tqdm

from ntm_jax import config as configs
from ntm_jax import models
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
    """What one size costs."""

    axis: str
    size: int
    seconds: float  # of a gradient, median
    plain_seconds: float
    bytes: int
    plain_bytes: int


def growth(rounds: int) -> list[dict[str, Any]]:
    """A point for each size in `AXES`, all else as usual; `rounds` calls of either path, in turn."""
    sizes = [(axis, size) for axis, sizes in AXES.items() for size in sizes]
    progress = tqdm(sizes, desc="growth", unit="size", dynamic_ncols=True)
    return [asdict(measure(axis, size, rounds)) for axis, size in progress]


def measure(axis: str, size: int, rounds: int) -> Point:
    """One point."""
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


def lines(points: Sequence[dict[str, Any]]) -> list[str]:
    """The points for people."""
    result = [f"{'gradient, batch 4':<24}{'ms':>10}{'plain':>10}{'MiB':>10}{'plain':>10}"]
    for point in points:
        times = [1e3 * point[name] for name in ("seconds", "plain_seconds")]
        memory = [point[name] / 2**20 for name in ("bytes", "plain_bytes")]
        title = f"{point['axis']} {point['size']}".replace("_", " ")
        result.append(f"{title:<24}" + "".join(f"{value:>10.1f}" for value in [*times, *memory]))
    return result
