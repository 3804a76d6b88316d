"""Sheets over HTTP: the file is the body, as it is."""

from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.exceptions import HTTPException
from litestar.openapi.spec import OpenAPIMediaType, OpenAPIResponse, Operation, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIType
from litestar.params import FromPath, FromQuery, QueryParameter

from leasing.access.model import Role
from leasing.http.edge import EVERYONE, By, Now, RoleNotAllowed, Tx
from leasing.http.fields import summary
from leasing.http.problems import InvalidParameters, when_posting, when_reading
from leasing.kit.errors import FieldError
from leasing.sheets import service
from leasing.sheets.files import MEDIA_TYPES
from leasing.sheets.service import Upload
from schemas.packs import PackState
from schemas.sheets import ImportResult, SheetFormat, SheetKind, SheetLanguage

FILES = {
    media_type: OpenAPIMediaType(
        schema=Schema(type=OpenAPIType.STRING, content_media_type=media_type)
    )
    for media_type in MEDIA_TYPES.values()
}


OF_RECYCLERS = {SheetKind.OUTLETS, SheetKind.OFFERS}
KINDS_OF = {
    Role.STAFF: set(SheetKind),
    Role.AUDITOR: set(SheetKind),
    Role.CUSTOMER: set(SheetKind) - OF_RECYCLERS,
    Role.RECYCLER: OF_RECYCLERS,
}
"""What a role may see at all; row-level security decides which rows."""


@dataclass
class TakesFile(Operation):
    """Documents a body that is a file."""

    def __post_init__(self) -> None:
        self.request_body = RequestBody(content=dict(FILES), required=True)


@dataclass
class GivesFile(Operation):
    """Documents an answer that is a file."""

    def __post_init__(self) -> None:
        assert self.responses is not None
        self.responses["200"] = OpenAPIResponse(description="The file.", content=dict(FILES))


@get(
    "/exports/{kind:str}",
    opt={"access": EVERYONE},
    operation_class=GivesFile,
    responses=when_reading(413),
)
async def export_sheet(
    tx: Tx,
    caller: By,
    kind: FromPath[SheetKind],
    file_format: Annotated[SheetFormat, QueryParameter(name="format")] = SheetFormat.CSV,
    lang: FromQuery[SheetLanguage] = SheetLanguage.EN,
    party_id: FromQuery[UUID | None] = None,
    in_state: Annotated[PackState | None, QueryParameter(name="state")] = None,
) -> Response[bytes]:
    """Sites, vehicles, packs, outlets or prices as a file that can be edited and imported;
    `party_id` chooses sites and vehicles by owner, outlets and prices by recycler, `state` chooses
    packs."""
    if kind not in KINDS_OF[caller.role]:
        raise RoleNotAllowed(f"a {caller.role} key may not do this")
    refuse_filters_of_others(kind, party_id, in_state)
    content = await service.export(tx, kind, file_format, lang, party_id=party_id, state=in_state)
    return Response(
        content,
        media_type=MEDIA_TYPES[file_format],
        headers={"content-disposition": f'attachment; filename="{kind}.{file_format}"'},
    )


def refuse_filters_of_others(
    kind: SheetKind, party_id: UUID | None, state: PackState | None
) -> None:
    packs = kind is SheetKind.PACKS
    wrong = {"?party_id": packs and party_id is not None, "?state": not packs and state is not None}
    faults = [
        FieldError(place, "not_of_this_kind", f"{place[1:]} does not choose {kind}")
        for place, is_wrong in wrong.items()
        if is_wrong
    ]
    if faults:
        raise InvalidParameters(summary(faults), fields=faults)


@post(
    "/imports/{kind:str}",
    status_code=200,
    operation_class=TakesFile,
    responses=when_posting(412),
)
async def import_sheet(
    request: Request[Any, Any, Any],
    tx: Tx,
    caller: By,
    now: Now,
    kind: FromPath[SheetKind],
    dry_run: FromQuery[bool] = False,
    partial: FromQuery[bool] = False,
    sheet: Annotated[str | None, QueryParameter(max_length=31)] = None,
) -> ImportResult:
    """Import a file. With a refused row nothing is written and all rows' errors are told, unless
    `partial` asks for the good ones; `dry_run` answers the same and writes nothing."""
    upload = Upload(
        kind=kind,
        format=format_of(request),
        body=await request.body(),
        sheet=sheet,
        dry_run=dry_run,
        partial=partial,
    )
    result, _ = await service.import_file(tx, upload, by=str(caller), now=now)
    if result.refused and not partial:
        raise service.refuse(result)
    return result


def format_of(request: Request[Any, Any, Any]) -> SheetFormat:
    media_type, _ = request.content_type
    for format_, known in MEDIA_TYPES.items():
        if media_type == known:
            return format_
    raise HTTPException(
        status_code=415,
        detail=f"expected {' or '.join(FILES)}, got {media_type or 'no Content-Type'}",
        headers={"Accept": ", ".join(FILES)},
    )


HANDLERS = [export_sheet, import_sheet]
