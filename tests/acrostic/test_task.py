"""Acrostics: episodes by hand, batches of one length each, and what answers are worth."""

import functools
import json
import math
import os
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from ntm_jax import config as configs
from ntm_jax import models, tasks
from ntm_jax.acrostic import corpus
from ntm_jax.acrostic.augmentation import shift_linefeeds
from ntm_jax.acrostic.corpus import BLANK, END, LINEFEED
from ntm_jax.acrostic.download import RawPoem
from ntm_jax.acrostic.task import Acrostic, as_episode
from ntm_jax.errors import UserError
from ntm_jax.evaluation import evaluate, report
from ntm_jax.tasks.base import Batch
from ntm_jax.training import curriculum, loop
from ntm_jax.training.trainer import Trainer
from tests.helpers import ROOT, verse
from tests.helpers.configs import quick_compile, tiny

LONG = 9 * 4  # symbols of the longest of the tests' poems


@pytest.fixture(scope="module", autouse=True)
def quick(tmp_path_factory):
    with quick_compile(tmp_path_factory.getbasetemp()):
        yield


@functools.cache
def make(**fields):
    return tasks.make("acrostic", corpus=verse.corpus_path(), vocabulary=verse.VOCABULARY, **fields)


@functools.cache
def sample(task, count=50, seed=0):
    batch = jax.jit(task.sample, static_argnums=1)(jax.random.key(seed), count)
    return jax.tree.map(np.asarray, batch)


def episodes(batch):
    """Each episode as (what was shown, the poem), lists of symbols, checked for its form."""
    for b in range(batch.mask.shape[1]):
        inputs, targets, mask = (x[:, b] for x in (batch.inputs, batch.targets, batch.mask))
        inputs, targets = inputs[:, 0].tolist(), targets[:, 0].tolist()
        end = inputs.index(END)
        poem = targets[end : 2 * end]
        assert mask.tolist() == [0] * end + [1] * end + [0] * (len(mask) - 2 * end)
        assert inputs[end + 1 : 2 * end] == poem[:-1]
        assert set(inputs[2 * end :]) <= {BLANK}
        yield inputs[:end], poem


# ---- Episodes


def test_an_episode_by_hand():
    # 春眠 / 聞鳥, of which 眠 and 聞 are shown, in a batch whose longest has 7 symbols.
    a, b, c, d, n = 10, 11, 12, 13, LINEFEED
    symbols = jnp.array([a, b, n, c, d, n, 99])
    shown = jnp.array([False, True, True, True, False, True, True])
    found = as_episode(symbols, shown, jnp.int32(6))
    inputs = [BLANK, b, n, c, BLANK, n, END, a, b, n, c, d, BLANK, BLANK]
    assert found.inputs[:, 0].tolist() == inputs
    assert found.targets[:, 0].tolist() == [BLANK] * 6 + [a, b, n, c, d, n] + [BLANK] * 2
    assert found.mask.tolist() == [0] * 6 + [1] * 6 + [0] * 2


@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_poems_are_of_the_part_and_have_one_keyword_a_line(part):
    found = corpus.load(verse.corpus_path())
    texts = {
        tuple(found.text[found.starts[i] : found.starts[i + 1]].tolist()) for i in found.part(part)
    }
    places = Counter()
    for shown, poem in episodes(sample(make(part=part))):
        assert tuple(poem) in texts
        for start in range(0, len(poem), 4):  # three characters and a linefeed
            keywords = [i for i in range(3) if shown[start + i] != BLANK]
            assert len(keywords) == 1
            assert shown[start + keywords[0]] == poem[start + keywords[0]]
            assert shown[start + 3] == LINEFEED
            places[keywords[0]] += 1
    total = sum(places.values())
    for place in range(3):
        assert abs(places[place] - total / 3) < 4.5 * math.sqrt(total * 2 / 9)


