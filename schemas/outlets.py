"""Collection outlets (回收服务网点)."""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from schemas.common import Adcode, Code, Incoming, Latitude, Longitude, Name, Outgoing


class OutletKind(StrEnum):
    COLLECTING = "collecting"
    """收集型: stored 5 t at most under the guide of 2019."""
    CONCENTRATED = "concentrated"
    """集中贮存型: could store 30 t at least."""


class Hazard(StrEnum):
    """How a pack travels. What is not known to be intact counts as worse."""

    INTACT = "intact"
    DAMAGED = "damaged"
    CRITICAL = "critical"
    """Liable to react dangerously (ADR SP 376: P911/LP906)."""


ChemistryLetter = Annotated[
    str, Meta(pattern=r"^[A-GZ]$(?!\n)", description="Letter of GB/T 34014: B LFP, E ternary …")
]
Chemistries = Annotated[list[ChemistryLetter], Meta(min_length=1, max_length=8)]
Hazards = Annotated[list[Hazard], Meta(min_length=1, max_length=3)]
StoreKg = Annotated[int, Meta(ge=1, le=10_000_000, description="Kilograms.")]
StoreDays = Annotated[int, Meta(ge=1, le=3650, description="Days a pack may stay.")]
Hours = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=100,
        pattern=r"^[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*$(?!\n)",
        description="As on its door, such as 周一至周六 8:30-17:30.",
    ),
]
ContactPhone = Annotated[
    str, Meta(min_length=3, max_length=40, pattern=r"^\+?[0-9][0-9 ()-]*$(?!\n)")
]


class OutletCreate(Incoming, frozen=True, kw_only=True):
    code: Code
    name_zh: Name
    name_en: Name
    kind: OutletKind
    adcode: Adcode
    longitude: Longitude
    latitude: Latitude
    recycler_id: UUID
    """The utilisation firm that it hands packs over to."""
    chemistries: Chemistries
    hazards: Hazards
    store_limit_kg: StoreKg | None = None
    """Without one, the number of the guide of 2019 for its kind."""
    store_days: StoreDays | None = None
    address: Name | None = None
    contact_name: Name | None = None
    contact_phone: ContactPhone | None = None
    opening_hours: Hours | None = None


class OutletPatch(Incoming, frozen=True, kw_only=True):
    """Kind, code and recycler stay: an outlet that becomes another's is closed and entered anew.
    Limits have days of their own."""

    name_zh: Name | UnsetType = UNSET
    name_en: Name | UnsetType = UNSET
    adcode: Adcode | UnsetType = UNSET
    longitude: Longitude | UnsetType = UNSET
    latitude: Latitude | UnsetType = UNSET
    chemistries: Chemistries | UnsetType = UNSET
    hazards: Hazards | UnsetType = UNSET
    address: Name | UnsetType | None = UNSET
    contact_name: Name | UnsetType | None = UNSET
    contact_phone: ContactPhone | UnsetType | None = UNSET
    opening_hours: Hours | UnsetType | None = UNSET


class OutletView(Outgoing, frozen=True):
    id: UUID
    code: str
    name_zh: str
    name_en: str
    kind: OutletKind
    adcode: str
    longitude: float
    latitude: float
    address: str | None
    contact_name: str | None
    contact_phone: str | None
    opening_hours: str | None
    recycler_id: UUID
    chemistries: list[str]
    hazards: list[str]
    store_limit_kg: int
    """In force today."""
    store_days: int | None
    stock_kg: int
    reserved_kg: int
    in_transit_kg: int
    free_kg: int
    """What may still be reserved: 0 when it is over its limit, or closed."""
    over_limit_kg: int
    """How far what is there is above a limit that was lowered."""
    closed_from: date | None
    closing_reason: str | None
    generated: bool
    version: int


class DirectoryEntry(Outgoing, frozen=True):
    """What anybody may know of an outlet."""

    id: UUID
    code: str
    name_zh: str
    name_en: str
    kind: OutletKind
    adcode: str
    longitude: float
    latitude: float
    address: str | None
    opening_hours: str | None
    generated: bool


class LimitCreate(Incoming, frozen=True, kw_only=True):
    valid_from: date
    limit_kg: StoreKg
    store_days: StoreDays | None = None
    document: Name


class LimitView(Outgoing, frozen=True):
    id: UUID
    outlet_id: UUID
    valid_from: date
    limit_kg: int
    store_days: int | None
    document: str
    entered_by: str
    entered_at: datetime
    in_force: bool
    """Whether it is what holds today."""
    superseded: bool
    """Whether a later entry for the same day took its place."""


class LimitAnswer(Outgoing, frozen=True):
    """The entry, and what it does to the outlet."""

    limit: LimitView
    outlet: OutletView
    note: str | None
    """Said when what is there is above the limit in force."""


class OutletClose(Incoming, frozen=True, kw_only=True):
    closed_from: date
    """First day on which it takes nothing more."""
    reason: Name


class ClosureView(Outgoing, frozen=True):
    outlet: OutletView
    open_routings: int
    """Reserved to be handed over on that day or later: they are to go elsewhere."""
    open_kg: int


class DutyRole(StrEnum):
    BATTERY_MAKER = "battery_maker"
    """Has outlets in each province where it sells."""
    CARMAKER = "carmaker"
    """Has outlets in each prefecture-level city where it sells."""


class OutletDutyCreate(Incoming, frozen=True, kw_only=True):
    party_id: UUID
    role: DutyRole
    valid_from: date
    valid_to: date | None = None
    """First day on which it is no longer the party's outlet."""
    document: Name


class OutletDutyEnd(Incoming, frozen=True, kw_only=True):
    ended_on: date
    """First day on which it is no longer the party's outlet."""


class OutletDutyView(Outgoing, frozen=True):
    id: UUID
    outlet_id: UUID
    party_id: UUID
    role: DutyRole
    area: str
    """The province of a battery maker's duty, the city of a carmaker's: a division's code."""
    valid_from: date
    valid_to: date | None
    document: str


class ProvinceCoverage(Outgoing, frozen=True):
    province_adcode: str
    province_zh: str
    province_en: str
    outlets: int
    prefectures: int
    generated: int
    real: int
    store_limit_kg: int
    free_kg: int


class NetworkCount(Outgoing, frozen=True):
    outlets: int
    prefectures: int
    provinces: int


class CoverageView(Outgoing, frozen=True):
    """How far the network reaches, and how much of it is generated rather than real. Outlets that
    are closed today are counted in `closed` and nowhere else."""

    outlets: int
    collecting: int
    concentrated: int
    prefectures: int
    provinces: int
    recyclers: int
    generated: int
    store_limit_kg: int
    stock_kg: int
    reserved_kg: int
    in_transit_kg: int
    free_kg: int
    closed: int
    announced: NetworkCount
    """What the ministry counted on 2022-08-31."""
    generated_network: NetworkCount
    real_network: NetworkCount
    reconciles: bool
    """Whether the generated outlets are as many, in as many divisions, as the ministry counted."""
    note: str
    by_province: list[ProvinceCoverage]
