"""The nouns of matching: what a line needs, what the stock holds, what came of it."""

from datetime import date
from uuid import UUID

import msgspec

from leasing.sites.strings import MADE_WITHIN_MONTHS, Kind, Member, Reason
from schemas.matching import CapacitySource
from schemas.packs import PackState
from schemas.sites import SiteKind


class Limits(msgspec.Struct, frozen=True):
    """The numbers a judgement rests on."""

    margin_percent: int = 10
    """Added to the load. Assumption, and the caller's to change: lead-acid practice sizes with
    a safety factor of 1.25, which also covers the ageing that we measure."""
    depth_percent: int = 80
    """How deep a backup discharge may go. Makers' advice for lithium is 80 to 90 %
    (redway-tech.com/what-is-dod-in-telecommunication-batteries-and-why-does-it-matter); the
    lower end is taken."""
    efficiency_percent: int = 95
    """From the pack to the load. Assumption: a direct-current load hangs on the bus itself, what
    is lost is lost in cables and combiners."""
    made_within_months: int = MADE_WITHIN_MONTHS


class Need(msgspec.Struct, frozen=True):
    """What a line asks of a pack, and what is at its site already."""

    line_id: UUID
    site_id: UUID
    slot: int
    string_number: int | None
    system_voltage_mv: int | None
    site_kind: SiteKind
    guaranteed_mah: int
    load_w: int | None
    required_minutes: int | None
    standing_uwh: int
    """Usable energy, in millionths of a watt-hour (mAh times mV), of the other packs that stand
    at the site. Empty lines count for nothing."""
    weight: int
    """The line's rated capacity: how much of what is missing falls on it."""
    empty_weight: int
    """The same summed over all empty lines of the site, this one included."""
    limits: Limits


class Candidate(Member, frozen=True):
    """A pack that might be taken."""

    code: str
    state: PackState
    held: bool
    acquired_on: date
    usable_mah: int | None
    capacity_source: CapacitySource | None
    measured_on: date | None

    @property
    def kind(self) -> Kind:
        return Kind(
            self.chemistry,
            self.cells_in_series,
            self.rated_voltage_mv,
            self.rated_capacity_mah,
            self.maker,
            self.specification,
        )


class Suggestion(msgspec.Struct, frozen=True):
    """A pack that may go into the line."""

    candidate: Candidate
    usable_mah: int
    autonomy_minutes: int | None


class Refusal(msgspec.Struct, frozen=True):
    """A pack that may not, and every reason."""

    candidate: Candidate
    reasons: list[Reason]
