"""Every mistake in a payload is told at once, and only mistakes are."""

import enum
import json
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, NewType, TypeVar
from uuid import UUID

import msgspec
import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from leasing.http.fields import (
    MAX_ERRORS,
    MAX_EXPLAINED_BYTES,
    BodyRequired,
    InvalidPayload,
    MalformedJson,
    TooDeep,
    collect,
    decode,
)
from leasing.kit.errors import FieldError

Amount = Annotated[str, msgspec.Meta(pattern=r"^\d+\.\d\d$")]
Code = NewType("Code", str)
Codes = NewType("Codes", list[Code])
Alone = Annotated[set[int], msgspec.Meta(max_length=1)]
Item = TypeVar("Item")


class Cell(enum.Enum):
    LFP = "lfp"
    NMC = "nmc"


class Line(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    pack: Code
    monthly_rent: Amount
    cell: Cell | None = None
    share_percent: Annotated[int, msgspec.Meta(ge=0, le=100)] = 100


class Swap(msgspec.Struct, tag="swap", forbid_unknown_fields=True, frozen=True):
    at: Annotated[datetime, msgspec.Meta(tz=True)]


class Rest(msgspec.Struct, tag="rest", forbid_unknown_fields=True, frozen=True):
    hours: float


class Contract(msgspec.Struct, forbid_unknown_fields=True, rename="camel", frozen=True):
    starts_on: date
    ends_on: date
    lines: Annotated[list[Line], msgspec.Meta(min_length=1, max_length=3)]
    events: list[Swap | Rest] = []
    limits: dict[str, int] = {}
    deposit: Decimal | None = None
    place: tuple[float, float] | None = None
    outlet_id: UUID | msgspec.UnsetType = msgspec.UNSET
    plan: Literal["short", "long"] = "long"

    def __post_init__(self) -> None:
        if self.ends_on <= self.starts_on:
            raise ValueError("the contract ends before it starts")


class Page(msgspec.Struct, Generic[Item]):  # takes unknown fields
    items: tuple[Item, ...]
    by_day: dict[date, set[int]] = {}


GOOD_LINE = {"pack": "p1", "monthly_rent": "120.00"}
GOOD = {"startsOn": "2026-01-01", "endsOn": "2027-01-01", "lines": [GOOD_LINE]}


def told(type_: Any, raw: object) -> dict[str, str]:
    return {error.pointer: error.message for error in collect(type_, raw)}


def refused(type_: Any, body: bytes) -> InvalidPayload:
    with pytest.raises(InvalidPayload) as caught:
        decode(type_, body)
    return caught.value


# --- One mistake each -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type_", "raw", "expected"),
    [
        (Contract, GOOD | {"startsOn": None}, ["/startsOn", "wrong_type", "got null"]),
        (
            Contract,
            GOOD | {"startsOn": "2026-02-30"},
            [
                "/startsOn",
                "invalid_date",
                "2026-02-30 is not a date that exists (expected YYYY-MM-DD)",
            ],
        ),
        (Contract, GOOD | {"outletId": "x"}, ["/outletId", "invalid_uuid", "x is not a UUID"]),
        (Contract, GOOD | {"plan": "mid"}, ["/plan", "unknown_value", "not one of: short, long"]),
        (Contract, GOOD | {"place": [1.0]}, ["/place", "wrong_length", "got an array of 1"]),
        (Contract, GOOD | {"lines": []}, ["/lines", "wrong_length", "an array of length >= 1"]),
        (Contract, GOOD | {"lines": {}}, ["/lines", "wrong_type", "got an object"]),
        (Contract, GOOD | {"limits": {"a/b~": 0.5}}, ["/limits/a~1b~0", "wrong_type", "got 0.5"]),
        (
            Contract,
            GOOD | {"deposit": [1]},
            ["/deposit", "wrong_type", "a decimal number or null, got an array of 1"],
        ),
        (
            Contract,
            GOOD | {"endsOn": "2026-01-01"},
            ["", "invalid", "the contract ends before it starts"],
        ),
        (Contract, [], ["", "wrong_type", "expected an object, got an array of 0"]),
        (Line, GOOD_LINE | {"cell": "lto"}, ["/cell", "unknown_value", '"lto" is not one of: lfp']),
        (
            Line,
            GOOD_LINE | {"monthly_rent": "1.5"},
            ["/monthly_rent", "wrong_pattern", r"a string matching regex '^\\d+\\.\\d\\d$', got"],
        ),
        (
            Line,
            GOOD_LINE | {"share_percent": 101},
            ["/share_percent", "out_of_range", "expected a whole number <= 100, got 101"],
        ),
        (Line, {"pack": "p1"}, ["/monthly_rent", "missing", "'monthly_rent' is required"]),
        (Swap | Rest, {"hours": 1}, ["/type", "missing", "'type' is required, one of: swap, rest"]),
        (Swap | Rest, {"type": [], "hours": 1}, ["/type", "unknown_value", "not one of: swap"]),
        (Swap | Rest, {"type": "rest"}, ["/hours", "missing", "'hours' is required"]),
        (Rest, {"type": "swap", "hours": 1}, ["/type", "unknown_value", '"swap" is not one of']),
        (
            Swap,
            {"at": "2026-01-01T00:00:00"},
            ["/at", "wrong_timezone", "an instant with a timezone component"],
        ),
        (Page[Line], {"items": [GOOD_LINE, 3]}, ["/items/1", "wrong_type", "an object, got 3"]),
        (
            Page[Line],
            {"items": [], "by_day": {"2026-13-01": []}},
            ["/by_day/2026-13-01", "invalid_date", "in the name: 2026-13-01 is not a date"],
        ),
        (
            Page[Line],
            {"items": [], "by_day": {"2026-12-01": [1, "x"]}},
            ["/by_day/2026-12-01/1", "wrong_type", "expected a whole number"],
        ),
        (Codes, ["a", 1], ["/1", "wrong_type", "expected a string, got 1"]),
        (Alone, [1, 1, "x"], ["/2", "wrong_type", "expected a whole number"]),
        (Alone, [1, 2], ["", "wrong_length", "an array of length <= 1"]),
        (str | int, None, ["", "wrong_type", "expected a whole number or a string, got null"]),
    ],
)
def test_a_mistake_is_told_with_its_place_and_what_was_expected(
    type_: Any, raw: object, expected: list[str]
) -> None:
    [error] = collect(type_, raw)
    assert [error.pointer, error.code] == expected[:2]
    assert expected[2] in error.message


