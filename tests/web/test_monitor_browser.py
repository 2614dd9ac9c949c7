"""The monitor's page in a real browser, while a real run trains."""

import re
import time

import pytest

from tests.helpers.browser import (
    COLLISIONS,
    CONTRAST,
    MISFITS,
    browser,
    complaints,
    js,
    look,
    printed_address,
    program,
    viewer,
    wait_for,
)
from tests.helpers.moments import save_moments
from tests.helpers.runs import flags

pytestmark = [pytest.mark.slow, pytest.mark.alone]
POINTS = "const f = document.getElementById('curves'); return f.data ? f.data[arguments[0]].x : []"
TRAINING, EVALUATION = 0, 1


def tiles(page):
    names = (
        "return [...document.querySelectorAll('.tiles div')].map((d) => d.innerText.split('\\n'))"
    )
    return dict(js(page, names))


# The numbers in tiles that do not fit into them.
OVERFLOWS = "return [...document.querySelectorAll('.tiles dd')].filter((e) => e.scrollWidth > e.clientWidth).map((e) => e.innerText)"
# At how many places lines of tiles end: at one if none has a hole.
ENDS = """
const boxes = [...document.querySelectorAll('.tiles div')].map((e) => e.getBoundingClientRect());
const lines = Map.groupBy(boxes, (b) => Math.round(b.top));
return new Set([...lines.values()].map((line) => Math.round(Math.max(...line.map((b) => b.right))))).size;
"""
STATE = "return document.getElementById('state').innerText"
SLIDER = "return document.querySelector('#moments input[type=range]')"


def curves(page, rows, evaluation="[]"):
    """Draws curves of these rows, and gives what Plotly was told."""
    code = "await NTM.draw(document.getElementById('curves'), NTM.trainingCurves({rows: ROWS, evaluation: EVALUATION}, 9), '')"
    code = code.replace("ROWS", rows).replace("EVALUATION", evaluation)
    data = "document.getElementById('curves').data.map((d) => [d.mode, d.x, d.y])"
    return js(page, f"return (async function () {{ {code}; return {data}; }})()")


def test_it_stays_until_evaluation_has_ended(tmp_path):
    """The cases come as they are done, the kept episode can be looked at, and what was shown remains."""
    run = tmp_path / "run"
    short = flags(run, train__updates=3000, train__log_every=100)
    with browser() as page, program(*short) as process:
        page.get(printed_address(process))
        wait_for(lambda: js(page, "return document.getElementById('cases').tBodies[0].rows.length"))
        wait_for(lambda: js(page, STATE).startswith("trained and evaluated"))
        names = "return [...document.getElementById('cases').tBodies[0].rows].map((r) => r.cells[0].innerText)"
        assert js(page, names) == [f"length {n}" for n in (10, 20, 30, 50, 120)]
        costs = "return [...document.querySelectorAll('#cases td:not(:last-child)')].map((e) => e.innerText)"
        assert {len(re.sub("[.,]", "", cost).lstrip("0")) for cost in js(page, costs)} <= {0, 4}
        assert "Time taken" in tiles(page)
        assert tiles(page)["Evaluation, bits/sequence"].endswith("at update 3,000")
        # Beside the curves where there is room, and before them where there is not.
        places = "return ['evaluated', 'curves', 'episode'].map((n) => document.getElementById(n).getBoundingClientRect()).map((b) => [Math.round(b.left), b.top])"
        table, curve, episode = js(page, places)
        assert table[0] == episode[0] > curve[0]
        assert table[1] < curve[1]
        look(page, 400)
        table, curve, episode = js(page, places)
        assert table[0] == episode[0] == curve[0]
        assert table[1] < curve[1] < episode[1]
        look(page, 1600)
        command = js(page, "return document.getElementById('command').innerText")
        assert command == f"python -m ntm_jax.main --mode serve --workdir {run}"
        process.communicate(timeout=300)
        wait_for(lambda: "no longer changes" in js(page, STATE))
        complaints(page)
        time.sleep(3)
        assert complaints(page) == []  # nor does it ask for more
        # What only a server answers is no longer offered.
        assert not js(page, "return document.getElementById('print').checkVisibility()")
        assert js(page, SLIDER + ".max") != "0"
        words = "return document.querySelector('#moments .summary')?.innerText ?? ''"
        # Also moments that were not looked at before the server was gone.
        js(page, f"const s = {SLIDER[7:]}; s.value = 0; s.dispatchEvent(new Event('input'))")
        wait_for(lambda: js(page, words).startswith("after update 0: "))
        assert (
            len(js(page, "return [...document.querySelectorAll('#moments canvas')].map(String)"))
            == 5
        )
        js(page, "document.getElementById('print').click()")
        wait_for(lambda: "printing cannot be changed" in js(page, STATE))
        assert not [text for text in complaints(page) if "TypeError" in text]
    updates = sorted(int(path.stem) for path in (run / "moments").glob("*.json"))
    assert (updates[0], updates[-1]) == (0, 3000)


