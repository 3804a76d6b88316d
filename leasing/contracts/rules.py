"""What a contract allows: pure decisions about days, states, terms, rents and capacities."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Any, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec.structs import asdict, replace

from leasing.contracts.model import (
    IN_FORCE,
    NEXT_STATES,
    BadTerms,
    BeforeMinimum,
    BelowGuarantee,
    ContractRevision,
    EndsBeforeStart,
    ForbiddenUse,
    IllegalTransition,
    IndexNotPublished,
    LaterChange,
    Line,
    LineEnded,
    LineRevision,
    LineSuspended,
    NotAllowed,
    NothingChanges,
    NoticeTooShort,
    NotTheNamedPack,
    OutsideLine,
    Terms,
)
from leasing.kit.errors import FieldError
from leasing.kit.money import half_up
from leasing.kit.time import add_months, whole_months
from leasing.pricing import periods
from leasing.pricing.components import IndexClause, NotPublished, indexed_price
from schemas.contracts import (
    BillingFrequency,
    BuyOut,
    ContractState,
    DecliningBuyOut,
    EarlyTermination,
    Escalator,
    FixedBuyOut,
    FixedEscalator,
    IndexEscalator,
    LineCreate,
    MonthsOfRent,
    NoEarlyEnd,
    PermittedUse,
    Renewal,
    ShareOfRemainingRent,
    TableEscalator,
)

R = TypeVar("R", ContractRevision, LineRevision)

MAX_POSITIONS = 10_000
MAX_SLOT = 1000

FORBIDDEN_USES = {
    PermittedUse.E_BIKE: (
        "retired traction batteries may not be used in electric bicycles "
        "(Order No. 73 of 2025, Art. 22; GB 43854-2024)"
    )
}


def refuse_unless_next(current: ContractState, wanted: ContractState) -> None:
    """Raise `IllegalTransition` unless a contract may go from one state to the other."""
    if wanted not in NEXT_STATES[current]:
        raise IllegalTransition(
            f"a contract that is {current} cannot become {wanted}", state=current, wanted=wanted
        )


def refuse_unless_in_force(state: ContractState) -> None:
    """Raise `IllegalTransition` unless packs may be out under the contract."""
    if state not in IN_FORCE:
        raise IllegalTransition(f"this asks for a contract in force, this one is {state}")


def refuse_backwards_term(starts_on: date, ends_on: date, prefix: str = "") -> None:
    if ends_on <= starts_on:
        fault = FieldError(f"{prefix}/ends_on", "ends_before_start", f"must be after {starts_on}")
        raise EndsBeforeStart(f"{ends_on} is not after {starts_on}", fields=[fault])


def refuse_bad_zone(time_zone: str, prefix: str = "") -> None:
    try:
        ZoneInfo(time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        message = f"no time zone is called {time_zone}"
        fault = FieldError(f"{prefix}/time_zone", "unknown_time_zone", message)
        raise BadTerms(fault.message, fields=[fault]) from error


def refuse_bad_terms(terms: Terms, prefix: str = "") -> None:
    """Raise `ForbiddenUse` for a use that the law forbids, `BadTerms` for terms that do not fit
    together, with every fault at once."""
    if terms.permitted_use in FORBIDDEN_USES:
        reason = FORBIDDEN_USES[terms.permitted_use]
        raise ForbiddenUse(
            reason, fields=[FieldError(f"{prefix}/permitted_use", "forbidden_use", reason)]
        )
    faults = []
    if terms.renewal is Renewal.AUTOMATIC and terms.renewal_months is None:
        message = "a contract that renews itself says for how many months"
        faults.append(FieldError(f"{prefix}/renewal_months", "missing", message))
    buy_out = terms.buy_out
    if isinstance(buy_out, DecliningBuyOut) and buy_out.floor_amount > buy_out.amount:
        message = f"must not be above the first price, {buy_out.amount}"
        faults.append(FieldError(f"{prefix}/buy_out/floor_amount", "above_amount", message))
    if isinstance(terms.escalator, TableEscalator):
        days = [step.from_on for step in terms.escalator.steps]
        if days != sorted(set(days)):
            message = "days must follow one another"
            faults.append(FieldError(f"{prefix}/escalator/steps", "not_in_order", message))
        if any(Decimal(step.percent_of_base) == 0 for step in terms.escalator.steps):
            message = "a rent of nothing cannot be escalated; suspend the line instead"
            faults.append(FieldError(f"{prefix}/escalator/steps", "zero", message))
    if isinstance(terms.escalator, IndexEscalator):
        faults += index_faults(terms.escalator, f"{prefix}/escalator")
    if faults:
        raise BadTerms("; ".join(fault.message for fault in faults), fields=faults)


def index_faults(escalator: IndexEscalator, prefix: str) -> Iterable[FieldError]:
    if escalator.base_month.day != 1:
        message = f"{escalator.base_month} is not the first day of a month"
        yield FieldError(f"{prefix}/base_month", "not_a_month", message)
    floor, cap = escalator.floor_percent, escalator.cap_percent
    if floor is not None and cap is not None and Decimal(floor) > Decimal(cap):
        message = f"the floor, {floor}, is above the cap, {cap}"
        yield FieldError(f"{prefix}/floor_percent", "above_cap", message)


# Revisions


def revise(
    history: Sequence[R], on: date, changes: dict[str, Any], *, cause: str, by: str, now: datetime
) -> list[R]:
    """What must be written so that other values hold from a day on: the revision that is cut
    short, the one that begins, and later ones that the change runs through. `history` is in order
    of time and without gaps.

    Raises `OutsideLine` when nothing holds on that day, `LaterChange` when one of the values was
    changed for a later day, `NothingChanges` when they are like this already.
    """
    at = index_of(history, on)
    current = history[at]
    for earlier, later in zip(history[at:], history[at + 1 :], strict=False):
        for field in changes:
            if value(later, field) != value(earlier, field):
                raise LaterChange(
                    f"{field} was changed for {later.from_on}; take that back first",
                    field=field,
                    from_on=later.from_on,
                )
    if all(value(current, field) == wanted for field, wanted in changes.items()):
        raise NothingChanges(f"nothing would change on {on}")
    changed = with_values(current, changes)
    entry: dict[str, Any] = {"cause": cause, "entered_by": by, "entered_at": now}
    if current.from_on == on:
        revised = [replace(changed, **entry)]
    else:
        number = max(revision.number for revision in history) + 1
        revised = [
            replace(current, to_on=on),
            replace(changed, number=number, from_on=on, **entry),
        ]
    return revised + [with_values(later, changes) for later in history[at + 1 :]]


def revise_stretch(
    history: Sequence[R], on: date, changes: dict[str, Any], *, cause: str, by: str, now: datetime
) -> list[R]:
    """The same, up to the day for which one of the values was changed already: what was agreed for
    later stays."""
    at = index_of(history, on)
    end = next(
        (
            place
            for place in range(at + 1, len(history))
            if any(value(history[place], field) != value(history[at], field) for field in changes)
        ),
        len(history),
    )
    stretch = history[:end]
    known = {revision.number for revision in stretch}
    free = max(revision.number for revision in history) + 1
    return [
        revision if revision.number in known else replace(revision, number=free)
        for revision in revise(stretch, on, changes, cause=cause, by=by, now=now)
    ]


def close(history: Sequence[R], on: date) -> R:
    """The last revision, cut short on a day. Raises `LaterChange` when it begins on that day or
    later, `OutsideLine` when it ended before."""
    last = history[-1]
    if on <= last.from_on:
        raise LaterChange(f"a change was entered for {last.from_on}", from_on=last.from_on)
    if last.to_on is not None and last.to_on < on:
        raise OutsideLine(f"it ended on {last.to_on}")
    return replace(last, to_on=on)


def end_of(
    ends: Iterable[date | None],
    terms: Sequence[ContractRevision],
    positions: Iterable[Sequence[LineRevision]],
    today: date,
) -> date:
    """The day on which a contract ends: when the last thing in it did; today when that is still
    to come, or something was agreed for that day or later. A line that was to begin later does
    not count."""
    last = max((end for end in ends if end is not None), default=date.min)
    agreed = [history[-1].from_on for history in positions if history[0].from_on < last]
    return last if max([terms[-1].from_on, *agreed]) < last <= today else today


def index_of(history: Sequence[R], on: date) -> int:
    for position, revision in enumerate(history):
        if revision.from_on <= on and (revision.to_on is None or on < revision.to_on):
            return position
    raise OutsideLine(f"nothing is agreed for {on}")


def value(revision: R, field: str) -> Any:
    holder = revision.terms if isinstance(revision, ContractRevision) else revision
    return getattr(holder, field)


def with_values(revision: R, changes: dict[str, Any]) -> R:
    if isinstance(revision, ContractRevision):
        return replace(revision, terms=replace(revision.terms, **changes))
    return replace(revision, **changes)


def differences(before: Terms, after: Terms) -> list[tuple[str, Any, Any]]:
    """`(field, before, after)` for what differs between two terms."""
    earlier, later = asdict(before), asdict(after)
    return [(name, earlier[name], later[name]) for name in earlier if earlier[name] != later[name]]


# Hand-over


def guaranteed_capacity_mah(line: Line) -> int:
    """The capacity below which the lessor owes a replacement, rounded up to whole mAh: a
    guarantee is not lowered by rounding."""
    return guaranteed_mah(line.guarantee_percent, line.rated_capacity_mah)


@lru_cache(maxsize=1_000)  # thousands of positions have a few capacity classes
def guaranteed_mah(guarantee_percent: Decimal, rated_capacity_mah: int) -> int:
    """
    >>> guaranteed_mah(Decimal("80"), 99_999)
    80000
    """
    exact = Fraction(guarantee_percent) * rated_capacity_mah / 100
    return -int(-exact // 1)


def positions(lines: Sequence[LineCreate]) -> list[LineCreate]:
    """Every position that is meant, one by one. Raises `BadTerms`."""
    faults = [
        FieldError(f"/lines/{i}/count", "one_pack", "one pack by name makes one position")
        for i, line in enumerate(lines)
        if line.pack_id is not None and line.count > 1
    ]
    faults += [
        FieldError(f"/lines/{i}/count", "too_many", f"slots go up to {MAX_SLOT}")
        for i, line in enumerate(lines)
        if line.slot + line.count - 1 > MAX_SLOT
    ]
    wanted = sum(line.count for line in lines)
    if wanted > MAX_POSITIONS:
        message = f"{wanted} positions at once; send at most {MAX_POSITIONS}, and add the others"
        faults.append(FieldError("/lines", "too_many", message))
    if faults:
        raise BadTerms("; ".join(fault.message for fault in faults), fields=faults)
    return [replace(line, slot=line.slot + i, count=1) for line in lines for i in range(line.count)]


def refuse_acceptance(line: Line, on: date, pack_id: UUID, tested_capacity_mah: int) -> None:
    """Raise unless a pack may be handed over into a line on a day. Whether the day lies in the
    contract's term is for the database to say."""
    refuse_unless_in_force(line.contract_state)
    if line.ended_on is not None:
        raise LineEnded(f"the line ended on {line.ended_on}")
    if line.suspended:
        raise LineSuspended(f"the line is suspended on {on}")
    if line.started_on is None and line.named_pack_id not in (None, pack_id):
        raise NotTheNamedPack(f"agreed was {line.named_pack_id}", pack_id=line.named_pack_id)
    guaranteed = guaranteed_capacity_mah(line)
    if tested_capacity_mah < guaranteed:
        raise BelowGuarantee(
            f"{tested_capacity_mah} mAh tested, {guaranteed} mAh guaranteed", guaranteed=guaranteed
        )


