"""How long a site lasts from now on its packs alone."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from schemas.common import Outgoing


class CapacitySource(StrEnum):
    """What the capacity of a pack rests on."""

    ESTIMATE = "estimate"
    """The newest health check that did not abstain, with its interval."""
    TEST = "test"
    """The capacity test it was accepted with."""
    RATED = "rated"
    """Nobody measured it: anything from 60 % to all of what it was rated."""


class LoadSource(StrEnum):
    DRAWN = "drawn"
    """What the packs deliver at this moment."""
    STATED = "stated"
    """The site's mean load as entered."""


class Enough(StrEnum):
    """Whether the site lasts as long as it must, answered only by the whole interval."""

    YES = "yes"
    NO = "no"
    UNSURE = "unsure"


class SiteAutonomyView(Outgoing, frozen=True):
    """Hours from now with a 90 % interval. Null where no load is known."""

    site_id: UUID
    code: str
    name: str
    site_class: str | None
    adcode: str
    party_id: UUID
    packs: int
    silent_packs: int
    """Those that said nothing for two hours, or never told a state of charge. They count for
    nothing in the lower end."""
    discharging: bool
    load_w: int | None
    load_source: LoadSource | None
    lower_hours: float | None
    hours: float | None
    upper_hours: float | None
    required_hours: float | None
    enough: Enough | None


class PackAutonomyView(Outgoing, frozen=True):
    """What one pack adds. Energies in watt-hours at the load, after losses, above the depth to
    which packs may be discharged."""

    pack_id: UUID
    line_id: UUID
    capacity_source: CapacitySource
    capacity_as_of: datetime | None
    lower_mah: int
    capacity_mah: int
    upper_mah: int
    soc_percent: float | None
    soc_margin_points: float
    """Half the 90 % interval of the state of charge."""
    latest_at: datetime | None
    is_silent: bool
    lower_wh: int
    wh: int
    upper_wh: int


class SiteAutonomyExplained(Outgoing, frozen=True):
    """The same for one site, with what each pack adds."""

    site: SiteAutonomyView
    packs: list[PackAutonomyView]
    sentence: str
    sentence_zh: str
