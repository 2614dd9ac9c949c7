"""Reads and writes an episode's content in an address: bits as base64 of packed bytes, numbers between underscores."""

import base64
import binascii
import re
from typing import Any

import numpy as np

from ntm_jax.errors import UserError
from ntm_jax.tasks.editing import Content, Editable, Number

MOST_TEXT = 8000  # characters of either
NUMBER = re.compile(r"-?[0-9]{1,6}(\.[0-9]{1,6})?")


def encode(content: Content) -> dict[str, str]:
    """Returns the parameters `bits` and, if there are any, `numbers`."""
    packed = np.packbits(content.bits.reshape(-1) > 0.5).tobytes()
    given = {"bits": base64.urlsafe_b64encode(packed).decode().rstrip("=")}
    if len(content.numbers):
        given["numbers"] = "_".join(f"{x:.6f}".rstrip("0").rstrip(".") for x in content.numbers)
    return given


def decode(bits: str | None, numbers: str | None, editable: Editable, usual: Content) -> Content:
    """Returns the content in an address; a part that is not given is as drawn.

    Args:
      bits, numbers: the parameters, or None.
      editable: of the episode.
      usual: what was drawn.

    Raises:
      UserError: another amount than the episode has, or a value that is not allowed.
    """
    content = usual
    if bits is not None:
        content = Content(_bits(bits, usual.bits.shape), content.numbers)
    if numbers is not None:
        content = Content(content.bits, _numbers(numbers, editable.numbers))
    return content


def describe(editable: Editable) -> dict[str, Any]:
    """Describes what can be edited, for the page."""
    return {
        "steps": editable.steps.tolist(),
        "channels": editable.channels,
        "numbers": [
            {**vars(number), "value": value}
            for number, value in zip(editable.numbers, editable.values, strict=True)
        ],
    }


def _bits(text: str, shape: tuple[int, ...]) -> np.ndarray:
    try:
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        data = base64.b64decode(padded, altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error, ValueError):
        raise UserError("bits: the text is no base64") from None
    size = int(np.prod(shape))
    if len(data) != -(-size // 8):
        raise UserError(f"bits: {len(data)} bytes are given, but {size} bits are shown")
    found = np.unpackbits(np.frombuffer(data, np.uint8))[:size]
    return found.reshape(shape).astype(np.float32)


def _numbers(text: str, allowed: tuple[Number, ...]) -> np.ndarray:
    given = text.split("_")
    if len(given) != len(allowed):
        raise UserError(f"numbers: {len(given)} are given, but the episode has {len(allowed)}")
    return np.array([_number(*pair) for pair in zip(given, allowed, strict=True)], np.float32)


def _number(text: str, allowed: Number) -> float:
    if not NUMBER.fullmatch(text):
        raise UserError(f"{allowed.name}: {text[:20]!r} is not a number")
    value = float(text)
    if allowed.whole and value != int(value):
        raise UserError(f"{allowed.name}: {text[:20]} is not a whole number")
    if not allowed.least <= value <= allowed.most:
        raise UserError(
            f"{allowed.name}: {text[:20]} is not allowed; it must be from {allowed.least:g} to {allowed.most:g}"
        )
    return value
