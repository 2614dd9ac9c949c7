"""The rules by which the viewer explains a step, on weightings and episodes worked out by hand."""

from itertools import combinations

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from ntm_jax.web import pages
from tests.helpers.browser import browser, js

RULES = ("addressing", "found", "notes", "step_words")
SCRIPTS = (
    *pages.COMMON,
    "common/over_time.js",
    "viewer/words.js",
    "stage/rows.js",
    *(f"stage/{name}.js" for name in RULES),
)
ROWS = 8


@pytest.fixture(scope="module")
def rules():
    """A page with the scripts alone."""
    with browser() as page:
        page.get("about:blank")
        for name in SCRIPTS:
            page.execute_cdp_cmd("Runtime.evaluate", {"expression": pages.content(name)})
        yield page


def row(at, weight=1.0, rows=ROWS):
    """A weighting with `weight` on one row, the rest spread over the others."""
    values = np.full(rows, (1 - weight) / (rows - 1))
    values[at] = weight
    return values


def verdict(page, before, content, gate, shift, sharpening=1.0):
    """The page's verdict, the later stages computed here."""
    gated = gate * content + (1 - gate) * before
    reach = len(shift) // 2
    shifted = sum(s * np.roll(gated, i - reach) for i, s in enumerate(shift))
    sharp = shifted**sharpening / (shifted**sharpening).sum()
    stages = {"before": before, "content": content, "gated": gated, "shifted": shifted}
    stages = {k: v.tolist() for k, v in (stages | {"sharpened": sharp}).items()}
    return js(
        page, "return NTM.verdict(arguments[0], arguments[1], arguments[2])", stages, gate, shift
    )


STAY, ON = [0, 1, 0], [0, 0, 1]


@pytest.mark.parametrize(
    ("before", "content", "gate", "by"),
    [
        (row(2), row(5), 1.0, "content"),
        (row(2), row(5), 0.0, "location"),
        # An open gate, but the content is spread: what counts is what each gives.
        (row(2), row(5, 0.2), 0.74, "location"),
        (row(2, 0.2), row(5), 0.4, "content"),
        (row(5), row(5), 0.5, "both"),
        (row(5), row(5), 0.9, "content"),  # a tenth is not worth a word
        (row(1, 0.13), row(5, 0.13), 0.5, ""),
        (row(2, 0.8), row(5, 0.8), 0.5, "undecided"),
    ],
)
def test_the_way_that_gives_most_of_the_weight_is_named(rules, before, content, gate, by):
    sharpening = 1 if by in ("undecided", "") else 8
    if by == "":
        before = content = np.full(40, 1 / 40)
    assert verdict(rules, before, content, gate, STAY, sharpening)["by"] == by


def test_both_agree_only_of_a_head_that_was_on_a_row(rules):
    def one_of_many(weight):
        weights = np.full(40, (1 - weight) / 39)
        weights[5] = weight
        return weights

    for before, by in ((0.08, "content"), (0.12, "both")):
        found = verdict(rules, one_of_many(before), one_of_many(0.5), 0.2, STAY, 8)
        assert found["by"] == by


def test_a_move_ends_at_the_row_also_round_the_end(rules):
    random = np.random.default_rng(0)
    seen = set()
    for _ in range(200):
        before, content = random.dirichlet(np.full(ROWS, 0.1), 2)
        found = verdict(
            rules, before, content, random.random(), random.dirichlet(np.full(3, 0.3)).tolist(), 5
        )
        seen.add(found["by"])
        if found["by"] in ("content", "location", "both"):
            assert (found["from"] + found["move"]) % ROWS == found["row"]
    assert seen >= {"content", "location", "both", "undecided"}
    round_the_end = verdict(rules, row(7), row(3), 0.0, ON)
    assert (round_the_end["from"], round_the_end["move"], round_the_end["row"]) == (7, 1, 0)


