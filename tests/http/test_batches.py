"""The order of rows that share something, and the rows of a batch that cannot be read."""

import json
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from leasing.http.batches import waves
from leasing.http.fields import Invalid, decode_batch
from schemas.batches import Batch
from schemas.common import Incoming


class Row(Incoming, frozen=True):
    number: Annotated[int, Meta(ge=0)]


class RowBatch(Batch, frozen=True, kw_only=True):
    rows: Annotated[list[Row], Meta(min_length=1, max_length=5)]


@given(st.lists(st.sets(st.integers(0, 6), max_size=3), max_size=30))
def test_rows_that_share_a_key_follow_each_other_and_others_go_together(rows: list[set[int]]):
    found = waves(rows, lambda row: row)
    assert sorted(place for wave in found for place in wave) == list(range(len(rows)))
    wave_of = {place: number for number, wave in enumerate(found) for place in wave}
    for later, keys in enumerate(rows):
        before = [wave_of[at] for at, others in enumerate(rows[:later]) if keys & others]
        # As early as those allow with which it shares a key, and never beside or before them.
        assert wave_of[later] == max(before, default=-1) + 1


ANYTHING = st.one_of(
    st.fixed_dictionaries({"number": st.integers(-2, 2)}),
    st.fixed_dictionaries({"number": st.text(max_size=2), "more": st.none()}),
    st.none(),
)


@given(st.lists(ANYTHING, min_size=1, max_size=5), st.booleans())
def test_each_row_is_read_or_told_at_its_place(rows: list[Any], all_or_nothing: bool):
    body = json.dumps({"rows": rows, "all_or_nothing": all_or_nothing}).encode()
    batch, malformed = decode_batch(RowBatch, body)
    good = {
        at: row["number"]
        for at, row in enumerate(rows)
        if row is not None and set(row) == {"number"} and row["number"] >= 0
    }
    assert batch.all_or_nothing is all_or_nothing
    assert [row.number for row in batch.rows] == list(good.values())
    assert set(malformed.rows) == set(range(len(rows))) - set(good)
    assert all(error.fields for error in malformed.rows.values())


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"rows": []}, "/rows"),
        ({"rows": [{}] * 6}, "/rows"),
        ({"rows": {}}, "/rows"),
        ({}, "/rows"),
        ({"rows": [{"number": "x"}], "row": 1}, "/row"),
        ({"rows": [{"number": "x"}], "all_or_nothing": 1}, "/all_or_nothing"),
    ],
)
def test_what_is_wrong_with_the_whole_is_told_of_the_whole(body: Any, pointer: str):
    with pytest.raises(Invalid) as refused:
        decode_batch(RowBatch, json.dumps(body).encode())
    assert pointer in [fault.pointer for fault in refused.value.fields]


def test_a_body_that_is_no_json_is_told_with_its_place():
    with pytest.raises(Invalid) as refused:
        decode_batch(RowBatch, b'{"rows": [{"number": 1}, {"number": }]}')
    assert refused.value.code == "malformed_json"
