"""What components of a price plan come to: by hand, by reference, and whatever the facts are."""

import doctest
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leasing.pricing import plan_model, plan_prices, plans
from leasing.pricing.periods import MONTHLY, QUARTERLY, Cycle, Frequency, Period, Unit
from leasing.pricing.plan_prices import rate
from leasing.pricing.plans import (
    Capacity,
    Facts,
    MissingFact,
    Outage,
    Priced,
    Reading,
    Stay,
    Tenancy,
    evaluate,
)
from leasing.pricing.proration import Basis
from schemas.tariffs import Component, Measure, OutageCause, UsePricing
from tests.pricing.reference_cases import Case, cases_of

JUNE = Period(date(2026, 6, 1), date(2026, 7, 1))
MONTHS = Cycle(date(2026, 1, 1), MONTHLY)
A, B = UUID(int=1), UUID(int=2)
HERE, THERE = UUID(int=11), UUID(int=12)
ZONE = "UTC"


def components(*raw: dict[str, object]) -> list[Component]:
    return msgspec.convert(list(raw), list[Component])


def june(day: int) -> date:
    return JUNE.from_on + timedelta(days=day - 1)


def stay(first: int, last: int, pack: UUID = A, site: UUID = HERE, rated_wh: int = 5_120) -> Stay:
    """Days of June, the last one not among them."""
    return Stay(june(first), june(last), pack, site, rated_wh)


WHOLE = [stay(1, 31)]


def at(day: int, hour: int = 0, month: int = 6) -> datetime:
    return datetime(2026, month, day, hour, tzinfo=UTC)


def price(
    raw: list[dict[str, object]],
    stays: list[Stay] = WHOLE,
    facts: Facts | None = None,
    rent_amount: int = 0,
    period: Period = JUNE,
    cycle: Cycle = MONTHS,
    basis: Basis = Basis.ACTUAL,
) -> list[Priced]:
    known = facts or Facts()
    if known.time_zone is None:
        known = replace(known, time_zone=ZONE)
    rows = evaluate(
        components(*raw),
        stays,
        known,
        cycle=cycle,
        period=period,
        basis=basis,
        rent_amount=rent_amount,
    )
    assert all(json.loads(json.dumps(row.detail)) == row.detail for row in rows)
    return rows


def seen(rows: list[Priced]) -> list[tuple[str, int, int, int]]:
    """Code, first and last day in June (exclusive), amount."""
    return [
        (
            row.component,
            (row.from_on - JUNE.from_on).days + 1,
            (row.to_on - JUNE.from_on).days + 1,
            row.amount,
        )
        for row in rows
    ]


def test_the_examples_in_the_text_are_true():
    for module, count in ((plans, 8), (plan_prices, 3), (plan_model, 1)):
        assert doctest.testmod(module).failed == 0
        assert doctest.testmod(module).attempted >= count


# By time

SERVICE = {"kind": "service", "code": "care", "amount": 31_000}


def test_a_service_is_charged_for_the_days_of_each_pack():
    # 31,000 × 20/30 = 20,666.67, rounded once; 10 days each, the odd fen to the first.
    rows = price([SERVICE], [stay(11, 21), stay(21, 31, B)])
    assert seen(rows) == [("care", 11, 21, 10_334), ("care", 21, 31, 10_333)]
    assert [row.pack_id for row in rows] == [A, B]
    assert rows[0].price_amount == 31_000
    assert (rows[0].quantity, rows[0].unit_price) == (1, 31_000)
    assert rows[0].detail == {
        "price": 31_000,
        "days": 10,
        "of": [{"from_on": "2026-06-11", "to_on": "2026-07-01", "days": 20, "of_days": 30}],
        "together_amount": 20_667,
        "together_days": 20,
    }


