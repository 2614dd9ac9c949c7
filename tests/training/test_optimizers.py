"""Optimisers against their formulas, schedules at their ends, and names that are refused."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from ml_collections import ConfigDict

from ntm_jax.config import FIELDS
from ntm_jax.errors import UserError
from ntm_jax.training import optimizers

UPDATES = 100


@pytest.fixture(autouse=True)
def promotion():
    """Optax multiplies integers with floats."""
    with jax.numpy_dtype_promotion("standard"):
        yield


def config(**changes):
    """A config's optimizer alone: plain gradient descent with rate 0.1 unless changed."""
    options = {
        "name": "sgd",
        "learning_rate": 0.1,
        "arguments": "momentum=0.0",
        "schedule": "constant",
        "warmup": 0,
        "clip": "none",
        "clip_limit": 1.0,
    }
    return ConfigDict({"optimizer": options | changes})


def refused(**changes):
    with pytest.raises(UserError) as caught:
        optimizers.build(config(**changes), (UPDATES,))
    message = str(caught.value)
    assert "\n" not in message
    return message


def steps(optimizer, gradients):
    """What an optimizer adds to the parameters for each of the gradients `[K, ...]`."""

    def step(state, gradient):
        change, state = optimizer.update(gradient, state, jnp.zeros_like(gradient))
        return state, change

    return jax.lax.scan(step, optimizer.init(jnp.zeros_like(gradients[0])), gradients)[1]


# ---- Optimisers


@pytest.mark.parametrize("momentum", [0.9, 0.5])
def test_graves_rmsprop_is_equations_38_to_41(momentum):
    gradients = np.random.default_rng(0).normal(0.3, 2, (30, 5))
    n = m = delta = np.zeros(5)
    expected = []
    for g in gradients:
        n = 0.95 * n + 0.05 * g**2
        m = 0.95 * m + 0.05 * g
        delta = momentum * delta - 0.02 * g / np.sqrt(n - m**2 + 1e-4)
        expected.append(delta)

    made = config(name="graves_rmsprop", learning_rate=0.02, arguments=f"momentum={momentum}")
    found = steps(optimizers.build(made, (UPDATES,)), jnp.asarray(gradients, jnp.float32))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_graves_rmsprop_has_the_papers_momentum_by_default():
    gradients = jnp.ones((3, 2))
    default = steps(optimizers.graves_rmsprop(0.1), gradients)
    np.testing.assert_array_equal(default, steps(optimizers.graves_rmsprop(0.1, 0.9), gradients))


@pytest.mark.parametrize(
    ("clip", "expected"),
    [("none", [3.0, -4.0, 0.5]), ("value", [2.0, -2.0, 0.5]), ("global_norm", None)],
)
def test_clipping(clip, expected):
    gradient = np.float32([3.0, -4.0, 0.5])
    if clip == "global_norm":
        expected = 2 * gradient / np.sqrt(9 + 16 + 0.25)
    optimizer = optimizers.build(config(clip=clip, clip_limit=2.0), (UPDATES,))
    found = steps(optimizer, jnp.asarray(gradient)[None])[0]
    np.testing.assert_allclose(found, -0.1 * np.float32(expected), rtol=1e-6)


@pytest.mark.parametrize("clip", ["value", "global_norm"])
def test_a_small_gradient_is_not_clipped(clip):
    optimizer = optimizers.build(config(clip=clip, clip_limit=2.0), (UPDATES,))
    np.testing.assert_allclose(steps(optimizer, jnp.full((1, 2), 0.5))[0], -0.05, rtol=1e-6)


def test_all_of_a_tree_counts_for_the_global_norm():
    optimizer = optimizers.build(config(clip="global_norm", clip_limit=1.0), (UPDATES,))
    gradient = {"a": jnp.float32(3.0), "b": jnp.float32(4.0)}
    change, _ = optimizer.update(gradient, optimizer.init(gradient), gradient)
    np.testing.assert_allclose([change["a"], change["b"]], [-0.06, -0.08], rtol=1e-6)


def test_sgd_has_momentum():
    found = steps(optimizers.build(config(arguments=""), (UPDATES,)), jnp.ones((3, 1)))[:, 0]
    np.testing.assert_allclose(found, [-0.1, -0.19, -0.271], rtol=1e-6)


