"""Stands for `ntm_jax.config.base` in configs that import it from this folder, as they did before 0.2.0."""

from ntm_jax.config.base import MODELS, baseline, get_config

__all__ = ["MODELS", "baseline", "get_config"]
