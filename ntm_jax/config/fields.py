"""Defines every field of a config once: default, bounds, meaning, and its value in older runs.

The files in configs/, the command line, the checks, `--help-config` and docs/reference/configuration.md all
come from this table. The fields of `task` and `model` are in files of their own.

The table uses plain dataclasses. pydantic and msgspec were considered. The fields of a config depend
on its task and model, so their classes would have to be built from such a table as well.
"""

from typing import Any

from ntm_jax.config.field import Field
from ntm_jax.config.model_fields import MODEL
from ntm_jax.config.stages import STAGE
from ntm_jax.config.task_fields import TASK

# Old name -> current name. Configs of older runs and weight files are read with both, overrides too.
ALIASES = {
    "model.key": "model.key_activation",
    "model.strength": "model.strength_activation",
    "model.shift": "model.shift_activation",
    "model.add": "model.add_activation",
    "model.stay_bias": "model.no_shift_bias",
    "optimizer.clip_at": "optimizer.clip_limit",
    "optimizer.clip_state_at": "optimizer.state_gradient_limit",
    "train.blur_cost": "train.blur_penalty",
    "train.write_cost": "train.write_penalty",
    "train.most_skipped": "train.max_skipped_updates",
    # Of the tasks that have the field; another task may have one of the old name.
    "task.zeros": "task.zero_vector_percent",
    "task.joined": "task.concatenated_percent",
    "task.moved": "task.shifted_linefeeds_percent",
    "task.unusual": "task.irregular_weight",
    "task.varied": "task.message_like_percent",
    "task.more": "task.extra_keywords_percent",
}

SECTIONS = {
    "": "The whole run",
    "task": "The task",
    "model": "The model",
    "optimizer": "The optimizer",
    "curriculum": "The curriculum",
    "train": "Training",
    "mesh": "Devices",
    "evaluate": "Evaluation",
    "monitor": "The monitor",
}

_MOST_SEED = 2**31 - 1
_MANY = 10**9

_WHOLE_RUN = {
    "seed": Field(0, "Seed of the first parameters and of the training episodes.", 0, _MOST_SEED),
}

_OPTIMIZER = {
    "optimizer.name": Field(
        "adam",
        "graves_rmsprop, sgd, or any optimizer of optax that takes a learning_rate.",
    ),
    "optimizer.learning_rate": Field(3e-3, "Highest learning rate.", 1e-12, 1e3),
    "optimizer.arguments": Field(
        "", "Keyword arguments of the optimizer, as text: momentum=0.9, nesterov=True."
    ),
    "optimizer.schedule": Field(
        "cosine",
        "Learning-rate schedule. At train.updates, linear and cosine reach 0, exponential 1% of the rate.",
        choices=("constant", "linear", "cosine", "exponential"),
    ),
    "optimizer.warmup": Field(0, "Updates over which the rate rises from 0.", 0, _MANY),
    "optimizer.clip": Field(
        "global_norm",
        "Gradient clipping: by element as in the paper (value), or by the norm of all.",
        choices=("none", "value", "global_norm"),
    ),
    "optimizer.clip_limit": Field(1.0, "Largest element or norm after clipping.", 1e-12, 1e12),
    "optimizer.state_gradient_limit": Field(
        0.0,
        "Limit of each element of the gradient by the state, at every step of a sequence. 0: none.",
        0,
        1e12,
        before=0.0,
    ),
}

_CURRICULUM = {
    "curriculum.name": Field(
        "none",
        "growing: begin at the lowest difficulty and extend to the task's range.",
        choices=("none", "growing"),
    ),
    "curriculum.updates": Field(
        1000, "Updates until growing reaches the task's full range.", 1, _MANY
    ),
    "curriculum.stages": Field(
        [],
        "What changes at which update, in order of start. N is a stage's number, from 0.",
        items=STAGE,
        before=[],
    ),
}

_TRAIN = {
    "train.updates": Field(10_000, "Updates of the whole run.", 1, _MANY, may_change=True),
    "train.batch_size": Field(8, "Sequences in an update, on all devices together.", 1, 65_536),
    "train.blur_penalty": Field(
        0.0,
        "Penalty in nats for each step of a head over many rows. It rises during training.",
        0,
        1e6,
    ),
    "train.write_penalty": Field(
        0.0,
        "Penalty in nats for writing whole rows during the answer. It rises during training.",
        0,
        1e6,
        before=0.0,
    ),
    "train.log_every": Field(
        100, "Updates between lines of metrics.csv.", 1, _MANY, may_change=True
    ),
    "train.checkpoint_every": Field(
        1000, "Updates between checkpoints.", 1, _MANY, may_change=True
    ),
    "train.solved_below": Field(
        0.0, "Loss in bits per sequence at which a run counts as solved.", 0, 1e9, may_change=True
    ),
    "train.on_nonfinite": Field(
        "stop",
        "Whether to stop at an update that is not finite, or to skip it.",
        choices=("stop", "skip"),
        may_change=True,
        before="stop",
    ),
    "train.max_skipped_updates": Field(
        100, "Skipped updates after which a run stops.", 1, _MANY, may_change=True, before=100
    ),
}

_OTHERS = {
    "mesh.data": Field(
        1,
        "Devices that share a batch, in all processes together.",
        1,
        65_536,
        may_change=True,
        before=1,
    ),
    "evaluate.episodes": Field(1000, "Episodes of each test case.", 1, 10**7, may_change=True),
    "evaluate.memory_size": Field(
        0, "Rows of memory. 0: as in training.", 0, 1_000_000, may_change=True
    ),
    "evaluate.seed": Field(2014, "Seed of the test episodes.", 0, _MOST_SEED, may_change=True),
    "evaluate.part": Field(str, "Part of the corpus, for acrostics.", may_change=True, models=()),
    "monitor.port": Field(
        -1,
        "Port of the monitor. -1: no monitor. 0: any free port.",
        -1,
        65_535,
        may_change=True,
        before=-1,
    ),
    "monitor.host": Field(
        "127.0.0.1",
        "Address of the monitor. 127.0.0.1: this machine only. 0.0.0.0: any machine.",
        may_change=True,
        before="127.0.0.1",
    ),
}

FIELDS: dict[str, Field] = {
    **_WHOLE_RUN,
    **TASK,
    **MODEL,
    **_OPTIMIZER,
    **_CURRICULUM,
    **_TRAIN,
    **_OTHERS,
}


def defaults(model: str) -> dict[str, Any]:
    """Returns the fields of config/base.py with their defaults, nested by section.

    Args:
      model: the kind of model, `ntm` or `lstm`.
    """
    values: dict[str, Any] = {section: {} for section in SECTIONS if section}
    for name, field in FIELDS.items():
        if model in field.models and not isinstance(field.default, type):
            section, _, last = name.rpartition(".")
            (values[section] if section else values)[last] = field.default
    return values
