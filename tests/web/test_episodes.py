"""An episode for the page: what the model did, unpacked as the browser does."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ntm_jax import models, tasks
from ntm_jax.tasks import losses
from ntm_jax.web import packing
from ntm_jax.web.viewer import episodes, sources
from tests.helpers.browser import save_walker
from tests.helpers.configs import quick_compile, tiny

LENGTHS = [2, 40]


@pytest.fixture(scope="module", autouse=True)
def quick(tmp_path_factory):
    with quick_compile(tmp_path_factory.getbasetemp()):
        yield


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("walker") / "walker"
    save_walker(folder, tiny(model__write_heads=2))
    return sources.open_source(folder)


def arrays(answer):
    return {name: packing.unpack(packed) for name, packed in answer["arrays"].items()}


def test_packing_loses_nothing():
    values = np.random.default_rng(0).normal(size=(3, 0, 4)), np.float32([[1e-38, -3.5], [1e38, 0]])
    for array in values:
        np.testing.assert_array_equal(packing.unpack(packing.pack(array)), array.astype("f4"))


def test_rounding_keeps_twelve_bits():
    values = np.random.default_rng(0).normal(size=10_000).astype(np.float32)
    rounded = packing.unpack(packing.pack(values, rounded=True))
    relative = np.abs(rounded - values) / np.abs(values)
    assert 0 < relative.max() <= 2**-13
    np.testing.assert_array_equal(
        packing.unpack(packing.pack([0.0, 1.0, -0.5], True)), [0, 1, -0.5]
    )


def test_what_is_no_json_is_an_error():
    with pytest.raises(ValueError, match="JSON"):
        packing.to_json({"x": float("nan")})


@pytest.mark.parametrize("length", LENGTHS)
def test_an_episode_is_what_unroll_makes_of_it(source, length):
    """And the steps that it was padded with for the compiler are gone."""
    question = source.question({"length": str(length), "seed": "3", "rows": "9"})
    found = source.model(9)
    answer = source.answer(question)
    seen = arrays(answer)
    assert answer["steps"] == 2 * length + 1 == len(seen["mask"])
    logits, trace = models.unroll(found, jnp.asarray(seen["inputs"])[:, None], memory=True)
    np.testing.assert_allclose(seen["probabilities"], jax.nn.sigmoid(logits[:, 0]), rtol=1e-5)
    np.testing.assert_allclose(seen["read_weightings"], trace.read_weightings[:, 0], atol=1e-6)
    np.testing.assert_allclose(seen["write_weightings"], trace.write_weightings[:, 0], atol=1e-6)
    np.testing.assert_allclose(seen["reads"], trace.reads[:, 0], atol=1e-5)
    np.testing.assert_allclose(seen["memory"], trace.memory[:, 0], rtol=2e-4, atol=1e-5)
    np.testing.assert_allclose(seen["strength"], trace.controls.strength[:, 0], rtol=1e-5)
    scored = [x[:, None] for x in (logits[:, 0], seen["targets"], seen["mask"])]
    nats = losses.sequence_nats(*map(jnp.asarray, scored))[0]
    wrong = losses.sequence_bit_errors(*map(jnp.asarray, scored))[0]
    np.testing.assert_allclose(answer["scores"]["bits"], nats * losses.BITS_PER_NAT, rtol=1e-4)
    assert answer["scores"]["wrong_bits"] == wrong
    assert answer["scores"]["scored_bits"] == 8 * length


def test_the_memory_follows_from_what_was_written(source):
    """Equations 3 and 4 over the arrays that the page has, from the first memory on."""
    seen = arrays(source.answer(source.question({"length": "5"})))
    memory = seen["first_memory"].astype(np.float64)
    for t in range(11):
        for head in range(2):
            weighting, erase = seen["write_weightings"][t, head], seen["erase"][t, head]
            memory = memory * (1 - np.outer(weighting, erase))
        memory = memory + seen["write_weightings"][t].T @ seen["add"][t]
        np.testing.assert_allclose(seen["memory"][t], memory, atol=2e-3)


def test_a_walkers_heads_walk(source):
    seen = arrays(source.answer(source.question({"length": "10", "rows": "32"})))
    walked = np.arange(1, 22)
    for weightings in (seen["read_weightings"], seen["write_weightings"]):
        np.testing.assert_array_equal(
            weightings.argmax(axis=2), np.tile(walked[:, None], weightings.shape[1])
        )


def test_the_seed_decides_the_episode(source):
    one, same, other = (
        arrays(source.answer(source.question({"seed": seed})))["inputs"] for seed in "112"
    )
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_a_kept_table_goes_with_other_bits(tmp_path):
    save_walker(tmp_path / "run", tiny("ngram", task__length=400))
    source = sources.open_source(tmp_path / "run")

    def inputs(**given):
        return arrays(source.answer(source.question(given)))["inputs"][:, 0]

    def table(bits):
        """How often a 1 followed each of the last two bits."""
        places = (bits[:-2] * 2 + bits[1:-1]).astype(int)
        return np.array([bits[2:][places == place].mean() for place in range(4)])

    own, kept = inputs(seed="4"), inputs(seed="4", table="4")
    np.testing.assert_array_equal(own, kept)  # an episode's own table is that of its seed
    others = [inputs(seed=str(seed), table="4") for seed in range(5, 10)]
    fresh = [inputs(seed=str(seed)) for seed in range(5, 10)]
    assert all((other != own).any() for other in others)
    near = [np.abs(table(bits) - table(own)).max() for bits in others]
    far = [np.abs(table(bits) - table(own)).max() for bits in fresh]
    assert np.median(near) < 0.5 * np.median(far)


def test_the_optimum_is_beside_the_models(tmp_path):
    save_walker(tmp_path / "run", tiny("ngram", task__length=50))
    source = sources.open_source(tmp_path / "run")
    answer = source.answer(source.question({}))
    seen = arrays(answer)
    # Counts by hand, context by context (paper, equation 10).
    bits = [*seen["inputs"][:, 0].astype(int), int(seen["targets"][-1, 0])]
    counts, nats = {}, 0.0
    for t in range(5, 50):
        zeros, ones = counts.setdefault(tuple(bits[t - 5 : t]), [0, 0])
        p = (ones + 0.5) / (zeros + ones + 1)
        np.testing.assert_allclose(seen["optimal"][t - 1, 0], p, rtol=1e-6)
        nats -= np.log(p if bits[t] else 1 - p)
        counts[tuple(bits[t - 5 : t])][bits[t]] += 1
    np.testing.assert_allclose(answer["scores"]["optimal_bits"], nats / np.log(2), rtol=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_recalls_items_are_marked(seed):
    task = tasks.make("associative_recall", min_items=4, max_items=4)
    episode = task.episode(jax.random.key(seed), jnp.ones(()))
    inputs, targets, mask = map(np.asarray, (episode.inputs, episode.targets, episode.mask))
    marks = task.spans(inputs, mask)
    assert [m.label for m in marks] == ["1", "2", "3", "4", "query", "answer"]

    def vectors(mark, source):
        return source[mark.start : mark.end + 1, : task.bits]

    by_role = {m.role: m for m in marks[:4]}
    np.testing.assert_array_equal(vectors(by_role["asked"], inputs), vectors(marks[4], inputs))
    np.testing.assert_array_equal(vectors(by_role["next"], inputs), vectors(marks[5], targets))
    assert int(by_role["next"].label) == int(by_role["asked"].label) + 1


@pytest.mark.parametrize("name", tasks.TASKS)
def test_every_channel_has_a_name(name):
    variants = [{}]
    if name == "repeat_copy":
        variants += [{"count": "binary"}, {"count": "linear"}]
    if name == "copy":
        variants += [{"flags": 2}]
    for variant in variants:
        task = tasks.make(name, **variant)
        sizes = (5, 3) if name == "acrostic" else (task.input_size, task.output_size)
        channels = task.channels()
        for names, size in zip((channels.inputs, channels.outputs), sizes, strict=True):
            assert len(set(names)) == len(names) == size


def test_a_model_without_memory(tmp_path):
    config = tiny(model="lstm")
    from tests.helpers.runs import save

    save(tmp_path / "run", config)
    source = sources.open_source(tmp_path / "run")
    assert source.describe()["rows"] == 0
    answer = source.answer(source.question({"length": "4"}))
    assert "memory" not in answer["arrays"]
    assert "strength" not in answer["arrays"]
    assert answer["arrays"]["read_weightings"]["shape"] == [9, 0, 0]


def test_a_source_sees_that_it_was_trained_further(tmp_path):
    folder = tmp_path / "run"
    save_walker(folder, tiny(), update=7)
    source = sources.open_source(folder)
    first = source.describe()
    assert source.describe() == first
    save_walker(folder, tiny(), update=9)
    second = source.describe()
    assert (first["update"], second["update"]) == (7, 9)
    assert first["version"] != second["version"]


def test_the_go_weights_make_about_as_many_wrong_bits_as_they_are_known_for(oracle_folder):
    """33.2 at length 120, by its own code; here over 20 episodes, whose standard error is about 1."""
    source = sources.open_source(oracle_folder / "copy_weights_seed2_19000.json")
    wrong = [
        source.answer(source.question({"length": "120", "seed": str(seed)}))["scores"]["wrong_bits"]
        for seed in range(20)
    ]
    assert 30 < np.mean(wrong) < 37
    short = source.answer(source.question({"length": "20"}))["scores"]
    assert short["wrong_bits"] == 0


def test_episodes_are_compiled_for_few_lengths(source):
    before = episodes._watch._cache_size()
    for length in (33, 36, 41, 50):
        source.answer(source.question({"length": str(length)}))
    assert episodes._watch._cache_size() - before <= 1
