"""How much a pack still holds, judged from the current that flowed through it.

Capacity by coulomb counting between known states: the charge that moves a cell from one state
of charge to another, divided by the share of the whole it moved. What is known of the two
states decides all: a cell seen full and seen empty is as good as the current sensor, a few
hours on the flat part of an LFP curve say next to nothing. So every number here comes with a
90 % interval and the error terms it was made of, and where the interval would be a guess we
abstain and say why.

Sources. Capacity as charge over change of state, with errors in both: Plett, J. Power Sources
196 (2011) 2319. The levels at which a cell counts as full or empty, and what the current adds
to its voltage: read off 153 retired LFP cells (5 s pulses at 25 °C, doi
10.5281/zenodo.21008092) and 869 full charges of two 102 Ah LFP cells (doi
10.5281/zenodo.20132842). Chemistry letters: GB/T 34014.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from itertools import pairwise
from math import ceil, floor, isfinite, log2, sqrt
from statistics import median

import msgspec

from schemas.health import Verdict

RULE_VERSION = "1"

# The two-sided 90 % point of the normal distribution.
COVER = 1.645

# Below the dead band a pack rests. 2 A is what a Hall sensor invents at no current; 2 % of C is
# the same for a large pack. The cap keeps a 2 Ah cell from resting all its life, and keeps the
# band below the current at which a charge counts as tapered.
DEAD_BAND_C = 0.02
DEAD_BAND_A = 2.0
DEAD_BAND_CAP_C = 0.04
TAPER_C = 0.05

GAP_S = 120.0
GAP_PERIODS = 4
MAX_MISSING = 0.10
# Where current, voltage and temperature run on straight lines to the last digit, and the last two
# are not level, somebody filled a hole: a cell cools while nothing flows. Ten readings in a row,
# for a few fall so by chance.
DRAWN_RUN = 10
DRAWN_TOLERANCE = 1e-6

# A reported state of charge jumps when it moves this much further than the current explains in
# a pack between half of and somewhat above its rated capacity.
SOC_JUMP_POINTS = 2.0
EXPLAINED_FROM, EXPLAINED_TO = 0.5, 1.2

# What the current adds to the voltage within seconds, per C of rate. Retired LFP cells, charge
# pulses at 1 C and 25 °C: median 0.09 to 0.16 V, by type. What we are wrong by grows with the
# current, and with the cold: under load we look only near where it was measured.
LOAD_V_PER_C = 0.1
LOAD_MAX_C = 1.1
LOAD_MIN_C_DEGREES = 10.0

# One sigma, in percent: a BMS's shunt, calibrated by nobody we know of, and amperes of offset
# per ampere-hour of rated capacity.
GAIN_PERCENT = 1.0
OFFSET_A_PER_AH = 0.001

# Capacity is rated at 25 °C; rates between C/3 and 1 C are in use, the slower one is kept here.
REFERENCE_C_DEGREES = 25.0
REFERENCE_C_RATE = 1 / 3
PERCENT_PER_10_DEGREES = 1.0
PERCENT_PER_DOUBLING = 1.0
UNKNOWN_TEMPERATURE_PERCENT = 2.0

# Sigma of a state of charge, in points. In 869 full charges a cell that had just come to look
# full under constant current took up to 5.7 % more at 1 C (one in two 1.4 %) and 0.6 % at C/2;
# one that only just still looked empty had 0.9 to 2.3 % in it.
TAPER_POINTS = 1.0
CUT_OFF_POINTS = 2.0
EMPTY_POINTS = 1.5
RESTED_POINTS = 1.0
RESTED_BELOW_PERCENT = 15.0
RESTED_S = 2 * 3600.0
MIN_MOVED_POINTS = 40.0
# Outside of this a sensor or the rating is likelier to be wrong than the pack to be so.
MIN_OF_RATED, MAX_OF_RATED = 0.3, 1.2


ANCHORED = "coulomb.anchored"
SOC_WINDOW = "coulomb.soc_window"


class Sample(msgspec.Struct, frozen=True):
    """One reading of a pack: an aware instant, volts of the whole pack, amperes (positive is
    charging), the BMS's state of charge in percent, degrees Celsius."""

    at: datetime
    voltage_v: float
    current_a: float
    soc_percent: float | None = None
    temperature_c: float | None = None


