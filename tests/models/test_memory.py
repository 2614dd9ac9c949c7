"""Reading and writing against the paper's loops, and what must hold for any heads."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from ntm_jax.models import memory
from tests.helpers import oracle
from tests.helpers.tiny_models import normal

N, W, H = 7, 4, 3
MEMORY = normal(N, W, seed=1)
WEIGHTINGS = np.array([oracle.softmax(row) for row in normal(H, N, seed=2)])
ERASE = 1 / (1 + np.exp(-normal(H, W, seed=3)))
ADD = normal(H, W, seed=4)

read, write = jax.jit(memory.read), jax.jit(memory.write)


def close(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=1e-10, atol=1e-14)


def test_read_is_equation_2(float64):
    close(read(MEMORY, WEIGHTINGS), [oracle.read(MEMORY, w) for w in WEIGHTINGS])


@pytest.mark.parametrize("heads", [1, 2, 3])
def test_write_is_equations_3_and_4(float64, heads):
    told = WEIGHTINGS[:heads], ERASE[:heads], ADD[:heads]
    close(write(MEMORY, *told), oracle.write(MEMORY, *told))


def test_gradients(float64):
    check_grads(read, (MEMORY, WEIGHTINGS), order=1, modes=("fwd", "rev"))
    check_grads(write, (MEMORY, WEIGHTINGS, ERASE, ADD), order=1, modes=("fwd", "rev"))


def test_what_was_written_over_a_row_is_read_from_it(float64):
    row = np.eye(N)[2:3]
    close(read(write(MEMORY, row, np.ones((1, W)), ADD[:1]), row), ADD[:1])


def test_a_one_hot_write_leaves_other_rows(float64):
    written = write(MEMORY, np.eye(N)[2:3], np.ones((1, W)), ADD[:1])
    np.testing.assert_array_equal(np.delete(written, 2, axis=0), np.delete(MEMORY, 2, axis=0))


def test_no_erase_and_no_add_keeps_the_memory(float64):
    close(write(MEMORY, WEIGHTINGS, 0 * ERASE, 0 * ADD), MEMORY)


def test_one_head_does_not_erase_what_another_adds(float64):
    row = np.tile(np.eye(N)[2], (2, 1))
    written = write(MEMORY, row, np.ones((2, W)), ADD[:2])
    close(written[2], ADD[0] + ADD[1])


@pytest.mark.parametrize("order", [[1, 0, 2], [2, 1, 0], [1, 2, 0]])
def test_the_order_of_write_heads_does_not_matter(float64, order):
    reordered = write(MEMORY, WEIGHTINGS[order], ERASE[order], ADD[order])
    close(reordered, write(MEMORY, WEIGHTINGS, ERASE, ADD))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_gradients_are_finite_where_all_is_erased(dtype):
    """A product of zeros is where a gradient by division would be NaN."""
    told = [jnp.asarray(a, dtype) for a in (0 * MEMORY, np.eye(N)[:H] * 0 + 1, 0 * ERASE + 1, ADD)]
    gradients = jax.jit(jax.grad(lambda *told: memory.write(*told).sum(), argnums=range(4)))(*told)
    assert all(gradient.dtype == dtype for gradient in gradients)
    assert all(np.isfinite(np.float32(gradient)).all() for gradient in gradients)