def test_a_quarter_is_charged_by_its_own_cycle_or_by_months():
    quarter = Period(date(2026, 4, 1), date(2026, 7, 1))
    line = [Stay(date(2026, 5, 16), date(2026, 7, 1), A, HERE, 1)]
    quarters = Cycle(date(2026, 1, 1), QUARTERLY)
    (row,) = price([SERVICE], line, period=quarter, cycle=quarters)
    assert (row.price_amount, row.amount) == (31_000, 15_670)  # × 46/91
    (row,) = price([SERVICE], line, period=quarter)
    assert (row.price_amount, row.amount) == (93_000, 47_000)  # × 16/31 and a month


def test_days_are_counted_as_the_contract_says():
    amounts = {basis: price([SERVICE], [stay(1, 2)], basis=basis)[0].amount for basis in Basis}
    assert amounts == dict.fromkeys(Basis, 1_033)
    february = Period(date(2026, 2, 1), date(2026, 3, 1))
    half = [Stay(date(2026, 2, 1), date(2026, 2, 15), A, HERE, 1)]
    assert price([SERVICE], half, period=february)[0].amount == 15_500
    assert price([SERVICE], half, period=february, basis=Basis.THIRTY_360)[0].amount == 14_467


def test_tax_changes_on_its_day():
    taxed = {
        **SERVICE,
        "vat_percent": "6",
        "vat_changes": [{"from_on": "2026-06-16", "percent": "5"}],
    }
    rows = price([taxed])
    assert seen(rows) == [("care", 1, 16, 15_500), ("care", 16, 31, 15_500)]
    assert [row.vat_percent for row in rows] == [6, 5]
    assert price([SERVICE])[0].vat_percent is None


BANDS = [
    {"from_percent": "0", "unit_price": "2000"},
    {"from_percent": "80", "unit_price": "2500"},
]
CAPACITY = {"kind": "capacity", "code": "kwh", "basis": "tested", "bands": BANDS}
T1 = Capacity(UUID(int=21), date(2026, 1, 1), 5_000)
T2 = Capacity(UUID(int=22), june(16), 4_000)


def test_a_test_re_prices_the_pack_from_its_own_day():
    # 5.0 kWh × 25.00 for 15 days of 30, then 4.0 kWh (78 %) × 20.00.
    rows = price([CAPACITY], facts=Facts(tests={A: [T2, T1]}))
    assert seen(rows) == [("kwh", 1, 16, 6_250), ("kwh", 16, 31, 4_000)]
    assert [(row.quantity, row.unit_price, row.price_amount) for row in rows] == [
        (Decimal(5), 2_500, 12_500),
        (Decimal(4), 2_000, 8_000),
    ]
    assert rows[1].detail["test_id"] == str(T2.id)
    assert rows[1].detail["health_percent"] == "78.125"
    assert rows[1].detail["band_from_percent"] == "0"


def test_a_test_that_changes_no_price_cuts_no_row():
    rated = {**CAPACITY, "basis": "rated"}
    again = T2._replace(usable_wh=4_200)
    (row,) = price([rated], facts=Facts(tests={A: [T1, again]}))
    assert (row.quantity, row.amount) == (Decimal("5.12"), 12_800)
    assert row.detail["test_id"] == str(T1.id)
    # 80 % of 5,120 is 4,096: a watt-hour less is another band.
    below = T1._replace(usable_wh=4_095)
    assert price([rated], facts=Facts(tests={A: [below]}))[0].amount == 10_240


def test_of_two_tests_on_a_day_the_later_one_holds():
    later = T2._replace(id=UUID(int=23), usable_wh=5_100)
    rows = price([CAPACITY], facts=Facts(tests={A: [T1, later, T2]}))
    assert [row.detail["usable_wh"] for row in rows] == ["5000", "5100"]


def test_a_pack_that_was_never_tested_holds_the_line_back():
    with pytest.raises(MissingFact, match="was not tested by 2026-06-01"):
        price([CAPACITY], facts=Facts(tests={A: [T2]}))


# By use


def throughput(**pricing: object) -> dict[str, object]:
    return {"kind": "throughput", "code": "use", "pricing": pricing}


