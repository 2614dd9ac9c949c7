"""Poems for the viewer's page: what an address asks for, and where the heads were."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ntm_jax.acrostic.corpus import MARKS
from ntm_jax.acrostic.request import Request, answer
from ntm_jax.acrostic.writer import Poem, Writer
from ntm_jax.errors import UserError, unknown_choice
from ntm_jax.web.packing import pack
from ntm_jax.web.questions import LARGEST_SEED, whole

MOST_MESSAGE = 200  # characters, before anything is made of them
WHOLE = {
    "form": (0, 99),
    "position": (-99, 99),
    "n": (1, 10),
    "beam": (0, 64),
    "seed": (0, LARGEST_SEED),
}
YES_OR_NO = ("rhyme", "tones", "repeats")


def read(given: Mapping[str, str]) -> Request:
    """What a visitor asks for, from an address's parameters.

    Raises:
      UserError: an unknown name, or a value that is not allowed.
    """
    options: dict[str, Any] = {}
    for name, text in given.items():
        if name == "message":
            if len(text) > MOST_MESSAGE:
                raise UserError(
                    f"message: {len(text)} characters are given, at most {MOST_MESSAGE} are read"
                )
            options[name] = text
        elif name in WHOLE:
            options[name] = whole(name, text, *WHOLE[name])
        elif name in YES_OR_NO:
            options[name] = bool(whole(name, text, 0, 1))
        elif name == "temperature":
            options[name] = _number(name, text)
        else:
            raise unknown_choice("parameter", name, ["message", *WHOLE, "temperature", *YES_OR_NO])
    return Request(**{"message": "", **options})


def write(writer: Writer, request: Request, read_heads: int) -> dict[str, Any]:
    """The answer for the page.

    Raises:
      UserError: a message or a form that cannot be.
    """
    form, poems = answer(writer, request)
    return {
        "asked": writer.text(form.message),
        "width": form.width,
        "column": form.column,
        "places": np.flatnonzero(form.fixed >= MARKS).tolist(),
        "poems": [_poem(poem, read_heads) for poem in poems],
    }


def _poem(poem: Poem, read_heads: int) -> dict[str, Any]:
    result: dict[str, Any] = {"lines": poem.lines, "bits": poem.bits, "kept": poem.kept}
    if poem.weightings is not None:
        result["read_weightings"] = pack(poem.weightings[:, :read_heads], rounded=True)
        result["write_weightings"] = pack(poem.weightings[:, read_heads:], rounded=True)
    return result


def _number(name: str, text: str) -> float:
    try:
        return float(text) if text.isascii() and len(text) <= 20 else float("nan")
    except ValueError:
        raise UserError(f"{name}: {text[:20]!r} is given, a number is needed") from None
