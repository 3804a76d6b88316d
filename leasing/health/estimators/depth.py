"""What a check discharge (核对性放电) that is broken off can tell of an LFP pack's capacity.

A site must stay safe, so a check discharge often takes 30 or 40 % and stops. On the flat part of
an LFP curve that bounds the capacity only roughly; how roughly was measured by the depth of the
piece (health.md 3.4, 102 Ah cells in their own condition). To the end voltage it is a
measurement.
"""

from typing import NamedTuple

COVER = 1.645

# Up to which depth (share of the rated capacity), and one sigma in points of state of health.
# The first is what 25 to 40 of 102 Ah were off by (3.65 Ah root mean square, health.md 3.5);
# shallower ones were a third worse, deeper ones better in the proportion of their medians.
SIGMAS = ((0.25, 4.9), (0.40, 3.6), (0.55, 2.6), (0.80, 1.2))
TO_THE_END = 1.0


class Bounds(NamedTuple):
    """State of health in percent of rated: 90 % bounds, and half their distance."""

    lower: float
    upper: float
    half_points: float


def sigma_points(depth: float) -> float:
    """One sigma, in points, of a state of health from a discharge to this depth (share of rated).

    Raises ValueError for a depth that is none.
    """
    if not 0 < depth <= 1.2:
        raise ValueError(f"a check discharge takes part of the rated capacity, not {depth:g} of it")
    return next((sigma for limit, sigma in SIGMAS if depth <= limit), TO_THE_END)


def bounds(soh_percent: float, depth: float, taken_ah: float, rated_ah: float) -> Bounds:
    """Bounds on the state of health after a check discharge.

    `soh_percent` is what matching with reference curves said, `depth` the share of the rated
    capacity that was taken, `taken_ah` the charge. What was taken was there: the lower bound is
    never below it.

    >>> bounds(82.0, 0.35, 35.0, 100.0)
    Bounds(lower=76.078, upper=87.922, half_points=5.922)
    """
    half = round(COVER * sigma_points(depth), 3)
    lower = max(soh_percent - half, 100 * taken_ah / rated_ah)
    return Bounds(round(lower, 3), round(max(soh_percent + half, lower), 3), half)


def decides(found: Bounds, guarantee_percent: float) -> bool:
    """Whether a breach or a pass can be told from it at all (health.md 3.9)."""
    return found.upper < guarantee_percent or found.lower >= guarantee_percent
