"""Acrostics, as `fumin/ntm` has them: write a poem around the characters that were shown in their places.

The poem is shown first with all but some of its characters blank, then it is predicted, each symbol from those before.

poem 春眠 / 聞鳥   step   0   1   2   3   4   5   6   7   8   9  10  11
input  shown             _  眠   ⏎   聞  _   ⏎
       end of poem                              1
       last symbol                                 春  眠   ⏎   聞  鳥
output next symbol                             春  眠   ⏎   聞  鳥   ⏎
scored                                          1   1   1   1   1   1

Poems are drawn from a part of the corpus with equal probabilities. Their lengths differ tenfold, so a training
batch is of poems of about one length, and of about as many symbols whatever that length is.
"""

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp

from ntm_jax.acrostic import augmentation, corpus, scores
from ntm_jax.acrostic.corpus import BLANK, END, LINEFEED, MARKS, MOST_SYMBOLS
from ntm_jax.acrostic.selection import Selection, width_and_lines
from ntm_jax.acrostic.source import PLAIN, PoemSource
from ntm_jax.errors import unknown_choice
from ntm_jax.tasks import labels, losses
from ntm_jax.tasks.base import Batch, Case, Task
from ntm_jax.tasks.drawing import require, require_percent

FORMS = ("5x4", "7x4", "5x8", "7x8")