@pytest.mark.parametrize(
    ("fields", "columns"),
    [
        ({"position": 1}, {0}),
        ({"position": 3}, {2}),
        ({"position": -1}, {2}),
        ({"position": -3}, {0}),
        ({"position": 8}, {2}),  # the line has three
        ({"position": -8}, {0}),
        ({"position": 2, "keywords": 2}, {0, 1}),
        ({"keywords": 3}, {0, 1, 2}),
        ({"keywords": 8}, {0, 1, 2}),
        ({"keywords": 0}, set()),
    ],
)
def test_chosen_places(fields, columns):
    for shown, _ in episodes(sample(make(**fields), 5)):
        for start in range(0, len(shown), 4):
            assert {i for i in range(3) if shown[start + i] != BLANK} == columns


def test_some_more_are_shown():
    """None in half of the poems; in the others a share that is anything up to so many percent."""
    poems = [
        [s for s in one if s != LINEFEED]
        for one, _ in episodes(sample(make(keywords=0, extra_keywords_percent=80), 400))
    ]
    shares = np.array([np.mean([s != BLANK for s in poem]) for poem in poems])
    long = shares[[len(poem) == 27 for poem in poems]]
    none = np.mean(shares == 0)
    assert 0.5 < none < 0.65  # of a share that is small too, little comes
    assert abs(shares.mean() - 0.2) < 4.5 * 0.27 / math.sqrt(len(shares))
    assert long.max() > 0.6
    assert np.mean((long > 0) & (long < 0.4)) > 0.1
    assert np.mean(long > 0.4) > 0.1


def test_a_form():
    task = make(form="3x2")
    assert task.steps == 2 * 8
    assert all(len(poem) == 8 for _, poem in episodes(sample(task)))


def test_joined_poems_follow_one_another_and_have_lines_of_one_length(tmp_path):
    """All are of the part; together they have up to 32 lines, and often about as many."""
    raw = verse.raw_poems() + [
        RawPoem(f"wide-{i}", poem.paragraphs) for i, poem in enumerate(verse.raw_poems(width=6))
    ]
    corpus.save(corpus.build(raw), tmp_path / "verse.npz")
    fields = {"vocabulary": verse.VOCABULARY, "corpus": str(tmp_path / "verse.npz")}
    task = tasks.make("acrostic", concatenated_percent=100, **fields)
    assert task.source.shapes == (task,)
    found = corpus.load(str(tmp_path / "verse.npz"))
    texts = {
        tuple(found.text[found.starts[i] : found.starts[i + 1]].tolist())
        for i in found.part("train")
    }
    sizes, widths, firsts = [], Counter(), set()
    for shown, symbols in episodes(sample(task, 300)):
        ends = [place for place, symbol in enumerate(symbols) if symbol == LINEFEED]
        lengths = set(np.diff([-1, *ends]))
        assert len(lengths) == 1
        assert len(ends) <= 32
        assert ends[-1] == len(symbols) - 1
        (width,) = lengths
        widths[int(width)] += 1
        sizes.append(len(ends))
        rest = tuple(symbols)
        first = next(n for n in (2, 3, 9) if rest[: n * width] in texts)
        firsts.add(rest[: first * width])
        while rest:
            rest = next(rest[n * width :] for n in (2, 3, 9) if rest[: n * width] in texts)
        assert sum(s not in (BLANK, LINEFEED) for s in shown) == len(ends)
    assert set(widths) == {4, 7}
    assert min(widths.values()) > 100
    assert len(firsts) > 150
    assert max(sizes) == 32
    assert min(sizes) < 24
    assert np.mean(np.array(sizes) > 24) > 0.4


