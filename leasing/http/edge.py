"""The edge of the web: one caller and one transaction per request.

A request's body is read before its transaction opens, and its answer is sent after the
transaction ended, so a slow client never holds a database connection. An answer of 400 or more
rolls back, unless its handler wrote down what it refused (`keep_although_refused`). A POST with an
`Idempotency-Key` saves its answer in the same transaction that did the work; the same key brings
the same answer back.

A route that reads with one statement, and no more, may say so (`opt={"one_statement": True}`).
The lessor's own request is then sent as it is; an outsider's needs a transaction all the same,
which is where it steps down to its role.
"""

import asyncio
import hashlib
import re
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from tempfile import TemporaryFile
from typing import IO, cast

from litestar import Request
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, HTTPResponseStartEvent, Message, Receive, Scope, Send
from litestar.utils.scope.state import ScopeState

from leasing.access.gate import Gate
from leasing.access.model import Caller, Role
from leasing.db import clock
from leasing.db.pool import LESSOR, Connection, Database, step_down
from leasing.http.fields import Malformed
from leasing.kit.errors import Conflict, Forbidden, Invalid, Unprocessable
from leasing.kit.time import system_now

EVERYONE = frozenset(Role)
PARTNERS = EVERYONE - {Role.REGULATOR}
"""Everyone but a regulator, who reads of packs and not of dealings."""
STAFF = frozenset({Role.STAFF})
READERS = frozenset({Role.STAFF, Role.AUDITOR})
CUSTOMERS = READERS | {Role.CUSTOMER}
WITH_CUSTOMERS = STAFF | {Role.CUSTOMER}
"""Who may write where a customer may, too."""
RECYCLERS = READERS | {Role.RECYCLER}
REGULATORS = READERS | {Role.REGULATOR}
WITH_RECYCLERS = STAFF | {Role.RECYCLER}
"""Who may write where a recycler may, too."""

REPEATABLE = frozenset({"POST"})
"""Methods that take an `Idempotency-Key`."""

KEY_FORMAT = re.compile(r"[\x21-\x7e]{1,255}")


class RoleNotAllowed(Forbidden):
    code = "role_not_allowed"
    title = "This key's role may not do this"


class BadIdempotencyKey(Invalid):
    code = "bad_idempotency_key"
    title = "The Idempotency-Key header is malformed"


class IdempotencyKeyInFlight(Conflict):
    code = "idempotency_key_in_flight"
    title = "A request with this Idempotency-Key is still running"


class IdempotencyKeyReused(Unprocessable):
    code = "idempotency_key_reused"
    title = "The Idempotency-Key was used for another request"


HELD_IN_MEMORY = 1_000_000
"""Bytes of a body; more are held on disk. Whoever reads slowly costs a file then, not memory."""

SENT_AT_ONCE = 256_000


class Answer:
    """What the application wants to send, held back until the transaction has ended."""

    def __init__(self) -> None:
        self.start: HTTPResponseStartEvent
        self.bodies: list[bytes | IO[bytes]] = []

    async def hold(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.start = message
        elif message["type"] == "http.response.body":
            body = message["body"]
            is_large = len(body) > HELD_IN_MEMORY
            self.bodies.append(await asyncio.to_thread(on_disk, body) if is_large else body)

    @property
    def status(self) -> int:
        return self.start["status"]

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces())

    def pieces(self) -> Iterator[bytes]:
        for body in self.bodies:
            if isinstance(body, bytes):
                yield body
            else:
                body.seek(0)
                yield from iter(partial(body.read, SENT_AT_ONCE), b"")

    async def send(self, send: Send) -> None:
        await send(self.start)
        piece = b""
        for following in self.pieces():
            if piece:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            piece = following
        await send({"type": "http.response.body", "body": piece, "more_body": False})
        self.close()

    def close(self) -> None:
        for body in self.bodies:
            if not isinstance(body, bytes):
                body.close()


def on_disk(body: bytes) -> IO[bytes]:
    """A body in a file without a name, which is gone when nobody holds it."""
    file = TemporaryFile()  # noqa: SIM115 - it lives as long as the answer
    file.write(body)
    return file


