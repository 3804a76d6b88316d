"""Consignments, what holds for them, and carriers' permits over HTTP."""

from datetime import date
from typing import Annotated
from uuid import UUID

from litestar import Response, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from leasing.consignments import note, rerouting, service, store
from leasing.documents.answers import GivesPrinted, answer, provide_press
from leasing.documents.service import Press
from leasing.http.edge import RECYCLERS, WITH_RECYCLERS, By, Now, Tx
from leasing.http.pages import Cursor, Limit, Page, after_id, page_by_id
from leasing.http.problems import when_posting, when_reading
from leasing.kit.time import civil_date
from schemas.consignments import (
    CarrierPermitCreate,
    CarrierPermitView,
    CarrierPermitWithdraw,
    ConsignmentCancellation,
    ConsignmentCreate,
    ConsignmentDetail,
    ConsignmentDispatch,
    ConsignmentReceipt,
    ConsignmentRefusal,
    ConsignmentState,
    ConsignmentView,
    ConsignmentWeighIn,
    DiscrepancyExplanation,
    NoteFormat,
    TransportRules,
)
from schemas.documents import DocumentLanguage
from schemas.routing import ReroutingCreate, ReroutingView


@get("/transport-rules", opt={"access": RECYCLERS}, responses=when_reading())
async def list_transport_rules(now: Now, on: FromQuery[date | None] = None) -> TransportRules:
    """How packs are packed, marked, carried and weighed on a day, with sources."""
    return service.rules_on(on or civil_date(now))


