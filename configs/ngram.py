"""Dynamic n-grams (paper, section 4.4)."""

from ml_collections import ConfigDict

from configs import base


def get_config(model: str = "ntm-ff") -> ConfigDict:
    """The config for one of base.MODELS."""
    config = base.get_config(model)
    config.task.update({"name": "ngram", "length": 200})
    if model == "lstm":
        config.model.controller_size = 128
    return config
