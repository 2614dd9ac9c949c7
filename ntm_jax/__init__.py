"""Neural Turing Machines (Graves, Wayne, Danihelka 2014) in JAX."""

from ntm_jax import tasks
from ntm_jax.errors import UserError
from ntm_jax.models import Trace, unroll
from ntm_jax.models.cell import NTMCell, NTMState
from ntm_jax.models.lstm import LSTM
from ntm_jax.storage import fumin as go_weights
from ntm_jax.storage.restore import load

__all__ = [
    "LSTM",
    "NTMCell",
    "NTMState",
    "Trace",
    "UserError",
    "go_weights",
    "load",
    "tasks",
    "unroll",
]