def refuse_moved_later(history: Sequence[LineRevision], on: date) -> None:
    """Raise `LaterChange` when a line stands elsewhere after a day: a pack that came on that day
    would have moved with it."""
    there = history[index_of(history, max(on, history[0].from_on))]
    for later in history:
        if later.from_on > on and (later.site_id, later.slot) != (there.site_id, there.slot):
            raise LaterChange(f"the line moves on {later.from_on}", from_on=later.from_on)


# Rents over time


def escalated_rent(
    escalator: Escalator, base_amount: int, base_from_on: date, starts_on: date, on: date
) -> int:
    """The rent of a whole month on a day, in minor units. It is always worked out from the rent
    as agreed, on the day it was agreed, and rounded once, half up: a chain of rounded rents would
    drift. Steps are counted from the start of the contract; the fixed kind compounds.

    >>> from schemas.contracts import FixedEscalator
    >>> three, start = FixedEscalator(percent="3", every_months=12), date(2026, 1, 1)
    >>> escalated_rent(three, 10_000, start, start, date(2028, 1, 1))
    10609
    """
    factor = index(escalator, starts_on, on) / index(escalator, starts_on, base_from_on)
    return half_up(base_amount * factor)


def indexed_rent(
    escalator: IndexEscalator,
    values: Mapping[date, Decimal],
    base_amount: int,
    base_from_on: date,
    starts_on: date,
    on: date,
) -> int:
    """The rent of a whole month on a day, by the values of the index by first day of month. A rent
    that was agreed after a step stands for the index of that step, and not for the base month.
    Raises `IndexNotPublished`.

    >>> yearly = IndexEscalator(series="CPI", base_month=date(2025, 10, 1), every_months=12)
    >>> cpi = {date(2025, 10, 1): Decimal("102.4"), date(2027, 1, 1): Decimal("104.9")}
    >>> start = date(2026, 1, 1)
    >>> indexed_rent(yearly, cpi, 10_000, start, start, date(2027, 3, 1))
    10244
    """
    agreed, reached = (
        max(0, whole_months(starts_on, day)) // escalator.every_months for day in (base_from_on, on)
    )
    if reached == agreed:
        return base_amount
    base_month = escalator.base_month
    if agreed:
        step_on = add_months(starts_on, agreed * escalator.every_months)
        base_month = add_months(step_on.replace(day=1), -escalator.lag_months)
    floor, cap = escalator.floor_percent, escalator.cap_percent
    clause = IndexClause(
        base_price=base_amount,
        base_month=base_month,
        starts_on=starts_on,
        every_months=escalator.every_months,
        lag_months=escalator.lag_months,
        floor_percent=None if floor is None else Decimal(floor),
        cap_percent=None if cap is None else Decimal(cap),
        decimals=escalator.decimals,
    )
    try:
        return int(indexed_price(clause, values, on))
    except NotPublished as error:
        raise IndexNotPublished(f"{escalator.series}: {error}", series=escalator.series) from error


