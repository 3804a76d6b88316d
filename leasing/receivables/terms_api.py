"""Deposits, dunning and late interest over HTTP."""

from uuid import UUID

from litestar import get, post, put
from litestar.params import FromPath, FromQuery, JSONBody

from leasing.http.edge import CUSTOMERS, By, Now, Tx
from leasing.http.pages import Cursor, Limit, Page, after_id, page_by_id
from leasing.http.problems import when_posting, when_putting, when_reading
from leasing.kit.rows import convert_all
from leasing.kit.time import civil_date
from leasing.receivables import ancillary, deposits, dunning, interest
from schemas.receivables import (
    AncillaryVatCreate,
    AncillaryVatView,
    DepositMovementCreate,
    DepositMovementView,
    DepositView,
    DunningNoticeView,
    DunningPauseCreate,
    DunningPauseView,
    DunningStepsPut,
    DunningStepView,
    InterestAccrualView,
    InterestTermsCreate,
    InterestTermsView,
    ReversalCreate,
)

# --- Deposits ---------------------------------------------------------------------------------


@get(
    "/contracts/{contract_id:uuid}/deposit", opt={"access": CUSTOMERS}, responses=when_reading(404)
)
async def get_deposit(tx: Tx, now: Now, contract_id: FromPath[UUID]) -> DepositView:
    """What a contract demands as a deposit, and what it holds."""
    return await deposits.get(tx, contract_id, civil_date(now))


@post("/contracts/{contract_id:uuid}/deposit-movements", responses=when_posting(404))
async def move_deposit(
    tx: Tx,
    caller: By,
    now: Now,
    contract_id: FromPath[UUID],
    data: JSONBody[DepositMovementCreate],
) -> DepositMovementView:
    """Receive a deposit out of a payment, use it for what is owed, pay it back, or keep it."""
    return await deposits.move(tx, contract_id, data, by=str(caller), now=now)


@get(
    "/contracts/{contract_id:uuid}/deposit-movements",
    opt={"access": CUSTOMERS},
    responses=when_reading(404),
)
async def list_deposit_movements(
    tx: Tx, now: Now, contract_id: FromPath[UUID], limit: Limit = 50, cursor: Cursor = None
) -> Page[DepositMovementView]:
    """What changed the deposit of a contract, in the order of entry."""
    await deposits.get(tx, contract_id, civil_date(now))
    rows = await deposits.movements_after(tx, contract_id, after_id(cursor), limit + 1)
    return page_by_id(convert_all(rows, DepositMovementView), limit)


@post("/deposit-movements/{movement_id:uuid}/reversal", responses=when_posting(404))
async def reverse_deposit_movement(
    tx: Tx, caller: By, now: Now, movement_id: FromPath[UUID], data: JSONBody[ReversalCreate]
) -> DepositMovementView:
    """Take a movement back. One by which a deposit was used is taken back as an allocation."""
    return await deposits.reverse(tx, movement_id, data, by=str(caller), now=now)


# --- Dunning ----------------------------------------------------------------------------------


@get("/dunning-steps", responses=when_reading())
async def list_dunning_steps(tx: Tx) -> list[DunningStepView]:
    """Every step of dunning, also those not in use any more, in order."""
    return await dunning.steps(tx)


@put("/dunning-steps", responses=when_putting())
async def put_dunning_steps(
    tx: Tx, caller: By, now: Now, data: JSONBody[DunningStepsPut]
) -> list[DunningStepView]:
    """Say which steps of dunning there are from tonight on. What was noted stays."""
    return await dunning.put_steps(tx, data, by=str(caller), now=now)


