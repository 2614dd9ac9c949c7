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
        }
    )
    if model == "lstm":
        config.model.controller_size = 512
    return config
