"""Labels of packs over HTTP."""

from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from litestar import Response, get
from litestar.di import NamedDependency, Provide
from litestar.openapi.spec import OpenAPIMediaType, OpenAPIResponse, Operation, Schema
from litestar.openapi.spec.enums import OpenAPIType
from litestar.params import FromPath, QueryParameter

from leasing.batteries import identifiers
from leasing.batteries import service as packs
from leasing.documents import labels, service
from leasing.documents.answers import provide_press
from leasing.http.edge import EVERYONE, Tx
from leasing.http.problems import when_reading
from schemas.documents import DocumentLanguage, LabelFormat
from schemas.packs import CodeScheme, IdentifierView

MEDIA_TYPES = {LabelFormat.SVG: "image/svg+xml", LabelFormat.PDF: "application/pdf"}


@dataclass
class GivesLabel(Operation):
    def __post_init__(self) -> None:
        assert self.responses is not None
        text = OpenAPIMediaType(schema=Schema(type=OpenAPIType.STRING))
        self.responses["200"] = OpenAPIResponse(
            description="The label.", content=dict.fromkeys(MEDIA_TYPES.values(), text)
        )


@get(
    "/packs/{pack_id:uuid}/label",
    opt={"access": EVERYONE},
    dependencies={"press": Provide(provide_press, sync_to_thread=False)},
    responses=when_reading(404, 409),
    operation_class=GivesLabel,
)
async def get_label(
    tx: Tx,
    press: NamedDependency[service.Press],
    pack_id: FromPath[UUID],
    file_format: Annotated[LabelFormat, QueryParameter(name="format")] = LabelFormat.SVG,
) -> Response[bytes]:
    """A pack's label with its code as a QR symbol, rated values, its maker, whether it is a
    second-life product (梯次利用), and words of caution; 100 by 60 mm."""
    pack = await packs.get(tx, pack_id)
    known = (await identifiers.of_pack(tx, pack_id)).identifiers
    label = labels.label_of(
        pack,
        [one.value for one in known if not one.is_current],
        is_second_life=is_second_life(known),
    )
    if file_format is LabelFormat.PDF:
        content = await press.printer.print(label, DocumentLanguage.ZH, labels.LABEL)
    else:
        content = labels.svg(label)
    shown = f'inline; filename="{label.code}.{file_format}"'
    headers = {
        "content-disposition": shown,
        "x-content-type-options": "nosniff",
        "content-security-policy": "default-src 'none'",
        "cache-control": "private, no-cache",
    }
    return Response(content, media_type=MEDIA_TYPES[file_format], headers=headers)


def is_second_life(known: list[IdentifierView]) -> bool:
    """Whether the code that is printed now is that of a second-life product."""
    printed = next(one for one in known if one.is_current)
    return printed.scheme is CodeScheme.GBT34014_CASCADE or (
        printed.scheme is CodeScheme.GBT45565 and "-R-" in printed.value
    )


HANDLERS = [get_label]