def register(
    *rows: tuple[datetime, int], pack: UUID = A, measure: Measure = Measure.THROUGHPUT_WH
) -> dict[tuple[UUID, Measure], list[Reading]]:
    return {
        (pack, measure): [
            Reading(UUID(int=100 * pack.int + i), when, value)
            for i, (when, value) in enumerate(rows)
        ]
    }


def month_of(units: int, pack: UUID = A, measure: Measure = Measure.THROUGHPUT_WH) -> Facts:
    return Facts(
        readings=register((at(1), 500), (at(1, month=7), 500 + units), pack=pack, measure=measure)
    )


SWAPPED = Facts(
    readings=register((at(1), 1_000), (at(16), 61_000), (at(1, month=7), 90_000))
    | register((at(1), 5_000), (at(16), 7_000), (at(1, month=7), 47_000), pack=B)
)
SWAP = [stay(1, 16), stay(16, 31, B, THERE)]


def test_a_swap_sums_registers_and_keeps_the_tiers():
    # 60 kWh of one and 40 of the other: 50 × 10 + 50 × 8 = 900, by 60 to 40. What ran through the
    # packs on the other's days is nobody's here.
    tiers = [{"up_to": "50", "unit_price": "10"}, {"unit_price": "8"}]
    rows = price([throughput(model="graduated", tiers=tiers)], SWAP, SWAPPED)
    assert seen(rows) == [("use", 1, 16, 540), ("use", 16, 31, 360)]
    assert [(row.pack_id, row.site_id, row.quantity) for row in rows] == [
        (A, HERE, Decimal(60)),
        (B, THERE, Decimal(40)),
    ]
    detail = rows[1].detail
    assert detail["together_quantity"] == "100"
    assert detail["together_amount"] == 900
    assert [(part["quantity"], part["amount"]) for part in detail["tiers"]] == [
        ("50", "500"),
        ("50", "400"),
    ]
    assert detail["register"]["from"]["register"] == 7_000
    assert detail["register"]["to"]["readings"][0]["value"] == 47_000
    assert detail["register"]["quality"] == "measured"


def test_a_pack_that_only_moves_has_one_row_of_use():
    moved = [stay(1, 16), stay(16, 31, A, THERE)]
    (row,) = price([throughput(model="per_unit", unit_price="8.5")], moved, SWAPPED)
    assert (row.quantity, row.unit_price, row.amount) == (Decimal(89), Decimal("8.5"), 757)


def test_a_pack_that_was_away_pays_for_no_use_elsewhere():
    facts = Facts(
        readings=register((at(1), 0), (at(11), 10_000), (at(21), 90_000), (at(1, month=7), 95_000))
    )
    rows = price(
        [throughput(model="per_unit", unit_price="1")],
        [stay(1, 11), stay(21, 31)],
        facts,
    )
    assert [row.quantity for row in rows] == [10, 5]


def test_use_is_taxed_at_the_rate_of_its_last_day():
    taxed = {
        **throughput(model="per_unit", unit_price="1"),
        "vat_percent": "13",
        "vat_changes": [{"from_on": "2026-06-30", "percent": "9"}],
    }
    assert price([taxed])[0].vat_percent == 9
    assert price([taxed], [stay(1, 30)])[0].vat_percent == 13


def test_full_cycles_are_by_rated_energy():
    cycles = {
        "kind": "cycles",
        "code": "use",
        "pricing": {"model": "per_unit", "unit_price": "100"},
    }
    (row,) = price([cycles], facts=month_of(128_000))
    assert (row.quantity, row.amount) == (Decimal(25), 2_500)
    assert row.detail["rated_wh"] == "5120"
    # Packs of different size: 60 kWh ÷ 5.12 and 40 ÷ 10.24 are 15.625 cycles.
    rows = price([cycles], [SWAP[0], stay(16, 31, B, rated_wh=10_240)], SWAPPED)
    assert [row.amount for row in rows] == [1_172, 391]
    assert rows[0].detail["together_amount"] == 1_563


