"""Gives the Mandarin pronunciation of lines, for readers of the page."""

from typing import Any

from ntm_jax.acrostic.message import simplified
from ntm_jax.errors import needs


def pinyin(line: str) -> list[str]:
    """Returns the pinyin of each character, such as chūn; empty for a character that is in no dictionary.

    A character with several readings gets the one that fits the word around it: 長 is cháng in 長安. The words of the
    dictionary are in simplified characters.
    """
    with needs("acrostic"):
        import pypinyin
    found: Any = pypinyin.pinyin(simplified(line), errors=_nothing)  # type: ignore[arg-type]
    return [readings[0] for readings in found]


def _nothing(unknown: str) -> list[list[str]]:
    return [[""] for _ in unknown]
