"""A run's folder: what is loaded from it, and whom it refuses without a trace."""

import json
import logging
import os
import re
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from etils import epath
from flax import nnx

import ntm_jax
from ntm_jax import config as configs
from ntm_jax import tasks
from ntm_jax.errors import UserError
from ntm_jax.evaluation import report
from ntm_jax.storage import array_folders, integrity, restore, run_folder
from ntm_jax.storage.checkpoints import Checkpoints
from ntm_jax.training import loop
from ntm_jax.training.trainer import Trainer
from tests.helpers.configs import quick_compile, tiny
from tests.helpers.runs import files, refused, save


@pytest.fixture(scope="module", autouse=True)
def quick(tmp_path_factory):
    with quick_compile(tmp_path_factory.getbasetemp()):
        yield


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The folder and the model of the usual run."""
    workdir = tmp_path_factory.mktemp("saved") / "run"
    return workdir, save(workdir, tiny())


@pytest.fixture(scope="module")
def inputs():
    task = tasks.make("copy", min_length=3, max_length=3)
    return task.sample(jax.random.key(1), 2).inputs


# ---- What comes back


@pytest.mark.parametrize("model", ["ntm-ff", "ntm-lstm", "lstm"])
def test_the_loaded_model_is_the_saved_one(tmp_path, inputs, model):
    expected = save(tmp_path, tiny(model=model))
    loaded = ntm_jax.load(tmp_path)
    logits, trace = ntm_jax.unroll(loaded, inputs)
    expected_logits, expected_trace = ntm_jax.unroll(expected, inputs)
    np.testing.assert_array_equal(logits, expected_logits)
    np.testing.assert_array_equal(trace.read_weightings, expected_trace.read_weightings)


def test_a_folder_may_be_text(saved):
    assert isinstance(ntm_jax.load(str(saved[0])), ntm_jax.NTMCell)


def test_the_newest_checkpoint_is_loaded_and_three_are_kept(tmp_path):
    config = tiny()
    for update in (2, 5, 30, 4000):
        save(tmp_path, config, update)
    assert restore.load_as(tmp_path, config)[1] == 4000
    kept = [path.name for path in (tmp_path / "checkpoints").iterdir() if path.name.isdigit()]
    assert sorted(kept, key=int) == ["5", "30", "4000"]


def test_the_whole_training_state_comes_back(tmp_path):
    config = tiny(optimizer__name="graves_rmsprop")
    trainer = Trainer(config)
    values = iter(range(1, 1000))
    state = jax.tree.map(lambda leaf: jnp.full_like(leaf, next(values)), trainer.initial_state())
    training = (state.update, state.optimizer, state.sums)
    Checkpoints(tmp_path).save(7, state.parameters, training, 12.5, config)
    fresh, saved = trainer.initial_state(), Checkpoints(tmp_path)
    assert saved.newest() == 7
    found = saved.restore(7, fresh.parameters, (fresh.update, fresh.optimizer, fresh.sums))
    jax.tree.map(np.testing.assert_array_equal, found[:2], (state.parameters, training))
    assert jax.tree.structure(found[1]) == jax.tree.structure(training)
    assert found[2] == 12.5


def test_what_is_restored_is_on_the_device(tmp_path):
    """A model of NumPy's arrays could not be used in a function to be compiled."""
    save(tmp_path, tiny("copy", "ntm-lstm"))
    leaves = jax.tree.leaves(nnx.split(ntm_jax.load(tmp_path))[1])
    assert leaves
    assert all(isinstance(leaf, jax.Array) for leaf in leaves)


# ---- Another number of rows


@pytest.mark.parametrize("memory", ["constant", "learned_row", "random"])
def test_memory_can_grow(tmp_path, inputs, memory):
    config = tiny(model__initial_memory=memory, model__initial_weighting="first_row")
    save(tmp_path, config)
    grown = ntm_jax.load(tmp_path, memory_size=16)
    logits, trace = ntm_jax.unroll(grown, inputs)
    assert trace.read_weightings.shape[-1] == 16
    assert bool(jnp.isfinite(logits).all())
    # The config of the run is still its own.
    assert ntm_jax.load(tmp_path).initial_state().memory.size == 8 * 4


