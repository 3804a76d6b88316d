"""State of health of a retired LFP cell from one pulse test, its state of charge unknown.

The test (health.md 3.6): rest, then for each of five rates a 5 s charge pulse, a rest, a 5 s
discharge pulse, a rest. What resists at once, what polarises within seconds and what relaxes
after tells how worn the cell is, and the voltage at rest tells where on its curve it stands,
which decides how the rest is to be read. So the regression must let everything depend on
everything, smoothly: a Gaussian process per cell type, with a linear and a smooth part (Rasmussen
and Williams, Gaussian Processes for Machine Learning, 2006, ch. 2 and 8.3.4: projected process
with a subset of rows).

What it cannot do: say anything of a type it was not fitted on, or at another temperature than 25
°C. A pulse unlike all it has seen is left without an answer.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

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

TASK = "pulse_retired_lfp"
VOLTS = tuple(f"u{k}" for k in range(1, 42))
PHI = ("phi_0.5c", "phi_1c", "phi_1.5c", "phi_2c", "phi_2.5c")
RATES = np.array([0.5, 1.0, 1.5, 2.0, 2.5])
REST_WEIGHT = 3.0
"""How much more two pulses are set apart by their rest voltage than by any other feature."""

INDUCING = 360
"""Rows that stand for all of a type. The file of parameters stays below 200 kB."""
FOLDS = 10
STEPS = (1.5, 0.6)
"""By how much the logarithms of the kernel's parameters are moved while they are sought."""
START = (5.0, 4.0, 0.5, -2.0)
BOUND = 9.0
BEYOND = 0.5
"""Features are clipped this far outside of what was seen, in widths of what was seen. The linear
part holds a little further out; clipped at the edge, the most worn cell of all looks average."""
CLIPPED_SHARE = 0.2
"""With more of its features clipped a pulse is not judged."""
SOH_RANGE = (0.0, 1.2)


class Kernel(NamedTuple):
    """Logarithms: variance of the linear part, of the smooth part, its length, the noise."""

    linear: float
    smooth: float
    length: float
    noise: float

    def between(self, a: Array, b: Array) -> Array:
        """Covariances (rows of a, rows of b) in units of the labels' variance."""
        width = a.shape[1]
        far = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None, :] - 2 * a @ b.T
        smooth = np.exp(self.smooth - np.maximum(far, 0.0) / (2 * np.exp(2 * self.length) * width))
        found: Array = 1.0 + np.exp(self.linear) * (a @ b.T) / width + smooth
        return found

    def at(self, a: Array) -> Array:
        """The diagonal of `between(a, a)`."""
        found: Array = (
            1.0 + np.exp(self.linear) * (a**2).mean(axis=1) + np.exp(self.smooth) * np.ones(len(a))
        )
        return found


class Model(NamedTuple):
    """One cell type. Labels are (soh - mean) / scale; features are clipped, centred, scaled."""

    kernel: Kernel
    rows: Array
    """Inducing rows as measured: 41 volts, 5 values of phi."""
    weights: Array
    centre: Array
    spread: Array
    low: Array
    high: Array
    mean: float
    scale: float
    half: float = 1.0
    """Half of a 90 % interval, in sigmas of the process."""


def features(measured: Array) -> Array:
    """86 features (rows, features) of 46 measured values (rows, 41 volts and 5 phi).

    Rest voltage; the eight steps of each amplitude and phi, divided by the rate: ohmic step,
    polarisation, ohmic step back, relaxation, and again for the discharge pulse; how unlike charge
    and discharge are; where the cell came to rest against where it began.
    """
    volts, phi = measured[:, :41], measured[:, 41:]
    rest = volts[:, :1]
    tests = volts[:, 1:].reshape(-1, 5, 8)
    before = np.concatenate([rest, volts[:, 8:-1:8]], axis=1)
    steps = np.diff(np.concatenate([before[:, :, None], tests], axis=2), axis=2)
    unlike = tests[:, :, 1] + tests[:, :, 5] - 2 * rest
    rested = tests[:, :, [3, 7]] - rest[:, :, None]
    parts = (
        rest,
        (steps / RATES[None, :, None]).reshape(len(volts), -1),
        phi / RATES,
        unlike,
        rested.reshape(len(volts), -1),
    )
    return np.concatenate(parts, axis=1)


def measured(table: Table) -> Array:
    return np.stack([column(table, name) for name in VOLTS + PHI], axis=1)


