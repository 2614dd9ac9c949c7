"""What watches a run: what it is told, in which order, and that it can refuse the run before anything is written."""

import pytest

from ntm_jax.errors import UserError
from ntm_jax.storage.run_folder import open_run_folder
from ntm_jax.training import loop
from ntm_jax.training.observers import Observer
from tests.helpers.configs import quick_compile
from tests.helpers.runs import config_of, rows


@pytest.fixture(scope="module", autouse=True)
def quick(tmp_path_factory):
    with quick_compile(tmp_path_factory.getbasetemp()):
        yield


class Noting(Observer):
    """Notes every call, and what is on disk then."""

    def __init__(self):
        self.calls = []

    def open(self, config, workdir):
        self.calls.append(("open", workdir.exists()))

    def begin(self, begun):
        found = sorted(path.name for path in begun.workdir.iterdir())
        self.calls.append(("begin", begun.update, begun.skipped, found))

    def advance(self, update):
        if self.calls[-1] != ("advance", update):
            self.calls.append(("advance", update))

    def row(self, row, parameters, skipped):
        assert parameters["to_output"]["bias"].shape == (8,)
        self.calls.append(("row", row.update, skipped))

    def saved(self, update):
        self.calls.append(("saved", update))

    def close(self):
        self.calls.append(("close",))


def test_an_observer_is_told_of_everything_in_order(tmp_path):
    config = config_of(train__updates=4, train__log_every=2, train__checkpoint_every=3)
    noting, folder = Noting(), tmp_path / "run"
    loop.train(config, folder, [noting])
    files = ["config.json", "lock", "metrics.csv"]
    assert noting.calls == [
        ("open", False),
        ("begin", 0, 0, files),
        *(("row", 2, 0), ("advance", 2)),
        *(("saved", 3), ("advance", 3)),
        *(("row", 4, 0), ("saved", 4), ("advance", 4)),
        ("close",),
    ]
    assert [row["update"] for row in rows(folder)] == ["2", "4"]

    again = Noting()
    loop.train(config, folder, [again])
    assert again.calls == [("open", True), ("begin", 4, 0, ["checkpoints", *files]), ("close",)]


class Refusing(Noting):
    def open(self, config, workdir):
        super().open(config, workdir)
        raise UserError("monitor.port: it is in use")


def test_one_that_refuses_the_run_leaves_nothing_and_all_are_closed(tmp_path):
    first, refusing, last = Noting(), Refusing(), Noting()
    with pytest.raises(UserError, match="it is in use"):
        loop.train(config_of(), tmp_path / "run", [first, refusing, last])
    assert not (tmp_path / "run").exists()
    assert first.calls == refusing.calls == [("open", False), ("close",)]
    assert last.calls == []


def test_a_folder_in_use_is_refused_after_the_observers_were_asked(tmp_path):
    """And nothing of it is changed."""
    config, noting = config_of(), Noting()
    with open_run_folder(tmp_path / "run", config):
        before = sorted(path.name for path in (tmp_path / "run").iterdir())
        with pytest.raises(UserError, match="is being trained in"):
            loop.train(config, tmp_path / "run", [noting])
        assert sorted(path.name for path in (tmp_path / "run").iterdir()) == before
    assert noting.calls == [("open", True), ("close",)]