def test_a_clear_lead_below_a_half_is_decided(rules):
    """As long as no other row has more than half as much."""
    assert verdict(rules, row(2), row(5, 0.4), 1.0, STAY)["by"] == "content"
    shared = np.array([0.0, 0.4, 0.0, 0.25, 0.1, 0.1, 0.1, 0.05])
    found = verdict(rules, row(2), shared, 1.0, STAY)
    assert (found["by"], found["rivals"]) == ("undecided", [1, 3])


def test_sharpening_is_said_to_make_a_lead_decisive_where_it_does(rules):
    code = "return NTM.leadSentence({shifted: arguments[0], sharpened: arguments[1]})"
    said = js(rules, code, [0.1, 0.051, 0.03], [0.9, 0.01, 0.01])
    assert "Row 0 was only slightly ahead, 0.1 against 0.051 of the next." in said
    assert "Row 0 was ahead, 0.1 against 0.02" in js(rules, code, [0.1, 0.02], [0.9, 0.1])
    assert js(rules, code, [0.9, 0.1], [1, 0]) == ""
    assert js(rules, code, [0.34, 0.0077], [0.52, 0.001]) == ""  # that lead needed no sharpening
    assert js(rules, code, [0.1, 0.02], [0.3, 0.1]) == ""


def test_blank_parts_and_the_end_of_memory_are_found(rules):
    weights = np.full((12, 40), 1 / 40)
    weights[7] = row(3, rows=40)
    code = "return NTM.blankParts(new NTM.NdArray(arguments[0], Float32Array.from(arguments[1])))"
    assert js(rules, code, [12, 40], weights.ravel().tolist()) == [
        [0, 6]
    ]  # four steps are not worth a word
    assert js(rules, "return NTM.wrapsAt([126, 127, 0, 1])") == 2
    assert js(rules, "return NTM.wrapsAt([3, 4, 5])") == -1


# A copy of three vectors: shown at steps 0 to 2, a delimiter at 3, answered at 4 to 6. The first two are alike.
COPY = """
const [lag, wrong] = arguments;
const [steps, rows, bits] = [7, 8, 2];
const array = (shape) => new NTM.NdArray(shape, new Float32Array(shape.reduce((a, b) => a * b, 1)));
const put = (a, value, ...place) => (a.values[place.reduce((sum, index, i) => sum + index * a.strides[i], 0)] = value);
const arrays = {
  inputs: array([steps, bits + 1]), targets: array([steps, bits]), mask: array([steps]), memory: array([steps, rows, 1]),
  read_weightings: array([steps, 1, rows]), write_weightings: array([steps, 1, rows]),
};
[[1, 0], [1, 0], [1, 1]].forEach((vector, i) => {
  vector.forEach((bit, k) => { put(arrays.inputs, bit, i, k); put(arrays.targets, bit, 4 + i, k); });
  put(arrays.mask, 1, 4 + i);
  put(arrays.write_weightings, 1, i, 0, 5 + i);
  put(arrays.read_weightings, wrong ? 0.2 : 1, 4 + i - lag, 0, 5 + i);
});
put(arrays.inputs, 1, 3, bits);
const episode = { arrays, steps };
return [3, 4, 5, 6].map((t) => NTM.copyOf(episode, t));
"""


@pytest.mark.parametrize("lag", [0, 1])
def test_an_output_is_traced_to_its_row_and_its_input(rules, lag):
    """Also where two vectors are alike: the lag is that of the others."""
    delimiter, *answers = js(rules, COPY, lag, False)
    assert delimiter is None
    assert answers == [
        {"input": i, "row": 5 + i, "read": 4 + i - lag, "output": 4 + i} for i in range(3)
    ]
    said = js(rules, "return NTM.copySentence(arguments[0])", answers[0])
    assert ("one step before, at step 3" in said) == (lag == 1)
    assert ("at this step" in said) == (lag == 0)


