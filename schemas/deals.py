"""Scrap for raw material (废料换原材料)."""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from msgspec import Meta

from schemas.common import Amount, Code, Incoming, Name, Outgoing, Percent
from schemas.recovery import FineKilograms

Content = Annotated[
    str,
    Meta(
        pattern=r"^(100(\.0{1,4})?|[0-9]{1,2}(\.[0-9]{1,4})?)$(?!\n)",
        description="Percent by mass as text, with four decimals at most.",
    ),
]
Coefficient = Annotated[
    str,
    Meta(
        pattern=r"^(1000(\.0{1,2})?|[0-9]{1,3}(\.[0-9]{1,2})?)$(?!\n)",
        description="Percent as text, up to 1000; above 100 is paid at times.",
    ),
]
PricePerTonne = Annotated[
    int, Meta(ge=1, le=10**12, description="Fen a tonne of the material, without VAT.")
]


class DealMetal(StrEnum):
    """What scrap is counted by."""

    LI = "Li"
    NI = "Ni"
    CO = "Co"


class Material(StrEnum):
    """What is given for it: a salt as it is traded, or the metal."""

    LITHIUM_CARBONATE = "Li2CO3"
    LITHIUM_HYDROXIDE = "LiOH.H2O"
    NICKEL_SULPHATE = "NiSO4.6H2O"
    NICKEL = "Ni"
    COBALT_SULPHATE = "CoSO4.7H2O"
    COBALT = "Co"


class DealState(StrEnum):
    OFFERED = "offered"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    CLOSED = "closed"


class DealMovementKind(StrEnum):
    SCRAP = "scrap"
    """Scrap went to the recycler."""
    MATERIAL = "material"
    """Raw material came from it."""
    MONEY = "money"
    """Money came from it in place of material."""
    VAT = "vat"
    """What was open of the tax on both sides was paid."""
    REVERSAL = "reversal"


class DealSettlementKind(StrEnum):
    MATERIAL = "material"
    MONEY = "money"


class DealTermCreate(Incoming, frozen=True, kw_only=True):
    metal: DealMetal
    material: Material
    content_percent: Content
    """What scrap holds of the metal unless a delivery is assayed."""
    recovery_percent: Percent
    """What is counted of that as recovered."""
    coefficient_percent: Coefficient = "100"
    """折价系数: the share of that which is given."""


class DealPriceCreate(Incoming, frozen=True, kw_only=True):
    material: Material
    amount_per_tonne: PricePerTonne


class DealSnapshotCreate(Incoming, frozen=True, kw_only=True):
    """Prices of all materials of a deal, as they were quoted, and how long they hold."""

    source: Name
    quoted_on: date
    expires_at: Annotated[datetime, Meta(tz=True)]
    prices: Annotated[list[DealPriceCreate], Meta(min_length=1, max_length=3)]


class DealCreate(Incoming, frozen=True, kw_only=True):
    number: Code
    recycler_id: UUID
    chemistry: Annotated[str, Meta(pattern=r"^[A-GZ]$(?!\n)")]
    terms: Annotated[list[DealTermCreate], Meta(min_length=1, max_length=3)]
    snapshot: DealSnapshotCreate
    limit_kg: FineKilograms
    """The most of all materials together that may be open, either way."""
    limit_amount: Amount


VatPercent = Annotated[
    Percent | None,
    Meta(description="The rate of the invoice for this supply. Null: of VAT nothing is entered."),
]


class ScrapAssay(Incoming, frozen=True, kw_only=True):
    metal: DealMetal
    content_percent: Content


class ScrapValuationCreate(Incoming, frozen=True, kw_only=True):
    scrap_kg: FineKilograms
    assay: Annotated[list[ScrapAssay], Meta(max_length=3)] = []
    """Contents that were measured; what is not here is as agreed."""


