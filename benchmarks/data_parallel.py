"""Computes and measures the speedup of sharing batches among devices: `python -m benchmarks.data_parallel`.

An update computes, and then sums one buffer over the K devices. The sum cannot overlap the computation, because the
gradient is complete only when backpropagation reaches the first step:

    compute = b T flops / rate            b sequences of T steps on each device
    sum     = 2 (K-1) latency + 2 (K-1)/K bytes / bandwidth        ring all-reduce
    efficiency = compute / (compute + sum)
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from flax import nnx
from ml_collections import ConfigDict

from benchmarks import training_speed
from ntm_jax import config as configs
from ntm_jax import models, tasks
from ntm_jax.cli import Parser, config_overrides, run_program
from ntm_jax.errors import UserError
from ntm_jax.models.token_model import Embedded
from ntm_jax.training import metrics
from scripts.publish_results import MODELS

CONFIGS = Path(__file__).parents[1] / "configs"
BYTES = 4  # per number, float32 in every setting
COSTS = 2  # numbers summed together with the gradient
DEVICES = (2, 8, 256)
EVERY = 10**9  # episodes: all of them, for tasks with a finite number


@dataclass(frozen=True)
class Link:
    """The connection between the devices."""

    name: str
    bandwidth: float  # bytes per second, each way
    latency: float  # seconds per message

    def seconds(self, size: int, devices: int) -> float:
        """Returns the seconds of a ring all-reduce of `size` bytes."""
        moved = 2 * (devices - 1) / devices * size
        return 2 * (devices - 1) * self.latency + moved / self.bandwidth


LINKS = (
    Link("1 Gbit/s", 0.125e9, 50e-6),
    Link("100 Gbit/s", 12.5e9, 10e-6),
    Link("in a machine", 100e9, 2e-6),
)


@dataclass(frozen=True)
class Work:
    """The work of one update of a config's model."""

    name: str
    parameters: int
    steps: float  # per sequence, mean
    flops: float  # per sequence, forward and backward

    @property
    def bytes(self) -> int:
        """Returns the bytes summed over the devices in each update."""
        return BYTES * (self.parameters + COSTS)

    def efficiency(self, link: Link, devices: int, batch: int, rate: float) -> float:
        """Returns the share of its time that a device computes.

        Args:
          link: the connection between the devices.
          devices: how many there are.
          batch: sequences per device.
          rate: operations per second of a device.
        """
        compute = batch * self.flops / rate
        return compute / (compute + link.seconds(self.bytes, devices))


def work(config: ConfigDict) -> Work:
    """Returns the work of one update of a config.

    Raises:
      UserError: the task needs data that is missing.
    """
    task = tasks.make(config.task.name, **tasks.difficulty(config.task))
    built = nnx.eval_shape(lambda: models.build(config, task.input_size, task.output_size))
    core, symbols = (built.core, built) if isinstance(built, Embedded) else (built, None)
    if config.model.kind == "ntm":
        flops = training_speed.flops_per_step(config, core.input_size, core.output_size)
    else:  # products only, 2 operations per weight; a backward pass counts as two forward passes
        flops = 3.0 * 2.0 * models.parameter_count(core)
    drawn = task.source.evaluation_shapes(EVERY)
    sequences = sum(count for _, count in drawn)
    steps = sum(shape.steps * count for shape, count in drawn) / sequences
    flops *= steps
    if symbols is not None:  # the embedding table is the output layer at the steps of the answer
        answers = sum(shape.source.answer_steps * count for shape, count in drawn) / sequences
        flops += 3.0 * 2.0 * core.output_size * symbols.output_size * answers
    name = f"{config.task.name} {configs.model_name(config)}"
    return Work(name, models.parameter_count(built), steps, flops)


def every_work() -> Iterator[Work]:
    """Yields the work of every task and model.

    Tasks whose data is missing are skipped, and named on standard error.
    """
    paths = sorted(path for path in CONFIGS.glob("*.py") if path.stem != "base")
    for path in paths:
        try:
            for model in MODELS:
                yield work(configs.load(f"{path}:{model}"))
        except UserError as error:
            print(f"ntm_jax: without {path.stem}: {error}", file=sys.stderr)


