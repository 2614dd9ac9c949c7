"""Defines requests for poems, from the command line and from the viewer's page."""

import math
from dataclasses import dataclass

from ntm_jax.acrostic import decoding
from ntm_jax.acrostic import message as messages
from ntm_jax.acrostic.corpus import MOST_LINES
from ntm_jax.acrostic.message import Message
from ntm_jax.acrostic.readings import Readings
from ntm_jax.acrostic.rules import Form, Rules
from ntm_jax.acrostic.writer import Poem, Writer
from ntm_jax.errors import UserError

LIMITS = {"n": (1, 100), "beam": (0, 256), "seed": (0, 2**31 - 1)}
MOST_TEMPERATURE = 100.0
USUAL_BEAM = 40  # wider ones find hardly better poems
USUAL_TEMPERATURE = 0.5
LEAST_LINES = 4  # of a quatrain (絕句), the shortest form of the Tang


@dataclass(frozen=True)
class Request:
    """Describes the requested poems; the fields are the flags of `python -m ntm_jax.acrostic`.

    The poems are the best that a beam search finds. With `surprise`, a `temperature` or a `beam` of 0, they are
    drawn at random.

    Raises:
      UserError: a value that is not allowed.
    """

    message: str
    form: int = 5
    position: int = 1
    n: int = 3
    surprise: bool = False
    temperature: float | None = None
    beam: int | None = None
    rhyme: bool = True
    tones: bool = True
    repeats: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for field, (least, most) in LIMITS.items():
            value = getattr(self, field)
            if value is not None and not least <= value <= most:
                raise UserError(
                    f"{field}: {value} is not allowed; it must be from {least} to {most}"
                )
        temperature = self.temperature
        if temperature is not None and not (
            math.isfinite(temperature) and 0 < temperature <= MOST_TEMPERATURE
        ):
            raise UserError(
                f"temperature: {temperature} is not allowed; it must be above 0 and at most {MOST_TEMPERATURE:g}"
            )
        if self.beam and (self.surprise or temperature is not None):
            other = "surprise" if self.surprise else "temperature"
            raise UserError(f"beam: {self.beam} is not allowed with {other}, which draws at random")

    @property
    def draws(self) -> bool:
        """Returns whether the poems are drawn at random."""
        return self.surprise or self.temperature is not None or self.beam == 0


@dataclass(frozen=True)
class Answer:
    """Holds the poems for a request, the most probable first."""

    message: Message
    form: Form
    poems: list[Poem]


def answer(
    writer: Writer, request: Request, progress: decoding.Progress = decoding.silent
) -> Answer:
    """Writes the requested poems.

    A message shorter than a poem is followed by lines without a given character.

    Args:
      writer: of the model.
      request: for poems.
      progress: is called with the number of poems written so far.

    Raises:
      UserError: a message or a form that cannot be.
    """
    message = messages.read(request.message, writer.vocabulary, MOST_LINES)
    symbols = writer.symbols(message.text)
    form = Form(symbols, request.form, request.position, max(LEAST_LINES, len(symbols)))
    readings = Readings(writer.vocabulary) if request.rhyme or request.tones else None
    options = {"repeats": request.repeats, "rhyme": request.rhyme, "tones": request.tones}
    rules = Rules(form, writer.size, readings, **options)
    if request.draws:
        temperature = request.temperature or USUAL_TEMPERATURE
        poems = decoding.draw(writer, form, rules, request.n, temperature, request.seed, progress)
    else:
        width = request.beam or USUAL_BEAM
        poems = decoding.find_best(writer, form, rules, request.n, width, progress)
    return Answer(message, form, sorted(poems, key=lambda poem: poem.bits))
