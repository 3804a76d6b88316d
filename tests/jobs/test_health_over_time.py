"""Nights that follow each other: what is known of a pack goes on from night to night."""

import asyncio
import sys
from datetime import UTC, date, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from jobs import health
from jobs.registry import JOBS
from jobs.runner import run_once
from leasing.access.model import Role
from leasing.kit.time import midnight
from tests import build
from tests.build import Json, World
from tests.jobs.test_health import NEXT, NIGHT, check, checks, played, report

DAY = timedelta(days=1)


async def latest(world: World, pack_id: str) -> Json:
    page = await world.staff.get(f"/v1/packs/{pack_id}/health-checks")
    found: Json = page["items"][-1]
    return found


async def states(world: World, pack_id: str) -> list[tuple[Any, ...]]:
    async with world.db.transaction() as tx:
        rows = await tx.fetch(
            "SELECT at, source, capacity_mah, mean, covariance FROM health_state"
            " WHERE pack_id = $1 ORDER BY at, rank, ref",
            pack_id,
        )
    return [tuple(row) for row in rows]


async def report_test(world: World, pack_id: str, on: date, mah: int, **changes: Any) -> str:
    body = {
        "tested_on": str(on),
        "method": "gbt34015",
        "temperature_c": 25,
        "c_rate": 0.33,
        "depth_percent": 100,
        "discharged_mah": mah,
        "laboratory": "示例检测中心",
        "report_number": f"R-{on}-{mah}",
        "signatory": "王检",
    }
    made = await world.staff.post(f"/v1/packs/{pack_id}/capacity-tests", {**body, **changes})
    return str(made["id"])


def test_the_joint_test_is_the_first_that_is_known_and_narrows_what_follows(database):
    async def story(world: World, pack_id: str) -> None:
        spare = (await build.pack(world))["id"]
        for one in (pack_id, spare):
            await report(world, one, capacity_ah=93)
        await check(world)
        assert [row[1] for row in await states(world, pack_id)] == ["joint_test", "whole"]
        assert [row[1] for row in await states(world, spare)] == ["whole"]
        leased, alone = await latest(world, pack_id), await latest(world, spare)
        width = [row["upper_mah"] - row["lower_mah"] for row in (leased, alone)]
        assert width[0] < width[1]
        assert leased["evidence"]["smoothing"]["outcome"] == "taken"
        assert leased["evidence"]["smoothing"]["prior_mah"] == pytest.approx(95_000, rel=0.01)
        assert alone["evidence"]["smoothing"]["outcome"] == "first"
        (test,) = leased["evidence"]["inputs"]["tests"]
        assert (test["source"], test["capacity_mah"]) == ("joint_test", 95_000)

    played(database, story)


def test_sessions_that_come_late_are_followed_from_the_state_before_them(database):
    """Whatever the order in which nights were reported, the same is known in the end."""

    async def night(world: World, pack_id: str, days: int) -> None:
        await report(world, pack_id, NIGHT + days * DAY, 92 - days)

    async def story(world: World, pack_id: str) -> None:
        straight, late = [(await build.pack(world))["id"] for _ in range(2)]
        for days in (0, 3, 6):
            await world.set_clock(NEXT + days * DAY)
            await night(world, straight, days)
            if days != 3:
                await night(world, late, days)
            await check(world, NEXT + days * DAY)
        await world.set_clock(NEXT + 7 * DAY)
        await night(world, late, 3)
        await check(world, NEXT + 7 * DAY)
        assert await states(world, late) == await states(world, straight)
        assert len(await states(world, late)) == 3
        assert len(await checks(world, late)) == 3

    played(database, story)


