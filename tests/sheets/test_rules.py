"""Cells as people and spreadsheets leave them, and what a row is taken to say."""

import datetime as dt
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leasing.sheets import files, rules
from leasing.sheets.model import (
    PACKS,
    SHEETS,
    SITES,
    VEHICLES,
    BadSheet,
    Cell,
    ErrorValue,
    Sheet,
    Table,
    fields_of,
)
from leasing.sheets.rules import Draft, Judge, Record, Unreadable, neutralised, restored
from schemas.packs import PackCreate
from schemas.sheets import RowResult, SheetFormat, SheetLanguage
from schemas.sites import SiteCreate, SitePatch

TEXTS = st.text() | st.text("'=+-@ \u3000＝＋－＠a", max_size=6)


@given(TEXTS)
def test_a_text_that_could_be_a_formula_is_made_harmless_and_comes_back_as_it_was(text):
    shown = neutralised(text)
    assert restored(shown) == text
    assert not shown.lstrip().startswith(("=", "+", "-", "@", "＝", "＋", "－", "＠"))


@pytest.mark.parametrize("text", ["=1+1", "+86 371", "-1", "@SUM(A1)", "'=1", " =1", "＝1"])
def test_what_spreadsheets_run_begins_with_an_apostrophe(text):
    assert neutralised(text) == "'" + text


@pytest.mark.parametrize("text", ["", "a=1", "'quoted'", "O'Brien", "1+1"])
def test_all_other_texts_are_left_alone(text):
    assert neutralised(text) == restored(text) == text


def text_of(sheet: Sheet, name: str, cell: Cell) -> str:
    column = next(one for one in sheet.columns if one.field == name)
    return rules.text_of(cell, column, fields_of(sheet)[name])


@pytest.mark.parametrize(
    ("sheet", "name", "cell", "text"),
    [
        (SITES, "code", "007", "007"),
        (SITES, "code", 7.0, "7"),
        (SITES, "code", " ＺＺ－００１　", "ZZ-001"),
        (SITES, "name", " ３号站　", "３号站"),
        (SITES, "name", "'=站", "=站"),
        (SITES, "adcode", 410100.0, "410100"),
        (SITES, "load_w", "１８００ ", "1800"),
        (SITES, "load_w", "1800.0", "1800"),
        (SITES, "load_w", 1800.0, "1800"),
        (SITES, "load_w", 1800.5, "1800.5"),
        (SITES, "longitude", "113.620", "113.62"),
        (SITES, "longitude", 113.62, "113.62"),
        (SITES, "longitude", 113.0, "113.0"),
        (SITES, "kind", "Tower", "tower"),
        (SITES, "kind", "车场", "depot"),
        (SITES, "datum", "WGS-84", "wgs84"),
        (SITES, "site_class", "ａ", "A"),
        (VEHICLES, "vin", "1m8 gdm9 axkp042788", "1M8GDM9AXKP042788"),
        (PACKS, "acquired_on", dt.date(2026, 1, 5), "2026-01-05"),
        (PACKS, "acquired_on", dt.datetime(2026, 1, 5), "2026-01-05"),  # noqa: DTZ001
        (PACKS, "acquired_on", "2026/1/5", "2026-01-05"),
        (PACKS, "acquired_on", "２０２６年１月５日", "2026-01-05"),
        (PACKS, "original_codes", " a1;b2、c3\nd4 ", "A1 B2 C3 D4"),
        (PACKS, "code", "9zz pb51", "9ZZPB51"),
    ],
)
def test_a_cell_is_read_as_it_was_meant(sheet, name, cell, text):
    assert text_of(sheet, name, cell) == text


@pytest.mark.parametrize(
    ("sheet", "name", "cell", "code"),
    [
        (PACKS, "code", 1.23457e23, "shortened_number"),
        (SITES, "code", 1e15, "shortened_number"),
        (SITES, "name", dt.date(2026, 3, 4), "is_a_date"),
        (SITES, "code", dt.time(3, 4), "is_a_time"),
        (SITES, "load_w", dt.timedelta(hours=30), "is_a_time"),
        (PACKS, "acquired_on", dt.datetime(2026, 1, 5, 3), "has_a_time"),  # noqa: DTZ001
        (SITES, "load_w", ErrorValue(), "error_value"),
    ],
)
def test_what_a_spreadsheet_has_spoilt_is_refused_with_advice(sheet, name, cell, code):
    with pytest.raises(Unreadable) as caught:
        text_of(sheet, name, cell)
    assert caught.value.code == code


