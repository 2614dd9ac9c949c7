"""Verse of the tests' own: random lines of twenty characters, in the package's form and as a corpus."""

import atexit
import functools
import random
import tempfile
from pathlib import Path

from ntm_jax.acrostic import corpus
from ntm_jax.acrostic.download import RawPoem

CHARACTERS = "天地玄黃宇宙洪荒日月盈昃辰宿列張寒來暑往"
VOCABULARY = len(CHARACTERS)


def raw_poems(
    count: int = 400, width: int = 3, lines: tuple[int, ...] = (2, 3, 9)
) -> list[RawPoem]:
    """Poems of so many lines of `width` characters, in turn; with 9 lines they are of a batch of their own."""
    draw = random.Random(0)

    def paragraph() -> str:
        return "".join(draw.choice(CHARACTERS) for _ in range(width)) + "。"

    return [
        RawPoem(f"poem-{i}", tuple(paragraph() for _ in range(lines[i % len(lines)])))
        for i in range(count)
    ]


@functools.cache
def corpus_path(**options) -> str:
    """The file of a corpus of `raw_poems(**options)`, which goes when the process ends."""
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    path = Path(folder.name) / "verse.npz"
    corpus.save(corpus.build(raw_poems(**options)), path)
    return str(path)
