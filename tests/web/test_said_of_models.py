"""What the pages and guides say of the shipped models' heads is so."""

import numpy as np
import pytest

from ntm_jax.web.viewer import episodes, sources
from tests.helpers.shipped import SHIPPED

pytestmark = pytest.mark.slow
SEEDS = range(10)


def watch(name, seed=0, **given):
    source = sources.open_source(SHIPPED / name)
    asked = {key: str(value) for key, value in given.items()}
    return episodes.watch(
        source.model(source.rows), source.question({**asked, "seed": str(seed)})
    ), source


def cosine(one, other):
    return one @ other / np.sqrt(one @ one * (other @ other))


def test_the_first_row_of_copy_has_a_mark_that_one_key_asks_for():
    """The glossary's 'key' and the guide: the key is the same in every episode, and most like row 0."""
    delimiter = 20
    seen = [watch("copy-ntm-ff", seed, length=20)[0] for seed in SEEDS]
    keys = [np.asarray(one.controls.key[delimiter][0]) for one in seen]
    assert min(cosine(keys[0], key) for key in keys) > 0.999
    alike = np.array(
        [
            [cosine(key, row) for row in np.asarray(one.memory[delimiter - 1])[:20]]
            for key, one in zip(keys, seen, strict=True)
        ]
    )
    assert (alike.argmax(axis=1) == 0).all()
    np.testing.assert_allclose(alike[:, 0].mean(), 0.23, atol=0.01)
    assert alike[:, 1:].mean() < 0


@pytest.mark.parametrize(
    ("name", "returns"), [("repeat_copy-ntm-lstm", True), ("repeat_copy-ntm-ff", False)]
)
def test_between_repeats_the_read_head_returns_or_walks_on(name, returns):
    """Both ways that the hint of repeat copy names."""
    length, repeats = 6, 4
    episode, source = watch(name, length=length, repeats=repeats)
    assert "jumps back" in source.task.explanation().look_for
    start = int(np.flatnonzero(episode.mask)[0])
    rows = np.asarray(episode.read_weightings)[start + 1 :, 0].argmax(axis=1)
    second, third = rows[length : 2 * length - 1], rows[2 * length : 3 * length - 1]
    moved = (third - second) % episode.memory.shape[1]
    assert (moved == (0 if returns else length)).all()


@pytest.mark.parametrize("name", ["priority_sort-ntm-ff", "priority_sort-ntm-lstm"])
def test_the_sorting_models_write_by_time(name):
    """Their hint leaves open whether rows follow the priority, which those of the paper do."""
    episode, source = watch(name)
    assert "by time" in source.task.explanation().look_for
    count = int(np.flatnonzero(episode.mask)[0]) - 1  # items, before the delimiter
    weightings = np.asarray(episode.write_weightings)[:count]
    head = weightings.max(axis=2).mean(axis=0).argmax()
    rows = weightings[:, head].argmax(axis=1)
    steps = np.diff(rows) % weightings.shape[2]
    assert (steps == np.bincount(steps).argmax()).mean() > 0.8
