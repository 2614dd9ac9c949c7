"""Defaults of the cell and of configs: one statement of each."""

import inspect

import numpy as np
import pytest
from flax import nnx

from configs import base
from ntm_jax import config as configs
from ntm_jax.models.build import OTHERS, build
from ntm_jax.models.cell import NTMCell
from ntm_jax.models.heads import Heads

ACTIVATIONS = ("key", "strength", "shift", "add")


def cell_defaults():
    """The options of `NTMCell` with their default values."""
    options = inspect.signature(NTMCell.__init__).parameters.items()
    return {name: option.default for name, option in options if name not in OTHERS}


@pytest.mark.parametrize("model", ["ntm-ff", "ntm-lstm"])
def test_configs_differ_from_the_cell_in_what_they_must_alone(model):
    """A config's first row and first reads are learned; see the docstring of `NTMCell`."""
    fields = {**base.get_config(model).model}
    assert fields.pop("kind") == "ntm"
    changed = {"controller"} if model == "ntm-lstm" else set()
    defaults = cell_defaults()
    assert set(defaults) - set(fields) == {"cosine_epsilon"}
    assert {name for name, value in fields.items() if value != defaults[name]} == changed | {
        "initial_memory",
        "initial_reads",
    }


def test_the_numbers_of_configs_and_of_the_cell():
    """What runs and programs were begun with."""
    fields = base.get_config("ntm-ff").model
    defaults = cell_defaults()
    assert (fields.initial_memory, fields.initial_reads) == ("learned_row", "learned")
    assert (defaults["initial_memory"], defaults["initial_reads"]) == ("constant", "zeros")
    for options in (fields, defaults):
        sizes = ("controller_size", "memory_size", "word_size", "read_heads", "write_heads")
        assert [options[name] for name in sizes] == [100, 128, 20, 1, 1]
        names = [options[f"{name}_activation"] for name in ACTIVATIONS]
        assert names == ["tanh", "softplus", "softmax", "tanh"]


def test_the_heads_have_the_cells_defaults():
    of_heads = inspect.signature(Heads.__init__).parameters
    for name, default in cell_defaults().items():
        if name in of_heads and of_heads[name].default is not inspect.Parameter.empty:
            assert of_heads[name].default == default, name


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_activations_old_names_are_read(name):
    """In a run's config and on the command line; `key` alone would be a key for random numbers."""
    config = base.get_config("ntm-ff")
    values = config.to_dict()
    values["model"][name] = values["model"].pop(f"{name}_activation")
    assert dict(configs.flatten(configs.upgrade(values))) == dict(configs.flatten(config))
    assert configs.ALIASES[f"model.{name}"] == f"model.{name}_activation"
    with pytest.raises(TypeError, match=name):
        NTMCell(1, 1, **{name: "tanh"}, rngs=nnx.Rngs(0))


def test_a_config_builds_the_cell_that_its_options_describe():
    config = base.get_config("ntm-ff")
    config.model.update({"controller_size": 3, "memory_size": 5, "word_size": 2})
    options = {name: value for name, value in config.model.items() if name != "kind"}
    built = build(config, 3, 2)
    given = NTMCell(3, 2, **options, rngs=nnx.Rngs(config.seed))
    for (path, found), (_, wanted) in zip(
        *(nnx.to_flat_state(nnx.state(model)) for model in (built, given)), strict=True
    ):
        np.testing.assert_array_equal(found[...], wanted[...], err_msg=str(path))
