"""From a returned pack to its recycling certificate."""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from msgspec import Meta

from schemas.common import Code, Incoming, Name, Outgoing, Percent, Remark
from schemas.outlets import Hazard


class Grade(StrEnum):
    A = "A"
    B = "B"
    C = "C"
    D = "D"


class Decision(StrEnum):
    RELEASE = "release"
    """Back into stock for another lease."""
    RECYCLE = "recycle"


class RoutingState(StrEnum):
    RESERVED = "reserved"
    HANDED_OVER = "handed_over"
    RECYCLED = "recycled"
    RELEASED = "released"


class InspectionCreate(Incoming, frozen=True, kw_only=True):
    """The joint inspection of a returned pack, signed by both sides."""

    inspected_on: date
    grade: Grade
    hazard: Hazard = Hazard.CRITICAL
    """What nobody judged is treated as the worst."""
    tested_capacity_mah: Annotated[int, Meta(ge=0, le=2_000_000_000)] | None = None
    remarks: Remark = ""
    lessor_signatory: Name
    lessee_signatory: Name


class InspectionView(Outgoing, frozen=True):
    id: UUID
    pack_id: UUID
    inspected_on: date
    grade: Grade
    hazard: Hazard
    tested_capacity_mah: int | None
    remarks: str


class DispositionCreate(Incoming, frozen=True, kw_only=True):
    decision: Decision
    decided_on: date
    reason: Name


class DispositionView(Outgoing, frozen=True):
    id: UUID
    pack_id: UUID
    inspection_id: UUID
    decision: Decision
    decided_on: date
    reason: str


class RoutingCreate(Incoming, frozen=True, kw_only=True):
    hand_over_on: date
    """The day planned; the outlet must be qualified on it."""


class HandOverCreate(Incoming, frozen=True, kw_only=True):
    handed_over_on: date


class ReleaseCreate(Incoming, frozen=True, kw_only=True):
    released_on: date
    reason: Name


class CertificateCreate(Incoming, frozen=True, kw_only=True):
    number: Code
    recycled_on: date
    lithium_percent: Percent
    nickel_cobalt_manganese_percent: Percent | None = None


class RoutingView(Outgoing, frozen=True):
    id: UUID
    pack_id: UUID
    outlet_id: UUID
    outlet_code: str
    recycler_id: UUID
    state: RoutingState
    mass_kg: int
    distance_m: int
    hand_over_on: date
    explanation: dict[str, object]
    chosen_at: datetime
    handed_over_on: date | None
    recycled_on: date | None
    released_on: date | None
    release_reason: str | None


class CertificateView(Outgoing, frozen=True):
    routing_id: UUID
    number: str
    recycler_id: UUID
    recycled_on: date
    lithium_percent: Decimal
    nickel_cobalt_manganese_percent: Decimal | None
    below_floor: bool
    """A recovery rate is below the floor of China that held on that day (since 2025: Li 90 %,
    Ni/Co/Mn 98 %); `GET /v1/recovery-floors` has them all."""
