"""Notes, attachments and tags over HTTP.

What can be written on a pack can be written on a site and on a contract: `on` makes the same
routes below each of the three.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.spec import OpenAPIMediaType, OpenAPIResponse, Operation, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIFormat, OpenAPIType
from litestar.params import (
    FromPath,
    FromQuery,
    JSONBody,
    PathParameter,
    QueryParameter,
    RawBody,
)

from leasing.annotations import fields_api, rules, service, store
from leasing.http.edge import CUSTOMERS, By, Now, Tx
from leasing.http.pages import Cursor, Limit, Page, after_id, decode, encode, page_by_id
from leasing.http.problems import when_posting, when_reading
from leasing.kit.rows import convert_all
from schemas.annotations import (
    AttachmentRemove,
    AttachmentView,
    MediaType,
    NoteCreate,
    NoteStrike,
    NoteView,
    SubjectKind,
    SubjectView,
    TagsChange,
    TagsView,
    TagView,
)

BYTES = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY)
EVERY_TYPE = {str(media_type): OpenAPIMediaType(schema=BYTES) for media_type in MediaType}


@dataclass
class TakesContent(Operation):
    """An operation whose body is the file itself, in one of the types we take."""

    def __post_init__(self) -> None:
        self.request_body = RequestBody(required=True, content=EVERY_TYPE)


@dataclass
class GivesContent(Operation):
    """An operation that answers with the file itself."""

    def __post_init__(self) -> None:
        assert self.responses is not None
        self.responses["200"] = OpenAPIResponse("The file.", content=EVERY_TYPE)


Filename = Annotated[
    str,
    QueryParameter(
        min_length=1,
        max_length=200,
        pattern=r"^[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*$(?!\n)",
        description="For people to read; nothing is opened or decided by it.",
    ),
]
ExpectedSha256 = Annotated[
    str | None,
    QueryParameter(
        pattern=r"^[0-9a-f]{64}$(?!\n)", description="Hash that the content must have to be taken."
    ),
]
VisibleToCustomer = Annotated[
    bool, QueryParameter(description="Whether customers who see the subject see the attachment.")
]


def on(kind: SubjectKind) -> list[HTTPRouteHandler]:
    """The routes below one kind of subject."""
    here = f"/{kind}s/{{{kind}_id:uuid}}"
    Id = Annotated[UUID, PathParameter(name=f"{kind}_id")]  # noqa: N806 - a type

    @post(f"{here}/notes", responses=when_posting(404))
    async def write_note(
        tx: Tx,
        caller: By,
        now: Now,
        subject_id: Id,
        data: JSONBody[NoteCreate],
    ) -> NoteView:
        """Write a note. It is never edited; a wrong one is struck out."""
        return await service.write_note(tx, kind, subject_id, data, by=str(caller), now=now)

    @get(f"{here}/notes", opt={"access": CUSTOMERS}, responses=when_reading(404))
    async def list_notes(
        tx: Tx,
        subject_id: Id,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> Page[NoteView]:
        """Notes in the order they were written, those struck out among them. A customer sees
        those marked as visible to it."""
        await service.refuse_unseen(tx, kind, subject_id)
        rows = await store.notes_after(tx, subject_id, after_id(cursor), limit + 1)
        return page_by_id(convert_all(rows, NoteView), limit)

    @post(f"{here}/attachments", responses=when_posting(404), operation_class=TakesContent)
    async def attach(
        tx: Tx,
        caller: By,
        now: Now,
        request: Request[Any, Any, Any],
        subject_id: Id,
        body: RawBody,
        filename: Filename,
        sha256: ExpectedSha256 = None,
        visible_to_customer: VisibleToCustomer = False,
    ) -> AttachmentView:
        """Attach a file, sent as the body as it is. Its type is decided by its content, and the
        Content-Type must agree."""
        declared, _ = request.content_type
        return await service.attach(
            tx,
            kind,
            subject_id,
            body,
            declared=declared,
            filename=filename,
            visible_to_customer=visible_to_customer,
            expected_sha256=sha256,
            by=str(caller),
            now=now,
        )

    @get(f"{here}/attachments", opt={"access": CUSTOMERS}, responses=when_reading(404))
    async def list_attachments(
        tx: Tx,
        subject_id: Id,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> Page[AttachmentView]:
        """What is attached, in the order it was, and what was removed."""
        await service.refuse_unseen(tx, kind, subject_id)
        rows = await store.attachments_after(tx, subject_id, after_id(cursor), limit + 1)
        return page_by_id(convert_all(rows, AttachmentView), limit)

    @post(f"{here}/tags", status_code=200, responses=when_posting(404))
    async def change_tags(
        tx: Tx,
        caller: By,
        now: Now,
        subject_id: Id,
        data: JSONBody[TagsChange],
    ) -> TagsView:
        """Add tags and take tags away; answers with those there are then."""
        return TagsView(
            tags=await service.change_tags(tx, kind, subject_id, data, by=str(caller), now=now)
        )

    @get(f"{here}/tags", responses=when_reading(404))
    async def get_tags(tx: Tx, subject_id: Id) -> TagsView:
        """The tags of one subject. Tags are the lessor's own; customers do not see them."""
        await service.refuse_unseen(tx, kind, subject_id)
        return TagsView(tags=await store.tags(tx, subject_id))

    return [write_note, list_notes, attach, list_attachments, change_tags, get_tags]