def test_kilometres_come_in_packages():
    distance = {
        "kind": "distance",
        "code": "use",
        "pricing": {"model": "package", "size": "10", "price": "100", "free_units": "10"},
    }
    (row,) = price([distance], facts=month_of(121_000, measure=Measure.DISTANCE_M))
    assert (row.quantity, row.amount) == (Decimal(121), 1_200)
    assert row.detail["tiers"][0]["packages"] == 12
    # Energy is not distance.
    assert price([distance], facts=month_of(121_000))[0].amount == 0


def test_a_volume_has_the_price_of_the_tier_it_reaches():
    tiers = [{"up_to": "15", "unit_price": "10"}, {"unit_price": "5", "flat_fee": "3"}]
    volume = throughput(model="volume", tiers=tiers)
    assert price([volume], facts=month_of(15_000))[0].amount == 150
    assert price([volume], facts=month_of(16_000))[0].amount == 83


def test_use_that_nobody_read_is_a_row_that_says_so():
    (row,) = price([throughput(model="per_unit", unit_price="8.5")])
    assert (row.quantity, row.amount, row.detail["register"]["quality"]) == (0, 0, "missing")


def test_days_begin_at_midnight_of_the_contract():
    facts = Facts(
        readings=register((at(31, 16, month=5), 0), (at(30, 16), 60_000)), time_zone="Asia/Shanghai"
    )
    (row,) = price([throughput(model="per_unit", unit_price="1")], facts=facts)
    assert row.detail["register"]["quality"] == "measured"
    assert row.quantity == Decimal(60)


# Once


def test_a_one_off_fee_is_owed_when_the_line_starts():
    fee = {"kind": "one_off", "code": "setup", "amount": 8_000, "vat_percent": "6"}
    for started_on, owed in ((june(1), [8_000]), (june(30), [8_000]), (JUNE.to_on, []), (None, [])):
        rows = price([fee], facts=Facts(started_on=started_on))
        assert [row.amount for row in rows] == owed
        assert all(row.pack_id == A and row.from_on == started_on for row in rows)


# On what others come to


def naming(kind: str, *codes: str, **more: object) -> dict[str, object]:
    return {"kind": kind, "code": kind, "codes": list(codes or ["rent"]), **more}


def test_a_minimum_is_topped_up_for_the_days_of_the_line():
    # Lago: 17 of 31 days of January. 1,000 × 17/31 = 548.39, of which 300 came in.
    january = Period(date(2024, 1, 1), date(2024, 2, 1))
    line = [Stay(date(2024, 1, 15), date(2024, 2, 1), A, HERE, 1)]
    least = naming("minimum", amount=1_000)
    (row,) = price([least], line, rent_amount=300, period=january)
    assert row.amount == 248
    assert (row.detail["bound"], row.detail["base"]) == ("17000/31", 300)
    assert row.detail["of"][0]["days"] == 17
    assert price([least], line, rent_amount=549, period=january) == []


def test_a_maximum_takes_off_what_is_above():
    most = naming("maximum", amount=100)
    assert seen(price([most], rent_amount=160)) == [("maximum", 1, 31, -60)]
    assert seen(price([most], [stay(1, 16)], rent_amount=160)) == [("maximum", 1, 16, -110)]
    assert price([most], rent_amount=100) == []


def test_two_components_share_one_bound():
    raw = [SERVICE, naming("minimum", "rent", "care", amount=50_000)]
    rows = price(raw, rent_amount=9_000)
    assert [row.amount for row in rows] == [31_000, 10_000]
    assert rows[1].detail["codes"] == {"rent": 9_000, "care": 31_000}


TIERS = [
    {"below_percent": "99.9", "credit_percent": "5"},
    {"below_percent": "99", "credit_percent": "10"},
    {"below_percent": "95", "credit_percent": "30"},
]


def outages(*rows: tuple[datetime, datetime, OutageCause], site: UUID | None = HERE) -> Facts:
    return Facts(
        outages=[
            Outage(UUID(int=200 + i), first, last, cause, site)
            for i, (first, last, cause) in enumerate(rows)
        ]
    )


