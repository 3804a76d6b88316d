"""Cutting a pack's readings into charges and discharges.

One charge or discharge is a stretch in which the current kept its direction; what happened
before it (rest, taper) is kept because it tells in which state the cell began.

All packs are cut at once, on arrays: a fleet's day is some hundred million readings.
"""

from collections.abc import Iterable, Sequence
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from leasing.health.model import PackType, Sample, Session
from leasing.health.states import TAPER_C, seen
from leasing.telemetry.columns import NO_CELL, Readings, bounds, instant, starts, us

# Below the dead band a pack rests. 2 A is what a Hall sensor invents at no current; 2 % of C is
# the same for a large pack. The cap keeps a 2 Ah cell from resting all its life, and keeps the
# band below the current at which a charge counts as tapered.
DEAD_BAND_C = 0.02
DEAD_BAND_A = 2.0
DEAD_BAND_CAP_C = 0.04

GAP_S = 120.0
GAP_PERIODS = 4
MAX_MISSING = 0.10
# Where current, voltage and temperature run on straight lines to the last digit, and the last two
# are not level, somebody filled a hole: a cell cools while nothing flows. Ten readings in a row,
# for a few fall so by chance.
DRAWN_RUN = 10
DRAWN_TOLERANCE = 1e-6

PIECE = 50_000
"""Readings that are evaluated at once."""

# A reported state of charge jumps when it moves this much further than the current explains in
# a pack between half of and somewhat above its rated capacity.
SOC_JUMP_POINTS = 2.0
EXPLAINED_FROM, EXPLAINED_TO = 0.5, 1.2


def dead_band_a(pack_type: PackType) -> float:
    """Amperes below which a pack counts as resting."""
    band = max(pack_type.rated_ah * DEAD_BAND_C, DEAD_BAND_A)
    return min(band, pack_type.rated_ah * DEAD_BAND_CAP_C)


Float = NDArray[np.float64]
Places = NDArray[np.int64]
Flags = NDArray[np.bool_]


def sessions(samples: Iterable[Sample], pack_type: PackType) -> list[Session]:
    """Cut one pack's readings into charges and discharges, oldest first. Readings may come in any
    order and twice; of two that differ at one instant the lower voltage is kept."""
    ordered = _in_order(samples)
    found = Readings(
        np.zeros(len(ordered), np.int32),
        np.array([us(sample.at) for sample in ordered], np.int64),
        {
            # In double precision, for files that have it.
            name: np.array([getattr(sample, name) for sample in ordered], np.float64)
            for name in ("voltage_v", "current_a", "soc_percent", "temperature_c")
        },
    )
    return [session for _, session in cut(found, [pack_type])]


def _in_order(samples: Iterable[Sample]) -> list[Sample]:
    unknown = float("-inf")

    def key(sample: Sample) -> tuple[object, ...]:
        soc, temperature = sample.soc_percent, sample.temperature_c
        return (
            sample.at,
            sample.voltage_v,
            sample.current_a,
            unknown if soc is None else soc,
            unknown if temperature is None else temperature,
        )

    # What is no number has no place in an order.
    finite = (s for s in samples if isfinite(s.voltage_v) and isfinite(s.current_a))
    first: dict[object, Sample] = {}
    for sample in sorted(finite, key=key):
        first.setdefault(sample.at, sample)
    return list(first.values())


