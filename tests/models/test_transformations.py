"""Gradients of `unroll` under transformations: each equals `jit(grad)`, and no tracer leaks."""

import functools
import itertools

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from ntm_jax import models
from ntm_jax.models import scanning
from ntm_jax.models.cell import NTMCell, NTMState, Step
from ntm_jax.models.heads import Controls
from ntm_jax.models.token_model import Embedded
from tests.helpers import tiny_models
from tests.helpers.tiny_models import INPUTS, B, normal

pytestmark = pytest.mark.usefixtures("quick_compile", "float64")

T, SYMBOLS = 2, 4


def make_embedded():
    sizes = {"controller_size": 3, "memory_size": 4, "word_size": 2, "param_dtype": float}

    def make():
        core = NTMCell(2, 2, **sizes, rngs=nnx.Rngs(0))
        return Embedded(core, SYMBOLS, param_dtype=float, rngs=nnx.Rngs(1))

    return tiny_models.randomise(make)


MAKE = {
    "ntm-ff": tiny_models.make_cell,
    "ntm-lstm": functools.partial(tiny_models.make_cell, "stacked_lstm"),
    "lstm": tiny_models.make_lstm,
    "embedded": make_embedded,
}


@functools.cache
def example(name):
    """A model's structure, its parameters as nested dicts, and two batches `[2, T, B, input_size]`."""
    structure, parameters = nnx.split(MAKE[name]())
    if name == "embedded":
        inputs = np.random.default_rng(0).integers(0, SYMBOLS, (2, T, B, 1))
    else:
        inputs = normal(2, T, B, INPUTS)
    return structure, nnx.to_pure_dict(parameters), jnp.asarray(inputs)


def loss_of(net, inputs):
    """A number that depends on every logit, and on every read where there are some."""
    logits, trace = models.unroll(net, inputs)
    weights = jnp.cos(jnp.arange(logits.size, dtype=logits.dtype)).reshape(logits.shape)
    return jnp.sum(logits * weights) + jnp.sum(trace.reads**2)


@functools.cache
def plain(name):
    """A loss of parameters and one batch, and its gradients for both batches by `jit(grad)`."""
    structure, parameters, inputs = example(name)

    def loss(parameters, x):
        return loss_of(nnx.merge(structure, parameters), x)

    gradient = jax.jit(jax.grad(loss))
    return loss, [gradient(parameters, x) for x in inputs]


def assert_close(actual, expected):
    jax.tree.map(
        lambda a, e: np.testing.assert_allclose(a, e, rtol=1e-10, atol=1e-12), actual, expected
    )


def scanned(loss):
    """The loss summed over batches by a scan."""

    def run(parameters, inputs):
        def step(total, x):
            return total + loss(parameters, x), None

        return jax.lax.scan(step, jnp.zeros(()), inputs)[0]

    return run


def mapped(loss):
    """The loss summed over batches by `jax.vmap`."""
    return lambda parameters, inputs: jnp.sum(jax.vmap(loss, (None, 0))(parameters, inputs))


def conditional(loss):
    """The loss in a branch of `jax.lax.cond`."""
    return lambda parameters, x: jax.lax.cond(
        jnp.all(x == x), loss, lambda *_: jnp.zeros(()), parameters, x
    )


def exported(loss):
    """The loss as `jax.export` has it."""
    return lambda *told: jax.export.export(jax.jit(loss))(*told).call(*told)


def by_vjp(loss):
    return lambda *told: jax.vjp(loss, *told)[1](jnp.ones(()))[0]


def by_value_and_grad(loss):
    return lambda *told: jax.value_and_grad(loss)(*told)[1]


def summed(gradient):
    """The sum over batches of a gradient for one, by `jax.vmap`."""

    def run(parameters, inputs):
        each = jax.vmap(gradient, (None, 0))(parameters, inputs)
        return jax.tree.map(lambda leaf: jnp.sum(leaf, axis=0), each)

    return run


grad, jit, checkpoint = jax.grad, jax.jit, jax.checkpoint