def test_joined_poems_are_a_share_of_the_symbols_and_come_from_an_update_on():
    task, alone = make(concatenated_percent=40), make()
    assert task.source.shapes[:-1] == alone.source.shapes
    assert task.source.shapes[-1].concatenated_percent == 100
    assert task.source.batch_sizes(30)[:-1] == alone.source.batch_sizes(30)
    assert task.source.batch_sizes(30)[-1] == round(task.source.batch_sizes(30)[0] * 12 / 256)
    for progress in (0.0, 1.0):
        shares, others = (
            np.asarray(t.source.probabilities(jnp.float32(progress))) for t in (task, alone)
        )
        if progress == 1:
            assert shares[-1] / shares.sum() == pytest.approx(0.4)
        np.testing.assert_allclose(shares[:-1] / shares[0], others / others[0], rtol=1e-6)
    assert not any(case.task.concatenated_percent for case in task.cases())
    assert make(concatenated_percent=40, longest=12).source.held_out().concatenated_percent == 0
    late = staged({"start": 1000, "task": {"concatenated_percent": 40}})
    stages = curriculum.Stages(tiny("acrostic", "lstm", curriculum__name="none", **late))
    chosen = jax.vmap(lambda update: stages.at(update).kind)(jnp.arange(2000))
    assert max(chosen[:1000].tolist()) == 1
    assert abs(np.mean(np.asarray(chosen[1000:]) == 2) - 0.4) < 4.5 * math.sqrt(0.24 / 1000)
    # Those before are the same batches as without.
    stages = curriculum.Stages(tiny("acrostic", "lstm", curriculum__name="none"))
    same = jax.vmap(lambda update: stages.at(update).kind)(jnp.arange(1000))
    np.testing.assert_array_equal(same, chosen[:1000])


def line_lengths(poem):
    """Which there are, in symbols, each with its linefeed."""
    return set(np.diff(np.flatnonzero(np.array(poem) == LINEFEED), prepend=-1).tolist())


@pytest.fixture
def of_unusual_lines(tmp_path):
    """The task, with some fields, on 60 poems of lines of 5, 60 of 7 and 60 of both."""
    usual = [RawPoem(f"{w}-{p.id}", p.paragraphs) for w in (5, 7) for p in verse.raw_poems(60, w)]
    mixed = zip(verse.raw_poems(60), verse.raw_poems(60, 7), strict=True)
    odd = [RawPoem(p.id, (*p.paragraphs, *q.paragraphs)) for p, q in mixed]
    corpus.save(corpus.build(usual + odd), tmp_path / "verse.npz")
    fields = {"vocabulary": verse.VOCABULARY, "corpus": str(tmp_path / "verse.npz")}
    return lambda **more: tasks.make("acrostic", **fields, **more)


def test_poems_of_unusual_lines_are_drawn_so_many_times_as_often(of_unusual_lines):
    """Those whose lines are not all of 5 characters, nor all of 7; not where they are counted."""
    task, alike = of_unusual_lines(irregular_weight=4), of_unusual_lines()
    found, times = corpus.load(task.corpus), Counter(poems(task))
    for poem, count in times.items():
        lengths = line_lengths(found.text[found.starts[poem] : found.starts[poem + 1]])
        assert count == (1 if lengths in ({6}, {8}) else 4)
    assert set(times.values()) == {1, 4}
    assert sorted(times) == sorted(poems(alike))
    share = np.mean([line_lengths(poem) in ({6}, {8}) for _, poem in episodes(sample(task, 400))])
    expected = sum(count for count in times.values() if count == 1) / times.total()
    assert abs(share - expected) < 4.5 * math.sqrt(expected * (1 - expected) / 400)
    assert task.source.held_out() == alike.source.held_out()
    assert task.cases() == alike.cases()


def test_linefeeds_are_moved_up_to_two_characters():
    """The last stays, and the characters are as they were; a poem with a line of four or fewer is left alone."""
    poem = np.array([*range(10, 15), LINEFEED, *range(20, 27), LINEFEED, *range(30, 35), LINEFEED])
    symbols = jnp.array([*poem, BLANK, BLANK])
    draw = jax.jit(jax.vmap(lambda key: shift_linefeeds(symbols, jnp.int32(len(poem)), key)))
    found = np.asarray(draw(jax.random.split(jax.random.key(0), 500)))
    assert np.all(found[:, len(poem) :] == BLANK)
    places = Counter()
    for one in found[:, : len(poem)]:
        np.testing.assert_array_equal(one[one != LINEFEED], poem[poem != LINEFEED])
        ends = np.flatnonzero(one == LINEFEED).tolist()
        assert len(ends) == 3
        assert ends[-1] == len(poem) - 1
        places.update(ends[:2])
    assert set(places) == {3, 4, 5, 6, 7, 11, 12, 13, 14, 15}
    assert all(abs(count - 100) < 4.5 * math.sqrt(80) for count in places.values())
    narrow = jnp.array([*range(10, 15), LINEFEED, *range(20, 24), LINEFEED, BLANK])
    for key in jax.random.split(jax.random.key(1), 20):
        np.testing.assert_array_equal(shift_linefeeds(narrow, jnp.int32(11), key), narrow)