def test_minutes_without_service_are_credited_by_tiers():
    # 800 minutes, of which 300 in a storm: 500 of 43,200 is 98.84 %.
    down = outages(
        (at(3), at(3) + timedelta(minutes=500), OutageCause.LESSOR),
        (at(9), at(9) + timedelta(minutes=300), OutageCause.FORCE_MAJEURE),
    )
    sla = naming("availability", tiers=TIERS)
    (row,) = price([sla], facts=down, rent_amount=31_000)
    assert row.amount == -3_100
    assert row.detail["period_minutes"] == 43_200
    assert (row.detail["down_minutes"], row.detail["excused_minutes"]) == (800, 300)
    assert [one["id"] for one in row.detail["outages"]] == [str(UUID(int=200)), str(UUID(int=201))]
    for cap, credit in (({"cap_amount": 2_000}, -2_000), ({"cap_percent": "7"}, -2_170)):
        assert price([{**sla, **cap}], facts=down, rent_amount=31_000)[0].amount == credit
    both = {**sla, "cap_amount": 2_500, "cap_percent": "7"}
    assert price([both], facts=down, rent_amount=31_000)[0].amount == -2_170
    # The customer's own doing, or another site's, or days without the pack.
    assert price([sla], facts=outages((at(3), at(9), OutageCause.CUSTOMER)), rent_amount=9) == []
    elsewhere = outages((at(3), at(9), OutageCause.LESSOR), site=THERE)
    assert price([sla], facts=elsewhere, rent_amount=31_000) == []
    gone = [stay(1, 3), stay(9, 31)]
    assert price([sla], gone, outages((at(3), at(9), OutageCause.LESSOR)), 31_000) == []
    # Of the line itself, wherever it is.
    mine = outages((at(3), at(9), OutageCause.LESSOR), site=None)
    assert price([sla], facts=mine, rent_amount=31_000)[0].amount == -9_300


DISCOUNTS = [{"tenants": 2, "percent": "30"}, {"tenants": 3, "percent": "40"}]
SHARING = naming("sharing", discounts=DISCOUNTS, anchor_percent="5")


def shared(*rows: tuple[date, date | None, int, bool]) -> Facts:
    return Facts(tenancies={HERE: [Tenancy(UUID(int=300 + i), *row) for i, row in enumerate(rows)]})


def test_tenants_who_share_a_site_pay_less_day_by_day():
    two = shared((june(1), None, 2, False))
    assert price([SHARING], facts=two, rent_amount=10_000)[0].amount == -3_000
    anchor = shared((june(1), None, 2, True))
    assert price([SHARING], facts=anchor, rent_amount=10_000)[0].amount == -3_500
    # Ten days alone, then two of 30 % for ten, then three of 40 % for ten: 23 1/3 %.
    moving = shared((june(11), june(21), 2, False), (june(21), None, 4, False))
    (row,) = price([SHARING], facts=moving, rent_amount=10_000)
    assert row.amount == -2_333
    assert row.detail["percent"] == "70/3"
    assert [one["percent"] for one in row.detail["days"]] == ["0", "30", "40"]
    assert [one["tenancy_id"] is None for one in row.detail["days"]] == [True, False, False]
    assert price([SHARING], rent_amount=10_000) == []


REGION = naming(
    "region",
    coefficients=[
        {"adcode_prefix": "41", "coefficient": "1.1"},
        {"adcode_prefix": "4101", "coefficient": "1.2"},
        {"adcode_prefix": "65", "coefficient": "0.9"},
    ],
)


