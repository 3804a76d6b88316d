"""Rent by civil date: every day once, every month to the unit, whenever the facts were known."""

import doctest
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import groupby, pairwise
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import asdict

from leasing.billing import rules
from leasing.billing.model import (
    BillableLine,
    Billing,
    Charged,
    Due,
    Owed,
    Segment,
    Settlement,
    Sum,
    TooManyPeriods,
)
from leasing.billing.rules import ACCOUNTS, MAX_PERIODS, settle, total, until_day, vat_of
from leasing.kit.money import half_up
from leasing.kit.time import month_of
from leasing.pricing.periods import (
    MONTHLY,
    QUARTERLY,
    WEEKLY,
    YEARLY,
    Cycle,
    Mode,
    Period,
    whole,
)
from leasing.pricing.plans import Facts
from leasing.pricing.proration import Basis
from schemas.billing import Component
from schemas.contracts import VatMode

FIRST, LAST = date(2023, 11, 1), date(2024, 4, 15)
"""Short, so that much happens within one month; over the end of a year and a leap February."""
DAYS = st.dates(FIRST, LAST)
MONTHS = st.dates(FIRST, LAST).map(lambda on: month_of(on)[1])
RENTS = st.sampled_from([0, 1, 10_000, 31_000, 10**12 + 7])
LINE = UUID(int=1)
CALENDAR = Billing(Cycle(date(2023, 1, 1), MONTHLY), Mode.ARREARS, Basis.ACTUAL)
CYCLES = st.sampled_from(
    [
        CALENDAR.cycle,
        Cycle(date(2023, 10, 31), MONTHLY),
        Cycle(date(2023, 11, 28), MONTHLY, end_of_month=True),
        Cycle(date(2023, 2, 15), QUARTERLY),
        Cycle(date(2023, 11, 6), WEEKLY),
        Cycle(date(2020, 2, 29), YEARLY),
    ]
)
BILLINGS = st.builds(Billing, CYCLES, st.sampled_from(Mode), st.just(Basis.ACTUAL))


def rate(facts: list[Segment], until: date) -> list[Owed]:
    return rules.rate(facts, until_day(until))


def period_of(on: date, billing: Billing = CALENDAR) -> Period:
    return whole(billing.cycle, on)


def stay(
    from_on: date, to_on: date | None, rent: int = 31_000, pack: int = 10, site: int = 3
) -> Segment:
    return Segment(
        from_on,
        to_on,
        UUID(int=pack),
        UUID(int=site),
        rent,
        VatMode.EXCLUSIVE,
        Decimal(13),
        CALENDAR,
    )


@st.composite
def segments(draw: st.DrawFn, starts: st.SearchStrategy[date] = DAYS) -> list[Segment]:
    """Days one after the other, sometimes free ones between, of few packs, sites, rents and taxes,
    so that neighbours are often alike; the last of them over or not; billed in one of many ways."""
    billing = draw(BILLINGS)
    cuts = sorted(draw(st.lists(starts, min_size=2, max_size=7, unique=True)))
    made = [
        Segment(
            from_on,
            to_on,
            UUID(int=draw(st.integers(10, 12))),
            UUID(int=draw(st.integers(3, 4))),
            draw(RENTS),
            draw(st.sampled_from(VatMode)),
            Decimal(draw(st.sampled_from(["9", "13"]))),
            billing,
        )
        for from_on, to_on in pairwise(cuts)
        if draw(st.integers(0, 3)) > 0
    ]
    if made and draw(st.booleans()):
        made[-1] = made[-1]._replace(to_on=None)
    return made


Day = tuple[date, tuple[UUID | None, UUID | None, int, VatMode, Decimal]]


def days_owed(facts: list[Segment], until: date) -> list[Day]:
    """The naive way: day by day."""
    return [
        (on, segment[2:7])
        for segment in facts
        for n in range(((segment.to_on or until) - segment.from_on).days)
        if (on := segment.from_on + timedelta(days=n)) < until
    ]


def days_charged(rents: list[Owed]) -> list[Day]:
    return [
        (
            rent.from_on + timedelta(days=n),
            (rent.pack_id, rent.site_id, rent.price_amount, rent.vat_mode, rent.vat_percent),
        )
        for rent in rents
        for n in range((rent.to_on - rent.from_on).days)
    ]


def runs(days: list[Day], billing: Billing) -> list[list[Day]]:
    """Days of one period at one rent and tax, one after the other but for free days."""
    by_run = groupby(days, key=lambda day: (period_of(day[0], billing), day[1][2:]))
    return [list(run) for _, run in by_run]


