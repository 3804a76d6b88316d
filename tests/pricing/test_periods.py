"""Where billing periods begin and end."""

import doctest
from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from leasing.kit.time import civil_date, midnight
from leasing.pricing import periods
from leasing.pricing.periods import (
    FORTNIGHTLY,
    HALF_YEARLY,
    MONTHLY,
    QUARTERLY,
    WEEKLY,
    YEARLY,
    Cycle,
    Frequency,
    Mode,
    Period,
    Unit,
    billable_to,
    boundary,
    calendar_cycle,
    first_boundary,
    in_month,
    is_boundary,
    number,
    period_due,
    shift,
    to_bill,
    walk,
    whole,
)
from leasing.pricing.proration import cycles, rounded
from tests.pricing.kill_bill import kill_bill_share
from tests.pricing.reference_cases import Case, cases_of, day, days

DAYS = st.dates(date(2000, 1, 1), date(2060, 12, 31))
FREQUENCIES = st.builds(Frequency, st.sampled_from(Unit), st.integers(1, 40))
CYCLES = st.builds(
    Cycle, DAYS, FREQUENCIES, day=st.none() | st.integers(1, 31), end_of_month=st.booleans()
)
SPANS = st.tuples(DAYS, st.integers(0, 800)).map(lambda s: (s[0], s[0] + timedelta(days=s[1])))


def test_the_examples_in_the_text_are_true() -> None:
    assert doctest.testmod(periods).failed == 0
    assert doctest.testmod(periods).attempted >= 14


# The reference cases


@pytest.mark.parametrize("case", cases_of("period_boundaries"))
def test_periods_are_those_of_the_reference_cases(case: Case) -> None:
    answer = answered(case["inputs"], case["convention"])
    for name, expected in case["expected"].items():
        if name == "periods":
            found = [
                {key: got[key] for key in want}
                for got, want in zip(answer["periods"], expected, strict=True)
            ]
            assert found == expected
        elif name == "total_cycles":
            assert answer[name] == Decimal(expected)
        else:
            assert answer[name] == expected


def answered(inputs: Case, convention: str) -> Case:
    """What we say to the question of a reference case, in its words."""
    zone = inputs.get("timezone")
    instant = inputs.get("instant")
    local = civil_date(datetime.fromisoformat(instant), zone or "UTC") if instant else None
    if inputs["query"] == "local_date":
        found = [Period(local, local + timedelta(days=1))]
        return {"local_date": local.isoformat(), **instants(found, zone)}
    start_on, end_on = day(inputs.get("start")), day(inputs.get("end"))
    target = day(inputs.get("target")) or local
    frequency = Frequency(Unit(inputs["frequency"]["unit"]), inputs["frequency"]["count"])
    anchor_on = day(inputs.get("anchor_date")) or start_on or target
    cycle = Cycle(anchor_on, frequency, inputs.get("anchor_day"))
    mode = Mode(inputs.get("mode") or "advance")
    match inputs["query"]:
        case "first_boundary":
            return {"first_boundary": first_boundary(cycle, start_on).isoformat()}
        case "nth_boundary":
            n = inputs["n"]
            numbers = n if isinstance(n, list) else [n]
            return {"boundaries": [boundary(cycle, n).isoformat() for n in numbers]}
        case "period_due":
            due = period_due(cycle, mode, target, start_on, end_on)
            found = [due] if due else []
        case "periods_to_bill":
            found = list(to_bill(cycle, mode, start_on, end_on, target))
        case "walk":
            found = list(walk(cycle, start_on, end_on))
    if convention == "kb_bcd_cycles":
        weights = [kill_bill_share(cycle, period).fraction for period in found]
    else:
        weights = [cycles(cycle, period) for period in found]
    return {
        "periods": [
            {
                "from": str(period.from_on),
                "to": str(period.to_on),
                "cycles": str(rounded(weight, 9)),
            }
            for period, weight in zip(found, weights, strict=True)
        ],
        "billed_through": str(found[-1].to_on) if found else None,
        "boundaries": [str(found[0].from_on), *(str(period.to_on) for period in found)]
        if found
        else [],
        "total_cycles": sum((rounded(weight, 9) for weight in weights), Decimal(0)),
        **instants(found, zone),
    }


