"""Configs drawn at random by Hypothesis, small enough to train at once, and how many a test draws.

A test draws the same examples each time. With `NTM_JAX_FUZZ=5000` the slow ones draw so many others.
"""

import json
import os

import hypothesis
from hypothesis import strategies as st

from ntm_jax import config as configs
from ntm_jax.models import cell, controllers, heads, initial_state, linear
from ntm_jax.models.precision import HIGHEST
from ntm_jax.training import optimizers
from tests.helpers import verse

TASKS = {
    "acrostic": (
        *("part", "form", "extra_keywords_percent", "concatenated_percent"),
        *("shortest", "longest", "vocabulary", "corpus"),
    ),
    "associative_recall": ("min_items", "max_items"),
    "copy": ("min_length", "max_length", "zero_vector_percent"),
    "ngram": ("length",),
    "priority_sort": ("items", "kept"),
    "repeat_copy": (
        *("min_length", "max_length", "min_repeats", "max_repeats"),
        *("count", "bits", "zero_vector_percent"),
    ),
}
# Of ours and optax's, those that need nothing but a learning rate, with an argument where one is worth a try.
OPTIMIZERS = {
    "graves_rmsprop": "momentum=0.5",
    "sgd": "momentum=0.0",
    **{"adam": "b1=0.5, nesterov=True", "adamw": "weight_decay=0.1", "rmsprop": "centered=True"},
    **dict.fromkeys(("adabelief", "adadelta", "adagrad", "adamax", "adamaxw", "adan"), ""),
    **dict.fromkeys(("amsgrad", "fromage", "lamb", "lars", "lion", "nadam", "nadamw"), ""),
    **dict.fromkeys(("novograd", "optimistic_adam_v2", "optimistic_gradient_descent"), ""),
    **dict.fromkeys(("radam", "sign_sgd", "signum", "yogi", "adafactor"), ""),
}
MOST = 10**9


def examples(usual: int, *, slow: bool = True) -> hypothesis.settings:
    """Settings for a property: how many examples, and the same ones each time unless others are asked for."""
    asked = os.environ.get("NTM_JAX_FUZZ") if slow else None
    return hypothesis.settings(
        max_examples=int(asked or usual),
        derandomize=asked is None,
        deadline=None,
        database=None,
        print_blob=True,
        suppress_health_check=list(hypothesis.HealthCheck),
    )


def floats(least, most):
    return st.floats(least, most, allow_subnormal=False)


def magnitudes(least, most):
    """Floats whose order of magnitude is uniform, as powers of ten."""
    return floats(least, most).map(lambda power: 10.0**power)


@st.composite
def task_fields(draw, task):
    """A task's difficulty, with episodes of few steps."""
    whole = st.integers

    def ordered(what, least, most):
        low = draw(whole(least, most))
        return {f"min_{what}": low, f"max_{what}": draw(whole(low, most))}

    match task:
        case "acrostic":  # of the tests' poems, the least have 8 symbols
            return {
                "part": draw(st.sampled_from(["train", "validation", "test"])),
                "form": draw(st.sampled_from(["", "3x2"])),
                "extra_keywords_percent": draw(whole(0, 100)),
                "concatenated_percent": draw(whole(0, 100)),
                "irregular_weight": draw(whole(1, 3) | whole(1, 100)),
                "shifted_linefeeds_percent": draw(whole(0, 100)),
                "message_like_percent": draw(whole(0, 100)),
                "shortest": draw(whole(1, 8)),
                "longest": draw(st.sampled_from([8, 12, 256])),
                "vocabulary": draw(whole(verse.VOCABULARY, 30)),
                "corpus": verse.corpus_path(),
            }
        case "associative_recall":
            return ordered("items", 2, 3)
        case "copy":
            return ordered("length", 1, 3) | {"zero_vector_percent": draw(whole(0, 100))}
        case "ngram":
            return {"length": draw(whole(6, 12))}
        case "priority_sort":
            items = draw(whole(1, 4))
            return {"items": items, "kept": draw(whole(1, items))}
        case "repeat_copy":
            fields = ordered("length", 1, 2) | ordered("repeats", 1, 3)
            count = draw(st.sampled_from(["scalar", "binary", "linear"]))
            return fields | {
                "count": count,
                "bits": draw(whole(1, 3)),
                "zero_vector_percent": draw(whole(0, 100)),
            }
    raise AssertionError(task)


