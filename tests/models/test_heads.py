"""From raw numbers to controls: the layout, every activation, and what is refused."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from ntm_jax.errors import UserError
from ntm_jax.models.addressing import shift_weighting
from ntm_jax.models.cell import NTMCell
from ntm_jax.models.heads import Heads, interpolated_shift
from ntm_jax.models.unrolling import unroll
from tests.helpers import oracle
from tests.helpers.tiny_models import normal

pytestmark = pytest.mark.usefixtures("quick_compile")

SIZES = {"read_heads": 2, "write_heads": 2, "word_size": 4}
CHOICES = [
    {},
    {"key_activation": "identity", "add_activation": "identity", "shift_range": 2},
    {"strength_activation": "exp", "shift_activation": "interpolated", "add_activation": "sigmoid"},
    {"shared_weighting": True},
    {"shared_weighting": True, "shift_activation": "interpolated", "strength_activation": "exp"},
]


@functools.partial(jax.jit, static_argnums=0)
def controls(heads, raw):
    return heads.controls(raw)


@pytest.mark.parametrize("choices", CHOICES)
def test_controls_are_the_oracles(float64, choices):
    heads = Heads(**SIZES, **choices)
    raw = 2 * normal(sum(heads.widths))
    actual = controls(heads, raw)
    addressings, writes = oracle.controls(raw, oracle.DEFAULTS | SIZES | choices)
    for field in dataclasses.fields(actual):
        told = addressings if field.name in addressings[0] else writes
        expected = np.array([head[field.name] for head in told])
        np.testing.assert_allclose(getattr(actual, field.name), expected, rtol=1e-10)


def test_leading_axes_are_kept(float64):
    heads = Heads(**SIZES)
    raw = normal(3, 5, sum(heads.widths))
    one = controls(heads, raw[1, 2])
    jax.tree.map(
        lambda batch, alone: np.testing.assert_allclose(batch[1, 2], alone, rtol=1e-12),
        controls(heads, raw),
        one,
    )


@pytest.mark.parametrize("choices", CHOICES[1:4])
def test_the_first_bias_is_for_gates_staying_and_sharpening(float64, choices):
    heads = Heads(**SIZES, **choices)
    biases = {"gate": -2.0, "stay": 3.0, "sharpening": 1.5}
    bias = jax.jit(lambda: heads.first_bias(**biases, dtype=float))()
    addressings, writes = oracle.controls(np.asarray(bias), oracle.DEFAULTS | SIZES | choices)
    moves = np.zeros(2 * heads.shift_range + 1)
    moves[heads.shift_range] = 3.0
    stay = [0, 1, 0] if heads.shift_activation == "interpolated" else oracle.softmax(moves)
    for told in addressings:
        np.testing.assert_allclose(told["gate"], oracle.sigmoid(-2.0), rtol=1e-12)
        np.testing.assert_allclose(told["shift"], stay, rtol=1e-12)
        np.testing.assert_allclose(told["sharpening"], 1 + oracle.softplus(1.5), rtol=1e-12)
        assert not told["key"].any()
    for told in writes:
        np.testing.assert_allclose(told["erase"], 0.5)


@pytest.mark.parametrize("raw", [-5.0, -0.3, 0.0, 0.3, 5.0])
def test_interpolated_shift_is_a_move_by_a_real_number(float64, raw):
    """The move as `fumin/ntm` makes it: modulo, floor and fraction of one number."""
    rows, weighting = 7, oracle.softmax(normal(7))
    z = (2 * oracle.sigmoid(raw) - 1 + rows) % rows
    floor = math.floor(z)
    expected = [
        weighting[(i + floor) % rows] * (1 - z + floor)
        + weighting[(i + floor + 1) % rows] * (z - floor)
        for i in range(rows)
    ]
    shift = interpolated_shift(jnp.array([raw]))
    np.testing.assert_allclose(shift_weighting(weighting, shift), expected, rtol=1e-10)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("choices", [{}, {"shift_activation": "interpolated"}])
@pytest.mark.parametrize("raw", [-1e4, 0.0, 1e4])
def test_saturated_controls_stay_in_range(dtype, choices, raw):
    heads = Heads(**SIZES, **choices)
    told = controls(heads, np.full(sum(heads.widths), raw, dtype))
    told = jax.tree.map(lambda part: np.asarray(part, float), told)
    assert all(np.isfinite(part).all() for part in jax.tree.leaves(told))
    assert (told.strength >= 0).all()
    assert (told.sharpening >= 1).all()
    for fraction in (told.gate, told.erase, told.shift):
        assert ((fraction >= 0) & (fraction <= 1)).all()
    np.testing.assert_allclose(told.shift.sum(-1), 1, rtol=1e-2)


def test_a_saturated_exponential_strength_is_finite():
    heads = Heads(**SIZES, strength_activation="exp")
    assert np.isfinite(controls(heads, np.full(sum(heads.widths), np.float32(1e4))).strength).all()


@pytest.mark.parametrize("reads_from", ["written", "previous"])
@pytest.mark.parametrize("examples", [1, 100])
def test_a_saturated_content_lookup_is_finite(reads_from, examples):
    """At a strength of 1e10 a score's rounding is in the hundreds, and differs between XLA's loops."""
    cell = NTMCell(
        *(10, 8),
        memory_size=16,
        strength_activation="exp",
        reads_from=reads_from,
        initial_memory="random",
        rngs=nnx.Rngs(0),
    )
    keys, strengths = cell.heads.widths[:2]
    saturated = cell.to_heads.bias[...].at[keys : keys + strengths].set(24)
    cell.to_heads.bias[...] = saturated
    inputs = jax.random.normal(jax.random.key(1), (54, examples, 10))
    logits, _ = nnx.jit(unroll)(cell, inputs)
    step_by_step = nnx.RNN(cell, time_major=True)(inputs)
    assert np.isfinite(logits).all()
    assert np.isfinite(step_by_step).all()


@pytest.mark.parametrize(
    "field", ["key_activation", "strength_activation", "shift_activation", "add_activation"]
)
def test_an_unknown_activation_is_refused(field):
    with pytest.raises(UserError, match=rf"^model\.{field}: 'nonsense' is unknown; choose one of"):
        Heads(**SIZES, **{field: "nonsense"})


def test_a_shared_weighting_needs_as_many_write_heads_as_read_heads():
    with pytest.raises(UserError, match=r"model\.shared_weighting.*model\.write_heads is 1"):
        Heads(read_heads=2, write_heads=1, word_size=4, shared_weighting=True)
