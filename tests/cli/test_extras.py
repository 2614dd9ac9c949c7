"""What is not installed is one line that names the extra."""

import sys

import pytest

import ntm_jax
from ntm_jax import main
from ntm_jax.acrostic import message, readings
from ntm_jax.errors import UserError, needs
from ntm_jax.training import loop
from tests.helpers.configs import tiny


def without(monkeypatch, *names):
    for name in names:
        monkeypatch.setitem(sys.modules, name, None)


def forget_the_pages(monkeypatch):
    """Let the next import of `ntm_jax.web` read its files again, whatever earlier tests imported."""
    for name in [*sys.modules]:
        if name.split(".")[:2] == ["ntm_jax", "web"]:
            monkeypatch.delitem(sys.modules, name)
    # An import sets this too; setting it here has it set back after the test.
    monkeypatch.setattr(ntm_jax, "web", None, raising=False)


def test_an_import_of_others_names_the_extra(monkeypatch):
    without(monkeypatch, "opencc")
    with (
        pytest.raises(UserError, match=r"opencc is not installed; .*ntm_jax\[acrostic\]"),
        needs("acrostic"),
    ):
        import opencc  # noqa: F401


def test_an_import_of_ours_that_is_missing_is_a_fault():
    with pytest.raises(ModuleNotFoundError), needs("web"):
        import ntm_jax.nothing  # noqa: F401


def test_acrostics(monkeypatch):
    without(monkeypatch, "opencc", "ToJyutping")
    message._converter.cache_clear()  # what was imported before this test
    with pytest.raises(UserError, match=r"opencc .*\[acrostic\]"):
        message.read("红", "紅", 8)
    readings.reading.cache_clear()
    with pytest.raises(UserError, match=r"ToJyutping .*\[acrostic\]"):
        readings.reading("紅")


def test_the_viewer(monkeypatch):
    forget_the_pages(monkeypatch)
    without(monkeypatch, "starlette", "starlette.applications", "uvicorn")
    with pytest.raises(UserError, match=r"not installed; .*ntm_jax\[web\]"):
        main.run(["--mode", "serve"])


def test_the_monitor_before_anything_is_written(monkeypatch, tmp_path):
    forget_the_pages(monkeypatch)
    without(monkeypatch, "uvicorn")
    from ntm_jax.web.monitor.run_monitor import RunMonitor

    config = tiny(monitor__port=0)
    with pytest.raises(UserError, match=r"uvicorn is not installed; .*ntm_jax\[web\]"):
        loop.train(config, tmp_path / "run", [RunMonitor()])
    assert not (tmp_path / "run").exists()