class PackType(msgspec.Struct, frozen=True):
    """What must be known of a pack before its readings mean anything.

    `chemistry` is the letter of GB/T 34014. `full_cell_v` is the voltage a cell is held at to
    end a charge, as its maker gives it. LFP does without: past its knee it is full. Ternary
    cells are made for 4.2 V and for 4.35 V, and one cannot be told from the other by looking:
    unless the voltage is given none of them is ever taken for full.
    """

    chemistry: str
    cells_in_series: int
    rated_capacity_mah: int
    full_cell_v: float | None = None

    @property
    def rated_ah(self) -> float:
        return self.rated_capacity_mah / 1000

    def rate(self, current_a: float) -> float:
        """Amperes as a multiple of the rated capacity: 51 A is 0.5 C for 102 Ah."""
        return current_a / self.rated_ah


class Chemistry(msgspec.Struct, frozen=True):
    """Cell voltages without load, what a working sensor may show, and how far a BMS's state of
    charge is off (one sigma)."""

    sane_v: tuple[float, float]
    empty_v: float
    full_v: float | None
    full_under_load: bool
    soc_points: float


# LFP: the retired cells stood at 3.16 to 3.22 V with 5 % of charge in them, and never above
# 3.35 V short of full. Between these lies a slope of 1 mV per Ah, on which a BMS only counts:
# 5 to 8 points off, and we know nothing good of this one.
# Ternary: tapered to within 20 mV of the type's limit, and never full under load, where a fifth
# of the charge may be still to come. A BMS scatters by 0.5 points when one window is compared
# with itself, but capacities from two windows of one car differed by 15 %: 2 points a side.
CHEMISTRIES = {
    "B": Chemistry((2.0, 3.9), 3.0, 3.5, full_under_load=True, soc_points=8.0),
    "E": Chemistry((1.5, 4.5), 3.0, None, full_under_load=False, soc_points=2.0),
}
TERNARY_TAPER_V = 0.02


class Session(msgspec.Struct, frozen=True):
    """A stretch in which the current kept its direction: one charge or one discharge.

    Charge is in Ah and positive either way; `direction` is 1 for a charge. Voltages are per
    cell. `before_v` is the last voltage at rest or tapered before the session. Between it and
    the first reading under current nobody looked: `opening_ah` is what flowed if the current
    stepped half way, and it counts only when the state is known from before.

    `sampling_ah` is one sigma of the charge for not having looked between readings. A current
    that steps at an unknown moment within Δt leaves ΔI·Δt/√12: nothing for a steady current,
    much for one reading in half an hour.
    """

    direction: int
    started_at: datetime
    ended_at: datetime
    samples: int
    charge_ah: float
    opening_ah: float
    sampling_ah: float
    missing_share: float
    before_v: float | None
    start_v: float
    end_v: float
    start_a: float
    end_a: float
    start_soc_percent: float | None
    end_soc_percent: float | None
    median_a: float
    median_temperature_c: float | None
    rest_before_s: float


class Kind(StrEnum):
    """How the state at one end of a session is known."""

    TAPER = "taper"
    CUT_OFF = "cut_off"
    EMPTY = "empty"
    RESTED_SOC = "rested_soc"
    REPORTED_SOC = "reported_soc"


VOLTAGE_KINDS = {Kind.TAPER, Kind.CUT_OFF, Kind.EMPTY}


class State(msgspec.Struct, frozen=True):
    """A state of charge, its sigma in points, and whether it was seen before the current began."""

    kind: Kind
    percent: float
    sigma_points: float
    before: bool = False


