"""Dunning (催款): which step every overdue invoice has reached, once each.

Each night a step is noted with the last due day from which it is reached by then; so one statement
finds all invoices, however many holidays lie between. An invoice that leapt over a step, because
dunning was paused or nobody looked, is noted at the last it has reached.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

import msgspec
from asyncpg import Record

from leasing.db.pool import Connection
from leasing.events import store as events
from leasing.events.store import Event
from leasing.kit.errors import FieldError
from leasing.kit.rows import convert, convert_all
from leasing.kit.time import civil_date
from leasing.ledger import service as ledger
from leasing.receivables import ancillary, rules, store
from leasing.receivables.ancillary import Taxation
from leasing.receivables.model import BadPause, BadSteps, NoSuchPause, PauseOver, Receivable
from schemas.receivables import (
    DunningPauseCreate,
    DunningPauseView,
    DunningStepPut,
    DunningStepsPut,
    DunningStepView,
    ReceivableKind,
)

# --- Steps ------------------------------------------------------------------------------------

STEPS = """
SELECT id, number, name, days, day_kind, fee_amount, fee_currency, active
  FROM dunning_step
 ORDER BY number
"""

PUT_STEPS = """
INSERT INTO dunning_step AS step (number, name, days, day_kind, fee_amount, fee_currency)
SELECT number, name, days, day_kind, fee_amount, fee_currency
  FROM unnest($1::int[], $2::text[], $3::int[], $4::text[], $5::bigint[], $6::text[])
       AS given (number, name, days, day_kind, fee_amount, fee_currency)
    ON CONFLICT (number) DO UPDATE
   SET name = excluded.name,
       days = excluded.days,
       day_kind = excluded.day_kind,
       fee_amount = excluded.fee_amount,
       fee_currency = excluded.fee_currency,
       active = true
"""

# What was noted names its step.
RETIRE_STEPS = """
UPDATE dunning_step
   SET active = false
 WHERE number <> ALL ($1::int[])
"""

LOCK_STEPS = """
LOCK TABLE dunning_step IN SHARE ROW EXCLUSIVE MODE
"""


async def steps(tx: Connection) -> list[DunningStepView]:
    """Every step, in order."""
    return convert_all(await tx.fetch(STEPS), DunningStepView)


async def put_steps(
    tx: Connection, data: DunningStepsPut, *, by: str, now: datetime
) -> list[DunningStepView]:
    """Say which steps there are from tonight on. The same list again changes nothing."""
    refuse_bad_steps(data.steps)
    await tx.execute(LOCK_STEPS)
    before = await steps(tx)
    numbers = [one.number for one in data.steps]
    fields = ("name", "days", "day_kind", "fee_amount", "fee_currency")
    columns = [[getattr(one, field) for one in data.steps] for field in fields]
    await tx.execute(PUT_STEPS, numbers, *columns)
    await tx.execute(RETIRE_STEPS, numbers)
    after = await steps(tx)
    facts: dict[str, object] = {"steps": data.steps}
    if after != before:
        changed = Event("dunning_step", after[0].id, "dunning_steps.changed", facts)
        await events.append(tx, [changed], actor=by, now=now)
    return after


def refuse_bad_steps(wanted: Sequence[DunningStepPut]) -> None:
    faults = []
    for place, one in enumerate(wanted):
        if one.number in [other.number for other in wanted[:place]]:
            message = f"there are two steps {one.number}"
            faults.append(FieldError(f"/steps/{place}/number", "twice", message))
        if (one.fee_amount is None) != (one.fee_currency is None):
            message = "a fee has an amount and a currency"
            faults.append(FieldError(f"/steps/{place}/fee_amount", "half_a_fee", message))
    if faults:
        raise BadSteps(fields=faults)


# --- Noting -----------------------------------------------------------------------------------


class Cut(NamedTuple):
    """Invoices due up to a day have reached a step."""

    step_id: UUID
    number: int
    last_due_on: date


def cuts(found: Sequence[DunningStepView], as_of: date) -> list[Cut]:
    return [
        Cut(one.id, one.number, rules.last_due_on(as_of, one.days, one.day_kind))
        for one in found
        if one.active
    ]


# Receivables are held: whoever pays at this moment is waited for, and finds the notice after it.
DUE = """
SELECT id, kind, invoice_id, number, party_id, currency, issued_on, due_on, amount, open_amount,
       changed_on
  FROM receivable
 WHERE kind = 'invoice'
   AND open_amount > 0
   AND due_on <= $1
   AND id > $2
   AND NOT EXISTS (
         SELECT FROM dunning_pause
          WHERE (dunning_pause.party_id = receivable.party_id
                 OR dunning_pause.invoice_id = receivable.id)
            AND from_on <= $3
            AND (until_on IS NULL OR until_on >= $3)
            AND ended_on IS NULL)
 ORDER BY id
 LIMIT $4
   FOR UPDATE
