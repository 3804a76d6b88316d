"""The nightly health check: what it finds, what follows from it, and what it leaves for later."""

from datetime import date, timedelta
from typing import Any

import pytest

from jobs import health, runner
from jobs.registry import JOBS
from leasing.db.pool import Database
from leasing.kit.time import midnight
from tests import build
from tests.build import World

NIGHT = date(2026, 1, 20)
NEXT = NIGHT + timedelta(days=1)
WEAK_AH, UNSURE_AH, STRONG_AH = 70, 80, 95
"""Against 80 Ah guaranteed: surely below, within the interval of the estimate, surely above."""


async def report(
    world: World, pack_id: str, on: date = NIGHT, capacity_ah: float = STRONG_AH, part: Any = None
) -> None:
    """A whole charge in the night of a day, or a slice of it."""
    readings = build.charge_readings(pack_id, midnight(on), capacity_ah=capacity_ah)
    batch = readings if part is None else readings[part]
    await world.staff.post("/v1/readings", {"readings": batch})


async def check(world: World, on: date = NEXT) -> None:
    """The job of the night before a day, by hand."""
    state = await runner.run_once(world.db, "health", JOBS["health"], on, lambda done, total: None)
    assert state == "done"


async def checks(world: World, pack_id: str) -> list[tuple[str, str]]:
    page = await world.staff.get(f"/v1/packs/{pack_id}/health-checks")
    return [(row["as_of"], row["verdict"]) for row in page["items"]]


async def duties(world: World) -> list[tuple[Any, ...]]:
    page = await world.staff.get("/v1/duties")
    names = ("kind", "opened_on", "due_on", "closed_on", "outcome")
    return [tuple(row[name] for name in names) for row in page["items"]]


def played(database: Any, story: Any) -> None:
    """A story with one pack on lease from January 11th, told on the 22nd."""

    async def scenario(db: Database) -> None:
        async with build.world(db, on=date(2026, 1, 11)) as world:
            lease = await build.leased_pack(world, "2026-01-11")
            await world.set_clock(NEXT)
            await story(world, lease["pack"]["id"])

    database(scenario)


@pytest.mark.parametrize(
    ("capacity_ah", "verdict", "owed"),
    [
        (WEAK_AH, "breach", [("replacement", "2026-01-21", "2026-01-28", None, None)]),
        (UNSURE_AH, "inconclusive", [("check_discharge", "2026-01-21", "2026-02-20", None, None)]),
        (STRONG_AH, "pass", []),
    ],
)
def test_a_verdict_opens_the_duty_that_the_contract_knows(database, capacity_ah, verdict, owed):
    async def story(world: World, pack_id: str) -> None:
        await report(world, pack_id, capacity_ah=capacity_ah)
        await check(world)
        assert await checks(world, pack_id) == [("2026-01-21", verdict)]
        assert await duties(world) == owed

    played(database, story)


def test_what_cannot_be_judged_opens_nothing_and_says_why(database):
    async def story(world: World, pack_id: str) -> None:
        await report(world, pack_id, capacity_ah=WEAK_AH, part=slice(60, 72))
        await check(world)
        assert await checks(world, pack_id) == [("2026-01-21", "abstained")]
        page = await world.staff.get(f"/v1/packs/{pack_id}/health-checks")
        evidence = page["items"][0]["evidence"]
        assert evidence["reason"]
        assert evidence["sentence"]
        assert await duties(world) == []

    played(database, story)


def test_a_second_breach_does_not_start_the_clock_again(database):
    async def story(world: World, pack_id: str) -> None:
        for days in (0, 4):
            await world.set_clock(NEXT + timedelta(days=days))
            await report(world, pack_id, NIGHT + timedelta(days=days), WEAK_AH)
            await check(world, NEXT + timedelta(days=days))
        assert [verdict for _, verdict in await checks(world, pack_id)] == ["breach", "breach"]
        assert await duties(world) == [("replacement", "2026-01-21", "2026-01-28", None, None)]

    played(database, story)


