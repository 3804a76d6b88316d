"""What is entered in the ledger, and what is refused."""

from datetime import date
from uuid import UUID

import msgspec

from leasing.kit.errors import Conflict, NotFound


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A money fact. An event of a source has one entry, however often it is entered."""

    source: str
    """The kind of thing it is about, such as `invoice`."""
    source_id: UUID
    event: str
    currency: str
    posted_on: date
    party_id: UUID
    amounts: dict[str, int]
    """By account: debit positive, credit negative; they add up to nothing."""


SOURCE_PATHS = {
    "invoice": "/v1/invoices/{}",
    "lease": "/v1/contracts/{}/lease-schedule",
    "return_order": "/v1/return-orders/{}",
    "deal": "/v1/deals/{}",
}
"""Where sources are read, by kind."""


class NoSuchEntry(NotFound):
    code = "journal_entry_not_found"
    title = "There is no such journal entry"


class MonthClosed(Conflict):
    code = "month_closed"
    title = "The month was closed; nothing is posted in it any more"


CONSTRAINTS = {"posting_month_open": MonthClosed}
