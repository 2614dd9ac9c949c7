"""What is shown of progress: a bar in a terminal, lines that a log can hold elsewhere."""

import io
import sys

import pytest

from ntm_jax.training import progress
from ntm_jax.training.progress import PlainLines, Progress
from tests.helpers.configs import tiny
from tests.training.test_event_writer import ROWS, begun


@pytest.fixture
def clock():
    now = [100.0]
    return now


def plain(clock, **fields):
    usual = {"title": "training", "total": 1000, "unit": "seq", "done": 0, "each": 2}
    return PlainLines(**usual | fields, clock=lambda: clock[0])


def test_a_line_every_half_minute_and_at_the_end(clock, capsys):
    bar = plain(clock)
    for update in range(10, 1001, 10):
        clock[0] += 1
        bar.move_to(update, f"{1000 - update} bits")
    bar.close()
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "training: 300 of 1,000 (30%), 20.0 seq/s, 700 bits",
        "training: 600 of 1,000 (60%), 20.0 seq/s, 400 bits",
        "training: 900 of 1,000 (90%), 20.0 seq/s, 100 bits",
        "training: 1,000 of 1,000 (100%), 20.0 seq/s, 0 bits",
    ]


def test_a_speed_is_of_this_session(clock, capsys):
    bar = plain(clock, done=500)
    clock[0] += 10
    bar.move_to(600)
    bar.close()
    assert capsys.readouterr().err == "training: 600 of 1,000 (60%), 20.0 seq/s\n"


def test_nothing_new_is_no_line(clock, capsys):
    bar = plain(clock, done=1000)
    bar.close()
    assert capsys.readouterr().err == ""


def test_no_carriage_return_where_there_is_no_terminal(capsys, tmp_path):
    observer = Progress()
    begin(observer, tmp_path)
    observer.advance(10)
    observer.row(ROWS[1], {}, 0)
    observer.close()
    said = capsys.readouterr()
    assert "\r" not in said.out + said.err
    assert said.err.startswith("training: 20 of ")
    assert "7.500 bits/sequence" in said.err


def begin(observer, folder):
    (folder / "metrics.csv").write_text("update,loss_bits_per_sequence\n")
    observer.begin(begun(folder))


def test_a_bar_in_a_terminal(monkeypatch, tmp_path):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", terminal)
    observer = Progress()
    begin(observer, tmp_path)
    observer.row(ROWS[1], {}, 0)
    observer.close()
    shown = terminal.getvalue()
    assert "\r" in shown
    assert f"40/{2 * tiny().train.updates}" in shown
    assert "7.500 bits/sequence" in shown


@pytest.mark.parametrize(("total", "shown"), [(5, "2/5 ["), (40_000, "2.00/40.0k [")])
def test_small_numbers_in_a_terminal_are_whole(monkeypatch, total, shown):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", terminal)
    bar = progress.bar("evaluating", total, "case")
    bar.move_to(2)
    bar.close()
    assert shown in terminal.getvalue()


def test_what_is_said_is_on_its_own_line(capsys):
    progress.say("something")
    progress.say("something else", file=sys.stderr)
    said = capsys.readouterr()
    assert (said.out, said.err) == ("something\n", "something else\n")
