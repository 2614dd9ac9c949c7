"""Which engine computes a sequence, and what is said about it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from ntm_jax import UserError
from ntm_jax.models import engine
from ntm_jax.models.cell import NTMCell
from ntm_jax.models.unrolling import unroll


def make(**options):
    return NTMCell(3, 2, memory_size=4, word_size=2, controller_size=3, **options, rngs=nnx.Rngs(0))


@pytest.fixture(autouse=True)
def nothing_said():
    engine._say_once.cache_clear()


@pytest.fixture
def on_a_cpu(monkeypatch):
    monkeypatch.setattr(engine.jax, "default_backend", lambda: "cpu")


@pytest.fixture
def on_a_gpu(monkeypatch):
    """Lets the engine find a GPU; nothing runs on it."""

    class Device:
        device_kind = "NVIDIA H200"

    monkeypatch.setattr(engine.jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(engine.jax, "devices", lambda: [Device()])


def uses(cell, steps=5, batch=2, resets=False):
    return engine.choose(cell, steps, batch, resets) != "scan"


def test_auto_is_the_scan_on_a_cpu(on_a_cpu, monkeypatch):
    monkeypatch.setattr(engine, "SHOWN_TO_WORK", frozenset({jax.devices()[0].device_kind}))
    assert not uses(make())
    assert engine.choose(make(engine="kernel"), 5, 2, False) == "kernel"
    assert engine.choose(make(engine="step_kernel"), 5, 2, False) == "step_kernel"
    assert not uses(make(engine="scan"))


def test_auto_is_the_kernel_on_devices_where_it_was_shown_to_work(on_a_gpu, monkeypatch, caplog):
    assert uses(make())
    assert not uses(make(engine="scan"))
    monkeypatch.setattr(engine, "SHOWN_TO_WORK", frozenset({"another"}))
    assert not uses(make())
    assert not caplog.records


def test_auto_is_the_scan_for_large_batches_of_an_lstm(on_a_gpu):
    assert uses(make(controller="lstm"), batch=512)
    assert not uses(make(controller="lstm"), batch=1024)
    assert uses(make(controller="lstm", engine="kernel"), batch=1024)
    assert uses(make(), batch=4096)


class Own(NTMCell):
    def advance(self, state, inputs):
        return super().advance(state, inputs)


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        (lambda: make(compute="bfloat16"), "model.compute is not float32"),
        (lambda: make(param_dtype=jnp.bfloat16), "parameters are bfloat16"),
        (lambda: make(read_heads=9, write_heads=8), "weightings 17, at most 16"),
        (lambda: make(shift_range=9), "moves of a shift 19, at most 17"),
        (lambda: Own(3, 2, engine="kernel", rngs=nnx.Rngs(0)), "Own overrides a part of the step"),
        (
            lambda: NTMCell(3, 2, memory_size=300, engine="kernel", rngs=nnx.Rngs(0)),
            "padded memory_size * word_size 16384, at most 8192",
        ),
    ],
)
def test_what_does_not_fit_is_said_once(cell, reason, caplog):
    cell = cell()
    cell.engine = "kernel"
    assert not uses(cell)
    assert not uses(cell)
    (record,) = caplog.records
    assert record.message.startswith("model.engine: kernel cannot compute this")
    assert reason in record.message


def test_a_large_controller_fits_the_kernel_of_a_step(caplog):
    options = {"memory_size": 4, "word_size": 2, "controller_size": 2000, "rngs": nnx.Rngs(0)}
    assert uses(NTMCell(3, 2, engine="step_kernel", **options))
    assert not uses(NTMCell(3, 2, engine="kernel", **options))
    assert "padded controller_size 2048, at most 1024" in caplog.text


def test_resets_are_scanned(caplog):
    cell = make(engine="kernel")
    assert not uses(cell, resets=True)
    assert "sequences begin within the batch" in caplog.text


def test_nothing_is_said_of_an_empty_batch(caplog):
    assert not uses(make(engine="kernel"), batch=0)
    assert not uses(make(engine="kernel"), steps=0)
    assert not caplog.records


def test_a_jax_without_the_backend(monkeypatch, caplog):
    monkeypatch.setattr(engine, "BACKEND", "jax.experimental.pallas.no_such")
    assert not uses(make(engine="kernel"))
    assert "has no jax.experimental.pallas.no_such" in caplog.text


def test_a_cell_that_does_not_fit_gives_the_numbers_of_the_scan():
    x = jnp.ones((3, 2, 3))
    kernel, scan = (unroll(make(shift_range=9, engine=name), x)[0] for name in ("kernel", "scan"))
    np.testing.assert_array_equal(kernel, scan)


def test_an_interpreted_kernel_is_mentioned(on_a_cpu, caplog):
    uses(make(engine="kernel"))
    assert caplog.messages == [
        "model.engine: without a GPU the kernel is interpreted, which is slow"
    ]


def test_an_unknown_engine():
    with pytest.raises(UserError, match=r"model.engine: 'cuda' is unknown; choose one of"):
        make(engine="cuda")