def billed(facts: list[Segment]) -> Billing:
    return facts[0].billing if facts else CALENDAR


def test_the_examples_in_the_text_are_true():
    assert doctest.testmod(rules).failed == 0
    assert doctest.testmod(rules).attempted >= 11


@given(segments(), DAYS)
def test_every_day_is_charged_once_to_its_pack_site_rent_and_tax(facts, until):
    assert days_charged(rate(facts, until)) == days_owed(facts, until)


@given(segments(), DAYS)
def test_a_charge_lies_in_one_period_and_says_how_long_that_is(facts, until):
    for rent in rate(facts, until):
        period = period_of(rent.from_on, billed(facts))
        assert rent.from_on < rent.to_on <= period.to_on
        assert rent.period_days == period.days


@given(segments(), DAYS)
def test_days_at_one_rent_in_a_period_cost_their_part_of_it_rounded_once(facts, until):
    amounts = {rent.from_on: rent.amount for rent in rate(facts, until)}
    for run in runs(days_owed(facts, until), billed(facts)):
        rent_amount = run[0][1][2]
        days = period_of(run[0][0], billed(facts)).days
        owed = half_up(Fraction(rent_amount * len(run), days))
        assert sum(amounts.pop(on, 0) for on, _ in run) == owed
    assert amounts == {}


@given(segments(), DAYS)
def test_a_part_is_less_than_a_unit_from_its_share(facts, until):
    for rent in rate(facts, until):
        days = (rent.to_on - rent.from_on).days
        # Half a unit for the rounding of the run, less than one for its split.
        assert abs(rent.amount - Fraction(rent.price_amount * days, rent.period_days)) < Fraction(
            3, 2
        )


@given(segments(), DAYS)
def test_neighbours_that_are_alike_are_one_charge(facts, until):
    for one, other in pairwise(rate(facts, until)):
        assert one.to_on <= other.from_on
        alike = days_charged([one])[0][1] == days_charged([other])[0][1]
        begins = period_of(other.from_on, billed(facts)).from_on == other.from_on
        assert not (alike and one.to_on == other.from_on and not begins)


@given(segments(), DAYS, st.lists(DAYS, max_size=5))
def test_how_the_days_were_cut_up_makes_no_difference(facts, until, cuts):
    assert rate(cut_up(facts, cuts), until) == rate(facts, until)


def cut_up(facts: list[Segment], cuts: list[date]) -> list[Segment]:
    for cut in cuts:
        facts = [
            part
            for segment in facts
            for part in (
                [segment._replace(to_on=cut), segment._replace(from_on=cut)]
                if segment.from_on < cut and (segment.to_on is None or cut < segment.to_on)
                else [segment]
            )
        ]
    return facts


@given(MONTHS, RENTS, st.lists(DAYS, max_size=5))
def test_a_whole_month_at_one_rent_costs_that_rent_whatever_packs_stood_there(first, rent, swaps):
    following = month_of(first)[1]
    bounds = [first, *sorted({on for on in swaps if first < on < following}), following]
    facts = [stay(*days, rent=rent, pack=n) for n, days in enumerate(pairwise(bounds))]
    assert sum(one.amount for one in rate(facts, LAST + timedelta(days=99))) == rent


# Charges as they are and as they should be


class Book:
    """The charges of a line that were not taken back, as the database keeps them."""

    def __init__(self) -> None:
        self.live: list[Charged] = []
        self.ids = iter(range(10**9))

    @property
    def billed_to(self) -> date | None:
        return max((one.owed.to_on for one in self.live), default=None)

    @property
    def rents(self) -> list[Owed]:
        return [one.owed for one in self.live]

    def bill(self, facts: list[Segment], until: date, changed_on: date | None) -> Settlement:
        """Bill what is due, and put right what changed from a day on, if that was billed."""
        billed_to = self.billed_to
        restated = changed_on is not None and billed_to is not None and changed_on < billed_to
        since = date.min
        if billed_to is not None:
            earliest = min(billed_to, changed_on) if restated and changed_on else billed_to
            since = period_of(earliest, billed(facts)).from_on
        line = BillableLine(
            line_id=LINE,
            contract_id=LINE,
            segments=[
                segment._replace(from_on=max(since, segment.from_on))
                for segment in facts
                if segment.to_on is None or segment.to_on > since
            ],
            charged=[one for one in self.live if one.owed.to_on > since],
            billed_to=billed_to,
            restated=restated,
            plans={},
            facts=Facts(),
            revisions={},
        )
        settlement = settle(line, until_day(until))
        self.live = [one for one in self.live if one not in settlement.taken_back]
        self.live += [Charged(UUID(int=next(self.ids)), rent) for rent in settlement.owed]
        self.live.sort(key=lambda one: one.owed.from_on)
        return settlement


