"""Sequences in chunks: each call of `unroll` goes on from the state that the one before it returned."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from ntm_jax import models
from ntm_jax.errors import UserError
from ntm_jax.models import scanning
from ntm_jax.models.cell import NTMCell, NTMState
from ntm_jax.models.token_model import Embedded
from tests.helpers import tiny_models
from tests.helpers.tiny_models import INPUTS, VARIANTS, B, T, make_cell, make_lstm, normal

pytestmark = pytest.mark.usefixtures("quick_compile", "float64")

SYMBOLS = 4
MODELS = [*VARIANTS, "lstm", "embedded"]


def split(name):
    if name == "lstm":
        return nnx.split(make_lstm())
    if name == "embedded":
        core = tiny_models.randomise(
            lambda: NTMCell(2, 2, memory_size=4, param_dtype=float, rngs=nnx.Rngs(0))
        )
        return nnx.split(Embedded(core, SYMBOLS, param_dtype=float, rngs=nnx.Rngs(1)))
    return nnx.split(make_cell(name))


def inputs_for(name, steps=T, batch=B):
    if name == "embedded":
        symbols = np.random.default_rng(0).integers(0, SYMBOLS, (steps, batch, 1))
        return jnp.asarray(symbols)
    return jnp.asarray(normal(steps, batch, INPUTS))


def in_chunks(model, inputs, ends):
    """Logits and traces of the chunks that end there, joined again, and the last state."""
    state, logits, traces = None, [], []
    for chunk in np.split(inputs, ends):
        chunk_logits, trace, state = models.unroll(
            model, chunk, state=state, memory=True, return_state=True
        )
        logits.append(chunk_logits)
        traces.append(trace)
    joined = jax.tree.map(lambda *parts: jnp.concatenate(parts), *traces)
    return jnp.concatenate(logits), joined, state


def assert_close(actual, expected):
    jax.tree.map(
        lambda a, e: np.testing.assert_allclose(a, e, rtol=1e-10, atol=1e-13), actual, expected
    )


@pytest.mark.parametrize(("name", "batch"), [*((name, B) for name in MODELS), ("paper", 1)])
def test_chunks_give_the_numbers_of_the_whole(name, batch):
    structure, parameters = split(name)
    inputs = inputs_for(name, batch=batch)

    def run(parameters, ends):
        return in_chunks(nnx.merge(structure, parameters), inputs, ends)

    whole, chunks = (jax.jit(run, static_argnums=1)(parameters, ends) for ends in ((), (2, 3)))
    assert_close(chunks, whole)


@pytest.mark.parametrize("name", ["paper", "stacked_lstm", "lstm"])
def test_the_returned_state_is_that_of_a_loop_over_steps(name):
    structure, parameters = split(name)
    inputs = inputs_for(name)
    expected = tiny_models.initial_state(structure, (B,), parameters)
    for x in inputs:
        expected, _ = tiny_models.advance(structure, parameters, expected, x)
    found = models.unroll(nnx.merge(structure, parameters), inputs, return_state=True)[2]
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    assert_close(found, expected)


@pytest.mark.parametrize("steps", [9, 10, 16])
@pytest.mark.parametrize("name", ["stacked_lstm", "lstm"])
def test_the_state_after_a_sequence_that_is_run_in_segments(monkeypatch, name, steps):
    """Whether or not the segments, of 3 or 4 steps, divide the sequence."""
    structure, parameters = split(name)
    inputs = inputs_for(name, steps)

    def run(parameters):
        return in_chunks(nnx.merge(structure, parameters), inputs, ())

    whole = jax.jit(run)(parameters)
    monkeypatch.setattr(scanning, "SEGMENT", 5)
    assert_close(jax.jit(lambda parameters: run(parameters))(parameters), whole)


@pytest.mark.parametrize(
    ("name", "segment"),
    [
        ("paper", 2),
        ("stacked_lstm", 512),
        ("lstm", 2),
        ("embedded", 512),
        *(
            pytest.param(*other, marks=pytest.mark.slow)
            for other in [("paper", 512), ("stacked_lstm", 2), ("lstm", 512), ("embedded", 2)]
        ),
    ],
)
def test_gradients_pass_through_the_chunks(monkeypatch, name, segment):
    monkeypatch.setattr(scanning, "SEGMENT", segment)
    structure, parameters = split(name)
    inputs = inputs_for(name)

    def gradient(ends):
        def loss(parameters):
            logits, trace, state = in_chunks(nnx.merge(structure, parameters), inputs, ends)
            weights = jnp.cos(jnp.arange(logits.size, dtype=logits.dtype))
            other = sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves((trace.reads, state)))
            return jnp.sum(logits * weights.reshape(logits.shape)) + other

        return jax.jit(jax.grad(loss))(parameters)

    whole = gradient(())
    assert all(jnp.any(leaf != 0) for leaf in jax.tree.leaves(whole))
    jax.tree.map(
        lambda a, e: np.testing.assert_allclose(a, e, rtol=1e-9, atol=1e-11),
        gradient((2, 3)),
        whole,
    )


def test_the_returned_state_has_the_cells_layout():
    """And not that of the fast path, with the memory's rows last."""
    cell = make_cell(memory_size=7, word_size=4)
    _, trace, state = models.unroll(cell, inputs_for("paper"), memory=True, return_state=True)
    assert isinstance(state, NTMState)
    assert state.memory.shape == (B, 7, 4)
    np.testing.assert_array_equal(state.memory, trace.memory[-1])


def test_a_state_in_another_layout_is_refused():
    cell = make_cell()
    state = cell.initial_state((B,))
    turned = state.replace(memory=jnp.swapaxes(state.memory, 1, 2))
    with pytest.raises(
        UserError, match=r"^state\.memory: expected shape \[3, 7, 4\], got \[3, 4, 7\]$"
    ):
        models.unroll(cell, inputs_for("paper"), state=turned)


@pytest.mark.parametrize("name", ["paper", "lstm"])
def test_a_state_of_another_batch_or_model_is_refused(name):
    model = nnx.merge(*split(name))
    with pytest.raises(UserError, match=r"^state.*: expected shape \[3, .*got \[2, "):
        models.unroll(model, inputs_for(name), state=model.initial_state((B - 1,)))
    other = make_cell().initial_state((B,)) if name == "lstm" else make_lstm().initial_state((B,))
    with pytest.raises(UserError, match=r"^state: expected one as .*\.initial_state makes it"):
        models.unroll(model, inputs_for(name), state=other)
