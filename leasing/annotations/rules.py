"""Decisions about tags, file names and custom fields."""

import re
import unicodedata
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Annotated
from urllib.parse import quote

import msgspec

from leasing.kit.errors import FieldError
from schemas.annotations import (
    DECIMAL,
    CustomFieldView,
    FieldType,
    JsonValue,
    MediaType,
)

# --- Tags -------------------------------------------------------------------------------------

MAX_TAGS = 100
TAG = re.compile(r"[^\W_][\w.-]{0,39}")
Tag = Annotated[str, msgspec.Meta(max_length=40, pattern=rf"^{TAG.pattern}$(?!\n)")]


class BadTagText(ValueError):
    """The text is no tag; the message says why."""


def tag(text: str) -> str:
    """A tag in the one form in which it is kept, so that `Önü` and `ÖNÜ` are one word.
    Raises `BadTagText`."""
    composed = unicodedata.normalize("NFC", text)
    folded = unicodedata.normalize("NFC", composed.casefold())
    if not TAG.fullmatch(folded):
        raise BadTagText(
            "a tag is one word of 1 to 40 letters, digits, '_', '-' and '.', and begins with a "
            "letter or digit"
        )
    return folded


# --- Names of files ---------------------------------------------------------------------------

EXTENSIONS: dict[MediaType, tuple[str, ...]] = {
    MediaType.PDF: (".pdf",),
    MediaType.PNG: (".png",),
    MediaType.JPEG: (".jpg", ".jpeg"),
    MediaType.WEBP: (".webp",),
    MediaType.HEIC: (".heic",),
    MediaType.XLSX: (".xlsx",),
    MediaType.DOCX: (".docx",),
    MediaType.CSV: (".csv",),
    MediaType.TEXT: (".txt",),
}


def safe_filename(name: str, media_type: MediaType) -> str:
    """A name under which the content can be saved anywhere. It ends as files of its type do:
    what opens it is chosen by the end of its name."""
    visible = "".join(
        "_" if c in '/\\<>:"|?*%' or (unicodedata.category(c)[0] in "CZ" and c != " ") else c
        for c in unicodedata.normalize("NFC", name)
    )
    # Only the last 100 characters: the end says more than the beginning.
    bare = visible[-100:].strip(" .") or "attachment"
    known = EXTENSIONS[media_type]
    return bare if bare.lower().endswith(known) else bare + known[0]


def content_disposition(name: str, media_type: MediaType) -> str:
    """Always a download (RFC 6266), with the name in ASCII for old readers."""
    safe = safe_filename(name, media_type)
    ascii_only = re.sub(r"[^A-Za-z0-9._ -]", "_", safe)
    return f"attachment; filename=\"{ascii_only}\"; filename*=UTF-8''{quote(safe, safe='')}"


# --- Custom fields ----------------------------------------------------------------------------

NUMBERS = (FieldType.INTEGER, FieldType.DECIMAL)
MAX_TEXT = 500
MAX_INTEGER = 2**53 - 1
"""Beyond it readers of JSON begin to round."""

Value = bool | int | str | date | Decimal


class Definition(msgspec.Struct, frozen=True):
    """What of a definition has to fit together."""

    type: FieldType
    choices: Sequence[str]
    unit: str | None
    minimum: str | None
    maximum: str | None


def contradictions(field: Definition) -> list[FieldError]:
    """Everything in a definition that contradicts the rest of it."""
    found = []

    def refuse(name: str, message: str) -> None:
        found.append(FieldError(f"/{name}", "contradiction", message))

    if (field.type is FieldType.CHOICE) != bool(field.choices):
        refuse("choices", "a choice has choices, and nothing else has")
    if len(set(field.choices)) < len(field.choices):
        refuse("choices", "a choice is given more than once")
    for name in ("unit", "minimum", "maximum"):
        if getattr(field, name) is not None and field.type not in NUMBERS:
            refuse(name, "only a number has units and limits")
    low, high = [
        None if limit is None else Decimal(limit) for limit in (field.minimum, field.maximum)
    ]
    for name, limit in (("minimum", low), ("maximum", high)):
        if limit is not None and field.type is FieldType.INTEGER and limit % 1:
            refuse(name, "the limit of a whole number is one")
    if low is not None and high is not None and low > high:
        refuse("minimum", "the minimum lies above the maximum")
    return found


class BadValue(ValueError):
    """A value does not fit its field."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


def value_of(field: CustomFieldView, raw: JsonValue) -> Value:
    """A value from JSON as its field's type. Raises `BadValue`."""
    return READ[field.type](field, raw)


