"""Priority sort (paper, section 4.5)."""

from ml_collections import ConfigDict

from ntm_jax.config import base


def get_config(model: str = "ntm-ff") -> ConfigDict:
    """Returns the config for one of base.MODELS."""
    config = base.get_config(model)
    config.task.update({"name": "priority_sort", "items": 20, "kept": 16})
    if model == "ntm-ff":
        # Heads read the row that they erase in the same step. One pair is enough, but learns this in one of
        # three seeds only. The paper has 8.
        config.model.update({"read_heads": 2, "write_heads": 2, "controller_size": 512})
        config.model.update({"shared_weighting": True, "reads_from": "previous"})
        config.model.memory_size = 32
        config.optimizer.update({"learning_rate": 7e-4, "state_gradient_limit": 30.0})
        config.train.update({"updates": 80_000, "batch_size": 4, "log_every": 500})
        config.train.update({"checkpoint_every": 5000, "solved_below": 5.0})
    if model == "ntm-lstm":
        config.model.update({"read_heads": 5, "write_heads": 5, "controller_layers": 2})
    if model == "lstm":
        return base.baseline(config, units=128, updates=20_000)
    return config
