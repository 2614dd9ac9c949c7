"""The viewer's server, as programs meet it: what it answers, what it refuses, how it says so."""

import concurrent.futures
import json
import socket
import subprocess
import sys
import time

import pytest

from ntm_jax.errors import UserError
from ntm_jax.web import server
from tests.helpers.browser import (
    ROOT,
    environment,
    get,
    get_json,
    printed_address,
    program,
    save_walker,
    viewer,
)
from tests.helpers.configs import quick_compile, tiny


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    base = tmp_path_factory.mktemp("runs")
    with quick_compile(tmp_path_factory.getbasetemp()):
        save_walker(base / "walker", tiny())
        save_walker(base / "ngram", tiny("ngram"))
    return base


@pytest.fixture(scope="module")
def address(folder):
    with viewer(folder / "walker", folder / "ngram") as address:
        yield address


def test_the_runs(address):
    runs = get_json(address, "/api/runs")
    assert [(r["name"], r["task"], r["update"]) for r in runs] == [
        ("walker", "copy", 7),
        ("ngram", "ngram", 7),
    ]
    assert runs[0]["fields"] == [{"name": "length", "least": 1, "most": 1000, "value": 3}]
    assert [r["keeps_table"] for r in runs] == [False, True]


def test_an_episode(address):
    answer = get_json(address, "/api/episode?run=0&length=6&seed=2&rows=16")
    assert answer["difficulty"] == {"length": 6}
    assert (answer["steps"], answer["seed"], answer["rows"]) == (13, 2, 16)
    assert answer["arrays"]["memory"]["shape"] == [13, 16, 4]
    assert get_json(address, "/api/episode?run=0&length=6&seed=2&rows=16") == answer


@pytest.mark.parametrize(
    ("query", "part"),
    [
        ("length=1000000", "length: 1000000 is not allowed; it must be from 1 to 1000"),
        ("length=many", "whole number"),
        ("seed=-1", "seed"),
        ("run=2", "run"),
        ("run=-1", "run"),
        ("run=%C2%B2", "run"),
        ("length=1&length=2", "twice"),
        ("colour=3", "'colour'"),
        ("rows=99999", "3 to 4096"),
        ("table=1", "'table'"),
    ],
)
def test_bad_parameters_are_status_400_and_one_sentence(address, query, part):
    status, headers, body = get(address, f"/api/episode?{query}")
    assert status == 400
    assert headers["content-type"].startswith("text/plain")
    text = body.decode()
    assert part in text
    assert text.count("\n") == 1
    assert len(text) < 200


HOSTS = {
    "localhost": True,
    "localhost:9000": True,
    "127.0.0.1:1": True,
    "[::1]:9000": True,
    "LOCALHOST": True,
    "example.com": False,
    "example.com:9000": False,
    "localhost.example.com": False,
    "127.0.0.1.example.com": False,
    "192.168.0.1": False,
    "": False,
    "user@localhost": False,
}


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("path", ["/", "/api/runs", "/static/common/style.css", "/nothing"])
def test_a_foreign_host_is_refused(address, host, path):
    status, _, body = get(address, path, Host=host)
    assert (status == 421) is not HOSTS[host], (status, body)
    if status == 421:
        assert body.count(b"\n") == 1


def test_beyond_loopback_every_literal_address_is_this_machine():
    open_guard = server.Guard(None, "0.0.0.0")
    assert open_guard.allows("192.168.0.1:9000")
    assert open_guard.allows("localhost")
    assert not open_guard.allows("example.com")
    assert server.Guard(None, "box.local").allows("box.local:9000")


def test_it_listens_on_loopback_alone(address):
    port = int(address.rsplit(":", 1)[1].strip("/"))
    listening = []
    for name in ("/proc/net/tcp", "/proc/net/tcp6"):
        with open(name) as table:
            fields = [line.split() for line in table][1:]
        listening += [f[1] for f in fields if f[3] == "0A" and int(f[1].split(":")[1], 16) == port]
    assert listening == [f"0100007F:{port:04X}"]


@pytest.mark.parametrize(
    "path",
    ["/nothing", "/static/../guard.py", "/static/%2e%2e%2fguard.py", "/static/common/none.js"],
)
def test_what_is_not_there(address, path):
    status, _, body = get(address, path)
    assert status == 404
    assert b"def " not in body


