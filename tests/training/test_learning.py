"""Learning for real: the copy task as the README has it, and every other task made easier.

Chance is one bit for each bit that is scored.
"""

import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest

from ntm_jax import config as configs
from ntm_jax import tasks
from ntm_jax.evaluation import report
from ntm_jax.training import loop, metrics
from ntm_jax.training.trainer import Trainer
from tests.helpers.configs import FOLDER
from tests.helpers.runs import StopAt, Stopped

pytestmark = pytest.mark.slow

SMALLER = {"controller_size": 64, "memory_size": 16, "word_size": 12}
ONE_HEAD = {"read_heads": 1, "write_heads": 1}
# Fast on what is easy.
ADAM = {"name": "adam", "learning_rate": 3e-3, "clip": "global_norm", "clip_limit": 1.0}
# Task -> its difficulty, other fields, and the share of chance that a model is to get below.
EASIER = {
    "repeat_copy": (
        {"max_length": 3, "max_repeats": 3},
        {"model": SMALLER, "train": {"updates": 3000, "batch_size": 16}},
        0.6,
    ),
    "associative_recall": (
        {"min_items": 2, "max_items": 2},
        {
            "model": SMALLER | ONE_HEAD,
            "optimizer": ADAM | {"state_gradient_limit": 1.0},
            "train": {"updates": 1500, "batch_size": 16},
        },
        0.6,
    ),
    "ngram": (
        {"length": 40, "context": 1},  # where the best possible is 0.62 of chance
        {"model": SMALLER, "train": {"updates": 1000, "batch_size": 16}},
        0.75,
    ),
    "priority_sort": (
        {"items": 4, "kept": 3},
        {
            "model": SMALLER | ONE_HEAD,
            "optimizer": ADAM,
            "train": {"updates": 2000, "batch_size": 16},
        },
        0.7,
    ),
}


@pytest.fixture(autouse=True)
def promotion():
    """Optax multiplies integers with floats."""
    with jax.numpy_dtype_promotion("standard"):
        yield


def chance_bits(task):
    """What a model costs that says 1/2 everywhere: the scored bits of an episode, on average."""
    batch = task.sample(jax.random.key(0), 1000)
    return float(jnp.mean(jnp.sum(batch.mask, axis=0))) * task.output_size


@pytest.mark.parametrize(("model", "longest"), [("ntm-ff", 30), ("ntm-lstm", 120)])
def test_copy_is_learned_and_goes_beyond_its_range(tmp_path, model, longest):
    """By the program, whose compiler's options a test's process does not have."""
    command = [sys.executable, "-m", "ntm_jax.main", "--config", f"{FOLDER / 'copy.py'}:{model}"]
    command += ["--workdir", str(tmp_path), "--config.evaluate.episodes=100"]
    subprocess.run(command, check=True, cwd=FOLDER.parent)
    result = json.loads((tmp_path / "evaluation.json").read_text())
    print(report.table(configs.load_run(tmp_path), result))
    cases = {case["name"]: case for case in result["cases"]}
    assert cases["length_20"]["bits_per_sequence"] < 0.05
    wrong = {name: case["bit_errors_per_sequence"] for name, case in cases.items()}
    beyond = {name for name, case in cases.items() if case["difficulty"]["length"] > longest}
    assert {name for name, errors in wrong.items() if errors > 0} <= beyond


@pytest.mark.parametrize(
    ("name", "model"),
    [*((name, "ntm-ff") for name in EASIER), *((name, "ntm-lstm") for name in list(EASIER)[:2])],
)
def test_a_task_is_learned_with_a_stop_between(monkeypatch, tmp_path, name, model):
    difficulty, fields, share = EASIER[name]
    config = configs.load(f"{FOLDER / name}.py:{model}", ["evaluate.episodes=100"])
    config.task.update(difficulty)
    config.update(fields)
    config.train.update({"log_every": 50, "checkpoint_every": 250})
    monkeypatch.setattr(
        tasks.TASKS[name], "cases", lambda task: [tasks.Case("as_trained", {}, task)]
    )

    with pytest.raises(Stopped):
        loop.train(config, tmp_path, [StopAt(300)])
    state = loop.train(config, tmp_path)
    assert int(state.update) == config.train.updates
    assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(state.parameters))

    lines = metrics.read(tmp_path / "metrics.csv")
    assert [line["update"] for line in lines] == [*range(50, config.train.updates + 1, 50)]
    chance = chance_bits(Trainer(config).task)
    assert 0.5 * chance < lines[0]["loss_bits_per_sequence"] < 1.2 * chance

    (case,) = report.evaluate_run(config, tmp_path)["cases"]
    print(f"{name} {model}: {case['bits_per_sequence']:.2f} of {chance:.1f} bits; {case}")
    assert case["bits_per_sequence"] < share * chance
    assert json.loads((tmp_path / "evaluation.json").read_text())["cases"] == [case]
    for figure in ("as_trained", "learning_curve"):
        assert (tmp_path / "figures" / f"{figure}.png").stat().st_size > 10_000
