"""The listing as a function of days: judged by another telling of the same rules."""

from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leasing.recyclers import rules
from leasing.recyclers.model import NEXT_STATES, ListingStepRefused, Step
from schemas.recyclers import ListingReason, ListingState, ListingStepCreate, NoticeSubject

FIRST = date(2024, 1, 1)
DAYS = st.dates(FIRST, date(2033, 12, 31))
State, Reason = ListingState, ListingReason


def entry(reason: Reason, on: date) -> ListingStepCreate:
    return ListingStepCreate(reason=reason, on=on, document="x")


def play(
    entries: list[tuple[date, Reason]], reports: dict[int, date], looks: set[date], end: date
) -> list[Step]:
    """A history: entries on their days, and the job on the days on which it looks. What is refused
    is passed over."""
    history: list[Step] = []
    last = lambda: history[-1] if history else None  # noqa: E731
    by_day: dict[date, list[Reason]] = {}
    for on, reason in entries:
        by_day.setdefault(on, []).append(reason)
    for on in sorted(looks | set(by_day) | {end}):
        if on in looks or on == end:
            history += rules.advance(last(), reports, on)
        for reason in by_day.get(on, []):
            overdue = rules.advance(last(), reports, on)
            try:
                entered = rules.entered(overdue[-1] if overdue else last(), entry(reason, on))
            except ListingStepRefused:
                continue
            history += [*overdue, entered]
    return history


ENTRIES = st.lists(st.tuples(DAYS, st.sampled_from(sorted(rules.ENTERED))), max_size=12).map(
    lambda found: sorted(found, key=lambda one: one[0])
)
REPORTS = st.dictionaries(st.integers(2024, 2032), st.integers(0, 150), max_size=9).map(
    lambda found: {year: date(year + 1, 1, 1) + timedelta(days) for year, days in found.items()}
)
LOOKS = st.sets(DAYS, max_size=15)
END = date(2034, 6, 1)


@settings(max_examples=300, deadline=None)
@given(entries=ENTRIES, reports=REPORTS, looks=LOOKS)
def test_it_does_not_matter_on_which_days_the_job_looks(entries, reports, looks):
    assert play(entries, reports, looks, END) == play(entries, reports, set(), END)


@settings(max_examples=300, deadline=None)
@given(entries=ENTRIES, reports=REPORTS, looks=LOOKS)
def test_every_history_follows_the_table_and_every_state_ends_when_it_must(entries, reports, looks):
    history = play(entries, reports, looks, END)
    for before, after in pairwise(history):
        assert after.state in NEXT_STATES[before.state]
        assert after.from_on >= before.from_on
        if before.ends_on is not None and after.reason is not Reason.PENALTY:
            assert after.from_on <= before.ends_on
        if before.state is State.WITHDRAWN and after.state is State.ELIGIBLE:
            assert (after.from_on, after.reason) == (before.ends_on, Reason.BAR_OVER)
    for one in history:
        on_the_list = one.state in (State.LISTED, State.RECTIFYING)
        assert (one.listed_on is not None) == on_the_list
        if one.state is State.RECTIFYING:
            assert one.ends_on == later(one.from_on, 1)
        if one.state is State.WITHDRAWN:
            assert one.ends_on >= later(one.from_on, 2)
    assert rules.advance(history[-1] if history else None, reports, END) == []


@settings(max_examples=300, deadline=None)
@given(entries=ENTRIES, reports=REPORTS, looks=LOOKS)
def test_day_by_day_nobody_is_listed_who_must_not_be(entries, reports, looks):
    """The conditions, told as what must hold on each day and not as steps."""
    history = play(entries, reports, looks, END)
    on = FIRST
    while on < END:
        now = state_on(history, on)
        if now is not None and now.state is State.LISTED:
            # On the list since before the last end of a first quarter, and no report in time.
            due = date(on.year, 4, 1) if on >= date(on.year, 4, 1) else date(on.year - 1, 4, 1)
            if now.from_on < due and now.listed_on.year < due.year:
                filed = reports.get(due.year - 1)
                assert filed is not None
                assert filed < due
            # No bar is running that began before.
            bars = [one for one in history if one.state is State.WITHDRAWN and one.from_on < on]
            assert all(one.ends_on <= now.listed_on for one in bars if one.from_on < now.listed_on)
        if now is not None and now.state is State.RECTIFYING:
            assert on < later(now.from_on, 1)
        if now is not None and now.state is State.WITHDRAWN:
            assert on < now.ends_on
        on += timedelta(days=13)


def state_on(history: list[Step], on: date) -> Step | None:
    return next((one for one in reversed(history) if one.from_on <= on), None)