def index(escalator: Escalator, starts_on: date, on: date) -> Fraction:
    """By what the rent agreed at the start is multiplied on a day. Of an index to come nothing is
    known: it is taken to stay as it is."""
    if isinstance(escalator, FixedEscalator):
        steps = max(0, whole_months(starts_on, on)) // escalator.every_months
        return (1 + Fraction(Decimal(escalator.percent)) / 100) ** steps
    if isinstance(escalator, TableEscalator):
        reached = [step for step in escalator.steps if step.from_on <= on]
        if reached:
            return Fraction(Decimal(reached[-1].percent_of_base)) / 100
    return Fraction(1)


def steps(escalator: Escalator, starts_on: date, until: date) -> list[date]:
    """The days before a day on which an escalator changes the rent, in order of time.

    >>> from schemas.contracts import FixedEscalator
    >>> yearly = FixedEscalator(percent="3", every_months=12)
    >>> [str(on) for on in steps(yearly, date(2026, 1, 1), date(2028, 6, 1))]
    ['2027-01-01', '2028-01-01']
    """
    if isinstance(escalator, FixedEscalator | IndexEscalator):
        every = escalator.every_months
        months = range(every, whole_months(starts_on, until) + 1, every)
        days = [add_months(starts_on, count) for count in months]
    elif isinstance(escalator, TableEscalator):
        days = [step.from_on for step in escalator.steps if step.from_on > starts_on]
    else:
        days = []
    return [on for on in days if on < until]


