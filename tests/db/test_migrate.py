"""Migrations on a real server, schemas of their own: twice, at once, edited, broken, too new."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import asyncpg
import msgspec
import pytest

from leasing.access import store as access
from leasing.access.model import Role
from leasing.app import create
from leasing.db import migrate
from leasing.db.migrate import Migration, MigrationError
from leasing.db.pool import connect, quote_identifier
from leasing.kit.settings import Settings
from leasing.kit.time import system_now
from leasing.regions import store as regions
from tests import build
from tests.build import Client

FIRST = Migration(1, "0001_lamp.sql", "CREATE TABLE lamp (id int); INSERT INTO lamp VALUES (1)")
SECOND = Migration(2, "0002_shade.sql", "CREATE TABLE shade (id int)")
BROKEN = Migration(2, "0002_broken.sql", "CREATE TABLE shade (id int); SELECT 1 / 0")


@pytest.fixture
def empty(dsn: str) -> Iterator[Settings]:
    """The name of a schema that is not there yet."""
    settings = Settings(schema=f"Migrate {uuid4().hex[:8]}", pool_size=2, key_memory_seconds=0.0)
    yield settings
    asyncio.run(drop(dsn, settings))


async def drop(dsn: str, *all_settings: Settings) -> None:
    connection = await asyncpg.connect(dsn)
    for settings in all_settings:
        name = quote_identifier(settings.schema)
        await connection.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE")
    await connection.close()


TABLES = """
SELECT tablename::text
  FROM pg_tables
 WHERE schemaname = $1
 ORDER BY tablename
