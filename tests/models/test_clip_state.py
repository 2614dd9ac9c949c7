"""Derivatives by the state that are limited at every step backwards."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from ntm_jax.models.unrolling import training_outputs
from tests.helpers import tiny_models
from tests.helpers.tiny_models import INPUTS, B, T, make_cell, normal

pytestmark = pytest.mark.usefixtures("quick_compile")

X = normal(T, B, INPUTS)


def gradient(graphdef, parameters, at):
    """Of the sum of squares of the logits, by the program."""

    run = partial(training_outputs, inputs=X, state_gradient_limit=at)

    def loss(parameters):
        return jnp.sum(run(nnx.merge(graphdef, parameters))[0] ** 2)

    return jax.jit(jax.grad(loss))(parameters)


def gradient_step_by_step(graphdef, parameters, at):
    """The same from the plain cell: one step's derivatives after another, in a loop of Python."""
    state, pulls = tiny_models.initial_state(graphdef, (B,), parameters), []
    _, pull_start = jax.vjp(lambda p: tiny_models.initial_state(graphdef, (B,), p), parameters)
    for x in X:

        def step(p, state, x=x):
            state, y = tiny_models.advance(graphdef, p, state, x)
            return state, jnp.sum(y**2)

        (state, _), pull = jax.vjp(step, parameters, state)
        pulls.append(pull)

    total, largest = jax.tree.map(jnp.zeros_like, parameters), 0.0
    d_state = jax.tree.map(jnp.zeros_like, state)
    for pull in reversed(pulls):
        d_parameters, d_state = pull((d_state, jnp.ones(())))
        largest = max(largest, *(float(jnp.abs(d).max()) for d in jax.tree.leaves(d_state)))
        d_state = jax.tree.map(lambda d: jnp.clip(d, -at, at), d_state)
        total = jax.tree.map(jnp.add, total, d_parameters)
    (d_parameters,) = pull_start(d_state)
    return jax.tree.map(jnp.add, total, d_parameters), largest


@pytest.mark.parametrize("variant", ["paper", "stacked_lstm", "many_heads"])
@pytest.mark.parametrize("at", [0.01, 0.5, 1e9])
def test_the_gradient_is_that_of_a_loop_that_limits_each_step(float64, variant, at):
    graphdef, parameters = nnx.split(make_cell(variant))
    expected, largest = gradient_step_by_step(graphdef, parameters, at)
    assert largest > 0.5  # so the two smaller limits are met
    jax.tree.map(
        lambda a, e: np.testing.assert_allclose(a, e, rtol=1e-9, atol=1e-12),
        gradient(graphdef, parameters, at),
        expected,
    )


def test_no_limit_is_0(float64):
    graphdef, parameters = nnx.split(make_cell("paper"))
    jax.tree.map(
        lambda a, e: np.testing.assert_allclose(a, e, rtol=1e-12),
        gradient(graphdef, parameters, 0.0),
        gradient(graphdef, parameters, 1e12),
    )
