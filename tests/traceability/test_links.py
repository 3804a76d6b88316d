"""Each record is linked to the one before it, by the database, whoever writes it."""

import asyncio
import hashlib
from collections.abc import Iterator
from datetime import UTC, date, datetime
from random import Random
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leasing.db import migrate
from leasing.db.pool import Connection, Database, connect, quote_identifier
from leasing.kit.settings import Settings
from leasing.traceability import store
from leasing.traceability.store import Step
from tests import build
from tests.timeline import lives

NOW = datetime(2026, 6, 15, 4, 30, 1, 250, tzinfo=UTC)
ON = date(2026, 6, 15)

ALL = """
SELECT id, pack_id, sequence, kind, happened_on, adcode, party_id, corrects_id, actor, recorded_at,
       data::text AS text, previous_hash, hash
  FROM trace_record
 ORDER BY pack_id, sequence
"""


def reckoned(record: Any) -> bytes:
    """A hash as docs/traceability.md says that a stranger reckons it."""
    lines = []
    if record["previous_hash"] is not None:
        lines.append("previous " + record["previous_hash"].hex())
    lines += [
        f"id {record['id']}",
        f"pack {record['pack_id']}",
        f"sequence {record['sequence']}",
        f"kind {record['kind']}",
        f"happened_on {record['happened_on'].isoformat()}",
    ]
    for name, column in (("adcode", "adcode"), ("party", "party_id"), ("corrects", "corrects_id")):
        if record[column] is not None:
            lines.append(f"{name} {record[column]}")
    at = record["recorded_at"].strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    lines += [f"actor {record['actor']}", f"recorded_at {at}", "data " + record["text"]]
    return hashlib.sha256(("\n".join(lines) + "\n").encode()).digest()


def chains(records: list[Any]) -> dict[UUID, list[Any]]:
    found: dict[UUID, list[Any]] = {}
    for record in records:
        found.setdefault(record["pack_id"], []).append(record)
    return found


def assert_whole(records: list[Any]) -> None:
    for chain in chains(records).values():
        before = None
        for number, record in enumerate(chain, start=1):
            assert record["sequence"] == number
            assert record["previous_hash"] == before
            assert record["hash"] == reckoned(record)
            before = record["hash"]


async def stock(world: build.World, count: int) -> list[UUID]:
    return [UUID((await build.pack(world))["id"]) for _ in range(count)]


async def refused(tx: Connection, sql: str, *arguments: object) -> str | None:
    await tx.execute("SAVEPOINT before")
    with pytest.raises(asyncpg.IntegrityConstraintViolationError) as found:
        await tx.execute(sql, *arguments)
    await tx.execute("ROLLBACK TO SAVEPOINT before")
    return found.value.constraint_name


def test_every_record_of_a_lease_is_linked_as_a_stranger_would_link_it(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, lives.BEGINS_ON) as world:
            await lives.full_life(world)
        async with db.transaction() as tx:
            records = await tx.fetch(ALL)
        assert len(records) > 10
        assert {len(chain) > 1 for chain in chains(records).values()} == {True}
        assert_whole(records)

    database(scenario)


