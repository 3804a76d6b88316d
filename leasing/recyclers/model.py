"""A recycler's listing as a chain of steps, and what can go wrong with recyclers."""

from datetime import date

import msgspec

from leasing.kit.errors import Conflict, Invalid, NotFound
from schemas.recyclers import ListingReason, ListingState, NoticeSubject

NEXT_STATES = {
    ListingState.APPLIED: {ListingState.LISTED, ListingState.ELIGIBLE, ListingState.WITHDRAWN},
    ListingState.LISTED: {ListingState.RECTIFYING, ListingState.WITHDRAWN},
    ListingState.RECTIFYING: {ListingState.LISTED, ListingState.WITHDRAWN},
    # A penalty during the two years begins them anew.
    ListingState.WITHDRAWN: {ListingState.ELIGIBLE, ListingState.WITHDRAWN},
    ListingState.ELIGIBLE: {ListingState.APPLIED, ListingState.WITHDRAWN},
}


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a firm's listing: the state it is in from a day on, and why."""

    state: ListingState
    from_on: date
    reason: ListingReason
    document: str
    document_sha256: str | None = None
    listed_on: date | None = None
    """Since when the firm has been on the list, rectifying or not."""
    ends_on: date | None = None
    """The day on which the state ends by itself."""


class Deadline(msgspec.Struct, frozen=True):
    """Something of a recycler's that lapses on a day unless something is done."""

    subject: NoticeSubject
    lapses_on: date
    document: str


class NotARecyclerHere(NotFound):
    code = "recycler_not_found"
    title = "There is no such recycler"


class ListingStepRefused(Conflict):
    code = "listing_step_refused"
    title = "The listing cannot take this step"


class NotEntered(Invalid):
    code = "comes_by_itself"
    title = "The passing of days brings this step; it is not entered"


class ReportTooEarly(Invalid):
    code = "report_before_its_year_ended"
    title = "An annual report is filed when its year is over"


class ReportTwice(Conflict):
    code = "annual_report_filed"
    title = "The annual report of this year was entered"


class UnknownFirms(Invalid):
    code = "unknown_firms"
    title = "Some of the firms are no recyclers that are known here"


class NoSuchWithdrawal(NotFound):
    code = "withdrawal_not_found"
    title = "There is no such withdrawal"


class NoSuchOffer(NotFound):
    code = "offer_not_found"
    title = "There is no such offer"


class OfferOverlaps(Conflict):
    code = "offer_overlaps"
    title = "The recycler has a price for this in that time already"


class OfferEndsOtherwise(Conflict):
    code = "offer_ends_otherwise"
    title = "An offer ends after its first day, and not after an end it has already"


CONSTRAINTS = {
    "annual_report_once": ReportTwice,
    "annual_report_after_its_year": ReportTooEarly,
    "annual_report_of_a_recycler": NotARecyclerHere,
    "listing_step_of_a_recycler": NotARecyclerHere,
    "scrap_offer_one_at_a_time": OfferOverlaps,
    "scrap_offer_of_a_recycler": NotARecyclerHere,
}
