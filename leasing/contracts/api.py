"""Contracts over HTTP: from draft to end."""

from datetime import date
from typing import Annotated
from uuid import UUID

from litestar import Response, get, patch, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from leasing.contracts import amending, duties, ending, incidents, service, store, transfers
from leasing.http.edge import CUSTOMERS, By, Now, Tx
from leasing.http.etag import IfMatch, etag, expected_version
from leasing.http.pages import Cursor, Limit, Page, after_id, page_by_id
from leasing.http.problems import when_editing, when_posting, when_reading
from leasing.kit.rows import convert_all
from leasing.kit.time import civil_date
from schemas.common import PRINTABLE
from schemas.contracts import (
    AmendmentCreate,
    AmendmentView,
    ContractCreate,
    ContractPatch,
    ContractState,
    ContractView,
    EscalationCreate,
    EscalationView,
    FeeView,
    LinesAdded,
    LinesCreate,
    NoticeCreate,
    RenewalCreate,
    ResumptionCreate,
    RevisionView,
    Signature,
    SuspensionCreate,
    TerminationCreate,
    TransferCreate,
)
from schemas.health import DutyView

OnDay = Annotated[
    date | None, QueryParameter(name="on", description="As it was on that day; today if not given.")
]


def versioned(contract: ContractView, status: int = 200) -> Response[ContractView]:
    headers = {"etag": etag(contract.version)}
    return Response(contract, status_code=status, headers=headers)


@post("/contracts", responses=when_posting())
async def create_contract(
    tx: Tx, caller: By, now: Now, data: JSONBody[ContractCreate]
) -> Response[ContractView]:
    """Write a draft with its lines."""
    return versioned(await service.create(tx, data, by=str(caller), now=now), 201)


