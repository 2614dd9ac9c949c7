"""The rows that hold a poem's given characters: on a trace made by hand, and at every place of the shipped model."""

import numpy as np
import pytest

from ntm_jax.acrostic import memory_rows
from ntm_jax.acrostic.request import Request, answer
from ntm_jax.acrostic.writer import Writer
from tests.helpers import ROOT

SHIPPED = ROOT / "runs" / "pretrained" / "acrostic-ntm-lstm"
MESSAGES = ("紅春願此", "山水清風", "平安喜樂", "機器學習", "春夏秋冬風花", "天地人心日月江山")


def one_hot(rows, size=6):
    return np.eye(size)[rows]


def resting_trace():
    """Two lines of three characters, the last of each given: places 2 and 6, shown at these steps; S is 8.

    The write head reaches row 0 one step after the first character was shown. Then it moves on to row 1 at once, and
    rests there until the second character was shown, which is kept in that row.
    """
    write = one_hot([5, 5, 5, 0, 1, 1, 1, 1] + [3] * 8)
    # Nothing is read while the form is shown. Then row 0 is due at step 8 + 2, row 1 at step 8 + 6.
    first = one_hot([4] * 8 + [4, 4, 0, 4, 4, 1, 1, 4]) * 0.75
    second = one_hot([4] * 8 + [4, 4, 0, 4, 4, 4, 1, 4]) * 0.5
    return np.stack([first, second, write], axis=1)


def test_a_head_that_rests_on_the_next_row_by_hand():
    """The largest sum until the next character is shown would be that of row 1, which holds the next one."""
    trace = resting_trace()
    assert trace[2:6, 2].sum(axis=0).argmax() == 1
    assert memory_rows.kept(trace, [2, 6], 2) == [
        memory_rows.Kept(2, row=0, written=1.0, due=0.75, most_read_at=2, most_read=0.75),
        memory_rows.Kept(6, row=1, written=1.0, due=0.75, most_read_at=5, most_read=0.75),
    ]


def test_rows_in_use_by_hand():
    """Row 4 was never written to, but is read: it comes last. Row 3 is written to too late to count."""
    assert memory_rows.in_use(resting_trace(), [], 2) == [5, 0, 1, 4]


def test_of_rows_at_the_same_step_the_larger_weight_comes_first():
    trace = np.zeros((4, 2, 4))
    trace[3, 0] = [0, 0.2, 0.5, 0.3]
    assert memory_rows.in_use(trace, [], 1) == [2, 3, 1]


def test_a_faint_row_that_holds_a_character_is_in_use():
    trace = np.zeros((4, 2, 3))
    trace[1, 1] = [0, 0, 0.05]
    found = memory_rows.kept(trace, [0], 1)
    assert memory_rows.in_use(trace, found, 1) == [2]


def test_rows_of_characters_are_in_the_order_of_the_message():
    """Row 1 is also touched before the first character was written to row 0, as by weightings that are blurred at first."""
    trace = resting_trace()
    trace[0, 2] = [0, 0.3, 0, 0, 0, 0.7]
    found = memory_rows.kept(trace, [2, 6], 2)
    rows = memory_rows.in_use(trace, found, 2)
    assert [row for row in rows if row in (0, 1)] == [0, 1]


@pytest.fixture(scope="module")
def shipped():
    return Writer.load(SHIPPED)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("form", "position"),
    [(form, position) for form in (5, 7) for position in (*range(1, form + 1), -1)],
)
def test_the_shipped_model_reads_the_named_row_when_due(shipped, form, position):
    for text in MESSAGES:
        request = Request(text, form=form, position=position, n=3)
        found = answer(shipped, request)
        places = np.flatnonzero(found.form.fixed > 2).tolist()
        assert len(places) == len(text)
        for poem in found.poems:
            kept = memory_rows.kept(poem.weightings, places, read_heads=2)
            assert [one.place for one in kept] == places
            assert min(one.due for one in kept) >= 0.5, (text, poem.lines)
            assert len({one.row for one in kept}) == len(kept)
            in_use = memory_rows.in_use(poem.weightings, kept, 2)
            rows = [one.row for one in kept]
            assert [row for row in in_use if row in rows] == rows