class Columns:
    """The readings of many packs that have a voltage and a current, in order of pack and time,
    and what is between each and the one before."""

    def __init__(self, readings: Readings, types: Sequence[PackType]) -> None:
        volts, amperes = readings.scalar("voltage_v"), readings.scalar("current_a")
        finite = np.isfinite(volts) & np.isfinite(amperes)
        if not finite.all():
            readings = readings.take(finite)
            volts, amperes = readings.scalar("voltage_v"), readings.scalar("current_a")
        self.readings = readings
        self.types = types
        self.pack = readings.pack
        self.at = readings.at
        self.volts = volts.astype(np.float64, copy=False)
        self.amperes = amperes.astype(np.float64, copy=False)
        self.soc = readings.scalar("soc_percent")
        self.temperature = readings.scalar("temperature_c")
        n = len(readings)
        self.begins = np.ones(n, np.bool_)
        self.begins[1:] = self.pack[1:] != self.pack[:-1]
        self.seconds = np.zeros(n)
        np.subtract(self.at[1:], self.at[:-1], out=self.seconds[1:], casting="unsafe")
        self.seconds *= 1e-6
        self.seconds[self.begins] = 0.0
        self.charge_ah = np.zeros(n)
        np.add(self.amperes[1:], self.amperes[:-1], out=self.charge_ah[1:])
        self.charge_ah *= self.seconds
        self.charge_ah *= 1 / 7200
        self.direction = self._directions()
        self.period = self._periods()

    def _directions(self) -> NDArray[np.int8]:
        band = np.array([dead_band_a(one) for one in self.types])[self.pack]
        return (self.amperes > band).astype(np.int8) - (self.amperes < -band).astype(np.int8)

    def _periods(self) -> Float:
        """The median time between two readings, of each pack."""
        periods = np.full(len(self.types), np.inf)
        for first, last in bounds(self.pack):
            if last - first > 1:
                periods[self.pack[first]] = _median(self.seconds[first + 1 : last])
        return periods

    def sample(self, place: int) -> tuple[float, float, float | None, PackType]:
        """Cell voltage, current and temperature of a reading, as `seen` wants them."""
        pack_type = self.types[self.pack[place]]
        cell_v = float(self.volts[place]) / pack_type.cells_in_series
        temperature = float(self.temperature[place])
        known = None if temperature != temperature else temperature
        return cell_v, float(self.amperes[place]), known, pack_type


def cut(readings: Readings, types: Sequence[PackType]) -> list[tuple[int, Session]]:
    """Cut readings of packs into charges and discharges: each with the place of its pack, in order
    of pack and time. Readings are ordered; `types` has the type of each pack.

    A cut falls where the current changes direction or rests, where readings are missing for
    longer than 120 s or four periods, and where the reported state of charge jumps further
    than the current explains. What has no voltage or no current is left out.
    """
    firsts = starts(readings.pack)
    if len(readings) <= PIECE or len(firsts) < 2:
        return _cut(readings, types)
    found = []
    at = 0
    while at < len(readings):
        # Whole packs, as many as stay in the processor's cache while they are gone over.
        after = int(np.searchsorted(firsts, at + PIECE, side="right"))
        end = int(firsts[after]) if after < len(firsts) else len(readings)
        piece = readings.take(slice(at, end))
        least, most = int(piece.pack[0]), int(piece.pack[-1])
        places = np.arange(most + 1, dtype=np.int32) - least
        done = _cut(piece.of(places), types[least : most + 1])
        found += [(least + place, session) for place, session in done]
        at = end
    return found


def _cut(readings: Readings, types: Sequence[PackType]) -> list[tuple[int, Session]]:
    columns = Columns(readings, types)
    if len(columns.at) < 2:
        return []
    broken = _gaps(columns)
    broken[_soc_jumps(columns)] = True
    turns = columns.begins | broken
    turns[1:] |= columns.direction[1:] != columns.direction[:-1]
    firsts = np.flatnonzero(turns)
    lasts = np.append(firsts[1:], len(columns.at)) - 1
    runs = np.flatnonzero((lasts > firsts) & (columns.direction[firsts] != 0))
    if len(runs) == 0:
        return []
    return _sessions(columns, broken, firsts, lasts, runs)


def _gaps(columns: Columns) -> Flags:
    limit = np.maximum(GAP_S, GAP_PERIODS * columns.period)
    found: Flags = columns.seconds > limit[columns.pack]
    return found


def _soc_jumps(columns: Columns) -> list[int]:
    """The places at which the reported state of charge jumped."""
    if "soc_percent" not in columns.readings.scalars:
        return []
    moved = np.zeros(len(columns.at))
    np.subtract(columns.soc[1:], columns.soc[:-1], out=moved[1:], dtype=np.float64)
    percent_per_ah = np.array([100 / one.rated_ah for one in columns.types])
    points = columns.charge_ah * percent_per_ah[columns.pack]
    # Charging explains a little to much up, discharging a little to much down.
    least = np.minimum(points / EXPLAINED_TO, points / EXPLAINED_FROM) - SOC_JUMP_POINTS
    most = np.maximum(points / EXPLAINED_TO, points / EXPLAINED_FROM) + SOC_JUMP_POINTS
    far = ((moved < least) | (moved > most)) & ~columns.begins
    # A BMS that finds itself full or empty corrects its count. The pack has not jumped.
    return [
        place
        for place in np.flatnonzero(far).tolist()
        if not any(seen(*columns.sample(one)) for one in (place - 1, place))
    ]


