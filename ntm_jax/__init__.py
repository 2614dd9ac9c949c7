"""Neural Turing Machines (Graves, Wayne, Danihelka 2014) in JAX."""

from ntm_jax import compiler, go_weights, tasks
from ntm_jax.cell import NTMCell, NTMState
from ntm_jax.checkpoints import load
from ntm_jax.errors import UserError
from ntm_jax.lstm import LSTM
from ntm_jax.model import Trace, unroll

__all__ = [
    "LSTM",
    "NTMCell",
    "NTMState",
    "Trace",
    "UserError",
    "compiler",
    "go_weights",
    "load",
    "tasks",
    "unroll",
]
