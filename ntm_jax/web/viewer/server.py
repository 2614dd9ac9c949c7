"""Serves the viewer: its page, the list of runs, and the requested episodes.

/             the page
/api/runs     what can be looked at, and what can be asked of each
/api/episode  one episode; the parameters are `run`, a name or a number, and those of `questions.read`

More pages may be added to it, each with routes of its own; see `Page`.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from ntm_jax.errors import UserError
from ntm_jax.web import server
from ntm_jax.web.packing import to_json
from ntm_jax.web.pages import VIEWER
from ntm_jax.web.viewer.sources import Source

ANSWERS_KEPT = 16


class Page(Protocol):
    """Defines an additional page of the viewer, about some of its sources."""

    field: str  # of a run in /api/runs: whether the page is about it

    def serves(self, source: Source) -> bool:
        """Returns whether the page is about this source."""

    def routes(self, viewer: "Viewer") -> Sequence[BaseRoute]:
        """Returns the page's addresses; `viewer.answer` gives them a source."""


class Viewer:
    """Answers for a list of sources, one computation at a time.

    Args:
      sources: what can be looked at, the first by default.
      pages: those beside the viewer's own.
    """

    def __init__(self, sources: Sequence[Source], pages: Sequence[Page] = ()):
        self._sources, self._pages = sources, pages
        self._lock = threading.Lock()
        self._answers: OrderedDict[tuple[object, ...], bytes] = OrderedDict()

    def runs(self) -> bytes:
        """Returns what can be looked at, as JSON; what is gone has an `error`."""
        described = []
        with self._lock:
            for source in self._sources:
                try:
                    run = source.describe()
                    run |= {page.field: page.serves(source) for page in self._pages}
                    described.append(run)
                except UserError as error:
                    described.append({"name": source.name, "error": str(error)})
        return to_json(described)

    def episode(self, given: Sequence[tuple[str, str]]) -> bytes:
        """Returns the episode that an address's parameters ask for, as JSON.

        Raises:
          UserError: a parameter that is not allowed.
        """
        return self.answer(given, self._episode)

    def answer(
        self,
        given: Sequence[tuple[str, str]],
        compute: Callable[[Source, Mapping[str, str]], bytes],
    ) -> bytes:
        """Returns the result of `compute` for the requested source and the other parameters.

        Raises:
          UserError: a parameter that is not allowed.
        """
        source, parameters = self._chosen(given)
        with self._lock:
            return compute(source, parameters)

    def _chosen(self, given: Sequence[tuple[str, str]]) -> tuple[Source, dict[str, str]]:
        """Returns the requested run, and the other parameters."""
        parameters = dict(given)
        if len(parameters) < len(given):
            raise UserError("a parameter is given twice")
        run = parameters.pop("run", "0")
        named = {str(place): source for place, source in enumerate(self._sources)}
        named |= {source.name: source for source in self._sources}
        if run not in named:
            raise UserError(
                f"run: there is no {run[:60]!r} here; give a run's name, or a number from 0 to "
                f"{len(self._sources) - 1}"
            )
        return named[run], parameters

    def _episode(self, source: Source, parameters: Mapping[str, str]) -> bytes:
        version = source.refresh()
        question = source.question(parameters)
        key = (id(source), version, question)
        if key not in self._answers:
            self._answers[key] = to_json(source.answer(question))
            if len(self._answers) > ANSWERS_KEPT:
                self._answers.popitem(last=False)
        self._answers.move_to_end(key)
        return self._answers[key]


def application(sources: Sequence[Source], host: str, pages: Sequence[Page] = ()) -> ASGIApp:
    """Returns the viewer as an application; see `server.application`."""
    viewer = Viewer(sources, pages)

    # Not async, so that Starlette runs them in threads and other requests continue meanwhile.
    def index(request: Request) -> Response:
        return server.page(VIEWER)

    def runs(request: Request) -> Response:
        return Response(viewer.runs(), media_type="application/json")

    def episode(request: Request) -> Response:
        given = request.query_params.multi_items()
        return Response(viewer.episode(given), media_type="application/json")

    routes: list[BaseRoute] = [
        Route("/", index),
        Route("/api/runs", runs),
        Route("/api/episode", episode),
    ]
    for page in pages:
        routes += page.routes(viewer)
    return server.application(routes, host)


def serve(sources: Sequence[Source], host: str, port: int, pages: Sequence[Page] = ()) -> None:
    """Serves the viewer until interrupted.

    Raises:
      UserError: the port is in use.
    """
    with server.listen(host, port, "--port") as listener:
        print(f"viewer: {server.address(listener, host)} (Ctrl-C ends it)", flush=True)
        try:
            server.serve(application(sources, host, pages), listener)
        except KeyboardInterrupt:
            print()
