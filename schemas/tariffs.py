"""Price plans, and the facts that their prices rest on: registers, outages, tenants, indexes."""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from schemas.batches import MAX_ROWS, Batch
from schemas.common import Amount, Code, Currency, Incoming, Name, Outgoing, Percent, Remark

RENT = "rent"
"""The code by which a component names the flat rent of its line."""

ComponentCode = Annotated[
    str, Meta(pattern=r"^[a-z][a-z0-9_]{0,39}$(?!\n)", description="Once in a version.")
]
UnitPrice = Annotated[
    str,
    Meta(
        pattern=r"^[0-9]{1,12}(\.[0-9]{1,10})?$(?!\n)",
        description="Minor units of the currency as text, with ten decimals at most.",
    ),
]
Quantity = Annotated[
    str,
    Meta(
        pattern=r"^[0-9]{1,15}(\.[0-9]{1,6})?$(?!\n)",
        description="A quantity as text, with six decimals at most.",
    ),
]
FinePercent = Annotated[
    str,
    Meta(
        pattern=r"^(100(\.0{1,4})?|[0-9]{1,2}(\.[0-9]{1,4})?)$(?!\n)",
        description="0 to 100 as text, with four decimals at most.",
    ),
]
Coefficient = Annotated[
    str,
    Meta(
        pattern=r"^[0-9]{1,2}(\.[0-9]{1,4})?$(?!\n)", description="What a price is multiplied by."
    ),
]
AdcodePrefix = Annotated[
    str,
    Meta(
        pattern=r"^[1-9][0-9]{1,5}$(?!\n)",
        description="First digits of a code of GB/T 2260: 41 is a province, 4101 a city.",
    ),
]
Codes = Annotated[
    list[ComponentCode],
    Meta(min_length=1, max_length=50, description="Codes of priced components, or `rent`."),
]


# --- Components ---------------------------------------------------------------------------------


class VatChange(Incoming, frozen=True, kw_only=True):
    from_on: date
    percent: Percent


class PlanComponent(Incoming, frozen=True, kw_only=True, tag_field="kind"):
    """What all components say. Without a VAT of its own a component is taxed as the contract says;
    one that names others, as those are."""

    code: ComponentCode
    name: Name | None = None
    vat_percent: Percent | None = None
    vat_changes: Annotated[list[VatChange], Meta(max_length=20)] = []
    """Other rates from a day on, in order of time."""


class ServiceComponent(PlanComponent, frozen=True, kw_only=True, tag="service"):
    """So much for each pack and whole period, by days."""

    amount: Amount


class CapacityBasis(StrEnum):
    RATED = "rated"
    TESTED = "tested"


class CapacityBand(Incoming, frozen=True, kw_only=True):
    from_percent: Percent
    """State of health from which the price holds, with it: tested ÷ rated capacity."""
    unit_price: UnitPrice
    """Per kilowatt-hour and whole period."""


class CapacityComponent(PlanComponent, frozen=True, kw_only=True, tag="capacity"):
    """By the kilowatt-hours of the pack, at the price of the band of its state of health; a test
    re-prices the pack from its own day."""

    basis: CapacityBasis
    bands: Annotated[list[CapacityBand], Meta(min_length=1, max_length=20)]
    """The first begins at 0."""


class UseTier(Incoming, frozen=True, kw_only=True):
    up_to: Quantity | None = None
    """The last unit of the tier; none for the last tier."""
    unit_price: UnitPrice = "0"
    flat_fee: UnitPrice = "0"


class PerUnit(Incoming, frozen=True, kw_only=True, tag_field="model", tag="per_unit"):
    """Every unit at one price."""

    unit_price: UnitPrice


class Graduated(Incoming, frozen=True, kw_only=True, tag_field="model", tag="graduated"):
    """Each unit at the price of its own tier."""

    tiers: Annotated[list[UseTier], Meta(min_length=1, max_length=20)]


class Volume(Incoming, frozen=True, kw_only=True, tag_field="model", tag="volume"):
    """All units at the price of the tier in which the whole quantity lies."""

    tiers: Annotated[list[UseTier], Meta(min_length=1, max_length=20)]


class Package(Incoming, frozen=True, kw_only=True, tag_field="model", tag="package"):
    """Whole packages; one that was begun counts."""

    size: Quantity
    price: UnitPrice
    free_units: Quantity = "0"