@pytest.mark.parametrize("path", ["/", "/api/runs", "/plotly.min.js", "/static/common/style.css"])
def test_pages_may_load_nothing_from_elsewhere(address, path):
    status, headers, body = get(address, path)
    assert status == 200
    assert "default-src 'self'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    if path == "/":
        paper = b'href="https://arxiv.org/'  # followed by a click only
        assert b"//" not in body.replace(b"http://www.w3.org", b"").replace(paper, b"")


def test_many_at_once_and_some_that_go_away(address):
    """200 clients, every fourth of which hangs up at once: the others are all answered, and rightly."""
    wanted = get_json(address, "/api/episode?length=3&seed=1")
    host, port = "127.0.0.1", int(address.rsplit(":", 1)[1].strip("/"))

    def visit(number):
        if number % 4 == 0:
            with socket.create_connection((host, port)) as connection:
                connection.sendall(
                    b"GET /api/episode?length=30 HTTP/1.1\r\nHost: localhost\r\n\r\n"
                )
            return None
        return get(address, "/api/episode?length=3&seed=1")

    with concurrent.futures.ThreadPoolExecutor(200) as pool:
        answers = [answer for answer in pool.map(visit, range(200)) if answer]
    assert len(answers) == 150
    assert all(status == 200 and json.loads(body) == wanted for status, _, body in answers)
    assert get_json(address, "/api/runs")


def test_a_run_that_vanished_says_so(folder, tmp_path):
    (folder / "walker").rename(tmp_path / "walker")
    with viewer(tmp_path / "walker") as address:
        (tmp_path / "walker").rename(folder / "walker")
        assert "no checkpoint" in get_json(address, "/api/runs")[0]["error"]
        status, _, body = get(address, "/api/episode")
        assert status == 400
        assert b"no checkpoint" in body


def refused(*arguments, cwd):
    """The one line that the program refuses these arguments with."""
    done = subprocess.run(
        [sys.executable, "-m", "ntm_jax.main", *map(str, arguments)],
        **{"cwd": cwd, "env": environment(), "capture_output": True, "text": True, "check": False},
    )
    assert done.returncode == 2, done
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_a_port_in_use_is_one_line(folder, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        arguments = ["--mode", "serve", "--workdir", folder / "walker", "--port", port]
        line = refused(*arguments, cwd=tmp_path)
    assert f"--port: cannot listen at 127.0.0.1 port {port}" in line
    assert "in use" in line


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--port", "70000"], "0 to 65535"),
        (["--host", "no.such.host.invalid", "--port", "0"], "no address of this machine"),
    ],
)
def test_a_place_to_listen_that_is_none(arguments, part):
    host, port = "127.0.0.1", int(arguments[-1])
    if "--host" in arguments:
        host = arguments[1]
    with pytest.raises(UserError, match=part):
        server.listen(host, port, "--port")


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--mode", "serve"], "runs/ holds no run"),
        (["--mode", "serve", "--workdir", "none"], "none"),
        (["--mode", "serve", "--weights", "none"], "cannot be read"),
        (["--mode", "train", "--weights", "none", "--config", "x"], "--weights"),
        (["--mode", "serve", "--config.seed=3"], "--config.seed=3: needs --config"),
        (["--mode", "report", "--beside", "none"], "none"),
    ],
    ids=str,
)
def test_a_wrong_command_is_one_line(tmp_path, monkeypatch, arguments, part):
    from ntm_jax import main

    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=part):
        main.run(arguments)
    assert list(tmp_path.iterdir()) == []


def test_without_a_folder_every_run_is_served(folder, tmp_path):
    runs = tmp_path / "runs"
    (runs / "pretrained").mkdir(parents=True)
    for name, place in (("walker", "pretrained"), ("ngram", ".")):
        (runs / place / name).symlink_to(folder / name)
    with program("--mode", "serve", "--port", "0", cwd=tmp_path) as process:
        names = [run["name"] for run in get_json(printed_address(process), "/api/runs")]
    assert sorted(names) == ["ngram", "walker"]


def test_with_a_config_it_is_that_run(folder, tmp_path):
    config = ROOT / "configs" / "copy.py"
    line = refused(
        "--mode", "serve", "--config", config, "--workdir", folder / "walker", cwd=tmp_path
    )
    assert "another run" in line  # the walker is tiny


def test_it_ends_quietly_with_an_interruption(folder):
    with program("--mode", "serve", "--workdir", folder / "walker", "--port", "0") as process:
        printed_address(process)
        time.sleep(0.5)
        process.send_signal(2)
        assert process.wait(20) == 0
        assert process.stderr.read() == ""
