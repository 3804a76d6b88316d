"""Income of leases over their terms: what was earned is what was owed, whatever changed."""

import json
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leasing.accounting import classification, rules
from leasing.accounting.model import Basis, Finance, LeaseLine, Plan, Stretch, Values
from leasing.kit.money import half_up
from leasing.kit.time import add_months, month_of
from schemas.accounting import LeaseClass, LeaseClassificationCreate

START = date(2026, 1, 1)
PERCENTS = st.sampled_from([None, Decimal(13), Decimal(6)])


def basis(*rents: int, from_on: date = START, months: int = 3, vat: Decimal | None = None) -> Basis:
    """Rents of so many months each, one after the other."""
    days = [add_months(from_on, months * i) for i in range(len(rents) + 1)]
    return rules.joined(
        Stretch(a, b, rent, vat) for a, b, rent in zip(days, days[1:], rents, strict=False)
    )


def line(owes: Basis, **changes: object) -> LeaseLine:
    made = LeaseLine(
        line_id=UUID(int=1),
        rated_capacity_mah=100_000,
        basis=owes,
        agreed_on=START - timedelta(days=1),
        ended_on=None,
        end_reason=None,
        timing="arrears",
        billed_amount=0,
        billed_to=None,
        lease_class=LeaseClass.OPERATING,
        values=None,
        plans=(),
    )
    return msgspec.structs.replace(made, **changes)


def planned(one: LeaseLine, to_on: date) -> LeaseLine:
    plan = rules.planned(one, to_on)
    return one if plan is None else msgspec.structs.replace(one, plans=(*one.plans, plan))


def billed(one: LeaseLine, to_on: date) -> LeaseLine:
    """The line with all invoices issued before a day: each month's on the first of the next."""
    last = to_on - timedelta(days=1)
    until = month_of(last)[0]
    months = rules.by_month(one.basis, one.basis[0].from_on) if one.basis else ()
    past = [month for month in months if month.to_on <= until]
    return msgspec.structs.replace(
        one,
        billed_amount=sum(month.amount for month in past),
        billed_to=past[-1].to_on if past else None,
    )


def month_ends(count: int) -> list[date]:
    return [add_months(START, n) for n in range(1, count + 1)]


def test_rent_free_months_and_steps_earn_the_same_in_every_month():
    owes = basis(0, 10_000, 20_000)
    one = planned(line(owes), month_ends(1)[0])
    earned = [rules.income_to(one.plans, to_on) for to_on in month_ends(9)]
    assert earned == [10_000 * n for n in range(1, 10)]
    at_end_of_march = rules.balances(billed(one, date(2026, 4, 1)), date(2026, 4, 1))
    assert at_end_of_march == {"accrued_rent": 30_000, "revenue_rent": -30_000}


def test_what_is_billed_ahead_is_deferred():
    owes = basis(30_000)
    one = planned(line(owes, billed_amount=90_000), date(2026, 2, 1))
    found = rules.balances(one, date(2026, 2, 1))
    assert found == {"deferred_rent": -60_000, "revenue_rent": 60_000}


def test_a_broken_month_earns_by_its_days():
    owes = basis(31_000, from_on=date(2026, 1, 11), months=2)
    one = planned(line(owes), date(2026, 2, 1))
    # 21 of 31 days, one whole month, 10 of 31 days.
    assert rules.owed(owes) == 21_000 + 31_000 + 10_000
    assert rules.income_to(one.plans, date(2026, 1, 21)) == 10_000
    assert rules.income_to(one.plans, date(2026, 2, 1)) == 21_000
    assert rules.income_to(one.plans, date(2026, 3, 11)) == 62_000


def test_a_change_is_spread_over_what_is_left_from_the_day_it_was_agreed():
    first = planned(line(basis(10_000, 10_000, 10_000, 10_000)), date(2026, 2, 1))
    # In mid-March both sides agree to half of the rent from July on.
    later = basis(10_000, 10_000, 5_000, 5_000)
    changed = msgspec.structs.replace(first, basis=later, agreed_on=date(2026, 3, 16))
    assert planned(changed, date(2026, 3, 1)).plans == first.plans
    second = planned(changed, date(2026, 4, 1))
    assert second.plans[-1].from_on == date(2026, 3, 16)
    assert second.plans[-1].recognised_amount == 20_000 + half_up(Fraction(10_000 * 15, 31))
    assert rules.income_to(second.plans, date(2026, 3, 16)) == 24_839
    # 90,000 in all, so 65,161 over nine months and 16 days of 31.
    whole_month = rules.income_to(second.plans, date(2026, 6, 1)) - rules.income_to(
        second.plans, date(2026, 5, 1)
    )
    assert whole_month - int(Fraction(65_161) / (9 + Fraction(16, 31))) in (0, 1)
    assert rules.income_to(second.plans, date(2027, 1, 1)) == 90_000


