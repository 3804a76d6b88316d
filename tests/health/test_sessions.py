"""Many packs cut at once, held against one pack cut reading by reading."""

from datetime import UTC, datetime, timedelta
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import asdict

from leasing.health.model import PackType, Sample, Session
from leasing.health.sessions import cut, sessions
from leasing.telemetry.columns import Readings, from_rows
from schemas.telemetry import Reading
from tests.health import one_by_one

TYPES = [PackType("B", 16, 100_000), PackType("E", 15, 50_000, full_cell_v=4.2)]
START = datetime(2026, 6, 14, tzinfo=UTC)
ONLY_NEW = {"rest_after_s", "temperature_min_c", "temperature_max_c"}


def walk(random: Random, pack_type: PackType, count: int) -> list[Sample]:
    """A pack that charges, rests, discharges, tapers, loses readings, jumps and is drawn."""
    at, soc, current, samples = START, 50.0, 0.0, []
    temperature, cell_v = 25.0, 3.3
    while len(samples) < count:
        current = random.choice([0.0, 0.5, 20.0, -20.0, 40.0, 3.5, current])
        drawn = random.random() < 0.2
        for _ in range(random.choice([1, 2, 5, 14])):
            at += timedelta(seconds=random.choice([60] * 12 + [59, 200, 900, 4000]))
            soc = min(100.0, max(0.0, soc + current / 60))
            if random.random() < 0.03:
                soc = random.uniform(0, 100)
            if drawn:
                temperature, cell_v = temperature - 0.125, cell_v - 0.0009765625
            else:
                temperature = 25 + random.choice([0, 1, 2]) / 8
                cell_v = random.choice([2.9, 3.1, 3.3, 3.3, 3.45, 3.6, 4.19])
            samples.append(
                Sample(
                    at,
                    cell_v * pack_type.cells_in_series,
                    current if drawn else current + random.choice([0, 0, 0.25]),
                    round(soc) if random.random() < 0.9 else None,
                    temperature if random.random() < 0.97 else None,
                )
            )
    return samples


def refuse_difference(found: list[Session], expected: list[Session]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        left, right = asdict(one), asdict(other)
        for name in ONLY_NEW:
            del left[name], right[name]
        numbers = {name for name, value in right.items() if isinstance(value, float)}
        for name in right.keys() - numbers:
            assert left[name] == right[name], name
        for name in numbers:
            assert left[name] == pytest.approx(right[name], rel=1e-6, abs=1e-9), name


@settings(max_examples=200)
@given(st.randoms(use_true_random=False), st.integers(0, 200), st.sampled_from(TYPES))
def test_arrays_find_what_one_finds_reading_by_reading(random, count, pack_type):
    samples = walk(random, pack_type, count)
    refuse_difference(sessions(samples, pack_type), one_by_one.sessions(samples, pack_type))


def as_readings(walks: list[list[Sample]]) -> Readings:
    rows = [
        Reading(
            at=one.at,
            voltage_v=one.voltage_v,
            current_a=one.current_a,
            soc_percent=one.soc_percent,
            temperature_c=one.temperature_c,
        )
        for samples in walks
        for one in samples
    ]
    packs = [pack for pack, samples in enumerate(walks) for _ in samples]
    return from_rows(packs, rows)


def stored(samples: list[Sample]) -> list[Sample]:
    """As they are kept: in single precision."""
    return [
        Sample(
            one.at,
            float(np.float32(one.voltage_v)),
            float(np.float32(one.current_a)),
            one.soc_percent,
            one.temperature_c,
        )
        for one in samples
    ]


@settings(max_examples=50)
@given(st.randoms(use_true_random=False), st.lists(st.integers(0, 80), min_size=1, max_size=5))
def test_packs_cut_together_are_cut_as_each_alone(random, counts):
    types = [TYPES[n % 2] for n in range(len(counts))]
    walks = [walk(random, one, count) for one, count in zip(types, counts, strict=True)]
    found = cut(as_readings(walks), types)
    for pack, samples in enumerate(walks):
        mine = [session for place, session in found if place == pack]
        refuse_difference(mine, one_by_one.sessions(stored(samples), types[pack]))


def test_what_has_no_current_or_no_voltage_is_left_out():
    samples = [
        Sample(START + timedelta(minutes=n), 52.0 + n / 10, 20.0 + n, 50.0 + n / 3, 25.0)
        for n in range(20)
    ]
    rows = as_readings([samples])
    rows.scalars["current_a"][7] = np.nan
    rows.scalars["voltage_v"][3] = np.nan
    ((_, session),) = cut(rows, TYPES[:1])
    assert session.samples == 18


def test_the_spread_of_cells_temperatures_and_the_rest_that_follows_are_summed_up():
    rows = [
        Reading(
            at=START + timedelta(minutes=n),
            voltage_v=52.0,
            current_a=20.0 if n < 30 else 0.0,
            temperature_c=20.0 + n,
            cells_mv=[3200, None, 3210 + n],
        )
        for n in range(60)
    ]
    ((_, session),) = cut(from_rows([0] * 60, rows), TYPES[:1])
    assert (session.temperature_min_c, session.temperature_max_c) == (20.0, 49.0)
    assert (session.spread_median_mv, session.spread_max_mv) == (24.5, 39.0)
    assert session.rest_after_s == 30 * 60
