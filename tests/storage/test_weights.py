"""Models as one file: what comes back is what went in, and other files are refused in one line."""

import json

import jax
import numpy as np
import pytest
import safetensors.numpy
from flax import nnx

from ntm_jax import models, tasks
from ntm_jax.errors import UserError
from ntm_jax.storage import restore, weights
from ntm_jax.training.trainer import Trainer
from tests.helpers import fumin_oracle
from tests.helpers.configs import MODELS, quick_compile, tiny
from tests.helpers.runs import save

INPUTS = np.random.default_rng(0).integers(0, 2, (5, 2, 9)).astype(np.float32)


@pytest.fixture(scope="module", autouse=True)
def quick(tmp_path_factory):
    with quick_compile(tmp_path_factory.getbasetemp()):
        yield


def parameters_of(model):
    return nnx.to_pure_dict(nnx.state(model, nnx.Param))


@pytest.mark.parametrize("kind", MODELS)
def test_a_model_comes_back(tmp_path, kind):
    config = tiny(model=kind)
    saved = save(tmp_path / "run", config)
    path = tmp_path / "weights"
    path.write_bytes(weights.dump(parameters_of(saved), config, 41))
    found = weights.load(path)
    assert found.update == 41
    assert found.config.to_dict() == config.to_dict()
    before, after = (parameters_of(m) for m in (saved, found.model()))
    assert jax.tree.structure(before) == jax.tree.structure(after)
    for one, other in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True):
        np.testing.assert_array_equal(one, other)
    logits = [models.unroll(m, INPUTS)[0] for m in (saved, found.model())]
    np.testing.assert_array_equal(*logits)


def test_with_other_rows_it_is_the_run_with_other_rows(tmp_path):
    config = tiny()
    saved = save(tmp_path / "run", config)
    path = tmp_path / "weights"
    path.write_bytes(weights.dump(parameters_of(saved), config, 3))
    more = weights.load(path).model(13)
    same = restore.load(tmp_path / "run", memory_size=13)
    np.testing.assert_array_equal(*(models.unroll(m, INPUTS)[0] for m in (more, same)))


@pytest.mark.parametrize(
    ("heads", "task", "sizes"),
    [
        (1, "copy", (10, 8)),
        (1, "ngram", (1, 1)),
        (2, "repeat_copy", (9, 7)),
        (2, "repeat_copy", (10, 7)),
    ],
)
def test_a_go_file_is_known_by_its_length(tmp_path, heads, task, sizes):
    flat = fumin_oracle.weights(fumin_oracle.Sizes(*sizes, 100, heads, 128, 20))
    path = tmp_path / "go"
    path.write_text(json.dumps(list(flat)))
    found = weights.load(path)
    assert found.config.task.name == task
    made = tasks.make(task, **tasks.difficulty(found.config.task))
    assert (made.input_size, made.output_size) == sizes
    cell = found.model()
    assert (cell.input_size, cell.heads.read_heads) == (sizes[0], heads)
    # The last number of all is in the last place of the memory.
    assert cell.initial.memory_values[-1, -1] == np.float32(flat[-1])


def file_of(arrays, **metadata):
    return safetensors.numpy.save(arrays, metadata)


def good(tmp_path):
    config = tiny()
    parameters = parameters_of(save(tmp_path / "run", config))
    arrays = safetensors.numpy.load(weights.dump(parameters, config, 3))
    return arrays, {"config": json.dumps(config.to_dict()), "update": "3"}


def spoil(name, arrays, metadata):
    """A file with one thing wrong, and what its refusal must say."""
    first = sorted(arrays)[0]
    match name:
        case "no_config":
            return file_of(arrays), "config"
        case "config_is_no_json":
            return file_of(arrays, **metadata | {"config": "{"}), "config"
        case "config_lacks_fields":
            return file_of(arrays, **metadata | {"config": "{}"}), "config"
        case "no_update":
            return file_of(arrays, config=metadata["config"]), "update"
        case "one_is_missing":
            return file_of({n: a for n, a in arrays.items() if n != first}, **metadata), first
        case "one_too_many":
            return file_of(arrays | {"more": arrays[first]}, **metadata), "more"
        case "another_shape":
            return file_of(arrays | {first: arrays[first][:-1]}, **metadata), first
        case "not_finite":
            return file_of(arrays | {first: arrays[first] * np.nan}, **metadata), "finite"
        case "cut_short":
            return file_of(arrays, **metadata)[:-10], "safetensors"
        case "empty":
            return b"", "safetensors"
        case "text":
            return b"hello, this is no file of weights", "safetensors"
        case "go_of_unknown_length":
            return b"[0.5, 0.25]", "13060 (copy)"
    raise AssertionError(name)


@pytest.mark.parametrize(
    "name",
    [
        *("no_config", "config_is_no_json", "config_lacks_fields", "no_update", "one_is_missing"),
        *("one_too_many", "another_shape", "not_finite", "cut_short", "empty", "text"),
        "go_of_unknown_length",
    ],
)
def test_a_bad_file_is_refused_in_one_line(tmp_path, name):
    content, part = spoil(name, *good(tmp_path))
    path = tmp_path / "weights"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        weights.load(path)
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_file_and_a_folder(tmp_path):
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(UserError, match="cannot be read"):
            weights.load(path)


def test_a_config_is_built_once_however_often_it_is_loaded(tmp_path, monkeypatch):
    """The monitor's worker loads the same one again and again, beside training."""
    config = tiny(seed=123)
    parameters = Trainer(config).initial_state().parameters
    path = tmp_path / "weights"
    path.write_bytes(weights.dump(parameters, config, 1))
    weights.load(path).model()
    monkeypatch.setattr(weights.models, "build", None)
    again = weights.load(path)
    for one, other in zip(*map(jax.tree.leaves, (again.parameters, parameters)), strict=True):
        np.testing.assert_array_equal(one, other)
    assert again.model() is not again.model()
