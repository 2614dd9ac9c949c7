"""Copy (paper, section 4.1)."""

from ml_collections import ConfigDict

from configs import base


def get_config(model: str = "ntm-ff") -> ConfigDict:
    """The config for one of base.MODELS."""
    config = base.get_config(model)
    config.task.update({"name": "copy", "min_length": 1, "max_length": 20})
    if model == "lstm":
        config.model.controller_size = 256
    config.train.updates = 2_500
    return config