# One vector, shown at step 0 and answered at 1, 2 and 3. Each answer but the last is written to a new row.
REPEATED = """
const [steps, rows, bits] = [4, 8, 2];
const array = (shape) => new NTM.NdArray(shape, new Float32Array(shape.reduce((a, b) => a * b, 1)));
const put = (a, value, ...place) => (a.values[place.reduce((sum, index, i) => sum + index * a.strides[i], 0)] = value);
const arrays = {
  inputs: array([steps, bits]), targets: array([steps, bits]), mask: array([steps]), memory: array([steps, rows, 1]),
  read_weightings: array([steps, 1, rows]), write_weightings: array([steps, 1, rows]),
};
put(arrays.inputs, 1, 0, 0);
put(arrays.write_weightings, 1, 0, 0, 2);
for (let t = 1; t < steps; t++) {
  put(arrays.targets, 1, t, t === arguments[0] ? 1 : 0);
  put(arrays.mask, 1, t);
  put(arrays.read_weightings, 1, t, 0, 1 + t);
  if (t < 3) put(arrays.write_weightings, 1, t, 0, 2 + t);
}
return [1, 2, 3].map((t) => NTM.copyOf({ arrays, steps }, t));
"""


def test_an_answer_is_traced_to_the_row_that_was_written_when_it_was_given_before(rules):
    first, second, third = js(rules, REPEATED, -1)
    assert first == {"input": 0, "row": 2, "read": 1, "output": 1}
    assert second == {"input": 0, "row": 3, "read": 2, "output": 2, "again": 1}
    assert third == {"input": 0, "row": 4, "read": 3, "output": 3, "again": 2}
    said = js(rules, "return NTM.copySentence(arguments[0])", third)
    assert "vector of step 0. When it was answered at step 2, it was written to row 4 again" in said


def test_an_answer_is_not_traced_to_another_answers_row(rules):
    """Step 2 gives another vector than steps 1 and 3."""
    first, second, third = js(rules, REPEATED, 2)
    assert first
    assert second is None
    assert third is None


# A list of two items of two vectors, at steps 1 and 2, 4 and 5. Row 4, where the second was, is written to again at 6.
ITEMS = """
const [steps, rows] = [8, 8];
const weights = new Float32Array(steps * rows);
[[1, 7], [2, 0], [4, 3], [5, 4], [6, arguments[0]]].forEach(([t, row]) => (weights[t * rows + row] = 1));
const spans = [["asked", "1", 1, 2], ["next", "2", 4, 5], ["asked", "query", 6, 7]].map(([role, label, from, to]) => ({ role, label, from, to }));
const episode = { spans, arrays: { write_weightings: new NTM.NdArray([steps, 1, rows], weights) } };
return [0, 1, 5, 7].map((t) => [NTM.itemRows(episode, t).map((one) => one.rows), NTM.itemSentence(episode, t)]);
"""


def test_the_rows_of_the_item_asked_for_and_of_the_next_are_named(rules):
    before, half, both, after = js(rules, ITEMS, 4)
    assert before == [[], ""]
    assert half == [[[7]], "Item 1, the one asked for, was written to row 7 at step 1."]
    assert both[0] == [[7, 0], [3, 4]]
    assert both[1].endswith("Item 2, the answer, was written to rows 3 and 4 at steps 4 and 5.")
    assert after[0] == [[7, 0], [3]]  # what was written over is no longer there


def test_nothing_is_said_of_a_row_that_was_not_read(rules):
    assert js(rules, COPY, 0, True) == [None] * 4


def test_a_shift_has_one_name(rules):
    shown = js(rules, "return [0.9449, 0.942, -0.001, -1].map(NTM.signedText)")
    assert shown == ["+0.94", "+0.94", "0", "−1"]


def lab(colour):
    """CIE L*a*b* of a colour, white being that of the screen."""
    rgb = np.asarray(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    x, y, z = np.cbrt(to_xyz @ linear / to_xyz.sum(axis=1))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("kind", ["write", "read"])
def test_heads_of_one_kind_are_told_apart(rules, theme, kind):
    """By distances in CIE L*a*b*. Pinks of two write heads in the dark were 22 apart."""
    code = "NTM.setTheme(arguments[0]); return NTM.colours()[arguments[1]]"
    apart = [
        np.linalg.norm(lab(a) - lab(b)) for a, b in combinations(js(rules, code, theme, kind), 2)
    ]
    assert min(apart) > 25.5
