"""Defines the form of a poem, and the characters allowed at each place."""

from dataclasses import dataclass

import numpy as np

from ntm_jax.acrostic.corpus import BLANK, LINEFEED, MARKS, MOST_LINES
from ntm_jax.acrostic.readings import Readings
from ntm_jax.errors import UserError

WIDTHS = (5, 7)
FREE = -1


@dataclass(frozen=True)
class Form:
    """Defines lines of `width` characters. Each of the first contains a message character at `position`.

    Args:
      message: symbols, see `tasks.acrostic.corpus`.
      width: 5 or 7.
      position: from 1; below 0 counted from the line's end.
      lines: as many as the message has characters, or more; 0 for as many.

    Raises:
      UserError: no such form.
    """

    message: tuple[int, ...]
    width: int = 5
    position: int = 1
    lines: int = 0

    def __post_init__(self) -> None:
        if self.width not in WIDTHS:
            raise UserError(f"form: {self.width} is not allowed; lines have 5 or 7 characters")
        if not 1 <= abs(self.position) <= self.width:
            raise UserError(
                f"position: {self.position} is not allowed; it must be from 1 to {self.width}, or from -1 to -{self.width} from the end"
            )
        if not 1 <= len(self.message) <= MOST_LINES:
            raise UserError(
                f"a poem has 1 to {MOST_LINES} lines; {len(self.message)} are requested"
            )
        object.__setattr__(self, "lines", max(self.lines, len(self.message)))

    @property
    def column(self) -> int:
        """Returns the message's column, from 0."""
        return self.position - 1 if self.position > 0 else self.width + self.position

    @property
    def fixed(self) -> np.ndarray:
        """Returns `[S]`, the message and the linefeeds in their places, `FREE` elsewhere."""
        lines = np.full((self.lines, self.width + 1), FREE)
        lines[: len(self.message), self.column] = self.message
        lines[:, -1] = LINEFEED
        return lines.reshape(-1)

    @property
    def asked(self) -> np.ndarray:
        """Returns `[S]`, the model's input."""
        return np.where(self.fixed == FREE, BLANK, self.fixed)


class Rules:
    """Restricts which symbols may come next.

    Args:
      form: of the poem.
      symbols: V, marks counted.
      readings: of the characters, for `rhyme` and `tones`.
      repeats: whether a character may stand in a poem twice.
      rhyme: whether even lines end alike, in a level tone.
      tones: whether the second, fourth and sixth characters have the tones of regulated verse (律), and odd
        lines end in an oblique tone, even lines in a level one.
    """

    def __init__(
        self,
        form: Form,
        symbols: int,
        readings: Readings | None = None,
        *,
        repeats: bool = False,
        rhyme: bool = False,
        tones: bool = False,
    ):
        self.form, self.repeats, self.rhyme = form, repeats, rhyme
        self._characters = np.arange(symbols) >= MARKS
        if rhyme or tones:
            assert readings is not None
            padding = np.zeros(MARKS, bool)
            self._level = np.concatenate([padding, readings.level])
            self._oblique = np.concatenate([padding, readings.oblique])
            self._rhymes = np.concatenate([np.full(MARKS, -1), readings.rhymes])
        self._tones = self._regulated() if tones else np.zeros(len(form.fixed), int)

    def allowed(self, written: np.ndarray) -> np.ndarray:
        """Returns `[V]`, whether each symbol may follow those written so far, `[s]`."""
        place = len(written)
        fixed = self.form.fixed
        if fixed[place] != FREE:
            return np.arange(self._characters.size) == fixed[place]
        allowed = self._characters.copy()
        for rule in (self._new(written), self._by_tone(place), self._by_rhyme(written)):
            # A rule that leaves nothing to choose from gives way.
            if rule is not None and (allowed & rule).any():
                allowed &= rule
        return allowed

    def _new(self, written: np.ndarray) -> np.ndarray | None:
        if self.repeats:
            return None
        new = np.ones(self._characters.size, bool)
        new[written] = False
        new[list(self.form.message)] = False
        return new

    def _by_tone(self, place: int) -> np.ndarray | None:
        wanted = self._tones[place]
        return None if not wanted else self._level if wanted > 0 else self._oblique

    def _by_rhyme(self, written: np.ndarray) -> np.ndarray | None:
        width = self.form.width
        line, column = divmod(len(written), width + 1)
        if not self.rhyme or line % 2 == 0 or column != width - 1:
            return None
        ends = written[width - 1 :: width + 1][1::2]  # of the even lines before
        rhyme = next((r for r in self._rhymes[ends] if r >= 0), None)
        if rhyme is not None:
            return self._level & (self._rhymes == rhyme)
        # One with room for the rhymed lines to come.
        sizes = np.bincount(self._rhymes[self._level], minlength=1)
        roomy = np.flatnonzero(sizes >= min(2 * self.form.lines, sizes.max()))
        return self._level & np.isin(self._rhymes, roomy)

    def _regulated(self) -> np.ndarray:
        """Returns `[S]`, 1 for a level tone, -1 for an oblique one, 0 for either.

        Within a line the tones of even places alternate; the two lines of a couplet are opposed in them, and a
        couplet begins as the one before it ended. Of the two patterns that start with either tone, the one that
        suits the message's own characters better.
        """
        lines, width = self.form.lines, self.form.width
        pattern = np.zeros((lines, width + 1), int)
        for line in range(lines):
            sign = 1 if line % 4 in (0, 3) else -1
            for place in range(1, width - 1, 2):
                pattern[line, place] = sign * (1 if place % 4 == 1 else -1)
            pattern[line, width - 1] = 1 if line % 2 else -1
        column = self.form.column
        if column % 2 == 1 and column < width - 1:
            tones = self._level[list(self.form.message)] * 2 - 1
            if (pattern[: len(tones), column] * tones).sum() < 0:
                pattern[:, 1 : width - 1] *= -1
        return pattern.reshape(-1)
