"""What routing rests on, plans for many packs, and packs routed anew together."""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from msgspec import Meta

from schemas.common import Incoming, Name, Outgoing

CnyPerKg = Annotated[
    str,
    Meta(
        pattern=r"^-?[0-9]{1,3}(\.[0-9]{1,4})?$(?!\n)",
        description="CNY/kg as text, with four decimals at most.",
    ),
]
PackingRate = Annotated[
    str,
    Meta(
        pattern=r"^[0-9]{1,3}(\.[0-9]{1,4})?$(?!\n)",
        description="CNY/kg as text, with four decimals at most.",
    ),
]
FreightRate = Annotated[
    str,
    Meta(
        pattern=r"^[0-9](\.[0-9]{1,7})?$(?!\n)",
        description="CNY/(kg·km) as text, with seven decimals at most.",
    ),
]
LoadKg = Annotated[int, Meta(ge=1, le=100_000)]


class RoutingTermsCreate(Incoming, frozen=True, kw_only=True):
    """What carrying, packing and waiting cost from a day on; by hazard for intact, damaged and
    critical packs, in this order."""

    from_on: date
    circuity_percent: Annotated[int, Meta(ge=100, le=300)]
    """Road for each kilometre of a great circle."""
    freight_cny_per_kg_km: Annotated[list[FreightRate], Meta(min_length=3, max_length=3)]
    packing_cny_per_kg: Annotated[list[PackingRate], Meta(min_length=3, max_length=3)]
    hold_cny_per_kg: CnyPerKg
    """What a kilogram that waits is worth; usually below 0."""
    collecting_load_kg: LoadKg
    concentrated_load_kg: LoadKg
    """The heaviest pack that an outlet of a kind can handle."""
    reservation_days: Annotated[int, Meta(ge=0, le=90)]
    """After the planned hand-over, until the room is given up."""
    reason: Name


class RoutingTermsView(Outgoing, frozen=True):
    id: UUID
    from_on: date
    circuity_percent: int
    freight_cny_per_kg_km: list[Decimal]
    packing_cny_per_kg: list[Decimal]
    hold_cny_per_kg: Decimal
    collecting_load_kg: int
    concentrated_load_kg: int
    reservation_days: int
    reason: str
    entered_by: str
    entered_at: datetime


ProvinceCode = Annotated[
    str, Meta(pattern=r"^[1-9][0-9]0000$(?!\n)", description="Province-level code of GB/T 2260.")
]


class ProvinceRuleCreate(Incoming, frozen=True, kw_only=True):
    """Packs that wait in a province may not leave it, on days in [valid_from, valid_to)."""

    province_adcode: ProvinceCode
    valid_from: date
    valid_to: date | None = None
    document: Name


class ProvinceRuleView(Outgoing, frozen=True):
    id: UUID
    province_adcode: str
    valid_from: date
    valid_to: date | None
    document: str
    entered_by: str
    entered_at: datetime


class PlanState(StrEnum):
    PROPOSED = "proposed"
    APPLIED = "applied"
    SUPERSEDED = "superseded"
    """A newer plan took its place before all of it was applied."""
    EXPIRED = "expired"
    """Its day of hand-over came before all of it was applied."""


class PlanItemState(StrEnum):
    PLANNED = "planned"
    HELD = "held"
    """It waits, for the reason given."""
    APPLIED = "applied"
    REFUSED = "refused"
    """When the plan was applied the pack could not go, for the reason given."""


class RoutingPlanView(Outgoing, frozen=True):
    """A plan for all packs that wait. Amounts named `_cny_e4` are in 0.0001 CNY."""

    id: UUID
    digest: str
    """SHA-256 of the problem and the plan: the same input gets the same."""
    input_sha256: str
    outlets_version: str
    as_of: date
    hand_over_on: date
    state: PlanState
    solver: str
    """`flow`, or `greedy` when there was no time for it."""
    solver_seconds: Decimal
    packs: int
    planned: int
    held: int
    value_cny_e4: int
    bound_cny_e4: int
    """No plan for these packs is worth more."""
    outbid_cny_e4: int
    """What packs lose that others outbid, and `unused` what dear room that stays empty costs: the
    two sources of what the plan lacks to the bound."""
    unused_cny_e4: int
    gap_ppm: float
    made_at: datetime
    closed_at: datetime | None


class SpacePriceView(Outgoing, frozen=True):
    """What another tonne of room would be worth at an outlet."""

    outlet_id: UUID
    outlet_code: str
    cny_per_tonne: Decimal


class PlanItemView(Outgoing, frozen=True):
    id: UUID
    pack_id: UUID
    state: PlanItemState
    adcode: str
    mass_kg: int
    outlet_id: UUID | None
    outlet_code: str | None
    recycler_id: UUID | None
    """The utilisation firm at the end of the way."""
    parts: dict[str, object] | None
    """In fen: offer, the second leg, freight and packing add up to the net."""
    reason: str | None
    locked_by: str | None
    routing_id: UUID | None


class PlanLockCreate(Incoming, frozen=True, kw_only=True):
    """Packs whose outlet stays as it is when the next plan is made."""

    pack_ids: Annotated[list[UUID], Meta(min_length=1, max_length=1000)]
    locked: bool = True


class PlanLockView(Outgoing, frozen=True):
    locked: int


class PlanApplyCreate(Incoming, frozen=True, kw_only=True):
    """Apply what is planned for one prefecture."""

    adcode: Annotated[str, Meta(pattern=r"^[1-9][0-9]{5}$(?!\n)")]


class PlanApplyView(Outgoing, frozen=True):
    """What became of one chunk."""

    adcode: str
    applied: int
    elsewhere: int
    """Of those, packs whose outlet refused them and that found another at once."""
    refused: int
    left: int
    """Packs of the plan that wait to be applied, in all prefectures."""
    state: PlanState


class PlanComparisonView(Outgoing, frozen=True):
    """A plan beside another: how the second differs."""

    plan_id: UUID
    other_id: UUID
    value_cny_e4: int
    other_value_cny_e4: int
    packs_in_both: int
    moves: int
    """Packs of both plans that go to another outlet, or are held in one of them."""


class ReroutingCreate(Incoming, frozen=True, kw_only=True):
    reason: Name


class ReroutingView(Outgoing, frozen=True):
    """Open routings whose recycler may not take them on the day, routed anew in one go."""

    id: UUID
    made_at: datetime
    made_by: str
    reason: str
    hit: int
    rerouted: int
    held: list[dict[str, object]]
    """Packs that find no outlet, each with the reasons and how many outlets they speak against."""
    before_amount: int | None
    after_amount: int
    """Fen, of the packs that found another outlet. Before is null when it was not written down."""


class SuggestionView(Outgoing, frozen=True):
    """What planning all open routings of a day anew would bring. It was not done."""

    hand_over_on: date
    routings: int
    gain_amount: int
    """Fen, above what is reserved now."""
    moves: int
    """Routings that would lead to another outlet."""
    solver: str
