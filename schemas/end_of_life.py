"""From a condemned pack to its recycling certificate."""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from schemas.common import Code, Incoming, Name, Outgoing, Percent


class RoutingState(StrEnum):
    RESERVED = "reserved"
    HANDED_OVER = "handed_over"
    RECYCLED = "recycled"
    RELEASED = "released"


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
