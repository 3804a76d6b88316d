"""The state of health of one pack from a file of readings, by the rules of the nightly check."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np

from jobs import health_tables
from jobs.health_tables import BadFile
from leasing.health import rules
from leasing.health.estimators.model import Array, Table
from leasing.health.model import Abstention, Estimate, Health, PackType, Sample
from leasing.health.sessions import sessions

LETTERS = {"lfp": "B", "nmc": "E"}
NOMINAL_V = {"lfp": 3.3, "nmc": 3.7}
BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)
"""Where seconds are counted from in a file that gives no date."""

# Our names, and those of the Battery Data Format (battery-data-alliance/battery-data-format).
VOLTAGE = ("voltage_v", "pack_v", "voltage_volt", "Voltage / V")
CURRENT = ("current_a", "current_ampere", "Current / A")
SOC = ("soc_percent", "soc_pct")
TEMPERATURE = (
    "temperature_c",
    "t_max_c",
    "temperature_t1_celsius",
    "Temperature T1 / degC",
    "Surface Temperature T1 / degC",
    "ambient_temperature_celsius",
    "Ambient Temperature / degC",
)
INSTANT = ("ts", "at", "timestamp", "date_time_iso", "Date Time ISO")
UNIX = ("unix_time_second", "Unix Time / s")
ELAPSED = ("t_s", "test_time_second", "Test Time / s")


SHOWN = 12
"""Sessions listed; a car has thousands that say nothing."""


class Found(msgspec.Struct, frozen=True):
    """What was found, and how the file was understood."""

    pack_type: PackType
    rated_given: bool
    cells_given: bool
    readings: int
    outcomes: list[Estimate | Abstention]
    health: Health


def _pick(table: Table, wanted: tuple[str, ...]) -> str | None:
    return next((name for name in wanted if name in table), None)


def _numbers(table: Table, wanted: tuple[str, ...], what: str, *, needed: bool) -> Array | None:
    name = _pick(table, wanted)
    if name is None:
        if needed:
            told, there = ", ".join(wanted), ", ".join(list(table)[:12])
            raise BadFile(f"no column of {what}: one of {told} is needed; the file has {there}")
        return None
    try:
        return np.asarray(table[name]).astype(np.float64)
    except ValueError as error:
        raise BadFile(f"the column {name} holds what is no number: {error}") from error


def _times(table: Table) -> list[datetime]:
    name = _pick(table, INSTANT)
    if name is not None:
        values = np.asarray(table[name])
        if np.issubdtype(values.dtype, np.datetime64):
            micros = values.astype("datetime64[us]").astype(np.int64).tolist()
            return [datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=m) for m in micros]
        try:
            found = [datetime.fromisoformat(str(text)) for text in values.tolist()]
        except ValueError as error:
            raise BadFile(f"the column {name} holds what is no instant: {error}") from error
        return [at if at.tzinfo else at.replace(tzinfo=UTC) for at in found]
    from_epoch = _pick(table, UNIX) is not None
    seconds = _numbers(table, UNIX + ELAPSED + INSTANT, "time", needed=True)
    if seconds is None or not np.isfinite(seconds).all():
        raise BadFile("a reading without a time is no reading")
    start = datetime(1970, 1, 1, tzinfo=UTC) if from_epoch else BEGINNING
    return [start + timedelta(seconds=s) for s in seconds.tolist()]


def samples(table: Table, *, discharge_positive: bool) -> list[Sample]:
    """Readings of a table. Raises BadFile, which names the column that is missing."""
    at = _times(table)
    volts = _numbers(table, VOLTAGE, "voltage", needed=True)
    amperes = _numbers(table, CURRENT, "current", needed=True)
    soc = _numbers(table, SOC, "state of charge", needed=False)
    degrees = _numbers(table, TEMPERATURE, "temperature", needed=False)
    assert volts is not None
    assert amperes is not None
    sign = -1.0 if discharge_positive else 1.0
    nothing = np.full(len(at), np.nan)
    columns = zip(
        at,
        volts.tolist(),
        (sign * amperes).tolist(),
        (nothing if soc is None else soc).tolist(),
        (nothing if degrees is None else degrees).tolist(),
        strict=True,
    )
    return [
        Sample(when, v, a, z if z == z else None, t if t == t else None)
        for when, v, a, z, t in columns
    ]


def estimate(
    path: Path,
    *,
    rated_ah: float | None,
    chemistry: str,
    cells: int | None,
    full_cell_v: float | None,
    discharge_positive: bool,
) -> Found:
    """Cut a file's readings into sessions and judge each, as the nightly check does.

    Cells in series that are not given are told from the middle voltage. Without a rated capacity
    the largest charge of one session stands in for it where a rule speaks of rates.
    """
    read = samples(health_tables.read(path), discharge_positive=discharge_positive)
    volts = [s.voltage_v for s in read if np.isfinite(s.voltage_v)]
    if len(volts) < 2:
        raise BadFile(f"{path.name} holds fewer than two readings")
    series = cells or max(1, round(float(np.median(volts)) / NOMINAL_V[chemistry]))
    rating = rated_ah or _moved_ah(read)
    if rating <= 0:
        raise BadFile(f"{path.name}: no charge flowed; without --rated-ah nothing can be said")
    pack_type = PackType(LETTERS[chemistry], series, round(1000 * rating), full_cell_v)
    outcomes = [rules.estimate(one, pack_type) for one in sessions(read, pack_type)]
    return Found(
        pack_type,
        rated_ah is not None,
        cells is not None,
        len(read),
        outcomes,
        rules.conclude(outcomes),
    )


def _moved_ah(read: list[Sample]) -> float:
    """The most charge that went one way without going back."""
    hours = np.array([s.at.timestamp() for s in read]) / 3600
    order = np.argsort(hours, kind="stable")
    amperes = np.nan_to_num(np.array([s.current_a for s in read]))[order]
    steps = (amperes[1:] + amperes[:-1]) / 2 * np.diff(hours[order])
    turns = np.flatnonzero(np.diff(np.sign(steps)) != 0) + 1
    return max((abs(float(part.sum())) for part in np.split(steps, turns)), default=0.0)


# Telling it


def explanation(found: Found) -> Iterator[str]:
    """The answer in lines: capacity, interval, method, error terms, sessions, or why not."""
    health, rated = found.health, found.pack_type.rated_ah
    series = found.pack_type.cells_in_series
    guessed = "" if found.cells_given else " (told from the voltage; say --cells if that is wrong)"
    yield f"{found.readings:,} readings, {series} cells in series{guessed}"
    if health.capacity_mah is None or health.lower_mah is None or health.upper_mah is None:
        yield f"No estimate: {health.evidence['sentence']} ({health.evidence['reason']})"
    else:
        ah = (health.capacity_mah / 1000, health.lower_mah / 1000, health.upper_mah / 1000)
        yield f"Capacity {ah[0]:.2f} Ah, 90 % interval {ah[1]:.2f} to {ah[2]:.2f} Ah"
        if found.rated_given:
            soh = [100 * value / rated for value in ah]
            yield f"State of health {soh[0]:.1f} %, {soh[1]:.1f} to {soh[2]:.1f} % of {rated:g} Ah"
        else:
            yield "State of health: of what? Say --rated-ah"
        yield f"Method {health.method}"
        yield from _terms(health, ah[0] / rated if found.rated_given else None)
    yield f"Sessions: {len(found.outcomes)}"
    shown = sorted(found.outcomes, key=_worth)[:SHOWN]
    for outcome in sorted(shown, key=_began):
        yield f"  {_told(outcome)}"
    if len(found.outcomes) > SHOWN:
        yield f"  and {len(found.outcomes) - SHOWN:,} that say less"


def _worth(outcome: Estimate | Abstention) -> tuple[bool, float]:
    """Estimates first, the narrowest first; then what moved most charge."""
    if isinstance(outcome, Estimate):
        return False, outcome.relative_width
    return True, -outcome.session.charge_ah


def _began(outcome: Estimate | Abstention) -> str:
    if isinstance(outcome, Abstention):
        return outcome.session.started_at.isoformat()
    window = outcome.evidence["session"]
    assert isinstance(window, dict)
    return str(window["started_at"])


def _terms(health: Health, share: float | None) -> Iterator[str]:
    terms = health.evidence["error_percent"]
    assert isinstance(terms, dict)
    of = "% of the capacity" if share is None else "points of state of health"
    yield f"One sigma of each error, in {of}:"
    for name, percent in terms.items():
        yield f"  {name.replace('_', ' '):<14}{percent * (share or 1.0):.2f}"


def _told(outcome: Estimate | Abstention) -> str:
    if isinstance(outcome, Abstention):
        one = outcome.session
        name = "charge" if one.direction > 0 else "discharge"
        told = f"{one.started_at:%Y-%m-%d %H:%M} {name}, {one.charge_ah:.2f} Ah"
        return f"{told}: {outcome.sentence} ({outcome.reason})"
    window, start, end = (outcome.evidence[k] for k in ("session", "start", "end"))
    assert isinstance(window, dict)
    assert isinstance(start, dict)
    assert isinstance(end, dict)
    low, high = outcome.lower_mah / 1000, outcome.upper_mah / 1000
    return (
        f"{window['started_at'][:16].replace('T', ' ')} {window['direction']}, "
        f"{outcome.evidence['charge_ah']:.2f} Ah from {start['soc_percent']:g} % "
        f"({start['known_by']}) to {end['soc_percent']:g} % ({end['known_by']}): "
        f"{outcome.capacity_mah / 1000:.2f} Ah, {low:.2f} to {high:.2f}"
    )
