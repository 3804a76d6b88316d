"""Messages of protocols over HTTP, and what nobody could read."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.exceptions import HTTPException
from litestar.openapi.spec import OpenAPIMediaType, OpenAPIResponse, Operation, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIType
from litestar.params import FromPath, FromQuery, JSONBody

from leasing.gateways import service, store
from leasing.http.edge import STAFF, By, Now, Tx, keep_although_refused
from leasing.http.pages import Cursor, Limit, Page, after_id, page_by
from leasing.http.problems import when_posting, when_reading
from leasing.kit.rows import convert_all
from leasing.telemetry.decoders.frames import FrameError
from schemas.messages import Bms48Batch, MessageReceipt, UnreadMessageView

XML_TYPES = ("text/xml", "application/xml", "application/soap+xml")
XML = OpenAPIMediaType(schema=Schema(type=OpenAPIType.STRING))
BYTES = OpenAPIMediaType(schema=Schema(type=OpenAPIType.STRING))


@dataclass
class TakesXml(Operation):
    """An operation that takes XML and answers with it."""

    def __post_init__(self) -> None:
        self.request_body = RequestBody(required=True, content=dict.fromkeys(XML_TYPES, XML))
        assert self.responses is not None
        self.responses["200"] = OpenAPIResponse("The answer.", content={"text/xml": XML})


@dataclass
class GivesBytes(Operation):
    """An operation that answers with bytes as they came."""

    def __post_init__(self) -> None:
        assert self.responses is not None
        content = {"application/octet-stream": BYTES}
        self.responses["200"] = OpenAPIResponse("The message.", content=content)


@post(
    "/messages/b-interface",
    status_code=200,
    operation_class=TakesXml,
    responses=when_posting(),
)
async def take_b_interface(
    request: Request[Any, Any, Any], tx: Tx, caller: By, now: Now
) -> Response[bytes]:
    """Take a message of a tower site's supervision unit (B-interface), bare or within SOAP: LOGIN,
    LOGOUT, SEND_ALARM, or what a unit answered to GET_DATA or GET_HISDATA.

    It is answered in XML once it is durable. What cannot be read is kept for staff to see, and
    refused with the position and the reason.
    """
    media_type, _ = request.content_type
    if media_type not in XML_TYPES:
        raise HTTPException(
            status_code=415,
            detail=f"expected {' or '.join(XML_TYPES)}, got {media_type or 'no Content-Type'}",
            headers={"Accept": ", ".join(XML_TYPES)},
        )
    body = await request.body()
    try:
        answer = await service.take_b_interface(tx, body, request.url.hostname or "", now=now)
    except FrameError as error:
        await service.keep_unread(tx, f"b-interface {caller}", error.detail, body, now=now)
        keep_although_refused(request.scope)
        raise
    return Response(answer, media_type="text/xml; charset=utf-8")


@post("/messages/bms48", responses=when_posting())
async def take_bms48(tx: Tx, now: Now, data: JSONBody[Bms48Batch]) -> MessageReceipt:
    """Store what a 48 V pack answered (YD/T 1363.3): telemetry, and the alarms that are up.

    One frame that cannot be read refuses them all, each named. An alarm begins when its flag is
    up, and ends when a later frame of alarms no longer shows it.
    """
    return await service.take_bms48(tx, data, now=now)


@get("/unread-messages", opt={"access": STAFF}, responses=when_reading())
async def list_unread_messages(
    tx: Tx, source: FromQuery[str | None] = None, limit: Limit = 50, cursor: Cursor = None
) -> Page[UnreadMessageView]:
    """What came and could not be read, oldest first: encrypted, damaged, or of no known form."""
    rows = await store.after(tx, after_id(cursor), source, limit + 1)
    return page_by(convert_all(rows, UnreadMessageView), limit, lambda view: view.id)


@get(
    "/unread-messages/{message_id:uuid}/content",
    opt={"access": STAFF},
    operation_class=GivesBytes,
    responses=when_reading(404),
)
async def download_unread_message(tx: Tx, message_id: FromPath[UUID]) -> Response[bytes]:
    """The message as it came."""
    content = await service.content_of_unread(tx, message_id)
    return Response(content, media_type="application/octet-stream")


HANDLERS = [
    take_b_interface,
    take_bms48,
    list_unread_messages,
    download_unread_message,
]
