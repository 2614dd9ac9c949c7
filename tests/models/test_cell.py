"""One step of the cell, and the state it starts from."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.test_util import check_grads

from ntm_jax.errors import UserError
from ntm_jax.models.cell import NTMCell, NTMState
from ntm_jax.models.unrolling import unroll
from tests.helpers import oracle, tiny_models
from tests.helpers.tiny_models import (
    INPUTS,
    OUTPUTS,
    VARIANTS,
    make_cell,
    normal,
    numbers,
    options_of,
)

pytestmark = pytest.mark.usefixtures("quick_compile")


def some_state(variant):
    """A state of one example that no initial state resembles."""
    options = options_of(variant)
    rows, width, heads = 7, 4, oracle.addressing_count(options)
    layers = options.get("controller_layers", 1) if options["controller"] == "lstm" else 0
    return oracle.State(
        memory=normal(rows, width, seed=1),
        weightings=[oracle.softmax(row) for row in normal(heads, rows, seed=2)],
        reads=list(normal(options["read_heads"], width, seed=3)),
        carry=[(hidden, cell) for hidden, cell in normal(layers, 2, 6, seed=4)],
    )


def as_ours(state):
    """The oracle's state in the types of the cell."""
    return NTMState(
        state.memory, np.array(state.weightings), np.array(state.reads), tuple(state.carry)
    )


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_step_is_the_oracles(float64, variant):
    graphdef, parameters = nnx.split(make_cell(variant))
    state, x = some_state(variant), normal(INPUTS)
    actual, logits = tiny_models.advance(graphdef, parameters, as_ours(state), x)
    expected, expected_logits = oracle.step(numbers(parameters), options_of(variant), state, x)
    np.testing.assert_allclose(logits, expected_logits, rtol=1e-10)
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, rtol=1e-9), actual, as_ours(expected)
    )


@pytest.mark.parametrize("variant", ["shared_weighting"])
def test_gradients(float64, variant):
    graphdef, parameters = nnx.split(make_cell(variant))

    told = (parameters, as_ours(some_state(variant)), normal(INPUTS))
    check_grads(
        functools.partial(tiny_models.advance, graphdef), told, order=1, modes=("fwd", "rev")
    )


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("batch_shape", [(), (3,), (2, 3)])
def test_the_initial_state_and_a_step_keep_the_batch_axes(variant, batch_shape):
    def start_and_step():
        cell = make_cell(variant)
        state = cell.initial_state(batch_shape)
        return state, cell(state, jnp.zeros((*batch_shape, INPUTS)))

    state, (new, logits) = jax.eval_shape(start_and_step)
    options = options_of(variant)
    assert state == new
    assert state.memory.shape == (*batch_shape, 7, 4)
    assert state.weightings.shape == (*batch_shape, oracle.addressing_count(options), 7)
    assert state.reads.shape == (*batch_shape, options["read_heads"], 4)
    assert logits.shape == (*batch_shape, OUTPUTS)


def test_every_example_and_key_has_its_own_random_start(float64):
    graphdef, parameters = nnx.split(make_cell("random_start"))
    starts = [
        tiny_models.initial_state(graphdef, (tiny_models.B,), parameters, seed) for seed in (0, 1)
    ]
    for part in ("memory", "weightings", "reads"):
        drawn = np.stack([getattr(state, part) for state in starts])
        assert len(np.unique(drawn)) == drawn.size


@pytest.mark.parametrize("stream", [False, True])
def test_initialize_carry_takes_its_key_from_the_rngs(monkeypatch, stream):
    """`flax.nnx.RNN` hands over either all generators or the stream for carries."""
    monkeypatch.setattr(NTMCell, "initial_state", lambda self, shape, key: (shape, key))
    rngs = nnx.Rngs(params=1, carry=7)
    shape, key = make_cell().initialize_carry((2, 3, INPUTS), rngs.carry if stream else rngs)
    assert shape == (2, 3)
    assert key == nnx.Rngs(carry=7).carry()


def edge(parameters, name):
    """All parameters zero, or the heads' raw numbers driven to their ends."""
    if name == "zero":
        return jax.tree.map(jnp.zeros_like, parameters)
    parameters = jax.tree.map(lambda leaf: leaf, parameters)
    bias = parameters["to_heads"]["bias"]
    signs = {"high": 1, "low": -1, "mixed": np.where(normal(bias.size) > 0, 1, -1)}[name]
    bias[...] = jnp.full(bias.shape, 1e4 * signs, bias.dtype)
    return parameters