class Reason(StrEnum):
    """Why there is no estimate."""

    NO_SESSION = "no_session"
    CHEMISTRY_UNKNOWN = "chemistry_unknown"
    MISSING_TIME = "missing_time"
    NO_ANCHOR = "no_anchor"
    ONE_ANCHOR = "one_anchor"
    WINDOW_TOO_SMALL = "window_too_small"
    SOC_CONTRADICTS_CURRENT = "soc_contradicts_current"
    IMPLAUSIBLE = "implausible"


class Abstention(msgspec.Struct, frozen=True):
    """A session that does not tell the capacity: a code for programs, a sentence for people."""

    reason: Reason
    sentence: str
    session: Session


class Estimate(msgspec.Struct, frozen=True):
    """A capacity in mAh with its 90 % interval, as measured and not per cent of anything."""

    method: str
    capacity_mah: int
    lower_mah: int
    upper_mah: int
    measured_at: datetime
    evidence: dict[str, object]

    @property
    def relative_width(self) -> float:
        return (self.upper_mah - self.lower_mah) / self.capacity_mah


class Health(msgspec.Struct, frozen=True):
    """What one night's check found, ready to be stored: all of it or nothing but the evidence."""

    method: str | None
    capacity_mah: int | None
    lower_mah: int | None
    upper_mah: int | None
    measured_at: datetime | None
    evidence: dict[str, object]
    reason: Reason | None = None


# Sessions


def dead_band_a(pack_type: PackType) -> float:
    """Amperes below which a pack counts as resting."""
    band = max(pack_type.rated_ah * DEAD_BAND_C, DEAD_BAND_A)
    return min(band, pack_type.rated_ah * DEAD_BAND_CAP_C)


def sessions(samples: Iterable[Sample], pack_type: PackType) -> list[Session]:
    """Cut a pack's readings into charges and discharges, oldest first.

    A cut falls where the current changes direction or rests, where readings are missing for
    longer than 120 s or four periods, and where the reported state of charge jumps further
    than the current explains. Readings may come in any order and twice; of two that differ at
    one instant the lower voltage is kept. What is not a number is left out.
    """
    ordered = _in_order(samples)
    if len(ordered) < 2:
        return []
    period = median(_seconds(a, b) for a, b in pairwise(ordered))
    found: list[Session] = []
    earlier: list[Sample] = []
    for run in _runs(ordered, pack_type, period):
        if len(run) > 1 and _direction(run[0], pack_type):
            joined = bool(earlier) and not _broken(earlier[-1], run[0], pack_type, period)
            found.append(_session(run, earlier if joined else [], pack_type, period))
        earlier = run
    return found


def _in_order(samples: Iterable[Sample]) -> list[Sample]:
    unknown = float("-inf")

    def key(sample: Sample) -> tuple[datetime, float, float, float, float]:
        soc, temperature = sample.soc_percent, sample.temperature_c
        return (
            sample.at,
            sample.voltage_v,
            sample.current_a,
            unknown if soc is None else soc,
            unknown if temperature is None else temperature,
        )

    # What is no number has no place in an order, nor in a sum.
    finite = (s for s in samples if isfinite(s.voltage_v) and isfinite(s.current_a))
    first: dict[datetime, Sample] = {}
    for sample in sorted(finite, key=key):
        first.setdefault(sample.at, sample)
    return list(first.values())


def _seconds(a: Sample, b: Sample) -> float:
    return (b.at - a.at).total_seconds()


def _charge_ah(a: Sample, b: Sample) -> float:
    return (a.current_a + b.current_a) / 2 * _seconds(a, b) / 3600


def _direction(sample: Sample, pack_type: PackType) -> int:
    if abs(sample.current_a) <= dead_band_a(pack_type):
        return 0
    return 1 if sample.current_a > 0 else -1


