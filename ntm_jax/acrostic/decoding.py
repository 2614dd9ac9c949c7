"""Chooses poems: the best that differ from each other, or good ones at random."""

from collections.abc import Callable

import numpy as np

from ntm_jax.acrostic.rules import FREE, Form, Rules
from ntm_jax.acrostic.writer import Poem, Writer

REPEATED_NATS = 0.75  # cost of a character for each earlier poem that contains it
DRAWS = 8  # of which the most probable is kept

Progress = Callable[[int], object]


def silent(found: int) -> None:
    """Shows nothing."""


def find_best(
    writer: Writer, form: Form, rules: Rules, count: int, width: int, progress: Progress = silent
) -> list[Poem]:
    """Returns probable poems that differ from each other.

    The first is the most probable that a beam search finds. Each of the others comes from a search of its own, in
    which the characters of the earlier poems cost more: a diverse beam search (Vijayakumar et al. 2016, arXiv
    1610.02424) with whole poems in place of groups. All are different. Fewer are returned if a search finds
    nothing new.

    Args:
      writer: of the model.
      form: of all poems.
      rules: for that form.
      count: of poems.
      width: of each search.
      progress: is called with the number of poems found so far.
    """
    free = form.fixed == FREE
    costs = np.zeros(writer.size)
    found: list[np.ndarray] = []
    for _ in range(count):
        candidates = writer.search(form, rules, width, costs)
        new = (c for c in candidates if not any(np.array_equal(c, other) for other in found))
        poem = next(new, None)
        if poem is None:
            break
        found.append(poem)
        costs[np.unique(poem[free])] += REPEATED_NATS
        progress(len(found))
    return writer.follow(form, np.stack(found))


def draw(
    writer: Writer,
    form: Form,
    rules: Rules,
    count: int,
    temperature: float,
    seed: int,
    progress: Progress = silent,
) -> list[Poem]:
    """Returns poems drawn at random, each the most probable of `DRAWS`.

    Args:
      writer: of the model.
      form: of all poems.
      rules: for that form.
      count: of poems; the first few are the same however many there are.
      temperature: 1 draws as the model predicts; less gives more common characters.
      seed: decides the draws, together with the message.
      progress: is called with the number of poems drawn so far.
    """
    poems = []
    for number in range(count):
        drawn = writer.sample(form, rules, DRAWS, temperature, [seed, number, *form.message])
        poems.append(min(drawn, key=lambda poem: poem.bits))
        progress(len(poems))
    return poems
