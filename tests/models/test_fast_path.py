"""What training runs against the plain cell under `flax.nnx.RNN`: loss and every gradient, for models drawn at random."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from ntm_jax import models
from ntm_jax.models.cell import NTMCell
from ntm_jax.tasks import losses

FEW, MANY = range(2), range(2, 10)
SEEDS = [*FEW, *(pytest.param(seed, marks=pytest.mark.slow) for seed in MANY)]


def drawn(seed, dtype):
    """A model, and inputs, targets and a mask with sequences of different lengths."""
    draw = np.random.default_rng(seed)

    def choose(*values):
        return values[draw.integers(len(values))]

    shared = choose(True, False)
    reads = int(draw.integers(1, 5))
    cell = NTMCell(
        5,
        3,
        controller=choose("feedforward", "lstm"),
        controller_size=int(draw.integers(4, 20)),
        memory_size=int(draw.integers(5, 40)),
        word_size=int(draw.integers(2, 12)),
        read_heads=reads,
        write_heads=reads if shared else int(draw.integers(1, 5)),
        shared_weighting=shared,
        shift_range=int(draw.integers(0, 3)),
        reads_from=choose("written", "previous"),
        output_reads=choose(True, False),
        initial_memory=choose("constant", "learned_row", "learned"),
        initial_weighting=choose("first_row", "learned"),
        initial_reads=choose("zeros", "learned", "memory"),
        strength_activation=choose("softplus", "exp"),
        add_activation=choose("tanh", "sigmoid", "identity"),
        param_dtype=dtype,
        rngs=nnx.Rngs(seed),
    )
    steps, batch = int(draw.integers(2, 30)), int(draw.integers(1, 6))
    lengths = draw.integers(1, steps + 1, batch)
    mask = (np.arange(steps)[:, None] < lengths) & (draw.random((steps, batch)) < 0.7)
    inputs = draw.normal(size=(steps, batch, 5)) * (np.arange(steps)[:, None] < lengths)[..., None]
    targets = draw.integers(0, 2, (steps, batch, 3))
    return cell, *(jnp.asarray(part, dtype) for part in (inputs, targets, mask))


def loss_and_gradients(run, cell, inputs, targets, mask):
    structure, parameters = nnx.split(cell)

    def loss(parameters):
        logits = run(nnx.merge(structure, parameters), inputs)
        return jnp.sum(losses.sequence_nats(logits, targets, mask))

    nats, gradients = jax.jit(jax.value_and_grad(loss))(parameters)
    named = jax.tree_util.tree_leaves_with_path(nnx.to_pure_dict(gradients))
    return [("loss", nats), *((jax.tree_util.keystr(path), leaf) for path, leaf in named)]


def compare(seed, dtype, tolerance):
    episode = drawn(seed, dtype)
    fast = loss_and_gradients(lambda cell, x: models.training_outputs(cell, x)[0], *episode)
    plain = loss_and_gradients(lambda cell, x: nnx.RNN(cell, time_major=True)(x), *episode)
    whole = max(float(jnp.linalg.norm(wanted)) for _, wanted in plain[1:])
    for (name, got), (_, wanted) in zip(fast, plain, strict=True):
        error = float(jnp.linalg.norm(got - wanted))
        # Of a part that is next to nothing beside the others, rounding of the others is all there is.
        size = max(float(jnp.linalg.norm(wanted)), 1e-3 * whole)
        assert error <= tolerance * size, (name, error / size)


@pytest.mark.parametrize("seed", SEEDS)
def test_in_float64(seed, float64):
    compare(seed, jnp.float64, 1e-10)


@pytest.mark.parametrize("seed", SEEDS)
def test_in_float32(seed):
    compare(seed, jnp.float32, 1e-5)
