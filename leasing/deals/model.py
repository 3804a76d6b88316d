"""Deals: their states, and what is refused."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from leasing.kit.errors import Conflict, FieldError, Invalid, NotFound
from schemas.deals import DealMetal, DealState, Material

NEXT_STATES: dict[DealState, set[DealState]] = {
    DealState.OFFERED: {DealState.ACCEPTED, DealState.DECLINED},
    DealState.ACCEPTED: {DealState.CLOSED},
    DealState.DECLINED: set(),
    DealState.CLOSED: set(),
}


class Term(msgspec.Struct, frozen=True):
    """What is counted of a metal and what is given for it; percentages as numbers up to 100, or
    1000 for the coefficient."""

    metal: DealMetal
    material: Material
    content_percent: Decimal
    recovery_percent: Decimal
    coefficient_percent: Decimal


class Open(msgspec.Struct, frozen=True):
    """What is open of a material: positive is owed by the recycler."""

    grams: int
    amount: int


class Owed(msgspec.Struct, frozen=True):
    """What scrap brings of one material."""

    term: Term
    contained_g: Decimal
    grams: int
    amount_per_tonne: int
    amount: int


class Deal(msgspec.Struct, frozen=True):
    """A deal, locked."""

    id: UUID
    number: str
    recycler_id: UUID
    chemistry: str
    state: DealState


class Snapshot(msgspec.Struct, frozen=True):
    id: UUID
    number: int
    source: str
    expires_at: datetime
    prices: dict[Material, int]
    """Fen a tonne."""


class NoSuchDeal(NotFound):
    code = "deal_not_found"
    title = "There is no such deal"


class NoSuchMovement(NotFound):
    code = "deal_movement_not_found"
    title = "There is no such movement in this deal"


class NoSuchRecycler(NotFound):
    code = "recycler_not_found"
    title = "There is no such recycler"


class DealInState(Conflict):
    code = "deal_state"
    title = "The deal is in another state"


class DealNumberTaken(Conflict):
    code = "deal_number_taken"
    title = "There is another deal with this number"


class DealExpired(Conflict):
    code = "deal_expired"
    title = "The prices of the deal do not hold any more"


class DealPriced(Conflict):
    code = "deal_priced_for_good"
    title = "An accepted deal is not priced anew"


class OverLimit(Conflict):
    code = "deal_limit"
    title = "More would be open than the deal allows"


class StillOpen(Conflict):
    code = "deal_open"
    title = "Something is still open in the deal"


class NothingOpen(Conflict):
    code = "deal_vat_settled"
    title = "Nothing of VAT is open in the deal"


class ReversedAlready(Conflict):
    code = "deal_movement_reversed"
    title = "This movement was reversed already"


class NotReversible(Conflict):
    code = "deal_reversal_irreversible"
    title = "A reversal is not reversed"


class NotDelivered(Conflict):
    code = "consignment_not_delivered"
    title = "The consignment was not received by this recycler, or is counted already"


class BadDeal(Invalid):
    code = "bad_deal"
    title = "These terms are no deal"

    def __init__(self, pointer: str, code: str, message: str) -> None:
        super().__init__(message, fields=[FieldError(pointer, code, message)])


CONSTRAINTS: dict[str, Any] = {
    "deal_number_once": DealNumberTaken,
    "deal_of_a_recycler": NoSuchRecycler,
    "deal_accepted_before_expiry": DealExpired,
    "deal_priced_for_good": DealPriced,
    "deal_limit_kg": OverLimit,
    "deal_limit_amount": OverLimit,
    "deal_entry_of_accepted": DealInState,
    "deal_closed_when_settled": StillOpen,
    "deal_movement_reversed_once": ReversedAlready,
}
