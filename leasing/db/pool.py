"""The one way to the database: a pool of connections, and transactions on them.

A connection speaks UTC and gives up on a statement or a lock after a bounded time. The search
path holds one schema, the lessor's, and nothing else: a table that is missing there is an
error, never another lessor's table.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from enum import StrEnum
from types import TracebackType
from typing import TYPE_CHECKING, Self
from uuid import UUID

import asyncpg
import msgspec
from asyncpg.pool import PoolConnectionProxy

from leasing.kit.settings import Settings

# asyncpg's classes take a parameter in its stubs only.
if TYPE_CHECKING:
    LoneConnection = asyncpg.Connection[asyncpg.Record]
    Connection = LoneConnection | PoolConnectionProxy[asyncpg.Record]
    Pool = asyncpg.Pool[asyncpg.Record]
else:
    LoneConnection = asyncpg.Connection
    Connection = PoolConnectionProxy  # what handlers are given; Litestar checks it
    Pool = asyncpg.Pool


class DbRole(StrEnum):
    """PostgreSQL roles that a transaction may step down to. Row-level security applies to
    all of them; the lessor's own staff and jobs run as the tables' owner."""

    CUSTOMER = "leasing_customer"
    RECYCLER = "leasing_recycler"
    AUDITOR = "leasing_auditor"
    REGULATOR = "leasing_regulator"


class Actor(msgspec.Struct, frozen=True):
    """On whose behalf a transaction runs. `role` None is the lessor itself."""

    role: DbRole | None = None
    party_id: UUID | None = None


LESSOR = Actor()


# What asyncpg raises on a connection that is gone. The internal one comes when a statement is
# sent while the server's farewell is still being read.
GONE = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)


LOST = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.exceptions.OperatorInterventionError,
    asyncpg.InternalClientError,
)


def is_lost(error: Exception) -> bool:
    """Whether the database is gone, rather than one item bad. A statement that took too long and
    a value that no column can hold come in classes of `LOST` too, but trying again will not help
    them: a run that took them for a lost database would never end, and hold up all others."""
    return isinstance(error, LOST) and not isinstance(
        error, (asyncpg.QueryCanceledError, ValueError)
    )


class NothingCommitted(Exception):
    """A statement failed, its error was caught, and the transaction could not commit."""


class LeanConnection(LoneConnection):
    """A connection whose release costs no round trip.

    asyncpg sends `RESET ALL; CLOSE ALL; UNLISTEN *; pg_advisory_unlock_all()` each time a
    connection goes back to the pool, which doubles PostgreSQL's work for a small read. We may
    leave it out because nothing here changes a session: settings and the role are
    `SET LOCAL`, advisory locks on pooled connections are transaction-level, listeners have a
    connection of their own. tests/db/test_pool.py holds us to it. An open transaction is
    still rolled back by asyncpg itself.
    """

    def get_reset_query(self) -> str:
        return ""


class Database:
    """A pool on one lessor's schema."""

    def __init__(self, pool: Pool, dsn: str, settings: Settings) -> None:
        self.pool = pool
        self.dsn = dsn
        self.settings = settings
        self.before_closing: list[Callable[[], Awaitable[None]]] = []
        """What ends with the pool: connections beside it, and tasks."""

    @asynccontextmanager
    async def transaction(
        self, actor: Actor = LESSOR, *, read_only: bool = False
    ) -> AsyncIterator[Connection]:
        """Open a transaction, stepped down to the actor's role; commit at the end of the
        block, roll back if it raises. A read-only one sees a single snapshot."""
        async with self.pool.acquire() as connection:
            await connection.execute(begin(actor, read_only=read_only))
            try:
                yield connection
            except BaseException:
                # A connection that is gone has rolled back by itself.
                with suppress(*GONE):
                    await connection.execute("ROLLBACK")
                raise
            # PostgreSQL answers ROLLBACK when an error inside was swallowed: nothing was kept.
            if await connection.execute("COMMIT") != "COMMIT":
                raise NothingCommitted

    @asynccontextmanager
    async def statement(self) -> AsyncIterator[Connection]:
        """A connection for a single statement of the lessor's own. That is a transaction by
        itself, so BEGIN and COMMIT would be two round trips for nothing."""
        async with self.pool.acquire() as connection:
            yield connection

    async def connect_alone(self) -> LoneConnection:
        """A connection outside the pool, for a session-level lock or a listener. The caller
        closes it."""
        connection = await asyncpg.connect(self.dsn, server_settings=session(self.settings))
        await prepare_connection(connection)
        return connection

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for end in self.before_closing:
            await end()
        await self.pool.close()


