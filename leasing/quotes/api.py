"""Quotes and settlements over HTTP."""

from datetime import date
from typing import Annotated
from uuid import UUID

from litestar import Response, get, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from leasing.contracts.api import versioned
from leasing.http.edge import CUSTOMERS, By, Now, Tx
from leasing.http.pages import Cursor, Limit, Page, after_id, page_by_id
from leasing.http.problems import when_posting, when_reading
from leasing.kit.rows import convert_all
from leasing.kit.time import civil_date
from leasing.quotes import service, settlement, store
from schemas.contracts import ContractView
from schemas.quotes import (
    QuoteAcceptance,
    QuoteCreate,
    QuoteSummary,
    QuoteView,
    SettlementView,
)


@post("/quotes", responses=when_posting())
async def make_quote(tx: Tx, caller: By, now: Now, data: JSONBody[QuoteCreate]) -> QuoteView:
    """What a lease would cost, month by month to the end of its term, in one or two ways side by
    side. Neither lessee nor sites need to be known."""
    return await service.create(tx, data, by=str(caller), now=now)


@get("/quotes", opt={"access": CUSTOMERS}, responses=when_reading())
async def list_quotes(
    tx: Tx,
    now: Now,
    lessee_id: FromQuery[UUID | None] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[QuoteSummary]:
    """Quotes in the order they were made."""
    rows = await store.after(tx, after_id(cursor), lessee_id, limit + 1, civil_date(now))
    return page_by_id(convert_all(rows, QuoteSummary), limit)


@get("/quotes/{quote_id:uuid}", opt={"access": CUSTOMERS}, responses=when_reading(404))
async def get_quote(tx: Tx, now: Now, quote_id: FromPath[UUID]) -> QuoteView:
    """One quote with all its months."""
    return await service.get(tx, quote_id, civil_date(now))


@post("/quotes/{quote_id:uuid}/acceptance", responses=when_posting(404))
async def accept_quote(
    tx: Tx, caller: By, now: Now, quote_id: FromPath[UUID], data: JSONBody[QuoteAcceptance]
) -> Response[ContractView]:
    """Make the contract that was quoted, offered and ready to be signed."""
    return versioned(await service.accept(tx, quote_id, data, by=str(caller), now=now), 201)


@get("/contracts/{contract_id:uuid}/settlement", responses=when_reading(404, 409))
async def preview_settlement(
    tx: Tx,
    now: Now,
    contract_id: FromPath[UUID],
    on: Annotated[
        date | None, QueryParameter(description="First day after the lease; today if not given.")
    ] = None,
) -> SettlementView:
    """What ending a contract early would cost: packs given back, or bought. Nothing is written."""
    return await settlement.preview(tx, contract_id, on or civil_date(now))


HANDLERS = [make_quote, list_quotes, get_quote, accept_quote, preview_settlement]
