"""`model.compute=bfloat16`: the layers' products, and nothing else, and as good for learning."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from ntm_jax import config as configs
from ntm_jax import models
from ntm_jax.errors import UserError
from ntm_jax.tasks.losses import BITS_PER_NAT
from ntm_jax.training.trainer import Sums, Trainer
from tests.helpers.configs import FOLDER, MODELS, quick_compile, tiny

HALF = 2.0**-8  # half a unit in the last place of 1, of bfloat16


@pytest.fixture(scope="module", autouse=True)
def quick(tmp_path_factory):
    with quick_compile(tmp_path_factory.getbasetemp()):
        yield


def first_gradient(compute, model):
    trainer = Trainer(tiny(model=model, model__compute=compute, train__batch_size=8))
    state = trainer.initial_state()
    gradient, (nats, _) = jax.jit(trainer.total_gradient)(state)
    return trainer, state, gradient, float(nats)


@pytest.mark.parametrize("model", MODELS)
def test_the_gradient_is_that_of_float32_rounded(model):
    """Different, but by no more than products of rounded numbers are."""
    _, _, expected, nats = first_gradient("float32", model)
    _, state, found, half_nats = first_gradient("bfloat16", model)
    assert {leaf.dtype for leaf in jax.tree.leaves((state.parameters, found))} == {
        np.dtype("float32")
    }
    flat = [np.concatenate([np.ravel(x) for x in jax.tree.leaves(g)]) for g in (expected, found)]
    difference = np.linalg.norm(flat[1] - flat[0]) / np.linalg.norm(flat[0])
    assert 1e-5 < difference < 8 * HALF
    assert 0 < abs(half_nats / nats - 1) < HALF


def operations(jaxpr, found):
    """(name, whether it takes bfloat16, whether it gives some), of all that are not loops or calls of others."""
    for equation in jaxpr.eqns:
        inner = [getattr(value, "jaxpr", value) for value in jax.tree.leaves(equation.params)]
        inner = [one for one in inner if hasattr(one, "eqns")]
        for one in inner:
            operations(one, found)
        if not inner:
            sides = equation.invars, equation.outvars
            takes, gives = (any(x.aval.dtype == jnp.bfloat16 for x in side) for side in sides)
            if takes or gives:
                found.add((equation.primitive.name, takes, gives))
    return found


@pytest.mark.parametrize("model", MODELS)
def test_it_is_in_the_layers_products_alone(model):
    """Sums of products leave in float32, but for those of the baseline's weights at one step."""

    def of(compute):
        trainer = Trainer(tiny(model=model, model__compute=compute))
        jaxpr = jax.make_jaxpr(trainer.total_gradient)(trainer.initial_state())
        return operations(jaxpr.jaxpr, set())

    found = of("bfloat16")
    moved = {"transpose", "stop_gradient", "broadcast_in_dim", "copy"}
    computing = {operation for operation in found if operation[0] not in moved}
    assert ("dot_general", True, False) in computing
    assert {name for name, _, _ in computing} <= {"dot_general", "convert_element_type"}
    assert not of("float32")


def test_the_fast_path_rounds_as_the_cell_does():
    """`unroll` and its taps, against JAX's derivatives of the cell in `nnx.RNN`."""
    built = models.build(tiny(model__compute="bfloat16"), 3, 2)
    structure, parameters = nnx.split(built)
    inputs = jax.random.normal(jax.random.key(1), (5, 4, 3))
    weights = jax.random.normal(jax.random.key(2), (5, 4, 2))

    def fast(parameters):
        return jnp.sum(weights * models.unroll(nnx.merge(structure, parameters), inputs)[0])

    def plain(parameters):
        rnn = nnx.RNN(nnx.merge(structure, parameters), time_major=True)
        return jnp.sum(weights * rnn(inputs))

    (a, da), (b, db) = (jax.jit(jax.value_and_grad(f))(parameters) for f in (fast, plain))
    np.testing.assert_allclose(a, b, rtol=HALF)
    flat = [np.concatenate([np.ravel(x) for x in jax.tree.leaves(d)]) for d in (da, db)]
    assert np.linalg.norm(flat[1] - flat[0]) < 4 * HALF * np.linalg.norm(flat[0])


def test_another_word_is_refused():
    with pytest.raises(UserError, match=r"model.compute: 'half' is unknown; choose one of"):
        Trainer(tiny(model__compute="half"))


def test_a_run_of_before_the_field_goes_on_in_float32():
    older = tiny()
    del older.model["compute"]
    assert configs.difference(older, tiny()) is None
    assert configs.difference(older, tiny(model__compute="bfloat16")) == "model.compute"


# ---- Learning

SMALLER = {"controller_size": 64, "memory_size": 16, "word_size": 12}
EASIER = {
    "copy": ({"max_length": 4}, 800),
    "associative_recall": ({"min_items": 2, "max_items": 2}, 1000),
}
TOLERANCE = 0.03  # of what chance costs


def learned(name, compute):
    """Bits per sequence of the last 100 updates, and of the first."""
    difficulty, updates = EASIER[name]
    config = configs.load(f"{FOLDER / name}.py:ntm-lstm", [f"model.compute={compute}"])
    config.task.update(difficulty)
    config.model.update(SMALLER | {"read_heads": 1, "write_heads": 1})
    config.optimizer.update({"name": "adam", "learning_rate": 3e-3, "clip": "global_norm"})
    config.optimizer.clip_limit = 1.0
    config.train.update({"updates": updates, "batch_size": 16, "blur_penalty": 0.0})
    trainer = Trainer(config)
    state = trainer.run(trainer.initial_state(), np.int32(1))
    chance = float(state.sums.nats) * BITS_PER_NAT
    state = trainer.run(state, np.int32(updates - 101))
    state = trainer.run(state.replace(sums=Sums.zero()), np.int32(100))
    return float(state.sums.nats) / 100 * BITS_PER_NAT, chance


@pytest.mark.slow
@pytest.mark.parametrize("name", EASIER)
def test_as_much_is_learned(name):
    """As in float32, to within 3% of what knowing nothing costs."""
    whole, chance = learned(name, "float32")
    half, _ = learned(name, "bfloat16")
    print(f"{name}: {whole:.3f} bits/sequence, in bfloat16 {half:.3f}; {chance:.1f} at first")
    assert whole < 0.7 * chance
    assert abs(half - whole) < TOLERANCE * chance
