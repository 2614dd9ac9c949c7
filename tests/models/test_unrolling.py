"""Building a model, and unrolling it: the same numbers whichever way the steps are run."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from ml_collections import ConfigDict

from ntm_jax import models
from ntm_jax.errors import UserError
from ntm_jax.models import build, parameter_count, scanning, unroll
from ntm_jax.models.cell import NTMCell
from ntm_jax.models.lstm import LSTM
from tests.helpers import oracle, tiny_models
from tests.helpers.tiny_models import (
    INPUTS,
    OUTPUTS,
    VARIANTS,
    B,
    T,
    make_cell,
    make_lstm,
    normal,
    numbers,
    options_of,
)

pytestmark = pytest.mark.usefixtures("quick_compile")

X = normal(T, B, INPUTS)
MODELS = [*VARIANTS, "lstm"]


def split(name):
    return nnx.split(make_lstm() if name == "lstm" else make_cell(name))


def assert_close(actual, expected):
    jax.tree.map(
        lambda a, e: np.testing.assert_allclose(a, e, rtol=1e-10, atol=1e-14), actual, expected
    )


def steps(graphdef, parameters, inputs, state=None):
    """The explicit loop: final state and logits `[T, B, out]`."""
    if state is None:
        state = tiny_models.initial_state(graphdef, (inputs.shape[1],), parameters)
    logits = []
    for x in inputs:
        state, y = tiny_models.advance(graphdef, parameters, state, x)
        logits.append(y)
    return state, np.array(logits)


@functools.partial(jax.jit, static_argnums=0)
def run_rnn(graphdef, parameters, inputs, carry=None):
    return nnx.RNN(nnx.merge(graphdef, parameters), time_major=True)(inputs, initial_carry=carry)


@pytest.mark.parametrize("variant", VARIANTS)
def test_unroll_is_the_oracles(float64, variant):
    graphdef, parameters = split(variant)
    logits, trace = tiny_models.run(graphdef, parameters, X)

    options, known, one, state = options_of(variant), numbers(parameters), 1, None
    if variant == "random_start":
        start = tiny_models.initial_state(graphdef, (B,), parameters)
        drawn = (np.asarray(part[one]) for part in (start.memory, start.weightings, start.reads))
        state = oracle.State(*drawn, oracle.zero_carry(known["controller"]["layers"]))
    expected, states = oracle.unroll(known, options, X[:, one], state)
    weightings = np.array([state.weightings for state in states])
    first_write = 0 if options["shared_weighting"] else options["read_heads"]
    assert_close(
        (
            logits[:, one],
            trace.read_weightings[:, one],
            trace.write_weightings[:, one],
            trace.reads[:, one],
            trace.memory[:, one],
        ),
        (
            expected,
            weightings[:, : options["read_heads"]],
            weightings[:, first_write:],
            np.array([state.reads for state in states]),
            np.array([state.memory for state in states]),
        ),
    )


def test_the_baseline_is_the_oracles(float64):
    graphdef, parameters = split("lstm")
    logits, _ = tiny_models.run(graphdef, parameters, X)
    expected = oracle.lstm_unroll(numbers(parameters), X[:, 1])
    assert_close(logits[:, 1], expected)


@pytest.mark.parametrize("name", MODELS)
def test_unroll_is_a_loop_over_steps(float64, name):
    graphdef, parameters = split(name)
    assert_close(tiny_models.run(graphdef, parameters, X)[0], steps(graphdef, parameters, X)[1])


@pytest.mark.parametrize("name", MODELS)
def test_unroll_is_flax_nnx_rnn(float64, name):
    graphdef, parameters = split(name)
    carry = None
    if name == "random_start":
        carry = tiny_models.initial_state(graphdef, (B,), parameters)
    logits, _ = tiny_models.run(graphdef, parameters, X)
    assert_close(run_rnn(graphdef, parameters, X, carry), logits)


@pytest.mark.parametrize("name", ["many_heads", "lstm"])
def test_a_batch_is_each_example_alone(float64, name):
    graphdef, parameters = split(name)
    batch = tiny_models.run(graphdef, parameters, X)
    for one in range(B):
        alone = tiny_models.run(graphdef, parameters, X[:, one : one + 1])
        assert_close(jax.tree.map(lambda part, one=one: part[:, one : one + 1], batch), alone)


@pytest.mark.parametrize("name", ["stacked_lstm", "lstm"])
def test_the_second_half_goes_on_from_the_first(float64, name):
    graphdef, parameters = split(name)
    state, first = steps(graphdef, parameters, X[:2])
    second, _ = tiny_models.run(graphdef, parameters, X[2:], state)
    whole, _ = tiny_models.run(graphdef, parameters, X)
    assert_close(np.concatenate([first, second]), whole)


@pytest.mark.parametrize(
    ("variant", "segment"),
    [
        ("paper", 512),
        ("paper", T - 1),
        ("stacked_lstm", 512),
        ("many_heads", 512),
        ("shared_weighting", 512),
    ],
)
def test_logits_and_memory_use_and_their_gradients_are_those_of_a_loop_over_steps(
    float64, monkeypatch, variant, segment
):
    """A model has its own way through a step and its own derivatives; the cell has JAX's."""
    monkeypatch.setattr(scanning, "SEGMENT", segment)
    graphdef, parameters = nnx.split(make_cell(variant, memory_size=32))

    def loop(parameters, inputs):
        cell = nnx.merge(graphdef, parameters)

        def step(state, x):
            state, happened = cell.advance(state, x)
            blur = jnp.sum(1 - jnp.sum(happened.weightings**2, axis=-1), axis=-1)
            erase, add = happened.controls.erase, happened.controls.add
            writing = jnp.sum(jnp.mean(erase + abs(add), axis=-1), axis=-1)
            use = models.MemoryUse(blur, writing)
            return state, (cell.output(happened.hidden, happened.reads), use)

        return jax.lax.scan(step, cell.initial_state((B,)), inputs)[1]

    def unrolled(parameters, inputs):
        return models.training_outputs(nnx.merge(graphdef, parameters), inputs, writing=True)

    @functools.partial(jax.jit, static_argnums=0)
    def value_and_gradients(run, *told):
        value, pullback = jax.vjp(run, *told)
        use = models.MemoryUse(normal(T, B, seed=6), normal(T, B, seed=7))
        return value, pullback((normal(T, B, OUTPUTS, seed=5), use))

    jax.tree.map(
        functools.partial(np.testing.assert_allclose, rtol=1e-8, atol=1e-10),
        value_and_gradients(unrolled, parameters, X),
        value_and_gradients(loop, parameters, X),
    )


