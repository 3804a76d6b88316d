"""Packs that come back: orders, joint inspections, what may become of them, settlements."""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from msgspec import Meta

from schemas.common import Adcode, Amount, Incoming, Name, Outgoing, Percent, Remark, Sha256
from schemas.contracts import IncidentCreate, PermittedUse, ReturnCreate
from schemas.outlets import Hazard
from schemas.receivables import PositiveAmount, Reason


class Grade(StrEnum):
    A = "A"
    B = "B"
    C = "C"
    D = "D"


class HazardFound(StrEnum):
    """What the two sides found. Unknown travels as the worst."""

    INTACT = "intact"
    DAMAGED = "damaged"
    CRITICAL = "critical"
    """Liable to react dangerously (ADR SP 376: P911/LP906)."""
    UNKNOWN = "unknown"


class Decision(StrEnum):
    RELEASE = "release"
    """Back into stock for another lease."""
    REPAIR = "repair"
    """It stays with the lessor until it is repaired, and is in stock then."""
    DISMANTLE = "dismantle"
    """To a utilisation enterprise, which takes it apart: no outlet may."""
    RECYCLE = "recycle"


# --- Forms ------------------------------------------------------------------------------------

CheckCode = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,39}$(?!\n)")]


class CheckItem(Incoming, frozen=True, kw_only=True):
    """Something to look at. An item of the transport check is a question where yes is bad."""

    code: CheckCode
    zh: Name
    en: Name


CheckItems = Annotated[list[CheckItem], Meta(max_length=100)]


class InspectionFormCreate(Incoming, frozen=True, kw_only=True):
    """The sheet of a pack model, from a day on. Without maker and model it is for all packs that
    have none of their own."""

    maker: Annotated[str, Meta(pattern=r"^([0-9A-Z]{3})?$(?!\n)")] = ""
    """The first three characters of the printed GB/T 34014 code."""
    model: Annotated[str, Meta(pattern=r"^([0-9A-Z]{2})?$(?!\n)")] = ""
    """Its specification: the sixth and seventh character."""
    valid_from: date
    valid_to: date | None = None
    """The first day on which it is no longer used."""
    name: Name
    source: Name
    """Where the items are from."""
    checks: CheckItems
    transport_checks: Annotated[list[CheckItem], Meta(min_length=1, max_length=100)]
    """The check before packing (GB/T 38698.1, appendix A): one yes fails."""


class FormToFill(Outgoing, frozen=True):
    """The sheet of a pack on a day."""

    form_id: UUID | None
    """None is the default form."""
    version: int
    name: str
    source: str
    checks: list[CheckItem]
    transport_checks: list[CheckItem]


class InspectionFormView(Outgoing, frozen=True):
    id: UUID
    maker: str
    model: str
    version: int
    valid_from: date
    valid_to: date | None
    name: str
    source: str
    checks: list[CheckItem]
    transport_checks: list[CheckItem]


class CheckAnswer(Incoming, frozen=True, kw_only=True):
    code: CheckCode
    passed: bool
    value: float | None = None
    """What was measured, in the unit that the form names."""
    note: Remark = ""


class TransportAnswer(Incoming, frozen=True, kw_only=True):
    code: CheckCode
    yes: bool
    """One yes fails the whole check."""
    note: Remark = ""


class Sheet(Incoming, frozen=True, kw_only=True):
    """A form that was filled in: every item of it is answered once."""

    form_id: UUID | None = None
    """The form that is valid for the pack that day; none for the default form."""
    checks: Annotated[list[CheckAnswer], Meta(max_length=100)]
    transport_checks: Annotated[list[TransportAnswer], Meta(max_length=100)]


# --- Inspections ------------------------------------------------------------------------------


class InspectionCreate(Incoming, frozen=True, kw_only=True):
    """The joint inspection of a returned pack, signed by both sides."""

    inspected_on: date
    grade: Grade
    hazard: HazardFound = HazardFound.UNKNOWN
    """What nobody judged is treated as the worst."""
    tested_capacity_mah: Annotated[int, Meta(ge=0, le=2_000_000_000)] | None = None
    remarks: Remark = ""
    lessor_signatory: Name
    lessee_signatory: Name
    photo_sha256: Annotated[list[Sha256], Meta(max_length=50)] = []
    sheet: Sheet | None = None
    """Without one no transport check was made."""


class TreatmentCreate(Incoming, frozen=True, kw_only=True):
    """What was done about a failed transport check; shipper and consignee accept it."""

    treated_on: date
    measures: Reason
    document_sha256: Sha256 | None = None
    shipper_signatory: Name
    consignee_signatory: Name


class TreatmentView(Outgoing, frozen=True):
    treated_on: date
    measures: str
    document_sha256: str | None
    shipper_signatory: str
    consignee_signatory: str