def test_a_region_has_its_coefficient_by_the_longest_prefix():
    for adcode, amount in (("410300", [1_000]), ("410100", [2_000]), ("650100", [-1_000])):
        rows = price([REGION], facts=Facts(adcodes={HERE: adcode}), rent_amount=10_000)
        assert [row.amount for row in rows] == amount
    assert price([REGION], facts=Facts(adcodes={HERE: "110000"}), rent_amount=10_000) == []
    # Half the month here, half there: (1.2 + 0.9) ÷ 2.
    places = Facts(adcodes={HERE: "410100", THERE: "650100"})
    (row,) = price([REGION], [stay(1, 16), stay(16, 31, A, THERE)], places, 10_000)
    assert (row.amount, row.detail["coefficient"]) == (500, "1.05")


def test_each_works_on_what_the_ones_before_have_left():
    facts = Facts(
        adcodes={HERE: "410100"},
        tenancies=shared((june(1), None, 2, False)).tenancies,
        outages=outages((at(3), at(9), OutageCause.LESSOR)).outages,
    )
    raw = [
        naming("availability", tiers=[{"below_percent": "99", "credit_percent": "10"}]),
        naming("minimum", amount=9_000),
        naming("maximum", amount=8_000),
        SHARING,
        REGION,
    ]
    rows = {row.component: row.amount for row in price(raw, facts=facts, rent_amount=10_000)}
    # 10,000 × 1.2, less 30 %, at most 8,000; 1,000 short of 9,000; a tenth of 8,000 back.
    assert rows == {
        "availability": -800,
        "minimum": 1_000,
        "maximum": -400,
        "sharing": -3_600,
        "region": 2_000,
    }


def test_one_that_names_others_is_taxed_as_they_are():
    raw = [{**SERVICE, "vat_percent": "6"}, naming("maximum", "care", amount=1)]
    assert [row.vat_percent for row in price(raw)] == [6, 6]
    raw[1]["vat_percent"] = "9"
    assert [row.vat_percent for row in price(raw)] == [6, 9]
    assert price([naming("maximum", amount=1)], rent_amount=5)[0].vat_percent is None


def test_a_line_without_a_pack_owes_nothing():
    raw = [SERVICE, CAPACITY, throughput(model="per_unit", unit_price="1"), SHARING, REGION]
    raw += [naming("minimum", amount=9_000), naming("availability", tiers=TIERS)]
    assert price(raw, []) == []


def test_stays_that_cannot_be_are_refused():
    for bad in ([stay(1, 12), stay(11, 20)], [stay(0, 3)], [stay(3, 3)], [stay(20, 32)]):
        with pytest.raises(ValueError, match=r"stand|stay"):
            price([SERVICE], bad)
    with pytest.raises(ValueError, match="credit"):
        price([SERVICE], rent_amount=-1)


# By reference


def suited(kind: str, fits: Callable[[Case], bool]) -> list[Any]:
    """The cases of a kind that a plan has a word for, or the reason why there are none."""
    found = [one for one in cases_of(kind) if not one.values[0] or fits(one.values[0]["inputs"])]
    assert found
    return found


# Blocks are not a model of plans, bounds are components of their own, and periods are rated whole.
TIERED = suited(
    "tiered_amount",
    lambda given: (
        given["model"] in ("graduated", "volume")
        and not {"prior_quantity", "minimum", "maximum"} & set(given)
    ),
)
BY_DAYS = suited("proration_amount", lambda given: given["minor_units"] == 2)


@pytest.mark.parametrize("case", TIERED)
def test_quantities_are_priced_as_others_do(case: Case):
    told = case["inputs"]
    raw = {"model": told["model"], "tiers": told["tiers"]}
    amount, _ = rate(msgspec.convert(raw, UsePricing), Fraction(Decimal(told["quantity"])))
    assert amount == Fraction(Decimal(case["expected"]["amount"]))


@pytest.mark.parametrize("case", BY_DAYS)
def test_days_are_charged_as_others_do(case: Case):
    total = 0
    for segment in case["inputs"]["segments"]:
        from_on, to_on, first, last = (
            date.fromisoformat(segment[name])
            for name in ("period_from", "period_to", "used_from", "used_to")
        )
        period = Period(from_on, to_on)
        care = {**SERVICE, "amount": int(Decimal(segment["amount"]) * 100)}
        cycle = Cycle(from_on, Frequency(Unit.DAY, period.days))
        rows = price([care], [Stay(first, last, A, HERE, 1)], period=period, cycle=cycle)
        total += segment["sign"] * sum(row.amount for row in rows)
    assert (
        total
        == Decimal(
            case["expected"]["total"]
            if "total" in case["expected"]
            else sum(Decimal(line["amount"]) for line in case["expected"]["lines"])
        )
        * 100
    )


