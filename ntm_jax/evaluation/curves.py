"""Draws costs: against training, and against the difficulty of the evaluation's cases."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from ntm_jax.evaluation import canvas, palette
from ntm_jax.evaluation.canvas import Axes, EngFormatter, Figure, StrMethodFormatter

Rows: TypeAlias = Sequence[Mapping[str, float]]
BITS, WRONG = "loss_bits_per_sequence", "bit_errors_per_sequence"
LINEAR_BELOW = 0.01  # bits
SMOOTHED = 0.05  # share of a run over which the trend is taken
MOST_NAMED = 20  # runs in a legend
GRID = 300  # points of a trend
PLAIN = StrMethodFormatter("{x:,g}")  # exponents would be too small to read
MORE_THAN = 4  # times as long: then the longest run would hide the others on a linear axis


def learning(of_models: Mapping[str, Sequence[Rows]]) -> Figure:
    """Draws the cost per sequence during training, against sequences and against seconds.

    Each line is the median over a model's seeds, its band from the best to the worst. Costs are smoothed by
    `trend`. The second panel is left out if no run has its seconds.

    Args:
      of_models: by name, such as `ntm-ff`, the rows of metrics of every seed.
    """
    timed = any(_points(rows, "seconds")[0].size for runs in of_models.values() for rows in runs)
    names = ["sequences", "seconds"] if timed else ["sequences"]
    with canvas.styled():
        figure = canvas.figure(canvas.PAGE if timed else canvas.COLUMN, 2.5)
        for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
            ends = []
            for model, runs in of_models.items():
                colour = palette.of_model(model)
                x, trends = _trends(runs, name)
                if not len(x):
                    continue
                ends.append(x[-1])
                label = f"{model}, {_seeds(len(trends))}"
                axes.plot(x, np.median(trends, axis=0), color=colour, label=label)
                if len(trends) > 1:
                    low, high = trends.min(axis=0), trends.max(axis=0)
                    axes.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)
            if name == "sequences":
                _sequences_axis(axes)
            else:
                axes.set_xlabel("seconds of training")
            if max(ends) > MORE_THAN * min(ends):
                axes.set_xscale("log")
                axes.xaxis.set_major_formatter(PLAIN)
        _cost_axes(figure.axes, "cost per sequence (bits)")
        _legend(figure)
    return figure


def trend(values: np.ndarray) -> np.ndarray:
    """Returns a running median, then a running geometric mean, each over `SMOOTHED` of the costs `[n]`.

    The median removes spikes, the mean the steps that it leaves. At the ends, the window is cut off.
    """
    reach = int(len(values) * SMOOTHED / 2)

    def running(centre: Callable[[np.ndarray], np.floating], of: np.ndarray) -> np.ndarray:
        windows = [of[max(0, at - reach) : at + reach + 1] for at in range(len(of))]
        return np.array([centre(window) for window in windows])

    medians = np.maximum(running(np.median, values), np.finfo(np.float32).tiny)
    return np.exp(running(np.mean, np.log(medians)))


def _points(rows: Rows, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns where a run's costs are known, `[n]`, and the costs `[n]`."""
    x = np.array([row.get(name, np.nan) for row in rows])
    bits = np.array([row[BITS] for row in rows])
    there = np.isfinite(x) & np.isfinite(bits)
    return x[there], bits[there]


