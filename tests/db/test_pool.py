"""One pooled connection, used in every way there is, is afterwards as it was before.

The pool does not reset connections (`LeanConnection`); these tests are what allows it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import msgspec
import pytest

from leasing.access.model import Role
from leasing.db.pool import (
    LESSOR,
    Actor,
    Database,
    DbRole,
    NothingCommitted,
    connect,
    savepoint,
)
from leasing.http.problems import DatabaseUnavailable, database_error
from leasing.kit.settings import Settings
from tests import build

CUSTOMER = Actor(DbRole.CUSTOMER, UUID(int=1))
RECYCLER = Actor(DbRole.RECYCLER, UUID(int=2))
AUDITOR = Actor(DbRole.AUDITOR)
ACTORS = [LESSOR, CUSTOMER, RECYCLER, AUDITOR]

STATE = """
SELECT pg_backend_pid() AS backend,
       current_user::text = session_user::text AS is_itself,
       coalesce(current_setting('leasing.party', true), '') AS party,
       current_setting('search_path') AS search_path,
       current_setting('timezone') AS timezone,
       current_setting('statement_timeout') AS statement_timeout,
       current_setting('lock_timeout') AS lock_timeout,
       current_setting('transaction_isolation') AS isolation,
       current_setting('transaction_read_only') AS read_only,
       array(SELECT name || '=' || setting
               FROM pg_settings
              WHERE source = 'session'
                AND setting IS DISTINCT FROM reset_val
                AND name NOT LIKE 'transaction%'
              ORDER BY name) AS changed_settings,
       (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid())
         AS advisory_locks,
       (SELECT count(*) FROM pg_listening_channels()) AS listeners,
       (SELECT count(*) FROM pg_cursors WHERE name <> '') AS cursors,
       (SELECT count(*) FROM pg_class WHERE relnamespace = pg_my_temp_schema() AND relkind = 'r')
         AS temporary_tables,
       pg_current_xact_id_if_assigned() IS NULL AS no_transaction
"""

CLEAN = {
    "is_itself": True,
    "party": "",
    "timezone": "UTC",
    "statement_timeout": "20s",
    "lock_timeout": "200ms",
    "isolation": "read committed",
    "read_only": "off",
    "changed_settings": [],
    "advisory_locks": 0,
    "listeners": 0,
    "temporary_tables": 0,
    "no_transaction": True,
}


async def look(db: Database) -> dict[str, Any]:
    """The state of the pool's one connection, taken as it lies there."""
    async with db.pool.acquire() as connection:
        assert not connection.is_in_transaction()
        row = await connection.fetchrow(STATE)
        assert row is not None
        return dict(row)


@pytest.fixture
def single(dsn: str, migrated: Settings) -> Callable[[Callable[[Database], Awaitable[None]]], None]:
    """Run a scenario on a pool of one connection, with short timeouts."""
    settings = msgspec.structs.replace(
        migrated, pool_size=1, statement_timeout_ms=20_000, lock_timeout_ms=200
    )

    def play(scenario: Callable[[Database], Awaitable[None]]) -> None:
        async def work() -> None:
            async with await connect(dsn, settings) as db:
                await scenario(db)

        asyncio.run(work())

    return play


# --- Ways to use a transaction ----------------------------------------------------------------


class Refused(Exception):
    pass


async def commit(db: Database, actor: Actor) -> None:
    async with db.transaction(actor) as tx:
        await tx.fetchval("SELECT count(*) FROM party")


async def read_only(db: Database, actor: Actor) -> None:
    async with db.transaction(actor, read_only=True) as tx:
        await tx.fetchval("SELECT count(*) FROM party")


async def write_in_read_only(db: Database, actor: Actor) -> None:
    with pytest.raises(asyncpg.PostgresError):
        async with db.transaction(actor, read_only=True) as tx:
            await tx.execute("DELETE FROM party")


async def nothing(db: Database, actor: Actor) -> None:
    async with db.transaction(actor):
        pass


async def execute(db: Database, actor: Actor, *statements: str) -> None:
    async with db.transaction(actor) as tx:
        for statement in statements:
            await tx.execute(statement)


async def refuse(db: Database, actor: Actor) -> None:
    async def work() -> None:
        async with db.transaction(actor) as tx:
            await tx.fetchval("SELECT 1")
            raise Refused

    with pytest.raises(Refused):
        await work()


async def fail_in_the_database(db: Database, actor: Actor) -> None:
    with pytest.raises(asyncpg.DivisionByZeroError):
        await execute(db, actor, "SELECT 1 / 0")