# Gradients of a loss by the parameters: for one batch, and summed over two.
OF_ONE = {
    "grad": grad,
    "grad(jit)": lambda loss: grad(jit(loss)),
    "jit(grad(jit))": lambda loss: jit(grad(jit(loss))),
    "value_and_grad(jit)": lambda loss: by_value_and_grad(jit(loss)),
    "vjp(jit)": lambda loss: by_vjp(jit(loss)),
    "grad(checkpoint)": lambda loss: grad(checkpoint(loss)),
    "jit(grad(checkpoint))": lambda loss: jit(grad(checkpoint(loss))),
    "grad(cond)": lambda loss: grad(conditional(loss)),
    "grad(export)": lambda loss: grad(exported(loss)),
}
OF_TWO = {
    "grad(scan)": lambda loss: grad(scanned(loss)),
    "jit(grad(scan(checkpoint)))": lambda loss: jit(grad(scanned(checkpoint(loss)))),
    "grad(jit(checkpoint(scan)))": lambda loss: grad(jit(checkpoint(scanned(loss)))),
    "grad(vmap)": lambda loss: grad(mapped(loss)),
    "grad(jit(vmap(jit)))": lambda loss: grad(jit(mapped(jit(loss)))),
    "vmap(grad)": lambda loss: summed(grad(loss)),
    "jit(vmap(grad))": lambda loss: jit(summed(grad(loss))),
    "vmap(grad(jit))": lambda loss: summed(grad(jit(loss))),
}
OF_MODEL = {
    "nnx.grad": nnx.grad,
    "nnx.jit(nnx.grad)": lambda loss: nnx.jit(nnx.grad(loss)),
    "nnx.grad(nnx.jit)": lambda loss: nnx.grad(nnx.jit(loss)),
    "nnx.grad(nnx.remat)": lambda loss: nnx.grad(nnx.remat(loss)),
    "nnx.jit(nnx.value_and_grad(nnx.remat))": lambda loss: (
        lambda *told: nnx.jit(nnx.value_and_grad(nnx.remat(loss)))(*told)[1]
    ),
}


each_model = pytest.mark.parametrize(
    "name",
    [name if name == "ntm-ff" else pytest.param(name, marks=pytest.mark.slow) for name in MAKE],
)


def matrix(ways, *quick):
    """`ntm-ff` in every way, and each way with one other model in turn; slow unless named as (model, way)."""
    first, *others = MAKE
    turns = itertools.cycle(others)
    pairs = [(name, way) for way in ways for name in (first, next(turns))]
    pairs += [pair for pair in quick if pair not in pairs]
    return pytest.mark.parametrize(
        ("name", "way"),
        [pytest.param(*pair, marks=() if pair in quick else pytest.mark.slow) for pair in pairs],
    )


@matrix(
    OF_ONE,
    ("ntm-ff", "grad(jit)"),
    ("ntm-ff", "grad(checkpoint)"),
    ("ntm-lstm", "grad(jit)"),
    ("lstm", "grad(jit)"),
)
def test_the_gradient_for_a_batch(name, way):
    _, parameters, inputs = example(name)
    loss, expected = plain(name)
    assert_close(OF_ONE[way](loss)(parameters, inputs[0]), expected[0])


@matrix(
    OF_TWO,
    ("ntm-ff", "grad(jit(checkpoint(scan)))"),
    ("ntm-ff", "vmap(grad(jit))"),
    ("lstm", "grad(scan)"),
)
def test_the_gradient_summed_over_batches(name, way):
    _, parameters, inputs = example(name)
    loss, expected = plain(name)
    assert_close(OF_TWO[way](loss)(parameters, inputs), jax.tree.map(jnp.add, *expected))


@matrix(
    OF_MODEL,
    ("ntm-ff", "nnx.grad(nnx.jit)"),
    ("lstm", "nnx.grad(nnx.remat)"),
    ("embedded", "nnx.grad(nnx.jit)"),
)
def test_the_gradient_by_a_module(name, way):
    structure, parameters, inputs = example(name)
    got = OF_MODEL[way](loss_of)(nnx.merge(structure, parameters), inputs[0])
    assert_close(nnx.to_pure_dict(got), plain(name)[1][0])


