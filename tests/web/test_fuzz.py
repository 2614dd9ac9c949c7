"""Requests that no page makes: every answer is one line that says no, and nothing outside the runs is read."""

import asyncio
import json
import socket
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import jax
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntm_jax import config as configs
from ntm_jax.storage import weights
from ntm_jax.training import loop
from ntm_jax.training.trainer import Trainer
from ntm_jax.web import pages
from ntm_jax.web.monitor import run_monitor
from ntm_jax.web.monitor import server as monitor_server
from ntm_jax.web.viewer import server as viewers
from ntm_jax.web.viewer import sources
from tests.helpers.browser import get_json, save_walker, viewer
from tests.helpers.configs import quick_compile, tiny
from tests.helpers.strategies import examples

SECRET = b"a line that no visitor is to see"
OPENED: list[str] = []  # the files that this process opened lately


def _note(event, arguments):
    if event == "open" and isinstance(arguments[0], str | bytes):
        OPENED.append(arguments[0] if isinstance(arguments[0], str) else arguments[0].decode())


sys.addaudithook(_note)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """Two runs and a file of weights, and the monitor's folder of one; a secret beside them."""
    base = tmp_path_factory.mktemp("web") / "runs"
    with quick_compile(tmp_path_factory.getbasetemp()):
        for name, task in (("walker", "copy"), ("ngram", "ngram")):
            save_walker(base / name, tiny(task))
        loop.train(tiny("acrostic", train__updates=1), base / "verse")
        config = tiny(model="lstm", train__batch_size=1)
        content = weights.dump(Trainer(config).initial_state().parameters, config, 3)
        (base / "weights").write_bytes(content)
        folder = base / "monitor"
        folder.mkdir()
        (folder / run_monitor.CONFIG).write_text(configs.to_json(config))
        (folder / run_monitor.WEIGHTS).write_bytes(content)
        (folder / run_monitor.EPISODE).write_text("{}")
        (base.parent / "secret").write_bytes(SECRET)
        yield base


@pytest.fixture(scope="module")
def apps(base):
    """Both servers' applications."""
    paths = [base / "walker", base / "ngram", base / "weights", base / "verse"]
    watched = monitor_server.Monitor(base / "monitor", base / "walker")
    return {
        "viewer": viewers.application(sources.open_sources(paths), "127.0.0.1"),
        "monitor": monitor_server.application(watched, "127.0.0.1"),
    }


def answer(app, method, target, headers, body):
    """Status, type and body of an application's answer, as uvicorn would ask for it."""
    path, _, query = target.partition("?")
    scope = {
        **{"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http"},
        **{"method": method, "path": unquote(path), "raw_path": path.encode(), "root_path": ""},
        **{"query_string": query.encode(), "headers": headers, "client": ("127.0.0.1", 1)},
        "server": ("127.0.0.1", 9000),
    }
    sent = []

    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message):
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    assert sent[0]["type"] == "http.response.start"
    given = dict(sent[0]["headers"])
    content = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], given.get(b"content-type", b"").decode(), content


# ---- Requests

CHANGES = ("gate_0_0.5_1", "erase_0_2*noise_1_2", "freeze_9_1", "gate_0_2", "AAAA", "_w", "0.5_1")
ODD = (
    *CHANGES,
    "0",
    "1",
    "3",
    "-1",
    "-0",
    "+1",
    "1e3",
    "00000000003",
    "0000000009",
    "9" * 30,
    "9" * 5000,
)
NUMBERS = st.sampled_from(
    [*ODD, "٣", "²", "nan", "inf", "0x1", "1_0", " 1", "", "%00", "%ff", "%0a"]
)
NAMES = ("run", "length", "seed", "rows", "table", "items", "after", "repeats", "colour", "%0a", "")
NAMES += ("bits", "numbers", "break")
ASKED = (
    "run",
    "message",
    "form",
    "position",
    "n",
    "beam",
    "temperature",
    "rhyme",
    "seed",
    "colour",
)
MESSAGES = ("%E5%AE%87", "%E5%AE%87%E6%97%A5", "%E5%AE%87" * 33, "%E7%BA%A2", "a", "%F0%B0%80%80")
PATHS = (
    *("/acrostic", "/api/poems"),
    *("/", "/api/runs", "/api/episode", "/api/progress", "/Loss", "/Weights", "/PrintDebug"),
    *(
        "/static/common/style.css",
        "/static/viewer/viewer.js",
        "/static/",
        "/plotly.min.js",
        "/nothing",
    ),
)
STEPS = (
    "..",
    "%2e%2e",
    "%2e%2e%2f",
    "..%5c",
    ".",
    "",
    "static",
    "secret",
    "guard.py",
    "%00",
    "%c3%28",
    "etc",
    "passwd",
)
PRINTABLE = st.text(
    st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="?#"), max_size=12
)


