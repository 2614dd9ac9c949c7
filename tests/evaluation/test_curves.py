"""Curves: trends by hand, the axes of cases, and what a figure of several seeds shows."""

import numpy as np
import pytest

from ntm_jax.evaluation import curves, palette

SMALL = {"sequences": 8.0, "loss_bits_per_sequence": 120.5, "bit_errors_per_sequence": 40.0}


def rows(bits, seconds=None):
    """Metrics with these costs, a row every 10 sequences."""
    return [
        {"sequences": 10.0 * at, "loss_bits_per_sequence": cost, "bit_errors_per_sequence": 1.0}
        | ({} if seconds is None else {"seconds": seconds * at})
        for at, cost in enumerate(bits, 1)
    ]


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def spread(median, best=None, worst=None):
    return {
        "median": median,
        "best": median if best is None else best,
        "worst": median if worst is None else worst,
    }


def summary(costs, runs=1, field="bits_per_sequence", **more):
    """A sweep's summary from `(name, difficulty, median)`."""
    cases = [
        {"name": name, "difficulty": difficulty, "bits_per_sequence": spread(50.0)}
        | {field: spread(median, median / 2, median * 2)}
        for name, difficulty, median in costs
    ]
    return {"runs": [f"seed_{seed}" for seed in range(runs)], "cases": cases, **more}


def test_one_run_s_curve_holds_all_of_its_points():
    measured = rows([120.5, 0.002])
    for figure in (
        curves.learning_of_run(measured),
        curves.learning_of_runs({"seed_0": measured, "b": measured}),
    ):
        (axes,) = figure.axes
        bottom, top = axes.get_ylim()
        assert bottom == 0
        assert top > 120.5
        assert axes.get_xlim()[0] < 10
        assert axes.get_xlim()[1] > 20
        assert len(legend(figure)) == 2


def test_a_legend_of_many_runs_would_hide_them():
    runs = {f"seed_{seed}": rows([5.0, 4.0]) for seed in range(30)}
    figure = curves.learning_of_runs(runs)
    assert len(figure.axes[0].lines) == 30
    assert not figure.legends


def test_one_point_can_be_drawn():
    assert curves.learning({"ntm-ff": [rows([5.0])]}).axes
    assert curves.learning_of_run([SMALL]).axes


def test_a_model_is_a_median_and_a_band_over_its_seeds_by_hand():
    """Three seeds with constant costs 1, 4 and 64: the line is at 4, the band from 1 to 64."""
    runs = [rows([cost] * 20, seconds=2.0) for cost in (64.0, 1.0, 4.0)]
    figure = curves.learning({"ntm-lstm": runs, "lstm": [rows([80.0] * 10, seconds=50.0)]})
    sequences, seconds = figure.axes
    assert (sequences.get_xlabel(), seconds.get_xlabel()) == ("sequences", "seconds of training")
    assert legend(figure) == ["ntm-lstm, 3 seeds", "lstm, 1 seed"]
    for axes, end in ((sequences, 200), (seconds, 40)):
        line = axes.lines[0]
        np.testing.assert_allclose(line.get_ydata(), 4)
        assert line.get_xdata()[-1] == end
        assert line.get_color() == palette.MODELS["ntm-lstm"]
        (band,) = axes.collections
        heights = band.get_paths()[0].vertices[:, 1]
        np.testing.assert_allclose((heights.min(), heights.max()), (1, 64))
    assert (sequences.get_xscale(), seconds.get_xscale()) == ("linear", "log")


def test_a_run_without_its_seconds_has_no_second_panel():
    assert len(curves.learning({"ntm-ff": [rows([5.0, 4.0])]}).axes) == 1


def test_curves_end_where_the_first_seed_ends():
    figure = curves.learning({"ntm-ff": [rows([5.0] * 10), rows([5.0] * 20)]})
    assert figure.axes[0].lines[0].get_xdata()[-1] == 100


def test_a_trend_has_no_spike_and_keeps_a_fall():
    costs = np.geomspace(100, 0.01, 400)
    spiky = costs.copy()
    spiky[[100, 250]] = 1e4
    trend = curves.trend(spiky)
    assert trend.max() < 105
    np.testing.assert_allclose(trend[20:-20], costs[20:-20], rtol=0.1)


def test_a_short_run_is_not_smoothed():
    np.testing.assert_allclose(curves.trend(np.array([3.0, 100.0, 1.0])), [3, 100, 1])


COPY = [(f"length_{n}", {"length": n}) for n in (10, 20, 120)]
REPEAT = [
    (f"length_{a}_repeats_{b}", {"length": a, "repeats": b})
    for a, b in ((5, 5), (10, 10), (20, 10), (15, 10), (10, 15))
]
SORT = [(f"items_{a}", {"items": a, "kept": b}) for a, b in ((10, 8), (20, 16))]
WORDS = [("any", {"part": "test"}), ("form_5x4", {"part": "test", "form": "5x4"})]


@pytest.mark.parametrize(
    ("cases", "found"),
    [
        (COPY, [("length", [10, 20, 120])]),
        (REPEAT, [("length (repeats 10)", [10, 15, 20]), ("repeats (length 10)", [10, 15])]),
        (SORT, [("items", [10, 20])]),
        (WORDS, []),
        ([*WORDS, ("first", {"part": "test", "position": 1})], []),
        ([("it", {})], []),
    ],
)
def test_the_axes_of_cases(cases, found):
    assert [(label, list(of.values())) for label, of in curves.panels(cases)] == found


def test_costs_stand_at_their_difficulty():
    seeds = {
        "ntm-ff": summary(
            [(*case, bits) for case, bits in zip(COPY, (0.001, 2, 64), strict=True)], 3
        ),
        "lstm": summary([(*COPY[0], 70.0)]),
    }
    figure = curves.generalisation(seeds, {"length": 20})
    (axes,) = figure.axes
    np.testing.assert_array_equal(axes.lines[0].get_xydata(), [(10, 0.001), (20, 2), (120, 64)])
    heights = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == (0.0005, 128)
    assert axes.lines[-1].get_xdata() == [20, 20]
    assert legend(figure) == ["ntm-ff, 3 seeds", "lstm, 1 seed", "most in training"]
    assert axes.get_yscale() == "symlog"
    assert "linear, below 0.01" in axes.get_ylabel()


def test_a_task_with_two_numbers_has_two_panels():
    figure = curves.generalisation({"ntm-ff": summary([(*case, 3.0) for case in REPEAT])})
    assert [axes.get_xlabel() for axes in figure.axes] == [
        *("length (repeats 10)", "repeats (length 10)")
    ]


def test_no_line_joins_cases_without_an_order():
    figure = curves.generalisation({"ntm-lstm": summary([(*case, 3.0) for case in WORDS])})
    (axes,) = figure.axes
    assert axes.lines[0].get_linestyle() == "None"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["any", "form 5x4"]


def test_n_grams_are_drawn_above_the_optimum():
    of = summary([(*case, 3.0) for case in COPY], field="gap_bits_per_sequence")
    (axes,) = curves.generalisation({"ntm-ff": of}).axes
    assert axes.get_ylabel() == "cost above the optimum (bits)"
    assert axes.lines[0].get_ydata().tolist() == [3, 3, 3]


def test_an_axis_without_small_costs_has_no_linear_part():
    of = summary([(*case, bits) for case, bits in zip(COPY, (1, 30, 900), strict=True)])
    (axes,) = curves.generalisation({"ntm-ff": of}).axes
    assert axes.get_yscale() == "log"
    assert "linear" not in axes.get_ylabel()