def _runs(ordered: list[Sample], pack_type: PackType, period: float) -> list[list[Sample]]:
    runs = [[ordered[0]]]
    for a, b in pairwise(ordered):
        same = _direction(a, pack_type) == _direction(b, pack_type)
        if same and not _broken(a, b, pack_type, period):
            runs[-1].append(b)
        else:
            runs.append([b])
    return runs


def _broken(a: Sample, b: Sample, pack_type: PackType, period: float) -> bool:
    gap = _seconds(a, b) > max(GAP_S, GAP_PERIODS * period)
    return gap or _soc_jumps(a, b, pack_type)


def _soc_jumps(a: Sample, b: Sample, pack_type: PackType) -> bool:
    if a.soc_percent is None or b.soc_percent is None:
        return False
    # A BMS that finds itself full or empty corrects its count. The pack has not jumped.
    if any(_seen(_cell_v(s, pack_type), s.current_a, s.temperature_c, pack_type) for s in (a, b)):
        return False
    points = 100 * _charge_ah(a, b) / pack_type.rated_ah
    least, most = sorted((points / EXPLAINED_TO, points / EXPLAINED_FROM))
    moved = b.soc_percent - a.soc_percent
    return not least - SOC_JUMP_POINTS <= moved <= most + SOC_JUMP_POINTS


def _cell_v(sample: Sample, pack_type: PackType) -> float:
    return sample.voltage_v / pack_type.cells_in_series


def _session(
    run: list[Sample], earlier: list[Sample], pack_type: PackType, period: float
) -> Session:
    first, last = run[0], run[-1]
    before = earlier[-1] if earlier else None
    if before is not None and abs(pack_type.rate(before.current_a)) > TAPER_C:
        before = None
    rested = bool(earlier) and _direction(earlier[0], pack_type) == 0
    steps = [(b.current_a - a.current_a) * _seconds(a, b) / 3600 for a, b in pairwise(run)]
    temperatures = [s.temperature_c for s in run if s.temperature_c is not None]
    return Session(
        direction=_direction(first, pack_type),
        started_at=first.at,
        ended_at=last.at,
        samples=len(run),
        charge_ah=abs(sum(_charge_ah(a, b) for a, b in pairwise(run))),
        opening_ah=0.0 if before is None else abs(_charge_ah(before, first)),
        sampling_ah=sqrt(sum(step**2 for step in steps) / 12),
        missing_share=(_missing_s(run, period) + _drawn_s(run)) / _seconds(first, last),
        before_v=None if before is None else _cell_v(before, pack_type),
        start_v=_cell_v(first, pack_type),
        end_v=_cell_v(last, pack_type),
        start_a=first.current_a,
        end_a=last.current_a,
        start_soc_percent=first.soc_percent,
        end_soc_percent=last.soc_percent,
        median_a=median(s.current_a for s in run),
        median_temperature_c=median(temperatures) if temperatures else None,
        rest_before_s=_seconds(earlier[0], first) if rested else 0.0,
    )


def _missing_s(run: list[Sample], period: float) -> float:
    steps = (_seconds(a, b) for a, b in pairwise(run))
    return sum(step - period for step in steps if step > 1.5 * period)


def _drawn_s(run: list[Sample]) -> float:
    total = length = 0.0
    count = 0
    for a, b, c in zip(run, run[1:], run[2:], strict=False):
        if _drawn(a, b, c):
            count += 1
            length += _seconds(a, b)
            continue
        total += length if count >= DRAWN_RUN else 0.0
        count, length = 0, 0.0
    return total + (length if count >= DRAWN_RUN else 0.0)


def _drawn(a: Sample, b: Sample, c: Sample) -> bool:
    if a.temperature_c is None or b.temperature_c is None or c.temperature_c is None:
        return False
    return (
        _straight(a.voltage_v, b.voltage_v, c.voltage_v, level=False)
        and _straight(a.temperature_c, b.temperature_c, c.temperature_c, level=False)
        and _straight(a.current_a, b.current_a, c.current_a, level=True)
    )


