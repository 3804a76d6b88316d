"""Steps of stories about money: an invoice that is owed, a payment, a job, and the books."""

from datetime import date, timedelta
from itertools import count
from typing import Any
from uuid import UUID

from asyncpg import Range

from jobs import runner
from jobs.registry import JOBS
from leasing.db.pool import Database
from leasing.kit.time import midnight
from leasing.ledger import service as ledger
from tests import build
from tests.build import Json, World

NUMBERS = count(1)

DRAFT = """
INSERT INTO invoice (buyer_id, currency, period, kind)
VALUES ($1, $2, $3, $4)
RETURNING id
"""

FINAL = """
UPDATE invoice
   SET state = 'final',
       number = $2,
       issued_on = $3,
       due_on = $4,
       net_amount = $5,
       vat_amount = 0,
       total_amount = $5,
       finalised_at = now()
 WHERE id = $1
"""


async def invoice(
    world: World,
    party_id: str,
    amount: int,
    due_on: date,
    *,
    issued_on: date | None = None,
    currency: str = "CNY",
    nets: dict[str, int] | None = None,
) -> str:
    """A final invoice of so much, as billing makes it; a credit note when it is negative. It is all
    rent without VAT, or as given by account, and the rest is VAT. Returns its id."""
    nets = nets or {"revenue_rent": amount}
    issued_on = issued_on or due_on - timedelta(days=30)
    number = next(NUMBERS)
    period = Range(date(1900, 1, 1) + timedelta(days=number), None)
    async with world.db.transaction() as tx:
        kind = "invoice" if amount >= 0 else "credit_note"
        invoice_id: UUID = await tx.fetchval(DRAFT, UUID(party_id), currency, period, kind)
        await tx.execute(FINAL, invoice_id, f"INV-{number}", issued_on, due_on, amount)
        await ledger.post(
            tx,
            source="invoice",
            source_id=invoice_id,
            event="finalised",
            currency=currency,
            posted_on=issued_on,
            party_id=UUID(party_id),
            amounts={
                "receivable": amount,
                **{account: -net for account, net in nets.items()},
                **(
                    {"vat_output": sum(nets.values()) - amount}
                    if sum(nets.values()) != amount
                    else {}
                ),
            },
        )
    return str(invoice_id)


def payment(payer_id: str, amount: int, on: date | str, **changes: Any) -> Json:
    return {
        "payer_id": payer_id,
        "amount": amount,
        "received_on": str(on),
        "method": "bank_transfer",
        "reference": f"REF-{next(NUMBERS)}",
        **changes,
    }


async def pay(world: World, payer_id: str, amount: int, on: date | str, **changes: Any) -> Json:
    made: Json = await world.staff.post("/v1/payments", payment(payer_id, amount, on, **changes))
    return made


async def owed(world: World, invoice_id: str) -> Json:
    found: Json = await world.staff.get(f"/v1/receivables/{invoice_id}")
    return found


async def open_of(world: World, *invoice_ids: str) -> list[int]:
    return [(await owed(world, id_))["open_amount"] for id_ in invoice_ids]


async def job(db: Database, name: str, on: date) -> None:
    state = await runner.run_once(db, name, JOBS[name], on, lambda done, total: None)
    assert state == "done"
    async with db.transaction() as tx:
        assert await tx.fetch("SELECT subject, error FROM job_parked") == []


async def night(world: World, on: date, name: str = "receivables") -> None:
    """The clock shows noon of a day, and its job has run."""
    await world.set_clock(on)
    await job(world.db, name, on)


ACCOUNTS = """
SELECT account, sum(amount)::bigint
  FROM posting
 WHERE $1::uuid IS NULL OR party_id = $1
 GROUP BY account
HAVING sum(amount) <> 0
"""


async def accounts(world: World, party_id: str | None = None) -> dict[str, int]:
    """What stands on each account, debit positive."""
    async with world.db.transaction() as tx:
        return dict(await tx.fetch(ACCOUNTS, UUID(party_id) if party_id else None))


# What is kept beside the facts, and what the facts come to.
DISORDER = """
SELECT 'receivable' AS what, id
  FROM receivable
 WHERE open_amount <> amount
         - (SELECT coalesce(sum(one.amount), 0) FROM allocation AS one
             WHERE one.receivable_id = receivable.id)
         + (SELECT coalesce(sum(one.amount), 0) FROM allocation AS one
             WHERE one.credit_id = receivable.id)
         + (SELECT coalesce(sum(one.amount), 0) FROM refund AS one
             WHERE one.credit_id = receivable.id)
 UNION ALL
SELECT 'payment', id
  FROM payment
 WHERE unallocated_amount <> CASE WHEN bounced_on IS NULL THEN amount ELSE 0 END
         - (SELECT coalesce(sum(one.amount), 0) FROM allocation AS one
             WHERE one.payment_id = payment.id)
         - (SELECT coalesce(sum(one.amount), 0) FROM deposit_movement AS one
             WHERE one.payment_id = payment.id)
         - (SELECT coalesce(sum(one.amount), 0) FROM refund AS one
             WHERE one.payment_id = payment.id)
 UNION ALL
SELECT 'deposit', contract_id
  FROM deposit
 WHERE held_amount <> (SELECT coalesce(sum(one.amount), 0) FROM deposit_movement AS one
                        WHERE one.contract_id = deposit.contract_id)
                    - (SELECT coalesce(sum(one.amount), 0) FROM allocation AS one
                        WHERE one.contract_id = deposit.contract_id)
"""

ON_A_DAY = """
SELECT coalesce(sum(amount), 0)::bigint
  FROM posting
  JOIN journal_entry ON journal_entry.id = entry_id
 WHERE account IN ('receivable', 'customer_credit')
   AND party_id = $1
   AND posted_on <= $2
   AND currency = 'CNY'
"""

KEPT = """
SELECT (SELECT coalesce(sum(unallocated_amount), 0) FROM payment)::bigint,
       (SELECT coalesce(sum(held_amount), 0) FROM deposit)::bigint
"""


async def refuse_disorder(world: World, days: list[date]) -> None:
    """What holds at any time, whatever was done: sums are those of their rows, the ledger says the
    same as the documents, on each of the days."""
    async with world.db.transaction() as tx:
        assert await tx.fetch(DISORDER) == []
        unallocated, held = tuple(await tx.fetchrow(KEPT) or ())
        parties = [row["id"] for row in await tx.fetch("SELECT id FROM party")]
    stand = await accounts(world)
    assert stand.get("customer_credit", 0) == -unallocated
    assert stand.get("deposit_held", 0) == -held
    for day in days:
        for row in (await world.staff.get("/v1/ageing", as_of=str(day)))["rows"]:
            assert row["agrees"], row
            assert min(row["not_due"], row["days_1_30"], row["days_31_60"]) >= 0, row
            assert row["credit"] <= 0
        for party_id in parties:
            path = f"/v1/parties/{party_id}/statement"
            query = {"from_on": str(min(days)), "to_on": str(day)}
            closing = (await world.staff.get(path, **query))["closing_balance"]
            async with world.db.transaction() as tx:
                assert closing == await tx.fetchval(ON_A_DAY, party_id, day)


async def advance(world: World, to: date) -> None:
    await runner.advance(world.db, JOBS, midnight(to) + build.NOON)