def test_nothing_is_promised_before_training_has_ended(tmp_path):
    """No command for a model that is not trained yet, and no word that curves are to come once they are there."""
    with browser() as page, program(*flags(tmp_path / "run")) as process:
        page.get(printed_address(process))
        wait_for(lambda: js(page, POINTS, TRAINING))
        for hidden in ("viewer", "no-curves"):
            assert not js(page, f"return document.getElementById('{hidden}').checkVisibility()")
        # Values are level, whether their names take one line or two.
        look(page, 1280)
        tops = "return [...document.querySelectorAll('.tiles dd')].map((e) => Math.round(e.getBoundingClientRect().bottom))"
        assert len(set(js(page, tops))) == 1


def test_the_viewer_shows_the_same_moments(tmp_path):
    save_moments(tmp_path / "run")
    with viewer(tmp_path / "run") as address, browser(width=400, downloads=tmp_path) as page:
        page.get(address + "moments#run=0")
        words = "return document.querySelector('#moments .summary')?.innerText ?? ''"
        wait_for(lambda: "after update 7: 1 wrong bit of 8" in js(page, words))
        captions = (
            "return [...document.querySelectorAll('#moments figcaption')].map((e) => e.innerText)"
        )
        assert js(page, captions)[3:] == [
            *(
                "write weighting, rows 6 to 7, then 0 to 1",
                "read weighting, rows 6 to 7, then 0 to 1",
            )
        ]
        assert js(page, "return document.querySelectorAll('#moments canvas')[3].height") == 4
        js(page, f"const s = {SLIDER[7:]}; s.value = 0; s.dispatchEvent(new Event('input'))")
        wait_for(lambda: "after update 0: 8 wrong bits of 8" in js(page, words))
        assert js(page, SLIDER + ".getAttribute('aria-valuetext')").startswith("after update 0")
        assert js(page, captions)[3].endswith("; largest weight 0")
        js(
            page,
            "[...document.querySelectorAll('#moments button')].find((b) => b.innerText.includes('PNG')).click()",
        )
        wait_for(lambda: (tmp_path / "copy-update-0.png").exists())
        assert js(page, "return document.documentElement.scrollWidth") <= 400
        assert js(page, CONTRAST)[0] >= 4.5
        steps = (
            "return [...document.querySelectorAll('#moments .scale span')].map((e) => e.innerText)"
        )
        assert js(page, steps) == ["step 0", "2", "3"]
        # There is nothing to choose of one run, and wide windows are used.
        assert not js(page, "return document.getElementById('run').checkVisibility()")
        look(page, 1600)
        wide = "return document.querySelector('#moments canvas').clientWidth"
        assert js(page, wide) > 1500
        assert complaints(page) == []


def test_heads_that_read_and_write_are_shown_once_and_priorities_with_their_sign(tmp_path):
    inputs = [[1, -0.5], [0, 0.5], [1, 0], [0, 0]]
    save_moments(tmp_path / "run", inputs, addressings=1, input_channels=["bit 0", "priority"])
    with viewer(tmp_path / "run") as address, browser() as page:
        page.get(address + "moments#run=0")
        captions = (
            "return [...document.querySelectorAll('#moments figcaption')].map((e) => e.innerText)"
        )
        assert wait_for(lambda: js(page, captions)) == [
            *("input", "input: priority (−0.5 to 0.5)", "target", "prediction"),
            "read and write weighting, rows 6 to 7, then 0 to 1",
        ]
        pixels = """const canvas = document.querySelectorAll('#moments canvas')[1];
          const data = canvas.getContext('2d').getImageData(0, 0, 4, 1).data;
          return [0, 1, 2, 3].map((x) => [...data.slice(4 * x, 4 * x + 3)].join(' '));"""
        least, greatest, none, again = js(page, pixels)
        assert none == again
        assert len({least, greatest, none}) == 3
        assert complaints(page) == []


