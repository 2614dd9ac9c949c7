"""The models: the Neural Turing Machine and the LSTM baseline, and unrolling them over time."""

from ntm_jax.models.build import Model, build, parameter_count
from ntm_jax.models.unrolling import MemoryUse, State, Trace, logits, unroll

__all__ = ["MemoryUse", "Model", "State", "Trace", "build", "logits", "parameter_count", "unroll"]
