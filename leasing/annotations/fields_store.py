"""Custom fields and their values in the database."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from asyncpg import Record

from leasing.annotations.rules import Value
from leasing.db.pool import Connection
from leasing.kit.rows import convert, convert_all
from schemas.annotations import CustomFieldCreate, CustomFieldView, FieldType, SubjectKind

# --- Definitions ------------------------------------------------------------------------------

INSERT = """
INSERT INTO custom_field (subject_kind, key, label_zh, label_en, type, unit, minimum, maximum,
                          required, visible_to_customer, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
RETURNING id
"""


async def insert(tx: Connection, data: CustomFieldCreate, now: datetime) -> UUID:
    made: UUID = await tx.fetchval(
        INSERT,
        data.subject_kind,
        data.key,
        data.label_zh,
        data.label_en,
        data.type,
        data.unit,
        number(data.minimum),
        number(data.maximum),
        data.required,
        data.visible_to_customer,
        now,
    )
    await put_choices(tx, made, data.choices)
    return made


def number(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


PUT_CHOICES = """
INSERT INTO custom_choice (field_id, choice, position)
SELECT $1, choice, position
  FROM unnest($2::text[]) WITH ORDINALITY AS given (choice, position)
    ON CONFLICT (field_id, choice) DO UPDATE SET position = EXCLUDED.position
"""

DROP_CHOICES = """
DELETE FROM custom_choice
 WHERE field_id = $1
   AND choice <> ALL ($2::text[])
"""


async def put_choices(tx: Connection, field_id: UUID, choices: Sequence[str]) -> None:
    """Make these the choices, in this order. One that is in use cannot be left out."""
    await tx.execute(DROP_CHOICES, field_id, choices)
    await tx.execute(PUT_CHOICES, field_id, choices)


COLUMNS = """id, subject_kind, key, label_zh, label_en, type, unit, minimum::text AS minimum,
       maximum::text AS maximum, required, visible_to_customer, retired_at, version,
       array(SELECT choice
               FROM custom_choice
              WHERE field_id = custom_field.id
              ORDER BY position) AS choices"""

GET = f"""
SELECT {COLUMNS}
  FROM custom_field
 WHERE id = $1
"""


async def get(tx: Connection, field_id: UUID) -> CustomFieldView | None:
    row = await tx.fetchrow(GET, field_id)
    return convert(row, CustomFieldView) if row else None


LOCK = f"""
SELECT {COLUMNS}
  FROM custom_field
 WHERE id = $1
   FOR UPDATE
"""


async def lock(tx: Connection, field_id: UUID) -> CustomFieldView | None:
    row = await tx.fetchrow(LOCK, field_id)
    return convert(row, CustomFieldView) if row else None


LIST = f"""
SELECT {COLUMNS}
  FROM custom_field
 WHERE id > $1
   AND ($2::text IS NULL OR subject_kind = $2)
 ORDER BY id
 LIMIT $3
"""


async def after(
    tx: Connection, field_id: UUID, kind: SubjectKind | None, limit: int
) -> list[Record]:
    return await tx.fetch(LIST, field_id, kind, limit)


UPDATE = """
UPDATE custom_field
   SET label_zh = $2,
       label_en = $3,
       type = $4,
       unit = $5,
       minimum = $6,
       maximum = $7,
       required = $8,
       visible_to_customer = $9,
       version = version + 1
 WHERE id = $1
"""


async def update(tx: Connection, field: CustomFieldView) -> None:
    """Set all of a definition that can change. The type cannot while there are values."""
    await tx.execute(
        UPDATE,
        field.id,
        field.label_zh,
        field.label_en,
        field.type,
        field.unit,
        number(field.minimum),
        number(field.maximum),
        field.required,
        field.visible_to_customer,
    )
    await put_choices(tx, field.id, field.choices)


RETIRE = """
UPDATE custom_field
   SET retired_at = $2,
       version = version + 1
 WHERE id = $1
"""


async def retire(tx: Connection, field_id: UUID, now: datetime) -> None:
    await tx.execute(RETIRE, field_id, now)


# --- Values -----------------------------------------------------------------------------------

OF_KIND = f"""
SELECT {COLUMNS}
  FROM custom_field
 WHERE subject_kind = $1
 ORDER BY id
"""

# A definition does not change while values are judged by it.
HOLD_OF_KIND = f"""
SELECT {COLUMNS}
  FROM custom_field
 WHERE subject_kind = $1
 ORDER BY id
   FOR SHARE
"""


async def of_kind(tx: Connection, kind: SubjectKind) -> list[CustomFieldView]:
    return convert_all(await tx.fetch(OF_KIND, kind), CustomFieldView)


async def hold_of_kind(tx: Connection, kind: SubjectKind) -> list[CustomFieldView]:
    return convert_all(await tx.fetch(HOLD_OF_KIND, kind), CustomFieldView)


VERSION = """
SELECT fields_version
  FROM subject
 WHERE id = $1
"""


async def version(tx: Connection, subject_id: UUID) -> int:
    """Of a subject's custom fields; 1 while nothing was ever written on it."""
    return await tx.fetchval(VERSION, subject_id) or 1


NEXT_VERSION = """
UPDATE subject
   SET fields_version = fields_version + 1
 WHERE id = $1
"""


async def next_version(tx: Connection, subject_id: UUID) -> None:
    await tx.execute(NEXT_VERSION, subject_id)


VALUES = """
SELECT field_id, text_value, integer_value, decimal_value, boolean_value, date_value, choice_value
  FROM custom_value
 WHERE subject_id = $1
"""


async def values(tx: Connection, subject_id: UUID) -> dict[UUID, Value]:
    """A subject's values by field."""
    found = {}
    for row in await tx.fetch(VALUES, subject_id):
        field_id, *columns = row.values()
        found[field_id] = next(value for value in columns if value is not None)
    return found


SET = """
INSERT INTO custom_value (field_id, subject_id, kind, type, text_value, integer_value,
                          decimal_value, boolean_value, date_value, choice_value)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
    ON CONFLICT (field_id, subject_id) DO UPDATE
   SET text_value = EXCLUDED.text_value,
       integer_value = EXCLUDED.integer_value,
       decimal_value = EXCLUDED.decimal_value,
       boolean_value = EXCLUDED.boolean_value,
       date_value = EXCLUDED.date_value,
       choice_value = EXCLUDED.choice_value
"""

TYPED = (
    FieldType.TEXT,
    FieldType.INTEGER,
    FieldType.DECIMAL,
    FieldType.BOOLEAN,
    FieldType.DATE,
    FieldType.CHOICE,
)


def columns(
    type_: FieldType, value: Value | None
) -> list[bool | int | str | date | Decimal | None]:
    """The value in the column of its type, and nothing in the others."""
    return [value if type_ is column else None for column in TYPED]


async def set_value(tx: Connection, field: CustomFieldView, subject_id: UUID, value: Value) -> None:
    await tx.execute(
        SET, field.id, subject_id, field.subject_kind, field.type, *columns(field.type, value)
    )


CLEAR = """
DELETE FROM custom_value
 WHERE field_id = $1
   AND subject_id = $2
"""


async def clear(tx: Connection, field_id: UUID, subject_id: UUID) -> None:
    await tx.execute(CLEAR, field_id, subject_id)


FIND = """
SELECT subject_id AS id, kind
  FROM custom_value
 WHERE field_id = $1
   AND subject_id > $2
   AND ($4::text IS NULL OR text_value = $4)
   AND ($5::bigint IS NULL OR integer_value = $5)
   AND ($6::numeric IS NULL OR decimal_value = $6)
   AND ($7::boolean IS NULL OR boolean_value = $7)
   AND ($8::date IS NULL OR date_value = $8)
   AND ($9::text IS NULL OR choice_value = $9)
 ORDER BY subject_id
 LIMIT $3
"""


async def subjects_after(
    tx: Connection, field: CustomFieldView, value: Value | None, subject_id: UUID, limit: int
) -> list[Record]:
    """Things that have a value in a field; this one, if one is given."""
    return await tx.fetch(FIND, field.id, subject_id, limit, *columns(field.type, value))
