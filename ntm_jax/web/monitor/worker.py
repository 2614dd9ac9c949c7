"""Runs the monitor's computations in a separate process.

When there are newer weights and somebody looks at the page, it runs them on episodes that no training run
draws and on the latest training episode, then rests much longer than that took. While nobody looks, it does so
twice a minute, so that whoever comes finds a curve. It also runs some of the weights on one held-out episode, the same
at every time, and keeps that in the run's folder; see `moments`.
"""

import json
import math
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from ntm_jax import config as configs
from ntm_jax import tasks
from ntm_jax.errors import UserError
from ntm_jax.evaluation import canvas, evaluate, figures
from ntm_jax.storage import weights
from ntm_jax.storage.files import write_atomically
from ntm_jax.tasks import Batch
from ntm_jax.training import curriculum, event_writer, metrics
from ntm_jax.training.curriculum import BatchSpec
from ntm_jax.web import moments
from ntm_jax.web.monitor import run_monitor
from ntm_jax.web.monitor.process import end_with_parent
from ntm_jax.web.packing import to_json
from ntm_jax.web.viewer import episodes
from ntm_jax.web.viewer.episodes import Watched

HELD_OUT = 32  # episodes of an evaluation
REST = 100  # times as long as was computed
LEAST_REST_SECONDS = 2.0
POLL_SECONDS = 0.25
LOOKING_SECONDS = 60.0  # since a page asked; then nobody looks any more
SELDOM_SECONDS = 30.0  # between two steps while nobody looks
PICTURE_SECONDS = 120.0  # between two in TensorBoard, at least


class Worker:
    """Computes what the page shows beside metrics.csv.

    Args:
      folder: the monitor's.
      workdir: the run's, where TensorBoard looks.
    """

    def __init__(self, folder: Path, workdir: Path):
        self._folder, self._workdir = folder, workdir
        config = configs.read(folder / run_monitor.CONFIG)
        self._task = tasks.make(config.task.name, **tasks.difficulty(config.task))
        self._key = evaluate.case_key(config, "monitor")
        self._latest = latest_episodes(config)
        self._seen = 0
        self._worked = -math.inf
        self._events: Any = None  # a tensorboardX.SummaryWriter
        self._shown: tuple[Watched, int] | None = None  # the latest episode, and after which update
        self._pictured = -PICTURE_SECONDS
        self._keeper = Keeper(folder, workdir, self._task, config)

    def step(self) -> bool:
        """Looks at the weights once; gives whether they were newer, and wanted."""
        path = self._folder / run_monitor.WEIGHTS
        written = path.stat().st_mtime_ns if path.exists() else 0
        if written == self._seen or not self._wanted():
            return False
        self._seen, self._worked = written, time.monotonic()
        found = weights.load(path)
        model = found.model()
        scores, _ = evaluate.score(model, self._task.source.held_out(), self._key, HELD_OUT)
        means = evaluate.summary(scores)
        batch, key = self._latest(found.update)
        optimal = episodes.optimal_probability(self._task, batch)
        episode = episodes.run(model, self._task, batch, key, optimal)

        shown = {"name": self._workdir.name, "update": found.update, "difficulty": {}, "seed": None}
        shown |= {"rows": int(found.config.model.get("memory_size", 0))}
        content = {**shown, **episodes.to_json(episode, self._task, memory=False)}
        write_atomically(self._folder / run_monitor.EPISODE, to_json(content))
        line = json.dumps({"update": found.update, **means})
        with (self._folder / run_monitor.EVALUATION).open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        self._shown = episode, found.update
        self._to_tensorboard(found.update, means)
        if (self._folder / run_monitor.PRINTING).exists():
            print(text(episode, found.update), flush=True)
        return True

    def _wanted(self) -> bool:
        if time.monotonic() - self._worked >= SELDOM_SECONDS:
            return True
        if (self._folder / run_monitor.PRINTING).exists():
            return True
        try:
            asked = (self._folder / run_monitor.LOOKED_AT).stat().st_mtime
        except OSError:
            return False
        return time.time() - asked < LOOKING_SECONDS

    def _to_tensorboard(self, update: int, means: dict[str, float | int]) -> None:
        if not (self._workdir / metrics.NAME).exists():
            return  # the folder is not the run's yet
        if not event_writer.installed():
            return
        if self._events is None:
            from tensorboardX import SummaryWriter

            self._events = SummaryWriter(str(self._workdir), filename_suffix=".monitor")
        for name in ("bits_per_sequence", "bit_errors_per_sequence", "perfect_fraction"):
            self._events.add_scalar(f"evaluation/{name}", means[name], update)
        self._events.flush()

    def keep(self) -> bool:
        """Keeps a moment of the held-out episode, if one is due; see `Keeper`."""
        return self._keeper.step()

    def rest(self, seconds: float) -> None:
        """Waits, so long as it trains: later there is nobody whose time it would take."""
        end = time.monotonic() + seconds
        time.sleep(min(seconds, POLL_SECONDS))
        while time.monotonic() < end and not (self._folder / run_monitor.TRAINED).exists():
            time.sleep(POLL_SECONDS)

    def picture(self) -> None:
        """Draws the latest episode for TensorBoard at intervals, because drawing takes longer than running it."""
        if self._events is None or self._shown is None:
            return
        if time.monotonic() - self._pictured < PICTURE_SECONDS:
            return
        episode, update = self._shown
        figure = figures.episode(episode)
        self._events.add_image("episode", canvas.pixels(figure), update, dataformats="HWC")
        self._events.flush()
        self._pictured = time.monotonic()


