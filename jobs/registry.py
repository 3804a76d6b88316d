"""Every job by its name in the timetable."""

from jobs import billing, health, housekeeping
from jobs.runner import Job

JOBS: dict[str, Job] = {
    "billing": billing.run,
    "health": health.run,
    "housekeeping": housekeeping.run,
}
