"""What ran through a register between two instants.

A register only ever counts up; it may be reset, or pass its last number and go on from nothing,
and its readings do not come when a period ends. Between two readings it is taken to have run
evenly; after the last one it stands still, until a later reading says better; before the first one
nothing is known, and nothing is counted. What a period counts up to is what the next one counts
from, so that periods leave nothing out between them and count nothing twice.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from fractions import Fraction
from itertools import accumulate, pairwise
from typing import Any, NamedTuple
from uuid import UUID

from leasing.kit.money import half_up
from schemas.tariffs import Restart

Detail = dict[str, Any]
"""What a person can check by hand, of values that JSON has."""


class Reading(NamedTuple):
    """What a register showed at an instant, and what had become of it since the reading before."""

    id: UUID
    at: datetime
    value: int
    restart: Restart = Restart.NONE
    register_max: int | None = None


class Used(NamedTuple):
    """Whole units of the register, and how they were found."""

    units: int
    detail: Detail


class End(NamedTuple):
    """A register at an instant: what it counted since its first reading, and what it showed."""

    counted: int
    policy: str
    detail: Detail


QUALITIES = {
    frozenset({"reading"}): "measured",
    frozenset({"excluded"}): "missing",
}
"""By the policies at both ends; what was excluded at one of them is incomplete, all other ends are
estimated."""


def used(readings: Iterable[Reading], start: datetime, end: datetime) -> Used:
    """What a register counted from an instant to another. `readings` are those of one register in
    any order, with the neighbours of both instants if there are any. Never negative: a register
    that fell without saying why counted nothing, and is named in the detail.

    Worked example: it stood at 1,000 two days before the period and at 1,600 four days after its
    begin, so at 1,200 when it began; at its end nobody has read it since it showed 2,000.

    >>> june, day = datetime.fromisoformat("2026-06-01T00:00:00+08:00"), timedelta(days=1)
    >>> rows = [(june - 2 * day, 1_000), (june + 4 * day, 1_600), (june + 9 * day, 2_000)]
    >>> readings = [Reading(UUID(int=i), *row) for i, row in enumerate(rows)]
    >>> found = used(readings, june, june + 30 * day)
    >>> found.units, found.detail["quality"], found.detail["from"]["register"]
    (800, 'estimated', 1200)
    """
    ordered = sorted(readings, key=lambda reading: (reading.at, reading.id))
    if not ordered:
        return Used(0, {"quality": "missing", "units": 0})
    steps = [counted_between(*pair) for pair in pairwise(ordered)]
    counts = list(accumulate(steps, initial=0))
    first, last = end_at(ordered, counts, start), end_at(ordered, counts, end)
    units = last.counted - first.counted
    policies = frozenset({first.policy, last.policy})
    quality = "incomplete" if "excluded" in policies else "estimated"
    detail: Detail = {
        "quality": QUALITIES.get(policies, quality),
        "from": first.detail,
        "to": last.detail,
        "units": units,
    }
    odd = [
        oddity(earlier, later)
        for earlier, later in pairwise(ordered)
        if earlier.at < end
        and later.at > start
        and (later.restart is not Restart.NONE or later.value < earlier.value)
    ]
    if odd:
        detail["restarts"] = odd
    return Used(units, detail)


def counted_between(earlier: Reading, later: Reading) -> int:
    """What a register counted from one reading to the next.

    >>> at, ids = datetime.min, UUID(int=0)
    >>> rolled = Reading(ids, at, 20, Restart.ROLLOVER, register_max=999)
    >>> counted_between(Reading(ids, at, 990), rolled)
    30
    """
    if later.restart is Restart.RESET:
        return later.value
    if later.restart is Restart.ROLLOVER and later.register_max is not None:
        return max(later.register_max + 1 - earlier.value, 0) + later.value
    return max(later.value - earlier.value, 0)


def end_at(ordered: Sequence[Reading], counts: Sequence[int], at: datetime) -> End:
    place = bisect_right(ordered, at, key=lambda reading: reading.at) - 1
    if place < 0:
        first = ordered[0]
        return End(0, "excluded", end_detail(at, "excluded", first.value, [first]))
    before = ordered[place]
    if before.at == at or place + 1 == len(ordered):
        policy = "reading" if before.at == at else "last_known"
        return End(counts[place], policy, end_detail(at, policy, before.value, [before]))
    after = ordered[place + 1]
    part = Fraction(in_microseconds(at - before.at), in_microseconds(after.at - before.at))
    ran = half_up((counts[place + 1] - counts[place]) * part)
    detail = end_detail(at, "interpolated", before.value + ran, [before, after])
    return End(counts[place] + ran, "interpolated", detail)


def in_microseconds(span: timedelta) -> int:
    return span // timedelta(microseconds=1)


def end_detail(at: datetime, policy: str, register: int, readings: Sequence[Reading]) -> Detail:
    return {
        "at": at.isoformat(),
        "policy": policy,
        "register": register,
        "readings": [
            {"id": str(one.id), "at": one.at.isoformat(), "value": one.value} for one in readings
        ],
    }


def oddity(earlier: Reading, later: Reading) -> Detail:
    """Two readings between which a register did not simply count up: `counted` stands for their
    difference."""
    return {
        "id": str(later.id),
        "kind": later.restart.value if later.restart is not Restart.NONE else "fell",
        "before": earlier.value,
        "after": later.value,
        "counted": counted_between(earlier, later),
    }
