"""Copy (paper, section 4.1)."""

from ml_collections import ConfigDict

from configs import base


def get_config(model: str = "ntm-ff") -> ConfigDict:
    """The config for one of base.MODELS."""
    config = base.get_config(model)
    config.task.update(
        {"name": "copy", "min_length": 1, "max_length": 20, "zero_vector_percent": 0}
    )
    # The paper's optimiser, one sequence at a time. For LSTM controllers the whole gradient is limited, not each
    # of its elements: that keeps a run that has solved the task from leaving the solution again.
    config.optimizer.update({"name": "graves_rmsprop", "learning_rate": 2e-4, "clip_limit": 10.0})
    config.train.update({"updates": 40_000, "batch_size": 1, "solved_below": 0.05})
    config.train.update({"log_every": 400, "checkpoint_every": 8000})
    if model == "lstm":
        return base.baseline(config, units=256, updates=6000)
    # The paper's 128 rows are nearly full of 120 vectors, and the write head needs others to rest on.
    config.evaluate.memory_size = 256
    # Heads begin by location: a read head that waits at the first row finds it whatever the length,
    # one that learns to look for its content loses it among 120 others.
    config.model.gate_bias = -2.0
    config.model.sharpening_bias = 1.0
    config.train.blur_penalty = 0.002
    if model == "ntm-ff":
        # The large steps that clipping by element allows get it out of taking a vector of zeros for the end.
        config.optimizer.update({"learning_rate": 1e-4, "schedule": "constant", "clip": "value"})
        config.model.memory_size = 64
    else:
        # One in 256 is too seldom to learn that they are not the end.
        config.task.zero_vector_percent = 5
    return config
