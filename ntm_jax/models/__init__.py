"""Implements the Neural Turing Machine and the LSTM baseline, and runs them over time."""

from ntm_jax.models.build import Model, build, parameter_count
from ntm_jax.models.unrolling import MemoryUse, State, Trace, training_outputs, unroll

__all__ = [
    "MemoryUse",
    "Model",
    "State",
    "Trace",
    "build",
    "parameter_count",
    "training_outputs",
    "unroll",
]
