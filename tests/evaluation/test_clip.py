"""A clip shows the memory and the heads of each step, and nothing of later ones."""

import itertools

import jax
import numpy as np
import pytest
from PIL import Image

from ntm_jax import models, tasks
from ntm_jax.errors import UserError
from ntm_jax.evaluation import clip, palette, run_figures
from tests.helpers.configs import quick_compile, tiny
from tests.helpers.runs import save

STEPS, ROWS = 3, 4


@pytest.fixture(scope="module", autouse=True)
def quick(tmp_path_factory):
    with quick_compile(tmp_path_factory.getbasetemp()):
        yield


def walker():
    """A write head that walks over the rows, and a read head that rests on the last."""
    return clip.Scene(
        inputs=np.eye(STEPS),
        outputs=np.full((STEPS, 2), np.nan),
        memory=np.zeros((STEPS, ROWS, 5)),
        writes=np.eye(ROWS)[:STEPS],
        reads=np.eye(ROWS)[[3, 3, 3]],
        rows=np.array([7, 0, 1, 2]),
    )


def rgb(colour):
    return [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]


def test_the_heads_are_drawn_up_to_the_step():
    picture = clip._both(walker(), 1)
    assert picture.shape == (ROWS, STEPS, 3)
    np.testing.assert_allclose(picture[0, 0], rgb(palette.WRITE))
    np.testing.assert_allclose(picture[1, 1], rgb(palette.WRITE))
    np.testing.assert_allclose(picture[3, 0], rgb(palette.READ))
    np.testing.assert_array_equal(picture[:, 2], 1)  # later


def test_a_clip_has_a_picture_for_each_step_and_pauses_at_the_end(tmp_path):
    clip.save(tmp_path / "heads.gif", walker(), "copy")
    with Image.open(tmp_path / "heads.gif") as film:
        assert film.n_frames == STEPS
        times = []
        for step in range(STEPS):
            film.seek(step)
            times.append(film.info["duration"])
        assert film.info["loop"] == 0  # for ever
    assert times == [120, 120, 1500]


def test_every_picture_differs_and_none_moves():
    pictures = list(clip.frames(walker(), "copy"))
    assert len(pictures) == STEPS
    changed = [(one != other).any(axis=(1, 2)) for one, other in itertools.pairwise(pictures)]
    assert all(rows.any() for rows in changed)
    assert not any(rows[:10].any() for rows in changed)  # titles stay


def test_a_scene_is_of_the_rows_that_are_used():
    config = tiny()
    task = tasks.make("copy", **tasks.difficulty(config.task))
    model = models.build(config, task.input_size, task.output_size)
    shown = clip.scene(model, task, jax.random.key(1))
    n = len(shown.rows)
    assert shown.memory.shape == (task.steps, n, config.model.word_size)
    assert shown.writes.shape == shown.reads.shape == (task.steps, n)
    assert np.isnan(shown.outputs[0]).all()
    assert np.isfinite(shown.outputs[-1]).all() or np.isnan(shown.outputs[-1]).all()


def test_a_run_has_its_clip(tmp_path, monkeypatch):
    monkeypatch.setattr(clip, "MOST_STEPS", 3)
    save(tmp_path / "run", tiny())
    assert run_figures.write_clip(tmp_path / "run") == tmp_path / "run" / "figures" / "heads.gif"
    save(tmp_path / "lstm", tiny(model="lstm"))
    with pytest.raises(UserError, match=r"gif shows a memory, and the lstm in .* has none"):
        run_figures.write_clip(tmp_path / "lstm")
