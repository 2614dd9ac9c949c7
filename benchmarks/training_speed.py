"""Measures the speed of training and of the plain path in the same run: `python -m benchmarks.training_speed`.

The plain path does not use this project's loops. It is `flax.nnx.RNN` over the cell, with one jitted
dispatch per update. Both paths train the same model on the same episodes with the same optimiser, in turn.
"""

import json
import os
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from ml_collections import ConfigDict

from benchmarks import gradient_scaling, sweep_throughput
from ntm_jax import config as configs
from ntm_jax import tasks
from ntm_jax.cli import Parser, run_program
from ntm_jax.errors import UserError
from ntm_jax.storage.files import write_atomically
from ntm_jax.tasks import losses
from ntm_jax.training import progress
from ntm_jax.training.trainer import Trainer, TrainState

CONFIGS = Path(__file__).parents[1] / "configs"
PAPERS_SORT = (
    *("model.read_heads=8", "model.write_heads=8", "model.memory_size=128"),
    *("model.reads_from=written", "model.shared_weighting=False"),
)
# Name -> config file, model and overrides.
SETTINGS: dict[str, tuple[str, str, Sequence[str]]] = {
    "copy ntm-ff": ("copy", "ntm-ff", ("task.min_length=20", "model.memory_size=128")),
    "copy ntm-lstm": ("copy", "ntm-lstm", ("task.min_length=20", "model.memory_size=128")),
    "recall ntm-ff": ("associative_recall", "ntm-ff", ("task.min_items=6",)),
    "sort ntm-ff": ("priority_sort", "ntm-ff", PAPERS_SORT),
}
BATCHES = (1, 4, 16, 64)


def plain_update(trainer: Trainer) -> Callable[[TrainState], TrainState]:
    """Returns a jitted update of `trainer`'s model with `nnx.RNN` in place of `unroll`."""

    def loss(parameters: Any, batch: tasks.Batch) -> jax.Array:
        cell = nnx.merge(trainer.structure, parameters)
        logits = nnx.RNN(cell, time_major=True)(batch.inputs)  # type: ignore[arg-type]
        return jnp.mean(losses.sequence_nats(logits, batch.targets, batch.mask))

    @jax.jit
    def update(state: TrainState) -> TrainState:
        key = jax.random.fold_in(jax.random.key(trainer.config.seed), state.update)
        batch = trainer.task.sample(key, trainer.config.train.batch_size)
        gradient = jax.grad(loss)(state.parameters, batch)
        steps, optimizer = trainer.optimizer.update(gradient, state.optimizer, state.parameters)
        parameters = optax.apply_updates(state.parameters, steps)
        return replace(state, update=state.update + 1, parameters=parameters, optimizer=optimizer)

    return update


def flops_per_step(config: ConfigDict, input_size: int, output_size: int) -> float:
    """Returns the floating-point operations per step and sequence, forward and backward.

    They are counted from the algorithm. Only products count, as 2 operations each. They are the layers, 4 passes
    over the memory for each head (content or read, erase, add) and one for the norms of the rows. A backward pass
    counts as two forward passes. Exponentials and the like are not counted.
    """
    model = config.model
    reads = model.read_heads * model.word_size
    gates = 4 if model.controller == "lstm" else 1
    heads = model.read_heads + model.write_heads
    raw = heads * (model.word_size + 3 + 2 * model.shift_range + 1)
    raw += 2 * model.write_heads * model.word_size
    layers, size = model.controller_layers, model.controller_size
    recurrent = size if model.controller == "lstm" else 0
    controller = gates * size * (input_size + reads + recurrent)
    controller += gates * size * 2 * size * (layers - 1)
    linear = controller + size * raw + (size + reads) * output_size
    memory = model.memory_size * model.word_size * (2 * heads + 2 * model.write_heads + 1)
    return 3.0 * 2.0 * (linear + memory)


def measure(name: str, batch_size: int, rounds: int, seconds: float) -> dict[str, Any]:
    """Measures both paths in turn, `rounds` times each, for about `seconds` each time.

    Returns:
      Medians of both paths, and the median, least and greatest ratio of the pairs.
    """
    task, model, overrides = SETTINGS[name]
    config = configs.load(
        f"{CONFIGS / task}.py:{model}",
        [
            *overrides,
            f"train.batch_size={batch_size}",
            "train.blur_penalty=0",  # the plain path has neither penalty
            "train.write_penalty=0",
            "optimizer.schedule=constant",
        ],
    )
    trainer = Trainer(config)
    plain = plain_update(trainer)

    def ours(state: TrainState, updates: int) -> TrainState:
        return jax.block_until_ready(trainer.run(state, jnp.int32(updates)))  # type: ignore[no-untyped-call]

    def theirs(state: TrainState, updates: int) -> TrainState:
        for _ in range(updates):
            state = plain(state)
        return jax.block_until_ready(state)  # type: ignore[no-untyped-call]

    def timed(path: Callable[[TrainState, int], TrainState], updates: int) -> float:
        state = jax.block_until_ready(trainer.initial_state())  # type: ignore[no-untyped-call]
        start = time.perf_counter()
        path(state, updates)
        return time.perf_counter() - start

    compile_seconds = timed(ours, 1)
    timed(theirs, 1)
    updates = max(2, round(seconds / max(timed(theirs, 2) / 2, 1e-5)))
    pairs = [(timed(ours, updates), timed(theirs, updates)) for _ in range(rounds)]
    each = statistics.median(pair[0] for pair in pairs) / updates
    steps = trainer.task.steps * batch_size
    flops = flops_per_step(config, trainer.task.input_size, trainer.task.output_size) * steps
    ratios = sorted(theirs / ours for ours, theirs in pairs)
    return {
        "setting": name,
        "batch_size": batch_size,
        "updates_per_second": 1 / each,
        "sequences_per_second": batch_size / each,
        "microseconds_per_step_and_sequence": 1e6 * each / steps,
        "plain_microseconds_per_step_and_sequence": 1e6
        * statistics.median(pair[1] for pair in pairs)
        / updates
        / steps,
        "times_the_plain_path": statistics.median(ratios),
        "times_the_plain_path_least": ratios[0],
        "times_the_plain_path_most": ratios[-1],
        "gflops_per_second": flops / each / 1e9,
        "compile_seconds": compile_seconds,
    }