"""


async def tables(dsn: str, settings: Settings) -> list[str]:
    connection = await asyncpg.connect(dsn)
    found = await connection.fetch(TABLES, settings.schema)
    await connection.close()
    return [row[0] for row in found]


def run(dsn: str, settings: Settings, *migrations: Migration) -> int:
    return asyncio.run(migrate.migrate(dsn, settings, migrations=list(migrations)))


def test_migrating_twice_applies_every_file_once(dsn, empty):
    told: list[str] = []
    known = migrate.files()
    assert asyncio.run(migrate.migrate(dsn, empty, told.append)) == len(known)
    assert told == [f"applied {migration.name}" for migration in known]
    assert asyncio.run(migrate.migrate(dsn, empty, told.append)) == 0
    assert len(told) == len(known)


MIGRATE = """
import asyncio, sys
from leasing.db.migrate import migrate
from leasing.kit.settings import Settings
print(asyncio.run(migrate(sys.argv[1], Settings(schema=sys.argv[2]))))
"""


def test_processes_that_migrate_at_once_do_the_work_of_one(dsn, empty):
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", MIGRATE, dsn, empty.schema],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
            text=True,
        )
        for _ in range(3)
    ]
    ended = [racer.communicate(timeout=60) for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0, 0], ended
    assert sum(int(out) for out, _ in ended) == len(migrate.files())


def test_tasks_that_migrate_at_once_do_the_work_of_one(dsn, empty):
    async def race() -> list[int]:
        return await asyncio.gather(*(migrate.migrate(dsn, empty) for _ in range(5)))

    assert sum(asyncio.run(race())) == len(migrate.files())


def test_a_file_edited_after_it_was_applied_is_refused(dsn, empty):
    run(dsn, empty, FIRST)
    edited = msgspec.structs.replace(FIRST, sql=FIRST.sql + " -- harmless, is it not")
    with pytest.raises(MigrationError, match=r"0001_lamp\.sql was edited after it was applied"):
        run(dsn, empty, edited, SECOND)
    assert await_tables(dsn, empty) == ["lamp", "migration"]
    assert run(dsn, empty, FIRST, SECOND) == 1


def test_a_database_newer_than_the_program_is_refused(dsn, empty):
    run(dsn, empty, FIRST, SECOND)
    with pytest.raises(MigrationError, match="is at migration 0002, this program knows 0001"):
        run(dsn, empty, FIRST)


def test_a_migration_that_fails_leaves_nothing_and_can_be_put_right(dsn, empty):
    with pytest.raises(asyncpg.DivisionByZeroError):
        run(dsn, empty, FIRST, BROKEN)
    assert await_tables(dsn, empty) == ["lamp", "migration"]
    assert run(dsn, empty, FIRST, SECOND) == 1
    assert await_tables(dsn, empty) == ["lamp", "migration", "shade"]


def await_tables(dsn: str, settings: Settings) -> list[str]:
    return asyncio.run(tables(dsn, settings))


def test_a_migration_that_does_not_get_its_lock_gives_up_and_leaves_nothing(dsn, empty):
    # The file sets a shorter time than the runner's ten seconds, which it may.
    patient = Migration(
        2, "0002_wait.sql", "SET LOCAL lock_timeout = '50ms'; ALTER TABLE lamp ADD note text"
    )

    async def scenario() -> None:
        await migrate.migrate(dsn, empty, migrations=[FIRST])
        traffic = await asyncpg.connect(dsn)
        async with traffic.transaction():
            await traffic.execute(f"SELECT * FROM {quote_identifier(empty.schema)}.lamp")
            with pytest.raises(asyncpg.LockNotAvailableError):
                await migrate.migrate(dsn, empty, migrations=[FIRST, patient])
        await traffic.close()
        assert await migrate.migrate(dsn, empty, migrations=[FIRST, patient]) == 1

    asyncio.run(scenario())


def test_each_file_runs_with_a_lock_timeout_that_ends_with_it(dsn, empty):
    probe = Migration(
        1,
        "0001_probe.sql",
        "CREATE TABLE probe AS SELECT current_setting('lock_timeout') AS lock_timeout",
    )
    run(dsn, empty, probe)

    async def read() -> str:
        connection = await asyncpg.connect(dsn)
        name = quote_identifier(empty.schema)
        found: str = await connection.fetchval(f"SELECT lock_timeout FROM {name}.probe")
        await connection.close()
        return found

    assert asyncio.run(read()) == "10s"


def test_another_major_version_of_the_server_is_refused():
    with pytest.raises(MigrationError, match="PostgreSQL 18 is needed, this server is 17"):
        migrate.refuse_other_server(17)
    migrate.refuse_other_server(18)


def test_files_are_numbered_without_a_gap_and_others_are_passed_over(tmp_path):
    for name in ("0001_one.sql", "0002_two.sql", "README.md", "0003_draft.sql.bak", "notes.sql"):
        (tmp_path / name).write_text("SELECT 1")
    assert [one.name for one in migrate.files(tmp_path)] == ["0001_one.sql", "0002_two.sql"]
    (tmp_path / "0004_four.sql").write_text("SELECT 1")
    with pytest.raises(MigrationError, match="without a gap"):
        migrate.files(tmp_path)
    (tmp_path / "0004_four.sql").rename(tmp_path / "0002_again.sql")
    with pytest.raises(MigrationError, match="without a gap"):
        migrate.files(tmp_path)


def test_two_lessors_in_one_database_do_not_see_each_other(dsn):
    north, south = (
        Settings(schema=f"{name} {uuid4().hex[:8]}", pool_size=2, key_memory_seconds=0.0)
        for name in ("North; DROP", 'Sou"th')
    )

    async def open_for_business(stack: AsyncExitStack, settings: Settings) -> tuple[Client, str]:
        await migrate.migrate(dsn, settings)
        db = await stack.enter_async_context(await connect(dsn, settings))
        async with db.transaction() as tx:
            await regions.load(tx)
            now = system_now()
            key = await access.create(
                tx,
                role=Role.STAFF,
                party_id=None,
                name="staff",
                now=now,
                expires_at=now + timedelta(days=1),
            )
        http = build.connect(create(db), key)
        openapi = (await http.get("/schema/openapi.json")).json()
        return Client(http, openapi), key

    async def scenario() -> None:
        async with AsyncExitStack() as stack:
            await tell_apart(*[await open_for_business(stack, one) for one in (north, south)])

    async def tell_apart(of_north: tuple[Client, str], of_south: tuple[Client, str]) -> None:
        (in_north, north_key), (in_south, south_key) = of_north, of_south
        # The same names on both sides do not get in each other's way.
        lessor = {"kind": "lessor", "name": "The only lessor"}
        first = await in_north.post("/v1/parties", lessor, **{"idempotency-key": "same"})
        second = await in_south.post("/v1/parties", lessor, **{"idempotency-key": "same"})
        assert first["id"] != second["id"]
        for client, own, other in ((in_north, first, second), (in_south, second, first)):
            assert [one["id"] for one in (await client.get("/v1/parties"))["items"]] == [own["id"]]
            await client.refused("GET", f"/v1/parties/{other['id']}", 404)
            events = (await client.get("/v1/events"))["items"]
            assert {event["aggregate_id"] for event in events} <= {own["id"]}
        # A key opens one house only.
        for client, key in ((in_north, south_key), (in_south, north_key)):
            foreign = await client.ask("GET", "/v1/me", headers={"authorization": f"Bearer {key}"})
            assert foreign.status_code == 401
        # Tables of the same name elsewhere are not found by accident.
        elsewhere = Settings(schema="nobody lives here", pool_size=1)
        async with await connect(dsn, elsewhere) as db, db.statement() as connection:
            with pytest.raises(asyncpg.UndefinedTableError):
                await connection.fetch("SELECT * FROM party")

    try:
        asyncio.run(scenario())
    finally:
        asyncio.run(drop(dsn, north, south))