@given(segments(), st.lists(MONTHS, max_size=12))
def test_billing_period_by_period_is_billing_all_at_once(facts, months):
    book = Book()
    ends = sorted({period_of(on, billed(facts)).from_on for on in months})
    for until in ends:
        assert book.bill(facts, until, None).taken_back == []
    assert book.rents == (rate(facts, ends[-1]) if ends else [])


@given(segments(), st.lists(st.tuples(DAYS, DAYS, segments()), max_size=5))
def test_whatever_changed_and_whenever_the_charges_are_those_of_a_first_bill(facts, rounds):
    """Also when it is billed in the middle of a month, which a run never does."""
    book = Book()
    for until, changed_on, others in sorted(rounds, key=lambda one: one[0]):
        facts = change(facts, changed_on, others)
        book.bill(facts, until, changed_on)
        assert book.rents == rate(facts, until)


def change(facts: list[Segment], on: date, others: list[Segment]) -> list[Segment]:
    """Other facts from a day on."""
    before = [
        segment._replace(to_on=min(segment.to_on or on, on))
        for segment in facts
        if segment.from_on < on
    ]
    after = [
        segment._replace(from_on=max(segment.from_on, on), billing=billed(facts))
        for segment in others
        if segment.to_on is None or segment.to_on > on
    ]
    return before + after


@given(segments(), DAYS, DAYS, st.lists(DAYS, max_size=5))
def test_a_change_that_makes_no_difference_takes_nothing_back(facts, until, changed_on, cuts):
    book = Book()
    book.bill(facts, until, None)
    assert book.bill(cut_up(facts, cuts), until, changed_on) == ([], [])


@given(segments(), DAYS, DAYS, segments())
def test_a_charge_that_is_as_it_was_is_not_taken_back(facts, until, changed_on, others):
    book = Book()
    book.bill(facts, until, None)
    before = book.rents
    settlement = book.bill(change(facts, changed_on, others), until, changed_on)
    taken_back = [one.owed for one in settlement.taken_back]
    assert all(one in before for one in taken_back)
    assert not [one for one in taken_back if one in settlement.owed]


def nothing_known(facts: list[Segment]) -> BillableLine:
    return BillableLine(
        LINE, LINE, facts, [], None, restated=False, plans={}, facts=Facts(), revisions={}
    )


def test_days_charged_beyond_the_day_of_a_late_run_stay_charged():
    facts = [stay(date(2025, 1, 11), None)]
    book = Book()
    book.bill(facts, date(2025, 4, 1), None)
    dearer = change(facts, date(2025, 2, 1), [stay(date(2025, 2, 1), None, rent=62_000)])
    book.bill(dearer, date(2025, 2, 1), date(2025, 2, 1))
    assert [one.amount for one in book.rents] == [21_000, 62_000, 62_000]


def test_free_days_before_the_billed_day_are_not_charged_later():
    """A line without a pack in January, billed for February: March alone is due."""
    book = Book()
    facts = [stay(date(2025, 1, 1), date(2025, 1, 11)), stay(date(2025, 2, 1), None)]
    book.bill(facts, date(2025, 3, 1), None)
    assert [one.amount for one in book.bill(facts, date(2025, 4, 1), None).owed] == [31_000]


def test_a_pack_that_came_late_into_a_month_that_was_billed_leaves_it_as_a_first_bill():
    """A third of a unit and a third of a unit are two thirds, which is one; apart, nothing."""
    first = stay(date(2025, 4, 1), date(2025, 4, 11), rent=1)
    book = Book()
    book.bill([first], date(2025, 5, 1), None)
    assert [one.amount for one in book.rents] == [0]
    book.bill([first, stay(date(2025, 4, 21), None, rent=1, pack=11)], date(2025, 6, 1), None)
    assert [one.amount for one in book.rents] == [1, 0, 1]


@pytest.mark.parametrize(
    ("billed_to", "settlement", "differs"),
    [
        (None, Settlement([], []), False),
        (date(2025, 2, 1), Settlement([], []), False),
        # February is due anyhow; in January something was missing.
        (
            date(2025, 2, 1),
            Settlement([], rate([stay(date(2025, 2, 1), None)], date(2025, 3, 1))),
            False,
        ),
        (
            date(2025, 2, 1),
            Settlement([], rate([stay(date(2025, 1, 1), None)], date(2025, 3, 1))),
            True,
        ),
    ],
)
def test_a_restatement_differs_when_days_before_the_billed_one_do(billed_to, settlement, differs):
    line = BillableLine(
        LINE, LINE, [], [], billed_to, restated=True, plans={}, facts=Facts(), revisions={}
    )
    assert rules.differs(line, settlement) is differs