class Keeper:
    """Keeps the moments of a run whose weights training has laid aside; see `run_monitor.Publisher`.

    Args:
      folder: the monitor's.
      workdir: the run's.
      task: of the run.
      config: of the run.
    """

    def __init__(self, folder: Path, workdir: Path, task: tasks.Task, config: ConfigDict):
        self._waiting, self._workdir, self._task = folder / run_monitor.MOMENTS, workdir, task
        self._updates = int(config.train.updates)
        self._key = evaluate.case_key(config, "monitor, the kept episode")
        self._batch: Batch | None = None
        self._moments = moments.Moments(workdir)

    def step(self) -> bool:
        """Keeps the earliest moment that waits; gives whether there was one."""
        if not (self._workdir / metrics.NAME).exists():
            return False  # the folder is not the run's yet
        waiting = list(self._waiting.glob("*.safetensors"))
        if not waiting:
            return False
        path = min(waiting, key=lambda path: int(path.stem))
        found = weights.load(path)
        if self._batch is None:
            self._batch = moments.kept_episode(self._task, self._key)
        content = moments.moment(found.model(), self._task, self._batch, self._key, found.update)
        with suppress(OSError):  # a full disk: the page shows what it has
            self._moments.add(content, self._updates)
        path.unlink(missing_ok=True)
        return True


def latest_episodes(config: ConfigDict) -> Callable[[int], tuple[Batch, jax.Array]]:
    """Returns a function from an update to the first episode of its batch, and the model's key.

    The episode, `[T, in]`, `[T, out]`, `[T]`, ends with its last scored step. Before the first update it is
    one of the batch that comes first.
    """

    stages = curriculum.Stages(config)

    def draw(spec: BatchSpec, update: jax.Array) -> tuple[Batch, jax.Array]:
        moment = stages.at(update)
        batch = spec.task.sample(moment.batch_key, spec.sequences, moment.progress)
        return jax.tree.map(lambda values: values[:, 0], batch), moment.model_key

    draws = [jax.jit(partial(draw, spec)) for spec in stages.specs]

    def latest(update: int) -> tuple[Batch, jax.Array]:
        last = jnp.int32(max(update - 1, 0))
        episode, key = draws[int(stages.at(last).kind)](last)
        end = int(np.flatnonzero(np.asarray(episode.mask))[-1]) + 1
        shown: Batch = jax.tree.map(lambda values: np.asarray(values)[:end], episode)
        return shown, key

    return latest


def text(episode: Watched, update: int) -> str:
    """Formats an episode for the terminal: one line per answered step, with every head's controls."""
    lines = [f"update {update}: the latest episode"]
    for t in np.flatnonzero(np.asarray(episode.mask)).tolist():
        target = "".join(str(int(bit)) for bit in np.asarray(episode.targets)[t])
        predicted = " ".join(f"{p:.2f}" for p in episode.probabilities[t])
        lines.append(f"  step {t:4d}  target {target}  predicted {predicted}")
    controls = episode.controls
    if controls is None:
        return "\n".join(lines)
    shifts = np.asarray(controls.shift)
    reach = (shifts.shape[-1] - 1) // 2
    moves = shifts @ np.arange(-reach, reach + 1)
    for head in range(shifts.shape[1]):
        for t in range(shifts.shape[0]):
            lines.append(
                f"  step {t:4d}  head {head + 1}"
                f"  strength {controls.strength[t, head]:8.3f}  gate {controls.gate[t, head]:.3f}"
                f"  shift {moves[t, head]:+.3f}  sharpening {controls.sharpening[t, head]:8.3f}"
            )
    return "\n".join(lines)


def main(folder: str, workdir: str, config_file: str) -> None:
    """Works until training ends.

    Args:
      folder: the monitor's.
      workdir: the run's.
      config_file: run first, if not empty, for it may add the task to `TASKS`.
    """
    end_with_parent()
    try:
        if config_file:
            configs.run_file(config_file)
        worker = Worker(Path(folder), Path(workdir))
    except UserError as error:
        print(f"ntm_jax: the monitor shows no episodes ({error})", file=sys.stderr, flush=True)
        return
    compiled = False
    while True:
        begun = time.process_time()
        worked = worker.step() | worker.keep()
        spent = time.process_time() - begun
        # The first time is mostly compilation, which does not come again.
        rest = max(LEAST_REST_SECONDS, REST * spent) if compiled else LEAST_REST_SECONDS
        worker.picture()
        worker.rest(rest if worked else POLL_SECONDS)
        compiled |= worked
