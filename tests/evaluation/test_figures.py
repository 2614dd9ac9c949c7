"""Figures show all of what they are given."""

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from ntm_jax.evaluation import figures
from ntm_jax.evaluation.episode import Episode

ROWS = [
    {"sequences": 8.0, "loss_bits_per_sequence": 120.5, "bit_errors_per_sequence": 40.0},
    {"sequences": 16.0, "loss_bits_per_sequence": 0.002, "bit_errors_per_sequence": 0.0},
]


def size_of(path):
    with Image.open(path) as picture:
        return picture.size


def test_a_learning_curve_holds_all_of_its_points():
    several = figures.learning_curves({"seed_0": ROWS, "b": ROWS})
    for figure in (figures.learning_curve(ROWS), several):
        (axes,) = figure.axes
        bottom, top = axes.get_ylim()
        assert bottom == 0
        assert top > 120.5
        assert axes.get_xlim()[0] < 8
        assert axes.get_xlim()[1] > 16
        assert axes.get_legend() is not None


def test_an_episode_has_a_panel_for_every_head():
    steps, heads = 6, 2
    weightings = np.full((steps, heads, 5), 0.2)
    figure = figures.episode(
        "an episode",
        Episode(
            inputs=np.ones((steps, 3)),
            targets=np.ones((steps, 2)),
            mask=np.array([0, 0, 0, 1, 1, 1]),
            probabilities=np.full((steps, 2), 0.25),
            read_weightings=weightings,
            write_weightings=weightings[:, :1],
        ),
    )
    titles = [axes.get_title(loc="left") for axes in figure.axes if axes.images]
    assert titles == [
        *("input", "target", "prediction", "error", "write weighting"),
        *("read weighting, head 1", "read weighting, head 2"),
    ]
    prediction, error = (figure.axes[i].images[0].get_array() for i in (2, 3))
    assert prediction.mask[:, :3].all()  # not scored, not shown
    np.testing.assert_allclose(prediction[:, 3:], 0.25)
    np.testing.assert_allclose(error[:, 3:], 0.75)


def test_a_walk_has_what_goes_in_on_the_left_and_what_comes_out_on_the_right():
    steps, rows = 6, np.array([9, 0, 1])
    figure = figures.memory_walk(
        "copy",
        inputs=np.ones((steps, 3)),
        adds=np.full((steps, 4), -2.0),
        write_weightings=np.full((steps, 3), 0.2),
        outputs=np.full((steps, 2), np.nan),
        reads=np.zeros((steps, 4)),
        read_weightings=np.full((steps, 3), 0.3),
        rows=rows,
    )
    panels = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title(loc="left") for axes in panels] == [
        *("input", "output", "added", "read", "write weighting", "read weighting"),
    ]
    for axes in panels[-2:]:
        assert [label.get_text() for label in axes.get_yticklabels()] == ["9", "0", "1"]
        assert axes.get_xlabel() == "step"
    assert panels[2].images[0].get_clim() == (-2, 2)  # zero is in the middle
    np.testing.assert_allclose(panels[5].images[0].get_array(), 0.3)


def test_contexts_are_named_by_their_bits():
    panel = {
        "contexts": np.array([6, 1]),
        "rows": np.arange(20),
        "reads": np.full((2, 20), 0.1),
        "writes": np.full((2, 20), 0.4),
    }
    figure = figures.memory_by_context("ngram", {"one": panel, "all": panel}, 3)
    panels = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title(loc="left") for axes in panels] == [
        *("read after the context, one", "written a step later, one"),
        *("read after the context, all", "written a step later, all"),
    ]
    for axes, value in zip(panels, (0.1, 0.4, 0.1, 0.4), strict=True):
        assert [label.get_text() for label in axes.get_yticklabels()] == ["110", "001"]
        assert len(axes.get_xticklabels()) <= 8
        np.testing.assert_allclose(axes.images[0].get_array(), value)


def test_every_item_of_a_sorter_is_a_point():
    figure = figures.memory_by_priority(
        "priority sort",
        priorities=np.array([0.5, -0.5]),
        rows=np.array([3, 4]),
        read_steps=np.array([0.0, np.nan]),
        answer_steps=np.array([1.0, 2.0]),
    )
    where, when = figure.axes
    assert [axes.get_xlabel() for axes in (where, when)] == ["priority", "priority"]
    np.testing.assert_array_equal(where.lines[0].get_xydata(), [(0.5, 3), (-0.5, 4)])
    answered, read = (line.get_xydata() for line in when.lines)
    np.testing.assert_array_equal(answered, [(0.5, 1), (-0.5, 2)])
    np.testing.assert_array_equal(read, [(0.5, 0), (-0.5, np.nan)])
    labels = [text.get_text() for text in when.get_legend().get_texts()]
    assert labels == ["its answer is due", "its row is read"]


def test_a_saved_figure_has_the_pixels_of_a_drawn_one(tmp_path):
    figure = figures.learning_curve(ROWS)
    figures.save(figure, tmp_path / "curve.png")
    assert [path.name for path in tmp_path.glob("curve*")] == ["curve.png"]
    assert size_of(tmp_path / "curve.png") == (round(6.4 * 130), round(3.6 * 130))
    drawn = figures.pixels(figure)
    assert drawn.shape == (360, 640, 3)
    assert drawn.min() < 100 < drawn.max()


# ---- Somebody's own plots

USER = """
import os, sys
from pathlib import Path
%s
from ntm_jax.evaluation import figures, memory_figures
row = {"sequences": 8, "loss_bits_per_sequence": 120.5, "bit_errors_per_sequence": 40}
figures.save(figures.learning_curve([row]), Path(sys.argv[1]))
import matplotlib
print("matplotlib.pyplot" in sys.modules, matplotlib.rcParams._get_backend_or_none(), os.environ.get("MPLBACKEND"))
%s
"""


def in_somebodys_process(folder, backend=None, before="", after=""):
    command = [sys.executable, "-c", USER % (before, after), folder / "curve.png"]
    environment = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}
    environment |= {} if backend is None else {"MPLBACKEND": backend}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert size_of(folder / "curve.png") == (832, 468)
    return done.stdout.split()


@pytest.mark.parametrize(
    "backend", [None, "svg", "tkagg", "module://x", "module://matplotlib_inline.backend_inline"]
)
def test_the_users_backend_stays(tmp_path, backend):
    """A notebook's is inherited by what it starts, and may not be there for that."""
    pyplot, found, inherited = in_somebodys_process(tmp_path, backend)
    assert (pyplot, inherited) == ("False", str(backend))
    if backend is None or "inline" not in backend:
        assert found == str(backend)


def test_the_users_figures_stay(tmp_path):
    before = "from matplotlib import pyplot as plt\nplt.switch_backend('svg')\nmine = plt.figure()"
    after = "print(plt.get_backend(), plt.get_fignums(), plt.gcf() is mine)"
    found = in_somebodys_process(tmp_path, before=before, after=after)
    assert found[-3:] == ["svg", "[1]", "True"]
