"""What people write on packs, sites and contracts."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, UnsetType

from schemas.common import Incoming, Name, Outgoing


class SubjectKind(StrEnum):
    PACK = "pack"
    SITE = "site"
    CONTRACT = "contract"


class SubjectView(Outgoing, frozen=True):
    """A thing that was found by what is written on it."""

    kind: SubjectKind
    id: UUID


PROSE = r"^(?=\s*\S)[^\x00-\x08\x0e-\x1f\x7f]*$"
"""Printable text with line breaks that is not blank."""

Reason = Annotated[str, Meta(max_length=2000, pattern=PROSE)]


# --- Notes ------------------------------------------------------------------------------------


class NoteCreate(Incoming, frozen=True, kw_only=True):
    """A note is never edited; a wrong one is struck out, and another one written."""

    text: Annotated[str, Meta(max_length=5000, pattern=PROSE)]
    visible_to_customer: bool = False
    """Whether customers who see the subject see the note: of a pack, whoever has it on lease,
    also one who comes later."""


class NoteStrike(Incoming, frozen=True):
    reason: Reason


class NoteView(Outgoing, frozen=True):
    id: UUID
    text: str
    visible_to_customer: bool
    author: str
    written_at: datetime
    struck_at: datetime | None
    struck_by: str | None
    strike_reason: str | None


# --- Attachments ------------------------------------------------------------------------------


class MediaType(StrEnum):
    """Types that may be attached; which one a file has is decided by its content."""

    PDF = "application/pdf"
    PNG = "image/png"
    JPEG = "image/jpeg"
    WEBP = "image/webp"
    HEIC = "image/heic"
    XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
    CSV = "text/csv"
    TEXT = "text/plain"


class AttachmentRemove(Incoming, frozen=True):
    reason: Reason


class AttachmentView(Outgoing, frozen=True):
    id: UUID
    filename: str
    """As it was sent; for people only."""
    media_type: MediaType
    size_bytes: int
    sha256: str
    visible_to_customer: bool
    added_by: str
    added_at: datetime
    removed_at: datetime | None
    """When the content was let go; what it was stays on record."""
    removed_by: str | None
    removal_reason: str | None


# --- Tags -------------------------------------------------------------------------------------

TagText = Annotated[str, Meta(min_length=1, max_length=40, description="One word, any case.")]


class TagsChange(Incoming, frozen=True):
    """Words to add and to take away. Two people who change tags at once do not undo each other,
    and the same change twice is the same as once."""

    add: Annotated[list[TagText], Meta(max_length=50)] = []
    remove: Annotated[list[TagText], Meta(max_length=50)] = []


class TagsView(Outgoing, frozen=True):
    tags: list[str]


class TagView(Outgoing, frozen=True):
    tag: str
    packs: int
    sites: int
    contracts: int


# --- Custom fields ----------------------------------------------------------------------------


class FieldType(StrEnum):
    TEXT = "text"
    """One to 500 characters."""
    INTEGER = "integer"
    DECIMAL = "decimal"
    """As text in JSON, so that no reader rounds it."""
    BOOLEAN = "boolean"
    DATE = "date"
    CHOICE = "choice"


FieldKey = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,39}$(?!\n)")]
DECIMAL = r"^-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,9})?$(?!\n)"
DecimalText = Annotated[
    str, Meta(pattern=DECIMAL, description="18 digits and 9 decimals at most, as text.")
]
Unit = Annotated[str, Meta(min_length=1, max_length=20, pattern=r"^[^\s\x00-\x1f\x7f]+$(?!\n)")]
Choices = Annotated[list[Name], Meta(max_length=200)]


class CustomFieldCreate(Incoming, frozen=True, kw_only=True):
    subject_kind: SubjectKind
    key: FieldKey
    label_zh: Name
    label_en: Name
    type: FieldType
    choices: Choices = []
    """Of a choice, and only of one."""
    unit: Unit | None = None
    """Of a number, as its limits are."""
    minimum: DecimalText | None = None
    maximum: DecimalText | None = None
    required: bool = False
    """Whoever edits a subject's custom fields leaves none of the required ones empty."""
    visible_to_customer: bool = False


class CustomFieldPatch(Incoming, frozen=True):
    """A change to a definition. Limits hold for what is set from now on."""

    label_zh: Name | UnsetType = UNSET
    label_en: Name | UnsetType = UNSET
    type: FieldType | UnsetType = UNSET
    """Only while nothing has a value."""
    choices: Choices | UnsetType = UNSET
    """One that is in use cannot be left out."""
    unit: Unit | UnsetType | None = UNSET
    minimum: DecimalText | UnsetType | None = UNSET
    maximum: DecimalText | UnsetType | None = UNSET
    required: bool | UnsetType = UNSET
    visible_to_customer: bool | UnsetType = UNSET


class CustomFieldView(Outgoing, frozen=True):
    id: UUID
    subject_kind: SubjectKind
    key: str
    label_zh: str
    label_en: str
    type: FieldType
    choices: list[str]
    unit: str | None
    minimum: str | None
    maximum: str | None
    required: bool
    visible_to_customer: bool
    retired_at: datetime | None
    version: int


JsonValue = bool | int | float | str | None
CustomValues = Annotated[dict[FieldKey, JsonValue], Meta(max_length=200)]
"""Values by the key of their field: text and choices as text, dates as YYYY-MM-DD, decimals as
text, whole numbers and booleans as such; null clears."""


class CustomValueView(Outgoing, frozen=True):
    field: CustomFieldView
    value: bool | int | str | None


class CustomFieldsView(Outgoing, frozen=True):
    """Fields of a subject with their values; a retired field is among them while it has one."""

    version: int
    fields: list[CustomValueView]