"""

NOTED = """
SELECT receivable_id, max(number) AS number
  FROM dunning_notice
  JOIN dunning_step ON dunning_step.id = step_id
 WHERE receivable_id = ANY ($1::uuid[])
 GROUP BY receivable_id
"""

NOTE = """
INSERT INTO dunning_notice (receivable_id, step_id, reached_on, open_amount, noted_at)
SELECT receivable_id, step_id, $4, open_amount, $5
  FROM unnest($1::uuid[], $2::uuid[], $3::bigint[]) AS reached (receivable_id, step_id, open_amount)
    ON CONFLICT (receivable_id, step_id) DO NOTHING
RETURNING id, receivable_id, step_id
"""


async def note(
    tx: Connection,
    found: Sequence[DunningStepView],
    as_of: date,
    after: UUID,
    limit: int,
    *,
    by: str,
    now: datetime,
) -> tuple[int, UUID | None]:
    """Note which steps the next invoices have reached. Returns how many were looked at and where to
    go on, None at the end."""
    reach = sorted(cuts(found, as_of), key=lambda cut: cut.number, reverse=True)
    if not reach:
        return 0, None
    last = max(cut.last_due_on for cut in reach)
    due = convert_all(await tx.fetch(DUE, last, after, as_of, limit), Receivable)
    rows = await tx.fetch(NOTED, [one.id for one in due])
    noted = {row["receivable_id"]: row["number"] for row in rows}
    reached = [
        (one, cut)
        for one in due
        for cut in [next((cut for cut in reach if one.due_on <= cut.last_due_on), None)]
        if cut is not None and cut.number > noted.get(one.id, 0)
    ]
    await note_all(tx, reached, {one.id: one for one in found}, as_of, by=by, now=now)
    return len(due), due[-1].id if len(due) == limit else None


async def note_all(
    tx: Connection,
    reached: Sequence[tuple[Receivable, Cut]],
    found: dict[UUID, DunningStepView],
    as_of: date,
    *,
    by: str,
    now: datetime,
) -> None:
    made = await tx.fetch(
        NOTE,
        [one.id for one, _ in reached],
        [cut.step_id for _, cut in reached],
        [one.open_amount for one, _ in reached],
        as_of,
        now,
    )
    by_id = {one.id: one for one, _ in reached}
    taxation = await ancillary.taxation(tx, list(by_id))
    noted = []
    for row in made:
        receivable, step = by_id[row["receivable_id"]], found[row["step_id"]]
        charged = step.fee_amount is not None and step.fee_currency == receivable.currency
        if charged:
            await charge(tx, row["id"], receivable, step, as_of, taxation)
        facts: dict[str, object] = {
            "on": as_of,
            "step": step.number,
            "name": step.name,
            "number": receivable.number,
            "party_id": receivable.party_id,
            "open_amount": receivable.open_amount,
            "fee_amount": step.fee_amount if charged else None,
        }
        noted.append(Event("receivable", receivable.id, "receivable.dunned", facts))
    await events.append(tx, noted, actor=by, now=now)


async def charge(
    tx: Connection,
    notice_id: UUID,
    of: Receivable,
    step: DunningStepView,
    on: date,
    taxation: Taxation,
) -> None:
    """The fee of a step is owed at once."""
    assert step.fee_amount is not None
    vat_amount = taxation.vat(of.id, step.fee_amount, on)
    await store.insert_receivable(
        tx,
        notice_id,
        ReceivableKind.DUNNING_FEE,
        of=of,
        number=f"{of.number}/D{step.number}",
        issued_on=on,
        due_on=on,
        amount=step.fee_amount,
        vat_amount=vat_amount,
    )
    await ledger.post(
        tx,
        source="dunning_notice",
        source_id=notice_id,
        event="charged",
        currency=of.currency,
        posted_on=on,
        party_id=of.party_id,
        amounts=ancillary.entry(step.fee_amount, vat_amount, "revenue_fees"),
    )


NOTICES = """
SELECT dunning_notice.id, receivable_id AS invoice_id, receivable.number, receivable.party_id,
       receivable.currency, step_id, dunning_step.number AS step_number,
       dunning_step.name AS step_name, reached_on, dunning_notice.open_amount, noted_at
  FROM dunning_notice
  JOIN receivable ON receivable.id = receivable_id
  JOIN dunning_step ON dunning_step.id = step_id
 WHERE dunning_notice.id > $1
   AND ($2::uuid IS NULL OR receivable.party_id = $2)
   AND ($3::uuid IS NULL OR receivable_id = $3)
 ORDER BY dunning_notice.id
 LIMIT $4