class InspectionView(Outgoing, frozen=True):
    id: UUID
    pack_id: UUID
    line_id: UUID | None
    """The line it came back from."""
    lessee_id: UUID | None
    inspected_on: date
    grade: Grade
    hazard: Hazard
    """As what it travels."""
    hazard_found: HazardFound
    tested_capacity_mah: int | None
    remarks: str
    lessor_signatory: str
    lessee_signatory: str
    photo_sha256: list[str]
    form_id: UUID | None
    form_version: int | None
    """None when no form was filled in."""
    answers: list[CheckAnswer]
    transport_answers: list[TransportAnswer]
    transport_passed: bool | None
    """None when the check was not made."""
    treatment: TreatmentView | None


# --- Dispositions -----------------------------------------------------------------------------


class Assumptions(Incoming, frozen=True, kw_only=True):
    """What the lessor reckons with. What is not stated is not guessed."""

    permitted_use: PermittedUse = PermittedUse.TELECOM_BACKUP
    """What the next lease would be for."""
    rent_per_kwh_month_amount: Amount | None = None
    """What a usable kWh would bring a month, before VAT."""
    rent_months: Annotated[int, Meta(ge=1, le=240)] | None = None
    repair_cost_amount: Amount | None = None


class OptionReason(Outgoing, frozen=True):
    code: str
    en: str
    zh: str
    rule: str
    """The article or clause, or whose practice it is."""


class OptionPart(Outgoing, frozen=True):
    """A term of an option's worth; they add up to it."""

    code: str
    amount: int
    how: str
    """How it was worked out."""


class DispositionOption(Outgoing, frozen=True):
    decision: Decision
    admissible: bool
    reasons: list[OptionReason]
    """What forbids it; empty when nothing does."""
    amount: int | None
    """What it is worth, in fen before VAT; below nothing when it costs."""
    parts: list[OptionPart]
    no_amount_because: str | None


class DispositionOptions(Outgoing, frozen=True):
    pack_id: UUID
    inspection_id: UUID
    on: date
    law: str
    """The instrument that holds on that day."""
    hazard: Hazard
    grade: Grade
    health_percent: Decimal | None
    """Tested over rated capacity; none when it was not tested."""
    usable_wh: int | None
    options: list[DispositionOption]
    proposed: Decision
    proposed_because: str


class DispositionCreate(Incoming, frozen=True, kw_only=True):
    decision: Decision
    decided_on: date
    reason: Name
    """Also why it is not what was proposed."""
    assumptions: Assumptions = Assumptions()


class DispositionView(Outgoing, frozen=True):
    id: UUID
    pack_id: UUID
    inspection_id: UUID
    decision: Decision
    decided_on: date
    reason: str
    proposed: Decision | None
    """None for a decision from before there were proposals."""
    options: DispositionOptions | None
    """What was shown when it was taken."""
    repaired_on: date | None


class RepairCreate(Incoming, frozen=True, kw_only=True):
    """A repair that was decided on is finished."""

    repaired_on: date
    tested_capacity_mah: Annotated[int, Meta(ge=1, le=2_000_000_000)]
    report: Name


class WasteReceiptCreate(Incoming, frozen=True, kw_only=True):
    """A pack that was declared waste elsewhere has come into the lessor's own store."""

    received_on: date
    adcode: Adcode | None = None
    """Where the store is; the lessor's own prefecture if not given."""


class BandCreate(Incoming, frozen=True, kw_only=True):
    """From which health on packs are leased again or repaired, for a use and from a day on."""

    permitted_use: PermittedUse
    valid_from: date
    valid_to: date | None = None
    release_from_percent: Percent
    repair_from_percent: Percent
    source: Name


class BandView(Outgoing, frozen=True):
    id: UUID
    permitted_use: PermittedUse
    valid_from: date
    valid_to: date | None
    release_from_percent: Decimal
    repair_from_percent: Decimal
    source: str


# --- Orders -----------------------------------------------------------------------------------


class ReturnMode(StrEnum):
    PICK_UP = "pick_up"
    DROP_OFF = "drop_off"


class OrderState(StrEnum):
    ORDERED = "ordered"
    SCHEDULED = "scheduled"
    COLLECTED = "collected"
    """On the way, with a joint test at the site."""
    ARRIVED = "arrived"
    INSPECTED = "inspected"
    SETTLED = "settled"
    CANCELLED = "cancelled"


class ItemResult(StrEnum):
    RETURNED = "returned"
    MISSING = "missing"
    STOLEN = "stolen"
    BURNT = "burnt"


class ReturnOrderCreate(Incoming, frozen=True, kw_only=True):
    contract_id: UUID
    line_ids: Annotated[list[UUID], Meta(min_length=1, max_length=500)]
    mode: ReturnMode
    place: Name
    """Where packs are picked up or dropped off."""
    contact_name: Name
    contact_phone: Name
    planned_on: date | None = None
    reason: Name = "end of lease"


class ScheduleCreate(Incoming, frozen=True, kw_only=True):
    planned_on: date


class ItemOutcome(Incoming, frozen=True, kw_only=True):
    """What became of one pack: a joint test on return, an incident, or one that was reported
    before. One of the three."""

    item_id: UUID
    returned: ReturnCreate | None = None
    incident: IncidentCreate | None = None
    incident_id: UUID | None = None


