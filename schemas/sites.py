"""Places where leased packs stand."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from msgspec import UNSET, UnsetType

from schemas.common import Adcode, Code, Incoming, Latitude, Longitude, Name, Outgoing


class SiteKind(StrEnum):
    TOWER = "tower"
    DEPOT = "depot"


class Datum(StrEnum):
    WGS84 = "wgs84"
    GCJ02 = "gcj02"


class SiteCreate(Incoming, frozen=True):
    party_id: UUID
    code: Code
    name: Name
    kind: SiteKind
    adcode: Adcode
    longitude: Longitude
    latitude: Latitude
    datum: Datum


class SitePatch(Incoming, frozen=True):
    name: Name | UnsetType = UNSET
    adcode: Adcode | UnsetType = UNSET
    longitude: Longitude | UnsetType = UNSET
    latitude: Latitude | UnsetType = UNSET
    datum: Datum | UnsetType = UNSET


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
    version: int
    created_at: datetime
