"""What goes wrong at COMMIT is answered like anything else, and nothing of it stays."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from leasing.db.pool import Database
from leasing.http.problems import PROBLEM_JSON
from tests import build
from tests.build import World

# Something that only COMMIT notices, at an endpoint that is known to work otherwise.
TRIP_WIRE = """
CREATE FUNCTION trip() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  {action}
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER trip AFTER INSERT ON party
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION trip();
"""

TAKE_AWAY = "DROP TRIGGER IF EXISTS trip ON party; DROP FUNCTION IF EXISTS trip()"

UNBALANCED = """
INSERT INTO journal_entry (source, source_id, event, currency, posted_on)
VALUES ('test', NEW.id, 'entered', 'CNY', '2026-01-01');
INSERT INTO posting (entry_id, account, party_id, amount)
SELECT id, 'receivable', NEW.id, 1 FROM journal_entry WHERE source_id = NEW.id;
"""

KNOWN = """
RAISE EXCEPTION 'taken' USING ERRCODE = 'unique_violation', CONSTRAINT = 'party_credit_code_once';
"""

KILLED = "PERFORM pg_terminate_backend(pg_backend_pid());"

DEADLOCKED = "RAISE EXCEPTION 'as if' USING ERRCODE = 'deadlock_detected';"

SLOW = "PERFORM pg_sleep(30);"


@asynccontextmanager
async def tripped(db: Database, action: str) -> AsyncIterator[World]:
    async with build.world(db) as world:
        async with db.transaction() as tx:
            await tx.execute(TRIP_WIRE.format(action=action))
        try:
            yield world
        finally:
            async with db.transaction() as tx:
                await tx.execute(TAKE_AWAY)


async def nothing_stayed(world: World) -> None:
    async with world.db.transaction() as tx:
        for table in ("party", "domain_event", "idempotent_answer", "journal_entry", "posting"):
            assert await tx.fetchval(f"SELECT count(*) FROM {table}") == 0, table


PARTY = {"kind": "customer", "name": "A"}


async def enter(world: World, **headers: str) -> httpx.Response:
    return await world.staff.ask("POST", "/v1/parties", json=PARTY, headers=headers)


@pytest.mark.parametrize("key", [{}, {"idempotency-key": "k"}], ids=["plain", "idempotent"])
@pytest.mark.parametrize(
    ("action", "status", "code"),
    [
        (UNBALANCED, 500, "internal_error"),
        (KNOWN, 409, "credit_code_taken"),
        (KILLED, 503, "database_unavailable"),
        (DEADLOCKED, 503, "try_again"),
    ],
    ids=["unbalanced", "known", "killed", "deadlocked"],
)
def test_a_failure_at_commit_is_a_problem_and_nothing_stays(database, action, status, code, key):
    async def scenario(db: Database) -> None:
        async with tripped(db, action) as world:
            answer = await enter(world, **key)
            assert answer.status_code == status, answer.text
            assert answer.headers["content-type"] == PROBLEM_JSON
            assert answer.json()["code"] == code
            assert answer.json()["request_id"] == answer.headers["x-request-id"]
            await nothing_stayed(world)
            # The same request passes once the cause is gone: no answer was saved.
            async with db.transaction() as tx:
                await tx.execute(TAKE_AWAY)
            assert (await enter(world, **key)).status_code == 201

    database(scenario)


def test_a_caller_who_leaves_at_commit_leaves_nothing_behind(database):
    async def scenario(db: Database) -> None:
        async with tripped(db, SLOW) as world:
            request = asyncio.create_task(enter(world))
            await asyncio.sleep(0.3)
            request.cancel()
            await asyncio.gather(request, return_exceptions=True)
            await nothing_stayed(world)

    database(scenario)
