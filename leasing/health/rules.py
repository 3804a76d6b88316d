"""How much a pack still holds, judged from the current that flowed through it.

Capacity by coulomb counting between known states: the charge that moves a cell from one state
of charge to another, divided by the share of the whole it moved. What is known of the two
states decides all: a cell seen full and seen empty is as good as the current sensor, a few
hours on the flat part of an LFP curve say next to nothing. So every number here comes with a
90 % interval and the error terms it was made of, and where the interval would be a guess we
abstain and say why.

Sources. Capacity as charge over change of state, with errors in both: Plett, J. Power Sources
196 (2011) 2319.
"""

from collections.abc import Iterable, Sequence
from math import ceil, floor, log2, sqrt

import msgspec

from leasing.health.model import (
    VOLTAGE_KINDS,
    Abstention,
    Estimate,
    Health,
    Kind,
    PackType,
    Reason,
    Session,
    State,
)
from leasing.health.sessions import MAX_MISSING, SOC_JUMP_POINTS
from leasing.health.states import CHEMISTRIES, seen
from schemas.health import Verdict

RULE_VERSION = "1"

# The two-sided 90 % point of the normal distribution.
COVER = 1.645

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

RESTED_POINTS = 1.0
RESTED_BELOW_PERCENT = 15.0
RESTED_S = 2 * 3600.0
MIN_MOVED_POINTS = 40.0
# Outside of this a sensor or the rating is likelier to be wrong than the pack to be so.
MIN_OF_RATED, MAX_OF_RATED = 0.3, 1.2

ANCHORED = "coulomb.anchored"
SOC_WINDOW = "coulomb.soc_window"


def _start(session: Session, pack_type: PackType) -> State | None:
    temperature = session.median_temperature_c
    known = seen(session.start_v, session.start_a, temperature, pack_type)
    if known is not None:
        return known
    if session.before_v is not None:
        known = seen(session.before_v, 0.0, temperature, pack_type)
        if known is not None:
            return msgspec.structs.replace(known, before=True)
    soc = session.start_soc_percent
    if soc is not None and soc <= RESTED_BELOW_PERCENT and session.rest_before_s >= RESTED_S:
        return State(Kind.RESTED_SOC, soc, RESTED_POINTS)
    return _reported(soc, pack_type)


def _end(session: Session, pack_type: PackType) -> State | None:
    temperature = session.median_temperature_c
    known = seen(session.end_v, session.end_a, temperature, pack_type)
    return known or _reported(session.end_soc_percent, pack_type)


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
