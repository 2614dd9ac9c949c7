"""The viewer's link and its form: what the page opens with, and that what was asked can be had again."""

import shutil

import pytest

from tests.helpers.browser import (
    js,
    settled,
    viewer,
    wait_for,
)
from tests.helpers.configs import quick_compile, tiny
from tests.helpers.runs import save
from tests.helpers.verse import corpus_path
from tests.helpers.viewer_page import choose, click, cursor, notice, put, state, text, visit

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("only_refusals")]


@pytest.fixture(scope="module")
def folder(walkers, tmp_path_factory):
    base = walkers(
        ngram=tiny("ngram", task__length=40),
        walker=tiny(model__memory_size=16),
        other=tiny(model__memory_size=16),
        repeat=tiny("repeat_copy"),
        sort=tiny("priority_sort", model__memory_size=16, task__items=6),
    )
    corpus = base / "nowhere.npz"
    shutil.copy(corpus_path(), corpus)
    with quick_compile(tmp_path_factory.getbasetemp()):
        save(base / "verse", tiny("acrostic", task__corpus=str(corpus)))
    corpus.unlink()
    return base


NAMES = ("verse", "ngram", "walker", "other", "repeat", "sort")


@pytest.fixture(scope="module")
def address(folder):
    with viewer(*(folder / name for name in NAMES)) as address:
        yield address


def field(page, name):
    return js(page, "return document.getElementById(arguments[0]).value", name)


def test_it_opens_on_copy_in_the_middle_of_the_answer(page, address):
    visit(page, address)
    assert "walker (copy)" in text(page, "h2")
    assert notice(page) == ""
    steps = 2 * int(state(page)["length"]) + 1
    assert steps / 2 < cursor(page) < steps - 1
    assert "must repeat the vectors in order" in text(page, "#explanation")


def test_a_run_that_cannot_be_shown_is_marked(page, address):
    visit(page, address)
    labels = js(page, "return [...document.getElementById('run').options].map((o) => o.text)")
    assert labels[0] == "verse (cannot be shown here)"
    choose(page, labels[0])
    wait_for(lambda: "nowhere.npz" in notice(page))


def test_without_an_episode_there_is_nothing_to_play(page, address):
    visit(page, address, "run=verse")
    wait_for(lambda: "nowhere.npz" in notice(page))
    shown = "return document.querySelector('.player').checkVisibility()"
    assert not js(page, shown)
    choose(page, "walker")
    wait_for(lambda: js(page, shown))


def test_another_task_has_its_own_numbers(page, address):
    visit(page, address, "run=ngram&length=200&seed=5")
    choose(page, "repeat")
    assert notice(page) == ""
    assert (field(page, "field-length"), field(page, "field-repeats")) == ("2", "2")
    assert field(page, "seed") == "0"
    choose(page, "sort")
    assert notice(page) == ""
    assert field(page, "field-items") == "6"


def test_another_run_of_the_task_keeps_the_numbers(page, address):
    visit(page, address, "run=walker&length=7&seed=5")
    choose(page, "other")
    assert (state(page)["length"], state(page)["seed"]) == ("7", "5")


def test_a_link_names_its_run(page, folder, address):
    visit(page, address, "run=walker&length=5&step=3")
    given = state(page)
    assert (given["run"], given["at"]) == ("walker", "7")
    link = js(page, "return location.hash.slice(1)")
    with viewer(folder / "other", folder / "walker") as elsewhere:
        visit(page, elsewhere, link)
        assert "walker (copy)" in text(page, "h2")
        assert notice(page) == ""
        visit(page, elsewhere, "run=1&length=5")  # an old link
        assert "walker (copy)" in text(page, "h2")


def test_a_link_to_a_run_that_is_not_there_says_so(page, address):
    visit(page, address, "run=mine&length=5")
    assert notice(page) == "There is no run mine here."
    assert "walker (copy)" in text(page, "h2")