def test_the_page_follows_a_run(tmp_path):
    with browser() as page, program(*flags(tmp_path / "run")) as process:
        page.get(printed_address(process))

        # The curve grows while it trains.
        first = wait_for(lambda: js(page, POINTS, TRAINING))
        later = wait_for(lambda: len(now := js(page, POINTS, TRAINING)) > len(first) + 5 and now)
        assert later[: len(first)] == first
        assert later == sorted(later)
        evaluated = wait_for(lambda: js(page, POINTS, EVALUATION))
        wait_for(lambda: len(js(page, POINTS, EVALUATION)) > len(evaluated))
        loss = js(page, "return document.getElementById('curves').data[0].y")
        assert all(value > 0 for value in loss)

        shown = wait_for(lambda: "…" not in (t := tiles(page)).values() and t)
        assert list(shown) == [
            *("Update", "Loss, bits/sequence", "Evaluation, bits/sequence", "Sequences/s"),
            *("Time left", "Learning rate", "Gradient norm"),
        ]
        assert re.fullmatch(r"[\d,]+ of 10,000,000", shown["Update"])
        assert js(page, "return document.getElementById('state').innerText") == "training"

        # The latest episode, and then a later one.
        code = "return document.getElementById('episode-text').innerText"
        episode = wait_for(lambda: "after update" in js(page, code) and js(page, code))
        wait_for(lambda: js(page, code) != episode)
        titles = js(
            page,
            "return document.getElementById('episode').layout.annotations.map((a) => a.text)",
        )
        assert [title.split(" (")[0] for title in titles[4:6]] == [
            "write weighting",
            "read weighting",
        ]

        look(page, 1280, 1000)
        top = js(page, "return document.getElementById('curves').getBoundingClientRect().top")
        assert 0 < top < 500  # what a visitor comes for is seen first

        js(page, "document.getElementById('print').click()")
        wait_for(
            lambda: js(page, "return document.getElementById('print').innerText") == "Stop printing"
        )

        for width, dark in ((400, True), (400, False), (1600, True), (1600, False)):
            look(page, width, dark=dark)
            wait_for(lambda w=width: js(page, "return document.documentElement.scrollWidth") <= w)
            paper = "#15181d" if dark else "#ffffff"
            drawn = "return document.getElementById('curves').layout.paper_bgcolor"
            wait_for(lambda p=paper, d=drawn: js(page, d) == p)
            assert js(page, CONTRAST)[0] >= 4.5
            wait_for(lambda: js(page, MISFITS) == [])
            assert js(page, OVERFLOWS) == []
        long = "document.querySelector('.tiles dd').innerText = '188000 of 1000000'"
        for width in (768, 400):
            look(page, width)
            js(page, long)
            assert js(page, OVERFLOWS) == []
            assert js(page, ENDS) == 1
        # Small numbers have one format, in the tiles as at the axes.
        assert [js(page, f"return NTM.power({x})") for x in ("6.04e-6", "5.96e-12", "2e-4")] == [
            *("6.04×10⁻⁶", "5.96×10⁻¹²", "2×10⁻⁴")
        ]
        assert complaints(page) == []

        # When training ends, the page says so and stays usable.
        process.kill()
        wait_for(
            lambda: "no answer" in js(page, "return document.getElementById('state').innerText")
        )
        assert len(js(page, POINTS, TRAINING)) >= len(later)

        # One point is visible, and no line goes where nobody measured.
        one = "[{update: 5, loss_bits_per_sequence: 2}]"
        modes = [mode for mode, _, y in curves(page, one) if y]
        assert modes
        assert all("markers" in mode for mode in modes)
        far = "[0, 100, 200, 300, 5000].map((u) => ({update: u, bits_per_sequence: 2}))"
        assert curves(page, one, far)[EVALUATION][2] == [2, 2, 2, 2, None, 2]
        two = "[0, 8000].map((u) => ({update: u, bits_per_sequence: 2}))"
        assert curves(page, one, two)[EVALUATION][2] == [2, None, 2]
        three = "[0, 14000, 16000].map((update) => ({update, bits_per_sequence: 2}))"
        assert curves(page, one, three)[EVALUATION][2] == [2, None, 2, 2]

        # No axis of counts leaves 0 out.
        high = "[7, 8, 9].map((x, i) => ({update: i, bit_errors_per_sequence: x}))"
        curves(page, high)
        range_of = "return document.getElementById('curves')._fullLayout.yaxis2.range"
        low, top = js(page, range_of)
        assert low < 0
        assert top > 9

        # Words stay apart, whatever the numbers.
        for norms in ("[0.2, 200, 2]", "[0.06, 100, 2]", "[2, 90, 4]", "[1e-7, 50, 1e-3]"):
            rows = f"{norms}.map((x, i) => ({{update: i, gradient_norm: x, loss_bits_per_sequence: x}}))"
            code = (
                "await NTM.draw(document.getElementById('curves'), NTM.trainingCurves({rows: ROWS, "
            )
            code = f"{code}evaluation: []}}, 9), '')".replace("ROWS", rows)
            found = js(page, f"return (async function () {{ {code}; {COLLISIONS} }})('#curves')")
            assert found == []
