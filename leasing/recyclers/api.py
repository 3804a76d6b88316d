"""Recyclers over HTTP."""

from datetime import date
from typing import Annotated
from uuid import UUID

from litestar import get, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from leasing.http.edge import RECYCLERS, By, Now, Tx
from leasing.http.pages import Cursor, Limit, Page, after_id, page_by_id
from leasing.http.problems import when_posting, when_reading
from leasing.kit.rows import convert_all
from leasing.kit.time import civil_date
from leasing.recyclers import offers, offers_store, service, store, withdrawals
from schemas.common import PRINTABLE
from schemas.recyclers import (
    AnnualReportCreate,
    AnnualReportView,
    ListingStepCreate,
    ListingStepView,
    NoticeSubject,
    NoticeView,
    OfferCreate,
    OfferDisposition,
    OfferEnd,
    OfferView,
    RecyclerView,
    WithdrawalCreate,
    WithdrawalListed,
    WithdrawalView,
)

OfChemistry = Annotated[str | None, QueryParameter(max_length=1, pattern=PRINTABLE)]
OnDay = Annotated[
    date | None, QueryParameter(name="on", description="Only prices that hold on this day.")
]
LapsesAfter = Annotated[
    date | None, QueryParameter(description="Only notices of what lapses after this day.")
]


@get("/recyclers/{recycler_id:uuid}", opt={"access": RECYCLERS}, responses=when_reading(404))
async def get_recycler(
    tx: Tx, now: Now, recycler_id: FromPath[UUID], as_of: FromQuery[date | None] = None
) -> RecyclerView:
    """Everything of one recycler on a day: evidence, listing, outlets, prices, notices. A recycler
    sees itself."""
    return await service.get(tx, recycler_id, as_of or civil_date(now))


@post("/recyclers/{recycler_id:uuid}/listing-steps", responses=when_posting(404))
async def add_listing_step(
    tx: Tx,
    caller: By,
    now: Now,
    recycler_id: FromPath[UUID],
    data: JSONBody[ListingStepCreate],
) -> list[ListingStepView]:
    """Enter a step of the listing; answers it with those that came due by themselves until then."""
    return await service.enter_step(tx, recycler_id, data, by=str(caller), now=now)


@post("/recyclers/{recycler_id:uuid}/annual-reports", responses=when_posting(404))
async def add_annual_report(
    tx: Tx,
    caller: By,
    now: Now,
    recycler_id: FromPath[UUID],
    data: JSONBody[AnnualReportCreate],
) -> list[AnnualReportView]:
    """Record an annual report that was filed; answers all of the firm's."""
    return await service.file_report(tx, recycler_id, data, by=str(caller), now=now)


@get("/recycler-notices", opt={"access": RECYCLERS}, responses=when_reading())
async def list_recycler_notices(
    tx: Tx,
    recycler_id: FromQuery[UUID | None] = None,
    subject: FromQuery[NoticeSubject | None] = None,
    lapses_after: LapsesAfter = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[NoticeView]:
    """Notices before evidence or a deadline lapses. A recycler sees its own."""
    rows = await store.notices(
        tx,
        after_id(cursor),
        limit + 1,
        recycler_id=recycler_id,
        subject=subject,
        lapses_after=lapses_after,
    )
    return page_by_id(convert_all(rows, NoticeView), limit)


@post("/withdrawals", responses=when_posting())
async def withdraw_many(
    tx: Tx, caller: By, now: Now, data: JSONBody[WithdrawalCreate]
) -> WithdrawalView:
    """Withdraw evidence of up to 1,000 recyclers at once, and be told what that hits."""
    return await withdrawals.enter(tx, data, by=str(caller), now=now)


@get("/withdrawals", responses=when_reading())
async def list_withdrawals(
    tx: Tx, limit: Limit = 50, cursor: Cursor = None
) -> Page[WithdrawalListed]:
    """Withdrawals of many at once, in the order they were entered."""
    rows = await store.withdrawals(tx, after_id(cursor), limit + 1)
    return page_by_id(convert_all(rows, WithdrawalListed), limit)


@get("/withdrawals/{withdrawal_id:uuid}", responses=when_reading(404))
async def get_withdrawal(tx: Tx, withdrawal_id: FromPath[UUID]) -> WithdrawalView:
    """One withdrawal, and what of it is still reserved as of now."""
    return await withdrawals.get(tx, withdrawal_id)


@post("/scrap-offers", responses=when_posting(404))
async def add_scrap_offer(tx: Tx, caller: By, now: Now, data: JSONBody[OfferCreate]) -> OfferView:
    """Enter what a recycler pays for a kilogram in a window of days."""
    return await offers.enter(tx, data, by=str(caller), now=now)


@get("/scrap-offers", opt={"access": RECYCLERS}, responses=when_reading())
async def list_scrap_offers(
    tx: Tx,
    recycler_id: FromQuery[UUID | None] = None,
    chemistry: OfChemistry = None,
    disposition: FromQuery[OfferDisposition | None] = None,
    on_day: OnDay = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[OfferView]:
    """Prices, in the order they were entered; what is given as material is shown apart. A recycler
    sees its own."""
    rows = await offers_store.after(
        tx,
        after_id(cursor),
        limit + 1,
        recycler_id=recycler_id,
        chemistry=chemistry,
        disposition=disposition,
        on=on_day,
    )
    return page_by_id(convert_all(rows, OfferView), limit)


@post("/scrap-offers/{offer_id:uuid}/end", status_code=200, responses=when_posting(404))
async def end_scrap_offer(
    tx: Tx, caller: By, now: Now, offer_id: FromPath[UUID], data: JSONBody[OfferEnd]
) -> OfferView:
    """End a price on a day, so that another can follow it."""
    return await offers.end(tx, offer_id, data, by=str(caller), now=now)


HANDLERS = [
    get_recycler,
    add_listing_step,
    add_annual_report,
    list_recycler_notices,
    withdraw_many,
    list_withdrawals,
    get_withdrawal,
    add_scrap_offer,
    list_scrap_offers,
    end_scrap_offer,
]
