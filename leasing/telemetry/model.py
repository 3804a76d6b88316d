"""One shape for what a pack reports, whatever protocol it came by.

A decoder turns a frame into reports; what takes reports in knows no protocol. Values are in the
units of their names. Current is positive while charging: a decoder of a protocol that has it the
other way round turns the sign.
"""

from datetime import datetime
from enum import StrEnum

import msgspec


class SourceKind(StrEnum):
    """What a frame calls the thing it speaks of."""

    PACK = "pack"
    """The id of a pack with us."""
    PACK_CODE = "pack_code"
    """A code on the pack: GB/T 34014, GB/T 45565 or the maker's serial."""
    VEHICLE = "vehicle"
    """A vehicle identification number; the pack is the one in that vehicle."""
    DEVICE = "device"
    """A device of a site, as the site's supervision unit numbers it."""


class Source(msgspec.Struct, frozen=True):
    kind: SourceKind
    value: str
    part: int = 1
    """Which battery of several behind one source, counted from 1."""


class Missing(StrEnum):
    """Why a value is not there."""

    INVALID = "invalid"
    ABNORMAL = "abnormal"
    OUT_OF_RANGE = "out_of_range"
    SEALED = "sealed"
    INCOMPLETE = "incomplete"
    """Sent in parts, of which some did not come."""


class Alarm(msgspec.Struct, frozen=True):
    """An alarm that the device itself raises or ends."""

    code: str
    """A name of ours, such as `cell_over_voltage`, or the protocol's own when we have none."""
    begins: bool
    level: int | None = None
    """1 is the most severe."""
    text: str | None = None
    serial: str | None = None
    """By which the device pairs the end with the beginning."""


class Report(msgspec.Struct, frozen=True):
    """What one source said at one instant."""

    source: Source
    at: datetime
    voltage_v: float | None = None
    current_a: float | None = None
    soc_percent: float | None = None
    temperature_c: float | None = None
    """The hottest."""
    temperature_min_c: float | None = None
    insulation_kohm: float | None = None
    soh_percent: float | None = None
    """As the battery's own management shows it: displayed, never decided by."""
    odometer_km: float | None = None
    cells_mv: tuple[int | None, ...] = ()
    temperatures_c: tuple[float | None, ...] = ()
    missing: tuple[tuple[str, Missing], ...] = ()
    """Fields that were sent without a value, and why."""
    alarms: tuple[Alarm, ...] = ()
    is_reissued: bool = False
    """Sent again after a time without connection."""
