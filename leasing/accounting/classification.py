"""What a lease is to the lessor: an asset it keeps, or an investment it made (IFRS 16.61-66).

The situations are those of 16.63; the shares of 75 % and 90 % are practice and the application
guidance of CAS 21 (recalled, to be checked by a person). They propose; a person decides.
"""

from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from leasing.accounting.model import Basis
from leasing.accounting.rules import by_month, rates
from leasing.kit.money import half_up
from leasing.pricing.amortisation import Timing, implied_rate, periodic_rate, present_value
from schemas.accounting import LeaseClass, LeaseClassificationCreate, LeaseTest, LeaseTestView


class Proposal(NamedTuple):
    tests: list[LeaseTestView]
    monthly_rate: Decimal
    payments_value_amount: int
    lease_class: LeaseClass


def propose(
    basis: Basis, timing: Timing, end_amount: int, data: LeaseClassificationCreate
) -> Proposal:
    """Judge a line by what it pays. Raises `ValueError` when no rate makes what it pays worth its
    fair value."""
    months = by_month(basis, basis[0].from_on)
    payments = [month.amount for month in months]
    if data.annual_rate_percent is None:
        rate = implied_rate(
            data.fair_value_amount + data.initial_direct_costs_amount,
            payments,
            timing,
            end_amount,
            [month.elapsed for month in months],
        )
    else:
        yearly = periodic_rate(Decimal(data.annual_rate_percent), 12)
        rate = Decimal(half_up(yearly * 10**12)).scaleb(-12)
    # What nobody guarantees is no lease payment (16.70).
    unguaranteed = 0 if data.purchase_option_certain else data.unguaranteed_residual_amount
    worth = half_up(present_value(payments, rates(rate, months), timing, end_amount - unguaranteed))
    term = sum((month.elapsed for month in months), Fraction(0))
    tests = [
        said(LeaseTest.OWNERSHIP, data.ownership_transfers),
        said(LeaseTest.OPTION, data.purchase_option_certain),
        share(LeaseTest.TERM, term / data.remaining_life_months, data.term_threshold_percent),
        share(
            LeaseTest.VALUE, Fraction(worth, data.fair_value_amount), data.value_threshold_percent
        ),
        said(LeaseTest.SPECIALISED, data.specialised),
    ]
    met = any(test.met for test in tests)
    return Proposal(tests, rate, worth, LeaseClass.FINANCE if met else LeaseClass.OPERATING)


def said(test: LeaseTest, met: bool) -> LeaseTestView:
    return LeaseTestView(test=test, percent=None, threshold_percent=None, met=met)


def share(test: LeaseTest, found: Fraction, threshold_percent: str) -> LeaseTestView:
    """A test of a share, judged exactly and shown with two decimals."""
    return LeaseTestView(
        test=test,
        percent=str(Decimal(half_up(found * 10_000)).scaleb(-2)),
        threshold_percent=threshold_percent,
        met=found * 100 >= Fraction(Decimal(threshold_percent)),
    )
