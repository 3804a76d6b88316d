"""What a reading may say."""

from datetime import datetime, timedelta

import msgspec
import numpy as np

from leasing.telemetry.columns import NO_CELL, Flags, Readings

BOUNDS = {
    "voltage_v": (0.0, 2000.0),
    "current_a": (-5000.0, 5000.0),
    "soc_percent": (0.0, 100.0),
    "temperature_c": (-60.0, 200.0),
    "temperature_min_c": (-60.0, 200.0),
    "insulation_kohm": (0.0, 1e9),
    "soh_percent": (0.0, 200.0),
    "odometer_km": (0.0, 1e7),
}
"""What a sensor can show at all; whether it is to be believed is another question."""


class Fault(msgspec.Struct, frozen=True):
    """One thing wrong with one reading."""

    place: int
    quantity: str
    code: str
    message: str


def outside(readings: Readings) -> dict[str, Flags]:
    """By quantity, the readings whose value no sensor can show; only quantities that have some."""
    found = {}
    for name, column in readings.scalars.items():
        least, most = BOUNDS[name]
        # What is missing is NaN, and no comparison with it holds.
        wrong = (column < least) | (column > most)
        if wrong.any():
            found[name] = wrong
    return found


def faults(readings: Readings, earliest_us: int, latest_us: int) -> list[Fault]:
    """Every value out of its bounds and every impossible time, in order of reading."""
    found = []
    for name, wrong in outside(readings).items():
        least, most = BOUNDS[name]
        for place in np.flatnonzero(wrong).tolist():
            value = float(readings.scalars[name][place])
            message = f"{value:g} is not between {least:g} and {most:g}"
            found.append(Fault(place, name, "out_of_range", message))
    wrong_time = (readings.at <= earliest_us) | (readings.at >= latest_us)
    found += [
        Fault(place, "at", "impossible_time", "") for place in np.flatnonzero(wrong_time).tolist()
    ]
    return sorted(found, key=lambda one: one.place)


def without(readings: Readings, wrong: dict[str, Flags]) -> Readings:
    """The same without the values marked."""
    scalars = dict(readings.scalars)
    for name, where in wrong.items():
        column = scalars[name].copy()
        column[where] = np.nan
        scalars[name] = column
    return Readings(readings.pack, readings.at, scalars, readings.cells_mv, readings.temperatures_c)


def has_values(readings: Readings) -> Flags:
    """Which readings have any value at all."""
    found = np.zeros(len(readings), np.bool_)
    for column in readings.scalars.values():
        found |= np.isfinite(column)
    if readings.cells_mv is not None:
        found |= (readings.cells_mv != NO_CELL).any(axis=1)
    if readings.temperatures_c is not None:
        found |= np.isfinite(readings.temperatures_c).any(axis=1)
    return found


SILENT_AFTER = timedelta(minutes=30)
"""A pack or a quantity of which nothing newer came for this long is silent."""


def heard_at(at: datetime, received_at: datetime) -> datetime:
    """When a value was true at the latest: a clock in the field that is ahead does not make it
    newer than its arrival."""
    return min(at, received_at)


def is_silent(at: datetime, received_at: datetime, now: datetime) -> bool:
    return now - heard_at(at, received_at) > SILENT_AFTER
