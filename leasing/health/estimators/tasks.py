"""The tasks an estimator is judged by, each as one function from a table to predictions."""

from collections.abc import Callable

from leasing.health.estimators import charge, discharge, early_life, fade, pulse, shipped
from leasing.health.estimators.model import Prediction, Table

Capacities = dict[tuple[str, int], float]
PULSE_TYPES = (20, 35, 68)
"""Rated capacities, in Ah, of the retired cells that pulses were fitted on."""


def _charge(table: Table, commissioned: Capacities | None) -> list[Prediction]:
    return charge.predict(table, charge.load(shipped.parameters(charge.TASK)))


def _pulse(table: Table, commissioned: Capacities | None) -> list[Prediction]:
    models = {
        rated: pulse.load(shipped.parameters(f"{pulse.TASK}_{rated}")) for rated in PULSE_TYPES
    }
    return pulse.predict(table, models)


def _discharge(table: Table, commissioned: Capacities | None) -> list[Prediction]:
    model = discharge.load(shipped.parameters(discharge.TASK))
    return discharge.predict(table, model, commissioned)


def _fade(table: Table, commissioned: Capacities | None) -> list[Prediction]:
    return fade.predict(table, fade.load(shipped.parameters(fade.TASK)))


def _early_life(table: Table, commissioned: Capacities | None) -> list[Prediction]:
    return early_life.predict(table, early_life.load(shipped.parameters(early_life.TASK)))


TASKS: dict[str, Callable[[Table, Capacities | None], list[Prediction]]] = {
    charge.TASK: _charge,
    pulse.TASK: _pulse,
    discharge.TASK: _discharge,
    fade.TASK: _fade,
    early_life.TASK: _early_life,
}
COMMISSIONED = discharge.TASK
"""The one task in which measured capacities of the first cycles may be used."""
