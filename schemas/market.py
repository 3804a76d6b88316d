"""Supply and demand (供需对接): needs of sites, offers of packs, plans, proposals."""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from schemas.common import Adcode, Amount, Code, Incoming, Name, Outgoing
from schemas.contracts import ContractTerms, PermittedUse, Slot


class NeedState(StrEnum):
    OPEN = "open"
    MATCHED = "matched"
    """A proposal was accepted for it."""
    WITHDRAWN = "withdrawn"


class ProposalState(StrEnum):
    PROPOSED = "proposed"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    """A later plan took its place."""
    FALLEN_THROUGH = "fallen_through"
    """Its contract was cancelled, or its lines were given up, before the packs stood there."""


class RunMethod(StrEnum):
    SOLVED = "solved"
    CUT_OFF = "cut_off"
    """Time was over; the best so far."""
    GREEDY = "greedy"
    """There was no answer; what brings most a pack first."""


class UnservedReason(StrEnum):
    NO_VOLTAGE = "no_voltage"
    TOO_COLD = "too_cold"
    TOO_LATE = "too_late"
    TOO_WORN = "too_worn"
    TOO_FEW = "too_few"
    NOT_WORTH_IT = "not_worth_it"
    OUTBID = "outbid"


Slots = Annotated[int, Meta(ge=1, le=1000, description="Packs at most, one slot each.")]
Millivolts = Annotated[int, Meta(ge=1, le=2_000_000)]
WattHours = Annotated[
    int, Meta(ge=1, le=1_000_000_000, description="Usable at the end of the term, at its coldest.")
]
Celsius = Annotated[int, Meta(ge=-60, le=60, description="Lowest temperature of the site.")]
Months = Annotated[int, Meta(ge=1, le=240)]
Rent = Annotated[
    int, Meta(ge=0, le=10**12, description="A month for all packs together, fen without VAT.")
]
Weight = Annotated[
    int, Meta(ge=0, le=1000, description="Priority: per cent by which its value counts. 100.")
]


class NeedCreate(Incoming, frozen=True, kw_only=True):
    """What a site needs; the slots from the first one on are empty by then."""

    site_id: UUID
    first_slot: Slot = 1
    slots: Slots
    system_voltage_mv: Millivolts
    energy_wh: WattHours
    lowest_celsius: Celsius
    starts_on: date
    months: Months
    rent_amount: Rent
    permitted_use: PermittedUse = PermittedUse.TELECOM_BACKUP
    weight_percent: Weight = 100
    """The lessor's to say."""


class NeedPatch(Incoming, frozen=True, kw_only=True):
    """What changes; what is not named stays."""

    slots: Slots | UnsetType = UNSET
    energy_wh: WattHours | UnsetType = UNSET
    lowest_celsius: Celsius | UnsetType = UNSET
    starts_on: date | UnsetType = UNSET
    months: Months | UnsetType = UNSET
    rent_amount: Rent | UnsetType = UNSET
    weight_percent: Weight | UnsetType = UNSET
    withdrawn: bool | UnsetType = UNSET


class NeedView(Outgoing, frozen=True):
    id: UUID
    lessee_id: UUID
    site_id: UUID
    first_slot: int
    slots: int
    system_voltage_mv: int
    energy_wh: int
    lowest_celsius: int
    starts_on: date
    months: int
    rent_amount: int
    permitted_use: PermittedUse
    weight_percent: int
    state: NeedState
    version: int
    entered_at: datetime


class OfferCreate(Incoming, frozen=True, kw_only=True):
    """A pack that the stock does not tell of rightly: returned and not inspected yet, in another
    place, free later, or worth more elsewhere."""

    pack_id: UUID
    from_on: date
    adcode: Adcode
    residual_amount: Amount | None = None
    """What it is worth in its next use otherwise, fen; None: as the terms of a run say."""
    reason: Name


class OfferView(Outgoing, frozen=True):
    id: UUID
    pack_id: UUID
    from_on: date
    adcode: str
    residual_amount: int | None
    reason: str
    entered_by: str
    entered_at: datetime
    withdrawn_at: datetime | None