def _straight(a: float, b: float, c: float, *, level: bool) -> bool:
    tolerance = DRAWN_TOLERANCE * abs(b)
    return abs(a + c - 2 * b) <= tolerance and (level or abs(c - a) > tolerance)


# States


def _seen(
    cell_v: float, current_a: float, temperature_c: float | None, pack_type: PackType
) -> State | None:
    """Whether a cell shows itself full or empty by its voltage, and by which rule."""
    chemistry = CHEMISTRIES.get(pack_type.chemistry)
    # A sensor that is gone reads nothing, and nothing looks empty.
    if chemistry is None or not chemistry.sane_v[0] <= cell_v <= chemistry.sane_v[1]:
        return None
    full_v = chemistry.full_v
    if full_v is None and pack_type.full_cell_v is not None:
        full_v = pack_type.full_cell_v - TERNARY_TAPER_V
    rate = pack_type.rate(current_a)
    tapered = abs(rate) <= TAPER_C
    if full_v is not None and tapered and cell_v >= full_v:
        return State(Kind.TAPER, 100.0, TAPER_POINTS)
    warm = temperature_c is not None and temperature_c >= LOAD_MIN_C_DEGREES
    if not tapered and not (warm and abs(rate) <= LOAD_MAX_C):
        return None
    unloaded_v = cell_v - LOAD_V_PER_C * rate
    # A charge cut off under constant current leaves out the taper that would still have come.
    # What it measures is the capacity at that rate, and the error term of the rate says so.
    if full_v is not None and chemistry.full_under_load and rate > 0 and unloaded_v >= full_v:
        return State(Kind.CUT_OFF, 100.0, CUT_OFF_POINTS)
    if unloaded_v <= chemistry.empty_v:
        return State(Kind.EMPTY, 0.0, EMPTY_POINTS)
    return None


def _start(session: Session, pack_type: PackType) -> State | None:
    temperature = session.median_temperature_c
    seen = _seen(session.start_v, session.start_a, temperature, pack_type)
    if seen is not None:
        return seen
    if session.before_v is not None:
        seen = _seen(session.before_v, 0.0, temperature, pack_type)
        if seen is not None:
            return msgspec.structs.replace(seen, before=True)
    soc = session.start_soc_percent
    if soc is not None and soc <= RESTED_BELOW_PERCENT and session.rest_before_s >= RESTED_S:
        return State(Kind.RESTED_SOC, soc, RESTED_POINTS)
    return _reported(soc, pack_type)


def _end(session: Session, pack_type: PackType) -> State | None:
    temperature = session.median_temperature_c
    seen = _seen(session.end_v, session.end_a, temperature, pack_type)
    return seen or _reported(session.end_soc_percent, pack_type)


def _reported(soc_percent: float | None, pack_type: PackType) -> State | None:
    if soc_percent is None:
        return None
    return State(Kind.REPORTED_SOC, soc_percent, CHEMISTRIES[pack_type.chemistry].soc_points)


# Estimates


