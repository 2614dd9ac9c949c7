"""The monitor's page in a real browser, while a real run trains."""

import re

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
    wait_for,
)
from tests.helpers.runs import flags

pytestmark = [pytest.mark.slow, pytest.mark.alone]
POINTS = "const f = document.getElementById('curves'); return f.data ? f.data[arguments[0]].x : []"
TRAINING, EVALUATION = 0, 1


def tiles(page):
    names = (
        "return [...document.querySelectorAll('.tiles div')].map((d) => d.innerText.split('\\n'))"
    )
    return dict(js(page, names))


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
        assert re.fullmatch(r"\d+ of 10000000", shown["Update"])
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
        assert complaints(page) == []

        # When training ends, the page says so and stays usable.
        process.kill()
        wait_for(
            lambda: "no answer" in js(page, "return document.getElementById('state').innerText")
        )
        assert len(js(page, POINTS, TRAINING)) >= len(later)

        # Words stay apart, whatever the numbers.
        for norms in ("[0.2, 200, 2]", "[0.06, 100, 2]", "[2, 90, 4]", "[1e-7, 50, 1e-3]"):
            rows = f"{norms}.map((x, i) => ({{update: i, gradient_norm: x, loss_bits_per_sequence: x}}))"
            code = (
                "await NTM.draw(document.getElementById('curves'), NTM.trainingCurves({rows: ROWS, "
            )
            code = f"{code}evaluation: []}}, 9), '')".replace("ROWS", rows)
            found = js(page, f"return (async function () {{ {code}; {COLLISIONS} }})('#curves')")
            assert found == []