async def swallow_an_error(db: Database, actor: Actor) -> None:
    async with db.transaction(actor) as tx:
        with suppress(asyncpg.DivisionByZeroError):
            await tx.fetchval("SELECT 1 / 0")


async def fail_and_go_on(db: Database, actor: Actor) -> None:
    """A failure that is swallowed leaves a transaction that can only roll back, and says so."""
    with pytest.raises(NothingCommitted):
        await swallow_an_error(db, actor)


async def time_out(db: Database, actor: Actor) -> None:
    with pytest.raises(asyncpg.QueryCanceledError):
        await execute(db, actor, "SET LOCAL statement_timeout = '50ms'", "SELECT pg_sleep(5)")


async def lock_in_transaction(db: Database, actor: Actor) -> None:
    async with db.transaction(actor) as tx:
        await tx.execute("SELECT pg_advisory_xact_lock(1), pg_try_advisory_xact_lock(2)")


async def fail_in_a_savepoint(db: Database, actor: Actor) -> None:
    async with db.transaction(actor) as tx:
        with pytest.raises(asyncpg.DivisionByZeroError):
            async with savepoint(tx):
                await tx.execute("SET LOCAL lock_timeout = '1ms'; SELECT 1 / 0")
        assert await tx.fetchval("SELECT 1") == 1


async def set_locally(db: Database, actor: Actor) -> None:
    async with db.transaction(actor) as tx:
        await tx.execute("SET LOCAL work_mem = '1MB'; SET LOCAL statement_timeout = 0")
        await tx.execute("SET LOCAL ROLE NONE; SET LOCAL leasing.party = 'somebody'")


async def leave_a_cursor(db: Database, actor: Actor) -> None:
    async with db.transaction(actor) as tx:
        await tx.execute("DECLARE half_read CURSOR FOR SELECT generate_series(1, 1000)")
        await tx.execute("FETCH 10 FROM half_read")


async def abandon(task: "asyncio.Task[None]", after_s: float) -> None:
    await asyncio.sleep(after_s)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def cancel_in_a_query(db: Database, actor: Actor) -> None:
    await abandon(asyncio.create_task(execute(db, actor, "SELECT pg_sleep(5)")), 0.05)


async def cancel_between_queries(db: Database, actor: Actor) -> None:
    async def work() -> None:
        async with db.transaction(actor) as tx:
            await tx.execute("SELECT 1")
            await asyncio.sleep(5)

    await abandon(asyncio.create_task(work()), 0.05)


async def run_into_a_wait_limit(db: Database, actor: Actor) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(execute(db, actor, "SELECT pg_sleep(5)"), 0.05)


USES = [
    commit,
    read_only,
    write_in_read_only,
    nothing,
    refuse,
    fail_in_the_database,
    fail_and_go_on,
    time_out,
    lock_in_transaction,
    fail_in_a_savepoint,
    set_locally,
    leave_a_cursor,
    cancel_in_a_query,
    cancel_between_queries,
    run_into_a_wait_limit,
]


@pytest.mark.parametrize("use", USES, ids=lambda use: use.__name__)
def test_a_transaction_leaves_nothing_on_its_connection(single, use):
    async def scenario(db: Database) -> None:
        before = await look(db)
        assert {name: before[name] for name in CLEAN} == CLEAN
        for actor in ACTORS:
            await use(db, actor)
            assert await look(db) == before, actor

    single(scenario)


@pytest.mark.parametrize("actor", ACTORS, ids=str)
def test_a_transaction_cancelled_at_any_moment_leaves_nothing(single, actor):
    async def work(db: Database) -> None:
        async with db.transaction(actor) as tx:
            await tx.fetchval("SELECT count(*) FROM party")
            await tx.execute("SELECT pg_advisory_xact_lock(1)")

    async def scenario(db: Database) -> None:
        before = await look(db)
        finished = 0
        for turns in range(60):
            task = asyncio.create_task(work(db))
            for _ in range(turns):
                # A turn of the loop, and now and then the time for an answer to arrive.
                await asyncio.sleep(0.0002 if turns % 2 else 0)
            finished += task.done()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert await look(db) == before, turns
        assert finished < 60

    single(scenario)


# What only COMMIT looks at.
TWICE = """
CREATE TEMPORARY TABLE once (
  number integer CONSTRAINT once_each UNIQUE DEFERRABLE INITIALLY DEFERRED
) ON COMMIT DROP;
INSERT INTO once VALUES (1), (1);
"""


