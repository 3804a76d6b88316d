"""Tags, names of files, and values of custom fields."""

import re
import unicodedata
from datetime import date
from decimal import Decimal
from urllib.parse import unquote
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leasing.annotations import rules
from leasing.annotations.rules import BadTagText, BadValue, Definition
from schemas.annotations import CustomFieldView, FieldType, MediaType, SubjectKind

# --- Tags -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Urgent", "urgent"),
        ("待检修", "待检修"),
        ("2026-q3", "2026-q3"),
        ("v1.2_b", "v1.2_b"),
        ("STRASSE", "strasse"),
        ("Straße", "strasse"),
        ("e\u0301tage", "étage"),
    ],
)
def test_a_tag_has_one_form(text, kept):
    assert rules.tag(text) == kept


@pytest.mark.parametrize(
    "text", ["", " ", "two words", "a,b", "-a", ".a", "_a", "a\n", "a\0", "a/b", "x" * 41, "ß" * 21]
)
def test_what_is_no_short_word_is_no_tag(text):
    with pytest.raises(BadTagText):
        rules.tag(text)


@given(st.text(max_size=50))
def test_the_form_of_a_tag_is_its_own_form(text):
    try:
        kept = rules.tag(text)
    except BadTagText:
        return
    assert 1 <= len(kept) <= 40
    assert rules.tag(kept) == kept
    assert unicodedata.is_normalized("NFC", kept)


# --- Names of files ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "media_type", "safe"),
    [
        ("合同.pdf", MediaType.PDF, "合同.pdf"),
        ("Photo.JPG", MediaType.JPEG, "Photo.JPG"),
        ("photo.jpeg", MediaType.JPEG, "photo.jpeg"),
        ("../../etc/passwd", MediaType.TEXT, "_.._etc_passwd.txt"),
        ("C:\\x\\y.csv", MediaType.CSV, "C__x_y.csv"),
        ("run.bat", MediaType.TEXT, "run.bat.txt"),
        ("page.html", MediaType.TEXT, "page.html.txt"),
        ("x.pdf.exe", MediaType.PDF, "x.pdf.exe.pdf"),
        ("gpj\u202efdp.exe", MediaType.PDF, "gpj_fdp.exe.pdf"),
        ('a"; filename="b.pdf', MediaType.PDF, "a_; filename=_b.pdf"),
        ("...", MediaType.PNG, "attachment.png"),
        ("\u3000", MediaType.PNG, "_.png"),
    ],
)
def test_a_name_is_made_safe_when_it_goes_out(name, media_type, safe):
    assert rules.safe_filename(name, media_type) == safe


@given(st.text(min_size=1, max_size=200), st.sampled_from(MediaType))
def test_no_name_breaks_out_of_its_header(name, media_type):
    header = rules.content_disposition(name, media_type)
    found = re.fullmatch(
        r"attachment; filename=\"([A-Za-z0-9._ -]+)\"; filename\*=UTF-8''([A-Za-z0-9._~%-]+)",
        header,
    )
    assert found
    shown = unquote(found[2], errors="strict")
    assert not set(shown) & set('/\\<>:"|?*\0\r\n')
    assert shown.lower().endswith(rules.EXTENSIONS[media_type])
    assert not shown.startswith(".")


# --- Definitions ------------------------------------------------------------------------------


def definition(type_: str, **changes: object) -> Definition:
    terms = {"type": type_, "choices": [], "unit": None, "minimum": None, "maximum": None}
    return msgspec.convert({**terms, **changes}, Definition)


@pytest.mark.parametrize(
    ("field", "places"),
    [
        (definition("text"), []),
        (definition("choice", choices=["a", "b"]), []),
        (definition("decimal", minimum="0.5", maximum="0.50", unit="V"), []),
        (definition("integer", minimum="-5"), []),
        (definition("choice"), ["/choices"]),
        (definition("text", choices=["a"]), ["/choices"]),
        (definition("choice", choices=["a", "a"]), ["/choices"]),
        (definition("text", unit="V", minimum="1"), ["/unit", "/minimum"]),
        (definition("integer", minimum="0.5"), ["/minimum"]),
        (definition("integer", maximum="0.5"), ["/maximum"]),
        (definition("decimal", minimum="2", maximum="1.9"), ["/minimum"]),
    ],
)
def test_a_definition_that_contradicts_itself_is_told_so(field, places):
    assert [fault.pointer for fault in rules.contradictions(field)] == places


# --- Values -----------------------------------------------------------------------------------


def field(type_: FieldType, **changes: object) -> CustomFieldView:
    terms = {
        "id": UUID(int=1),
        "subject_kind": SubjectKind.SITE,
        "key": "k",
        "label_zh": "字段",
        "label_en": "Field",
        "type": type_,
        "choices": [],
        "unit": None,
        "minimum": None,
        "maximum": None,
        "required": False,
        "visible_to_customer": False,
        "retired_at": None,
        "version": 1,
    }
    return msgspec.convert({**terms, **changes}, CustomFieldView)