@pytest.mark.parametrize("field", ["initial_memory", "initial_weighting"])
def test_a_memory_with_something_learned_for_each_row_cannot_grow(tmp_path, field):
    config = tiny(**{f"model__{field}": "learned"})
    save(tmp_path, config)
    message = refused(tmp_path, ntm_jax.load, tmp_path, memory_size=16)
    assert all(part in message for part in (f"model.{field}", "'learned'", "8 rows", "16 rows"))

    config.evaluate.memory_size = 16
    assert refused(tmp_path, report.evaluate_run, config, tmp_path) == message
    assert isinstance(ntm_jax.load(tmp_path, memory_size=8), ntm_jax.NTMCell)


def test_an_lstm_has_no_memory(tmp_path):
    config = tiny(model="lstm")
    save(tmp_path, config)
    assert "no memory" in refused(tmp_path, ntm_jax.load, tmp_path, memory_size=16)
    config.evaluate.memory_size = 16
    assert "no memory" in refused(tmp_path, report.evaluate_run, config, tmp_path)


@pytest.mark.parametrize("memory_size", [-1, 2])
def test_a_number_of_rows_that_no_model_can_have(saved, memory_size):
    """Two rows are fewer than a shift by one row to either side reaches."""
    message = refused(saved[0], ntm_jax.load, saved[0], memory_size=memory_size)
    assert str(memory_size) in message


def test_a_learned_row_is_the_same_in_every_row(tmp_path):
    save(tmp_path, tiny(model__initial_memory="learned_row"))
    memory = np.asarray(ntm_jax.load(tmp_path, memory_size=5).initial_state().memory)
    rows = memory if memory.shape[0] == 5 else memory.T
    assert rows.shape == (5, 4)
    assert (rows == rows[0]).all()


# ---- Nothing to restore


def test_no_run_there(tmp_path):
    assert "config.json" in refused(tmp_path, ntm_jax.load, tmp_path)
    assert "config.json" in refused(tmp_path, ntm_jax.load, tmp_path / "nowhere")
    for folder in (tmp_path, tmp_path / "nowhere"):
        assert "holds no run" in refused(tmp_path, report.evaluate_run, tiny(), folder)


@pytest.mark.parametrize("make_folder", [False, True])
def test_a_run_without_a_checkpoint(tmp_path, make_folder):
    run_folder.register(tmp_path, tiny())
    if make_folder:
        (tmp_path / "checkpoints").mkdir()
    assert "holds no checkpoint" in refused(tmp_path, ntm_jax.load, tmp_path)
    assert "holds no checkpoint" in refused(tmp_path, report.evaluate_run, tiny(), tmp_path)


# ---- Another's folder


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"seed": 1}, ["seed=0", "instead of 1"]),
        ({"train__batch_size": 3}, ["train.batch_size=2", "instead of 3"]),
        ({"task__max_length": 4}, ["task.max_length=3", "instead of 4"]),
        ({"model__memory_size": 9}, ["model.memory_size=8", "instead of 9"]),
        ({"optimizer__name": "sgd"}, ["optimizer.name='graves_rmsprop'", "instead of 'sgd'"]),
        ({"model": "lstm"}, ["model.", " instead of "]),
        ({"task": "ngram"}, [" instead of "]),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
@pytest.mark.parametrize("action", [loop.train, report.evaluate_run])
def test_another_runs_folder_is_refused(saved, action, changes, parts):
    message = refused(saved[0], action, tiny(**changes), saved[0])
    assert all(part in message for part in (str(saved[0]), *parts)), message


@pytest.mark.parametrize("action", [loop.train, report.evaluate_run])
def test_a_folder_of_something_else_is_refused(tmp_path, action):
    (tmp_path / "thesis.tex").write_text("x")
    assert str(tmp_path) in refused(tmp_path, action, tiny(), tmp_path)


@pytest.mark.parametrize("workdir", ["file", "file/run"])
@pytest.mark.parametrize("action", [loop.train, report.evaluate_run])
def test_a_file_is_no_folder(tmp_path, action, workdir):
    (tmp_path / "file").write_text("x")
    assert "file" in refused(tmp_path, action, tiny(), tmp_path / workdir)


@pytest.mark.parametrize("text", ["", "{", "{}", "[]"])
@pytest.mark.parametrize("action", [loop.train, report.evaluate_run])
def test_a_broken_config_is_refused(tmp_path, action, text):
    (tmp_path / "config.json").write_text(text)
    message = refused(tmp_path, action, tiny(), tmp_path)
    assert str(tmp_path / "config.json") in message


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer__name": "addam"},
        {"optimizer__clip": "hard"},
        {"optimizer__schedule": "step"},
        {"optimizer__arguments": "beta=1"},
        {"model__add_activation": "cube"},
        {"model__initial_memory": "ones"},
        {"model__controller": "gru"},
        {"model__controller_layers": 2},
        {"task__max_length": 0},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_nothing_is_made_for_a_config_that_is_refused(tmp_path, changes):
    message = refused(tmp_path, lambda: loop.train(tiny(**changes), tmp_path / "run"))
    assert next(iter(changes)).replace("__", ".") in message