def test_a_share_of_the_poems_has_its_linefeeds_moved(of_unusual_lines):
    task = of_unusual_lines(shifted_linefeeds_percent=30)
    found = corpus.load(task.corpus)
    whole = {tuple(found.text[found.starts[i] : found.starts[i + 1]].tolist()) for i in poems(task)}
    same = np.mean([tuple(poem) in whole for _, poem in episodes(sample(task, 400))])
    # One whose linefeeds all stay where they are is rare: of the shortest, one in 25.
    assert abs(same - 0.7) < 0.02 + 4.5 * math.sqrt(0.21 / 400)
    assert all(case.task.shifted_linefeeds_percent == 0 for case in task.cases())
    assert task.source.held_out().shifted_linefeeds_percent == 0


def test_keywords_as_a_message_has_them():
    """As many in every line, 1 to 3, in the same columns or at random places, and nothing else is shown."""
    path = verse.corpus_path(width=7)
    task = tasks.make(
        "acrostic",
        corpus=path,
        vocabulary=verse.VOCABULARY,
        message_like_percent=100,
        extra_keywords_percent=60,
    )
    asked, apart = Counter(), Counter()
    for shown, _ in episodes(sample(task, 600)):
        lines = np.array(shown).reshape(-1, 8)[:, :7] != BLANK
        (count,) = set(lines.sum(axis=1).tolist())
        columns = {tuple(np.flatnonzero(line).tolist()) for line in lines}
        asked[count] += 1
        if len(lines) == 9:
            apart[len(columns) > 1] += 1
            if len(columns) == 1 and count == 1:
                apart[columns.pop()] += 1
    assert set(asked) == {1, 2, 3}
    assert all(abs(count - 200) < 4.5 * math.sqrt(400 / 3) for count in asked.values())
    # Of seven places from three before the end to three after the beginning, one is any.
    total = apart[True] + apart[False]
    assert abs(apart[True] - total / 7) < 4.5 * math.sqrt(total * 6 / 49)
    assert {place for place in apart if isinstance(place, tuple)} == {
        *((0,), (1,), (2,), (4,), (5,), (6,))
    }
    half = tasks.make(
        "acrostic", corpus=path, vocabulary=verse.VOCABULARY, message_like_percent=50, keywords=7
    )
    all_shown = np.mean([BLANK not in shown for shown, _ in episodes(sample(half, 600))])
    assert abs(all_shown - 0.5) < 4.5 * math.sqrt(0.25 / 600)
    assert all(case.task.message_like_percent == 0 for case in task.cases())
    assert task.source.held_out().message_like_percent == 0


def staged(*stages):
    """The override for stages of these fields."""
    return {"curriculum__stages": json.dumps(stages)}


