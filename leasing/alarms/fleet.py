"""Many packs judged at once.

Most packs are calm: nothing is open, nothing is beyond a limit, nothing moves as in a runaway. That
is found for all of them on whole columns, and then only their state has to be carried on. Any
other pack is judged by itself (`rules.check`). The answers are the same, state and all.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import msgspec
import numpy as np

from leasing.alarms import days, quality, rules, runaway
from leasing.alarms.levels import IDLE, MAX_GAP_S, Hold, Level, Run, Standing
from leasing.alarms.model import Bools, Change, Floats, Limits, Readings
from leasing.alarms.quality import HOUR_S, LEAST_AH, LONGEST_INTERVAL_S, Hour
from leasing.alarms.rules import State, Watched
from schemas.alarms import AlarmKind, AlarmSeverity

Places = days.Counts
Answer = tuple[list[Change], State]

MOST_PADDING = 4
NO_HOUR = -(2**62)


class Fleet(msgspec.Struct, frozen=True):
    """Rows of packs with the same limits and as many cells, one pack after the other; of each pack
    one row at least."""

    rows: Readings
    firsts: Places
    lasts: Places
    """The last row of each pack."""
    states: list[State]
    limits: Limits

    def any(self, where: Bools) -> Bools:
        """Whether it holds in any row, for each pack."""
        return np.logical_or.reduceat(where, self.firsts)

    def before(self, column: Floats, carried: Sequence[float] | Floats) -> Floats:
        """The value in the row before; `carried` is that of the packs' first rows."""
        found = np.empty(len(column))
        found[1:] = column[:-1]
        found[self.firsts] = carried
        return found

    def pack(self, place: int) -> slice:
        return slice(int(self.firsts[place]), int(self.lasts[place]) + 1)


def check_all(
    rows: Readings,
    ranges: Sequence[tuple[int, int]],
    states: Sequence[State],
    limits: Sequence[Limits],
) -> list[Answer]:
    """The same as `rules.check` for each pack: `ranges` are the rows of each, in order of time.
    Cells that no row of a pack shows are none of its."""
    answers: list[Answer] = [([], state) for state in states]
    for members, fleet in alike(rows, ranges, states, limits):
        for place, answer in zip(members, judge(fleet), strict=True):
            answers[place] = answer
    return answers


def alike(
    rows: Readings,
    ranges: Sequence[tuple[int, int]],
    states: Sequence[State],
    limits: Sequence[Limits],
) -> Iterator[tuple[list[int], Fleet]]:
    """Packs by limits and number of cells."""
    widths = widths_of(rows.cells_mv, ranges)
    groups: dict[tuple[Limits, int], list[int]] = {}
    for place, (first, last) in enumerate(ranges):
        if last > first:
            groups.setdefault((limits[place], widths[place]), []).append(place)
    for (of_all, width), members in groups.items():
        sizes = np.array([ranges[place][1] - ranges[place][0] for place in members])
        ends = np.cumsum(sizes)
        which: slice | Places = slice(ranges[members[0]][0], ranges[members[-1]][1])
        if any(ranges[one][1] != ranges[other][0] for one, other in pairwise(members)):
            which = np.concatenate([np.arange(*ranges[place]) for place in members])
        mine = rows.rows(which)
        mine = msgspec.structs.replace(mine, cells_mv=mine.cells_mv[:, :width])
        held = [states[place] for place in members]
        yield members, Fleet(mine, ends - sizes, ends - 1, held, of_all)


def widths_of(cells: Floats, ranges: Sequence[tuple[int, int]]) -> list[int]:
    """How many cells each pack has, up to the last that is shown."""
    if not cells.shape[1]:
        return [0] * len(ranges)
    known = ~np.isnan(cells)
    shown = (np.flatnonzero(known[first:last].any(axis=0)) for first, last in ranges)
    return [int(some[-1]) + 1 if len(some) else 0 for some in shown]


def own(rows: Readings, first: int, last: int) -> Readings:
    """The rows of one pack, with the cells it has."""
    found = rows.rows(slice(first, last))
    (width,) = widths_of(found.cells_mv, [(0, len(found))])
    return msgspec.structs.replace(found, cells_mv=found.cells_mv[:, :width])


