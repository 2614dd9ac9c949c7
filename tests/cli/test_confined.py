"""Nothing that was read is unpickled, and nothing is written outside a run's folder but Matplotlib's cache of fonts."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import programs

SOURCES = sorted(
    [*(programs.ROOT / "ntm_jax").rglob("*.py"), *(programs.ROOT / "configs").glob("*.py")]
)
PICKLERS = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
# Before the program: notes what is written, by this process or what it starts by Python, and what is unpickled.
AUDIT = """
import json, os, sys
noted = []
def note(event, arguments):
    if event == "open":
        path, mode, flags = arguments
        if not isinstance(path, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC):
            noted.append([event, os.path.abspath(os.fsdecode(path))])
    elif event in ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod"):
        paths = [path for path in arguments[:2] if isinstance(path, (str, bytes, os.PathLike))]
        noted.extend([event, os.path.abspath(os.fsdecode(path))] for path in paths)
    elif event == "pickle.find_class":
        noted.append([event, ".".join(map(str, arguments))])
sys.addaudithook(note)
import atexit
atexit.register(lambda: os.write(%d, json.dumps(noted).encode()))
"""
# So that a whole run, evaluation included, takes seconds.
FIRST = """
from ntm_jax import tasks
kind = tasks.TASKS["copy"]
kind.cases = lambda task: [tasks.Case("length_2", {"length": 2}, task.at(min_length=2, max_length=2))]
"""
SHORT = {"train__updates": 6, "train__log_every": 2, "train__checkpoint_every": 2}


def names_of(tree):
    """What a module imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_no_source_unpickles(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    # A sweep and the processes that it starts exchange objects through pipes of their own, never through files.
    allowed = {"pickle"} if path.name == "writers.py" else set()
    assert not (PICKLERS - allowed) & set(names_of(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in (
            "np.load",
            "numpy.load",
            "jnp.load",
        ):
            assert "allow_pickle=False" in [ast.unparse(word) for word in node.keywords]


@pytest.fixture
def aside(monkeypatch, tmp_path):
    """Folders that stand for the user's and for temporary files."""
    folders = {name: tmp_path / name.lower() for name in ("HOME", "TMPDIR", "XDG_CACHE_HOME")}
    for name, folder in folders.items():
        folder.mkdir()
        monkeypatch.setenv(name, str(folder))
    (tmp_path / "work").mkdir()
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path / "work" / "matplotlib"))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    return folders


@pytest.mark.slow
def test_a_run_writes_nothing_outside_its_folder(tmp_path, aside):
    """As far as Python writes; TensorStore's own writing is in the next test."""
    base, workdir = tmp_path.parent, tmp_path / "work" / "run"
    out, into = os.pipe()
    process = programs.start(base, workdir, first=AUDIT % into + FIRST, pass_fds=[into], **SHORT)
    os.close(into)
    with os.fdopen(out) as pipe:
        noted = json.loads(pipe.read() or "[]")
    status, line = programs.end(process)
    assert status == 0, line
    assert (workdir / "evaluation.json").is_file()
    # tensorboardX hands events to a thread of its own through a pipe.
    unpickled = {what for event, what in noted if event == "pickle.find_class"}
    assert unpickled <= {"tensorboardX.proto.event_pb2.Event", "builtins.object"}
    allowed = (workdir, tmp_path / "work" / "matplotlib", base / "compiled", Path("/dev"))
    written = {Path(path) for event, path in noted if event != "pickle.find_class"}
    outside = {path for path in written if not any(path.is_relative_to(a) for a in allowed)}
    assert len(noted) > 20
    assert outside == set()
    for folder in aside.values():
        assert list(folder.rglob("*")) == []


@pytest.mark.slow
def test_a_run_needs_nothing_else_that_can_be_written(tmp_path, aside):
    """All file systems are read-only but for the run's folder and Matplotlib's, for this process alone.

    Not /dev, where semaphores are.
    """
    workdir = tmp_path / "work" / "run"
    code = f"from ntm_jax import main\n{FIRST}\nmain.main()"
    flags = programs.flags(workdir, **SHORT)
    view = (
        'mount --bind "$0" "$0" && mount -o remount,bind,ro / && for at in $(cut -d" " -f2 /proc/mounts); do '
        'case "$at" in "$0"|/proc*|/sys*|/dev*) ;; *) mount -o remount,bind,ro "$at" 2>/dev/null;; esac; done; '
        '! touch "$0/../other" 2>/dev/null && touch "$0" && exec "$@"'
    )
    view = ["unshare", "--mount", "sh", "-c", view, str(workdir.parent)]
    try:
        subprocess.run([*view, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("only root can have a view of its own, and not everywhere")
    environment = programs.environment(tmp_path.parent)
    del environment["JAX_COMPILATION_CACHE_DIR"]
    command = [*view, sys.executable, "-c", code, *flags]
    done = subprocess.run(
        command, cwd=programs.ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (workdir / "evaluation.json").is_file()
    assert "Traceback" not in done.stderr
