"""What a run, the next invoice or an amendment would come to: the very steps of a run, in a
transaction that is rolled back (C16)."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import date, datetime, timedelta
from uuid import UUID

from leasing.billing import gate, issuing, planning, rating, results, runs, store
from leasing.billing.model import NotInSight, PreviewUnderWay, RunUnderWay
from leasing.billing.runs import Run
from leasing.contracts import amending
from leasing.contracts import store as contracts
from leasing.contracts.model import NoSuchContract
from leasing.db.pool import Connection, as_lessor, is_lost, savepoint
from leasing.kit.errors import FieldError
from leasing.kit.rows import convert_all
from leasing.kit.time import civil_date
from leasing.parties import service as parties
from schemas.billing import (
    AmendmentPreview,
    AmendmentPreviewCreate,
    BillingPreview,
    Cause,
    Compared,
    NextBill,
    NextBillLine,
    PreviewedInvoice,
    PreviewedTrouble,
)

CHUNK_CONTRACTS = 1_000
FIRST_DAY, LAST_DAY = date(2000, 1, 1), date(2200, 1, 1)
MAX_SHOWN = 1_000
"""Invoices and troubles that a preview names one by one."""


class Undo(Exception):
    """Takes back what a preview wrote."""


@asynccontextmanager
async def undone(tx: Connection) -> AsyncIterator[None]:
    """Whatever the block writes is taken back at its end."""
    with suppress(Undo):
        async with savepoint(tx):
            yield
            raise Undo


async def run(tx: Connection, as_of: date, buyer_id: UUID | None, now: datetime) -> BillingPreview:
    """What a run as of a day, also one to come, would make; nothing is kept. Raises
    `RunUnderWay` when such a run has begun and is not over."""
    async with undone(tx):
        begun = await begin(tx, as_of, buyer_id, now)
        contracts, charges, trouble = await charge_all(tx, begun)
        drafts = await totalled(tx, begun)
        return BillingPreview(
            as_of=as_of,
            contracts=contracts,
            charges=charges,
            invoices=convert_all(await store.previewed(tx, drafts[:MAX_SHOWN]), PreviewedInvoice),
            invoice_count=len(drafts),
            trouble=trouble[:MAX_SHOWN],
            trouble_count=len(trouble),
            held_lines=await gate.count_held(tx, begun.id),
            compared=convert_all(await store.compared(tx, begun.id), Compared),
            causes=convert_all(await store.causes(tx, begun.id), Cause),
        )


FURTHEST = timedelta(days=366)

# One at a time for each party: a preview holds its contracts for as long as it is made.
ONE_AT_A_TIME = """
SELECT pg_try_advisory_xact_lock(hashtextextended('next bill of ' || $1::text, 0))
"""

SHOW_DRAFTS = """
SELECT set_config('leasing.previewed_run', $1::text, true)
"""


async def next_bill(tx: Connection, party_id: UUID, as_of: date, now: datetime) -> NextBill:
    """What a party would be billed as of today or a day to come. The run is the lessor's; what came
    of it is read in the asker's own role, as row-level security shows it. Raises `NoSuchParty`,
    `NotInSight`, `PreviewUnderWay`, `RunUnderWay`."""
    await parties.get(tx, party_id)
    refuse_far(as_of, civil_date(now))
    if not await tx.fetchval(ONE_AT_A_TIME, str(party_id)):
        raise PreviewUnderWay("ask again when it is done")
    async with undone(tx):
        async with as_lessor(tx):
            begun = await begin(tx, as_of, party_id, now)
            _, _, trouble = await charge_all(tx, begun)
            drafts = await totalled(tx, begun)
            held = await gate.count_held(tx, begun.id)
        await tx.execute(SHOW_DRAFTS, str(begun.id))
        lines = await store.previewed_lines(tx, drafts, MAX_SHOWN)
        return NextBill(
            party_id=party_id,
            as_of=as_of,
            invoices=convert_all(await store.previewed(tx, drafts), PreviewedInvoice),
            causes=convert_all(await store.causes(tx, begun.id), Cause),
            line_count=await store.count_lines(tx, drafts),
            lines=convert_all(lines, NextBillLine),
            contracts_left_out=len(trouble),
            lines_left_out=held,
        )


def refuse_far(as_of: date, today: date) -> None:
    if not today <= as_of <= today + FURTHEST:
        message = f"must lie from today to {today + FURTHEST}"
        raise NotInSight(message, fields=[FieldError("/as_of", "not_in_sight", message)])


def refuse_out_of_sight(as_of: date) -> None:
    """Raise `NotInSight` for a day of another age, which would be a slip of the pen."""
    if not FIRST_DAY <= as_of <= LAST_DAY:
        message = f"must lie from {FIRST_DAY} to {LAST_DAY}"
        raise NotInSight(message, fields=[FieldError("/as_of", "not_in_sight", message)])


async def begin(tx: Connection, as_of: date, buyer_id: UUID | None, now: datetime) -> Run:
    refuse_out_of_sight(as_of)
    run_id = await runs.open_run(tx, as_of, buyer_id, 1, now)
    if await runs.current_stage(tx, run_id) is not None:
        raise RunUnderWay(f"a run as of {as_of} is under way")
    found = await runs.get_run(tx, run_id)
    await planning.plan(tx, found)
    return found


async def charge_all(tx: Connection, run: Run) -> tuple[int, int, list[PreviewedTrouble]]:
    """Charge everything that is due, in chunks; returns how many contracts and charges there
    were, and those that cannot be billed."""
    due = await results.pending(tx, run.id)
    charges = 0
    trouble: list[PreviewedTrouble] = []
    for start in range(0, len(due), CHUNK_CONTRACTS):
        ids = due[start : start + CHUNK_CONTRACTS]
        made, failed = await charge_chunks(tx, run, [ids])
        if failed and len(ids) > 1:
            made, failed = await charge_chunks(tx, run, [[one] for one in ids])
        charges += made
        trouble += failed
    return len(due), charges, trouble


async def charge_chunks(
    tx: Connection, run: Run, chunks: Sequence[Sequence[UUID]]
) -> tuple[int, list[PreviewedTrouble]]:
    charges = 0
    trouble = []
    for ids in chunks:
        try:
            async with savepoint(tx):
                items = await results.items(tx, run.id, ids)
                made = await rating.charge(tx, run, items)
                charges += sum(made.values())
        except Exception as error:
            if is_lost(error):
                raise
            code = getattr(error, "code", None) or type(error).__name__
            trouble += [
                PreviewedTrouble(contract_id=one, code=code, reason=str(error)) for one in ids
            ]
    return charges, trouble


async def totalled(tx: Connection, run: Run) -> list[UUID]:
    await store.drop_empty(tx, run.id)
    drafts = await store.drafts(tx, run.id)
    for start in range(0, len(drafts), CHUNK_CONTRACTS):
        await issuing.total(tx, drafts[start : start + CHUNK_CONTRACTS])
    return drafts


async def amendment(
    tx: Connection, contract_id: UUID, data: AmendmentPreviewCreate, *, by: str, now: datetime
) -> AmendmentPreview:
    """The bill of a contract's customer without and with an amendment. Raises what amending
    raises."""
    contract = await contracts.read(tx, contract_id)
    if contract is None:
        raise NoSuchContract
    buyer_id = await parties.billing_party(tx, contract.lessee_id)
    before = await run(tx, data.as_of, buyer_id, now)
    async with undone(tx):
        await amending.amend(tx, contract_id, data.amendment, contract.version, by=by, now=now)
        after = await run(tx, data.as_of, buyer_id, now)
    return AmendmentPreview(before=before, after=after)