def later(on: date, years: int) -> date:
    try:
        return on.replace(year=on.year + years)
    except ValueError:
        return date(on.year + years, 2, 28)


def listed(on: date) -> Step:
    return rules.entered(None, entry(Reason.ANNOUNCED, on))


def test_a_firm_reports_first_on_the_year_in_which_it_was_listed():
    step = listed(date(2026, 12, 31))
    assert rules.due(step, {}, date(2027, 3, 31)) is None
    missed = rules.due(step, {}, date(2027, 4, 1))
    assert (missed.state, missed.from_on) == (State.RECTIFYING, date(2027, 4, 1))
    early = listed(date(2027, 1, 1))
    assert rules.due(early, {}, date(2028, 3, 31)) is None


@pytest.mark.parametrize(
    ("left", "days"),
    [(91, None), (90, 90), (31, 90), (30, 30), (8, 30), (7, 7), (1, 7), (0, None), (-5, None)],
)
def test_the_notice_of_a_day_is_the_nearest_one(left, days):
    assert rules.notice_days(FIRST + timedelta(days=left), FIRST) == days


def test_what_a_firm_has_to_do_next_is_its_report_or_to_rectify():
    step = listed(date(2026, 5, 1))
    found = rules.deadline_of(step, {}, date(2026, 6, 1))
    assert (found.subject, found.lapses_on) == (NoticeSubject.ANNUAL_REPORT, date(2027, 4, 1))
    filed = {2026: date(2027, 2, 1)}
    assert rules.deadline_of(step, filed, date(2027, 2, 2)).lapses_on == date(2028, 4, 1)
    late = rules.deadline_of(step, {2026: date(2027, 4, 1)}, date(2027, 3, 1))
    assert late.lapses_on == date(2027, 4, 1)
    rectifying = rules.entered(step, entry(Reason.IDLE, date(2026, 6, 1)))
    found = rules.deadline_of(rectifying, {}, date(2026, 7, 1))
    assert (found.subject, found.lapses_on) == (NoticeSubject.RECTIFICATION, date(2027, 6, 1))
    gone = rules.entered(step, entry(Reason.ACCIDENT, date(2026, 6, 1)))
    assert rules.deadline_of(gone, {}, date(2026, 7, 1)) is None


def test_what_lasts_a_year_ends_on_its_very_day():
    rectifying = rules.entered(listed(date(2026, 5, 1)), entry(Reason.IDLE, date(2026, 6, 1)))
    assert rules.due(rectifying, {}, date(2027, 5, 31)) is None
    assert rules.due(rectifying, {}, date(2027, 6, 1)).from_on == date(2027, 6, 1)


def test_who_puts_things_right_in_winter_still_owes_the_report_of_last_year():
    idle = rules.entered(listed(date(2025, 5, 1)), entry(Reason.IDLE, date(2026, 6, 1)))
    again = rules.entered(idle, entry(Reason.RECTIFIED, date(2027, 2, 1)))
    assert again.listed_on == date(2025, 5, 1)
    assert rules.due(again, {}, date(2027, 4, 1)).from_on == date(2027, 4, 1)
    # Put right on the day on which it was missed, that report is settled.
    settled = rules.entered(idle, entry(Reason.RECTIFIED, date(2027, 4, 1)))
    assert rules.due(settled, {}, date(2028, 3, 31)) is None


def test_nothing_is_entered_before_the_last_step():
    with pytest.raises(ListingStepRefused):
        rules.entered(listed(date(2026, 5, 2)), entry(Reason.ACCIDENT, date(2026, 5, 1)))
    rules.entered(listed(date(2026, 5, 2)), entry(Reason.ACCIDENT, date(2026, 5, 2)))


@pytest.mark.parametrize("state", [None, *State])
def test_a_penalty_bars_whoever_gets_it_for_two_years(state):
    before = state and Step(
        state=state, from_on=FIRST, reason=Reason.APPLICATION, document="x", ends_on=None
    )
    barred = rules.entered(before, entry(Reason.PENALTY, date(2026, 5, 1)))
    assert (barred.state, barred.ends_on) == (State.WITHDRAWN, date(2028, 5, 1))


def test_every_reason_is_entered_or_comes_by_itself():
    by_itself = {
        Reason.NO_ANNUAL_REPORT,
        Reason.NOT_RECTIFIED,
        Reason.BAR_OVER,
        Reason.REPORT_WAS_IN_TIME,
    }
    assert set(rules.ENTERED) | by_itself == set(Reason)
    assert not set(rules.ENTERED) & by_itself
    for before, state in rules.ENTERED.values():
        assert all(state in NEXT_STATES[one] for one in before if one is not None)
