"""Small models that several tests share: every choice of the cell is in one of the variants."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from ntm_jax.models.cell import NTMCell
from ntm_jax.models.lstm import LSTM
from ntm_jax.models.unrolling import unroll
from tests.helpers import oracle

T, B, INPUTS, OUTPUTS = 5, 3, 3, 2

VARIANTS = {
    "paper": {},
    "stacked_lstm": {
        "controller": "lstm",
        "controller_layers": 2,
        "read_heads": 2,
        "shift_range": 2,
        "reads_from": "previous",
        "initial_memory": "learned_row",
        "initial_weighting": "learned",
        "initial_reads": "learned",
    },
    "many_heads": {
        "activation": "relu",
        "read_heads": 2,
        "write_heads": 3,
        "key_activation": "identity",
        "add_activation": "identity",
        "initial_memory": "learned",
        "initial_weighting": "uniform",
    },
    "shared_weighting": {
        "activation": "sigmoid",
        "read_heads": 2,
        "write_heads": 2,
        "strength_activation": "exp",
        "shift_activation": "interpolated",
        "add_activation": "sigmoid",
        "shared_weighting": True,
        "reads_from": "previous",
        "output_reads": False,
        "initial_memory": "learned",
        "initial_weighting": "learned",
        "initial_reads": "memory",
    },
    "random_start": {
        "controller": "lstm",
        "write_heads": 2,
        "output_reads": False,
        "initial_memory": "random",
        "initial_weighting": "random",
        "initial_reads": "memory",
    },
}


def options_of(variant):
    """Every choice of a variant, for the oracle."""
    return oracle.DEFAULTS | VARIANTS[variant]


def randomise(make, seed=0, deviation=0.7):
    """The module that `make()` describes, with every parameter, biases too, drawn anew."""
    graphdef, parameters = nnx.split(nnx.eval_shape(make))
    rng = np.random.default_rng(seed)

    def draw(leaf):
        return jnp.asarray(deviation * rng.standard_normal(leaf.shape), leaf.dtype)

    return nnx.merge(graphdef, jax.tree.map(draw, parameters))


def make_cell(variant="paper", **changes):
    """A cell with random parameters, float64 where JAX has it enabled."""
    options = {"controller_size": 6, "memory_size": 7, "word_size": 4, "param_dtype": float}
    options |= VARIANTS[variant] | changes
    return randomise(lambda: NTMCell(INPUTS, OUTPUTS, rngs=nnx.Rngs(0), **options))


def make_lstm():
    """A small baseline with random parameters."""
    return randomise(
        lambda: LSTM(
            INPUTS,
            OUTPUTS,
            controller_size=4,
            controller_layers=2,
            param_dtype=float,
            rngs=nnx.Rngs(0),
        )
    )


def numbers(parameters):
    """Parameters as nested dicts of NumPy arrays, for the oracle."""
    return jax.tree.map(np.asarray, nnx.to_pure_dict(parameters))


def normal(*shape, seed=0):
    """Random numbers `[*shape]`, NumPy float64."""
    return np.random.default_rng(seed).standard_normal(shape)


# Compiled once for each model and shape, whichever tests ask.


@partial(jax.jit, static_argnums=0)
def run(graphdef, parameters, inputs, state=None):
    """`unroll` with the memory in the trace."""
    return unroll(nnx.merge(graphdef, parameters), inputs, state=state, memory=True)


@partial(jax.jit, static_argnums=0)
def advance(graphdef, parameters, state, x):
    """One step: new state and logits."""
    return nnx.merge(graphdef, parameters)(state, x)


@partial(jax.jit, static_argnums=(0, 1))
def initial_state(graphdef, batch_shape, parameters, seed=0):
    """The state before the first step."""
    return nnx.merge(graphdef, parameters).initial_state(batch_shape, jax.random.key(seed))
