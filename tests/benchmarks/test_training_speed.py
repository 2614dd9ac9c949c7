"""The benchmark counts and measures what it says."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import gradient_scaling, sweep_throughput, training_speed
from ntm_jax import config as configs
from ntm_jax.training.trainer import Trainer, loss_fn
from tests.helpers.configs import FOLDER

SWEEP = {"seeds": 2, "alone": 100.0, "together": 190.0, "times_one": [1.8, 1.9, 2.0]}
TINY = ["model.memory_size=8", "model.word_size=4", "model.controller_size=5"]


def test_operations_counted_by_hand():
    config = configs.load(str(FOLDER / "copy.py"), TINY)
    controller = 5 * (9 + 4)
    heads = 5 * (2 * (4 + 1 + 1 + 3 + 1) + 2 * 4)  # two addressings, erase and add
    output = (5 + 4) * 8
    memory = 8 * 4 * 7  # key and read or write of two heads, erase, add, norms
    expected = 6 * (controller + heads + output + memory)
    assert training_speed.flops_per_step(config, 9, 8) == expected


def test_the_plain_path_trains_the_same_model(tmp_path):
    """On one batch, its gradient is that of the trainer's own loss."""
    config = configs.load(
        str(FOLDER / "copy.py"), [*TINY, "task.max_length=2", "optimizer.name=sgd"]
    )
    config.optimizer.update({"clip": "none", "arguments": "momentum=0.0", "schedule": "constant"})
    trainer = Trainer(config)
    state = trainer.initial_state()
    (spec,), moment = trainer.stages.specs, trainer.stages.at(state.update)
    moment = moment._replace(batch_key=jax.random.fold_in(jax.random.key(0), 0))

    @jax.jit
    def gradient_of(parameters):
        loss = trainer.structure, trainer.draw(spec, moment), jnp.zeros(()), trainer.options
        return jax.grad(loss_fn, has_aux=True)(parameters, *loss)[0]

    gradient = gradient_of(state.parameters)
    after = training_speed.plain_update(trainer)(state).parameters
    rate = config.optimizer.learning_rate
    for old, new, d in zip(*map(jax.tree.leaves, (state.parameters, after, gradient)), strict=True):
        np.testing.assert_allclose(old - new, rate * d, rtol=1e-3, atol=1e-6)


def test_seeds_side_by_side_are_added_up(monkeypatch):
    """Each of them does 30 updates in 4 s between its first line and its last; alone, one does them in 3 s."""

    def sweep(config, overrides, seeds, jobs, workdir):
        assert "train.updates=40" in overrides
        assert jobs == len(seeds)
        for seed in seeds:
            folder = workdir / f"seed_{seed}"
            folder.mkdir(parents=True)
            rows = ["update,seconds", "10,9.0", "20,11.0", f"40,{12 if jobs == 1 else 13}.0"]
            (folder / "metrics.csv").write_text("\n".join([*rows, ""]))

    monkeypatch.setattr(sweep_throughput.sweep, "sweep", sweep)
    monkeypatch.setattr(sweep_throughput.os, "cpu_count", lambda: 2)
    result = sweep_throughput.measure(rounds=3, updates=40)
    assert result == {"seeds": 2, "alone": 10.0, "together": 15.0, "times_one": [1.5] * 3}


@pytest.mark.slow
def test_a_short_benchmark(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(training_speed, "BATCHES", (1,))
    monkeypatch.setattr(sweep_throughput, "measure", lambda rounds: SWEEP)
    monkeypatch.setattr(gradient_scaling, "AXES", {"steps": (20, 40), "heads": (1, 2)})
    out = tmp_path / "benchmark.json"
    arguments = ["--only", "copy ntm-ff", "--rounds", "1", "--seconds", "0.1", "--out", str(out)]
    with jax.numpy_dtype_promotion("standard"):  # which optax counts on
        training_speed.run(arguments)
    printed = capsys.readouterr().out
    assert "copy ntm-ff" in printed
    assert "1.90 times as many (1.80 - 2.00)" in printed
    points = json.loads(out.read_text())["growth"]
    assert [(point["axis"], point["size"]) for point in points] == [
        *(("steps", 20), ("steps", 40)),
        *(("heads", 1), ("heads", 2)),
    ]
    assert points[1]["plain_bytes"] > 1.5 * points[0]["plain_bytes"]  # a step's residuals are kept
    assert out.with_suffix(".png").stat().st_size > 10_000
    assert jnp.isfinite(training_speed.matrix_product_gflops())