# Fitting


def _scaled(found: Array, model: Model) -> Array:
    clipped = np.clip(found, model.low, model.high)
    scaled: Array = (clipped - model.centre) / model.spread
    scaled[:, 0] *= REST_WEIGHT
    return scaled


def _empty(found: Array, soh: Array, kernel: Kernel) -> Model:
    return Model(
        kernel=kernel,
        rows=np.empty((0, 46)),
        weights=np.empty(0),
        centre=found.mean(axis=0),
        spread=np.maximum(found.std(axis=0), 1e-9),
        low=found.min(axis=0) - BEYOND * np.ptp(found, axis=0),
        high=found.max(axis=0) + BEYOND * np.ptp(found, axis=0),
        mean=float(soh.mean()),
        scale=float(soh.std()),
    )


def left_out_errors(scaled: Array, labels: Array, units: NDArray[np.str_], kernel: Kernel) -> Array:
    """Errors of the exact process with each unit left out whole, without fitting it anew: for the
    block b of a unit, (K⁻¹)_bb⁻¹ (K⁻¹ y)_b (Rasmussen and Williams, section 5.4.2, by blocks)."""
    covariance = kernel.between(scaled, scaled)
    covariance[np.diag_indices_from(covariance)] += np.exp(kernel.noise)
    inverse = np.linalg.inv(covariance)
    pulled = inverse @ labels
    errors = np.empty(len(labels))
    for block in rows_of(units).values():
        errors[block] = np.linalg.solve(inverse[np.ix_(block, block)], pulled[block])
    return errors


def seek(scaled: Array, labels: Array, units: NDArray[np.str_]) -> Kernel:
    """The kernel that errs least on units left out, by moving one parameter at a time."""

    def cost(values: tuple[float, ...]) -> float:
        return float((left_out_errors(scaled, labels, units, Kernel(*values)) ** 2).mean())

    best: tuple[float, ...] = START
    least = cost(best)
    for step in STEPS:
        for _ in range(2):
            for k in range(len(best)):
                for move in (step, -step):
                    while True:
                        there = tuple(v + move * (j == k) for j, v in enumerate(best))
                        if abs(there[k]) > BOUND or (found := cost(there)) >= least * 0.9995:
                            break
                        best, least = there, found
    return Kernel(*best)


def _inducing(scaled: Array, kernel: Kernel) -> NDArray[np.intp]:
    """The rows that leave least unexplained, one after the other (pivoted Cholesky)."""
    left = kernel.at(scaled)
    chosen: list[int] = []
    factors = np.zeros((0, len(scaled)))
    for _ in range(min(INDUCING, len(scaled))):
        k = int(np.argmax(left))
        if left[k] < 1e-8:
            break
        row = kernel.between(scaled[k : k + 1], scaled)[0] - factors[:, k] @ factors
        row /= np.sqrt(left[k])
        factors = np.concatenate([factors, row[None, :]])
        left = np.maximum(left - row**2, 0.0)
        left[k] = 0.0
        chosen.append(k)
    return np.array(sorted(chosen), dtype=np.intp)


def fit_type(
    values: Array, soh: Array, units: NDArray[np.str_], kernel: Kernel | None = None
) -> Model:
    """Fit one cell type; a kernel not given is sought. The interval is not calibrated yet."""
    found = features(values)
    model = _empty(found, soh, kernel or Kernel(*START))
    scaled, labels = _scaled(found, model), (soh - model.mean) / model.scale
    if kernel is None:
        kernel = seek(scaled, labels, units)
    chosen = _inducing(scaled, kernel)
    noise = np.exp(kernel.noise)
    own = kernel.between(scaled[chosen], scaled[chosen])
    lower = np.linalg.cholesky(own + 1e-7 * np.eye(len(chosen)) * np.trace(own) / len(chosen))
    across = np.linalg.solve(lower, kernel.between(scaled[chosen], scaled))
    inner = across @ across.T + noise * np.eye(len(chosen))
    weights = np.linalg.solve(lower.T, np.linalg.solve(inner, across @ labels))
    return model._replace(kernel=kernel, rows=values[chosen], weights=weights)