class OutcomesCreate(Incoming, frozen=True, kw_only=True):
    """All packs of the order, as they were found where the order is carried out: at the site when
    they are picked up, at the outlet or store when they are dropped off."""

    on: date
    outcomes: Annotated[list[ItemOutcome], Meta(max_length=500)] = []
    """None when packs that were picked up arrive."""


class CancellationCreate(Incoming, frozen=True, kw_only=True):
    reason: Name


class ReturnItemView(Outgoing, frozen=True):
    id: UUID
    line_id: UUID
    pack_id: UUID
    result: ItemResult | None
    """None while nobody was there."""
    resulted_on: date | None
    incident_id: UUID | None
    inspection_id: UUID | None


class ReturnOrderView(Outgoing, frozen=True):
    id: UUID
    contract_id: UUID
    lessee_id: UUID
    mode: ReturnMode
    place: str
    contact_name: str
    contact_phone: str
    reason: str
    state: OrderState
    planned_on: date | None
    collected_on: date | None
    arrived_on: date | None
    settled_on: date | None
    cancel_reason: str | None
    ordered_by: str
    ordered_at: datetime
    items: list[ReturnItemView]


# --- Settlements ------------------------------------------------------------------------------


class PartClaim(Incoming, frozen=True, kw_only=True):
    """A part that is missing or damaged, for which the lessee answers."""

    item_id: UUID
    name: Name
    amount: PositiveAmount


class ShortfallRate(Incoming, frozen=True, kw_only=True):
    """Why the lessee answers for capacity below the guarantee, and at what rate. Without one
    nothing is owed for it: the guarantee is the lessor's."""

    amount_per_ah: PositiveAmount
    reason: Name


class CounterClaim(Incoming, frozen=True, kw_only=True):
    """Scrap that the lessor buys from the lessee at the end. It is a supply of its own with VAT of
    its own, set off with its tax and never before."""

    description: Name
    mass_kg: Annotated[int, Meta(ge=1, le=10_000_000)]
    amount_per_kg: PositiveAmount
    """Before VAT."""
    vat_percent: Percent
    document: Name
    """The seller's invoice."""


class SettlementCreate(Incoming, frozen=True, kw_only=True):
    settled_on: date
    missing_parts: Annotated[list[PartClaim], Meta(max_length=200)] = []
    damages: Annotated[list[PartClaim], Meta(max_length=200)] = []
    shortfall: ShortfallRate | None = None
    logistics_amount: Amount = 0
    counter_claim: CounterClaim | None = None
    use_deposit: bool = False
    """What is held pays what is open; the rest stays held until it is paid back."""
    with_order_ids: Annotated[list[UUID], Meta(max_length=100)] = []
    """Other orders of the lease that the same statement settles."""


class SettledRow(Outgoing, frozen=True):
    """One thing that is owed, as the contract has it: with or without VAT in it."""

    component: str
    line_id: UUID
    pack_id: UUID | None
    from_on: date
    to_on: date
    amount: int
    vat_mode: str
    vat_percent: Decimal


class TaxedSide(Outgoing, frozen=True):
    """One side of a settlement at one rate."""

    vat_percent: Decimal
    net_amount: int
    vat_amount: int
    gross_amount: int


class ItemCapacity(Outgoing, frozen=True):
    """What a pack has left, against what the terms guarantee."""

    item_id: UUID
    line_id: UUID
    pack_id: UUID
    tested_capacity_mah: int | None
    guaranteed_capacity_mah: int
    shortfall_mah: int | None
    amount: int
    why: str


class EndAlternative(Outgoing, frozen=True):
    """What else could be done instead of giving packs back, while they are out."""

    kind: str
    amount: int | None
    """Of buying: the price of all packs. Of renewing: a month's rent of all."""
    note: str


class ReturnStatement(Outgoing, frozen=True):
    """All that is settled at the end of a lease, both sides with their tax (退租结算单)."""

    order_id: UUID
    contract_id: UUID
    settled_on: date
    currency: str
    rows: list[SettledRow]
    capacities: list[ItemCapacity]
    owed: list[TaxedSide]
    owed_amount: int
    """What the lessee owes, with VAT."""
    counter_claim: TaxedSide | None
    counter_claim_amount: int
    """What the lessor owes, with VAT."""
    deposit_held_amount: int
    deposit_used_amount: int
    balance_amount: int
    """What is left for the lessee to pay; below nothing for the lessor."""
    alternatives: list[EndAlternative]


class ReturnSettlementView(Outgoing, frozen=True):
    id: UUID
    order_id: UUID
    """The order that was settled, and `order_ids` all that its statement settles."""
    order_ids: list[UUID]
    contract_id: UUID
    lessee_id: UUID
    settled_on: date
    currency: str
    owed_amount: int
    counter_claim_amount: int
    deposit_used_amount: int
    balance_amount: int
    statement: ReturnStatement
    invoice_id: UUID | None
    payment_id: UUID | None
    posted_by: str
    posted_at: datetime
