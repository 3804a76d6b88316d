"""Invoices as documents over HTTP."""

from dataclasses import dataclass
from typing import Annotated, cast
from uuid import UUID

from litestar import Request, Response, get
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.openapi.spec import (
    OpenAPIHeader,
    OpenAPIMediaType,
    OpenAPIResponse,
    Operation,
    Schema,
)
from litestar.openapi.spec.enums import OpenAPIType
from litestar.params import FromPath, FromQuery, QueryParameter

from leasing.documents import pages, service, store
from leasing.http.edge import CUSTOMERS, Tx
from leasing.http.problems import when_reading
from leasing.sheets.files import MEDIA_TYPES as SHEETS
from schemas.documents import DocumentFormat, DocumentLanguage
from schemas.sheets import SheetFormat

MEDIA_TYPES = {
    DocumentFormat.JSON: "application/json",
    DocumentFormat.HTML: "text/html",
    DocumentFormat.CSV: SHEETS[SheetFormat.CSV],
    DocumentFormat.XLSX: SHEETS[SheetFormat.XLSX],
    DocumentFormat.PDF: "application/pdf",
    DocumentFormat.UBL: "application/xml",
}
SUFFIXES = {DocumentFormat.UBL: "xml"}


@dataclass
class GivesDocument(Operation):
    """Documents an answer that is a file of one of several types, named by its content."""

    def __post_init__(self) -> None:
        assert self.responses is not None
        tag = OpenAPIHeader(
            schema=Schema(type=OpenAPIType.STRING),
            description="SHA-256 of the document's canonical JSON, which is its JSON form.",
        )
        self.responses["200"] = OpenAPIResponse(
            description="The document.",
            content={
                media_type: OpenAPIMediaType(
                    schema=Schema(
                        type=OpenAPIType.OBJECT
                        if media_type.endswith("/json")
                        else OpenAPIType.STRING
                    )
                )
                for media_type in MEDIA_TYPES.values()
            },
            headers={"ETag": tag},
        )


def provide_press(request: Request[None, None, State]) -> service.Press:
    return cast("service.Press", request.scope["state"]["press"])


@get(
    "/invoices/{invoice_id:uuid}/document",
    opt={"access": CUSTOMERS},
    dependencies={"press": Provide(provide_press, sync_to_thread=False)},
    responses=when_reading(404, 409),
    operation_class=GivesDocument,
)
async def get_document(
    tx: Tx,
    press: NamedDependency[service.Press],
    invoice_id: FromPath[UUID],
    file_format: Annotated[DocumentFormat, QueryParameter(name="format")] = DocumentFormat.JSON,
    language: FromQuery[DocumentLanguage] = DocumentLanguage.EN,
) -> Response[bytes]:
    """A final invoice as a document, its lines by operator, province, city and site. JSON and UBL
    are the same in either language."""
    named = await store.load(tx, invoice_id)
    if file_format is DocumentFormat.PDF:
        content = await press.pdf(tx, named, language)
    else:
        content = await service.render(named, file_format, language)
    name = f"{named.document.number}.{SUFFIXES.get(file_format, file_format)}"
    shown = "inline" if file_format in (DocumentFormat.HTML, DocumentFormat.PDF) else "attachment"
    headers = {
        "content-disposition": f'{shown}; filename="{name}"',
        "etag": f'"{named.sha256}"',
        "x-content-type-options": "nosniff",
        "cache-control": "private, no-cache",
    }
    if file_format is DocumentFormat.HTML:
        headers |= pages.HEADERS
    return Response(content, media_type=MEDIA_TYPES[file_format], headers=headers)


HANDLERS = [get_document]