@st.composite
def ntm_fields(draw, model):
    """Every choice of the cell."""
    name = lambda table: draw(st.sampled_from(sorted(table)))  # noqa: E731
    reads = draw(st.integers(1, 2))
    shared = draw(st.booleans())
    memory_size = draw(st.sampled_from([1, 2, 5]))  # few shapes, for each is compiled
    memory = name(initial_state.MEMORIES)
    weightings = initial_state.WEIGHTINGS
    if memory in ("constant", "learned_row"):  # rows that stay alike are refused
        weightings = weightings - {"uniform"}
    biases = ("gate_bias", "no_shift_bias", "sharpening_bias")
    return {
        "controller_layers": 1 if model == "ntm-ff" else draw(st.integers(1, 2)),
        "activation": name(controllers.ACTIVATIONS),
        "memory_size": memory_size,
        "word_size": draw(st.sampled_from([1, 3])),
        "read_heads": reads,
        "write_heads": reads if shared else draw(st.integers(1, 2)),
        "shared_weighting": shared,
        "shift_range": draw(st.integers(0, (memory_size - 1) // 2)),
        "key_activation": name(heads.KEYS),
        "strength_activation": name(heads.STRENGTHS),
        "shift_activation": name(heads.SHIFTS),
        "add_activation": name(heads.ADDS),
        "reads_from": name(cell.READS_FROM),
        "output_reads": draw(st.booleans()),
        "engine": draw(st.sampled_from(("auto", "scan"))),  # an interpreted kernel is slow
        "initial_memory": memory,
        "initial_weighting": name(weightings),
        "initial_reads": name(initial_state.READS),
        **{bias: draw(floats(-100, 100)) for bias in biases},
    }


@st.composite
def other_fields(draw):
    """All that is neither the task nor the model."""
    whole, choose = st.integers, st.sampled_from
    optimizer = draw(choose(sorted(OPTIMIZERS)))
    return {
        "seed": draw(whole(0, 2**31 - 1)),
        "optimizer.name": optimizer,
        "optimizer.arguments": draw(choose(["", OPTIMIZERS[optimizer]])),
        "optimizer.learning_rate": draw(magnitudes(-12, 0)),
        "optimizer.schedule": draw(choose(optimizers.SCHEDULES)),
        "optimizer.warmup": draw(whole(0, 3) | whole(0, MOST)),
        "optimizer.clip": draw(choose(sorted(optimizers.CLIPPINGS))),
        "optimizer.clip_limit": draw(magnitudes(-11.9, 11.9)),
        "optimizer.state_gradient_limit": draw(st.just(0.0) | magnitudes(-11.9, 11.9)),
        "curriculum.name": draw(choose(configs.FIELDS["curriculum.name"].choices)),
        "curriculum.updates": draw(whole(1, 3) | whole(1, MOST)),
        "train.updates": 2,
        "train.batch_size": draw(whole(1, 3)),
        "train.blur_penalty": draw(st.just(0.0) | floats(0, 1e6)),
        "train.write_penalty": draw(st.just(0.0) | floats(0, 1e6)),
        "train.log_every": draw(whole(1, 3)),
        "train.checkpoint_every": draw(whole(1, 3) | whole(1, MOST)),
        "train.solved_below": draw(floats(0, 1e9)),
        "train.on_nonfinite": "stop",  # or what is wanted here would be skipped
        "train.max_skipped_updates": draw(whole(1, MOST)),
        "evaluate.episodes": draw(whole(1, 10**7)),
        "evaluate.memory_size": 0,
        "evaluate.seed": draw(whole(0, 2**31 - 1)),
        "mesh.data": 1,
        "monitor.port": -1,
        "monitor.host": draw(st.text(max_size=10)),
    }


@st.composite
def stages(draw, rows_per_step):
    """Up to three stages, some of which training never comes to."""
    starts = st.integers(0, 3) | st.integers(0, MOST)
    found = []
    for start in sorted(draw(st.sets(starts, max_size=3))):
        stage = {
            "memory_rows_per_step": draw(rows_per_step),
            "restart_schedule": draw(st.booleans()),
        }
        found.append({"start": start, **stage})
    return found


@st.composite
def valid(draw):
    """A task's name, a model's, and a value for every field of their config."""
    task = draw(st.sampled_from(sorted(TASKS)))
    model = draw(st.sampled_from(["ntm-ff", "ntm-lstm", "lstm"]))
    fields = {f"task.{name}": value for name, value in draw(task_fields(task)).items()}
    fields["model.controller_size"] = draw(st.sampled_from([1, 4]))
    fields["model.compute"] = draw(st.sampled_from(sorted(linear.COMPUTE)))
    fields["model.precision"] = draw(st.sampled_from((HIGHEST, HIGHEST, "default")))
    if model == "lstm":
        fields["model.controller_layers"] = draw(st.integers(1, 2))
    else:
        fields |= {f"model.{name}": value for name, value in draw(ntm_fields(model)).items()}
    # Without a memory, or with something learned for each of its rows, there are no fewer.
    learned = {fields.get(f"model.initial_{part}", "learned") for part in ("memory", "weighting")}
    fewer = st.just(0.0) if "learned" in learned else st.just(0.0) | floats(0, 100)
    fields |= draw(other_fields()) | {"curriculum.stages": json.dumps(draw(stages(fewer)))}
    if task == "acrostic":
        fields["model.embedding_size"] = draw(st.sampled_from([1, 4]))
        fields["model.dropout"] = draw(floats(0, 0.99))
        fields["evaluate.part"] = draw(st.sampled_from(["validation", "test"]))
    return task, model, fields


def overrides(fields):
    """As on a command line, without `--config.`."""
    return [f"{field}={value}" for field, value in fields.items()]
