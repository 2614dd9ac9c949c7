"""An abort by C++ is one line and an exit status, whatever the interpreter is doing; other deaths are what they were."""

import os
import signal
import subprocess
import sys
import time

import pytest

from ntm_jax.distributed.aborts import JOIN_STATUS, LOST_STATUS
from tests.helpers import ROOT

pytestmark = pytest.mark.skipif(os.name != "posix", reason="there are no such signals")

BEGIN = """
import ctypes, faulthandler, os, signal, sys, threading, time
from ntm_jax.distributed.aborts import AbortReport
library = ctypes.CDLL(None)

def abort_in_another_thread(seconds):
    # A thread that has not the interpreter's lock is interrupted by a signal whose handler is C's abort.
    library.signal.argtypes = [ctypes.c_int, ctypes.c_void_p]
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
    def other():
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGALRM])
        time.sleep(60)
    threading.Thread(target=other, daemon=True).start()
    time.sleep(0.2)
    library.signal(signal.SIGALRM, ctypes.cast(library.abort, ctypes.c_void_p))
    signal.setitimer(signal.ITIMER_REAL, seconds)

def hold_the_lock(seconds):
    ctypes.PyDLL(None).sleep(seconds)

report = AbortReport()
"""
PREPARED = BEGIN + 'report.prepare("gone", 3)\nos.write(2, b"a page of C++\\n")\n'


def run(code, **options):
    """Exit status and standard error of a program."""
    begun = time.monotonic()
    done = subprocess.run(
        # A shell starts what it runs in the background with Ctrl-C and Ctrl-\ ignored.
        ["env", "--default-signal=INT,QUIT", sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        **options,
    )
    print(f"{time.monotonic() - begun:.1f} s")
    return done.returncode, done.stderr


def assert_reported(found, status=LOST_STATUS, text="gone"):
    returncode, err = found
    assert returncode == status
    line = err.lstrip("\n").removesuffix("\n")
    start = f"ntm_jax: {text} (JAX's own words: "
    assert line.startswith(start), err
    assert "\n" not in line
    path = line.removeprefix(start).removesuffix(")")
    with open(path) as log:
        assert log.read().startswith("a page of C++\n")
    os.unlink(path)


def test_an_abort_is_reported_while_another_thread_holds_the_lock_for_long():
    """A handler in Python would wait for the lock; in a worse case for ever."""
    begun = time.monotonic()
    found = run(PREPARED + "abort_in_another_thread(0.3)\nhold_the_lock(40)")
    assert time.monotonic() - begun < 35
    assert_reported(found)


def test_an_abort_by_the_thread_that_holds_the_lock_is_reported():
    assert_reported(run(PREPARED + "ctypes.PyDLL(None).abort()"))


def test_an_abort_of_an_idle_interpreter_is_reported():
    assert_reported(run(PREPARED + "os.abort()"))


@pytest.mark.parametrize(("status", "bar"), [(JOIN_STATUS, False), (LOST_STATUS, True)])
def test_the_status_and_the_line_are_those_prepared_last(status, bar):
    code = (
        BEGIN
        + f"""
report.prepare("nobody came", {JOIN_STATUS})
report.prepare("lost", {LOST_STATUS})
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
report.prepare("last", {status}, beside_a_bar={bar})
os.write(2, b"a page of C++\\n")
os.abort()"""
    )
    found = run(code)
    assert found[1].startswith("\n") == bar
    assert_reported(found, status, "last")


def test_a_process_that_handles_the_signal_itself_is_told_whose_it_is():
    """While processes join, the signal may be Ctrl-C as well."""
    code = (
        BEGIN
        + f"""
assert not report.has_reported()
report.prepare("nobody came", {JOIN_STATUS})
assert not report.has_reported()
came = threading.Event()
signal.signal(signal.SIGINT, lambda *_: came.set())
os.write(2, b"a page of C++\\n")
abort_in_another_thread(0.1)
came.wait(5)
assert report.has_reported()
os._exit({JOIN_STATUS})"""
    )
    assert_reported(run(code), JOIN_STATUS, "nobody came")


def test_what_the_process_says_itself_is_not_said_twice():
    """The aborting thread waits; the process ends as it wants to."""
    code = (
        PREPARED
        + """
report.silence()
abort_in_another_thread(0.1)
time.sleep(1)
report.remove_log()
os._exit(7)"""
    )
    assert run(code) == (7, "")


def test_without_the_watchdog_the_process_ends_by_the_signal():
    code = (
        PREPARED
        + "report._watchdog.kill()\nreport._watchdog.wait()\nreport.remove_log()\nos.abort()"
    )
    assert run(code) == (-signal.SIGABRT, "")


def test_after_it_is_dropped_an_abort_is_an_abort():
    code = PREPARED + "report.drop()\nfaulthandler.enable(2)\nos.abort()"
    status, err = run(code)
    assert status == -signal.SIGABRT
    assert err.startswith("Fatal Python error: Aborted")


def test_a_normal_end_says_nothing_and_leaves_no_process():
    code = (
        PREPARED
        + """
dog = report._watchdog.pid
report.drop()
assert signal.getsignal(signal.SIGQUIT) == signal.SIG_DFL
assert not os.path.exists(f"/proc/{dog}")
print("still here", file=sys.stderr)
os.write(2, b"and C++\\n")"""
    )
    status, err = run(code)
    assert err == "still here\nand C++\n"  # first, for it says what is wrong
    assert status == 0


def test_a_process_that_is_killed_leaves_no_watchdog():
    """Whoever waits for the end of standard error does not wait for it."""
    code = PREPARED + "report.remove_log()\nos.kill(os.getpid(), signal.SIGKILL)"
    assert run(code) == (-signal.SIGKILL, "")


def test_another_fatal_error_is_printed_as_it_is():
    status, err = run(PREPARED + "report.remove_log()\nfaulthandler._sigsegv()")
    assert status == -signal.SIGSEGV
    assert "Fatal Python error: Segmentation fault" in err
    assert "gone" not in err