# Whatever the facts are

PRICES = st.decimals("0", "500", places=2).map(str)
BOUNDS = st.lists(st.integers(1, 500), unique=True, max_size=4).map(sorted)


@st.composite
def graduated(draw: st.DrawFn) -> dict[str, object]:
    bounds = [str(bound) for bound in draw(BOUNDS)]
    tiers = [{"up_to": bound, "unit_price": draw(PRICES)} for bound in [*bounds, None]]
    return {"model": "graduated", "tiers": tiers}


@given(raw=graduated(), wh=st.integers(0, 600_000))
def test_graduated_prices_have_no_jumps_and_their_tiers_add_up(raw, wh):
    pricing = msgspec.convert(raw, UsePricing)
    amount, parts = rate(pricing, Fraction(wh, 1000))
    assert sum(Fraction(part["amount"]) for part in parts) == amount
    assert sum(Fraction(part["quantity"]) for part in parts) == Fraction(wh, 1000)
    more, _ = rate(pricing, Fraction(wh + 1, 1000))
    assert 0 <= more - amount <= Fraction(1, 2)  # a thousandth of the highest price


@st.composite
def months(draw: st.DrawFn) -> tuple[list[Stay], Facts, int]:
    """Stays in June, everything known about their packs and sites, and a rent."""
    days = sorted(draw(st.sets(st.integers(1, 31), min_size=2, max_size=6)))
    packs, sites = [A, B, UUID(int=3)], [HERE, THERE]
    stays = [
        stay(first, last, draw(st.sampled_from(packs)), draw(st.sampled_from(sites)))
        for first, last in pairwise(days)
        if draw(st.integers(0, 4))
    ]
    hours = st.integers(-200, 1000)
    readings = {
        (pack, Measure.THROUGHPUT_WH): [
            Reading(
                UUID(int=1000 * pack.int + i),
                at(1) + timedelta(hours=hour),
                draw(st.integers(0, 400_000)),
            )
            for i, hour in enumerate(draw(st.sets(hours, max_size=5)))
        ]
        for pack in packs
    }
    tests = {
        pack: [
            T1,
            *(
                Capacity(UUID(int=2000 * pack.int + i), june(day), draw(st.integers(2_000, 5_200)))
                for i, day in enumerate(draw(st.lists(st.integers(1, 30), max_size=3)))
            ),
        ]
        for pack in packs
    }
    outage_list = [
        Outage(
            UUID(int=4000 + i),
            at(1) + timedelta(hours=hour),
            at(1) + timedelta(hours=hour + draw(st.integers(1, 90))),
            draw(st.sampled_from(OutageCause)),
            draw(st.sampled_from([*sites, None])),
        )
        for i, hour in enumerate(draw(st.lists(hours, max_size=4)))
    ]
    change = june(draw(st.integers(2, 30)))
    tenancies = {
        HERE: [
            Tenancy(UUID(int=5000), june(1), change, draw(st.integers(1, 4)), is_anchor=True),
            Tenancy(UUID(int=5001), change, None, draw(st.integers(1, 4)), is_anchor=False),
        ]
    }
    facts = Facts(
        tests=tests,
        readings=readings,
        outages=outage_list,
        tenancies=tenancies,
        adcodes={HERE: "410100", THERE: "650100"},
        started_on=june(draw(st.integers(-3, 33))),
        time_zone=ZONE,
    )
    return stays, facts, draw(st.integers(0, 60_000))


