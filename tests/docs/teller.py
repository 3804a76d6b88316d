"""Asks the API and keeps what was asked and answered, with stand-ins for what is never the same.

Ids, the system clock's instants, request ids, transaction numbers and the name of this machine
differ from run to run. Each value gets a stand-in when it first appears and keeps it, in paths,
payloads and answers alike, so that two runs of one story are equal to the byte.
"""

import base64
import re
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import msgspec
from msgspec import UNSET

from jobs import runner
from jobs.registry import JOBS
from leasing.access import store as access
from leasing.access.model import Role
from leasing.http.etag import etag
from leasing.http.examples import JSON, Example, Examples
from leasing.kit.time import midnight, system_now
from tests.build import NOON, Answer, Client, Json, World, connect, matches

TOLD_HEADERS = ("ETag", "Idempotent-Replay")
"""Headers of an answer that a caller would act on."""


class Told(msgspec.Struct, frozen=True):
    operation: str
    on: date
    example: Example


class Teller:
    """Tells one story on one world, and remembers every request of it."""

    def __init__(self, world: World, on: date) -> None:
        self.world = world
        self.on = on
        self.began_at = system_now()
        self.told: list[Told] = []
        self.known: dict[str, str] = {runner.worker_name(): "worker-1.zz/4711"}
        openapi = world.openapi
        # A path that is spelt out goes before one with a parameter in the same place.
        self.routes = sorted(openapi["paths"], key=lambda path: path.count("{"))

    async def login(self, role: Role, name: str, party_id: str | None = None) -> "Voice":
        now = system_now()
        expires_at = now + timedelta(days=1)
        self.known[msgspec.to_builtins(expires_at)] = "2027-01-01T00:00:00Z"
        async with self.world.db.transaction() as tx:
            key = await access.create(
                tx,
                role=role,
                party_id=UUID(party_id) if party_id else None,
                name=name,
                now=now,
                expires_at=expires_at,
            )
        return Voice(self, role, self.recorder(key))

    def anybody(self) -> "Voice":
        """Somebody without a key."""
        return Voice(self, None, self.recorder(""))

    def recorder(self, key: str) -> "Recorder":
        return Recorder(connect(self.world.app, key), self.world.openapi)

    async def wait_until(self, on: date) -> None:
        """Let days pass until noon; what falls due on the way is done."""
        self.on = on
        await runner.advance(self.world.db, JOBS, midnight(on) + NOON)

    def note(
        self, title: str, role: Role | None, query: Json, file: str | None, response: httpx.Response
    ) -> None:
        request = response.request
        path = request.url.path
        route = next(known for known in self.routes if matches(known, path))
        wanted, given = route.split("/"), path.split("/")
        operation = f"{request.method} {route}"
        taken = any((one.operation, one.example.title) == (operation, title) for one in self.told)
        assert not taken, f"{operation} has an example named {title!r} already"
        self.known[response.headers["x-request-id"]] = f"{len(self.told) + 1:032x}"
        names = ("If-Match", "Idempotency-Key")
        example = Example(
            title=title,
            role=role,
            path={
                part[1:-1]: value
                for part, value in zip(wanted, given, strict=True)
                if part.startswith("{")
            },
            query=query,
            headers={name: request.headers[name] for name in names if name in request.headers},
            body=UNSET if file is not None else shown(request.content, request.headers),
            body_type=media_type(request.headers),
            file=file,
            status=response.status_code,
            answer_headers={
                name: response.headers[name] for name in TOLD_HEADERS if name in response.headers
            },
            answer=shown(response.content, response.headers),
            answer_type=media_type(response.headers),
        )
        self.told.append(Told(operation, self.on, example))

    def finished(self) -> list[Told]:
        """The whole story, with stand-ins, in the order it was told."""
        return StandIns(self.known, self.began_at, system_now()).replace(self.told)


def media_type(headers: httpx.Headers) -> str:
    return headers.get("content-type", JSON).partition(";")[0]


def shown(content: bytes, headers: httpx.Headers) -> Any:
    """What an example shows of a payload or an answer: JSON and text as they are."""
    if not content:
        return UNSET
    if media_type(headers).endswith("json"):
        return msgspec.json.decode(content)
    return content.decode() if media_type(headers).startswith("text/") else UNSET


class Recorder(Client):
    """A client before whom an answer may carry a new ETag: the document learns of it from what is
    recorded here."""

    documented_headers = ("Idempotent-Replay",)


