"""The viewer's page and its report in a real browser: what a visitor sees, and what the visitor can do."""

import time

import numpy as np
import pytest

from tests.helpers.browser import (
    COLLISIONS,
    CONTRAST,
    MISFITS,
    ROOT,
    js,
    look,
    save_walker,
    settled,
    viewer,
    wait_for,
)
from tests.helpers.configs import tiny
from tests.helpers.shipped import SHIPPED
from tests.helpers.viewer_page import (
    OVER_TIME,
    PANEL,
    click,
    cursor,
    panel,
    put,
    slide,
    state,
    text,
    titles,
    visit,
)

PRETRAINED = SHIPPED / "copy-ntm-ff"
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_complaints")]


@pytest.fixture(scope="module")
def folder(walkers):
    return walkers(
        walker=tiny(model__memory_size=16),
        ngram=tiny("ngram", task__length=40),
        recall=tiny("associative_recall", task__max_items=4),
        sort=tiny("priority_sort", model__memory_size=16, task__items=6),
    )


@pytest.fixture(scope="module")
def address(folder, page):
    with viewer(*(folder / name for name in ("walker", "ngram", "recall", "sort"))) as address:
        yield address


# ---- What is seen


def test_a_weighting_walks_the_rows(page, address):
    visit(page, address, "length=5&all=1")
    for title in ("write weighting", "read weighting"):
        shown = panel(page, title)
        assert shown.shape == (16, 11)
        np.testing.assert_array_equal(shown.argmax(axis=0), np.arange(1, 12))
    assert "of 40" in text(page, ".summary")
    assert [t.split(" (")[0].split(":")[0] for t in titles(page)] == [
        *("input", "target", "prediction", "write weighting", "read weighting", "error")
    ]
    # What never changes needs no panel.
    axis = js(
        page, "return document.querySelector(arguments[0]).layout.xaxis.title.text", OVER_TIME
    )
    assert axis == "step (always β 0.693, g 0, s 1, γ 6.01)"


def test_the_pictures_are_of_the_numbers(page, address):
    visit(page, address, "length=5&seed=3")
    episode = js(
        page,
        "return NTM.source.episode(0, {length: 5, seed: 3}).then((e) => "
        "Object.fromEntries(Object.entries(e.arrays).map(([n, a]) => [n, a.nested()])))",
    )
    inputs, targets = np.array(episode["inputs"]), np.array(episode["targets"])
    np.testing.assert_allclose(panel(page, "input"), inputs.T, atol=1e-5)
    np.testing.assert_allclose(panel(page, "target")[:, 6:], targets.T[:, 6:], atol=1e-5)
    assert np.isnan(panel(page, "target")[:, :6]).all()  # not scored
    predicted = np.array(episode["probabilities"]).T
    np.testing.assert_allclose(panel(page, "prediction")[:, 6:], predicted[:, 6:], atol=1e-5)
    wrong = np.abs(predicted - targets.T)
    np.testing.assert_allclose(panel(page, "error")[:, 6:], wrong[:, 6:], atol=1e-4)


def test_hover_gives_the_number(page, address):
    visit(page, address, "length=5")
    place = js(
        page,
        """
        const figure = document.querySelector(arguments[0]);
        const { xaxis: x, yaxis4: y } = figure._fullLayout;
        window.scrollTo(0, 0);
        const box = figure.getBoundingClientRect();
        return { x: box.left + x._offset + x.l2p(2), y: box.top + y._offset + y.l2p(3) };
        """,
        OVER_TIME,
    )
    hovered = (
        "return [...document.querySelectorAll('.hovertext')].map((e) => e.textContent).join(' ')"
    )

    def point():
        for shift in (0, 1):
            moved = {"type": "mouseMoved", "x": place["x"] + shift, "y": place["y"]}
            page.execute_cdp_cmd("Input.dispatchMouseEvent", moved)
        return js(page, hovered)

    shown = wait_for(point)
    assert "step 2" in shown
    assert "row 4" in shown  # the fourth of those in use, which begin with row 1
    assert "weight" in shown


