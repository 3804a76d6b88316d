"""Readings of packs."""

from datetime import datetime
from typing import Annotated, ClassVar
from uuid import UUID

from msgspec import Meta

from schemas.batches import Batch
from schemas.common import Code, Incoming, Outgoing

Instant = Annotated[datetime, Meta(tz=True)]
Volts = Annotated[float, Meta(ge=0, le=2000)]
Amperes = Annotated[float, Meta(ge=-5000, le=5000, description="Positive while charging.")]
Percent = Annotated[float, Meta(ge=0, le=100)]
Celsius = Annotated[float, Meta(ge=-60, le=200)]
Kilohms = Annotated[float, Meta(ge=0, le=1_000_000_000)]
Kilometres = Annotated[float, Meta(ge=0, le=10_000_000)]
Millivolts = Annotated[int, Meta(ge=-32_767, le=32_767)]

MAX_READINGS = 10_000
MAX_IN_COLUMNS = 50_000


class Reading(Incoming, frozen=True, kw_only=True):
    """What a pack reported at one instant. It is named by `pack_id`, or by a code on it."""

    pack_id: UUID | None = None
    pack_code: Code | None = None
    at: Instant
    voltage_v: Volts | None = None
    current_a: Amperes | None = None
    """Positive while charging."""
    soc_percent: Percent | None = None
    """State of charge as the battery management system shows it."""
    temperature_c: Celsius | None = None
    """The hottest."""
    temperature_min_c: Celsius | None = None
    insulation_kohm: Kilohms | None = None
    soh_percent: Annotated[float, Meta(ge=0, le=200)] | None = None
    """State of health as the battery management system shows it; nothing is decided by it."""
    odometer_km: Kilometres | None = None
    cells_mv: Annotated[list[Millivolts | None], Meta(max_length=500)] = []
    temperatures_c: Annotated[list[Celsius | None], Meta(max_length=100)] = []


class ReadingBatch(Batch, frozen=True, kw_only=True):
    ROWS: ClassVar[str] = "readings"

    readings: Annotated[list[Reading], Meta(min_length=1, max_length=MAX_READINGS)]
    all_or_nothing: bool = True
    """Store nothing if one reading is refused. Otherwise the others are stored, and the answer
    names those that are refused, and why."""


Column = (
    Annotated[list[float | None], Meta(max_length=MAX_IN_COLUMNS)]
    | Annotated[bytes, Meta(max_length=4 * MAX_IN_COLUMNS)]
)
"""A number for each reading, null where it is missing; or the same as packed little-endian
float32, NaN where it is missing (in JSON as base64)."""


class PackColumns(Incoming, frozen=True, kw_only=True):
    """Readings of one pack, column by column. All columns are as long as `at_ms`."""

    pack_id: UUID | None = None
    pack_code: Code | None = None
    at_ms: (
        Annotated[list[int], Meta(min_length=1, max_length=MAX_IN_COLUMNS)]
        | Annotated[bytes, Meta(min_length=8, max_length=8 * MAX_IN_COLUMNS)]
    )
    """Milliseconds since 1970 UTC; or the same as packed little-endian int64."""
    voltage_v: Column | None = None
    current_a: Column | None = None
    """Positive while charging."""
    soc_percent: Column | None = None
    temperature_c: Column | None = None
    temperature_min_c: Column | None = None
    insulation_kohm: Column | None = None
    soh_percent: Column | None = None
    odometer_km: Column | None = None
    cells_mv: Annotated[bytes, Meta(max_length=1_000 * MAX_IN_COLUMNS)] | None = None
    """Packed little-endian int16, reading by reading, as many cells in each; -32768 is missing."""


class ColumnBatch(Incoming, frozen=True, kw_only=True):
    packs: Annotated[list[PackColumns], Meta(min_length=1, max_length=MAX_READINGS)]
    all_or_nothing: bool = True
    """Store nothing if one reading is refused. Otherwise the others are stored, and the answer
    names those that are refused, and why."""


class RefusedReading(Outgoing, frozen=True):
    """One thing wrong with one reading."""

    pointer: str
    """Its place in what was sent: a JSON pointer."""
    code: str
    message: str


class ReadingReceipt(Outgoing, frozen=True):
    """What became of a batch. A reading that was there already counts as repeated."""

    stored: int
    repeated: int
    refused: list[RefusedReading]
    """Why readings were refused, in order; only of a batch that is not all or nothing."""


class UnmatchedSourceView(Outgoing, frozen=True):
    """Somebody who spoke and is not known here. Its readings were counted and not kept."""

    kind: str
    """What it calls itself by: `pack`, `pack_code`, `vehicle`, `device`."""
    value: str
    part: int
    """Which battery of several behind one source, counted from 1."""
    first_seen_at: datetime
    last_seen_at: datetime
    readings: int
    reason: str
    """The last reason: `pack_not_found`, `impossible_time` of one that is known, or
    `not in vehicle …` of a code that a vehicle names at its login, and that is on no pack standing
    in it; then `readings` counts logins."""


class QuantityView(Outgoing, frozen=True):
    """The newest value of one quantity."""

    quantity: str
    value: float | list[float | None]
    at: datetime
    """When it was measured, by the pack's clock."""
    is_silent: bool
    """Nothing newer came for half an hour."""


class PackTelemetryView(Outgoing, frozen=True):
    """What a pack reported last."""

    pack_id: UUID
    latest_at: datetime
    """Of its newest reading, by its own clock."""
    received_at: datetime
    """When that came in, by ours."""
    is_online: bool
    """It has reported within the last half hour."""
    online_since: datetime | None
    """Since when it has reported without a silence of half an hour; null while it is silent."""
    silent_since: datetime | None
    """The last that was heard of it; null while it is online."""
    quantities: list[QuantityView]
    """Only those that it ever reported."""


class SilentPackView(Outgoing, frozen=True):
    """A pack of which nothing is heard any more."""

    pack_id: UUID
    silent_since: datetime
    latest_at: datetime
    received_at: datetime


class ReadingFlagView(Outgoing, frozen=True):
    """A stretch in which a value of a pack is not to be believed; nothing is concluded from it."""

    kind: str
    """`clock_ahead`, `unit_jump`, `stuck` or `soc_contradicts_current`."""
    quantity: str
    from_at: datetime
    to_at: datetime
    readings: int


class ReadingView(Outgoing, frozen=True):
    """What a pack reported at one instant; null or empty is what it did not report."""

    at: datetime
    voltage_v: float | None
    current_a: float | None
    soc_percent: float | None
    temperature_c: float | None
    temperature_min_c: float | None
    insulation_kohm: float | None
    soh_percent: float | None
    odometer_km: float | None
    cells_mv: list[int | None]
    temperatures_c: list[float | None]
