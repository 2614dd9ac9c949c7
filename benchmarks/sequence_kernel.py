"""Measures plain, scan and both kernels side by side on this device: `python -m benchmarks.sequence_kernel`.

Plain is `flax.nnx.RNN` with a dispatch per update, as in `benchmarks.training_speed`. The others are the trainer with
`model.engine` scan, kernel and step_kernel. All train the same model on the same episodes, in turn. First, each kernel's
gradient is compared with the scan's. Without a GPU the kernels would be interpreted, so they are not
measured there.

Two columns compare the fastest path with this device's rates: its products with the rate of a large float32 product,
and the memories of all steps, stored once and loaded once, with the rate of a large copy.
"""

import dataclasses
import itertools
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from benchmarks import training_speed
from ntm_jax import config as configs
from ntm_jax.cli import Parser, run_program
from ntm_jax.errors import UserError
from ntm_jax.models import engine
from ntm_jax.storage.files import write_atomically
from ntm_jax.training import progress
from ntm_jax.training.trainer import Trainer, TrainState

SETTINGS = {
    **training_speed.SETTINGS,
    "recall ntm-lstm 4": (
        *("associative_recall", "ntm-lstm"),
        ("task.min_items=6", "model.read_heads=4", "model.write_heads=4"),
    ),
}
BATCHES = (1, 16, 64, 256, 1024, 4096)
KERNELS = ("kernel", "step_kernel")
COMPARED = (4, 256)  # batches; kernels have fewer threads for many sequences
AGREEMENT = 1e-4  # a larger relative difference of the gradients is an error of the kernel

Run = Callable[[TrainState, int], TrainState]


def config_of(name: str, batch_size: int, which: str) -> ConfigDict:
    """Returns the config of a setting, without the penalties that the plain path does not have."""
    task, model, overrides = SETTINGS[name]
    return configs.load(
        f"{training_speed.CONFIGS / task}.py:{model}",
        [
            *overrides,
            f"train.batch_size={batch_size}",
            "train.blur_penalty=0",
            "train.write_penalty=0",
            "optimizer.schedule=constant",
            f"model.engine={which}",
        ],
    )


def paths(name: str, batch_size: int, engines: Sequence[str]) -> tuple[dict[str, Run], Trainer]:
    """Returns functions that run updates, and the trainer that scans."""
    trainers = {which: Trainer(config_of(name, batch_size, which)) for which in engines}
    update = training_speed.plain_update(trainers["scan"])

    def plain(state: TrainState, updates: int) -> TrainState:
        for _ in range(updates):
            state = update(state)
        return state

    def compiled(trainer: Trainer) -> Run:
        return lambda state, updates: trainer.run(state, jnp.int32(updates))

    runs = {which: compiled(trainer) for which, trainer in trainers.items()}
    return {"plain": plain, **runs}, trainers["scan"]


def difference(name: str, batch_size: int, which: str) -> float:
    """Returns the relative difference of a kernel's gradient of a batch from the scan's, the largest of all arrays.

    An array counts as large as a thousandth of the whole gradient at least.
    """
    gradients = []
    for one in ("scan", which):
        trainer = Trainer(config_of(name, batch_size, one))
        gradients.append(jax.jit(trainer.total_gradient)(trainer.initial_state())[0])
    scan, kernel = (jax.tree.leaves(gradient) for gradient in gradients)
    sizes = [float(jnp.linalg.norm(leaf)) for leaf in scan]
    least = 1e-3 * max(sizes)
    errors = [float(jnp.linalg.norm(a - b)) for a, b in zip(scan, kernel, strict=True)]
    return max(error / max(size, least) for error, size in zip(errors, sizes, strict=True))


def launches(planes: Iterable[Any]) -> int | None:
    """Counts what was launched on GPUs, in the planes of a profile; None if there is no GPU in it."""
    streams = [
        line
        for plane in planes
        if plane.name.startswith("/device:GPU")
        for line in plane.lines
        if line.name.startswith("Stream")
    ]
    return sum(1 for line in streams for _ in line.events) if streams else None