@dataclass(frozen=True)
class Acrostic(Task):
    """Poems of `shortest` to `longest` characters and linefeeds, some characters of each line shown.

    `part` is train, validation or test. `form` is like 5x8, 8 lines of 5 characters, or empty for any.
    `vocabulary` is how many characters have numbers of their own, `corpus` the file.

    `keywords` characters are shown in each line: at random places if `position` is 0, otherwise those nearest to
    the `position`-th character, counted from the line's end if it is below 0. In half of the poems a share of the
    others is shown too, uniform up to `extra_keywords_percent`, so that the model learns to keep many as well as few.

    Four fields change what training draws:
    - `concatenated_percent` of the symbols are in episodes of several poems, because long poems are rare.
    - Poems whose lines are not all of 5 or all of 7 characters are drawn `irregular_weight` times as often as others.
    - In `shifted_linefeeds_percent` of the poems linefeeds are shifted; see `augmentation.shift_linefeeds`.
    - In `message_like_percent` of the poems `keywords` and `position` are drawn as a message has them; see
      `augmentation.message_like_keywords`.
    """

    name: ClassVar[str] = "acrostic"
    outputs: ClassVar[losses.Outputs] = losses.SYMBOLS
    part: str = dataclasses.field(default="train", metadata={"choices": corpus.PARTS})
    form: str = ""
    keywords: int = 1
    position: int = 0
    extra_keywords_percent: int = 0
    concatenated_percent: int = 0
    irregular_weight: int = 1
    shifted_linefeeds_percent: int = 0
    message_like_percent: int = 0
    shortest: int = 1
    longest: int = MOST_SYMBOLS
    vocabulary: int = corpus.CHARACTERS
    corpus: str = corpus.DEFAULT

    def __post_init__(self) -> None:
        if self.part not in corpus.PARTS:
            raise unknown_choice("task.part", self.part, corpus.PARTS)
        width_and_lines(self.form)
        require(
            0 <= self.keywords <= MOST_SYMBOLS,
            f"task.keywords: {self.keywords} is not allowed; it must be from 0 to {MOST_SYMBOLS}",
        )
        for field in dataclasses.fields(self):
            if field.name.endswith("_percent"):
                require_percent(field.name, getattr(self, field.name))
        require(
            1 <= self.irregular_weight <= 100,
            f"task.irregular_weight: {self.irregular_weight} is not allowed; it must be from 1 to 100",
        )
        require(
            abs(self.position) < MOST_SYMBOLS,
            f"task.position: {self.position} is not allowed; it must be from {1 - MOST_SYMBOLS} to {MOST_SYMBOLS - 1}",
        )
        require(
            1 <= self.shortest <= self.longest,
            f"task.shortest: {self.shortest} is not allowed; it must be from 1 to task.longest ({self.longest})",
        )
        require(
            1 <= self.vocabulary < 2**16 - MARKS,
            f"task.vocabulary: {self.vocabulary} is not allowed; it must be from 1 to {2**16 - MARKS - 1}",
        )

    @property
    def input_size(self) -> int:
        return 1

    @property
    def output_size(self) -> int:
        """Returns V, the number of marks and characters, even if the corpus has fewer."""
        return MARKS + self.vocabulary

    @property
    def steps(self) -> int:
        return 2 * self.symbols

    @property
    def symbols(self) -> int:
        """Returns the most symbols in an episode's answer."""
        found, poems = self.selection.open()
        if self.concatenated_percent == 100:
            return min(self.longest, MOST_SYMBOLS)
        return int(found.lengths[poems].max())

    @property
    def selection(self) -> Selection:
        """Returns the selection of poems for episodes."""
        names = (field.name for field in dataclasses.fields(Selection))
        return Selection(**{name: getattr(self, name) for name in names})

    @property
    def source(self) -> PoemSource:
        return PoemSource(self)

    def episode(self, key: jax.Array, progress: jax.Array) -> Batch:
        poem_key, shown_key = jax.random.split(key)
        found, poems = self.selection.open()
        if self.concatenated_percent == 100:
            several = augmentation.concatenate_poems(found, poems, self.symbols, poem_key)
            return self._episode(*several, shown_key)
        return self.episode_of(jax.random.choice(poem_key, jnp.asarray(poems)), shown_key)

    def episode_of(self, poem: jax.Array, key: jax.Array) -> Batch:
        """Returns an episode `[T, 1]`, `[T, 1]`, `[T]` of the corpus's poem of that number."""
        text, starts = self.selection.open()[0].on_device()
        start, length = starts[poem], starts[poem + 1] - starts[poem]
        place = jnp.arange(self.symbols)
        symbols = text[jnp.minimum(start + place, text.size - 1)]
        return self._episode(jnp.where(place < length, symbols, BLANK), length, key)

    def _episode(self, symbols: jax.Array, length: jax.Array, key: jax.Array) -> Batch:
        """Returns the episode of symbols `[S]`, of which the first `length`, `[]`, are there."""
        if self.shifted_linefeeds_percent:
            drawn = jax.random.uniform(jax.random.fold_in(key, 3), maxval=100)
            shifted = augmentation.shift_linefeeds(symbols, length, jax.random.fold_in(key, 4))
            symbols = jnp.where(drawn < self.shifted_linefeeds_percent, shifted, symbols)
        present = jnp.arange(symbols.size) < length
        shown = (symbols == LINEFEED) | self._shown(symbols, present, key)
        return as_episode(symbols, shown, length)

    def _shown(self, symbols: jax.Array, present: jax.Array, key: jax.Array) -> jax.Array:
        """Returns which of the characters are keywords, `[S]`."""
        ends = (symbols == LINEFEED).astype(jnp.int32)
        line, character = jnp.cumsum(ends) - ends, present & (ends == 0)
        fellows = (line[:, None] == line[None, :]) & character[None, :]
        place = jnp.arange(symbols.size)
        column = jnp.sum(fellows & (place[None, :] <= place[:, None]), axis=1)  # the first is 1
        keywords, position, extra_percent = augmentation.message_like_keywords(
            self.message_like_percent,
            self.keywords,
            self.position,
            self.extra_keywords_percent,
            key,
        )
        # Counted from the end, the last is -1.
        counted = jnp.where(position < 0, column - jnp.sum(fellows, axis=1) - 1, column)
        # Of two that are equally near, the one before.
        late = (counted > position).astype(jnp.int32)
        near = (2 * jnp.abs(counted - position) + late).astype(jnp.float32)
        order = jnp.where(position == 0, jax.random.uniform(key, symbols.shape), near)
        keyword = jnp.sum(fellows & (order[None, :] < order[:, None]), axis=1) < keywords
        drawn = jax.random.uniform(jax.random.fold_in(key, 2), minval=-1)
        share = jnp.maximum(0, drawn) * extra_percent / 100
        also = jax.random.uniform(jax.random.fold_in(key, 1), symbols.shape) < share
        return character & (keyword | also)

    def cases(self) -> list[Case]:
        """Returns cases of the test part, or of this task's part if that is not what is trained on."""
        part = "test" if self.part == "train" else self.part
        every = self.at(part=part, form="", keywords=1, position=0, shortest=1)
        every = every.at(longest=MOST_SYMBOLS, extra_keywords_percent=0, concatenated_percent=0)
        every = every.at(**PLAIN)
        asked: dict[str, dict[str, int | str]] = {"any": {}}
        asked |= {f"form_{form}": {"form": form} for form in FORMS}
        asked |= {"first": {"position": 1}, "last": {"position": -1}, "three": {"keywords": 3}}
        return [
            Case(name, {"part": part, **difficulty}, every.at(**difficulty))
            for name, difficulty in asked.items()
        ]

    def channels(self) -> labels.Channels:
        return labels.Channels(scores.INPUT_CHANNELS, scores.OUTPUT_CHANNELS)

    def viewer_fields(self) -> tuple[labels.ViewerField, ...]:
        return (
            labels.ViewerField("keywords", ("keywords",), 0, 8),
            labels.ViewerField("position", ("position",), -8, 8),
            labels.ViewerField("longest", ("longest",), 2, 256),
        )

    def explanation(self) -> labels.Explanation:
        return labels.Explanation(
            "The model is shown the form of a poem with some characters in their places, and must write a poem around them.",
            "Look for one row written to for each character shown, and read again when that character is due.",
        )


def as_episode(symbols: jax.Array, shown: jax.Array, length: jax.Array) -> Batch:
    """Returns an episode `[2 S, 1]`, `[2 S, 1]`, `[2 S]` of a poem.

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
