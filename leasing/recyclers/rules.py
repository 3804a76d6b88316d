"""How a firm comes on the list of the industry conditions and goes off it (有进有出).

The list of the 2024 conditions (综合利用行业规范条件 2024 年本) is voluntary and advisory: evidence
under Art. 18 of Order No. 73 decides whether a pack may be handed over, and the list does not. What
the conditions say of time:

* the annual report is due by the end of the first quarter; without it the firm is to rectify;
* what is not rectified within a year leads to withdrawal;
* a firm that was withdrawn may apply again after two years;
* an accident or a serious violation leads to withdrawal at once;
* a penalty under Order No. 73 bars a firm for two years (Art. 42).

Some steps are entered, with a document. The others come with the passing of days, and are dated by
the day on which they were due and not by the day on which somebody looked, so that it does not
matter how often or how late that happens.
"""

from collections.abc import Iterable, Mapping
from datetime import date
from itertools import count

from leasing.kit.errors import FieldError
from leasing.kit.time import add_months
from leasing.recyclers.model import NEXT_STATES, Deadline, ListingStepRefused, NotEntered, Step
from schemas.parties import QualificationKind
from schemas.recyclers import ListingReason as Reason
from schemas.recyclers import ListingState as State
from schemas.recyclers import ListingStepCreate, NoticeSubject

GATE = (QualificationKind.FILING, QualificationKind.EIA, QualificationKind.DISCHARGE_PERMIT)
"""Order No. 73, Art. 18: all of them, on the day of the hand-over."""

CONDITIONS = "综合利用行业规范条件(2024年本)"
RECTIFYING_MONTHS = 12
BAR_MONTHS = 24
NOTICE_DAYS = (7, 30, 90)
MAX_STEPS = 10
"""More steps than that cannot come by themselves: listed, rectifying, withdrawn, eligible."""

ENTERED: dict[Reason, tuple[frozenset[State | None], State]] = {
    Reason.APPLICATION: (frozenset({None, State.ELIGIBLE}), State.APPLIED),
    # Who is on the list when we first hear of it has no application that we know of.
    Reason.ANNOUNCED: (frozenset({None, State.APPLIED}), State.LISTED),
    Reason.REFUSED: (frozenset({State.APPLIED}), State.ELIGIBLE),
    Reason.CONDITIONS_NOT_KEPT: (frozenset({State.LISTED}), State.RECTIFYING),
    Reason.FALSE_DATA: (frozenset({State.LISTED}), State.RECTIFYING),
    Reason.INSPECTION_REFUSED: (frozenset({State.LISTED}), State.RECTIFYING),
    Reason.IDLE: (frozenset({State.LISTED}), State.RECTIFYING),
    Reason.RECTIFIED: (frozenset({State.RECTIFYING}), State.LISTED),
    Reason.ACCIDENT: (frozenset({State.LISTED, State.RECTIFYING}), State.WITHDRAWN),
    Reason.VIOLATION: (frozenset({State.LISTED, State.RECTIFYING}), State.WITHDRAWN),
    Reason.GIVEN_UP: (frozenset({State.LISTED, State.RECTIFYING}), State.WITHDRAWN),
    Reason.ANNOUNCED_WITHDRAWAL: (frozenset({State.LISTED, State.RECTIFYING}), State.WITHDRAWN),
    Reason.PENALTY: (frozenset({None, *State}), State.WITHDRAWN),
}
"""From which states a reason leads to which one. A firm that never had to do with the list has
none."""


def entered(current: Step | None, data: ListingStepCreate) -> Step:
    """The step that follows when somebody enters one. Raises `NotEntered` for what only time
    brings, and `ListingStepRefused` when it cannot follow the current one."""
    if data.reason not in ENTERED:
        fault = FieldError("/reason", "comes_by_itself", f"{data.reason} comes by itself")
        raise NotEntered(fault.message, fields=[fault])
    before, state = ENTERED[data.reason]
    present = current.state if current else None
    if present not in before:
        reason = (
            f"a firm that is {present or 'not known to the list'} is not {state} by {data.reason}"
        )
        fault = FieldError("/reason", "cannot_follow", reason)
        raise ListingStepRefused(reason, fields=[fault], state=present)
    if current is not None and data.on < current.from_on:
        reason = f"it is {current.state} since {current.from_on}: nothing is entered before that"
        fault = FieldError("/on", "before_last_step", reason)
        raise ListingStepRefused(reason, fields=[fault], state=present)
    assert current is None or state in NEXT_STATES[current.state]
    return step(current, state, data.on, data.reason, data.document, data.document_sha256)


