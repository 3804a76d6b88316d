"""Custom fields over HTTP."""

from typing import Annotated
from uuid import UUID

from litestar import Response, get, patch, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery, JSONBody, PathParameter, QueryParameter

from leasing.annotations import fields, fields_store
from leasing.http.edge import CUSTOMERS, By, Now, Tx
from leasing.http.etag import IfMatch, etag, expected_version
from leasing.http.pages import Cursor, Limit, Page, after_id, page_by_id
from leasing.http.problems import when_editing, when_posting, when_reading
from leasing.kit.rows import convert_all
from schemas.annotations import (
    CustomFieldCreate,
    CustomFieldPatch,
    CustomFieldsView,
    CustomFieldView,
    CustomValues,
    SubjectKind,
    SubjectView,
)


def on(kind: SubjectKind) -> list[HTTPRouteHandler]:
    """The routes below one kind of subject."""
    path = f"/{kind}s/{{{kind}_id:uuid}}/custom-fields"
    Id = Annotated[UUID, PathParameter(name=f"{kind}_id")]  # noqa: N806 - a type

    @get(path, opt={"access": CUSTOMERS}, responses=when_reading(404))
    async def get_custom_fields(tx: Tx, subject_id: Id) -> Response[CustomFieldsView]:
        """The custom fields of one subject with their values, and their version as ETag."""
        found = await fields.read(tx, kind, subject_id)
        return Response(found, headers={"etag": etag(found.version)})

    @patch(path, responses=when_editing(404, 409))
    async def set_custom_fields(
        tx: Tx,
        caller: By,
        now: Now,
        subject_id: Id,
        data: JSONBody[CustomValues],
        if_match: IfMatch = None,
    ) -> Response[CustomFieldsView]:
        """Set values by key; null clears one, and what is not named stays."""
        expected = expected_version(if_match)
        found = await fields.write(tx, kind, subject_id, data, expected, by=str(caller), now=now)
        return Response(found, headers={"etag": etag(found.version)})

    return [get_custom_fields, set_custom_fields]


def versioned(field: CustomFieldView) -> Response[CustomFieldView]:
    return Response(field, headers={"etag": etag(field.version)})


@post("/custom-fields", responses=when_posting())
async def define_custom_field(
    tx: Tx, caller: By, now: Now, data: JSONBody[CustomFieldCreate]
) -> Response[CustomFieldView]:
    """Add a field to all packs, sites or contracts."""
    return versioned(await fields.define(tx, data, by=str(caller), now=now))


@get("/custom-fields", opt={"access": CUSTOMERS}, responses=when_reading())
async def list_custom_fields(
    tx: Tx,
    subject_kind: FromQuery[SubjectKind | None] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[CustomFieldView]:
    """Definitions in the order they were made, retired ones too."""
    rows = await fields_store.after(tx, after_id(cursor), subject_kind, limit + 1)
    return page_by_id(convert_all(rows, CustomFieldView), limit)


@get("/custom-fields/{field_id:uuid}", opt={"access": CUSTOMERS}, responses=when_reading(404))
async def get_custom_field(tx: Tx, field_id: FromPath[UUID]) -> Response[CustomFieldView]:
    """One definition, with its version as ETag."""
    return versioned(await fields.get(tx, field_id))


@patch("/custom-fields/{field_id:uuid}", responses=when_editing(404, 409))
async def change_custom_field(
    tx: Tx,
    caller: By,
    now: Now,
    field_id: FromPath[UUID],
    data: JSONBody[CustomFieldPatch],
    if_match: IfMatch = None,
) -> Response[CustomFieldView]:
    """Change a definition. Its type can change only while nothing has a value."""
    expected = expected_version(if_match)
    return versioned(await fields.redefine(tx, field_id, data, expected, by=str(caller), now=now))


@post("/custom-fields/{field_id:uuid}/retirement", status_code=200, responses=when_posting(404))
async def retire_custom_field(
    tx: Tx, caller: By, now: Now, field_id: FromPath[UUID]
) -> Response[CustomFieldView]:
    """Let a field take no more values; those it has stay."""
    return versioned(await fields.retire(tx, field_id, by=str(caller), now=now))


@get(
    "/custom-fields/{field_id:uuid}/subjects",
    opt={"access": CUSTOMERS},
    responses=when_reading(404),
)
async def list_by_custom_field(
    tx: Tx,
    field_id: FromPath[UUID],
    value: Annotated[
        str | None, QueryParameter(max_length=500, description="As JSON has it, without quotes.")
    ] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[SubjectView]:
    """What has a value in a field, or this very value."""
    field = await fields.get(tx, field_id)
    wanted = fields.value_in_query(field, value)
    rows = await fields_store.subjects_after(tx, field, wanted, after_id(cursor), limit + 1)
    return page_by_id(convert_all(rows, SubjectView), limit)


HANDLERS = [
    define_custom_field,
    list_custom_fields,
    get_custom_field,
    change_custom_field,
    retire_custom_field,
    list_by_custom_field,
]
