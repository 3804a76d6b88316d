"""State of health against the contract, and the duties that follow."""

from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from schemas.common import Outgoing


class Verdict(StrEnum):
    PASS = "pass"
    BREACH = "breach"
    INCONCLUSIVE = "inconclusive"
    ABSTAINED = "abstained"


class DutyKind(StrEnum):
    REPLACEMENT = "replacement"
    CHECK_DISCHARGE = "check_discharge"


class HealthCheckView(Outgoing, frozen=True):
    id: UUID
    pack_id: UUID
    line_id: UUID | None
    as_of: date
    verdict: Verdict
    method: str | None
    capacity_mah: int | None
    lower_mah: int | None
    upper_mah: int | None
    guarantee_mah: int | None
    measured_at: datetime | None
    evidence: dict[str, object]


class DutyView(Outgoing, frozen=True):
    id: UUID
    line_id: UUID
    pack_id: UUID
    kind: DutyKind
    health_check_id: UUID
    opened_on: date
    due_on: date
    closed_on: date | None
    outcome: str | None
