"""Defines requests for poems, from the command line and from the viewer's page."""

import math
from dataclasses import dataclass

from ntm_jax.acrostic import message as messages
from ntm_jax.acrostic.corpus import MOST_LINES
from ntm_jax.acrostic.readings import Readings
from ntm_jax.acrostic.rules import Form, Rules
from ntm_jax.acrostic.writer import Poem, Writer
from ntm_jax.errors import UserError

LIMITS = {"n": (1, 100), "beam": (0, 256), "seed": (0, 2**31 - 1)}
MOST_TEMPERATURE = 100.0


@dataclass(frozen=True)
class Request:
    """Describes the requested poems; the fields are the flags of `python -m ntm_jax.acrostic`.

    Raises:
      UserError: a value that is not allowed.
    """

    message: str
    form: int = 5
    position: int = 1
    n: int = 3
    temperature: float = 0.7
    beam: int = 0
    rhyme: bool = False
    tones: bool = False
    repeats: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for field, (least, most) in LIMITS.items():
            value = getattr(self, field)
            if not least <= value <= most:
                raise UserError(
                    f"{field}: {value} is not allowed; it must be from {least} to {most}"
                )
        if not (math.isfinite(self.temperature) and 0 < self.temperature <= MOST_TEMPERATURE):
            raise UserError(
                f"temperature: {self.temperature} is not allowed; it must be above 0 and at most {MOST_TEMPERATURE:g}"
            )
        if self.beam and self.n > self.beam:
            raise UserError(
                f"n: {self.n} is not allowed; a beam of {self.beam} finds at most {self.beam}"
            )


def answer(writer: Writer, request: Request) -> tuple[Form, list[Poem]]:
    """Returns the requested form, and poems in it.

    Raises:
      UserError: a message or a form that cannot be.
    """
    text = messages.read(request.message, writer.vocabulary, MOST_LINES)
    form = Form(writer.symbols(text), request.form, request.position)
    readings = Readings(writer.vocabulary) if request.rhyme or request.tones else None
    options = {"repeats": request.repeats, "rhyme": request.rhyme, "tones": request.tones}
    rules = Rules(form, writer.size, readings, **options)
    if request.beam:
        return form, writer.search(form, rules, request.n, request.beam)
    return form, writer.sample(form, rules, request.n, request.temperature, request.seed)
