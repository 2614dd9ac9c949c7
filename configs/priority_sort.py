"""Priority sort (paper, section 4.5)."""

from ml_collections import ConfigDict

from configs import base


def get_config(model: str = "ntm-ff") -> ConfigDict:
    """The config for one of base.MODELS."""
    config = base.get_config(model)
    config.task.update({"name": "priority_sort", "items": 20, "kept": 16})
    if model == "ntm-ff":
        config.model.update({"read_heads": 8, "write_heads": 8, "controller_size": 512})
    if model == "ntm-lstm":
        config.model.update({"read_heads": 5, "write_heads": 5, "controller_layers": 2})
    if model == "lstm":
        config.model.controller_size = 128
    return config