@get("/carrier-permits", responses=when_reading())
async def list_carrier_permits(
    tx: Tx,
    carrier_id: FromQuery[UUID | None] = None,
    valid_on: FromQuery[date | None] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[CarrierPermitView]:
    """Who may carry dangerous goods of class 9, by which mode and when."""
    rows = await store.permits_after(tx, after_id(cursor), carrier_id, valid_on, limit + 1)
    return page_by_id(rows, limit)


@post("/parties/{party_id:uuid}/carrier-permits", responses=when_posting(404))
async def permit_carrier(
    tx: Tx, caller: By, now: Now, party_id: FromPath[UUID], data: JSONBody[CarrierPermitCreate]
) -> CarrierPermitView:
    """A carrier may carry dangerous goods of class 9 from a day on."""
    return await service.permit(tx, party_id, data, by=str(caller), now=now)


@post("/carrier-permits/{permit_id:uuid}/withdrawal", status_code=200, responses=when_posting(404))
async def withdraw_carrier_permit(
    tx: Tx, caller: By, now: Now, permit_id: FromPath[UUID], data: JSONBody[CarrierPermitWithdraw]
) -> CarrierPermitView:
    """A carrier's permit ends early."""
    return await service.withdraw(tx, permit_id, data, by=str(caller), now=now)


@post("/consignments", responses=when_posting(404))
async def pack_consignment(
    tx: Tx, caller: By, now: Now, data: JSONBody[ConsignmentCreate]
) -> ConsignmentDetail:
    """Put packs that are reserved for one outlet into a lot of one hazard class; the answer says
    how it is packed and marked."""
    return await service.pack(tx, data, by=str(caller), now=now)


@get("/consignments", opt={"access": RECYCLERS}, responses=when_reading())
async def list_consignments(
    tx: Tx,
    now: Now,
    outlet_id: FromQuery[UUID | None] = None,
    recycler_id: FromQuery[UUID | None] = None,
    in_state: Annotated[ConsignmentState | None, QueryParameter(name="state")] = None,
    stranded: FromQuery[bool] = False,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[ConsignmentView]:
    """Consignments. A recycler sees those that come to it. `stranded` are those on the road that
    may not be handed over today: the recycler lost its evidence, or the outlet is closed."""
    rows = await service.after(
        tx, after_id(cursor), outlet_id, recycler_id, in_state, stranded, limit + 1, now
    )
    return page_by_id(rows, limit)


@get(
    "/consignments/{consignment_id:uuid}",
    opt={"access": RECYCLERS},
    responses=when_reading(404),
)
async def get_consignment(tx: Tx, consignment_id: FromPath[UUID]) -> ConsignmentDetail:
    """One consignment with its packs."""
    return await service.get(tx, consignment_id)


@post("/consignments/{consignment_id:uuid}/dispatch", status_code=200, responses=when_posting(404))
async def dispatch_consignment(
    tx: Tx,
    caller: By,
    now: Now,
    consignment_id: FromPath[UUID],
    data: JSONBody[ConsignmentDispatch],
) -> ConsignmentDetail:
    """A lot leaves. It may not when its carrier has no permit, its recycler is not qualified, a
    pack is not as it was when it was packed, or its mode forbids it; every reason is told."""
    return await service.dispatch(tx, consignment_id, data, by=str(caller), now=now)


@post(
    "/consignments/{consignment_id:uuid}/weigh-in",
    status_code=200,
    opt={"access": WITH_RECYCLERS},
    responses=when_posting(404),
)
async def weigh_consignment(
    tx: Tx, caller: By, now: Now, consignment_id: FromPath[UUID], data: JSONBody[ConsignmentWeighIn]
) -> ConsignmentDetail:
    """What a lot weighs where it came in, as a whole or pack by pack. A recycler weighs its own."""
    return await service.weigh_in(tx, consignment_id, data, by=str(caller), now=now)


@post(
    "/consignments/{consignment_id:uuid}/explanation",
    status_code=200,
    responses=when_posting(404),
)
async def explain_discrepancy(
    tx: Tx,
    caller: By,
    now: Now,
    consignment_id: FromPath[UUID],
    data: JSONBody[DiscrepancyExplanation],
) -> ConsignmentDetail:
    """Why a lot does not weigh what it should; without that it is not received."""
    return await service.explain(tx, consignment_id, data.explanation, by=str(caller), now=now)


@post(
    "/consignments/{consignment_id:uuid}/receipt",
    status_code=200,
    opt={"access": WITH_RECYCLERS},
    responses=when_posting(404),
)
async def receive_consignment(
    tx: Tx, caller: By, now: Now, consignment_id: FromPath[UUID], data: JSONBody[ConsignmentReceipt]
) -> ConsignmentDetail:
    """The outlet takes a lot: its packs are handed over, if the recycler is qualified on that day.
    A recycler receives its own."""
    return await service.receive(tx, consignment_id, data, by=str(caller), now=now)


@post(
    "/consignments/{consignment_id:uuid}/refusal",
    status_code=200,
    opt={"access": WITH_RECYCLERS},
    responses=when_posting(404),
)
async def refuse_consignment(
    tx: Tx, caller: By, now: Now, consignment_id: FromPath[UUID], data: JSONBody[ConsignmentRefusal]
) -> ConsignmentDetail:
    """The outlet takes a lot not: its packs are reserved again. A recycler refuses its own."""
    return await service.refuse(tx, consignment_id, data, by=str(caller), now=now)


@post(
    "/consignments/{consignment_id:uuid}/cancellation",
    status_code=200,
    responses=when_posting(404),
)
async def cancel_consignment(
    tx: Tx,
    caller: By,
    now: Now,
    consignment_id: FromPath[UUID],
    data: JSONBody[ConsignmentCancellation],
) -> ConsignmentDetail:
    """A lot is unpacked before it left."""
    return await service.cancel(tx, consignment_id, data, by=str(caller), now=now)


@post("/reroutings", responses=when_posting())
async def reroute(tx: Tx, caller: By, now: Now, data: JSONBody[ReroutingCreate]) -> ReroutingView:
    """Route anew, in one go, all that may not be handed over where and when it is reserved. Lots
    that have not left are unpacked; nobody else is moved."""
    return await rerouting.reroute(tx, data.reason, by=str(caller), now=now)


@get(
    "/consignments/{consignment_id:uuid}/note",
    opt={"access": RECYCLERS},
    dependencies={"press": Provide(provide_press, sync_to_thread=False)},
    responses=when_reading(404),
    operation_class=GivesPrinted,
)
async def get_consignment_note(
    tx: Tx,
    press: NamedDependency[Press],
    consignment_id: FromPath[UUID],
    file_format: Annotated[NoteFormat, QueryParameter(name="format")] = NoteFormat.HTML,
    language: FromQuery[DocumentLanguage] = DocumentLanguage.ZH,
) -> Response[bytes]:
    """The note that goes with a lot, to print: what it is, how it is packed and marked, who sends,
    carries and takes it."""
    named = await note.load(tx, consignment_id)
    if file_format is NoteFormat.PDF:
        content = await press.pdf(tx, named, language, note.LAYOUT)
    else:
        content = note.html(named, language)
    return answer(f"consignment-{consignment_id}", named.sha256, file_format, content)


HANDLERS = [
    get_consignment_note,
    list_transport_rules,
    list_carrier_permits,
    permit_carrier,
    withdraw_carrier_permit,
    pack_consignment,
    list_consignments,
    get_consignment,
    dispatch_consignment,
    weigh_consignment,
    explain_discrepancy,
    receive_consignment,
    refuse_consignment,
    cancel_consignment,
    reroute,
]
