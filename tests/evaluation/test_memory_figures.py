"""Memory use: the arrays behind the pictures, against loops and episodes worked by hand."""

import jax
import numpy as np
import pytest

from ntm_jax import models, tasks
from ntm_jax.evaluation import evaluate, memory_figures
from ntm_jax.evaluation.memory_figures import Episodes
from tests.helpers.configs import quick_compile, tiny
from tests.helpers.runs import save


@pytest.fixture(scope="module", autouse=True)
def quick(tmp_path_factory):
    with quick_compile(tmp_path_factory.getbasetemp()):
        yield


def episodes(inputs, writes, reads, **others):
    """`Episodes` with these inputs and weightings, and something in the other fields."""
    steps, batch = inputs.shape[:2]
    rest = {
        "mask": np.ones((steps, batch)),
        "probabilities": np.full((steps, batch, 2), 0.5),
        "adds": np.ones((steps, batch, writes.shape[2], 3)),
        "reads": np.ones((steps, batch, reads.shape[2], 3)),
    }
    return Episodes(
        inputs=inputs, write_weightings=writes, read_weightings=reads, **{**rest, **others}
    )


def on_rows(rows, size):
    """One head's one-hot weightings `[T, 1, 1, size]` that are on `rows`, one a step."""
    return np.eye(size)[np.asarray(rows)][:, None, None]


@pytest.mark.parametrize(
    ("used", "rows"),
    [
        ([2, 3, 5], [2, 3, 4, 5]),
        ([0, 8, 9], [8, 9, 0]),  # over the circle's end
        ([0, 1, 9], [9, 0, 1]),
        ([9], [9]),
        ([], list(range(10))),
        (list(range(10)), list(range(10))),
    ],
)
def test_memory_is_cut_open_where_it_is_not_used(used, rows):
    weights = np.zeros(10)
    weights[used] = 0.9
    assert memory_figures.used_rows(weights).tolist() == rows


def test_a_walk_is_the_first_episode_s():
    inputs = np.arange(12.0).reshape(3, 2, 2)
    mask = np.array([[0, 1], [1, 1], [1, 1]])
    writes = np.concatenate([on_rows([7, 0, 1], 8), on_rows([4, 4, 4], 8)], axis=1)
    reads = np.concatenate([on_rows([0, 0, 7], 8), on_rows([4, 4, 4], 8)], axis=1)
    shown = memory_figures.walk(episodes(inputs, writes, reads, mask=mask))
    assert shown["rows"].tolist() == [7, 0, 1]
    np.testing.assert_array_equal(shown["inputs"], [[0, 1], [4, 5], [8, 9]])
    np.testing.assert_array_equal(shown["write_weightings"], np.eye(3))
    np.testing.assert_array_equal(shown["read_weightings"].argmax(axis=1), [1, 1, 0])
    np.testing.assert_array_equal(shown["outputs"], [[np.nan] * 2, [0.5] * 2, [0.5] * 2])
    assert shown["adds"].shape == shown["reads"].shape == (3, 3)


def test_contexts_agree_with_a_loop_over_steps():
    rng = np.random.default_rng(0)
    steps, batch, heads, size, bits = 40, 3, 2, 6, 3
    inputs = rng.integers(0, 2, (steps, batch, 1)).astype(np.float32)
    writes, reads = (rng.dirichlet(np.ones(size), (steps, batch, heads)) for _ in range(2))
    found = memory_figures.by_context(episodes(inputs, writes, reads), bits)

    read, written = ({context: [] for context in range(2**bits)} for _ in range(2))
    for b in range(batch):
        for t in range(bits - 1, steps - 1):
            before = "".join(str(int(inputs[t - back, b, 0])) for back in (2, 1, 0))
            read[int(before, 2)].append([max(reads[t, b, :, n]) for n in range(size)])
            written[int(before, 2)].append([max(writes[t + 1, b, :, n]) for n in range(size)])
    assert sorted(found["contexts"]) == [context for context in read if read[context]]
    assert found["rows"].tolist() == list(range(size))
    for context, one_read, one_written in zip(
        *(found[name] for name in ("contexts", "reads", "writes")), strict=True
    ):
        np.testing.assert_allclose(one_read, np.mean(read[context], axis=0))
        np.testing.assert_allclose(one_written, np.mean(written[context], axis=0))


def test_contexts_stand_in_the_order_of_their_rows():
    """A model with a row of its own for each 2-bit context, written when the next bit is there."""
    stream = np.random.default_rng(1).integers(0, 2, 60)
    row_of = np.array([4, 1, 3, 2])
    context = np.concatenate([[0], 2 * stream[:-1] + stream[1:]])
    reads = on_rows(row_of[context], 7)
    writes = on_rows(row_of[np.concatenate([[0], context[:-1]])], 7)
    found = memory_figures.by_context(episodes(stream[:, None, None], writes, reads), 2)
    assert found["contexts"].tolist() == [1, 3, 2, 0]
    assert found["rows"].tolist() == [1, 2, 3, 4]
    np.testing.assert_allclose(found["reads"], np.eye(4), atol=1e-12)
    np.testing.assert_allclose(found["writes"], np.eye(4), atol=1e-12)


