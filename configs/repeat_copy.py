"""Repeat copy (paper, section 4.2)."""

from ml_collections import ConfigDict

from ntm_jax.config import base


def get_config(model: str = "ntm-ff") -> ConfigDict:
    """Returns the config for one of base.MODELS."""
    config = base.get_config(model)
    config.task.update(
        {
            "name": "repeat_copy",
            "min_length": 1,
            "max_length": 10,
            "min_repeats": 1,
            "max_repeats": 10,
            "count": "scalar",  # fumin/ntm uses binary and linear, with 6 bits
            "bits": 8,
            "zero_vector_percent": 0,
        }
    )
    # As for copy: the paper's optimizer, one sequence at a time.
    config.optimizer.update({"name": "graves_rmsprop", "learning_rate": 2e-4})
    config.optimizer.update({"clip": "value", "clip_limit": 10.0, "state_gradient_limit": 1.0})
    config.train.update({"updates": 150_000, "batch_size": 1, "log_every": 1000})
    config.train.update({"checkpoint_every": 20_000, "solved_below": 0.1})
    if model == "lstm":
        return base.baseline(config, units=512, updates=5000)
    # Otherwise a vector of zeros is taken for the end of the input.
    config.task.zero_vector_percent = 5
    if model == "ntm-ff":
        base.learned_start(config)
        config.optimizer.update({"learning_rate": 1e-4, "state_gradient_limit": 0.0})
        config.train.updates = 200_000
        return config
    config.train.blur_penalty = 0.001
    # Heads begin by location, and sharp.
    config.model.update({"gate_bias": -2.0, "sharpening_bias": 1.0, "memory_size": 32})
    config.evaluate.memory_size = 64  # 20 vectors, and free rows for the write head to rest on
    return config
