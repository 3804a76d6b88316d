"""Which debts money pays, when a step of dunning is reached, what late interest comes to."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import NamedTuple
from uuid import UUID

import msgspec

from leasing.kit import calendars
from leasing.kit.calendars import Convention, IsBusinessDay
from leasing.kit.errors import FieldError
from leasing.kit.money import allocate, percent_of
from leasing.pricing import receivables
from leasing.receivables.model import (
    BadAllocation,
    BeforeReceived,
    InterestTerms,
    MoreThanLeft,
    MoreThanOpen,
    NoSuchReceivable,
    Receivable,
)
from schemas.receivables import (
    AllocationRow,
    DayKind,
    DebtKind,
    FirstBy,
)


class Order(NamedTuple):
    """In which order a payer's money pays what it owes."""

    first: FirstBy = FirstBy.DUE
    kinds: Sequence[DebtKind] = (
        # Costs, then interest, then what is owed itself (Civil Code Art. 561).
        DebtKind.DUNNING_FEE,
        DebtKind.INTEREST,
        DebtKind.INVOICE,
    )

    @property
    def by_line(self) -> bool:
        """Whether lines of invoices are told apart."""
        return not LINES.isdisjoint(self.kinds)


LINES = {DebtKind.FEES, DebtKind.USAGE, DebtKind.RENT, DebtKind.SALES}

Nets = Mapping[UUID, Mapping[DebtKind, int]]
"""What the lines of invoices come to without VAT, by what they are for; of those that are told
apart."""


class Part(NamedTuple):
    """A part of a receivable that is to be settled."""

    receivable: Receivable
    amount: int


def by_order(
    amount: int, owed: Sequence[Receivable], order: Order, nets: Nets | None = None
) -> list[Part]:
    """What an amount pays, in the payer's order; what is left of it pays nothing."""
    by_id = {one.id: one for one in owed}
    items = [
        receivables.Receivable(one.id, one.due_on, open_amount, kind)
        for one in sorted(owed, key=lambda one: one.id)
        if one.open_amount > 0
        for kind, open_amount in open_by_kind(one, order, (nets or {}).get(one.id, {}))
    ]
    if amount == 0 or not items:
        return []
    paid: dict[UUID, int] = {}
    for id_, part in receivables.allocate_payment(amount, items, order.kinds, order.first.value):
        if id_ is not None:
            paid[UUID(str(id_))] = paid.get(UUID(str(id_)), 0) + part
    return [Part(by_id[id_], part) for id_, part in paid.items()]


def open_by_kind(
    one: Receivable, order: Order, nets: Mapping[DebtKind, int]
) -> list[tuple[DebtKind, int]]:
    """What is open of a receivable by kind. VAT is owed in proportion (C9); what is settled already
    has settled the kinds that come first."""
    owed = {kind: net for kind, net in nets.items() if net > 0}
    if not owed:
        return [(DebtKind(one.kind), one.open_amount)]
    named = [kind for kind in order.kinds if kind in owed]
    kinds = named + [kind for kind in owed if kind not in named]
    settled = one.amount - one.open_amount
    found = []
    for kind, part in zip(kinds, allocate(one.amount, [owed[kind] for kind in kinds]), strict=True):
        covered = min(settled, part)
        settled -= covered
        if part > covered:
            found.append((kind if kind in named else DebtKind.INVOICE, part - covered))
    return found


def by_hand(
    left: int,
    party_id: UUID,
    currency: str,
    rows: Sequence[AllocationRow],
    found: Mapping[UUID, Receivable],
) -> list[Part]:
    """What was named, if the party owes it. Raises what is wrong with the first row at fault."""
    parts = []
    named: set[UUID] = set()
    for place, row in enumerate(rows):
        field = f"/allocations/{place}/receivable_id"
        receivable = found.get(row.receivable_id)
        if receivable is None:
            raise NoSuchReceivable(f"{row.receivable_id} is nothing that is owed")
        if row.receivable_id in named:
            fault = FieldError(field, "named_twice", f"{receivable.number} is named twice")
            raise BadAllocation(fault.message, fields=[fault])
        named.add(row.receivable_id)
        if (receivable.party_id, receivable.currency) != (party_id, currency):
            message = f"{receivable.number} is owed by another party, or in {receivable.currency}"
            raise BadAllocation(message, fields=[FieldError(field, "not_theirs", message)])
        refuse_more_than_open(receivable, row.amount)
        parts.append(Part(receivable, row.amount))
    asked = sum(row.amount for row in rows)
    if asked > left:
        raise MoreThanLeft(f"{asked} of {left}", left_amount=left)
    return parts


def less(receivable: Receivable, amount: int) -> Receivable:
    """The same with less open."""
    return msgspec.structs.replace(receivable, open_amount=receivable.open_amount - amount)


def refuse_more_than_open(receivable: Receivable, amount: int) -> None:
    if amount > receivable.open_amount:
        raise MoreThanOpen(
            f"{receivable.open_amount} is open of {receivable.number}, not {amount}",
            receivable_id=receivable.id,
            open_amount=receivable.open_amount,
        )


def refuse_before(on: date, since: date) -> None:
    if on < since:
        raise BeforeReceived(f"{on} is before {since}")


# --- Dunning ----------------------------------------------------------------------------------


def reached_on(
    due_on: date,
    days: int,
    kind: DayKind,
    is_business_day: IsBusinessDay = calendars.china_or_weekday,
) -> date:
    """The day on which an invoice reaches a step, always a business day.

    Worked example: due on Thursday 30 April 2026, before the holiday of 1 to 5 May; Saturday the
    9th makes up for it.

    >>> reached_on(date(2026, 4, 30), 3, DayKind.BUSINESS)
    datetime.date(2026, 5, 8)
    >>> reached_on(date(2026, 4, 30), 3, DayKind.CALENDAR)
    datetime.date(2026, 5, 6)
    """
    if kind is DayKind.CALENDAR:
        return calendars.adjust(
            due_on + timedelta(days=days), Convention.FOLLOWING, is_business_day
        )
    on = due_on
    for _ in range(days):
        on = calendars.search(on + timedelta(days=1), 1, is_business_day)
    return on


def last_due_on(
    as_of: date,
    days: int,
    kind: DayKind,
    is_business_day: IsBusinessDay = calendars.china_or_weekday,
) -> date:
    """The last due day from which a step is reached by a day. Earlier ones have reached it too.

    >>> last_due_on(date(2026, 5, 8), 3, DayKind.BUSINESS)
    datetime.date(2026, 5, 5)
    """
    if kind is DayKind.BUSINESS:
        due_on, left = as_of, days
        while left:
            left -= is_business_day(due_on)
            due_on -= timedelta(days=1)
        return due_on
    # A holiday only makes a step later.
    due_on = as_of - timedelta(days=days)
    while reached_on(due_on, days, kind, is_business_day) > as_of:
        due_on -= timedelta(days=1)
    return due_on


# --- Late interest ----------------------------------------------------------------------------


def owed_interest(
    receivable: Receivable, terms: InterestTerms, paid: Sequence[tuple[date, int]], until: date
) -> int:
    """All interest of an invoice for the days before one, as things are known (C19)."""
    cap = None
    if terms.cap_percent is not None:
        cap = percent_of(receivable.amount, terms.cap_percent)
    return receivables.late_interest(
        receivable.amount,
        receivable.due_on,
        until,
        terms.annual_percent,
        payments=paid,
        year_days=terms.year_days,
        grace_days=terms.grace_days,
        grace_is_free=terms.grace_is_free,
        cap_amount=cap,
    )