@pytest.mark.parametrize(
    ("stages", "start", "reduced", "kinds"),
    [
        ([{"start": 20}], 20, 0, 2),
        ([{"memory_rows_per_step": 0.5}, {"start": 20}], 20, 20, 2),
        ([{"memory_rows_per_step": 0.5}, {"start": 20, "task": {}}, {"start": 40}], 40, 20, 3),
        ([{"start": 10, "task": {}}, {"start": 40}], 40, 0, 2),
        ([{"memory_rows_per_step": 0.5}, {"start": 20, "task": {}}, {"start": 60}], 60, 20, 2),
        ([{"start": 60}], 60, 0, 1),
    ],
)
def test_what_is_rare_comes_from_a_stage_on_and_before_it_all_is_as_without(
    of_unusual_lines, stages, start, reduced, kinds
):
    """The last stage has the rare poems, which `task: {}` keeps out of those before."""
    rare = {"irregular_weight": 4, "shifted_linefeeds_percent": 20, "message_like_percent": 30}
    made = of_unusual_lines()
    own = {f"task__{name}": getattr(made, name) for name in ("corpus", "vocabulary")}

    def drawn(last):
        all_stages = [*stages[:-1], {**stages[-1], "task": last}]
        fields = {"curriculum__name": "none", "train__updates": 60, "model__memory_size": 1000}
        fields |= {**own, **staged(*all_stages)}
        found = curriculum.Stages(tiny("acrostic", "ntm-lstm", **fields))
        choose = jax.jit(lambda update: found.at(update).kind)
        return [found.specs[choose(jnp.int32(update))] for update in range(60)], found.specs

    (found, specs), (alike, _) = drawn(rare), drawn({})
    assert found[:start] == alike[:start]
    later = [tuple(getattr(spec.task, name) for name in rare) for spec in found[start:]]
    assert set(later) <= {(4, 20, 30)}
    assert all((spec.memory_rows is not None) == (u < reduced) for u, spec in enumerate(found))
    # Nothing is compiled that is never drawn, or twice.
    assert len(specs) == kinds * len(made.source.shapes)


# ---- Batches


def test_shapes_share_out_the_poems_and_the_symbols():
    task = make()
    short, long = task.source.shapes
    assert (short.source.answer_steps, long.source.answer_steps) == (12, LONG)
    assert long.source.shapes == (long,)
    counts = [len(scores) for scores in (poems(short), poems(long))]
    assert sum(counts) == len(poems(task))
    assert not set(poems(short)) & set(poems(long))
    few, many = task.source.batch_sizes(30)[1], task.source.batch_sizes(30)[0]
    assert few * LONG == pytest.approx(many * 12, rel=0.1)

    # Every poem is drawn as often: shape by shape, chances times sequences are as the poems.
    shares = np.asarray(task.source.probabilities(jnp.ones(())))
    share = shares[1] / shares.sum()
    expected = counts[1] / few / (counts[0] / many + counts[1] / few)
    assert share == pytest.approx(expected, abs=0.01)
    assert (1 - share) * many + share * few == pytest.approx(30, rel=0.1)


def poems(task):
    return task.selection.open()[1].tolist()


def test_a_rebuilt_corpus_is_selected_from_anew(tmp_path):
    """A viewer lives on while `prepare` makes the file again: no old poem numbers with new poems."""
    path = tmp_path / "verse.npz"
    corpus.save(corpus.build(verse.raw_poems(80)), path)
    task = tasks.make(
        "acrostic", corpus=str(path), vocabulary=verse.VOCABULARY, part="test", keywords=0
    )
    before = poems(task)
    others = verse.raw_poems(60, width=6, lines=(4, 5))
    renamed = [RawPoem(f"other-{poem.id}", poem.paragraphs) for poem in others]
    corpus.save(corpus.build(renamed), path)
    os.utime(path, ns=(1, 1))
    found = corpus.load(str(path))
    assert poems(task) != before
    assert sorted(poems(task)) == found.part("test").tolist()
    assert task.steps == 2 * found.lengths[found.part("test")].max()
    texts = {
        tuple(found.text[found.starts[i] : found.starts[i + 1]].tolist())
        for i in found.part("test")
    }
    for seed in range(5):
        alone = task.episode(jax.random.key(seed), jnp.ones(()))
        (poem,) = episodes(jax.tree.map(lambda x: np.asarray(x)[:, None], alone))
        assert tuple(poem[1]) in texts


def test_a_curriculum_begins_with_the_shortest():
    task = make()
    assert np.flatnonzero(task.source.probabilities(jnp.zeros(()))).tolist() == [0]


