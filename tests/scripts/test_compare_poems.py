"""How much poems differ, by hand, and the messages that are compared."""

import numpy as np

from ntm_jax.acrostic.corpus import LINEFEED, VOCABULARY
from ntm_jax.acrostic.rules import Form
from scripts import compare_poems
from tests.helpers import ROOT


def test_distances_by_hand():
    """Of four free places; the message and the linefeed do not count."""
    form = Form((9,), 5, 2)
    poems = [np.array([a, 9, b, 5, 5, LINEFEED]) for a, b in ((3, 4), (3, 6), (7, 8))]
    assert compare_poems.pairwise(form, poems) == [0.25, 0.5, 0.5]


def test_twenty_messages_that_the_shipped_model_knows():
    messages = compare_poems.MESSAGES.split()
    assert len({*messages}) == 20
    known = (ROOT / compare_poems.MODEL / VOCABULARY).read_text(encoding="utf-8")
    assert all(len(message) == 4 and set(message) <= set(known) for message in messages)
