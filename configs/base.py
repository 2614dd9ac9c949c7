"""What every config has. A task's config changes only what differs."""

from ml_collections import ConfigDict

from ntm_jax.errors import unknown_choice

# The paper's three models; everything else is in the task's config.
MODELS = {
    "ntm-ff": {"kind": "ntm", "controller": "feedforward"},
    "ntm-lstm": {"kind": "ntm", "controller": "lstm"},
    "lstm": {"kind": "lstm"},
}


def get_config(model: str) -> ConfigDict:
    """The fields and their usual values for the model called `model`."""
    if model not in MODELS:
        raise unknown_choice("model", model, MODELS)
    config = ConfigDict()
    config.seed = 0
    config.task = ConfigDict()
    config.model = ConfigDict(MODELS[model])
    config.model.controller_size = 100
    config.model.compute = "float32"  # of the layers' products, or bfloat16; all else stays float32
    if model == "lstm":
        config.model.controller_layers = 3
    else:
        config.model.update(ntm())
    config.optimizer = ConfigDict(
        {
            "name": "adam",  # graves_rmsprop, sgd, or any of optax that takes a learning_rate
            "learning_rate": 3e-3,
            "arguments": "",  # more for the optimiser: 'b1=0.9, nesterov=True'
            "schedule": "cosine",  # constant; linear and cosine fall to 0 at train.updates
            "warmup": 0,  # updates
            "clip": "global_norm",  # value (each element, as in the paper), none
            "clip_limit": 1.0,
            "state_gradient_limit": 0.0,  # each element of a sequence's derivative by the state, at every step; 0: no limit
        }
    )
    config.curriculum = ConfigDict(
        {
            "name": "none",  # growing: from the least difficulty to the task's range
            "updates": 1000,  # until all of the range is open
            "rows": 0.0,  # of memory for each step of the answer, before update `late`; 0: all that the model has
            "late": 0,  # the update from which on a task's late episodes come, see task.concatenated_percent
            "last": 0,  # and its last ones, see task.irregular_weight; if below `late`, with those
        }
    )
    config.train = ConfigDict(
        {
            "updates": 10_000,
            "first_updates": 0,  # up to there the rate and the costs are as if these were all, then begin again
            "batch_size": 8,
            "blur_penalty": 0.0,  # nats for a head's step over many rows; later in training, see ntm_jax.training.trainer
            "write_penalty": 0.0,  # nats for erasing, or adding 1s to, whole rows while answering; later too
            "log_every": 100,
            "checkpoint_every": 1000,
            "solved_below": 0.0,  # bits/sequence; training says when a line of its metrics is below
            "on_nonfinite": "stop",  # or skip the update, where the loss or the gradient is not finite
            "max_skipped_updates": 100,  # updates of a run; then it stops
        }
    )
    config.mesh = ConfigDict(
        {
            "data": 1,  # devices that share a batch, of all processes together
        }
    )
    config.evaluate = ConfigDict(
        {
            "episodes": 1000,  # a case
            "memory_size": 0,  # rows; 0: as many as trained with
            "seed": 2014,  # of the test episodes, which no training run draws
        }
    )
    config.monitor = ConfigDict(
        {
            "port": -1,  # of the page beside training; -1: none, 0: any that is free
            "host": "127.0.0.1",  # this machine alone; 0.0.0.0: whoever reaches it
        }
    )
    return config


def baseline(config: ConfigDict, units: int, updates: int) -> ConfigDict:
    """The paper's LSTM for a task: three layers of its size, trained with Adam, 16 sequences at a time."""
    config.model.controller_size = units
    config.optimizer.update({"name": "adam", "learning_rate": 1e-3, "schedule": "cosine"})
    config.optimizer.update({"clip": "global_norm", "clip_limit": 1.0, "state_gradient_limit": 0.0})
    config.train.update({"updates": updates, "batch_size": 16})
    config.train.update({"log_every": 100, "checkpoint_every": 1000})
    return config


def ntm() -> dict[str, object]:
    """The paper's cell, as `NTMCell` takes it."""
    return {
        "controller_layers": 1,
        "activation": "tanh",
        "memory_size": 128,
        "word_size": 20,
        "read_heads": 1,
        "write_heads": 1,
        "shift_range": 1,
        "key": "tanh",
        "strength": "softplus",
        "shift": "softmax",
        "add": "tanh",
        "shared_weighting": False,
        "reads_from": "written",
        "output_reads": True,
        "initial_memory": "learned_row",
        "initial_weighting": "first_row",
        "initial_reads": "learned",
        "gate_bias": 0.0,  # below 0, heads begin by location rather than content
        "no_shift_bias": 0.0,  # above 0, heads begin by staying where they are
        "sharpening_bias": 0.0,  # above 0, weightings begin sharper
    }