def test_the_slider_moves_the_step(page, address):
    visit(page, address, "length=5")
    for step in (4, 10):
        slide(page, step)
        assert f"step {step} of 10" in text(page, "#step-text")
        caption = text(page, "caption")
        assert caption == f"The heads at step {step}"
        row = js(page, "return document.querySelector('.numbers td').innerText")
        assert row == str(step + 1)  # where the read head is


def test_play_and_pause(page, address):
    visit(page, address, "length=5")
    put(page, "speed", "2")
    click(page, "play")
    wait_for(lambda: cursor(page) >= 3)
    click(page, "play")
    stopped = cursor(page)
    wait_for(lambda: state(page)["step"] == str(stopped))
    assert js(page, "return document.getElementById('play').innerText").endswith("Play")
    click(page, "play")
    wait_for(lambda: cursor(page) == 10)  # it ends at the end
    assert stopped <= 10
    wait_for(lambda: text(page, "#play").endswith("Play"))


def test_the_link_reproduces_the_view(page, address):
    visit(page, address)
    put(page, "field-length", 9)
    put(page, "seed", 5)
    put(page, "rows", 24)
    click(page, "all")
    js(page, "document.getElementById('ask').requestSubmit()")
    wait_for(lambda: state(page).get("length") == "9")
    settled(page)
    put(page, "step", 7, "input")
    put(page, "from", 3)
    put(page, "theme", "dark")
    wait_for(lambda: {"step", "from", "theme"} <= state(page).keys() and state(page)["step"] == "7")
    shown = panel(page, "read weighting"), panel(page, "input")
    link = js(page, "return location.href")
    page.get("about:blank")
    page.get(link)
    settled(page)
    np.testing.assert_array_equal(panel(page, "read weighting"), shown[0])
    np.testing.assert_array_equal(panel(page, "input"), shown[1])
    assert shown[0].shape == (24, 19)
    assert cursor(page) == 7
    zoom = js(page, f"return document.querySelector('{OVER_TIME}').layout.xaxis.range")
    assert zoom == [2.5, 18.5]
    assert js(page, "return document.documentElement.dataset.theme") == "dark"
    assert js(page, "return location.href") == link


def test_the_heads_have_the_themes_colours(page, address):
    colours = "return [...document.querySelectorAll('.pick')].map((b) => getComputedStyle(b).borderLeftColor)"
    look(page, 1600)
    visit(page, address, "run=walker")
    assert js(page, colours) == ["rgb(46, 111, 149)", "rgb(209, 73, 91)"]
    look(page, 1600, dark=True)
    wait_for(lambda: js(page, colours) == ["rgb(124, 196, 238)", "rgb(255, 142, 156)"], 20)
    look(page, 1600)


def test_two_runs_side_by_side(page, address):
    visit(page, address, "run=walker&beside=ngram&step=3")
    assert js(page, "return document.querySelectorAll('article').length") == 2
    boxes = js(
        page,
        "return [...document.querySelectorAll('article')].map((a) => a.getBoundingClientRect().toJSON())",
    )
    assert boxes[0]["right"] <= boxes[1]["left"]
    assert abs(boxes[0]["top"] - boxes[1]["top"]) < 2
    put(page, "step", 5, "input")
    wait_for(lambda: cursor(page, 0) == cursor(page, 1) == 5)
    look(page, 400)
    wait_for(
        lambda: js(
            page,
            "const [a, b] = [...document.querySelectorAll('article')].map("
            "(x) => x.getBoundingClientRect()); return b.top >= a.bottom",
        )
    )


def test_ngrams_have_the_optimum_beside_the_models(page, address):
    visit(page, address, "run=ngram&seed=0")
    bits, optimal, model = js(page, PANEL, "probability of a 1", OVER_TIME, 0)
    assert len(bits) == len(optimal) == len(model) == 39
    assert set(bits[4:]) <= {0, 1}
    assert optimal[4] == 0.5  # nothing was seen yet
    assert "as good as can be expected" in text(page, ".summary")
    click(page, "keep")
    wait_for(lambda: state(page).get("table") == "0")
    click(page, "another")
    wait_for(lambda: state(page).get("seed") != "0")
    assert state(page)["table"] == "0"