def instants(found: list[Period], zone: str | None) -> Case:
    if not found:
        return {}
    ends = midnight(found[0].from_on, zone), midnight(found[-1].to_on, zone)
    return {
        name: at.isoformat().replace("+00:00", "Z")
        for name, at in zip(("from_instant", "to_instant"), ends, strict=True)
    }


# Boundaries


@pytest.mark.parametrize(
    ("cycle", "expected"),
    [
        (Cycle(date(2026, 1, 31), MONTHLY), "2026-02-28 2026-03-31 2026-04-30 2026-05-31"),
        (Cycle(date(2024, 1, 30), MONTHLY), "2024-02-29 2024-03-30 2024-04-30 2024-05-30"),
        (Cycle(date(2026, 1, 29), MONTHLY), "2026-02-28 2026-03-29 2026-04-29 2026-05-29"),
        (Cycle(date(2026, 2, 28), MONTHLY), "2026-03-28 2026-04-28 2026-05-28 2026-06-28"),
        (
            Cycle(date(2026, 2, 28), MONTHLY, end_of_month=True),
            "2026-03-31 2026-04-30 2026-05-31 2026-06-30",
        ),
        (Cycle(date(2026, 4, 30), MONTHLY, day=31), "2026-05-31 2026-06-30 2026-07-31 2026-08-31"),
        (Cycle(date(2025, 11, 30), QUARTERLY), "2026-02-28 2026-05-30 2026-08-30 2026-11-30"),
        (Cycle(date(2025, 8, 31), HALF_YEARLY), "2026-02-28 2026-08-31 2027-02-28 2027-08-31"),
        (Cycle(date(2024, 2, 29), YEARLY), "2025-02-28 2026-02-28 2027-02-28 2028-02-29"),
        (Cycle(date(2026, 2, 23), WEEKLY), "2026-03-02 2026-03-09 2026-03-16 2026-03-23"),
        (Cycle(date(2026, 2, 20), FORTNIGHTLY), "2026-03-06 2026-03-20 2026-04-03 2026-04-17"),
        (
            Cycle(date(2026, 1, 31), Frequency(Unit.DAY, 30), day=5),
            "2026-03-02 2026-04-01 2026-05-01 2026-05-31",
        ),
    ],
)
def test_boundaries_lie_where_the_contract_says(cycle: Cycle, expected: str) -> None:
    assert [boundary(cycle, n) for n in range(1, 5)] == days(*expected.split())


@given(CYCLES, st.integers(-40, 40))
def test_a_boundary_never_drifts_from_its_day(cycle: Cycle, n: int) -> None:
    on = boundary(cycle, n)
    if cycle.frequency.unit in (Unit.DAY, Unit.WEEK):
        assert on == shift(cycle.anchor_on, cycle.frequency, n)
    else:
        day = 31 if cycle.end_of_month else cycle.day or cycle.anchor_on.day
        assert on.day == day or (on.day < day and (on + timedelta(days=1)).day == 1)
        assert (on.month - cycle.anchor_on.month) % 12 == (
            0 if cycle.frequency.unit is Unit.YEAR else n * cycle.frequency.count % 12
        )


@given(CYCLES, st.integers(-40, 40))
def test_boundaries_are_in_order(cycle: Cycle, n: int) -> None:
    assert boundary(cycle, n) < boundary(cycle, n + 1)


@given(CYCLES, DAYS)
@example(Cycle(date(2026, 1, 31), MONTHLY), date(2026, 2, 28))
def test_every_day_lies_in_one_whole_period(cycle: Cycle, on: date) -> None:
    n = number(cycle, on)
    assert boundary(cycle, n) <= on < boundary(cycle, n + 1)
    assert whole(cycle, on) == (boundary(cycle, n), boundary(cycle, n + 1))


@given(CYCLES, DAYS)
def test_the_first_boundary_is_the_earliest_that_is_not_before_the_start(
    cycle: Cycle, start_on: date
) -> None:
    first = first_boundary(cycle, start_on)
    assert is_boundary(cycle, first)
    assert boundary(cycle, number(cycle, first) - 1) < start_on <= first


