"""The compiler's option: programs have it, the user's own flags stay, and training is the same with it."""

import json
import os
import subprocess
import sys

import pytest

from ntm_jax import compiler
from tests.helpers.configs import FOLDER

OPTION = f"--xla_backend_extra_options={compiler.SMALL_LOOP}={compiler.BYTES}"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, OPTION),
        ("--xla_cpu_enable_fast_math=false", f"--xla_cpu_enable_fast_math=false {OPTION}"),
        ("--xla_backend_extra_options=mine=1", "--xla_backend_extra_options=mine=1"),
    ],
)
def test_the_option_is_added_to_what_is_there(monkeypatch, before, after):
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    if before is not None:
        monkeypatch.setenv("XLA_FLAGS", before)
    compiler.compile_small_loops_whole()
    assert os.environ["XLA_FLAGS"] == after


# Loss of ten updates and the kernels of the compiled loop, by a process with or without the option.
PROGRAM = """
import json, sys
if sys.argv[2] == "with":
    from ntm_jax import compiler
    compiler.compile_small_loops_whole()
import jax, jax.numpy as jnp
from ntm_jax import config
from ntm_jax.training.trainer import Trainer
trainer = Trainer(config.load(sys.argv[1], ["optimizer.learning_rate=1e-3"]))
state = trainer.initial_state()
compiled = jax.jit(trainer._run).lower(state, jnp.int32(1)).compile()
state = compiled(state, jnp.int32(10))
whole = compiled.as_text().count("xla_cpu_small_call")
print(json.dumps([whole, float(state.sums.nats), float(state.sums.gradient_norm)]))
"""


@pytest.mark.slow
def test_training_with_it_is_training_without_it():
    def run(how):
        command = [sys.executable, "-c", PROGRAM, str(FOLDER / "copy.py"), how]
        environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
        output = subprocess.run(command, env=environment, check=True, capture_output=True)
        return json.loads(output.stdout)

    (whole, *numbers), (kernels, *others) = run("with"), run("without")
    assert whole > kernels  # else the option has another name by now
    assert numbers == pytest.approx(others, rel=1e-4)
