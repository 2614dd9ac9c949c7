"""The importer of the Go implementation's weights: its cell, its gradient, and files it refuses.

The numbers come from a weight file of this test's own making; where episodes that the Go implementation
recorded are at hand, from those too.
"""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from ntm_jax.errors import UserError
from ntm_jax.models.unrolling import unroll
from ntm_jax.storage import fumin
from ntm_jax.tasks.losses import sequence_nats
from tests.helpers import fumin_oracle
from tests.helpers.fumin_oracle import Sizes

pytestmark = pytest.mark.usefixtures("quick_compile")

SIZES = Sizes()
T = 5
INPUTS = np.random.default_rng(1).standard_normal((T, SIZES.input_size))
TARGETS = np.random.default_rng(2).integers(0, 2, (T, SIZES.output_size)).astype(float)
RECORDED = Sizes(10, 8, 100, 1, 128, 20)


def load(path, sizes=SIZES):
    return fumin.load(path, **sizes.keywords())


def saved(folder, flat):
    path = folder / "weights.json"
    path.write_text(json.dumps(list(flat)))
    return path


@functools.partial(jax.jit, static_argnums=0)
def episode(graphdef, parameters, inputs, targets, mask):
    """Loss in nats, its gradient, predictions `[T, out]` and weightings `[heads, T, N]`."""

    def loss(parameters):
        logits, trace = unroll(nnx.merge(graphdef, parameters), inputs[:, None])
        nats = sequence_nats(logits, targets[:, None], mask[:, None])[0]
        return nats, (jax.nn.sigmoid(logits[:, 0]), trace.read_weightings[:, 0].swapaxes(0, 1))

    (nats, seen), gradient = jax.value_and_grad(loss, has_aux=True)(parameters)
    return nats, gradient, *seen


def in_flat_order(gradient, folder, sizes):
    """The gradient in a weight file's order, by way of a file whose weights are their own positions."""
    positions = nnx.state(load(saved(folder, range(sizes.count())), sizes))
    flat = np.full(sizes.count(), np.nan)
    for position, values in zip(jax.tree.leaves(positions), jax.tree.leaves(gradient), strict=True):
        flat[np.asarray(position, int)] = values
    assert not np.isnan(flat).any()
    return flat


def test_predictions_and_weightings_are_the_go_cells(float64, tmp_path):
    flat = fumin_oracle.weights(SIZES)
    cell = nnx.split(load(saved(tmp_path, flat)))
    _, _, predictions, weightings = episode(*cell, INPUTS, TARGETS, np.ones(T))
    expected, expected_weightings = fumin_oracle.episode(flat, SIZES, INPUTS)
    np.testing.assert_allclose(predictions, expected, rtol=1e-12)
    np.testing.assert_allclose(weightings, expected_weightings, rtol=1e-12)


def test_the_gradient_is_the_slope_of_the_go_cells_loss(float64, tmp_path):
    flat = fumin_oracle.weights(SIZES)
    cell = nnx.split(load(saved(tmp_path, flat)))
    nats, gradient, *_ = episode(*cell, INPUTS, TARGETS, np.ones(T))

    def loss(flat):
        return fumin_oracle.loss_nats(fumin_oracle.episode(flat, SIZES, INPUTS)[0], TARGETS)

    np.testing.assert_allclose(nats, loss(flat), rtol=1e-10)
    gradient = in_flat_order(gradient, tmp_path, SIZES)
    for seed in range(3):
        direction = np.random.default_rng(seed).standard_normal(SIZES.count())
        slope = (loss(flat + 1e-5 * direction) - loss(flat - 1e-5 * direction)) / 2e-5
        np.testing.assert_allclose(gradient @ direction, slope, rtol=1e-6)


