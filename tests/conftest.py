"""Strictness for every test, and what several of them share."""

import gc
import logging
import os
import sys
import threading
from pathlib import Path

import jax
import pytest

from ntm_jax import cli
from tests.helpers.compiling import QUICK

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

ORACLE_FOLDER = Path(__file__).parents[2] / "shared" / "data" / "seed"

QUICK_XLA = " ".join(f"--{name}={str(value).lower()}" for name, value in QUICK.items())


def pytest_configure(config):
    """Compiles quickly where the slow tests are left out, also in processes that tests start.

    The slow ones run what users run: they learn, measure times, or repeat recorded numbers.
    """
    # The first of several processes would take three quarters of a GPU's memory.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    if "not slow" not in config.option.markexpr:
        return
    os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"
    jax.config.update("jax_disable_most_optimizations", True)
    flags = os.environ.get("XLA_FLAGS", "")
    if QUICK_XLA not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {QUICK_XLA}".strip()


@pytest.fixture(autouse=True)
def hooks():
    """A program's are for its process, which here is the tests'."""
    before = threading.excepthook, sys.excepthook, sys.unraisablehook
    loggers = [logging.getLogger(name) for name in ("absl", "asyncio")]
    logging_before = [(logger.level, logger.filters[:]) for logger in loggers]
    numbers = {name: jax.config.values[name] for name in cli.NUMBERS}
    environment = {name: os.environ.get(name.upper()) for name in cli.NUMBERS}
    yield
    for name, value in numbers.items():
        jax.config.update(name, value)
        os.environ.pop(name.upper(), None)
        if environment[name] is not None:
            os.environ[name.upper()] = environment[name]
    threading.excepthook, sys.excepthook, sys.unraisablehook = before
    for logger, (level, filters) in zip(loggers, logging_before, strict=True):
        logger.setLevel(level)
        logger.filters[:] = filters


@pytest.fixture(autouse=True, scope="module")
def few_executables():
    """Leaves none behind: each has maps of memory, of which a process of Linux may have 65,530; then XLA crashes."""
    yield
    jax.clear_caches()
    gc.collect()


@pytest.fixture
def float64():
    """JAX with float64 for one test."""
    with jax.enable_x64(True):
        yield


@pytest.fixture
def quick_compile():
    """Few of the compiler's optimisations for one test, where compiling takes longer than running."""
    before = jax.config.values["jax_disable_most_optimizations"]
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


@pytest.fixture
def oracle_folder() -> Path:
    """Recorded episodes of the Go implementation, which are not part of this repository."""
    folder = Path(os.environ.get("NTM_JAX_ORACLE", ORACLE_FOLDER))
    if not folder.is_dir():
        pytest.skip(f"no recorded episodes of the Go implementation in {folder}")
    return folder