@given(st.dates(date(2000, 1, 1), date(2060, 12, 31)), st.integers(1, 31))
def test_a_day_that_a_month_lacks_is_its_last(on: date, day: int) -> None:
    found = in_month(on, day)
    assert (found.year, found.month) == (on.year, on.month)
    assert found.day == day or (found + timedelta(days=1)).day == 1


@pytest.mark.parametrize(
    ("frequency", "day", "expected"),
    [
        (MONTHLY, 1, "2026-05-01"),
        (MONTHLY, 25, "2026-04-25"),
        (QUARTERLY, 1, "2026-04-01"),
        (HALF_YEARLY, 1, "2026-01-01"),
        (YEARLY, 1, "2026-01-01"),
        (WEEKLY, 1, "2026-05-18"),
        (Frequency(Unit.DAY, 10), 1, "2026-05-20"),
    ],
)
def test_calendar_periods_begin_where_the_calendar_does(
    frequency: Frequency, day: int, expected: str
) -> None:
    wednesday = date(2026, 5, 20)
    assert (
        whole(calendar_cycle(wednesday, frequency, day), wednesday).from_on.isoformat() == expected
    )


@pytest.mark.parametrize("count", [0, -1])
def test_a_frequency_counts_from_one(count: int) -> None:
    with pytest.raises(ValueError, match="not a frequency"):
        Frequency(Unit.MONTH, count)


@pytest.mark.parametrize("day", [0, 32])
def test_a_day_that_no_month_has_is_refused(day: int) -> None:
    with pytest.raises(ValueError, match="no month has a day"):
        Cycle(date(2026, 1, 1), MONTHLY, day)


# Lines


@given(CYCLES, SPANS)
def test_periods_tile_a_line_exactly(cycle: Cycle, span: tuple[date, date]) -> None:
    start_on, end_on = span
    found = list(walk(cycle, start_on, end_on))
    assert [on for period in found for on in all_days(period)] == all_days(Period(*span))
    assert all(period.days > 0 for period in found)


@given(CYCLES, SPANS, st.integers(0, 800))
def test_periods_do_not_depend_on_where_one_starts(
    cycle: Cycle, span: tuple[date, date], later: int
) -> None:
    start_on, end_on = span
    found = list(walk(cycle, start_on, end_on))
    restarted = list(walk(cycle, start_on + timedelta(days=later), end_on))
    assume(restarted)
    assert restarted[1:] == found[len(found) - len(restarted) + 1 :]
    assert restarted[0].to_on == found[len(found) - len(restarted)].to_on


@given(CYCLES, SPANS)
def test_only_the_first_and_the_last_period_may_be_stubs(
    cycle: Cycle, span: tuple[date, date]
) -> None:
    for period in list(walk(cycle, *span))[1:-1]:
        assert period == whole(cycle, period.from_on)


def all_days(period: Period) -> list[date]:
    return [period.from_on + timedelta(days=n) for n in range(period.days)]


# What is due

BILLING_DAY_15 = Cycle(date(2012, 7, 16), MONTHLY, day=15)
START = date(2012, 7, 16)


@pytest.mark.parametrize(
    ("mode", "end_on", "as_of", "expected"),
    [
        ("advance", None, "2012-07-15", ""),
        ("advance", None, "2012-07-16", "2012-08-15"),
        ("advance", None, "2012-08-14", "2012-08-15"),
        ("advance", None, "2012-08-15", "2012-08-15 2012-09-15"),
        ("advance", "2012-08-01", "2012-07-16", "2012-08-01"),
        ("advance", "2012-08-20", "2012-08-15", "2012-08-15 2012-08-20"),
        ("advance", "2012-08-15", "2013-01-01", "2012-08-15"),
        ("arrears", None, "2012-07-16", ""),
        ("arrears", None, "2012-08-14", ""),
        ("arrears", None, "2012-08-15", "2012-08-15"),
        ("arrears", None, "2012-10-14", "2012-08-15 2012-09-15"),
        ("arrears", "2012-08-01", "2012-07-31", ""),
        ("arrears", "2012-08-01", "2012-08-01", "2012-08-01"),
        ("arrears", "2012-08-01", "2012-08-03", "2012-08-01"),
        ("arrears", "2012-08-20", "2012-08-19", "2012-08-15"),
        ("arrears", "2012-08-20", "2012-08-20", "2012-08-15 2012-08-20"),
        ("arrears", "2012-07-16", "2012-08-15", ""),
    ],
)
def test_a_run_bills_what_is_due_and_nothing_else(
    mode: str, end_on: str | None, as_of: str, expected: str
) -> None:
    found = list(to_bill(BILLING_DAY_15, Mode(mode), START, day(end_on), date.fromisoformat(as_of)))
    assert [period.to_on for period in found] == days(*expected.split())
    assert [period.from_on for period in found] == [START, *days(*expected.split())][: len(found)]


