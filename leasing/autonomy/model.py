"""What an autonomy is worked out with, and what was read."""

from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from leasing.health.rules import COVER
from leasing.health.states import CHEMISTRIES
from schemas.autonomy import CapacitySource


class Limits(msgspec.Struct, frozen=True):
    """The numbers an autonomy rests on."""

    depth_percent: int = 80
    """How deep packs are discharged; what lies below is left in them. As in matching."""
    efficiency_percent: int = 95
    """From the pack to the load. As in matching."""
    silent_after: timedelta = timedelta(hours=2)
    """A pack that said nothing for so long counts for nothing in the lower end."""
    full_from_percent: float = 99.0
    full_margin_points: float = 2.0
    """A management that says full has seen the voltage rise: 1.645 times 1 point, rounded up."""
    tested_lower_percent: int = 95
    tested_upper_percent: int = 103
    """Around a capacity test: repeated tests of one retired cell differ by up to 2 % rms, and it
    was some time ago."""
    rated_lower_percent: int = 60
    rated_middle_percent: int = 80
    """Of a pack that nobody measured. Below 60 % it is no cascade pack any more."""

    def margins(self) -> tuple[list[str], list[float], float]:
        """Half the 90 % interval of a reported state of charge by chemistry, in points; and for a
        chemistry nobody knows, which is the widest."""
        known = {letter: COVER * one.soc_points for letter, one in CHEMISTRIES.items()}
        return list(known), list(known.values()), max(known.values())


class SiteFact(msgspec.Struct, frozen=True, kw_only=True):
    """A site as it was read; energies in watt-hours at the load."""

    site_id: UUID
    code: str
    name: str
    site_class: str | None
    adcode: str
    party_id: UUID
    packs: int
    silent_packs: int
    discharging: bool
    drawn_w: float | None
    stated_w: int | None
    lower_wh: float
    wh: float
    upper_wh: float
    required_minutes: int | None
    lower_minutes: int | None


class PackFact(msgspec.Struct, frozen=True, kw_only=True):
    pack_id: UUID
    line_id: UUID
    capacity_source: CapacitySource
    capacity_as_of: datetime | None
    lower_mah: int
    capacity_mah: int
    upper_mah: int
    soc_percent: float | None
    soc_margin_points: float
    latest_at: datetime | None
    is_silent: bool
    lower_wh: float
    wh: float
    upper_wh: float
