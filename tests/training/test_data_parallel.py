"""A batch shared by devices: which is whose, and that one device's loop is what it was. Their sums: `test_processes.py`."""

import re
import subprocess
import sys
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AbstractMesh

from ntm_jax import config as configs
from ntm_jax import tasks
from ntm_jax.errors import UserError
from ntm_jax.training import data_parallel, loop
from ntm_jax.training.data_parallel import DataParallel
from ntm_jax.training.trainer import Trainer
from tests.helpers import programs
from tests.helpers.configs import quick_compile, tiny, tiny_overrides

FOUR = DataParallel(AbstractMesh((4,), (data_parallel.AXIS,)))  # traced, never run


@pytest.fixture(scope="module", autouse=True)
def quick(tmp_path_factory):
    with quick_compile(tmp_path_factory.getbasetemp()):
        yield


@cache
def loop_of(devices, model="ntm-ff"):
    """A trainer, and the jaxpr of its loop as text."""
    scanned = {} if model == "lstm" else {"model__engine": "scan"}
    trainer = Trainer(tiny(model=model, train__batch_size=4, **scanned), devices)
    state = jax.eval_shape(trainer.initial_state)
    return trainer, str(trainer.run.trace(state, np.int32(3)).jaxpr)


def sums_in(jaxpr):
    """The shape of what each sum over devices is of."""
    return re.findall(r":\w+\[([\d,]*)\] = psum\w*\[", jaxpr)


def test_one_device_has_no_trace_of_others():
    _, jaxpr = loop_of(DataParallel())
    assert not re.search("psum|shard_map|axis_index|all_gather", jaxpr)
    # Nor does a config of before, without the field.
    older = tiny()
    del older["mesh"]
    assert data_parallel.build(configs.upgrade(older.to_dict())).mesh is None


@pytest.mark.parametrize("model", ["ntm-ff", "lstm"])
def test_gradient_and_costs_are_summed_in_one_buffer(model):
    trainer, jaxpr = loop_of(FOUR, model=model)
    state = trainer.initial_state()
    numbers = sum(leaf.size for leaf in jax.tree.leaves(state.parameters))
    assert len(jax.tree.leaves(state.parameters)) > 1
    assert sums_in(jaxpr) == [str(numbers + 2)]  # and nats, and wrong bits


def test_every_device_runs_the_fast_path():
    """With derivatives by hand, and taps instead of sums at every step."""
    one, four = (loop_of(devices)[1] for devices in (DataParallel(), FOUR))
    for operation in ("optimization_barrier", "dot_general", " scan[", "while[", " exp ", " log "):
        assert one.count(operation) == four.count(operation) > 0


def test_the_parts_are_the_batch():
    """Sequences of one device after those of another, as one device draws them, random memories too."""
    task, key = tasks.make("copy", min_length=1, max_length=5), jax.random.key(3)

    @jax.jit
    def part_at(start):
        return task.sample(key, 8, part=lambda keys: jax.lax.dynamic_slice_in_dim(keys, start, 2))

    whole = jax.jit(lambda: task.sample(key, 8))()
    parts = [part_at(start) for start in (0, 2, 4, 6)]
    joined = jax.tree.map(lambda *leaves: jnp.concatenate(leaves, axis=1), *parts)
    jax.tree.map(np.testing.assert_array_equal, joined, whole)

    trainer = Trainer(tiny(model__initial_memory="random"))
    model = trainer.model(trainer.initial_state())
    memories = model.initial_state((8,), key).memory
    of_part = model.initial_state((2,), jax.random.split(key, 8)[2:4]).memory
    np.testing.assert_array_equal(memories[2:4], of_part)
    assert not (np.asarray(memories[0]) == memories[1]).any()


def test_old_keys_are_no_keys_of_two_examples():
    trainer = Trainer(tiny(model__initial_memory="random"))
    model = trainer.model(trainer.initial_state())
    memory = model.initial_state((2,), jax.random.PRNGKey(1)).memory
    assert memory.shape == (2, 8, 4)


# ---- What cannot be


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        (["mesh.data=3", "train.batch_size=4"], ["mesh.data: 3", "train.batch_size=4"]),
        (["mesh.data=8", "train.batch_size=4"], ["mesh.data: 8", "train.batch_size=4"]),
        (["mesh.data=0"], ["mesh.data: 0", "must be from 1"]),
        (["mesh.data=two"], ["mesh.data: 'two'", "whole number"]),
    ],
)
def test_numbers_that_cannot_be(overrides, parts):
    with pytest.raises(UserError) as caught:
        configs.load(str(programs.ROOT / "configs" / "copy.py"), [*tiny_overrides(), *overrides])
    assert all(part in str(caught.value) for part in parts)


def test_more_devices_than_there_are(tmp_path):
    with pytest.raises(
        UserError, match=r"2 devices are requested, but only 1 is available; start more proc"
    ):
        loop.train(tiny(mesh__data=2), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_may_change_its_devices():
    assert configs.difference(tiny(mesh__data=1), tiny(mesh__data=2)) is None


# ---- With eight simulated devices, in a process of its own

COMPILED = """
import re, sys
import jax, numpy as np
from jax.sharding import Mesh
from tests.helpers.configs import tiny
from ntm_jax import errors
from ntm_jax.training import data_parallel
from ntm_jax.training.trainer import Trainer
devices = data_parallel.DataParallel(Mesh(np.array(jax.devices()), (data_parallel.AXIS,)))
trainer = Trainer(tiny(train__batch_size=8), devices)
state = devices.place(trainer.initial_state())
text = trainer.run.lower(state, np.int32(3)).compile().as_text()
print(len(re.findall(r"= \\S+ all-reduce(-start)?\\(", text)))
print(len(re.findall(r"all-gather|all-to-all|collective-permute|reduce-scatter", text)))
try:
    data_parallel.build(tiny(train__batch_size=8, mesh__data=8))
except errors.UserError as error:
    print(error)
"""


@pytest.mark.slow
def test_the_compiled_loop_has_one_all_reduce_and_simulated_devices_are_refused(tmp_path):
    """Compiled, not run: such devices may deadlock."""
    done = subprocess.run(
        [sys.executable, "-c", COMPILED],
        cwd=programs.ROOT,
        env=programs.environment(tmp_path.parent)
        | {"XLA_FLAGS": "--xla_force_host_platform_device_count=8"},
        capture_output=True,
        text=True,
        check=True,
    )
    counted, others, refusal = done.stdout.splitlines()
    assert (counted, others) == ("1", "0")
    assert "8 simulated devices in one process" in refusal
    assert "start 8 processes instead" in refusal
