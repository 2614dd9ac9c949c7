"""Converts a message to characters of the vocabulary, or offers one that can be written in its place."""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ntm_jax.acrostic import readings
from ntm_jax.errors import UserError, needs

EXAMPLE = "紅春願此"
IDEOGRAPHS = ("CJK UNIFIED IDEOGRAPH", "CJK COMPATIBILITY IDEOGRAPH")
DIGITS = dict(zip("0123456789", "零一二三四五六七八九", strict=True))
JOINER = "\u200d"  # between the parts of one emoji
SHOWN = 20  # characters of a message that an error repeats


@dataclass(frozen=True)
class Message:
    """Holds a message that can be written.

    Attributes:
      text: a character for each line, all in the vocabulary.
      left_out: symbols and emoji of the message, which no line can contain.
    """

    text: str
    left_out: str = ""


def read(message: str, vocabulary: str, most: int) -> Message:
    """Returns the characters that the lines must contain.

    Spaces, punctuation, symbols and emoji are left out. What is not in the vocabulary is converted from simplified to
    traditional characters; what is stays as it is, for 后 and 里 are characters of their own in old texts.

    Args:
      message: as typed.
      vocabulary: the characters there are, the most frequent first.
      most: lines in a poem.

    Raises:
      UserError: nothing is left, or something that cannot be written, or too much. It offers a message that can be
        written, if there is one.
    """
    text = "".join(c for c in message if not (_is_between(c) or _is_symbol(c)))
    if not text:
        raise UserError(f"the message is empty; give a character for each line, like {EXAMPLE}")
    foreign = [c for c in text if not _is_ideograph(c)]
    if foreign:
        raise _foreign(text, foreign, vocabulary, most)
    if len(text) > most:
        raise UserError(
            f"the message has {len(text)} characters; a poem has a line for each, and {most} lines at most"
        )
    chosen = _known_or_traditional(text, vocabulary)
    unknown = {new: old for old, new in zip(text, chosen, strict=True) if new not in vocabulary}
    if unknown:
        raise _unknown(chosen, unknown, vocabulary)
    return Message("".join(chosen), _symbols(message))


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


def simplified(text: str) -> str:
    """Returns the text in simplified characters, as long as it was."""
    converted = _converted("t2s", text)
    return converted if len(converted) == len(text) else text


def _foreign(text: str, foreign: list[str], vocabulary: str, most: int) -> UserError:
    """Returns the error for characters of other scripts."""
    typed = "".join(foreign)
    as_typed = typed in text and len(typed) <= SHOWN
    named = typed if as_typed else "".join(dict.fromkeys(foreign))
    said = f"the message has {named[:SHOWN]!r}, which no poem can contain"
    rest = [DIGITS.get(c, c) for c in text if _is_ideograph(c) or c in DIGITS]
    offered = _offer(_known_or_traditional("".join(rest), vocabulary), vocabulary)[:most]
    if not offered:
        return UserError(f"{said}; give Chinese characters, like {EXAMPLE}")
    return UserError(f"{said}; try {offered}")


def _unknown(chosen: list[str], unknown: dict[str, str], vocabulary: str) -> UserError:
    """Returns the error for characters that the model does not know: `unknown` maps them to what was typed."""
    named = list(dict.fromkeys(unknown.values()))[:SHOWN]
    are = "is" if len(named) == 1 else "are"
    said = f"{', '.join(named)} {are} not among the {len(vocabulary):,} characters that the model knows"
    offered = _offer(chosen, vocabulary)
    return UserError(f"{said}; try {offered}" if offered else f"{said}; choose another")


def _offer(characters: Iterable[str], vocabulary: str) -> str:
    """Returns the characters with every unknown one replaced, or left out if nothing is near."""
    near = {c: c if c in vocabulary else nearest(c, vocabulary) for c in dict.fromkeys(characters)}
    return "".join(near[c] or "" for c in characters)


def _is_ideograph(character: str) -> bool:
    return unicodedata.name(character, "").startswith(IDEOGRAPHS)


def _is_between(character: str) -> bool:
    category = unicodedata.category(character)
    return category[0] in "PZ" or category in ("Cc", "Cf")


def _is_symbol(character: str) -> bool:
    """Returns whether it is a symbol, an emoji, or a mark that changes the one before."""
    return unicodedata.category(character)[0] in "SM"


def _symbols(message: str) -> str:
    """Returns the symbols and emoji of a message, with the marks that belong to them."""
    found = "".join(c for c in message if _is_symbol(c) or c == JOINER)
    return found if any(unicodedata.category(c)[0] == "S" for c in found) else ""


def _known_or_traditional(text: str, vocabulary: str) -> list[str]:
    """Converts word by word, because 发 is 發 or 髮 depending on context, or by character if the length would change."""
    converted = _converted("s2t", text)
    if len(converted) != len(text):
        converted = "".join(_converted("s2t", character)[0] for character in text)
    return [new if old not in vocabulary else old for old, new in zip(text, converted, strict=True)]


def _converted(kind: str, text: str) -> str:
    """Converts with OpenCC: `s2t` from simplified to traditional characters, `t2s` back."""
    return str(_converter(kind).convert(text))


@lru_cache
def _converter(kind: str) -> Any:
    with needs("acrostic"):
        import opencc
    return opencc.OpenCC(kind)
