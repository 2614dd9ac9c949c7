"""Repeat copy (paper, section 4.2)."""

from ml_collections import ConfigDict

from configs import base


def get_config(model: str = "ntm-ff") -> ConfigDict:
    """The config for one of base.MODELS."""
    config = base.get_config(model)
    config.task.update(
        {
            "name": "repeat_copy",
            "min_length": 1,
            "max_length": 10,
            "min_repeats": 1,
            "max_repeats": 10,
            "count": "scalar",  # binary and linear are those of fumin/ntm, where bits is 6
            "bits": 8,
            "zero_vector_percent": 0,
        }
    )
    # As for copy: the paper's optimiser, one sequence at a time, heads that begin by location and sharp.
    config.optimizer.update({"name": "graves_rmsprop", "learning_rate": 2e-4})
    config.optimizer.update({"clip": "value", "clip_limit": 10.0, "state_gradient_limit": 1.0})
    config.train.update({"updates": 150_000, "batch_size": 1, "log_every": 1000})
    config.train.update({"checkpoint_every": 20_000, "solved_below": 0.1})
    if model == "lstm":
        return base.baseline(config, units=512, updates=5000)
    # Without, a vector of zeros passes for the end of the input.
    config.task.zero_vector_percent = 5
    config.train.blur_penalty = 0.001
    config.model.update({"gate_bias": -2.0, "sharpening_bias": 1.0, "memory_size": 32})
    config.evaluate.memory_size = 64  # for 20 vectors, and rows for the write head to rest on
    return config
