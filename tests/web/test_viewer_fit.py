"""What the viewer's page draws has room: words are whole and apart, and what belongs together is seen together."""

import pytest

from ntm_jax.web import packing
from ntm_jax.web.viewer import sources
from tests.helpers.browser import COLLISIONS, js, look, viewer, wait_for
from tests.helpers.shipped import SHIPPED
from tests.helpers.viewer_page import visit

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_complaints")]
COPY, RECALL = SHIPPED / "copy-ntm-ff", SHIPPED / "associative_recall-ntm-lstm"
MANY_HEADS, SORT = SHIPPED / "associative_recall-ntm-ff", SHIPPED / "priority_sort-ntm-ff"
MANY_ROWS, NGRAM = SHIPPED / "repeat_copy-ntm-ff", SHIPPED / "ngram-ntm-lstm"
# The words that are drawn into the canvas of the step: [text, left, top, right, bottom] each.
DRAWN = """
const stage = document.querySelector('.stage');
const found = [];
const draw = CanvasRenderingContext2D.prototype.fillText;
CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {
  const { width, actualBoundingBoxAscent: up, actualBoundingBoxDescent: down } = this.measureText(text);
  const left = this.textAlign === 'right' ? x - width : x;
  found.push([text, left, y - up, left + width, y + down]);
  return draw.apply(this, arguments);
};
document.getElementById('back').click();
CanvasRenderingContext2D.prototype.fillText = draw;
return [stage.clientWidth, stage.clientHeight, found];
"""
STAGE_SENTENCE = """
const last = [...document.querySelectorAll('.found li')].find((one) => one.innerText.startsWith('4 sharpen'));
return [document.querySelector('.stage').getBoundingClientRect().top, last.getBoundingClientRect().bottom];
"""
TOPS = """
return arguments[0].map((selector) => [...document.querySelectorAll(selector)].map((one) => Math.round(one.getBoundingClientRect().top)));
"""
TITLES_OUTSIDE = """
const figure = document.querySelector('.over-time .figure');
const right = figure.getBoundingClientRect().right;
return [...figure.querySelectorAll('.annotation text')].filter((one) => one.getBoundingClientRect().right > right + 1).map((one) => one.textContent);
"""
LABELS_OUTSIDE = """
const figure = document.querySelector('.over-time .figure');
const left = figure.getBoundingClientRect().left + figure._fullLayout._size.l;
return [...figure.querySelectorAll('.annotation text')]
  .filter((one) => one.textContent.includes('too thin') && one.getBoundingClientRect().left < left).map((one) => one.textContent);
"""


@pytest.fixture(scope="module")
def address():
    with viewer(COPY, RECALL, MANY_HEADS, SORT, MANY_ROWS, NGRAM) as address:
        yield address


@pytest.mark.parametrize("run", [COPY, RECALL, SORT])
@pytest.mark.parametrize("width", [360, 768, 1280])
def test_words_beside_the_memory_are_whole_and_apart(page, address, run, width):
    look(page, width, 800)
    visit(page, address, f"run={run.name}")
    wide, high, words = js(page, DRAWN)
    assert len(words) > 20
    outside = [
        text
        for text, x, y, right, bottom in words
        if min(x, y) < 0 or right > wide + 0.5 or bottom > high
    ]
    assert outside == []
    over = [
        (one[0], other[0])
        for i, one in enumerate(words)
        for other in words[i + 1 :]
        if min(one[3], other[3]) - max(one[1], other[1]) > 0
        and min(one[4], other[4]) - max(one[2], other[2]) > 0
    ]
    assert over == []


@pytest.mark.parametrize("width", [360, 1280])
def test_words_over_time_are_whole_and_apart(page, address, width):
    look(page, width, 800)
    for run in (COPY, SORT):
        visit(page, address, f"run={run.name}")
        assert js(page, COLLISIONS, ".over-time .figure") == []
        assert js(page, TITLES_OUTSIDE) == []
        assert js(page, LABELS_OUTSIDE) == []


