"""Figures show all of what they are given."""

import numpy as np
import pytest
from matplotlib import pyplot as plt

from ntm_jax import plots

HEADER = "update,sequences,seconds,loss_bits_per_sequence,bit_errors_per_sequence"


@pytest.fixture
def csv(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text(f"{HEADER}\n1,8,0.1,120.5,40\n2,16,0.2,0.002,0\n")
    return path


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_a_learning_curve_holds_all_of_its_points(csv):
    for figure in (plots.learning_curve(csv), plots.learning_curves({"seed_0": csv, "b": csv})):
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
    figure = plots.episode(
        title="an episode",
        inputs=np.ones((steps, 3)),
        targets=np.ones((steps, 2)),
        mask=np.array([0, 0, 0, 1, 1, 1]),
        probabilities=np.full((steps, 2), 0.25),
        read_weightings=weightings,
        write_weightings=weightings[:, :1],
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
