"""Places where leased packs stand."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from schemas.common import Adcode, Code, Incoming, Latitude, Longitude, Name, Outgoing


class SiteKind(StrEnum):
    TOWER = "tower"
    DEPOT = "depot"
    VEHICLE = "vehicle"
    """A vehicle that leases its pack; its place is where it is based."""


class SiteClass(StrEnum):
    """Importance of a tower site, A the highest."""

    A = "A"
    B = "B"
    C = "C"
    D = "D"


class Datum(StrEnum):
    WGS84 = "wgs84"
    GCJ02 = "gcj02"


LoadW = Annotated[int, Meta(ge=1, le=10_000_000, description="Mean load on backup, in watts.")]
AutonomyMinutes = Annotated[
    int, Meta(ge=1, le=43_200, description="How long the packs must carry the load, in minutes.")
]


class SiteCreate(Incoming, frozen=True, kw_only=True):
    party_id: UUID
    code: Code
    name: Name
    kind: SiteKind
    adcode: Adcode
    longitude: Longitude
    latitude: Latitude
    datum: Datum
    site_class: SiteClass | None = None
    load_w: LoadW | None = None
    required_autonomy_minutes: AutonomyMinutes | None = None
    vin: Annotated[str, Meta(max_length=40)] | None = None
    """Vehicle identification number; of a vehicle, and only of one."""


class SitePatch(Incoming, frozen=True):
    name: Name | UnsetType = UNSET
    adcode: Adcode | UnsetType = UNSET
    longitude: Longitude | UnsetType = UNSET
    latitude: Latitude | UnsetType = UNSET
    datum: Datum | UnsetType = UNSET
    site_class: SiteClass | UnsetType | None = UNSET
    load_w: LoadW | UnsetType | None = UNSET
    required_autonomy_minutes: AutonomyMinutes | UnsetType | None = UNSET


class SiteView(Outgoing, frozen=True):
    id: UUID
    party_id: UUID
    code: str
    name: str
    kind: SiteKind
    adcode: str
    longitude: float
    latitude: float
    datum: Datum
    site_class: SiteClass | None
    load_w: int | None
    required_autonomy_minutes: int | None
    vin: str | None
    version: int
    created_at: datetime