def test_recalls_items_are_marked(page, address):
    visit(page, address, "run=recall")
    labels = js(
        page,
        f"return document.querySelector('{OVER_TIME}').layout.annotations"
        ".filter((a) => a.yref !== 'paper').map((a) => a.text)",
    )
    assert [label.split()[0] for label in labels] == ["1", "2", "3", "4", "query", "answer"]
    assert sum("→" in label for label in labels) == 1


def test_sorts_priorities_are_beside_the_write_locations(page, address):
    visit(page, address, "run=sort&seed=2")
    code = """
      const figure = [...document.querySelectorAll('.figure')].find(
        (f) => f.data && f.data.some((d) => (d.name || '').includes('to be')));
      return figure.data.map((d) => [d.name, d.x, d.y, d.customdata.map(([item]) => item)]);
    """
    points = [
        point for name, *rest in js(page, code) for point in zip(*rest, [name] * 6, strict=False)
    ]
    assert len(points) == 6
    assert sorted(row for _, row, _, _ in points) == [1, 2, 3, 4, 5, 6]  # the walker's
    assert all(row == item + 1 for _, row, item, _ in points)
    back = [priority for priority, _, _, name in points if name == "to be given back"]
    out = [priority for priority, _, _, name in points if name == "to be left out"]
    assert len(back) == 2
    assert min(back) > max(out)


# ---- What can go wrong


def test_a_run_that_is_trained_meanwhile_says_so(page, folder):
    with viewer(folder / "walker") as address:
        visit(page, address, "length=3")
        assert "update 7" in text(page, ".summary")
        assert js(page, "return document.getElementById('notice').hidden")
        save_walker(folder / "walker", tiny(model__memory_size=16), update=8)
        wait_for(lambda: not js(page, "return document.getElementById('notice').hidden"))
        assert text(page, "#notice span") == "walker is at update 8 now; shown is update 7."
        assert "update 7" in text(page, ".summary")
        js(page, "document.querySelector('#notice button').click()")
        wait_for(lambda: "update 8" in text(page, ".summary"))
        assert js(page, "return document.getElementById('notice').hidden")


# ---- Everybody can use it


@pytest.mark.parametrize("width", [400, 1600])
@pytest.mark.parametrize("dark", [False, True])
def test_nothing_is_wider_than_the_window_and_contrast_is_good(page, address, width, dark):
    look(page, width, dark=dark)
    visit(page, address, "length=5")
    assert js(page, "return document.documentElement.scrollWidth") <= width
    worst = js(page, CONTRAST)
    assert worst[0] >= 4.5, worst
    background = js(page, "return getComputedStyle(document.body).backgroundColor")
    assert (int(background.split("(")[1].split(",")[0]) < 128) is dark
    paper = js(page, f"return document.querySelector('{OVER_TIME}').layout.paper_bgcolor")
    assert (paper == "#15181d") is dark


@pytest.mark.parametrize("run", range(4))
def test_words_do_not_lie_over_others(page, address, run):
    for width in (400, 1600):
        look(page, width)
        visit(page, address, f"run={run}")
        assert js(page, COLLISIONS, ".figure") == []


def test_figures_fit_a_window_that_changes_its_size(page, address):
    visit(page, address, "run=sort&beside=walker&length=5")
    assert js(page, "return document.querySelectorAll('.main-svg').length") >= 5
    for width, height in ((1600, 900), (1100, 900), (700, 1300), (400, 800), (400, 700)):
        look(page, width, height)
        time.sleep(0.7)  # what a late answer to the change would spoil
        wait_for(lambda: js(page, MISFITS) == [])
        assert js(page, "return document.documentElement.scrollWidth") <= width


def test_the_numbers_of_the_heads_fit_a_phone(page, address):
    look(page, 360)
    visit(page, address, "run=walker&length=5")
    code = "const n = document.querySelector('.numbers'); return [n.scrollWidth, n.clientWidth]"
    needed, there = js(page, code)
    assert needed <= there


