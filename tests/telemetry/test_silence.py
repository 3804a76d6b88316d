"""A pack in a line that falls silent is told of every day until somebody acknowledges it."""

from datetime import UTC, datetime, timedelta
from typing import Any

from jobs import telemetry
from jobs.registry import JOBS
from jobs.runner import run_once
from leasing.db import clock
from leasing.db.pool import Database
from leasing.kit.time import civil_date, midnight
from tests import build
from tests.build import TODAY, Json, World

NOON = midnight(TODAY) + timedelta(hours=12)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


async def at(world: World, now: datetime) -> None:
    """The hourly job, at an instant."""
    async with world.db.transaction() as tx:
        await clock.move(tx, now)
    job = JOBS["telemetry"]
    state = await run_once(world.db, "telemetry", job, civil_date(now), lambda done, total: None)
    assert state == "done"


async def send(world: World, pack_id: str, at: datetime, **values: Any) -> None:
    async with world.db.transaction() as tx:
        await clock.move(tx, at)
    row = {"pack_id": pack_id, "at": at.astimezone(UTC).isoformat(), **values}
    await world.staff.post("/v1/readings", {"readings": [row]})


async def silences(world: World) -> list[Json]:
    page = await world.staff.get("/v1/alarms", kind="silence")
    found: list[Json] = page["items"]
    return found


def played(database: Any, story: Any) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease = await build.leased_pack(world, TODAY)
            async with world.db.transaction() as tx:
                await clock.move(tx, NOON)
            await story(world, lease["pack"]["id"])

    database(scenario)


def test_a_silence_is_raised_repeated_until_acknowledged_and_closed_when_the_pack_speaks(database):
    async def story(world: World, pack_id: str) -> None:
        await send(world, pack_id, NOON, voltage_v=53, current_a=0)
        await at(world, NOON + 30 * MINUTE)
        assert await silences(world) == []
        await at(world, NOON + 31 * MINUTE)
        (alarm,) = await silences(world)
        assert (alarm["severity"], alarm["state"], alarm["repeats"]) == ("warn", "raised", 0)
        assert datetime.fromisoformat(alarm["since"]) == NOON
        assert alarm["evidence"]["limit"] == 1800
        await at(world, NOON + 2 * HOUR)
        assert await silences(world) == [alarm]
        await at(world, NOON + 25 * HOUR)
        assert [one["repeats"] for one in await silences(world)] == [1]
        await world.staff.post(f"/v1/alarms/{alarm['id']}/acknowledgement")
        await at(world, NOON + 60 * HOUR)
        assert [one["repeats"] for one in await silences(world)] == [1]
        await send(world, pack_id, NOON + 60 * HOUR, voltage_v=53, current_a=0)
        await at(world, NOON + 60 * HOUR + MINUTE)
        (alarm,) = await silences(world)
        assert alarm["state"] == "closed"
        await at(world, NOON + 61 * HOUR)
        assert [one["state"] for one in await silences(world)] == ["closed", "raised"]

    played(database, story)


def test_a_quantity_that_is_no_longer_sent_is_a_silence_of_its_own(database):
    async def story(world: World, pack_id: str) -> None:
        await send(world, pack_id, NOON, voltage_v=53, current_a=0, temperature_c=25)
        await send(world, pack_id, NOON + HOUR, voltage_v=53, current_a=0)
        await at(world, NOON + HOUR)
        (alarm,) = await silences(world)
        assert alarm["severity"] == "info"
        (row,) = alarm["evidence"]["readings"]
        assert list(row["silent_since"]) == ["temperature_c"]
        # Then the whole pack: the same alarm grows.
        await at(world, NOON + 2 * HOUR)
        (grown,) = await silences(world)
        assert (grown["id"], grown["severity"]) == (alarm["id"], "warn")
        await send(world, pack_id, NOON + 2 * HOUR, voltage_v=53, current_a=0, temperature_c=25)
        await at(world, NOON + 2 * HOUR)
        assert [one["state"] for one in await silences(world)] == ["closed"]

    played(database, story)


def test_a_pack_that_stands_in_no_line_may_be_silent(database, monkeypatch):
    monkeypatch.setattr(telemetry, "WATCHED_AT_ONCE", 1)

    async def story(world: World, pack_id: str) -> None:
        spares = [(await build.pack(world))["id"] for _ in range(3)]
        for one in (pack_id, *spares):
            await send(world, one, NOON, voltage_v=53, current_a=0)
        await at(world, NOON + HOUR)
        assert [one["pack_id"] for one in await silences(world)] == [pack_id]

    played(database, story)


def test_a_pack_whose_device_never_spoke_of_it_is_silent_since_the_day_after_it_came(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease = await build.leased_pack(world, TODAY)
            await build.leased_pack(world, TODAY)  # has no device: nobody expects to hear of it
            device = {"code": "41010043200001", "part": 1, "slot": lease["line"]["slot"]}
            path = f"/v1/sites/{lease['site']['id']}/devices"
            await world.staff.ask("PUT", path, json={"devices": [device]})
            tomorrow = midnight(TODAY + timedelta(days=1))
            await at(world, tomorrow + 30 * MINUTE)
            assert await silences(world) == []
            await at(world, tomorrow + HOUR)
            (alarm,) = await silences(world)
            assert (alarm["pack_id"], alarm["severity"]) == (lease["pack"]["id"], "warn")
            assert datetime.fromisoformat(alarm["since"]) == tomorrow
            await send(world, lease["pack"]["id"], tomorrow + HOUR, voltage_v=53, current_a=0)
            await at(world, tomorrow + HOUR + MINUTE)
            assert [one["state"] for one in await silences(world)] == ["closed"]

    database(scenario)
