"""Both controllers against loops over units, and their gradients."""

import jax
import numpy as np
import pytest
from flax import nnx
from jax.test_util import check_grads

from ntm_jax.errors import UserError
from ntm_jax.models.controllers import ACTIVATIONS, FeedForward, StackedLSTM
from tests.helpers import oracle
from tests.helpers.tiny_models import normal, numbers, randomise

pytestmark = pytest.mark.usefixtures("quick_compile")

INPUTS, SIZE = 3, 5


def feed_forward(activation="tanh"):
    return randomise(
        lambda: FeedForward(
            INPUTS, SIZE, activation=activation, param_dtype=float, rngs=nnx.Rngs(0)
        )
    )


def stacked_lstm(layers):
    return randomise(
        lambda: StackedLSTM(INPUTS, SIZE, layers=layers, param_dtype=float, rngs=nnx.Rngs(0))
    )


def carry_of(layers, *batch_shape):
    numbers = normal(layers, 2, *batch_shape, SIZE, seed=1)
    return tuple((hidden, cell) for hidden, cell in numbers)


@nnx.jit
def apply(controller, carry, inputs):
    return controller(carry, inputs)


def assert_trees_close(actual, expected):
    jax.tree.map(lambda a, e: np.testing.assert_allclose(a, e, rtol=1e-10), actual, expected)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_feed_forward_is_the_oracles(float64, activation):
    controller, x = feed_forward(activation), normal(INPUTS)
    carry, hidden = apply(controller, (), x)
    expected = oracle.feed_forward(numbers(nnx.state(controller))["linear"], activation, x)
    assert carry == ()
    assert_trees_close(hidden, expected)


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_stacked_lstm_is_the_oracles(float64, layers):
    controller, carry, x = stacked_lstm(layers), carry_of(layers), normal(INPUTS)
    new_carry, hidden = apply(controller, carry, x)
    expected_carry, expected = oracle.stacked_lstm(
        numbers(nnx.state(controller))["layers"], x, carry
    )
    assert_trees_close((new_carry, hidden), (tuple(expected_carry), expected))


def test_a_batch_is_each_example_alone(float64):
    controller, carry, x = stacked_lstm(2), carry_of(2, 4, 3), normal(4, 3, INPUTS)
    batch = apply(controller, carry, x)
    alone = apply(controller, *jax.tree.map(lambda a: a[1, 2], (carry, x)))
    assert_trees_close(jax.tree.map(lambda a: a[1, 2], batch), alone)


@pytest.mark.parametrize(
    ("make", "carry"),
    [(feed_forward, ()), (lambda: stacked_lstm(1), carry_of(1))],
    ids=["feed_forward", "stacked_lstm"],
)
def test_gradients(float64, make, carry):
    graphdef, parameters = nnx.split(make())

    @jax.jit
    def run(parameters, carry, x):
        return nnx.merge(graphdef, parameters)(carry, x)

    check_grads(run, (parameters, carry, normal(INPUTS)), order=1, modes=("fwd", "rev"))


def test_the_first_carry_is_zero():
    carry = stacked_lstm(2).initial_carry((4, 3))
    assert [part.shape for layer in carry for part in layer] == [(4, 3, SIZE)] * 4
    assert not any(part.any() for layer in carry for part in layer)


def test_only_the_forget_gates_begin_open():
    controller = nnx.jit(lambda: StackedLSTM(INPUTS, SIZE, layers=2, rngs=nnx.Rngs(0)))()
    expected = np.concatenate([np.zeros(SIZE), np.ones(SIZE), np.zeros(2 * SIZE)])
    for layer in controller.layers:
        np.testing.assert_array_equal(layer.bias[...], expected)


def test_an_unknown_activation_is_refused():
    with pytest.raises(UserError, match=r"^model\.activation: 'nonsense' is unknown"):
        FeedForward(INPUTS, SIZE, activation="nonsense", rngs=nnx.Rngs(0))