@pytest.mark.parametrize(
    ("late", "rows", "kinds"),
    [
        (0, 0.0, {0, 1, 2}),
        pytest.param(12, 0.25, {0, 1}, marks=pytest.mark.slow),
    ],
)
def test_an_update_is_the_gradient_of_the_shape_that_its_key_decides(late, rows, kinds):
    """In a program of all kinds; logits of the answers alone, against those of every step."""
    fields = {"curriculum__name": "none", "optimizer__state_gradient_limit": 0.0}
    fields |= {"train__write_penalty": 0.0, "model__memory_size": 12}
    few_at_first = [{"start": 0, "memory_rows_per_step": rows}] if rows else []
    fields |= staged(*few_at_first, {"start": late, "task": {"concatenated_percent": 40}})
    fields |= {"train__batch_size": 8, "model__dropout": 0.0}
    config = tiny("acrostic", "ntm-lstm", **fields)
    trainer = Trainer(config)
    state, seen = trainer.initial_state(), set()
    total_gradient = jax.jit(trainer.total_gradient)
    for update in range(12):
        state = state.replace(update=jnp.int32(update))
        moment = trainer.stages.at(state.update)
        chosen = int(moment.kind)
        if chosen in seen:
            continue
        seen.add(chosen)
        batch_key, model_key = moment.batch_key, moment.model_key
        shape, size, few, _ = trainer.stages.specs[chosen]
        batch = jax.jit(shape.sample, static_argnums=1)(batch_key, size)

        assert few == (round(rows * shape.source.answer_steps) if rows else None)
        sized = tiny("acrostic", "ntm-lstm", **fields | {"model__memory_size": few or 12})
        built = models.build(sized, trainer.task.input_size, trainer.task.output_size)

        def loss(parameters, built=built, batch=batch, key=model_key):
            model = nnx.merge(nnx.split(built)[0], parameters)
            logits, _ = models.unroll(model, batch.inputs, key=key)
            chance = jax.nn.log_softmax(logits)
            nats = -jnp.take_along_axis(chance, batch.targets, axis=-1)[..., 0]
            return jnp.sum(nats * batch.mask) / 8

        expected, gradient = jax.jit(jax.value_and_grad(loss))(state.parameters)
        found, (nats, _) = total_gradient(state)
        np.testing.assert_allclose(nats, expected, rtol=1e-5)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5, rtol=2e-3), found, gradient
        )
    assert seen == kinds


@pytest.mark.slow
def test_a_run_stopped_and_gone_on_with_is_the_same(tmp_path):
    saving = {"train__checkpoint_every": 3, "train__log_every": 2}
    fields = {"optimizer__schedule": "constant", "curriculum__name": "none", **saving}
    fields |= {"train__write_penalty": 0.0}  # it depends on train.updates, as the rate does
    whole, half = (tiny("acrostic", "ntm-lstm", train__updates=n, **fields) for n in (7, 3))
    stages = curriculum.Stages(whole)
    assert {int(stages.at(jnp.int32(u)).kind) for u in range(7)} == {0, 1}
    expected = loop.train(whole, tmp_path / "whole")
    loop.train(half, tmp_path / "parts")
    found = loop.train(whole, tmp_path / "parts")
    jax.tree.map(np.testing.assert_array_equal, found.parameters, expected.parameters)
    jax.tree.map(np.testing.assert_array_equal, found.optimizer, expected.optimizer)


@pytest.mark.slow
def test_a_restarted_schedule_is_that_of_a_finished_run_that_was_resumed(tmp_path):
    fields = {"curriculum__name": "none", "optimizer__schedule": "cosine"}
    fields |= {"train__write_penalty": 0.1, "train__checkpoint_every": 2, "train__log_every": 2}
    half, whole = (tiny("acrostic", "ntm-lstm", train__updates=n, **fields) for n in (4, 7))
    loop.train(half, tmp_path / "parts")
    expected = loop.train(whole, tmp_path / "parts")
    rows = {"memory_rows_per_step": 0.55}  # as without the restart
    restart = staged({"start": 0, **rows}, {"start": 4, "restart_schedule": True, **rows})
    at_once = tiny("acrostic", "ntm-lstm", train__updates=7, **fields | restart)
    found = loop.train(at_once, tmp_path / "at once")
    jax.tree.map(np.testing.assert_array_equal, found.parameters, expected.parameters)
    lines = [(tmp_path / name / "metrics.csv").read_text() for name in ("parts", "at once")]
    rates, same = ([line.split(",")[-1] for line in text.split()] for text in lines)
    assert rates == same


