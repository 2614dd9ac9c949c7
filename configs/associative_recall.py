"""Associative recall (paper, section 4.3)."""

from ml_collections import ConfigDict

from ntm_jax.config import base


def get_config(model: str = "ntm-ff") -> ConfigDict:
    """Returns the config for one of base.MODELS."""
    config = base.get_config(model)
    config.task.update({"name": "associative_recall", "min_items": 2, "max_items": 6})
    # As for copy: the paper's optimizer and clipping, one sequence at a time.
    config.optimizer.update({"name": "graves_rmsprop", "learning_rate": 2e-4})
    config.optimizer.update({"clip": "value", "clip_limit": 10.0, "state_gradient_limit": 1.0})
    config.train.update({"updates": 100_000, "batch_size": 1, "log_every": 500})
    config.train.update({"checkpoint_every": 5000, "solved_below": 0.05})
    if model == "lstm":
        return base.baseline(config, units=256, updates=6000)
    if model == "ntm-ff":
        base.learned_start(config)
        config.model.update({"read_heads": 4, "write_heads": 4, "controller_size": 256})
        # Heads begin sharp. With a limit at every step and without that, lists of 6 items cost 0.8 bits.
        config.model.sharpening_bias = 1.0
        config.optimizer.update({"learning_rate": 1e-4, "state_gradient_limit": 0.0})
        config.train.updates = 140_000
    else:
        # With a limit of 1 on the derivative by the state, lists of 20 items cost 3 bits.
        config.optimizer.update({"learning_rate": 1.5e-4, "state_gradient_limit": 0.0})
    return config
