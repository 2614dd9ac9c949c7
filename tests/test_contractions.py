"""The products between heads and memory, against einsum, in sizes that take each of their paths."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from ntm_jax import contractions, rows_last

SIZES = [
    (1, 1, 20, 128),  # written out
    (3, 2, 5, 32),
    (2, 3, 4, 7),  # rows no multiple of the lanes
    (2, 1, 70, 16),  # too many words
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
        (contractions.over_words, "baw,bwn->ban", (words, memory)),
        (contractions.over_rows, "ban,bwn->baw", (rows, memory)),
        (contractions.outer, "baw,ban->bwn", (words, rows)),
        (contractions.squared_norm, "bwn,bwn->bn", (memory,)),
    ):
        factors = operands if len(operands) == 2 else operands * 2
        expected = np.einsum(subscripts, *map(np.asarray, factors))
        np.testing.assert_allclose(jax.jit(ours)(*operands), expected, rtol=1e-12, atol=1e-12)


def test_each_product_is_the_gradient_of_the_others(arrays):
    words, rows, memory = arrays
    for ours, operands in (
        (contractions.over_words, (words, memory)),
        (contractions.over_rows, (rows, memory)),
        (contractions.outer, (words, rows)),
        (contractions.squared_norm, (memory,)),
    ):
        check_grads(ours, operands, order=1, modes=["rev"])


@pytest.mark.parametrize("rows", [7, 32, 128])
@pytest.mark.parametrize("top", [0, -1])
def test_softmax_of_extreme_scores(rows, top):
    """The greatest score is subtracted, wherever it stands."""
    scores = jnp.zeros((1, 1, rows)).at[0, 0, top].set(1e4)
    expected = jnp.zeros(rows).at[top].set(1)
    np.testing.assert_array_equal(rows_last.softmax(scores)[0, 0], expected)


def test_gradient_of_softmax(float64):
    scores = jax.random.normal(jax.random.key(1), (2, 2, 32), jnp.float64)
    check_grads(rows_last.softmax, (scores,), order=1, modes=["rev"])
    np.testing.assert_allclose(rows_last.softmax(scores), jax.nn.softmax(scores), rtol=1e-12)
