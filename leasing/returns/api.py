"""Returns over HTTP: orders, inspections, dispositions."""

from datetime import date
from typing import Annotated
from uuid import UUID

from litestar import get, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from leasing.http.edge import CUSTOMERS, By, Now, Tx
from leasing.http.pages import Cursor, Limit, Page, after_id, page_by_id
from leasing.http.problems import when_posting, when_reading
from leasing.kit.rows import convert_all
from leasing.kit.time import civil_date
from leasing.returns import orders, orders_store, service, settlement, settlement_store, store
from schemas.contracts import PermittedUse
from schemas.packs import PackView
from schemas.returns import (
    Assumptions,
    BandCreate,
    BandView,
    CancellationCreate,
    DispositionCreate,
    DispositionOptions,
    DispositionView,
    FormToFill,
    InspectionCreate,
    InspectionFormCreate,
    InspectionFormView,
    InspectionView,
    OrderState,
    OutcomesCreate,
    RepairCreate,
    ReturnOrderCreate,
    ReturnOrderView,
    ReturnSettlementView,
    ReturnStatement,
    ScheduleCreate,
    SettlementCreate,
    TreatmentCreate,
    WasteReceiptCreate,
)

OnDay = Annotated[date | None, QueryParameter(description="Today if not given.")]

# Orders


@post("/return-orders", responses=when_posting(404))
async def order_return(
    tx: Tx, caller: By, now: Now, data: JSONBody[ReturnOrderCreate]
) -> ReturnOrderView:
    """Order packs of a contract back (退租单), picked up or dropped off."""
    return await orders.create(tx, data, by=str(caller), now=now)


