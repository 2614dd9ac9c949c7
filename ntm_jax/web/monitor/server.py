"""Runs the monitor's server in a separate process.

/             the page
/api/progress the run and its curves, those after an update if one is given
/api/episode  the latest training episode
/api/moment   the held-out episode that is kept over training, after the update that is given; see `moments`
/Loss         the losses so far, in bits per sequence, as a JSON list
/Weights      the current parameters, as `--weights` takes them
/PrintDebug   begins or ends the printing of the latest episode on training's terminal
"""

import json
import math
import os
import secrets
import shlex
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from ntm_jax import config as configs
from ntm_jax.errors import UserError
from ntm_jax.training import metrics
from ntm_jax.web import moments, pages, server
from ntm_jax.web.monitor import run_monitor
from ntm_jax.web.monitor.process import Tail, end_with_parent
from ntm_jax.web.packing import to_json

MOST_POINTS = 2000  # of a curve that are sent at once
SPEED_ROWS = 10  # over which sequences per second are a mean
COUNTS = ("update", "sequences", "seconds")  # columns without which a row says nothing


class Monitor:
    """Answers from what training and the worker have written.

    Args:
      folder: the monitor's.
      workdir: the run's.
    """

    def __init__(self, folder: Path, workdir: Path):
        self._folder = folder
        self._config = configs.read(folder / run_monitor.CONFIG)
        self._session = secrets.token_hex(8)
        self._name = workdir.name
        self._metrics = Tail(workdir / metrics.NAME, metrics.Parser)
        self._evaluation = Tail(folder / run_monitor.EVALUATION, lambda: json.loads)
        self._cases = Tail(folder / run_monitor.CASES, lambda: json.loads)
        self._moments = moments.Moments(workdir)
        self._viewer = viewer_command(workdir)

    def progress(self, after: int) -> bytes:
        """Returns the run's state, and the points of its curves after an update, as JSON."""
        rows, evaluation = self._rows(), self._evaluation.refresh()
        return to_json(
            {
                "session": self._session,
                "name": self._name,
                "task": self._config.task.name,
                "model": configs.model_name(self._config),
                "updates": self._config.train.updates,
                "batch_size": self._config.train.batch_size,
                "printing": self.printing(),
                "state": self._state(),
                "cases": [_without_nan(case) for case in self._cases.refresh()],
                "moments": self._moments.updates(),
                "viewer": self._viewer,
                "rows": _shown(rows, after),
                "evaluation": _shown(evaluation, after),
                **_speed(rows, self._config.train.updates),
            }
        )

    def _state(self) -> str:
        """Returns how far the run is: training, evaluating or evaluated."""
        for state, mark in (
            ("evaluated", run_monitor.EVALUATED),
            ("evaluating", run_monitor.TRAINED),
        ):
            if (self._folder / mark).exists():
                return state
        return "training"

    def moment(self, update: int) -> bytes:
        """Returns a kept moment of the run.

        Raises:
          HTTPException: it is not kept, or not any more.
        """
        found = self._moments.read(update)
        if found is None:
            raise HTTPException(404, f"No moment of update {update} is kept.")
        return found

    def _rows(self) -> list[dict[str, float]]:
        """Returns the rows of metrics.csv whose counts are numbers, with the columns that training writes."""
        return [
            {name: row.get(name, math.nan) for name in metrics.COLUMNS}
            for row in self._metrics.refresh()
            if all(math.isfinite(row.get(name, math.nan)) for name in COUNTS)
        ]

    def losses(self) -> bytes:
        """Returns the losses so far, as a JSON list."""
        return to_json([row["loss_bits_per_sequence"] for row in map(_without_nan, self._rows())])

    def file(self, name: str) -> bytes:
        """Returns a file of the monitor's folder.

        Raises:
          HTTPException: it is not written yet.
        """
        try:
            return (self._folder / name).read_bytes()
        except OSError:
            raise HTTPException(503, "It is not there yet; training has just begun.") from None

    def look(self) -> None:
        """Notes that somebody looks at the page, for whom the worker works more often."""
        with suppress(OSError):
            (self._folder / run_monitor.LOOKED_AT).touch()

    def printing(self) -> bool:
        """Returns whether episodes are printed."""
        return (self._folder / run_monitor.PRINTING).exists()

    def toggle_printing(self) -> bool:
        """Begins to print episodes, or ends it; gives which."""
        mark = self._folder / run_monitor.PRINTING
        if self.printing():
            mark.unlink(missing_ok=True)
        else:
            mark.touch()
        return self.printing()