UsePricing = PerUnit | Graduated | Volume | Package


class ThroughputComponent(PlanComponent, frozen=True, kw_only=True, tag="throughput"):
    """Per kilowatt-hour discharged through the pack."""

    pricing: UsePricing


class CyclesComponent(PlanComponent, frozen=True, kw_only=True, tag="cycles"):
    """Per full cycle: energy discharged ÷ rated energy."""

    pricing: UsePricing


class DistanceComponent(PlanComponent, frozen=True, kw_only=True, tag="distance"):
    """Per kilometre."""

    pricing: UsePricing


class MinimumComponent(PlanComponent, frozen=True, kw_only=True, tag="minimum"):
    """What some components come to at least in a whole period; what is missing is charged."""

    codes: Codes
    amount: Amount


class MaximumComponent(PlanComponent, frozen=True, kw_only=True, tag="maximum"):
    """What some components come to at most in a whole period; what is above is taken off."""

    codes: Codes
    amount: Amount


class AvailabilityTier(Incoming, frozen=True, kw_only=True):
    below_percent: FinePercent
    credit_percent: Percent


class AvailabilityComponent(PlanComponent, frozen=True, kw_only=True, tag="availability"):
    """Credit on some components when the service was down: outages by force majeure or by the
    customer do not count."""

    codes: Codes
    tiers: Annotated[list[AvailabilityTier], Meta(min_length=1, max_length=20)]
    """From the highest bound down; the lowest one missed counts."""
    cap_amount: Amount | None = None
    """At most so much a period."""
    cap_percent: Percent | None = None
    """At most this part of what the components come to."""


class SharingDiscount(Incoming, frozen=True, kw_only=True):
    tenants: Annotated[int, Meta(ge=2, le=20)]
    percent: Percent


class SharingComponent(PlanComponent, frozen=True, kw_only=True, tag="sharing"):
    """Discount on some components by how many tenants share the site."""

    codes: Codes
    discounts: Annotated[list[SharingDiscount], Meta(min_length=1, max_length=20)]
    """More tenants than the table knows get its last discount."""
    anchor_percent: Percent = "0"
    """Points more for the anchor tenant, once the site is shared."""


class RegionCoefficient(Incoming, frozen=True, kw_only=True):
    adcode_prefix: AdcodePrefix
    coefficient: Coefficient


class RegionComponent(PlanComponent, frozen=True, kw_only=True, tag="region"):
    """A coefficient on some components by where the site is; 1 where no prefix fits."""

    codes: Codes
    coefficients: Annotated[list[RegionCoefficient], Meta(min_length=1, max_length=400)]
    """The longest prefix that fits holds."""


class OneOffComponent(PlanComponent, frozen=True, kw_only=True, tag="one_off"):
    """Charged once, when the line starts."""

    amount: Amount


UseComponent = ThroughputComponent | CyclesComponent | DistanceComponent
NamingComponent = (
    MinimumComponent | MaximumComponent | AvailabilityComponent | SharingComponent | RegionComponent
)
"""Components that work on what others come to."""
Component = (
    ServiceComponent
    | CapacityComponent
    | ThroughputComponent
    | CyclesComponent
    | DistanceComponent
    | MinimumComponent
    | MaximumComponent
    | AvailabilityComponent
    | SharingComponent
    | RegionComponent
    | OneOffComponent
)
Components = Annotated[list[Component], Meta(min_length=1, max_length=100)]


# --- Plans --------------------------------------------------------------------------------------


class PlanVersionState(StrEnum):
    DRAFT = "draft"
    PUBLISHED = "published"
    """Lines may use it; it is never changed again."""


class PricePlanCreate(Incoming, frozen=True, kw_only=True):
    code: Code
    name: Name
    name_en: Name
    currency: Currency = "CNY"


class PricePlanView(Outgoing, frozen=True):
    id: UUID
    code: str
    name: str
    name_en: str
    currency: str
    created_by: str
    created_at: datetime


class PlanVersionCreate(Incoming, frozen=True, kw_only=True):
    valid_from: date
    """First day on which a line may be agreed by it."""
    components: Components


class PlanVersionPatch(Incoming, frozen=True):
    """A change to a draft."""

    valid_from: date | UnsetType = UNSET
    components: Components | UnsetType = UNSET


