"""The monitor of a task that only a config file knows."""

import json
from contextlib import ExitStack

import pytest

from ntm_jax import config as configs
from ntm_jax import main, tasks
from ntm_jax.storage import weights
from ntm_jax.training.trainer import Trainer
from ntm_jax.web.monitor import run_monitor
from ntm_jax.web.monitor import worker as monitor_worker
from tests.helpers.configs import quick_compile, tiny_overrides

FILE = """
from dataclasses import dataclass
from typing import ClassVar
from configs import copy
from ntm_jax.tasks import TASKS
from ntm_jax.tasks.copy import Copy

@dataclass(frozen=True)
class Backwards(Copy):
    name: ClassVar[str] = "backwards"

TASKS["backwards"] = Backwards

def get_config(model="ntm-ff"):
    config = copy.get_config(model)
    config.task.name = "backwards"
    return config
"""


@pytest.fixture(scope="module", autouse=True)
def quick(tmp_path_factory):
    with quick_compile(tmp_path_factory.getbasetemp()):
        yield


@pytest.fixture
def file(tmp_path):
    """A config file of a task of its own, which no test leaves behind."""
    path = tmp_path / "mine.py"
    path.write_text(FILE)
    yield str(path)
    tasks.TASKS.pop("backwards", None)


class Rests(Exception):
    """The worker is done with the first weights."""


@pytest.fixture
def worker(tmp_path, monkeypatch, file):
    """Runs the worker on the first weights of a run of the file's task, in this process, up to its first rest."""
    config = configs.load(file, tiny_overrides())
    parameters = Trainer(config).initial_state().parameters
    tasks.TASKS.pop("backwards")
    (tmp_path / run_monitor.CONFIG).write_text(configs.to_json(config))
    (tmp_path / run_monitor.WEIGHTS).write_bytes(weights.dump(parameters, config, 0))

    def rest(seconds):
        raise Rests

    monkeypatch.setattr(monitor_worker, "end_with_parent", lambda: None)
    monkeypatch.setattr(monitor_worker.time, "sleep", rest)
    return lambda *more: monitor_worker.main(str(tmp_path), str(tmp_path / "run"), *more)


def test_the_monitors_worker_knows_the_task_of_a_config_file(tmp_path, worker, file):
    with pytest.raises(Rests):
        worker(f"{file}:ntm-ff")
    shown = json.loads((tmp_path / run_monitor.EPISODE).read_text())
    assert shown["update"] == 0
    assert (tmp_path / run_monitor.EVALUATION).exists()


def test_without_the_file_it_says_so_in_one_line(tmp_path, worker, capfd):
    worker("")
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("ntm_jax: the monitor shows no episodes (task: 'backwards' is unknown; ")
    assert not (tmp_path / run_monitor.EPISODE).exists()


def test_the_monitor_hands_the_file_to_its_worker(tmp_path, monkeypatch, file):
    started = {}
    monkeypatch.setattr(
        run_monitor,
        "_start",
        lambda stack, module, first, words, **_: started.update({module: words}),
    )
    config = configs.load(file, [*tiny_overrides(), "monitor.port=0"])
    with ExitStack() as stack:
        watching = main._monitor(config, file, stack)
        watching.open(config, tmp_path / "run")
    assert started["worker"][1:] == [str(tmp_path / "run"), file]