"""


async def notices_after(
    tx: Connection, notice_id: UUID, party_id: UUID | None, invoice_id: UUID | None, limit: int
) -> list[Record]:
    return await tx.fetch(NOTICES, notice_id, party_id, invoice_id, limit)


# --- Pauses -----------------------------------------------------------------------------------

PAUSE = """
SELECT id, party_id, invoice_id, reason, from_on, until_on, ended_on, entered_by, entered_at
  FROM dunning_pause
"""

GET_PAUSE = f"""{PAUSE}
 WHERE id = $1
"""

LOCK_PAUSE = f"""{GET_PAUSE}
   FOR UPDATE
"""

PAUSES = f"""{PAUSE}
 WHERE id > $1
   AND ($2::uuid IS NULL OR party_id = $2)
   AND ($3::uuid IS NULL OR invoice_id = $3)
 ORDER BY id
 LIMIT $4
"""

INSERT_PAUSE = """
INSERT INTO dunning_pause (party_id, invoice_id, reason, from_on, until_on, entered_by, entered_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
RETURNING id
"""

END_PAUSE = """
UPDATE dunning_pause
   SET ended_on = $2
 WHERE id = $1
"""


async def pause(
    tx: Connection, data: DunningPauseCreate, *, by: str, now: datetime
) -> DunningPauseView:
    """Hold dunning back from today on, for all of a party or for one invoice in dispute."""
    today = civil_date(now)
    if (data.party_id is None) == (data.invoice_id is None):
        message = "name a party or an invoice"
        raise BadPause(message, fields=[FieldError("/invoice_id", "one_of_two", message)])
    if data.until_on is not None and data.until_on < today:
        message = f"{data.until_on} is before today, {today}"
        raise BadPause(message, fields=[FieldError("/until_on", "in_the_past", message)])
    values = (data.party_id, data.invoice_id, data.reason, today, data.until_on)
    pause_id: UUID = await tx.fetchval(INSERT_PAUSE, *values, by, now)
    facts = {**msgspec.structs.asdict(data), "on": today}
    begun = Event("dunning_pause", pause_id, "dunning_pause.begun", facts)
    await events.append(tx, [begun], actor=by, now=now)
    return await get_pause(tx, pause_id)


async def end_pause(tx: Connection, pause_id: UUID, *, by: str, now: datetime) -> DunningPauseView:
    """Dun again from tonight on."""
    today = civil_date(now)
    row = await tx.fetchrow(LOCK_PAUSE, pause_id)
    if row is None:
        raise NoSuchPause
    if row["ended_on"] is not None or (row["until_on"] is not None and row["until_on"] < today):
        raise PauseOver
    await tx.execute(END_PAUSE, pause_id, today)
    ended = Event("dunning_pause", pause_id, "dunning_pause.ended", {"on": today})
    await events.append(tx, [ended], actor=by, now=now)
    return await get_pause(tx, pause_id)


async def get_pause(tx: Connection, pause_id: UUID) -> DunningPauseView:
    row = await tx.fetchrow(GET_PAUSE, pause_id)
    if row is None:
        raise NoSuchPause
    return convert(row, DunningPauseView)


async def pauses_after(
    tx: Connection, pause_id: UUID, party_id: UUID | None, invoice_id: UUID | None, limit: int
) -> list[Record]:
    return await tx.fetch(PAUSES, pause_id, party_id, invoice_id, limit)
