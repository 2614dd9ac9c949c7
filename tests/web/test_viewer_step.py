"""The viewer's step: how a head found its row, which rows are shown, and what a step costs."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

from ntm_jax.evaluation.memory_figures import used_rows
from ntm_jax.models import addressing
from ntm_jax.web import packing
from ntm_jax.web.viewer import sources
from tests.helpers.browser import js, look, viewer, wait_for
from tests.helpers.configs import quick_compile, tiny
from tests.helpers.runs import save
from tests.helpers.shipped import SHIPPED
from tests.helpers.viewer_page import cursor, panel, put, slide, text, titles, visit

PRETRAINED = SHIPPED / "copy-ntm-ff"
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_complaints")]
PICKED = (
    "return document.querySelectorAll('.numbers')[1].querySelector('[aria-pressed=true]').innerText"
)
STAGES = ("content", "gated", "shifted", "sharpened")


@pytest.fixture(scope="module")
def folder(walkers, tmp_path_factory):
    base = walkers(walker=tiny(model__memory_size=16))
    with quick_compile(tmp_path_factory.getbasetemp()):
        save(base / "random", tiny(model__read_heads=2, model__write_heads=2, model__shift_range=2))
        shared = tiny(model__shared_weighting=True, model__shift_activation="interpolated")
        save(base / "shared", shared)
    return base


@pytest.fixture(scope="module")
def address(folder):
    with viewer(*(folder / name for name in ("walker", "random", "shared"))) as address:
        yield address


def stages(page, run, given, step, a):
    """What the page computes of one head's addressing, each `[N]`."""
    code = """
      return NTM.source.episode(arguments[0], arguments[1]).then((episode) => {
        const found = NTM.addressing(episode, arguments[2], arguments[3]);
        return Object.fromEntries(Object.entries(found).map(([name, values]) => [name, Array.from(values)]));
      });
    """
    return {k: np.array(v) for k, v in js(page, code, run, given, step, a).items()}


def arrays(folder, run, given):
    source = sources.open_source(folder / run)
    answer = source.answer(source.question(given))
    return {name: packing.unpack(packed) for name, packed in answer["arrays"].items()}


@pytest.mark.parametrize(("run", "heads"), [("random", 4), ("shared", 1)])
def test_the_four_stages_are_those_of_the_model(page, address, folder, run, heads):
    visit(page, address)
    given = {"length": "6", "seed": "2"}
    seen = arrays(folder, run, given)
    weightings = np.concatenate([seen["read_weightings"], seen["write_weightings"]], axis=1)
    for step in (0, 1, 9):
        memory = seen["first_memory"] if step == 0 else seen["memory"][step - 1]
        for a in range(heads):
            found = stages(page, run, given, step, a)
            before = seen["first_weightings"][a] if step == 0 else weightings[step - 1, a]
            control = {k: jnp.asarray(seen[k][step, a]) for k in ("key", "strength", "gate")}
            content = addressing.content_weighting(
                jnp.asarray(memory), control["key"], control["strength"]
            )
            gated = addressing.interpolate(content, jnp.asarray(before), control["gate"])
            shifted = addressing.shift_weighting(gated, jnp.asarray(seen["shift"][step, a]))
            sharp = addressing.sharpen(shifted, jnp.asarray(seen["sharpening"][step, a]))
            for name, expected in zip(STAGES, (content, gated, shifted, sharp), strict=True):
                np.testing.assert_allclose(found[name], expected, atol=2e-5, err_msg=name)
            # The memory is sent rounded to 12 bits, the weightings in full.
            np.testing.assert_allclose(found["sharpened"], weightings[step, a], atol=2e-3)


@pytest.mark.parametrize("seed", range(3))
def test_the_rows_in_use_are_those_of_the_figures(page, address, seed):
    """Also where they lie around the end of the memory, which is a circle."""
    visit(page, address)
    random = np.random.default_rng(seed)
    for _ in range(30):
        count = int(random.integers(1, 20))
        weights = np.where(random.random(count) < 0.3, random.random(count), 0)
        shown = js(page, "return NTM.rowsInUse(arguments[0])", weights.tolist())
        np.testing.assert_array_equal(shown, used_rows(weights))


def test_rows_without_use_are_left_out_until_asked_for(page, address):
    visit(page, address, "run=walker&length=2&rows=200")
    assert panel(page, "read weighting").shape == (5, 5)
    js(page, "document.getElementById('all').click()")
    wait_for(lambda: panel(page, "read weighting").shape == (200, 5))


def test_heads_and_memory_are_seen_together(page):
    """In the usual window of a small computer, without scrolling."""
    look(page, 1280, 800)
    with viewer(PRETRAINED) as address:
        visit(page, address)
        bottom = (
            "const f = document.querySelector(arguments[0]); const b = f.getBoundingClientRect();"
            "const y = f._fullLayout.yaxis5; return b.top + y._offset + y._length"
        )
        assert titles(page)[4].startswith("read weighting")
        assert js(page, bottom, ".over-time .figure") <= 800
        body = "const s = document.querySelector('.stage').getBoundingClientRect(); return [s.top, s.bottom]"
        top, bottom = js(page, body)
        assert 0 < top < bottom <= 800
        js(page, "window.scrollTo(0, 400)")
        assert wait_for(lambda: js(page, body)[0] >= 0)  # it stays while the rest is scrolled


