"""Obligations to report (报送义务), the rules they follow from, and what was sent."""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from schemas.common import PRINTABLE, Incoming, Name, Outgoing


class ObligationState(StrEnum):
    DUE = "due"
    PREPARED = "prepared"
    """The report is written."""
    SUBMITTED = "submitted"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    CORRECTED = "corrected"
    """What was rejected was put right; it goes out again."""
    VOID = "void"
    """What it rests on was corrected."""


class DeadlineUnit(StrEnum):
    WORKING_DAYS = "working_days"
    """工作日"""
    CALENDAR_DAYS = "calendar_days"
    """日"""


class ObligationRole(StrEnum):
    """As what a party has to report."""

    CARMAKER = "carmaker"
    COOPERATING_LESSOR = "cooperating_lessor"
    """A battery lessor that reports through a carmaker."""
    INDEPENDENT_LESSOR = "independent_lessor"
    """A battery lessor with an account of its own."""
    REPURPOSER = "repurposer"
    """Cascade enterprise (梯次利用企业)."""
    OUTLET = "outlet"
    RECYCLER = "recycler"
    DISMANTLER = "dismantler"


class Recipient(StrEnum):
    PLATFORM = "platform"
    """The national traceability platform (溯源管理平台)."""
    CARMAKER = "carmaker"


class Regime(StrEnum):
    MIIT_2018_35 = "miit_2018_35"
    ORDER_73 = "order_73"
    MIIT_2026_20 = "miit_2026_20"
    OWN = "own"


class Reporter(StrEnum):
    LESSOR = "lessor"
    PARTY = "party"
    """The party that the record names."""
    RECEIVER = "receiver"
    """The party that the record names, or the lessor when it names none."""


class Basis(StrEnum):
    CONFIRMED = "confirmed"
    """Read in the source."""
    ASSUMED = "assumed"
    """The text is not known; what stands here may be changed."""


class Standing(StrEnum):
    OPEN = "open"
    OVERDUE = "overdue"


RuleCode = Annotated[str, Meta(pattern=r"^[a-z0-9_.-]{3,64}$(?!\n)")]
DeadlineNumber = Annotated[int, Meta(ge=1, le=365)]
Line = Annotated[str, Meta(min_length=1, max_length=500, pattern=PRINTABLE)]
Month = Annotated[str, Meta(pattern=r"^20[0-9]{2}-(0[1-9]|1[0-2])$(?!\n)")]


class RuleCreate(Incoming, frozen=True, kw_only=True):
    """What is to be reported of an event from a day on. Rules of one code follow each other."""

    code: RuleCode
    regime: Regime = Regime.OWN
    event_kind: RuleCode
    """Kind of a traceability record, such as "cascade.shipped"."""
    reporter: Reporter
    role: ObligationRole
    reports: Name
    recipient: Recipient = Recipient.PLATFORM
    deadline_number: DeadlineNumber
    deadline_unit: DeadlineUnit
    valid_from: date
    valid_to: date | None = None
    article: Name
    source: Line
    basis: Basis = Basis.ASSUMED
    is_enabled: bool = True


class RulePatch(Incoming, frozen=True):
    """Of a confirmed rule only the end may be set. What was opened stays as it is."""

    deadline_number: DeadlineNumber | UnsetType = UNSET
    deadline_unit: DeadlineUnit | UnsetType = UNSET
    is_enabled: bool | UnsetType = UNSET
    basis: Basis | UnsetType = UNSET
    source: Line | UnsetType = UNSET
    valid_to: date | UnsetType | None = UNSET


class RuleView(Outgoing, frozen=True):
    id: UUID
    code: str
    regime: Regime
    event_kind: str
    reporter: Reporter
    role: ObligationRole
    reports: str
    recipient: Recipient
    deadline_number: int
    deadline_unit: DeadlineUnit
    valid_from: date
    valid_to: date | None
    article: str
    source: str
    basis: Basis
    is_enabled: bool
    version: int
    entered_by: str
    entered_at: datetime


class ObligationView(Outgoing, frozen=True):
    id: UUID
    record_id: UUID
    rule_id: UUID
    rule_code: str
    article: str
    reports: str
    pack_id: UUID
    party_id: UUID | None
    """Whose it is; null: the lessor's own."""
    role: ObligationRole
    event_kind: str
    event_on: date
    recipient: Recipient
    deadline_number: int
    deadline_unit: DeadlineUnit
    due_on: date
    """The last day on which it is in time."""
    is_provisional: bool
    """It may move yet: the working days of its year are not published."""
    state: ObligationState
    level: int
    """0 in time, then 1 to 3 the longer it is overdue, as of the last nightly job."""
    submission_id: UUID | None
    submitted_on: date | None
    receipt: str | None
    void_reason: str | None
    version: int
    opened_at: datetime
    changed_at: datetime


class DueChange(Outgoing, frozen=True):
    was_due_on: date
    due_on: date
    is_provisional: bool
    reason: str
    changed_by: str
    changed_at: datetime


class FaultView(Outgoing, frozen=True):
    """Why a report was rejected, and what was done about it."""

    submission_id: UUID
    field: str
    """JSON pointer into the report."""
    code: str
    message: str
    found_at: datetime
    fixed_at: datetime | None
    fixed_by: str | None
    was_value: Any
    fixed_value: Any


class ObligationDetail(Outgoing, frozen=True):
    obligation: ObligationView
    report: dict[str, Any] | None
    """What is sent, or was; null before it is written."""
    faults: list[FaultView]
    due_changes: list[DueChange]


class CorrectionCreate(Incoming, frozen=True):
    """Other values for fields of the report that were rejected, by JSON pointer."""

    values: Annotated[dict[str, Any], Meta(min_length=1, max_length=50)]


class ReportedCreate(Incoming, frozen=True):
    """What was reported elsewhere: by the party itself, or through a carmaker."""

    reported_on: date
    receipt: Name


class VoidCreate(Incoming, frozen=True):
    reason: Line


class CalendarDay(Outgoing, frozen=True):
    """How many obligations end on a day. `overdue` of those that are open on the day asked."""

    day: date
    is_working: bool
    total: int
    open: int
    overdue: int
    submitted: int
    accepted: int
    provisional: int


class CalendarView(Outgoing, frozen=True):
    month: str
    today: date
    days: list[CalendarDay]


class PartyCounts(Outgoing, frozen=True):
    """What ended for one party in some days."""

    party_id: UUID | None
    """Null: the lessor."""
    name: str
    total: int
    open: int
    overdue: int
    submitted: int
    accepted: int
    judged: int
    """Sent, or over: what the percentage is of."""
    on_time: int
    on_time_percent: str | None


class SubmissionState(StrEnum):
    MADE = "made"
    SENT = "sent"
    ANSWERED = "answered"
    PARKED = "parked"
    """It failed too often, or was refused as a whole: a person has to look."""


class SubmissionView(Outgoing, frozen=True):
    id: UUID
    recipient: Recipient
    state: SubmissionState
    reports: int
    attempts: int
    failure: str | None
    made_at: datetime
    sent_at: datetime | None
    answered_at: datetime | None


class YearView(Outgoing, frozen=True):
    """Of a year: by which calendar deadlines are counted, and whether it is published."""

    year: int
    calendar: str
    is_published: bool
    working_days: int
    source: str
