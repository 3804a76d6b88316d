"""Open items, and what is refused about them."""

from datetime import date
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

import msgspec

from leasing.kit.errors import Conflict, Invalid, NotFound
from schemas.receivables import AllocationSource, ReceivableKind


class Receivable(msgspec.Struct):
    """Something owed, held for update: what is open of it falls as parts of it are settled."""

    id: UUID
    kind: ReceivableKind
    invoice_id: UUID
    number: str
    party_id: UUID
    currency: str
    issued_on: date
    due_on: date
    amount: int
    open_amount: int
    changed_on: date


class Payment(msgspec.Struct):
    """A payment, held for update."""

    id: UUID
    payer_id: UUID
    currency: str
    amount: int
    unallocated_amount: int
    received_on: date
    changed_on: date
    bounced_on: date | None


class Deposit(msgspec.Struct, frozen=True):
    """What a contract holds, held for update."""

    contract_id: UUID
    party_id: UUID
    currency: str
    held_amount: int
    changed_on: date


class Allocation(NamedTuple):
    """A part of a receivable that is settled, and by what."""

    source: AllocationSource
    source_id: UUID | None
    """Payment, credit note or contract; None for a write-off."""
    receivable_id: UUID
    party_id: UUID
    currency: str
    amount: int
    value_on: date
    posted_on: date
    reason: str | None = None
    reverses_id: UUID | None = None


class Entered(NamedTuple):
    """An allocation that was made."""

    id: UUID
    allocation: Allocation


class InterestTerms(msgspec.Struct, frozen=True):
    id: UUID
    annual_percent: Decimal
    year_days: int
    grace_days: int
    grace_is_free: bool
    cap_percent: Decimal | None


class NoSuchReceivable(NotFound):
    code = "receivable_not_found"
    title = "Nothing of the kind is owed"


class NoSuchPayment(NotFound):
    code = "payment_not_found"
    title = "There is no such payment"


class NoSuchAllocation(NotFound):
    code = "allocation_not_found"
    title = "There is no such allocation"


class NoSuchPayer(Conflict):
    code = "payer_not_found"
    title = "There is no such party"


class ReferenceTaken(Conflict):
    code = "payment_reference_taken"
    title = "The payer has another payment with this reference"


class BadAllocation(Conflict):
    code = "bad_allocation"
    title = "A payment pays what its payer owes in its currency"


class MoreThanOpen(Conflict):
    code = "more_than_open"
    title = "More than is open of it"


class MoreThanLeft(Conflict):
    code = "more_than_left"
    title = "More than is left of the payment"


class PaymentRefunded(Conflict):
    code = "payment_refunded"
    title = "A part of the payment was paid back: that comes back first"


class NoSuchRefund(NotFound):
    code = "refund_not_found"
    title = "There is no such refund"


class RefundTaken(Conflict):
    code = "refund_reference_taken"
    title = "The party has another refund with this reference"


class NotCredit(Conflict):
    code = "not_credit"
    title = "Only credit can be used for something else"


class AlreadyReversed(Conflict):
    code = "already_reversed"
    title = "It was taken back already"


class NotReversible(Conflict):
    code = "not_reversible"
    title = "What takes something back is not taken back itself"


class PaymentBounced(Conflict):
    code = "payment_bounced"
    title = "The payment bounced"


class PostedInOrder(Conflict):
    code = "posted_in_order"
    title = "Something was posted on a later day already"


class BeforeReceived(Conflict):
    code = "before_received"
    title = "That was before it was there"


class NoSuchMovement(NotFound):
    code = "deposit_movement_not_found"
    title = "There is no such movement of a deposit"


class MoreThanHeld(Conflict):
    code = "more_than_held"
    title = "More than is held of the deposit"


class BadMovement(Invalid):
    code = "bad_deposit_movement"
    title = "The movement lacks what its kind needs"


class BadSteps(Invalid):
    code = "bad_dunning_steps"
    title = "Each step has a number of its own, and a fee an amount and a currency"


class NoSuchPause(NotFound):
    code = "dunning_pause_not_found"
    title = "There is no such pause"


class BadPause(Invalid):
    code = "bad_dunning_pause"
    title = "A pause is for a party or for an invoice, until a day to come"


class PauseOver(Conflict):
    code = "dunning_pause_over"
    title = "The pause has ended"


class TermsTaken(Conflict):
    code = "interest_terms_taken"
    title = "There are other terms from that day on"


class AncillaryVatTaken(Conflict):
    code = "ancillary_vat_taken"
    title = "It was said already how that day is taxed"


class InterestAccrued(Conflict):
    code = "interest_accrued"
    title = "Interest was accrued for invoices due from that day on"


class BadDays(Invalid):
    code = "bad_days"
    title = "The last day is not before the first"


class StatementTooLong(Invalid):
    code = "statement_too_long"
    title = "The days have too many movements for one statement"


CONSTRAINTS = {
    "payment_payer": NoSuchPayer,
    "payment_reference_once": ReferenceTaken,
    "payment_unallocated": MoreThanLeft,
    "receivable_open": MoreThanOpen,
    "allocation_reversed_once": AlreadyReversed,
    "allocation_of_the_party": BadAllocation,
    "allocation_from_its_payer": BadAllocation,
    "allocation_from_its_credit": BadAllocation,
    "allocation_from_its_deposit": BadAllocation,
    "posted_in_order": PostedInOrder,
    "payment_fixed": PaymentBounced,
    "refund_reversed_once": AlreadyReversed,
    "refund_reference_once": RefundTaken,
    "refund_of_credit": NotCredit,
    "deposit_held": MoreThanHeld,
    "deposit_movement_reversed_once": AlreadyReversed,
    "deposit_movement_from_its_payer": BadAllocation,
    "dunning_pause_party": NoSuchPayer,
    "dunning_pause_invoice": NoSuchReceivable,
    "ancillary_vat_once": AncillaryVatTaken,
    "interest_terms_once": TermsTaken,
    "interest_terms_party": NoSuchPayer,
}
