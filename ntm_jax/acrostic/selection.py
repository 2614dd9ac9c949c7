"""Selects the poems of a corpus that a task is about."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ntm_jax.acrostic import corpus
from ntm_jax.acrostic.corpus import Corpus
from ntm_jax.errors import UserError

USUAL_WIDTHS = (5, 7)  # characters of every line


@dataclass(frozen=True)
class Selection:
    """Selects poems by part, form and length; the fields are those of `Acrostic`."""

    corpus: str
    vocabulary: int
    part: str
    form: str
    shortest: int
    longest: int
    irregular_weight: int

    def read(self) -> tuple[Corpus, np.ndarray]:
        """Returns the corpus as it is on disk now and the numbers of the selected poems, `[P]`.

        The shortest come first. Poems of irregular lines are there `irregular_weight` times.

        Raises:
          UserError: there is no corpus, or it has more characters than `vocabulary`.
        """
        found = corpus.load(self.corpus)
        if len(found.characters) > self.vocabulary:
            raise UserError(
                f"task.vocabulary: {self.vocabulary} is too small; {self.corpus} has {len(found.characters)} "
                "characters"
            )
        return found, _selected(found, self)

    def open(self) -> tuple[Corpus, np.ndarray]:
        """Returns what `read` does.

        Raises:
          UserError: no poem is selected.
        """
        found, poems = self.read()
        if not len(poems):
            raise UserError(
                f"task.corpus: {self.corpus} has no poem for part {self.part!r}, form {self.form or 'any'!r}, "
                f"{self.shortest} to {self.longest} symbols"
            )
        return found, poems


def width_and_lines(form: str) -> tuple[int, int] | None:
    """Reads a form: `5x8` -> (5, 8), and None for any form.

    Raises:
      UserError: it cannot be read.
    """
    if not form:
        return None
    width, x, lines = form.partition("x")
    if not (x and width.isdecimal() and lines.isdecimal() and int(width) and int(lines)):
        raise UserError(f"task.form: {form!r} cannot be read; write it like 5x8, 8 lines of 5")
    return int(width), int(lines)


# A corpus is equal to itself alone, so a rebuilt one is selected from anew.
@lru_cache(maxsize=256)
def _selected(found: Corpus, chosen: Selection) -> np.ndarray:
    poems, lengths = found.part(chosen.part), found.lengths
    poems = poems[(lengths[poems] >= chosen.shortest) & (lengths[poems] <= chosen.longest)]
    lines, widths = found.lines()
    form = width_and_lines(chosen.form)
    if form is not None:
        poems = poems[(widths[poems] == form[0]) & (lines[poems] == form[1])]
    usual = np.isin(widths[poems], USUAL_WIDTHS)
    poems = np.repeat(poems, np.where(usual, 1, chosen.irregular_weight))
    return poems[np.argsort(lengths[poems], kind="stable")]