class ScrapDeliveryCreate(Incoming, frozen=True, kw_only=True):
    """Scrap that went to the recycler. One of a consignment weighs what that weighed in."""

    delivered_on: date
    scrap_kg: FineKilograms | None = None
    consignment_id: UUID | None = None
    assay: Annotated[list[ScrapAssay], Meta(max_length=3)] = []
    vat_percent: VatPercent = None
    document: Name


class DealSettlementCreate(Incoming, frozen=True, kw_only=True):
    """Material that came back, or money in place of so much of it at the price of the deal."""

    settled_on: date
    kind: DealSettlementKind
    material: Material
    kg: FineKilograms
    vat_percent: VatPercent = None
    """Of material: money in place of it is no supply, and the tax on the scrap stays open."""
    document: Name


class DealVatSettlementCreate(Incoming, frozen=True, kw_only=True):
    """All that is open of VAT is paid, by the side that owes it."""

    settled_on: date
    document: Name


class DealReversalCreate(Incoming, frozen=True, kw_only=True):
    movement_id: UUID
    reversed_on: date
    reason: Name


class DealDecline(Incoming, frozen=True, kw_only=True):
    reason: Name


class DealTermView(Outgoing, frozen=True):
    metal: DealMetal
    material: Material
    content_percent: Decimal
    recovery_percent: Decimal
    coefficient_percent: Decimal
    factor: Decimal
    """Kilograms of material that hold a kilogram of the metal, from atomic masses."""


class DealPriceView(Outgoing, frozen=True):
    material: Material
    amount_per_tonne: int


class DealSnapshotView(Outgoing, frozen=True):
    id: UUID
    number: int
    source: str
    quoted_on: date
    expires_at: datetime
    prices: list[DealPriceView]


class DealBalanceView(Outgoing, frozen=True):
    """What the recycler owes of a material; below nothing, what it gave beforehand."""

    material: Material
    kg: Decimal
    amount: int


class DealView(Outgoing, frozen=True):
    id: UUID
    number: str
    recycler_id: UUID
    chemistry: str
    state: DealState
    limit_kg: Decimal
    limit_amount: int
    created_at: datetime
    accepted_at: datetime | None
    accepted_by: str | None
    declined_at: datetime | None
    decline_reason: str | None
    closed_at: datetime | None


class DealDetail(DealView, frozen=True):
    terms: list[DealTermView]
    snapshot: DealSnapshotView
    """The newest prices; of a deal that was accepted, those for good."""
    balances: list[DealBalanceView]
    """Sums of the entries of its ledger, without VAT."""
    vat_open_amount: int
    """Tax on scrap less tax on material, as far as it was not paid; below nothing the lessor owes
    it."""


class ScrapValuationLine(Outgoing, frozen=True):
    metal: DealMetal
    content_percent: Decimal
    contained_kg: Decimal
    recovery_percent: Decimal
    coefficient_percent: Decimal
    factor: Decimal
    material: Material
    kg: Decimal
    amount_per_tonne: int
    amount: int


class ScrapValuation(Outgoing, frozen=True):
    """What scrap brings by a deal: mass × content × recovery × coefficient × factor, and its value
    at the prices of the deal in fen, without VAT."""

    deal_id: UUID
    scrap_kg: Decimal
    lines: list[ScrapValuationLine]
    amount: int
    amount_per_tonne: int
    """Of scrap."""
    source: str
    expires_at: datetime
    is_expired: bool


class DealEntryView(Outgoing, frozen=True):
    material: Material
    kg: Decimal
    amount: int


class DealMovementView(Outgoing, frozen=True):
    id: UUID
    kind: DealMovementKind
    happened_on: date
    scrap_kg: Decimal | None
    assay: dict[str, Decimal] | None
    consignment_id: UUID | None
    document: str
    reverses_id: UUID | None
    vat_percent: Decimal | None
    vat_amount: int
    """In fen; what is owed to the recycler, and what it paid, is below nothing."""
    entries: list[DealEntryView]
    entered_by: str
    entered_at: datetime
