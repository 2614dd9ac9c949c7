"""Killed with `kill -9` at random moments, a run ends as if it had not been: bit for bit, no line lost or doubled.

`NTM_JAX_KILLS=100 pytest -m slow tests/storage/test_killed.py` kills more often than the usual 20 times.
"""

import itertools
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from tests.helpers import programs
from tests.helpers.configs import quick_compile, tiny, tiny_overrides
from tests.helpers.runs import assert_same, saved

TIMES = int(os.environ.get("NTM_JAX_KILLS", "20"))
UPDATES = 252  # enough for 20 kills
# A process that has imported all, which takes longest, but begun nothing; for each line with two numbers of updates
# it starts one that trains with chunks that begin at so many and logs that often, and tells its number, and how it
# ended.
NURSERY = """
import os, signal, sys
from pathlib import Path
import orbax.checkpoint
from ntm_jax import config, signals
from ntm_jax.training import loop
workdir, path, *overrides = sys.argv[1:]
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        chunk, log_every = line.split()
        signals.FIRST_UPDATES = int(chunk)
        loop.train(config.load(path, [*overrides, f"train.log_every={log_every}"]), Path(workdir))
        os._exit(0)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture(scope="module", autouse=True)
def quick(tmp_path_factory):
    with quick_compile(tmp_path_factory.getbasetemp()):
        yield


class Nursery:
    """Starts the run's sessions, one at a time."""

    def __init__(self, process):
        self._process = process

    def start(self, chunk, log_every=2):
        """A session's process."""
        self._process.stdin.write(f"{chunk} {log_every}\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def end(self):
        """How it ended."""
        return int(self._process.stdout.readline())


def fields(updates):
    often = {"train__log_every": 2, "train__checkpoint_every": 3}
    return programs.USUAL | often | {"train__updates": updates}


@contextmanager
def nursery(base, workdir, updates=UPDATES):
    overrides = tiny_overrides(**fields(updates))
    path = str(programs.ROOT / "configs" / "copy.py")
    with subprocess.Popen(
        [sys.executable, "-c", NURSERY, str(workdir), path, *overrides],
        env=programs.environment(base),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        yield Nursery(process)
        process.stdin.close()


def kill_sometime(sessions, workdir, chance):
    """Starts the run and kills it, mostly soon after some lines; gives whether it was writing a checkpoint."""
    before = programs.rows(workdir)
    process = sessions.start(chance.choice([1, 2, 16]))
    if chance.random() < 0.8:
        wanted = len(before) + chance.randint(1, 6)  # a hundred times, before the run is over
        programs.wait_for(lambda: len(programs.rows(workdir)) >= wanted)
        time.sleep(chance.uniform(0, 0.1))
    else:
        time.sleep(chance.uniform(0, 2.5))  # while it starts, too
    subprocess.run(["kill", "-9", str(process)], check=True)
    assert sessions.end() == -signal.SIGKILL
    return (workdir / "checkpoints" / "partial").exists()


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_ends_as_if_it_had_not_been(tmp_path):
    base, chance = tmp_path.parent, random.Random(2014)
    straight, workdir = tmp_path / "straight", tmp_path / "killed"
    updates = UPDATES * max(1, TIMES // 20)
    with nursery(base, straight, updates) as sessions:
        sessions.start(16)
        assert sessions.end() == 0
    writing, got_to = 0, []
    with nursery(base, workdir, updates) as sessions:
        for _ in range(TIMES):
            writing += kill_sometime(sessions, workdir, chance)
            got_to.append(max(programs.checkpoints_in(workdir), default=0))
        sessions.start(3)
        assert sessions.end() == 0

    print(f"killed {TIMES} times, {writing} while a checkpoint was written; got to {got_to}")
    assert programs.rows(workdir) == programs.rows(straight)
    assert len(programs.rows(workdir)) == updates // 2
    expected, found = (saved(folder, tiny(**fields(updates))) for folder in (straight, workdir))
    assert expected[0] == found[0] == updates
    assert_same(found[1], expected[1])
    names = [path.name for path in (workdir / "checkpoints").iterdir()]
    last = [str(updates - 6), str(updates - 3), str(updates)]
    assert sorted(names) == sorted(last)  # nothing half written is left
    assert writing >= 2
    assert len(set(got_to)) > TIMES / 2
    assert got_to == sorted(got_to)


@pytest.mark.slow
def test_sessions_may_log_more_or_less_often_and_look_for_signals_too(tmp_path):
    """The state after it is the same, bit for bit; so are lines over the same updates."""
    base, straight, workdir = tmp_path.parent, tmp_path / "straight", tmp_path / "run"
    with nursery(base, straight) as sessions:
        sessions.start(16)
        assert sessions.end() == 0
    chance, got_to = random.Random(7), 0
    with nursery(base, workdir) as sessions:
        for log_every in (3, 1000):
            process = sessions.start(chance.choice([1, 5, 16]), log_every)
            wanted = got_to + 60
            programs.wait_for(
                lambda wanted=wanted: programs.checkpoints_in(workdir)[-1:] >= [wanted]
            )
            subprocess.run(["kill", "-9", str(process)], check=True)
            assert sessions.end() == -signal.SIGKILL
            got_to = programs.checkpoints_in(workdir)[-1]
        sessions.start(3, 2)
        assert sessions.end() == 0
    expected, found = (saved(folder, tiny(**fields(UPDATES))) for folder in (straight, workdir))
    assert found[0] == UPDATES
    assert_same(found[1].parameters, expected[1].parameters)
    assert_same(found[1].optimizer, expected[1].optimizer)
    whole = {row["update"]: row for row in programs.rows(straight)}
    lines = programs.rows(workdir)
    updates = [int(row["update"]) for row in lines]
    assert updates == sorted(set(updates))
    assert updates[-1] == UPDATES
    pairs = [(before, now) for before, now in itertools.pairwise(updates) if now == before + 2]
    alike = [now for _, now in pairs if now % 2 == 0]
    assert len(alike) > 20
    for row in lines:
        if int(row["update"]) in alike:
            assert row == whole[row["update"]]
