"""Readings as bytes: what goes in comes out, whatever is missing, and other bytes are refused."""

import zlib
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from leasing.telemetry import chunks
from leasing.telemetry.chunks import NotAChunk
from leasing.telemetry.columns import (
    NO_CELL,
    QUANTITIES,
    Readings,
    bounds,
    civil_day,
    concatenate,
    from_rows,
    instant,
    ordered,
    us,
)
from schemas.telemetry import Reading

START = us(datetime(2026, 6, 14, 15, 0, tzinfo=UTC))


@st.composite
def readings(draw: st.DrawFn) -> Readings:
    """Ordered readings of up to three packs, with any quantities, cells and probes."""
    counts = draw(st.lists(st.integers(1, 6), min_size=1, max_size=3))
    total = sum(counts)
    steps = draw(st.lists(st.integers(1, 10**12), min_size=total, max_size=total))
    names = draw(st.sets(st.sampled_from(QUANTITIES)))
    floats = st.floats(width=32, allow_nan=True, allow_infinity=False)
    cells, probes = draw(st.integers(0, 5)), draw(st.integers(0, 3))
    return Readings(
        np.repeat(np.arange(len(counts), dtype=np.int32), counts),
        START + np.cumsum(steps, dtype=np.int64),
        {n: draw(arrays.arrays(np.float32, total, elements=floats)) for n in sorted(names)},
        draw(arrays.arrays(np.int16, (total, cells))) if cells else None,
        draw(arrays.arrays(np.float32, (total, probes), elements=floats)) if probes else None,
    )


def packed(given: Readings, *, compress: bool) -> list[tuple[int, int, bytes]]:
    ranges = bounds(given.pack)
    bodies = chunks.encode(given, ranges, compress=compress)
    return [
        (int(given.pack[first]), int(given.at[first]), body)
        for (first, _), body in zip(ranges, bodies, strict=True)
    ]


def refuse_difference(found: Readings, given: Readings) -> None:
    assert found.pack.tolist() == given.pack.tolist()
    assert found.at.tolist() == given.at.tolist()
    for name in QUANTITIES:
        assert np.array_equal(found.scalar(name), given.scalar(name), equal_nan=True), name
    # What is missing at the end of a row in a whole chunk is left out.
    for one, other, missing in (
        (found.cells_mv, given.cells_mv, NO_CELL),
        (found.temperatures_c, given.temperatures_c, np.nan),
    ):
        width = max(0 if table is None else table.shape[1] for table in (one, other))
        same = [wide(table, len(given), width, missing) for table in (one, other)]
        assert np.array_equal(*same, equal_nan=True)


def wide(table: object, rows: int, width: int, missing: object) -> object:
    made = np.full((rows, width), missing, np.float64)
    if table is not None:
        made[:, : table.shape[1]] = table
    return made


@given(readings(), st.booleans())
def test_what_is_packed_comes_out_as_it_was(given, compress):
    refuse_difference(chunks.decode_all(packed(given, compress=compress)), given)


@given(readings(), readings())
def test_chunks_of_different_makes_are_unpacked_in_their_order(first, second):
    both = packed(first, compress=True) + packed(second, compress=False)
    refuse_difference(chunks.decode_all(both), concatenate([first, second]))


@given(readings(), st.data())
def test_bytes_cut_short_or_of_no_known_form_are_refused(given, data):
    for compress in (True, False):
        _, _, body = packed(given, compress=compress)[0]
        cut = data.draw(st.integers(0, len(body) - 1))
        with pytest.raises(NotAChunk):
            chunks.decode(0, START, body[:cut])
        with pytest.raises(NotAChunk):
            chunks.decode(0, START, b"\x07" + body[1:])
        with pytest.raises(NotAChunk):
            chunks.decode(0, START, body + b"\x00" if not compress else body[:-6] + b"\x00" * 6)


def test_a_chunk_that_says_it_is_small_is_not_inflated_without_end():
    bomb = chunks.HEAD.pack(chunks.COMPRESSED, 1, 0, 0, 1) + zlib.compress(bytes(50_000_000))
    with pytest.raises(NotAChunk, match="with 13 bytes where 12 belong"):
        chunks.decode(0, START, bomb)


def test_readings_are_put_in_order_and_of_two_at_one_instant_the_first_stays():
    given = Readings(
        np.array([1, 0, 1, 0, 1], np.int32),
        np.array([5, 9, 5, 3, 4], np.int64),
        {"voltage_v": np.array([50, 51, 52, 53, 54], np.float32)},
    )
    found = ordered(given)
    assert list(zip(found.pack, found.at, found.scalars["voltage_v"], strict=True)) == [
        (0, 3, 53),
        (0, 9, 51),
        (1, 4, 54),
        (1, 5, 50),
    ]
    assert ordered(found) is found


def test_a_civil_day_begins_at_the_lessor_s_midnight():
    before, after = (us(datetime(2026, 6, 14, h, m, tzinfo=UTC)) for h, m in ((15, 59), (16, 0)))
    days = civil_day(np.array([before, after], np.int64))
    assert days[1] - days[0] == 1


def test_rows_become_columns_with_what_is_missing():
    at = datetime(2026, 6, 14, 15, 0, 0, 123456, tzinfo=UTC)
    rows = [
        Reading(at=at, voltage_v=51.2, cells_mv=[3200, None, 3202]),
        Reading(at=at, current_a=-3.0, temperatures_c=[20.5]),
    ]
    found = from_rows([0, 1], rows)
    assert [instant(one) for one in found.at.tolist()] == [at, at]
    assert set(found.scalars) == {"voltage_v", "current_a"}
    assert np.isnan(found.scalars["voltage_v"]).tolist() == [False, True]
    assert found.cells_mv.tolist() == [[3200, NO_CELL, 3202], [NO_CELL] * 3]
    assert np.isnan(found.temperatures_c).tolist() == [[True], [False]]