def test_a_change_of_days_past_takes_effect_on_its_day():
    first = planned(line(basis(10_000, 10_000)), date(2026, 2, 1))
    dearer = basis(10_000, 16_000)
    changed = msgspec.structs.replace(first, basis=dearer, agreed_on=date(2026, 5, 20))
    second = planned(changed, date(2026, 6, 1))
    assert second.plans[-1].from_on == date(2026, 4, 1)
    assert rules.income_to(second.plans, date(2026, 6, 1)) == 62_000


def test_a_lease_that_ends_early_earns_the_rest_at_once():
    whole = planned(line(basis(0, 10_000, 10_000, 10_000)), date(2026, 2, 1))
    cut = basis(0, 10_000)
    ended = msgspec.structs.replace(
        whole, basis=cut, ended_on=date(2026, 7, 1), end_reason="returned"
    )
    assert rules.income_to(planned(ended, date(2026, 6, 1)).plans, date(2026, 6, 1)) == 37_500
    over = planned(ended, date(2026, 7, 1))
    assert rules.income_to(over.plans, date(2026, 7, 1)) == 30_000
    last = billed(over, date(2026, 8, 1))
    assert rules.finished(last, date(2026, 8, 1))
    assert not any(rules.balances(last, date(2026, 8, 1)).values())


RENTS = st.lists(st.integers(0, 10**7), min_size=1, max_size=5)


@given(
    st.lists(st.tuples(RENTS, st.integers(1, 400), st.integers(0, 500)), min_size=1, max_size=4),
    PERCENTS,
    st.integers(0, 40),
)
def test_over_the_whole_term_income_is_what_was_owed_whatever_was_agreed(changes, vat, first):
    """Contracts that change again and again, backwards and forwards."""
    begins_on = START + timedelta(days=first)
    one = line(basis(*changes[0][0], from_on=begins_on, vat=vat))
    for i, (rents, months, agreed_after) in enumerate(changes):
        to_on = add_months(START, 2 + i * 2 + months % 3)
        one = msgspec.structs.replace(
            one,
            basis=basis(*rents, from_on=begins_on, vat=vat),
            agreed_on=START + timedelta(days=agreed_after),
        )
        one = planned(one, to_on)
        assert sum(rules.balances(one, to_on).values()) == 0
    last_day = max(one.basis[-1].to_on, START + timedelta(days=1_000))
    to_on = add_months(month_of(last_day)[1], 2)
    ended = msgspec.structs.replace(one, ended_on=one.basis[-1].to_on, end_reason="returned")
    over = billed(planned(ended, to_on), to_on)
    assert rules.income_to(over.plans, to_on) == rules.owed(over.basis) == over.billed_amount
    assert not any(rules.balances(over, to_on).values())


@given(RENTS, PERCENTS, st.integers(0, 40), st.integers(1, 40))
def test_months_follow_each_other_without_loss(rents, vat, first, months):
    """Income by months is what a plan earns in all, each day counted once."""
    owes = basis(*rents, from_on=START + timedelta(days=first), vat=vat)
    plans = (Plan(owes[0].from_on, START, owes, 0),)
    rows = list(rules.schedule(plans))
    assert sum(row.income for row in rows) == sum(row.rent for row in rows) == rules.owed(owes)
    assert rows[-1].balance == 0
    days = [owes[0].from_on + timedelta(days=n * months) for n in range(20)]
    earned = [rules.income_to(plans, on) for on in days]
    assert earned == sorted(earned)


# Finance leases


VALUES = Values(
    fair_value_amount=300_000,
    carrying_amount=280_000,
    initial_direct_costs_amount=5_000,
    end_amount=40_000,
    annual_rate_percent=None,
)


def invested(owes: Basis, values: Values = VALUES, timing: str = "arrears") -> LeaseLine:
    return line(owes, lease_class=LeaseClass.FINANCE, values=values, timing=timing)


@pytest.mark.parametrize("timing", ["arrears", "advance"])
@pytest.mark.parametrize("from_on", [START, date(2026, 1, 11)])
def test_a_net_investment_bears_one_rate_and_ends_at_its_residual_value(timing, from_on):
    owes = basis(31_000, months=12, from_on=from_on)
    one = planned(invested(owes, timing=timing), date(2026, 2, 1))
    rows = list(rules.schedule(one.plans))
    assert rows[-1].balance == 40_000
    assert sum(row.income for row in rows) == rules.owed(owes) + 40_000 - 305_000
    before, rate = 305_000, Fraction(one.plans[0].finance.rate)
    for row, month in zip(rows, rules.by_month(owes, from_on), strict=True):
        bearing = before - (row.rent if timing == "advance" else 0)
        # The last month takes what rounding left.
        assert abs(row.income - bearing * rate * month.elapsed) <= (12 if row is rows[-1] else 1)
        before = row.balance