def table(header: list[Cell], *rows: list[Cell]) -> Table:
    return Table(SheetFormat.CSV, "", 1, header, list(enumerate(rows, start=2)))


def judged(sheet: Sheet, header: list[Cell], *rows: list[Cell]) -> list[Draft]:
    columns, drafts = rules.drafts(table(header, *rows), sheet)
    judge = Judge(sheet, columns, lambda values: None)
    for draft in drafts:
        draft.party_id = UUID(int=1)
        judge.decide(draft)
    return drafts


HEADER: list[Cell] = ["owner", "code", "name", "kind", "adcode", "longitude", "latitude", "datum"]
GOOD: list[Cell] = ["Tower Co", "A-1", "One", "tower", "410100", "113.5", 34.5, "wgs84"]


def test_a_good_row_becomes_what_the_api_takes():
    (draft,) = judged(SITES, HEADER, GOOD)
    assert draft.result is RowResult.CREATED
    assert draft.new == SiteCreate(
        party_id=UUID(int=1), code="A-1", name="One", kind="tower", adcode="410100",
        longitude=113.5, latitude=34.5, datum="wgs84",
    )  # fmt: skip


def test_every_fault_of_every_row_is_told_at_once():
    first, second = judged(
        SITES,
        [*HEADER, "load_w", "version"],
        ["Tower Co", "A 1", "bell\x07", "castle", "371200", "east", 3.0, "", "1.5", ""],
        ["Tower Co", "1.5E+10", "", "tower", "999999", "nan", "1e99", "wgs84", "0", "3"],
    )
    assert {fault.pointer: fault.code for fault in first.faults} == {
        "code": "wrong_pattern",
        "name": "control_character",
        "kind": "unknown_value",
        "adcode": "unknown_prefecture",
        "longitude": "wrong_type",
        "datum": "missing",
        "load_w": "wrong_type",
    }
    assert {fault.pointer: fault.code for fault in second.faults} == {
        "code": "shortened_number",
        "name": "missing",
        "adcode": "unknown_prefecture",
        "longitude": "wrong_type",
        "latitude": "out_of_range",
        "load_w": "out_of_range",
        "version": "no_version_yet",
    }
    told = {fault.pointer: fault.message for fault in first.faults}
    assert "use 370100" in told["adcode"]
    assert told["name"] == "U+0007 at position 5 is no printable character"


def test_a_row_with_more_cells_than_headers_is_refused():
    (draft,) = judged(SITES, HEADER, [*GOOD, "", "stray"])
    assert [fault.code for fault in draft.faults] == ["too_many_cells"]
    (draft,) = judged(SITES, HEADER, [*GOOD, "", " "])
    assert draft.faults == []


def test_blank_rows_are_passed_over():
    assert [draft.row for draft in judged(SITES, HEADER, [], ["", " "], GOOD)] == [4]


@pytest.mark.parametrize("sheet", SHEETS.values(), ids=SHEETS)
def test_headers_are_known_in_both_languages_and_in_any_dress(sheet):
    for name in ("field", "zh"):
        header: list[Cell] = [getattr(column, name) for column in sheet.columns]
        found = rules.headings(table(header), sheet)
        assert [one.column for one in found] == list(sheet.columns)
    shown = rules.headings(table([" Cells in Series* ", "额定电压（mV）"]), PACKS)
    assert [one.column.field for one in shown] == ["cells_in_series", "rated_voltage_mv"]


def test_everything_wrong_with_a_header_is_told_at_once():
    header: list[Cell] = ["code", "站址编码", "longitud", "colour", "", "", 7.0]
    with pytest.raises(BadSheet) as caught:
        rules.headings(table(header, ["", "", "", "", " ", "x"]), SITES)
    told = {fault.pointer: fault.message for fault in caught.value.fields}
    assert told == {
        "/站址编码": "'站址编码' says the same as 'code'",
        "/longitud": "no column of ours is called 'longitud', did you mean 'longitude' (经度)?",
        "/colour": "no column of ours is called 'colour'",
        "/F1": "column F has cells and no header",
        "/7.0": "no column of ours is called '7.0'",
    }


def test_a_file_of_refused_rows_may_come_back_with_its_reasons():
    found = rules.headings(table(["row", "errors", "code"]), SITES)
    assert [one.column.field for one in found] == ["code"]


