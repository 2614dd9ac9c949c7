"""The cell as users of Flax have it: every option of `nnx.RNN`, and nnx's own transformations."""

import functools
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from ntm_jax import NTMCell, unroll
from tests.helpers import tiny_models
from tests.helpers.tiny_models import INPUTS, OUTPUTS, B, T, make_cell, make_lstm, normal

pytestmark = pytest.mark.usefixtures("quick_compile")

X = normal(T, B, INPUTS)
LENGTHS = np.array([T, 2, 1])
MODELS = {"ntm": functools.partial(make_cell, "stacked_lstm"), "lstm": make_lstm}


def steps(structure, parameters, inputs):
    """The carry and logits `[T, B, out]` of a loop over steps."""
    state, logits = tiny_models.initial_state(structure, (inputs.shape[1],), parameters), []
    for x in inputs:
        state, y = tiny_models.advance(structure, parameters, state, x)
        logits.append(y)
    return state, np.array(logits)


def assert_close(actual, expected, tolerance=1e-10):
    jax.tree.map(
        lambda a, e: np.testing.assert_allclose(a, e, rtol=tolerance, atol=tolerance / 100),
        actual,
        expected,
    )


def batch_major(values):
    return jnp.swapaxes(jnp.asarray(values), 0, 1)


@pytest.mark.parametrize("name", MODELS)
def test_the_options_of_rnn(float64, name):
    model = MODELS[name]()
    expected = steps(*nnx.split(model), X)
    backwards = steps(*nnx.split(model), X[::-1])
    rnn = functools.partial(nnx.RNN, model)
    x = jnp.asarray(X)
    assert_close(rnn(time_major=True, return_carry=True)(x), expected)
    assert_close(rnn()(batch_major(x)), batch_major(expected[1]))
    assert_close(rnn(time_major=True, unroll=T)(x), expected[1])
    assert_close(rnn(time_major=True, reverse=True)(x), backwards[1])
    in_order = rnn(time_major=True, reverse=True, keep_order=True)(x)
    assert_close(in_order, backwards[1][::-1])
    _, logits = rnn(time_major=True, return_carry=True)(x, seq_lengths=jnp.asarray(LENGTHS))
    for example, length in enumerate(LENGTHS):
        assert_close(logits[:length, example], expected[1][:length, example])


@pytest.mark.parametrize("name", MODELS)
def test_the_carry_after_sequences_of_unequal_length(float64, name):
    model = MODELS[name]()
    structure, parameters = nnx.split(model)
    rnn = nnx.RNN(model, time_major=True, return_carry=True)
    carry, _ = rnn(jnp.asarray(X), seq_lengths=jnp.asarray(LENGTHS))
    for example, length in enumerate(LENGTHS):
        alone, _ = steps(structure, parameters, X[:length, example : example + 1])
        assert_close(jax.tree.map(lambda leaf, i=example: leaf[i : i + 1], carry), alone)


def test_bidirectional(float64):
    forward, backward = make_cell("paper"), make_lstm()
    both = nnx.Bidirectional(nnx.RNN(forward), nnx.RNN(backward))
    found = both(batch_major(X))
    there = steps(*nnx.split(forward), X)[1]
    back = steps(*nnx.split(backward), X[::-1])[1][::-1]
    assert_close(found, batch_major(np.concatenate([there, back], axis=-1)))


class Tagger(nnx.Module):
    """A user's model around the cell, by `nnx.RNN` or by `unroll`."""

    def __init__(self, by_unroll, rngs, **options):
        self.embed = nnx.Linear(INPUTS, 4, rngs=rngs)
        self.cell = NTMCell(
            4, 5, controller_size=6, memory_size=5, word_size=3, rngs=rngs, **options
        )
        self.label = nnx.Linear(5, OUTPUTS, rngs=rngs)
        self.by_unroll = by_unroll

    def __call__(self, inputs):
        embedded = jnp.tanh(self.embed(inputs))
        if self.by_unroll:
            outputs, _ = unroll(self.cell, embedded)
        else:
            outputs = nnx.RNN(self.cell, time_major=True)(embedded)
        return self.label(outputs)


def cost(model, inputs, targets):
    return jnp.mean((model(inputs) - targets) ** 2)


def trained(by_unroll):
    """Costs of five updates with `nnx.Optimizer` under `nnx.jit`."""
    model = Tagger(by_unroll, nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, optax.adam(1e-2), wrt=nnx.Param)

    @nnx.jit
    def update(model, optimizer, inputs, targets):
        loss, gradient = nnx.value_and_grad(cost)(model, inputs, targets)
        with jax.numpy_dtype_promotion("standard"):  # which optax counts on
            optimizer.update(model, gradient)
        return loss

    inputs, targets = jnp.float32(X), jnp.float32(normal(T, B, OUTPUTS, seed=1))
    return [float(update(model, optimizer, inputs, targets)) for _ in range(5)]


def test_training_in_a_users_model():
    by_unroll, by_rnn = trained(True), trained(False)
    assert by_unroll[-1] < by_unroll[0]
    assert_close(np.array(by_unroll), np.array(by_rnn), 1e-5)


@pytest.mark.parametrize("by_unroll", [True, False])
def test_vmap_over_models(by_unroll):
    @nnx.split_rngs(splits=2)
    @nnx.vmap(in_axes=0, out_axes=0)
    def make(rngs):
        return Tagger(by_unroll, rngs)

    models = make(nnx.Rngs(0))
    inputs = jnp.float32(X)
    found = nnx.vmap(lambda model, x: model(x), in_axes=(0, None))(models, inputs)
    structure, parameters = nnx.split(models)
    for one in range(2):
        alone = nnx.merge(structure, jax.tree.map(lambda leaf, i=one: leaf[i], parameters))
        assert_close(found[one], alone(inputs), 1e-5)


@pytest.mark.parametrize(("by_unroll", "controller"), [(True, "lstm"), (False, "feedforward")])
def test_bfloat16_parameters_give_about_the_same(by_unroll, controller):
    wide = Tagger(by_unroll, nnx.Rngs(0), controller=controller)
    narrow = Tagger(by_unroll, nnx.Rngs(0), controller=controller, param_dtype=jnp.bfloat16)
    parameters = nnx.state(wide.cell)
    rounded = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), parameters)
    nnx.update(narrow.cell, rounded)
    inputs = jnp.float32(X)

    def outputs(model):
        with jax.numpy_dtype_promotion("standard"):
            return model(inputs)

    np.testing.assert_allclose(outputs(narrow), outputs(wide), atol=0.03)

    def loss(model):
        return jnp.sum(jnp.float32(outputs(model)) ** 2)

    gradient = nnx.grad(loss)(narrow)
    for leaf in jax.tree.leaves(gradient):
        assert bool(jnp.all(jnp.isfinite(leaf)))
    assert {leaf.dtype for leaf in jax.tree.leaves(nnx.state(gradient)["cell"])} == {
        jnp.dtype(jnp.bfloat16)
    }


def test_a_cell_can_be_pickled():
    cell = make_cell("stacked_lstm")
    again = pickle.loads(pickle.dumps(cell))
    assert_close(unroll(again, X)[0], unroll(cell, X)[0], 1e-6)
