"""What JAX promises nothing about is as this package takes it to be; a new version of JAX fails here first."""

import subprocess
import sys

import jax
import numpy as np
import pytest

from ntm_jax.distributed import jax_compat
from tests.helpers import ROOT, programs

SETTINGS = """
import jax
from ntm_jax.distributed import jax_compat
jax_compat.prepare_for_several_processes()
print(jax.config.jax_cpu_collectives_implementation, jax.config.jax_enable_preemption_service)
"""


def test_the_settings_are_there(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", SETTINGS],
        cwd=ROOT,
        env=programs.environment(tmp_path),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "gloo False\n"


def test_all_gather_of_one_process():
    gathered = jax_compat.all_gather(np.array([3, 4], np.int32))
    assert gathered.tolist() == [[3, 4]]
    assert gathered.dtype == np.int32


def test_broadcast_of_one_process():
    tree = {"a": np.arange(3, dtype=np.int32), "b": (np.float32(0.5),)}
    found = jax_compat.broadcast(tree)
    assert jax.tree.structure(found) == jax.tree.structure(tree)
    jax.tree.map(np.testing.assert_array_equal, found, tree)


@pytest.mark.parametrize(
    ("text", "lost"),
    [
        (
            "FAILED_PRECONDITION: Gloo all-reduce failed: [tcp/pair.cc] Connection closed by peer",
            True,
        ),
        ("INTERNAL: NCCL operation ncclAllReduce failed: remote process exited", True),
        ("UNAVAILABLE: failed to connect to the coordination service", True),
        ("RESOURCE_EXHAUSTED: Out of memory allocating 17 bytes", False),
    ],
)
def test_errors_that_say_that_a_process_is_gone(text, lost):
    assert jax_compat.is_peer_failure(jax.errors.JaxRuntimeError(text)) is lost
