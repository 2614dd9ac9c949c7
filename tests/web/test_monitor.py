"""The monitor: what it serves while a real run trains, and that the run is none the worse for it."""

import concurrent.futures
import csv
import io
import itertools
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
from tensorboardX.proto.event_pb2 import Event

from ntm_jax.errors import UserError
from ntm_jax.storage import weights
from ntm_jax.training import loop
from ntm_jax.training.trainer import Trainer
from ntm_jax.web.monitor import run_monitor
from ntm_jax.web.monitor import server as monitor_server
from ntm_jax.web.monitor import worker as monitor_worker
from ntm_jax.web.monitor.process import Tail
from ntm_jax.web.monitor.worker import Worker, latest_episodes, text
from tests.helpers.browser import get, get_json, printed_address, program, viewer, wait_for
from tests.helpers.configs import quick_compile, tiny
from tests.helpers.runs import ENDLESS, flags

pytestmark = [pytest.mark.slow, pytest.mark.alone]


@pytest.fixture(scope="module", autouse=True)
def quick(tmp_path_factory):
    with quick_compile(tmp_path_factory.getbasetemp()):
        yield


def numbers(workdir):
    """metrics.csv without what the clock says."""
    with (workdir / "metrics.csv").open() as file:
        return [{n: v for n, v in row.items() if n != "seconds"} for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run that was watched by everybody, and what they saw; and its like, alone."""
    base = tmp_path_factory.mktemp("monitor")
    seen = {}
    with program(*flags(base / "watched")) as process:
        address = printed_address(process)
        seen["early"] = wait_for(
            lambda: get(address, "/Weights")[0] == 200 and get(address, "/Weights")
        )
        seen["first"] = wait_for(lambda: (p := get_json(address, "/api/progress"))["rows"] and p)
        seen["crowd"] = crowd(address)
        wait_for(lambda: get_json(address, "/api/progress")["evaluation"])
        seen["print"] = [get(address, "/PrintDebug")[2] for _ in range(3)]  # on, off, on
        evaluated = len(get_json(address, "/api/progress")["evaluation"])
        # The first may have been under way; the second is over when a third is there.
        wait_for(lambda: len(get_json(address, "/api/progress")["evaluation"]) > evaluated + 1)
        seen["progress"] = get_json(address, "/api/progress")
        seen["after"] = get_json(address, "/api/progress?after=1000")
        seen["losses"] = get_json(address, "/Loss")
        seen["weights"] = get(address, "/Weights")
        seen["episode"] = get_json(address, "/api/episode")
        seen["foreign"] = get(address, "/", Host="example.com")
        seen["bad"] = get(address, "/api/progress?after=soon")
        seen["cross"] = get(address, "/PrintDebug", Sec_Fetch_Site="cross-site")
        process.send_signal(signal.SIGINT)
        seen["out"], err = process.communicate(timeout=300)
        assert process.returncode == 130, err
    done = int(numbers(base / "watched")[-1]["update"])
    with program(*flags(base / "alone", port=-1, train__updates=done)) as process:
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        assert "monitor: " not in out
    return base, seen


def crowd(address):
    """200 clients at once; every fourth goes away before it has an answer."""
    port = int(address.rsplit(":", 1)[1].strip("/"))

    def visit(number):
        if number % 4 == 0:
            with socket.create_connection(("127.0.0.1", port)) as connection:
                connection.sendall(b"GET /plotly.min.js HTTP/1.1\r\nHost: localhost\r\n\r\n")
            return None
        return get(address, ("/api/progress", "/Loss", "/Weights")[number % 3])[0]

    with concurrent.futures.ThreadPoolExecutor(200) as pool:
        return [status for status in pool.map(visit, range(200)) if status]


def test_a_crowd_is_answered(trained):
    assert trained[1]["crowd"] == [200] * 150


def test_training_and_its_numbers_are_untouched(trained):
    base, _ = trained
    watched, alone = numbers(base / "watched"), numbers(base / "alone")
    assert len(watched) > 10
    assert watched == alone


def test_the_progress(trained):
    base, seen = trained
    progress = seen["progress"]
    rows = {float(row["update"]): row for row in numbers(base / "watched")}
    assert (progress["task"], progress["model"], progress["updates"]) == ("copy", "ntm-ff", ENDLESS)
    for row in progress["rows"]:
        for name in ("loss_bits_per_sequence", "gradient_norm", "learning_rate"):
            assert row[name] == float(rows[row["update"]][name])
    assert progress["sequences_per_second"] > 0
    assert progress["seconds_left"] > 0
    assert {row["update"] for row in progress["evaluation"]} <= {0.0, *rows}
    assert all(row["bits_per_sequence"] > 0 for row in progress["evaluation"])
    assert all(row["update"] > 1000 for row in seen["after"]["rows"])
    assert seen["after"]["session"] == progress["session"]


def test_the_losses_are_a_json_list(trained):
    base, seen = trained
    written = [float(row["loss_bits_per_sequence"]) for row in numbers(base / "watched")]
    assert seen["losses"] == written[: len(seen["losses"])] != []


def test_weights_are_there_from_the_start_and_are_the_runs(trained, tmp_path):
    _, seen = trained
    first, later = (weights_of(seen[name][2], tmp_path) for name in ("early", "weights"))
    assert first.update <= later.update
    assert later.update % 100 == 0 < later.update
    trainer = Trainer(first.config)
    state = trainer.run(trainer.initial_state(), jnp.int32(first.update))
    for one, other in zip(*map(jax.tree.leaves, (first.parameters, state.parameters)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)  # compiled otherwise here
    moved = zip(*map(jax.tree.leaves, (first.parameters, later.parameters)), strict=True)
    assert all((np.asarray(one) != np.asarray(other)).any() for one, other in moved)


def weights_of(content, folder):
    path = folder / "weights"
    path.write_bytes(content)
    return weights.load(path)


def test_evaluate_and_serve_take_the_weights(trained, tmp_path):
    path = tmp_path / "weights"
    path.write_bytes(trained[1]["weights"][2])
    with program("--mode", "evaluate", "--weights", path, cwd=tmp_path) as process:
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        assert "length_120" in out
    assert [p.name for p in tmp_path.iterdir()] == ["weights"]
    with viewer(path) as address:
        assert get_json(address, "/api/runs")[0]["task"] == "copy"
        assert get_json(address, "/api/episode?length=4")["steps"] == 9


def test_the_latest_episode_is_of_the_latest_batch(trained):
    _, seen = trained
    episode = seen["episode"]
    assert "memory" not in episode["arrays"]
    assert episode["arrays"]["write_weightings"]["shape"][0] == episode["steps"]


def test_the_latest_episode_can_be_drawn_again():
    config = tiny("associative_recall", train__batch_size=4)
    trainer = Trainer(config)
    batch, _ = latest_episodes(config)(6)
    key, _ = jax.random.split(jax.random.fold_in(jax.random.key(0), 5))
    whole = trainer.task.sample(key, 4)
    steps = len(batch.mask)
    np.testing.assert_array_equal(batch.inputs, whole.inputs[:steps, 0])
    np.testing.assert_array_equal(batch.targets, whole.targets[:steps, 0])
    assert batch.mask[-1] == 1
    assert float(whole.mask[steps:, 0].sum()) == 0


def test_printing_is_toggled(trained):
    _, seen = trained
    assert seen["print"] == [b"printing is on\n", b"printing is off\n", b"printing is on\n"]
    for word in ("target", "predicted", "strength", "gate", "shift", "sharpening"):
        assert word in seen["out"]
    assert seen["cross"][0] == 403


def test_refusals(trained):
    _, seen = trained
    assert seen["foreign"][0] == 421
    assert seen["bad"][0] == 400
    assert seen["bad"][2].count(b"\n") == 1


def events(workdir):
    """Every value in TensorBoard's files: tag -> kinds; read record by record."""
    found = {}
    for path in workdir.glob("events.out.tfevents*"):
        stream = io.BytesIO(path.read_bytes())
        while header := stream.read(12):
            content = stream.read(struct.unpack("<Q", header[:8])[0])
            stream.read(4)
            for value in Event.FromString(content).summary.value:
                found.setdefault(value.tag, set()).add(value.WhichOneof("value"))
    return found


def test_tensorboard_has_the_curves_and_the_pictures(trained):
    watched, alone = (events(trained[0] / name) for name in ("watched", "alone"))
    curves = {
        *("train/loss_bits_per_sequence", "train/bit_errors_per_sequence"),
        *("train/sequences_per_second", "optimizer/gradient_norm", "optimizer/learning_rate"),
    }
    assert all(watched[tag] == alone[tag] == {"simple_value"} for tag in curves)
    assert watched["evaluation/bits_per_sequence"] == {"simple_value"}
    assert watched["episode"] == {"image"}
    # Those of the evaluation after training need no monitor.
    assert alone["length_120/bits_per_sequence"] == {"simple_value"}
    assert alone["length_120"] == {"image"}


def test_nothing_is_left(trained):
    made = {path.name for path in (trained[0] / "watched").iterdir()}
    made = {name for name in made if not name.startswith("events.out")}
    assert made == {"config.json", "metrics.csv", "checkpoints", "lock", "moments"}


def test_a_port_in_use_is_one_line_and_nothing_is_written(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(UserError, match=f"monitor.port: cannot listen at .* port {port}"):
            loop.train(tiny(monitor__port=port), tmp_path / "run", [run_monitor.RunMonitor()])
    assert not (tmp_path / "run").exists()


def test_it_ends_when_training_is_killed(tmp_path):
    with program(*flags(tmp_path / "run", train__updates=10**8)) as process:
        address = printed_address(process)
        wait_for(lambda: get(address, "/api/progress")[0] == 200)
        process.send_signal(signal.SIGKILL)
        process.wait()

        def gone():
            try:
                return get(address)[0] == 0
            except OSError:
                return True

        wait_for(gone)
        wait_for(lambda: not processes_with(str(tmp_path / "run")))


def processes_with(word):
    """Those whose command line has it."""
    found = []
    for folder in os.listdir("/proc"):
        try:
            with open(f"/proc/{folder}/cmdline", "rb") as file:
                found += [folder] if word.encode() in file.read() else []
        except OSError:
            continue
    return found


def test_a_tail_reads_each_line_once(tmp_path):
    path = tmp_path / "lines"
    read, parsers = [], []

    def parser():
        def parse(line):
            read.append(line)
            return {"x": float(line)} if line.isdigit() else None

        parsers.append(parse)
        return parse

    tail = Tail(path, parser)
    assert tail.refresh() == []
    path.write_text("header\n1\n2")
    assert tail.refresh() == [{"x": 1.0}]  # the 2 may become 25
    with path.open("a") as file:
        file.write("5\n3\n")
    assert tail.refresh() == tail.refresh() == [{"x": 1.0}, {"x": 25.0}, {"x": 3.0}]
    assert read == ["header", "1", "25", "3"]
    before = len(parsers)
    other = tmp_path / "other"
    other.write_text("7\n")
    other.replace(path)
    assert tail.refresh() == [{"x": 7.0}]
    assert len(parsers) == before + 1  # another file may have another header


def test_long_curves_are_thinned_and_end_where_they_end():
    rows = [{"update": float(u)} for u in range(100_001)]
    thinned = monitor_server._thinned(rows)
    assert len(thinned) <= 2100
    assert thinned[-1] == rows[-1]
    assert monitor_server._thinned(rows[:5]) == rows[:5]
    assert monitor_server._thinned([]) == []


def test_the_time_that_is_left():
    rows = [{"update": 100.0 * i, "sequences": 800.0 * i, "seconds": 2.0 * i} for i in range(1, 30)]
    assert monitor_server._speed(rows, 5000) == {
        "sequences_per_second": 400.0,
        "seconds_left": (5000 - 2900) / 100 * 2,
    }
    assert monitor_server._speed(rows[:1], 5000)["seconds_left"] is None


def published(folder, monkeypatch, seconds, updates=50):
    """The updates whose weights are written, one coming every 0.3 s; to write takes `seconds` in turn."""
    clock = {"now": 0.0}
    seconds = itertools.cycle(seconds)
    write = run_monitor.write_atomically

    def slowly(path, content):
        clock["now"] += next(seconds) if path.name == run_monitor.WEIGHTS else 0
        write(path, content)

    monkeypatch.setattr(run_monitor.time, "monotonic", lambda: clock["now"])
    monkeypatch.setattr(run_monitor, "write_atomically", slowly)
    publish = run_monitor.Publisher(folder, tiny(train__updates=updates))
    written = []
    for update in range(updates + 1):
        (folder / run_monitor.WEIGHTS).unlink(missing_ok=True)
        publish(update, {"x": np.float32([update])})
        if (folder / run_monitor.WEIGHTS).exists():
            written.append(update)
        clock["now"] += 0.3
    return written


def test_weights_are_published_once_a_second_and_at_the_end(tmp_path, monkeypatch):
    written = published(tmp_path, monkeypatch, [0.0])
    assert written[0] == 0
    assert written[-1] == 50
    assert 8 < len(written) < 20
    last = safetensors.numpy.load((tmp_path / run_monitor.WEIGHTS).read_bytes())
    np.testing.assert_array_equal(last["x"], [50])


def test_writing_weights_takes_a_thousandth_of_the_time(tmp_path, monkeypatch):
    written = published(tmp_path, monkeypatch, [0.004], updates=200)
    assert all(4 <= 0.3 * gap < 4.7 for gap in np.diff(written[1:-1]))
    assert 14 < len(written) < 18


def test_one_slow_writing_does_not_hold_the_weights_back(tmp_path, monkeypatch):
    written = published(tmp_path, monkeypatch, [0.3, 0.001, 0.05, 0.001], updates=200)
    assert max(np.diff(written)) * 0.3 < 2


def test_a_full_disk_does_not_stop_training(tmp_path, monkeypatch):
    def full(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(run_monitor, "write_atomically", full)
    run_monitor.Publisher(tmp_path, tiny())(0, {"x": np.zeros(1)})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("free", [10**6, 10**9])
def test_files_are_in_memory_where_there_is_room(monkeypatch, free, tmp_path):
    monkeypatch.setattr(run_monitor, "MEMORY", tmp_path)
    monkeypatch.setattr(
        run_monitor.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(0, 0, free)
    )
    assert run_monitor._place() == (tmp_path if free == 10**9 else None)
    monkeypatch.undo()
    monkeypatch.setattr(run_monitor, "MEMORY", tmp_path / "none")
    assert run_monitor._place() is None


@pytest.mark.skipif(not hasattr(os, "SCHED_IDLE"), reason="no idle scheduling here")
def test_the_worker_has_one_core_that_nothing_else_wants(tmp_path):
    report = "print(os.sched_getscheduler(0), len(os.sched_getaffinity(0)), os.nice(0))"
    code = f"import os; {run_monitor.IDLE}; {report}"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.split() == [str(os.SCHED_IDLE), "1", "19"]


def test_the_worker_rests_while_nobody_looks(tmp_path, monkeypatch):
    now = {"s": 1000.0}
    monkeypatch.setattr(monitor_worker.time, "monotonic", lambda: now["s"])
    monkeypatch.setattr(monitor_worker.time, "time", lambda: now["s"])
    config = tiny()
    (tmp_path / run_monitor.CONFIG).write_text(json.dumps(config.to_dict()))
    (tmp_path / "run").mkdir()
    worker = Worker(tmp_path, tmp_path / "run")
    watched = monitor_server.Monitor(tmp_path, tmp_path / "run")
    parameters = jax.device_get(Trainer(config).initial_state().parameters)

    def works(after):
        """Whether it does, so many seconds later, with newer weights."""
        now["s"] += after
        path = tmp_path / run_monitor.WEIGHTS
        path.write_bytes(weights.dump(parameters, config, int(now["s"])))
        os.utime(path, (now["s"], now["s"]))
        return worker.step()

    def look():
        watched.look()
        os.utime(tmp_path / run_monitor.LOOKED_AT, (now["s"], now["s"]))

    assert works(0)  # so that it has compiled
    assert [works(10), works(10), works(10)] == [False, False, True]
    look()
    assert [works(2), works(2), works(50)] == [True, True, True]
    assert [works(10), works(10), works(10)] == [False, False, True]
    assert watched.toggle_printing()
    assert [works(2), works(2)] == [True, True]
    assert not watched.toggle_printing()
    assert not works(2)


@pytest.mark.parametrize("task", ["ngram", "priority_sort", "repeat_copy"])
def test_the_worker_on_other_tasks(tmp_path, task):
    config = tiny(task)
    trainer = Trainer(config)
    (tmp_path / run_monitor.CONFIG).write_text(json.dumps(config.to_dict()))
    worker = Worker(tmp_path, tmp_path / "run")
    assert not worker.step()
    run_monitor.Publisher(tmp_path, config)(0, trainer.initial_state().parameters)
    assert worker.step()
    assert not worker.step()
    assert json.loads((tmp_path / run_monitor.EPISODE).read_text())["task"] == task
    assert json.loads((tmp_path / run_monitor.EVALUATION).read_text())["update"] == 0


def test_a_model_without_heads_is_printed_too():
    config = tiny(model="lstm")
    trainer = Trainer(config)
    batch, key = latest_episodes(config)(0)
    from ntm_jax.web.viewer import episodes

    episode = episodes.run(trainer.model(trainer.initial_state()), trainer.task, batch, key)
    assert "predicted" in text(episode, 0)
