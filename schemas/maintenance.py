"""Check discharges as work orders, the rules that plan them, and chains of evidence."""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from msgspec import Meta

from schemas.billing import Evidence
from schemas.common import Incoming, Milliamperehours, Name, Outgoing, Sha256
from schemas.health import DutyView, HealthCheckView
from schemas.sites import SiteClass
from schemas.tariffs import OutageView

Months = Annotated[int, Meta(ge=1, le=120)]
Share = Annotated[int, Meta(ge=1, le=100)]
Soc = Annotated[float, Meta(ge=0, le=100)]


class WorkOrderKind(StrEnum):
    CHECK_DISCHARGE = "check_discharge"


class WorkOrderState(StrEnum):
    PLANNED = "planned"
    ASSIGNED = "assigned"
    DONE = "done"
    CANCELLED = "cancelled"


class Why(StrEnum):
    SCHEDULE = "schedule"
    """The rule of the site's class says so."""
    INCONCLUSIVE = "inconclusive"
    """A health check could not tell whether the guarantee holds."""
    RESISTANCE = "resistance"
    """The internal resistance has risen."""


class WorkOrderView(Outgoing, frozen=True):
    id: UUID
    kind: WorkOrderKind
    pack_id: UUID
    line_id: UUID
    site_id: UUID
    why: Why
    duty_id: UUID | None
    alarm_id: UUID | None
    from_on: date
    due_on: date
    depth_percent: int
    """How far to discharge, of the rated capacity."""
    state: WorkOrderState
    planned_at: datetime
    assignee: str | None
    assigned_at: datetime | None
    done_at: datetime | None
    capacity_test_id: UUID | None
    result: dict[str, Any] | None
    cancelled_at: datetime | None
    cancel_reason: str | None


class WorkOrderAssign(Incoming, frozen=True):
    assignee: Name


class WorkOrderCancel(Incoming, frozen=True):
    reason: Name


class CheckDischargeResult(Incoming, frozen=True, kw_only=True):
    """What a check discharge showed. Of a part of the capacity the states of charge at both ends
    bound the rest; voltages alone do not, on LFP."""

    tested_on: date
    discharged_mah: Milliamperehours
    depth_percent: Share
    """Of the rated capacity; 100 when it went on to the end voltage."""
    duration_minutes: Annotated[int, Meta(ge=1, le=10_000)]
    temperature_c: Annotated[float, Meta(ge=-40, le=85)]
    start_soc_percent: Soc | None = None
    end_soc_percent: Soc | None = None
    start_voltage_mv: Annotated[int, Meta(ge=1, le=2_000_000)] | None = None
    end_voltage_mv: Annotated[int, Meta(ge=1, le=2_000_000)] | None = None
    signatory: Name
    document_sha256: Sha256


class TestRuleCreate(Incoming, frozen=True, kw_only=True):
    """From a day on another rule holds for sites of a class."""

    __test__ = False

    site_class: SiteClass
    valid_from: date
    interval_months: Months = 24
    life_months: Annotated[int, Meta(ge=12, le=360)] = 96
    """Expected life, from the first hand-over on."""
    life_percent: Share = 25
    """A test at the latest after this part of the expected life."""
    old_percent: Share = 85
    """From this part of the expected life on, tests follow each other in `old_months`."""
    old_months: Months = 12
    drop_points: Share = 10
    """So do they after the state of health fell by more."""
    depth_percent: Annotated[int, Meta(ge=30, le=80)]
    deep_percent: Annotated[int, Meta(ge=80, le=100)] = 80
    deep_every: Annotated[int, Meta(ge=1, le=10)] = 2
    """One test in so many is a deep one."""
    reason: Name


class TestRuleView(Outgoing, frozen=True):
    __test__ = False

    id: UUID
    site_class: SiteClass
    valid_from: date
    interval_months: int
    life_months: int
    life_percent: int
    old_percent: int
    old_months: int
    drop_points: int
    depth_percent: int
    deep_percent: int
    deep_every: int
    reason: str
    entered_by: str
    entered_at: datetime


class OutageExplanation(Outgoing, frozen=True):
    outage: OutageView
    evidence: list[Evidence]


class DutyExplanation(Outgoing, frozen=True):
    duty: DutyView
    evidence: list[Evidence]


class HealthCheckExplanation(Outgoing, frozen=True):
    check: HealthCheckView
    evidence: list[Evidence]
