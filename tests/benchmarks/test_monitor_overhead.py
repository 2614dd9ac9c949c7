"""The estimate of what the monitor costs: that it finds a cost which is there, through a machine's noise."""

import random
import re

import numpy as np
import pytest

from benchmarks import monitor_overhead
from benchmarks.monitor_overhead import KINDS
from tests.helpers.configs import quick_compile, tiny_overrides


def machine(cost, seed=0):
    """A block on a machine that is now fast and now slow, and sometimes does something else for a while."""
    noise = np.random.default_rng(seed)
    clock = iter(range(10**6))

    def block(kind):
        drift = 1 + 0.2 * np.sin(next(clock) / 50)
        hiccup = 2.0 if noise.random() < 0.05 else 1.0
        own = 1 + cost if kind == "watched" else 1.0
        return 0.001 * own * drift * hiccup * np.exp(noise.normal(0, 0.02))

    return block


def measured(cost, rounds=80, seed=0):
    return monitor_overhead.measure(machine(cost, seed), rounds, seed, lambda done: None)


@pytest.mark.parametrize("cost", [0.0, 0.05])
def test_a_cost_is_found(cost):
    found = [measured(cost, seed=seed) for seed in range(20)]
    estimates = [monitor_overhead.estimate(times["watched"], times["alone"]) for times in found]
    assert abs(np.mean([e.median for e in estimates]) - 1 - cost) < 0.003
    inside = [e.lower <= 1 + cost <= e.upper for e in estimates]
    assert np.mean(inside) >= 0.8
    floor = [monitor_overhead.estimate(times["alone again"], times["alone"]) for times in found]
    assert abs(np.mean([e.median for e in floor]) - 1) < 0.003
    assert all(e.upper - e.lower < 0.03 for e in [*estimates, *floor])


def test_an_interval_narrows_with_rounds():
    few, many = (
        monitor_overhead.estimate(*(measured(0.0, rounds)[kind] for kind in KINDS[:2]))
        for rounds in (20, 500)
    )
    assert many.upper - many.lower < 0.5 * (few.upper - few.lower)


def test_every_round_has_each_kind_in_an_order_of_its_own():
    kinds = []
    done = []
    times = monitor_overhead.measure(
        lambda kind: kinds.append(kind) or float(len(kinds)), 30, 1, done.append
    )
    rounds = [tuple(kinds[i : i + 3]) for i in range(0, 90, 3)]
    assert all(sorted(one) == sorted(KINDS) for one in rounds)
    assert len(set(rounds)) == 6
    assert done == list(range(1, 31))
    assert sorted(t for kind in KINDS for t in times[kind]) == [float(n) for n in range(1, 91)]


def test_the_summary_has_the_monitors_ratio_and_the_noises():
    lines = monitor_overhead.summary(measured(0.05)).split("\n")
    assert len(lines) == 3
    ratios = [re.search(r"alone: ([\d.]+), 95% interval [\d.]+ - [\d.]+", x) for x in lines[1:]]
    assert float(ratios[0][1]) > 1.03 > float(ratios[1][1])


@pytest.mark.slow
@pytest.mark.alone
def test_blocks_of_a_real_run(tmp_path_factory, monkeypatch, capsys):
    """The processes work in watched blocks, and stand still in the others."""
    from tests.helpers.browser import ROOT

    stopped = []
    kill = monitor_overhead.os.kill
    monkeypatch.setattr(
        monitor_overhead.os, "kill", lambda pid, how: (stopped.append(pid), kill(pid, how))
    )

    def states():
        """Of each of them, by what the system says: T is stopped."""
        lines = [monitor_overhead.Path(f"/proc/{pid}/stat").read_text() for pid in set(stopped)]
        return [line.rsplit(")", 1)[1].split()[0] for line in lines]

    overrides = [*tiny_overrides(), "train.log_every=50", "train.updates=10000000"]
    with (
        quick_compile(tmp_path_factory.getbasetemp()),
        monitor_overhead.blocks(
            str(ROOT / "configs" / "copy.py"), overrides, 0.3, warm_up=1.0
        ) as block,
    ):
        order = random.Random(0).sample(KINDS, 3)
        print("something")
        assert capsys.readouterr().out == "something\n"
        for kind in [*order, *KINDS]:
            assert 0 < block(kind) < 0.1
            assert {state == "T" for state in states()} == {kind != "watched"}
    assert len(set(stopped)) >= 2  # the server and who looks at it
    assert not [pid for pid in set(stopped) if monitor_overhead.Path(f"/proc/{pid}").exists()]