def test_dropout_is_of_training_alone():
    config = tiny("acrostic", "ntm-lstm", model__dropout=0.5)
    trainer = Trainer(config)
    model = trainer.model(trainer.initial_state())
    inputs = sample(trainer.task.source.shapes[0], 3).inputs
    plain, _ = models.training_outputs(model, inputs)
    np.testing.assert_array_equal(plain, models.training_outputs(model, inputs)[0])
    np.testing.assert_allclose(plain, models.unroll(model, inputs)[0], rtol=1e-5, atol=1e-6)
    one, two = (
        models.training_outputs(model, inputs, dropout=jax.random.key(i))[0] for i in (0, 1)
    )
    assert not np.allclose(plain, one)
    assert not np.allclose(one, two)


def test_what_is_dropped_and_what_is_kept():
    config = tiny("acrostic", "ntm-lstm", model__dropout=0.25, model__embedding_size=64)
    model = models.build(config, 1, make().output_size)
    symbols = jnp.zeros((100, 1), jnp.int32)
    dropped = np.asarray(model.embed(symbols, jax.random.key(0)))
    plain = np.asarray(model.embed(symbols))
    kept = dropped != 0
    np.testing.assert_allclose(dropped[kept], plain[kept] / 0.75, rtol=1e-6)
    assert abs(kept.mean() - 0.75) < 4.5 * math.sqrt(0.75 * 0.25 / kept.size)


# ---- Evaluation


def test_an_evaluation_has_every_poem_of_the_part_once():
    task = make(part="test")
    seen = []
    for shape, count in task.source.evaluation_shapes(10_000):
        batch = shape.source.evaluation_batch(jax.random.key(0), jnp.int32(0), count, count)
        seen += [tuple(poem) for _, poem in episodes(jax.tree.map(np.asarray, batch))]
    found = corpus.load(verse.corpus_path())
    texts = [
        tuple(found.text[found.starts[i] : found.starts[i + 1]].tolist())
        for i in found.part("test")
    ]
    assert sorted(seen) == sorted(texts)


def test_fewer_episodes_are_spread_over_the_part():
    task = make(part="train")
    total = sum(count for _, count in task.source.evaluation_shapes(100))
    assert abs(total - 100) <= 1
    shape, count = task.source.evaluation_shapes(100)[0]
    batches = [
        shape.source.evaluation_batch(jax.random.key(0), jnp.int32(first), count, 8)
        for first in range(0, count, 8)
    ]
    texts = [str(poem) for b in batches for _, poem in episodes(jax.tree.map(np.asarray, b))]
    assert len(set(texts[:count])) == count


def test_cases_are_of_the_test_part_unless_another_is_asked_for():
    assert {case.task.part for case in make().cases()} == {"test"}
    assert {case.task.part for case in make(part="validation").cases()} == {"validation"}
    names = [case.name for case in make().cases()]
    assert names == [case.name for case in make(shortest=5, keywords=3, form="3x2").cases()]


def test_an_evaluation_of_a_run(tmp_path, monkeypatch):
    part = "validation"  # not the usual one
    cases = Acrostic.cases
    # Those that differ as two of the others do are left out.
    monkeypatch.setattr(
        Acrostic,
        "cases",
        lambda task: [case for case in cases(task) if case.name not in ("first", "last")],
    )
    config = tiny("acrostic", "ntm-lstm", evaluate__episodes=1000, evaluate__part=part)
    config.train.updates = 1
    loop.train(config, tmp_path)
    result = report.evaluate_run(config, tmp_path)
    # The tests' poems have none of the usual forms.
    assert [case["name"] for case in result["cases"]] == ["any", "three"]
    found = corpus.load(verse.corpus_path())
    for case in result["cases"]:
        assert case["episodes"] == len(found.part(part))
        assert case["difficulty"]["part"] == part
        assert 0 < case["bigram_bits_per_character"] < 20
        characters = int(found.lengths[found.part(part)].sum())
        whole = case["bits_per_sequence"] * case["episodes"]
        assert case["bits_per_character"] == pytest.approx(whole / characters, rel=1e-4)
    assert (tmp_path / "figures" / "any.png").exists()
    assert "bits/character" in report.table(config, result)


