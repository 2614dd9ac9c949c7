"""The gallery: a folder of pages that needs neither a server nor a network."""

import json
import re
from types import SimpleNamespace

import numpy as np
import pytest

from ntm_jax import main
from ntm_jax.errors import UserError
from ntm_jax.web.packing import unpack
from ntm_jax.web.report import cards, content, gallery
from ntm_jax.web.viewer import sources
from tests.helpers.browser import (  # fmt: skip
    complaints,
    get_json,
    js,
    look,
    save_walker,
    settled,
    viewer,
    wait_for,
)
from tests.helpers.configs import quick_compile, tiny
from tests.helpers.runs import files, refused
from tests.helpers.shipped import SHIPPED
from tests.helpers.viewer_page import offline, panel, put, state, text

MOST_BYTES = 15_000_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Of two runs, one of which the page cannot run by itself."""
    base = tmp_path_factory.mktemp("runs")
    with quick_compile(tmp_path_factory.getbasetemp()):
        save_walker(base / "walker", tiny(model__memory_size=16))
        save_walker(base / "by <chance>", tiny(model__initial_memory="random"))
    return base


@pytest.fixture(scope="module")
def made(folder, tmp_path_factory):
    place = tmp_path_factory.mktemp("made") / "gallery"
    found = sources.open_sources([folder / "walker", folder / "by <chance>"])
    assert gallery.write(found, place) == sum(p.stat().st_size for p in place.iterdir())
    return place


def content_of(page):
    found = re.search(r'id="report">(.*?)</script>', page.read_text())
    return json.loads(found[1])


# ---- The files


def test_a_page_a_model_and_one_script_and_style(made):
    names = {"index.html", "walker.html", "by_chance_.html", "ntm_jax.js", "ntm_jax.css"}
    assert {path.name for path in made.iterdir()} == names
    index = (made / "index.html").read_text()
    assert 'href="walker.html"' in index
    assert 'href="by_chance_.html">by &lt;chance&gt;</a>' in index
    assert index.count("data:image/png") == 2
    assert "<chance>" not in index + (made / "by_chance_.html").read_text()
    assert (made / "walker.html").stat().st_size < 100_000


def test_a_model_comes_as_itself_if_the_page_can_run_it(made):
    walker = content_of(made / "walker.html")
    assert [one is None for one in walker["machines"]] == [False]
    assert set(walker["episodes"][0]["arrays"]) == {
        *("inputs", "targets", "mask", "input_copies", "target_copies")
    }
    chance = content_of(made / "by_chance_.html")
    assert chance["machines"] == [None]
    assert unpack(chance["episodes"][0]["arrays"]["memory"]).shape == (21, 8, 4)


def test_it_is_written_anew(folder, made):
    before = files(made)
    gallery.write(sources.open_sources([folder / "walker"]), made)
    assert files(made).keys() == before.keys()
    assert "by_chance_.html" not in (made / "index.html").read_text()
    gallery.write(sources.open_sources([folder / "walker", folder / "by <chance>"]), made)


@pytest.mark.parametrize("name", ["index.html", "notes.txt", "walker.html"])
def test_files_of_others_are_never_overwritten(folder, tmp_path, name):
    (tmp_path / name).write_text("<html>mine</html>")
    found = sources.open_sources([folder / "walker"])
    assert refused(tmp_path, gallery.write, found, tmp_path) == (
        f"--out: {tmp_path} has {name}, which is not of a gallery; name a new folder"
    )


def test_names_are_distinct_and_none_is_the_index(folder):
    walker = sources.open_source(folder / "walker")
    others = [sources.open_source(folder / "walker") for _ in range(3)]
    for source, name in zip(others, ("index", "a/b", "a b"), strict=True):
        source.name = name
    names = gallery._names([walker, *others])
    assert list(names.values()) == ["walker", "index_", "a_b", "a_b_"]


def test_results_of_a_random_source_stand_beside_the_best_possible(folder, tmp_path):
    source = sources.open_source(folder / "walker")
    source.path = tmp_path
    case = {
        "name": "a",
        "difficulty": {},
        "bits_per_sequence": 130.0,
        "bit_errors_per_sequence": 45.0,
    }
    case |= {"perfect_fraction": 0.0}
    for more, shown in (({}, False), ({"optimal_bits_per_sequence": 128.53}, True)):
        (tmp_path / "evaluation.json").write_text(json.dumps({"cases": [case | more]}))
        table = cards._results(source)
        assert ("as good as can be expected" in table) == ("<td>128.5</td>" in table) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        *((0, "0"), (0.00003, "&lt;0.0001"), (0.0005, "0.0005"), (0.3195, "0.320")),
        *((7.4016, "7.40"), (128.57, "128.6"), (2007.2362, "2,007.2")),
    ],
)
def test_numbers_of_the_index_have_the_digits_that_matter(value, shown):
    assert cards._number(value) == shown


@pytest.mark.parametrize(("share", "shown"), [(0, "0%"), (1, "100%"), (0.9996, "100.0%"), (0.604, "60.4%")])  # fmt: skip
def test_none_and_all_have_no_decimal(share, shown):
    assert cards._percent(share) == shown


def test_a_picture_of_many_rows_is_higher(monkeypatch, folder):
    source = sources.open_source(folder / "walker")
    assert 'class="many"' not in cards._card(source, "a.html")
    monkeypatch.setattr(cards, "used_rows", lambda weights: np.arange(64) % len(weights))
    assert 'class="many"' in cards._card(source, "a.html")


def test_who_opens_the_gallery_is_given_no_command(folder, monkeypatch):
    source = sources.open_source(folder / "walker")
    monkeypatch.setattr(source, "trouble", lambda: "corpus: there is no x; run: python -m y")
    assert "walker: corpus: there is no x</li>" in cards.missing([source])


# ---- The command line


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--mode", "report", "--out", "README"], "--out: README is a file"),
        (["--mode", "serve", "--out", "x"], "--out: only for --mode report of all runs"),
        (["--mode", "report", "--workdir", "runs/walker", "--out", "x"], "--out: only for"),
    ],
)
def test_what_cannot_be_is_one_line(folder, monkeypatch, tmp_path, arguments, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "README").write_text("")
    (tmp_path / "runs").symlink_to(folder)
    with pytest.raises(UserError) as caught:
        main.run(arguments)
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


def test_without_a_run_it_is_of_all(folder, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").symlink_to(folder)
    main.run(["--mode", "report"])
    assert re.match(r"gallery/index.html: \d\.\d MB, opens", capsys.readouterr().out)
    assert {"walker.html", "by_chance_.html"} <= {p.name for p in (tmp_path / "gallery").iterdir()}


# ---- In a browser


def visit(page, path, link=""):
    page.get("about:blank")
    page.get(f"{path.as_uri()}#{link}")
    settled(page)


@pytest.mark.slow
def test_it_opens_with_no_server_and_no_network(page, made):
    page.get_log("browser")
    with offline(page):
        page.get((made / "index.html").as_uri())
        links = js(page, "return [...document.querySelectorAll('.card a')].map((a) => a.href)")
        assert len(links) == 2
        for link in links:
            page.get(link)
            settled(page)
            shown = panel(page, "write weighting")
            assert shown.max(axis=0).min() > 0.9
            back = js(page, "return document.querySelector('.top > a').href")
            assert back == (made / "index.html").as_uri()
        assert complaints(page) == []
        fetched = js(page, "return performance.getEntriesByType('resource').map((e) => e.name)")
        assert {name.rpartition("/")[2] for name in fetched if name.startswith("file:")} <= {
            *("ntm_jax.js", "ntm_jax.css")
        }


@pytest.mark.slow
def test_on_a_phone_what_a_page_begins_with_is_in_line(page, made):
    look(page, 360, 780)
    visit(page, made / "walker.html")
    js(page, "document.querySelector('h1 span').textContent = 'associative_recall-ntm-lstm'")
    code = """const box = (selector) => document.querySelector(selector).getBoundingClientRect();
      const middle = ({ top, bottom }) => (top + bottom) / 2;
      return [box('h1').left, box('.top > a').left, middle(box('#case')), middle(box('#rare summary'))]"""
    title, back, episode, more = js(page, code)
    assert back == title
    assert abs(episode - more) < 8


@pytest.mark.slow
def test_the_page_computes_what_the_server_does(page, folder, made):
    visit(page, made / "walker.html", "length=20&all=1")
    with viewer(folder / "walker") as address:
        answer = get_json(address, "/api/episode?length=20")
    read = unpack(answer["arrays"]["read_weightings"])[:, 0].T
    np.testing.assert_allclose(panel(page, "read weighting"), read, atol=1e-5)
    scores = js(page, "return NTM.source.episode('walker', {length: 20}).then((e) => e.scores)")
    assert scores == pytest.approx(answer["scores"], rel=1e-5)


@pytest.mark.slow
def test_every_shipped_model_and_a_heart_is_copied(page, tmp_path):
    found = sources.open_sources(sources.find_runs(SHIPPED))
    size = gallery.write(found, tmp_path / "gallery")
    print({"megabytes": size / 1e6})
    assert size <= MOST_BYTES
    index = (tmp_path / "gallery" / "index.html").read_text()
    named = [source for source in found if f'href="{source.name}.html"' in index]
    assert [source.name for source in found if source not in named] == [
        source.name for source in found if source.trouble()
    ]
    page.get_log("browser")
    with offline(page):
        visit(page, tmp_path / "gallery" / "copy-ntm-ff.html")
        assert state(page)["length"] == "20"
        js(page, "document.getElementById('edit').open = true")
        js(page, "[...document.querySelectorAll('#editor button')][2].click()")
        wait_for(lambda: state(page).get("bits"))
        settled(page)
        target = panel(page, "target")[:, 21:]
        assert 80 < target.sum() < 120
        np.testing.assert_allclose(panel(page, "prediction")[:, 21:], target, atol=0.01)
        assert text(page, ".summary").startswith("0 wrong bits of 160")
        link = js(page, "return location.href")
        page.get("about:blank")
        page.get(link)  # which reproduces the heart
        settled(page)
        np.testing.assert_array_equal(panel(page, "target")[:, 21:], target)
        put(page, "case", json.dumps({"length": 120}, separators=(",", ":")))
        wait_for(lambda: state(page).get("length") == "120")
        settled(page)
        assert "bits" not in state(page)
        assert text(page, ".summary").startswith("0 wrong bits of 960")
    assert complaints(page) == []


@pytest.mark.slow
def test_a_link_with_other_bits_than_the_episode_has_says_so(page, made):
    visit(page, made / "walker.html", "length=20&bits=AA")
    assert "bits: 1 bytes are given" in js(page, "return document.getElementById('notice').innerText")  # fmt: skip


def test_cases_are_of_the_task():
    given = content.cases(sources.open_source(SHIPPED / "copy-ntm-ff"))
    assert [one["length"] for one in given] == ["10", "20", "30", "50", "120"]


def test_each_task_begins_with_its_better_model(tmp_path):
    """By the wrong bits of all cases; without an evaluation last, and after them a variant with other inputs."""

    def source(name, *wrong, inputs=9):
        path = tmp_path / name
        path.mkdir()
        found = [{"bit_errors_per_sequence": one, "bits_per_sequence": 1.0} for one in wrong]
        if wrong:
            (path / "evaluation.json").write_text(json.dumps({"cases": found}))
        return SimpleNamespace(name=name, path=path, task=SimpleNamespace(input_size=inputs))

    given = [
        *(source("variant", 0, 0, inputs=13), source("unknown")),
        *(source("worse", 0, 9), source("better", 3, 1)),
    ]
    names = [one.name for one in cards._ranked(given)]
    assert names == ["better", "worse", "unknown", "variant"]