def test_a_standard_test_outranks_sessions_and_is_published_by_itself(database):
    async def story(world: World, pack_id: str) -> None:
        await report(world, pack_id, capacity_ah=93)
        await check(world)
        await world.set_clock(NEXT + 5 * DAY)
        test_id = await report_test(world, pack_id, NEXT + DAY, 78_000)
        # A few readings that tell no capacity.
        await report(world, pack_id, NEXT + 2 * DAY, part=slice(60, 80))
        await check(world, NEXT + 5 * DAY)
        found = await latest(world, pack_id)
        assert found["method"] == "capacity_test"
        assert found["capacity_mah"] == pytest.approx(78_000, abs=100)
        assert found["evidence"]["smoothing"]["outcome"] == "replaced"
        assert [one["id"] for one in found["evidence"]["inputs"]["tests"]] == [test_id]
        # Known from now on, it is not published anew.
        await report(world, pack_id, NEXT + 6 * DAY, part=slice(60, 80))
        await world.set_clock(NEXT + 8 * DAY)
        await check(world, NEXT + 8 * DAY)
        assert (await latest(world, pack_id))["verdict"] == "abstained"

    played(database, story)


def test_a_test_within_the_days_that_are_followed_again_is_not_forgotten(database):
    async def story(world: World, pack_id: str) -> None:
        spare = (await build.pack(world))["id"]
        for days in (0, 1):
            await world.set_clock(NEXT + days * DAY)
            await report(world, spare, NIGHT + days * DAY, 93)
            if days == 0:
                await report_test(world, spare, NIGHT, 92_000)
            await check(world, NEXT + days * DAY)
        sources = [row[1] for row in await states(world, spare)]
        assert sources == ["standard_test", "whole", "whole"]

    played(database, story)


def test_a_test_of_long_ago_that_is_entered_late_is_followed_from_its_day(database):
    async def story(world: World, pack_id: str) -> None:
        spare = (await build.pack(world))["id"]
        await report(world, spare, capacity_ah=93)
        await check(world)
        before = await states(world, spare)
        await world.set_clock(NEXT + 60 * DAY)
        await report_test(world, spare, NIGHT - 30 * DAY, 96_000)
        await report(world, spare, NEXT + 58 * DAY, part=slice(60, 80))
        await check(world, NEXT + 60 * DAY)
        known = await states(world, spare)
        assert [row[1] for row in known] == ["standard_test", "whole"]
        assert known[1][2] == before[0][2]
        assert known[1][4][0] < before[0][4][0]

    played(database, story)


def test_pieces_of_a_plateau_say_nothing_of_a_pack_that_was_tested(database):
    """A count from 30 to 90 % of an LFP pack: by itself wide, beside a test nothing."""

    async def story(world: World, pack_id: str) -> None:
        spare = (await build.pack(world))["id"]
        for one in (pack_id, spare):
            readings = build.charge_readings(one, midnight(NIGHT), capacity_ah=70)
            under_load = [row for row in readings if row["current_a"] > 0]
            part = [row for row in under_load if 30 <= row["soc_percent"] <= 90]
            await world.staff.post("/v1/readings", {"readings": part})
        await check(world)
        tested, alone = await latest(world, pack_id), await latest(world, spare)
        assert tested["verdict"] == "abstained"
        assert tested["evidence"]["reason"] == "known_better"
        assert alone["method"] == "coulomb.soc_window"
        assert alone["upper_mah"] - alone["lower_mah"] > 0.4 * alone["capacity_mah"]

    played(database, story)


def test_a_run_that_was_cut_off_goes_on_with_nothing_double_and_nothing_missing(
    database, monkeypatch
):
    monkeypatch.setattr(health, "CHUNK_PACKS", 2)

    async def story(world: World, pack_id: str) -> None:
        ids = [pack_id, *[(await build.pack(world))["id"] for _ in range(4)]]
        for one in ids:
            await report(world, one, capacity_ah=93)
        whole, left = health.check_next, 1

        async def cut_off(*args: Any) -> Any:
            nonlocal left
            if left == 0:
                raise ConnectionResetError("the server went away")
            left -= 1
            return await whole(*args)

        monkeypatch.setattr(health, "check_next", cut_off)
        with pytest.raises(ConnectionResetError):
            await check(world)
        done = [len(await checks(world, one)) for one in ids]
        assert sum(done) == 2
        monkeypatch.setattr(health, "check_next", whole)
        await check(world)
        assert [len(await checks(world, one)) for one in ids] == [1] * 5
        measured = [[row[1] for row in await states(world, one)] for one in ids]
        assert measured == [["joint_test", "whole"], *[["whole"]] * 4]

    played(database, story)


