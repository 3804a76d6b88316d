"""How good the estimators are, judged on units left out whole.

Whatever is fitted or calibrated is fitted and calibrated without the unit that is judged; where too
few units make that impossible the row says so.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec
import numpy as np

from jobs import health_fit
from leasing.health.estimators import charge, discharge, early_life, fade, pulse
from leasing.health.estimators.conformal import folds
from leasing.health.estimators.model import Prediction, column, names

Truth = dict[tuple[str, int], float]
PULSE_FOLDS = 10


class Row(msgspec.Struct, frozen=True):
    """One line of the report. `baseline` is what simple methods reached on other units."""

    title: str
    unit: str
    answered: int
    abstained: int
    rmse: float
    mape: float
    largest: float
    bias: float
    coverage: float
    width: float
    baseline: str


def score(
    title: str,
    unit: str,
    predictions: Iterable[Prediction],
    truth: Truth,
    asked: int,
    baseline: str,
) -> Row:
    """Score predictions against what was measured; `asked` rows could have been answered."""
    judged = [p for p in predictions if (p.unit, p.index) in truth]
    if not judged:
        nan = float("nan")
        return Row(title, unit, 0, asked, nan, nan, nan, nan, nan, nan, baseline)
    true = np.array([truth[p.unit, p.index] for p in judged])
    value, lower, upper = (np.array([getattr(p, k) for p in judged]) for k in BOUNDS)
    error = value - true
    return Row(
        title=title,
        unit=unit,
        answered=len(judged),
        abstained=asked - len(judged),
        rmse=float(np.sqrt((error**2).mean())),
        mape=float(100 * (np.abs(error) / true).mean()),
        largest=float(np.abs(error).max()),
        bias=float(error.mean()),
        coverage=float(((true >= lower) & (true <= upper)).mean()),
        width=float((upper - lower).mean()),
        baseline=baseline,
    )


BOUNDS = ("pred", "lower", "upper")


# One function a task: rows of the report


def charges(data: Path) -> Iterator[Row]:
    """Two cells, each in a condition of its own: the other cell is the only reference, and it never
    matches. That a matched reference does better can only be seen within one cell."""
    table, truth = health_fit.full_charges(data)
    sessions = health_fit.sessions(data)
    cells = np.unique(names(table, "unit")).tolist()
    for cell in cells:
        mine, full = names(sessions, "unit") == cell, names(table, "unit") == cell
        asked = sum(unit == cell for unit, _ in truth)
        model = charge.fit(health_fit.only(table, ~full), truth, health_fit.RATED_AH)
        found = charge.predict(health_fit.only(sessions, mine), model)
        for protocol in BASELINE_CHARGE:
            some = [p for p in found if p.protocol == protocol]
            title = f"lfp102 {protocol}, {cell}, condition not seen"
            yield score(title, "Ah", some, truth, asked, BASELINE_CHARGE[protocol][1])
        odd = np.asarray(table["cycle"]) % 2 == 1
        even = np.asarray(sessions["cycle"]) % 2 == 0
        asked = sum(unit == cell and cycle % 2 == 0 for unit, cycle in truth)
        model = charge.fit(health_fit.only(table, full & odd), truth, health_fit.RATED_AH)
        found = charge.predict(health_fit.only(sessions, mine & even), model)
        for protocol in BASELINE_CHARGE:
            some = [p for p in found if p.protocol == protocol]
            title = f"lfp102 {protocol}, {cell}, **same cell**, other cycles (flatters)"
            yield score(title, "Ah", some, truth, asked, BASELINE_CHARGE[protocol][0])


BASELINE_CHARGE = {
    "window": ("1.37 Ah, 1.5 %, 1.00", "6.4 Ah, 5.5 %, 1.00"),
    "partial": ("6.20 Ah, 5.9 %, 0.98", "9.3 Ah, 9.3 %, 0.99"),
    "topup": ("3.95 Ah, 2.8 %, 0.94", "11.3 Ah, 10.8 %, 0.75"),
}


def pulses(data: Path) -> Iterator[Row]:
    """Kernel, regression and interval anew for each of ten folds of cells."""
    table = health_fit.pulses(data)
    rated = column(table, "rated_ah")
    everything: list[Prediction] = []
    truths: Truth = {}
    for one in np.unique(rated).tolist():
        mine = health_fit.only(table, rated == one)
        units, soh = names(mine, "unit"), column(mine, "soh")
        index = pulse.numbers(mine, units)
        truth = {(str(u), int(k)): float(v) for u, k, v in zip(units, index, soh, strict=True)}
        found: list[Prediction] = []
        for out in folds(units, PULSE_FOLDS):
            models = pulse.fit(health_fit.only(mine, ~out))
            found += pulse.predict(health_fit.only(mine, out), models)
        title = f"pulse {int(one)} Ah"
        yield score(title, "of rated", found, truth, len(truth), BASELINE_PULSE[int(one)])
        everything += found
        truths |= truth
    yield score("pulse, all", "of rated", everything, truths, len(truths), BASELINE_PULSE[0])


BASELINE_PULSE = {
    20: "0.0144, 1.56 %, 0.955, width 0.054",
    35: "0.0292, 2.73 %, 0.953, width 0.136",
    68: "0.0324, 3.02 %, 0.890, width 0.111",
    0: "0.0294, 2.71 %, 0.930, width 0.094",
}


def discharges(data: Path) -> Iterator[Row]:
    """Two cells. One cannot calibrate an interval, so both did; the values are of the other cell's
    fit alone."""
    table, truth = health_fit.discharges(data)
    both = discharge.fit(table, truth)
    units = names(table, "unit")
    for unit in np.unique(units).tolist():
        mine = units == unit
        asked = sum(u == unit for u, _ in truth)
        model = discharge.fit_values(health_fit.only(table, ~mine), truth)._replace(
            half_ah=both.half_ah, gain_half=both.gain_half, share_half=both.share_half
        )
        rows = health_fit.only(table, mine)
        found = discharge.predict(rows, model)
        title = f"nasa {unit} (interval from both)"
        yield score(title, "Ah", found, truth, asked, "0.113 / 0.015 Ah, 7.4 / 0.6 %, 0.08 / 0.98")
        found = discharge.predict(rows, model, truth)
        title = f"nasa {unit}, commissioned (interval from both)"
        yield score(title, "Ah", found, truth, asked - 3, "0.039 / 0.013 Ah, 2.4 / 0.7 %")


def fades(data: Path) -> Iterator[Row]:
    """Each unit left out; and each family, for a family nobody saw to the end."""
    table = health_fit.fades(data)
    units = names(table, "unit")
    truth = {(c.unit, c.cut): c.left for c in fade.cases(table) if c.left}
    families = np.array([unit.split("/")[0] for unit in units])
    for title, group in (("fade_rul", units), ("fade_rul, family not seen", families)):
        found: list[Prediction] = []
        for one in np.unique(group):
            out = group == one
            model = fade.fit(health_fit.only(table, ~out))
            found += fade.predict(health_fit.only(table, out), model)
        baseline = "187 cycles, 36.5 %, 0.775; Theil-Sen 28.1 %, 0.93"
        yield score(title, "cycles", found, truth, len(truth), baseline)


def lives(data: Path) -> Iterator[Row]:
    """Each cell left out, interval anew from the forty others."""
    table, life = health_fit.curves(data)
    units = names(table, "unit")
    found: list[Prediction] = []
    for unit in life:
        out = units == unit
        others = {u: n for u, n in life.items() if u != unit}
        model = early_life.fit(health_fit.only(table, ~out), others)
        found += early_life.predict(health_fit.only(table, out), model)
    truth = {(unit, 0): n for unit, n in life.items()}
    baseline = "138 / 196 cycles, 14.7 / 11.4 %, 0.88"
    yield score("severson_early_life", "cycles", found, truth, len(truth), baseline)


PARTS: tuple[Callable[[Path], Iterator[Row]], ...] = (charges, discharges, fades, lives, pulses)

HEAD = """# Health estimators, judged on units left out

