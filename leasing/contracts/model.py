"""Contracts and their lines: states, terms, and what is refused."""

from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

import msgspec

from leasing.batteries.model import NoSuchPack
from leasing.kit.errors import Conflict, FieldError, Invalid, NotFound
from leasing.tariffs import model as tariffs
from schemas.contracts import (
    BillingAlignment,
    BillingFrequency,
    BillingTiming,
    BuyOut,
    CatchUp,
    ContractState,
    EarlyTermination,
    EndingReason,
    Escalator,
    PermittedUse,
    Proration,
    Renewal,
    ReturnDay,
    Stub,
    VatMode,
)

NEXT_STATES: dict[ContractState, set[ContractState]] = {
    ContractState.DRAFT: {ContractState.OFFERED, ContractState.CANCELLED},
    ContractState.OFFERED: {ContractState.DRAFT, ContractState.SIGNED, ContractState.CANCELLED},
    ContractState.SIGNED: {ContractState.ACTIVE, ContractState.CANCELLED},
    ContractState.ACTIVE: {ContractState.SUSPENDED, ContractState.ENDING},
    ContractState.SUSPENDED: {ContractState.ACTIVE, ContractState.ENDING},
    # A renewal, or a notice taken back, brings it into force again.
    ContractState.ENDING: {ContractState.ACTIVE, ContractState.ENDED},
    ContractState.ENDED: set(),
    ContractState.CANCELLED: set(),
}

IN_FORCE = {ContractState.ACTIVE, ContractState.SUSPENDED, ContractState.ENDING}
"""States in which packs are out, or may be."""


class Terms(msgspec.Struct, frozen=True):
    """What a contract says on a day."""

    vat_mode: VatMode
    vat_percent: Decimal
    payment_days: int
    billing_frequency: BillingFrequency
    billing_alignment: BillingAlignment
    billing_timing: BillingTiming
    billing_day: int
    billing_anchor_on: date | None
    billing_end_of_month: bool
    proration: Proration
    first_stub: Stub
    last_stub: Stub
    return_day: ReturnDay
    catch_up: CatchUp
    guarantee_percent: Decimal
    replacement_days: int
    autonomy_minutes: int | None
    availability_percent: Decimal | None
    notice_days: int
    renewal: Renewal
    renewal_months: int | None
    minimum_months: int
    deposit_amount: int
    permitted_use: PermittedUse
    early_termination: EarlyTermination
    buy_out: BuyOut
    escalator: Escalator


class ContractRevision(msgspec.Struct, frozen=True):
    """Terms between two days; `to_on` is None while they last."""

    number: int
    from_on: date
    to_on: date | None
    terms: Terms
    cause: str
    entered_by: str
    entered_at: datetime


class LineRevision(msgspec.Struct, frozen=True):
    """A line's position and rent between two days; `to_on` is None while they last."""

    line_id: UUID
    number: int
    from_on: date
    to_on: date | None
    contract_id: UUID
    lessee_id: UUID
    site_id: UUID
    slot: int
    rated_capacity_mah: int
    base_rent_amount: int
    base_from_on: date
    rent_amount: int
    suspended: bool
    cause: str
    entered_by: str
    entered_at: datetime
    price_plan_version_id: UUID | None = None


class Contract(msgspec.Struct, frozen=True):
    """What decisions about a contract rest on."""

    id: UUID
    number: str
    lessor_id: UUID | None
    lessee_id: UUID
    currency: str
    time_zone: str
    state: ContractState
    starts_on: date
    ends_on: date | None
    agreed_to: date | None
    """End of the first term; none for one that was taken over while it held over."""
    ending_on: date | None
    ending_reason: EndingReason | None
    version: int


class Line(msgspec.Struct, frozen=True):
    """A line as it is on a day, with what its contract says then."""

    id: UUID
    contract_id: UUID
    lessee_id: UUID
    contract_state: ContractState
    site_id: UUID
    adcode: str
    slot: int
    rated_capacity_mah: int
    rent_amount: int
    suspended: bool
    guarantee_percent: Decimal
    replacement_days: int
    named_pack_id: UUID | None
    from_on: date
    started_on: date | None
    ended_on: date | None
    price_plan_version_id: UUID | None = None


class NoSuchContract(NotFound):
    code = "contract_not_found"
    title = "There is no such contract"


class NoSuchLine(NotFound):
    code = "line_not_found"
    title = "There is no such lease line"


class NoSuchIncident(NotFound):
    code = "incident_not_found"
    title = "There is no such incident"


class ContractNumberTaken(Conflict):
    code = "contract_number_taken"
    title = "Another contract has this number"


class SlotTaken(Conflict):
    code = "slot_taken"
    title = "The contract has another line for this slot"


class SlotOccupied(Conflict):
    code = "slot_occupied"
    title = "Another pack stands in this slot in that time"


class NotTheLesseesSite(Conflict):
    code = "not_the_lessees_site"
    title = "A line stands at a site of the lessee"


