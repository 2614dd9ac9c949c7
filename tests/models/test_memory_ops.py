"""The products between heads and memory, against NumPy's einsum, in sizes that take each of their paths."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntm_jax.models import memory_ops

SIZES = [
    (1, 1, 20, 128),  # few heads: each by itself
    (3, 2, 5, 32),
    (2, 3, 4, 7),  # many heads, and rows no multiple of the lanes
    (2, 1, 70, 16),  # too many words to write out
    (1, 1, 2, 16 * 65),  # too many rows
]


@pytest.fixture(params=SIZES, ids=str)
def arrays(request, float64):
    batch, heads, width, rows = request.param
    keys = jax.random.split(jax.random.key(0), 3)
    return (
        jax.random.normal(keys[0], (batch, heads, width), jnp.float64),
        jax.random.normal(keys[1], (batch, heads, rows), jnp.float64),
        jax.random.normal(keys[2], (batch, width, rows), jnp.float64),
    )


def test_products_are_einsums(arrays):
    words, rows, memory = arrays
    for ours, subscripts, operands in (
        (memory_ops.over_words, "baw,bwn->ban", (words, memory)),
        (memory_ops.over_rows, "ban,bwn->baw", (rows, memory)),
        (memory_ops.outer, "baw,ban->bwn", (words, rows)),
        (memory_ops.squared_norm, "bwn,bwn->bn", (memory,)),
    ):
        factors = operands if len(operands) == 2 else operands * 2
        expected = np.einsum(subscripts, *map(np.asarray, factors))
        np.testing.assert_allclose(jax.jit(ours)(*operands), expected, rtol=1e-12, atol=1e-12)


def test_sum_and_greatest_along_the_rows(arrays):
    rows = arrays[1]
    np.testing.assert_allclose(memory_ops.sum_last(rows), np.sum(rows, axis=-1), rtol=1e-12)
    np.testing.assert_array_equal(memory_ops.max_last(rows), np.max(rows, axis=-1))
