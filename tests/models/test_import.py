"""`import ntm_jax` in a process of its own: what it loads, what it leaves alone, how long it takes."""

import json
import subprocess
import sys
import time

import pytest

import ntm_jax
from tests.helpers import ROOT

# Used by parts of the package that a user of the cell does not need.
HEAVY = (
    *("matplotlib", "ml_collections", "opencc", "orbax", "plotly", "safetensors", "starlette"),
    *("tensorboardX", "tensorstore", "tqdm", "uvicorn"),
)
LOADED = "import json, sys; print(json.dumps(sorted(sys.modules)))"
SETTINGS = """
import json, logging, os, signal, sys, threading, warnings
import flax.nnx, jax

def settings():
    loggers = ["", "absl", "asyncio", "jax", "orbax", "matplotlib"]
    return {
        "loggers": [(name, logging.getLogger(name).level, len(logging.getLogger(name).handlers),
                     len(logging.getLogger(name).filters), logging.getLogger(name).disabled)
                    for name in loggers],
        "warnings": list(map(repr, warnings.filters)),
        "environment": dict(os.environ),
        "hooks": [repr(sys.excepthook), repr(threading.excepthook), repr(sys.unraisablehook)],
        "signals": [repr(signal.getsignal(number)) for number in signal.valid_signals()],
        "jax": {name: repr(value) for name, value in jax.config.values.items()},
    }

before = settings()
import ntm_jax
print(json.dumps([before, settings()]))
"""


def python(*lines):
    """What a new process prints that runs these lines."""
    command = [sys.executable, "-c", "\n".join(lines)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_it_loads_jax_flax_and_the_models_alone():
    needs = set(json.loads(python("import flax.nnx", LOADED)))
    loaded = set(json.loads(python("import ntm_jax", LOADED)))
    roots = {name.partition(".")[0] for name in loaded}
    assert not roots & set(HEAVY)
    others = {name for name in loaded - needs if name.partition(".")[0] != "ntm_jax"}
    assert not others
    ours = {name for name in loaded if name.startswith("ntm_jax.")}
    assert ours <= {"ntm_jax.errors", "ntm_jax.models"} | {
        name for name in ours if name.startswith("ntm_jax.models.")
    }


def test_the_models_do_not_import_optax():
    """Flax itself does; nothing in the models' own code."""
    for path in (ROOT / "ntm_jax" / "models").glob("*.py"):
        assert "optax" not in path.read_text(encoding="utf-8"), path


def test_it_changes_no_setting_of_the_process():
    before, after = json.loads(python(SETTINGS))
    assert before == after


def test_what_is_imported_at_its_first_use():
    printed = python(
        "import ntm_jax",
        "assert not {'load', 'tasks', 'go_weights'} & vars(ntm_jax).keys()",
        "assert set(ntm_jax.__all__) <= set(dir(ntm_jax))",
        "from ntm_jax import go_weights",
        "print(go_weights.__name__, ntm_jax.load.__module__, ntm_jax.tasks.__name__)",
    )
    assert printed.split() == ["ntm_jax.storage.fumin", "ntm_jax.storage.restore", "ntm_jax.tasks"]


def test_a_star_gives_all_public_names():
    names = {}
    exec("from ntm_jax import *", names)
    assert set(ntm_jax.__all__) == names.keys() - {"__builtins__"}


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match="module 'ntm_jax' has no attribute 'nonsense'"):
        ntm_jax.nonsense  # noqa: B018


@pytest.mark.slow
def test_it_takes_little_longer_than_flax():
    """At most 0.3 s, the best of 5 each, in turn."""

    def seconds(module):
        start = time.perf_counter()
        python(f"import {module}")
        return time.perf_counter() - start

    pairs = [(seconds("flax.nnx"), seconds("ntm_jax")) for _ in range(5)]
    flax, ours = (min(times) for times in zip(*pairs, strict=True))
    assert ours - flax < 0.3