def test_a_sorting_model_by_hand():
    """Four items on rows 5, 4, 3, 2; the two best are read one step before they are answered."""
    inputs = np.zeros((7, 1, 3))
    inputs[:4, 0, 1] = [-0.3, 0.9, 0.1, -0.8]
    writes = on_rows([5, 4, 3, 2, 0, 0, 0], 6)
    reads = on_rows([0, 0, 0, 0, 4, 3, 1], 6)
    found = memory_figures.by_priority(episodes(inputs, writes, reads), items=4, bits=1)
    np.testing.assert_array_equal(found["priorities"], [-0.3, 0.9, 0.1, -0.8])
    np.testing.assert_array_equal(found["rows"], [[5], [4], [3], [2]])
    np.testing.assert_array_equal(found["write_weights"], 1)
    assert found["read_weights"][:, 0].tolist() == [0, 1, 1, 0]  # two are never read
    np.testing.assert_array_equal(found["read_steps"][1:3], [[0], [1]])
    np.testing.assert_array_equal(found["answer_steps"], [np.nan, 1, 2, np.nan])


def test_a_second_head_that_is_nowhere_changes_no_item_s_row():
    inputs = np.zeros((4, 1, 2))
    inputs[:2, 0, 1] = [0.9, -0.3]
    flat = np.full((4, 1, 1, 6), 1 / 6)
    writes, reads = (
        np.concatenate([flat, on_rows(rows, 6)], axis=2) for rows in ([5, 4, 0, 0], [0, 0, 5, 4])
    )
    found = memory_figures.by_priority(episodes(inputs, writes, reads), items=2, bits=1)
    assert found["rows"][:, 1].tolist() == [5, 4]
    assert found["read_steps"][:, 1].tolist() == [0, 1]
    np.testing.assert_allclose(found["write_weights"], [[1 / 6, 1], [1 / 6, 1]])


@pytest.mark.parametrize(
    "name", [name for name in tasks.TASKS if tasks.make(name).memory_picture()]
)
def test_a_model_of_every_task_can_be_drawn(name):
    config = tiny(name)
    small = tasks.make(name, **tasks.difficulty(config.task))
    model = models.build(config, small.input_size, small.output_size)
    assert small.memory_picture().case in [one.name for one in small.cases()]
    seen = memory_figures.run(model, small, jax.random.key(0), 2)
    assert len(memory_figures.draw(small, seen).axes) >= 2


def test_every_task_but_acrostics_has_a_picture():
    drawn = {name for name in tasks.TASKS if tasks.make(name).memory_picture() is not None}
    assert drawn == set(tasks.TASKS) - {"acrostic"}


def test_a_run_s_picture_is_of_its_checkpoint(tmp_path):
    model = save(tmp_path, tiny())
    figure = memory_figures.picture(tmp_path)
    task = tasks.make("copy", min_length=20, max_length=20)
    key = evaluate.case_key(tiny(), "length_20")
    seen = memory_figures.run(model, task, key, 1)
    (weightings,) = (axes for axes in figure.axes if axes.get_title("left") == "write weighting")
    wanted = memory_figures.walk(seen)["write_weightings"].T
    np.testing.assert_allclose(weightings.images[0].get_array(), wanted, atol=1e-6)


def test_there_is_no_picture_without_a_memory_or_a_checkpoint(tmp_path):
    save(tmp_path / "lstm", tiny(model="lstm"))
    assert memory_figures.picture(tmp_path / "lstm") is None
    save(tmp_path / "run", tiny())
    (tmp_path / "run" / "checkpoints").rename(tmp_path / "elsewhere")
    assert memory_figures.picture(tmp_path / "run") is None


def test_a_trace_is_of_the_task_s_episodes(tmp_path):
    model = save(tmp_path, tiny())
    task = tasks.make("copy", min_length=3, max_length=3)
    seen = memory_figures.run(model, task, jax.random.key(5), 2)
    assert seen.inputs.shape == (task.steps, 2, task.input_size)
    shown = seen.inputs[:3, :, :8]
    np.testing.assert_array_equal(
        seen.mask, np.repeat([[0], [1]], [4, 3], axis=0) @ np.ones((1, 2))
    )
    assert not np.array_equal(shown[:, 0], shown[:, 1])
    for field in (seen.write_weightings, seen.read_weightings):
        np.testing.assert_allclose(field.sum(axis=-1), 1, atol=1e-5)