class Edge(ASGIMiddleware):
    """Middleware of everything under `/v1`. Handlers get `tx`, `caller` and `now` from it."""

    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        request: Request[None, None, State] = Request(scope, receive, send)
        # Routes are made once and know no database: what lives comes with the request.
        db: Database = scope["state"]["db"]
        gate: Gate = scope["state"]["gate"]
        caller = await gate.admit(request.headers.get("authorization"))
        reads = request.method in ("GET", "HEAD")
        allowed = scope["route_handler"].opt.get("access", READERS if reads else STAFF)
        if caller.role not in allowed:
            raise RoleNotAllowed(f"a {caller.role} key may not do this")
        body = b"" if reads else await request.body()
        key = idempotency_key(request) if request.method in REPEATABLE else None
        answer = Answer()
        tx_actor = caller.actor if key is None else LESSOR
        alone = reads and caller.actor == LESSOR and scope["route_handler"].opt.get("one_statement")
        opened = db.statement() if alone else db.transaction(tx_actor, read_only=reads)
        try:
            async with opened as tx:
                scope["state"].update(tx=tx, caller=caller)
                if key is None:
                    await next_app(scope, receive, answer.hold)
                else:
                    await self.once(scope, receive, answer, next_app, tx, caller, key, body)
                if answer.status >= 400 and not scope["state"].get("keeps_refusal"):
                    raise RolledBack
        except RolledBack:
            pass
        except BaseException:
            # Litestar believes that the answer we held back was sent, and would send no other.
            ScopeState.from_scope(scope).response_started = False
            raise
        await answer.send(send)

    async def once(
        self,
        scope: Scope,
        receive: Receive,
        answer: Answer,
        next_app: ASGIApp,
        tx: Connection,
        caller: Caller,
        key: str,
        body: bytes,
    ) -> None:
        """Do the work unless it was done under this key; then bring the saved answer."""
        fingerprint = hashlib.sha256(
            b"\0".join([scope["path"].encode(), scope["query_string"], body])
        ).digest()
        if await saved_answer(tx, caller, key, fingerprint, answer):
            return
        await tx.execute(step_down(caller.actor) or "SELECT 1")
        await next_app(scope, receive, answer.hold)
        if answer.status < 400:
            await tx.execute("SET LOCAL ROLE NONE")
            await save(tx, caller, key, fingerprint, answer)


def keep_although_refused(scope: Scope) -> None:
    """What this request wrote stays, although it is refused: the record of what was refused."""
    scope["state"]["keeps_refusal"] = True


class RolledBack(Exception):
    """Ends the transaction of a request that was refused."""


def idempotency_key(request: Request[None, None, State]) -> str | None:
    key = request.headers.get("idempotency-key")
    if key is not None and not KEY_FORMAT.fullmatch(key):
        raise BadIdempotencyKey("Idempotency-Key must be 1 to 255 visible ASCII characters")
    return key


LOCK = """
SELECT pg_try_advisory_xact_lock(hashtextextended($1::text || ' ' || $2, 0))
"""

FIND = """
SELECT request_sha256, status, headers, body
  FROM idempotent_answer
 WHERE api_key_id = $1
   AND key = $2
"""


async def saved_answer(
    tx: Connection, caller: Caller, key: str, fingerprint: bytes, answer: Answer
) -> bool:
    """Fill in the answer saved under a key. Raises when the key is in use at this moment, or
    was used for another request."""
    if not await tx.fetchval(LOCK, str(caller.key_id), key):
        raise IdempotencyKeyInFlight("ask again in a moment for its answer")
    row = await tx.fetchrow(FIND, caller.key_id, key)
    if row is None:
        return False
    if row["request_sha256"] != fingerprint:
        raise IdempotencyKeyReused("a new request needs a new key")
    headers = [(name.encode(), value.encode()) for name, value in row["headers"]]
    headers.append((b"idempotent-replay", b"true"))
    answer.start = {"type": "http.response.start", "status": row["status"], "headers": headers}
    answer.bodies = [row["body"]]
    return True


SAVE = """
INSERT INTO idempotent_answer
       (api_key_id, key, request_sha256, status, headers, body, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
"""


async def save(
    tx: Connection, caller: Caller, key: str, fingerprint: bytes, answer: Answer
) -> None:
    headers = [(name.decode(), value.decode()) for name, value in answer.start["headers"]]
    await tx.execute(
        SAVE, caller.key_id, key, fingerprint, answer.status, headers, answer.body, system_now()
    )


def provide_db(request: Request[None, None, State]) -> Database:
    """For what is asked outside of `/v1`, where no transaction is opened beforehand."""
    return cast("Database", request.scope["state"]["db"])


def provide_tx(request: Request[None, None, State]) -> Connection:
    """The request's transaction. Nobody below the edge opens or ends one."""
    return cast("Connection", request.scope["state"]["tx"])


def provide_caller(request: Request[None, None, State]) -> Caller:
    return cast("Caller", request.scope["state"]["caller"])


def provide_unreadable(request: Request[None, None, State]) -> Malformed:
    """The rows of a batch that could not be read. The body was read before dependencies are."""
    return cast("Malformed", request.scope["state"].get("unreadable", Malformed({})))


async def provide_now(tx: NamedDependency[Connection]) -> datetime:
    return await clock.now(tx)


# What handlers ask for by these names.
Db = NamedDependency[Database]
Tx = NamedDependency[Connection]
By = NamedDependency[Caller]
Now = NamedDependency[datetime]
Unreadable = NamedDependency[Malformed]

FORGET = """
DELETE FROM idempotent_answer
 WHERE created_at < $1
"""


async def forget_answers(tx: Connection, before: datetime) -> int:
    """Drop saved answers of old requests; returns how many."""
    return int((await tx.execute(FORGET, before)).rpartition(" ")[2])