@post("/notes/{note_id:uuid}/strike", status_code=200, responses=when_posting(404))
async def strike_note(
    tx: Tx, caller: By, now: Now, note_id: FromPath[UUID], data: JSONBody[NoteStrike]
) -> NoteView:
    """Strike a note out. Its text stays, with the reason beside it."""
    return await service.strike_note(tx, note_id, data.reason, by=str(caller), now=now)


@post("/attachments/{attachment_id:uuid}/removal", status_code=200, responses=when_posting(404))
async def remove_attachment(
    tx: Tx, caller: By, now: Now, attachment_id: FromPath[UUID], data: JSONBody[AttachmentRemove]
) -> AttachmentView:
    """Remove an attachment. What it was stays on record; its content is let go unless it is
    attached elsewhere."""
    return await service.remove_attachment(tx, attachment_id, data.reason, by=str(caller), now=now)


@get(
    "/attachments/{attachment_id:uuid}/content",
    opt={"access": CUSTOMERS},
    responses=when_reading(404),
    operation_class=GivesContent,
)
async def download_attachment(tx: Tx, attachment_id: FromPath[UUID]) -> Response[bytes]:
    """The file itself, always as a download."""
    attachment = await service.get_attachment(tx, attachment_id)
    content = await service.get_content(tx, attachment_id)
    return Response(
        content,
        media_type=attachment.media_type,
        headers={
            "content-disposition": rules.content_disposition(
                attachment.filename, attachment.media_type
            ),
            "x-content-type-options": "nosniff",
            # Under this address there will never be other bytes; they are for this caller only.
            "cache-control": "private, max-age=31536000, immutable",
            "etag": f'"{attachment.sha256}"',
        },
    )


@get("/tags", responses=when_reading())
async def list_tags(tx: Tx, limit: Limit = 50, cursor: Cursor = None) -> Page[TagView]:
    """Every tag in use, in order, with how often it is."""
    (after,) = ("",) if cursor is None else decode(cursor, tuple[rules.Tag])
    rows = convert_all(await store.tags_after(tx, after, limit + 1), TagView)
    shown = rows[:limit]
    return Page(shown, encode(shown[-1].tag) if len(rows) > limit else None)


@get("/tagged", responses=when_reading())
async def list_tagged(
    tx: Tx,
    kind: FromQuery[SubjectKind | None] = None,
    tag: Annotated[
        list[str] | None, QueryParameter(max_items=20, description="Give several to ask for all.")
    ] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[SubjectView]:
    """Packs, sites and contracts that carry all of the tags."""
    (wanted,) = service.read_tags({"?tag": tag or []})
    rows = await store.tagged_after(tx, after_id(cursor), kind, wanted, limit + 1)
    return page_by_id(convert_all(rows, SubjectView), limit)


HANDLERS: Sequence[HTTPRouteHandler] = [
    *[handler for kind in SubjectKind for handler in [*on(kind), *fields_api.on(kind)]],
    strike_note,
    remove_attachment,
    download_attachment,
    list_tags,
    list_tagged,
    *fields_api.HANDLERS,
]
