"""Models whose step is in part a user's own, and sequences and batches of nothing."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from ntm_jax import models
from ntm_jax.errors import UserError
from ntm_jax.models.cell import NTMCell
from ntm_jax.models.linear import Linear
from ntm_jax.models.lstm import LSTM
from tests.helpers.tiny_models import INPUTS, OUTPUTS, B, T, make_cell, make_lstm, normal

pytestmark = pytest.mark.usefixtures("quick_compile", "float64")

SIZES = {"controller_size": 6, "memory_size": 7, "word_size": 4, "param_dtype": float}


class Forgetful(NTMCell):
    """Halves its memory after each step."""

    def advance(self, state, inputs):
        state, step = super().advance(state, inputs)
        return state.replace(memory=state.memory / 2), step


class Blind(NTMCell):
    """Reads nothing."""

    def _access(self, memory, previous, controls):
        written, weightings, reads = super()._access(memory, previous, controls)
        return written, weightings, 0 * reads


class Doubled(Linear):
    """Has twice the output."""

    def __call__(self, inputs, out_sharding=None):
        return 2 * super().__call__(inputs, out_sharding)


class Scaled(NTMCell):
    """Has logits ten times as large."""

    def __call__(self, carry, inputs):
        carry, logits = super().__call__(carry, inputs)
        return carry, 10 * logits


class ScaledLSTM(LSTM):
    """Has logits ten times as large."""

    def __call__(self, carry, inputs):
        carry, logits = super().__call__(carry, inputs)
        return carry, 10 * logits


def with_layer_of_its_own():
    cell = NTMCell(INPUTS, OUTPUTS, **SIZES, rngs=nnx.Rngs(0))
    cell.to_heads = Doubled(6, sum(cell.heads.widths), param_dtype=float, rngs=nnx.Rngs(1))
    return cell


MAKE = {
    "advance": lambda: Forgetful(INPUTS, OUTPUTS, **SIZES, rngs=nnx.Rngs(0)),
    "_access": lambda: Blind(INPUTS, OUTPUTS, **SIZES, rngs=nnx.Rngs(0)),
    "layer": with_layer_of_its_own,
}


@pytest.mark.parametrize("own", MAKE)
def test_unroll_runs_a_step_of_the_users_own(own):
    """Values, last state and gradients are those of `flax.nnx.RNN`."""
    structure, parameters = nnx.split(MAKE[own]())
    inputs = jnp.asarray(normal(T, B, INPUTS))

    def unrolled(parameters):
        logits, _, state = models.unroll(
            nnx.merge(structure, parameters), inputs, return_state=True
        )
        return state, logits

    def trained(parameters):
        model = nnx.merge(structure, parameters)
        return (models.training_outputs(model, inputs, writing=True)[0],)

    def plain(parameters):
        rnn = nnx.RNN(nnx.merge(structure, parameters), time_major=True, return_carry=True)
        return rnn(inputs)

    @functools.partial(jax.jit, static_argnums=0)
    def with_gradient(run, parameters):
        def loss(parameters):
            results = run(parameters)
            return jnp.sum(results[-1] ** 2), results

        return jax.grad(loss, has_aux=True)(parameters)

    close = functools.partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-12)
    gradient, results = with_gradient(plain, parameters)
    jax.tree.map(close, with_gradient(unrolled, parameters), (gradient, results))
    jax.tree.map(close, with_gradient(trained, parameters), (gradient, (results[-1],)))


def test_the_step_of_the_users_own_is_another_than_the_cells():
    """So that the test above would fail by the fast path."""
    inputs = jnp.asarray(normal(T, B, INPUTS))
    own = MAKE["advance"]()
    cell = NTMCell(INPUTS, OUTPUTS, **SIZES, rngs=nnx.Rngs(0))
    differ = models.unroll(own, inputs)[0] != models.unroll(cell, inputs)[0]
    assert np.any(differ)


@pytest.mark.parametrize("kind", [Scaled, ScaledLSTM])
def test_a_call_of_the_users_own_is_refused(kind):
    sizes = SIZES if kind is Scaled else {"controller_size": 3, "param_dtype": float}
    model = kind(INPUTS, OUTPUTS, **sizes, rngs=nnx.Rngs(0))
    for run in (models.unroll, models.training_outputs):
        with pytest.raises(
            UserError, match=rf"^model: .*{kind.__name__}\.__call__; use flax\.nnx\.RNN"
        ):
            run(model, jnp.zeros((T, B, INPUTS)))


@pytest.mark.parametrize("shape", [(0, B), (T, 0), (0, 0)])
@pytest.mark.parametrize("name", ["paper", "stacked_lstm", "many_heads", "random_start", "lstm"])
def test_nothing_gives_an_empty_result(name, shape):
    structure, parameters = nnx.split(make_lstm() if name == "lstm" else make_cell(name))
    inputs = jnp.ones((*shape, INPUTS))

    @jax.jit
    def run(parameters):
        def sums(parameters):
            model = nnx.merge(structure, parameters)
            results = models.unroll(model, inputs, memory=True, return_state=True)
            return jnp.sum(results[0]), results

        gradient, results = jax.grad(sums, has_aux=True)(parameters)
        start = nnx.merge(structure, parameters).initial_state(shape[1:])
        return gradient, start, results

    gradient, start, (logits, trace, state) = run(parameters)
    assert logits.shape == (*shape, OUTPUTS)
    assert all(leaf.shape[:2] == shape for leaf in jax.tree.leaves(trace))
    jax.tree.map(np.testing.assert_array_equal, state, start)
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(gradient))


@pytest.mark.parametrize("shape", [(0,), (2, 0)])
def test_a_step_of_no_examples(shape):
    cell = make_cell("many_heads")
    _, logits = cell(cell.initial_state(shape), jnp.ones((*shape, INPUTS)))
    assert logits.shape == (*shape, OUTPUTS)
