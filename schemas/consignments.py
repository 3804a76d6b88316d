"""Lots of packs on the road to an outlet (托运批次), and who may carry them."""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from msgspec import Meta

from schemas.common import Code, Incoming, Name, Outgoing
from schemas.outlets import Hazard
from schemas.recovery import Kilograms


class TransportPurpose(StrEnum):
    RECYCLING = "recycling"
    REUSE = "reuse"
    """To a firm that will use the packs again, whole or in parts."""


class TransportMode(StrEnum):
    ROAD = "road"
    RAIL = "rail"
    SEA = "sea"
    AIR = "air"


class ConsignmentState(StrEnum):
    PACKED = "packed"
    DISPATCHED = "dispatched"
    WEIGHED_IN = "weighed_in"
    RECEIVED = "received"
    REFUSED = "refused"
    CANCELLED = "cancelled"


class PackingRuleView(Outgoing, frozen=True):
    """How packs of a hazard class are packed and marked for a purpose, from a day on."""

    hazard: Hazard
    purpose: TransportPurpose | None
    """Null: whatever it is for."""
    packing_instructions: list[str]
    """The first for packages, the second for large ones."""
    special_provision: str
    marks: list[str]
    labels: list[str]
    valid_from: date
    valid_to: date | None
    """First day on which it no longer holds."""
    source: str


class ModeRuleView(Outgoing, frozen=True):
    """What a mode of transport asks beyond packing, from a day on."""

    mode: TransportMode
    hazards: list[Hazard]
    """The classes that may go by it."""
    max_soc_percent: Decimal | None
    reading_hours: int | None
    """How old the reading of the state of charge may be at dispatch."""
    waste_needs_approval: bool
    """What goes for recycling needs the document of an authority."""
    valid_from: date
    valid_to: date | None
    source: str


class WeighingRuleView(Outgoing, frozen=True):
    """By how much a lot may weigh other than its data say, from a day on, before somebody explains
    it: the larger of a share and so much a pack."""

    percent: Decimal
    kg_per_pack: Decimal
    valid_from: date
    valid_to: date | None
    source: str


class TransportRules(Outgoing, frozen=True):
    on: date
    packing: list[PackingRuleView]
    modes: list[ModeRuleView]
    weighing: list[WeighingRuleView]
    un_numbers: dict[str, str]
    """By chemistry, the fifth character of the battery code."""


class CarrierPermitCreate(Incoming, frozen=True, kw_only=True):
    """That a carrier may carry dangerous goods of class 9."""

    mode: TransportMode
    document: Name
    valid_from: date
    valid_to: date | None = None
    """First day on which it is no longer valid."""


class CarrierPermitWithdraw(Incoming, frozen=True, kw_only=True):
    withdrawn_on: date
    """First day on which it is no longer valid."""
    document: Name


class CarrierPermitView(Outgoing, frozen=True):
    id: UUID
    carrier_id: UUID
    mode: TransportMode
    goods_class: str
    document: str
    valid_from: date
    valid_to: date | None
    withdrawn_on: date | None
    withdrawal_document: str | None


class ConsignmentCreate(Incoming, frozen=True, kw_only=True):
    """Packs that are reserved for one outlet, of one hazard class."""

    number: Code
    packed_on: date
    purpose: TransportPurpose = TransportPurpose.RECYCLING
    routing_ids: Annotated[list[UUID], Meta(min_length=1, max_length=500)]


class ConsignmentDispatch(Incoming, frozen=True, kw_only=True):
    dispatched_on: date
    mode: TransportMode
    carrier_id: UUID
    vehicle: Name
    """Number plate, wagon, vessel and voyage, or flight."""
    driver: Name
    """Who drives, or answers for the goods on the way."""
    approval: Name | None = None
    """Document of an authority, where the mode asks for one."""


class PackWeight(Incoming, frozen=True, kw_only=True):
    routing_id: UUID
    weighed_kg: Kilograms


class ConsignmentWeighIn(Incoming, frozen=True, kw_only=True):
    """The lot as a whole, or pack by pack, or both: the packs add up to the lot then."""

    weighed_on: date
    weighed_kg: Kilograms | None = None
    packs: Annotated[list[PackWeight], Meta(max_length=500)] = []


class DiscrepancyExplanation(Incoming, frozen=True, kw_only=True):
    explanation: Name


class ConsignmentReceipt(Incoming, frozen=True, kw_only=True):
    received_on: date


class ConsignmentRefusal(Incoming, frozen=True, kw_only=True):
    refused_on: date
    reason: Name


class ConsignmentCancellation(Incoming, frozen=True, kw_only=True):
    cancelled_on: date
    reason: Name


class PackingView(Outgoing, frozen=True):
    """What the packages of a lot are and bear, as it held on the day they were packed."""

    packing_instructions: list[str]
    special_provision: str
    marks: list[str]
    labels: list[str]
    source: str


class ConsignedPackView(Outgoing, frozen=True):
    routing_id: UUID
    pack_id: UUID
    code: str
    chemistry: str
    mass_kg: int
    weighed_kg: Decimal | None
    soc_percent: float | None
    """The reading that a dispatch by air went by."""
    soc_at: datetime | None


class ConsignmentView(Outgoing, frozen=True):
    id: UUID
    number: str
    outlet_id: UUID
    outlet_code: str
    recycler_id: UUID
    purpose: TransportPurpose
    hazard: Hazard
    un_number: str
    packing: PackingView
    state: ConsignmentState
    pack_count: int
    expected_kg: int
    packed_on: date
    dispatched_on: date | None
    mode: TransportMode | None
    carrier_id: UUID | None
    permit_id: UUID | None
    vehicle: str | None
    driver: str | None
    approval: str | None
    weighed_on: date | None
    weighed_kg: Decimal | None
    discrepancy_kg: Decimal | None
    """Weighed less expected."""
    tolerance_kg: Decimal | None
    is_discrepant: bool | None
    """The lot, or one of its packs, weighs more or less than the tolerance allows."""
    discrepancy_explanation: str | None
    received_on: date | None
    refused_on: date | None
    refusal_reason: str | None
    cancelled_on: date | None
    cancel_reason: str | None
    created_at: datetime


class ConsignmentDetail(ConsignmentView, frozen=True):
    packs: list[ConsignedPackView]


class NoteFormat(StrEnum):
    HTML = "html"
    PDF = "pdf"
