"""Custom fields: their definitions, and the values that packs, sites and contracts have in them."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import msgspec

from leasing.annotations import fields_store, rules, service
from leasing.annotations.model import (
    BadCustomField,
    BadCustomValues,
    CustomFieldRetired,
    NoSuchCustomField,
)
from leasing.db.pool import Connection
from leasing.events import store as events
from leasing.events.store import Event
from leasing.kit.errors import FieldError
from leasing.kit.rows import given
from leasing.kit.versions import refuse_unless_current
from schemas.annotations import (
    CustomFieldCreate,
    CustomFieldPatch,
    CustomFieldsView,
    CustomFieldView,
    CustomValueView,
    JsonValue,
    SubjectKind,
)

# --- Definitions ------------------------------------------------------------------------------


async def define(
    tx: Connection, data: CustomFieldCreate, *, by: str, now: datetime
) -> CustomFieldView:
    refuse_contradictions(data)
    field_id = await fields_store.insert(tx, data, now)
    told: dict[str, object] = {
        "subject_kind": data.subject_kind,
        "key": data.key,
        "type": data.type,
    }
    created = Event("custom_field", field_id, "custom_field.created", told)
    await events.append(tx, [created], actor=by, now=now)
    return await get(tx, field_id)


def refuse_contradictions(field: CustomFieldCreate | CustomFieldView) -> None:
    faults = rules.contradictions(msgspec.convert(field, rules.Definition, from_attributes=True))
    if faults:
        raise BadCustomField(faults[0].message, fields=faults)


async def get(tx: Connection, field_id: UUID) -> CustomFieldView:
    field = await fields_store.get(tx, field_id)
    if field is None:
        raise NoSuchCustomField
    return field


async def lock(tx: Connection, field_id: UUID) -> CustomFieldView:
    field = await fields_store.lock(tx, field_id)
    if field is None:
        raise NoSuchCustomField
    return field


async def redefine(
    tx: Connection,
    field_id: UUID,
    data: CustomFieldPatch,
    expected: int,
    *,
    by: str,
    now: datetime,
) -> CustomFieldView:
    """Change what was given. Raises `VersionChanged` when another editor was first."""
    field = await lock(tx, field_id)
    changes = given(data)
    refuse_unless_current(field.version, expected, msgspec.structs.asdict(field), changes)
    changed = msgspec.structs.replace(field, **changes)
    refuse_contradictions(changed)
    await fields_store.update(tx, changed)
    told = Event("custom_field", field_id, "custom_field.changed", changes)
    await events.append(tx, [told], actor=by, now=now)
    return await get(tx, field_id)


async def retire(tx: Connection, field_id: UUID, *, by: str, now: datetime) -> CustomFieldView:
    """Let a field take no more values; those it has stay."""
    field = await lock(tx, field_id)
    if field.retired_at is not None:
        raise CustomFieldRetired
    await fields_store.retire(tx, field_id, now)
    told = Event("custom_field", field_id, "custom_field.retired", {})
    await events.append(tx, [told], actor=by, now=now)
    return await get(tx, field_id)


# --- Values -----------------------------------------------------------------------------------


async def read(tx: Connection, kind: SubjectKind, subject_id: UUID) -> CustomFieldsView:
    """The fields of a subject with their values, as far as the caller may see them."""
    await service.refuse_unseen(tx, kind, subject_id)
    fields = await fields_store.of_kind(tx, kind)
    values = await fields_store.values(tx, subject_id)
    return CustomFieldsView(
        version=await fields_store.version(tx, subject_id),
        fields=[
            CustomValueView(field=field, value=rules.to_json(values.get(field.id)))
            for field in fields
            if field.retired_at is None or field.id in values
        ],
    )


async def write(
    tx: Connection,
    kind: SubjectKind,
    subject_id: UUID,
    data: Mapping[str, JsonValue],
    expected: int,
    *,
    by: str,
    now: datetime,
) -> CustomFieldsView:
    """Set and clear what was given. Raises `BadCustomValues` with all that is wrong, and
    `VersionChanged` when another editor was first."""
    await service.lock(tx, kind, subject_id)
    fields = {field.key: field for field in await fields_store.hold_of_kind(tx, kind)}
    values = await fields_store.values(tx, subject_id)
    there = {key: values.get(field.id) for key, field in fields.items()}
    version = await fields_store.version(tx, subject_id)
    refuse_unless_current(version, expected, there, data)
    present = {key for key, field in fields.items() if field.id in values}
    changes, faults = rules.judge(fields, present, data)
    if faults:
        raise BadCustomValues(summary(faults), fields=faults)
    for field, value in changes:
        if value is None:
            await fields_store.clear(tx, field.id, subject_id)
        else:
            await fields_store.set_value(tx, field, subject_id, value)
    await fields_store.next_version(tx, subject_id)
    told = {field.key: rules.to_json(value) for field, value in changes}
    changed = Event(kind, subject_id, "custom_fields.changed", dict(told))
    await events.append(tx, [changed], actor=by, now=now)
    return await read(tx, kind, subject_id)


def summary(faults: list[FieldError]) -> str:
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return f"{faults[0].pointer}: {faults[0].message}{more}"


def value_in_query(field: CustomFieldView, text: str | None) -> rules.Value | None:
    """The value to look for. Raises `BadCustomValues` for one that the field cannot have."""
    if text is None:
        return None
    try:
        return rules.from_query(field, text)
    except rules.BadValue as error:
        fault = FieldError("?value", error.code, str(error))
        raise BadCustomValues(fault.message, fields=[fault]) from error
