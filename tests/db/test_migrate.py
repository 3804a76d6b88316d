"""Migrations on a real server, schemas of their own: twice, at once, edited, broken, too new."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack
from datetime import date, timedelta
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


# What the program before contracts by revision had written: leases in force, of which one had its
# pack swapped, one ended before its term was over, one after it, one that never had a pack, and
# a draft.
OLD_LEASES = """
INSERT INTO party (id, kind, name, created_at)
VALUES (uuidv7(), 'customer', 'Old customer', '2026-01-01Z');

INSERT INTO site (party_id, code, name, kind, adcode, longitude, latitude, datum, created_at)
SELECT id, 'S-1', 'Tower', 'tower', '410100', 113.5, 34.8, 'wgs84', '2026-01-01Z' FROM party;

INSERT INTO contract (number, lessee_id, term, currency, vat_percent, payment_days,
                      guarantee_percent, replacement_days, state, activated_at, ended_at,
                      created_at)
SELECT number, party.id, '[2026-01-01,2026-07-01)', 'CNY', 13, 30, 80, 7, state, activated_at,
       ended_at, '2026-01-01Z'
  FROM party,
       (VALUES ('active', 'active', TIMESTAMPTZ '2026-01-01Z', NULL::timestamptz),
               ('early', 'ended', '2026-01-01Z', '2026-04-02Z'),
               ('late', 'ended', '2026-01-01Z', '2026-08-02Z'),
               ('empty', 'ended', '2026-01-01Z', '2026-08-02Z'),
               ('draft', 'draft', NULL, NULL)) AS given (number, state, activated_at, ended_at);

INSERT INTO lease_line (contract_id, lessee_id, site_id, slot, rated_capacity_mah, rent_amount,
                        started_on, ended_on)
SELECT contract.id, contract.lessee_id, site.id, row_number() OVER (), 100000, 31000,
       CASE WHEN number IN ('active', 'early', 'late') THEN DATE '2026-01-11' END,
       CASE number WHEN 'early' THEN DATE '2026-04-01' WHEN 'late' THEN DATE '2026-08-01' END
  FROM contract, site;

INSERT INTO pack (chemistry, made_on, cells_in_series, rated_voltage_mv, rated_capacity_mah,
                  mass_kg, state, acquired_on, created_at)
SELECT 'B', '2020-01-01', 16, 51200, 100000, 46, 'in_stock', '2025-01-01', '2026-01-01Z'
  FROM generate_series(1, 4);

CREATE TEMPORARY TABLE stay AS
SELECT lease_line.id AS line_id, pack.id AS pack_id, uuidv7() AS acceptance_id,
       from_on::date, to_on::date
  FROM (VALUES ('active', '2026-01-11', '2026-03-01', 1), ('active', '2026-03-01', NULL, 2),
               ('early', '2026-01-11', '2026-04-01', 3), ('late', '2026-01-11', '2026-08-01', 4)
       ) AS given (number, from_on, to_on, nth)
  JOIN contract USING (number)
  JOIN lease_line ON lease_line.contract_id = contract.id
  JOIN (SELECT id, row_number() OVER (ORDER BY id) AS nth FROM pack) AS pack USING (nth);

INSERT INTO acceptance (id, line_id, pack_id, accepted_on, tested_capacity_mah, lessor_signatory,
                        lessee_signatory)
SELECT acceptance_id, line_id, pack_id, from_on, 95000, 'A', 'B' FROM stay;

INSERT INTO placement (acceptance_id, line_id, pack_id, during)
SELECT acceptance_id, line_id, pack_id, daterange(from_on, to_on) FROM stay;

INSERT INTO pack_return (line_id, pack_id, returned_on, reason)
SELECT line_id, pack_id, to_on, 'end_of_lease' FROM stay WHERE to_on IS NOT NULL
"""

AS_MIGRATED = """
SELECT contract.number, contract.ended_on, ending_reason,
       upper(contract_revision.during) AS terms_to,
       lease_line.ended_on AS line_ended_on, end_reason, upper(line_revision.during) AS line_to,
       first_acceptance_id IS NOT NULL AS begun,
       (SELECT count(*) FROM placement WHERE line_id = lease_line.id AND slot = line_revision.slot)
  FROM contract
  JOIN contract_revision ON contract_revision.contract_id = contract.id
  JOIN lease_line ON lease_line.contract_id = contract.id
  JOIN line_revision ON line_id = lease_line.id
 ORDER BY contract.id
"""


def test_leases_written_before_there_were_revisions_live_on(dsn, empty):
    known = migrate.files()

    async def enter() -> None:
        connection = await asyncpg.connect(dsn)
        await connection.execute(f"SET search_path = {quote_identifier(empty.schema)}")
        await regions.load(connection)
        await connection.execute(OLD_LEASES)
        await connection.close()

    async def read() -> list[tuple[object, ...]]:
        async with await connect(dsn, empty) as db, db.transaction() as tx:
            found = [tuple(row) for row in await tx.fetch(AS_MIGRATED)]
        async with await connect(dsn, empty) as db, build.world(db, on=None) as world:
            page = await world.staff.get("/v1/contracts")
            assert [one["number"] for one in page["items"]] == [one[0] for one in found]
            lines = (await world.staff.get("/v1/lines"))["items"]
            assert [line["rent_amount"] for line in lines] == [31_000] * 5
        return found

    run(dsn, empty, *known[:15])
    asyncio.run(enter())
    run(dsn, empty, *known)
    april, july, august = date(2026, 4, 1), date(2026, 7, 1), date(2026, 8, 1)
    assert asyncio.run(read()) == [
        ("active", None, None, None, None, None, None, True, 2),
        ("early", april, "agreement", april, april, "returned", april, True, 1),
        ("late", august, "expiry", august, august, "returned", august, True, 1),
        ("empty", july, "expiry", july, july, "removed", july, False, 0),
        ("draft", None, None, None, None, None, None, False, 0),
    ]


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