@st.composite
def targets(draw):
    """Paths and queries: mostly those that there are, with something odd in them."""
    kind = draw(st.sampled_from(["episode", "poems", "any", "any"]))
    if kind == "episode":
        path, names, values = "/api/episode", st.sampled_from(NAMES), st.sampled_from(ODD)
    elif kind == "poems":
        path, names, values = (
            "/api/poems",
            st.sampled_from(ASKED),
            st.sampled_from([*ODD, *MESSAGES]),
        )
    else:
        steps = draw(st.lists(st.sampled_from(STEPS) | PRINTABLE, max_size=6))
        made_up = st.sampled_from(["/", "/static/", "//", "/api/"]).map(
            lambda s: s + "/".join(steps)
        )
        path = draw(st.sampled_from(PATHS) | made_up)
        names, values = st.sampled_from(NAMES) | PRINTABLE, NUMBERS | PRINTABLE
    pairs = draw(st.lists(st.tuples(names, values), max_size=3))
    query = "&".join(f"{name}={value}" for name, value in pairs)
    return path + (f"?{query}" if query or draw(st.booleans()) else "")


HEADERS = st.lists(
    st.tuples(
        st.sampled_from([b"host", b"sec-fetch-site", b"range", b"content-length", b"x"]),
        st.sampled_from([b"localhost", b"example.com", b"[", b"[::1", b"none", b"bytes=0-9", b"-1"])
        | st.binary(max_size=8),
    ),
    max_size=1,
)
METHODS = ["GET"] * 20 + ["HEAD", "POST", "PUT", "DELETE", "OPTIONS", "BREW", ""]
REQUESTS = {
    "method": st.sampled_from(METHODS),
    "target": targets(),
    "headers": HEADERS,
    "body": st.binary(max_size=20),
}


def check(app, base, method, target, headers, body):
    if not any(name == b"host" for name, _ in headers):
        headers = [(b"host", b"localhost:9000"), *headers]
    OPENED.clear()
    status, kind, content = answer(app, method, target, headers, body)
    opened = list(OPENED)
    assert 200 <= status < 500, (status, content)
    assert SECRET not in content
    if status >= 400 and method != "HEAD":
        assert kind.startswith("text/plain")
        text = content.decode().removesuffix("\n")
        assert text.isprintable(), text
        assert len(text) < 300
    elif kind == "application/json" and method != "HEAD":
        json.loads(content)
    compiled = Path(jax.config.jax_compilation_cache_dir)
    libraries = (sys.prefix, sys.base_prefix, "/proc", "/sys")
    allowed = (base, pages.STATIC, compiled, *map(Path, libraries))
    for path in opened:
        assert any(Path(path).is_relative_to(place) for place in allowed), path


@pytest.mark.parametrize("name", ["viewer", "monitor"])
@examples(60, slow=False)
@given(**REQUESTS)
def test_every_request_is_answered(apps, base, name, method, target, headers, body):
    check(apps[name], base, method, target, headers, body)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["viewer", "monitor"])
@examples(500)
@given(**REQUESTS)
def test_hundreds_are(apps, base, name, method, target, headers, body):
    check(apps[name], base, method, target, headers, body)


# ---- What training wrote

FIELDS = (
    st.floats().map(str) | st.integers(-1, 10**20).map(str) | st.sampled_from(["", "nan", "update"])
)
LINES = st.lists(FIELDS, max_size=9).map(",".join) | st.text(max_size=9)


@examples(100, slow=False)
@given(lines=st.lists(LINES, max_size=6))
def test_whatever_is_in_metrics_the_monitor_answers(base, tmp_path_factory, lines):
    workdir = tmp_path_factory.mktemp("metrics")
    (workdir / "metrics.csv").write_text("\n".join([*lines, ""]), "utf-8", "surrogatepass")
    app = monitor_server.application(monitor_server.Monitor(base / "monitor", workdir), "localhost")
    for path in ("/api/progress", "/api/progress?after=3", "/Loss"):
        status, _, content = answer(app, "GET", path, [(b"host", b"localhost")], b"")
        assert status == 200
        json.loads(content)


# ---- Bytes


WHOLE = b"GET /api/runs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@st.composite
def not_http(draw):
    """A request that was cut, changed or never one."""
    if draw(st.booleans()):
        return draw(st.binary(max_size=200))
    place = draw(st.integers(0, len(WHOLE)))
    more = draw(
        st.binary(max_size=8)
        | st.sampled_from([b"\r\n", b"\0", b"Host: x\r\n", b"A: " + b"a" * 70_000])
    )
    return WHOLE[:place] + more + WHOLE[place + draw(st.integers(0, 8)) :]


@pytest.mark.slow
def test_bytes_that_are_no_request_hurt_nobody(base):
    with viewer(base / "walker") as address:
        port = urlsplit(address).port

        @examples(300)
        @given(not_http())
        def check(content):
            with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
                try:
                    connection.sendall(content)
                    connection.shutdown(socket.SHUT_WR)
                    status = connection.recv(12)
                except ConnectionError:  # refused halfway
                    status = b""
            assert status == b"" or status.startswith((b"HTTP/1.1 2", b"HTTP/1.1 4")), status

        check()
        assert [run["name"] for run in get_json(address, "/api/runs")] == ["walker"]
