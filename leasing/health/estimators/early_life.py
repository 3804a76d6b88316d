"""Life of an LFP cell in cycles, told after its first hundred.

How the discharge curve of cycle 100 differs from that of cycle 10, voltage by voltage, tells life
long before capacity does (Severson et al., Nature Energy 4 (2019) 383: the variance of the
difference). Two estimates are averaged in logarithms: the line through the logarithm of that
variance, which holds when cells are unlike those seen, and a ridge regression on the square roots
of the difference at fifty voltages, which knows more when they are alike (after Attia et al., J.
Electrochem. Soc. 168 (2021) 080547, who found square roots and linear models to do as well as
anything).

What it cannot do: speak of other cells than 1.1 Ah LFP, or other cycles than 10 and 100.
"""

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

TASK = "severson_early_life"
COLUMNS = ("unit", "cycle", "v_index", "discharge_capacity_ah")
EARLY, LATE = 10, 100
GRID = 1000
VOLTAGES = 50
RIDGE = 1.0
BEYOND = 1.0
"""Curves are clipped this far outside of what was seen, in widths of what was seen."""


class Model(NamedTuple):
    """Logarithms (base 10) of life: slope and start over the logarithm of the variance; the
    ridge's weights on roots that were clipped, centred, scaled. `half` is half of the 90 %
    interval in multiples of `doubt`, `doubt` grows with how unlike a curve is."""

    slope: float
    start: float
    weights: Array
    centre: Array
    spread: Array
    low: Array
    high: Array
    mean: float
    half: float = 1.0


def differences(table: Table) -> dict[str, Array]:
    """ΔQ, cycle 100 less cycle 10, at a thousand voltages from 3.5 down to 2.0 V, by unit. A unit
    that lacks a point of either is left out."""
    require(table, COLUMNS, TASK)
    cycles, index = np.asarray(table["cycle"]), np.asarray(table["v_index"])
    moved = column(table, "discharge_capacity_ah")
    found = {}
    for unit, rows in rows_of(names(table, "unit")).items():
        curves = np.full((2, GRID), np.nan)
        for curve, cycle in zip(curves, (EARLY, LATE), strict=True):
            at = rows[cycles[rows] == cycle]
            inside = at[(index[at] >= 0) & (index[at] < GRID)]
            curve[index[inside].astype(np.intp)] = moved[inside]
        difference = curves[1] - curves[0]
        if np.isfinite(difference).all() and np.ptp(difference) > 0:
            found[unit] = difference
    return found


def _roots(difference: Array) -> Array:
    picked = difference[..., :: GRID // VOLTAGES]
    found: Array = np.sign(picked) * np.sqrt(np.abs(picked))
    return found


def _variance(difference: Array) -> Array:
    found: Array = np.log10(np.var(difference, axis=-1))
    return found


def _fit(difference: Array, life: Array) -> Model:
    roots, labels = _roots(difference), np.log10(life)
    slope, start = np.polyfit(_variance(difference), labels, 1)
    centre, spread = roots.mean(axis=0), np.maximum(roots.std(axis=0), 1e-4)
    scaled, mean = (roots - centre) / spread, float(labels.mean())
    inner = scaled.T @ scaled + RIDGE * np.eye(VOLTAGES)
    return Model(
        slope=float(slope),
        start=float(start),
        weights=np.linalg.solve(inner, scaled.T @ (labels - mean)),
        centre=centre,
        spread=spread,
        low=roots.min(axis=0) - BEYOND * np.ptp(roots, axis=0),
        high=roots.max(axis=0) + BEYOND * np.ptp(roots, axis=0),
        mean=mean,
    )


def apply(model: Model, difference: Array) -> tuple[Array, Array]:
    """Logarithm of life, and how far the two estimates are apart."""
    by_variance = model.slope * _variance(difference) + model.start
    clipped = np.clip(_roots(difference), model.low, model.high)
    by_curve = (clipped - model.centre) / model.spread @ model.weights + model.mean
    found: Array = (by_variance + by_curve) / 2
    return found, np.abs(by_variance - by_curve)


LEAST_DOUBT = 0.08
"""Sigma of the logarithm at its best; half the distance of the two estimates is added to it."""


def doubt(apart: Array) -> Array:
    found: Array = np.hypot(LEAST_DOUBT, apart / 2)
    return found


def fit(table: Table, life: dict[str, float]) -> Model:
    """Fit on all units; the interval from units left out one by one."""
    found = {unit: d for unit, d in differences(table).items() if unit in life}
    units = np.array(list(found))
    curves, lives = np.stack(list(found.values())), np.array([life[unit] for unit in found])
    scores = np.empty(len(units))
    for k in range(len(units)):
        others = np.arange(len(units)) != k
        value, apart = apply(_fit(curves[others], lives[others]), curves[k : k + 1])
        scores[k] = np.abs(value - np.log10(lives[k]))[0] / doubt(apart)[0]
    return _fit(curves, lives)._replace(half=conformal.quantile(scores, units))


def predict(table: Table, model: Model) -> list[Prediction]:
    """Cycles until 80 % of every unit; index is 0."""
    found = []
    for unit, difference in differences(table).items():
        value, apart = apply(model, difference[None, :])
        half = model.half * doubt(apart)
        low, at, high = (float(10 ** v[0]) for v in (value - half, value, value + half))
        found.append(Prediction(unit, 0, at, low, high))
    return found


ARRAYS = ("weights", "centre", "spread", "low", "high")


def dump(model: Model) -> Parameters:
    plain = {k: float(f"{v:.9g}") for k, v in model._asdict().items() if k not in ARRAYS}
    return plain | {k: [float(f"{float(v):.9g}") for v in getattr(model, k)] for k in ARRAYS}


def load(parameters: Parameters) -> Model:
    arrays = {k: np.array(parameters[k], dtype=np.float64) for k in ARRAYS}
    plain = {k: float(str(v)) for k, v in parameters.items() if k not in ARRAYS}
    return Model(**plain, **arrays)  # type: ignore[arg-type]