def test_commencement_takes_the_asset_off_the_books_and_shows_the_gain():
    one = planned(invested(basis(31_000, months=12)), date(2026, 2, 1))
    interest = rules.income_to(one.plans, date(2026, 2, 1))
    assert rules.balances(one, date(2026, 2, 1)) == {
        "net_investment": 305_000 + interest,
        "lease_asset": -285_000,
        "gain_on_lease": -20_000,
        "finance_income": -interest,
        "revenue_rent": 0,
    }


def test_rent_reduces_the_investment_and_is_no_revenue():
    one = planned(invested(basis(31_000, months=12)), date(2026, 2, 1))
    paid = billed(one, date(2026, 3, 1))
    found = rules.balances(paid, date(2026, 3, 1))
    assert found["revenue_rent"] == 31_000
    assert found["net_investment"] == 305_000 - 31_000 - found["finance_income"]


def test_a_rate_that_is_given_discounts_what_is_paid():
    given_rate = msgspec.structs.replace(VALUES, annual_rate_percent=Decimal(12), end_amount=0)
    one = planned(invested(basis(10_000, months=6), given_rate), date(2026, 2, 1))
    # The annuity factor of six periods at 1 % is 5.795476.
    assert one.plans[0].finance.principal_amount == 57_955


@given(
    st.integers(1, 10**6),
    st.integers(1, 10**6),
    st.integers(0, 10**6),
    st.integers(0, 40),
    st.integers(2, 20),
)
def test_a_net_investment_measured_anew_still_ends_at_its_residual_value(
    rent, later_rent, end_amount, first, agreed_in
):
    begins_on = START + timedelta(days=first)
    fair = max(1, rent * 20 + end_amount - rent)
    values = Values(fair, fair, 0, end_amount, None)
    one = planned(invested(basis(rent, rent, months=12, from_on=begins_on), values), begins_on)
    one = planned(one, month_of(begins_on)[1])
    agreed_on = add_months(START, agreed_in) + timedelta(days=9)
    changed = msgspec.structs.replace(
        one, basis=basis(rent, later_rent, months=12, from_on=begins_on), agreed_on=agreed_on
    )
    to_on = add_months(month_of(begins_on)[1], 26)
    over = billed(planned(changed, to_on), to_on)
    found = rules.balances(over, to_on)
    assert sum(found.values()) == 0
    assert found["net_investment"] == end_amount
    ended = msgspec.structs.replace(over, ended_on=over.basis[-1].to_on, end_reason="returned")
    back = rules.balances(ended, to_on)
    assert back["net_investment"] == 0
    assert back["lease_asset"] == found["lease_asset"] + end_amount
    assert sum(back.values()) == 0


def test_a_change_measures_the_investment_anew_at_its_old_rate():
    zero = msgspec.structs.replace(VALUES, annual_rate_percent=Decimal(0), end_amount=0)
    one = planned(invested(basis(10_000, 10_000), zero), date(2026, 2, 1))
    assert one.plans[0].finance.principal_amount == 60_000
    changed = msgspec.structs.replace(one, basis=basis(10_000, 13_000), agreed_on=date(2026, 3, 20))
    again = planned(changed, date(2026, 4, 1))
    assert again.plans[-1].from_on == date(2026, 3, 1)
    finance = again.plans[-1].finance
    assert (finance.principal_amount, finance.remeasured_amount) == (49_000, 9_000)
    found = rules.balances(billed(again, date(2026, 4, 1)), date(2026, 4, 1))
    assert found["gain_on_lease"] == -(60_000 - 285_000) - 9_000
    assert found["net_investment"] == 69_000 - 20_000


@pytest.mark.parametrize(
    ("reason", "account"), [("returned", "lease_asset"), ("lost", "gain_on_lease")]
)
def test_what_is_left_of_an_investment_that_ends_early_goes_where_the_pack_goes(reason, account):
    one = planned(invested(basis(31_000, months=12)), date(2026, 2, 1))
    cut = msgspec.structs.replace(
        one, basis=basis(31_000, months=5), ended_on=date(2026, 6, 1), end_reason=reason
    )
    june, july = date(2026, 6, 1), date(2026, 7, 1)
    open_still = rules.balances(planned(billed(cut, june), june), june)
    over = rules.balances(planned(billed(cut, july), july), july)
    assert over["net_investment"] == 0
    assert over["finance_income"] == open_still["finance_income"]
    rest = open_still["net_investment"] - 31_000
    assert over[account] == open_still[account] + rest
    assert sum(over.values()) == 0


