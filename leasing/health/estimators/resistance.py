"""Resistance of a pack from steps of its load: R = ΔV/ΔI within a few seconds.

Between check discharges it tells when one is due: at the same temperature and state of charge, a
fifth above where it began orders a test (health.md 3.5). It says nothing of capacity by itself.
"""

from typing import NamedTuple

import numpy as np

from leasing.health.estimators.model import Array

WITHIN_S = 5.0
STEP_C = 0.1
"""Steps of at least this many C; a smaller one drowns in the noise of the sensors."""
MIN_STEPS = 5
WARN = 1.20
END_OF_LIFE = 2.0
COVER = 1.645


class Resistance(NamedTuple):
    """Milliohms of the pack with a 90 % interval, and how many steps it rests on."""

    milliohm: float
    lower: float
    upper: float
    steps: int


def steps(t_s: Array, voltage_v: Array, current_a: Array, rated_ah: float) -> Array:
    """Milliohms of every step of the load, in order. Charge and discharge may have either sign, as
    long as the voltage rises with the current. A step that did not is left out.

    >>> t = np.arange(4.0)
    >>> steps(t, np.array([53.0, 53.0, 52.0, 52.0]), np.array([0.0, 0.0, -50.0, -50.0]), 100.0)
    array([20.])
    """
    amperes, volts = np.diff(current_a), np.diff(voltage_v)
    near = (np.diff(t_s) > 0) & (np.diff(t_s) <= WITHIN_S)
    stepped = near & (np.abs(amperes) >= STEP_C * rated_ah) & (volts * amperes > 0)
    found: Array = 1000 * volts[stepped] / amperes[stepped]
    return found


def resistance(
    t_s: Array, voltage_v: Array, current_a: Array, rated_ah: float
) -> Resistance | None:
    """The median over steps; None for fewer than five. The interval is that of a median, from the
    spread of the steps (1.4826 of the median deviation, times 1.2533 over the root of n)."""
    found = steps(t_s, voltage_v, current_a, rated_ah)
    if len(found) < MIN_STEPS:
        return None
    middle = float(np.median(found))
    spread = 1.4826 * float(np.median(np.abs(found - middle)))
    half = COVER * 1.2533 * spread / float(np.sqrt(len(found)))
    return Resistance(middle, middle - half, middle + half, len(found))


def orders_test(now: Resistance, baseline: Resistance) -> bool:
    """Whether resistance rose by a fifth beyond doubt, at equal temperature and state of charge."""
    return now.lower > WARN * baseline.upper
