"""What can be kept of the viewer: pictures, numbers, and the report, which needs no server."""

import json

import numpy as np
import pytest

from ntm_jax.web.report import single_file
from ntm_jax.web.viewer import sources
from tests.helpers.browser import (
    js,
    settled,
    viewer,
    wait_for,
)
from tests.helpers.configs import tiny
from tests.helpers.viewer_page import (
    click,
    cursor,
    offline,
    panel,
    put,
    state,
    text,
    visit,
)

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_complaints")]


@pytest.fixture(scope="module")
def folder(walkers):
    return walkers(
        walker=tiny(model__memory_size=16),
        recall=tiny("associative_recall", task__max_items=4),
    )


@pytest.fixture(scope="module")
def address(folder):
    with viewer(*(folder / name for name in ("walker", "recall"))) as address:
        yield address


# ---- Downloads


def downloaded(page, count=1):
    def whole():
        # Chrome reserves a name with an empty file, and moves the whole one onto it.
        named = [p for p in page.downloads.iterdir() if p.suffix in (".png", ".json", ".svg")]
        files = [path for path in named if path.stat().st_size]
        return files if len(files) >= count else None

    files = wait_for(whole)
    taken = {path.name: path.read_bytes() for path in files}
    for path in files:
        path.unlink()
    return taken


def press(page, name):
    """A real click: what happens without one may not download."""
    buttons = page.find_elements("css selector", "article button")
    next(button for button in buttons if button.text == name).click()


def test_downloads(page, address):
    visit(page, address, "length=5&seed=2&step=3&all=1")
    js(page, "document.querySelector('.save').open = true")
    press(page, "JSON")
    ((name, content),) = downloaded(page).items()
    assert name == "walker-length_5-seed_2.json"
    episode = json.loads(content)
    assert np.shape(episode["arrays"]["memory"]) == (11, 16, 4)
    assert episode["axes"]["memory"] == ["step", "row", "column"]
    assert episode["heads"] == ["read head", "write head"]
    for name, values in episode["arrays"].items():
        assert len(episode["axes"][name]) == np.ndim(values), name
    read = np.array(episode["arrays"]["read_weightings"])[:, 0].T
    np.testing.assert_allclose(read, panel(page, "read weighting"), rtol=1e-4, atol=1e-6)
    press(page, "SVG over time")
    ((name, content),) = downloaded(page).items()
    assert name == "walker-length_5-seed_2-over_time.svg"
    assert "walker (copy), length 5, seed 2, 16 rows, update 7" in content.decode()
    for part, button in (("over_time", "PNG over time"), ("step_3", "PNG of the step")):
        press(page, button)
        ((name, content),) = downloaded(page).items()
        assert name == f"walker-length_5-seed_2-{part}.png"
        assert content.startswith(b"\x89PNG")
        assert len(content) > 5000


# ---- The report


def test_the_report_opens_with_no_server_and_no_network(page, folder, tmp_path):
    path = tmp_path / "report.html"
    size = single_file.report(sources.open_sources([folder / "walker", folder / "recall"]), path)
    assert size == path.stat().st_size > 4e6
    with offline(page):
        page.get(path.as_uri())
        settled(page)
        click(page, "all")
        shown = panel(page, "read weighting")
        np.testing.assert_array_equal(shown.argmax(axis=0), np.arange(1, 22) % 16)
        put(page, "step", 6, "input")
        wait_for(lambda: cursor(page) == 6)
        put(page, "case", json.dumps({"length": 20}, separators=(",", ":")))
        wait_for(lambda: state(page).get("length") == "20")
        settled(page)
        assert panel(page, "input").shape == (9, 41)
        put(page, "run", "1")
        wait_for(lambda: "items" in state(page))
        settled(page)
        link = js(page, "return location.href")
        page.get("about:blank")
        page.get(link)
        settled(page)
        assert "recall" in text(page, "h2")
        fetched = js(page, "return performance.getEntriesByType('resource').map((e) => e.name)")
        assert [name for name in fetched if not name.startswith(("data:", "blob:"))] == []


def test_a_report_is_headed_by_its_run(page, folder, tmp_path):
    heads = []
    for names in (["walker"], ["walker", "recall"]):
        single_file.report(sources.open_sources([folder / n for n in names]), tmp_path / "r.html")
        with offline(page):
            page.get((tmp_path / "r.html").as_uri())
            settled(page)
            heads.append((text(page, "h1"), js(page, "return document.title")))
    assert heads == [
        ("ntm_jax walker", "ntm_jax walker"),
        ("ntm_jax report", "ntm_jax report"),
    ]


def test_a_page_asks_only_its_own_server(page, address):
    visit(page, address, "length=5")
    fetched = js(page, "return performance.getEntriesByType('resource').map((e) => e.name)")
    assert len(fetched) > 8
    assert all(name.startswith((address, "data:", "blob:")) for name in fetched)
    assert js(page, "return document.querySelectorAll('.modebar-btn').length") > 0
    links = js(page, "return [...document.querySelectorAll('a[href]')].map((a) => a.href)")
    assert all(link.startswith((address, "https://arxiv.org/abs/")) for link in links)