def test_a_commit_that_is_refused_leaves_nothing(single):
    async def scenario(db: Database) -> None:
        before = await look(db)
        commits = db.transaction()
        tx = await commits.__aenter__()
        await tx.execute(
            "INSERT INTO party (kind, name, created_at) VALUES ('customer', 'Refused', now())"
        )
        await tx.execute(TWICE)
        with pytest.raises(asyncpg.UniqueViolationError) as refused:
            await commits.__aexit__(None, None, None)
        assert refused.value.constraint_name == "once_each"
        assert await look(db) == before
        async with db.transaction() as tx:
            assert not await tx.fetch("SELECT FROM party WHERE name = 'Refused'")

    single(scenario)


def test_waiting_for_a_lock_ends_and_leaves_nothing(single):
    async def scenario(db: Database) -> None:
        before = await look(db)
        other = await db.connect_alone()
        async with other.transaction():
            await other.execute("LOCK TABLE site")
            with pytest.raises(asyncpg.LockNotAvailableError):
                await execute(db, CUSTOMER, "SELECT FROM site")
        await other.close()
        assert await look(db) == before

    single(scenario)


@pytest.mark.parametrize("attempt", range(5))
def test_a_connection_the_server_ended_is_replaced_by_a_clean_one(single, attempt):
    async def scenario(db: Database) -> None:
        before = await look(db)
        other = await db.connect_alone()
        # asyncpg has many words for it; the edge must understand every one of them.
        lost: Exception | None = None
        try:
            async with db.transaction(CUSTOMER) as tx:
                await other.execute("SELECT pg_terminate_backend($1)", before["backend"])
                await tx.execute("SELECT 1")
        except Exception as error:
            lost = error
        assert lost is not None
        assert isinstance(database_error(lost), DatabaseUnavailable), lost
        await other.close()
        after = await look(db)
        assert after.pop("backend") != before.pop("backend")
        assert after == before

    single(scenario)


def test_requests_of_every_kind_leave_nothing(single):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=None) as world:
            before = await look(db)
            party = await build.customer(world)
            for client in (
                world.staff,
                await world.login(Role.CUSTOMER, party["id"]),
                await world.login(Role.AUDITOR),
                world.client("bl_nobody"),
            ):
                for method, path, body in (
                    ("GET", "/v1/sites", None),
                    ("GET", "/v1/sites?limit=0", None),
                    ("GET", f"/v1/sites/{uuid4()}", None),
                    ("POST", "/v1/parties", {"kind": "customer", "name": "B"}),
                    ("POST", "/v1/parties", {"kind": "customer"}),
                    ("POST", "/v1/sites", {"party_id": party["id"]}),
                ):
                    for headers in ({}, {"idempotency-key": str(uuid4())}):
                        await client.ask(method, path, json=body, headers=headers)
                        assert await look(db) == before, (method, path)
        async with db.transaction() as tx:
            await tx.execute("TRUNCATE idempotent_answer, api_key, party CASCADE")

    single(scenario)


def test_what_a_session_setting_would_leave_is_seen(single):
    """The other tests are worth something only if `look` sees a leak."""

    async def scenario(db: Database) -> None:
        for leak in (
            "SET work_mem = '1MB'",
            "SET ROLE leasing_customer",
            "SET leasing.party = 'somebody'",
            "SELECT pg_advisory_lock(1)",
            "LISTEN something",
            "CREATE TEMPORARY TABLE stage (id int)",
            "SET search_path = public",
        ):
            before = await look(db)
            async with db.pool.acquire() as connection:
                await connection.execute(leak)
            assert await look(db) != before, leak
            async with db.pool.acquire() as connection:
                await connection.execute("DISCARD ALL")
            await db.pool.expire_connections()

    single(scenario)


def test_a_lone_connection_speaks_utc_within_limits(single):
    async def scenario(db: Database) -> None:
        alone = await db.connect_alone()
        found = dict(await alone.fetchrow(STATE) or {})
        await alone.close()
        assert {name: found[name] for name in CLEAN} == CLEAN

    single(scenario)


def test_a_single_statement_outside_a_transaction_leaves_nothing_open(database) -> None:
    async def scenario(db: Database) -> None:
        async with db.statement() as connection:
            assert not connection.is_in_transaction()
            assert await connection.fetchval("SELECT 1") == 1
            assert not connection.is_in_transaction()

    database(scenario)
