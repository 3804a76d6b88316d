"""Alarms of packs, quarantine and safety holds."""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from msgspec import Meta

from schemas.common import PRINTABLE, Incoming, Name, Outgoing

Note = Annotated[
    str, Meta(min_length=10, max_length=2000, pattern=PRINTABLE, description="A sentence at least.")
]


class AlarmKind(StrEnum):
    """What is wrong."""

    CELL_OVER_VOLTAGE = "cell_over_voltage"
    CELL_UNDER_VOLTAGE = "cell_under_voltage"
    STATIC_IMBALANCE = "static_imbalance"
    DRIFT = "drift"
    CELL_SPREAD = "cell_spread"
    CHARGE_TEMPERATURE = "charge_temperature"
    OVER_TEMPERATURE = "over_temperature"
    """Too hot for anything: stop."""
    TEMPERATURE_SPREAD = "temperature_spread"
    THERMAL_RUNAWAY = "thermal_runaway"
    INSULATION = "insulation"
    INSULATION_TREND = "insulation_trend"
    """A reason to inspect. It promises nothing."""
    CAPACITY = "capacity"
    RESISTANCE = "resistance"
    STANDBY_SELF_DISCHARGE = "standby_self_discharge"
    SILENCE = "silence"
    """Nothing newer came from a pack in a line, or of one of its quantities."""
    DATA_STUCK = "data_stuck"
    DATA_UNIT_JUMP = "data_unit_jump"
    DATA_CLOCK = "data_clock"
    DATA_CONTRADICTION = "data_contradiction"
    DATA_SOC = "data_soc"
    DEVICE = "device"
    """Raised by the battery's own management; its code says what."""


class AlarmSeverity(StrEnum):
    INFO = "info"
    WARN = "warn"
    CRITICAL = "critical"


class AlarmState(StrEnum):
    RAISED = "raised"
    """Told again and again until somebody acknowledges it."""
    ACKNOWLEDGED = "acknowledged"
    CLOSED = "closed"


class AlarmView(Outgoing, frozen=True):
    id: UUID
    pack_id: UUID
    kind: AlarmKind
    severity: AlarmSeverity
    cell: int | None
    """Counted from 1."""
    code: str | None
    """What the battery's own management calls it, when that raised it."""
    serial: str | None
    since: datetime
    """The reading at which it began."""
    last_seen_at: datetime
    limits: dict[str, Any]
    """The parameters of all rules, as they were used."""
    evidence: dict[str, Any]
    """The value and its limit, and the last readings before it."""
    state: AlarmState
    raised_at: datetime
    next_repeat_at: datetime | None
    repeats: int
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    closed_at: datetime | None
    closed_by: str | None
    close_reason: str | None


class AlarmClose(Incoming, frozen=True):
    reason: Name


class QuarantineView(Outgoing, frozen=True):
    """A pack that may neither be moved nor handed over until it was inspected."""

    id: UUID
    pack_id: UUID
    alarm_id: UUID
    reason: str
    opened_at: datetime
    released_at: datetime | None
    released_by: str | None
    inspection_note: str | None


class QuarantineRelease(Incoming, frozen=True):
    inspection_note: Note
    """What the inspection found, and why the pack may be moved."""


class SafetyHoldView(Outgoing, frozen=True):
    """A pack with cells of the maker and batch of one in quarantine: not handed over for now."""

    id: UUID
    quarantine_id: UUID
    pack_id: UUID
    batch: str
    """The beginning of a code that the packs have in common."""
    opened_at: datetime
    released_at: datetime | None
    released_by: str | None
    release_note: str | None


class SafetyHoldRelease(Incoming, frozen=True):
    note: Note


class AlarmLimitsCreate(Incoming, frozen=True):
    """Limits of a model of pack from a day on, instead of the defaults. Named ones only; what is
    not named is the default."""

    model: Annotated[
        str,
        Meta(
            pattern=r"^[0-9A-Z]{3}[PMC][A-GZ][0-9A-Z]{2}$(?!\n)",
            description="Maker, kind, chemistry and specification: how its GB/T 34014 code begins.",
        ),
    ]
    valid_from: date
    limits: Annotated[dict[str, float | int | None], Meta(max_length=100)]
    reason: Name


class AlarmLimitsView(Outgoing, frozen=True):
    id: UUID
    model: str
    version: int
    valid_from: date
    limits: dict[str, Any]
    reason: str
    entered_by: str
    entered_at: datetime
