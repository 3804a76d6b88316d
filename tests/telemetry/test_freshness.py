"""What a pack reported last, since when it is online, and who fell silent."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from jobs import runner
from jobs.registry import JOBS
from leasing.db.pool import Database
from leasing.kit.time import midnight, system_now
from tests import build
from tests.build import Json, World

ON = date(2026, 6, 15)
NOON = midnight(ON) + build.NOON
MINUTE = timedelta(minutes=1)


def played(database: Any, story: Any) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db, on=ON) as world:
            await story(world, await build.pack(world))

    database(scenario)


async def report(world: World, pack: Json, at: datetime, **values: Any) -> None:
    reading = {"pack_id": pack["id"], "at": at.isoformat(), **values}
    await world.staff.post("/v1/readings", {"readings": [reading]})


async def telemetry(world: World, pack: Json) -> Json:
    return await world.staff.get(f"/v1/packs/{pack['id']}/telemetry")


def z(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def test_each_quantity_has_its_newest_value_and_its_instant(database):
    async def story(world: World, pack: Json) -> None:
        now = NOON
        await report(world, pack, now - 50 * MINUTE, voltage_v=51.2, soc_percent=40)
        await report(world, pack, now - 10 * MINUTE, voltage_v=52.25, cells_mv=[3200, None, 3300])
        await report(world, pack, now - 20 * MINUTE, voltage_v=50.0, current_a=2)
        seen = await telemetry(world, pack)
        assert (seen["is_online"], seen["silent_since"]) == (True, None)
        assert seen["latest_at"] == z(now - 10 * MINUTE)
        # Forty minutes without a word lie before it.
        assert seen["online_since"] == z(now - 10 * MINUTE)
        found = [(q["quantity"], q["value"], q["at"], q["is_silent"]) for q in seen["quantities"]]
        assert found == [
            ("voltage_v", 52.25, z(now - 10 * MINUTE), False),
            ("current_a", 2.0, z(now - 20 * MINUTE), False),
            ("soc_percent", 40.0, z(now - 50 * MINUTE), True),
            ("cells_mv", [3200, None, 3300], z(now - 10 * MINUTE), False),
        ]

    played(database, story)


def test_a_pack_that_is_silent_is_listed_until_it_reports_again(database):
    async def story(world: World, pack: Json) -> None:
        await world.staff.refused("GET", f"/v1/packs/{pack['id']}/telemetry", 404)
        assert (await world.staff.get("/v1/silent-packs"))["items"] == []
        last = NOON - 31 * MINUTE
        await report(world, pack, last, voltage_v=51.2)
        (silent,) = (await world.staff.get("/v1/silent-packs"))["items"]
        assert (silent["pack_id"], silent["silent_since"]) == (pack["id"], z(last))
        seen = await telemetry(world, pack)
        assert (seen["is_online"], seen["online_since"]) == (False, None)
        assert seen["silent_since"] == z(last)
        await report(world, pack, NOON - 30 * MINUTE, voltage_v=51.2)
        assert (await world.staff.get("/v1/silent-packs"))["items"] == []

    played(database, story)


def test_a_clock_that_is_ahead_is_noted_and_makes_no_pack_look_alive(database):
    async def story(world: World, pack: Json) -> None:
        ahead = NOON + timedelta(hours=9)
        for n in (0, 1, 2):
            await report(world, pack, ahead + n * MINUTE, voltage_v=51.2)
        page = await world.staff.get(f"/v1/packs/{pack['id']}/reading-flags")
        (flag,) = page["items"]
        assert (flag["kind"], flag["readings"]) == ("clock_ahead", 3)
        assert (flag["from_at"], flag["to_at"]) == (z(ahead), z(ahead + 2 * MINUTE))
        await world.set_clock(ON + timedelta(days=1))
        (silent,) = (await world.staff.get("/v1/silent-packs"))["items"]
        assert silent["silent_since"] == z(NOON)

    played(database, story)


def test_the_hourly_job_sums_up_and_sessions_can_be_read(database):
    async def story(world: World, pack: Json) -> None:
        start = NOON - timedelta(hours=10)
        readings = build.charge_readings(pack["id"], start, capacity_ah=90)
        await world.staff.post("/v1/readings", {"readings": readings})
        state = await runner.run_once(
            world.db, "telemetry", JOBS["telemetry"], ON, lambda done, total: None
        )
        assert state == "done"
        path = f"/v1/packs/{pack['id']}/sessions"
        (session,) = (await world.staff.get(path))["items"]
        assert (session["direction"], round(session["charge_ah"])) == (1, 90)

    played(database, story)


def test_months_past_their_age_are_dropped_and_hours_stay(database):
    async def story(world: World, pack: Json) -> None:
        old = datetime(2023, 1, 15, tzinfo=UTC)
        for at in (old, NOON - MINUTE):
            await report(world, pack, at, voltage_v=51.2)
        for job in ("telemetry", "housekeeping"):
            await runner.run_once(world.db, job, JOBS[job], ON, lambda done, total: None)
        async with world.db.transaction() as tx:
            kept = await tx.fetchval("SELECT sum(readings) FROM reading_chunk")
            hours = await tx.fetchval("SELECT count(*) FROM reading_hour")
        assert (kept, hours) == (1, 2)

    played(database, story)


def test_messages_that_nobody_read_are_kept_ninety_days(database):
    async def story(world: World, pack: Json) -> None:
        async with world.db.transaction() as tx:
            for days in (91, 89):
                await tx.execute(
                    "INSERT INTO unread_message (source, reason, received_at, sha256, content)"
                    " VALUES ('bms48', 'torn', $1, sha256($2), $2)",
                    system_now() - timedelta(days=days),
                    str(days).encode(),
                )
        state = await runner.run_once(
            world.db, "housekeeping", JOBS["housekeeping"], ON, lambda done, total: None
        )
        assert state == "done"
        kept = (await world.staff.get("/v1/unread-messages"))["items"]
        content = await world.staff.ask("GET", f"/v1/unread-messages/{kept[0]['id']}/content")
        assert (len(kept), content.content) == (1, b"89")

    played(database, story)