def _sessions(
    columns: Columns, broken: Flags, firsts: Places, lasts: Places, runs: Places
) -> list[tuple[int, Session]]:
    first, last = firsts[runs], lasts[runs]
    pack = columns.pack[first]
    cells = np.array([one.cells_in_series for one in columns.types], np.float64)[pack]
    rated_ah = np.array([one.rated_ah for one in columns.types])[pack]
    at, volts, amperes, seconds = columns.at, columns.volts, columns.amperes, columns.seconds
    # The run before one, where nothing lies between.
    joined = (runs > 0) & ~columns.begins[first] & ~broken[first]
    before = np.where(joined, first - 1, first)
    tapered = joined & (np.abs(amperes[before]) / rated_ah <= TAPER_C)
    earlier = firsts[np.maximum(runs - 1, 0)]
    rested = joined & (columns.direction[earlier] == 0)
    after = np.minimum(runs + 1, len(firsts) - 1)
    follows = (runs + 1 < len(firsts)) & (columns.pack[firsts[after]] == pack)
    rests = follows & ~broken[firsts[after]] & (columns.direction[firsts[after]] == 0)
    inner_s = _inner(seconds, first, last)
    steps = np.zeros(len(at))
    steps[1:] = ((amperes[1:] - amperes[:-1]) * seconds[1:] / 3600) ** 2
    missing = np.where(
        seconds > 1.5 * columns.period[columns.pack], seconds - columns.period[columns.pack], 0.0
    )
    missing_s = _inner(missing, first, last) + _drawn_s(columns, first, last)
    temperatures = _of_temperature(columns, first, last)
    spreads = _of_spread(columns, first, last)
    table: dict[str, list[object]] = {
        "direction": columns.direction[first].tolist(),
        "started_at": [instant(one) for one in at[first].tolist()],
        "ended_at": [instant(one) for one in at[last].tolist()],
        "samples": (last - first + 1).tolist(),
        "charge_ah": np.abs(_inner(columns.charge_ah, first, last)).tolist(),
        "opening_ah": np.where(tapered, np.abs(columns.charge_ah[first]), 0.0).tolist(),
        "sampling_ah": np.sqrt(_inner(steps, first, last) / 12).tolist(),
        "missing_share": (missing_s / inner_s).tolist(),
        "before_v": _or_none(np.where(tapered, volts[before] / cells, np.nan)),
        "start_v": (volts[first] / cells).tolist(),
        "end_v": (volts[last] / cells).tolist(),
        "start_a": amperes[first].tolist(),
        "end_a": amperes[last].tolist(),
        "start_soc_percent": _or_none(columns.soc[first]),
        "end_soc_percent": _or_none(columns.soc[last]),
        "median_a": _medians(amperes, first, last).tolist(),
        "rest_before_s": np.where(rested, (at[first] - at[earlier]) / 1e6, 0.0).tolist(),
        "rest_after_s": _or_none(np.where(rests, (at[lasts[after]] - at[last]) / 1e6, np.nan)),
        **temperatures,
        **spreads,
    }
    rows = zip(*(table[name] for name in Session.__struct_fields__), strict=True)
    made = (Session(*row) for row in rows)
    return list(zip(pack.tolist(), made, strict=True))


def _pairs(first: Places, last: Places) -> list[tuple[int, int]]:
    return list(zip(first.tolist(), last.tolist(), strict=True))


def _inner(values: Float, first: Places, last: Places) -> Float:
    """The sums of what lies between the readings of runs: the first value of a run belongs to the
    time before it."""
    ends = np.stack([first + 1, last + 1], axis=1).ravel()
    padded = np.append(values, 0.0)
    found: Float = np.add.reduceat(padded, ends)[::2]
    return found


def _median(values: NDArray[np.floating]) -> float:
    found = values.copy()
    middle = len(found) // 2
    found.partition(middle)
    upper = float(found[middle])
    # Of an even number the other middle one is the greatest of those before.
    return upper if len(found) % 2 else (float(found[:middle].max()) + upper) / 2


def _medians(values: NDArray[np.floating], first: Places, last: Places) -> Float:
    """The median of each run: those of one length all at once."""
    sizes = last - first + 1
    order = np.argsort(sizes, kind="stable")
    found = np.empty(len(first))
    for begin, end in bounds(sizes[order]):
        which = order[begin:end]
        size = int(sizes[which[0]])
        middle = size // 2
        table = values[first[which][:, None] + np.arange(size)]
        table.partition(middle, axis=1)
        upper = table[:, middle].astype(np.float64)
        if size % 2 == 0:
            # The other middle one is the greatest of those before.
            upper = (table[:, :middle].max(axis=1).astype(np.float64) + upper) / 2
        found[which] = upper
    return found