# Examples


@pytest.mark.parametrize(
    ("start", "end", "until", "amounts"),
    [
        # A leap February: 29 days, one of them 1/29.
        (date(2024, 2, 29), None, date(2024, 3, 1), [1_069]),
        (date(2024, 2, 1), None, date(2024, 3, 1), [31_000]),
        (date(2025, 2, 28), None, date(2025, 3, 1), [1_107]),
        # 31 days, then over the end of a year.
        (date(2025, 12, 31), None, date(2026, 2, 1), [1_000, 31_000]),
        # The day of return is free; one day before it is not.
        (date(2026, 1, 1), date(2026, 1, 2), date(2026, 2, 1), [1_000]),
        (date(2026, 1, 1), date(2026, 2, 1), date(2026, 3, 1), [31_000]),
        # Before the first day nothing is owed.
        (date(2026, 1, 1), None, date(2026, 1, 1), []),
        (date(2026, 1, 1), None, date(2025, 1, 1), []),
    ],
)
def test_months_are_prorated_by_their_own_days(start, end, until, amounts):
    assert [rent.amount for rent in rate([stay(start, end)], until)] == amounts


def test_a_swap_splits_the_rent_of_the_month_and_does_not_change_it():
    swapped = date(2026, 1, 12)
    facts = [
        stay(date(2026, 1, 1), swapped, rent=10_000),
        stay(swapped, None, rent=10_000, pack=11),
    ]
    assert [rent.amount for rent in rate(facts, date(2026, 2, 1))] == [3_548, 6_452]


def test_free_days_between_two_packs_do_not_make_two_roundings():
    """10 and 10 days of 30 at one unit: two thirds of it are one unit, not twice nothing."""
    facts = [
        stay(date(2025, 4, 1), date(2025, 4, 11), rent=1),
        stay(date(2025, 4, 21), None, rent=1, pack=11),
    ]
    assert [rent.amount for rent in rate(facts, date(2025, 5, 1))] == [1, 0]


def test_two_rents_in_a_month_are_rounded_each():
    facts = [
        stay(date(2025, 4, 1), date(2025, 4, 16), rent=1),
        stay(date(2025, 4, 16), None, rent=3),
    ]
    assert [rent.amount for rent in rate(facts, date(2025, 5, 1))] == [1, 2]


@pytest.mark.parametrize("cycle", [CALENDAR.cycle, Cycle(date(2024, 1, 1), WEEKLY)])
def test_a_line_that_owes_too_many_periods_at_once_is_refused(cycle):
    billing = CALENDAR._replace(cycle=cycle)
    facts = [stay(date(2024, 1, 1), None)._replace(billing=billing)]
    line = BillableLine(
        LINE, LINE, facts, [], None, restated=False, plans={}, facts=Facts(), revisions={}
    )
    starts_on, last = date(2024, 1, 1), date(2024, 1, 1)
    for _ in range(MAX_PERIODS):
        last = whole(cycle, last).to_on
    assert len(settle(line, until_day(last)).owed) == MAX_PERIODS
    with pytest.raises(TooManyPeriods, match="25 periods"):
        settle(line, until_day(last + timedelta(days=1)))
    assert starts_on < last


def test_a_restatement_of_years_is_not_too_many_periods():
    """Only what was never billed is counted."""
    facts = [stay(date(2016, 1, 1), None)]
    book = Book()
    for year in range(2017, 2027):
        book.bill(facts, date(year, 1, 1), None)
    dearer = [stay(date(2016, 1, 1), None, rent=62_000)]
    assert len(book.bill(dearer, date(2026, 2, 1), date(2016, 1, 1)).taken_back) == 120


# When


