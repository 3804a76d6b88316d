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


class ExplainedSession(Outgoing, frozen=True):
    """A charge or discharge that told a capacity, and where its readings are."""

    started_at: datetime
    ended_at: datetime
    source: str
    """`whole`: seen full and seen empty; `window`, `count`: by the battery's own count."""
    capacity_mah: int
    sigma_percent: float
    variance_factor: float | None
    """What its variance was multiplied by, 1 when it was believed; null when it was not used."""
    readings: str


class ExplainedTest(Outgoing, frozen=True):
    """A test that was taken into account for the first time."""

    id: UUID
    tested_on: date
    source: str
    capacity_mah: int
    sigma_percent: float
    reports: str | None
    """Where the pack's reports are; null of a joint test at hand-over."""


class HealthSmoothing(Outgoing, frozen=True):
    """What the newest measurement did to what was known before it; nulls before it: the first."""

    prior_mah: float | None
    prior_sigma_mah: float | None
    innovation_mah: float | None
    """Measured less expected."""
    innovation_sigma_mah: float | None
    gate_sigmas: float
    variance_factor: float | None
    prior_doubted_mah: float
    """What was added to the sigma of what was known, since a better source contradicted it."""
    outcome: str
    fade_mah_per_week: float


class HealthExplanation(Outgoing, frozen=True):
    """The latest check of a pack, and all it rests on."""

    check: HealthCheckView
    sessions: list[ExplainedSession]
    tests: list[ExplainedTest]
    error_points: dict[str, float]
    """One sigma each, in points of the rated capacity."""
    smoothing: HealthSmoothing | None
    sentence: str
    sentence_zh: str
