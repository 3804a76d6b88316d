"""What decoders of protocols hand over: by code or vehicle, odd values and all."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from leasing.db.pool import Database
from leasing.telemetry import service, storage
from leasing.telemetry.api import FIRST, LAST, views
from leasing.telemetry.model import Report, Source, SourceKind
from tests import build
from tests.build import World

NOW = datetime(2026, 6, 15, 4, 0, tzinfo=UTC)
AT = datetime(2026, 6, 14, 15, 0, tzinfo=UTC)
VIN = "LSVAA4182E2184847"


async def take(world: World, *reports: Report) -> tuple[int, int, int, int]:
    async with world.db.transaction() as tx:
        done = await service.ingest_reports(tx, reports, now=NOW)
    return done.stored, done.repeated, done.unmatched, done.refused


async def held(world: World, pack_id: str) -> list[Any]:
    async with world.db.transaction() as tx:
        return views(await storage.page(tx, UUID(pack_id), FIRST, LAST, 1000))


def coded(code: str, at: datetime = AT, **values: Any) -> Report:
    return Report(source=Source(SourceKind.PACK_CODE, code), at=at, **values)


def test_reports_by_code_are_stored_once_and_odd_values_count_as_missing(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            pack = await build.pack(world)
            reports = [
                coded(pack["code"], voltage_v=51.0, soc_percent=120.0, cells_mv=(43700, 3200)),
                coded(pack["code"], AT + timedelta(minutes=1), current_a=3.0),
                coded(pack["code"], AT + timedelta(minutes=2)),
            ]
            assert await take(world, *reports) == (2, 0, 0, 1)
            assert await take(world, *reports) == (0, 2, 0, 1)
            first, second = await held(world, pack["id"])
            assert (first.voltage_v, first.soc_percent, first.cells_mv) == (
                51.0,
                None,
                [None, 3200],
            )
            assert (second.voltage_v, second.current_a) == (None, 3.0)

    database(scenario)


def test_who_is_not_known_or_has_an_impossible_clock_is_counted(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            pack = await build.pack(world)
            nobody = Report(source=Source(SourceKind.DEVICE, "FSU-7/3", 2), at=AT, voltage_v=50.0)
            late = coded(pack["code"], NOW + timedelta(days=9), voltage_v=50.0)
            assert await take(world, nobody, nobody, late) == (0, 0, 2, 1)
            assert await take(world, nobody) == (0, 0, 1, 0)
            listed = (await world.staff.get("/v1/unmatched-sources"))["items"]
            assert [
                (one["kind"], one["value"], one["part"], one["readings"], one["reason"])
                for one in listed
            ] == [
                ("device", "FSU-7/3", 2, 3, "pack_not_found"),
                ("pack_code", pack["code"], 1, 1, "impossible_time"),
            ]
            page = await world.staff.get("/v1/unmatched-sources", limit=1)
            rest = await world.staff.get("/v1/unmatched-sources", cursor=page["next_cursor"])
            assert page["items"] + rest["items"] == listed

    database(scenario)


def test_a_vehicle_s_reports_go_to_the_pack_that_was_in_it_that_day(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=date(2026, 1, 5)) as world:
            await world.set_clock(date(2026, 6, 15))
            lease = await build.leased_pack(world, on="2026-02-01")
            async with db.transaction() as tx:
                await tx.execute(
                    "UPDATE site SET kind = 'vehicle', vin = $1 WHERE id = $2",
                    VIN,
                    UUID(lease["site"]["id"]),
                )
            other = await build.pack(world)
            swap = build.acceptance(other["id"], "2026-06-14")
            await world.staff.post(f"/v1/lines/{lease['line']['id']}/swaps", swap)
            days = [datetime(2026, 1, 31, 4, tzinfo=UTC), AT - timedelta(days=1), AT]
            vehicle = Source(SourceKind.VEHICLE, VIN)
            reports = [Report(source=vehicle, at=at, voltage_v=50.0) for at in days]
            second = Report(source=Source(SourceKind.VEHICLE, VIN, 2), at=AT, voltage_v=50.0)
            assert await take(world, *reports, second) == (2, 0, 2, 0)
            assert [one.at for one in await held(world, lease["pack"]["id"])] == days[1:2]
            assert [one.at for one in await held(world, other["id"])] == days[2:]

    database(scenario)


def test_a_site_s_device_speaks_of_the_pack_in_its_slot_on_that_day(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease = await build.leased_pack(world, on="2026-02-01")
            path = f"/v1/sites/{lease['site']['id']}/devices"
            body = {"devices": [{"code": "41010043200001", "part": 2, "slot": 1}]}
            await world.staff.ask("PUT", path, json=body)
            other = await build.pack(world)
            swap = build.acceptance(other["id"], "2026-06-14")
            await world.staff.post(f"/v1/lines/{lease['line']['id']}/swaps", swap)
            device = Source(SourceKind.DEVICE, "41010043200001", 2)
            days = [datetime(2026, 1, 31, 4, tzinfo=UTC), AT - timedelta(days=1), AT]
            reports = [Report(source=device, at=at, voltage_v=50.0) for at in days]
            another = Report(source=Source(SourceKind.DEVICE, device.value, 1), at=AT, voltage_v=50)
            assert await take(world, *reports, another) == (2, 0, 2, 0)
            assert [one.at for one in await held(world, lease["pack"]["id"])] == days[1:2]
            assert [one.at for one in await held(world, other["id"])] == days[2:]

    database(scenario)