@get("/return-orders", opt={"access": CUSTOMERS}, responses=when_reading())
async def list_return_orders(
    tx: Tx,
    contract_id: FromQuery[UUID | None] = None,
    in_state: Annotated[OrderState | None, QueryParameter(name="state")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[ReturnOrderView]:
    """Return orders in the order they were made. A customer sees its own."""
    rows = await orders_store.after(tx, after_id(cursor), contract_id, in_state, limit + 1)
    return page_by_id(rows, limit)


@get("/return-orders/{order_id:uuid}", opt={"access": CUSTOMERS}, responses=when_reading(404))
async def get_return_order(tx: Tx, order_id: FromPath[UUID]) -> ReturnOrderView:
    """One return order with what became of each pack."""
    return await orders.get(tx, order_id)


@post("/return-orders/{order_id:uuid}/schedule", status_code=200, responses=when_posting(404))
async def schedule_return(
    tx: Tx, caller: By, now: Now, order_id: FromPath[UUID], data: JSONBody[ScheduleCreate]
) -> ReturnOrderView:
    """Plan the day of a return, or another one."""
    return await orders.schedule(tx, order_id, data.planned_on, by=str(caller), now=now)


@post("/return-orders/{order_id:uuid}/collection", status_code=200, responses=when_posting(404))
async def collect_return(
    tx: Tx, caller: By, now: Now, order_id: FromPath[UUID], data: JSONBody[OutcomesCreate]
) -> ReturnOrderView:
    """Packs were picked up: each with its joint test, or with what befell it. Lines end."""
    return await orders.collect(tx, order_id, data, by=str(caller), now=now)


@post("/return-orders/{order_id:uuid}/arrival", status_code=200, responses=when_posting(404))
async def arrive_return(
    tx: Tx, caller: By, now: Now, order_id: FromPath[UUID], data: JSONBody[OutcomesCreate]
) -> ReturnOrderView:
    """Packs arrived. Those that the lessee brings are tested here, and their lines end."""
    return await orders.arrive(tx, order_id, data, by=str(caller), now=now)


@post("/return-orders/{order_id:uuid}/cancellation", status_code=200, responses=when_posting(404))
async def cancel_return(
    tx: Tx, caller: By, now: Now, order_id: FromPath[UUID], data: JSONBody[CancellationCreate]
) -> ReturnOrderView:
    """Give a return order up; the packs stay on lease."""
    return await orders.cancel(tx, order_id, data.reason, by=str(caller), now=now)


# Settlements


@post(
    "/return-orders/{order_id:uuid}/settlement-preview",
    status_code=200,
    responses=when_posting(404),
)
async def preview_return_settlement(
    tx: Tx, caller: By, now: Now, order_id: FromPath[UUID], data: JSONBody[SettlementCreate]
) -> ReturnStatement:
    """What settling a return would come to, to the fen; also before packs are back, with what
    buying them or going on would cost. Nothing is written."""
    return await settlement.preview(tx, order_id, data, by=str(caller), now=now)


@post("/return-orders/{order_id:uuid}/settlement", responses=when_posting(404))
async def settle_return(
    tx: Tx, caller: By, now: Now, order_id: FromPath[UUID], data: JSONBody[SettlementCreate]
) -> ReturnSettlementView:
    """Settle an inspected return as one statement (退租结算单): invoice, counter-claim, deposit."""
    return await settlement.post(tx, order_id, data, by=str(caller), now=now)


@get(
    "/return-orders/{order_id:uuid}/settlement",
    opt={"access": CUSTOMERS},
    responses=when_reading(404),
)
async def get_return_settlement(tx: Tx, order_id: FromPath[UUID]) -> ReturnSettlementView:
    """The statement by which a return was settled."""
    return await settlement.get(tx, order_id)


@get("/return-settlements", opt={"access": CUSTOMERS}, responses=when_reading())
async def list_return_settlements(
    tx: Tx, contract_id: FromQuery[UUID | None] = None, limit: Limit = 50, cursor: Cursor = None
) -> Page[ReturnSettlementView]:
    """Statements of returns. A customer sees its own."""
    rows = await settlement_store.after(tx, after_id(cursor), contract_id, limit + 1)
    return page_by_id(convert_all(rows, ReturnSettlementView), limit)


# Forms and bands


@post("/inspection-forms", responses=when_posting())
async def enter_inspection_form(
    tx: Tx, caller: By, now: Now, data: JSONBody[InspectionFormCreate]
) -> InspectionFormView:
    """The sheet of joint inspections of a pack model, or of all packs, from a day on."""
    return await service.enter_form(tx, data, by=str(caller), now=now)


@get("/inspection-forms", opt={"access": CUSTOMERS}, responses=when_reading())
async def list_inspection_forms(
    tx: Tx, limit: Limit = 50, cursor: Cursor = None
) -> Page[InspectionFormView]:
    """Forms that were entered; where none is valid the default holds. A customer sees those that
    its packs were inspected by."""
    rows = await store.forms_after(tx, after_id(cursor), limit + 1)
    return page_by_id(rows, limit)


@get("/packs/{pack_id:uuid}/inspection-form", responses=when_reading(404))
async def get_inspection_form(
    tx: Tx, now: Now, pack_id: FromPath[UUID], on: OnDay = None
) -> FormToFill:
    """The sheet to fill in for a pack on a day."""
    return await service.form_of(tx, pack_id, on or civil_date(now))


@post("/disposition-bands", responses=when_posting())
async def enter_disposition_band(
    tx: Tx, caller: By, now: Now, data: JSONBody[BandCreate]
) -> BandView:
    """From which health on packs are leased again or repaired, for a use and from a day on."""
    return await service.enter_band(tx, data, by=str(caller), now=now)


@get("/disposition-bands", responses=when_reading())
async def list_disposition_bands(
    tx: Tx, limit: Limit = 50, cursor: Cursor = None
) -> Page[BandView]:
    """Bands that were entered; where none is valid the trade's usual ones hold."""
    return page_by_id(await store.bands_after(tx, after_id(cursor), limit + 1), limit)


# Inspections


@post("/packs/{pack_id:uuid}/inspections", responses=when_posting(404))
async def inspect_pack(
    tx: Tx, caller: By, now: Now, pack_id: FromPath[UUID], data: JSONBody[InspectionCreate]
) -> InspectionView:
    """Record the joint inspection of a returned pack, with its transport check if one was made."""
    return await service.inspect(tx, pack_id, data, by=str(caller), now=now)


@get("/inspections", opt={"access": CUSTOMERS}, responses=when_reading())
async def list_inspections(
    tx: Tx, pack_id: FromQuery[UUID | None] = None, limit: Limit = 50, cursor: Cursor = None
) -> Page[InspectionView]:
    """Joint inspections. A customer sees those of packs that came back from it."""
    rows = await store.inspections_after(tx, after_id(cursor), pack_id, limit + 1)
    return page_by_id(rows, limit)


@get("/inspections/{inspection_id:uuid}", opt={"access": CUSTOMERS}, responses=when_reading(404))
async def get_inspection(tx: Tx, inspection_id: FromPath[UUID]) -> InspectionView:
    """One joint inspection."""
    return await service.get_inspection(tx, inspection_id)


@post("/inspections/{inspection_id:uuid}/treatment", responses=when_posting(404))
async def treat_pack(
    tx: Tx, caller: By, now: Now, inspection_id: FromPath[UUID], data: JSONBody[TreatmentCreate]
) -> InspectionView:
    """Record what was done about a failed transport check, accepted by both sides."""
    return await service.treat(tx, inspection_id, data, by=str(caller), now=now)


# Dispositions

FenPerKwhMonth = Annotated[
    int | None,
    QueryParameter(ge=0, le=10**9, description="Rent of a usable kWh a month, in fen before VAT."),
]
RentMonths = Annotated[int | None, QueryParameter(ge=1, le=240)]
RepairCost = Annotated[int | None, QueryParameter(ge=0, le=10**12, description="In fen.")]


@get("/packs/{pack_id:uuid}/disposition-options", responses=when_reading(404, 409))
async def list_disposition_options(
    tx: Tx,
    now: Now,
    pack_id: FromPath[UUID],
    on: OnDay = None,
    permitted_use: FromQuery[PermittedUse] = PermittedUse.TELECOM_BACKUP,
    rent_per_kwh_month_amount: FenPerKwhMonth = None,
    rent_months: RentMonths = None,
    repair_cost_amount: RepairCost = None,
) -> DispositionOptions:
    """What may become of an inspected pack by the rules of a day, what each way is worth, and what
    is proposed. Nothing is written."""
    given = Assumptions(
        permitted_use=permitted_use,
        rent_per_kwh_month_amount=rent_per_kwh_month_amount,
        rent_months=rent_months,
        repair_cost_amount=repair_cost_amount,
    )
    return await service.options(tx, pack_id, given, on or civil_date(now))


@post("/packs/{pack_id:uuid}/dispositions", responses=when_posting(404))
async def decide_pack(
    tx: Tx, caller: By, now: Now, pack_id: FromPath[UUID], data: JSONBody[DispositionCreate]
) -> DispositionView:
    """Decide what becomes of an inspected pack. The options shown that day are kept with it."""
    return await service.decide(tx, pack_id, data, by=str(caller), now=now)


@get("/dispositions", responses=when_reading())
async def list_dispositions(
    tx: Tx, pack_id: FromQuery[UUID | None] = None, limit: Limit = 50, cursor: Cursor = None
) -> Page[DispositionView]:
    """Decisions, each with the options it was taken among."""
    rows = await store.dispositions_after(tx, after_id(cursor), pack_id, limit + 1)
    return page_by_id(convert_all(rows, DispositionView), limit)


@post("/packs/{pack_id:uuid}/repair", responses=when_posting(404))
async def finish_repair(
    tx: Tx, caller: By, now: Now, pack_id: FromPath[UUID], data: JSONBody[RepairCreate]
) -> DispositionView:
    """A repair that was decided on is done: the pack is in stock."""
    return await service.finish_repair(tx, pack_id, data, by=str(caller), now=now)


@post("/packs/{pack_id:uuid}/waste-receipt", status_code=200, responses=when_posting(404))
async def store_waste(
    tx: Tx, caller: By, now: Now, pack_id: FromPath[UUID], data: JSONBody[WasteReceiptCreate]
) -> PackView:
    """A pack that was declared waste, at a site for instance, has come into the lessor's own store:
    what arrives there is to be reported."""
    return await service.store_waste(tx, pack_id, data, by=str(caller), now=now)


HANDLERS = [
    order_return,
    list_return_orders,
    get_return_order,
    schedule_return,
    collect_return,
    arrive_return,
    cancel_return,
    preview_return_settlement,
    settle_return,
    get_return_settlement,
    list_return_settlements,
    enter_inspection_form,
    list_inspection_forms,
    get_inspection_form,
    enter_disposition_band,
    list_disposition_bands,
    inspect_pack,
    list_inspections,
    get_inspection,
    treat_pack,
    list_disposition_options,
    decide_pack,
    list_dispositions,
    finish_repair,
    store_waste,
]
