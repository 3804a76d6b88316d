"""The schema that the demo is played in, and how far the play has come.

Two facts in the outbox say it: `demo.begun`, written together with the sandbox clock, and
`demo.completed`. A schema with the first and without the second was left in the middle of the
work and is played again from the start. A schema with neither is not ours, unless it is empty.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from enum import StrEnum
from uuid import UUID

import asyncpg
import msgspec

from jobs.demo.model import Scale
from leasing.db import clock
from leasing.db.pool import Connection, LoneConnection, quote_identifier
from leasing.events import store as events
from leasing.events.store import Event

ACTOR = "demo"
PLAY = UUID("00000000-0000-4000-8000-000000000001")
"""The aggregate whose events tell how far the play has come."""


class Progress(StrEnum):
    NOTHING = "nothing"
    BEGUN = "begun"
    COMPLETED = "completed"


class NotOurs(Exception):
    """The schema holds something that the demo did not put there."""


class InUse(Exception):
    """Another process plays or serves the demo."""


TRY_LOCK = "SELECT pg_try_advisory_lock(hashtextextended('leasing demo ' || $1, 0))"


@asynccontextmanager
async def kept(dsn: str, schema: str) -> AsyncIterator[LoneConnection]:
    """Keep the schema to ourselves for the block. Raises `InUse`."""
    connection = await asyncpg.connect(dsn, server_settings={"search_path": "pg_catalog"})
    try:
        if not await connection.fetchval(TRY_LOCK, schema):
            raise InUse(f"another 'leasing demo' uses the schema {schema}: stop it first")
        yield connection
    finally:
        await connection.close()


HAS_TABLES = """
SELECT EXISTS (
  SELECT FROM pg_class
   WHERE relnamespace = to_regnamespace(quote_ident($1))
     AND relkind IN ('r', 'p'))
"""

HAS_ALL = """
SELECT count(*) = 4
  FROM pg_class
 WHERE relnamespace = to_regnamespace(quote_ident($1))
   AND relname IN ('migration', 'clock', 'party', 'domain_event')
"""


async def progress(connection: LoneConnection, schema: str) -> Progress:
    """How far the play in a schema has come. Raises `NotOurs` for a schema that holds a
    deployment, a sandbox of somebody's own, or tables of another program."""
    if not await connection.fetchval(HAS_TABLES, schema):
        return Progress.NOTHING
    if not await connection.fetchval(HAS_ALL, schema):
        raise NotOurs(f"the schema {schema} holds tables of something else")
    name = quote_identifier(schema)
    kinds = {
        row["kind"]
        for row in await connection.fetch(
            f"SELECT kind FROM {name}.domain_event WHERE aggregate_id = $1 AND aggregate = 'demo'",
            PLAY,
        )
    }
    sandbox = await connection.fetchval(f"SELECT bool_or(sandbox) FROM {name}.clock")
    if not kinds:
        if sandbox or await connection.fetchval(f"SELECT EXISTS (SELECT FROM {name}.party)"):
            raise NotOurs(f"the schema {schema} is in use, and not by the demo")
        return Progress.NOTHING
    if not sandbox:
        raise NotOurs(f"the schema {schema} is not a sandbox")
    return Progress.COMPLETED if "demo.completed" in kinds else Progress.BEGUN


async def drop(connection: LoneConnection, schema: str) -> None:
    """Drop the demo's schema with all that is in it. Raises `NotOurs`."""
    if await progress(connection, schema) is not Progress.NOTHING:
        await connection.execute(f"DROP SCHEMA {quote_identifier(schema)} CASCADE")


async def begin(tx: Connection, scale: Scale, at: datetime) -> None:
    """Start the sandbox clock, and note whose it is."""
    await clock.make_sandbox(tx, at)
    facts: dict[str, object] = msgspec.to_builtins(scale)
    await events.append(tx, [Event("demo", PLAY, "demo.begun", facts)], actor=ACTOR, now=at)


async def complete(tx: Connection, now: datetime) -> None:
    await events.append(tx, [Event("demo", PLAY, "demo.completed", {})], actor=ACTOR, now=now)
