"""What arrived is put together: in whatever pieces and order it came, the same is there in the
end."""

from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from leasing.db.pool import Database
from leasing.health import summaries
from leasing.health.model import PackType
from leasing.telemetry import service, storage
from leasing.telemetry.api import FIRST, LAST, views
from schemas.telemetry import Reading
from tests import fleet
from tests.health.test_sessions import walk

NOW = datetime(2026, 7, 1, tzinfo=UTC)
TYPE = PackType("B", 16, 100_000)


async def packs(db: Database, number: int) -> list[UUID]:
    async with db.transaction() as tx:
        await fleet.lease_out(tx, [number], date(2026, 1, 1), entered_at=NOW)
        return [row["id"] for row in await tx.fetch("SELECT id FROM pack ORDER BY id")]


async def ingest(db: Database, readings: list[Reading]) -> None:
    async with db.transaction() as tx:
        await service.ingest(tx, readings, now=NOW)


async def seal(db: Database) -> int:
    async with db.transaction() as tx:
        return (await summaries.seal_next(tx, UUID(int=0), 100)).packs


async def rows(db: Database, query: str) -> list[tuple[Any, ...]]:
    async with db.transaction() as tx:
        return [tuple(row) for row in await tx.fetch(query)]


EVERYTHING = {
    "sessions": "SELECT * FROM pack_session ORDER BY 1, 2",
    "hours": "SELECT * FROM reading_hour ORDER BY 1, 2",
    "flags": "SELECT * FROM reading_flag ORDER BY 1, 2, 3, 4",
    # Of days that are over; the last one of a pack lies in pieces.
    "chunks": "SELECT pack_id, first_at, last_at, readings, body FROM reading_chunk"
    " WHERE (first_at AT TIME ZONE 'Asia/Shanghai')::date <"
    " (SELECT max((last_at AT TIME ZONE 'Asia/Shanghai')::date) FROM reading_chunk AS later"
    " WHERE later.pack_id = reading_chunk.pack_id)"
    " ORDER BY 1, 2",
}


async def everything(db: Database) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {
        name: await rows(db, query) for name, query in EVERYTHING.items()
    }
    async with db.transaction() as tx:
        for pack in await tx.fetch("SELECT id FROM pack ORDER BY id"):
            found[f"readings of {pack['id']}"] = views(
                await storage.page(tx, pack["id"], FIRST, LAST, 5000)
            )
    return found


def days(pack: UUID, seed: int, count: int = 1500) -> list[Reading]:
    """Some two days of a pack."""
    return [
        Reading(
            pack_id=pack,
            at=one.at,
            voltage_v=one.voltage_v,
            current_a=one.current_a,
            soc_percent=one.soc_percent,
            temperature_c=one.temperature_c,
        )
        for one in walk(Random(seed), TYPE, count)
    ]


@pytest.mark.parametrize("seed", range(4))
def test_pieces_in_any_order_sealed_at_any_time_end_as_if_all_had_come_at_once(database, seed):
    async def scenario(db: Database) -> None:
        found = await packs(db, 2)
        given = [days(pack, seed) for pack in found]
        for readings in given:
            await ingest(db, readings)
        assert await seal(db) == 2
        at_once = await everything(db)
        assert len(at_once["sessions"]) > 50
        assert len(at_once["chunks"]) >= 4
        async with db.transaction() as tx:
            await tx.execute(
                "TRUNCATE reading_chunk, pack_session, reading_hour, reading_flag, pack_telemetry"
            )
        random = Random(seed)
        for readings in given:
            pieces = [readings[n : n + 100] for n in range(0, len(readings), 100)]
            for late in random.sample(range(len(pieces)), 4):
                pieces.append(pieces[late])
                if seed % 2:
                    pieces[late] = []
            for piece in pieces:
                if piece:
                    await ingest(db, piece)
                if random.random() < 0.3:
                    await seal(db)
        await seal(db)
        assert await seal(db) == 0
        in_pieces = await everything(db)
        for name, expected in at_once.items():
            assert in_pieces[name] == expected, name

    database(scenario)


def test_a_day_that_is_over_is_one_chunk_and_reads_as_before(database):
    async def scenario(db: Database) -> None:
        (pack,) = await packs(db, 1)
        readings = days(pack, 1, 800)[:800]
        for n in range(0, 800, 7):
            await ingest(db, readings[n : n + 7])
        async with db.transaction() as tx:
            before = views(await storage.page(tx, pack, FIRST, LAST, 2000))
        await seal(db)
        chunks = await rows(db, "SELECT first_at, readings FROM reading_chunk")
        async with db.transaction() as tx:
            after = views(await storage.page(tx, pack, FIRST, LAST, 2000))
        assert (len(before), sum(count for _, count in chunks)) == (800, 800)
        assert after == before
        civil = [(at + timedelta(hours=8)).date() for at, _ in chunks]
        assert len(set(civil)) == 4
        over = [day for day in civil if day != max(civil)]
        assert len(over) == len(set(over)) == 3
        assert len(civil) - len(over) <= summaries.MOST_PIECES

    database(scenario)


STORED = "SELECT first_at, readings, xmin::text FROM reading_chunk ORDER BY first_at"


