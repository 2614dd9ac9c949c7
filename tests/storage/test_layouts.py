"""A stored checkpoint of each layout there ever was: it loads, evaluates as it did, and is gone on with.

layouts/<n>/ is a run of layout n, made by the version that had it, with

    --config configs/copy.py --config.task.max_length=3 --config.model.controller_size=4 --config.model.memory_size=6
    --config.model.word_size=3 --config.optimizer.name=sgd --config.train.batch_size=2 --config.train.updates=4
    --config.train.log_every=2 --config.train.checkpoint_every=4 --config.evaluate.memory_size=0

in the folder /tmp/run, of which config.json, metrics.csv and checkpoints/ are kept; of layouts 1 and 2 without
commit_success.txt, which names the folder.
"""

import json
import shutil
from pathlib import Path

import pytest

import ntm_jax
from ntm_jax import config as configs
from ntm_jax import tasks
from ntm_jax.evaluation import report
from ntm_jax.storage import integrity
from ntm_jax.training import loop
from tests.helpers.configs import quick_compile

STORED = Path(__file__).parent / "layouts"
LAYOUTS = sorted(int(path.name) for path in STORED.iterdir())
UPDATE = 4
BITS = 24.0782  # of 100 episodes of length 3, by every version so far


@pytest.fixture(scope="module", autouse=True)
def quick(tmp_path_factory):
    with quick_compile(tmp_path_factory.getbasetemp()):
        yield


def test_there_is_one_of_every_layout():
    """Whoever changes the layout stores a run of it, with what is said above."""
    assert [*range(1, integrity.LAYOUT + 1)] == LAYOUTS
    for layout in LAYOUTS:
        run = STORED / str(layout) / "checkpoints" / str(UPDATE) / integrity.RUN
        assert json.loads(run.read_text()).get("layout", 1) == layout


@pytest.mark.parametrize("layout", LAYOUTS)
def test_it_loads_evaluates_and_is_gone_on_with(tmp_path, monkeypatch, layout):
    workdir = shutil.copytree(STORED / str(layout), tmp_path / "run")
    assert isinstance(ntm_jax.load(workdir), ntm_jax.NTMCell)
    config = configs.read(workdir / "config.json")
    case = tasks.Case("one", {}, tasks.make("copy", min_length=3, max_length=3))
    monkeypatch.setattr(tasks.TASKS["copy"], "cases", lambda task: [case])
    config.evaluate.episodes = 100
    found = report.evaluate_run(config, workdir)
    assert found["update"] == UPDATE
    assert found["cases"][0]["bits_per_sequence"] == pytest.approx(BITS, rel=1e-3)

    config.train.updates = config.train.checkpoint_every = UPDATE + 2
    assert int(loop.train(config, workdir).update) == UPDATE + 2
    lines = (workdir / "metrics.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines[1:]] == ["2", "4", "6"]
    newest = workdir / "checkpoints" / str(UPDATE + 2)
    assert integrity.find_damage(newest) is None
    assert json.loads((newest / integrity.RUN).read_text())["layout"] == integrity.LAYOUT