def launches_per_update(run: Run, state: TrainState, updates: int = 8) -> float | None:
    """Profiles some updates from a state; None where the profiler sees no GPU."""
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            jax.block_until_ready(run(state, updates))  # type: ignore[no-untyped-call]
        (file,) = Path(folder).rglob("*.xplane.pb")
        count = launches(jax.profiler.ProfileData.from_file(str(file)).planes)
    return None if count is None else count / updates


@dataclass(frozen=True)
class Rates:
    """What this device does in a second."""

    flops: float  # of a float32 matrix product
    bytes: float  # read and written by a copy

    @classmethod
    def measured(cls, size: int) -> "Rates":
        """Measures a product of `[size, size]` matrices and a copy of one, best of 10."""
        matrix = jnp.ones((size, size))
        copy = training_speed.best_seconds(lambda x: x + 1, matrix)
        return cls(1e9 * training_speed.matrix_product_gflops(size), 2 * matrix.nbytes / copy)

    def shares(self, trainer: Trainer, seconds: float) -> dict[str, float]:
        """Returns the shares of these rates that an update of so many seconds has."""
        config, task = trainer.config, trainer.task
        flops = training_speed.flops_per_step(config, task.input_size, task.output_size)
        moved = 2 * 4 * config.model.memory_size * config.model.word_size
        steps = config.train.batch_size * task.steps / seconds
        return {
            "share_of_products": flops * steps / self.flops,
            "share_of_copies": moved * steps / self.bytes,
        }


def measure(
    name: str, batch_size: int, engines: Sequence[str], rounds: int, seconds: float, rates: Rates
) -> dict[str, Any]:
    """Measures the paths in turn, `rounds` times each, for about `seconds` each time.

    Returns:
      For each path its median sequences per second, its launches per update, the seconds of its compilation and its
      shares of the device's rates.
      For each kernel, how many times as fast as the scan it is in each round, from the least on.
    """
    runs, trainer = paths(name, batch_size, engines)

    def timed(path: str, updates: int) -> float:
        state = jax.block_until_ready(trainer.initial_state())  # type: ignore[no-untyped-call]
        start = time.perf_counter()
        jax.block_until_ready(runs[path](state, updates))  # type: ignore[no-untyped-call]
        return time.perf_counter() - start

    compilation = {path: timed(path, 1) for path in runs}
    updates = {path: max(2, round(seconds / max(timed(path, 2) / 2, 1e-5))) for path in runs}
    times = [
        {path: timed(path, updates[path]) / updates[path] for path in runs} for _ in range(rounds)
    ]
    medians = {path: statistics.median(each[path] for each in times) for path in runs}
    row: dict[str, Any] = {"setting": name, "batch_size": batch_size}
    for path in runs:
        row[path] = {
            "sequences_per_second": batch_size / medians[path],
            "microseconds_per_step": 1e6 * medians[path] / trainer.task.steps,
            "compile_seconds": compilation[path],
            "launches_per_update": launches_per_update(runs[path], trainer.initial_state()),
            **rates.shares(trainer, medians[path]),
        }
    for path in KERNELS:
        if path in runs:
            row[path]["times_the_scan"] = sorted(each["scan"] / each[path] for each in times)
    return row


HEADING = (
    f"{'setting':<18}{'batch':>6}{'plain':>12}{'scan':>12}{'kernel':>12}{'step_kernel':>12}"
    f"{'kernel / scan':>22}{'step_kernel / scan':>22}{'of products':>13}{'of copies':>11}"
    "   launches an update"
)


def line(row: dict[str, Any]) -> str:
    """Returns a row as a line of the table under `HEADING`: sequences per second."""
    speeds, ratios, counts = [], [], []
    every = {path: row.get(path) for path in ("plain", "scan", *KERNELS)}
    for path, measured in every.items():
        speeds.append(f"{measured['sequences_per_second']:,.0f}" if measured else "-")
        count = measured and measured["launches_per_update"]
        counts.append("-" if count is None else f"{count:.0f}")
        if path in KERNELS:
            ratios.append(_median_and_range(measured["times_the_scan"]) if measured else "-")
    fastest = max(filter(None, every.values()), key=lambda one: one["sequences_per_second"])
    return (
        f"{row['setting']:<18}{row['batch_size']:>6}"
        + "".join(f"{speed:>12}" for speed in speeds)
        + "".join(f"{ratio:>22}" for ratio in ratios)
        + f"{fastest['share_of_products']:>13.2%}{fastest['share_of_copies']:>11.2%}"
        + f"   {' / '.join(counts)}"
    )