def _or_none(values: NDArray[np.floating]) -> list[object]:
    return [None if value != value else value for value in values.tolist()]


def _of_temperature(columns: Columns, first: Places, last: Places) -> dict[str, list[object]]:
    """Median, least and greatest temperature of each run."""
    names = ("median_temperature_c", "temperature_min_c", "temperature_max_c")
    if "temperature_c" not in columns.readings.scalars:
        return {name: [None] * len(first) for name in names}
    values = columns.temperature
    known = np.isfinite(values)
    if known.all():
        medians: list[object] = _medians(values, first, last).tolist()
    else:
        medians = [_median_of_known(values[a : b + 1]) for a, b in _pairs(first, last)]
    least = _over(np.minimum, np.where(known, values, np.inf), first, last)
    most = _over(np.maximum, np.where(known, values, -np.inf), first, last)
    found = (medians, _finite(least), _finite(most))
    return dict(zip(names, found, strict=True))


def _median_of_known(values: NDArray[np.floating]) -> float | None:
    known = values[np.isfinite(values)]
    return _median(known) if len(known) else None


def _over(how: np.ufunc, values: NDArray[np.floating], first: Places, last: Places) -> Float:
    """The least or the greatest value of each run."""
    ends = np.stack([first, last + 1], axis=1).ravel()
    found: Float = how.reduceat(np.append(values, values[-1:]), ends)[::2]
    return found


def _finite(values: Float) -> list[object]:
    return [value if isfinite(value) else None for value in values.tolist()]


def _of_spread(columns: Columns, first: Places, last: Places) -> dict[str, list[object]]:
    """Median and greatest difference between the cells of a reading, in millivolts."""
    found: list[list[object]] = []
    cells = columns.readings.cells_mv
    for a, b in _pairs(first, last) if cells is not None else []:
        assert cells is not None
        rows = cells[a : b + 1]
        rows = rows[(rows != NO_CELL).any(axis=1)].astype(np.float64)
        rows[rows == NO_CELL] = np.nan
        if len(rows):
            spread = np.nanmax(rows, axis=1) - np.nanmin(rows, axis=1)
            found.append([_median(spread), float(spread.max())])
        else:
            found.append([None, None])
    names = ("spread_median_mv", "spread_max_mv")
    columns_of = [[None] * len(first)] * 2 if cells is None else zip(*found, strict=True)
    return {name: list(column) for name, column in zip(names, columns_of, strict=True)}


def _drawn_s(columns: Columns, first: Places, last: Places) -> Float:
    """The time of each run in which readings lie on straight lines."""
    found = np.zeros(len(first))
    if "temperature_c" not in columns.readings.scalars or len(columns.at) < 3:
        return found
    # Temperature tells most apart; the others are looked at where it does not.
    temperature = columns.temperature.astype(np.float64, copy=False)
    places = np.flatnonzero(_straight(temperature, slice(0, -2), level=False))
    for values, level in ((columns.volts, False), (columns.amperes, True)):
        places = places[_straight(values, places, level=level)]
    if len(places) < DRAWN_RUN:
        return found
    begins = np.flatnonzero(np.diff(places, prepend=-2) != 1)
    for start, end in zip(begins, np.append(begins[1:], len(places)), strict=True):
        a, b = int(places[start]), int(places[end - 1]) + 1
        # What is drawn may reach over the ends of runs; each has its own part.
        from_run = max(0, int(np.searchsorted(first, a, side="right")) - 1)
        for run in range(from_run, int(np.searchsorted(first, b, side="right"))):
            low, high = max(a, int(first[run])), min(b, int(last[run]) - 1)
            if high - low >= DRAWN_RUN:
                found[run] += (columns.at[high] - columns.at[low]) / 1e6
    return found


def _straight(values: Float, where: slice | Places, *, level: bool) -> Flags:
    """Whether three readings in a row are on a line, from these places on."""
    if isinstance(where, slice):
        a, b, c = values[:-2], values[1:-1], values[2:]
    else:
        a, b, c = values[where], values[where + 1], values[where + 2]
    tolerance = DRAWN_TOLERANCE * np.abs(b)
    found: Flags = np.abs(a + c - 2 * b) <= tolerance
    if not level:
        found &= np.abs(c - a) > tolerance
    return found