@get("/dunning-notices", responses=when_reading())
async def list_dunning_notices(
    tx: Tx,
    party_id: FromQuery[UUID | None] = None,
    invoice_id: FromQuery[UUID | None] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[DunningNoticeView]:
    """Which invoice reached which step, and when."""
    rows = await dunning.notices_after(tx, after_id(cursor), party_id, invoice_id, limit + 1)
    return page_by_id(convert_all(rows, DunningNoticeView), limit)


@post("/dunning-pauses", responses=when_posting(404))
async def pause_dunning(
    tx: Tx, caller: By, now: Now, data: JSONBody[DunningPauseCreate]
) -> DunningPauseView:
    """Hold dunning back for a party, or for an invoice in dispute."""
    return await dunning.pause(tx, data, by=str(caller), now=now)


@get("/dunning-pauses", responses=when_reading())
async def list_dunning_pauses(
    tx: Tx,
    party_id: FromQuery[UUID | None] = None,
    invoice_id: FromQuery[UUID | None] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[DunningPauseView]:
    """Where dunning is or was held back, and why."""
    rows = await dunning.pauses_after(tx, after_id(cursor), party_id, invoice_id, limit + 1)
    return page_by_id(convert_all(rows, DunningPauseView), limit)


@post("/dunning-pauses/{pause_id:uuid}/end", status_code=200, responses=when_posting(404))
async def end_dunning_pause(
    tx: Tx, caller: By, now: Now, pause_id: FromPath[UUID]
) -> DunningPauseView:
    """Dun again from tonight on."""
    return await dunning.end_pause(tx, pause_id, by=str(caller), now=now)


# --- Late interest ----------------------------------------------------------------------------


@post("/interest-terms", responses=when_posting())
async def agree_interest_terms(
    tx: Tx, caller: By, now: Now, data: JSONBody[InterestTermsCreate]
) -> InterestTermsView:
    """Late interest for invoices due from a day on, of one party or of everybody without terms of
    its own."""
    return await interest.agree(tx, data, by=str(caller), now=now)


@get("/interest-terms", responses=when_reading())
async def list_interest_terms(
    tx: Tx, party_id: FromQuery[UUID | None] = None, limit: Limit = 50, cursor: Cursor = None
) -> Page[InterestTermsView]:
    """Terms of late interest in the order of entry."""
    rows = await interest.terms_after(tx, after_id(cursor), party_id, limit + 1)
    return page_by_id(convert_all(rows, InterestTermsView), limit)


@get("/interest-accruals", opt={"access": CUSTOMERS}, responses=when_reading())
async def list_interest_accruals(
    tx: Tx,
    party_id: FromQuery[UUID | None] = None,
    invoice_id: FromQuery[UUID | None] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[InterestAccrualView]:
    """Late interest month by month, and its corrections."""
    rows = await interest.accruals_after(tx, after_id(cursor), party_id, invoice_id, limit + 1)
    return page_by_id(convert_all(rows, InterestAccrualView), limit)


@post("/ancillary-vat", responses=when_posting())
async def decide_ancillary_vat(
    tx: Tx, caller: By, now: Now, data: JSONBody[AncillaryVatCreate]
) -> AncillaryVatView:
    """Say whether late interest and fees that are charged from a day on bear VAT (价外费用)."""
    return await ancillary.decide(tx, data, by=str(caller), now=now)


@get("/ancillary-vat", responses=when_reading())
async def list_ancillary_vat(
    tx: Tx, limit: Limit = 50, cursor: Cursor = None
) -> Page[AncillaryVatView]:
    """From which day on late interest and fees bear VAT or not, in the order of entry."""
    rows = await ancillary.after(tx, after_id(cursor), limit + 1)
    return page_by_id(convert_all(rows, AncillaryVatView), limit)


HANDLERS = [
    get_deposit,
    move_deposit,
    list_deposit_movements,
    reverse_deposit_movement,
    list_dunning_steps,
    put_dunning_steps,
    list_dunning_notices,
    pause_dunning,
    list_dunning_pauses,
    end_dunning_pause,
    agree_interest_terms,
    list_interest_terms,
    list_interest_accruals,
    decide_ancillary_vat,
    list_ancillary_vat,
]
