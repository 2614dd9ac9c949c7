"""On a phone, what a finger has to hit is large enough, and nothing that opens is cut."""

import pytest

from tests.helpers.browser import js, look, viewer
from tests.helpers.configs import tiny
from tests.helpers.viewer_page import visit

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_complaints")]
WIDTH = 360
LEAST = 24  # CSS pixels of a target, WCAG 2.2, 2.5.8; links within a sentence are excepted
LONG, OTHER = "a-task-of-four-words-ntm-ff", "a-task-of-four-words-ntm-lstm"
TARGETS = """
  return [...document.querySelectorAll('a:not(.skip, p a), button, summary, select, input')].flatMap((one) => {
    const { width, height } = one.getBoundingClientRect();
    return one.checkVisibility() && Math.min(width, height) < arguments[0] ? [`${one.outerHTML} ${width} x ${height}`] : [];
  });
"""
CUT = """
  const run = document.getElementById('run');
  const pen = document.createElement('canvas').getContext('2d');
  pen.font = getComputedStyle(run).font;
  return pen.measureText(run.selectedOptions[0].text).width > run.clientWidth - 16;
"""


@pytest.fixture(scope="module")
def address(walkers):
    folder = walkers(**{name: tiny(model__memory_size=16) for name in (LONG, OTHER)})
    with viewer(folder / LONG, folder / OTHER) as address:
        yield address


def test_targets(page, address):
    look(page, WIDTH)
    visit(page, address)
    js(page, "document.querySelectorAll('details').forEach((one) => (one.open = true))")
    assert js(page, TARGETS, LEAST) == []


def test_what_can_be_saved_is_within_the_window(page, address):
    look(page, WIDTH)
    visit(page, address)
    js(page, "document.querySelector('.save').open = true")
    left, right = js(
        page,
        "const b = document.querySelector('.save .buttons').getBoundingClientRect(); return [b.left, b.right]",
    )
    assert 0 <= left < right <= WIDTH


@pytest.mark.parametrize("width", [WIDTH, 768, 1280])
def test_the_chosen_runs_name_is_whole(page, address, width):
    look(page, width)
    visit(page, address, f"run={OTHER}")
    assert not js(page, CUT)


@pytest.mark.parametrize("width", [WIDTH, 768])
def test_the_glossarys_meanings_have_most_of_the_width(page, address, width):
    look(page, width)
    visit(page, address)
    js(page, "document.getElementById('glossary').open = true")
    widths = js(
        page,
        "return [...document.querySelectorAll('#glossary dd')].map((one) => one.clientWidth)",
    )
    assert min(widths) > 0.6 * width
