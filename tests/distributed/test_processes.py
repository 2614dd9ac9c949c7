"""Several processes train one run, on loopback: as one would, through stops, and until one of them is gone."""

import signal
import time

import jax
import numpy as np
import pytest

from ntm_jax import main
from ntm_jax.distributed import cluster, collectives
from ntm_jax.errors import UserError
from ntm_jax.training.metrics import read
from tests.helpers import programs
from tests.helpers.configs import quick_compile, tiny
from tests.helpers.runs import saved

UPDATES = 24
RUN = {
    "train__updates": UPDATES,
    "train__batch_size": 4,
    "train__log_every": 2,
    "train__checkpoint_every": 4,
    "optimizer__learning_rate": 3e-4,  # at 0.01, float32's rounding has grown to 1e-5 by the end
    "model__initial_memory": "random",
    "task__max_length": 4,
    "curriculum__name": "growing",
    "curriculum__updates": 10,
}
# Steps so large that in float32 they are not equal.
LARGE = RUN | {"optimizer__learning_rate": 0.01}
# Batches that two cannot share alike, of 3 sequences or of one, and dropout.
UNEVEN = {
    "task": "acrostic",
    "model": "ntm-lstm",
    "model__dropout": 0.25,
    "train__updates": UPDATES,
    "train__batch_size": 2,
    "train__log_every": 2,
    "train__write_penalty": 0.1,
    "optimizer__learning_rate": 0.01,
    "task__concatenated_percent": 0,
    "curriculum__name": "none",
    "curriculum__stages": "[]",
}
# What programs do before they begin.
NO_EVALUATION = """
from ntm_jax.evaluation import report
report.evaluate_and_write = lambda config, workdir, **_: ({"cases": []}, [])
"""
ONE_CASE = """
from ntm_jax.tasks import base, copy
copy.Copy.cases = lambda task: [base.Case("as_trained", {}, task)]
"""
DOUBLE = """
import jax
from ntm_jax import cli
del cli.NUMBERS["jax_enable_x64"]
jax.config.update("jax_enable_x64", True)
from ntm_jax.models import cell, token_model
for module in (cell.NTMCell, token_model.Embedded):
    module.__init__.__kwdefaults__["param_dtype"] = float
"""
SLOWLY = """
import time
from ntm_jax import signals
took = signals.ChunkSize.update
signals.ChunkSize.update = lambda *args: (took(*args), time.sleep(0.3))
signals.FIRST_UPDATES = 1
"""


@pytest.fixture(scope="module", autouse=True)
def quick(tmp_path_factory):
    with quick_compile(tmp_path_factory.getbasetemp()):
        yield


@pytest.fixture(autouse=True)
def none_left():
    """A test that fails leaves processes that wait for each other."""
    yield
    while programs.STARTED:
        programs.STARTED.pop().kill()


def train_alone(base, workdir, first="", run=RUN, **fields):
    process = programs.start(base, workdir, first=NO_EVALUATION + first, **(run | fields))
    assert programs.end(process)[0] == 0


def train_together(base, workdir, count, first="", run=RUN, **fields):
    both = programs.start_together(
        base, workdir, count, first=NO_EVALUATION + first, **(run | fields)
    )
    assert [status for status, _ in programs.end_together(both)] == [0] * count


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """The run as one process trains it."""
    workdir = tmp_path_factory.mktemp("alone") / "run"
    train_alone(tmp_path_factory.getbasetemp(), workdir)
    return workdir