class PlanVersionView(Outgoing, frozen=True):
    id: UUID
    plan_id: UUID
    number: int
    currency: str
    valid_from: date
    components: list[Component]
    state: PlanVersionState
    created_by: str
    created_at: datetime
    published_by: str | None
    published_at: datetime | None
    version: int


# --- Facts --------------------------------------------------------------------------------------


class Fact(Incoming, frozen=True, kw_only=True):
    """A fact is never changed: a later row takes its place."""

    supersedes_id: UUID | None = None
    """The row that this one takes the place of."""
    is_void: bool = False
    """There was no such thing: the row takes another out, and puts nothing in its place."""


class FactView(Outgoing, frozen=True):
    id: UUID
    supersedes_id: UUID | None
    is_void: bool
    is_current: bool
    """No later row took its place."""
    entered_by: str
    entered_at: datetime


Instant = Annotated[datetime, Meta(tz=True)]


class Measure(StrEnum):
    THROUGHPUT_WH = "throughput_wh"
    """Energy discharged, in watt-hours."""
    DISTANCE_M = "distance_m"


class Restart(StrEnum):
    """What became of a register since the reading before."""

    NONE = "none"
    RESET = "reset"
    """It was set to nothing; what it counted before that and after the last reading is lost."""
    ROLLOVER = "rollover"
    """It passed its last number and went on from nothing."""


Register = Annotated[int, Meta(ge=0, le=10**15)]


class MeterReadingRow(Fact, frozen=True, kw_only=True):
    pack_id: UUID
    measure: Measure
    at: Instant
    register_value: Register
    restart: Restart = Restart.NONE
    register_max: Register | None = None
    """The last number of the register; of a rollover, and only of one."""
    source: Name
    source_reference: Name | None = None


class MeterReadingBatch(Batch, frozen=True, kw_only=True):
    rows: Annotated[list[MeterReadingRow], Meta(min_length=1, max_length=MAX_ROWS)]


class MeterReadingView(FactView, frozen=True):
    pack_id: UUID
    measure: Measure
    at: datetime
    register_value: int
    restart: Restart
    register_max: int | None
    source: str
    source_reference: str | None


class OutageCause(StrEnum):
    LESSOR = "lessor"
    FORCE_MAJEURE = "force_majeure"
    CUSTOMER = "customer"


class OutageRow(Fact, frozen=True, kw_only=True):
    site_id: UUID | None = None
    """The whole site was down; or else one line."""
    line_id: UUID | None = None
    from_at: Instant
    to_at: Instant
    """The first instant of service again."""
    cause: OutageCause
    evidence: Annotated[Remark, Meta(min_length=1)]
    reference: Name | None = None
    """Number of the ticket."""


class OutageBatch(Batch, frozen=True, kw_only=True):
    rows: Annotated[list[OutageRow], Meta(min_length=1, max_length=MAX_ROWS)]


class OutageView(FactView, frozen=True):
    site_id: UUID | None
    line_id: UUID | None
    from_at: datetime
    to_at: datetime
    cause: OutageCause
    evidence: str
    reference: str | None


class SiteTenancyRow(Fact, frozen=True, kw_only=True):
    site_id: UUID
    from_on: date
    to_on: date | None = None
    """First day after; none while it lasts."""
    tenants: Annotated[int, Meta(ge=1, le=20)]
    is_anchor: bool
    """Our lessee was there first."""


class SiteTenancyBatch(Batch, frozen=True, kw_only=True):
    rows: Annotated[list[SiteTenancyRow], Meta(min_length=1, max_length=MAX_ROWS)]


class SiteTenancyView(FactView, frozen=True):
    site_id: UUID
    from_on: date
    to_on: date | None
    tenants: int
    is_anchor: bool


IndexValue = Annotated[
    str,
    Meta(pattern=r"^[0-9]{1,9}(\.[0-9]{1,6})?$(?!\n)", description="As published, as text."),
]


class PriceIndexRow(Fact, frozen=True, kw_only=True):
    series: Code
    month: date
    """Its first day."""
    value: IndexValue
    published_on: date
    source: Name


class PriceIndexBatch(Batch, frozen=True, kw_only=True):
    rows: Annotated[list[PriceIndexRow], Meta(min_length=1, max_length=MAX_ROWS)]


class PriceIndexView(FactView, frozen=True):
    series: str
    month: date
    value: Decimal
    published_on: date
    source: str