def test_a_day_is_written_anew_once_when_it_is_over_and_not_every_hour(database):
    async def scenario(db: Database) -> None:
        (pack,) = await packs(db, 1)
        midnight = datetime(2026, 6, 14, 16, tzinfo=UTC)

        async def hour(number: int, minute: int = 0) -> None:
            at = midnight + timedelta(hours=number, minutes=minute)
            readings = [
                Reading(pack_id=pack, at=at + timedelta(minutes=m), voltage_v=50 + m / 10)
                for m in range(10)
            ]
            await ingest(db, readings)
            await seal(db)

        for number in range(24):
            await hour(number)
            before = await rows(db, STORED)
            assert [count for _, count, _ in before] == [10] * (number + 1)
            assert len({row for *_, row in before}) == number + 1, "each as it came"
        await hour(24)
        after = await rows(db, STORED)
        assert [count for _, count, _ in after] == [240, 10]
        await hour(25)
        assert (await rows(db, STORED))[:2] == after
        # What comes late to a day that is over is put with it.
        await hour(3, minute=30)
        assert [count for _, count, _ in await rows(db, STORED)] == [250, 10, 10]

    database(scenario)


def test_a_day_in_very_many_pieces_is_put_together_before_it_is_over(database):
    async def scenario(db: Database) -> None:
        (pack,) = await packs(db, 1)
        start = datetime(2026, 6, 14, 16, tzinfo=UTC)
        for n in range(summaries.MOST_PIECES + 1):
            await ingest(
                db, [Reading(pack_id=pack, at=start + timedelta(minutes=n), voltage_v=50.0)]
            )
        await seal(db)
        (only,) = await rows(db, STORED)
        assert only[1] == summaries.MOST_PIECES + 1

    database(scenario)


def test_an_hour_has_least_mean_and_greatest_of_what_was_reported_in_it(database):
    async def scenario(db: Database) -> None:
        (pack,) = await packs(db, 1)
        hour = datetime(2026, 6, 14, 15, 0, tzinfo=UTC)
        given = [(0, 50.0, 3200), (20, 52.0, 3300), (59, None, 3250), (60, 40.0, 3100)]
        await ingest(
            db,
            [
                Reading(
                    pack_id=pack,
                    at=hour + timedelta(minutes=m),
                    voltage_v=volts,
                    cells_mv=[cell, cell + 10],
                )
                for m, volts, cell in given
            ],
        )
        await seal(db)
        found = await rows(
            db,
            "SELECT hour_at, readings, voltage_v_min, voltage_v_mean, voltage_v_max, cell_mv_min,"
            " cell_mv_mean, cell_mv_max, soc_percent_min FROM reading_hour ORDER BY 1",
        )
        assert found == [
            (hour, 3, 50.0, 51.0, 52.0, 3200.0, 3255.0, 3310.0, None),
            (hour + timedelta(hours=1), 1, 40.0, 40.0, 40.0, 3100.0, 3105.0, 3110.0, None),
        ]

    database(scenario)


def test_values_that_are_not_to_be_believed_are_noted_and_left_out(database):
    async def scenario(db: Database) -> None:
        (pack,) = await packs(db, 1)
        start = datetime(2026, 6, 14, 0, 0, tzinfo=UTC)

        def reading(n: int, **changes: Any) -> Reading:
            given = Reading(
                pack_id=pack,
                at=start + timedelta(minutes=n),
                voltage_v=52.0 + n / 100,
                current_a=10.0,
                soc_percent=20 + n / 10,
                cells_mv=[3250, 3251],
            )
            return replace(given, **changes)

        # Minutes 100 to 102 in millivolts a tenth; the SoC stands still from minute 200 on.
        await ingest(
            db,
            [
                reading(
                    n,
                    **({"voltage_v": 700.0, "cells_mv": [7000, 3251]} if 100 <= n < 103 else {}),
                    **({"soc_percent": 40.0} if n >= 200 else {}),
                )
                for n in range(600)
            ],
        )
        await seal(db)
        found = await rows(
            db, "SELECT kind, quantity, from_at, to_at, readings FROM reading_flag ORDER BY 1, 2"
        )
        minute = timedelta(minutes=1)
        assert found == [
            ("stuck", "soc_percent", start + 200 * minute, start + 599 * minute, 400),
            ("unit_jump", "cells_mv", start + 100 * minute, start + 102 * minute, 3),
            ("unit_jump", "voltage_v", start + 100 * minute, start + 102 * minute, 3),
        ]
        ((samples, spread, end_soc),) = await rows(
            db, "SELECT samples, spread_max_mv, end_soc_percent FROM pack_session"
        )
        assert (samples, spread, end_soc) == (597, 1.0, None)

    database(scenario)


def test_a_state_of_charge_that_goes_against_the_current_is_noted(database):
    async def scenario(db: Database) -> None:
        (pack,) = await packs(db, 1)
        start = datetime(2026, 6, 14, 0, 0, tzinfo=UTC)
        await ingest(
            db,
            [
                Reading(
                    pack_id=pack,
                    at=start + timedelta(minutes=n),
                    voltage_v=52.0 + n / 100,
                    current_a=20.0,
                    soc_percent=80 - n / 6,
                )
                for n in range(120)
            ],
        )
        await seal(db)
        found = await rows(db, "SELECT kind, from_at, readings FROM reading_flag ORDER BY 2")
        assert found == [("soc_contradicts_current", start, 120)]

    database(scenario)
