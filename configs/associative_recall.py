"""Associative recall (paper, section 4.3)."""

from ml_collections import ConfigDict

from configs import base


def get_config(model: str = "ntm-ff") -> ConfigDict:
    """The config for one of base.MODELS."""
    config = base.get_config(model)
    config.task.update({"name": "associative_recall", "min_items": 2, "max_items": 6})
    if model == "ntm-ff":
        config.model.update({"read_heads": 4, "write_heads": 4, "controller_size": 256})
    if model == "lstm":
        config.model.controller_size = 256
    return config