@pytest.mark.parametrize("length", [20, 120])
def test_recorded_episodes_are_reproduced(float64, oracle_folder, tmp_path, length):
    recorded = json.loads((oracle_folder / f"copy_episode_length{length}.json").read_text())
    cell = load(oracle_folder / "copy_weights_seed2_19000.json", RECORDED)
    steps, longest = len(recorded["x"]), 2 * 120 + 2

    def padded(rows):  # so that both lengths run compiled once
        return np.pad(
            np.array(rows, float), [(0, longest - steps)] + [(0, 0)] * (np.ndim(rows) - 1)
        )

    nats, gradient, predictions, weightings = episode(
        *nnx.split(cell), padded(recorded["x"]), padded(recorded["y"]), padded(np.ones(steps))
    )
    close = functools.partial(np.testing.assert_allclose, rtol=1e-8, atol=1e-10)
    close(predictions[:steps], recorded["predictions"])
    close(weightings[:, :steps], recorded["head_weights"])
    close(nats, recorded["loss_nats"])
    close(in_flat_order(gradient, tmp_path, RECORDED), recorded["gradient"])


@pytest.mark.parametrize("x64", [False, True])
def test_parameters_have_jaxs_widest_float(tmp_path, x64):
    with jax.enable_x64(x64):
        cell = load(saved(tmp_path, fumin_oracle.weights(SIZES)))
        assert {leaf.dtype for leaf in jax.tree.leaves(nnx.state(cell))} == {jnp.zeros(()).dtype}


NUMBERS = ["0.5"] * SIZES.count()


def listed(*entries):
    """A file of the right length that ends with `entries`."""
    return "[" + ", ".join([*NUMBERS[len(entries) :], *entries]) + "]"


BAD_FILES = {
    "empty": "",
    "text": "these are not weights",
    "truncated": listed()[:-1],
    "cut_in_a_number": listed()[:40],
    "binary": bytes(range(256)),
    "zip": b"PK\x03\x04\x00\x00\xff\xfe",
    "object": json.dumps({"weights": [0.5]}),
    "number": "0.5",
    "null": "null",
    "empty_list": "[]",
    "too_few": json.dumps([0.5] * (SIZES.count() - 1)),
    "too_many": json.dumps([0.5] * (SIZES.count() + 1)),
    "nested": json.dumps([[0.5] * SIZES.count()]),
    "nested_deeply": "[" * 100_000,
    "string": listed('"0.5"'),
    "string_of_lines": listed(r'"first\nsecond"'),
    "null_entry": listed("null"),
    "bool": listed("true"),
    "object_entry": listed("{}"),
    "list_entry": listed("[0.5]"),
    "nan": listed("NaN"),
    "infinity": listed("Infinity"),
    "minus_infinity": listed("-Infinity"),
    "overflow": listed("1e999"),
    "long_integer": listed("1" + "0" * 400),
    "very_long_integer": listed("1" + "0" * 5000),
}


def assert_refused(path):
    with pytest.raises(UserError) as refusal:
        load(path)
    message = str(refusal.value)
    assert str(path) in message
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize("content", BAD_FILES.values(), ids=BAD_FILES)
def test_a_bad_file_is_refused_in_one_line(tmp_path, content):
    path = tmp_path / "weights.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert_refused(path)


def test_a_missing_file_is_refused_in_one_line(tmp_path):
    assert_refused(tmp_path / "weights.json")


def test_a_folder_is_refused_in_one_line(tmp_path):
    assert_refused(tmp_path)


@pytest.mark.parametrize("weight", [1e39, -1e200])
def test_a_weight_beyond_float32_is_refused(tmp_path, weight):
    path = saved(tmp_path, [*fumin_oracle.weights(SIZES)[:-1], weight])
    assert_refused(path)


@pytest.mark.parametrize("size", list(SIZES.keywords()))
def test_a_size_below_1_is_refused(tmp_path, size):
    path = saved(tmp_path, fumin_oracle.weights(SIZES))
    with pytest.raises(UserError, match=f"^{size}: 0 "):
        fumin.load(path, **SIZES.keywords() | {size: 0})


def test_a_size_that_does_not_fit_the_file_says_what_would(tmp_path):
    path = saved(tmp_path, fumin_oracle.weights(SIZES))
    with pytest.raises(UserError, match=f"holds {SIZES.count()} weights, but .*heads=3.* needs"):
        fumin.load(path, **SIZES.keywords() | {"heads": 3})


# ---- Files from before 10 April 2015


