"""Cutting readings into sessions one reading after the other: slow, and plain to read. What the
arrays of `leasing.health.sessions` find has to be this."""

from collections.abc import Iterable
from datetime import datetime
from itertools import pairwise
from math import isfinite, sqrt
from statistics import median

from leasing.health.model import PackType, Sample, Session
from leasing.health.sessions import (
    DRAWN_RUN,
    DRAWN_TOLERANCE,
    EXPLAINED_FROM,
    EXPLAINED_TO,
    GAP_PERIODS,
    GAP_S,
    SOC_JUMP_POINTS,
    dead_band_a,
)
from leasing.health.states import TAPER_C, seen


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
    if any(seen(_cell_v(s, pack_type), s.current_a, s.temperature_c, pack_type) for s in (a, b)):
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
