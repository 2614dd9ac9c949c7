"""Where the viewer leads a newcomer: the jump by content, the head that makes it, and what stays while a bit is edited."""

import re

import numpy as np
import pytest

from ntm_jax.models import addressing
from ntm_jax.web import packing
from ntm_jax.web.viewer import sources
from tests.helpers.browser import js, viewer, wait_for
from tests.helpers.shipped import SHIPPED
from tests.helpers.viewer_page import click, cursor, slide, state, text, visit

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_complaints")]
COPY, RECALL = SHIPPED / "copy-ntm-ff", SHIPPED / "associative_recall-ntm-lstm"
NGRAM = SHIPPED / "ngram-ntm-lstm"
RECALL_FF = SHIPPED / "associative_recall-ntm-ff"
HEAD = "const s = document.querySelector('.how select'); return s.selectedOptions[0].text"
CHOOSE = "const s = document.querySelector('.how select'); s.value = arguments[0]; s.dispatchEvent(new Event('change'))"
SCALES = """
const layout = document.querySelector('.over-time .figure').layout;
return Object.keys(layout).filter((name) => name.startsWith('yaxis')).map((name) => layout[name].range);
"""


@pytest.fixture(scope="module")
def address():
    with viewer(COPY, RECALL, NGRAM) as address:
        yield address


def found_by_content(run, first):
    """Of each step from `first` on, the read heads that are on a row which they have from the content for the most part."""
    source = sources.open_source(run)
    answer = source.answer(source.question({}))
    seen = {name: packing.unpack(packed) for name, packed in answer["arrays"].items()}
    found = {}
    for step in range(first, answer["steps"]):
        for head in range(seen["read_weightings"].shape[1]):
            key, strength = seen["key"][step, head], seen["strength"][step, head]
            content = np.asarray(
                addressing.content_weighting(seen["memory"][step - 1], key, strength)
            )
            shift, gate = seen["shift"][step, head], seen["gate"][step, head]
            before, final = seen["read_weightings"][step - 1 : step + 1, head]
            moved = [
                np.convolve(np.tile(weights, 3), shift, "same")[len(weights) : 2 * len(weights)]
                for weights in (gate * content, (1 - gate) * before)
            ]
            row, greatest = final.argmax(), final.max()
            one_row = greatest >= 0.5 or (greatest >= 0.1 and (2 * final > greatest).sum() == 1)
            if one_row and moved[0][row] > moved[1][row]:
                found.setdefault(step, []).append(head)
    return found


@pytest.mark.parametrize(("run", "first"), [(COPY, 20), (RECALL, 24)])
def test_the_hint_leads_to_the_first_jump_of_a_read_head(page, address, run, first):
    expected = found_by_content(run, first)
    step = min(expected)
    visit(page, address, f"run={run.name}&step=0")
    assert text(page, "#jump") == f"step {step}"
    click(page, "jump")
    wait_for(lambda: cursor(page) == step and state(page)["step"] == str(step))
    names = {"read head", *(f"read head {head + 1}" for head in expected[step])}
    assert js(page, HEAD) in names
    assert text(page, ".found").startswith("Found by content: row")
    marks = "return document.querySelector('.over-time .figure').layout.shapes.filter((s) => s.name === 'content').map((s) => (s.x0 + s.x1) / 2)"
    assert step in [round(x) for x in js(page, marks)]


def test_a_head_that_is_mostly_found_by_content_does_not_jump(page, address):
    """N-grams' heads are found by content at nearly every step."""
    visit(page, address, f"run={NGRAM.name}")
    words = text(page, "#explanation")
    assert words.endswith("on, the read head is mostly found by content.")
    assert "jumps" not in words
    visit(page, address, f"run={RECALL.name}")
    assert text(page, "#explanation").endswith("the read head, spread before, is found by content.")


def test_a_gate_that_does_not_decide_is_explained(page, address):
    visit(page, address, f"run={RECALL.name}&step=25")
    js(page, CHOOSE, 1)  # the write head
    words = text(page, ".found")
    assert "Found by location" in words
    gate = re.search(r"g\s=\s([.\d]+)", words)
    assert gate is not None
    assert float(gate[1]) > 0.5
    assert "But the part by content is spread over the rows." in words


def test_recall_opens_at_the_jump(page, address):
    visit(page, address, f"run={RECALL.name}")
    assert cursor(page) == min(found_by_content(RECALL, 24))


def test_the_head_shown_is_the_read_head_once_it_is_on_a_row(page, address):
    visit(page, address, f"run={COPY.name}&step=5")
    assert js(page, HEAD) == "write head"
    assert "spread over the 256 rows, too thin to see" in js(
        page, "return document.querySelector('.over-time .figure').textContent"
    )
    for step in (20, 21, 30):
        slide(page, step)
        assert js(page, HEAD) == "read head"
    code = "const s = document.querySelector('.how select'); s.value = 1; s.dispatchEvent(new Event('change'))"
    js(page, code)
    assert "write head" in js(
        page, "return document.querySelector('.pick[aria-pressed=true]').innerText"
    )


def test_the_head_shown_is_one_that_reads_the_answer(page):
    with viewer(RECALL_FF) as address:
        visit(page, address)
        shown = js(page, "const s = document.querySelector('.how select'); return Number(s.value)")
        step = cursor(page)
    source = sources.open_source(RECALL_FF)
    answer = source.answer(source.question({}))
    weights = packing.unpack(answer["arrays"]["read_weightings"])[step].max(axis=-1)
    assert weights[shown] == weights.max() > 0.5


def test_an_output_stands_with_its_row_and_its_input(page, address):
    visit(page, address, f"run={COPY.name}&step=30")
    assert (
        "This is the vector of step 9. It was written to row 9, and row 9 was read one step before"
        in text(page, ".found")
    )
    frames = "return [...document.querySelectorAll('.pair')].filter((f) => !f.hidden).length"
    assert js(page, frames) == 2
    slide(page, 10)
    assert js(page, frames) == 0


def test_pointing_at_a_row_tells_how_much_it_resembles_the_key(page, address):
    visit(page, address, f"run={COPY.name}&step=20")
    code = """
      const stage = document.querySelector('.stage');
      const box = stage.getBoundingClientRect();
      stage.dispatchEvent(new PointerEvent('pointermove', {clientX: box.left + 60, clientY: box.top + 80, bubbles: true}));
      return document.querySelector('.tip').textContent;
    """
    assert js(page, code).endswith("similarity to the key 0.26")


def test_axes_stay_while_a_bit_is_edited(page, address):
    visit(page, address, f"run={COPY.name}&step=20")
    click(page, "edit")
    js(page, "document.getElementById('edit').open = true")
    before = js(page, SCALES)
    page_bits = "return document.querySelector('#editor button').click()"  # all zeros
    js(page, page_bits)
    wait_for(lambda: "bits" in state(page))
    wait_for(
        lambda: (
            js(page, "return document.getElementById('columns').getAttribute('aria-busy')")
            == "false"
        )
    )
    after = js(page, SCALES)
    assert len(after) == len(before)
    for old, new in zip(before, after, strict=True):
        assert min(new) <= min(old)  # what goes beyond is still seen
        assert max(new) >= max(old)
