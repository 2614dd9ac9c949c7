"""One episode over training: which moments are kept, what is in them, and the pages' answers."""

import asyncio
import json

import jax
import numpy as np
import pytest

from ntm_jax import config as configs
from ntm_jax import tasks
from ntm_jax.training.trainer import Trainer
from ntm_jax.web import moments
from ntm_jax.web.monitor import run_monitor
from ntm_jax.web.monitor import server as monitor_server
from ntm_jax.web.monitor import worker as monitor_worker
from ntm_jax.web.packing import unpack
from ntm_jax.web.viewer import server as viewer
from ntm_jax.web.viewer import sources
from ntm_jax.web.viewer.moments_page import MomentsPage
from tests.helpers.configs import quick_compile, tiny
from tests.helpers.runs import save


@pytest.fixture(scope="module", autouse=True)
def quick(tmp_path_factory):
    with quick_compile(tmp_path_factory.getbasetemp()):
        yield


def ask(app, target):
    """Status and body of an application's answer."""
    path, _, query = target.partition("?")
    scope = {
        **{"type": "http", "method": "GET", "path": path, "raw_path": path.encode()},
        **{"root_path": "", "query_string": query.encode(), "scheme": "http"},
        "headers": [(b"host", b"localhost")],
    }
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:]).decode()


def content(update):
    return {"update": update, "scores": {"bits": 1.0}}


@pytest.mark.parametrize("every", [100, 4000, 40_000])
def test_moments_are_few_and_spread_over_the_whole_of_training(tmp_path, every):
    """As they come, since nobody knows how many will."""
    kept, whole = moments.Moments(tmp_path), 100_000
    given = range(0, whole + 1, every)
    for update in given:
        kept.add(content(update), whole)
    found = kept.updates()
    assert len(found) == min(len(given), moments.MOST)
    assert (found[0], found[-1]) == (0, given[-1])
    places = [moments._place(update, whole) for update in found]
    if len(given) > 10 * moments.MOST:
        assert max(np.diff(places)) < 4 * places[-1] / moments.MOST


def test_the_first_and_the_last_moment_are_never_thinned_out():
    gone = moments.thinned_out([0, 1, 2, 3, 999, 1000], 1000, 3)
    assert len(gone) == 3
    assert not {0, 1000} & set(gone)


def test_other_files_are_no_moments(tmp_path):
    (tmp_path / "moments").mkdir()
    for name in ("12.json", "x.json", "13.partial"):
        (tmp_path / "moments" / name).write_text("{}")
    kept = moments.Moments(tmp_path)
    assert kept.updates() == [12]
    assert (kept.read(12), kept.read(13)) == (b"{}", None)


@pytest.mark.parametrize("name", ["copy", "repeat_copy", "ngram"])
def test_the_kept_episode_is_always_the_same_and_ends_with_its_answer(name):
    config = tiny(name)
    task = tasks.make(name, **tasks.difficulty(config.task))
    one, again = (moments.kept_episode(task, jax.random.key(3)) for _ in range(2))
    np.testing.assert_array_equal(one.inputs, again.inputs)
    assert one.mask[-1] == 1
    drawn = task.source.held_out().sample(jax.random.key(3), moments.DRAWN)
    assert one.mask.sum() == np.asarray(drawn.mask).sum(axis=0).max()


@pytest.mark.parametrize(("name", "shared"), [("priority_sort", True), ("copy", False)])
def test_a_moment_says_whether_heads_read_and_write(name, shared):
    config = tiny(name)
    task = tasks.make(name, **tasks.difficulty(config.task))
    trainer = Trainer(config)
    model = trainer.model(trainer.initial_state())
    key = jax.random.key(3)
    found = moments.moment(model, task, moments.kept_episode(task, key), key, 0)
    heads = sum(
        unpack(found["arrays"][f"{kind}_weightings"]).shape[1] for kind in ("read", "write")
    )
    assert (0 < found["addressings"] < heads) == shared