def assert_as_good_as(workdir, straight):
    """The same lines of metrics, the same parameters and optimiser's state, to within rounding."""
    found, expected = (read(folder / "metrics.csv") for folder in (workdir, straight))
    assert [row["update"] for row in found] == [row["update"] for row in expected]
    assert len(found) == UPDATES / 2
    for ours, theirs in zip(found, expected, strict=True):
        for name in ("loss_bits_per_sequence", "bit_errors_per_sequence"):
            assert ours[name] == pytest.approx(theirs[name], rel=1e-6), name
        assert ours["gradient_norm"] == pytest.approx(theirs["gradient_norm"], rel=1e-5)
    (update, ours), (_, theirs) = (saved(folder, tiny(**RUN)) for folder in (workdir, straight))
    assert update == UPDATES
    for a, b in zip(*(jax.tree.leaves(one.parameters) for one in (ours, theirs)), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)
    for a, b in zip(*(jax.tree.leaves(one.optimizer) for one in (ours, theirs)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


# ---- As one process


@pytest.mark.slow
def test_two_then_one_then_four_are_as_one(tmp_path, straight):
    """Each run is resumed from a checkpoint of another number of processes."""
    workdir, base = tmp_path / "run", tmp_path.parent
    train_together(base, workdir, 2, train__updates=10)
    train_alone(base, workdir, train__updates=16)
    train_together(base, workdir, 4)
    assert_as_good_as(workdir, straight)


@pytest.mark.slow
@pytest.mark.parametrize("run", [LARGE, UNEVEN], ids=["large", "uneven"])
def test_in_float64_they_are_equal_but_for_rounding(tmp_path, run):
    train_alone(tmp_path.parent, tmp_path / "one", first=DOUBLE, run=run)
    train_together(tmp_path.parent, tmp_path / "two", 2, first=DOUBLE, run=run)
    one, two = (read(tmp_path / name / "metrics.csv") for name in ("one", "two"))
    assert len(one) == len(two) == UPDATES / 2
    for a, b in zip(one, two, strict=True):
        for name in ("loss_bits_per_sequence", "gradient_norm"):
            assert a[name] == pytest.approx(b[name], rel=1e-12)


@pytest.mark.slow
def test_the_first_process_alone_writes_shows_and_evaluates(tmp_path):
    fields = RUN | {"train__updates": 4}
    both = programs.start_together(tmp_path.parent, tmp_path, 2, first=ONE_CASE, **fields)
    try:
        said = [process.communicate(timeout=300) for process in both]
    finally:
        for process in both:
            process.kill()
    assert [process.returncode for process in both] == [0, 0]
    assert "as_trained" in said[0][0]
    assert "training" in said[0][1]
    assert "as_trained" not in said[1][0]
    assert said[1][1] == ""
    assert (tmp_path / "evaluation.json").exists()
    assert [row["update"] for row in programs.rows(tmp_path)] == ["2", "4"]


# ---- Asked to stop


@pytest.mark.slow
@pytest.mark.parametrize(
    ("asked", "number", "status", "name"),
    [(1, signal.SIGTERM, 143, "SIGTERM"), (0, signal.SIGINT, 130, "Ctrl-C")],
)
def test_when_one_is_asked_to_stop_all_do_at_the_same_update(
    tmp_path, straight, asked, number, status, name
):
    first = NO_EVALUATION + SLOWLY
    both = programs.start_together(tmp_path.parent, tmp_path, 2, first=first, **RUN)
    programs.wait_for(lambda: programs.rows(tmp_path)[1:], seconds=300)
    both[asked].send_signal(number)
    ends = programs.end_together(both, seconds=60)
    assert ends[0] == ends[1]
    done = programs.checkpoints_in(tmp_path)[-1]
    assert 2 < done < UPDATES
    message = f"stopped by {name}; update {done} is saved; the same command resumes from there"
    assert ends[0] == (status, f"ntm_jax: {message}")
    train_together(tmp_path.parent, tmp_path, 2)
    assert_as_good_as(tmp_path, straight)


# ---- One is gone


@pytest.mark.slow
@pytest.mark.parametrize("killed", [0, 1])
def test_when_one_is_killed_the_other_says_so_and_all_go_on_later(tmp_path, straight, killed):
    """The first holds JAX's coordinator, so it is missed otherwise."""
    first = NO_EVALUATION + SLOWLY
    both = programs.start_together(tmp_path.parent, tmp_path, 2, first=first, **RUN)
    programs.wait_for(lambda: programs.checkpoints_in(tmp_path), seconds=300)
    both[killed].kill()
    both[killed].communicate()
    begun = time.monotonic()
    status, line = programs.end(both[1 - killed], seconds=60)
    print(f"{time.monotonic() - begun:.1f} s, {line}")
    assert status == cluster.LOST_STATUS
    # With the reason of a collective that failed, or where to find why JAX ended the process, as either is first.
    assert line.startswith("ntm_jax: another process of this run has ended, or cannot be reached")
    assert "start all of them again to resume from the last checkpoint" in line
    done = programs.rows(tmp_path)
    assert len(done) < UPDATES / 2
    train_together(tmp_path.parent, tmp_path, 2)
    assert_as_good_as(tmp_path, straight)


@pytest.mark.slow
def test_a_process_that_hangs_is_missed_within_a_minute(tmp_path):
    """As one whose machine is gone: its connections stay, and say nothing."""
    first = NO_EVALUATION + SLOWLY
    both = programs.start_together(tmp_path.parent, tmp_path, 2, first=first, **RUN)
    programs.wait_for(lambda: programs.rows(tmp_path), seconds=300)
    both[1].send_signal(signal.SIGSTOP)
    try:
        status, line = programs.end(both[0], seconds=60)
    finally:
        both[1].kill()
        both[1].communicate()
    assert status == cluster.LOST_STATUS
    assert line.startswith("ntm_jax: another process of this run has ended, or cannot be reached")


# ---- Not finite

SPOILED = """
import jax, jax.numpy as jnp
from ntm_jax.training import loop
from ntm_jax.training.trainer import Trainer
class Spoiling(Trainer):
    def device_gradient(self, spec, parameters, moment):
        gradient, costs = super().device_gradient(spec, parameters, moment)
        bad = (moment.update == 7) & (jax.lax.axis_index("data") == 1)
        return jax.tree.map(lambda leaf: jnp.where(bad, jnp.nan, leaf), gradient), costs
train = loop.train
loop.train = lambda *arguments: train(*arguments, trainer_class=Spoiling)
"""


@pytest.mark.slow
def test_what_is_not_finite_in_one_part_stops_all_or_is_skipped_by_all(tmp_path):
    first = NO_EVALUATION + SPOILED
    both = programs.start_together(tmp_path.parent, tmp_path, 2, first=first, **RUN)
    ends = programs.end_together(both)
    assert [status for status, _ in ends] == [2, 2]
    for _, line in ends:
        assert line.startswith("ntm_jax: update 8: the loss or the gradient is not finite (")
    assert "; update 4 is saved and valid" in ends[0][1]
    train_together(tmp_path.parent, tmp_path, 2, first=SPOILED, train__on_nonfinite="skip")
    assert programs.checkpoints_in(tmp_path)[-1] == UPDATES


# ---- What cannot be


@pytest.mark.slow
def test_processes_of_different_configs_are_refused(tmp_path):
    both = programs.start_together(
        tmp_path.parent, tmp_path / "run", 2, each={1: {"seed": 5}}, **RUN
    )
    line = "ntm_jax: the config of process 1 is not that of process 0"
    assert programs.end_together(both) == [(2, line)] * 2
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_what_the_first_cannot_do_all_say(tmp_path):
    (tmp_path / "something").write_text("x")
    both = programs.start_together(tmp_path.parent, tmp_path, 2, **RUN)
    ends = programs.end_together(both)
    assert ends[0] == ends[1]
    assert ends[0][0] == 2
    assert "is not empty and holds no run" in ends[0][1]


@pytest.mark.slow
@pytest.mark.parametrize("count", ["2", "3"])
def test_devices_that_do_not_fit_the_processes(tmp_path, count):
    both = programs.start_together(
        tmp_path.parent, tmp_path / "run", 2, **(RUN | {"mesh__data": 1 if count == "2" else 4})
    )
    ends = programs.end_together(both)
    part = {
        "2": "write --config.mesh.data=2",
        "3": "4 devices are requested, but only 2 are available",
    }[count]
    for status, line in ends:
        assert status == 2
        assert part in line


@pytest.mark.slow
@pytest.mark.parametrize("process", ["0", "1"])
def test_others_that_do_not_come(tmp_path, process):
    """A coordinator that does not answer, or more processes named than are started."""
    flags = ["--coordinator", f"127.0.0.1:{programs.free_port()}", "--processes", "2"]
    flags += ["--process", process, "--join-seconds", "2"]
    alone = programs.start(tmp_path.parent, tmp_path / "run", *flags, mesh__data=2)
    status, line = programs.end(alone, seconds=60)
    assert status == 2
    assert line.startswith(f"ntm_jax: the processes did not all come to {flags[1]} within 2 s")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("process", "number", "status", "name"),
    [("0", signal.SIGINT, 130, "Ctrl-C"), ("1", signal.SIGTERM, 143, "SIGTERM")],
)
def test_a_process_that_waits_for_others_is_asked_to_stop(tmp_path, process, number, status, name):
    flags = ["--coordinator", f"127.0.0.1:{programs.free_port()}", "--processes", "2"]
    first = f"""
import threading, jax
joins = jax.distributed.initialize
def initialize(*arguments, **options):
    threading.Timer(1, lambda: open({str(tmp_path / "waits")!r}, "w").close()).start()
    joins(*arguments, **options)
jax.distributed.initialize = initialize
"""
    alone = programs.start(
        tmp_path.parent, tmp_path / "run", *flags, "--process", process, first=first, mesh__data=2
    )
    programs.wait_for((tmp_path / "waits").exists)
    alone.send_signal(number)
    line = f"ntm_jax: stopped by {name}; the same command resumes from the last checkpoint"
    assert programs.end(alone, seconds=20) == (status, line)


@pytest.mark.slow
@pytest.mark.parametrize("host", ["", "127.0.0.1"])
def test_a_port_that_another_program_has(tmp_path, host):
    """Where that has it at one address, JAX, which wants all, would end by a violation of memory."""
    with programs.listening(host) as port:
        flags = ["--coordinator", f"127.0.0.1:{port}", "--processes", "2", "--process", "0"]
        alone = programs.start(tmp_path.parent, tmp_path / "run", *flags, mesh__data=2)
        status, line = programs.end(alone, seconds=60)
    assert status == 2
    assert line.startswith(f"ntm_jax: --coordinator: 127.0.0.1:{port} cannot be used (")


@pytest.mark.parametrize(
    ("flags", "part"),
    [
        (["--coordinator", "here"], "--coordinator: 'here' is not allowed; it must be HOST:PORT"),
        (["--coordinator", "here:0"], "HOST:PORT"),
        (["--processes", "0"], "--processes: 0 is not allowed"),
        (["--process", "2", "--processes", "2"], "--process: 2 is not allowed; the P processes"),
        (["--process", "-1"], "--process: -1 is not allowed"),
        (["--processes", "2", "--join-seconds", "0"], "--join-seconds: 0"),
        (["--process", "1", "--mode", "evaluate"], "only for --mode train"),
    ],
)
def test_flags_that_cannot_be(monkeypatch, tmp_path, flags, part):
    for name in ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID"):
        monkeypatch.delenv(name, raising=False)
    path = str(programs.ROOT / "configs" / "copy.py")
    with pytest.raises(UserError) as caught:
        main.run(["--config", path, "--workdir", str(tmp_path / "run"), *flags])
    assert part in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_the_environment_says_what_flags_do_not(monkeypatch):
    monkeypatch.setenv("JAX_COORDINATOR_ADDRESS", "one:1")
    monkeypatch.setenv("JAX_NUM_PROCESSES", "4")
    monkeypatch.setenv("JAX_PROCESS_ID", "3")
    options = main.parser().parse_args(["--process", "2"])
    assert main._meeting(options) == cluster.ClusterSpec("one:1", 4, 2, 300)
    monkeypatch.setenv("JAX_NUM_PROCESSES", "four")
    with pytest.raises(UserError, match="JAX_NUM_PROCESSES: 'four'"):
        main._meeting(options)


def test_one_that_was_asked_for_nothing_waits_for_nobody(monkeypatch, tmp_path):
    monkeypatch.setattr(cluster, "join", lambda meeting: pytest.fail("it joins"))
    monkeypatch.setenv("SLURM_JOB_ID", "1")  # where nothing but a launcher's tasks could be meant
    monkeypatch.setenv("SLURM_NTASKS", "8")
    from ntm_jax.training import loop

    monkeypatch.setattr(loop, "train", lambda config, workdir, observers: None)
    assert main._train(main.parser().parse_args([]), tiny(), tmp_path, None)


def test_alone_there_is_nobody_to_agree_with():
    assert collectives.all_gather([3, 4]).tolist() == [[3, 4]]
    assert collectives.broadcast({"a": 1}) == {"a": 1}
    assert collectives.on_first_process(lambda: 5, 6) == 5
    assert collectives.is_first()
    cluster.leave()
