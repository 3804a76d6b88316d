"""Capacity of a large LFP cell from pieces of its charges, followed over its cycles.

Three kinds of pieces (health.md 3.4): through a window of voltage, up to full, or any. A piece
says something only beside charges of the same type at about the same current and temperature:
then by how much charge passed between two voltages, or by matching with stored charges. Outside
of the condition only the change since the cell was new carries over, and that badly. Either way a
method is off by about the same for one cell all the time, so that is a state of its own: what a
type holds when new, and how it fades, pins it down as far as it can be known.

What it cannot do: tell the capacity of one plateau piece of an unknown cell. Where the interval
would be wider than is of use there is no answer.
"""

from math import sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from leasing.health.estimators import kalman, library
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

TASK = "lfp102_charge"
COLUMNS = ("unit", "cycle", "protocol", "t_s", "voltage_v", "current_a", "temperature_c")
WINDOW, PARTIAL, TOPUP = "window", "partial", "topup"

WINDOW_V = (3.34, 3.42)
CURVES = 36
"""Charges kept of each reference cell, spread over its life."""
MIN_POINTS = 3
"""At 1 C and a reading in 30 s an aged cell is through the window within six."""

# The condition of a reference: current within a fifth, temperature within what it had and this.
SAME_RATE = 0.2
SAME_DEGREES = 4.0

# Sigmas in Ah per 100 Ah of rated capacity: of one piece, and of what a cell is off all the time.
# In condition 1.5 % is what a matched reference is good for (health.md 3.4). Outside the window's
# change was found to run away by as much as 9 Ah within 200 cycles, from one of the two conditions
# to the other.
WINDOW_SIGMA, MATCH_SIGMA = 0.8, 1.2
SHIFT_SIGMA, SHIFT_DRIFT = 1.5, 0.15
STRANGE_SIGMA, STRANGE_SHIFT, STRANGE_DRIFT = 2.0, 30.0, 0.5

# What makers guarantee of a new cell, and how unlike cells of one type fade, as a share.
NEW_SIGMA = 1.2
FADE_SIGMA = 0.4
WANDER, BENDING = 0.08, 0.002
"""What a capacity does by itself, and its fade: Ah, and Ah a cycle, per root cycle."""
BLURRED = 3.5
"""A match wider than this says where the references lie, not where the cell is."""
WIDEST = 0.16
"""Half of an interval wider than this share of the rated capacity is no answer."""


class Reference(NamedTuple):
    """One cell's charges: current, lowest and highest temperature, curves read from full backwards
    every half Ah (volts; what is beyond a curve's length does not count), their capacities, and
    the parabola from a window's charge to capacity."""

    current_a: float
    temperatures_c: tuple[float, float]
    curves_v: Array
    lengths: NDArray[np.intp]
    capacities_ah: Array
    window: Array
    window_range_ah: tuple[float, float]


class Model(NamedTuple):
    rated_ah: float
    new_ah: float
    fade_ah: float
    """Ah a cycle, negative."""
    window_slope: float
    references: tuple[Reference, ...]


class Piece(NamedTuple):
    protocol: str
    cycle: int
    charge_ah: Array
    voltage_v: Array
    current_a: float
    temperature_c: float


def charge_of(t_s: Array, current_a: Array) -> Array:
    """Ah passed up to every reading, by trapezoids."""
    steps = (current_a[1:] + current_a[:-1]) / 2 * np.diff(t_s) / 3600
    return np.concatenate([[0.0], np.cumsum(steps)])


def window_charge(charge_ah: Array, voltage_v: Array) -> float | None:
    """Ah between the first reading above 3.34 V and the first above 3.42 V or the last of the
    piece, or None if the piece does not pass through."""
    low, high = WINDOW_V
    inside = np.flatnonzero((voltage_v >= low - 1e-4) & (voltage_v <= high + 1e-4))
    if len(inside) < 2:
        return None
    first, last = inside[0], inside[-1]
    # A piece that begins or ends in the middle does not hold the window.
    if voltage_v[first] > low + 0.02 or voltage_v[last] < high - 0.012:
        return None
    return float(charge_ah[last] - charge_ah[first])


# Fitting


def fit(charges: Table, capacities: dict[tuple[str, int], float], rated_ah: float) -> Model:
    """References and priors from full charges and what they held."""
    require(charges, ("unit", "cycle", "t_s", "voltage_v", "current_a", "temperature_c"), TASK)
    references, firsts, fades, slopes = [], [], [], []
    for unit, rows in rows_of(names(charges, "unit")).items():
        pieces = [
            piece for piece in _pieces(charges, rows, "") if (unit, piece.cycle) in capacities
        ]
        held = np.array([capacities[unit, piece.cycle] for piece in pieces])
        cycles = np.array([piece.cycle for piece in pieces], dtype=np.float64)
        reference, slope = _reference(pieces, held)
        fade, new = robust_line(cycles, held)
        references.append(reference)
        firsts.append(new)
        fades.append(fade)
        slopes.append(slope)
    return Model(
        rated_ah=rated_ah,
        new_ah=float(np.mean(firsts)),
        fade_ah=float(np.mean(fades)),
        window_slope=float(np.mean(slopes)),
        references=tuple(references),
    )