def estimate(session: Session, pack_type: PackType) -> Estimate | Abstention:
    """The capacity one session shows, or why it shows none.

    Coulomb counting between two states of charge, C = Q / (z1 - z0), error budget in quadrature:

        (σ_C/C)² = σ_gain² + (σ_offset·t/Q)² + (σ_z0² + σ_z1²)/(z1 - z0)² + σ_condition²

    with the charge missed between readings as one more term. Seen full at one end and empty at
    the other, C is Q itself. Else the BMS's own state of charge stands in, with the wide sigma
    it deserves: a BMS that counts divides by the capacity it believes in, and would hand us that
    belief back. Below 40 points moved we abstain. The interval is for the capacity at 25 °C and
    C/3: what was measured hotter, colder, faster or slower is not corrected but widened.
    """
    name = "charge" if session.direction > 0 else "discharge"
    if pack_type.chemistry not in CHEMISTRIES:
        sentence = f"nothing is known here of cells of chemistry {pack_type.chemistry}"
        return Abstention(Reason.CHEMISTRY_UNKNOWN, sentence, session)
    if session.missing_share > MAX_MISSING:
        share = ceil(100 * session.missing_share)
        sentence = f"{share} % of the {name} was not recorded; 10 % are allowed"
        return Abstention(Reason.MISSING_TIME, sentence, session)
    start, end = _start(session, pack_type), _end(session, pack_type)
    if start is None and end is None:
        sentence = f"the state of charge is known at neither end of the {name}"
        return Abstention(Reason.NO_ANCHOR, sentence, session)
    if start is None or end is None:
        known, unknown = ("start", "end") if end is None else ("end", "start")
        sentence = (
            f"the state of charge is known at the {known} of the {name}, not at its {unknown}"
        )
        return Abstention(Reason.ONE_ANCHOR, sentence, session)
    moved = session.direction * (end.percent - start.percent)
    if moved < -SOC_JUMP_POINTS:
        sentence = f"the state of charge went the wrong way in a {name}, by {-moved:.0f} points"
        return Abstention(Reason.SOC_CONTRADICTS_CURRENT, sentence, session)
    if moved < MIN_MOVED_POINTS:
        sentence = (
            f"the {name} moved {max(0, floor(moved))} points of state of charge; "
            f"{MIN_MOVED_POINTS:.0f} are needed"
        )
        return Abstention(Reason.WINDOW_TOO_SMALL, sentence, session)
    return _between(session, start, end, moved, pack_type)


def _between(
    session: Session, start: State, end: State, moved: float, pack_type: PackType
) -> Estimate | Abstention:
    charge_ah = session.charge_ah + (session.opening_ah if start.before else 0.0)
    capacity_mah = 1000 * charge_ah / (moved / 100)
    terms = _error_percent(session, start, end, moved, charge_ah, pack_type)
    half = COVER * sqrt(sum(term**2 for term in terms.values())) / 100
    lower_mah = floor(capacity_mah * max(0.0, 1 - half))
    upper_mah = ceil(capacity_mah * (1 + half))
    rated_mah = pack_type.rated_capacity_mah
    if lower_mah > MAX_OF_RATED * rated_mah or upper_mah < MIN_OF_RATED * rated_mah:
        sentence = (
            f"{capacity_mah / 1000:.3g} Ah were counted in a pack rated "
            f"{pack_type.rated_ah:.3g} Ah; look at the sensors and the rating first"
        )
        return Abstention(Reason.IMPLAUSIBLE, sentence, session)
    anchored = {start.kind, end.kind} <= VOLTAGE_KINDS
    return Estimate(
        method=ANCHORED if anchored else SOC_WINDOW,
        capacity_mah=round(capacity_mah),
        lower_mah=lower_mah,
        upper_mah=upper_mah,
        measured_at=session.ended_at,
        evidence=_evidence(session, start, end, terms, charge_ah),
    )


def _error_percent(
    session: Session,
    start: State,
    end: State,
    moved: float,
    charge_ah: float,
    pack_type: PackType,
) -> dict[str, float]:
    """Every error term by name: one sigma, in percent of the capacity."""
    hours = (session.ended_at - session.started_at).total_seconds() / 3600
    # A step at any moment of the opening interval: half the interval's charge, over √3.
    opening_ah = session.opening_ah / sqrt(3) if start.before else 0.0
    sampling_ah = sqrt(session.sampling_ah**2 + opening_ah**2)
    temperature = session.median_temperature_c
    return {
        "gain": GAIN_PERCENT,
        "offset": 100 * OFFSET_A_PER_AH * pack_type.rated_ah * hours / charge_ah,
        "sampling": 100 * sampling_ah / charge_ah,
        "start_state": 100 * start.sigma_points / moved,
        "end_state": 100 * end.sigma_points / moved,
        "temperature": (
            UNKNOWN_TEMPERATURE_PERCENT
            if temperature is None
            else PERCENT_PER_10_DEGREES * abs(temperature - REFERENCE_C_DEGREES) / 10
        ),
        "rate": PERCENT_PER_DOUBLING
        * abs(log2(abs(pack_type.rate(session.median_a)) / REFERENCE_C_RATE)),
    }


