"""Cycles left until a cell or pack holds 80 % of its rated capacity.

Two lines, each wrong in its own way: one through the last third of what was seen knows of a knee
and believes in noise, one from the beginning knows of no knee. What both are off by is learned
for each family from units that were seen to the end, and their logarithms are averaged (health.md
3.7: own slope and fleet prior in logarithms). The interval is a factor, for that is how such
errors are.

What it cannot do: foresee a knee that no unit of the family had. A family never seen to the end
gets the recent line alone and a wider interval.
"""

from math import exp, log, sqrt
from typing import NamedTuple

import numpy as np

from leasing.health.estimators import conformal
from leasing.health.estimators.model import (
    Array,
    Parameters,
    Prediction,
    Table,
    column,
    names,
    require,
    rows_of,
)

TASK = "fade_rul"
COLUMNS = ("unit", "cycle", "soh_pct")
CUTS = (95, 90, 87, 85)
END_PCT = 80.0
MEDIAN = 9
RECENT = 0.3
POINTS = 300
"""Theil-Sen on no more points than these: pairs grow with the square."""
PRIOR_UNITS = 0.5
"""A family counts for as many units as it has, all families together for this many."""
SLOWEST = 1e-5
"""Points a cycle: no unit is said to live a million cycles."""


class Case(NamedTuple):
    """One unit at one cut: cycles by the recent line and by the whole one; the truth if known."""

    unit: str
    family: str
    cut: int
    recent: float
    whole: float
    left: float | None


class Correction(NamedTuple):
    """Logarithms of what the lines are to be multiplied by at one cut."""

    recent: float
    whole: float


class Model(NamedTuple):
    """`families` by family and cut; `fleet_half` and `family_half` are halves of 90 % intervals of
    the logarithm, without and with a known family."""

    families: dict[str, dict[int, Correction]]
    family_half: float
    fleet_half: float


def running_median(soh_pct: Array) -> Array:
    """Median of nine, centred; of fewer at either end.

    >>> running_median(np.array([100.0, 99.0, 50.0, 98.0, 97.0, 96.0, 95.0]))
    array([98. , 97.5, 97. , 97. , 97. , 96.5, 96. ])
    """
    half = MEDIAN // 2
    padded = np.pad(soh_pct, half, constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, MEDIAN)
    found: Array = np.nanmedian(windows, axis=1)
    return found


def first_at(smoothed: Array, level: float) -> int | None:
    """The first place at or below a level."""
    below = smoothed <= level
    return int(np.argmax(below)) if below.any() else None


