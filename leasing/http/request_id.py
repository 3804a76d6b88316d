"""One id per request: taken from the caller or made here, on every answer and log line."""

import re
from time import perf_counter
from uuid import uuid4

import structlog
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# Anything else could forge log lines or headers.
ACCEPTED = re.compile(r"[A-Za-z0-9._-]{1,64}")


def request_id(scope: Scope) -> str:
    """The id of the request at hand; "" outside of the middleware."""
    return str(scope.get("state", {}).get("request_id", ""))


class RequestId:
    """ASGI middleware that must stand outside of Litestar: `RequestId(Litestar(...))`.

    Litestar runs its own middleware after routing, so that a 404 would have no id.
    The log line has the route's template, never the path or query: those carry values.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self.app(scope, receive, send)
            return

        started_s = perf_counter()
        status: int | None = None  # stays None when the caller leaves before the answer
        id_ = _given(scope) or uuid4().hex
        scope.setdefault("state", {})["request_id"] = id_

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", id_.encode())]
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=id_):
            try:
                await self.app(scope, receive, send_with_id)
            finally:
                log.info(
                    "http.request",
                    method=scope["method"],
                    route=scope.get("path_template"),  # None: no route matched
                    status=status,
                    duration_ms=round((perf_counter() - started_s) * 1000, 1),
                )


def _given(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            given = value.decode("latin-1")
            return given if ACCEPTED.fullmatch(given) else None
    return None