@pytest.mark.parametrize("name", ["sgd", "graves_rmsprop"])
@pytest.mark.parametrize("arguments", [{"momentum": 0.8, "nesterov": True}, {"nesterov": True}])
def test_ours_take_what_those_of_optax_take(name, arguments):
    text = ", ".join(f"{key}={value}" for key, value in arguments.items())
    found = optimizers.build(config(name=name, arguments=text), (UPDATES,))
    arguments = {"momentum": 0.9} | arguments
    if name == "graves_rmsprop":
        arguments |= {"decay": 0.95, "eps": 1e-4, "centered": True}
    expected = (optax.sgd if name == "sgd" else optax.rmsprop)(0.1, **arguments)
    gradients = jnp.asarray(np.random.default_rng(0).normal(size=(4, 3)), jnp.float32)
    np.testing.assert_array_equal(steps(found, gradients), steps(expected, gradients))


def test_the_example_of_the_help_is_one():
    help = FIELDS["optimizer.arguments"].help
    arguments = re.search(r": (.*)\.$", help)[1]
    assert len(optimizers.parse_arguments(arguments)) == 2
    optimizers.build(config(name="sgd", arguments=arguments), (UPDATES,))


@pytest.mark.parametrize("name", ["adam", "adamw", "lion", "sgd", "rmsprop", "nadam", "adagrad"])
def test_any_optimiser_of_optax_goes_downhill(name):
    optimizer = optimizers.build(config(name=name, arguments="", learning_rate=0.01), (UPDATES,))
    start = jnp.array([1.0, -2.0])
    state, parameters = optimizer.init(start), start
    for _ in range(3):
        change, state = optimizer.update(2 * parameters, state, parameters)
        parameters = optax.apply_updates(parameters, change)
    assert bool(jnp.all(jnp.abs(parameters) < jnp.abs(start)))


def test_arguments_reach_the_optimiser():
    gradients = jnp.asarray(np.random.default_rng(0).normal(size=(4, 3)), jnp.float32)
    made = config(name="adam", arguments="b1=0.5, nesterov=True")
    found = steps(optimizers.build(made, (UPDATES,)), gradients)
    expected = steps(optax.adam(0.1, b1=0.5, nesterov=True), gradients)
    np.testing.assert_array_equal(found, expected)


def test_the_schedule_reaches_the_optimiser():
    optimizer = optimizers.build(config(schedule="linear", warmup=2), (6,))
    found = steps(optimizer, jnp.ones((8, 1)))[:, 0]
    expected = [0, -0.05, -0.1, -0.075, -0.05, -0.025, 0, 0]
    np.testing.assert_allclose(found, expected, atol=1e-8)


# ---- Schedules


@pytest.mark.parametrize(
    ("name", "warmup", "rates"),
    [
        ("constant", 0, {0: 0.1, 50: 0.1, 100: 0.1, 200: 0.1}),
        ("linear", 0, {0: 0.1, 50: 0.05, 75: 0.025, 100: 0.0, 200: 0.0}),
        ("cosine", 0, {0: 0.1, 50: 0.05, 25: 0.05 * (1 + 0.5**0.5), 100: 0.0, 200: 0.0}),
        ("exponential", 0, {0: 0.1, 50: 0.01, 25: 0.1**1.5, 100: 0.001}),
        ("constant", 20, {0: 0.0, 5: 0.025, 20: 0.1, 60: 0.1, 100: 0.1}),
        ("linear", 20, {0: 0.0, 10: 0.05, 20: 0.1, 60: 0.05, 100: 0.0}),
        ("cosine", 20, {0: 0.0, 10: 0.05, 20: 0.1, 60: 0.05, 100: 0.0}),
        ("exponential", 20, {0: 0.0, 10: 0.05, 20: 0.1, 60: 0.01, 100: 0.001}),
        ("linear", 200, {0: 0.0, 100: 0.05}),  # the end comes first
    ],
)
def test_learning_rates(name, warmup, rates):
    schedule = optimizers.schedule(config(schedule=name, warmup=warmup), (UPDATES,))
    for update, rate in rates.items():
        np.testing.assert_allclose(schedule(jnp.int32(update)), rate, atol=1e-8, rtol=1e-5)