class MarketTerms(Incoming, frozen=True, kw_only=True):
    """The numbers that a plan rests on. All are assumptions of the lessor's."""

    warehouse_adcode: Adcode
    """Where packs in stock are, unless an offer says otherwise."""
    freight_per_tonne_km: Annotated[int, Meta(ge=0, le=10_000, description="Fen.")] = 140
    circuity_percent: Annotated[int, Meta(ge=100, le=300)] = 130
    residual_per_kwh: Annotated[
        int, Meta(ge=0, le=1_000_000, description="Fen for a kWh that a pack still holds.")
    ] = 9_000
    fade_permille: Annotated[int, Meta(ge=0, le=200, description="Lost a year.")] = 20
    expected_within_days: Annotated[int, Meta(ge=0, le=400)] = 90
    """Packs in lines that end by then are counted on."""
    valid_hours: Annotated[int, Meta(ge=1, le=1_000)] = 72
    """After which proposals expire."""
    seconds: Annotated[int, Meta(ge=1, le=20)] = 10
    """Time for the plan."""


class RunView(Outgoing, frozen=True):
    """A plan; amounts in fen of weighted value. No plan is worth more than the bound."""

    id: UUID
    as_of: date
    terms: MarketTerms
    method: RunMethod
    plan_id: str
    needs: int
    packs: int
    served: int
    packs_taken: int
    value_amount: int
    bound_amount: int
    gap_ppm: int
    created_by: str
    created_at: datetime


class VerdictView(Outgoing, frozen=True):
    """A plan checked against its problem alone, by code that the solver does not share."""

    run_id: UUID
    holds: bool
    value_amount: int
    bound_amount: int
    served: int
    packs_taken: int


class BinView(Outgoing, frozen=True):
    """Packs that are alike; `price_amount` is what one more is worth to the plan, fen."""

    position: int
    adcode: str
    maker: str
    specification: str
    chemistry: str
    rated_voltage_mv: int
    rated_capacity_mah: int
    made_in: int
    free_on: date
    soh_permille: int
    packs: int
    packs_taken: int
    price_amount: int


class UnservedView(Outgoing, frozen=True):
    need_id: UUID
    reason: UnservedReason
    short_amount: int | None
    """By which the rent of a month is too low, fen."""
    detail: str
    detail_zh: str


class ProposedPackView(Outgoing, frozen=True):
    pack_id: UUID
    soh_permille: int
    energy_wh: int
    """Surely usable at the end of the term."""
    reserved: bool
    line_id: UUID | None


class ProposalView(Outgoing, frozen=True):
    id: UUID
    run_id: UUID
    need_id: UUID
    state: ProposalState
    packs: list[ProposedPackView]
    energy_wh: int
    expires_at: datetime
    contract_id: UUID | None
    decline_reason: str | None
    decided_at: datetime | None


class WindowView(Outgoing, frozen=True):
    """Packs that may stand in one string, and what the need is worth with them, fen. Value is
    (rent − freight − residual) · weight; above is what it has over the price of the packs."""

    adcode: str
    maker: str
    specification: str
    chemistry: str
    made_in: int
    free_on: date
    soh_permille: int
    soh_to_permille: int
    packs: int
    rent_amount: int
    freight_amount: int
    residual_amount: int
    weight_percent: int
    value_amount: int
    price_amount: int
    """Of all its packs in this plan."""
    above_amount: int


class ExplanationView(Outgoing, frozen=True):
    proposal_id: UUID
    chosen: WindowView
    needed_wh: int
    energy_wh: int
    alternatives: list[WindowView]
    reason: str
    reason_zh: str


class DraftTerms(ContractTerms, frozen=True, kw_only=True):
    """Of a contract that is drafted for the packs of a proposal."""

    number: Code
    lessor_id: UUID | None = None


class ProposalAcceptance(Incoming, frozen=True, kw_only=True):
    """Either a contract that the lines are added to, or the terms of a draft."""

    contract_id: UUID | None = None
    draft: DraftTerms | None = None
    from_on: date | None = None
    """First day of the lines in a contract that is there; the need's if not given."""


class ProposalRefusal(Incoming, frozen=True, kw_only=True):
    reason: Name


class AcceptedView(Outgoing, frozen=True):
    proposal: ProposalView
    contract_id: UUID
    line_ids: list[UUID]