def _median_and_range(sorted_values: Sequence[float]) -> str:
    return (
        f"{statistics.median(sorted_values):.2f} ({sorted_values[0]:.2f} - {sorted_values[-1]:.2f})"
    )


def benchmark(
    names: Sequence[str], batches: Sequence[int], rounds: int, seconds: float, out: Path | None
) -> None:
    """Compares gradients, then measures. Prints and saves each row as it is measured.

    Args:
      names: keys of `SETTINGS`.
      batches: batch sizes.
      rounds: of measurements per setting and batch size.
      seconds: approximate length of a measurement.
      out: where to write the rows measured so far, as JSON, after each row.

    Raises:
      UserError: a kernel's gradient is not the scan's.
    """
    device, on_gpu = jax.devices()[0], jax.default_backend() == "gpu"
    result: dict[str, Any] = {
        "device": device.device_kind,
        "jax": jax.__version__,
        "differences": {},
        "rows": [],
    }

    def show(text: str) -> None:
        progress.say(text)
        if out is not None:
            write_atomically(out, (json.dumps(result, indent=2) + "\n").encode())

    show(f"{device.device_kind}, jax {jax.__version__}")
    if on_gpu:
        for name, which, batch in itertools.product(names, KERNELS, COMPARED):
            size = difference(name, batch, which)
            result["differences"][f"{name}, {which}, batch {batch}"] = size
            show(f"{name}, batch {batch}: the gradient of {which} differs by {size:.1e}")
    else:
        show("no GPU: the kernels are not measured")
    wrong = [name for name, size in result["differences"].items() if not size <= AGREEMENT]
    if wrong:
        raise UserError(f"the gradient is wrong on this device: {', '.join(wrong)}")
    engines = ("scan", *KERNELS) if on_gpu else ("scan",)
    cases = [(name, batch) for name in names for batch in batches]
    rates = Rates.measured(8192 if on_gpu else 1024)
    result["rates"] = dataclasses.asdict(rates)
    show(f"products: {rates.flops / 1e9:,.0f} GFLOP/s; copies: {rates.bytes / 1e9:,.0f} GB/s")
    show(HEADING)
    with closing(progress.bar("kernel", len(cases), "setting")) as bar:
        for done, (name, batch) in enumerate(cases, 1):
            result["rows"].append(measure(name, batch, engines, rounds, seconds, rates))
            show(line(result["rows"][-1]))
            bar.move_to(done, f"{name}, batch {batch}")
    if on_gpu and device.device_kind not in engine.SHOWN_TO_WORK:
        show(f"to choose the kernel by auto here, add {device.device_kind!r} to SHOWN_TO_WORK")


def run(arguments: Sequence[str]) -> None:
    """Runs the program with these command-line arguments."""
    parser = Parser("python -m benchmarks.sequence_kernel", __doc__)
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="also write each row here")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each path (5)")
    parser.add_argument("--seconds", type=float, default=1.0, help="about, a measurement (1)")
    parser.add_argument("--only", choices=sorted(SETTINGS), nargs="*", help="some of the settings")
    parser.add_argument("--batches", type=int, nargs="*", default=BATCHES, help="batch sizes")
    options = parser.parse_args(arguments)
    if options.rounds < 1 or not options.seconds > 0 or min(options.batches, default=1) < 1:
        raise UserError("--rounds, --seconds and --batches: must be more than 0")
    names = options.only or list(SETTINGS)
    benchmark(names, options.batches or BATCHES, options.rounds, options.seconds, options.out)


if __name__ == "__main__":
    run_program(run)