def test_an_empty_folder_is_claimed(tmp_path):
    run_folder.register(tmp_path, tiny())
    assert list(files(tmp_path)) == ["config.json"]
    assert json.loads((tmp_path / "config.json").read_text()) == tiny().to_dict()


def test_what_may_change_is_taken_over(tmp_path):
    run_folder.register(tmp_path, tiny())
    changed = tiny(train__updates=9, evaluate__episodes=7)
    run_folder.register(tmp_path, changed)
    assert dict(configs.flatten(configs.read(tmp_path / "config.json"))) == dict(
        configs.flatten(changed)
    )


# ---- Folders with characters that mean something elsewhere


@pytest.mark.parametrize("name", ["lr[0.1]", "*", "a?b", "{x,y}", "50%20#|:&~$HOME", "ü 雪", "-x"])
def test_a_folder_may_have_any_name(tmp_path, name):
    save(tmp_path / name / "run", tiny())
    assert isinstance(ntm_jax.load(tmp_path / name / "run"), ntm_jax.NTMCell)
    # What was set up for one name does not stop at another.
    (tmp_path / name).rename(tmp_path / "renamed")
    assert isinstance(ntm_jax.load(tmp_path / "renamed" / "run"), ntm_jax.NTMCell)


@pytest.mark.parametrize("cloud", ["gs", "s3"])
def test_a_folder_at_the_root_is_not_a_cloud(cloud):
    path = epath.Path(array_folders._literal(Path(f"/{cloud}/runs/copy")))
    assert os.path.normpath(path)[-len(f"/{cloud}/runs/copy") :] == f"/{cloud}/runs/copy"
    assert "://" not in os.fspath(path)
    assert not path.exists()


# ---- Whole or not there


@pytest.mark.parametrize("spoil", ["value", "type", "missing"])
def test_what_cannot_be_read_back_is_not_a_checkpoint(tmp_path, monkeypatch, spoil):
    """As it was where Orbax did not find what it had written itself."""
    save(tmp_path, tiny(), update=2)
    restore_tree = array_folders.restore

    def spoiled(folder, like):
        if spoil == "missing":
            shutil.rmtree(next(path for path in folder.iterdir() if path.is_dir()))
        found = restore_tree(folder, like)
        change = {"value": lambda leaf: leaf + leaf.dtype.type(1), "type": np.float64}[spoil]
        return jax.tree.map(change, found)

    with monkeypatch.context() as broken:
        broken.setattr(array_folders, "restore", spoiled)
        with pytest.raises(UserError, match=r"update 3 cannot be written .*valid.*update 2"):
            save(tmp_path, tiny(), update=3)
    assert restore.load_as(tmp_path, tiny())[1] == 2
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["2"]


def test_a_model_of_other_sizes_is_refused_by_the_array(tmp_path):
    save(tmp_path, tiny())
    message = refused(tmp_path, restore.load_as, tmp_path, tiny(model__word_size=5))
    assert re.search(r"cannot be restored \(.*\['kernel'\] is float32\[\d+, \d+\], not", message)


def test_a_checkpoint_has_its_name_only_once_it_is_whole(tmp_path, monkeypatch):
    """Whatever is written last may be where a run is killed."""

    class Killed(BaseException):
        pass

    def killed(*_):
        raise Killed

    save(tmp_path, tiny(), update=2)
    for owner, name in (
        (array_folders, "restore"),
        (integrity, "write_atomically"),
        (integrity, "write_checksums"),
        (Path, "rename"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, killed)
            with pytest.raises(Killed):
                save(tmp_path, tiny(), update=3)
        assert restore.load_as(tmp_path, tiny())[1] == 2
        assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == [
            "2",
            "partial",
        ]
    Checkpoints(tmp_path)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["2"]


def test_orbax_says_nothing_and_changes_no_logging(tmp_path, caplog):
    handlers = list(logging.root.handlers)
    save(tmp_path, tiny())
    ntm_jax.load(tmp_path)
    assert caplog.records == []
    assert logging.root.handlers == handlers
    assert logging.getLogger("absl").filters == []