@pytest.mark.parametrize("way", ["jit(grad(checkpoint))"])
def test_the_gradient_of_a_long_sequence(monkeypatch, way):
    """A sequence longer than `SEGMENT` is unrolled in parts."""
    loss, expected = plain("ntm-ff")
    monkeypatch.setattr(scanning, "SEGMENT", T - 1)
    _, parameters, inputs = example("ntm-ff")
    # A function of its own, for JAX remembers how it traced the other.
    run = OF_ONE[way](lambda *told: loss(*told))
    assert_close(run(parameters, inputs[0]), expected[0])


@each_model
def test_no_tracer_leaks(name):
    _, parameters, inputs = example(name)
    loss = plain(name)[0]
    with jax.checking_leaks():
        jax.make_jaxpr(grad(jit(checkpoint(lambda *told: loss(*told)))))(parameters, inputs[0])


def test_forward_mode_is_refused():
    _, parameters, inputs = example("ntm-ff")
    loss = plain("ntm-ff")[0]
    with pytest.raises(TypeError, match="forward-mode autodiff"):
        jax.jvp(lambda p: loss(p, inputs[0]), (parameters,), (parameters,))


@pytest.mark.parametrize(
    ("outer", "by"),
    [
        ("jit(grad)", "parameters"),
        ("grad", "inputs"),
        *(
            pytest.param(*other, marks=pytest.mark.slow)
            for other in [("grad", "parameters"), ("jacfwd", "parameters"), ("jacfwd", "inputs")]
        ),
    ],
)
def test_second_derivatives_are_refused(outer, by):
    """Also where the first derivative is by the inputs and the second by the weights."""
    _, parameters, inputs = example("ntm-ff")
    loss = plain("ntm-ff")[0]
    first = jax.grad(loss, argnums=("parameters", "inputs").index(by))

    def penalty(parameters, x):
        return sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(first(parameters, x)))

    second = {"grad": grad, "jacfwd": jax.jacfwd, "jit(grad)": lambda f: jit(grad(f))}[outer]
    with pytest.raises(TypeError, match=r"no second derivatives; use flax\.nnx\.RNN|forward-mode"):
        second(penalty)(parameters, inputs[0])


@pytest.mark.parametrize("kind", [NTMState, Step, Controls, models.Trace, models.MemoryUse])
def test_dataclasses_are_registered_for_export(kind):
    with pytest.raises(
        ValueError, match=f"Duplicate serialization registration for type .*{kind.__name__}"
    ):
        jax.export.register_pytree_node_serialization(
            kind, serialized_name="other", serialize_auxdata=None, deserialize_auxdata=None
        )


def round_trip(f, parameters, *others, vjp_order=0):
    """The function after `jax.export` wrote and read it."""
    pytest.importorskip("flatbuffers")
    # Leaves, for the keys of dicts must be strings, and those of an `nnx.List` are not.
    leaves, tree = jax.tree.flatten(parameters)
    of_leaves = jit(lambda leaves, *others: f(jax.tree.unflatten(tree, leaves), *others))
    written = jax.export.export(of_leaves)(leaves, *others).serialize(vjp_order=vjp_order)
    read = jax.export.deserialize(written).call
    return lambda parameters, *others: read(jax.tree.leaves(parameters), *others)


@each_model
def test_an_exported_loss_can_be_differentiated(name):
    _, parameters, inputs = example(name)
    loss, expected = plain(name)
    read = round_trip(loss, parameters, inputs[0], vjp_order=1)
    assert_close(grad(read)(parameters, inputs[0]), expected[0])


@pytest.mark.parametrize("name", ["ntm-ff", "ntm-lstm", "lstm"])
def test_a_step_can_be_exported(name):
    structure, parameters, inputs = example(name)

    def step(parameters, state, x):
        return nnx.merge(structure, parameters).advance(state, x)

    told = parameters, tiny_models.initial_state(structure, (B,), parameters), inputs[0, 0]
    assert_close(round_trip(step, *told)(*told), jit(step)(*told))


def test_unroll_can_be_exported():
    structure, parameters, inputs = example("ntm-ff")

    def run(parameters, x):
        return models.unroll(nnx.merge(structure, parameters), x, memory=True)

    told = parameters, inputs[0]
    assert_close(round_trip(run, *told)(*told), jit(run)(*told))