def test_all_mistakes_are_told_at_once_at_any_depth() -> None:
    raw = GOOD | {
        "startsOn": "2026-02-30",
        "lines": [GOOD_LINE, {"pack": 7, "monthly_rnet": "1.00"}],
        "events": [{"type": "rest", "hours": "long"}, {"type": "swap"}],
        "extra": 1,
    }
    assert told(Contract, raw) == {
        "/startsOn": "2026-02-30 is not a date that exists (expected YYYY-MM-DD)",
        "/lines/1/pack": "expected a string, got 7",
        "/lines/1/monthly_rent": "'monthly_rent' is required",
        "/lines/1/monthly_rnet": "unknown field 'monthly_rnet', did you mean 'monthly_rent'?",
        "/events/0/hours": 'expected a number, got "long"',
        "/events/1/at": "'at' is required",
        "/extra": "unknown field 'extra'",
    }


def test_a_renamed_field_is_known_by_its_name_on_the_wire_only() -> None:
    raw = GOOD | {"starts_on": "2026-01-01"}
    assert told(Contract, raw)["/starts_on"] == "unknown field 'starts_on'"


def test_a_long_value_is_cut_in_the_message() -> None:
    [error] = collect(Line, GOOD_LINE | {"share_percent": "9" * 10_000})
    assert len(error.message) < 120


