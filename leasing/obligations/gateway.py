"""The ways to whom reports go: files in a folder, and a small HTTP interface.

Both are our own, for the platform's is not public. Each other interface would be another class with
these three methods. Whatever is sent again comes under the id it had.
"""

import asyncio
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Protocol
from uuid import UUID

import httpx

from leasing.kit.files import put
from leasing.obligations import forms
from leasing.obligations.model import AnswerFile, Dispatch

TIMEOUT_S = 20.0
MAX_ANSWER_BYTES = 10_000_000


class NotSent(Exception):
    """Nobody knows whether it arrived; it is sent again."""


class Refused(Exception):
    """The other side wants nothing of it; sent again it would be refused again."""


class Gateway(Protocol):
    """What sends reports and brings answers. Every method may be called again after a crash."""

    async def send(self, dispatch: Dispatch) -> AnswerFile | None:
        """Hand a submission over; returns the answer if there is one at once. Raises `NotSent` and
        `Refused`."""

    async def answers(self, waiting: Sequence[UUID]) -> list[AnswerFile]:
        """What was answered by now: to these submissions, or whatever lies there. Raises
        `NotSent`."""

    async def put_away(self, name: str, *, readable: bool) -> None:
        """Have done with an answer."""


class FileDrop:
    """Submissions as `out/<id>.json` and `out/<id>.xml`, answers as `in/*.json`, which are moved to
    `done/`, or to `unreadable/`. A file is there whole or not at all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def send(self, dispatch: Dispatch) -> AnswerFile | None:
        await asyncio.to_thread(self.write, dispatch)
        return None

    def write(self, dispatch: Dispatch) -> None:
        out = self.folder / "out"
        out.mkdir(parents=True, exist_ok=True)
        # Both say the same. Whoever sees the JSON finds the XML.
        put(out / f"{dispatch.id}.xml", forms.as_xml(dispatch))
        put(out / f"{dispatch.id}.json", forms.as_json(dispatch))

    async def answers(self, waiting: Sequence[UUID]) -> list[AnswerFile]:
        return await asyncio.to_thread(self.read)

    def read(self) -> list[AnswerFile]:
        found = sorted((self.folder / "in").glob("*.json"))
        return [AnswerFile(path.name, path.read_bytes()) for path in found]

    async def put_away(self, name: str, *, readable: bool) -> None:
        await asyncio.to_thread(self.move, name, "done" if readable else "unreadable")

    def move(self, name: str, to: str) -> None:
        (self.folder / to).mkdir(parents=True, exist_ok=True)
        (self.folder / "in" / name).replace(self.folder / to / name)


class Http:
    """`PUT <url>/submissions/<id>` with the submission as JSON; 200 comes with the answer, 202
    without, and `GET` of the same address brings it later (404 or 204: not yet). A 4xx that is not
    about who we are, or too many at once, refuses it for good; all else is tried again."""

    def __init__(self, url: str, token: str | None = None, timeout_s: float = TIMEOUT_S) -> None:
        self.url = url.rstrip("/")
        self.headers = {"authorization": f"Bearer {token}"} if token else {}
        self.timeout_s = timeout_s

    async def send(self, dispatch: Dispatch) -> AnswerFile | None:
        response = await self.ask("PUT", dispatch.id, forms.as_json(dispatch))
        if response.status_code in (HTTPStatus.ACCEPTED, HTTPStatus.NO_CONTENT):
            return None
        if response.is_success:
            return AnswerFile(str(dispatch.id), response.content)
        said = f"{response.status_code} {response.text[:500]}".strip()
        if response.is_client_error and response.status_code not in PASSING:
            raise Refused(said)
        raise NotSent(said)

    async def answers(self, waiting: Sequence[UUID]) -> list[AnswerFile]:
        found = []
        for one in waiting:
            response = await self.ask("GET", one)
            if response.status_code == HTTPStatus.OK:
                found.append(AnswerFile(str(one), response.content))
        return found

    async def put_away(self, name: str, *, readable: bool) -> None:
        """The other side keeps its answers."""

    async def ask(self, method: str, one: UUID, content: bytes | None = None) -> httpx.Response:
        headers = {**self.headers, "idempotency-key": str(one)}
        if content is not None:
            headers["content-type"] = "application/json"
        address = f"{self.url}/submissions/{one}"
        try:
            async with (
                # Of the whole exchange, not of each byte: who answers drop by drop waits in vain.
                asyncio.timeout(self.timeout_s),
                httpx.AsyncClient(timeout=self.timeout_s, headers=headers) as client,
            ):
                response = await client.request(method, address, content=content)
        except (httpx.HTTPError, TimeoutError) as error:
            raise NotSent(f"{type(error).__name__}: {error}".rstrip(": ")) from error
        if len(response.content) > MAX_ANSWER_BYTES:
            raise NotSent(f"an answer of {len(response.content):,} bytes")
        return response


PASSING = {
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_EARLY,
    HTTPStatus.TOO_MANY_REQUESTS,
}
"""Refusals that are not about what was sent."""
