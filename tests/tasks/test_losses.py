"""Hand-computed losses, and steps that must not count."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntm_jax.tasks.losses import BITS_PER_NAT, sequence_bit_errors, sequence_nats

LN2, LN3, LN4 = np.log([2, 3, 4])
# [T=2, B=2, out=2]: the probabilities are 1/2, 3/4 and 1/4.
LOGITS = np.array([[[0, LN3], [-LN3, LN3]], [[LN3, -LN3], [0, 0]]], np.float32)
TARGETS = np.array([[[1, 1], [1, 0]], [[0, 0], [0, 1]]], np.float32)
MASKS = [
    # [T, B], nats and wrong bits of each sequence
    ([[1, 1], [1, 1]], [LN2 + 3 * LN4 - 2 * LN3, 2 * LN4 + 2 * LN2], [2, 3]),
    ([[1, 0], [1, 1]], [LN2 + 3 * LN4 - 2 * LN3, 2 * LN2], [2, 1]),
    ([[1, 1], [0, 0]], [LN2 + LN4 - LN3, 2 * LN4], [1, 2]),
    ([[0, 0], [0, 0]], [0, 0], [0, 0]),
]
nats, bit_errors = jax.jit(sequence_nats), jax.jit(sequence_bit_errors)


@pytest.mark.parametrize(("mask", "expected", "_"), MASKS)
def test_nats_of_hand_made_sequences(mask, expected, _):
    np.testing.assert_allclose(nats(LOGITS, TARGETS, np.float32(mask)), expected, rtol=1e-6)


@pytest.mark.parametrize(("mask", "_", "expected"), MASKS)
def test_bit_errors_of_hand_made_sequences(mask, _, expected):
    np.testing.assert_array_equal(bit_errors(LOGITS, TARGETS, np.float32(mask)), expected)


def test_bits_per_nat():
    np.testing.assert_allclose(BITS_PER_NAT * LN2, 1, rtol=1e-15)


@pytest.mark.parametrize("logit", [-1e4, 1e4])
def test_saturated_logits_cost_their_size_where_wrong_and_nothing_where_right(logit):
    logits = np.full((1, 2, 1), logit, np.float32)
    targets = np.float32([[[0], [1]]])
    expected = [max(logit, 0), max(-logit, 0)]
    np.testing.assert_allclose(nats(logits, targets, np.ones((1, 2), np.float32)), expected)


@jax.jit
def nats_gradient_and_errors(logits, targets, mask):
    total, gradient = jax.value_and_grad(lambda x: sequence_nats(x, targets, mask).sum())(logits)
    return total, gradient, sequence_bit_errors(logits, targets, mask)


@pytest.mark.parametrize("rubbish", [np.nan, np.inf, -np.inf, 1e38])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_what_is_said_outside_the_mask_counts_for_nothing(dtype, rubbish):
    mask = np.float32([[1, 0], [0, 1]])
    spoilt = np.where(mask[:, :, None] > 0, LOGITS, rubbish)
    clean, spoilt = (
        nats_gradient_and_errors(logits.astype(dtype), TARGETS.astype(dtype), mask)
        for logits in (LOGITS, spoilt)
    )
    jax.tree.map(np.testing.assert_array_equal, spoilt, clean)
    assert not np.asarray(spoilt[1])[mask == 0].any()


def test_a_step_outside_the_mask_does_not_change_the_loss_whatever_its_target():
    mask = np.float32([[1, 1], [0, 0]])
    np.testing.assert_array_equal(
        nats(LOGITS, TARGETS, mask), nats(LOGITS, np.stack([TARGETS[0], 1 - TARGETS[1]]), mask)
    )
