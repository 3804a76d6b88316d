"""Deadlines and what follows from them; pure, no clock."""

import copy
from collections.abc import Callable, Iterable, Mapping
from datetime import date, timedelta
from typing import Any

import msgspec

from leasing.obligations.model import LEVELS, NEXT_STATES, NoSuchField, ObligationStands, Report
from schemas.obligations import DeadlineUnit, ObligationState

IsWorkingDay = Callable[[date], bool]

MAX_DAYS = 2_000
"""365 working days are some 540 days; a search that goes on for longer has a bad calendar."""


def due_on(event_on: date, number: int, unit: DeadlineUnit, is_working_day: IsWorkingDay) -> date:
    """The last day of a deadline. The day of the event does not count. A deadline in calendar days
    stays where it falls, also on a holiday: nobody is late by taking the earlier day.

    Worked example: the Spring Festival of 2026 took nine days, and Saturday 14 February was worked.

    >>> from leasing.kit.calendars import china
    >>> due_on(date(2026, 1, 30), 15, DeadlineUnit.WORKING_DAYS, china)
    datetime.date(2026, 2, 27)
    >>> due_on(date(2026, 1, 30), 30, DeadlineUnit.CALENDAR_DAYS, china)
    datetime.date(2026, 3, 1)
    """
    if unit is DeadlineUnit.CALENDAR_DAYS:
        return event_on + timedelta(days=number)
    left, day = number, event_on
    for _ in range(MAX_DAYS):
        day += timedelta(days=1)
        left -= is_working_day(day)
        if left == 0:
            return day
    raise ValueError(f"no {number} working days within {MAX_DAYS} days of {event_on}")


def level(days_over: int) -> int:
    """How far an obligation is escalated that is so many days over.

    >>> [level(days) for days in (0, 1, 6, 7, 30, 400)]
    [0, 1, 1, 2, 3, 3]
    """
    return max((level for level, days in LEVELS.items() if days_over >= days), default=0)


def next_state(now: ObligationState, then: ObligationState) -> ObligationState:
    if then not in NEXT_STATES[now]:
        raise ObligationStands(f"an obligation that is {now} cannot become {then}")
    return then


def on_time_percent(on_time: int, judged: int) -> str | None:
    """What was sent by its last day, of all that had one; null when there was none.

    >>> on_time_percent(2, 3), on_time_percent(0, 0)
    ('66.67', None)
    """
    return f"{100 * on_time / judged:.2f}" if judged else None


FIXED_FIELDS = {"obligation", "rule", "role", "reports", "event"}
"""What a report is about; a report of something else is another obligation."""


def put_right(
    report: Mapping[str, Any], values: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A report with other values at JSON pointers (RFC 6901, names only), and what stood there.
    Raises `NoSuchField`, also for a value that the field cannot have.
    """
    changed, was = copy.deepcopy(dict(report)), {}
    for pointer, value in values.items():
        *path, last = names(pointer)
        place: Any = changed
        for name in path:
            place = place.get(name) if isinstance(place, dict) else None
        if not isinstance(place, dict) or names(pointer)[0] in FIXED_FIELDS:
            raise NoSuchField(f"{pointer} is no field of the report that may be put right")
        was[pointer] = place.get(last)
        place[last] = value
    try:
        msgspec.convert(changed, Report)
    except msgspec.ValidationError as error:
        raise NoSuchField(f"the report cannot be so: {error}") from error
    return changed, was


def names(pointer: str) -> list[str]:
    if not pointer.startswith("/"):
        raise NoSuchField(f"'{pointer}' is no JSON pointer to a field")
    return [name.replace("~1", "/").replace("~0", "~") for name in pointer[1:].split("/")]


def remaining(faults: Iterable[str], values: Mapping[str, Any]) -> list[str]:
    """Fields at fault that nothing was put into. What is wrong with the whole is put right by
    anything."""
    return sorted({field for field in faults if field and field not in values})
