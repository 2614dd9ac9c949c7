"""The benchmark of the kernel counts what it says, and shows what was measured."""

from types import SimpleNamespace as Named

import pytest

from benchmarks import sequence_kernel
from ntm_jax import UserError

ROW = {
    "setting": "copy ntm-ff",
    "batch_size": 16,
    "plain": {"sequences_per_second": 3000.4, "launches_per_update": None},
    "scan": {"sequences_per_second": 5460.0, "launches_per_update": 2050.0},
    "kernel": {
        "sequences_per_second": 22700.0,
        "launches_per_update": 31.0,
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
    shown = "copy ntm-ff 16 3,000 5,460 22,700 - 4.16 (4.00 - 4.20) - - / 2050 / 31 / -"
    assert " ".join(sequence_kernel.line(ROW).split()) == shown
    without = {name: value for name, value in ROW.items() if name != "kernel"}
    shown = "copy ntm-ff 16 3,000 5,460 - - - - - / 2050 / - / -"
    assert " ".join(sequence_kernel.line(without).split()) == shown


def test_every_setting_fits_the_kernels():
    """Else the benchmark would time the scan twice."""
    from ntm_jax.models import engine
    from ntm_jax.training.trainer import Trainer

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
    assert '"launches_per_update"' in out.read_text()
