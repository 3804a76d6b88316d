"""Self-discharge of a battery at rest, from how its voltage sinks over weeks.

Float and rest carry no capacity, but a cell that loses charge by itself shows it: over months its
rest voltage sinks. Readings of one day err together, days scatter by the weather, and the first
month after a charge is relaxation. So: the median of every day, the slope by Theil and Sen, which
half of the days may spoil, and its interval by drawing whole stretches of days anew (block
bootstrap, Künsch, Annals of Statistics 17 (1989) 1217).
"""

from typing import NamedTuple

import numpy as np

from leasing.health.estimators.fade import theil_sen
from leasing.health.estimators.model import Array

RELAXATION_DAYS = 30.0
MIN_DAYS = 30
BLOCK_DAYS = 7
DRAWS = 400
SEED = 20220916
"""Fixed, so that the same readings give the same interval."""


class Drift(NamedTuple):
    """Millivolts per day (negative is sinking) with its 90 % interval; days it rests on."""

    mv_per_day: float
    lower: float
    upper: float
    days: int


def daily_medians(days: Array, voltage_v: Array) -> tuple[Array, Array]:
    """Whole days and the median voltage of each; `days` are days since the battery was charged."""
    whole = np.floor(days)
    found = np.unique(whole)
    return found, np.array([np.median(voltage_v[whole == day]) for day in found])


def drift(
    days: Array, voltage_v: Array, skip_days: float = RELAXATION_DAYS, min_days: int = MIN_DAYS
) -> Drift | None:
    """How the rest voltage of one battery or cell sinks; None for less than 30 days after the
    30 that it relaxes. Whether that is too fast is for `leasing.alarms.slow` to say.

    `days` are days since it was charged, `voltage_v` readings at rest in V.

    >>> days = np.arange(30.0, 75.0, 0.25)
    >>> round(drift(days, 13.3 - 0.001 * days).mv_per_day, 3)
    -1.0
    """
    known = (days >= skip_days) & np.isfinite(voltage_v)
    if not known.any():
        return None
    day, volts = daily_medians(days[known], voltage_v[known])
    if len(day) < min_days:
        return None
    slope = 1000 * theil_sen(day, volts)
    residuals = volts - slope / 1000 * day
    residuals -= np.median(residuals)
    random = np.random.default_rng(SEED)
    blocks = -(-len(day) // BLOCK_DAYS)
    starts = random.integers(0, len(day) - BLOCK_DAYS + 1, size=(DRAWS, blocks))
    drawn = (starts[:, :, None] + np.arange(BLOCK_DAYS)).reshape(DRAWS, -1)[:, : len(day)]
    slopes = [1000 * theil_sen(day, slope / 1000 * day + residuals[one]) for one in drawn]
    low, high = np.quantile(slopes, (0.05, 0.95))
    return Drift(slope, float(low), float(high), len(day))
