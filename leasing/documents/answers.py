"""A document as an answer over HTTP: a file of one of several types, named by its content."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

from litestar import Request, Response
from litestar.datastructures import State
from litestar.openapi.spec import (
    OpenAPIHeader,
    OpenAPIMediaType,
    OpenAPIResponse,
    Operation,
    Schema,
)
from litestar.openapi.spec.enums import OpenAPIType

from leasing.documents import pages
from leasing.documents.service import Press
from leasing.sheets.files import MEDIA_TYPES as SHEETS
from schemas.documents import DocumentFormat, StatementFormat
from schemas.sheets import SheetFormat

MEDIA_TYPES: dict[str, str] = {
    DocumentFormat.JSON: "application/json",
    DocumentFormat.HTML: "text/html",
    DocumentFormat.CSV: SHEETS[SheetFormat.CSV],
    DocumentFormat.XLSX: SHEETS[SheetFormat.XLSX],
    DocumentFormat.PDF: "application/pdf",
    DocumentFormat.UBL: "application/xml",
}
SUFFIXES: dict[str, str] = {DocumentFormat.UBL: "xml"}


def provide_press(request: Request[None, None, State]) -> Press:
    return cast("Press", request.scope["state"]["press"])


def given_as(formats: Iterable[str]) -> OpenAPIResponse:
    tag = OpenAPIHeader(
        schema=Schema(type=OpenAPIType.STRING),
        description="SHA-256 of the document's canonical JSON, which is its JSON form.",
    )
    types = [MEDIA_TYPES[one] for one in formats]
    return OpenAPIResponse(
        description="The document.",
        content={
            media_type: OpenAPIMediaType(
                schema=Schema(
                    type=OpenAPIType.OBJECT if media_type.endswith("/json") else OpenAPIType.STRING
                )
            )
            for media_type in types
        },
        headers={"ETag": tag},
    )


@dataclass
class GivesInvoice(Operation):
    def __post_init__(self) -> None:
        assert self.responses is not None
        self.responses["200"] = given_as(DocumentFormat)


@dataclass
class GivesPrinted(Operation):
    """A document that is for people alone."""

    def __post_init__(self) -> None:
        assert self.responses is not None
        self.responses["200"] = given_as((DocumentFormat.HTML, DocumentFormat.PDF))


@dataclass
class GivesStatement(Operation):
    def __post_init__(self) -> None:
        assert self.responses is not None
        self.responses["200"] = given_as(StatementFormat)


def answer(name: str, sha256: str, format_: str, content: bytes) -> Response[bytes]:
    shown = "inline" if format_ in (DocumentFormat.HTML, DocumentFormat.PDF) else "attachment"
    suffix = SUFFIXES.get(format_, str(format_))
    headers = {
        "content-disposition": f'{shown}; filename="{name}.{suffix}"',
        "etag": f'"{sha256}"',
        "x-content-type-options": "nosniff",
        "cache-control": "private, no-cache",
    }
    if format_ == DocumentFormat.HTML:
        headers |= pages.HEADERS
    return Response(content, media_type=MEDIA_TYPES[format_], headers=headers)
