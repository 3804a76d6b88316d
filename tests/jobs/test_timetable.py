"""When jobs are due, and that APScheduler does nothing but wake us."""

import ast
import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from apscheduler.jobstores.memory import MemoryJobStore

from jobs import timetable
from jobs.registry import JOBS
from leasing.kit.time import CIVIL_ZONE

ROOT = Path(__file__).parents[2]


def imports(path: Path) -> set[str]:
    """The packages that a file imports, at its top or anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


def test_only_the_timetable_knows_apscheduler():
    knowing = [
        path.relative_to(ROOT).as_posix()
        for folder in ("jobs", "leasing", "schemas")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if "apscheduler" in imports(path)
    ]
    assert knowing == ["jobs/timetable.py"]


def test_every_job_has_its_time_and_every_time_its_job():
    assert timetable.TIMETABLE.keys() == JOBS.keys()


def test_the_scheduler_remembers_nothing_and_makes_late_wake_ups_good():
    async def scenario() -> None:
        scheduler = timetable.wake(never, every_s=3600)
        try:
            (job,) = scheduler.get_jobs()
            assert (job.misfire_grace_time, job.coalesce, job.max_instances) == (None, True, 1)
            assert isinstance(scheduler._jobstores["default"], MemoryJobStore)
            assert list(scheduler._jobstores) == ["default"]
        finally:
            scheduler.shutdown(wait=False)

    async def never() -> None:
        raise AssertionError("woken an hour too early")

    asyncio.run(scenario())


def test_a_tick_that_takes_long_is_not_started_a_second_time():
    async def scenario() -> list[str]:
        told: list[str] = []

        async def tick() -> None:
            told.append("begins")
            await asyncio.sleep(0.2)
            told.append("ends")

        scheduler = timetable.wake(tick, every_s=0.02)
        await asyncio.sleep(0.5)
        scheduler.shutdown(wait=False)
        return told

    told = asyncio.run(scenario())
    assert told[:4] == ["begins", "ends", "begins", "ends"]


def instants(job: str, after: datetime, until: datetime) -> list[datetime]:
    return [at.astimezone(CIVIL_ZONE) for at in timetable.due(job, after, until)]


def test_billing_is_due_every_day_at_three_local_time():
    found = instants(
        "billing", datetime(2024, 1, 31, tzinfo=UTC), datetime(2025, 1, 31, tzinfo=UTC)
    )
    assert len(found) == 366
    assert all((at.hour, at.minute) == (3, 0) for at in found)
    assert [(at.month, at.day) for at in found[:2]] == [(2, 1), (2, 2)]


def test_health_is_due_every_night_before_billing_and_housekeeping_on_sundays():
    start = datetime(2026, 1, 1, tzinfo=UTC)
    nights = instants("health", start, start + timedelta(days=365))
    assert len(nights) == 365
    assert all(b - a == timedelta(days=1) for a, b in pairwise(nights))
    billing = instants("billing", start, start + timedelta(days=365))
    assert all(at.replace(hour=1, minute=30) in nights for at in billing)
    sundays = instants("housekeeping", start, start + timedelta(days=28))
    assert [at.isoweekday() for at in sundays] == [7, 7, 7, 7]


def test_of_the_hours_that_were_missed_only_the_last_is_made_good():
    start = datetime(2026, 1, 1, tzinfo=UTC)
    (last,) = instants("telemetry", start, start + timedelta(days=30, minutes=4))
    assert last == start + timedelta(days=29, hours=23, minutes=5)
    assert instants("telemetry", last, start + timedelta(days=30, minutes=4)) == []
    (following,) = instants("telemetry", last, start + timedelta(days=30, minutes=5))
    assert following == last + timedelta(hours=1)


@pytest.mark.parametrize("job", sorted(timetable.TIMETABLE.keys() - timetable.LATEST_ONLY))
def test_what_is_due_is_after_the_start_and_up_to_the_end(job):
    first, second = instants(
        job, datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC)
    )[:2]
    assert instants(job, first, second) == [second]
    assert instants(job, first, second - timedelta(microseconds=1)) == []
    assert instants(job, first - timedelta(microseconds=1), second) == [first, second]


def test_a_fall_of_ten_thousand_nights_is_taken_in_rounds(monkeypatch):
    monkeypatch.setattr(timetable, "MAX_DUE", 5)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    found = instants("health", start, start + timedelta(days=12))
    assert len(found) == 5
    more = instants("health", found[-1], start + timedelta(days=12))
    assert more[0] - found[-1] == timedelta(days=1)
