"""Dynamic n-grams (paper, section 4.4)."""

from ml_collections import ConfigDict

from ntm_jax.config import base


def get_config(model: str = "ntm-ff") -> ConfigDict:
    """Returns the config for one of base.MODELS."""
    config = base.get_config(model)
    config.task.update({"name": "ngram", "length": 200})
    # The paper's optimizer. Adam ends 4 to 30 bits higher after as many sequences.
    config.optimizer.update({"name": "graves_rmsprop", "learning_rate": 3e-4})
    # Without a limit at every step, gradients reach norms over 1e6 and undo what was learned.
    config.optimizer.update({"clip_limit": 10.0, "state_gradient_limit": 1.0})
    config.train.update({"updates": 25_000, "batch_size": 4, "checkpoint_every": 5000})
    if model == "lstm":
        return base.baseline(config, units=128, updates=5000)
    # Each of the 32 contexts gets a row that is found by content. So rows differ from the start, and heads
    # begin by content and by staying. 64 rows are enough, the paper has 128.
    base.learned_start(config)
    config.model.update({"memory_size": 64, "gate_bias": 2.0, "no_shift_bias": 2.0})
    if model == "ntm-ff":
        config.train.updates = 45_000
    return config