@get("/contracts", opt={"access": CUSTOMERS}, responses=when_reading())
async def list_contracts(
    tx: Tx,
    now: Now,
    lessee_id: FromQuery[UUID | None] = None,
    in_state: Annotated[ContractState | None, QueryParameter(name="state")] = None,
    number: Annotated[str | None, QueryParameter(max_length=80, pattern=PRINTABLE)] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[ContractView]:
    """Contracts in the order they were written, with the terms of today."""
    rows = await store.after(
        tx,
        after_id(cursor),
        civil_date(now),
        lessee_id=lessee_id,
        state=in_state,
        number=number,
        limit=limit + 1,
    )
    return page_by_id(convert_all(rows, ContractView), limit)


@get(
    "/contracts/{contract_id:uuid}",
    opt={"access": CUSTOMERS},
    responses=when_reading(404),
)
async def get_contract(
    tx: Tx, now: Now, contract_id: FromPath[UUID], on: OnDay = None
) -> Response[ContractView]:
    """One contract with the terms of a day, and its version as ETag."""
    return versioned(await service.get(tx, contract_id, on or civil_date(now)))


@get(
    "/contracts/{contract_id:uuid}/revisions",
    opt={"access": CUSTOMERS},
    responses=when_reading(404),
)
async def list_contract_revisions(
    tx: Tx, now: Now, contract_id: FromPath[UUID]
) -> list[RevisionView]:
    """The terms of every day, in order of time."""
    await service.get(tx, contract_id, civil_date(now))
    return convert_all(await store.revision_rows(tx, contract_id), RevisionView)


@patch("/contracts/{contract_id:uuid}", responses=when_editing(404, 409))
async def change_contract(
    tx: Tx,
    caller: By,
    now: Now,
    contract_id: FromPath[UUID],
    data: JSONBody[ContractPatch],
    if_match: IfMatch = None,
) -> Response[ContractView]:
    """Change a draft. What was signed is amended instead."""
    expected = expected_version(if_match)
    return versioned(
        await service.change_draft(tx, contract_id, data, expected, by=str(caller), now=now)
    )


@post("/contracts/{contract_id:uuid}/lines", responses=when_posting(404))
async def add_contract_lines(
    tx: Tx, caller: By, now: Now, contract_id: FromPath[UUID], data: JSONBody[LinesCreate]
) -> LinesAdded:
    """Add positions to a draft, or to a contract in force from a day on."""
    ids = await service.add_lines(tx, contract_id, data, by=str(caller), now=now)
    return LinesAdded(line_ids=ids)


# From state to state


@post("/contracts/{contract_id:uuid}/offer", status_code=200, responses=when_posting(404))
async def offer_contract(
    tx: Tx, caller: By, now: Now, contract_id: FromPath[UUID]
) -> Response[ContractView]:
    """Offer a draft to the lessee. It is not changed any more."""
    return versioned(await service.offer(tx, contract_id, by=str(caller), now=now))


@post(
    "/contracts/{contract_id:uuid}/offer-withdrawal", status_code=200, responses=when_posting(404)
)
async def withdraw_contract_offer(
    tx: Tx, caller: By, now: Now, contract_id: FromPath[UUID]
) -> Response[ContractView]:
    """Make an offer a draft again."""
    return versioned(await service.withdraw_offer(tx, contract_id, by=str(caller), now=now))


@post("/contracts/{contract_id:uuid}/signature", status_code=200, responses=when_posting(404))
async def sign_contract(
    tx: Tx, caller: By, now: Now, contract_id: FromPath[UUID], data: JSONBody[Signature]
) -> Response[ContractView]:
    """Record that both sides signed what was offered."""
    return versioned(await service.sign(tx, contract_id, data, by=str(caller), now=now))


@post("/contracts/{contract_id:uuid}/activation", status_code=200, responses=when_posting(404))
async def activate_contract(
    tx: Tx, caller: By, now: Now, contract_id: FromPath[UUID]
) -> Response[ContractView]:
    """Put a signed contract into force: packs may be handed over under it."""
    return versioned(await service.activate(tx, contract_id, by=str(caller), now=now))


@post("/contracts/{contract_id:uuid}/cancellation", status_code=200, responses=when_posting(404))
async def cancel_contract(
    tx: Tx, caller: By, now: Now, contract_id: FromPath[UUID]
) -> Response[ContractView]:
    """Give up a contract that never came into force."""
    return versioned(await service.cancel(tx, contract_id, by=str(caller), now=now))


@post("/contracts/{contract_id:uuid}/suspension", status_code=200, responses=when_posting(404))
async def suspend_contract(
    tx: Tx, caller: By, now: Now, contract_id: FromPath[UUID], data: JSONBody[SuspensionCreate]
) -> Response[ContractView]:
    """No rent for any line from a day on. The term is not extended."""
    return versioned(
        await service.suspend(tx, contract_id, data.from_on, data.reason, by=str(caller), now=now)
    )


@post("/contracts/{contract_id:uuid}/resumption", status_code=200, responses=when_posting(404))
async def resume_contract(
    tx: Tx, caller: By, now: Now, contract_id: FromPath[UUID], data: JSONBody[ResumptionCreate]
) -> Response[ContractView]:
    """Rent again for every line from a day on."""
    return versioned(await service.resume(tx, contract_id, data.from_on, by=str(caller), now=now))


@post("/contracts/{contract_id:uuid}/notice", status_code=200, responses=when_posting(404))
async def give_notice(
    tx: Tx, caller: By, now: Now, contract_id: FromPath[UUID], data: JSONBody[NoticeCreate]
) -> Response[ContractView]:
    """One side says that it will not go on."""
    return versioned(await ending.give_notice(tx, contract_id, data, by=str(caller), now=now))


@post(
    "/contracts/{contract_id:uuid}/notice-withdrawal", status_code=200, responses=when_posting(404)
)
async def withdraw_notice(
    tx: Tx, caller: By, now: Now, contract_id: FromPath[UUID]
) -> Response[ContractView]:
    """Both sides go on after all."""
    return versioned(await ending.withdraw_notice(tx, contract_id, by=str(caller), now=now))


@post("/contracts/{contract_id:uuid}/termination", status_code=200, responses=when_posting(404))
async def terminate_contract(
    tx: Tx, caller: By, now: Now, contract_id: FromPath[UUID], data: JSONBody[TerminationCreate]
) -> Response[ContractView]:
    """End a contract before its term is over, at the price agreed for that."""
    return versioned(await ending.terminate(tx, contract_id, data, by=str(caller), now=now))


@post("/contracts/{contract_id:uuid}/end", status_code=200, responses=when_posting(404))
async def end_contract(
    tx: Tx, caller: By, now: Now, contract_id: FromPath[UUID]
) -> Response[ContractView]:
    """End a contract whose packs have all gone back."""
    return versioned(await ending.end(tx, contract_id, by=str(caller), now=now))


# What is agreed anew


@post("/contracts/{contract_id:uuid}/renewals", status_code=200, responses=when_posting(404))
async def renew_contract(
    tx: Tx, caller: By, now: Now, contract_id: FromPath[UUID], data: JSONBody[RenewalCreate]
) -> Response[ContractView]:
    """Agree on a further term, right after the last."""
    return versioned(await ending.renew(tx, contract_id, data, by=str(caller), now=now))


@post("/contracts/{contract_id:uuid}/amendments", responses=when_posting(404, 412, 428))
async def amend_contract(
    tx: Tx,
    caller: By,
    now: Now,
    contract_id: FromPath[UUID],
    data: JSONBody[AmendmentCreate],
    if_match: IfMatch = None,
) -> AmendmentView:
    """Other terms or rents from a day on. Days that were billed already are put right on the
    next invoice."""
    expected = expected_version(if_match)
    return await amending.amend(tx, contract_id, data, expected, by=str(caller), now=now)


@post("/contracts/{contract_id:uuid}/escalations", responses=when_posting(404))
async def escalate_contract(
    tx: Tx, caller: By, now: Now, contract_id: FromPath[UUID], data: JSONBody[EscalationCreate]
) -> EscalationView:
    """Bring every rent to what the escalator makes of it on a day. A job does it daily; asking
    again changes nothing."""
    changed = await amending.escalate(tx, contract_id, data.from_on, by=str(caller), now=now)
    return EscalationView(contract_id=contract_id, from_on=data.from_on, line_ids=changed)


@post("/contracts/{contract_id:uuid}/transfers", responses=when_posting(404))
async def transfer_contract(
    tx: Tx, caller: By, now: Now, contract_id: FromPath[UUID], data: JSONBody[TransferCreate]
) -> Response[ContractView]:
    """Another lessee takes the contract over; packs stay where they are. Answers with the new
    lessee's contract."""
    return versioned(await transfers.transfer(tx, contract_id, data, by=str(caller), now=now), 201)


@get("/fees", opt={"access": CUSTOMERS}, responses=when_reading())
async def list_fees(
    tx: Tx, contract_id: FromQuery[UUID | None] = None, limit: Limit = 50, cursor: Cursor = None
) -> Page[FeeView]:
    """What is owed once: for ending early, buying, losing or damaging packs."""
    rows = await incidents.fees_after(tx, after_id(cursor), contract_id, limit + 1)
    return page_by_id(convert_all(rows, FeeView), limit)


@get("/duties", opt={"access": CUSTOMERS}, responses=when_reading())
async def list_duties(
    tx: Tx,
    open: FromQuery[bool | None] = None,  # noqa: A002 - the name callers would look for
    line_id: FromQuery[UUID | None] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[DutyView]:
    """What the lessor owes under its lines."""
    rows = await duties.after(tx, after_id(cursor), open, line_id, limit + 1)
    return page_by_id(convert_all(rows, DutyView), limit)


HANDLERS = [
    create_contract,
    list_contracts,
    get_contract,
    list_contract_revisions,
    change_contract,
    add_contract_lines,
    offer_contract,
    withdraw_contract_offer,
    sign_contract,
    activate_contract,
    cancel_contract,
    suspend_contract,
    resume_contract,
    give_notice,
    withdraw_notice,
    terminate_contract,
    end_contract,
    renew_contract,
    amend_contract,
    escalate_contract,
    transfer_contract,
    list_fees,
    list_duties,
]