def from_query(field: CustomFieldView, text: str) -> Value:
    """A value that was written into an address, where all is text. Raises `BadValue`."""
    raw: JsonValue = text
    if field.type is FieldType.BOOLEAN:
        raw = {"true": True, "false": False}.get(text, text)
    elif field.type is FieldType.INTEGER and re.fullmatch(r"-?[0-9]{1,16}", text, re.ASCII):
        raw = int(text)
    return value_of(field, raw)


def a_text(field: CustomFieldView, raw: JsonValue) -> str:
    if not isinstance(raw, str):
        raise BadValue("wrong_type", "expected a string")
    if not 1 <= len(raw) <= MAX_TEXT or not raw.strip():
        raise BadValue("wrong_length", f"expected 1 to {MAX_TEXT} characters, not all blank")
    if re.search(r"[\x00-\x08\x0e-\x1f\x7f]", raw):
        raise BadValue("wrong_pattern", "control characters cannot be seen by anybody")
    return raw


def an_integer(field: CustomFieldView, raw: JsonValue) -> int:
    if not isinstance(raw, int) or isinstance(raw, bool):
        raise BadValue("wrong_type", "expected a whole number")
    if abs(raw) > MAX_INTEGER:
        raise BadValue("out_of_range", f"expected no more than {MAX_INTEGER} either way")
    within_limits(field, Decimal(raw))
    return raw


def a_decimal(field: CustomFieldView, raw: JsonValue) -> Decimal:
    if not isinstance(raw, str):
        raise BadValue("wrong_type", 'expected a decimal number as text, such as "12.50"')
    if not re.search(DECIMAL, raw):
        raise BadValue("wrong_pattern", "expected 18 digits and 9 decimals at most")
    value = Decimal(raw)
    within_limits(field, value)
    return value


def within_limits(field: CustomFieldView, value: Decimal) -> None:
    if field.minimum is not None and value < Decimal(field.minimum):
        raise BadValue("out_of_range", f"expected {field.minimum} or more")
    if field.maximum is not None and value > Decimal(field.maximum):
        raise BadValue("out_of_range", f"expected {field.maximum} or less")


def a_boolean(field: CustomFieldView, raw: JsonValue) -> bool:
    if not isinstance(raw, bool):
        raise BadValue("wrong_type", "expected true or false")
    return raw


def a_date(field: CustomFieldView, raw: JsonValue) -> date:
    if not isinstance(raw, str):
        raise BadValue("wrong_type", "expected a date (YYYY-MM-DD)")
    try:
        return msgspec.convert(raw, date)
    except msgspec.ValidationError:
        raise BadValue("invalid_date", "not a date that exists (expected YYYY-MM-DD)") from None


def a_choice(field: CustomFieldView, raw: JsonValue) -> str:
    if not isinstance(raw, str) or raw not in field.choices:
        raise BadValue("unknown_value", f"expected one of: {', '.join(field.choices[:30])}")
    return raw


READ: dict[FieldType, Callable[[CustomFieldView, JsonValue], Value]] = {
    FieldType.TEXT: a_text,
    FieldType.INTEGER: an_integer,
    FieldType.DECIMAL: a_decimal,
    FieldType.BOOLEAN: a_boolean,
    FieldType.DATE: a_date,
    FieldType.CHOICE: a_choice,
}


def to_json(value: Value | None) -> bool | int | str | None:
    """A value as it is told in JSON."""
    if isinstance(value, Decimal):
        return f"{value:f}"
    return value.isoformat() if isinstance(value, date) else value


Change = tuple[CustomFieldView, Value | None]


def judge(
    fields: Mapping[str, CustomFieldView],
    present: Collection[str],
    given: Mapping[str, JsonValue],
) -> tuple[list[Change], list[FieldError]]:
    """What to set or to clear, and everything that is wrong with what was given. `present` are
    the keys that have a value before."""
    changes: list[Change] = []
    faults = []
    for key, raw in given.items():
        field = fields.get(key)
        if field is None:
            faults.append(FieldError(f"/{key}", "unknown_field", f"there is no field '{key}'"))
        elif field.retired_at is not None:
            faults.append(FieldError(f"/{key}", "retired_field", f"'{key}' was retired"))
        else:
            try:
                changes.append((field, None if raw is None else value_of(field, raw)))
            except BadValue as error:
                faults.append(FieldError(f"/{key}", error.code, str(error)))
    for key, field in fields.items():
        empty = given[key] is None if key in given else key not in present
        if field.required and field.retired_at is None and empty:
            faults.append(FieldError(f"/{key}", "missing", f"'{key}' is required"))
    return changes, faults
