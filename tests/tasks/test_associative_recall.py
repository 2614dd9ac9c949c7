"""Associative recall: which item is asked for."""

import numpy as np
import pytest

from tests.helpers.episodes import assert_evenly, first
from tests.helpers.task_oracles import RECALL_WIDE, where

pytestmark = pytest.mark.usefixtures("quick_compile")


@pytest.mark.parametrize("items", range(2, 7))
def test_every_item_but_the_last_is_asked_for(items: int) -> None:
    batch = where(RECALL_WIDE, items=items)
    asked = []
    for episode in first(batch.mask.shape[1], batch):
        inputs, targets = episode.inputs, episode.targets
        listed = inputs[: 4 * items].reshape(items, 4, 18)[:, 1:, :16]
        query = inputs[4 * items + 1 : 4 * items + 4, :16]
        (place,) = np.flatnonzero((listed == query).all(axis=(1, 2)))
        answer = targets[4 * items + 5 : 4 * items + 8]
        np.testing.assert_array_equal(answer, listed[place + 1])
        asked.append(place)
    assert_evenly(np.array(asked), range(items - 1))
