"""Many packs at once are judged as each by itself, state and all."""

import math
import random

import msgspec
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from leasing.alarms import fleet, quality, rules
from leasing.alarms.model import Limits, Readings, defaults, readings
from leasing.alarms.rules import START, State
from schemas.alarms import AlarmKind
from tests.alarms.cars import LIMITS, car, changed, joined, with_cells

LFP = defaults("B", cells_in_series=16, rated_capacity_mah=100_000, rated_voltage_mv=51_200)
HIGH = defaults("E", cells_in_series=96, rated_capacity_mah=100_000, rated_voltage_mv=350_000)


def site(seed: int, rows: int, step_s: float = 60) -> Readings:
    """A pack without cells that charges, rests and discharges."""
    draw = np.random.default_rng(seed)
    n = np.arange(rows)
    way = np.array([1, 0, -1, 0])[n // 120 % 4]
    return readings(
        n * step_s + seed % 7,
        voltage_v=np.round(52 + way + draw.normal(0, 0.05, rows), 2),
        current_a=np.round(20.0 * way + draw.normal(0, 0.1, rows), 1),
        soc_percent=np.round(50 + np.cumsum(20.0 * way) / 60),
        temperature_c=np.round(25 + draw.normal(0, 0.2, rows), 1),
    )


def disturbed(rows: Readings, draw: random.Random) -> Readings:
    """Something odd, somewhere."""
    columns = {name: getattr(rows, name).copy() for name in Readings.__struct_fields__}
    for _ in range(draw.randint(0, 3)):
        at = draw.randrange(len(rows))
        until = at + draw.choice([1, 2, 10, 200])
        name = draw.choice(Readings.__struct_fields__[1:])
        odd = draw.choice([math.nan, 0.0, -30.0, 58.0, 70.0, 3700.0, 2400.0, 52_000.0])
        if name == "cells_mv" and rows.cells_mv.shape[1]:
            columns[name][at:until, draw.randrange(rows.cells_mv.shape[1])] = odd
        elif name != "cells_mv":
            columns[name][at:until] = odd
    if draw.random() < 0.2:
        columns["at_s"][draw.randrange(len(rows)) :] += draw.choice([-5000.0, -1.0, 4000.0])
    if draw.random() < 0.2:
        columns["soc_percent"] = 100 - columns["soc_percent"]
    return Readings(**columns)


def some(draw: random.Random) -> tuple[Readings, Limits]:
    seed, rows = draw.randrange(1000), draw.choice([1, 30, 700])
    if draw.random() < 0.6:
        return disturbed(site(seed, max(2, rows)), draw), LFP
    cells = draw.choice([2, 12])
    days = draw.choice([0.05, 1.5])
    found = car(days, 120, cells, seed)
    insulation = np.full(len(found), draw.choice([math.nan, 4000.0, 120.0]))
    limits = draw.choice([LIMITS, HIGH])
    return disturbed(changed(found, insulation_kohm=insulation), draw), limits


def together(
    packs: list[Readings], states: list[State], limits: list[Limits]
) -> list[tuple[list, State]]:
    """In one table of all of them, in which a pack with fewer cells shows none in the others."""
    width = max(one.cells_mv.shape[1] for one in packs)
    wide = [
        changed(
            one,
            cells_mv=np.pad(
                one.cells_mv,
                ((0, 0), (0, width - one.cells_mv.shape[1])),
                constant_values=math.nan,
            ),
        )
        for one in packs
    ]
    rows = wide[0]
    for one in wide[1:]:
        rows = joined(rows, one)
    ends = np.cumsum([len(one) for one in packs]).tolist()
    ranges = list(zip([0, *ends[:-1]], ends, strict=True))
    order = list(range(len(packs)))
    random.Random(len(rows)).shuffle(order)
    found = fleet.check_all(
        rows, [ranges[n] for n in order], [states[n] for n in order], [limits[n] for n in order]
    )
    return [found[order.index(n)] for n in range(len(packs))]


def encoded(answer: tuple[list, State]) -> bytes:
    """As it is stored; NaN is equal to itself here."""
    return msgspec.msgpack.encode(answer, enc_hook=float)


@settings(max_examples=60)
@given(st.integers(0, 2**32))
@example(465)  # a clock before 1970: its hour is no mark for "none"
def test_many_packs_are_judged_as_each_by_itself_in_whatever_portions(seed: int) -> None:
    draw = random.Random(seed)
    packs, limits = map(list, zip(*(some(draw) for _ in range(5)), strict=True))
    states = [START] * len(packs)
    at = [0] * len(packs)
    for _ in range(4):
        until = [draw.randint(a, len(one)) for a, one in zip(at, packs, strict=True)]
        portions = [fleet.own(one, a, b) for one, a, b in zip(packs, at, until, strict=True)]
        alone = [rules.check(*one) for one in zip(portions, states, limits, strict=True)]
        answers = together(portions, states, limits)
        assert list(map(encoded, answers)) == list(map(encoded, alone))
        at, states = until, [state for _, state in answers]


def test_a_calm_pack_is_not_judged_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    packs = [site(seed, 1000) for seed in range(4)] + [car(1, 120, 12, seed) for seed in range(2)]
    limits = [LFP] * 4 + [LIMITS] * 2
    first, rest = (
        [one.rows(slice(0, 9)) for one in packs],
        [one.rows(slice(9, 999)) for one in packs],
    )
    states = [state for _, state in together(first, [START] * 6, limits)]
    hot = rest[1].temperature_c.copy()
    hot[50:60] = 58.0
    rest[1] = changed(rest[1], temperature_c=hot)

    def flat(cells: np.ndarray) -> None:
        cells[50:60, 3] = 2400

    rest[5] = with_cells(rest[5], flat)
    judged: list[int] = []
    check = rules.check
    monkeypatch.setattr(
        rules, "check", lambda rows, *more: judged.append(len(rows)) or check(rows, *more)
    )
    answers = together(rest, states, limits)
    assert sorted(judged) == [len(rest[5]), len(rest[1])]
    assert [bool(changes) for changes, _ in answers] == [False, True, False, False, False, True]


def test_cells_that_stand_still_are_the_same_looked_at_row_by_row_or_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    draw = np.random.default_rng(4)
    rows = car(2, 300, 6, 1)
    cells = rows.cells_mv.copy()
    for _ in range(12):
        at, cell = draw.integers(len(cells)), draw.integers(6)
        cells[at : at + draw.choice([20, 60, 150]), cell] = draw.choice([3650.0, math.nan])
    rows = changed(rows, cells_mv=cells)

    def answers() -> list[bytes]:
        state, found = quality.Stuck(), []
        for first in range(0, len(rows), 37):
            changes, state = quality.stuck(rows.rows(slice(first, first + 37)), state, LIMITS)
            found.append(msgspec.msgpack.encode((changes, state), enc_hook=float))
        return found

    at_once = answers()
    monkeypatch.setattr(quality, "moving", lambda *given: None)
    assert at_once == answers()


def test_a_runaway_of_a_pack_that_is_beyond_no_limit_is_told() -> None:
    calm = site(3, 300)
    hot, volts = calm.temperature_c.copy(), calm.voltage_v.copy()
    # While it rests, at 50 °C, which is no alarm of its own.
    hot[150:], volts[150:] = 50.0, volts[150:] - 2
    packs = [calm, changed(calm, temperature_c=hot, voltage_v=volts)]
    (none, _), (changes, _) = together(packs, [START] * 2, [LFP] * 2)
    assert none == []
    assert AlarmKind.THERMAL_RUNAWAY in {change.kind for change in changes}