def judge(fleet: Fleet) -> Iterator[Answer]:
    with np.errstate(all="ignore"):
        rows, jumped = quality.cleaned(fleet.rows, fleet.limits)
        resting = np.abs(rows.current_a) < fleet.limits.rest_current_a
        rested_s, rests = lengths(fleet, resting)
        calm = idle(fleet) & inorder(fleet)
        judged = watched(fleet, rows, jumped, resting, rested_s)
        for one in judged:
            calm &= ~loud(fleet, one)
        standing = begun(fleet, [*judged, rules.event(rows, [])])
        signs = [state.signs for state in fleet.states]
        suspect = fleet.any(runaway.suspects(rows, signs, fleet.limits, fleet.firsts))
        hours, agrees = charges(fleet, rows)
        calm &= agrees
    trends = fleet.any(~np.isnan(rows.insulation_kohm))
    for place, state in enumerate(fleet.states):
        mine = fleet.pack(place)
        last = mine.stop - 1
        found: list[int] = []
        if calm[place] and suspect[place]:
            # A load that is switched on looks like a sign; alone it is none.
            found, seen = runaway.events(rows.rows(mine), state.signs, fleet.limits)
        else:
            seen = runaway.after_quiet(rows, last, state.signs)
        if found or not calm[place]:
            yield rules.check(fleet.rows.rows(mine), state, fleet.limits)
            continue
        changes, carried = slow(rows, resting, mine, state, fleet.limits, trend=bool(trends[place]))
        last_s = float(rows.at_s[last])
        yield (
            changes,
            msgspec.structs.replace(
                carried,
                last_s=last_s,
                sent_s=last_s,
                rest=rests[place],
                levels=standing[place],
                signs=seen,
                hour=hours[place],
            ),
        )


def slow(
    rows: Readings, resting: Bools, mine: slice, state: State, limits: Limits, *, trend: bool
) -> tuple[list[Change], State]:
    """What is followed by the day and by the half hour."""
    if not rows.cells_mv.shape[1] and not trend:
        return [], state
    own = rows.rows(mine)
    by_day, of_days = days.follow(own, resting[mine], state.days, limits)
    by_window, of_windows = days.insulation(own, state.trend, limits)
    still, stuck = quality.stuck(own, state.stuck, limits)
    changes = by_day + by_window + still
    changes.sort(key=lambda change: (change.at_s, change.kind, change.cell or 0))
    return changes, msgspec.structs.replace(state, days=of_days, trend=of_windows, stuck=stuck)


def idle(fleet: Fleet) -> Bools:
    """Packs of which no alarm is open or about to begin."""
    return np.array(
        [
            not state.hour.is_open
            and all(
                hold.is_idle
                for standing in state.levels.values()
                for hold in standing.holds.values()
            )
            for state in fleet.states
        ]
    )


def inorder(fleet: Fleet) -> Bools:
    """Packs whose clock has not gone back."""
    at_s = fleet.rows.at_s
    later = at_s > fleet.before(at_s, [state.last_s for state in fleet.states])
    sent_s = np.array([state.sent_s for state in fleet.states])
    since = np.array([state.steps_back == 0 for state in fleet.states])
    found: Bools = ~fleet.any(~later) & since
    found &= at_s[fleet.firsts] >= sent_s - rules.CLOCK_BACK_S
    return found


def lengths(fleet: Fleet, true: Bools) -> tuple[Floats, list[Run]]:
    """For each row how long the pack rests, and what is to be carried (`levels.lengths`)."""
    at_s, firsts = fleet.rows.at_s, fleet.firsts
    runs = [state.rest for state in fleet.states]
    before_s = fleet.before(at_s, [run.last_s for run in runs])
    goes_on = fleet.before(true.astype(float), [float(run.rows > 0) for run in runs]) > 0
    begins = true & ~(goes_on & (at_s - before_s <= MAX_GAP_S))
    start = np.maximum.accumulate(np.where(begins, np.arange(len(at_s)), -1))
    sizes = fleet.lasts - firsts + 1
    carried = start < np.repeat(firsts, sizes)
    since = np.repeat([run.since_s for run in runs], sizes)
    begun = np.where(carried, since, at_s[np.maximum(start, 0)])
    rests = []
    for place, (run, last) in enumerate(zip(runs, fleet.lasts.tolist(), strict=True)):
        if not true[last]:
            rests.append(Run())
            continue
        more = last - int(start[last]) + 1
        if carried[last]:
            more = run.rows + int(sizes[place])
        rests.append(Run(float(begun[last]), more, float(at_s[last])))
    return np.where(true, at_s - begun, -1.0), rests


def watched(
    fleet: Fleet, rows: Readings, jumped: Bools, resting: Bools, rested_s: Floats
) -> list[Watched]:
    """What `rules.check` holds against limits, but for the runaway."""
    limits = fleet.limits
    passed = rows.at_s - fleet.before(rows.at_s, [state.last_s for state in fleet.states])
    rested = fleet.before(
        resting.astype(float), [float(state.rest.rows > 0) for state in fleet.states]
    )
    gap = np.where((rested > 0) | np.isinf(passed), 0.0, passed / limits.clock_gap_s)
    return [
        *rules.voltages(rows, limits),
        rules.spread(rows, rested_s, limits),
        *rules.temperatures(rows, limits),
        rules.insulation(rows, limits),
        *rules.data(rows, jumped, gap, limits),
    ]


def loud(fleet: Fleet, one: Watched) -> Bools:
    """Packs with a value beyond a limit."""
    beyond = np.zeros(len(one.values), bool)
    for level in one.levels:
        beyond |= is_beyond(one.values, level)
    return fleet.any(beyond) if beyond.any() else np.zeros(len(fleet.states), bool)


