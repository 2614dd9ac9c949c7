"""The kernels, interpreted, against the scan: values and gradients; and that they lower for CUDA, which needs no GPU."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from ntm_jax.models import engine, scanning
from ntm_jax.models.cell import NTMCell
from ntm_jax.models.kernel import by_steps, layout
from ntm_jax.models.unrolling import training_outputs, unroll
from tests.helpers.cuda import lowered_for_cuda
from tests.helpers.tiny_models import VARIANTS

pytestmark = pytest.mark.usefixtures("quick_compile")

INPUTS, OUTPUTS = 3, 2
BOTH = pytest.mark.parametrize("engine_name", ["kernel", "step_kernel"])
PADDED_EVERYWHERE = {"memory_size": 5, "word_size": 3, "controller_size": 6}
FEEDFORWARD = PADDED_EVERYWHERE | {"add_activation": "sigmoid", "write_heads": 2}
LSTM = {"controller": "lstm", "controller_layers": 2, "memory_size": 4, "word_size": 2}
LSTM |= {"controller_size": 3, "shared_weighting": True, "reads_from": "previous"}
LSTM_WRITTEN = LSTM | {"reads_from": "written", "write_heads": 2, "read_heads": 2}


def make(options, dtype=jnp.float32, seed=0):
    """A cell with every parameter drawn anew, so that none is 0."""
    cell = NTMCell(INPUTS, OUTPUTS, **options, param_dtype=dtype, rngs=nnx.Rngs(seed))
    draw = np.random.default_rng(seed)
    structure, parameters = nnx.split(cell)
    return structure, jax.tree.map(
        lambda leaf: jnp.asarray(draw.normal(0, 0.7, leaf.shape), leaf.dtype), parameters
    )


def with_engine(structure, parameters, name):
    cell = nnx.merge(structure, parameters)
    cell.engine = name
    if name != "scan":
        assert engine.why_not(cell, name, False) is None  # else both ways would be the scan
    return cell


def weighed(tree, seed=0):
    """The sum of all numbers of a tree, each times one drawn for it."""
    draw = np.random.default_rng(seed)
    leaves = jax.tree.leaves(tree)
    return sum(jnp.sum(jnp.asarray(draw.normal(size=x.shape), x.dtype) * x) for x in leaves)


def traced(structure, mask, name, parameters, x):
    """Of a sequence with every result of `unroll`, and from a state that follows from the parameters."""
    cell = with_engine(structure, parameters, name)
    state = cell.initial_state((x.shape[1],))
    trace = unroll(cell, x, state=state, mask=mask, memory=True, return_state=True)
    there = jnp.ones(x.shape[:2], bool) if mask is None else mask

    def shown(leaf):
        return jnp.where(there.reshape(*there.shape, *[1] * (leaf.ndim - 2)), leaf, 0)

    *of_steps, last = trace
    return weighed((jax.tree.map(shown, of_steps), last))


def trained(structure, limit, name, parameters, x):
    """Of what training uses, with limited gradients."""
    cell = with_engine(structure, parameters, name)
    logits, use = training_outputs(cell, x, state_gradient_limit=limit, writing=True)
    return weighed((logits, use.blur, use.writing))


def agree(engine_name, loss, parameters, x, tolerance):
    kernel, scan = (
        jax.jit(jax.value_and_grad(partial(loss, name), argnums=(0, 1)))(parameters, x)
        for name in (engine_name, "scan")
    )
    whole = max(float(jnp.linalg.norm(leaf)) for leaf in jax.tree.leaves(scan))
    named = jax.tree_util.tree_leaves_with_path(scan)
    for (path, wanted), got in zip(named, jax.tree.leaves(kernel), strict=True):
        error = float(jnp.linalg.norm(got - wanted))
        # Of a part that is next to nothing beside the others, rounding of the others is all there is.
        size = max(float(jnp.linalg.norm(wanted)), 1e-3 * whole)
        assert error <= tolerance * size, (jax.tree_util.keystr(path), error / size)


def inputs(steps, batch, dtype, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(steps, batch, INPUTS)), dtype)


@pytest.fixture
def nan_before_stored(monkeypatch):
    """Fills with NaN what has no value yet; on a CPU it would be 0."""
    monkeypatch.setattr(by_steps, "_empty", lambda one: jnp.full(one.shape, jnp.nan, one.dtype))


@pytest.mark.usefixtures("nan_before_stored")
@BOTH
@pytest.mark.parametrize(
    "options", [FEEDFORWARD, pytest.param(LSTM_WRITTEN, marks=pytest.mark.slow)]
)
def test_all_results_with_padding_steps(options, engine_name, float64):
    structure, parameters = make(options, jnp.float64)
    mask = jnp.array([[True, True], [True, False], [False, True], [True, False]])
    loss = partial(traced, structure, mask)
    agree(engine_name, loss, parameters, inputs(4, 2, jnp.float64), 1e-11)


@pytest.mark.parametrize(
    ("engine_name", "options", "most"),
    [
        ("kernel", FEEDFORWARD | {"activation": "relu"}, 32),
        pytest.param("kernel", LSTM, 16, marks=pytest.mark.slow),
        pytest.param(
            "step_kernel", FEEDFORWARD | {"activation": "relu"}, 4, marks=pytest.mark.slow
        ),
        pytest.param("step_kernel", LSTM_WRITTEN, 4, marks=pytest.mark.slow),
    ],
)
def test_work_in_pieces(engine_name, options, most, monkeypatch, float64):
    """Products in the kernel of a sequence, columns and units in that of a step, heads in both."""
    monkeypatch.setattr(layout, "MOST_IN_TILE", most)
    monkeypatch.setattr(layout, "MOST_COLUMNS", most)
    monkeypatch.setattr(layout, "MOST_IN_HEADS_TILE", most)
    monkeypatch.setattr(by_steps, "MOST_UNITS_AT_ONCE", most)
    structure, parameters = make(options, jnp.float64)
    loss = partial(trained, structure, 10.0)
    agree(engine_name, loss, parameters, inputs(3, 2, jnp.float64), 1e-11)


def test_many_sequences_take_fewer_registers_each():
    """What was quickest on an H200, see docs/project/kernel.md."""

    def chosen(batch, engine_name="kernel", **options):
        cell = NTMCell(
            9, 8, memory_size=128, word_size=20, controller_size=100, **options, rngs=nnx.Rngs(0)
        )
        form = engine.form_of(cell, engine_name, batch)
        return form.warps, form.weights_at_once

    assert [chosen(batch) for batch in (1, 128, 256, 1024)] == [
        *[(8, 32_768), (8, 32_768)],
        *[(4, 32_768), (4, 4_096)],
    ]
    lstm = [chosen(batch, controller="lstm", read_heads=4, write_heads=4) for batch in (1, 256)]
    assert lstm == [(8, 32_768), (8, 8_192)]
    assert chosen(256, read_heads=4, write_heads=4) == (8, 32_768)
    assert chosen(256, "step_kernel", controller="lstm")[0] == 4  # it holds no weights


@BOTH
def test_results_without_gradients(engine_name):
    """They need no memory but the last."""
    structure, parameters = make(PADDED_EVERYWHERE)
    x = inputs(4, 2, jnp.float32)

    def results(name):
        return jax.jit(
            lambda x: unroll(with_engine(structure, parameters, name), x, return_state=True)
        )(x)

    jax.tree.map(
        lambda got, wanted: np.testing.assert_allclose(got, wanted, rtol=2e-5, atol=1e-5),
        results(engine_name),
        results("scan"),
    )


@pytest.mark.slow
@BOTH
def test_limited_gradients_in_float32(engine_name):
    structure, parameters = make(LSTM)
    loss = partial(trained, structure, 0.05)
    agree(engine_name, loss, parameters, inputs(5, 2, jnp.float32), 1e-5)


@pytest.mark.slow
@BOTH
def test_a_long_sequence_in_segments(engine_name, monkeypatch, float64):
    monkeypatch.setattr(scanning, "SEGMENT", 4)
    options = {"memory_size": 4, "word_size": 2, "controller_size": 3, "initial_memory": "learned"}
    structure, parameters = make(options, jnp.float64)
    mask = jnp.arange(7)[:, None] < jnp.array([[7, 5]])  # segments of 3, 3 and 1 steps
    loss = partial(traced, structure, mask)
    agree(engine_name, loss, parameters, inputs(7, 2, jnp.float64), 1e-11)


def drawn(seed):
    """A model with anything that the kernel supports, and a shape of sequences."""
    draw = np.random.default_rng(seed)

    def choose(*values):
        return values[draw.integers(len(values))]

    shared, controller = choose(True, False), choose("feedforward", "lstm")
    reads = int(draw.integers(1, 4))
    options = {
        "controller": controller,
        "controller_size": int(draw.integers(2, 40)),
        "controller_layers": 1 if controller == "feedforward" else int(draw.integers(1, 4)),
        "activation": choose("tanh", "sigmoid", "relu"),
        "memory_size": int(draw.integers(5, 40)),
        "word_size": int(draw.integers(1, 12)),
        "read_heads": reads,
        "write_heads": reads if shared else int(draw.integers(1, 4)),
        "shared_weighting": shared,
        "shift_range": int(draw.integers(0, 3)),
        "shift_activation": choose("softmax", "interpolated"),
        "key_activation": choose("tanh", "identity"),
        "strength_activation": choose("softplus", "exp"),
        "add_activation": choose("tanh", "sigmoid", "identity"),
        "reads_from": choose("written", "previous"),
        "output_reads": choose(True, False),
        "initial_memory": choose("constant", "learned_row", "learned", "random"),
        "initial_weighting": choose("first_row", "learned", "random"),
        "initial_reads": choose("zeros", "learned", "memory"),
        "cosine_epsilon": choose(1e-6, 1e-3),
    }
    steps, batch = int(draw.integers(1, 20)), int(draw.integers(1, 5))
    mask = choose(None, jnp.asarray(draw.random((steps, batch)) < 0.7))
    return options, steps, batch, mask, choose(0.0, 0.1, 10.0)


@pytest.mark.slow
@pytest.mark.parametrize(("engine_name", "seed"), [("kernel", 1), ("step_kernel", 0)])
def test_drawn_models_in_float64(engine_name, seed, float64):
    options, steps, batch, mask, limit = drawn(seed)
    structure, parameters = make(options, jnp.float64, seed)
    x = inputs(steps, batch, jnp.float64, seed)
    agree(engine_name, partial(traced, structure, mask), parameters, x, 1e-9)
    agree(engine_name, partial(trained, structure, limit), parameters, x, 1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(("engine_name", "seed"), [("kernel", 12), ("step_kernel", 13)])
def test_drawn_models_in_float32(engine_name, seed):
    options, steps, batch, mask, limit = drawn(seed)
    structure, _ = make(options, seed=seed)
    parameters = nnx.state(NTMCell(INPUTS, OUTPUTS, **options, rngs=nnx.Rngs(seed)))
    x = inputs(steps, batch, jnp.float32, seed)
    agree(engine_name, partial(traced, structure, mask), parameters, x, 1e-5)
    agree(engine_name, partial(trained, structure, limit), parameters, x, 1e-5)


@BOTH
@pytest.mark.parametrize("variant", VARIANTS)
def test_it_lowers_for_cuda(variant, engine_name):
    """To one kernel forward and one backward, for each step in a loop or without a loop that launches others."""
    options = VARIANTS[variant] | {"memory_size": 100, "word_size": 20, "controller_size": 100}
    structure, parameters = make(options)
    losses = (partial(trained, structure, 10.0), partial(traced, structure, jnp.ones((9, 3), bool)))
    loss = losses[list(VARIANTS).index(variant) % 2]
    gradient = jax.value_and_grad(partial(loss, engine_name))
    text = lowered_for_cuda(gradient, parameters, inputs(9, 3, jnp.float32))
    assert text.count("stablehlo.while") == (0 if engine_name == "kernel" else 2)
    assert text.count("xla.gpu.triton") == 2


@pytest.mark.slow
@BOTH
def test_many_models_at_once(engine_name):
    """`vmap` over parameters gives what each model gives alone."""
    structure, parameters = make(FEEDFORWARD)
    both = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf / 2]), parameters)
    x = inputs(3, 2, jnp.float32)
    gradient = jax.grad(partial(trained, structure, 0.0, engine_name))
    together = jax.jit(jax.vmap(gradient, in_axes=(0, None)))(both, x)
    for i in range(2):
        alone = jax.jit(gradient)(jax.tree.map(lambda leaf, i=i: leaf[i], both), x)
        jax.tree.map(
            lambda a, b, i=i: np.testing.assert_allclose(a[i], b, rtol=1e-4, atol=1e-5),
            together,
            alone,
        )


@BOTH
def test_second_derivatives_are_refused(engine_name):
    structure, parameters = make(PADDED_EVERYWHERE)
    loss = partial(trained, structure, 0.0, engine_name)

    def norm(x):
        return jnp.sum(jax.grad(loss, argnums=1)(parameters, x) ** 2)

    with pytest.raises(TypeError, match="no second derivatives"):
        jax.eval_shape(jax.grad(norm), inputs(3, 2, jnp.float32))
