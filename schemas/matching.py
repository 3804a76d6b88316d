"""Which packs of the stock may go into a line, and why the others may not."""

from collections.abc import Sequence
from datetime import date
from enum import StrEnum
from uuid import UUID

from schemas.common import Outgoing


class CapacitySource(StrEnum):
    """What a usable capacity rests on."""

    ESTIMATE = "estimate"
    """Lower end of the 90 % interval of the latest health check that came to an estimate."""
    ACCEPTANCE = "acceptance"
    """The latest joint test at a hand-over."""


class ReasonView(Outgoing, frozen=True):
    code: str
    detail: str
    detail_zh: str


class NeedView(Outgoing, frozen=True):
    """What a line asks of a pack."""

    line_id: UUID
    site_id: UUID
    slot: int
    string_number: int | None
    system_voltage_mv: int | None
    """Of the string; of a tower without strings 51,200; else unknown."""
    guaranteed_capacity_mah: int
    load_w: int | None
    required_autonomy_minutes: int | None
    standing_energy_wh: int
    """Usable energy of the other packs that stand at the site today. Lines that are still empty
    count for nothing."""
    least_energy_wh: int | None
    """What this pack must bring: of what the site still lacks, this line's share among the lines
    that are empty, by their rated capacities."""


class LimitsView(Outgoing, frozen=True):
    """What the judgement assumes."""

    margin_percent: int
    depth_percent: int
    efficiency_percent: int
    made_within_months: int


class SuggestionView(Outgoing, frozen=True):
    pack_id: UUID
    code: str
    rated_capacity_mah: int
    usable_capacity_mah: int
    capacity_source: CapacitySource
    measured_on: date
    made_on: date
    acquired_on: date
    site_autonomy_minutes: int | None
    """How long the packs that stand at the site and this one carry its load, with the margin;
    null where the load is not known."""


class RefusedView(Outgoing, frozen=True):
    pack_id: UUID
    code: str
    reasons: Sequence[ReasonView]


class RefusalCountView(Outgoing, frozen=True):
    code: str
    packs: int


class CandidatesView(Outgoing, frozen=True):
    """Packs in stock judged for one line. A pack refused for two reasons counts in both."""

    need: NeedView
    limits: LimitsView
    packs_in_stock: int
    packs_admissible: int
    items: Sequence[SuggestionView]
    next_cursor: str | None
    refused: Sequence[RefusedView]
    """Some of the refused, in order of id."""
    refusals: Sequence[RefusalCountView]


class AssignmentView(Outgoing, frozen=True):
    need: NeedView
    pack: SuggestionView


class UnfilledView(Outgoing, frozen=True):
    need: NeedView
    refusals: Sequence[RefusalCountView]
    """Of the whole stock, with the packs that the plan gave to other lines."""


class PlanView(Outgoing, frozen=True):
    """A proposal; nothing is reserved."""

    contract_id: UUID
    limits: LimitsView
    packs_in_stock: int
    assigned: Sequence[AssignmentView]
    unfilled: Sequence[UnfilledView]
    lines_left_out: int
    """Empty lines beyond the thousand that one call plans."""
