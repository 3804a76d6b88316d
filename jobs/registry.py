"""Every job by its name in the timetable."""

from jobs import billing, contracts, health, housekeeping
from jobs.runner import Job

JOBS: dict[str, Job] = {
    "billing": billing.run,
    "contracts": contracts.run,
    "health": health.run,
    "housekeeping": housekeeping.run,
}
