"""What a lease would cost: pure arithmetic on terms that nobody signed yet.

Rent is rated and taxed by the very functions that make an invoice, so a month of a schedule
equals the invoice of that month to the fen when things go as quoted.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from decimal import Decimal

from leasing.billing import rules as billing
from leasing.billing.model import Billing, Owed, Segment, Sum
from leasing.contracts import rules as contracts
from leasing.kit.errors import FieldError, Invalid
from leasing.kit.time import add_months
from leasing.pricing.periods import Period, whole
from leasing.pricing.proration import Basis
from schemas.contracts import ContractTerms, NoBuyOut
from schemas.quotes import (
    Alternative,
    QuotedLine,
    QuotedTerms,
    ScheduledCharge,
    ScheduledMonth,
)

MAX_MONTHS = 120


class BadQuote(Invalid):
    code = "bad_quote"
    title = "This cannot be quoted"


def segments(line: QuotedLine, terms: ContractTerms) -> list[Segment]:
    """The days of a line, cut where its escalator changes the rent."""
    begins_on = line.handed_over_on or terms.starts_on
    steps = contracts.steps(terms.escalator, terms.starts_on, terms.ends_on)
    days = [begins_on, *[on for on in steps if on > begins_on]]
    return [
        Segment(
            from_on,
            to_on,
            None,
            line.site_id,
            contracts.escalated_rent(
                terms.escalator, line.rent_amount, terms.starts_on, terms.starts_on, from_on
            ),
            terms.vat_mode,
            Decimal(terms.vat_percent),
            billed(terms),
        )
        for from_on, to_on in zip(days, [*days[1:], terms.ends_on], strict=True)
    ]


def billed(terms: ContractTerms) -> Billing:
    return billing.billing(
        terms.billing_frequency,
        terms.billing_alignment,
        terms.billing_timing,
        terms.billing_day,
        terms.billing_anchor_on or terms.starts_on,
        terms.billing_end_of_month,
        Basis(terms.proration),
    )


def refuse_days_outside(terms: QuotedTerms, prefix: str) -> None:
    """Raise `BadQuote` for lines that begin before or after the term."""
    faults = [
        FieldError(
            f"{prefix}/lines/{i}/handed_over_on",
            "outside_term",
            f"must lie from {terms.starts_on} to before {terms.ends_on}",
        )
        for i, line in enumerate(terms.lines)
        if line.handed_over_on is not None
        and not terms.starts_on <= line.handed_over_on < terms.ends_on
    ]
    if faults:
        raise BadQuote("; ".join(fault.message for fault in faults), fields=faults)


def refuse_too_long(terms: QuotedTerms, prefix: str) -> None:
    """Raise `BadQuote` for a term of more months than are worked out at once."""
    if terms.ends_on > add_months(terms.starts_on.replace(day=1), MAX_MONTHS):
        message = f"at most {MAX_MONTHS} months can be quoted"
        raise BadQuote(message, fields=[FieldError(f"{prefix}/ends_on", "too_long", message)])


def schedule(terms: QuotedTerms) -> list[ScheduledMonth]:
    """Period by period what is charged to the end of the term."""
    counts: Counter[QuotedLine] = Counter()
    for line in terms.lines:
        counts[alike(line)] += line.count
    cycle = billed(terms).cycle
    rents: dict[Period, Counter[Owed]] = defaultdict(Counter)
    for line, count in counts.items():
        for rent in billing.rate(segments(line, terms), billing.until_day(terms.ends_on)):
            rents[whole(cycle, rent.from_on)][rent] += count
    return [month(period, found) for period, found in sorted(rents.items())]


def alike(line: QuotedLine) -> QuotedLine:
    """A line without what makes no difference to its price."""
    return QuotedLine(
        rated_capacity_mah=1, rent_amount=line.rent_amount, handed_over_on=line.handed_over_on
    )


def month(period: Period, rents: Counter[Owed]) -> ScheduledMonth:
    """One invoice. Each pack is a line of it, so what one owes is rounded and then multiplied."""
    charges = [
        ScheduledCharge(
            component=rent.kind,
            from_on=rent.from_on,
            to_on=rent.to_on,
            days=(rent.to_on - rent.from_on).days,
            month_days=rent.period_days or 0,
            count=count,
            rent_amount=rent.price_amount or 0,
            amount=rent.amount,
            total_amount=rent.amount * count,
        )
        for rent, count in sorted(rents.items(), key=lambda item: (item[0].from_on, item[0].to_on))
    ]
    whole = billing.total(
        Sum(rent.kind, rent.vat_mode, rent.vat_percent, rent.amount * count)
        for rent, count in rents.items()
    ).whole
    return ScheduledMonth(
        from_on=period.from_on,
        to_on=period.to_on,
        charges=charges,
        net_amount=whole.net_amount,
        vat_amount=whole.vat_amount,
        total_amount=whole.total_amount,
    )


def alternative(terms: QuotedTerms) -> Alternative:
    """An alternative with everything it leads to."""
    months = schedule(terms)
    return Alternative(
        label=terms.label,
        terms=terms,
        packs=sum(line.count for line in terms.lines),
        months=months,
        net_amount=sum(month.net_amount for month in months),
        vat_amount=sum(month.vat_amount for month in months),
        total_amount=sum(month.total_amount for month in months),
        deposit_amount=terms.deposit_amount,
        buy_out_amount=buy_out(terms, terms.lines),
    )


def buy_out(terms: QuotedTerms, lines: Iterable[QuotedLine]) -> int | None:
    """The price of all packs at the end of the term, in minor units; None if not for sale."""
    if isinstance(terms.buy_out, NoBuyOut):
        return None
    return sum(
        line.count
        * contracts.buy_out_price(
            terms.buy_out, line.handed_over_on or terms.starts_on, terms.ends_on
        )
        for line in lines
    )
