"""Threads do not print what the program says itself, and print all else."""

import asyncio
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
    quiet.threads()
    for error in (OSError("full"), bug):
        in_a_thread(lambda error=error: throw(error))
    assert told == [bug]


def test_what_others_print_of_a_closed_loop_is_not_told(told):
    def error_of(function, *arguments):
        with pytest.raises(RuntimeError) as caught:
            function(*arguments)
        return caught.value

    loop = asyncio.new_event_loop()
    loop.close()
    closed, of_program = error_of(loop.call_soon_threadsafe, print), error_of(loop.call_soon, print)
    quiet.threads()
    for error, frames in ((closed, 1), (closed, 0), (of_program, 1)):  # past the test's own, or not
        traceback = error.__traceback__
        for _ in range(frames):
            traceback = traceback.tb_next
        sys.excepthook(RuntimeError, error, traceback)
    assert told == [closed, of_program]