Written by `make health-report` (`leasing health report`). Whole units are left out of fit and
calibration, never rows. The last column is what the simple methods of the same data sets reached on
*other*, held-out units (root mean square error, mean absolute percentage error, coverage), so the
two are not the same exam. Coverage is to be 0.90; 0.85 to 0.95 is good. What the methods are and
cannot do is in [health.md](health.md).

| data set, protocol | n | abstained | RMSE | MAPE % | largest | bias | coverage | mean width \
| baseline on held-out units |
|---|---|---|---|---|---|---|---|---|---|
"""


def told(row: Row) -> str:
    """One line of the table.

    >>> told(Row("a", "Ah", 2, 1, 1.234, 1.0, 2.0, -0.5, 0.5, 4.0, "b"))
    '| a | 2 | 1 | 1.23 Ah | 1.00 | 2 | -0.5 | 0.500 | 4 | b |'
    """
    if not row.answered:
        return f"| {row.title} | 0 | {row.abstained} | | | | | | | {row.baseline} |"
    return (
        f"| {row.title} | {row.answered} | {row.abstained} | {row.rmse:.3g} {row.unit} | "
        f"{row.mape:.2f} | {row.largest:.3g} | {row.bias:.2g} | {row.coverage:.3f} | "
        f"{row.width:.3g} | {row.baseline} |"
    )


def page(rows: Iterable[Row]) -> str:
    return HEAD + "".join(f"{told(row)}\n" for row in rows)
