"""Varies the poems that training draws: several in a row, linefeeds elsewhere, keywords as messages have them."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ntm_jax.acrostic.corpus import BLANK, LINEFEED, MOST_LINES, Corpus

FARTHEST = 2  # characters that a linefeed is shifted by
MOST_KEYWORDS = 3  # a line in a message-like poem, and places from either end of the line


def concatenate_poems(
    found: Corpus, poems: np.ndarray, most: int, key: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Draws poems one after another, as many as there is room for: long poems are rare.

    All have lines as long as the first's. A poem whose lines differ in length is followed by others of that kind.
    Every second time there is room for `most` symbols, otherwise for half of them or more.

    Args:
      found: the corpus.
      poems: `[P]`, the numbers of those to draw from, with equal probabilities.
      most: symbols of all together, not less than the longest poem has.
      key: decides which, and how many.

    Returns:
      Symbols `[most]`, `BLANK` after the last, and how many there are, `[]`.
    """
    first_key, others_key, room_key = jax.random.split(key, 3)
    text, starts = found.on_device()
    lines, widths = found.lines()
    by_width = poems[np.argsort(widths[poems], kind="stable")]
    first = jax.random.choice(first_key, jnp.asarray(by_width))
    width = jnp.asarray(widths)[first]
    fellows = jnp.searchsorted(widths[by_width], width + jnp.arange(2))
    others = jax.random.randint(others_key, (MOST_LINES,), *fellows)
    several = jnp.append(first, jnp.asarray(by_width)[others])

    lengths = starts[several + 1] - starts[several]
    ends = jnp.cumsum(lengths)
    room = jnp.minimum(most, jax.random.randint(room_key, (), most // 2, 3 * (most // 2)))
    fits = (ends <= room) & (jnp.cumsum(jnp.asarray(lines)[several]) <= MOST_LINES)
    count = jnp.max(jnp.where(fits.at[0].set(True), ends, 0))

    place = jnp.arange(most)
    which = jnp.searchsorted(ends, place, side="right")
    symbols = text[starts[several[which]] + place - (ends - lengths)[which]]
    return jnp.where(place < count, symbols, BLANK), count


def shift_linefeeds(symbols: jax.Array, length: jax.Array, key: jax.Array) -> jax.Array:
    """Shifts each linefeed but the last by up to `FARTHEST`; the characters keep their order.

    Lines of unusual widths are rare, and have to be counted too. A poem with a line of `2 FARTHEST` characters
    or fewer stays as it is: its lines have unusual widths already.

    Args:
      symbols: `[S]`, of which the first `length`, `[]`, are there.
      length: of the poem, with its last linefeed.
      key: decides how far each is shifted.

    Returns:
      Symbols `[S]`.
    """
    place = jnp.arange(symbols.size)
    ends = symbols == LINEFEED
    before = jax.lax.cummax(jnp.where(ends, place, -1))
    widths = place - jnp.append(-1, before[:-1]) - 1
    wide = jnp.all(~ends | (widths > 2 * FARTHEST))
    shifts = jax.random.randint(key, symbols.shape, -FARTHEST, FARTHEST + 1)
    to = place + jnp.where(place < length - 1, shifts, 0)
    elsewhere = jnp.zeros_like(ends).at[jnp.where(ends, to, symbols.size)].set(True, mode="drop")
    characters = symbols[jnp.argsort(ends, stable=True)]
    others = characters[jnp.cumsum(~elsewhere) - 1]
    return jnp.where(wide, jnp.where(elsewhere, LINEFEED, others), symbols)


def message_like_keywords(
    percent: int, keywords: int, position: int, extra_percent: int, key: jax.Array
) -> tuple[Any, Any, Any]:
    """Replaces an episode's keywords, position and extra keywords by a message's, in `percent` of episodes.

    A message has 1 to `MOST_KEYWORDS` keywords a line, at random places or in columns at most that far from
    either end of the line, and nothing more.

    Returns:
      Keywords a line, their position and the percentage of extra keywords, `[]` each.
    """
    if not percent:
        return keywords, position, extra_percent
    like_key, keywords_key, position_key = jax.random.split(jax.random.fold_in(key, 5), 3)
    like = jax.random.uniform(like_key, maxval=100) < percent
    drawn_keywords = jax.random.randint(keywords_key, (), 1, MOST_KEYWORDS + 1)
    drawn_position = jax.random.randint(position_key, (), -MOST_KEYWORDS, MOST_KEYWORDS + 1)
    return (
        jnp.where(like, drawn_keywords, keywords),
        jnp.where(like, drawn_position, position),
        jnp.where(like, 0, extra_percent),
    )