def test_zoom_speed_and_link_are_there_in_a_narrow_window(page, address):
    look(page, 400)
    visit(page, address, "length=5")
    shown = "return document.getElementById(arguments[0]).checkVisibility()"
    assert not js(page, shown, "from")  # so that the player that stays on the screen is low
    js(page, "document.querySelector('.more summary').click()")
    assert all(js(page, shown, name) for name in ("speed", "from", "to", "whole", "copy-link"))
    assert js(page, "return document.documentElement.scrollWidth") <= 400


@pytest.mark.parametrize("rows", [256, 4096])
def test_a_weighting_over_many_rows_is_seen_at_every_step(page, address, rows):
    """A row that is less than a pixel high would not be drawn."""
    visit(page, address, f"length=5&rows={rows}&all=1")
    weighting = panel(page, "read weighting")
    assert (weighting.max(axis=0) > 0.9).all()
    pixels = js(
        page,
        """
        const figure = document.querySelector(arguments[0]);
        return figure._fullLayout.yaxis5._length / figure.data[4].z.length;
        """,
        OVER_TIME,
    )
    assert pixels >= 1


def test_the_keyboard_reaches_everything(page, address):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    visit(page, address, "run=0&length=5&step=0")
    js(page, "document.getElementById('rare').open = true")
    js(page, "document.activeElement.blur()")
    reached = []
    for _ in range(60):
        ActionChains(page).send_keys(Keys.TAB).perform()
        active = "const e = document.activeElement; return e.id || e.innerText || e.className"
        reached.append(js(page, active))
    wanted = {"theme", "run", "beside", "field-length", "seed", "rows", "another", "first", "back"}
    wanted |= {"play", "forward", "step", "speed", "from", "to", "whole", "copy-link", "Save"}
    wanted |= {"all", "read head", "write head"}
    assert wanted <= set(reached), wanted - set(reached)
    js(page, "document.getElementById('step').focus()")
    ActionChains(page).send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT).perform()
    wait_for(lambda: cursor(page) == 2)
    js(page, "document.getElementById('forward').focus()")
    ActionChains(page).send_keys(Keys.ENTER).perform()
    wait_for(lambda: cursor(page) == 3)
    named = js(
        page,
        "return [...document.querySelectorAll('button, input, select')].filter("
        "(e) => !(e.textContent.trim() || e.getAttribute('aria-label') || (e.labels && e.labels.length))).length",
    )
    assert named == 0


# ---- Real models


def test_pretrained_copy_walks_the_rows(page):
    if not PRETRAINED.is_dir():
        pytest.skip(f"no {PRETRAINED.relative_to(ROOT)} yet")
    with viewer(PRETRAINED) as address:
        visit(page, address, "length=20&seed=1&step=30&all=1")
        assert text(page, ".summary").startswith("0 wrong bits of 160")
        read = panel(page, "read weighting")
        answered = read[:, 21:].argmax(axis=0)
        np.testing.assert_array_equal(np.unique(np.diff(answered) % len(read)).size, 1)
        assert read[:, 21:].max(axis=0).min() > 0.5
        assert abs(int(np.diff(answered)[0])) == 1
        put(page, "step", 35, "input")
        wait_for(lambda: cursor(page) == 35 and state(page)["step"] == "35")
        link = js(page, "return location.href")
        page.get("about:blank")
        page.get(link)
        settled(page)
        assert cursor(page) == 35
        np.testing.assert_array_equal(panel(page, "read weighting"), read)


def test_the_go_copy_weights(page, oracle_folder):
    with viewer(oracle_folder / "copy_weights_seed2_19000.json") as address:
        visit(page, address, "length=120&seed=0&step=200&all=1")
        wrong = int(text(page, ".summary").split()[0])
        assert 20 <= wrong <= 46
        weighting = panel(page, "head (reads and writes)").argmax(axis=0)
        steps = np.diff(weighting[1:120])
        assert (steps == steps[0]).mean() > 0.9
        assert abs(steps[0]) == 1
