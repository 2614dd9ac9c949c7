"""The learning curves of a sweep's seeds, kept small."""

import itertools

import pytest

from ntm_jax.evaluation import seed_curves
from tests.helpers.runs import refused


def rows(count, cost=lambda update: 1.0):
    return [
        {
            "update": float(10 * at),
            "sequences": 80.0 * at,
            "seconds": 0.5 * at,
            "loss_bits_per_sequence": cost(at),
        }
        for at in range(1, count + 1)
    ]


@pytest.mark.parametrize("count", [0, 1, 199, 200, 201, 1234])
def test_a_curve_is_thinned_evenly_and_keeps_its_end(count):
    whole = rows(count)
    found = seed_curves.thinned(whole)
    assert len(found) == min(count, 200)
    assert found[-1:] == whole[-1:]
    steps = {b["update"] - a["update"] for a, b in itertools.pairwise(found)}
    assert max(steps, default=0) - min(steps, default=0) <= 10


def test_a_thinned_cost_is_the_median_of_its_stretch():
    spiky = rows(6, lambda at: 900.0 if at == 2 else float(at))
    assert [row["loss_bits_per_sequence"] for row in seed_curves.thinned(spiky, 2)] == [3, 5]


def test_curves_are_read_as_they_were_written(tmp_path):
    runs = {"seed_0": rows(3, lambda at: 1 / at), "seed_7": rows(2)}
    (tmp_path / seed_curves.NAME).write_text(seed_curves.text(runs))
    found = seed_curves.read(tmp_path)
    assert [len(run) for run in found] == [3, 2]
    for run, written in zip(found, runs.values(), strict=True):
        for row, before in zip(run, written, strict=True):
            assert row == pytest.approx(before, rel=1e-5)


def test_a_run_that_was_shipped_without_has_its_own_metrics(tmp_path):
    (tmp_path / "metrics.csv").write_text("update,loss_bits_per_sequence\n5,90.0\n")
    assert seed_curves.read(tmp_path) == [[{"update": 5.0, "loss_bits_per_sequence": 90.0}]]


@pytest.mark.parametrize(
    "text", ["run,update\na,1\n", "x\n", seed_curves.text({"a": rows(2)})[:-9]]
)
def test_a_damaged_file_is_one_clear_line(tmp_path, text):
    (tmp_path / seed_curves.NAME).write_text(text + "seed_0,1,,")
    assert "is damaged" in refused(tmp_path, seed_curves.read, tmp_path)