def apply(model: Model, values: Array) -> tuple[Array, Array, Array]:
    """State of health, sigma before calibration, and the share of features clipped."""
    found = features(values)
    strange = ((found < model.low) | (found > model.high)).mean(axis=1)
    scaled, inducing = _scaled(found, model), _scaled(features(model.rows), model)
    across = model.kernel.between(scaled, inducing)
    own = model.kernel.between(inducing, inducing)
    own[np.diag_indices_from(own)] += np.exp(model.kernel.noise)
    explained = (across * np.linalg.solve(own, across.T).T).sum(axis=1)
    variance = np.maximum(model.kernel.at(scaled) - explained, 0.0) + np.exp(model.kernel.noise)
    soh = model.mean + model.scale * (across @ model.weights)
    return np.clip(soh, *SOH_RANGE), model.scale * np.sqrt(variance), strange


def calibrate(model: Model, values: Array, soh: Array, units: NDArray[np.str_]) -> Model:
    """The model with its interval: errors over sigma on cells left out, quantile over cells."""

    def predict(out: NDArray[np.bool_]) -> tuple[Array, ...]:
        one = fit_type(values[~out], soh[~out], units[~out], model.kernel)
        return apply(one, values[out])[:2]

    predicted, sigma = conformal.left_out(units, FOLDS, predict)
    return model._replace(half=conformal.quantile(np.abs(predicted - soh) / sigma, units))


def fit(table: Table) -> dict[int, Model]:
    """One model for each rated capacity in the table, which has `soh` beside the pulses."""
    require(table, ("unit", "rated_ah", "soh", *VOLTS, *PHI), TASK)
    values, soh, units = measured(table), column(table, "soh"), names(table, "unit")
    rated = column(table, "rated_ah")
    models = {}
    for one in np.unique(rated):
        of = rated == one
        fitted = fit_type(values[of], soh[of], units[of])
        models[int(one)] = calibrate(fitted, values[of], soh[of], units[of])
    return models


# Predicting


def predict(table: Table, models: dict[int, Model]) -> list[Prediction]:
    """State of health of every row, as a fraction of the rated capacity, each from its own pulse
    alone. Rows of an unknown type, and pulses unlike what was seen, have no answer."""
    require(table, ("unit", "rated_ah", *VOLTS, *PHI), TASK)
    units, rated, values = names(table, "unit"), column(table, "rated_ah"), measured(table)
    index = numbers(table, units)
    found = np.full((len(units), 3), np.nan)
    for one, model in models.items():
        of = np.flatnonzero((rated == one) & np.isfinite(values).all(axis=1))
        if not len(of):
            continue
        soh, sigma, strange = apply(model, values[of])
        half = model.half * sigma
        answered = strange <= CLIPPED_SHARE
        rows = np.stack([soh, np.maximum(soh - half, 0.0), soh + half], axis=1)
        found[of[answered]] = rows[answered]
    return [
        Prediction(str(units[k]), int(index[k]), *found[k].tolist())
        for k in range(len(units))
        if np.isfinite(found[k]).all()
    ]


def numbers(table: Table, units: NDArray[np.str_]) -> NDArray[np.intp]:
    """The column `cycle`, or each row's position within its unit, from 0."""
    if "cycle" in table:
        return np.asarray(table["cycle"], dtype=np.intp)
    found = np.zeros(len(units), dtype=np.intp)
    for rows in rows_of(units).values():
        found[rows] = np.arange(len(rows))
    return found


# In and out of JSON


def dump(model: Model) -> Parameters:
    return {
        "kernel": [round(float(v), 6) for v in model.kernel],
        "rows": [[round(float(v), 5) for v in row] for row in model.rows],
        "weights": _digits(model.weights, 12),
        "centre": _digits(model.centre, 9),
        "spread": _digits(model.spread, 9),
        "low": _digits(model.low, 9),
        "high": _digits(model.high, 9),
        "mean": round(model.mean, 9),
        "scale": round(model.scale, 9),
        "half": round(model.half, 6),
    }


def _digits(values: Array, digits: int) -> list[float]:
    return [float(f"{float(v):.{digits}g}") for v in values]


def load(parameters: Parameters) -> Model:
    arrays = ("rows", "weights", "centre", "spread", "low", "high")
    found = {name: np.array(parameters[name], dtype=np.float64) for name in arrays}
    kernel = Kernel(*np.array(parameters["kernel"], dtype=np.float64).tolist())
    mean, scale, half = (float(str(parameters[name])) for name in ("mean", "scale", "half"))
    return Model(kernel=kernel, mean=mean, scale=scale, half=half, **found)