def test_a_link_to_another_update_says_so(page, address):
    visit(page, address, "run=walker&at=3&length=5")
    assert notice(page) == "The link was made at update 3 of walker; shown is update 7."


def test_back_goes_back_to_the_question_before(page, address):
    visit(page, address, "run=walker&length=5&seed=1")
    before = js(page, "return history.length")
    put(page, "seed", "2")
    js(page, "document.getElementById('ask').requestSubmit()")
    wait_for(lambda: state(page)["seed"] == "2")
    put(page, "step", 2, "input")  # which is no entry of its own
    wait_for(lambda: state(page)["step"] == "2")
    assert js(page, "return history.length") == before + 1
    page.back()
    wait_for(lambda: "seed_1" in js(page, "return document.title") or field(page, "seed") == "1")
    settled(page)
    assert state(page)["seed"] == "1"


@pytest.mark.parametrize(
    ("link", "said"),
    [
        ("run=walker&length=0", "length: 0 is not allowed; it must be from 1 to 1000."),
        ("run=walker&length=1000000", "length: 1000000 is not allowed"),
        ("run=walker&length=abc", 'length: "abc" is not a whole number.'),
        ("run=walker&rows=1", "rows: 1 is not allowed; it must be from 3 to 4096."),
        ("run=ngram&length=3", "length: 3 is not allowed; it must be from 6 to 2000."),
        ("run=sort&items=4&kept=5", "kept: 5 is not allowed; it must be from 1 to items (4)."),
    ],
)
def test_a_bad_number_is_named_and_the_usual_episode_shown(page, address, link, said):
    visit(page, address, link)
    assert notice(page).startswith(said)
    assert "config" not in notice(page)
    assert js(page, "return document.querySelectorAll('article').length") == 1


def test_after_an_error_the_page_says_what_is_shown(page, address):
    visit(page, address, "run=walker&length=5&seed=4")
    put(page, "field-length", "5000")
    js(page, "document.getElementById('ask').noValidate = true")
    js(page, "document.getElementById('ask').requestSubmit()")
    wait_for(lambda: notice(page).endswith("Still shown: walker, length 5, seed 4."))


def test_space_plays_and_arrows_step(page, address):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    visit(page, address, "run=walker&length=20&step=3")
    js(page, "document.activeElement.blur()")
    ActionChains(page).send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_LEFT).perform()
    assert cursor(page) == 4
    ActionChains(page).send_keys(Keys.SPACE).perform()
    wait_for(lambda: cursor(page) > 5)
    ActionChains(page).send_keys(Keys.SPACE).perform()
    stopped = cursor(page)
    assert js(page, "return document.getElementById('play').innerText").endswith("Play")
    assert js(page, "return window.scrollY") == 0
    js(page, "document.getElementById('seed').focus()")
    ActionChains(page).send_keys(Keys.ARROW_RIGHT).perform()
    assert cursor(page) == stopped  # the key is the field's


def test_nothing_that_can_be_reached_is_inside_a_picture(page, address):
    """What a screen reader takes for one picture must hold no button (axe: nested-interactive)."""
    visit(page, address, "run=sort")
    code = "return document.querySelectorAll('[role=img] a, [role=img] button, [role=img] [tabindex]').length"
    assert js(page, code) == 0


def test_every_term_has_a_meaning_and_a_place_in_the_glossary(page, address):
    visit(page, address, "run=walker&length=5")
    used = js(
        page, "return [...document.querySelectorAll('[data-word]')].map((b) => b.dataset.word)"
    )
    assert {"weighting", "strength", "gate", "shift", "sharpening", "cost", "update"} <= set(used)
    assert js(page, "return arguments[0].filter((name) => !NTM.words[name])", used) == []
    js(page, "document.querySelector('[data-word=gate]').focus()")
    assert "1 takes the rows found by content" in text(page, "#meaning")
    assert "eq. 7" in text(page, "#meaning")
    click(page, "glossary")
    terms = js(page, "return document.querySelectorAll('#glossary dt').length")
    assert terms == js(page, "return Object.keys(NTM.words).length")
