"""Runs on disk: saved, read back, stopped and refused."""

import csv

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntm_jax.errors import UserError
from ntm_jax.storage import run_folder
from ntm_jax.storage.checkpoints import Checkpoints
from ntm_jax.training import resume
from ntm_jax.training.observers import Observer
from ntm_jax.training.trainer import Trainer
from tests.helpers.browser import ROOT
from tests.helpers.configs import tiny, tiny_overrides

UPDATE = 3


def save(workdir, config, update=UPDATE):
    """A run as `train` would leave it, its parameters other than the first; gives the model."""
    trainer = Trainer(config)
    state = trainer.initial_state()
    state = state.replace(
        update=jnp.int32(update),
        parameters=jax.tree.map(lambda leaf: 1.5 * leaf + 0.1, state.parameters),
    )
    run_folder.register(workdir, config)
    for name, text in trainer.task.source.run_files().items():
        (workdir / name).write_text(text, encoding="utf-8")
    resume.saving(state, Checkpoints(workdir), 12.5, config).write()
    return trainer.model(state)


def files(folder):
    """Everything in a folder: path -> content, None for a folder."""
    return {
        str(path.relative_to(folder)): None if path.is_dir() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
    }


def refused(folder, action, *arguments, **options):
    """The message with which something is refused that leaves `folder` byte for byte as it was."""
    before = files(folder)
    with pytest.raises(UserError) as caught:
        action(*arguments, **options)
    assert files(folder) == before
    message = str(caught.value)
    assert "\n" not in message
    return message


UPDATES = 8


USUAL = {
    "train__updates": UPDATES,
    "optimizer__schedule": "constant",
    "optimizer__warmup": 20,  # the rate depends on the update, but not on where the end is
    "train__blur_penalty": 0.0,  # which does
}


def config_of(task="copy", model="ntm-ff", **fields):
    memory = {} if model == "lstm" else {"model__initial_memory": "random"}
    return tiny(task, model, **(USUAL | memory | fields))


def assert_same(one, other):
    """Two states are equal, bit for bit."""
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


class Stopped(Exception):
    """A session's end in a test."""


class StopAt(Observer):
    """Makes `train` stop as if killed once it has logged and saved what there is at `update`."""

    def __init__(self, update):
        self.update = update

    def begin(self, begun):
        self.end = begun.config.train.updates
        self.advance(begun.update)

    def advance(self, update):
        if self.update <= update < self.end:
            raise Stopped


def rows(workdir):
    """metrics.csv as text, without its seconds."""
    with (workdir / "metrics.csv").open(newline="") as file:
        return [
            {name: text for name, text in row.items() if name != "seconds"}
            for row in csv.DictReader(file)
        ]


def saved(workdir, config):
    """The newest checkpoint's number and state."""
    state = Trainer(config).initial_state()
    checkpoints = Checkpoints(workdir, write=False)
    newest = checkpoints.newest()
    return newest, resume.restore(checkpoints, newest, state)[0]


ENDLESS = 10**7  # updates of a run that a test interrupts


def flags(workdir, port=0, **fields):
    """A tiny run that lasts until it is interrupted, as on a command line."""
    usual = {"train__updates": ENDLESS, "train__log_every": 100, "train__checkpoint_every": 5000}
    # So that the number of updates has no influence.
    usual |= {"optimizer__schedule": "constant", "train__blur_penalty": 0.0}
    overrides = [*tiny_overrides(**(usual | fields)), f"monitor.port={port}"]
    words = [f"--config.{override}" for override in overrides]
    return ["--config", ROOT / "configs" / "copy.py", "--workdir", workdir, *words]