def application(watched: Monitor, host: str) -> ASGIApp:
    """Returns the monitor as an application; see `server.application`."""

    async def index(request: Request) -> Response:
        return server.page(pages.MONITOR)

    async def progress(request: Request) -> Response:
        given = request.query_params.get("after", "-1")
        if not given.removeprefix("-").isdecimal() or len(given) > 12:
            raise UserError("after: must be a whole number, the last update that the page has")
        watched.look()
        return Response(watched.progress(int(given)), media_type="application/json")

    async def episode(request: Request) -> Response:
        return Response(watched.file(run_monitor.EPISODE), media_type="application/json")

    async def moment(request: Request) -> Response:
        given = request.query_params.get("update", "")
        if not given.isdecimal() or len(given) > 12:
            raise UserError("update: must be a whole number, of a moment that is kept")
        return Response(watched.moment(int(given)), media_type="application/json")

    async def losses(request: Request) -> Response:
        return Response(watched.losses(), media_type="application/json")

    async def weights(request: Request) -> Response:
        named = {"content-disposition": 'attachment; filename="weights"'}
        content = watched.file(run_monitor.WEIGHTS)
        return Response(content, media_type="application/octet-stream", headers=named)

    async def print_debug(request: Request) -> Response:
        # The one route that changes something, so not for a picture in somebody's page.
        if request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            raise HTTPException(403, "Another site's page may not ask for this.")
        state = "on" if watched.toggle_printing() else "off"
        return PlainTextResponse(f"printing is {state}\n")

    routes = [
        Route("/", index),
        Route("/api/progress", progress),
        Route("/api/episode", episode),
        Route("/api/moment", moment),
        Route("/Loss", losses),
        Route("/Weights", weights),
        Route("/PrintDebug", print_debug, methods=["GET", "POST"]),
    ]
    return server.application(routes, host)


def viewer_command(workdir: Path) -> str:
    """Returns the command that shows the run in the viewer, from the folder in which training was started."""
    path = Path(os.path.relpath(workdir))
    shown = workdir if ".." in path.parts else path
    return f"python -m ntm_jax.main --mode serve --workdir {shlex.quote(str(shown))}"


def _without_nan(values: Mapping[str, Any]) -> dict[str, Any]:
    """Replaces numbers that are not finite by null, because JSON cannot represent them."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in values.items()
    }


def _speed(rows: list[dict[str, float]], updates: int) -> dict[str, Any]:
    """Sequences per second lately, and seconds left at that speed; null where they are not known."""
    recent = rows[-SPEED_ROWS - 1 :]
    # Over one session only: between two, nothing was trained.
    seconds = recent[-1]["seconds"] - recent[0]["seconds"] if len(recent) > 1 else 0.0
    if seconds <= 0:
        return {"sequences_per_second": None, "seconds_left": None}
    first, last = recent[0], recent[-1]
    each = seconds / (last["update"] - first["update"])
    return {
        "sequences_per_second": (last["sequences"] - first["sequences"]) / seconds,
        "seconds_left": max(0.0, updates - last["update"]) * each,
    }


def _shown(rows: list[dict[str, float]], after: int) -> list[dict[str, Any]]:
    """Returns the rows after an update as JSON has them: at most about `MOST_POINTS`, the last among them."""
    return [_without_nan(row) for row in _thinned([row for row in rows if row["update"] > after])]


def _thinned(rows: list[dict[str, float]]) -> list[dict[str, float]]:
    every = max(1, len(rows) // MOST_POINTS)
    return rows[(len(rows) - 1) % every :: every] if rows else []


def main(folder: str, workdir: str, handle: str) -> None:
    """Serves until training ends."""
    end_with_parent()
    watched = Monitor(Path(folder), Path(workdir))
    listener = socket.socket(fileno=int(handle))
    host = configs.read(Path(folder) / run_monitor.CONFIG).monitor.host
    server.serve(application(watched, host), listener)
