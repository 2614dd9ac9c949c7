"""Addressing against the paper's equations, its properties, and its edges."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from ntm_jax.models import addressing
from tests.helpers import oracle
from tests.helpers.tiny_models import normal

N, W = 7, 4
MEMORY, KEY = normal(N, W, seed=1), normal(W, seed=2)
CONTENT, PREVIOUS = (oracle.softmax(normal(N, seed=seed)) for seed in (3, 4))
SHIFT = oracle.softmax(normal(3, seed=5))
STRENGTH, GATE, SHARPENING = 1.7, 0.3, 2.3

address = jax.jit(addressing.address)
content_weighting = jax.jit(addressing.content_weighting)
shift_weighting = jax.jit(addressing.shift_weighting)
sharpen = jax.jit(addressing.sharpen)


def close(actual, expected, rtol=1e-10):
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=1e-14)


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e-6, 0.0])
def test_cosine_similarity_is_equation_6(float64, scale):
    expected = [oracle.cosine(KEY, row) for row in scale * MEMORY]
    close(jax.jit(addressing.cosine_similarity)(scale * MEMORY, KEY), expected)


def test_cosine_similarity_of_hand_made_rows(float64):
    rows = np.array([[6.0, 8.0], [8.0, -6.0], [-0.3, -0.4]])
    similarity = addressing.cosine_similarity(rows, np.array([3.0, 4.0]), epsilon=0.0)
    close(similarity, [1, 0, -1])


@pytest.mark.parametrize("strength", [0.0, 1.7, 40.0])
def test_content_weighting_is_equation_5(float64, strength):
    expected = oracle.content_weighting(MEMORY, KEY, strength)
    close(content_weighting(MEMORY, KEY, strength), expected)


def test_interpolate_is_equation_7(float64):
    expected = oracle.interpolate(CONTENT, PREVIOUS, GATE)
    close(addressing.interpolate(CONTENT, PREVIOUS, GATE), expected)


@pytest.mark.parametrize("reach", [1, 2, 3, 5])
def test_shift_weighting_is_equation_8(float64, reach):
    shift = oracle.softmax(normal(2 * reach + 1))
    close(shift_weighting(PREVIOUS, shift), oracle.convolve(PREVIOUS, shift))


@pytest.mark.parametrize("sharpening", [1.0, 2.3, 60.0])
def test_sharpen_is_equation_9(float64, sharpening):
    close(sharpen(PREVIOUS, sharpening), oracle.sharpen(PREVIOUS, sharpening), rtol=1e-9)


@pytest.mark.parametrize("epsilon", [1e-6, 0.1])
def test_address_is_equations_5_to_9(float64, epsilon):
    told = (MEMORY, PREVIOUS, KEY, STRENGTH, GATE, SHIFT, SHARPENING, epsilon)
    close(address(*told), oracle.address(*told))


def test_gradients_of_address(float64):
    told = (MEMORY, PREVIOUS, KEY, STRENGTH, GATE, SHIFT, SHARPENING)
    check_grads(address, told, order=1, modes=("fwd", "rev"))


@pytest.mark.parametrize("move", [-2, -1, 0, 1, 2])
def test_one_hot_shift_is_a_roll(float64, move):
    close(shift_weighting(PREVIOUS, np.eye(5)[move + 2]), np.roll(PREVIOUS, move))


def test_gate_0_ignores_content(float64):
    told = (STRENGTH, 0.0, SHIFT, SHARPENING)
    np.testing.assert_array_equal(
        address(MEMORY, PREVIOUS, KEY, *told), address(-MEMORY, PREVIOUS, 3 * KEY, *told)
    )


def test_gate_1_ignores_previous(float64):
    told = (KEY, STRENGTH, 1.0, SHIFT, SHARPENING)
    np.testing.assert_array_equal(address(MEMORY, PREVIOUS, *told), address(MEMORY, CONTENT, *told))


def test_permuted_rows_permute_the_content_weighting(float64):
    order = np.random.default_rng(0).permutation(N)
    permuted = content_weighting(MEMORY[order], KEY, STRENGTH)
    close(permuted, content_weighting(MEMORY, KEY, STRENGTH)[order])


def test_sharpening_1_changes_nothing(float64):
    close(sharpen(PREVIOUS, 1.0), PREVIOUS)


@pytest.mark.parametrize("sharpening", [1.0, 10_000.0])
def test_one_hot_weighting_stays_one_hot(sharpening):
    one_hot = jnp.eye(N, dtype=jnp.float32)[2]
    np.testing.assert_allclose(sharpen(one_hot, sharpening), one_hot, atol=1e-30)


def test_strong_sharpening_of_many_small_weights_finds_the_largest():
    weights = np.full(1000, 1e-3, np.float32)
    weights[123] *= 1.1
    np.testing.assert_allclose(sharpen(weights, 500.0), np.eye(1000)[123], atol=1e-6)


def edges(dtype):
    """Zero, usual and saturated values of everything that `address` takes, in all combinations."""
    choices = (
        (0 * MEMORY, 1e-6 + 0 * MEMORY, MEMORY, 1e4 * MEMORY),
        (np.eye(N)[0], np.full(N, 1 / N)),
        (0 * KEY, KEY, 1e4 * KEY),
        (0.0, 1.0, 1e4),
        (0.0, 0.5, 1.0),
        (np.eye(3)[2], SHIFT),
        (1.0, 1e4),
    )
    told = zip(*itertools.product(*choices), strict=True)
    return [jnp.asarray(np.stack(values), dtype) for values in told]


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_values_and_gradients_are_finite_at_the_edges(dtype):
    def target(*told):
        weighting = addressing.address(*told)
        return jnp.sum(weighting * jnp.arange(N).astype(dtype)), weighting

    take = jax.value_and_grad(target, argnums=range(7), has_aux=True)
    (_, weightings), gradients = jax.jit(jax.vmap(take))(*edges(dtype))
    for values in (weightings, *gradients):
        assert values.dtype == dtype
        assert np.isfinite(np.float32(values)).all()


def test_weightings_stay_on_the_simplex_at_the_edges():
    weightings = np.asarray(jax.jit(jax.vmap(addressing.address))(*edges(jnp.float32)))
    assert (weightings >= 0).all()
    np.testing.assert_allclose(weightings.sum(axis=-1), 1, rtol=1e-5)