def _evidence(
    session: Session, start: State, end: State, terms: dict[str, float], charge_ah: float
) -> dict[str, object]:
    return {
        "rule_version": RULE_VERSION,
        "session": {**_window(session), "samples": session.samples},
        "charge_ah": round(charge_ah, 3),
        "current_a": round(session.median_a, 3),
        "temperature_c": _rounded(session.median_temperature_c),
        "start": _told(start, session.before_v if start.before else session.start_v),
        "end": _told(end, session.end_v),
        "error_percent": {name: round(value, 3) for name, value in terms.items()},
    }


def _window(session: Session) -> dict[str, object]:
    return {
        "direction": "charge" if session.direction > 0 else "discharge",
        "started_at": session.started_at.isoformat(),
        "ended_at": session.ended_at.isoformat(),
    }


def _told(state: State, cell_v: float | None) -> dict[str, object]:
    return {
        "known_by": state.kind.value,
        "soc_percent": state.percent,
        "sigma_points": state.sigma_points,
        "cell_v": _rounded(cell_v),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


# What follows


def best(estimates: Iterable[Estimate]) -> Estimate | None:
    """The estimate with the narrowest interval for its size; the newest of equals.

    Averaging would narrow the interval further, but only if the errors were independent, and
    one pack's sensor is off in the same direction every night. The caller bounds how old an
    estimate may be.
    """
    return min(
        estimates,
        key=lambda e: (e.relative_width, -e.measured_at.timestamp()),
        default=None,
    )


def conclude(outcomes: Sequence[Estimate | Abstention]) -> Health:
    """One night's result from all sessions: the best estimate, or the reason that came nearest,
    which is the one of the session that moved most charge."""
    chosen = best(o for o in outcomes if isinstance(o, Estimate))
    if chosen is not None:
        return Health(
            method=chosen.method,
            capacity_mah=chosen.capacity_mah,
            lower_mah=chosen.lower_mah,
            upper_mah=chosen.upper_mah,
            measured_at=chosen.measured_at,
            evidence={**chosen.evidence, "sessions": len(outcomes)},
        )
    nearest = max(
        (o for o in outcomes if isinstance(o, Abstention)),
        key=lambda o: (o.session.charge_ah, o.session.ended_at),
        default=None,
    )
    reason = Reason.NO_SESSION if nearest is None else nearest.reason
    evidence: dict[str, object] = {
        "rule_version": RULE_VERSION,
        "reason": reason.value,
        "sentence": "no charge or discharge was recorded" if nearest is None else nearest.sentence,
        "sessions": len(outcomes),
    }
    if nearest is not None:
        evidence |= {
            "session": _window(nearest.session),
            "charge_ah": round(nearest.session.charge_ah, 3),
        }
    return Health(None, None, None, None, None, evidence, reason)


def judge(lower_mah: int, upper_mah: int, guarantee_mah: int) -> Verdict:
    """The contract's question, answered only when the whole interval gives one answer.

    Breach when all of it lies below the guarantee, pass when none of it does. Anything else is
    inconclusive: a check discharge is due and no money moves.
    """
    if lower_mah > upper_mah:
        raise ValueError(f"an interval from {lower_mah} to {upper_mah} mAh holds nothing")
    if upper_mah < guarantee_mah:
        return Verdict.BREACH
    if lower_mah >= guarantee_mah:
        return Verdict.PASS
    return Verdict.INCONCLUSIVE
