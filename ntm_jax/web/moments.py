"""Keeps one held-out episode over training: what a run did with it at some thirty moments, a small file for each.

The files are in the run's folder, `moments/<update>.json`, so that they are there after training has ended.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from ntm_jax import models, tasks
from ntm_jax.storage.files import write_atomically
from ntm_jax.tasks import Batch
from ntm_jax.web.packing import pack, to_json
from ntm_jax.web.viewer import episodes

FOLDER = "moments"
MOST = 30  # that are kept
EARLY = 0.02  # share of training from which moments are about evenly spaced in the logarithm
DRAWN = 16  # episodes, of which the longest is kept
SHOWN = ("inputs", "targets", "mask", "probabilities", "read_weightings", "write_weightings")


def kept_episode(task: tasks.Task, key: jax.Array) -> Batch:
    """Draws the episode that is kept: the longest of `DRAWN` held-out ones, up to its last scored step.

    Args:
      task: of the run.
      key: decides the episode. No training run may use it.

    Returns:
      `[T, in]`, `[T, out]`, `[T]`, NumPy arrays.
    """
    held_out = task.source.held_out()
    batch = jax.device_get(jax.jit(lambda key: held_out.sample(key, DRAWN))(key))
    longest = int(np.asarray(batch.mask).sum(axis=0).argmax())
    end = int(np.flatnonzero(batch.mask[:, longest])[-1]) + 1
    kept: Batch = jax.tree.map(lambda values: values[:end, longest], batch)
    return kept


def moment(
    model: models.Model, task: tasks.Task, batch: Batch, key: jax.Array, update: int
) -> dict[str, Any]:
    """Returns what a model does with the kept episode, for the page: predictions, weightings and costs."""
    episode = episodes.run(model, task, batch, key)
    channels = task.channels()
    controls = episode.controls
    return {
        "update": update,
        "task": task.name,
        "steps": len(np.asarray(episode.mask)),
        "input_channels": channels.inputs,
        "output_channels": channels.outputs,
        "scores": episodes.scores(episode),
        # Fewer than the weightings if heads read and write.
        "addressings": 0 if controls is None else int(controls.strength.shape[-1]),
        "arrays": {name: pack(getattr(episode, name), rounded=True) for name in SHOWN},
    }


class Moments:
    """Stores and lists the moments of a run.

    Args:
      workdir: the run's folder.
    """

    def __init__(self, workdir: Path):
        self._folder = workdir / FOLDER

    def updates(self) -> list[int]:
        """Returns the updates that are kept, in order."""
        names = (path.stem for path in self._folder.glob("*.json"))
        return sorted(int(name) for name in names if name.isdecimal())

    def add(self, content: dict[str, Any], updates: int) -> None:
        """Stores a moment and thins the others to `MOST`.

        Args:
          content: from `moment`.
          updates: of the whole run.

        Raises:
          OSError: it cannot be written.
        """
        self._folder.mkdir(exist_ok=True)
        write_atomically(self._folder / f"{content['update']}.json", to_json(content))
        for update in thinned_out(self.updates(), updates):
            (self._folder / f"{update}.json").unlink(missing_ok=True)

    def read(self, update: int) -> bytes | None:
        """Returns a moment as JSON, or None if it is not kept any more."""
        try:
            return (self._folder / f"{update}.json").read_bytes()
        except OSError:
            return None


def _place(update: int, updates: int) -> float:
    """Returns where an update stands on the scale along which moments are evenly spaced."""
    return math.log1p(update / max(1.0, EARLY * updates))


def apart(last: int | None, update: int, updates: int) -> bool:
    """Returns whether a moment is far enough from the last one, or the first or the last of all.

    Args:
      last: the update of the moment before; None for the first.
      update: its own.
      updates: of the whole run.
    """
    if last is None or update >= updates:
        return True
    return _place(update, updates) - _place(last, updates) >= _place(updates, updates) / MOST


def thinned_out(kept: Sequence[int], updates: int, most: int = MOST) -> list[int]:
    """Returns which moments go so that `most` are left: those that stand closest, but never the first or the last.

    Args:
      kept: updates, in order.
      updates: of the whole run.
      most: how many may be left, at least two.
    """
    left, gone = list(kept), []
    while len(left) > most:
        places = [_place(update, updates) for update in left]
        gaps = [after - before for before, after in zip(places, places[2:], strict=False)]
        gone.append(left.pop(1 + gaps.index(min(gaps))))
    return gone