# ---- Bad input


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"part": "all"}, "task.part"),
        ({"form": "5"}, "task.form"),
        ({"form": "5x0"}, "task.form"),
        ({"form": "x4"}, "task.form"),
        ({"form": 5}, "task.form"),
        ({"keywords": -1}, "task.keywords"),
        ({"extra_keywords_percent": 101}, "task.extra_keywords_percent"),
        ({"concatenated_percent": 101}, "task.concatenated_percent"),
        ({"irregular_weight": 0}, "task.irregular_weight"),
        ({"shifted_linefeeds_percent": 101}, "task.shifted_linefeeds_percent"),
        ({"message_like_percent": -1}, "task.message_like_percent"),
        ({"position": 256}, "task.position"),
        ({"shortest": 9, "longest": 8}, "task.shortest"),
        ({"vocabulary": 0}, "task.vocabulary"),
    ],
)
def test_fields_that_are_not_allowed(fields, said):
    with pytest.raises(UserError, match=said):
        tasks.make("acrostic", **fields)


def test_a_form_that_no_poem_has_and_a_vocabulary_too_small():
    with pytest.raises(UserError, match=r"no poem .* '9x9'"):
        make(form="9x9").steps  # noqa: B018
    task = tasks.make("acrostic", corpus=verse.corpus_path(), vocabulary=3)
    with pytest.raises(UserError, match=r"task\.vocabulary: 3"):
        task.steps  # noqa: B018


def test_no_corpus_is_said_before_anything_is_written(tmp_path):
    config = tiny("acrostic", "ntm-lstm", task__corpus=str(tmp_path / "none.npz"))
    with pytest.raises(UserError, match=r"acrostic\.prepare"):
        loop.train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


# ---- Learning


@pytest.mark.slow
def test_a_small_model_learns_to_put_keywords_in_their_places():
    path = ROOT / "configs" / "acrostic.py"
    sizes = {"embedding_size": 32, "controller_size": 64, "memory_size": 16, "word_size": 16}
    heads = {"read_heads": 1, "write_heads": 1, "dropout": 0.0}
    config = configs.load(
        f"{path}:ntm-lstm",
        [
            f"task.corpus={verse.corpus_path(count=10_000, lines=(2, 3))}",
            f"task.vocabulary={verse.VOCABULARY}",
            *(f"model.{name}={value}" for name, value in {**sizes, **heads}.items()),
            *("train.updates=2500", "train.batch_size=16"),
            *("optimizer.learning_rate=0.005", "optimizer.warmup=50"),
            *("curriculum.stages.1.start=1000", "curriculum.stages.2.start=12000"),
        ],
    )
    trainer = Trainer(config)
    state = trainer.run(trainer.initial_state(), jnp.int32(2500))
    task = trainer.task.at(part="validation", extra_keywords_percent=0)
    found, _ = evaluate.score(trainer.model(state), task, jax.random.key(0), 200)
    told = task.source.summarise(jax.device_get(found.statistics))
    assert told["keyword_accuracy"] > 0.99
    assert told["linefeed_accuracy"] > 0.99
    # The other characters are random: not a bit less than log2 20 is to be had.
    assert told["rest_bits"] == pytest.approx(math.log2(verse.VOCABULARY), abs=0.15)


def test_batches_have_whole_numbers():
    batch: Batch = sample(make(), 2)
    assert batch.inputs.dtype == batch.targets.dtype == np.int32