def _trends(runs: Sequence[Rows], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns places `[GRID]`, as far as every run goes, and the runs' trends there, `[runs, GRID]`."""
    points = [found for found in (_points(rows, name) for rows in runs) if found[0].size]
    if not points:
        return np.empty(0), np.empty((0, 0))
    grid = np.linspace(max(x[0] for x, _ in points), min(x[-1] for x, _ in points), GRID)
    return grid, np.array([np.interp(grid, x, trend(bits)) for x, bits in points])


def learning_of_run(rows: Rows) -> Figure:
    """Draws cost and wrong bits per sequence against sequences seen, from the rows of a run's metrics."""
    with canvas.styled():
        figure = canvas.figure(canvas.COLUMN, 2.2)
        axes = figure.subplots()
        for name, label, colour in (
            (BITS, "cost (bits)", palette.INK),
            (WRONG, "wrong bits", palette.WRITE),
        ):
            sequences = [row["sequences"] for row in rows]
            axes.plot(sequences, [row[name] for row in rows], label=label, color=colour)
        _sequences_axis(axes)
        _cost_axes([axes], "per sequence")
        _legend(figure)
    return figure


def learning_of_runs(of_runs: Mapping[str, Rows]) -> Figure:
    """Draws the cost per sequence of several runs, one line each, from their metrics."""
    with canvas.styled():
        figure = canvas.figure(canvas.PAGE, 3.2)
        axes = figure.subplots()
        for (name, rows), shade in zip(of_runs.items(), canvas.shades(len(of_runs)), strict=True):
            sequences = [row["sequences"] for row in rows]
            bits = [row[BITS] for row in rows]
            axes.plot(sequences, bits, label=name.replace("_", " "), color=shade)
        _sequences_axis(axes)
        _cost_axes([axes], "cost per sequence (bits)")
        if len(of_runs) <= MOST_NAMED:
            _legend(figure)
    return figure


def generalisation(
    seeds: Mapping[str, Mapping[str, Any]], trained: Mapping[str, float] | None = None
) -> Figure:
    """Draws the cost per sequence by case, median and range over seeds, from each model's sweep summary.

    There is a panel for each number of the cases' difficulty that varies while the others stay; see `panels`. Cases
    that no number orders are points with names, and no line joins them. For tasks with a best predictor, the cost is
    what is above it.

    Args:
      seeds: by model, what `seeds.json` holds.
      trained: the greatest value of each number in training, which a dotted line marks.
    """
    every = next(iter(seeds.values()))["cases"]
    found = panels([(case["name"], case.get("difficulty", {})) for case in every])
    above = any("gap_bits_per_sequence" in case for case in every)
    label = "cost above the optimum (bits)" if above else "cost per sequence (bits)"
    with canvas.styled():
        figure = canvas.figure(canvas.COLUMN if len(found) < 2 else canvas.PAGE, 2.5)
        grid = figure.subplots(1, max(1, len(found)), sharey=True, squeeze=False)[0]
        for model, summary in seeds.items():
            by_name = {case["name"]: case for case in summary["cases"]}
            name = f"{model}, {_seeds(len(summary['runs']))}"
            for axes, (_, places) in zip(grid, found or [("", _names(every))], strict=True):
                _draw_model(axes, places, by_name, model, name, joined=bool(found))
        _cost_axes(list(grid), label)
        for axes, (xlabel, _) in zip(grid, found or [("", {})], strict=True):
            axes.set_xlabel(xlabel)
            axes.xaxis.get_major_locator().set_params(integer=True)
            edge = (trained or {}).get(xlabel.split(" (")[0])
            if edge is not None:
                axes.axvline(edge, color=palette.GREY, linestyle=":", label="most in training")
        if not found:
            names = [case["name"].replace("_", " ") for case in every]
            grid[0].set_xticks(range(len(names)), names, rotation=45, ha="right")
        _legend(figure)
    return figure


def _names(cases: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    return {case["name"]: float(place) for place, case in enumerate(cases)}


def _draw_model(
    axes: Axes,
    places: Mapping[str, float],
    cases: Mapping[str, Mapping[str, Any]],
    model: str,
    label: str,
    joined: bool,
) -> None:
    """Draws a model's median and range over seeds at the places of the cases, by name."""
    shown = [name for name in places if name in cases]
    x = [places[name] for name in shown]
    bits = [
        cases[name].get("gap_bits_per_sequence", cases[name]["bits_per_sequence"]) for name in shown
    ]
    median, best, worst = ([one[of] for one in bits] for of in ("median", "best", "worst"))
    colour = palette.of_model(model)
    axes.plot(x, median, "o-" if joined else "o", markersize=3, color=colour, label=label)
    if joined:
        axes.fill_between(x, best, worst, color=colour, alpha=0.2, linewidth=0)
    else:
        axes.vlines(x, best, worst, color=colour, alpha=0.4)


def panels(cases: Sequence[tuple[str, Mapping[str, Any]]]) -> list[tuple[str, dict[str, float]]]:
    """Finds the axes along which cases can be drawn: a label, and the place of each case by name.

    A number is an axis where several cases differ in it alone: repeat copy has one of lengths at 10 repeats, and one
    of repeats at length 10. If numbers only vary together, as the items and the kept items of priority sort do,
    the first of them is the axis.

    Args:
      cases: the name and difficulty of each.

    Returns:
      No axis if nothing but words differs.
    """
    numbers = [
        name
        for name in dict.fromkeys(name for _, difficulty in cases for name in difficulty)
        if len({difficulty.get(name) for _, difficulty in cases}) > 1
        and all(isinstance(difficulty.get(name), int | float) for _, difficulty in cases)
    ]
    result = []
    for number in numbers:
        groups: dict[tuple[Any, ...], dict[str, float]] = {}
        for name, difficulty in cases:
            others = tuple(item for item in difficulty.items() if item[0] != number)
            groups.setdefault(others, {})[name] = float(difficulty[number])
        others, places = max(groups.items(), key=lambda group: len(group[1]))
        if len(places) > 1:
            fixed = ", ".join(f"{name} {value}" for name, value in others if name in numbers)
            result.append((f"{number} ({fixed})" if fixed else number, places))
    if numbers and not result:
        result = [(numbers[0], {name: float(of[numbers[0]]) for name, of in cases})]
    return [(label, dict(sorted(of.items(), key=lambda item: item[1]))) for label, of in result]


def _seeds(count: int) -> str:
    return f"{count} seed{'s' * (count != 1)}"


def _cost_axes(every: Sequence[Axes], label: str) -> None:
    """Gives axes of costs, drawn already, one scale: linear within a decade, otherwise logarithmic.

    Below `LINEAR_BELOW`, a logarithmic axis is linear down to 0. That part is shaded, and the label says so.
    """
    low = min(axes.dataLim.ymin for axes in every)
    high = max(axes.dataLim.ymax for axes in every)
    for axes in every:
        axes.grid(alpha=0.3)
        if low > 0.1 * high:
            continue
        if low > LINEAR_BELOW:
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter(PLAIN)
            continue
        axes.set_yscale("symlog", linthresh=LINEAR_BELOW)
        axes.yaxis.set_major_formatter(PLAIN)
        axes.set_ylim(0, 2 * high)
        axes.axhspan(0, LINEAR_BELOW, color="0.94", zorder=0, linewidth=0)
    shaded = f"\nshaded: linear, below {LINEAR_BELOW}" if low <= LINEAR_BELOW else ""
    every[0].set_ylabel(label + (shaded if low <= 0.1 * high else ""))


def _legend(figure: Figure) -> None:
    """Writes the legend of the first axes above all of them, where it hides nothing."""
    handles, labels = figure.axes[0].get_legend_handles_labels()
    columns = 4 if figure.get_figwidth() > canvas.COLUMN else 2
    figure.legend(handles, labels, loc="outside upper center", ncols=columns, frameon=False)


def _sequences_axis(axes: Axes) -> None:
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.set_xlabel("sequences")