def test_a_month_end_line_bills_the_period_around_a_day_after_a_short_month() -> None:
    """Stepping from 28 February without looking at the anchor would bill April here."""
    found = list(
        to_bill(
            Cycle(date(2011, 1, 31), MONTHLY),
            Mode.ADVANCE,
            date(2011, 1, 31),
            None,
            date(2011, 3, 29),
        )
    )
    assert [period.to_on for period in found] == days("2011-02-28", "2011-03-31")


@given(CYCLES, SPANS, DAYS, DAYS)
def test_runs_on_any_days_bill_the_same_periods_in_the_end(
    cycle: Cycle, span: tuple[date, date], first: date, second: date
) -> None:
    """What an earlier run billed is the beginning of what a later one would."""
    start_on, end_on = span
    for mode in Mode:
        early = list(to_bill(cycle, mode, start_on, end_on, min(first, second)))
        late = list(to_bill(cycle, mode, start_on, end_on, max(first, second)))
        assert late[: len(early)] == early


@given(CYCLES, SPANS)
def test_what_is_billed_once_a_line_is_over_is_all_of_it(
    cycle: Cycle, span: tuple[date, date]
) -> None:
    start_on, end_on = span
    for mode in Mode:
        assert list(to_bill(cycle, mode, start_on, end_on, end_on)) == list(walk(cycle, *span))


@given(CYCLES, SPANS, DAYS)
def test_in_arrears_no_day_is_billed_before_it_is_over(
    cycle: Cycle, span: tuple[date, date], as_of: date
) -> None:
    assert billable_to(cycle, Mode.ARREARS, span[1], as_of) <= as_of
    assert billable_to(cycle, Mode.ADVANCE, None, as_of) > as_of


@given(CYCLES, DAYS, st.integers(0, 400), st.integers(1, 400))
def test_the_period_due_is_the_last_that_a_run_of_that_day_bills(
    cycle: Cycle, start_on: date, gone: int, left: int
) -> None:
    as_of = start_on + timedelta(days=gone)
    end_on = as_of + timedelta(days=left)
    for mode in Mode:
        found = list(to_bill(cycle, mode, start_on, end_on, as_of))
        due = period_due(cycle, mode, as_of, start_on, end_on)
        assert [due] == (found[-1:] or [None])


@pytest.mark.parametrize(
    ("mode", "as_of", "start_on", "end_on", "expected"),
    [
        ("arrears", "2021-04-30", None, None, "2021-03-31 2021-04-30"),
        ("advance", "2021-04-30", None, None, "2021-04-30 2021-05-31"),
        ("arrears", "2022-03-29", None, None, "2022-01-31 2022-02-28"),
        ("arrears", "2022-03-31", "2022-03-10", None, "2022-03-10 2022-03-31"),
        ("arrears", "2022-03-31", "2022-04-01", None, None),
        ("arrears", "2022-04-10", None, "2022-04-05", "2022-03-31 2022-04-05"),
        ("advance", "2022-03-05", "2022-03-10", None, "2022-03-10 2022-03-31"),
        ("advance", "2022-04-02", None, "2022-04-05", "2022-03-31 2022-04-05"),
        ("advance", "2022-05-02", None, "2022-04-05", None),
    ],
)
def test_the_period_due_belongs_to_the_line(
    mode: str, as_of: str, start_on: str | None, end_on: str | None, expected: str | None
) -> None:
    cycle = Cycle(date(2021, 3, 31), MONTHLY)
    due = period_due(cycle, Mode(mode), date.fromisoformat(as_of), day(start_on), day(end_on))
    assert due == (Period(*days(*expected.split())) if expected else None)