ALL = ["rent", "care", "kwh", "use", "cycles"]
EVERYTHING = [
    naming("availability", *ALL, tiers=TIERS, cap_percent="25"),
    SERVICE,
    CAPACITY,
    throughput(
        model="graduated",
        tiers=[{"up_to": "90", "unit_price": "9.5", "flat_fee": "70"}, {"unit_price": "3.25"}],
    ),
    {
        "kind": "cycles",
        "code": "cycles",
        "pricing": {"model": "package", "size": "7", "price": "99.5"},
    },
    naming("minimum", *ALL, amount=55_000),
    naming("maximum", *ALL, amount=60_000),
    naming("sharing", *ALL, discounts=DISCOUNTS, anchor_percent="5"),
    naming("region", *ALL, coefficients=REGION["coefficients"]),
    {"kind": "one_off", "code": "setup", "amount": 8_000},
]


@given(month=months(), data=st.data())
def test_the_order_of_facts_changes_nothing(month, data):
    stays, facts, rent_amount = month
    rows = price(EVERYTHING, stays, facts, rent_amount)

    def shuffled(values: list) -> list:
        return data.draw(st.permutations(values))

    mixed = replace(
        facts,
        tests={pack: shuffled(rows) for pack, rows in facts.tests.items()},
        readings={key: shuffled(rows) for key, rows in facts.readings.items()},
        outages=shuffled(facts.outages),
        tenancies={site: shuffled(rows) for site, rows in facts.tenancies.items()},
    )
    assert price(EVERYTHING, shuffled(stays), mixed, rent_amount) == rows


@given(month=months(), day=st.integers(2, 30))
def test_how_days_are_cut_up_changes_no_amount(month, day):
    stays, facts, rent_amount = month
    cut = [
        piece
        for one in stays
        for piece in (
            [one._replace(to_on=june(day)), one._replace(from_on=june(day))]
            if one.from_on < june(day) < one.to_on
            else [one]
        )
    ]

    def totals(stays: list[Stay]) -> dict[str, int]:
        found: dict[str, int] = {}
        for row in price(EVERYTHING, stays, facts, rent_amount):
            found[row.component] = found.get(row.component, 0) + row.amount
        return found

    assert totals(cut) == totals(stays)


@given(month=months())
def test_parts_add_up_and_nothing_is_taken_twice(month):
    stays, facts, rent_amount = month
    rows = price(EVERYTHING, stays, facts, rent_amount)
    of = {code: [row for row in rows if row.component == code] for code in ALL}
    days = sum((one.to_on - one.from_on).days for one in stays)
    # A swap costs nothing: the days of a flat price are rounded together.
    assert sum(row.amount for row in of["care"]) == (2 * 31_000 * days + 30) // 60
    for code in ("use", "cycles"):
        for row in of[code]:
            assert row.amount >= 0
            assert row.detail["together_amount"] == sum(one.amount for one in of[code])
            assert row.quantity >= 0
    # Days of one component never overlap: the database forbids it.
    for code in {row.component for row in rows}:
        spans = sorted((row.from_on, row.to_on) for row in rows if row.component == code)
        assert all(one[1] <= other[0] for one, other in pairwise(spans))
    # What is taken off is never more than there was.
    taken = sum(row.amount for row in rows if row.kind not in ("minimum", "one_off"))
    assert taken + rent_amount >= 0


@given(
    base=st.integers(0, 10**7),
    percent=st.decimals("0.01", "99.99", places=2),
    days=st.integers(1, 30),
)
def test_a_discount_mirrors_the_same_on_top(base, percent, days):
    line = [stay(1, days + 1)]
    off = naming("sharing", discounts=[{"tenants": 2, "percent": str(percent)}])
    on_top = naming(
        "region",
        coefficients=[{"adcode_prefix": "41", "coefficient": str(1 + percent / 100)}],
    )
    facts = replace(shared((june(1), None, 2, False)), adcodes={HERE: "410100"})
    less = price([off], line, facts, base)
    more = price([on_top], line, facts, base)
    assert [-row.amount for row in less] == [row.amount for row in more]
