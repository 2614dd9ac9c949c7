"""An edited input in an address: what is written is read again, and the answer is to it."""

import numpy as np
import pytest

from ntm_jax.errors import UserError
from ntm_jax.tasks.editing import Content, Editable, Number
from ntm_jax.web import packing
from ntm_jax.web.viewer import edits, sources
from tests.helpers.browser import save_walker
from tests.helpers.configs import quick_compile, tiny

NUMBERS = (Number("priority 1", -1, 1), Number("item asked for", 1, 4, whole=True))
EDITABLE = Editable(np.arange(5), 3, NUMBERS, (0.25, 2.0))
USUAL = Content(np.zeros((5, 3), np.float32), np.float32(EDITABLE.values))


@pytest.fixture(scope="module", autouse=True)
def quick(tmp_path_factory):
    with quick_compile(tmp_path_factory.getbasetemp()):
        yield


@pytest.mark.parametrize("seed", range(5))
def test_what_is_written_is_read(seed):
    random = np.random.default_rng(seed)
    bits = random.integers(0, 2, (5, 3)).astype(np.float32)
    numbers = np.float32([random.uniform(-1, 1), random.integers(1, 5)])
    given = edits.encode(Content(bits, numbers))
    found = edits.decode(given["bits"], given["numbers"], EDITABLE, USUAL)
    np.testing.assert_array_equal(found.bits, bits)
    np.testing.assert_allclose(found.numbers, numbers, atol=1e-6)


def test_a_part_that_is_not_given_is_as_drawn():
    found = edits.decode(None, "0.5_3", EDITABLE, USUAL)
    np.testing.assert_array_equal(found.bits, USUAL.bits)
    np.testing.assert_array_equal(found.numbers, [0.5, 3])


@pytest.mark.parametrize(
    ("bits", "numbers", "part"),
    [
        ("AA", None, "1 bytes are given, but 15 bits"),
        ("AAAA", None, "3 bytes"),
        ("A!A", None, "no base64"),
        ("Ä", None, "no base64"),
        (None, "0.5", "1 are given, but the episode has 2"),
        (None, "2_1", "priority 1: 2 is not allowed; it must be from -1 to 1"),
        (None, "0_5", "item asked for: 5 is not allowed"),
        (None, "0_1.5", "not a whole number"),
        (None, "nan_1", "'nan' is not a number"),
        (None, "1e3_1", "not a number"),
    ],
)
def test_what_does_not_fit_is_one_sentence(bits, numbers, part):
    with pytest.raises(UserError) as caught:
        edits.decode(bits, numbers, EDITABLE, USUAL)
    assert part in str(caught.value)


def test_the_answer_is_to_the_edited_input(tmp_path):
    save_walker(tmp_path / "sort", tiny("priority_sort", task__items=4, task__kept=2))
    source = sources.open_source(tmp_path / "sort")
    bits = np.float32([[1] * 8, [0] * 8, [1, 0] * 4, [0, 1] * 4])
    given = edits.encode(Content(bits, np.float32([-0.5, 0.25, 0.9, -1])))
    answer = source.answer(source.question({"items": "4", "kept": "2", **given}))
    seen = {name: packing.unpack(packed) for name, packed in answer["arrays"].items()}
    np.testing.assert_array_equal(seen["inputs"][:4, :8], bits)
    np.testing.assert_allclose(seen["inputs"][:4, 8], [-0.5, 0.25, 0.9, -1])
    np.testing.assert_array_equal(seen["targets"][5:], bits[[2, 1]])
    described = answer["editable"]
    assert described["steps"] == [0, 1, 2, 3]
    assert [one["value"] for one in described["numbers"]] == pytest.approx([-0.5, 0.25, 0.9, -1])


def test_the_optimum_of_ngrams_is_that_of_the_edited_bits(tmp_path):
    save_walker(tmp_path / "run", tiny("ngram", task__length=40))
    source = sources.open_source(tmp_path / "run")
    given = edits.encode(Content(np.ones((39, 1), np.float32), np.zeros(0, np.float32)))
    answer = source.answer(source.question({"length": "40", **given}))
    optimal = packing.unpack(answer["arrays"]["optimal"])[4:, 0]
    seen = np.arange(35)  # ones after five ones so far, and no zero
    np.testing.assert_allclose(optimal, (seen + 0.5) / (seen + 1), rtol=1e-6)