# Ending, buying, renewing


def refuse_notice(
    terms: Terms, given_on: date, ending_on: date, starts_on: date, ends_on: date | None
) -> None:
    """Raise unless notice given on one day may end the contract on another."""
    if (ending_on - given_on).days < terms.notice_days:
        raise NoticeTooShort(
            f"{terms.notice_days} days' notice are agreed, "
            f"from {given_on} to {ending_on} are {(ending_on - given_on).days}"
        )
    refuse_before_minimum(terms, ending_on, starts_on)
    if ends_on is not None and ending_on < ends_on:
        raise NotAllowed(
            f"the term runs to {ends_on}; ending before is an early termination", ends_on=ends_on
        )


def refuse_before_minimum(terms: Terms, on: date, starts_on: date) -> None:
    minimum = add_months(starts_on, terms.minimum_months)
    if on < minimum:
        raise BeforeMinimum(f"the contract runs to {minimum} at least", minimum=minimum)


def refuse_early_end(terms: Terms) -> None:
    """Raise `NotAllowed` unless the contract provides for ending it early."""
    if isinstance(terms.early_termination, NoEarlyEnd):
        raise NotAllowed("the contract does not provide for ending it early")


def renewed_to(agreed_to: date, ends_on: date, months: int) -> date:
    """The end of a further term, counted from the end of the first one: after a short month it
    falls on the agreed day again.

    >>> renewed_to(date(2026, 8, 31), date(2026, 9, 30), 1)
    datetime.date(2026, 10, 31)
    """
    return add_months(agreed_to, whole_months(agreed_to, ends_on) + months)


