"""Adds the moments of a run to the viewer: one episode over training, with a slider.

/moments      the page
/api/moments  which moments a run has kept; the parameter is `run`
/api/moment   one of them; the parameters are `run` and `update`
"""

from collections.abc import Mapping, Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ntm_jax.errors import UserError
from ntm_jax.web import pages, server
from ntm_jax.web.moments import Moments
from ntm_jax.web.packing import to_json
from ntm_jax.web.viewer.server import Viewer
from ntm_jax.web.viewer.sources import RunFolder, Source


class MomentsPage:
    """Defines the page of runs that a monitor has watched; see `viewer.Page`."""

    field = "moments"

    def serves(self, source: Source) -> bool:
        """Returns whether a source is a run's folder with moments."""
        return isinstance(source, RunFolder) and bool(Moments(source.path).updates())

    def routes(self, viewer: Viewer) -> Sequence[BaseRoute]:
        """Returns the page, the list and the moments."""

        def index(request: Request) -> Response:
            return server.page(pages.MOMENTS)

        def listing(request: Request) -> Response:
            content = viewer.answer(request.query_params.multi_items(), _listing)
            return Response(content, media_type="application/json")

        def moment(request: Request) -> Response:
            content = viewer.answer(request.query_params.multi_items(), _moment)
            return Response(content, media_type="application/json")

        return [
            Route("/moments", index),
            Route("/api/moments", listing),
            Route("/api/moment", moment),
        ]


def _listing(source: Source, parameters: Mapping[str, str]) -> bytes:
    updates = _of(source).updates()
    if not updates:
        raise UserError(f"{source.name}: no moments; the monitor keeps them while it trains")
    return to_json({"name": source.name, "task": source.config.task.name, "updates": updates})


def _moment(source: Source, parameters: Mapping[str, str]) -> bytes:
    given = parameters.get("update", "")
    found = _of(source).read(int(given)) if given.isdecimal() and len(given) <= 12 else None
    if found is None:
        raise UserError(f"update: {given[:20]!r} is not the number of a moment that is kept")
    return found


def _of(source: Source) -> Moments:
    if not isinstance(source, RunFolder):
        raise UserError(f"{source.name}: no moments; only a run's folder has them")
    return Moments(source.path)
