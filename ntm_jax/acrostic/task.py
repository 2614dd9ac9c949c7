"""Acrostics, as `fumin/ntm` has them: write a poem around the characters that were shown in their places.

The poem is shown first with all but some of its characters blank, then it is predicted, each symbol from those before.

poem 春眠 / 聞鳥   step   0   1   2   3   4   5   6   7   8   9  10  11
input  shown             _  眠   ⏎   聞  _   ⏎
       end of poem                              1
       last symbol                                 春  眠   ⏎   聞  鳥
output next symbol                             春  眠   ⏎   聞  鳥   ⏎
scored                                          1   1   1   1   1   1

Poems are drawn from a part of the corpus, all alike. Their lengths differ tenfold, so that a training batch is of
poems of about one length, and of about as many symbols whatever that is.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from ntm_jax.acrostic import bigram, corpus, joined, moved, scores
from ntm_jax.acrostic.corpus import BLANK, END, LINEFEED, MARKS, MOST_SYMBOLS, Corpus
from ntm_jax.errors import UserError, unknown_choice
from ntm_jax.tasks import losses
from ntm_jax.tasks.base import Batch, Case, Task, opened, require

# The longest poem in each batch's shape, in symbols: 7x4 has 32, 5x8 48, 7x8 64. More of them pad less and
# compile longer; of these 11% are padding.
LONGEST = (32, 48, 64, 96, 144, MOST_SYMBOLS)
FORMS = ("5x4", "7x4", "5x8", "7x8")
USUAL_WIDTHS = (5, 7)  # characters of every line
ONLY_LAST = {"unusual": 1, "moved": 0, "varied": 0}  # what a curriculum ends with, off
MOST_VARIED = 3  # keywords a line, and places from either end of it


@dataclass(frozen=True)
class Acrostic(Task):
    """Poems of `shortest` to `longest` characters and linefeeds, some characters of each line shown.

    `part` is train, validation or test; `form` like 5x8, 8 lines of 5 characters, or any if empty. `keywords`
    characters are shown in a line: at random places, if `position` is 0, or those nearest to the
    `position`-th, counted from the end if it is below 0. In half of the poems a part of the others is shown
    too, from none of them to `more` percent, so that it is learned to keep many as well as few.
    Long poems are few: `joined` percent of training's symbols are of episodes of several poems instead, of
    lines as long as the first's, one after another.
    Poems whose lines are not all of 5 or all of 7 characters are few, too: training draws them `unusual` times
    as often as others, and in `moved` percent of all it moves the linefeeds, see `ntm_jax.acrostic.moved`.
    In `varied` percent of training's poems `keywords` and `position` are drawn, as a message may have them: 1 to
    `MOST_VARIED` a line, at random places or in columns at most that far from either end, and nothing more.
    A curriculum begins with none of these.
    `vocabulary` is how many characters have numbers of their own, `corpus` the file.
    """

    name: ClassVar[str] = "acrostic"
    outputs: ClassVar[losses.Outputs] = losses.SYMBOLS
    episodes_at_once: ClassVar[int] = 32
    part: str = "train"
    form: str = ""
    keywords: int = 1
    position: int = 0
    more: int = 0
    joined: int = 0
    unusual: int = 1
    moved: int = 0
    varied: int = 0
    shortest: int = 1
    longest: int = MOST_SYMBOLS
    vocabulary: int = corpus.CHARACTERS
    corpus: str = corpus.DEFAULT

    def __post_init__(self) -> None:
        if self.part not in corpus.PARTS:
            raise unknown_choice("task.part", self.part, corpus.PARTS)
        _width_and_lines(self.form)
        percent = ("more", "joined", "moved", "varied")
        for field, most in (("keywords", MOST_SYMBOLS), *((name, 100) for name in percent)):
            value = getattr(self, field)
            require(0 <= value <= most, f"task.{field}: {value} is given, 0 to {most} is allowed")
        require(
            1 <= self.unusual <= 100,
            f"task.unusual: {self.unusual} is given, 1 to 100 is allowed",
        )
        require(
            abs(self.position) < MOST_SYMBOLS,
            f"task.position: {self.position} is given, {1 - MOST_SYMBOLS} to {MOST_SYMBOLS - 1} is allowed",
        )
        require(
            1 <= self.shortest <= self.longest,
            f"task.shortest: {self.shortest} is given, 1 to task.longest ({self.longest}) is allowed",
        )
        require(
            1 <= self.vocabulary < 2**16 - MARKS,
            f"task.vocabulary: {self.vocabulary} is given, 1 to {2**16 - MARKS - 1} is allowed",
        )

    @property
    def input_size(self) -> int:
        return 1

    @property
    def output_size(self) -> int:
        """V: marks and characters, whether or not the corpus has all of them."""
        return MARKS + self.vocabulary

    @property
    def steps(self) -> int:
        return 2 * self.answer_steps

    @property
    def most_steps(self) -> int:
        return 2 * min(self.longest, MOST_SYMBOLS)

    @property
    def answer_steps(self) -> int:
        found, poems = _open(self)
        if self.joined == 100:
            return self.most_steps // 2
        return int(found.lengths[poems].max())

    @property
    def shapes(self) -> tuple["Acrostic", ...]:
        found, poems = _open(self)
        if self.joined == 100:
            return (self,)
        shapes, lengths, least = [], found.lengths[poems], self.shortest
        for most in LONGEST:
            if np.any((lengths >= least) & (lengths <= most)):
                longest = min(most, self.longest)
                shapes.append(self.at(joined=0, shortest=least, longest=longest))
            least = max(least, most + 1)
        if self.joined:
            shapes.append(self.at(joined=100))
        return tuple(shapes)

    @property
    def early(self) -> "Acrostic":
        return self.at(**ONLY_LAST)

    def shares(self, progress: jax.Array, late: jax.Array) -> jax.Array:
        """So that all poems are drawn alike; a curriculum begins with the shortest, and joins poems late."""
        alone = self.at(joined=0).shapes if self.joined < 100 else ()
        symbols = np.array([len(_open(s)[1]) * s.answer_steps for s in alone], np.float32)
        percent = symbols * (100 - self.joined) / max(1.0, float(symbols.sum()))
        allowed = jnp.arange(len(alone)) < opened(1, len(alone), progress)
        shares = jnp.where(allowed, percent, 0)
        return jnp.append(shares, self.joined * late) if self.joined else shares

    def sequences(self, batch_size: int) -> tuple[int, ...]:
        """About as many symbols in all of them."""
        alone = [(len(_open(s)[1]), s.answer_steps) for s in self.shapes if not s.joined]
        if not alone:
            return (batch_size,)
        mean = sum(poems * longest for poems, longest in alone) / sum(p for p, _ in alone)
        return tuple(max(1, round(batch_size * mean / s.answer_steps)) for s in self.shapes)

    def episode(self, key: jax.Array, progress: jax.Array) -> Batch:
        poem_key, shown_key = jax.random.split(key)
        if self.joined == 100:
            several = joined.draw(*_open(self), self.answer_steps, poem_key)
            return self._episode(*several, shown_key)
        poems = jnp.asarray(_open(self)[1])
        return self.episode_of(jax.random.choice(poem_key, poems), shown_key)

    def episode_of(self, poem: jax.Array, key: jax.Array) -> Batch:
        """An episode `[T, 1]`, `[T, 1]`, `[T]` of the corpus's poem of that number."""
        text, starts = _open(self)[0].on_device()
        start, length = starts[poem], starts[poem + 1] - starts[poem]
        place = jnp.arange(self.answer_steps)
        symbols = text[jnp.minimum(start + place, text.size - 1)]
        return self._episode(jnp.where(place < length, symbols, BLANK), length, key)

    def _episode(self, symbols: jax.Array, length: jax.Array, key: jax.Array) -> Batch:
        """Of symbols `[S]`, of which the first `length`, `[]`, are there."""
        if self.moved:
            drawn = jax.random.uniform(jax.random.fold_in(key, 3), maxval=100)
            elsewhere = moved.draw(symbols, length, jax.random.fold_in(key, 4))
            symbols = jnp.where(drawn < self.moved, elsewhere, symbols)
        present = jnp.arange(symbols.size) < length
        shown = (symbols == LINEFEED) | self._shown(symbols, present, key)
        return as_episode(symbols, shown, length)

    def _shown(self, symbols: jax.Array, present: jax.Array, key: jax.Array) -> jax.Array:
        """Which of the characters are keywords, `[S]`."""
        ends = (symbols == LINEFEED).astype(jnp.int32)
        line, character = jnp.cumsum(ends) - ends, present & (ends == 0)
        fellows = (line[:, None] == line[None, :]) & character[None, :]
        place = jnp.arange(symbols.size)
        column = jnp.sum(fellows & (place[None, :] <= place[:, None]), axis=1)  # the first is 1
        keywords, position, more = self._asked(key)
        # Counted from the end, the last is -1.
        counted = jnp.where(position < 0, column - jnp.sum(fellows, axis=1) - 1, column)
        # Of two that are equally near, the one before.
        late = (counted > position).astype(jnp.int32)
        near = (2 * jnp.abs(counted - position) + late).astype(jnp.float32)
        order = jnp.where(position == 0, jax.random.uniform(key, symbols.shape), near)
        keyword = jnp.sum(fellows & (order[None, :] < order[:, None]), axis=1) < keywords
        drawn = jax.random.uniform(jax.random.fold_in(key, 2), minval=-1)
        share = jnp.maximum(0, drawn) * more / 100
        also = jax.random.uniform(jax.random.fold_in(key, 1), symbols.shape) < share
        return character & (keyword | also)

    def _asked(self, key: jax.Array) -> tuple[Any, Any, Any]:
        """`keywords`, `position` and `more` of one episode, `[]` each."""
        if not self.varied:
            return self.keywords, self.position, self.more
        varied_key, keywords_key, position_key = jax.random.split(jax.random.fold_in(key, 5), 3)
        varied = jax.random.uniform(varied_key, maxval=100) < self.varied
        keywords = jax.random.randint(keywords_key, (), 1, MOST_VARIED + 1)
        position = jax.random.randint(position_key, (), -MOST_VARIED, MOST_VARIED + 1)
        return (
            jnp.where(varied, keywords, self.keywords),
            jnp.where(varied, position, self.position),
            jnp.where(varied, 0, self.more),
        )

    # Evaluation: every poem of a part once, or some of them, evenly spread.

    def tests(self, episodes: int) -> tuple[tuple["Acrostic", int], ...]:
        if not len(_selected(self)):
            return ()
        shapes = [(shape, len(_open(shape)[1])) for shape in self.shapes]
        total = sum(poems for _, poems in shapes)
        share = min(1.0, episodes / total)
        return tuple((shape, max(1, round(poems * share))) for shape, poems in shapes)

    def test_batch(self, key: jax.Array, first: jax.Array, episodes: int, batch_size: int) -> Batch:
        poems = _open(self)[1]
        spread = jnp.asarray(poems[np.arange(episodes) * len(poems) // episodes])
        numbers = jnp.minimum(first + jnp.arange(batch_size), episodes - 1)
        keys = jax.random.split(key, batch_size)
        return jax.vmap(self.episode_of, out_axes=1)(spread[numbers], keys)

    def unseen(self) -> "Acrostic":
        """Validation poems of about one length."""
        part = "validation" if self.part == "train" else self.part
        every = self.at(part=part, joined=0, **ONLY_LAST)
        return every.shapes[len(every.shapes) // 2]

    def measures(self, batch: Batch, logits: jax.Array) -> dict[str, jax.Array]:
        return scores.measures(batch, logits, self.answer_steps, MOST_SYMBOLS)

    def report(self, measures: dict[str, np.ndarray]) -> dict[str, float]:
        anchor = bigram.of_corpus(_open(self)[0], self.output_size)
        return scores.report(measures, anchor)

    def records(self) -> dict[str, str]:
        return {corpus.VOCABULARY: _open(self)[0].characters + "\n"}

    def picture(self, batch: Batch, logits: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        return scores.picture(batch, logits)

    def cases(self) -> list[Case]:
        """Of the test part, or of the part that this task is of if that is not what is trained on."""
        part = "test" if self.part == "train" else self.part
        every = self.at(part=part, form="", keywords=1, position=0, more=0, joined=0)
        every = every.at(**ONLY_LAST, shortest=1, longest=MOST_SYMBOLS)
        asked: dict[str, dict[str, int | str]] = {"any": {}}
        asked |= {f"form_{form}": {"form": form} for form in FORMS}
        asked |= {"first": {"position": 1}, "last": {"position": -1}, "three": {"keywords": 3}}
        return [
            Case(name, {"part": part, **difficulty}, every.at(**difficulty))
            for name, difficulty in asked.items()
        ]


def as_episode(symbols: jax.Array, shown: jax.Array, length: jax.Array) -> Batch:
    """An episode `[2 S, 1]`, `[2 S, 1]`, `[2 S]` of a poem.

    Args:
      symbols: `[S]`, the poem, then anything.
      shown: `[S]`, whether a symbol is put in before the end of the poem; linefeeds always are.
      length: `[]`, of the poem, with its last linefeed.
    """
    size = symbols.size
    step = jnp.arange(2 * size)
    asked = jnp.where(shown, symbols, BLANK)

    def at(values: jax.Array, places: jax.Array) -> jax.Array:
        return values[jnp.clip(places, 0, size - 1)]

    answered = (step >= length) & (step < 2 * length)
    inputs = jnp.where(step < length, at(asked, step), BLANK)
    inputs = jnp.where(step == length, END, inputs)
    inputs = jnp.where(answered & (step > length), at(symbols, step - length - 1), inputs)
    targets = jnp.where(answered, at(symbols, step - length), BLANK)
    return Batch(inputs[:, None], targets[:, None], answered.astype(jnp.float32))


def _width_and_lines(form: str) -> tuple[int, int] | None:
    """`5x8` -> (5, 8); None for any form."""
    if not form:
        return None
    width, x, lines = form.partition("x")
    if not (x and width.isdecimal() and lines.isdecimal() and int(width) and int(lines)):
        raise UserError(f"task.form: {form!r} cannot be read; write it like 5x8, 8 lines of 5")
    return int(width), int(lines)


def _open(task: Acrostic) -> tuple[Corpus, np.ndarray]:
    """The corpus, and the numbers of the poems that the task is of, the shortest first, unusual ones several times."""
    poems = _selected(task)
    if not len(poems):
        raise UserError(
            f"task.corpus: {task.corpus} has no poem for part {task.part!r}, form {task.form or 'any'!r}, "
            f"{task.shortest} to {task.longest} symbols"
        )
    return corpus.load(task.corpus), poems


@lru_cache(maxsize=256)
def _selected(task: Acrostic) -> np.ndarray:
    found = corpus.load(task.corpus)
    if len(found.characters) > task.vocabulary:
        raise UserError(
            f"task.vocabulary: {task.vocabulary} is given, {task.corpus} has {len(found.characters)} characters"
        )
    poems, lengths = found.part(task.part), found.lengths
    poems = poems[(lengths[poems] >= task.shortest) & (lengths[poems] <= task.longest)]
    form = _width_and_lines(task.form)
    if form is not None:
        lines, widths = found.lines()
        poems = poems[(widths[poems] == form[0]) & (lines[poems] == form[1])]
    usual = np.isin(found.lines()[1][poems], USUAL_WIDTHS)
    poems = np.repeat(poems, np.where(usual, 1, task.unusual))
    return poems[np.argsort(lengths[poems], kind="stable")]