FREQUENCIES = {
    BillingFrequency.WEEKLY: periods.WEEKLY,
    BillingFrequency.FORTNIGHTLY: periods.FORTNIGHTLY,
    BillingFrequency.MONTHLY: periods.MONTHLY,
    BillingFrequency.QUARTERLY: periods.QUARTERLY,
    BillingFrequency.HALF_YEARLY: periods.HALF_YEARLY,
    BillingFrequency.YEARLY: periods.YEARLY,
}


def early_termination_fee(
    rule: EarlyTermination, rent_amount: int | Fraction, on: date, ends_on: date | None
) -> int:
    """What ending one line early costs, in minor units, from the rent of a month. The rent that was
    left to pay is counted by whole and broken months of 30 days, as contracts in the trade do;
    nothing is left when the term is over.

    Raises `NotAllowed` when the contract does not provide for it.

    >>> from schemas.contracts import MonthsOfRent
    >>> early_termination_fee(MonthsOfRent(months=3), 31_000, date(2026, 6, 1), date(2029, 1, 1))
    93000
    """
    remaining = remaining_rent(rent_amount, on, ends_on)
    if isinstance(rule, MonthsOfRent):
        return half_up(min(rule.months * rent_amount, remaining))
    if isinstance(rule, ShareOfRemainingRent):
        return half_up(remaining * Fraction(Decimal(rule.percent)) / 100)
    raise NotAllowed("the contract does not provide for ending it early")


def early_termination_fees(
    terms: Terms, lines: Iterable[Line], on: date, ends_on: date | None
) -> dict[UUID, int]:
    """What ending lines early costs, for those that have begun. Their rents are of a billing
    period, and counted by the month."""
    months = periods.months(FREQUENCIES[terms.billing_frequency])
    return {
        line.id: early_termination_fee(
            terms.early_termination, line.rent_amount / months, on, ends_on
        )
        for line in lines
        if line.started_on is not None
    }


def remaining_rent(rent_amount: int | Fraction, on: date, ends_on: date | None) -> Fraction:
    """Rent from a day to the end of the term: whole months, and the rest by days of 30."""
    if ends_on is None or on >= ends_on:
        return Fraction(0)
    months = whole_months(on, ends_on)
    days = (ends_on - add_months(on, months)).days
    return rent_amount * (months + Fraction(min(days, 30), 30))


def buy_out_price(rule: BuyOut, handed_over_on: date, on: date) -> int:
    """The price of one pack in minor units, before VAT when the contract's amounts are. Raises
    `NotAllowed` when it is not for sale.

    >>> from schemas.contracts import DecliningBuyOut
    >>> rule = DecliningBuyOut(amount=300_000, monthly_percent="1.5", floor_amount=60_000)
    >>> buy_out_price(rule, date(2026, 1, 15), date(2027, 1, 15))
    246000
    """
    if isinstance(rule, FixedBuyOut):
        return rule.amount
    if isinstance(rule, DecliningBuyOut):
        months = max(0, whole_months(handed_over_on, on))
        left = 1 - months * Fraction(Decimal(rule.monthly_percent)) / 100
        return max(half_up(rule.amount * left), rule.floor_amount)
    raise NotAllowed("the contract does not let the lessee buy the packs")
