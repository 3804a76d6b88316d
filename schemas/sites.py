"""Places where leased packs stand."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from schemas.batches import MAX_ROWS, Batch
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


class SiteBatch(Batch, frozen=True, kw_only=True):
    rows: Annotated[list[SiteCreate], Meta(min_length=1, max_length=MAX_ROWS)]


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


Slot = Annotated[int, Meta(ge=1, le=1000)]


class StringPut(Incoming, frozen=True, kw_only=True):
    """A cabinet string (电池组串): packs side by side on one bus."""

    number: Annotated[int, Meta(ge=1, le=1000)]
    system_voltage_mv: Annotated[int, Meta(ge=1, le=2_000_000)]
    """Rated voltage of the packs that belong here: 51,200 for 16 LFP cells in series."""
    first_slot: Slot
    last_slot: Slot
    """The last one that belongs to the string."""


class StringsPut(Incoming, frozen=True):
    """All strings of a site. One that is not named is no longer there; a slot outside any is a
    string of its own."""

    strings: Annotated[list[StringPut], Meta(max_length=100)]


class StringView(Outgoing, frozen=True):
    number: int
    system_voltage_mv: int
    first_slot: int
    last_slot: int


class StringsView(Outgoing, frozen=True):
    site_id: UUID
    strings: list[StringView]


class SiteDevicePut(Incoming, frozen=True, kw_only=True):
    """A device of the site's supervision unit, and the slot whose pack it speaks of."""

    code: Code
    """As the supervision unit numbers it: 14 digits by the B-interface."""
    part: Annotated[int, Meta(ge=1, le=250)] = 1
    """Which battery of several behind one device."""
    slot: Slot


class SiteDevicesPut(Incoming, frozen=True):
    """All devices of a site. One that is not named is no longer there."""

    devices: Annotated[list[SiteDevicePut], Meta(max_length=1000)]


class SiteDeviceView(Outgoing, frozen=True):
    code: str
    part: int
    slot: int


class SiteDevicesView(Outgoing, frozen=True):
    site_id: UUID
    devices: list[SiteDeviceView]
