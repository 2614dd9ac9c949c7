"""Poems from the viewer's server and on its page."""

from urllib.parse import quote, urlencode

import numpy as np
import pytest

from ntm_jax.acrostic import memory_rows
from ntm_jax.acrostic.pinyin import pinyin
from ntm_jax.acrostic.request import Request, answer
from ntm_jax.acrostic.writer import Writer
from ntm_jax.training import loop
from ntm_jax.web.packing import unpack
from tests.helpers.browser import (
    browser,
    complaints,
    get,
    get_json,
    js,
    look,
    save_walker,
    viewer,
    wait_for,
)
from tests.helpers.configs import quick_compile, tiny


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    base = tmp_path_factory.mktemp("runs")
    with quick_compile(tmp_path_factory.getbasetemp()):
        save_walker(base / "walker", tiny())
        loop.train(tiny("acrostic", "ntm-lstm", train__updates=1), base / "verse")
        loop.train(tiny("acrostic", "lstm", train__updates=1), base / "baseline")
    return base


@pytest.fixture(scope="module")
def address(folder):
    with viewer(folder / "walker", folder / "verse", folder / "baseline") as address:
        yield address


def poems(address, **asked):
    return get_json(address, f"/api/poems?{urlencode({'run': 1, **asked})}")


def test_which_runs_write(address):
    assert [run["writes"] for run in get_json(address, "/api/runs")] == [False, True, True]


def test_poems_are_those_of_the_program(address, folder):
    asked = {"message": "宇日天♥", "form": 7, "position": -1, "n": 2, "temperature": 2.5, "seed": 3}
    said = poems(address, **asked)
    with quick_compile(folder):
        expected = answer(Writer.load(folder / "verse"), Request(**asked)).poems
    assert [tuple(poem["lines"]) for poem in said["poems"]] == [poem.lines for poem in expected]
    assert (said["asked"], said["column"], said["places"]) == ("宇日天", 6, [6, 14, 22])
    assert said["left_out"] == "♥"
    for poem, own in zip(said["poems"], expected, strict=True):
        assert poem["bits"] == pytest.approx(own.bits, abs=1e-4)
        heads = [unpack(poem[name]) for name in ("read_weightings", "write_weightings")]
        np.testing.assert_allclose(np.concatenate(heads, axis=1), own.weightings, atol=1e-3)
        read_heads = heads[0].shape[1]
        kept = memory_rows.kept(own.weightings, said["places"], read_heads)
        assert [one["row"] for one in poem["kept_in"]] == [one.row for one in kept]
        assert poem["rows"] == memory_rows.in_use(own.weightings, read_heads)
        assert poem["pinyin"] == [pinyin(line) for line in poem["lines"]]


def test_the_best_poems_are_the_usual_ones(address, folder):
    with quick_compile(folder):
        best = answer(Writer.load(folder / "verse"), Request("宇日天", beam=4)).poems
    said = poems(address, message="宇日天", beam=4)
    assert [tuple(poem["lines"]) for poem in said["poems"]] == [poem.lines for poem in best]
    drawn = poems(address, message="宇日天", surprise=1)
    assert drawn["poems"][0]["lines"] != said["poems"][0]["lines"]


def test_a_beam_rhymes_and_no_memory(address):
    said = poems(address, run=2, message="宇日", beam=4, n=2, rhyme=1, tones=1, repeats=1)
    assert len(said["poems"]) == 2
    assert not {"read_weightings", "rows", "kept_in"} & {*said["poems"][0]}


