"""Poems around a message: the form's rules, decoding, and the program."""

import itertools
import json
import math
import shutil

import jax.numpy as jnp
import numpy as np
import pytest

from ntm_jax import cli, models
from ntm_jax.acrostic import __main__ as program
from ntm_jax.acrostic import decoding, readings
from ntm_jax.acrostic.corpus import BLANK, LINEFEED, MARKS
from ntm_jax.acrostic.readings import Readings
from ntm_jax.acrostic.request import Request, answer
from ntm_jax.acrostic.rules import FREE, Form, Rules
from ntm_jax.acrostic.task import as_episode
from ntm_jax.acrostic.writer import Writer
from ntm_jax.errors import UserError
from ntm_jax.tasks import losses
from ntm_jax.training import loop
from tests.helpers import verse
from tests.helpers.configs import quick_compile, tiny

# Twenty common characters of both tones; of rhyme -aan only 山 間 闌.
COMMON = "山人春風花月日雲水天年時來去不有無一夜江間闌"

pytestmark = pytest.mark.usefixtures("quick_compile")


# ---- Sounds


@pytest.mark.parametrize(
    ("character", "level", "rhyme"),
    [
        ("春", True, "eon"),
        ("人", True, "an"),
        (
            "國",
            False,
            "ok",
        ),  # the entering tones are oblique, 陰入 too, whose number is a level tone's
        ("月", False, "yut"),
        ("竹", False, "uk"),
        ("水", False, "eoi"),
        ("去", False, "eoi"),
        ("五", False, "ng"),  # a syllable without a vowel
        ("安", True, "on"),
        ("瓜", True, "aa"),
    ],
)
def test_how_a_character_sounds(character, level, rhyme):
    sound = readings.reading(character)
    assert (readings.is_level(sound), readings.rhyme(sound)) == (level, rhyme)


def test_what_is_in_no_dictionary_has_no_tone():
    found = Readings("春\U00030000")
    assert (found.level | found.oblique).tolist() == [True, False]
    assert found.rhymes[1] == -1


# ---- The form


def test_a_form_by_hand():
    form = Form((10, 11), 5, 2)
    assert form.fixed.tolist() == [-1, 10, -1, -1, -1, LINEFEED, -1, 11, -1, -1, -1, LINEFEED]
    assert form.asked.tolist() == [1, 10, 1, 1, 1, 2, 1, 11, 1, 1, 1, 2]
    assert BLANK == 1
    assert Form((10,), 7, -1).fixed.tolist() == [-1] * 6 + [10, LINEFEED]
    assert Form((10,), 5, 1, lines=2).fixed.tolist() == [
        *[10, -1, -1, -1, -1, LINEFEED],
        *[-1] * 5,
        LINEFEED,
    ]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"width": 6}, "form: 6"),
        ({"position": 0}, "position: 0"),
        ({"position": 6}, "position: 6"),
        ({"position": -6}, "position: -6"),
        ({"message": ()}, "1 to 32 lines; 0"),
        ({"message": (9,) * 33}, "1 to 32 lines; 33"),
    ],
)
def test_no_such_form(options, said):
    with pytest.raises(UserError, match=said):
        Form(**{"message": (9, 10), **options})


def test_the_tones_of_two_couplets_by_hand():
    """平起 and 仄起, the message at the first place, then at the second, where its own tones decide."""
    found = Readings(COMMON)

    def tones(text, position):
        form = Form(tuple(MARKS + COMMON.index(c) for c in text), 5, position)
        rules = Rules(form, MARKS + len(COMMON), found, tones=True)
        lines = rules._tones.reshape(-1, 6)
        assert not lines[:, [0, 2, 5]].any()
        return [tuple("仄 平"[t + 1] for t in line[[1, 3, 4]]) for line in lines]

    level = [tuple("平仄仄"), tuple("仄平平"), tuple("仄平仄"), tuple("平仄平")]
    assert tones("山人春風", 1) == level
    assert tones("春月水天", 2) == level
    assert tones("月春天水", 2) == [
        tuple("仄平仄"),
        tuple("平仄平"),
        tuple("平仄仄"),
        tuple("仄平平"),
    ]