@pytest.mark.parametrize(
    ("capacity_ah", "opened"),
    [
        (STRONG_AH, []),
        (WEAK_AH, [("replacement", "2026-01-25", "2026-02-01", None, None)]),
    ],
)
def test_a_clear_answer_closes_the_check_discharge(database, capacity_ah, opened):
    async def story(world: World, pack_id: str) -> None:
        await report(world, pack_id, capacity_ah=UNSURE_AH)
        await check(world)
        later = NIGHT + timedelta(days=4)
        await world.set_clock(later + timedelta(days=1))
        await report(world, pack_id, later, capacity_ah)
        await check(world, later + timedelta(days=1))
        assert await duties(world) == [
            ("check_discharge", "2026-01-21", "2026-02-20", "2026-01-25", "done"),
            *opened,
        ]

    played(database, story)


def test_a_clear_answer_does_not_close_a_replacement_that_is_owed(database):
    async def story(world: World, pack_id: str) -> None:
        await report(world, pack_id, capacity_ah=WEAK_AH)
        await check(world)
        later = NIGHT + timedelta(days=4)
        await world.set_clock(later + timedelta(days=1))
        await report(world, pack_id, later, STRONG_AH)
        await check(world, later + timedelta(days=1))
        assert await duties(world) == [("replacement", "2026-01-21", "2026-01-28", None, None)]

    played(database, story)


def test_an_abstention_leaves_open_duties_as_they_are(database):
    async def story(world: World, pack_id: str) -> None:
        await report(world, pack_id, capacity_ah=UNSURE_AH)
        await check(world)
        before = await duties(world)
        later = NIGHT + timedelta(days=4)
        await world.set_clock(later + timedelta(days=1))
        await report(world, pack_id, later, part=slice(60, 80))
        await check(world, later + timedelta(days=1))
        assert await checks(world, pack_id) == [
            ("2026-01-21", "inconclusive"),
            ("2026-01-25", "abstained"),
        ]
        assert await duties(world) == before

    played(database, story)


def test_a_pack_that_is_not_on_lease_is_measured_and_judged_against_nothing(database):
    async def story(world: World, pack_id: str) -> None:
        spare = await build.pack(world)
        await report(world, spare["id"], capacity_ah=WEAK_AH)
        await check(world)
        page = await world.staff.get(f"/v1/packs/{spare['id']}/health-checks")
        (found,) = page["items"]
        assert (found["line_id"], found["guarantee_mah"]) == (None, None)
        assert found["lower_mah"] <= 70_000 <= found["upper_mah"]
        assert found["verdict"] == "pass"
        assert await duties(world) == []

    played(database, story)


def test_what_was_reported_after_midnight_waits_for_the_next_night(database):
    async def story(world: World, pack_id: str) -> None:
        # From half past seven in the evening over midnight: no whole charge is there yet.
        start = midnight(NEXT) - timedelta(hours=4, minutes=30)
        readings = build.charge_readings(pack_id, start, capacity_ah=WEAK_AH)
        await world.staff.post("/v1/readings", {"readings": readings})
        await check(world, NEXT)
        await world.set_clock(NEXT + timedelta(days=1))
        await check(world, NEXT + timedelta(days=1))
        assert await checks(world, pack_id) == [
            ("2026-01-21", "abstained"),
            ("2026-01-22", "breach"),
        ]

    played(database, story)


def test_readings_that_come_late_are_evaluated_in_the_next_night(database):
    async def story(world: World, pack_id: str) -> None:
        await report(world, pack_id, capacity_ah=WEAK_AH, part=slice(0, 60))
        await check(world)
        await report(world, pack_id, capacity_ah=WEAK_AH, part=slice(60, None))
        await check(world)
        assert await checks(world, pack_id) == [("2026-01-21", "abstained")]
        await world.set_clock(NEXT + timedelta(days=1))
        await check(world, NEXT + timedelta(days=1))
        assert await checks(world, pack_id) == [
            ("2026-01-21", "abstained"),
            ("2026-01-22", "breach"),
        ]

    played(database, story)


