"""When jobs are due. The only file that knows APScheduler.

A trigger says at which instants a job falls due; the runner enters those into the database and
works them off from there. The scheduler itself only wakes the runner every few seconds: it
remembers nothing, and a wake-up that comes late or never is made good by the next one.
"""

import logging
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime, timedelta
from functools import lru_cache

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.cron import CronTrigger

from leasing.kit.time import CIVIL_ZONE

TIMETABLE: dict[str, CronTrigger] = {
    # What holds on a day is settled before anything of that day is looked at.
    "contracts": CronTrigger(hour=0, minute=30, timezone=CIVIL_ZONE),
    # Before anybody looks for a way to a recycler.
    "recyclers": CronTrigger(hour=0, minute=45, timezone=CIVIL_ZONE),
    # After the last readings of the day had time to arrive; before billing, which may depend on it.
    "health": CronTrigger(hour=1, minute=30, timezone=CIVIL_ZONE),
    # What follows from the checks; billing credits it.
    "duties": CronTrigger(hour=2, minute=30, timezone=CIVIL_ZONE),
    "tests": CronTrigger(day_of_week="mon", hour=2, minute=45, timezone=CIVIL_ZONE),
    # What came in until midnight pays, before anybody is reminded of it.
    "receivables": CronTrigger(hour=2, timezone=CIVIL_ZONE),
    "billing": CronTrigger(hour=3, timezone=CIVIL_ZONE),
    "interest": CronTrigger(day=1, hour=3, minute=30, timezone=CIVIL_ZONE),
    # The month's income, after its invoices.
    "accounting": CronTrigger(day=1, hour=5, timezone=CIVIL_ZONE),
    # After billing, of which each day may have some.
    "documents": CronTrigger(hour=5, timezone=CIVIL_ZONE),
    # By then everything of the day before was decided on.
    "routing": CronTrigger(hour=4, minute=30, timezone=CIVIL_ZONE),
    "einvoices": CronTrigger(hour=6, timezone=CIVIL_ZONE),
    # What was recorded during the day is reported after all that may record at night.
    "obligations": CronTrigger(hour=6, minute=30, timezone=CIVIL_ZONE),
    "telemetry": CronTrigger(minute=5, timezone=CIVIL_ZONE),
    # What the night recorded is in the chains that are checked.
    "trace": CronTrigger(hour=5, minute=30, timezone=CIVIL_ZONE),
    # When the night's checks and bills are done.
    "market": CronTrigger(hour=4, minute=30, timezone=CIVIL_ZONE),
    "housekeeping": CronTrigger(day_of_week="sun", hour=4, timezone=CIVIL_ZONE),
}

LATEST_ONLY = {"telemetry"}
"""Jobs that work off what is there: of instants that were missed, the last one does for all."""

MAX_DUE = 10_000
"""As many due instants of one job as are entered at once; more wait for the next round."""


def due(job: str, after: datetime, until: datetime) -> Iterator[datetime]:
    """The instants in `(after, until]` at which a job falls due, oldest first."""
    previous = after
    if job in LATEST_ONLY:
        # Hourly ones: the last is within the last hours.
        previous = max(after, until - timedelta(hours=2))
        found = list(_due(job, previous, until))
        yield from found[-1:]
        return
    yield from _due(job, previous, until)


def _due(job: str, previous: datetime, until: datetime) -> Iterator[datetime]:
    for _ in range(MAX_DUE):
        following = next_after(TIMETABLE[job], previous)
        if following is None or following > until:
            return
        yield following
        previous = following


# Remembered, for every tick asks again what follows the newest entry of each job.
@lru_cache(maxsize=100)
def next_after(trigger: CronTrigger, previous: datetime) -> datetime | None:
    following: datetime | None = trigger.get_next_fire_time(previous, previous)
    return following


def wake(tick: Callable[[], Awaitable[None]], every_s: float) -> AsyncIOScheduler:
    """Call `tick` every few seconds from now on, never twice at the same time. The caller
    shuts the scheduler down."""
    # It warns when a tick is passed over because the one before goes on, which is as it should be.
    logging.getLogger("apscheduler.scheduler").setLevel(logging.ERROR)
    scheduler = AsyncIOScheduler(
        timezone=CIVIL_ZONE, job_defaults={"misfire_grace_time": None, "coalesce": True}
    )
    scheduler.add_job(tick, "interval", seconds=every_s, max_instances=1, id="tick")
    scheduler.start()
    return scheduler