def test_the_step_is_said_in_a_sentence(page, address):
    visit(page, address, "run=walker&length=5")
    slide(page, 4)
    assert text(page, "#said").startswith(
        "Step 4 of 10, being shown the input: read head at row 5, weight 1; write head at row 5, weight 1."
    )
    assert js(page, "return document.getElementById('said').getAttribute('aria-live')") == "polite"
    found = text(page, ".found")
    assert "0% by content, 100% from where the head was, row 4" in found
    assert "moves 1 row on" in found
    assert found.startswith("Found by location: it was at row 4, and it moved 1 row on, to row 5.")


def test_a_sentence_names_four_heads_at_most(page, address):
    visit(page, address, "run=random&length=5")
    code = """
      const heads = (name, count) => Array.from({length: count}, (_, i) => [name, 0.2 + 0.1 * i]);
      const array = (list) => new NTM.NdArray([1, list.length, 2], Float32Array.from(list.flatMap(([, w]) => [w, 0.05])));
      const arrays = {
        read_weightings: array(heads("read", 4)), write_weightings: array(heads("write", 3)),
        mask: new NTM.NdArray([1], [0]), inputs: new NTM.NdArray([1, 1], Float32Array.of(1)), strength: new NTM.NdArray([1, 7], new Array(7).fill(1)),
      };
      return NTM.stepSentence({arrays, steps: 1, scores: {}}, 0);
    """
    said = js(page, code)
    assert [i for i in range(1, 5) if f"read head {i} " in said] == [2, 3, 4]
    assert "write head 3 at row 0, weight 0.4" in said
    assert "3 other heads with smaller weights" in said


def test_a_head_whose_gate_is_open_finds_by_content(page, address):
    """Of the model with random weights, whose rows differ; of a write head, which is chosen above the memory."""
    broken = "gate_2_1_4*gate_3_1_4*strength_2_1000_4*strength_3_1000_4*shift_2_0_4*shift_3_0_4"
    visit(page, address, f"run=random&length=6&step=4&break={broken}")
    choose = "const s = document.querySelectorAll('.how select')[1]; s.value = 2; s.dispatchEvent(new Event('change'))"
    js(page, choose)
    found = js(page, "return document.querySelectorAll('.found')[1].innerText")
    assert found.startswith("Found by content: row")
    assert "write head 1" in js(page, PICKED)
    stage = stages(page, "random", {"length": 6, "break": broken}, 4, 2)
    assert f"row {stage['content'].argmax()} resembles the key." in found


def test_one_weighting_for_reading_and_writing_is_drawn_once(page, address):
    visit(page, address, "run=shared&length=3")
    weightings = [title for title in titles(page) if "weighting" in title]
    assert weightings == ["head (reads and writes) weighting (memory rows)"]


def test_pointing_at_a_row_lights_it_everywhere(page, address):
    visit(page, address, "run=walker&length=5")
    code = """
      const stage = document.querySelector('.stage');
      const box = stage.getBoundingClientRect();
      const from = arguments[0];
      stage.dispatchEvent(new PointerEvent('pointermove', {clientX: box.left + 60, clientY: box.top + from, bubbles: true}));
      return [[...document.querySelectorAll('.lit-row')].filter((b) => !b.hidden).length, document.querySelector('.tip').textContent];
    """
    lit, tip = js(page, code, 86)
    assert lit == 2  # in the weightings of both heads
    assert tip.startswith("row 1, column")


def test_pointing_at_a_head_lights_its_weighting(page, address):
    visit(page, address, "run=walker&length=5")
    code = """
      const button = document.querySelectorAll('.pick')[arguments[0]];
      button.dispatchEvent(new PointerEvent('pointerenter'));
      const shown = [...document.querySelectorAll('.lit-row')].map((b) => !b.hidden);
      button.dispatchEvent(new PointerEvent('pointerleave'));
      return shown;
    """
    assert js(page, code, 0) == [False, True]  # the read head, below the write head's
    assert js(page, code, 1) == [True, False]


def test_a_step_costs_little(page):
    """CPU time of the page's process, with all drawing, at length 120."""
    with viewer(PRETRAINED) as address:
        look(page, 1600, 1000)
        visit(page, address, "length=120&step=1")
        page.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})

        def spent():
            metrics = page.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
            return next(m["value"] for m in metrics if m["name"] == "TaskDuration")

        code = """
          const done = arguments[arguments.length - 1];
          const slider = document.getElementById('step');
          let step = arguments[0];
          const next = () => {
            if (step === arguments[1]) return requestAnimationFrame(() => done(step));
            slider.value = step++;
            slider.dispatchEvent(new Event('input', {bubbles: true}));
            requestAnimationFrame(() => setTimeout(next));
          };
          next();
        """
        page.execute_async_script(code, 2, 12)  # the first ones compile
        before = spent()
        page.execute_async_script(code, 12, 112)
        each = (spent() - before) / 100
        print(json.dumps({"cpu_ms_a_step": round(1000 * each, 2)}))
        assert cursor(page) == 111
        assert each < 0.015


def test_playing_writes_the_link_when_it_has_ended(page, address):
    visit(page, address, "run=walker&length=20&step=0")
    js(
        page,
        "window.written = 0; const was = history.replaceState.bind(history);"
        "history.replaceState = (...a) => { window.written++; was(...a); }",
    )
    put(page, "speed", "25")
    js(page, "document.getElementById('play').click()")
    wait_for(lambda: cursor(page) == 40)
    wait_for(lambda: js(page, "return NTM.readLink().step") == "40")
    assert js(page, "return window.written") == 1