ROLE = "SELECT current_setting('role')"


@asynccontextmanager
async def as_lessor(tx: Connection) -> AsyncIterator[None]:
    """Act as the lessor itself for the block, in a transaction that was stepped down: to write
    what a customer asked for about something that it was seen to have, or to read what is part of
    a thing of its own and hidden by itself."""
    role = await tx.fetchval(ROLE)
    await tx.execute("SET LOCAL ROLE NONE")
    try:
        yield
    finally:
        # One of `DbRole`, or none. A transaction that broke has no role to go back to.
        with suppress(asyncpg.InFailedSQLTransactionError):
            await tx.execute(f"SET LOCAL ROLE {role}")


@asynccontextmanager
async def savepoint(tx: Connection) -> AsyncIterator[None]:
    """Undo the block, and only the block, if it raises. (asyncpg's own nesting wants to have
    opened the transaction itself.)"""
    await tx.execute("SAVEPOINT here")
    try:
        yield
    except Exception:
        await tx.execute("ROLLBACK TO SAVEPOINT here; RELEASE SAVEPOINT here")
        raise
    await tx.execute("RELEASE SAVEPOINT here")


MANY = 20


async def fetch_for(
    tx: Connection, rows: int, sql: str, *arguments: object
) -> list[asyncpg.Record]:
    """Run a statement that looks something up for each of some rows. For many it is planned anew:
    a session keeps the plan it made for one row when the table was small, and that may go through
    the whole table for each of a thousand."""
    if rows < MANY:
        return await tx.fetch(sql, *arguments)
    statement = await tx.prepare(sql)
    return await statement.fetch(*arguments)


def begin(actor: Actor, *, read_only: bool) -> str:
    """The statements that open a transaction, in one round trip."""
    mode = "ISOLATION LEVEL REPEATABLE READ READ ONLY" if read_only else ""
    return f"BEGIN {mode}; {step_down(actor)}"


def step_down(actor: Actor) -> str:
    """The statements that bind the open transaction to an actor until it ends. The party is a
    UUID and the role an enumeration, so nothing a caller wrote gets into the text."""
    if actor.role is None:
        return ""
    party = actor.party_id or ""
    return f"SET LOCAL ROLE {actor.role.value}; SET LOCAL leasing.party = '{party}'"


async def connect(dsn: str, settings: Settings) -> Database:
    """Open the pool. Raises what asyncpg raises when the server cannot be reached."""
    pool = await asyncpg.create_pool(
        dsn,
        min_size=1,
        max_size=settings.pool_size,
        connection_class=LeanConnection,
        init=prepare_connection,
        server_settings=session(settings),
    )
    return Database(pool, dsn, settings)


def session(settings: Settings) -> dict[str, str]:
    """What every session of ours is set to from its first byte on."""
    return {
        "application_name": "leasing",
        "timezone": "UTC",
        "search_path": quote_identifier(settings.schema),
        "statement_timeout": str(settings.statement_timeout_ms),
        "lock_timeout": str(settings.lock_timeout_ms),
        "idle_in_transaction_session_timeout": "60000",
    }


SORTED = msgspec.json.Encoder(order="sorted")


async def prepare_connection(connection: Connection) -> None:
    """Let `jsonb` and `json` columns take and give Python values; a `json` column keeps its text,
    so keys are sorted."""
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        encoder=lambda value: b"\x01" + msgspec.json.encode(value),
        decoder=lambda raw: msgspec.json.decode(raw[1:]),
        format="binary",
    )
    await connection.set_type_codec(
        "json",
        schema="pg_catalog",
        encoder=SORTED.encode,
        decoder=msgspec.json.decode,
        format="binary",
    )


def quote_identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