def _reference(pieces: list[Piece], held: Array) -> tuple[Reference, float]:
    windows = np.array([window_charge(p.charge_ah, p.voltage_v) or np.nan for p in pieces])
    known = np.isfinite(windows)
    bend = robust_polynomial(windows[known], held[known], 2)
    slope, _ = robust_line(windows[known], held[known])
    # A charge far off its neighbours was cut short or labelled wrongly.
    near = np.abs(held - _running_median(held)) <= 0.03 * held
    chosen = np.flatnonzero(near)[np.linspace(0, near.sum() - 1, CURVES).round().astype(int)]
    curves = [
        library.resample(pieces[k].charge_ah, pieces[k].voltage_v, from_end=True) for k in chosen
    ]
    lengths = np.array([len(curve) for curve in curves], dtype=np.intp)
    padded = np.full((len(curves), lengths.max()), 9.0)
    for row, curve in zip(padded, curves, strict=True):
        row[: len(curve)] = curve
    temperatures = [p.temperature_c for p in pieces]
    reference = Reference(
        current_a=float(np.median([p.current_a for p in pieces])),
        temperatures_c=(min(temperatures), max(temperatures)),
        curves_v=padded,
        lengths=lengths,
        capacities_ah=held[chosen],
        window=bend,
        window_range_ah=(float(windows[known].min()), float(windows[known].max())),
    )
    return reference, slope


def _running_median(values: Array) -> Array:
    padded = np.pad(values, 4, mode="edge")
    return np.median(np.lib.stride_tricks.sliding_window_view(padded, 9), axis=1)


def robust_polynomial(x: Array, y: Array, degree: int) -> Array:
    """Coefficients, highest first, by least squares that forgets what is three sigmas off."""
    keep = np.ones(len(x), dtype=np.bool_)
    for _ in range(5):
        found = np.polyfit(x[keep], y[keep], degree)
        off = np.abs(y - np.polyval(found, x))
        keep = off <= max(4.5 * float(np.median(off)), 1e-9)
    return found


def robust_line(x: Array, y: Array) -> tuple[float, float]:
    """Slope and value at zero, likewise."""
    slope, start = robust_polynomial(x, y, 1)
    return float(slope), float(start)


# Pieces


def _pieces(table: Table, rows: NDArray[np.intp], protocol: str) -> list[Piece]:
    cycles = np.asarray(table["cycle"])[rows]
    t_s, volts, amperes, degrees = (
        column(table, name)[rows] for name in ("t_s", "voltage_v", "current_a", "temperature_c")
    )
    found = []
    for cycle in np.unique(cycles):
        at = np.flatnonzero(cycles == cycle)
        at = at[np.argsort(t_s[at], kind="stable")]
        if len(at) < MIN_POINTS:
            continue
        found.append(
            Piece(
                protocol,
                int(cycle),
                charge_of(t_s[at], amperes[at]),
                volts[at],
                float(np.median(amperes[at])),
                float(np.median(degrees[at])),
            )
        )
    return found


def matching(piece: Piece, model: Model) -> Reference | None:
    """The reference that was charged like this piece, if one was."""
    near = [
        reference
        for reference in model.references
        if abs(piece.current_a / reference.current_a - 1) <= SAME_RATE
        and reference.temperatures_c[0] - SAME_DEGREES
        <= piece.temperature_c
        <= reference.temperatures_c[1] + SAME_DEGREES
    ]
    return min(near, key=lambda r: abs(piece.current_a - r.current_a), default=None)


class Seen(NamedTuple):
    """What one piece says: a value, its sigma, which of the shifts it is subject to, by how much
    one can be sure of that shift beforehand."""

    value_ah: float
    sigma_ah: float
    shift: int


WINDOW_SHIFT, MATCH_SHIFT, STRANGE = 2, 3, 4


def look(piece: Piece, model: Model) -> Seen | None:
    """What a piece says of the capacity; None when it says nothing."""
    per = model.rated_ah / 100
    reference = matching(piece, model)
    if piece.protocol == WINDOW:
        moved = window_charge(piece.charge_ah, piece.voltage_v)
        if moved is None:
            return None
        if reference is None:
            # Which capacity goes with it is unknown; how it changes is known a little.
            return Seen(model.window_slope * moved, STRANGE_SIGMA * per, STRANGE)
        low, high = reference.window_range_ah
        inside = min(max(moved, low), high)
        value = float(np.polyval(reference.window, inside))
        value += model.window_slope * (moved - inside)
        return Seen(value, WINDOW_SIGMA * per, WINDOW_SHIFT)
    if reference is None:
        return None
    found = library.match(
        library.resample(piece.charge_ah, piece.voltage_v, from_end=True),
        reference.curves_v,
        reference.lengths,
        reference.capacities_ah,
        to_full=piece.protocol == TOPUP,
    )
    if found is None or found.misfits or found.sigma_ah > BLURRED * per:
        return None
    return Seen(found.capacity_ah, sqrt(found.sigma_ah**2 + (MATCH_SIGMA * per) ** 2), MATCH_SHIFT)