@pytest.mark.parametrize(
    ("query", "part"),
    [
        ("run=1", "the message is empty"),
        ("run=1&message=x", "the message has 'x'"),
        (f"run=1&message={quote('宇' * 201)}", "message: 201 characters"),
        (f"run=1&message={quote('宇' * 40)}", "32 lines at most"),
        (f"run=1&message={quote('龘')}", "not among the 20 characters"),
        (f"run=1&message={quote('宇')}&form=6", "6 is not allowed; lines have 5 or 7"),
        (f"run=1&message={quote('宇')}&n=11", "n: 11 is not allowed; it must be from 1 to 10"),
        (f"run=1&message={quote('宇')}&temperature=hot", "temperature: 'hot'"),
        (f"run=1&message={quote('宇')}&temperature=nan", "temperature: nan"),
        (f"run=1&message={quote('宇')}&rhyme=yes", "rhyme: 'yes'"),
        (f"run=1&message={quote('宇')}&length=3", "parameter: 'length' is unknown"),
        (f"run=0&message={quote('宇')}", "walker writes no poems"),
        ("run=3", "run: '3' is not allowed"),
        ("run=1&message=&message=", "twice"),
    ],
)
def test_what_cannot_be_is_one_sentence(address, query, part):
    status, headers, body = get(address, f"/api/poems?{query}")
    assert (status, headers["content-type"].partition(";")[0]) == (400, "text/plain")
    assert part in body.decode()
    assert body.count(b"\n") == 1


# ---- The page


@pytest.fixture(scope="module")
def page():
    with browser() as page:
        yield page


def visit(page, address, link=""):
    page.get("about:blank")
    page.get(f"{address}acrostic#{link}")
    written(page)


def written(page):
    state = "const p = document.getElementById('poems'); return p && p.getAttribute('aria-busy')"
    wait_for(lambda: js(page, state) == "false")


def shown(page):
    """The poems on the page, and of each the characters that stand out."""
    code = """return [...document.querySelectorAll('.poem')].map((p) => [
      [...p.querySelectorAll('.line')].map((l) => l.textContent),
      [...p.querySelectorAll('strong')].map((s) => s.textContent).join('')])"""
    return js(page, code)


@pytest.mark.slow
def test_the_page(page, address):
    link = f"message={quote('宇日天')}&n=2&temperature=3&seed=1&position=2"
    visit(page, address, link)
    said = poems(address, message="宇日天", n=2, temperature=3, seed=1, position=2)
    assert shown(page) == [[poem["lines"], "宇日天"] for poem in said["poems"]]
    # Where the first character was kept, beside what the server says.
    row = js(
        page,
        "return [...document.querySelectorAll('#kept tr')[1].children].map((c) => c.textContent)",
    )
    write = unpack(said["poems"][0]["write_weightings"]).sum(axis=1)[1:7]  # until the next is shown
    most = write.sum(axis=0).argmax()
    assert row[:2] == ["宇", str(most)]
    assert float(row[2]) == pytest.approx(write[:, most].max(), abs=1e-3)
    assert js(page, "return document.querySelector('#weightings').data.length") == 2
    # Another poem, another message, and one that cannot be.
    js(page, "document.querySelectorAll('.poem')[1].click()")
    pressed = (
        "return [...document.querySelectorAll('.poem')].map((p) => p.getAttribute('aria-pressed'))"
    )
    assert js(page, pressed) == ["false", "true"]
    ask = "document.getElementById('message').value = arguments[0]; document.getElementById('ask').requestSubmit()"
    js(page, ask, "荒")
    wait_for(lambda: [strong for _, strong in shown(page)] == ["荒", "荒"])
    assert "message=%E8%8D%92" in js(page, "return location.hash")
    assert complaints(page) == []
    js(page, ask, "x")
    wait_for(
        lambda: (
            "the message has 'x'"
            in js(page, "return document.getElementById('notice').textContent")
        )
    )
    assert len(shown(page)) == 2  # those of before are still there
    assert len(complaints(page)) == 1  # the browser's own word for status 400


@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [375, 1600])
def test_the_page_fits(page, address, width, dark):
    look(page, width, dark=dark)
    visit(page, address, "n=3&message=%E5%AE%87%E6%97%A5")
    assert js(page, "return document.documentElement.scrollWidth <= innerWidth")
    assert len(shown(page)) == 3
    assert complaints(page) == []


@pytest.mark.slow
def test_the_viewer_leads_to_it_where_a_run_writes(page, address, folder):
    hidden = "return document.getElementById('acrostic').hidden"
    page.get(address)
    wait_for(lambda: js(page, hidden) is False)
    with viewer(folder / "walker") as alone:
        page.get(alone)
        wait_for(lambda: js(page, "return document.querySelectorAll('#run option').length"))
        assert js(page, hidden) is True
        page.get(f"{alone}acrostic")
        wait_for(lambda: "None of these runs" in js(page, "return document.body.textContent"))