# --- What exists ----------------------------------------------------------------------------------

PLACE = {
    "owner": "Tower Co", "code": "A-1", "name": "One", "kind": "tower", "adcode": "410100",
    "longitude": 113.5, "latitude": 34.5, "datum": "wgs84", "site_class": "B", "load_w": 1800,
    "required_autonomy_minutes": None,
}  # fmt: skip
RECORD = Record(UUID(int=7), 3, PLACE, {"owner": frozenset({"Tower Co", "91X"})})


def compared(header: list[Cell], row: list[Cell], record: Record = RECORD) -> Draft:
    columns, (draft,) = rules.drafts(table(header, row), SITES)
    draft.record = record
    Judge(SITES, columns, lambda values: None).decide(draft)
    return draft


def test_what_is_written_in_another_way_is_not_changed():
    row: list[Cell] = ["3", "91X", "A-1 ", " One", "铁塔", 410100.0, "113.50", "34.5", "WGS84"]
    draft = compared(["version", *HEADER], row)
    assert draft.result is RowResult.UNCHANGED
    assert draft.patch is None


def test_only_what_was_edited_is_in_the_patch():
    draft = compared([*HEADER, "load_w"], [*GOOD, "2000"])
    assert draft.patch == SitePatch(load_w=2000)
    (change,) = draft.changes
    assert (change.field, change.before, change.after) == ("load_w", "1800", "2000")


def test_an_empty_cell_clears_and_an_absent_column_leaves():
    assert compared(["code", "load_w"], ["A-1", ""]).patch == SitePatch(load_w=None)
    assert compared(["code", "name"], ["A-1", "Two"]).patch == SitePatch(name="Two")
    (fault,) = compared(["code", "name"], ["A-1", ""]).faults
    assert (fault.pointer, fault.code) == ("name", "missing")


def test_what_cannot_be_changed_is_refused_and_what_can_is_named():
    draft = compared(["code", "kind", "name"], ["A-2", "depot", "Two"])
    assert draft.result is RowResult.REFUSED
    assert draft.changes == []
    assert [fault.pointer for fault in draft.faults] == ["code", "kind"]
    assert "it is 'A-1', the file has 'A-2'" in draft.faults[0].message
    assert "what can be changed: name, adcode, longitude" in draft.faults[0].message


def test_a_new_value_is_judged_as_the_api_would():
    draft = compared(["name", "load_w", "adcode"], ["x" * 201, "0", "999999"])
    assert {fault.pointer: fault.code for fault in draft.faults} == {
        "name": "wrong_length",
        "load_w": "out_of_range",
        "adcode": "unknown_prefecture",
    }


@pytest.mark.parametrize("version", ["2", "4", "new"])
def test_an_edit_of_another_version_is_refused_with_both_values(version):
    draft = compared(["version", "name", "code"], [version, "Two", "A-1"])
    (fault,) = draft.faults
    assert (fault.pointer, fault.code) == ("version", "changed_since_export")
    assert fault.message == (
        f"changed since the export: the file has version {version}, it is 3; "
        "name is 'One', the file has 'Two'"
    )
    assert draft.patch is None
    assert compared(["version", "name"], [version, "One"]).result is RowResult.UNCHANGED


def test_two_rows_about_the_same_are_both_refused():
    drafts = [Draft(2), Draft(3), Draft(4)]
    rules.refuse_repeated(
        list(zip(drafts, [[("a", 1)], [("b",), ("a", 1)], [("c",)]], strict=True))
    )
    assert [[fault.message for fault in draft.faults] for draft in drafts] == [
        ["row 3 is about the same"],
        ["row 2 is about the same"],
        [],
    ]


def test_a_new_field_becomes_a_column_by_one_line():
    class More(PackCreate, frozen=True, kw_only=True):
        bms_model: str | None = None
        tested_on: dt.date | None = None

    column = type(PACKS.columns[0])
    wider = Sheet(
        kind=PACKS.kind,
        noun="pack",
        create=More,
        patch=None,
        columns=(*PACKS.columns, column("bms_model", "BMS型号"), column("tested_on", "检测日期")),
    )
    assert fields_of(wider)["bms_model"].type is str
    assert fields_of(wider)["tested_on"].type is dt.date
    assert not fields_of(wider)["tested_on"].required