def test_segments_change_nothing(float64, monkeypatch):
    """A sequence longer than `SEGMENT` is unrolled in parts."""
    graphdef, parameters = split("many_heads")
    whole = tiny_models.run(graphdef, parameters, X)
    monkeypatch.setattr(scanning, "SEGMENT", T - 1)
    run = jax.jit(lambda parameters: unroll(nnx.merge(graphdef, parameters), X, memory=True))
    assert_close(run(parameters), whole)


def test_jit_changes_nothing(float64):
    graphdef, parameters = split("many_heads")
    plain = unroll(nnx.merge(graphdef, parameters), jnp.asarray(X), memory=True)
    assert_close(tiny_models.run(graphdef, parameters, X), plain)


def test_the_parameters_run_with_more_rows_than_they_were_trained_with(float64):
    trained, larger = make_cell("paper"), make_cell("paper", memory_size=11)
    parameters = nnx.state(trained)
    logits, _ = tiny_models.run(nnx.split(larger)[0], parameters, X)
    options = options_of("paper") | {"memory_size": 11}
    expected, _ = oracle.unroll(numbers(parameters), options, X[:, 1])
    assert_close(logits[:, 1], expected)


def test_the_key_is_for_the_initial_state(monkeypatch):
    given = []
    initial_state = NTMCell.initial_state

    def spy(self, batch_shape, key):
        given.append((batch_shape, key))
        return initial_state(self, batch_shape, key)

    monkeypatch.setattr(NTMCell, "initial_state", spy)
    cell, key = make_cell("random_start"), jax.random.key(3)
    jax.eval_shape(lambda: unroll(cell, jnp.zeros((T, B, INPUTS)), key=key))
    assert given == [((B,), key)]


def test_the_trace_has_memory_only_if_asked():
    cell = make_cell()
    trace = jax.eval_shape(lambda: unroll(cell, jnp.asarray(X, "float32"))[1])
    assert trace.memory is None


def test_the_baselines_trace_has_no_heads():
    graphdef, parameters = split("lstm")
    _, trace = tiny_models.run(graphdef, parameters, np.float32(X))
    assert trace.read_weightings.shape == trace.write_weightings.shape == (T, B, 0, 0)
    assert trace.reads.shape == (T, B, 0, 0)
    assert trace.controls is None
    assert trace.memory is None


@pytest.mark.parametrize("name", ["paper", "lstm"])
@pytest.mark.parametrize("shape", [(T, INPUTS), (T, B, INPUTS + 1), (T, B, 1, INPUTS), ()])
def test_inputs_of_another_shape_are_refused(name, shape):
    with pytest.raises(UserError, match=rf"^inputs: expected shape \[T, B, {INPUTS}\], got \["):
        unroll(nnx.merge(*split(name)), jnp.zeros(shape))


CONFIGS = {
    "ntm": {"kind": "ntm", "controller_size": 5, "memory_size": 7, "word_size": 4},
    "lstm": {"kind": "lstm", "controller_size": 5, "controller_layers": 2},
}


@functools.cache
def built(kind, seed=0):
    config = ConfigDict({"seed": seed, "model": CONFIGS[kind]})
    return nnx.jit(lambda: build(config, INPUTS, OUTPUTS))()


@pytest.mark.parametrize(("kind", "expected"), [("ntm", NTMCell), ("lstm", LSTM)])
def test_build_makes_what_the_config_says(kind, expected):
    assert isinstance(built(kind), expected)


def test_the_seed_decides_the_first_parameters():
    first, other = (built("lstm", seed).to_output.kernel[...] for seed in (0, 1))
    assert not np.isclose(first, other).any()


def test_an_unknown_kind_is_refused():
    with pytest.raises(UserError, match=r"^model\.kind: 'nonsense' is unknown"):
        build(ConfigDict({"seed": 0, "model": {"kind": "nonsense"}}), INPUTS, OUTPUTS)


@pytest.mark.parametrize(
    ("kind", "count"),
    [
        ("ntm", (7 + 1) * 5 + (5 + 1) * 28 + (9 + 1) * 2),
        ("lstm", (8 + 1) * 20 + (10 + 1) * 20 + (5 + 1) * 2),
    ],
)
def test_parameter_count(kind, count):
    config = ConfigDict({"seed": 0, "model": CONFIGS[kind]})
    assert parameter_count(nnx.eval_shape(lambda: build(config, INPUTS, OUTPUTS))) == count