def test_what_was_evaluated_is_not_evaluated_again(database):
    async def story(world: World, pack_id: str) -> None:
        await report(world, pack_id, capacity_ah=WEAK_AH)
        await check(world)
        await check(world)
        await world.set_clock(NEXT + timedelta(days=3))
        for days in (1, 2, 3):
            await check(world, NEXT + timedelta(days=days))
        assert await checks(world, pack_id) == [("2026-01-21", "breach")]
        assert len(await duties(world)) == 1

    played(database, story)


def test_a_swap_ends_the_duties_of_the_pack_that_went(database):
    async def story(world: World, pack_id: str) -> None:
        await report(world, pack_id, capacity_ah=WEAK_AH)
        await check(world)
        strong = await build.pack(world)
        (line,) = (await world.staff.get("/v1/lines"))["items"]
        swap = build.acceptance(strong["id"], NEXT)
        await world.staff.post(f"/v1/lines/{line['id']}/swaps", swap)
        assert await duties(world) == [
            ("replacement", "2026-01-21", "2026-01-28", "2026-01-21", "done")
        ]

    played(database, story)


@pytest.mark.parametrize("chunk", [100, 2])
def test_a_pack_that_cannot_be_checked_is_parked_and_the_others_are_checked(
    database, monkeypatch, chunk
):
    monkeypatch.setattr(health, "CHUNK_PACKS", chunk)

    async def story(world: World, pack_id: str) -> None:
        spares = [(await build.pack(world))["id"] for _ in range(4)]
        bad = spares[1]
        for one in (pack_id, *spares):
            await report(world, one, capacity_ah=WEAK_AH)
        await refuse_checks_of(world, bad)
        try:
            await check(world)
        finally:
            await allow_checks(world)
        found = {one: len(await checks(world, one)) for one in (pack_id, *spares)}
        assert found == {one: int(one != bad) for one in (pack_id, *spares)}
        async with world.db.transaction() as tx:
            rows = await tx.fetch("SELECT subject, subject_id::text, error FROM job_parked")
            counted = await tx.fetchval(
                "SELECT parked FROM job_run WHERE job = 'health' ORDER BY as_of DESC LIMIT 1"
            )
        ((subject, subject_id, error),) = rows
        assert (subject, subject_id, counted) == ("pack", bad, 1)
        assert error.startswith("CheckViolationError: ")
        # It was not marked as evaluated: the next night tries again.
        await world.set_clock(NEXT + timedelta(days=1))
        await check(world, NEXT + timedelta(days=1))
        assert await checks(world, bad) == [("2026-01-22", "pass")]

    played(database, story)


async def refuse_checks_of(world: World, pack_id: str) -> None:
    async with world.db.transaction() as tx:
        await tx.execute(
            f"ALTER TABLE health_check ADD CONSTRAINT out_of_order CHECK (pack_id <> '{pack_id}')"
        )


async def allow_checks(world: World) -> None:
    async with world.db.transaction() as tx:
        await tx.execute("ALTER TABLE health_check DROP CONSTRAINT out_of_order")


def test_a_night_missed_is_checked_when_the_worker_is_back(database):
    async def story(world: World, pack_id: str) -> None:
        await report(world, pack_id, capacity_ah=WEAK_AH)
        await world.set_clock(NIGHT + timedelta(days=3))
        await runner.tick(world.db, JOBS)
        assert await checks(world, pack_id) == [("2026-01-21", "breach")]
        assert await duties(world) == [("replacement", "2026-01-21", "2026-01-28", None, None)]

    played(database, story)


def test_a_reading_older_than_a_month_is_kept_and_no_verdict_rests_on_it(database):
    async def story(world: World, pack_id: str) -> None:
        old = build.charge_readings(pack_id, midnight(date(2025, 11, 1)), capacity_ah=WEAK_AH)
        await world.staff.post("/v1/readings", {"readings": old})
        await check(world)
        assert [verdict for _, verdict in await checks(world, pack_id)] == ["abstained"]
        assert await duties(world) == []

    played(database, story)
