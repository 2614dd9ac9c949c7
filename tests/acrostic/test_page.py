"""Poems from the viewer's server and on its page."""

from urllib.parse import quote
from xml.etree import ElementTree

import numpy as np
import pytest

from ntm_jax.acrostic import memory_rows
from ntm_jax.acrostic.pinyin import pinyin
from ntm_jax.acrostic.request import Request, answer
from ntm_jax.acrostic.writer import Writer
from ntm_jax.web.packing import unpack
from tests.helpers.acrostic_page import ask, click, fragment, poems, pressed, shown, text, visit
from tests.helpers.browser import browser, complaints, get, get_json, js, viewer, wait_for
from tests.helpers.configs import quick_compile
from tests.helpers.runs import UPDATE


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
        assert poem["rows"] == memory_rows.in_use(own.weightings, kept, read_heads)
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
        ("run=3", "run: there is no '3' here"),
        ("run=1&message=&message=", "twice"),
    ],
)
def test_what_cannot_be_is_one_sentence(address, query, part):
    status, headers, body = get(address, f"/api/poems?{query}")
    assert (status, headers["content-type"].partition(";")[0]) == (400, "text/plain")
    assert part in body.decode()
    assert body.count(b"\n") == 1


# ---- The page


@pytest.mark.slow
def test_the_page_shows_the_best_poems_and_their_rows(page, address):
    visit(page, address, f"run=verse&message={quote('宇日天')}&n=2&position=2&form=5")
    said = poems(address, message="宇日天", n=2, position=2)
    assert shown(page) == [[poem["lines"], "宇日天"] for poem in said["poems"]]
    code = "return [...document.querySelectorAll('#kept tr')].slice(1).map((r) => r.children[1].textContent)"
    for number, poem in enumerate(said["poems"]):
        js(page, "document.querySelectorAll('.poem')[arguments[0]].click()", number)
        rows = [str(one["row"]) for one in poem["kept_in"]]
        wait_for(lambda rows=rows: js(page, code) == rows)
        assert js(page, "return document.querySelectorAll('#weightings .thread').length") == 3
    assert pressed(page) == ["false", "true"]
    # Pinyin on hover, and the lines are set from top to bottom, the first one on the right.
    sound = js(page, "return document.querySelector('.poem strong').dataset.pinyin")
    assert sound == "yǔ"
    boxes = "return [...document.querySelectorAll('.poem .line')].slice(0, 2).map((l) => l.getBoundingClientRect().x)"
    first, second = js(page, boxes)
    assert first > second
    assert complaints(page) == []


@pytest.mark.slow
def test_only_what_failed_looks_like_a_warning(page, address):
    """A remark on the poems that are there is no warning; an error is, and begins like a sentence."""
    paper = "return getComputedStyle(document.getElementById('notice')).backgroundColor"
    visit(page, address, f"message={quote('宇')}&n=1")
    assert "complete the poem" in text(page, "notice")
    assert js(page, paper) == "rgba(0, 0, 0, 0)"
    ask(page, "x")
    assert text(page, "notice").strip().startswith("The message has 'x'")
    assert js(page, paper) != "rgba(0, 0, 0, 0)"
    complaints(page)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("more", "said"),
    [("position=-1", True), ("position=-1&rhyme=0", False), ("position=4", False)],
)
def test_a_message_at_the_ends_decides_whether_lines_rhyme(page, address, more, said):
    visit(page, address, f"run=verse&message={quote('宇日天')}&n=1&form=5&{more}")
    notice = js(page, "return document.getElementById('notice').textContent")
    assert ("so they rhyme only if it does" in notice) == said


@pytest.mark.slow
def test_a_link_gives_the_same_poem(page, address):
    visit(page, address, f"run=verse&message={quote('宇日天')}&form=7&position=-1&n=2&theme=dark")
    click(page, "surprise")
    click(page, "surprise")
    js(page, "document.querySelectorAll('.poem')[1].click()")
    wait_for(lambda: fragment(page)["poem"] == "2")
    link, before = js(page, "return location.hash.slice(1)"), shown(page)
    values = fragment(page)
    assert (values["run"], values["mode"], values["update"]) == ("verse", "surprise", str(UPDATE))
    visit(page, address, link)
    assert shown(page) == before
    assert pressed(page) == ["false", "true"]
    assert fragment(page) == values
    # Back goes to the question before.
    ask(page, "荒")
    js(page, "history.back()")
    wait_for(lambda: shown(page) == before)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("link", "said"),
    [
        ("run=gone", "The link is to gone, which is not here. These poems are by verse."),
        ("run=verse&update=9", f"The link is to update 9 of verse; it is at update {UPDATE} now."),
        ("run=2", ""),  # of an earlier version: the number of a run
    ],
)
def test_a_link_to_another_run(page, address, link, said):
    visit(page, address, f"{link}&message={quote('宇日天地')}&n=1")
    assert text(page, "notice").strip() == said
    assert fragment(page)["run"] == ("baseline" if link == "run=2" else "verse")
    assert (js(page, "return document.getElementById('memory').hidden")) == (link == "run=2")


@pytest.mark.slow
def test_a_link_of_an_earlier_version_draws(page, address):
    link = f"message={quote('宇日天地')}&n=2&temperature=3&seed=1&rhyme=0&tones=0&repeats=0"
    visit(page, address, link)
    asked = {"n": 2, "temperature": 3, "seed": 1, "rhyme": 0, "tones": 0}
    said = poems(address, message="宇日天地", **asked)
    assert [lines for lines, _ in shown(page)] == [poem["lines"] for poem in said["poems"]]
    assert fragment(page)["mode"] == "surprise"


@pytest.mark.slow
def test_no_poem_of_before_after_an_error(page, address):
    visit(page, address, f"message={quote('宇日天')}&n=1")
    ask(page, "x")
    assert "The message has 'x'" in text(page, "notice")
    assert shown(page) == []
    hidden = "return ['chosen', 'memory', 'instead'].map((n) => document.getElementById(n).hidden)"
    assert js(page, hidden) == [True] * 3
    assert len(complaints(page)) == 1  # the browser's own word for status 400
    # What can be written instead is a click away.
    ask(page, "宇x日🎉")
    assert js(page, hidden) == [True, True, False]
    click(page, "instead")
    assert [strong for _, strong in shown(page)] == ["宇日"]
    ask(page, "宇🎉")
    assert "🎉 was left out." in text(page, "notice")
    assert "complete the poem" in text(page, "notice")
    assert [(len(lines), strong) for lines, strong in shown(page)] == [(4, "宇")]
    complaints(page)


@pytest.mark.slow
def test_a_picture_to_keep(address, tmp_path):
    with browser(downloads=tmp_path) as page:
        visit(page, address, f"message={quote('宇日天')}&n=1")
        (lines, _) = shown(page)[0]
        for name in ("svg", "png"):
            page.find_element("id", name).click()
            file = tmp_path / f"宇日天-1.{name}"
            wait_for(lambda file=file: file.is_file() and file.stat().st_size)
        assert complaints(page) == []
    root = ElementTree.fromstring((tmp_path / "宇日天-1.svg").read_bytes())
    drawn = [node.text for node in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "".join(drawn).startswith("".join(lines))
    assert any(f"verse, update {UPDATE}" in text for text in drawn)
    head = (tmp_path / "宇日天-1.png").read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    size = [int.from_bytes(head[i : i + 4]) for i in (16, 20)]
    assert size == [2 * float(root.get(name)) for name in ("width", "height")]


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