@pytest.mark.parametrize(
    ("cycle", "mode", "starts_on", "on", "wanted"),
    [
        # In arrears: the period that is over, on any later day the same.
        (MONTHLY, Mode.ARREARS, "2026-01-01", "2026-02-01", ("2026-01-01", "2026-02-01")),
        (MONTHLY, Mode.ARREARS, "2026-01-01", "2026-02-28", ("2026-01-01", "2026-02-01")),
        (MONTHLY, Mode.ARREARS, "2026-01-01", "2026-01-31", None),
        # The 31st: cut to the month, and back again.
        (MONTHLY, Mode.ARREARS, "2026-01-31", "2026-02-28", ("2026-01-31", "2026-02-28")),
        (MONTHLY, Mode.ARREARS, "2026-01-31", "2026-03-31", ("2026-02-28", "2026-03-31")),
        (YEARLY, Mode.ARREARS, "2024-02-29", "2025-02-28", ("2024-02-29", "2025-02-28")),
        # In advance: the period around the day, from its first.
        (MONTHLY, Mode.ADVANCE, "2026-01-31", "2026-02-27", ("2026-01-31", "2026-02-28")),
        (MONTHLY, Mode.ADVANCE, "2026-01-31", "2026-02-28", ("2026-02-28", "2026-03-31")),
        (MONTHLY, Mode.ADVANCE, "2026-01-31", "2026-01-30", None),
        (WEEKLY, Mode.ADVANCE, "2026-01-05", "2026-01-11", ("2026-01-05", "2026-01-12")),
    ],
)
def test_the_period_that_is_due(cycle, mode, starts_on, on, wanted):
    start = date.fromisoformat(starts_on)
    found = rules.due(
        Billing(Cycle(start, cycle), mode, Basis.ACTUAL), start, date.fromisoformat(on)
    )
    assert (found and (str(found.from_on), str(found.to_on))) == wanted


def test_in_advance_a_broken_first_period_is_due_when_the_contract_begins():
    advance = CALENDAR._replace(mode=Mode.ADVANCE)
    first, on = date(2026, 1, 20), date(2026, 1, 25)
    assert rules.due(advance, first, on) == Due(date(2026, 1, 1), date(2026, 2, 1), first)


# Tax

SUMS = st.lists(
    st.builds(
        Sum,
        st.sampled_from(Component),
        st.sampled_from(VatMode),
        st.decimals(0, 100, places=2) | st.sampled_from([Decimal(9), Decimal(13)]),
        st.integers(-(10**15), 10**15),
    ),
    max_size=6,
    unique_by=lambda one: one[:3],
)


@given(SUMS)
def test_vat_is_worked_out_once_per_rate_and_mode_and_the_document_adds_up(sums):
    statement = total(sums)
    by_rate: dict[Decimal, tuple[int, int]] = {}
    for mode in VatMode:
        for percent in {one.vat_percent for one in sums}:
            amount = sum(one.amount for one in sums if one[1:3] == (mode, percent))
            net, vat = by_rate.get(percent, (0, 0))
            if mode is VatMode.EXCLUSIVE:
                more = half_up(amount * Fraction(percent) / 100)
                by_rate[percent] = net + amount, vat + more
            else:
                within = half_up(amount * Fraction(percent) / (100 + Fraction(percent)))
                by_rate[percent] = net + amount - within, vat + within
    found = {rate: (part.net_amount, part.vat_amount) for rate, part in statement.by_rate.items()}
    assert found == by_rate
    whole = statement.whole
    assert whole.net_amount == sum(net for net, _ in by_rate.values())
    assert whole.vat_amount == sum(vat for _, vat in by_rate.values())
    assert sum(statement.net_by_account.values()) == whole.net_amount


@given(SUMS)
def test_an_account_gets_what_its_components_come_to_without_vat(sums):
    found = total(sums).net_by_account
    assert found.keys() == {ACCOUNTS[one.kind] for one in sums}
    for account, net in found.items():
        exact = Fraction(0)
        for one in sums:
            if ACCOUNTS[one.kind] == account:
                inclusive = one.vat_mode is VatMode.INCLUSIVE
                percent = Fraction(one.vat_percent)
                exact += Fraction(one.amount) / (1 + percent / 100 if inclusive else 1)
        of_account = [one for one in sums if ACCOUNTS[one.kind] == account]
        rounded = sum(one.vat_mode is VatMode.INCLUSIVE for one in of_account)
        assert abs(net - exact) <= rounded


@given(SUMS)
def test_a_document_that_takes_everything_back_mirrors_the_one_that_charged_it(sums):
    charged = total(sums)
    taken_back = total(one._replace(amount=-one.amount) for one in sums)
    assert {name: -value for name, value in asdict(charged.whole).items()} == asdict(
        taken_back.whole
    )
    assert {name: -value for name, value in charged.net_by_account.items()} == (
        taken_back.net_by_account
    )


@given(st.integers(-(10**15), 10**15), st.decimals(0, 100, places=2))
def test_the_vat_in_a_gross_amount_is_the_vat_on_its_net_amount_to_a_unit(gross, percent):
    vat = vat_of(gross, VatMode.INCLUSIVE, percent)
    assert abs(vat - vat_of(gross - vat, VatMode.EXCLUSIVE, percent)) <= 1
