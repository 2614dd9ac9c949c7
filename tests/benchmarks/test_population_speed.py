"""The benchmark of populations counts what it says."""

import pytest

from benchmarks import population_speed
from ntm_jax.errors import UserError


def test_updates_and_sequences_counted_by_hand(monkeypatch):
    """One alone takes 1 s an update, 4 together take 2 s: twice as many, in batches of 8."""
    clock = [0.0]

    def path(seconds):
        def run(updates):
            clock[0] += updates * seconds

        return run

    monkeypatch.setattr(population_speed.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(population_speed, "alone", lambda config: path(1.0))
    monkeypatch.setattr(population_speed, "together", lambda config, runs: path(2.0))
    alone, four = population_speed.measure("copy ntm-ff", ["train.batch_size=8"], [4], 3, 60.0)
    assert (alone["runs"], alone["updates_per_second"], alone["sequences_per_second"]) == (0, 1, 8)
    assert alone["times_alone"] == 1
    assert (four["updates_per_second"], four["sequences_per_second"]) == (0.5, 16)
    assert four["times_alone"] == four["times_alone_least"] == four["times_alone_most"] == 2
    assert "2.00 (2.00 - 2.00)" in population_speed.line(four)


def test_numbers_that_cannot_be():
    with pytest.raises(UserError, match="--sizes"):
        population_speed.run(["--sizes", "0"])
    with pytest.raises(UserError, match="no such field"):
        population_speed.run(["--only", "copy ntm-ff", "--config.no.such=1"])