def table(batch: int, gflops: float) -> Iterator[str]:
    """Yields the lines of the table in docs/lab_book/sharing_a_batch.md, as they are computed."""
    ends = [f"{link.name}, {k}" for link in LINKS for k in DEVICES]
    yield "| | parameters | kB summed | steps | MFLOP a sequence | " + " | ".join(ends) + " |"
    yield "| --- |" + " ---: |" * (4 + len(ends))
    for one in every_work():
        shares = [
            f"{one.efficiency(link, k, batch, gflops * 1e9):.1%}" for link in LINKS for k in DEVICES
        ]
        yield (
            f"| {one.name} | {one.parameters:,} | {one.bytes / 1e3:,.0f} | {one.steps:.0f} | {one.flops / 1e6:,.1f} | "
            + " | ".join(shares)
            + " |"
        )


# ---- Measured


def measure(config: str, overrides: Sequence[str], count: int, updates: int, port: int) -> float:
    """Returns the sequences per second of `count` processes with one core each.

    The first quarter of the updates is not counted.
    """
    with tempfile.TemporaryDirectory(prefix="ntm_jax_scaling_") as folder:
        line = [sys.executable, "-m", "ntm_jax.main", "--config", config, "--workdir", folder]
        line += [*(f"--config.{override}" for override in overrides)]
        line += [f"--config.train.updates={updates}", f"--config.train.log_every={updates // 4}"]
        line += [f"--config.mesh.data={count}", "--config.evaluate.episodes=1"]
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) < count:
            raise UserError(
                f"--measure: {count} processes need as many cores, here are {len(cores)}"
            )
        together = [*("--coordinator", f"127.0.0.1:{port}", "--processes", str(count), "--process")]
        started = [
            subprocess.Popen(
                line + ([*together, str(i)] if count > 1 else []),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE if i == 0 else subprocess.DEVNULL,
                text=True,
            )
            for i in range(count)
        ]
        for core, process in zip(cores, started, strict=False):
            os.sched_setaffinity(process.pid, [core])
        said = started[0].communicate()[1]
        if any(process.wait() for process in started):
            raise UserError(f"--measure: {said.strip().splitlines()[-1]}")
        rows = metrics.read(Path(folder) / "metrics.csv")
    sequences, seconds = (rows[-1][name] - rows[0][name] for name in ("sequences", "seconds"))
    return sequences / seconds


def run(arguments: Sequence[str]) -> None:
    """Runs the program with these command-line arguments."""
    parser = Parser("python -m benchmarks.data_parallel", __doc__)
    parser.add_argument("--batch", type=int, default=16, help="sequences on each device (16)")
    parser.add_argument(
        "--gflops",
        type=float,
        default=12.0,
        help="what a device computes in a second (12: two cores)",
    )
    parser.add_argument("--measure", type=int, metavar="P", help="1 and P processes of --config")
    parser.add_argument("--config", metavar="FILE[:MODEL]", help="to measure")
    parser.add_argument("--updates", type=int, default=40, help="of a measurement (40)")
    parser.add_argument("--port", type=int, default=9911, help="where its processes meet (9911)")
    options, others = parser.parse_known_args(arguments)
    overrides = config_overrides(others)
    if options.batch < 1 or not options.gflops > 0 or options.updates < 8:
        raise UserError("--batch: at least 1; --gflops: more than 0; --updates: at least 8")
    if options.measure is None:
        for line in table(options.batch, options.gflops):
            print(line, flush=True)
        return
    if options.config is None or options.measure < 2:
        raise UserError("--measure: at least 2, with a --config")
    configs.load(options.config, [*overrides, f"mesh.data={options.measure}"])

    def speed(count: int) -> float:
        return measure(options.config, overrides, count, options.updates, options.port)

    alone = speed(1)
    print(f"1 process: {alone:.1f} sequences/s", flush=True)
    together = speed(options.measure)
    print(f"{options.measure} processes: {together:.1f}, {together / alone:.2f} times")


if __name__ == "__main__":
    run_program(run)
