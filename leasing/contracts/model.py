"""Contracts and their lines: states, and what is refused."""

from datetime import date
from decimal import Decimal
from uuid import UUID

import msgspec

from leasing.kit.errors import Conflict, Invalid, NotFound
from schemas.contracts import ContractState

NEXT_STATES: dict[ContractState, set[ContractState]] = {
    ContractState.DRAFT: {ContractState.ACTIVE},
    ContractState.ACTIVE: {ContractState.ENDED},
    ContractState.ENDED: set(),
}


class Line(msgspec.Struct, frozen=True):
    """A line with what its contract says about it."""

    id: UUID
    contract_id: UUID
    lessee_id: UUID
    site_id: UUID
    adcode: str
    contract_state: ContractState
    term_from: date
    term_to: date
    rated_capacity_mah: int
    guarantee_percent: Decimal
    replacement_days: int
    started_on: date | None
    ended_on: date | None


class NoSuchContract(NotFound):
    code = "contract_not_found"
    title = "There is no such contract"


class NoSuchLine(NotFound):
    code = "line_not_found"
    title = "There is no such lease line"


class ContractNumberTaken(Conflict):
    code = "contract_number_taken"
    title = "Another contract has this number"


class SlotTaken(Conflict):
    code = "slot_taken"
    title = "The contract has another line for this slot"


class NotTheLesseesSite(Conflict):
    code = "not_the_lessees_site"
    title = "A line stands at a site of the lessee"


class IllegalTransition(Conflict):
    code = "contract_state"
    title = "The contract is in another state"


class EndsBeforeStart(Invalid):
    code = "ends_before_start"
    title = "The end lies before the start"


class OutsideTerm(Conflict):
    code = "outside_term"
    title = "The day lies outside the contract's term"


class LineEnded(Conflict):
    code = "line_ended"
    title = "The line has ended"


class LineOccupied(Conflict):
    code = "line_occupied"
    title = "Another pack stands there in that time"


class LineEmpty(Conflict):
    code = "line_empty"
    title = "No pack stands there"


class LinesOpen(Conflict):
    code = "lines_open"
    title = "A contract ends when the packs of all its lines have gone back"


class PackAlreadyLeased(Conflict):
    code = "pack_already_leased"
    title = "The pack is on lease in that time"


class BelowGuarantee(Conflict):
    code = "below_guarantee"
    title = "The pack tested below what the contract guarantees"


class AlreadyBilled(Conflict):
    code = "already_billed"
    title = "The days after that day are on a final invoice"


class BeforePlacement(Conflict):
    code = "before_placement"
    title = "The pack came after that day"


CONSTRAINTS = {
    "contract_number_once": ContractNumberTaken,
    "lease_line_slot_once": SlotTaken,
    "lease_line_site_of_the_lessee": NotTheLesseesSite,
    "lease_line_ends_after_start": EndsBeforeStart,
    "lease_line_ends_after_billing": AlreadyBilled,
    "contract_term_bounded": EndsBeforeStart,
    "placement_pack_once": PackAlreadyLeased,
    "placement_line_once": LineOccupied,
    "placement_not_empty": BeforePlacement,
}