@pytest.mark.parametrize(
    ("run", "scrolled"), [(COPY, 0), (RECALL, 0), (MANY_ROWS, 0), (MANY_HEADS, 300)]
)
def test_the_memory_and_the_four_stages_are_seen_together(page, address, run, scrolled):
    """Without scrolling; with eight heads, once the page's words have been scrolled away."""
    look(page, 1280, 800)
    visit(page, address, f"run={run.name}")
    js(page, "window.scrollTo(0, arguments[0])", scrolled)
    top, bottom = js(page, STAGE_SENTENCE)
    assert 0 <= top < bottom <= 800


def test_pictures_of_two_runs_are_level(page, address):
    """However long the words above them are."""
    look(page, 1280, 800)
    visit(page, address, f"run={RECALL.name}&beside={MANY_HEADS.name}")
    stages, times = js(page, TOPS, [".stage", ".over-time .figure"])
    assert len(stages) == len(times) == 2
    assert stages[0] == stages[1]
    assert times[0] == times[1]


def test_an_input_with_more_named_channels_leaves_the_rest_level(page, address):
    """Such as that of the Go implementation, which has two delimiters."""
    visit(page, address, f"run={COPY.name}&length=20&seed=0")
    code = """return (async () => {
      const asked = await NTM.unpackAll(await NTM.get(arguments[0]));
      const other = { ...asked, input_channels: ['start', ...asked.input_channels.slice(1)] };
      const beside = [asked, other];
      const heights = (one, options) => {
        const { layout } = NTM.overTime(one, { dense: true, wide: true, ...options });
        return [layout.height, ...layout.yaxis2.domain];
      };
      return [heights(asked, {}), ...beside.map((one) => heights(one, { beside }))];
    })()"""
    alone, ours, others = js(page, code, f"/api/episode?run={COPY.name}&length=20&seed=0")
    assert ours == others
    assert ours[0] > alone[0]


def test_heads_that_are_nearly_nowhere_take_little_room(page, address):
    """Of eight heads, some are on all rows at nearly every step."""
    visit(page, address, f"run={MANY_HEADS.name}&items=6&seed=0")
    code = """const { layout } = document.querySelector('.over-time .figure');
      const heights = layout.annotations.flatMap(({ text }, i) => [text]).filter((text) => text.includes('too thin')).length;
      const axes = Object.keys(layout).filter((key) => /^yaxis/.test(key)).slice(3, 11);
      return [heights, axes.map((key) => Math.round((layout[key].domain[1] - layout[key].domain[0]) * layout.height))];"""
    blank, heights = js(page, code)
    assert len(heights) == 8
    assert 1 <= sum(2 * height < 1.5 * max(heights) for height in heights) <= blank < 8


def test_eight_heads_fit_a_phone(page, address):
    """The legend is below its title, and the table of the heads is whole."""
    look(page, 360, 780)
    visit(page, address, f"run={MANY_HEADS.name}&items=6&seed=0")
    assert js(page, COLLISIONS, ".over-time .figure") == []
    cut = "const n = document.querySelector('.pick').closest('.numbers'); return n.scrollWidth - n.clientWidth"
    assert js(page, cut) <= 0


def test_recall_says_which_rows_hold_the_items(page, address):
    visit(page, address, f"run={RECALL.name}&items=6&seed=0&step=26")
    found = js(page, "return document.querySelector('.found').innerText")
    source = sources.open_source(RECALL)
    answer = source.answer(source.question({"items": "6", "seed": "0"}))
    written = packing.unpack(answer["arrays"]["write_weightings"])[:, 0].argmax(axis=-1)

    def rows(first):
        one, two, three = written[first : first + 3].tolist()
        if one > two > three:
            return f"rows {one}, {two} and {three}"
        assert one < two < three
        return f"rows {one} to {three}"

    asked = f"Item 4, the one asked for, was written to {rows(13)} at steps 13 to 15."
    assert asked in found
    assert f"Item 5, the answer, was written to {rows(17)} at steps 17 to 19." in found


@pytest.mark.parametrize("width", [360, 1280])
def test_the_name_of_the_priorities_axis_is_below_its_numbers(page, address, width):
    look(page, width, 800)
    visit(page, address, f"run={SORT.name}")
    code = """const boxes = (selector) => [...document.querySelectorAll(`.now .figure ${selector}`)].map((one) => one.getBoundingClientRect());
      const [name] = boxes('.xtitle');
      const legend = boxes('.legend text');
      return [Math.max(...boxes('.xtick text').map((one) => one.bottom)), name.top, name.bottom, Math.min(...legend.map((one) => one.top))]"""
    numbers, top, bottom, legend = js(page, code)
    assert numbers - 2 < top < bottom < legend + 2