def test_a_check_is_explained_down_to_its_readings(database):
    async def story(world: World, pack_id: str) -> None:
        await world.staff.refused("GET", f"/v1/packs/{pack_id}/health/explanation", 404)
        await report(world, pack_id, capacity_ah=70)
        await check(world)
        told = await world.staff.get(f"/v1/packs/{pack_id}/health/explanation")
        found = await latest(world, pack_id)
        assert told["check"] == found
        ((session,), (test,)) = told["sessions"], told["tests"]
        assert (test["source"], test["tested_on"]) == ("joint_test", "2026-01-11")
        link = urlsplit(session["readings"])
        page = await world.staff.get(link.path, **dict(parse_qsl(link.query)))
        assert page["items"][0]["at"] == session["started_at"]
        assert len(page["items"]) > 40
        assert session["capacity_mah"] == pytest.approx(70_000, rel=0.05)
        smoothing = told["smoothing"]
        assert smoothing["outcome"] == "prior_doubted"
        assert smoothing["innovation_mah"] == pytest.approx(
            session["capacity_mah"] - smoothing["prior_mah"], abs=1
        )
        points = told["error_points"]
        half = 1.645 * (points["smoothed"] ** 2 + points["floor"] ** 2) ** 0.5
        assert half * 1000 == pytest.approx(found["upper_mah"] - found["capacity_mah"], abs=10)
        assert told["sentence"].startswith("Breach: all of ")
        assert "保证容量 80.0 Ah" in told["sentence_zh"]

    played(database, story)


def test_an_abstention_is_explained_by_its_reason(database):
    async def story(world: World, pack_id: str) -> None:
        await report(world, pack_id, part=slice(60, 72))
        await check(world)
        told = await world.staff.get(f"/v1/packs/{pack_id}/health/explanation")
        assert told["sentence"].startswith("No decision: ")
        assert told["sentence_zh"].startswith("未作判定:")
        assert (told["smoothing"], told["error_points"], told["sessions"]) == (None, {}, [])

    played(database, story)


def test_a_lessee_finds_the_explanation_of_its_own_packs_only(database):
    async def story(world: World, pack_id: str) -> None:
        spare = (await build.pack(world))["id"]
        for one in (pack_id, spare):
            await report(world, one, capacity_ah=93)
        await check(world)
        (line,) = (await world.staff.get("/v1/lines"))["items"]
        other = await build.customer(world, "Another operator")
        contract = await world.staff.get(f"/v1/contracts/{line['contract_id']}")
        own = await world.login(Role.CUSTOMER, contract["lessee_id"])
        stranger = await world.login(Role.CUSTOMER, other["id"])
        path = f"/v1/packs/{pack_id}/health/explanation"
        assert (await own.get(path))["check"]["pack_id"] == pack_id
        await stranger.refused("GET", path, 404)
        await own.refused("GET", f"/v1/packs/{spare}/health/explanation", 404)

    played(database, story)


async def capacity_alarms(world: World) -> list[tuple[str, str]]:
    page = await world.staff.get("/v1/alarms", kind="capacity")
    return [(row["severity"], row["state"]) for row in page["items"]]


def test_a_capacity_below_the_guarantee_is_an_alarm_until_it_is_back(database):
    async def story(world: World, pack_id: str) -> None:
        await report(world, pack_id, capacity_ah=70)
        await check(world)
        assert await capacity_alarms(world) == [("critical", "raised")]
        await check(world)
        assert await capacity_alarms(world) == [("critical", "raised")]
        await world.set_clock(NEXT + 4 * DAY)
        await report(world, pack_id, NIGHT + 4 * DAY, 95)
        await check(world, NEXT + 4 * DAY)
        assert await capacity_alarms(world) == [("critical", "closed")]

    played(database, story)