class NotTheLessor(Conflict):
    code = "not_the_lessor"
    title = "The lessor of a contract is a party of that kind"


class IllegalTransition(Conflict):
    code = "contract_state"
    title = "The contract is in another state"


class EndsBeforeStart(Invalid):
    code = "ends_before_start"
    title = "The end lies before the start"


class BadTerms(Invalid):
    code = "bad_terms"
    title = "The terms do not fit together"


class ForbiddenUse(Invalid):
    code = "forbidden_use"
    title = "The law forbids this use"


class OutsideTerm(Conflict):
    code = "outside_term"
    title = "The day lies outside the contract's term"


class OutsideLine(Conflict):
    code = "outside_line"
    title = "The line does not exist on that day"


class LaterChange(Conflict):
    code = "later_change"
    title = "Something that was entered for a later day stands in the way"


class ShippedAfterTest(Invalid):
    code = "shipped_after_test"
    title = "A pack leaves the warehouse before it is tested at its site, or on that day"

    def __init__(self, tested_on: date) -> None:
        message = f"it was tested there on {tested_on}"
        super().__init__(message, fields=[FieldError("/shipped_on", self.code, message)])


class NothingChanges(Conflict):
    code = "nothing_changes"
    title = "It is like this already"


class LineEnded(Conflict):
    code = "line_ended"
    title = "The line has ended"


class LineSuspended(Conflict):
    code = "line_suspended"
    title = "The line is suspended"


class LineOccupied(Conflict):
    code = "line_occupied"
    title = "Another pack stands there in that time"


class LineEmpty(Conflict):
    code = "line_empty"
    title = "No pack stands there"


class LineStarted(Conflict):
    code = "line_started"
    title = "The line has had a pack; it ends by a return"


class LinesOpen(Conflict):
    code = "lines_open"
    title = "A contract ends when the packs of all its lines have gone back"


class NoLines(Conflict):
    code = "no_lines"
    title = "A contract without lines cannot be offered"


class PackAlreadyLeased(Conflict):
    code = "pack_already_leased"
    title = "The pack is on lease in that time"


class NotTheNamedPack(Conflict):
    code = "not_the_named_pack"
    title = "Another pack was agreed by name"


class BelowGuarantee(Conflict):
    code = "below_guarantee"
    title = "The pack tested below what the contract guarantees"


class RentWithoutClass(Invalid):
    code = "rent_without_class"
    title = "A swap changes the rent only with the capacity class"


class BeforePlacement(Conflict):
    code = "before_placement"
    title = "The pack came after that day"


class NoticeTooShort(Conflict):
    code = "notice_too_short"
    title = "The notice period is longer"


class BeforeMinimum(Conflict):
    code = "before_minimum"
    title = "The minimum term is not over"


class NotAllowed(Conflict):
    code = "not_allowed_by_contract"
    title = "The contract does not provide for this"


class NotLost(Conflict):
    code = "not_lost"
    title = "The pack of this incident is not missing"


class NotLiable(Invalid):
    code = "not_liable"
    title = "Only a liable lessee owes compensation"


class OwedAlready(Conflict):
    code = "owed_already"
    title = "The line owes this for that day already"


class SameLessee(Conflict):
    code = "same_lessee"
    title = "A contract is transferred to another lessee"


class StartedWithoutTest(Conflict):
    code = "started_without_test"
    title = "A line starts by a joint test"


class TwoRevisions(Conflict):
    code = "two_revisions"
    title = "Every day belongs to one revision"


class IndexNotPublished(Conflict):
    code = "index_not_published"
    title = "The index that the rent follows is not known yet"


class TwoTerms(Conflict):
    code = "two_terms"
    title = "Every day belongs to one term"


class StateWithoutTime(Conflict):
    code = "state_without_time"
    title = "A state comes with the instant it was reached"


CONSTRAINTS = {
    **tariffs.CONSTRAINTS,
    "contract_number_once": ContractNumberTaken,
    "contract_of_a_lessor": NotTheLessor,
    "contract_permitted_use": ForbiddenUse,
    "contract_revision_one_a_day": TwoRevisions,
    "contract_state_has_its_time": StateWithoutTime,
    "contract_term_once": TwoTerms,
    "acceptance_within_term": OutsideTerm,
    "fee_once": OwedAlready,
    "lease_line_ends_after_start": EndsBeforeStart,
    "lease_line_started_by_acceptance": StartedWithoutTest,
    "lease_line_named_pack_first": NotTheNamedPack,
    "lease_line_named_pack_id_fkey": NoSuchPack,
    "line_revision_one_a_day": TwoRevisions,
    "line_revision_site_of_the_lessee": NotTheLesseesSite,
    "line_revision_slot_once": SlotTaken,
    "line_revision_within_contract": OutsideTerm,
    "placement_line_once": LineOccupied,
    "placement_not_empty": BeforePlacement,
    "placement_pack_once": PackAlreadyLeased,
    "placement_slot_once": SlotOccupied,
    "placement_within_line": OutsideLine,
}
