"""The benchmark of the kernel counts what it says, and shows what was measured."""

from types import SimpleNamespace as Named

import pytest

from benchmarks import sequence_kernel
from ntm_jax import UserError
from ntm_jax.models import engine
from ntm_jax.training.trainer import Trainer

ROW = {
    "setting": "copy ntm-ff",
    "batch_size": 16,
    "plain": {"sequences_per_second": 3000.4, "launches_per_update": None},
    "scan": {
        "sequences_per_second": 5460.0,
        "launches_per_update": 2050.0,
        "share_of_products": 0.0001,
        "share_of_copies": 0.002,
    },
    "kernel": {
        "sequences_per_second": 22700.0,
        "launches_per_update": 31.0,
        "share_of_products": 0.00042,
        "share_of_copies": 0.01,
        "times_the_scan": [4.0, 4.16, 4.2],
    },
}


def test_launches_are_the_events_of_a_gpus_streams():
    def plane(name, **lines):
        return Named(
            name=name,
            lines=[Named(name=line.replace("_", " "), events=[0] * n) for line, n in lines.items()],
        )

    host = plane("/host:CPU", Stream_1=7)
    gpu = plane("/device:GPU:0", Stream_13=5, Stream_14=2, XLA_Ops=9)
    assert sequence_kernel.launches([host, gpu]) == 7
    assert sequence_kernel.launches([host]) is None


def test_a_line_of_the_table():
    shown = "copy ntm-ff 16 3,000 5,460 22,700 - 4.16 (4.00 - 4.20) - 0.04% 1.00% - / 2050 / 31 / -"
    assert " ".join(sequence_kernel.line(ROW).split()) == shown
    without = {name: value for name, value in ROW.items() if name != "kernel"}
    shown = "copy ntm-ff 16 3,000 5,460 - - - - 0.01% 0.20% - / 2050 / - / -"
    assert " ".join(sequence_kernel.line(without).split()) == shown


def test_shares_of_the_devices_rates():
    """By hand: 41 steps of 128 rows of 20 words, each a float that is stored and loaded."""
    trainer = Trainer(sequence_kernel.config_of("copy ntm-ff", 2, "scan"))
    rates = sequence_kernel.Rates(flops=1e9, bytes=1e9)
    shares = rates.shares(trainer, seconds=0.5)
    assert shares["share_of_copies"] == pytest.approx(2 * 41 * 128 * 20 * 8 / 0.5 / 1e9)
    flops = sequence_kernel.training_speed.flops_per_step(trainer.config, 9, 8)
    assert shares["share_of_products"] == pytest.approx(2 * 41 * flops / 0.5 / 1e9)


def test_every_setting_fits_the_kernels():
    """Else the benchmark would time the scan twice."""
    for name in sequence_kernel.SETTINGS:
        trainer = Trainer(sequence_kernel.config_of(name, 4, "kernel"))
        cell = trainer.model(trainer.initial_state())
        assert cell.engine == "kernel"
        for which in sequence_kernel.KERNELS:
            assert engine.why_not(cell, which, resets=False) is None, name


def test_a_wrong_kernel_is_not_timed(monkeypatch):
    monkeypatch.setattr(sequence_kernel, "difference", lambda *_: float("nan"))
    monkeypatch.setattr(sequence_kernel.jax, "default_backend", lambda: "gpu")
    with pytest.raises(UserError, match="gradient is wrong on this device: copy ntm-ff, kernel"):
        sequence_kernel.benchmark(["copy ntm-ff"], [1], 1, 0.1, None)


@pytest.mark.slow
def test_the_program_on_this_device(tmp_path, capsys):
    out = tmp_path / "rows.json"
    arguments = ["--only", "copy ntm-ff", "--batches", "1", "--rounds", "1", "--seconds", "0.1"]
    sequence_kernel.run([*arguments, "--out", str(out)])
    assert "copy ntm-ff" in capsys.readouterr().out
    assert '"share_of_copies"' in out.read_text()
