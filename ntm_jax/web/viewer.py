"""The viewer's server: which runs there are, and any episode of them."""

import threading
from collections import OrderedDict
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from ntm_jax.acrostic import page
from ntm_jax.errors import UserError
from ntm_jax.web import server
from ntm_jax.web.packing import to_json
from ntm_jax.web.sources import Source

ANSWERS_KEPT = 16


class Viewer:
    """Answers for a list of sources, one computation at a time.

    Args:
      sources: what can be looked at, the first by default.
    """

    def __init__(self, sources: Sequence[Source]):
        self._sources = sources
        self._lock = threading.Lock()
        self._answers: OrderedDict[tuple[object, ...], bytes] = OrderedDict()

    def runs(self) -> bytes:
        """What can be looked at, as JSON; what is there no more says so in `error`."""
        described = []
        with self._lock:
            for source in self._sources:
                try:
                    described.append(source.describe())
                except UserError as error:
                    described.append({"name": source.name, "error": str(error)})
        return to_json(described)

    def episode(self, given: Sequence[tuple[str, str]]) -> bytes:
        """The episode that an address's parameters ask for, as JSON.

        Raises:
          UserError: a parameter that is not allowed.
        """
        source, parameters = self._chosen(given)
        with self._lock:
            return self._answer(source, parameters)

    def poems(self, given: Sequence[tuple[str, str]]) -> bytes:
        """The poems that an address's parameters ask for, as JSON.

        Raises:
          UserError: a parameter that is not allowed, or a run that writes none.
        """
        source, parameters = self._chosen(given)
        request = page.read(parameters)
        with self._lock:
            writer = source.writer()
            read_heads = int(source.config.model.get("read_heads", 0))
            return to_json(page.write(writer, request, read_heads))

    def _chosen(self, given: Sequence[tuple[str, str]]) -> tuple[Source, dict[str, str]]:
        """The run that is asked, and the other parameters."""
        parameters = dict(given)
        if len(parameters) < len(given):
            raise UserError("a parameter is given twice")
        run = parameters.pop("run", "0")
        if run not in map(str, range(len(self._sources))):
            most = len(self._sources) - 1
            raise UserError(f"run: {run[:20]!r} is given, 0 to {most} is allowed")
        return self._sources[int(run)], parameters

    def _answer(self, source: Source, parameters: dict[str, str]) -> bytes:
        version = source.refresh()
        question = source.question(parameters)
        key = (id(source), version, question)
        if key not in self._answers:
            self._answers[key] = to_json(source.answer(question))
            if len(self._answers) > ANSWERS_KEPT:
                self._answers.popitem(last=False)
        self._answers.move_to_end(key)
        return self._answers[key]


def application(sources: Sequence[Source], host: str) -> ASGIApp:
    """The viewer as an application; see `guard.application`."""
    viewer = Viewer(sources)

    # Not async, so that Starlette runs them in threads and other requests go on meanwhile.
    def index(request: Request) -> Response:
        return server.page("viewer.html")

    def runs(request: Request) -> Response:
        return Response(viewer.runs(), media_type="application/json")

    def episode(request: Request) -> Response:
        given = request.query_params.multi_items()
        return Response(viewer.episode(given), media_type="application/json")

    def acrostics(request: Request) -> Response:
        return server.page("acrostic.html")

    def poems_of(request: Request) -> Response:
        given = request.query_params.multi_items()
        return Response(viewer.poems(given), media_type="application/json")

    routes = [
        Route("/", index),
        Route("/acrostic", acrostics),
        Route("/api/poems", poems_of),
        Route("/api/runs", runs),
        Route("/api/episode", episode),
    ]
    return server.application(routes, host)


def serve(sources: Sequence[Source], host: str, port: int) -> None:
    """Serves the viewer until interrupted.

    Raises:
      UserError: the port is in use.
    """
    with server.listen(host, port, "--port") as listener:
        print(f"viewer: {server.address(listener, host)} (Ctrl-C ends it)", flush=True)
        try:
            server.serve(application(sources, host), listener)
        except KeyboardInterrupt:
            print()
