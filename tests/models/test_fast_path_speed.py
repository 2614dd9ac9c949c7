"""The fast path's speed: a new XLA may compile its forms badly without any number changing."""

import json
import subprocess
import sys

import pytest

from tests.helpers import ROOT

LEAST = 2.0  # times as fast as the plain path; it is 3 to 4 times on an idle machine


@pytest.mark.slow
@pytest.mark.alone
def test_training_is_at_least_twice_as_fast_as_flax_nnx_rnn():
    """Copy by the feed-forward controller, one sequence at a time."""
    command = [sys.executable, "-m", "tests.helpers.fast_path_speed"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    fast, plain = json.loads(printed)
    print(f"{fast:.3f} s, plain {plain:.3f} s")
    assert plain / fast >= LEAST
