"""Alarms by a limit: the value must hold beyond it for a time, and be back for a time.

Rows come in any portions; what is carried from one to the next makes the answer that of all rows
at once.
"""

import math

import msgspec
import numpy as np

from leasing.alarms.model import Bools, Change, Floats
from schemas.alarms import AlarmKind, AlarmSeverity

MAX_GAP_S = 3600
"""Over a longer silence nobody knows whether it held."""


class Run(msgspec.Struct, frozen=True, array_like=True):
    """How long something holds by now: since when, in how many rows, and when it was last seen."""

    since_s: float = math.nan
    rows: int = 0
    last_s: float = math.nan


class Hold(msgspec.Struct, frozen=True, array_like=True):
    """Where one limit stands."""

    beyond: Run = Run()
    back: Run = Run()
    is_open: bool = False

    @property
    def is_idle(self) -> bool:
        return not self.is_open and self.beyond.rows == 0


class Dwell(msgspec.Struct, frozen=True):
    """How long it takes to raise and to end."""

    raise_s: float
    end_s: float
    rows: int = 2


def lengths(
    at_s: Floats, true: Bools, run: Run, max_gap_s: float = MAX_GAP_S
) -> tuple[Floats, Floats, Run]:
    """For each row how long, and in how many rows, a condition has held; zero rows where not."""
    rows = len(at_s)
    before = np.concatenate([[run.last_s], at_s[:-1]])
    follows = np.concatenate([[run.rows > 0], true[:-1]]) & (at_s - before <= max_gap_s)
    position = np.arange(rows)
    start = np.maximum.accumulate(np.where(true & ~follows, position, -1))
    begun = np.where(start >= 0, at_s[start], run.since_s)
    counted = np.where(start >= 0, position - start + 1, run.rows + position + 1)
    held = np.where(true, at_s - begun, -1.0)
    counted = np.where(true, counted, 0).astype(float)
    if not true[-1]:
        return held, counted, Run()
    return held, counted, Run(float(begun[-1]), int(counted[-1]), float(at_s[-1]))


def turns(
    at_s: Floats, beyond: Bools, back: Bools, hold: Hold, dwell: Dwell
) -> tuple[list[tuple[int, bool]], Hold]:
    """The rows at which a limit's alarm begins (True) and ends (False)."""
    if len(at_s) == 0 or (hold.is_idle and not beyond.any()):
        return [], hold
    held, counted, on = lengths(at_s, beyond, hold.beyond)
    begins = np.flatnonzero((held >= dwell.raise_s) & (counted >= dwell.rows))
    held, counted, off = lengths(at_s, back, hold.back)
    ends = np.flatnonzero((held >= dwell.end_s) & (counted >= 1))
    found: list[tuple[int, bool]] = []
    is_open, at = hold.is_open, -1
    while True:
        following = ends if is_open else begins
        place = int(np.searchsorted(following, at, side="right"))
        if place == len(following):
            return found, Hold(on, off, is_open)
        at, is_open = int(following[place]), not is_open
        found.append((at, is_open))


class Level(msgspec.Struct, frozen=True):
    """One limit of an alarm. `is_above`: beyond is higher."""

    severity: AlarmSeverity
    limit: float
    is_above: bool
    hysteresis: float


RANK = {AlarmSeverity.INFO: 1, AlarmSeverity.WARN: 2, AlarmSeverity.CRITICAL: 3}


class Standing(msgspec.Struct, frozen=True, array_like=True):
    """Where an alarm with its levels stands."""

    holds: dict[AlarmSeverity, Hold] = {}
    told: AlarmSeverity | None = None
    cell: int | None = None
    """The one that it began with."""


IDLE = Standing()


def judge(
    kind: AlarmKind,
    levels: list[Level],
    at_s: Floats,
    values: Floats,
    cells: Floats | None,
    standing: Standing,
    dwell: Dwell,
) -> tuple[list[Change], Standing]:
    """Hold values against limits. Rows whose value is missing are passed over: they neither raise
    nor end anything. `cells` names the cell of each value."""
    known = ~np.isnan(values)
    if not known.any() or not levels:
        return [], standing
    at_s, values = at_s[known], values[known]
    steps: list[tuple[int, bool, Level]] = []
    holds = {}
    for level in levels:
        sign = 1 if level.is_above else -1
        over = sign * (values - level.limit)
        hold = standing.holds.get(level.severity, Hold())
        found, holds[level.severity] = turns(at_s, over > 0, over <= -level.hysteresis, hold, dwell)
        steps += [(row, opened, level) for row, opened in found]
    if not steps:
        return [], Standing(holds, standing.told, standing.cell)
    return tell(kind, steps, at_s, values, None if cells is None else cells[known], standing, holds)


def tell(
    kind: AlarmKind,
    steps: list[tuple[int, bool, Level]],
    at_s: Floats,
    values: Floats,
    cells: Floats | None,
    standing: Standing,
    holds: dict[AlarmSeverity, Hold],
) -> tuple[list[Change], Standing]:
    """One alarm of several levels: it begins, grows, and ends when the last level does."""
    is_open = {severity for severity, hold in standing.holds.items() if hold.is_open}
    told, cell = standing.told, standing.cell
    changes = []
    for row, opened, level in sorted(steps, key=lambda step: (step[0], RANK[step[2].severity])):
        (is_open.add if opened else is_open.discard)(level.severity)
        if told is None:
            cell = None if cells is None else int(cells[row])
        if opened and (told is None or RANK[level.severity] > RANK[told]):
            told = level.severity
        elif not is_open and told is not None:
            told = None
        else:
            continue
        value, limit = float(values[row]), level.limit
        changes.append(Change(float(at_s[row]), kind, told, cell, value, limit))
    return changes, Standing(holds, told, cell)
