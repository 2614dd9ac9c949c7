"""The acrostics' page in windows of any width, and its picture of the rows of memory."""

from urllib.parse import quote

import pytest

from tests.helpers.acrostic_page import poems, shown, visit
from tests.helpers.browser import CONTRAST, complaints, js, look

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("width", [1600, 360])
def test_a_line_leads_from_a_character_to_its_row(page, address, width):
    """Whatever its row, which characters of a model that has learned nothing share."""
    look(page, width)
    visit(page, address, f"message={quote('宇日天')}&n=1")
    (poem,) = poems(address, message="宇日天", n=1)["poems"]
    code = """const [line, row] = arguments;
      const find = (s) => document.querySelector(`#weightings ${s}`).getBoundingClientRect();
      const [lane, glyph] = [`.lane[data-row="${row}"]`, `[data-line="${line}"] .given`].map(find);
      const thread = document.querySelector(`#weightings [data-line="${line}"] .thread`);
      const at = (length) => thread.getPointAtLength(length).matrixTransform(thread.getScreenCTM());
      const [begin, end] = [at(0), at(thread.getTotalLength())];
      return [lane.top < begin.y && begin.y < lane.bottom, glyph.left < end.x && end.x < glyph.right, Math.abs(end.y - glyph.top) < 15];"""
    found = [js(page, code, line, kept["row"]) for line, kept in enumerate(poem["kept_in"])]
    look(page, 1600)
    assert found == [[True] * 3] * 3


@pytest.mark.parametrize(
    ("width", "position", "lines"),
    [(360, 1, 20), (360, 3, 4), (360, -1, 8), (360, -1, 20), (768, 1, 20)],
)
def test_a_message_is_whole_in_a_narrow_window(page, address, width, position, lines):
    """Its first line too, which stands on the right, and in the picture of the rows as well."""
    look(page, width)
    asked = f"message={quote('宇日天地' * (lines // 4))}&n=1&form=5&position={position}"
    visit(page, address, f"{asked}&rhyme=0&tones=0&repeats=1")
    code = """const svg = document.querySelector('#weightings svg').getBoundingClientRect();
      const beyond = (s, frame) => [...document.querySelectorAll(s)].filter((e) => {
        const { left, right } = e.getBoundingClientRect();
        return left < frame.left || right > frame.right;
      }).length;
      const size = [...document.querySelectorAll('#weightings .given')].map((e) => parseFloat(getComputedStyle(e).fontSize));
      const window = {left: 0, right: innerWidth};
      return [beyond('.poem, .line, #weightings svg', window), beyond('#weightings text, .thread', svg),
              document.documentElement.scrollWidth <= innerWidth, Math.min(...size) >= 10];"""
    found = js(page, code)
    look(page, 1600)
    assert found == [0, 0, True, True]


def test_the_red_characters_stand_at_the_rows_on_a_phone(page, address):
    look(page, 360)
    visit(page, address, f"message={quote('宇日天地荒')}&n=1&form=5&rhyme=0&tones=0&repeats=1")
    code = "return [...document.querySelectorAll('#weightings .small.given')].map((e) => e.textContent).join('')"
    found = js(page, code)
    look(page, 1600)
    assert found == "宇日天地荒" * 2  # as written and as read


def test_rows_without_a_red_character_are_explained(page, address):
    visit(page, address, f"message={quote('宇日')}&n=1")
    code = """const weights = (written, read) => {
        const size = 4; // 2 lines of one character and the linefeed
        const make = (list) => new NTM.NdArray([2 * size, 1, 5], Float32Array.from(list.flat()));
        const row = (which, weight) => Array.from({length: 5}, (_, i) => (i === which ? weight : 0));
        const all = (list, first) => Array.from({length: 2 * size}, (_, t) => row(...(list[t - first] ?? [0, 0])));
        return { write: make(all(written, 0)), read: make(all(read, size)) };
      };
      const one = {lines: ['甲', '乙'], kept_in: [{row: 1}, {row: 2}], rows: [1, 2, 3, 4]};
      const kept = [[1, 1], [1, 1], [2, 1], [2, 1]];
      return [
        NTM.otherRows({...one, rows: [1, 2]}, weights(kept, kept)),
        NTM.otherRows(one, weights([[3, 0.2], ...kept.slice(1)], [...kept.slice(0, 2), [4, 0.7], [4, 0.9]])),
        NTM.otherRows(one, weights(kept, [...kept.slice(0, 2), [3, 0.5], [4, 0.5]])),
        NTM.otherRows(one, weights(kept, [...kept.slice(0, 3), [3, 0.5]])),
      ];"""
    assert js(page, code) == [
        "",
        "Row 3 is written to as well, but no red character is kept there. "
        "Row 4 is only read, most at the last ⏎: nothing of the message was written there.",
        "Rows 3 and 4 are only read, most at 乙 and the last ⏎: nothing of the message was written there.",
        "Rows 3 and 4 are only read, most at the last ⏎ and 甲: nothing of the message was written there.",
    ]
    assert (
        js(page, "return document.getElementById('others').previousElementSibling.id")
        == "weightings"
    )


def test_the_rows_read_lie_beside_the_poem_with_characters_to_read(page, address):
    look(page, 768)
    visit(page, address, f"message={quote('宇日天')}&n=1&form=5")
    code = """const box = (e) => e.getBoundingClientRect();
      const all = (s) => [...document.querySelectorAll(`#weightings ${s}`)];
      const lane = all('.lane').map(box), glyph = all('.given:not(.small)').map(box);
      const size = all('.small.han').map((e) => parseFloat(getComputedStyle(e).fontSize));
      return [Math.max(...lane.map((b) => b.bottom)) > Math.max(...glyph.map((b) => b.bottom)),
              Math.max(...lane.map((b) => b.right)) < Math.min(...glyph.map((b) => b.left)), Math.min(...size)];"""
    beside, apart, least = js(page, code)
    look(page, 1600)
    assert beside
    assert apart
    assert least >= 12


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [375, 768, 1600])
def test_the_page_fits(page, address, width, dark):
    look(page, width, dark=dark)
    visit(page, address, "n=3&message=%E5%AE%87%E6%97%A5")
    assert js(page, "return document.documentElement.scrollWidth <= innerWidth")
    assert len(shown(page)) == 3
    ratio, where = js(page, CONTRAST)
    assert ratio >= 4.5, where
    assert complaints(page) == []