def test_records_of_one_pack_in_one_batch_follow_one_another(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            packs = await stock(world, 3)
            party = UUID((await build.customer(world))["id"])
        said = [
            {"b": 1, "a": {"z": None, "y": ["锂", 'quote " and \\ and\nline', 1.5]}},
            {},
            {"reason": "\u2028"},
        ]
        steps = [
            Step(pack, "pack.inspected", ON, data, "410100", party)
            for data in said
            for pack in packs
        ]
        async with db.transaction() as tx:
            await store.record(tx, steps, by="批量 batch", now=NOW)
        async with db.transaction() as tx:
            records = await tx.fetch(ALL)
        assert [len(chain) for chain in chains(records).values()] == [4, 4, 4]
        assert_whole(records)
        (text,) = {one["text"] for one in records if one["sequence"] == 2}
        assert text == '{"a":{"y":["锂","quote \\" and \\\\ and\\nline",1.5],"z":null},"b":1}'

    database(scenario)


INSERT = """
INSERT INTO trace_record (pack_id, sequence, kind, happened_on, data, actor, recorded_at,
                          corrects_id, hash, previous_hash)
VALUES ($1, $2, $3, '2026-06-15', '{}', $4, now(), $5, $6, $6)
"""


def test_the_table_refuses_gaps_forged_hashes_and_corrections_of_another_pack(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            one, other = await stock(world, 2)
        async with db.transaction() as tx:
            first = await tx.fetchval("SELECT id FROM trace_record WHERE pack_id = $1", one)
            for row, why in [
                ((one, 3, "pack.failed", "x", None, bytes(32)), "trace_record_linked"),
                ((one, 2, "pack.failed", "x", None, bytes(32)), "trace_record_linked"),
                ((one, 1, "pack.failed", "x", None, bytes(32)), "trace_record_first"),
                ((one, 2, "pack.failed", "x", None, bytes(31)), "trace_record_hash"),
                ((one, 2, "pack.failed", "x\ndata {}", None, None), "trace_record_one_line"),
                ((one, 2, "pack.failed", "x", first, None), "trace_record_correction"),
                ((one, 2, "record.corrected", "x", None, None), "trace_record_correction"),
                ((other, 2, "record.corrected", "x", first, None), "trace_record_corrects_own"),
                ((one, 2, "record.corrected", "x", uuid4(), None), "trace_record_corrects_own"),
            ]:
                assert await refused(tx, INSERT, *row) == why, row
            await tx.execute(INSERT, one, 2, "record.corrected", "x", first, None)
            again = (one, 3, "record.corrected", "x", first, None)
            assert await refused(tx, INSERT, *again) == "trace_record_corrected_once"
            assert await refused(tx, "UPDATE trace_record SET actor = 'y'") == (
                "trace_record_append_only"
            )
            assert await refused(tx, "DELETE FROM trace_record") == "trace_record_append_only"
            assert_whole(await tx.fetch(ALL))

    database(scenario)


def test_two_who_write_to_one_pack_at_once_without_its_lock_do_not_both_succeed(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            (pack,) = await stock(world, 1)
        step = Step(pack, "pack.inspected", ON, {})
        async with db.transaction() as one:
            await store.record(one, [step], by="one", now=NOW)

            async def other() -> None:
                async with db.transaction() as tx:
                    await store.record(tx, [step], by="other", now=NOW)

            waiting = asyncio.create_task(other())
            await asyncio.sleep(0.2)
            assert not waiting.done()
        with pytest.raises(asyncpg.UniqueViolationError) as found:
            await waiting
        assert found.value.constraint_name == "trace_record_in_sequence"
        async with db.transaction() as tx:
            assert_whole(await tx.fetch(ALL))

    database(scenario)


def test_many_who_write_to_the_same_packs_at_once_leave_whole_chains(database):
    writers, turns = 6, 8

    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            packs = sorted(await stock(world, 5))

        async def writer(number: int) -> None:
            dice = Random(number)
            for _ in range(turns):
                some = [pack for pack in packs if dice.random() < 0.6]
                steps = [
                    Step(pack, "pack.inspected", ON, {"by": number})
                    for pack in some
                    for _ in range(dice.randint(1, 3))
                ]
                dice.shuffle(steps)
                async with db.transaction() as tx:
                    for pack in some:
                        assert await store.lock(tx, pack)
                    await store.record(tx, steps, by=f"writer {number}", now=NOW)

        await asyncio.gather(*map(writer, range(writers)))
        async with db.transaction() as tx:
            records = await tx.fetch(ALL)
        assert len(records) > writers * turns
        assert {record["actor"] for record in records} >= {f"writer {n}" for n in range(writers)}
        assert_whole(records)

    database(scenario)


@given(st.lists(st.integers(0, 4), max_size=30))
def test_each_wave_has_a_pack_once_and_keeps_the_order_of_each(numbers):
    steps = [
        Step(UUID(int=number), "pack.inspected", ON, {"nth": nth})
        for nth, number in enumerate(numbers)
    ]
    found = list(store.waves(steps))
    for wave in found:
        assert len({step.pack_id for step in wave}) == len(wave) > 0
    for number in set(numbers):
        mine = [step for wave in found for step in wave if step.pack_id == UUID(int=number)]
        assert mine == [step for step in steps if step.pack_id == UUID(int=number)]
    assert sum(map(len, found)) == len(steps)


# --- Records from before there were links -----------------------------------------------------

LINKED_BY = "_linked_records.sql"


@pytest.fixture
def own(dsn: str) -> Iterator[Settings]:
    settings = Settings(schema=f"links_{uuid4().hex[:8]}", pool_size=2)
    yield settings

    async def drop() -> None:
        connection = await asyncpg.connect(dsn)
        await connection.execute(f"DROP SCHEMA {quote_identifier(settings.schema)} CASCADE")
        await connection.close()

    asyncio.run(drop())


OLD_PACKS = """
INSERT INTO pack (maker, chemistry, made_on, cells_in_series, rated_voltage_mv, rated_capacity_mah,
                  mass_kg, state, acquired_on, created_at)
SELECT '9ZZ', 'B', '2021-01-01', 16, 51200, 100000, 46, 'in_stock', '2025-01-01', now()
  FROM generate_series(1, 3)
RETURNING id
"""

OLD_RECORDS = """
INSERT INTO trace_record (pack_id, sequence, kind, happened_on, adcode, data, actor, recorded_at)
SELECT pack_id, n, 'pack.inspected', '2025-01-01', CASE WHEN n > 1 THEN '410100' END,
       jsonb_build_object('n', n, 'of', 1.50, 'why', '旧记录'), 'staff', now()
  FROM unnest($1::uuid[]) AS pack_id, generate_series(1, 4) AS n
"""


def test_records_from_before_are_linked_by_the_migration(dsn, own):
    async def scenario() -> None:
        every = migrate.files()
        linked_by = next(file.number for file in every if file.name.endswith(LINKED_BY))
        before = [file for file in every if file.number < linked_by]
        await migrate.migrate(dsn, own, migrations=before)
        async with await connect(dsn, own) as db, db.transaction() as tx:
            packs = [row["id"] for row in await tx.fetch(OLD_PACKS)]
            await tx.execute(OLD_RECORDS, packs)
        await migrate.migrate(dsn, own)
        async with await connect(dsn, own) as db, db.transaction() as tx:
            await store.record(tx, [Step(packs[1], "pack.failed", ON, {})], by="x", now=NOW)
            records = await tx.fetch(ALL)
            assert [len(chain) for chain in chains(records).values()] == [4, 5, 4]
            assert_whole(records)
            append_only = await refused(tx, "DELETE FROM trace_record")
            assert append_only == "trace_record_append_only"

    asyncio.run(scenario())