@pytest.mark.parametrize("sheet", SHEETS.values(), ids=SHEETS)
def test_whatever_the_api_requires_has_a_column(sheet):
    names = {column.field for column in sheet.columns} | sheet.given.keys() | {"party_id"}
    required = {one.name for one in msgspec.structs.fields(sheet.create) if one.required}
    assert required <= names


# --- Both ways ------------------------------------------------------------------------------------

NAMES = st.text(
    st.characters(exclude_categories=["Cc", "Cs"]) | st.sampled_from("=+-@'\"_x0041 ,;"),
    min_size=1,
    max_size=30,
).filter(lambda text: text.strip())  # fmt: skip
CODES = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=20)
PLACES = st.fixed_dictionaries(
    {
        "id": st.uuids(),
        "version": st.integers(1, 10**9),
        "owner": NAMES,
        "code": CODES,
        "name": NAMES,
        "kind": st.sampled_from(["tower", "depot"]),
        "adcode": st.sampled_from(["410100", "110000"]),
        "longitude": st.floats(73, 136),
        "latitude": st.floats(3, 54),
        "datum": st.sampled_from(["wgs84", "gcj02"]),
        "site_class": st.none() | st.sampled_from("ABCD"),
        "load_w": st.none() | st.integers(1, 10**7),
        "required_autonomy_minutes": st.none() | st.integers(1, 43_200),
    }
)
BATTERIES = st.fixed_dictionaries(
    {
        "id": st.uuids(),
        "version": st.integers(1, 10**9),
        "code": st.text("09AZ", min_size=1, max_size=26),
        "original_codes": st.lists(st.text("09AZ;=-'", min_size=1, max_size=26), max_size=3),
        "cells_in_series": st.integers(1, 1000),
        "rated_voltage_mv": st.integers(1, 2_000_000),
        "rated_capacity_mah": st.integers(1, 2_000_000_000),
        "maker_energy_wh": st.none() | st.integers(1, 4_000_000_000),
        "max_voltage_mv": st.none() | st.integers(1, 2_000_000),
        "min_voltage_mv": st.none() | st.integers(1, 2_000_000),
        "full_cell_mv": st.none() | st.integers(1000, 5000),
        "mass_kg": st.integers(1, 20_000),
        "vin": st.none() | st.text("09AZ", min_size=17, max_size=17),
        "carmaker": st.none() | NAMES,
        "vehicle_model": st.none() | NAMES,
        "removed_on": st.none() | st.dates(),
        "acquired_on": st.dates(),
        "acquired_from": NAMES,
    }
)
THINGS = [pytest.param(SITES, PLACES, id="sites"), pytest.param(PACKS, BATTERIES, id="packs")]


@pytest.mark.parametrize("format_", list(SheetFormat))
@pytest.mark.parametrize(("sheet", "anything"), THINGS)
@given(data=st.data())
def test_what_leaves_and_comes_back_is_unchanged(sheet, anything, format_, data):
    things: list[dict[str, Any]] = data.draw(st.lists(anything, min_size=1, max_size=5))
    language = data.draw(st.sampled_from(SheetLanguage))
    file = files.write(sheet, format_, language, things)
    columns, drafts = rules.drafts(files.read(file, format_, sheet, None), sheet)
    assert [draft.row for draft in drafts] == list(range(2, len(things) + 2))
    judge = Judge(sheet, columns, lambda values: None)
    for draft, thing in zip(drafts, things, strict=True):
        assert draft.texts["id"] == str(thing["id"])
        draft.record = Record(thing["id"], thing.get("version"), thing)
        judge.decide(draft)
        assert (draft.result, draft.changes, draft.faults) == (RowResult.UNCHANGED, [], [])


@pytest.mark.parametrize("format_", list(SheetFormat))
@pytest.mark.parametrize(
    "name",
    [
        "a\ufffe\uffffb",
        "_x0041_",
        "_x005F_",
        "'=x",
        "''=x",
        "=x",
        " x\u3000",
        "a\u2028b",
        "𠀀",
        "\x85x",
    ],
)
def test_odd_names_come_back_too(name, format_):
    thing = {**PLACE, "id": UUID(int=7), "version": 3, "name": name}
    file = files.write(SITES, format_, SheetLanguage.EN, [thing])
    columns, (draft,) = rules.drafts(files.read(file, format_, SITES, None), SITES)
    draft.record = Record(UUID(int=7), 3, thing)
    Judge(SITES, columns, lambda values: None).decide(draft)
    assert (draft.result, draft.changes) == (RowResult.UNCHANGED, [])