def best_seconds(function: Callable[[jax.Array], jax.Array], argument: jax.Array) -> float:
    """Measures the seconds of a compiled function, best of 10."""
    compiled, times = jax.jit(function), []
    compiled(argument).block_until_ready()
    for _ in range(10):
        start = time.perf_counter()
        compiled(argument).block_until_ready()
        times.append(time.perf_counter() - start)
    return min(times)


def matrix_product_gflops(size: int = 1024) -> float:
    """Measures the GFLOP/s of a product of two `[size, size]` matrices in float32, best of 10."""
    seconds = best_seconds(lambda x: jnp.matmul(x, x, precision="highest"), jnp.ones((size, size)))
    return 2 * size**3 / seconds / 1e9


def benchmark(rounds: int, seconds: float, names: Sequence[str], out: Path | None) -> None:
    """Measures everything, and prints and saves each row as it is measured.

    Args:
      rounds: pairs per setting.
      seconds: approximate length of a measurement.
      names: keys of `SETTINGS`.
      out: where to write the rows measured so far, as JSON, after each row.
    """
    peak = matrix_product_gflops()
    result: dict[str, Any] = {
        "cores": os.cpu_count(),
        "jax": jax.__version__,
        "matrix_product_gflops": peak,
        "settings": [],
        "growth": [],
    }

    def show(line: str) -> None:
        progress.say(line)
        if out is not None:
            write_atomically(out, (json.dumps(result, indent=2) + "\n").encode())

    cases = [(name, batch) for name in names for batch in BATCHES]
    show(f"matrix product: {peak:.0f} GFLOP/s\n{HEADING}")
    with closing(progress.bar("training speed", len(cases), "setting")) as bar:
        for done, (name, batch) in enumerate(cases, 1):
            row = measure(name, batch, rounds, seconds)
            row["share_of_matrix_product"] = row["gflops_per_second"] / peak
            result["settings"].append(row)
            show(line(row))
            bar.move_to(done, f"{name}, batch {batch}")
    show(gradient_scaling.HEADING)
    for point in gradient_scaling.growth(rounds):
        result["growth"].append(point)
        show(gradient_scaling.line(point))
    result["sweep"] = sweep_throughput.measure(rounds)
    show(sweep_throughput.line(result["sweep"]))
    if out is not None:
        from ntm_jax.evaluation import canvas, figures

        canvas.save(figures.growth(result["growth"]), out.with_suffix(".png"))


HEADING = (
    f"{'setting':<16}{'batch':>6}{'sequences/s':>13}{'us/step/seq':>13}{'plain':>8}"
    f"{'times plain':>22}{'GFLOP/s':>9}{'share':>7}{'compile s':>11}"
)


def line(row: dict[str, Any]) -> str:
    """Returns a setting's row as a line of the table under `HEADING`."""
    ratio = (
        f"{row['times_the_plain_path']:.2f} ({row['times_the_plain_path_least']:.2f}"
        f" - {row['times_the_plain_path_most']:.2f})"
    )
    return (
        f"{row['setting']:<16}{row['batch_size']:>6}{row['sequences_per_second']:>13.0f}"
        f"{row['microseconds_per_step_and_sequence']:>13.2f}"
        f"{row['plain_microseconds_per_step_and_sequence']:>8.2f}{ratio:>22}"
        f"{row['gflops_per_second']:>9.1f}{row['share_of_matrix_product']:>7.1%}"
        f"{row['compile_seconds']:>11.1f}"
    )


def run(arguments: Sequence[str]) -> None:
    """Runs the program with these command-line arguments."""
    parser = Parser("python -m benchmarks.training_speed", __doc__)
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE.json",
        help="also write what is measured here, row by row, and at the end a chart of how costs grow beside it",
    )
    parser.add_argument("--rounds", type=int, default=5, help="pairs a setting (5)")
    parser.add_argument("--seconds", type=float, default=1.0, help="about, a measurement (1)")
    parser.add_argument("--only", choices=sorted(SETTINGS), nargs="*", help="some of the settings")
    options = parser.parse_args(arguments)
    if options.rounds < 1 or not options.seconds > 0:
        raise UserError("--rounds and --seconds: must be more than 0")
    benchmark(options.rounds, options.seconds, options.only or list(SETTINGS), options.out)


if __name__ == "__main__":
    run_program(run)