# Predicting

STATES = 5
"""Capacity, fade per cycle, the shift of the window, of the matching, and outside of condition."""


def _belief(model: Model) -> kalman.Belief:
    per = model.rated_ah / 100
    mean = np.array([[model.new_ah, model.fade_ah, 0.0, 0.0, 0.0]])
    sigmas = [
        NEW_SIGMA * per,
        FADE_SIGMA * abs(model.fade_ah),
        SHIFT_SIGMA * per,
        SHIFT_SIGMA * per,
        STRANGE_SHIFT * per,
    ]
    return kalman.Belief(mean, np.diag(np.square(sigmas))[None])


def _age(belief: kalman.Belief, cycles: int, model: Model) -> kalman.Belief:
    per = model.rated_ah / 100
    transition = np.eye(STATES)
    transition[0, 1] = cycles
    drift = [WANDER, BENDING, SHIFT_DRIFT, SHIFT_DRIFT, STRANGE_DRIFT]
    return kalman.predict(belief, transition, np.diag(np.square(drift) * per**2 * cycles))


def _weigh(belief: kalman.Belief, seen: Seen) -> kalman.Belief:
    seen_by = np.zeros(STATES)
    seen_by[[0, seen.shift]] = 1.0
    return kalman.update(belief, seen_by, np.array([seen.value_ah]), np.array([seen.sigma_ah**2]))


def follow(pieces: list[Piece], model: Model) -> list[tuple[Piece, float, float]]:
    """Capacity and its variance for every piece of one cell, from itself and from all pieces of
    earlier cycles. A cell is taken to have been new at cycle 0."""
    belief, at = _belief(model), 0
    by_cycle: dict[int, list[Piece]] = {}
    for piece in pieces:
        by_cycle.setdefault(piece.cycle, []).append(piece)
    found, looked = [], 0
    for cycle in sorted(by_cycle):
        belief, at = _age(belief, cycle - at, model), cycle
        after = belief
        for piece in by_cycle[cycle]:
            seen = look(piece, model)
            own = belief if seen is None else _weigh(belief, seen)
            after = after if seen is None else _weigh(after, seen)
            looked += seen is not None
            if looked:
                found.append((piece, float(own.mean[0, 0]), float(own.covariance[0, 0, 0])))
        belief = after
    return found


def predict(table: Table, model: Model) -> list[Prediction]:
    """Capacity in Ah of every charge in `table`, by cycle and protocol."""
    require(table, COLUMNS, TASK)
    protocols = names(table, "protocol")
    found = []
    for unit, rows in rows_of(names(table, "unit")).items():
        pieces = []
        for protocol in (WINDOW, PARTIAL, TOPUP):
            pieces += _pieces(table, rows[protocols[rows] == protocol], protocol)
        for piece, capacity, variance in follow(pieces, model):
            lower, upper = kalman.interval(np.array(capacity), np.array(variance))
            if upper - lower <= 2 * WIDEST * model.rated_ah:
                found.append(
                    Prediction(
                        unit, piece.cycle, capacity, float(lower), float(upper), piece.protocol
                    )
                )
    order = {WINDOW: 0, PARTIAL: 1, TOPUP: 2}
    return sorted(found, key=lambda p: (p.unit, order[p.protocol], p.index))


# In and out of JSON


def dump(model: Model) -> Parameters:
    return {
        "rated_ah": model.rated_ah,
        "new_ah": round(model.new_ah, 4),
        "fade_ah": round(model.fade_ah, 6),
        "window_slope": round(model.window_slope, 5),
        "references": [
            {
                "current_a": round(one.current_a, 3),
                "temperatures_c": [round(t, 2) for t in one.temperatures_c],
                "curves_mv": [
                    [round(1000 * float(v), 1) for v in curve[:length]]
                    for curve, length in zip(one.curves_v, one.lengths, strict=True)
                ],
                "capacities_ah": [round(float(c), 4) for c in one.capacities_ah],
                "window": [float(f"{float(c):.8g}") for c in one.window],
                "window_range_ah": [round(v, 4) for v in one.window_range_ah],
            }
            for one in model.references
        ],
    }


def load(parameters: Parameters) -> Model:
    found = []
    for one in parameters["references"]:  # type: ignore[attr-defined]
        curves = [np.array(curve, dtype=np.float64) / 1000 for curve in one["curves_mv"]]
        lengths = np.array([len(curve) for curve in curves], dtype=np.intp)
        padded = np.full((len(curves), lengths.max()), 9.0)
        for row, curve in zip(padded, curves, strict=True):
            row[: len(curve)] = curve
        found.append(
            Reference(
                current_a=one["current_a"],
                temperatures_c=tuple(one["temperatures_c"]),
                curves_v=padded,
                lengths=lengths,
                capacities_ah=np.array(one["capacities_ah"]),
                window=np.array(one["window"]),
                window_range_ah=tuple(one["window_range_ah"]),
            )
        )
    plain = ("rated_ah", "new_ah", "fade_ah", "window_slope")
    values = {name: float(str(parameters[name])) for name in plain}
    return Model(**values, references=tuple(found))