def begun(fleet: Fleet, judged: list[Watched]) -> list[dict[AlarmKind, Standing]]:
    """Where the alarms of calm packs stand: as before; and idle those of values that a pack never
    showed before, or that are held against a limit for the first time."""
    found = [state.levels for state in fleet.states]
    for one in judged:
        expected = [level.severity for level in one.levels]
        new = np.array([not_carried(levels, one.kind, expected) for levels in found])
        if not expected or not new.any():
            continue
        for place in np.flatnonzero(new & fleet.any(~np.isnan(one.values))).tolist():
            before = found[place].get(one.kind, IDLE)
            holds = {severity: before.holds.get(severity, Hold()) for severity in expected}
            found[place] = found[place] | {one.kind: Standing(holds, before.told, before.cell)}
    return found


def is_beyond(values: Floats, level: Level) -> Bools:
    return np.asarray(values > level.limit if level.is_above else values < level.limit)


def not_carried(
    levels: Mapping[AlarmKind, Standing], kind: AlarmKind, expected: list[AlarmSeverity]
) -> bool:
    standing = levels.get(kind)
    return standing is None or list(standing.holds) != expected


def charges(fleet: Fleet, rows: Readings) -> tuple[list[Hour], Bools]:
    """The hour that goes on of each pack, and in which packs no hour's state of charge contradicts
    the current (`quality.state_of_charge`)."""
    hours = [state.hour for state in fleet.states]
    agrees = np.ones(len(hours), bool)
    pack = np.repeat(np.arange(len(hours)), fleet.lasts - fleet.firsts + 1)
    known = np.flatnonzero(~np.isnan(rows.soc_percent) & ~np.isnan(rows.current_a))
    if not len(known):
        return hours, agrees
    pack, at_s = pack[known], rows.at_s[known]
    soc, current = rows.soc_percent[known], rows.current_a[known]
    number = np.floor(at_s / HOUR_S).astype(int)
    new_pack = np.diff(pack, prepend=-1) != 0
    starts = np.flatnonzero(new_pack | (np.diff(number, prepend=number[0]) != 0))
    ends = np.append(starts[1:], len(known)) - 1
    of_pack = pack[starts]
    # The first hour of a pack may be the one that goes on.
    begun = np.array([NO_HOUR if one.hour is None else one.hour for one in hours])
    goes_on = new_pack[starts] & (number[starts] == begun[of_pack])
    held = [hours[place] for place in of_pack[goes_on].tolist()]
    passed = np.diff(at_s, prepend=np.nan)
    amperes = np.concatenate([[np.nan], current[:-1]])
    passed[starts], amperes[starts] = np.nan, np.nan
    passed[starts[goes_on]] = at_s[starts[goes_on]] - [one.at_s for one in held]
    amperes[starts[goes_on]] = [one.current_a for one in held]
    flowed = (current + amperes) / 2 * passed / 3600
    flowed = np.where(passed <= LONGEST_INTERVAL_S, flowed, 0.0)
    carried, first = np.zeros(len(starts)), soc[starts]
    carried[goes_on], first[goes_on] = [one.ah for one in held], [one.soc_first for one in held]
    ah = totals(flowed, starts, ends, carried)
    last = np.append(new_pack[starts][1:], True)
    against = contradicts(soc[ends] - first, ah, fleet.limits) & ~last
    agrees[of_pack[against]] = False
    # An hour that was carried ends with the first row of another.
    for place in of_pack[new_pack[starts] & ~goes_on].tolist():
        before = hours[place]
        points = before.soc_last - before.soc_first
        agrees[place] &= not contradicts(np.array(points), np.array(before.ah), fleet.limits)
    for n in np.flatnonzero(last).tolist():
        end = int(ends[n])
        hours[int(of_pack[n])] = Hour(
            int(number[end]),
            float(first[n]),
            float(soc[end]),
            float(ah[n]),
            float(at_s[end]),
            float(current[end]),
            hours[int(of_pack[n])].is_open,
        )
    return hours, agrees


def contradicts(points: Floats, ah: Floats, limits: Limits) -> Bools:
    far = np.abs(points) >= limits.contradiction_soc_points
    return np.asarray(far & (np.abs(ah) >= LEAST_AH) & (points * ah < 0))


def totals(flowed: Floats, starts: Places, ends: Places, begun: Floats) -> Floats:
    """Sums of stretches, added up one after the other, so that portions give the same number as
    the whole."""
    sizes = ends - starts + 1
    longest = int(sizes.max())
    if longest * len(starts) > MOST_PADDING * len(flowed):
        parts = zip(starts.tolist(), ends.tolist(), begun.tolist(), strict=True)
        return np.array(
            [np.cumsum(np.concatenate([[x], flowed[a : b + 1]]))[-1] for a, b, x in parts]
        )
    padded = np.zeros((longest + 1, len(starts)))
    padded[0] = begun
    stretch = np.repeat(np.arange(len(starts)), sizes)
    padded[np.arange(len(flowed)) - starts[stretch] + 1, stretch] = flowed
    return np.asarray(np.cumsum(padded, axis=0)[-1])
