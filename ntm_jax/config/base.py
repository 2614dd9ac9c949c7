"""Builds the config that every task's config begins with.

Each field, its default and its meaning are in ntm_jax/config/fields.py and docs/reference/configuration.md.
"""

from ml_collections import ConfigDict

from ntm_jax.config.fields import defaults
from ntm_jax.errors import unknown_choice

# The paper's three models.
MODELS = {
    "ntm-ff": {"kind": "ntm", "controller": "feedforward"},
    "ntm-lstm": {"kind": "ntm", "controller": "lstm"},
    "lstm": {"kind": "lstm"},
}


def get_config(model: str) -> ConfigDict:
    """Returns the fields and their default values for the model called `model`."""
    if model not in MODELS:
        raise unknown_choice("model", model, MODELS)
    config = ConfigDict(defaults(str(MODELS[model]["kind"])))
    config.model.update(MODELS[model])
    if model == "lstm":
        config.model.controller_layers = 3
    return config


def learned_start(config: ConfigDict) -> ConfigDict:
    """Changes a config to learn the first memory and weightings whole, with keys and adds of any size; returns it.

    A feed-forward controller needs this for repeat copy, recall and n-grams, and an LSTM gains by it in n-grams. The first has no state of its own, so rows must
    differ from the start for its heads to find them. The idea is from mgupta8143/neural-turing-machines.
    The number of memory rows is then fixed.
    """
    config.model.update({"initial_memory": "learned", "initial_weighting": "learned"})
    config.model.update({"key_activation": "identity", "add_activation": "identity"})
    config.optimizer.update({"name": "graves_rmsprop", "clip": "global_norm", "clip_limit": 10.0})
    return config


def baseline(config: ConfigDict, units: int, updates: int) -> ConfigDict:
    """Changes a config to the paper's LSTM baseline, trained with Adam on batches of 16, and returns it.

    Args:
      config: of the model `lstm`.
      units: in each of the three layers.
      updates: of the run.
    """
    config.model.controller_size = units
    config.optimizer.update({"name": "adam", "learning_rate": 1e-3, "schedule": "cosine"})
    config.optimizer.update({"clip": "global_norm", "clip_limit": 1.0, "state_gradient_limit": 0.0})
    config.train.update({"updates": updates, "batch_size": 16})
    config.train.update({"log_every": 100, "checkpoint_every": 1000})
    return config