def test_a_batch_with_thousands_of_mistakes_is_told_up_to_a_limit() -> None:
    assert len(collect(list[int], ["x"] * 5_000)) == MAX_ERRORS


def test_an_array_that_is_too_long_is_not_read_further() -> None:
    assert list(told(Contract, GOOD | {"lines": [{}] * 1_000})) == ["/lines"]


def test_a_large_body_is_told_its_first_mistake_only() -> None:
    refusal = refused(list[int], b"[" + b"1," * MAX_EXPLAINED_BYTES + b'"x", "y"]')
    assert refusal.fields == (
        FieldError("", "invalid", f"Expected `int`, got `str` - at `$[{MAX_EXPLAINED_BYTES}]`"),
    )


# --- What is no document ----------------------------------------------------------------------


def test_a_good_body_is_decoded_strictly() -> None:
    assert decode(Line, b'{"pack": "p1", "monthly_rent": "1.00"}') == Line(Code("p1"), "1.00")
    assert refused(Rest, b'{"hours": "1"}').fields == (
        FieldError("/hours", "wrong_type", 'expected a number, got "1"'),
    )


@pytest.mark.parametrize("body", [b"", b" \n"])
def test_an_empty_body_is_called_empty(body: bytes) -> None:
    with pytest.raises(BodyRequired):
        decode(Line, body)


@pytest.mark.parametrize(
    ("body", "said", "byte"),
    [
        (b'{"pack": }', "Expecting value at line 1, column 10 (byte 9)", 9),
        ('{"名": }'.encode(), "(byte 8)", 8),  # bytes, not characters
        (b'{"pack": 7} x', "Extra data at line 1, column 13 (byte 12)", 12),
        (b'{"pack": 7', "Expecting ',' delimiter", 10),
        (b'{"pack": "\xff"}', "the body is not UTF-8", 10),
        (b'\xef\xbb\xbf{"pack": 7}', "BOM", 0),
        (rb'{"pack": "\ud800"}', "truncated", None),  # half of a surrogate pair
        (rb'{"pack": 7, "monthly_rent": "\ud800"}', "truncated", None),
    ],
)
def test_a_body_that_is_not_json_is_refused_at_its_byte(
    body: bytes, said: str, byte: int | None
) -> None:
    with pytest.raises(MalformedJson) as caught:
        decode(Line, body)
    assert said in caught.value.detail
    assert caught.value.extra.get("byte") == byte


@pytest.mark.parametrize("number", [b"NaN", b"-Infinity", b"1e400", b"1" * 5_000])
def test_a_number_nobody_can_hold_is_refused_by_the_field_it_stands_in(number: bytes) -> None:
    refusal = refused(dict[str, list[float]], b'{"volts": [1, ' + number + b"]}")
    assert [(error.pointer, error.code) for error in refusal.fields] == [
        ("/volts/1", "out_of_range")
    ]


def test_a_repeated_name_is_told_when_the_body_is_refused() -> None:
    refusal = refused(Rest, b'{"hours": "x", "hours": 1}')
    assert [(error.pointer, error.code) for error in refusal.fields] == [
        ("/hours", "repeated_field")
    ]


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
@pytest.mark.parametrize("type_", [Any, Line, dict[str, Any]])
def test_a_nesting_bomb_is_refused_as_too_deep(type_: Any, opening: bytes) -> None:
    with pytest.raises(TooDeep):
        decode(type_, opening * 100_000)


# --- Never at odds with the decoder -----------------------------------------------------------

DATES = st.dates().map(str)
JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=2**63),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=5),
    st.sampled_from(["2026-02-30", "2026-01-01", "2026-01-01T00:00:00Z", "lfp", "1.00", "NaN"]),
    st.sampled_from([[], {}, [[]], {"type": "rest"}, {"type": 1}, [1, 1]]),
)


