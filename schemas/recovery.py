"""What recyclers recover from batches of packs, and the floors it is compared with."""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from msgspec import Meta

from schemas.common import Code, Incoming, Name, Outgoing, Percent

Kilograms = Annotated[
    str,
    Meta(
        pattern=r"^(0|[1-9][0-9]{0,7})(\.[0-9]{1,2})?$(?!\n)",
        description="Kilograms as text, with two decimals at most.",
    ),
]
FineKilograms = Annotated[
    str,
    Meta(
        pattern=r"^(0|[1-9][0-9]{0,7})(\.[0-9]{1,3})?$(?!\n)",
        description="Kilograms as text, to the gram.",
    ),
]


class Metal(StrEnum):
    """What recovery is reported of. `NiCoMn` is nickel, cobalt and manganese taken together
    (镍钴锰综合回收率)."""

    LI = "Li"
    NI = "Ni"
    CO = "Co"
    MN = "Mn"
    NICKEL_COBALT_MANGANESE = "NiCoMn"
    CU = "Cu"
    AL = "Al"
    FE = "Fe"
    P = "P"
    C = "C"


class Regime(StrEnum):
    CHINA = "cn"
    """The industry conditions for recyclers (行业规范条件)."""
    EU = "eu"
    """Annex XII of Regulation (EU) 2023/1542."""


class FloorResult(StrEnum):
    MET = "met"
    BELOW = "below"
    NOT_REPORTED = "not_reported"


class BatchState(StrEnum):
    RECEIVED = "received"
    CERTIFIED = "certified"


class RecoveryBatchCreate(Incoming, frozen=True, kw_only=True):
    """Packs that a recycler treats together: all of a consignment, or some routings."""

    number: Code
    received_on: date
    mass_in_kg: Kilograms
    consignment_id: UUID | None = None
    routing_ids: Annotated[list[UUID], Meta(max_length=1000)] = []


class MetalRecovery(Incoming, frozen=True, kw_only=True):
    metal: Metal
    percent: Percent
    """Recovered of what the batch contained."""
    input_kg: FineKilograms | None = None
    """Contained, if it was assayed; the percentage follows from both masses then."""
    output_kg: FineKilograms | None = None


class RecoveryProduct(Incoming, frozen=True, kw_only=True):
    """As it is sold: what was added on the way (carbonate, sulphate, water) is part of its mass."""

    product: Name
    mass_kg: Kilograms


class RecoveryCertificateCreate(Incoming, frozen=True, kw_only=True):
    number: Code
    recycled_on: date
    metals: Annotated[list[MetalRecovery], Meta(min_length=1, max_length=10)]
    recovered_kg: Kilograms | None = None
    """Mass of the batteries that is in products, without what was added on the way. By the mass
    that came in it makes the recycling efficiency."""
    residue_kg: Kilograms | None = None
    """Mass that was disposed of."""
    products: Annotated[list[RecoveryProduct], Meta(max_length=50)] = []


class FloorView(Outgoing, frozen=True):
    """The least that is to be recovered, in a regime, from a day on."""

    regime: Regime
    metal: Metal | None
    """Null is recycling efficiency: all mass together."""
    percent: Decimal
    valid_from: date
    valid_to: date | None
    """First day on which it no longer holds."""
    source: str


class FloorVerdict(Outgoing, frozen=True):
    regime: Regime
    metal: Metal | None
    floor_percent: Decimal
    reported_percent: Decimal | None
    verdict: FloorResult
    source: str


class RecoveryMetalView(Outgoing, frozen=True):
    metal: Metal
    percent: Decimal
    input_kg: Decimal | None
    output_kg: Decimal | None


class RecoveryProductView(Outgoing, frozen=True):
    product: str
    mass_kg: Decimal


class RecoveryBatchView(Outgoing, frozen=True):
    id: UUID
    recycler_id: UUID
    number: str
    consignment_id: UUID | None
    routing_ids: list[UUID]
    received_on: date
    expected_kg: int
    """What its packs weigh by their data."""
    mass_in_kg: Decimal
    """What was weighed in."""
    state: BatchState
    certificate_number: str | None
    recycled_on: date | None
    recovered_kg: Decimal | None
    residue_kg: Decimal | None
    lost_kg: Decimal | None
    """What came in and is neither in products nor disposed of, such as water and electrolyte."""
    efficiency_percent: Decimal | None
    metals: list[RecoveryMetalView]
    products: list[RecoveryProductView]
    floors: list[FloorVerdict]
    """Every floor of the day it was recycled, of each regime."""
    is_below_floor: bool | None
    """Below a floor of China."""
    is_below_eu_floor: bool | None
    created_at: datetime
