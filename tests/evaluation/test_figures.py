"""Figures show all of what they are given."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from ntm_jax import tasks
from ntm_jax.acrostic.corpus import BLANK, END, LINEFEED, MARKS
from ntm_jax.evaluation import canvas, curves, figures, palette
from ntm_jax.evaluation.episode import Episode
from ntm_jax.tasks.labels import Channels
from tests.helpers.configs import tiny

ROWS = [
    {"sequences": 8.0, "loss_bits_per_sequence": 120.5, "bit_errors_per_sequence": 40.0},
    {"sequences": 16.0, "loss_bits_per_sequence": 0.002, "bit_errors_per_sequence": 0.0},
]


def size_of(path):
    with Image.open(path) as picture:
        return picture.size


def images(figure):
    return [axes for axes in figure.axes if axes.images]


def episode(weightings, reads=None, **others):
    """An episode of six steps, three of them scored."""
    steps = len(weightings)
    return Episode(
        **{
            "inputs": np.ones((steps, 3)),
            "targets": np.ones((steps, 2)),
            "mask": np.arange(steps) >= steps // 2,
            "probabilities": np.full((steps, 2), 0.25),
            "write_weightings": weightings,
            "read_weightings": weightings if reads is None else reads,
            **others,
        }
    )


def test_an_episode_has_a_panel_for_every_head():
    weightings = np.full((6, 2, 5), 0.2)
    figure = figures.episode(episode(weightings[:, :1], weightings))
    titles = [axes.get_title(loc="left") for axes in images(figure)]
    assert titles == [
        *("input", "target", "prediction", "error", "write weighting"),
        *("read weighting, head 1", "read weighting, head 2"),
    ]
    prediction, error = (figure.axes[i].images[0].get_array() for i in (2, 3))
    assert prediction.mask[:, :3].all()  # not scored, not shown
    np.testing.assert_allclose(prediction[:, 3:], 0.25)
    np.testing.assert_allclose(error[:, 3:], 0.75)


def test_a_head_that_reads_where_it_writes_is_drawn_once():
    figure = figures.episode(episode(np.full((6, 2, 5), 0.2)))
    titles = [axes.get_title(loc="left") for axes in images(figure)][4:]
    assert titles == ["read and write weighting, head 1", "read and write weighting, head 2"]


def test_a_model_without_memory_has_no_weightings():
    figure = figures.episode(episode(np.zeros((6, 0, 0))))
    assert len(images(figure)) == 4


def test_an_episode_shows_the_rows_in_use_round_the_end_of_the_memory():
    weightings = np.eye(128)[[126, 127, 0, 1, 1, 1]][:, None]
    figure = figures.episode(episode(weightings))
    (axes,) = images(figure)[4:]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["126", "127", "0", "1"]
    bottom, top = axes.get_ylim()
    assert bottom > top  # the first row is on top


def test_channels_that_are_no_bits_have_their_names():
    names = Channels(("bit 0", "bit 1", "delimiter"), ("keyword", "linefeed"))
    figure = figures.episode(episode(np.zeros((6, 0, 0))), names)
    labels = [[label.get_text() for label in axes.get_yticklabels()] for axes in images(figure)[:2]]
    assert labels == [["delimiter"], ["keyword", "linefeed"]]


def test_symbols_stand_at_their_steps(tmp_path):
    """In an SVG they are text; in other files they are left out where no font has them."""
    shown = episode(np.zeros((6, 0, 0)))
    words = list("春眠⏎_聞鳥")
    axes = images(figures.episode(shown, None, words, "svg"))[-1]
    assert [label.get_text() for label in axes.get_xticklabels()] == words
    canvas.save(axes.figure, tmp_path / "it.svg")
    assert all(word in (tmp_path / "it.svg").read_text() for word in words)
    png = figures.episode(shown, None, words, "png")
    canvas.save(png, tmp_path / "it.png")
    known = canvas.font_for("春", "png") is not None
    assert (images(png)[-1].get_xlabel() == "symbol at each step") == known


def test_symbols_of_poems_are_their_characters():
    config = tiny("acrostic", "ntm-lstm")
    source = tasks.make("acrostic", **tasks.difficulty(config.task)).source
    symbols = np.array([BLANK, MARKS, LINEFEED, END, MARKS + 1])
    characters = source.task.selection.open()[0].characters
    assert source.symbol_names(symbols) == ["_", characters[0], "⏎", "‖", characters[1]]


def test_many_symbols_stand_in_several_lines():
    shown = episode(np.zeros((100, 0, 0)))
    axes = images(figures.episode(shown, None, ["a"] * 100))[-1]
    assert [label.get_text() for label in axes.get_xticklabels()][:4] == ["a", "\na", "\n\na", "a"]


def test_channels_are_counted_in_whole_numbers():
    figure = figures.episode(episode(np.zeros((6, 0, 0)), inputs=np.zeros((6, 4))))
    assert all(tick == int(tick) for tick in images(figure)[0].get_yticks())


def test_a_bit_looks_the_same_in_input_and_target():
    """Also beside a number above 1, as the count of repeat copy."""
    inputs = np.array([[1, 0, 1.57]] * 6)
    figure = figures.episode(episode(np.zeros((6, 0, 0)), inputs=inputs))
    put_in, target = (axes.images[0] for axes in images(figure)[:2])
    assert put_in.to_rgba(1.0) == target.to_rgba(1.0)
    negative = figures.episode(episode(np.zeros((6, 0, 0)), inputs=inputs - 1))
    assert images(negative)[0].images[0].to_rgba(1.0) == target.to_rgba(1.0)


@pytest.mark.parametrize(("rows", "steps"), [(512, 64), (1000, 2100)])
def test_a_walk_over_many_rows_has_no_holes(rows, steps):
    """The head is somewhere at every step, so every column of pixels has some of its colour."""
    walk = np.eye(rows)[np.arange(steps) % rows][:, None]
    figure = figures.episode(episode(walk, np.zeros((steps, 0, 0))))
    drawn = canvas.pixels(figure)
    box = images(figure)[4].get_window_extent()
    high = drawn.shape[0]
    inside = drawn[high - int(box.y1) : high - int(box.y0), int(box.x0) + 3 : int(box.x1) - 3]
    red, green = inside[..., 0].astype(int), inside[..., 1].astype(int)
    of_head = red - green > 10  # also below the black frame, which is transparent at its edge
    assert of_head.any(axis=0).all()


def test_pooled_blocks_hold_their_greatest_value():
    values = np.arange(35.0).reshape(5, 7)
    pooled = canvas.max_pooled(values, 2, 4)
    assert pooled.tolist() == [[15, 17, 19, 20], [29, 31, 33, 34]]
    assert canvas.max_pooled(values, 5, 7) is values


def test_a_walk_has_what_goes_in_on_the_left_and_what_comes_out_on_the_right():
    steps, rows = 6, np.array([9, 0, 1])
    figure = figures.memory_walk(
        inputs=np.ones((steps, 3)),
        adds=np.full((steps, 4), -2.0),
        write_weightings=np.full((steps, 3), 0.2),
        outputs=np.full((steps, 2), np.nan),
        reads=np.zeros((steps, 4)),
        read_weightings=np.full((steps, 3), 0.3),
        rows=rows,
    )
    panels = {axes.get_title(loc="left"): axes for axes in images(figure)}
    assert list(panels) == [
        *("input", "output", "added", "read", "write weighting", "read weighting")
    ]
    for name in ("write weighting", "read weighting"):
        axes = panels[name]
        assert [label.get_text() for label in axes.get_yticklabels()] == ["9", "0", "1"]
        assert axes.get_xlabel() == "step"
    assert panels["added"].images[0].get_clim() == (-2, 2)  # zero is in the middle
    np.testing.assert_allclose(panels["read weighting"].images[0].get_array(), 0.3)


def test_contexts_are_named_by_their_bits():
    panel = {
        "contexts": np.array([6, 1]),
        "rows": np.arange(20),
        "reads": np.full((2, 20), 0.1),
        "writes": np.full((2, 20), 0.4),
    }
    figure = figures.memory_by_context({"one": panel, "all": panel}, 3)
    panels = images(figure)
    assert [axes.get_title(loc="left") for axes in panels] == [
        *("read after the context, one", "written a step later, one"),
        *("read after the context, all", "written a step later, all"),
    ]
    for axes, value in zip(panels, (0.1, 0.4, 0.1, 0.4), strict=True):
        assert [label.get_text() for label in axes.get_yticklabels()] == ["110", "001"]
        assert len(axes.get_xticklabels()) <= 8
        np.testing.assert_allclose(axes.images[0].get_array(), value)


def test_an_item_of_a_sorter_is_a_point_for_each_head_that_is_on_a_row():
    """Heads whose weighting is flat point to no row, and have no point."""
    figure = figures.memory_by_priority(
        priorities=np.array([0.5, -0.5]),
        rows=np.array([[3, 0], [4, 0]]),
        write_weights=np.array([[1.0, 0.03], [0.5, 0.03]]),
        read_steps=np.array([[0], [7]]),
        read_weights=np.array([[0.9], [0.09]]),
        answer_steps=np.array([1.0, np.nan]),
    )
    where, when = figure.axes
    assert [axes.get_xlabel() for axes in (where, when)] == ["priority", "priority"]
    (written,) = where.collections
    np.testing.assert_array_equal(written.get_offsets(), [(0.5, 3), (-0.5, 4)])
    assert written.get_sizes()[0] == 2 * written.get_sizes()[1]
    np.testing.assert_array_equal(when.collections[0].get_offsets(), [(0.5, 0)])
    np.testing.assert_array_equal(when.lines[0].get_xydata(), [(0.5, 1), (-0.5, np.nan)])
    legends = [[text.get_text() for text in axes.get_legend().get_texts()] for axes in figure.axes]
    assert legends == [["write head 1"], ["its answer is due", "read head"]]
    bottom, top = where.get_ylim()
    assert bottom > top  # row 0 on top, as in every figure


# ---- Files


def drawn():
    weightings = np.eye(6)[:, None]
    return {
        "curve": curves.learning_of_run(ROWS),
        "curves": curves.learning({"ntm-ff": [ROWS, ROWS], "lstm": [ROWS]}),
        "episode": figures.episode(episode(weightings)),
    }


def test_a_saved_figure_has_the_pixels_of_a_drawn_one(tmp_path):
    figure = curves.learning_of_run(ROWS)
    canvas.save(figure, tmp_path / "curve.png")
    assert [path.name for path in tmp_path.glob("curve*")] == ["curve.png"]
    assert size_of(tmp_path / "curve.png") == (650, 440)
    drawn = canvas.pixels(figure)
    assert drawn.shape == (220, 325, 3)
    assert drawn.min() < 100 < drawn.max()


@pytest.mark.parametrize("name", drawn())
def test_figures_fit_a_column_and_their_text_can_be_read(tmp_path, name):
    figure = drawn()[name]
    assert figure.get_figwidth() in (3.25, 6.75)
    assert not figure.get_suptitle()
    canvas.save(figure, tmp_path / "it.svg")
    text = (tmp_path / "it.svg").read_text()
    sizes = [float(size) for size in re.findall(r"font(?:-size)?:[^;]*?([\d.]+)px", text)]
    assert len(sizes) > 5
    assert min(sizes) >= 7


@pytest.mark.parametrize("kind", canvas.FORMATS)
def test_equal_figures_are_equal_files_that_say_what_they_are(tmp_path, kind):
    for name in ("a", "b"):
        canvas.save(drawn()["curve"], tmp_path / f"{name}.{kind}", {"Title": "copy, seed 3"})
    content = (tmp_path / f"a.{kind}").read_bytes()
    assert content == (tmp_path / f"b.{kind}").read_bytes()
    assert b"copy, seed 3" in content
    assert content.startswith({"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[kind])


def test_models_have_the_colours_of_the_pages():
    assert [palette.of_model(name) for name in ("ntm-ff", "ntm-lstm", "lstm", "gru")] == [
        *("#7b3fa0", "#0f8b8d", "#c9820a", palette.INK)
    ]
    assert (palette.WRITE, palette.READ) == ("#d1495b", "#2e6f95")


# ---- Somebody's own plots

USER = """
import os, sys
from pathlib import Path
%s
from ntm_jax.evaluation import canvas, curves, memory_figures
row = {"sequences": 8, "loss_bits_per_sequence": 120.5, "bit_errors_per_sequence": 40}
canvas.save(curves.learning_of_run([row]), Path(sys.argv[1]))
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
    assert size_of(folder / "curve.png") == (650, 440)
    return done.stdout.split()


@pytest.mark.parametrize(
    "backend", [None, "tkagg", "module://x", "module://matplotlib_inline.backend_inline"]
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
