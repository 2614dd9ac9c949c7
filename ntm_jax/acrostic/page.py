"""Adds the poems' page to the viewer: what can be asked, the poems, and where the heads were.

/acrostic    the page
/api/poems   poems; the parameters are `run` and the fields of `Request`
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ntm_jax.acrostic import memory_rows
from ntm_jax.acrostic.corpus import MARKS, VOCABULARY
from ntm_jax.acrostic.pinyin import pinyin
from ntm_jax.acrostic.request import Request, answer
from ntm_jax.acrostic.writer import Poem, Writer
from ntm_jax.errors import UserError, unknown_choice
from ntm_jax.web import pages, server
from ntm_jax.web.packing import pack, to_json
from ntm_jax.web.viewer.questions import LARGEST_SEED, whole
from ntm_jax.web.viewer.server import Viewer
from ntm_jax.web.viewer.sources import RunFolder, Source

MOST_MESSAGE = 200  # characters, before anything is made of them
WHOLE = {
    "form": (0, 99),
    "position": (-99, 99),
    "n": (1, 10),
    "beam": (0, 64),
    "seed": (0, LARGEST_SEED),
}
YES_OR_NO = ("surprise", "rhyme", "tones", "repeats")


class AcrosticPage:
    """Defines the page that writes poems with acrostics runs; see `viewer.Page`."""

    field = "writes"

    def __init__(self) -> None:
        self._writers: dict[Source, tuple[str, Writer]] = {}  # with the version that was read

    def serves(self, source: Source) -> bool:
        """Returns whether a source is a run of acrostics, with its characters beside it."""
        of_acrostics = isinstance(source, RunFolder) and source.config.task.name == "acrostic"
        return of_acrostics and (source.path / VOCABULARY).is_file()

    def routes(self, viewer: Viewer) -> Sequence[BaseRoute]:
        """Returns the page and the poems."""

        def index(request: HttpRequest) -> Response:
            return server.page(pages.ACROSTIC)

        def poems(request: HttpRequest) -> Response:
            content = viewer.answer(request.query_params.multi_items(), self._poems)
            return Response(content, media_type="application/json")

        return [Route("/acrostic", index), Route("/api/poems", poems)]

    def _poems(self, source: Source, parameters: Mapping[str, str]) -> bytes:
        request = read(parameters)
        writer = self._writer(source)
        read_heads = int(source.config.model.get("read_heads", 0))
        return to_json(write(writer, request, read_heads))

    def _writer(self, source: Source) -> Writer:
        """Returns the newest checkpoint's writer.

        Raises:
          UserError: the source is no run of acrostics.
        """
        version = source.refresh()
        if not self.serves(source):
            raise UserError(f"{source.name} writes no poems; a run of the task acrostic does")
        if source not in self._writers or self._writers[source][0] != version:
            self._writers[source] = version, Writer.load(source.path)
        return self._writers[source][1]


def read(given: Mapping[str, str]) -> Request:
    """Returns what a visitor asks for, from an address's parameters.

    Raises:
      UserError: an unknown name, or a value that is not allowed.
    """
    options: dict[str, Any] = {}
    for name, text in given.items():
        if name == "message":
            if len(text) > MOST_MESSAGE:
                raise UserError(
                    f"message: {len(text)} characters are too many; at most {MOST_MESSAGE} are allowed"
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
    """Returns the answer for the page.

    Raises:
      UserError: a message or a form that cannot be.
    """
    found = answer(writer, request)
    form = found.form
    places = np.flatnonzero(form.fixed >= MARKS).tolist()
    return {
        "asked": found.message.text,
        "left_out": found.message.left_out,
        "width": form.width,
        "column": form.column,
        "places": places,
        "poems": [_poem(poem, places, read_heads) for poem in found.poems],
    }


def _poem(poem: Poem, places: Sequence[int], read_heads: int) -> dict[str, Any]:
    result: dict[str, Any] = {"lines": poem.lines, "bits": poem.bits, "kept": poem.kept}
    result["pinyin"] = [pinyin(line) for line in poem.lines]
    if poem.weightings is not None:
        kept = memory_rows.kept(poem.weightings, places, read_heads)
        result["rows"] = memory_rows.in_use(poem.weightings, kept, read_heads)
        result["kept_in"] = [dataclasses.asdict(one) for one in kept]
        result["read_weightings"] = pack(poem.weightings[:, :read_heads], rounded=True)
        result["write_weightings"] = pack(poem.weightings[:, read_heads:], rounded=True)
    return result


def _number(name: str, text: str) -> float:
    try:
        return float(text) if text.isascii() and len(text) <= 20 else float("nan")
    except ValueError:
        raise UserError(f"{name}: {text[:20]!r} is not a number") from None
