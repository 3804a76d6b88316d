"""Every job by its name in the timetable."""

from jobs import (
    accounting,
    billing,
    contracts,
    documents,
    einvoices,
    health,
    housekeeping,
    maintenance,
    market,
    receivables,
    telemetry,
)
from jobs.runner import Job

JOBS: dict[str, Job] = {
    "accounting": accounting.run,
    "billing": billing.run,
    "contracts": contracts.run,
    "documents": documents.run,
    "duties": maintenance.run,
    "einvoices": einvoices.run,
    "health": health.run,
    "housekeeping": housekeeping.run,
    "interest": receivables.accrue,
    "market": market.run,
    "receivables": receivables.run,
    "telemetry": telemetry.run,
    "tests": maintenance.schedule,
}
