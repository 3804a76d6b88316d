"""The ledger: accounts, journal entries, the trial balance."""

from datetime import date
from enum import StrEnum
from uuid import UUID

from schemas.common import Outgoing


class AccountKind(StrEnum):
    ASSET = "asset"
    LIABILITY = "liability"
    REVENUE = "revenue"
    EXPENSE = "expense"


class AccountView(Outgoing, frozen=True):
    code: str
    kind: AccountKind
    name: str
    name_en: str


class ChartOfAccounts(Outgoing, frozen=True):
    accounts: list[AccountView]


class AccountBalance(Outgoing, frozen=True):
    """What an account came to in one currency. Debit is positive, credit negative."""

    account: str
    kind: AccountKind
    name: str
    name_en: str
    currency: str
    opening: int
    """At the beginning of the first day."""
    debit: int
    """What was debited from then on; never negative."""
    credit: int
    """What was credited from then on; never negative."""
    closing: int
    """At the end of the last day: opening + debit - credit."""


class TrialBalance(Outgoing, frozen=True):
    from_on: date | None
    """The first day; none for all days."""
    as_of: date | None
    """The last day, which belongs to it; none for all days."""
    accounts: list[AccountBalance]
    balanced: bool


class PostingView(Outgoing, frozen=True):
    account: str
    party_id: UUID
    amount: int
    """Debit is positive, credit negative."""


class JournalEntryView(Outgoing, frozen=True):
    """One fact in the ledger; its postings add up to nothing."""

    id: UUID
    source: str
    source_id: UUID
    source_path: str | None
    """Where to read what it was posted for, if that has a route of its own."""
    event: str
    currency: str
    posted_on: date
    concerns_on: date
    """The day it is about: `posted_on`, or earlier when that month was closed already."""
    postings: list[PostingView]