def mostly(good: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.integers(0, 19).flatmap(lambda n: JUNK if n == 0 else good)


def objects(
    required: dict[str, st.SearchStrategy[Any]], **optional: st.SearchStrategy[Any]
) -> st.SearchStrategy[Any]:
    """Objects that sometimes lack a field, have one too many, or a wrong value."""
    lacking = st.fixed_dictionaries({}, optional={**required, "x": JUNK})
    whole = st.fixed_dictionaries(required, optional=optional)
    return st.integers(0, 9).flatmap(lambda n: lacking if n == 0 else mostly(whole))


LINES = objects(
    {"pack": mostly(st.text()), "monthly_rent": mostly(st.sampled_from(["1.00", "20.50"]))},
    cell=mostly(st.sampled_from(["lfp", None])),
    share_percent=mostly(st.integers(0, 100)),
)
EVENTS = st.one_of(
    objects({"type": st.just("swap"), "at": mostly(st.just("2026-01-01T08:00:00+08:00"))}),
    objects({"type": mostly(st.just("rest")), "hours": mostly(st.integers() | st.just(0.5))}),
)
CONTRACTS = objects(
    {"startsOn": mostly(DATES), "endsOn": mostly(DATES), "lines": mostly(st.lists(LINES))},
    events=mostly(st.lists(EVENTS, max_size=2)),
    limits=mostly(st.dictionaries(st.text(max_size=3), mostly(st.integers()), max_size=3)),
    deposit=mostly(st.sampled_from(["1.5", 2, 0.1, None])),
    place=mostly(st.lists(mostly(st.integers()), min_size=2, max_size=2)),
    outletId=mostly(st.uuids().map(str)),
    plan=mostly(st.just("short")),
)
PAGES = objects(
    {"items": mostly(st.lists(LINES, max_size=3))},
    by_day=mostly(st.dictionaries(DATES, mostly(st.lists(mostly(st.integers()))))),
)
DOCUMENTS = st.one_of(
    *(
        st.tuples(st.just(type_), documents)
        for type_, documents in [
            (Contract, CONTRACTS),
            (Line, LINES),
            (Swap | Rest, EVENTS),
            (list[Swap | Rest | None], st.lists(EVENTS)),
            (Page[Line], PAGES),
            (dict[int, Line] | list[Line] | str, st.lists(LINES) | JUNK),
            (Annotated[set[int], msgspec.Meta(min_length=2)], st.lists(mostly(st.integers(0, 2)))),
        ]
    )
)


@given(DOCUMENTS)
def test_mistakes_are_found_exactly_when_the_decoder_refuses(case: tuple[Any, object]) -> None:
    type_, raw = case
    errors = collect(type_, raw)
    try:
        msgspec.json.decode(json.dumps(raw), type=type_)
    except msgspec.ValidationError:
        event("refused")
        assert errors
    else:
        event("taken")
        assert errors == []


@given(DOCUMENTS)
def test_every_pointer_leads_to_a_place_in_the_document(case: tuple[Any, object]) -> None:
    type_, raw = case
    for error in collect(type_, raw):
        names = [n.replace("~1", "/").replace("~0", "~") for n in error.pointer.split("/")[1:]]
        if error.code == "missing":
            absent = names.pop()
        place: Any = raw
        for name in names:
            place = place[int(name)] if isinstance(place, list) else place[name]
        if error.code == "missing":
            assert absent not in place


@given(st.binary(max_size=40) | st.text(alphabet='{}[]",:1eE-+.\\untrfalsN ').map(str.encode))
def test_no_body_whatever_escapes_as_anything_but_a_refusal(body: bytes) -> None:
    for type_ in (Line, Any, dict[str, Any], list[float]):
        with suppress(InvalidPayload, MalformedJson, BodyRequired, TooDeep):
            decode(type_, body)
