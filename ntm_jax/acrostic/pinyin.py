"""Gives the Mandarin pronunciation of lines, for readers of the page."""

from functools import lru_cache
from typing import Any

from ntm_jax.acrostic.message import simplified
from ntm_jax.errors import needs

# Readings that verse has more often than prose: long, return, border, end, all.
IN_VERSE = {
    "长": "cháng,zhǎng",
    "还": "huán,hái",
    "塞": "sài,sāi,sè",
    "了": "liǎo,le",
    "都": "dū,dōu",
}


def pinyin(line: str) -> list[str]:
    """Returns the pinyin of each character, such as chūn; empty for a character that is in no dictionary.

    A character with several readings gets the one that fits the word around it: 行 is háng in 銀行. The words of the
    dictionary are in simplified characters.
    """
    found = _library().pinyin(simplified(line), errors=_nothing)
    return [readings[0] for readings in found]


@lru_cache
def _library() -> Any:
    with needs("acrostic"):
        import pypinyin
    pypinyin.load_single_dict(
        {ord(character): readings for character, readings in IN_VERSE.items()}
    )
    return pypinyin


def _nothing(unknown: str) -> list[list[str]]:
    return [[""] for _ in unknown]