# ---- Decoding, by a model that has learned nothing


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run's folder: two updates of a tiny model."""
    folder = tmp_path_factory.mktemp("acrostic") / "run"
    with quick_compile(tmp_path_factory.getbasetemp()):
        loop.train(tiny("acrostic", "ntm-lstm", train__updates=2, train__log_every=1), folder)
    return folder


@pytest.fixture(scope="module")
def writer(run):
    return Writer.load(run)


@pytest.fixture(scope="module")
def common():
    """A writer of `COMMON`, whose readings are known."""
    config = tiny("acrostic", "ntm-lstm", task__vocabulary=len(COMMON))
    return Writer(models.build(config, 1, MARKS + len(COMMON)), COMMON)


def test_the_characters_are_kept_beside_the_run(run):
    kept = (run / "vocabulary.txt").read_text(encoding="utf-8").strip()
    assert sorted(kept) == sorted(verse.CHARACTERS)


def plain(message, **options):
    """A request without the rules of sounds."""
    return Request(message, **{"rhyme": False, "tones": False, **options})


def drawn(writer, message, **options):
    """The lines of poems that are drawn at random."""
    found = answer(writer, plain(message, surprise=True, **options))
    return [poem.lines for poem in found.poems]


@pytest.mark.parametrize("asked", [{"beam": 8}, {"temperature": 5.0}])
@pytest.mark.parametrize(("form", "position"), [(5, 1), (5, -1), (7, 3)])
@pytest.mark.parametrize("message", ["宇日天地玄", "宇", "宇日天"])
def test_poems_carry_the_message(writer, form, position, asked, message):
    """A message shorter than a poem is filled up to four lines."""
    poems = answer(writer, plain(message, form=form, position=position, **asked)).poems
    assert len(poems) == 3
    for poem in poems:
        assert [len(line) for line in poem.lines] == [form] * max(4, len(message))
        place = position - 1 if position > 0 else position
        assert "".join(line[place] for line in poem.lines[: len(message)]) == message
        assert all(c in verse.CHARACTERS for line in poem.lines for c in line)
        if form * len(poem.lines) == 20:  # with 20 characters, more places cannot all differ
            assert len(set("".join(poem.lines))) == 20
    assert len({poem.lines for poem in poems}) == 3
    assert [poem.bits for poem in poems] == sorted(poem.bits for poem in poems)


def test_what_is_drawn_is_decided_by_seed_and_message(writer):
    four = drawn(writer, "宇日", n=4, seed=5)
    assert four == drawn(writer, "宇日", n=4, seed=5)
    assert {*drawn(writer, "宇日", n=2, seed=5)} < {*four}
    assert four != drawn(writer, "宇日", n=4, seed=6)


def test_poems_of_different_messages_do_not_begin_alike():
    """A model to which all characters are alike draws by the random numbers alone."""
    config = tiny("acrostic", "ntm-lstm", task__vocabulary=len(COMMON))
    model = models.build(config, 1, MARKS + len(COMMON))
    model.table[...] = jnp.zeros_like(model.table[...])
    blind = Writer(model, COMMON)
    starts = {
        tuple(lines[0][1:] for lines in drawn(blind, message, repeats=True))
        for message in ("山人", "人山", "春風", "花")
    }
    assert len(starts) == 4


def test_the_best_poems_differ_from_each_other(common):
    """More than the best of one beam do."""
    request = plain("春風花月", n=4, beam=8, repeats=True)
    found = answer(common, request)
    free = found.form.fixed == FREE

    def shared(poems):
        pairs = itertools.combinations(poems, 2)
        return np.mean([(one[free] == other[free]).mean() for one, other in pairs])

    rules = Rules(found.form, common.size, repeats=True)
    beam = common.search(found.form, rules, 8)[:4]
    best = min(poem.bits for poem in found.poems)
    assert best == pytest.approx(common.follow(found.form, beam[:1])[0].bits, abs=1e-5)
    assert shared([poem.symbols for poem in found.poems]) < shared(beam) / 2