def test_a_lease_that_ended_before_the_books_knew_it_was_never_an_investment():
    made = invested(basis(31_000, months=12))
    # It went back in March; the books of the months before were not written until April.
    ended = msgspec.structs.replace(
        made, basis=basis(31_000, months=2), ended_on=date(2026, 3, 1), end_reason="returned"
    )
    late = planned(billed(ended, date(2026, 5, 1)), date(2026, 5, 1))
    assert late.plans[-1].finance is None
    assert {name for name, sum_ in rules.balances(late, date(2026, 5, 1)).items() if sum_} == set()
    # One that goes on is one, although it is written late as well.
    assert planned(made, date(2026, 5, 1)).plans[-1].finance is not None


def test_the_reference_case_of_cas_21_is_amortised_as_it_says(shared: Path):
    cases = json.loads((shared / "data/billing/reference_cases.json").read_text("utf-8"))["cases"]
    (case,) = [one for one in cases if one["id"] == "cas21-finance-lease-interest"]
    given_, expected = case["inputs"], case["expected"]
    payment = int(given_["payment"])
    period = rules.Month(START, add_months(START, 1), payment, 31, 31)
    principal = int(given_["principal"])
    finance = Finance(
        principal_amount=principal,
        rate=Decimal(given_["rate_percent"]) / 100,
        residual_amount=int(given_["unguaranteed_or_purchase_value"]),
        timing=given_["timing"],
        commenced_amount=principal,
        asset_amount=principal,
        remeasured_amount=0,
    )
    rows = rules.amortised(finance, [period] * given_["n"])
    assert [str(row.interest) for row in rows] == expected["interest"]
    assert str(sum(row.interest for row in rows)) == expected["total_interest"]
    assert rows[-1].balance == finance.residual_amount


# Classification


def values(**changes: object) -> LeaseClassificationCreate:
    made = LeaseClassificationCreate(fair_value_amount=500_000, remaining_life_months=48)
    return msgspec.structs.replace(made, **{"annual_rate_percent": "6", **changes})


def proposed(data: LeaseClassificationCreate, owes: Basis | None = None) -> classification.Proposal:
    end = data.guaranteed_residual_amount + data.unguaranteed_residual_amount
    if data.purchase_option_certain:
        end = data.purchase_option_amount or 0
    return classification.propose(owes or basis(31_000, months=12), "arrears", end, data)


def met(proposal: classification.Proposal) -> set[str]:
    return {str(test.test) for test in proposal.tests if test.met}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, set()),
        ({"ownership_transfers": True}, {"ownership_transfers"}),
        ({"specialised": True}, {"asset_is_specialised"}),
        # 12 of 16 months are exactly 75 %.
        ({"remaining_life_months": 16}, {"term_is_major_part_of_life"}),
        ({"remaining_life_months": 17}, set()),
        # What the rents are worth at 6 % is 360,187: 90 % of 400,207.78.
        ({"fair_value_amount": 400_207}, {"payments_are_substantially_all_of_value"}),
        ({"fair_value_amount": 400_208}, set()),
        # A residual that somebody guarantees is a payment, another is none.
        (
            {"fair_value_amount": 420_000, "guaranteed_residual_amount": 30_000},
            {"payments_are_substantially_all_of_value"},
        ),
        ({"fair_value_amount": 420_000, "unguaranteed_residual_amount": 30_000}, set()),
        (
            {
                "fair_value_amount": 420_000,
                "purchase_option_amount": 30_000,
                "purchase_option_certain": True,
            },
            {"purchase_option_certain", "payments_are_substantially_all_of_value"},
        ),
    ],
)
def test_a_lease_is_classified_by_its_situations(changes, expected):
    proposal = proposed(values(**changes))
    assert met(proposal) == expected
    assert (proposal.lease_class is LeaseClass.FINANCE) == bool(expected)


def test_without_a_rate_the_one_implicit_in_the_lease_is_taken():
    data = values(
        fair_value_amount=400_000, annual_rate_percent=None, unguaranteed_residual_amount=50_000
    )
    proposal = proposed(data)
    # By the implicit rate everything that comes back is worth what was given.
    months = rules.by_month(basis(31_000, months=12), START)
    rates = rules.rates(proposal.monthly_rate, months)
    residual = Fraction(50_000)
    for rate in rates:
        residual /= 1 + rate
    assert abs(proposal.payments_value_amount + residual - 400_000) < 1
