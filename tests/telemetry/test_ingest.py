"""Readings as they come from the field: late, twice, out of order, and several at a time."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from msgspec.structs import replace

from leasing.db.pool import Database
from leasing.telemetry import service, storage
from leasing.telemetry.api import FIRST, LAST, views
from schemas.telemetry import Reading, ReadingView
from tests import build, fleet
from tests.build import Json

NOW = datetime(2026, 6, 15, 4, 0, tzinfo=UTC)
NIGHT = datetime(2026, 6, 14, 15, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def reading(pack_id: UUID | str, at: datetime, voltage_v: float = 52.0) -> Reading:
    return Reading(
        pack_id=UUID(str(pack_id)),
        at=at,
        voltage_v=voltage_v,
        current_a=10.0,
        soc_percent=50.0,
        temperature_c=25.0,
    )


async def packs(db: Database, number: int) -> list[UUID]:
    async with db.transaction() as tx:
        await fleet.lease_out(tx, [number], date(2026, 1, 1), entered_at=NOW)
        return [row["id"] for row in await tx.fetch("SELECT id FROM pack ORDER BY id")]


async def ingest(db: Database, readings: list[Reading]) -> tuple[int, int]:
    async with db.transaction() as tx:
        receipt = await service.ingest(tx, readings, now=NOW)
    return receipt.stored, receipt.repeated


async def rows(db: Database, query: str) -> list[Any]:
    async with db.transaction() as tx:
        return [tuple(row) for row in await tx.fetch(query)]


async def stored(db: Database, pack: UUID) -> list[ReadingView]:
    async with db.transaction() as tx:
        return views(await storage.page(tx, pack, FIRST, LAST, 1000))


async def latest(db: Database) -> Any:
    ((at, voltage_v, unevaluated_from),) = await rows(
        db, "SELECT latest_at, voltage_v, unevaluated_from FROM pack_telemetry"
    )
    return at, voltage_v, unevaluated_from


def test_a_batch_sent_again_counts_as_repeated_and_stores_nothing(database):
    async def scenario(db: Database) -> None:
        (pack,) = await packs(db, 1)
        batch = [reading(pack, NIGHT + n * MINUTE) for n in range(50)]
        assert await ingest(db, batch) == (50, 0)
        assert await ingest(db, batch) == (0, 50)
        assert await rows(db, "SELECT sum(readings) FROM reading_chunk") == [(50,)]

    database(scenario)


def test_of_a_batch_that_overlaps_another_only_the_rest_is_new(database):
    async def scenario(db: Database) -> None:
        (pack,) = await packs(db, 1)
        batch = [reading(pack, NIGHT + n * MINUTE) for n in range(30)]
        assert await ingest(db, batch[:20]) == (20, 0)
        assert await ingest(db, batch[10:]) == (10, 10)
        assert await rows(db, "SELECT sum(readings) FROM reading_chunk") == [(30,)]

    database(scenario)


def test_a_reading_twice_in_one_batch_is_stored_once(database):
    async def scenario(db: Database) -> None:
        (pack,) = await packs(db, 1)
        local = NIGHT.astimezone(build.midnight(date(2026, 6, 14)).tzinfo)
        batch = [reading(pack, NIGHT), reading(pack, local), reading(pack, NIGHT + MINUTE)]
        assert await ingest(db, batch) == (2, 1)

    database(scenario)


def test_what_was_stored_first_stays_when_the_same_instant_comes_with_another_value(database):
    async def scenario(db: Database) -> None:
        (pack,) = await packs(db, 1)
        await ingest(db, [reading(pack, NIGHT, 52.0)])
        assert await ingest(db, [reading(pack, NIGHT, 40.0)]) == (0, 1)
        assert [one.voltage_v for one in await stored(db, pack)] == [52.0]
        assert (await latest(db))[1] == 52.0

    database(scenario)


def test_a_reading_that_comes_late_never_replaces_a_newer_one(database):
    async def scenario(db: Database) -> None:
        (pack,) = await packs(db, 1)
        await ingest(db, [reading(pack, NIGHT, 52.0)])
        await ingest(db, [reading(pack, NIGHT - 9 * MINUTE, 48.0)])
        assert await latest(db) == (NIGHT, 52.0, NIGHT - 9 * MINUTE)
        await ingest(db, [reading(pack, NIGHT + MINUTE, 53.0)])
        assert await latest(db) == (NIGHT + MINUTE, 53.0, NIGHT - 9 * MINUTE)

    database(scenario)


def test_the_order_within_a_batch_does_not_matter(database):
    async def scenario(db: Database) -> None:
        (pack,) = await packs(db, 1)
        minutes = [3, 0, 4, 1, 2]
        await ingest(db, [reading(pack, NIGHT + n * MINUTE, 50 + n) for n in minutes])
        assert await latest(db) == (NIGHT + 4 * MINUTE, 54.0, NIGHT)

    database(scenario)


def test_a_batch_with_an_unknown_pack_is_refused_whole_and_every_fault_is_named(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            pack = await build.pack(world)
            strange = str(uuid4())
            at = "2026-06-14T15:00:00Z"
            batch = [
                wire(pack["id"], at),
                wire(strange, at),
                wire(pack["id"], "2026-06-17T00:00:00Z"),
                wire(strange, "2015-01-01T00:00:00Z"),
            ]
            problem = await world.staff.refused("POST", "/v1/readings", 400, {"readings": batch})
            assert problem["code"] == "readings_refused"
            assert [(fault["pointer"], fault["code"]) for fault in problem["errors"]] == [
                ("/readings/1/pack_id", "pack_not_found"),
                ("/readings/2/at", "impossible_time"),
                ("/readings/3/pack_id", "pack_not_found"),
                ("/readings/3/at", "impossible_time"),
            ]
            assert await rows(db, "SELECT * FROM reading_chunk") == []
            assert await rows(db, "SELECT * FROM pack_telemetry") == []

    database(scenario)


def wire(pack_id: str, at: str) -> Json:
    return {"pack_id": pack_id, "at": at, "voltage_v": 52.0, "current_a": 10.0}


@pytest.mark.parametrize(
    "fault",
    [
        {"voltage_v": -0.1},
        {"voltage_v": 2001},
        {"current_a": 5001},
        {"soc_percent": 100.5},
        {"temperature_c": -61},
        {"at": "2026-06-14T15:00:00"},
    ],
)
def test_a_value_no_sensor_can_show_is_refused_with_its_place(database, fault):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            pack = await build.pack(world)
            good = wire(pack["id"], "2026-06-14T15:00:00Z")
            batch = {"readings": [good, good | fault]}
            problem = await world.staff.refused("POST", "/v1/readings", 400, batch)
            (name,) = fault
            assert [error["pointer"] for error in problem["errors"]] == [f"/readings/1/{name}"]
            assert await rows(db, "SELECT * FROM reading_chunk") == []

    database(scenario)


def test_months_far_apart_get_partitions_of_their_own(database):
    async def scenario(db: Database) -> None:
        (pack,) = await packs(db, 1)
        months = [datetime(2019, 3, 31, 15, 59, tzinfo=UTC), datetime(2022, 12, 31, tzinfo=UTC)]
        edges = [datetime(2023, 1, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC)]
        assert await ingest(db, [reading(pack, at) for at in months + edges]) == (4, 0)
        held = await rows(
            db,
            "SELECT tableoid::regclass::text, sum(readings) FROM reading_chunk"
            " GROUP BY 1 ORDER BY 1",
        )
        assert held == [
            ("reading_chunk_2019_03", 1),
            ("reading_chunk_2022_12", 1),
            ("reading_chunk_2023_01", 1),
            ("reading_chunk_2026_06", 1),
        ]

    database(scenario)


def test_two_batches_that_need_the_same_new_month_both_get_it(database):
    async def scenario(db: Database) -> None:
        found = await packs(db, 6)
        month = datetime(2020, 2, 29, 12, 0, tzinfo=UTC)
        receipts = await asyncio.gather(
            *(ingest(db, [reading(pack, month), reading(pack, NIGHT)]) for pack in found)
        )
        assert receipts == [(2, 0)] * 6

    database(scenario)


def test_two_batches_with_the_same_readings_store_them_once_between_them(database):
    async def scenario(db: Database) -> None:
        (pack,) = await packs(db, 1)
        batch = [reading(pack, NIGHT + n * MINUTE) for n in range(500)]
        receipts = await asyncio.gather(*(ingest(db, batch) for _ in range(4)))
        assert sum(stored for stored, _ in receipts) == 500
        assert all(stored + repeated == 500 for stored, repeated in receipts)

    database(scenario)


def test_batches_that_touch_the_same_readings_in_opposite_order_do_not_lock_each_other_out(
    database,
):
    async def scenario(db: Database) -> None:
        found = await packs(db, 40)
        batch = [reading(pack, NIGHT + n * MINUTE) for n in range(60) for pack in found]
        for day in range(3):
            later = [
                replace(one, at=one.at + day * timedelta(hours=2), voltage_v=53.0) for one in batch
            ]
            receipts = await asyncio.gather(
                *(ingest(db, order) for order in (later, later[::-1], later[1000:] + later[:1000]))
            )
            assert sum(stored for stored, _ in receipts) == len(batch)

    database(scenario)


def test_the_readings_of_a_pack_come_back_in_order_page_by_page(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            pack = await build.pack(world)
            start = datetime(2026, 6, 14, tzinfo=UTC)
            ats = [(start + n * MINUTE).isoformat().replace("+00:00", "Z") for n in range(25)]
            batch = [wire(pack["id"], at) for at in reversed(ats)]
            await world.staff.post("/v1/readings", {"readings": batch})
            path, cursor, seen = f"/v1/packs/{pack['id']}/readings", None, []
            while True:
                asked = {"limit": 10} | ({"cursor": cursor} if cursor else {})
                page = await world.staff.get(path, **asked)
                seen += [row["at"] for row in page["items"]]
                cursor = page["next_cursor"]
                if cursor is None:
                    break
            assert seen == ats

    database(scenario)