def test_a_capacity_ten_points_below_the_last_is_an_alarm_that_the_next_night_does_not_end(
    database,
):
    async def story(world: World, pack_id: str) -> None:
        spare = (await build.pack(world))["id"]
        for days, capacity_ah in ((0, 95), (4, 75), (8, 75)):
            await world.set_clock(NEXT + days * DAY)
            await report(world, spare, NIGHT + days * DAY, capacity_ah)
            await check(world, NEXT + days * DAY)
        assert await capacity_alarms(world) == [("warn", "raised")]

    played(database, story)


def test_a_pack_in_standby_that_loses_twice_what_its_fleet_does_is_an_alarm(database):
    """Eight packs that rest for 75 days after a charge; the last sinks five times as fast."""
    rested = NEXT + 75 * DAY

    async def rest(world: World, pack_id: str, mv_per_day: float) -> None:
        start = midnight(NEXT)
        await world.staff.post(
            "/v1/readings",
            {
                "readings": [
                    {
                        "pack_id": pack_id,
                        "at": (start + timedelta(hours=6 * n)).astimezone(UTC).isoformat(),
                        "voltage_v": 16 * (3.33 - mv_per_day * n / 4000 + 0.0005 * (n % 7 - 3)),
                        "current_a": 0,
                    }
                    for n in range(75 * 4)
                ]
            },
        )

    async def story(world: World, pack_id: str) -> None:
        ids = [(await build.pack(world))["id"] for _ in range(8)]
        for one in ids:
            await report(world, one)
        await world.set_clock(rested)
        for one in ids:
            await rest(world, one, 0.5 if one == ids[-1] else 0.1)
        await check(world, rested)
        page = await world.staff.get("/v1/alarms", kind="standby_self_discharge")
        (alarm,) = page["items"]
        assert alarm["pack_id"] == ids[-1]
        assert alarm["evidence"]["value"] == pytest.approx(-0.5, abs=0.05)
        assert alarm["evidence"]["limit"] == pytest.approx(-0.2, abs=0.04)

    played(database, story)


RUN = """
import sys
from datetime import date

import uvloop

from jobs import health, runner
from leasing.db.pool import connect
from leasing.kit.settings import Settings

health.CHUNK_PACKS = 1


def report(done, total):
    print(done, flush=True)


async def main():
    async with await connect(sys.argv[1], Settings(schema=sys.argv[2])) as db:
        await runner.run_once(db, "health", health.run, date.fromisoformat(sys.argv[3]), report)


uvloop.run(main())
"""


def test_a_process_that_is_killed_leaves_nothing_double_and_nothing_missing(database):
    async def story(world: World, pack_id: str) -> None:
        ids = [pack_id, *[(await build.pack(world))["id"] for _ in range(11)]]
        for one in ids:
            await report(world, one, capacity_ah=70)
        args = (world.db.dsn, world.db.settings.schema, str(NEXT))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", RUN, *args, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        # The first line is the log's.
        for _ in range(4):
            assert await asyncio.wait_for(process.stdout.readline(), 60)
        process.kill()
        await process.wait()
        done = [len(await checks(world, one)) for one in ids]
        assert 3 <= sum(done) < len(ids)
        # Its lock is gone with its session, which the server notices in its own time.
        for _ in range(100):
            job = JOBS["health"]
            state = await run_once(world.db, "health", job, NEXT, lambda done, total: None)
            if state == "done":
                break
            await asyncio.sleep(0.1)
        assert [len(await checks(world, one)) for one in ids] == [1] * len(ids)
        measured = [[row[1] for row in await states(world, one)] for one in ids]
        assert measured == [["joint_test", "whole"], *[["whole"]] * 11]
        assert await capacity_alarms(world) == [("critical", "raised")]
        owed = (await world.staff.get("/v1/duties"))["items"]
        assert [one["kind"] for one in owed] == ["replacement"]

    played(database, story)