def test_as_many_best_poems_as_there_are():
    """Of one line with two characters there are 16."""
    config = tiny("acrostic", "ntm-lstm", task__vocabulary=2)
    writer = Writer(models.build(config, 1, MARKS + 2), "山人")
    form = Form((MARKS,), 5, 1)
    seen = []
    rules = Rules(form, writer.size, repeats=True)
    found = decoding.find_best(writer, form, rules, 20, 32, seen.append)
    assert len({poem.lines for poem in found}) == len(found) == 16
    assert seen == [*range(1, 17)]


def test_repeats_if_asked(writer):
    text = "宇日天地"
    assert any(
        len(set("".join(poem.lines))) < 20
        for poem in answer(writer, plain(text, n=5, repeats=True, temperature=9.0)).poems
    )


def test_rhymes_and_tones(common):
    """Of the even lines' ends; and of the places that have tones, as far as there is a choice."""
    request = plain("春風花月", n=20, rhyme=True, temperature=20.0, repeats=True)
    ends = set()
    for poem in answer(common, request).poems:
        sounds = [readings.reading(line[-1]) for line in poem.lines[1::2]]
        assert len({readings.rhyme(sound) for sound in sounds}) == 1
        assert all(readings.is_level(sound) for sound in sounds)
        ends.add(readings.rhyme(sounds[0]))
    found = answer(common, plain("春風花月", n=5, tones=True, temperature=20.0, repeats=True))
    form = found.form
    wanted = Rules(form, common.size, Readings(COMMON), tones=True)._tones
    for poem in found.poems:
        text = [c for line in poem.lines for c in [*line, ""]]
        for place in np.flatnonzero((wanted != 0) & (form.fixed == FREE)):
            assert readings.is_level(readings.reading(text[place])) == (wanted[place] > 0)


def test_a_low_temperature_takes_the_most_probable(writer):
    """Each symbol is the best of those that are allowed, by logits from `unroll`."""
    found = answer(writer, plain("宇日", n=1, temperature=1e-6))
    form, (poem,) = found.form, found.poems
    scores = episode_logits(writer, form, poem.symbols)
    rules = Rules(form, writer.size)
    for place, symbol in enumerate(poem.symbols):
        allowed = rules.allowed(poem.symbols[:place])
        assert symbol == np.where(allowed, scores[place], -np.inf).argmax()


def test_what_is_said_of_a_poem(writer):
    """Bits, the message's characters that are the model's own, and weightings, by `unroll`."""
    found = answer(writer, plain("宇日", surprise=True))
    form = found.form
    for poem in found.poems:
        scores, trace = episode_logits(writer, form, poem.symbols, traced=True)
        shifted = scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)
        nats = -shifted[np.arange(len(poem.symbols)), poem.symbols].mean()
        assert poem.bits == pytest.approx(nats * losses.BITS_PER_NAT, abs=1e-4)
        own = scores.argmax(axis=1)[[0, 6]] == form.message  # of the message; two lines follow
        assert poem.kept == own.sum()
        expected = np.concatenate([trace.read_weightings, trace.write_weightings], axis=2)[:, 0]
        np.testing.assert_allclose(poem.weightings, expected, atol=1e-5)


def test_a_beam_as_wide_as_all_finds_the_best():
    """Of all 4^4 lines, by brute force; and the next ones in order."""
    config = tiny("acrostic", "ntm-lstm", task__vocabulary=4)
    writer = Writer(models.build(config, 1, MARKS + 4), "山人春風")
    form = Form((MARKS,), 5, 1)
    every = [
        np.array([MARKS, *rest, LINEFEED])
        for rest in itertools.product(range(MARKS, MARKS + 4), repeat=4)
    ]
    costs = {poem.lines: poem.bits for poem in writer.follow(form, np.stack(every))}
    symbols = writer.search(form, Rules(form, writer.size, repeats=True), 256)
    found = writer.follow(form, symbols)
    assert [poem.lines for poem in found] == sorted(costs, key=costs.get)
    for poem in found:
        assert poem.bits == pytest.approx(costs[poem.lines], abs=1e-5)


def test_an_lstm_writes_too(tmp_path):
    config = tiny("acrostic", "lstm")
    writer = Writer(models.build(config, 1, MARKS + verse.VOCABULARY), verse.CHARACTERS)
    poems = answer(writer, plain("宇日", n=2, beam=2)).poems
    assert all(poem.weightings is None and math.isfinite(poem.bits) for poem in poems)