def theil_sen(x: Array, y: Array) -> float:
    """The median of the slopes between all pairs of points: half of them may be wrong by anything.

    Sen, J. American Statistical Association 63 (1968) 1379.
    """
    if len(x) > POINTS:
        step = -(-len(x) // POINTS)
        x, y = x[::step], y[::step]
    i, j = np.triu_indices(len(x), 1)
    return float(np.median((y[j] - y[i]) / (x[j] - x[i])))


def lines(soh_pct: Array, cut: float) -> tuple[float, float]:
    """Cycles from the last of `soh_pct`, which stands at `cut`, until 80 %: by a line through the
    last 30 %, and by one from the beginning."""
    smoothed = running_median(soh_pct)
    count = len(smoothed)
    recent = np.arange(int(count * (1 - RECENT)), count)
    slope = max(-theil_sen(recent.astype(np.float64), smoothed[recent]), SLOWEST)
    begun = float(np.median(soh_pct[:MEDIAN]))
    whole = max(begun - cut, 0.5) / max(count - 1, 1)
    return (cut - END_PCT) / slope, (cut - END_PCT) / whole


def cases(table: Table) -> list[Case]:
    """Every unit at every cut it reached. What comes after the cut is looked at for the truth
    alone."""
    require(table, COLUMNS, TASK)
    cycles, soh = column(table, "cycle"), column(table, "soh_pct")
    found = []
    for unit, rows in rows_of(names(table, "unit")).items():
        ordered = rows[np.argsort(cycles[rows], kind="stable")]
        own, at = soh[ordered], cycles[ordered]
        smoothed = running_median(own)
        end = first_at(smoothed, END_PCT)
        for cut in CUTS:
            k = first_at(smoothed, cut)
            # A line needs points. One that begins below the cut has no history.
            if k is None or k < 2 * MEDIAN:
                continue
            recent, whole = lines(own[: k + 1], cut)
            left = None if end is None else float(at[end] - at[k])
            found.append(Case(unit, unit.split("/")[0], cut, recent, whole, left))
    return found


def _corrections(known: list[Case]) -> dict[str, dict[int, Correction]]:
    """Shrunk towards what all families have in common at a cut."""
    found: dict[str, dict[int, Correction]] = {}
    for cut in CUTS:
        at = [c for c in known if c.cut == cut]
        if not at:
            continue
        fleet = _off(at)
        for family in sorted({c.family for c in at}):
            mine = [c for c in at if c.family == family]
            own, weight = _off(mine), len(mine) / (len(mine) + PRIOR_UNITS)
            found.setdefault(family, {})[cut] = Correction(
                *(weight * a + (1 - weight) * b for a, b in zip(own, fleet, strict=True))
            )
    return found


def _off(some: list[Case]) -> Correction:
    return Correction(
        float(np.median([log((c.left or 1) / c.recent) for c in some])),
        float(np.median([log((c.left or 1) / c.whole) for c in some])),
    )


def estimate(case: Case, families: dict[str, dict[int, Correction]]) -> tuple[float, bool]:
    """Logarithm of the cycles left, and whether the family is known."""
    correction = families.get(case.family, {}).get(case.cut)
    if correction is None:
        return log(case.recent), False
    by_recent = log(case.recent) + correction.recent
    by_whole = log(case.whole) + correction.whole
    return (by_recent + by_whole) / 2, True


def fit(table: Table) -> Model:
    """Corrections from the units that were seen to the end; intervals from units left out, and
    from whole families left out."""
    known = [c for c in cases(table) if c.left]
    within, without = [], []
    for case in known:
        others = _corrections([c for c in known if c.unit != case.unit])
        foreign = _corrections([c for c in known if c.family != case.family])
        truth = log(case.left or 1)
        within.append(estimate(case, others)[0] - truth)
        without.append(estimate(case, foreign)[0] - truth)
    units = len({c.unit for c in known})
    wide = conformal.student(units - 1) * sqrt(1 + 1 / units)
    return Model(
        _corrections(known),
        family_half=wide * float(np.sqrt(np.mean(np.square(within)))),
        fleet_half=wide * float(np.sqrt(np.mean(np.square(without)))),
    )


def predict(table: Table, model: Model) -> list[Prediction]:
    """Cycles left at every cut that a unit reached; index is the cut, protocol `from_95pct` …"""
    found = []
    for case in cases(table):
        value, known = estimate(case, model.families)
        half = model.family_half if known else model.fleet_half
        found.append(
            Prediction(
                case.unit,
                case.cut,
                exp(value),
                exp(value - half),
                exp(value + half),
                f"from_{case.cut}pct",
            )
        )
    return found


def dump(model: Model) -> Parameters:
    return {
        "families": {
            family: {str(cut): [round(v, 6) for v in one] for cut, one in by_cut.items()}
            for family, by_cut in model.families.items()
        },
        "family_half": round(model.family_half, 6),
        "fleet_half": round(model.fleet_half, 6),
    }


def load(parameters: Parameters) -> Model:
    families = {
        family: {int(cut): Correction(*one) for cut, one in by_cut.items()}
        for family, by_cut in parameters["families"].items()  # type: ignore[attr-defined]
    }
    halves = (float(str(parameters[name])) for name in ("family_half", "fleet_half"))
    return Model(families, *halves)