FIELDS = {
    FieldType.TEXT: field(FieldType.TEXT),
    FieldType.INTEGER: field(FieldType.INTEGER, minimum="-5", maximum="10"),
    FieldType.DECIMAL: field(FieldType.DECIMAL, minimum="0.5", maximum="99.5"),
    FieldType.BOOLEAN: field(FieldType.BOOLEAN),
    FieldType.DATE: field(FieldType.DATE),
    FieldType.CHOICE: field(FieldType.CHOICE, choices=["红", "blue"]),
}


@pytest.mark.parametrize(
    ("type_", "raw", "code"),
    [
        ("text", 1, "wrong_type"),
        ("text", True, "wrong_type"),
        ("text", "", "wrong_length"),
        ("text", "  ", "wrong_length"),
        ("text", "x" * 501, "wrong_length"),
        ("text", "a\0", "wrong_pattern"),
        ("integer", "1", "wrong_type"),
        ("integer", 1.0, "wrong_type"),
        ("integer", True, "wrong_type"),
        ("integer", 11, "out_of_range"),
        ("integer", -6, "out_of_range"),
        ("integer", 2**53, "out_of_range"),
        ("integer", 10**30, "out_of_range"),
        ("decimal", 1, "wrong_type"),
        ("decimal", 1.5, "wrong_type"),
        ("decimal", "1,5", "wrong_pattern"),
        ("decimal", "NaN", "wrong_pattern"),
        ("decimal", "1e3", "wrong_pattern"),
        ("decimal", "1.5\n", "wrong_pattern"),
        ("decimal", "１.5", "wrong_pattern"),
        ("decimal", "0.49", "out_of_range"),
        ("decimal", "99.500000001", "out_of_range"),
        ("boolean", 0, "wrong_type"),
        ("boolean", "true", "wrong_type"),
        ("date", "2026-02-30", "invalid_date"),
        ("date", "2026-02-03T00:00:00Z", "invalid_date"),
        ("date", 20260203, "wrong_type"),
        ("choice", "green", "unknown_value"),
        ("choice", 1, "unknown_value"),
    ],
)
def test_a_value_of_another_type_is_refused(type_, raw, code):
    with pytest.raises(BadValue) as refused:
        rules.value_of(FIELDS[FieldType(type_)], raw)
    assert refused.value.code == code


decimals = st.decimals(
    min_value=Decimal("0.5"), max_value=Decimal("99.5"), allow_nan=False, places=9
)
VALUES = st.one_of(
    st.tuples(
        st.just(FieldType.TEXT),
        st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=500),
    ),
    st.tuples(st.just(FieldType.INTEGER), st.integers(-5, 10)),
    st.tuples(st.just(FieldType.DECIMAL), decimals.map(lambda value: f"{value:f}")),
    st.tuples(st.just(FieldType.BOOLEAN), st.booleans()),
    st.tuples(st.just(FieldType.DATE), st.dates().map(date.isoformat)),
    st.tuples(st.just(FieldType.CHOICE), st.sampled_from(["红", "blue"])),
)


@given(VALUES)
def test_a_value_is_told_as_it_was_given(case):
    type_, raw = case
    value = rules.value_of(FIELDS[type_], raw)
    assert rules.to_json(value) == raw
    assert type(rules.to_json(value)) is type(raw)


@pytest.mark.parametrize("text", ["0.000000001", "0.000000000", "100000000000000000", "-2.50"])
def test_a_decimal_is_never_told_with_an_exponent(text):
    assert rules.to_json(Decimal(text)) == text


@given(VALUES)
def test_a_value_can_be_looked_for_as_json_has_it(case):
    type_, raw = case
    text = str(raw).lower() if isinstance(raw, bool) else str(raw)
    assert rules.from_query(FIELDS[type_], text) == rules.value_of(FIELDS[type_], raw)


def test_every_fault_of_the_values_is_told_and_required_ones_are_missed():
    fields = {
        "a": field(FieldType.INTEGER, key="a"),
        "b": field(FieldType.TEXT, key="b", required=True),
        "c": field(FieldType.TEXT, key="c", required=True),
        "d": field(FieldType.TEXT, key="d", required=True, retired_at="2026-01-01T00:00:00Z"),
        "e": field(FieldType.TEXT, key="e", retired_at="2026-01-01T00:00:00Z"),
    }
    given_ = {"a": "1", "c": None, "e": "x", "z": 1}
    changes, faults = rules.judge(fields, {"c"}, given_)
    assert {(fault.pointer, fault.code) for fault in faults} == {
        ("/a", "wrong_type"),
        ("/b", "missing"),
        ("/c", "missing"),
        ("/e", "retired_field"),
        ("/z", "unknown_field"),
    }
    assert changes == [(fields["c"], None)]
    changes, faults = rules.judge(fields, {"b"}, {"a": 1, "c": "x"})
    assert (changes, faults) == ([(fields["a"], 1), (fields["c"], "x")], [])