def in_the_old_order(flat, sizes):
    controller, output, weightings, memory = fumin._matrices(
        np.asarray(flat), sizes.keywords(), "current"
    )
    reads = sizes.heads * sizes.word_size
    columns = (controller[:, :reads], controller[:, reads:-1], controller[:, -1])
    return np.concatenate([np.ravel(part) for part in (weightings, memory, output, *columns)])


def trained(sizes, seed=0):
    """Weights as training leaves them: a scale for each block, row and column."""
    random = np.random.default_rng(seed)
    parts = []
    for shape, scale in zip(sizes.shapes(), (1.0, 1.5, 0.5, 0.7), strict=True):
        rows, columns = (np.exp(random.normal(0, 0.3, size)) for size in shape)
        parts.append(scale * rows[:, None] * columns * random.normal(size=shape))
    parts[0][:, sizes.heads * sizes.word_size : -1] *= 2  # inputs
    return np.concatenate([np.ravel(part) for part in parts])


GO_SIZES = [
    RECORDED,
    Sizes(1, 1, 100, 1, 128, 20),
    Sizes(9, 7, 100, 2, 128, 20),
    Sizes(10, 7, 100, 2, 128, 20),
]


def assert_same_parameters(one, other):
    for a, b in zip(*(jax.tree.leaves(nnx.state(cell)) for cell in (one, other)), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("sizes", GO_SIZES)
def test_either_order_is_found(tmp_path, sizes):
    flat = trained(sizes)
    expected = fumin.load(saved(tmp_path, flat), **sizes.keywords(), layout="current")
    assert_same_parameters(load(saved(tmp_path, flat), sizes), expected)
    assert_same_parameters(load(saved(tmp_path, in_the_old_order(flat, sizes)), sizes), expected)


def test_the_order_can_be_given(tmp_path):
    flat = fumin_oracle.weights(SIZES)
    expected = load(saved(tmp_path, flat))
    path = saved(tmp_path, in_the_old_order(flat, SIZES))
    old = fumin.load(path, **SIZES.keywords(), layout="before_april_2015")
    assert_same_parameters(old, expected)
    with pytest.raises(UserError, match="layout: '2015' is not allowed"):
        fumin.load(path, **SIZES.keywords(), layout="2015")


def test_the_trained_file_copies_in_either_order(oracle_folder, tmp_path):
    recorded = json.loads((oracle_folder / "copy_episode_length20.json").read_text())
    flat = json.loads((oracle_folder / "copy_weights_seed2_19000.json").read_text())
    for content in (flat, in_the_old_order(flat, RECORDED)):
        cell = nnx.split(load(saved(tmp_path, content), RECORDED))
        x, y = (np.array(recorded[name], float) for name in "xy")
        nats, *_ = episode(*cell, x, y, np.ones(len(x)))
        np.testing.assert_allclose(nats, recorded["loss_nats"], rtol=0.01)


@pytest.mark.parametrize("sizes", [SIZES, *GO_SIZES])
@pytest.mark.parametrize(
    "kind", ["uniform", "normal", "heavy", "positions", "constant", "zero", "huge"]
)
def test_weights_without_an_order_are_read_in_the_current_one(tmp_path, sizes, kind):
    random, count = np.random.default_rng(1), sizes.count()
    flat = {
        "uniform": random.random(count) - 0.5,  # as training begins
        "normal": random.normal(size=count),
        "heavy": random.standard_t(2, size=count),
        "positions": np.arange(count, dtype=float),
        "constant": np.full(count, 0.5),
        "zero": np.zeros(count),
        "huge": 1e37 * random.normal(size=count),
    }[kind]
    expected = fumin.load(saved(tmp_path, flat), **sizes.keywords(), layout="current")
    assert_same_parameters(load(saved(tmp_path, flat), sizes), expected)


def test_an_uncertain_order_is_refused_with_the_argument_that_tells(tmp_path, monkeypatch):
    path = saved(tmp_path, fumin_oracle.weights(SIZES))
    monkeypatch.setattr(fumin, "_evidence", lambda flat, sizes: 5.0)
    with pytest.raises(UserError, match=r"uncertain.*layout='before_april_2015'"):
        load(path)
