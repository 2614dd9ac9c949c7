"""Several poems as one: poems long enough to fill the memory are rare."""

import jax
import jax.numpy as jnp
import numpy as np

from ntm_jax.acrostic.corpus import BLANK, MOST_LINES, Corpus


def draw(
    found: Corpus, poems: np.ndarray, most: int, key: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Poems one after another, all of lines as long as the first's, as many as there is room for.

    A poem whose lines differ in length is followed by others of that kind.
    Every second time there is room for `most` symbols, else for half of them or more.

    Args:
      found: the corpus.
      poems: `[P]`, the numbers of those to draw from, all alike.
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