def keeper(folder, workdir, config):
    """A keeper of the run in `workdir`, whose metrics are there."""
    (folder / run_monitor.CONFIG).write_text(configs.to_json(config))
    workdir.mkdir(exist_ok=True)
    (workdir / "metrics.csv").write_text("")
    task = tasks.make(config.task.name, **tasks.difficulty(config.task))
    return monitor_worker.Keeper(folder, workdir, task, config)


def parameters_of(config, scale):
    parameters = jax.device_get(Trainer(config).initial_state().parameters)
    return jax.tree.map(lambda leaf: scale * leaf, parameters)


def test_the_same_episode_is_run_with_the_weights_that_training_lays_aside(tmp_path, monkeypatch):
    monkeypatch.setattr(run_monitor, "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(run_monitor, "TIMES_AS_LONG", 0)
    config, run = tiny(train__updates=1000), tmp_path / "run"
    keeps = keeper(tmp_path, run, config)
    assert not keeps.step()  # nothing is there yet
    publish = run_monitor.Publisher(tmp_path, config)
    for update, scale in ((0, 1.0), (500, 2.0), (501, 3.0), (1000, 4.0)):
        publish(update, parameters_of(config, scale))
    assert [keeps.step() for _ in range(4)] == [True, True, True, False]
    kept = moments.Moments(run)
    assert kept.updates() == [0, 500, 1000]  # 501 comes too soon
    first, later = (json.loads(kept.read(update)) for update in (0, 500))
    arrays = [
        {name: unpack(values) for name, values in one["arrays"].items()} for one in (first, later)
    ]
    for name in ("inputs", "targets", "mask"):
        np.testing.assert_array_equal(arrays[0][name], arrays[1][name])
    assert not np.array_equal(arrays[0]["probabilities"], arrays[1]["probabilities"])
    assert first["scores"]["scored_bits"] == later["scores"]["scored_bits"] > 0
    steps = len(arrays[0]["mask"])
    assert arrays[0]["write_weightings"].shape == (steps, 1, config.model.memory_size)


def test_weights_that_wait_have_bounds_and_the_last_always_waits(tmp_path, monkeypatch):
    monkeypatch.setattr(run_monitor, "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(run_monitor, "TIMES_AS_LONG", 0)
    monkeypatch.setattr(run_monitor, "ROOM_FOR_MOMENTS", 100)
    publish = run_monitor.Publisher(tmp_path, tiny(train__updates=1000))
    for update in (0, 400, 1000):
        publish(update, {"x": np.zeros(50, np.float32)})
    waiting = (path.stem for path in (tmp_path / run_monitor.MOMENTS).iterdir())
    assert sorted(map(int, waiting)) == [0, 1000]


def test_a_full_disk_loses_a_moment_and_nothing_else(tmp_path):
    config = tiny()
    keeps = keeper(tmp_path, tmp_path / "run", config)
    (tmp_path / "run" / moments.FOLDER).write_text("in the way")
    run_monitor.Publisher(tmp_path, config)(0, parameters_of(config, 1.0))
    assert keeps.step()
    assert not keeps.step()


def test_the_worker_rests_no_more_once_training_has_ended(tmp_path, monkeypatch):
    now = {"s": 0.0}
    monkeypatch.setattr(monitor_worker.time, "monotonic", lambda: now["s"])

    def sleep(seconds):
        now["s"] += seconds
        if now["s"] >= 5:
            (tmp_path / run_monitor.TRAINED).touch()

    monkeypatch.setattr(monitor_worker.time, "sleep", sleep)
    worker = object.__new__(monitor_worker.Worker)
    worker._folder = tmp_path
    worker.rest(3)
    assert now["s"] == pytest.approx(3)
    worker.rest(100)
    assert now["s"] == pytest.approx(5)


# ---- What is served


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """A run with a checkpoint and two moments."""
    run = tmp_path_factory.mktemp("runs") / "run"
    save(run, tiny())
    for update in (0, 7):
        moments.Moments(run).add(content(update), 10)
    return run


def test_the_viewer_shows_the_moments_of_a_run(watched, tmp_path):
    save(tmp_path / "other", tiny())
    shown = sources.open_sources([watched, tmp_path / "other"])
    page = viewer.application(shown, "localhost", [MomentsPage()])
    assert [run["moments"] for run in json.loads(ask(page, "/api/runs")[1])] == [True, False]
    assert ask(page, "/moments")[0] == 200
    listing = json.loads(ask(page, "/api/moments?run=0")[1])
    assert listing == {"name": "run", "task": "copy", "updates": [0, 7]}
    assert json.loads(ask(page, "/api/moment?run=0&update=7")[1]) == content(7)
    for address, word in (
        ("/api/moment?run=0&update=5", "'5'"),
        ("/api/moment?run=0&update=../7", "'../7'"),
        ("/api/moment?run=0", "update"),
        ("/api/moments?run=1", "no moments"),
    ):
        status, text = ask(page, address)
        assert status == 400
        assert word in text
        assert text.count("\n") == 1


@pytest.fixture
def monitored(tmp_path, watched):
    (tmp_path / run_monitor.CONFIG).write_text(configs.to_json(tiny()))
    return monitor_server.Monitor(tmp_path, watched)


def test_the_monitor_says_how_far_the_run_is(tmp_path, monitored):
    def shown():
        return json.loads(monitored.progress(-1))

    assert (shown()["state"], shown()["cases"], shown()["moments"]) == ("training", [], [0, 7])
    (tmp_path / run_monitor.TRAINED).touch()
    assert shown()["state"] == "evaluating"
    case = {"name": "length_20", "bits_per_sequence": float("nan"), "perfect_fraction": 1.0}
    (tmp_path / run_monitor.CASES).write_text(json.dumps(case) + "\n" + '{"name": "len')
    assert shown()["cases"] == [{**case, "bits_per_sequence": None}]
    (tmp_path / run_monitor.EVALUATED).touch()
    assert shown()["state"] == "evaluated"


def test_the_monitor_serves_moments(monitored):
    page = monitor_server.application(monitored, "localhost")
    assert json.loads(ask(page, "/api/moment?update=7")[1]) == content(7)
    assert ask(page, "/api/moment?update=8")[0] == 404
    assert ask(page, "/api/moment?update=-7")[0] == 400


def test_the_command_that_opens_the_viewer(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = "python -m ntm_jax.main --mode serve --workdir"
    assert monitor_server.viewer_command(tmp_path / "runs" / "a b") == f"{command} 'runs/a b'"
    elsewhere = tmp_path.parent / "elsewhere"
    assert monitor_server.viewer_command(elsewhere) == f"{command} {elsewhere}"


# ---- The observer


@pytest.mark.parametrize("stays", [False, True])
def test_the_monitor_stays_until_evaluation_has_ended(tmp_path, monkeypatch, stays):
    waited = []
    monkeypatch.setattr(run_monitor.time, "sleep", waited.append)
    watching = run_monitor.RunMonitor(stays=stays)
    watching._folder = tmp_path
    ended = []
    watching._stack.callback(lambda: ended.append(True))
    watching.close()
    assert (tmp_path / run_monitor.TRAINED).exists()
    assert ended == ([] if stays else [True])
    if not stays:
        return
    watching.case({"name": "length_20", "bits_per_sequence": 0.5})
    assert json.loads((tmp_path / run_monitor.CASES).read_text())["name"] == "length_20"
    watching.evaluated()
    assert (tmp_path / run_monitor.EVALUATED).exists()
    assert waited == []  # nobody looks
    (tmp_path / run_monitor.LOOKED_AT).touch()
    watching.evaluated()
    assert waited == [run_monitor.LAST_SECONDS]
    watching.end()
    assert ended == [True]


def test_a_monitor_that_was_never_opened_can_end():
    watching = run_monitor.RunMonitor(stays=True)
    watching.case({"name": "x"})
    watching.evaluated()
    watching.end()
