"""Shares code between both servers: listening, checking hosts, and refusing requests."""

import ipaddress
import logging
import socket
from collections.abc import Sequence
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ntm_jax.errors import UserError
from ntm_jax.web import pages

HEADERS = {
    # Nothing from anywhere else; Plotly sets styles of its own and makes its PNGs from data.
    "content-security-policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "cache-control": "no-cache",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
MEDIA_TYPES = {".css": "text/css", ".html": "text/html", ".js": "text/javascript"}


def listen(host: str, port: int, field: str) -> socket.socket:
    """Returns a listening socket. Port 0 takes any free port.

    Args:
      host: a name or address of this machine.
      port: 0 to 65535.
      field: what the user calls the port, for the message.

    Raises:
      UserError: the port is in use or not allowed, or the host is not this machine's.
    """
    if not 0 <= port <= 65_535:
        raise UserError(f"{field}: {port} is not allowed; it must be from 0 to 65535")
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError):
        raise UserError(f"{field}: {host!r} is no address of this machine") from None
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        # Not SO_REUSEPORT: two servers on one port would share out its visitors.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(512)
    except OSError as error:
        listener.close()
        raise UserError(
            f"{field}: cannot listen at {host} port {port} ({error.strerror}); choose another port"
        ) from None
    return listener


def address(listener: socket.socket, host: str) -> str:
    """Returns the address to open in a browser."""
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{listener.getsockname()[1]}/"


def application(routes: Sequence[BaseRoute], host: str) -> ASGIApp:
    """Routes behind the guard; errors are one sentence of plain text.

    Args:
      routes: of Starlette.
      host: where it listens, which decides what a request's Host header may be.
    """
    app = Starlette(
        routes=[
            *routes,
            Route("/static/{folder}/{name}", _static),
            Route(pages.address(pages.PLOTLY), _plotly),
        ],
        exception_handlers={
            UserError: _user_error,
            HTTPException: _http_error,
            Exception: _other_error,
        },
    )
    return Guard(app, host)


class Guard:
    """Refuses requests with a foreign Host header, which another site could send by DNS rebinding.

    Allowed are the names of what is listened at; an address of this machine cannot be forged that way, so
    beyond loopback every literal address is.
    """

    def __init__(self, app: ASGIApp, host: str):
        self._app, self._host = app, host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [(k.encode(), v.encode()) for k, v in HEADERS.items()]
                message = {**message, "headers": [*message["headers"], *headers]}
            await send(message)

        hosts = [value for name, value in scope["headers"] if name == b"host"]
        if len(hosts) == 1 and self.allows(hosts[0].decode("latin-1")):
            await self._app(scope, receive, send_with_headers)
        else:
            refusal = PlainTextResponse(
                "This server answers only to the name it was started with.\n", status_code=421
            )
            await refusal(scope, receive, send_with_headers)

    def allows(self, header: str) -> bool:
        """Returns whether a Host header names this server."""
        name = _without_port(header).lower()
        if name in ("localhost", self._host.lower()):
            return True
        try:
            given = ipaddress.ip_address(name)
        except ValueError:
            return False
        return given.is_loopback or not is_loopback(self._host)


def is_loopback(host: str) -> bool:
    """Returns whether only this machine can reach `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def serve(app: ASGIApp, listener: socket.socket) -> None:
    """Answers requests until the process is stopped."""
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # clients that go away
    config = uvicorn.Config(
        app, log_level="critical", access_log=False, lifespan="off", timeout_graceful_shutdown=1
    )
    uvicorn.Server(config).run(sockets=[listener])


def page(which: pages.Page) -> Response:
    """Returns a page."""
    return Response(which.served(), media_type=MEDIA_TYPES[".html"])


async def _static(request: Request) -> Response:
    folder, name = (Path(request.path_params[key]).name for key in ("folder", "name"))
    path = pages.STATIC / folder / name
    if not path.is_file() or path.suffix not in MEDIA_TYPES:
        raise HTTPException(404)
    return Response(path.read_bytes(), media_type=MEDIA_TYPES[path.suffix])


def _plotly(request: Request) -> Response:
    # Named by no version, but 5 MB: a day is a fair compromise.
    cached = {"cache-control": "max-age=86400"}
    return Response(pages.plotly_js(), media_type="text/javascript", headers=cached)


async def _user_error(request: Request, error: Exception) -> Response:
    return PlainTextResponse(f"{error}\n", status_code=400)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return PlainTextResponse(f"{error.detail}\n", status_code=error.status_code)


async def _other_error(request: Request, error: Exception) -> Response:
    kind = type(error).__name__
    return PlainTextResponse(f"This could not be done ({kind}).\n", status_code=500)


def _without_port(header: str) -> str:
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.partition(":")[0]