@pytest.mark.parametrize("width", [360, 1280])
def test_the_line_of_the_step_crosses_no_word_over_the_first_picture(page, address, width):
    look(page, width, 800)
    visit(page, address, f"run={RECALL.name}&items=6&seed=0&step=26")
    code = """const bottom = (one) => one.getBoundingClientRect().bottom;
      const figure = document.querySelector('.over-time .figure');
      const query = [...figure.querySelectorAll('.annotation text')].find((one) => one.textContent === 'query');
      return [bottom(query), bottom(figure.querySelector('.modebar')), document.querySelector('.cursor').getBoundingClientRect().top]"""
    words, buttons, line = js(page, code)
    assert max(words, buttons) <= line + 1


def test_powers_of_ten_at_an_axis_are_written_alike(page, address):
    look(page, 1280, 800)
    visit(page, address, f"run={MANY_ROWS.name}")
    code = """const { layout } = document.querySelector('.over-time .figure');
      return Object.values(layout).filter((one) => one.type === 'log').map(({ tickvals, ticktext }) => [tickvals, ticktext])"""
    ((values, words),) = js(page, code)
    assert len(words) >= 2
    assert [float(word) for word in words] == pytest.approx(values)


@pytest.mark.parametrize("width", [768, 1280])
def test_a_control_is_the_same_number_over_its_column_and_in_the_table(page, address, width):
    """That of copy at step 30 is 2.97, and not 3."""
    look(page, width, 800)
    visit(page, address, f"run={COPY.name}&length=20&seed=0&step=31")
    _, _, words = js(page, DRAWN)
    cells = js(
        page,
        "return [...document.querySelector('[aria-pressed=true].pick').closest('tr').cells].map((one) => one.innerText)",
    )
    _, _, weight, strength, gate, _, sharpening = cells
    drawn = {text for text, *_ in words}
    assert {f"β {strength}", f"γ {sharpening}"} <= drawn
    for number in (strength, sharpening):
        assert len(number.replace(".", "").lstrip("0")) == 3
    assert len(weight) == len(gate) == len("0.123")


def test_a_bracket_stays_with_what_it_opens(page, address):
    look(page, 768, 800)
    visit(page, address, f"run={NGRAM.name}&length=200&seed=0")
    code = """const word = document.querySelector('.summary [data-word="expected"]');
      const range = document.createRange();
      const text = word.previousSibling;
      range.setStart(text, text.length - 1);
      range.setEnd(text, text.length);
      return [range.toString(), range.getBoundingClientRect().top, word.getBoundingClientRect().top]"""
    bracket, top, other = js(page, code)
    assert bracket == "("
    assert abs(top - other) < 5


def test_half_a_page_that_goes_on_below_fades_and_hides_nothing_at_its_end(page, address):
    look(page, 1280, 640)
    visit(page, address, f"run={RECALL.name}&items=6&seed=0")
    code = """const now = document.querySelector('.now');
      const { opacity, backgroundImage } = getComputedStyle(now, '::after');
      return [now.scrollHeight > now.clientHeight, backgroundImage.includes('gradient') && Number(opacity)]"""
    assert js(page, code) == [True, 1]
    js(page, "document.querySelector('.now').scrollTop = 9999")
    wait_for(lambda: js(page, code) == [True, 0])
    look(page, 1280, 2000)
    wait_for(lambda: js(page, code) == [False, 0])


def test_a_run_named_after_its_task_is_named_once(page, address):
    visit(page, address, f"run={RECALL.name}&items=6&seed=0")
    assert js(page, "return document.querySelector('h2').innerText") == RECALL.name


def test_a_cost_too_small_to_matter_is_no_power_of_ten(page, address):
    visit(page, address, f"run={MANY_HEADS.name}&items=6&seed=0")
    assert "cost under 0.0001 bits" in js(
        page, "return document.querySelector('.summary').innerText"
    )