@jax.jit(static_argnums=0)
def value_and_gradients(graphdef, parameters, inputs):
    def total(parameters, inputs):
        logits, trace = unroll(nnx.merge(graphdef, parameters), inputs)
        seen = (logits, trace.reads, trace.read_weightings, trace.write_weightings)
        return sum(part.astype(float).sum() for part in seen), seen

    return jax.value_and_grad(total, argnums=(0, 1), has_aux=True)(parameters, inputs)


def fifty_steps(controller, param_dtype, input_dtype, name):
    cell = make_cell(
        controller=controller,
        memory_size=32,
        read_heads=2,
        initial_memory="learned",
        param_dtype=param_dtype,
    )
    graphdef, parameters = nnx.split(cell)
    inputs = jnp.asarray((name != "zero") * normal(50, 1, INPUTS), input_dtype)
    parameters = edge(parameters, name)
    # A sharpening of 10,000 between equal weights multiplies a gradient by that at every step, so the
    # gradients are those of few steps.
    logits, trace = unroll(nnx.merge(graphdef, parameters), inputs)
    weightings = trace.read_weightings, trace.write_weightings
    return (logits, *weightings), value_and_gradients(graphdef, parameters, inputs[:4])


@pytest.mark.parametrize("name", ["zero", "high", "low", "mixed"])
@pytest.mark.parametrize(
    ("controller", "param_dtype", "input_dtype"),
    [("lstm", jnp.float32, jnp.bfloat16), ("feedforward", jnp.bfloat16, jnp.float32)],
)
def test_values_and_gradients_are_finite(controller, param_dtype, input_dtype, name):
    results = fifty_steps(controller, param_dtype, input_dtype, name)
    assert all(np.isfinite(np.float32(part)).all() for part in jax.tree.leaves(results))


@pytest.mark.parametrize("name", ["zero", "high", "low", "mixed"])
def test_weightings_stay_on_the_simplex(name):
    (_, *weightings), _ = fifty_steps("lstm", jnp.float32, jnp.bfloat16, name)
    for part in map(np.asarray, weightings):
        assert (part >= 0).all()
        np.testing.assert_allclose(part.sum(axis=-1), 1, rtol=1e-5)


@pytest.mark.parametrize(
    "field",
    [
        "controller",
        "activation",
        "key_activation",
        "strength_activation",
        "shift_activation",
        "add_activation",
        "reads_from",
        "initial_memory",
        "initial_weighting",
        "initial_reads",
    ],
)
def test_an_unknown_name_is_refused(field):
    with pytest.raises(UserError, match=rf"^model\.{field}: 'nonsense' is unknown; choose one of"):
        make_cell(**{field: "nonsense"})


def test_a_feedforward_controller_with_layers_is_refused():
    with pytest.raises(UserError, match=r"^model\.controller_layers: "):
        make_cell(controller_layers=2)


@pytest.mark.parametrize(
    "field",
    ["controller_size", "controller_layers", "memory_size", "word_size", "write_heads"],
)
@pytest.mark.parametrize("size", [0, -1])
def test_a_size_below_1_is_refused(field, size):
    with pytest.raises(UserError, match=rf"^model\.{field}: "):
        make_cell("stacked_lstm", **{field: size})


@pytest.mark.parametrize(
    "dtype", [jnp.float16, "float16", jnp.float8_e4m3fn, jnp.complex64, jnp.int32, "half a float"]
)
def test_a_type_of_numbers_that_addressing_cannot_have_is_refused(dtype):
    """In float16, the gradient of a row near 0 overflows."""
    with pytest.raises(
        UserError, match=r"^param_dtype: .* is not allowed; choose one of bfloat16, f"
    ):
        NTMCell(2, 2, param_dtype=dtype, rngs=nnx.Rngs(0))


def test_bfloat16_in_flax_is_finite():
    rnn = nnx.RNN(make_cell(param_dtype=jnp.bfloat16))
    inputs = jnp.ones((2, 5, INPUTS), jnp.bfloat16)
    gradient = nnx.grad(lambda rnn: jnp.sum(rnn(inputs) ** 2))(rnn)
    for leaf in jax.tree.leaves(gradient):
        assert leaf.dtype == jnp.bfloat16
        assert jnp.isfinite(leaf).all()