def episode_logits(writer, form, symbols, traced=False):
    """Of the poem's symbols, from the episode as training has it."""
    shown = jnp.asarray(form.fixed != FREE)
    batch = as_episode(jnp.asarray(symbols), shown, jnp.int32(len(symbols)))
    logits, trace = models.unroll(writer._model, batch.inputs[:, None])
    scores = np.asarray(logits[len(symbols) :, 0], np.float64)
    return (scores, trace) if traced else scores


# ---- What is asked, and the program


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"n": 0}, "n: 0 is not allowed; it must be from 1 to 100"),
        ({"beam": 257}, "beam: 257"),
        ({"beam": 2, "surprise": True}, "beam: 2 is not allowed with surprise"),
        ({"beam": 2, "temperature": 1.0}, "beam: 2 is not allowed with temperature"),
        ({"seed": -1}, "seed: -1"),
        ({"temperature": 0.0}, "temperature: 0.0 is not allowed; it must be above 0"),
        ({"temperature": math.nan}, "temperature: nan"),
    ],
)
def test_what_cannot_be_asked(options, said):
    with pytest.raises(UserError, match=said):
        Request("宇", **options)


def test_the_program_prints_poems(run, capsys):
    program.run(["宇日♥", "--model", str(run), "--n", "2"])
    said, *printed, nothing = capsys.readouterr().out.split("\n\n")
    assert (said, nothing) == ("left out: ♥\n宇日", "")
    expected = answer(Writer.load(run), Request("宇日", n=2)).poems
    for text, poem in zip(printed, expected, strict=True):
        *lines, summary = text.split("\n")
        assert tuple(lines) == poem.lines
        assert f"{poem.bits:.2f} bits a character" in summary
        assert "of 2 of the message" in summary


def test_the_programs_defaults_are_those_of_a_request():
    options = vars(program.parser().parse_args(["宇"]))
    options.pop("model")
    assert Request(**options) == Request("宇")
    options = vars(program.parser().parse_args(["宇", "--no-rhyme", "--no-tones", "--beam", "0"]))
    options.pop("model")
    assert Request(**options) == plain("宇", beam=0)
    assert Request(**options).draws


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["宇", "--model", "nowhere"], "--model: there is no nowhere"),
        (["宇", "--form", "6"], "form: 6"),
        (["x"], "the message has 'x'"),
        (["宇", "--n", "1000"], "n: 1000"),
    ],
)
def test_bad_input_is_one_line(run, arguments, said, monkeypatch, capsys):
    if "--model" not in arguments:
        arguments = [*arguments, "--model", str(run)]
    monkeypatch.setattr("sys.argv", ["acrostic", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.run_program(program.run)
    assert ended.value.code == 2
    err = capsys.readouterr().err
    assert err.startswith(f"ntm_jax: {said}")
    assert err.count("\n") == 1


def test_writing_needs_no_corpus(run, writer, tmp_path):
    copied = tmp_path / "run"
    shutil.copytree(run, copied)
    config = json.loads((copied / "config.json").read_text())
    config["task"]["corpus"] = str(tmp_path / "none.npz")
    (copied / "config.json").write_text(json.dumps(config))
    lines = [answer(w, plain("宇日")).poems[0].lines for w in (Writer.load(copied), writer)]
    assert lines[0] == lines[1]


def test_runs_that_write_nothing(tmp_path, run):
    other = tmp_path / "copy"
    loop.train(tiny("copy", train__updates=1, optimizer__schedule="constant"), other)
    with pytest.raises(UserError, match="is of the task 'copy'"):
        Writer.load(other)
    kept = (run / "vocabulary.txt").read_bytes()
    try:
        (run / "vocabulary.txt").unlink()
        with pytest.raises(UserError, match=r"vocabulary\.txt cannot be read"):
            Writer.load(run)
        (run / "vocabulary.txt").write_text("山" * 21, encoding="utf-8")
        with pytest.raises(UserError, match="is not what the run was trained with"):
            Writer.load(run)
    finally:
        (run / "vocabulary.txt").write_bytes(kept)
