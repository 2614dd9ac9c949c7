"""Resets and padding in `unroll`: each stream of a batch is what its sequences are alone."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from ntm_jax import models
from ntm_jax.errors import UserError
from ntm_jax.models import scanning
from ntm_jax.models.cell import NTMCell
from tests.helpers import tiny_models
from tests.helpers.tiny_models import INPUTS, VARIANTS, make_cell, make_lstm, normal

pytestmark = pytest.mark.usefixtures("quick_compile", "float64")

T, B = 6, 3
MODELS = [*(name for name in VARIANTS if name != "random_start"), "lstm"]
# Of three examples, the first begins once, the second at steps 1 and 4, the third at every step.
RESET = np.array([[0, 0, 1], [0, 1, 1], [0, 0, 1], [0, 0, 1], [0, 1, 1], [0, 0, 1]], bool)
MASK = np.array([[1, 0, 1], [1, 1, 1], [0, 1, 0], [0, 1, 0], [1, 1, 0], [1, 0, 0]], bool)


def split(name):
    return nnx.split(make_lstm() if name == "lstm" else make_cell(name))


def alone(structure, parameters, x):
    """Logits `[T, out]` and the last state of one sequence `[T, in]`, by steps of the cell."""
    state, logits = tiny_models.initial_state(structure, (1,), parameters), []
    for now in x:
        state, y = tiny_models.advance(structure, parameters, state, now[None])
        logits.append(y[0])
    return logits, jax.tree.map(lambda leaf: leaf[0], state)


def assert_close(actual, expected):
    jax.tree.map(
        lambda a, e: np.testing.assert_allclose(a, e, rtol=1e-10, atol=1e-12), actual, expected
    )


@pytest.mark.parametrize(
    "name",
    [
        name if name in ("stacked_lstm", "lstm") else pytest.param(name, marks=pytest.mark.slow)
        for name in MODELS
    ],
)
def test_every_sequence_of_a_stream_is_that_sequence_alone(name):
    """With resets and padding at once, against sequences cut out by hand."""
    structure, parameters = split(name)
    inputs = normal(T, B, INPUTS)

    @jax.jit
    def run(parameters, inputs):
        model = nnx.merge(structure, parameters)
        return models.unroll(model, inputs, reset=RESET, mask=MASK, return_state=True)

    logits, _, state = run(parameters, inputs)

    for example in range(B):
        begins = [0, *(t for t in range(1, T) if RESET[t, example]), T]
        for begin, end in itertools.pairwise(begins):
            steps = [t for t in range(begin, end) if MASK[t, example]]
            outputs, last = alone(structure, parameters, inputs[steps, example])
            for t, y in zip(steps, outputs, strict=True):
                np.testing.assert_allclose(logits[t, example], y, rtol=1e-10, atol=1e-12)
        assert_close(jax.tree.map(lambda leaf, i=example: leaf[i], state), last)


@pytest.mark.parametrize(
    ("name", "segment"),
    [
        ("stacked_lstm", 3),
        ("lstm", 512),
        *(
            pytest.param(*other, marks=pytest.mark.slow)
            for other in [("paper", 512), ("paper", 3), ("stacked_lstm", 512), ("lstm", 3)]
        ),
    ],
)
def test_gradients_are_those_of_a_loop_over_steps(monkeypatch, name, segment):
    monkeypatch.setattr(scanning, "SEGMENT", segment)
    structure, parameters = split(name)
    inputs = normal(T, B, INPUTS)

    def by_unroll(parameters):
        model = nnx.merge(structure, parameters)
        logits, _, state = models.unroll(model, inputs, reset=RESET, mask=MASK, return_state=True)
        kept = jnp.where(MASK[..., None], jnp.sin(logits), 0)
        return jnp.sum(kept) + sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(state))

    def by_steps(parameters):
        model = nnx.merge(structure, parameters)
        state, total = model.initial_state((B,)), 0.0
        for t in range(T):
            state = model.reset(state, RESET[t])
            after, y = model(state, inputs[t])
            now = MASK[t]
            total += jnp.sum(jnp.where(now[:, None], jnp.sin(y), 0))
            state = jax.tree.map(
                lambda a, b, now=now: jnp.where(now.reshape(B, *[1] * (a.ndim - 1)), a, b),
                after,
                state,
            )
        return total + sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(state))

    assert_close(*(jax.jit(jax.grad(loss))(parameters) for loss in (by_unroll, by_steps)))


def test_padding_is_not_looked_at():
    """Neither its values nor, in gradients, its NaNs."""
    structure, parameters = split("paper")
    inputs = normal(T, B, INPUTS)
    filled = np.where(MASK[..., None], inputs, np.nan)

    @jax.jit
    def run(parameters, inputs):
        def loss(parameters):
            logits, _ = models.unroll(nnx.merge(structure, parameters), inputs, mask=MASK)
            return jnp.sum(jnp.where(MASK[..., None], logits, 0) ** 2)

        return jax.value_and_grad(loss)(parameters)

    assert_close(run(parameters, filled), run(parameters, inputs))


@pytest.mark.parametrize("name", ["paper", "lstm"])
def test_lengths_are_a_mask_and_what_nnx_rnn_calls_seq_lengths(name):
    structure, parameters = split(name)
    model = nnx.merge(structure, parameters)
    inputs, lengths = jnp.asarray(normal(T, B, INPUTS)), jnp.asarray([T, 2, 1])
    mask = np.arange(T)[:, None] < np.asarray(lengths)
    by_lengths = models.unroll(model, inputs, lengths=lengths, return_state=True)
    assert_close(by_lengths, models.unroll(model, inputs, mask=mask, return_state=True))
    rnn = nnx.RNN(model, time_major=True, return_carry=True)
    carry, logits = rnn(inputs, seq_lengths=lengths)
    assert_close(by_lengths[2], carry)
    np.testing.assert_allclose(by_lengths[0][mask], logits[mask], rtol=1e-10)


def test_a_length_of_nothing_leaves_the_given_state():
    model = make_cell()
    state = models.unroll(model, normal(2, B, INPUTS), return_state=True)[2]
    lengths = np.zeros(B, int)
    found = models.unroll(
        model, normal(T, B, INPUTS), state=state, lengths=lengths, return_state=True
    )
    assert_close(found[2], state)


def test_a_reset_forgets_the_given_state():
    model, inputs = make_cell("stacked_lstm"), normal(T, B, INPUTS)
    state = models.unroll(model, inputs, return_state=True)[2]
    everywhere = np.zeros((T, B), bool)
    everywhere[0] = True
    found = models.unroll(model, inputs, state=state, reset=everywhere, return_state=True)
    assert_close(found, models.unroll(model, inputs, return_state=True))


def test_the_state_is_reset_for_those_that_are_done():
    cell = make_cell("stacked_lstm")
    state = models.unroll(cell, normal(2, B, INPUTS), return_state=True)[2]
    found = cell.reset(state, jnp.asarray([False, True, False]))
    first = cell.initial_state((B,))
    for leaf, old, new in zip(*map(jax.tree.leaves, (found, state, first)), strict=True):
        np.testing.assert_array_equal(leaf, jnp.stack([old[0], new[1], old[2]]))
    with pytest.raises(UserError, match=r"^done: expected booleans, got int64$"):
        cell.reset(state, jnp.asarray([0, 1, 0]))


def test_marks_may_be_traced():
    structure, parameters = split("paper")
    inputs = normal(T, B, INPUTS)

    def run(parameters, reset, lengths):
        model = nnx.merge(structure, parameters)
        return models.unroll(model, inputs, reset=reset, lengths=lengths, return_state=True)

    def loss(*told):
        return jnp.sum(run(*told)[0] ** 2)

    lengths = jnp.asarray([T, 2, 0])
    assert_close(jax.jit(run)(parameters, RESET, lengths), run(parameters, RESET, lengths))
    gradient = jax.grad(jax.jit(jax.checkpoint(loss)))(parameters, RESET, lengths)
    assert_close(gradient, jax.jit(jax.grad(loss))(parameters, RESET, lengths))
    # Beyond what can be checked inside jit.
    beyond = jax.jit(run)(parameters, RESET, jnp.asarray([T + 9, 2, -3]))
    assert_close(beyond, run(parameters, RESET, lengths))


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"mask": np.ones((T, B))}, "mask: expected booleans, got float64"),
        (
            {"mask": np.ones((T, B + 1), bool)},
            r"mask: expected shape \[T, B\] = \[6, 3\] .*\[6, 4\]",
        ),
        ({"reset": np.ones((T, B), int)}, "reset: expected booleans, got int64"),
        ({"reset": np.ones(B, bool)}, r"reset: expected shape \[T, B\] = \[6, 3\] .*\[3\]"),
        (
            {"lengths": np.array([1, 2, T + 1])},
            "lengths: 7 is not allowed; it must be from 0 to T = 6",
        ),
        (
            {"lengths": np.array([1, -2, 3])},
            "lengths: -2 is not allowed; it must be from 0 to T = 6",
        ),
        ({"lengths": np.array([1.0, 2, 3])}, "lengths: expected whole numbers, got float64"),
        ({"lengths": np.array([1, 2])}, r"lengths: expected shape \[B\] = \[3\], got \[2\]"),
        (
            {"lengths": np.array([1, 2, 3]), "mask": np.ones((T, B), bool)},
            "lengths: give a mask or lengths, not both",
        ),
    ],
)
@pytest.mark.parametrize("name", ["paper", "lstm"])
def test_marks_that_do_not_fit_are_refused(name, told, message):
    with pytest.raises(UserError, match=f"^{message}$"):
        models.unroll(nnx.merge(*split(name)), normal(T, B, INPUTS), **told)


def test_a_state_of_another_dtype_is_refused():
    cell = make_cell()
    state = cell.initial_state((B,))
    narrow = state.replace(reads=state.reads.astype(jnp.float32))
    with pytest.raises(UserError, match=r"^state\.reads: expected float64, got float32$"):
        models.unroll(cell, normal(T, B, INPUTS), state=narrow)


def test_a_cell_with_a_step_of_its_own_has_resets_and_padding_too():
    class Own(NTMCell):
        def advance(self, state, inputs):
            return super().advance(state, inputs)

    told = {"controller_size": 4, "memory_size": 5, "word_size": 2, "param_dtype": float}
    inputs = normal(T, B, INPUTS)
    found, expected = (
        models.unroll(
            kind(INPUTS, 2, **told, rngs=nnx.Rngs(0)),
            inputs,
            reset=RESET,
            mask=MASK,
            return_state=True,
        )
        for kind in (Own, NTMCell)
    )
    assert_close(found[0][MASK], expected[0][MASK])
    assert_close(found[2], expected[2])


@pytest.mark.parametrize("shape", [(), (B, 1), (B - 1,)])
@pytest.mark.parametrize("make", [make_cell, make_lstm])
def test_a_reset_of_another_batch_is_refused(make, shape):
    """Shapes that would broadcast, too."""
    model = make()
    with pytest.raises(UserError, match=rf"^done: expected shape \[{B}\] .*, got \["):
        model.reset(model.initial_state((B,)), np.zeros(shape, bool))


def test_one_stream_without_a_batch_can_be_reset():
    cell = make_cell("stacked_lstm")
    state = cell.initial_state()
    after, _ = cell(state, normal(INPUTS))
    assert_close(cell.reset(after, np.array(True)), state)


def test_a_model_around_a_cell_is_refused_with_a_hint():
    with pytest.raises(
        UserError, match=r"^model: expected NTMCell or LSTM, got RNN; pass its cell$"
    ):
        models.unroll(nnx.RNN(make_cell()), normal(T, B, INPUTS))
