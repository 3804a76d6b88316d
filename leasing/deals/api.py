"""Deals, what scrap brings by them, and their ledgers over HTTP."""

from typing import Annotated
from uuid import UUID

from litestar import get, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from leasing.deals import service, store
from leasing.http.edge import RECYCLERS, WITH_RECYCLERS, By, Now, Tx
from leasing.http.pages import Cursor, Limit, Page, after_id, page_by_id
from leasing.http.problems import when_posting, when_reading
from schemas.deals import (
    DealCreate,
    DealDecline,
    DealDetail,
    DealMovementView,
    DealReversalCreate,
    DealSettlementCreate,
    DealSnapshotCreate,
    DealState,
    DealVatSettlementCreate,
    DealView,
    ScrapDeliveryCreate,
    ScrapValuation,
    ScrapValuationCreate,
)


@post("/deals", responses=when_posting(404))
async def offer_deal(tx: Tx, caller: By, now: Now, data: JSONBody[DealCreate]) -> DealDetail:
    """Write down what a recycler offers for scrap: material for metal, and prices with their
    end."""
    return await service.offer(tx, data, by=str(caller), now=now)


@get("/deals", opt={"access": RECYCLERS}, responses=when_reading())
async def list_deals(
    tx: Tx,
    recycler_id: FromQuery[UUID | None] = None,
    chemistry: Annotated[str | None, QueryParameter(pattern=r"^[A-GZ]$(?!\n)")] = None,
    in_state: Annotated[DealState | None, QueryParameter(name="state")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[DealView]:
    """Deals. A recycler sees its own."""
    rows = await store.after(tx, after_id(cursor), recycler_id, chemistry, in_state, limit + 1)
    return page_by_id(rows, limit)


@get("/deals/{deal_id:uuid}", opt={"access": RECYCLERS}, responses=when_reading(404))
async def get_deal(tx: Tx, deal_id: FromPath[UUID]) -> DealDetail:
    """One deal with its terms, its prices, and what is open."""
    return await service.get(tx, deal_id)


@post("/deals/{deal_id:uuid}/revaluation", status_code=200, responses=when_posting(404))
async def revalue_deal(
    tx: Tx, caller: By, now: Now, deal_id: FromPath[UUID], data: JSONBody[DealSnapshotCreate]
) -> DealDetail:
    """Price an offer anew. A deal that was accepted stays as it was priced."""
    return await service.revalue(tx, deal_id, data, by=str(caller), now=now)


@post(
    "/deals/{deal_id:uuid}/acceptance",
    status_code=200,
    opt={"access": WITH_RECYCLERS},
    responses=when_posting(404),
)
async def accept_deal(tx: Tx, caller: By, now: Now, deal_id: FromPath[UUID]) -> DealDetail:
    """A deal binds both sides at its newest prices, if they still hold."""
    return await service.accept(tx, deal_id, by=str(caller), now=now)


@post(
    "/deals/{deal_id:uuid}/decline",
    status_code=200,
    opt={"access": WITH_RECYCLERS},
    responses=when_posting(404),
)
async def decline_deal(
    tx: Tx, caller: By, now: Now, deal_id: FromPath[UUID], data: JSONBody[DealDecline]
) -> DealDetail:
    """An offer comes to nothing."""
    return await service.decline(tx, deal_id, data.reason, by=str(caller), now=now)


@post("/deals/{deal_id:uuid}/closing", status_code=200, responses=when_posting(404))
async def close_deal(tx: Tx, caller: By, now: Now, deal_id: FromPath[UUID]) -> DealDetail:
    """Nothing is open, and nothing more comes."""
    return await service.close(tx, deal_id, by=str(caller), now=now)


@post(
    "/deals/{deal_id:uuid}/valuations",
    status_code=200,
    opt={"access": WITH_RECYCLERS},
    responses=when_posting(404),
)
async def valuate_scrap(
    tx: Tx, now: Now, deal_id: FromPath[UUID], data: JSONBody[ScrapValuationCreate]
) -> ScrapValuation:
    """What so much scrap would bring by a deal, step by step. Nothing of it is kept."""
    return await service.valuate(tx, deal_id, data, now=now)


@post("/deals/{deal_id:uuid}/deliveries", responses=when_posting(404))
async def deliver_scrap(
    tx: Tx, caller: By, now: Now, deal_id: FromPath[UUID], data: JSONBody[ScrapDeliveryCreate]
) -> DealMovementView:
    """Scrap went to the recycler: by itself, or as a consignment that was received."""
    return await service.deliver(tx, deal_id, data, by=str(caller), now=now)


@post("/deals/{deal_id:uuid}/settlements", responses=when_posting(404))
async def settle_deal(
    tx: Tx, caller: By, now: Now, deal_id: FromPath[UUID], data: JSONBody[DealSettlementCreate]
) -> DealMovementView:
    """Raw material came back, or money in place of it at the price of the deal."""
    return await service.settle(tx, deal_id, data, by=str(caller), now=now)


@post("/deals/{deal_id:uuid}/vat-settlements", responses=when_posting(404))
async def settle_vat_of_deal(
    tx: Tx, caller: By, now: Now, deal_id: FromPath[UUID], data: JSONBody[DealVatSettlementCreate]
) -> DealMovementView:
    """What is open of the VAT on scrap and on material is paid, by the side that owes it."""
    return await service.settle_vat(tx, deal_id, data, by=str(caller), now=now)


@post("/deals/{deal_id:uuid}/reversals", responses=when_posting(404))
async def reverse_movement(
    tx: Tx, caller: By, now: Now, deal_id: FromPath[UUID], data: JSONBody[DealReversalCreate]
) -> DealMovementView:
    """Take a movement back."""
    return await service.reverse(tx, deal_id, data, by=str(caller), now=now)


@get("/deals/{deal_id:uuid}/ledger", opt={"access": RECYCLERS}, responses=when_reading(404))
async def deal_ledger(
    tx: Tx, deal_id: FromPath[UUID], limit: Limit = 50, cursor: Cursor = None
) -> Page[DealMovementView]:
    """What went to and fro, in kilograms and fen, from the first on; what is open is its sum."""
    rows = await service.movements(tx, deal_id, after_id(cursor), limit + 1)
    return page_by_id(rows, limit)


HANDLERS = [
    offer_deal,
    list_deals,
    get_deal,
    revalue_deal,
    accept_deal,
    decline_deal,
    close_deal,
    valuate_scrap,
    deliver_scrap,
    settle_deal,
    settle_vat_of_deal,
    reverse_movement,
    deal_ledger,
]
