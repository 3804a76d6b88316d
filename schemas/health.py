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


class PackSessionView(Outgoing, frozen=True):
    """A stretch in which the current kept its direction: one charge or one discharge. Voltages are
    per cell, charge is positive either way."""

    started_at: datetime
    ended_at: datetime
    direction: int
    """1 for a charge, -1 for a discharge."""
    samples: int
    charge_ah: float
    opening_ah: float
    """What flowed between the reading before it and its first, if the current stepped half way."""
    sampling_ah: float
    """One sigma of the charge for not having looked between readings."""
    missing_share: float
    """Of its time."""
    before_v: float | None
    start_v: float
    end_v: float
    start_a: float
    end_a: float
    start_soc_percent: float | None
    end_soc_percent: float | None
    median_a: float
    median_temperature_c: float | None
    rest_before_s: float
    rest_after_s: float | None
    temperature_min_c: float | None
    temperature_max_c: float | None
    spread_median_mv: float | None
    """Between the highest and the lowest cell."""
    spread_max_mv: float | None