class Voice:
    """The API as one caller asks it. The title says what the example shows; it is unique among
    the examples of its operation."""

    def __init__(self, teller: Teller, role: Role | None, client: Client) -> None:
        self.teller = teller
        self.role = role
        self.client = client

    async def get(self, title: str, path: str, **query: Any) -> Any:
        return await self.ask(title, "GET", path, params=query)

    async def post(self, title: str, path: str, json: Any = None, *, key: str | None = None) -> Any:
        headers = {} if key is None else {"Idempotency-Key": key}
        return await self.ask(title, "POST", path, json=json, headers=headers)

    async def put(self, title: str, path: str, json: Any) -> Any:
        return await self.ask(title, "PUT", path, json=json)

    async def send(
        self,
        title: str,
        path: str,
        content: bytes,
        media_type: str,
        file: str | None = None,
        **query: Any,
    ) -> Any:
        """Send a file as the body of a POST. The example names it and shows none of it; without
        a name it is text, and shown."""
        headers = {"Content-Type": media_type}
        arguments: Json = {"content": content, "headers": headers, "params": query}
        return await self.ask(title, "POST", path, file=file, **arguments)

    async def patch(self, title: str, path: str, json: Any, *, version: int) -> Any:
        headers = {"If-Match": etag(version)}
        return await self.ask(title, "PATCH", path, json=json, headers=headers)

    async def refused(
        self, title: str, status: int, method: str, path: str, json: Any = None, **arguments: Any
    ) -> Json:
        """A request whose refusal is worth showing; returns the problem."""
        problem: Json = await self.ask(title, method, path, status, json=json, **arguments)
        return problem

    async def ask(
        self,
        title: str,
        method: str,
        path: str,
        status: int | None = None,
        file: str | None = None,
        **arguments: Any,
    ) -> Any:
        """Ask, keep the example, and return the answer: what JSON says, or the bytes."""
        response = await self.client.ask(method, path, **arguments)
        wanted = response.is_success if status is None else response.status_code == status
        if not wanted:
            raise Answer(f"{title}: {method} {path}: {response.status_code} {response.text}")
        self.teller.note(title, self.role, arguments.get("params", {}), file, response)
        return (
            response.json() if media_type(response.headers).endswith("json") else response.content
        )


ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")


class StandIns:
    def __init__(self, known: dict[str, str], began_at: datetime, ended_at: datetime) -> None:
        self.known = dict(known)
        self.began_at = began_at
        self.ended_at = ended_at
        self.ids: dict[str, str] = {}
        self.hashes: dict[str, str] = {}
        self.instants: dict[str, str] = {}
        self.transactions: dict[str, str] = {}
        self.on = date.min

    def replace(self, told: list[Told]) -> list[Told]:
        return [self.replace_one(one) for one in told]

    def replace_one(self, told: Told) -> Told:
        self.on = told.on
        plain = msgspec.to_builtins(told.example)
        example = msgspec.convert(self.value(plain), Example)
        return Told(told.operation, told.on, example)

    def value(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {self.text(name): self.named(name, part) for name, part in value.items()}
        if isinstance(value, list):
            return [self.value(part) for part in value]
        return self.text(value) if isinstance(value, str) else value

    def named(self, name: str, part: Any) -> Any:
        if name in ("cursor", "next_cursor") and part is not None:
            return self.cursor(part)
        if name in ("hash", "previous_hash") and isinstance(part, str):  # over ids and instants
            return self.hashes.setdefault(part, f"{len(self.hashes) + 1:064x}")
        return self.value(part)

    def text(self, text: str) -> str:
        if text in self.known:
            return self.known[text]
        if INSTANT.fullmatch(text) and self.is_now(datetime.fromisoformat(text)):
            return self.instants.setdefault(text, self.next_instant())
        return ID.sub(self.id, text)

    def is_now(self, at: datetime) -> bool:
        """Whether an instant is of the machine's clock; the story plays on another day."""
        return self.began_at <= at <= self.ended_at

    def next_instant(self) -> str:
        at = midnight(self.on) + NOON + timedelta(seconds=len(self.instants))
        text: str = msgspec.to_builtins(at)
        return text

    def id(self, found: re.Match[str]) -> str:
        return self.ids.setdefault(found[0], f"0198c0de-0000-7000-8000-{len(self.ids) + 1:012}")

    def cursor(self, cursor: str) -> str:
        """A cursor is the place where a page ended; the same place, with stand-ins."""
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        place = [self.place(part) for part in msgspec.json.decode(raw)]
        return base64.urlsafe_b64encode(msgspec.json.encode(place)).rstrip(b"=").decode()

    def place(self, part: Any) -> Any:
        if isinstance(part, str) and part.isdecimal():  # the number of a transaction
            return self.transactions.setdefault(part, str(1001 + len(self.transactions)))
        return self.value(part)


def examples_of(told: list[Told]) -> Examples:
    """The story by operation: sorted by path and method, then as told."""
    found: Examples = {}
    for one in sorted(told, key=lambda one: tuple(reversed(one.operation.split(" ")))):
        found.setdefault(one.operation, []).append(one.example)
    return found
