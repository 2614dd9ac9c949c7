"""Threads do not print what the program says itself, and print all else."""

import sys
import threading

import pytest

from ntm_jax import quiet


@pytest.fixture
def told(monkeypatch):
    """Which errors are printed."""
    told = []
    monkeypatch.setattr(threading, "excepthook", lambda args: told.append(args.exc_value))
    monkeypatch.setattr(sys, "excepthook", lambda kind, error, traceback: told.append(error))
    return told


def in_a_thread(function):
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()


def throw(error):
    raise error


def test_a_full_disk_is_not_told_by_threads(told):
    bug = ValueError("a bug")
    with quiet.threads():
        for error in (OSError("full"), bug):
            in_a_thread(lambda error=error: throw(error))
    assert told == [bug]


def test_what_others_print_of_a_closed_loop_is_not_told(told):
    closed = RuntimeError("Event loop is closed")
    others = [RuntimeError("another"), ValueError("Event loop is closed")]
    with quiet.threads():
        for error in (closed, *others):
            in_a_thread(lambda error=error: sys.excepthook(type(error), error, None))
        sys.excepthook(RuntimeError, closed, None)  # of the program itself
    assert told == [*others, closed]
    hooks = threading.excepthook, sys.excepthook
    with quiet.threads():
        assert threading.excepthook is not hooks[0]
    assert hooks == (threading.excepthook, sys.excepthook)
