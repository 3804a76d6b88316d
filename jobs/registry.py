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
    obligations,
    receivables,
    recyclers,
    routing,
    telemetry,
    trace,
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
    "obligations": obligations.run,
    "market": market.run,
    "receivables": receivables.run,
    "recyclers": recyclers.run,
    "routing": routing.run,
    "telemetry": telemetry.run,
    "tests": maintenance.schedule,
    "trace": trace.run,
}
