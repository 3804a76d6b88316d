"""From a condemned pack to its recycling certificate."""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from msgspec import Meta

from schemas.common import Code, Incoming, Name, Outgoing, Percent


class RoutingState(StrEnum):
    RESERVED = "reserved"
    HANDED_OVER = "handed_over"
    RECYCLED = "recycled"
    RELEASED = "released"


class RoutingCreate(Incoming, frozen=True, kw_only=True):
    hand_over_on: date
    """The day planned; the outlet must be qualified on it."""


class AgainstView(Outgoing, frozen=True):
    """A reason against an outlet, from one fixed list."""

    code: str
    text_en: str
    text_zh: str


class CountView(Outgoing, frozen=True):
    """A reason and how many outlets it speaks against; one outlet may have several."""

    code: str
    outlets: int
    text_en: str
    text_zh: str


class RouteOptionView(Outgoing, frozen=True):
    """An outlet and what the packs bring there, in fen. Offer, the second leg, freight and packing
    add up to the net; all but the offer are 0 or less. `recycler_id` is the utilisation firm at the
    end of the way."""

    outlet_id: UUID
    outlet_code: str
    recycler_id: UUID
    disposition: str
    distance_m: int
    """Of a great circle; `road_m` is what freight is counted by."""
    road_m: int
    offer_amount: int
    onward_amount: int
    """The second leg, from the outlet to the firm."""
    freight_amount: int
    packing_amount: int
    net_amount: int
    behind_amount: int
    """What it brings less than the chosen one; below 0 where it would bring more."""
    space_cny_per_kg: str
    """Price of a kilogram of its space by the newest plan: what other packs would give for it."""
    against: list[AgainstView]


class NearestView(Outgoing, frozen=True):
    outlet_id: UUID
    outlet_code: str
    distance_m: int
    against: list[AgainstView]


class HoldsWhileView(Outgoing, frozen=True):
    """The choice stays the best, all else as it is, while the offer is at least this one."""

    offer_cny_per_kg: str | None
    """None when nothing else may take the packs, or no prices are entered."""
    evidence_until: date | None
    """The day from which the recycler's evidence is not valid any more."""


class RouteOptionsView(Outgoing, frozen=True):
    """Where one pack, or several of one place, should go, over all outlets. Reserves nothing."""

    pack_ids: list[UUID]
    hand_over_on: date
    mass_kg: int
    outlets: int
    outlets_version: str
    """SHA-256 of what was known of all outlets, save their room."""
    valued_by: str
    """`offers`, or `freight` when no prices are entered for that day: then the nearest is best."""
    prices_of_plan: UUID | None
    """The plan that the prices of space are from."""
    chosen: RouteOptionView | None
    runner_up: RouteOptionView | None
    own_best: RouteOptionView | None
    """Where the packs would bring most if space were free; why not, is said there."""
    nearest: NearestView | None
    """What excluded the nearest; null when it is the chosen one."""
    holds_while: HoldsWhileView | None
    hold_amount: int | None
    """What waiting is worth, in fen; null when no prices are entered."""
    better_held: bool
    excluded: list[CountView]


class LotRoutingCreate(Incoming, frozen=True, kw_only=True):
    """Packs that wait at one place and go to one outlet together."""

    pack_ids: Annotated[list[UUID], Meta(min_length=1, max_length=500)]
    hand_over_on: date


class LotOptionView(Outgoing, frozen=True):
    """An outlet and what all packs bring there together, in fen: offer, the second leg, freight and
    packing add up to the net."""

    outlet_id: UUID
    outlet_code: str
    recycler_id: UUID
    distance_m: int
    offer_amount: int
    onward_amount: int
    """The second leg, from the outlet to the firm."""
    freight_amount: int
    packing_amount: int
    net_amount: int


class LotOptionsView(Outgoing, frozen=True):
    pack_ids: list[UUID]
    hand_over_on: date
    mass_kg: int
    chosen: LotOptionView | None
    """None when no outlet may take every pack and has room for all of them."""
    runner_up: LotOptionView | None
    excluded_by_reason: dict[str, int]


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
    expires_at: datetime | None
    """The room is given up then, unless the pack was handed over."""
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


class LotRoutedView(Outgoing, frozen=True):
    routings: list[RoutingView]
