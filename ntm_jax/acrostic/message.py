"""Converts a message to characters of the vocabulary, or names an unknown one with its nearest choice."""

import unicodedata
from functools import lru_cache
from typing import Any

from ntm_jax.acrostic import readings
from ntm_jax.errors import UserError, needs

EXAMPLE = "紅春願此"
IDEOGRAPHS = ("CJK UNIFIED IDEOGRAPH", "CJK COMPATIBILITY IDEOGRAPH")


def read(message: str, vocabulary: str, most: int) -> str:
    """Returns the characters that the lines must contain, all in the vocabulary.

    Spaces and punctuation are left out. What is not in the vocabulary is converted from simplified to traditional
    characters; what is stays as it is, for 后 and 里 are characters of their own in old texts.

    Args:
      message: as typed.
      vocabulary: the characters there are, the most frequent first.
      most: lines in a poem.

    Raises:
      UserError: nothing is left, or something that cannot be written, or too much.
    """
    text = "".join(c for c in message if not _is_between(c))
    if not text:
        raise UserError(f"the message is empty; give a character for each line, like {EXAMPLE}")
    for character in text:
        if not unicodedata.name(character, "").startswith(IDEOGRAPHS):
            raise UserError(
                f"the message has {character!r}, which no poem can carry; "
                f"give Chinese characters, like {EXAMPLE}"
            )
    if len(text) > most:
        raise UserError(
            f"the message has {len(text)} characters; a poem has a line for each, and {most} lines at most"
        )
    converted = _traditional(text)
    chosen = [
        new if old not in vocabulary else old for old, new in zip(text, converted, strict=True)
    ]
    for place, character in enumerate(chosen):
        if character not in vocabulary:
            raise _unknown(text, place, chosen, vocabulary)
    return "".join(chosen)


def nearest(character: str, vocabulary: str) -> str | None:
    """Returns a substitute for an unknown character: another form of it, or the most frequent homophone."""
    simple = _converted("t2s", character)
    for other in vocabulary:
        if _converted("t2s", other) == simple:
            return other
    sound = readings.reading(character)
    if sound is None:
        return None
    for end in (None, -1):  # with its tone, then without
        for other in vocabulary:
            found = readings.reading(other)
            if found is not None and found[:end] == sound[:end]:
                return other
    return None


def _unknown(text: str, place: int, chosen: list[str], vocabulary: str) -> UserError:
    near = nearest(chosen[place], vocabulary)
    message = f"{text[place]} is not among the {len(vocabulary):,} characters that it knows"
    if near is None:
        return UserError(f"{message}; choose another")
    offered = "".join([*chosen[:place], near, *chosen[place + 1 :]])
    return UserError(f"{message}; the nearest is {near}: {offered}")


def _is_between(character: str) -> bool:
    category = unicodedata.category(character)
    return category[0] in "PZ" or category in ("Cc", "Cf")


def _traditional(text: str) -> str:
    """Converts word by word, because 发 is 發 or 髮 depending on context, or by character if the length would change."""
    converted = _converted("s2t", text)
    if len(converted) != len(text):
        converted = "".join(_converted("s2t", character)[0] for character in text)
    return converted


def _converted(kind: str, text: str) -> str:
    """Converts with OpenCC: `s2t` from simplified to traditional characters, `t2s` back."""
    return str(_converter(kind).convert(text))


@lru_cache
def _converter(kind: str) -> Any:
    with needs("acrostic"):
        import opencc
    return opencc.OpenCC(kind)
