"""The step with its derivatives by hand: against the cell's own, head by head and value by value."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from ntm_jax.models import fused_step
from ntm_jax.models.fused_step import Form
from ntm_jax.models.heads import Heads
from ntm_jax.models.precision import HIGHEST

N, W, B = 6, 4, 2
HEADS = {
    "one of each": {"read_heads": 1, "write_heads": 1},
    "more writers": {"read_heads": 2, "write_heads": 3},
    "many": {"read_heads": 4, "write_heads": 4},
    "shared": {"read_heads": 2, "write_heads": 2, "shared_weighting": True},
    "no shift": {"read_heads": 1, "write_heads": 2, "shift_range": 0},
    "interpolated": {"read_heads": 2, "write_heads": 1, "shift_activation": "interpolated"},
    "further than the rows": {"read_heads": 1, "write_heads": 1, "shift_range": 7},
}


def arguments(heads: Heads, seed: int = 0):
    """Raw controls, a memory and weightings, drawn at random."""
    keys = jax.random.split(jax.random.key(seed), 3)
    raw = jax.random.normal(keys[0], (B, sum(heads.widths)), jnp.float64)
    memory = jax.random.normal(keys[1], (B, W, N), jnp.float64)
    scores = jax.random.normal(keys[2], (B, heads.addressings, N), jnp.float64)
    return raw, memory, jax.nn.softmax(scores)


def step(form, dtype="float64"):
    one = fused_step.opaque_one(dtype)
    return jax.jit(
        lambda raw, memory, previous: fused_step.access(form, raw, memory, previous, one)
    )


@pytest.mark.parametrize("written", [True, False], ids=["reads written", "reads previous"])
@pytest.mark.parametrize("options", HEADS.values(), ids=HEADS)
def test_derivatives_by_hand_are_finite_differences(options, written, float64):
    """Every output, controls included, by every input."""
    heads = Heads(word_size=W, **options)
    check_grads(
        step(Form(heads, written, 1e-6, HIGHEST)),
        arguments(heads),
        order=1,
        modes=["rev"],
        atol=1e-5,
        rtol=1e-5,
    )


@pytest.mark.parametrize("sharpening", [-800.0, 0.0])
def test_a_weight_of_zero_has_no_derivative(sharpening, float64):
    """One-hot weightings, shut gates and a one-hot shift leave exact zeros, as in `addressing.sharpen`.

    A sharpening of exactly 1 leaves the least normal number in their place, and must not divide by it.
    """
    heads = Heads(read_heads=1, write_heads=1, word_size=W)
    raw, memory, previous = arguments(heads)
    ends = np.cumsum(heads.widths)
    raw = raw.at[:, ends[1] : ends[2]].set(-800.0)  # gates
    raw = raw.at[:, ends[2] : ends[3]].set(jnp.tile(jnp.array([-800.0, 800.0, -800.0]), 2))
    raw = raw.at[:, ends[3] : ends[4]].set(sharpening)
    previous = jnp.zeros_like(previous).at[:, :, 0].set(1)
    outputs, pull = jax.vjp(step(Form(heads, True, 1e-6, HIGHEST)), raw, memory, previous)
    np.testing.assert_allclose(outputs[2], previous, rtol=0, atol=1e-300)
    cotangents = pull(jax.tree.map(jnp.ones_like, outputs))
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(cotangents))
    np.testing.assert_array_equal(cotangents[2][:, :, 1:], 0)


@pytest.mark.parametrize("rows", [7, 32, 128])
@pytest.mark.parametrize("top", [0, -1])
def test_extreme_strength(rows, top):
    """However strong the key, the row that is like it gets the whole weighting, wherever it stands."""
    heads = Heads(read_heads=1, write_heads=1, word_size=2)
    raw = np.zeros((1, sum(heads.widths)), "float32")
    ends = np.cumsum(heads.widths)
    raw[:, : ends[0]] = np.tile([4.0, 0.0], 2)  # keys
    raw[:, ends[0] : ends[1]] = 1e4  # strengths
    raw[:, ends[1] : ends[2]] = 100.0  # gates
    raw[:, ends[2] : ends[3]] = np.tile([0.0, 500.0, 0.0], 2)
    memory = np.zeros((1, 2, rows), "float32")
    memory[0, 1] = 1
    memory[0, :, top] = 1, 0
    previous = np.full((1, 2, rows), 1 / rows, "float32")
    weightings = step(Form(heads, True, 1e-6, HIGHEST), "float32")(raw, memory, previous)[2]
    expected = np.zeros(rows)
    expected[top] = 1
    np.testing.assert_array_equal(weightings[0, 0], expected)
