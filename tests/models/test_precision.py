"""`model.precision` reaches every matrix product: of each model, forward and backward, fast path and cell."""

import re
from collections import Counter
from itertools import product

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from ntm_jax import LSTM, NTMCell, models
from ntm_jax import config as configs
from ntm_jax.errors import UserError
from ntm_jax.models import fused_step, unrolling
from ntm_jax.models.token_model import Embedded
from ntm_jax.training.trainer import Trainer
from tests.helpers.configs import MODELS, tiny

HEADS = {"model__read_heads": 3, "model__write_heads": 3, "model__initial_reads": "memory"}
HEADS |= {"model__reads_from": "previous"}
KINDS = {
    **{model: tiny(model=model) for model in MODELS},
    "many heads": tiny(**HEADS),
    "bfloat16": tiny(model__compute="bfloat16"),
    "symbols": tiny("acrostic", "ntm-lstm"),
}


def precisions(function, *arguments):
    """How many products of a function, lowered, have which precision of both sides."""
    text = jax.jit(function).lower(*arguments).as_text()
    found = [re.search(r"precision = \[(\w+), (\w+)\]", line) for line in products(text)]
    return Counter(match and match.groups() for match in found)


def products(text):
    return [line for line in text.splitlines() if "stablehlo.dot" in line]


def built(config, precision):
    """A model, of shapes alone, and inputs `[T, B, in]`."""
    config = configs.override(
        config.copy_and_resolve_references(), [f"model.precision={precision}"]
    )
    model = nnx.eval_shape(lambda: models.build(config, 3, 2))
    if config.model.get("embedding_size"):
        return model, jnp.zeros((5, 4, 1), jnp.int32)
    return model, jnp.ones((5, 4, 3))


def by_fast_path(model, inputs):
    return models.unroll(model, inputs)[0]


def by_training(model, inputs):
    logits, use = models.training_outputs(model, inputs, state_gradient_limit=1.0, writing=True)
    return logits, use.blur, use.writing


def by_cell(model, inputs):
    if isinstance(model, Embedded):
        model, inputs = model.core, model.embed(inputs)
    return nnx.RNN(model, time_major=True)(inputs)


@pytest.fixture
def plain_sums(monkeypatch):
    """Sums that are no products: these are precise whatever the model says."""
    for module in (fused_step, unrolling):
        monkeypatch.setattr(module, "sum_last", lambda values: jnp.sum(values, axis=-1))


@pytest.mark.parametrize(
    ("kind", "way"),
    [
        *product(sorted(KINDS.keys() - {"bfloat16"}), [by_fast_path, by_cell]),
        *product(KINDS, [by_training]),
    ],
)
def test_every_product_has_the_precision_of_the_model(plain_sums, kind, way):
    model, inputs = built(KINDS[kind], "high")
    structure, parameters = nnx.split(model)

    def loss(parameters):
        results = way(nnx.merge(structure, parameters), inputs)
        return sum(jnp.sum(jnp.sin(leaf)) for leaf in jax.tree.leaves(results))

    assert precisions(jax.value_and_grad(loss), parameters).keys() == {("HIGH", "HIGH")}


@pytest.mark.parametrize("kind", [*MODELS, "symbols"])
def test_an_update_is_precise_unless_it_is_asked_not_to_be(kind):
    trainer = Trainer(KINDS[kind])
    found = precisions(trainer.total_gradient, jax.eval_shape(trainer.initial_state))
    assert found.keys() == {("HIGHEST", "HIGHEST")}


def test_sums_are_precise_whatever_the_model_says():
    model, inputs = built(tiny(model__engine="scan"), "default")  # the kernel has no such sums
    assert precisions(by_fast_path, model, inputs).keys() == {
        ("HIGHEST", "HIGHEST"),
        ("DEFAULT", "DEFAULT"),
    }


def test_the_layer_in_a_users_own_model_has_the_same_default():
    rnn = nnx.RNN(NTMCell(3, 2, memory_size=8, word_size=4, rngs=nnx.Rngs(0)))
    with jax.default_matmul_precision("tensorfloat32"):  # the user's own products
        found = precisions(nnx.grad(lambda rnn: jnp.sum(rnn(jnp.ones((4, 5, 3))))), rnn)
    assert found.keys() == {("HIGHEST", "HIGHEST")}


def test_another_word_is_refused():
    message = r"model.precision: 'exact' is unknown; choose one of"
    with pytest.raises(UserError, match=message):
        tiny(model__precision="exact")
    for kind in (NTMCell, LSTM):
        with pytest.raises(UserError, match=message):
            kind(3, 2, controller_size=4, precision="exact", rngs=nnx.Rngs(0))


def test_a_run_of_before_the_field_is_the_same_run():
    """It stays bit for bit what it was on a CPU, and becomes more precise on a GPU."""
    older = tiny()
    del older.model["precision"]
    assert configs.upgrade(older.to_dict()).model.precision == "highest"
    assert configs.difference(older, tiny()) is None
    assert configs.difference(older, tiny(model__precision="default")) == "model.precision"
