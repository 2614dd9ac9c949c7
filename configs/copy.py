"""Copy (paper, section 4.1)."""

from ml_collections import ConfigDict

from ntm_jax.config import base


def get_config(model: str = "ntm-ff") -> ConfigDict:
    """Returns the config for one of base.MODELS."""
    config = base.get_config(model)
    config.task.update(
        {"name": "copy", "min_length": 1, "max_length": 20, "zero_vector_percent": 0}
    )
    # The paper's optimizer, one sequence at a time. The norm of the gradient is clipped, and the rate falls to 0.
    # Otherwise runs leave the solution again.
    config.optimizer.update({"name": "graves_rmsprop", "learning_rate": 2e-4, "clip_limit": 10.0})
    config.train.update({"updates": 40_000, "batch_size": 1, "solved_below": 0.05})
    config.train.update({"log_every": 400, "checkpoint_every": 8000})
    if model == "lstm":
        return base.baseline(config, units=256, updates=6000)
    # The write head needs free rows to rest on, and 120 vectors nearly fill the paper's 128.
    config.evaluate.memory_size = 256
    # One vector in 256 is too few to learn that zeros are not the end.
    config.task.zero_vector_percent = 5
    # Heads begin by location. A read head that searches for the first row too early may lose it among 120 others.
    config.model.update({"gate_bias": -2.0, "sharpening_bias": 1.0})
    config.train.blur_penalty = 0.002
    if model == "ntm-ff":
        # Heads also begin by staying. Otherwise some seeds learn to walk during the input, and to search then.
        config.model.no_shift_bias = 1.0
    return config