# ---- What is refused


@pytest.mark.parametrize(
    "name",
    [
        "addam",
        "",
        "Adam",
        "adam ",
        "_src",
        "__name__",
        "losses",  # a module
        "apply_updates",  # no optimiser
        "clip_by_global_norm",
        "OptState",
        "polyak_sgd",
    ],
)
def test_a_name_that_is_no_optimiser(name):
    message = refused(name=name, arguments="")
    assert message.startswith(f"optimizer.name: {name!r} is unknown; choose one of ")
    assert "graves_rmsprop, sgd" in message


@pytest.mark.parametrize(
    ("field", "allowed"),
    [
        ("clip", "choose one of global_norm, none, value"),
        ("schedule", "choose one of constant, cosine, exponential, linear"),
    ],
)
def test_an_unknown_name(field, allowed):
    message = refused(**{field: "other"})
    assert message == f"optimizer.{field}: 'other' is unknown; {allowed}"


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("adam", "beta=0.9"),
        ("adam", "learning_rate=0.1"),
        ("sgd", "b1=0.9"),
        ("graves_rmsprop", "rate=0.9"),
        ("noisy_sgd", "eta=0.9, none=2"),
    ],
)
def test_an_argument_that_the_optimiser_does_not_take(name, arguments):
    message = refused(name=name, arguments=arguments)
    assert message.startswith("optimizer.arguments: ")
    assert repr(name) in message
    assert repr(arguments) in message


@pytest.mark.parametrize(
    ("name", "arguments"), [("adam", "b1='high'"), ("adam", "b1=None"), ("sgd", "momentum='x'")]
)
def test_an_argument_of_the_wrong_kind(name, arguments):
    """Optax may find out only when it is used: that is before the first update is compiled."""
    message = refused(name=name, arguments=arguments)
    assert message.startswith("optimizer.arguments: ")
    assert repr(arguments) in message


@pytest.mark.parametrize(
    "text",
    [
        *("0.9", "b1", "b1=", "b1=0.9 b2=0.9", "b1=beta", "b1=1+", "**{}", "b1=f(1)"),
        *("b1=0.9, b1=0.8", "b1=0.9)", ")(", "b1=0.9); f(b2=1", "b1=\x00", "b1=\n"),
        "__import__('os')",
    ],
)
def test_arguments_that_cannot_be_read(text):
    message = refused(name="adam", arguments=text)
    assert message.startswith("optimizer.arguments: ")
    assert repr(text) in message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("b1=0.9", {"b1": 0.9}),
        ("b1=.9, nesterov=True", {"b1": 0.9, "nesterov": True}),
        ("a=-1, b=None, c='x', d=(1, 2),", {"a": -1, "b": None, "c": "x", "d": (1, 2)}),
    ],
)
def test_arguments_that_can_be_read(text, expected):
    assert optimizers.parse_arguments(text) == expected


@pytest.mark.parametrize("name", ["rprop", "sm3"])
def test_an_optimiser_that_takes_no_schedule(name):
    assert refused(name=name, arguments="") == (
        f"optimizer.name: {name!r} takes no learning-rate schedule, which every run has; choose another"
    )


def test_an_optimiser_that_needs_more_than_a_gradient():
    assert refused(name="lbfgs", arguments="").startswith(
        "optimizer.arguments: 'lbfgs' does not take "
    )


@pytest.mark.parametrize("name", ["linear", "cosine", "exponential"])
def test_a_schedule_that_ends_and_begins_again_lower(name):
    options = config(schedule=name, warmup=10)
    whole, half = (optimizers.schedule(options, (updates,)) for updates in (100, 50))
    both = optimizers.schedule(options, (50, 100))
    for update in (0, 5, 30, 49, 50, 51, 99, 100):
        expected = (half if update < 50 else whole)(update)
        assert float(both(jnp.int32(update))) == pytest.approx(float(expected), rel=1e-6)
    # As many or more are no others.
    assert float(optimizers.schedule(options, (100, 100))(99)) == float(whole(99))