def step(
    current: Step | None,
    state: State,
    on: date,
    reason: Reason,
    document: str,
    document_sha256: str | None = None,
) -> Step:
    listed_on = None
    if state in (State.LISTED, State.RECTIFYING):
        listed_on = current.listed_on if current and current.listed_on else on
    return Step(
        state=state,
        from_on=on,
        reason=reason,
        document=document,
        document_sha256=document_sha256,
        listed_on=listed_on,
        ends_on=end_of(state, on),
    )


def end_of(state: State, on: date) -> date | None:
    """The day on which a state that began on a day ends by itself."""
    if state is State.RECTIFYING:
        return add_months(on, RECTIFYING_MONTHS)
    return add_months(on, BAR_MONTHS) if state is State.WITHDRAWN else None


# --- What the passing of days brings ------------------------------------------------------------


def advance(current: Step | None, reports: Mapping[int, date], as_of: date) -> list[Step]:
    """The steps that came due up to a day, that day included, oldest first. `reports` are the days
    on which annual reports were filed, by the year they are about."""
    steps: list[Step] = []
    while current is not None and len(steps) < MAX_STEPS:
        current = due(current, reports, as_of)
        if current is not None:
            steps.append(current)
    return steps


def due(current: Step, reports: Mapping[int, date], as_of: date) -> Step | None:
    """The next step that came due by itself up to a day."""
    if current.state is State.LISTED:
        missed = missed_report(current, reports, as_of)
        if missed is None:
            return None
        document = f"{CONDITIONS}: no annual report of {missed.year - 1} by {missed.year}-03-31"
        return step(current, State.RECTIFYING, missed, Reason.NO_ANNUAL_REPORT, document)
    if current.ends_on is None or current.ends_on > as_of:
        return None
    if current.state is State.RECTIFYING:
        document = f"{CONDITIONS}: not rectified within one year of {current.from_on}"
        return step(current, State.WITHDRAWN, current.ends_on, Reason.NOT_RECTIFIED, document)
    document = f"{CONDITIONS}: two years are over"
    return step(current, State.ELIGIBLE, current.ends_on, Reason.BAR_OVER, document)


def missed_report(current: Step, reports: Mapping[int, date], as_of: date) -> date | None:
    """The first day of April, up to a day, on which the report of the year before was missing."""
    for deadline in report_deadlines(current):
        if deadline > as_of:
            return None
        if not in_time(deadline.year - 1, reports.get(deadline.year - 1)):
            return deadline
    return None


def report_deadlines(current: Step) -> Iterable[date]:
    """The days after the last on which a listed firm may file, for each year in which it was on
    the list. What was due before the present state began is settled."""
    assert current.listed_on is not None
    for year in count(current.listed_on.year + 1):
        if too_late(year - 1) > current.from_on:
            yield too_late(year - 1)


def too_late(year: int) -> date:
    """First day on which the report about a year is late: the end of the first quarter is over.

    >>> too_late(2026)
    datetime.date(2027, 4, 1)
    """
    return date(year + 1, 4, 1)


def in_time(year: int, filed_on: date | None) -> bool:
    return filed_on is not None and filed_on < too_late(year)


def found_in_time(current: Step | None, year: int, filed_on: date, today: date) -> Step | None:
    """The step back onto the list when the report that was missed had been filed in time and was
    entered late. It holds from the day on which that was seen: what was, was."""
    if (
        current is None
        or current.reason is not Reason.NO_ANNUAL_REPORT
        or current.from_on != too_late(year)
        or not in_time(year, filed_on)
    ):
        return None
    document = f"annual report of {year}, filed on {filed_on}"
    return step(current, State.LISTED, today, Reason.REPORT_WAS_IN_TIME, document)


# --- Notices ------------------------------------------------------------------------------------


def deadline_of(current: Step | None, reports: Mapping[int, date], as_of: date) -> Deadline | None:
    """What a firm has to do next to stay on the list: file a report, or put things right."""
    if current is None:
        return None
    if current.state is State.RECTIFYING and current.ends_on is not None:
        return Deadline(NoticeSubject.RECTIFICATION, current.ends_on, current.document)
    if current.state is not State.LISTED:
        return None
    following = next(
        deadline
        for deadline in report_deadlines(current)
        if deadline > as_of and not in_time(deadline.year - 1, reports.get(deadline.year - 1))
    )
    document = f"annual report of {following.year - 1}"
    return Deadline(NoticeSubject.ANNUAL_REPORT, following, document)


def notice_days(lapses_on: date, as_of: date) -> int | None:
    """Which notice is due so long before a day: that of 7, 30 or 90 days; None when it is too
    early for one, or too late. Whoever looks late gets the nearest one only."""
    left = (lapses_on - as_of).days
    if left <= 0:
        return None
    return next((days for days in NOTICE_DAYS if left <= days), None)
