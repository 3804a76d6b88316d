"""What lines owe and what they were charged."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from asyncpg import Range, Record

from leasing.billing import rules
from leasing.billing.model import BillableLine, Billing, Charge, Charged, Item, Owed, Segment
from leasing.db.pool import Connection, fetch_for
from leasing.pricing.periods import LongStubs, Mode, whole
from leasing.pricing.plans import Facts, Stay
from leasing.pricing.proration import Basis
from leasing.tariffs import store as tariffs
from schemas.billing import Component
from schemas.contracts import (
    BillingAlignment,
    BillingFrequency,
    BillingTiming,
    CatchUp,
    ReturnDay,
    Stub,
    VatMode,
)

ONE_DAY = timedelta(days=1)
NO_FACTS = Facts()

# Whatever changes what is owed holds the contract, shared or for update, before it does. Until we
# commit nobody can change the days that we charge, and whoever waited for us sees them charged and
# leaves a restatement. We look only then, in statements of their own: one that waits for a lock
# goes on with what it saw before.
LOCK_CONTRACTS = """
SELECT id
  FROM contract
 WHERE id = ANY ($1::uuid[])
 ORDER BY id
   FOR UPDATE
"""


async def lock_contracts(tx: Connection, contract_ids: Sequence[UUID]) -> None:
    """Hold contracts and their lines as they are until the transaction ends."""
    await tx.execute(LOCK_CONTRACTS, contract_ids)


# Billed to a day before the end of what is due, never, or to be put right; and all that are charged
# by a price plan, which is billed in arrears where rent may be in advance. A line may owe rent for
# the day on which it ended.
UNSTEADY = """
WITH item AS MATERIALIZED (
  SELECT * FROM unnest($1::uuid[], $2::date[]) AS item (contract_id, to_on)
)
SELECT line.id,
       line.contract_id,
       latest.to_on AS billed_to,
       restated.from_on AS restated_on
  FROM unnest($3::uuid[]) AS given (line_id)
  JOIN lease_line AS line
    ON line.id = given.line_id
   AND line.started_on IS NOT NULL
  JOIN item USING (contract_id)
  LEFT JOIN LATERAL (
         SELECT upper(during) AS to_on
           FROM charge
          WHERE line_id = line.id
            AND component = 'rent'
            AND reverses_id IS NULL
            AND fee_id IS NULL
            AND NOT is_reversed
          ORDER BY lower(during) DESC
          LIMIT 1) AS latest ON true
  LEFT JOIN LATERAL (
         SELECT min(from_on) AS from_on
           FROM restatement
          WHERE line_id = line.id
            AND NOT settled) AS restated ON true
 WHERE restated.from_on IS NOT NULL
    OR coalesce(latest.to_on, line.started_on) < least(
         line.ended_on + (
           SELECT (return_day = 'billed')::integer
             FROM contract_revision
            WHERE contract_id = line.contract_id
              AND lower(during) < line.ended_on
            ORDER BY lower(during) DESC
            LIMIT 1),
         item.to_on)
    OR line.id IN (
         SELECT line_id
           FROM line_revision
          WHERE contract_id IN (SELECT contract_id FROM item)
            AND price_plan_version_id IS NOT NULL)
 ORDER BY line.id
"""


class Look(NamedTuple):
    """A line to look at, and from which day on."""

    line_id: UUID
    contract_id: UUID
    billed_to: date | None
    restated_on: date | None


async def unsteady(tx: Connection, items: Sequence[Item], line_ids: Sequence[UUID]) -> list[Look]:
    """Those of some lines of contracts that may owe something that is not charged yet, or were
    restated."""
    if not line_ids:
        return []
    rows = await fetch_for(
        tx,
        len(line_ids),
        UNSTEADY,
        [item.contract_id for item in items],
        [item.to_on for item in items],
        line_ids,
    )
    return [Look(*row) for row in rows]


LINES = """
SELECT line.id,
       line.contract_id,
       latest.to_on AS billed_to,
       restated.from_on AS restated_on
  FROM lease_line AS line
  LEFT JOIN LATERAL (
         SELECT upper(during) AS to_on
           FROM charge
          WHERE line_id = line.id
            AND component = 'rent'
            AND reverses_id IS NULL
            AND fee_id IS NULL
            AND NOT is_reversed
          ORDER BY lower(during) DESC
          LIMIT 1) AS latest ON true
  LEFT JOIN LATERAL (
         SELECT min(from_on) AS from_on
           FROM restatement
          WHERE line_id = line.id
            AND NOT settled) AS restated ON true
 WHERE line.id = ANY ($1::uuid[])
 ORDER BY line.id
"""


async def of_lines(tx: Connection, line_ids: Sequence[UUID]) -> list[Look]:
    """Lines by name, to look at whatever they owe."""
    return [
        Look(row["id"], row["contract_id"], row["billed_to"], row["restated_on"])
        for row in await tx.fetch(LINES, line_ids)
    ]


# Terms by day, as far as charges depend on them.
TERMS = """
SELECT contract_id,
       lower(during) AS from_on,
       upper(during) AS to_on,
       vat_mode,
       vat_percent,
       billing_frequency,
       billing_alignment,
       billing_timing,
       billing_day,
       coalesce(billing_anchor_on, (
         SELECT min(lower(term.during))
           FROM contract_term AS term
          WHERE term.contract_id = contract_revision.contract_id)) AS anchor_on,
       billing_end_of_month,
       proration,
       first_stub,
       last_stub,
       (SELECT min(lower(term.during))
          FROM contract_term AS term
         WHERE term.contract_id = contract_revision.contract_id) AS starts_on,
       contract_ends_on(contract_id) AS ends_on,
       return_day,
       catch_up
  FROM contract_revision
 WHERE contract_id = ANY ($1::uuid[])
 ORDER BY contract_id, lower(during)
"""


class TaxedTerms(NamedTuple):
    """What is agreed between two days."""

    from_on: date
    to_on: date | None
    vat_mode: VatMode
    vat_percent: Decimal
    billing: Billing


def billing_of(row: Record) -> Billing:
    """When terms are billed, and how."""
    return rules.billing(
        BillingFrequency(row["billing_frequency"]),
        BillingAlignment(row["billing_alignment"]),
        BillingTiming(row["billing_timing"]),
        row["billing_day"],
        row["anchor_on"],
        row["billing_end_of_month"],
        Basis(row["proration"]),
        LongStubs(
            row["starts_on"] if row["first_stub"] == Stub.LONG else None,
            row["ends_on"] if row["last_stub"] == Stub.LONG else None,
        ),
    )


async def terms_of(tx: Connection, contract_ids: Iterable[UUID]) -> dict[UUID, list[TaxedTerms]]:
    found: dict[UUID, list[TaxedTerms]] = defaultdict(list)
    for row in await tx.fetch(TERMS, list(set(contract_ids))):
        found[row["contract_id"]].append(
            TaxedTerms(
                row["from_on"],
                row["to_on"],
                VatMode(row["vat_mode"]),
                row["vat_percent"],
                billing_of(row)._replace(
                    return_days=int(row["return_day"] == ReturnDay.BILLED),
                    is_apart=row["catch_up"] == CatchUp.INVOICE_EACH,
                ),
            )
        )
    return found


def since(look: Look, agreed: Sequence[TaxedTerms]) -> date:
    """The first day of a period from which on a line must be looked at."""
    days = [on for on in (look.billed_to, look.restated_on) if on is not None]
    if look.billed_to is None:
        return date.min
    on = min(days)
    while True:
        terms = next((one for one in agreed if one.to_on is None or on < one.to_on), agreed[-1])
        start = whole(terms.billing.cycle, on).from_on
        # The period may begin under other terms, within a period of theirs.
        if start == on or start >= terms.from_on:
            if terms.billing.mode is Mode.ADVANCE:
                # What a price plan charges for the period before is due with the rent of this one.
                start = whole(terms.billing.cycle, start - ONE_DAY).from_on
            return start
        on = start
        if on < agreed[0].from_on:
            return on


# With those that end on the very day since when is asked, for which rent may be owed.
SEGMENTS = """
SELECT line.id AS line_id,
       lower(stay.days) AS from_on,
       upper(stay.days) AS to_on,
       EXISTS (
         SELECT FROM pack_return
          WHERE pack_return.line_id = line.id
            AND pack_return.pack_id = stay.pack_id
            AND returned_on = upper(stay.days)
            AND reason = 'end_of_lease') AS is_returned,
       stay.pack_id,
       stay.site_id,
       stay.rent_amount,
       stay.plan_id,
       stay.rated_wh
  FROM unnest($1::uuid[], $2::date[]) AS line (id, since)
 CROSS JOIN LATERAL (
         SELECT placement.during * position.during AS days,
                placement.pack_id,
                position.site_id,
                position.rent_amount,
                position.price_plan_version_id AS plan_id,
                pack.rated_capacity_mah::numeric * pack.rated_voltage_mv * 0.000001 AS rated_wh
           FROM placement
           JOIN line_revision AS position ON position.line_id = placement.line_id
           JOIN pack ON pack.id = placement.pack_id
          WHERE placement.line_id = line.id
            AND NOT position.suspended) AS stay
 WHERE NOT isempty(stay.days)
   AND (upper_inf(stay.days) OR upper(stay.days) >= line.since)
 ORDER BY line.id, lower(stay.days)
"""

CHARGED = """
SELECT charge.line_id,
       charge.id,
       charge.component,
       charge.kind,
       lower(charge.during) AS from_on,
       upper(charge.during) AS to_on,
       charge.period_days,
       charge.pack_id,
       charge.site_id,
       charge.price_amount,
       charge.quantity,
       charge.unit_price,
       charge.amount,
       charge.vat_mode,
       charge.vat_percent,
       charge.is_reversed,
       charge.revision
  FROM unnest($1::uuid[], $2::date[]) AS line (id, since)
  JOIN charge
    ON charge.line_id = line.id
   AND upper(charge.during) > line.since
 WHERE fee_id IS NULL
   AND reverses_id IS NULL
 ORDER BY charge.line_id, lower(charge.during), charge.component, charge.revision
"""


async def billable(tx: Connection, looks: Sequence[Look], as_of: date) -> list[BillableLine]:
    """Lines with all that what they owe on a day depends on."""
    if not looks:
        return []
    agreed = await terms_of(tx, (look.contract_id for look in looks))
    starts = [since(look, agreed[look.contract_id]) for look in looks]
    ids = [look.line_id for look in looks]
    stays: dict[UUID, list[Record]] = defaultdict(list)
    for row in await fetch_for(tx, len(ids), SEGMENTS, ids, starts):
        stays[row["line_id"]].append(row)
    charged, revisions = await charges_since(tx, dict(zip(ids, starts, strict=True)))
    parts = {
        look.line_id: list(segments(stays[look.line_id], agreed[look.contract_id], since_on))
        for look, since_on in zip(looks, starts, strict=True)
    }
    plan_ids = {part.plan_id for known in parts.values() for part in known if part.plan_id}
    plans = await tariffs.components_of(tx, list(plan_ids)) if plan_ids else {}
    facts = await facts_of(tx, parts, as_of) if plan_ids else {}
    return [
        BillableLine(
            line_id=look.line_id,
            contract_id=look.contract_id,
            segments=parts[look.line_id],
            charged=charged.get(look.line_id, []),
            billed_to=look.billed_to,
            restated=look.restated_on is not None,
            plans=plans,
            facts=facts.get(look.line_id, NO_FACTS),
            revisions=revisions.get(look.line_id, {}),
        )
        for look in looks
    ]


async def facts_of(
    tx: Connection, parts: Mapping[UUID, Sequence[Segment]], as_of: date
) -> dict[UUID, Facts]:
    """What price plans rest on, of the lines that have one."""
    return await tariffs.facts_for(
        tx,
        {
            line_id: [
                Stay(part.from_on, to_on, part.pack_id, part.site_id, part.rated_wh)
                for part in known
                if (to_on := min(part.to_on or as_of, as_of)) > part.from_on
                and part.pack_id is not None
                and part.site_id is not None
            ]
            for line_id, known in parts.items()
            if any(part.plan_id for part in known)
        },
    )


def segments(
    stays: Iterable[Record], agreed: Sequence[TaxedTerms], since_on: date
) -> Iterable[Segment]:
    """Stays of a line from a day on, cut where the terms change. The day on which a pack goes back
    is one of rent where the terms of the day before say so, and of nothing else: use was measured
    until then."""
    for stay in stays:
        for terms in agreed:
            ends = [on for on in (stay["to_on"], terms.to_on) if on is not None]
            whole_stay = Segment(
                max(stay["from_on"], terms.from_on),
                min(ends, default=None),
                stay["pack_id"],
                stay["site_id"],
                stay["rent_amount"],
                terms.vat_mode,
                terms.vat_percent,
                terms.billing,
                stay["plan_id"],
                stay["rated_wh"],
            )
            days = [whole_stay]
            if is_last(whole_stay, stay) and stay["is_returned"]:
                after = stay["to_on"] + terms.billing.return_days * ONE_DAY
                days.append(whole_stay._replace(from_on=stay["to_on"], to_on=after, plan_id=None))
            for part in days:
                from_on = max(part.from_on, since_on)
                if part.to_on is None or from_on < part.to_on:
                    yield part._replace(from_on=from_on)


def is_last(part: Segment, stay: Record) -> bool:
    """Whether a part of a stay has its last day."""
    return part.to_on is not None and part.from_on < part.to_on == stay["to_on"]


BILLED_TO = """
SELECT max(upper(during))
  FROM charge
 WHERE line_id = ANY ($1::uuid[])
   AND component = 'rent'
   AND fee_id IS NULL
   AND reverses_id IS NULL
   AND NOT is_reversed
"""


async def billed_to(tx: Connection, line_ids: Sequence[UUID]) -> date | None:
    """The day to which rent of any of the lines was charged."""
    on: date | None = await tx.fetchval(BILLED_TO, line_ids)
    return on


Revisions = dict[tuple[str, date], int]


async def charges_since(
    tx: Connection, starts: Mapping[UUID, date]
) -> tuple[dict[UUID, list[Charged]], dict[UUID, Revisions]]:
    """What lines were charged from a day on and not taken back, in order of time; and how many
    times they were charged for days that begin on the same day."""
    found: dict[UUID, list[Charged]] = defaultdict(list)
    revisions: dict[UUID, Revisions] = defaultdict(dict)
    rows = await fetch_for(tx, len(starts), CHARGED, list(starts), list(starts.values()))
    for row in rows:
        owed = Owed(
            row["component"],
            Component(row["kind"]),
            row["from_on"],
            row["to_on"],
            row["period_days"],
            row["pack_id"],
            row["site_id"],
            row["price_amount"],
            row["quantity"],
            row["unit_price"],
            row["amount"],
            VatMode(row["vat_mode"]),
            row["vat_percent"],
            None,
        )
        revisions[row["line_id"]][owed.component, owed.from_on] = row["revision"]
        if not row["is_reversed"]:
            found[row["line_id"]].append(Charged(row["id"], owed))
    return found, revisions


# A fee is taxed as was agreed on the day it is owed, or as was agreed last when that was the day
# of the end; and it belongs to the site where the line was then.
DUE_FEES = """
SELECT fee.line_id,
       fee.contract_id,
       position.site_id,
       fee.pack_id,
       fee.component,
       fee.id AS fee_id,
       fee.owed_on AS from_on,
       fee.owed_on + 1 AS to_on,
       fee.amount,
       coalesce(adjusted.vat_mode, terms.vat_mode) AS vat_mode,
       coalesce(adjusted.vat_percent, terms.vat_percent) AS vat_percent
  FROM unnest($1::uuid[], $2::date[]) AS due (contract_id, until)
  JOIN fee
    ON fee.contract_id = due.contract_id
   AND fee.owed_on < due.until
  LEFT JOIN charge AS adjusted ON adjusted.id = fee.charge_id
  JOIN LATERAL (
         SELECT site_id
           FROM line_revision
          WHERE line_id = fee.line_id
          ORDER BY lower(during) > fee.owed_on, abs(lower(during) - fee.owed_on)
          LIMIT 1) AS position ON true
  JOIN LATERAL (
         SELECT vat_mode, vat_percent
           FROM contract_revision
          WHERE contract_id = fee.contract_id
          ORDER BY lower(during) > fee.owed_on, abs(lower(during) - fee.owed_on)
          LIMIT 1) AS terms ON true
 WHERE NOT EXISTS (
         SELECT FROM charge
          WHERE fee_id = fee.id
            AND reverses_id IS NULL
            AND NOT is_reversed)
 ORDER BY fee.id
"""


async def due_fees(
    tx: Connection, contract_ids: Sequence[UUID], until: Sequence[date]
) -> list[Charge]:
    """Fees of contracts that were owed before a day, for each its own, and not charged yet."""
    return [
        Charge(
            line_id=row["line_id"],
            contract_id=row["contract_id"],
            site_id=row["site_id"],
            pack_id=row["pack_id"],
            component=row["component"],
            kind=Component(row["component"]),
            fee_id=row["fee_id"],
            from_on=row["from_on"],
            to_on=row["to_on"],
            period_days=None,
            price_amount=None,
            quantity=None,
            unit_price=None,
            amount=row["amount"],
            vat_mode=VatMode(row["vat_mode"]),
            vat_percent=row["vat_percent"],
            detail=None,
            revision=1,
        )
        for row in await tx.fetch(DUE_FEES, contract_ids, until)
    ]


CHARGE_COLUMNS = (
    "invoice_id",
    "line_id",
    "contract_id",
    "site_id",
    "pack_id",
    "component",
    "kind",
    "fee_id",
    "during",
    "period_days",
    "price_amount",
    "quantity",
    "unit_price",
    "amount",
    "vat_mode",
    "vat_percent",
    "detail",
    "revision",
)


async def insert_charges(
    tx: Connection, invoices: Mapping[UUID, UUID], charges: Sequence[Charge]
) -> None:
    """Add charges to the invoices of their contracts, by contract."""
    await tx.copy_records_to_table(
        "charge",
        columns=CHARGE_COLUMNS,
        records=[
            (
                invoices[charge.contract_id],
                charge.line_id,
                charge.contract_id,
                charge.site_id,
                charge.pack_id,
                charge.component,
                charge.kind,
                charge.fee_id,
                Range(charge.from_on, charge.to_on),
                charge.period_days,
                charge.price_amount,
                charge.quantity,
                charge.unit_price,
                charge.amount,
                charge.vat_mode,
                charge.vat_percent,
                charge.detail,
                charge.revision,
            )
            for charge in charges
        ],
    )


# The charge stays, marked, beside the one that takes it back, which is on the invoice of its
# contract.
TAKE_BACK = """
WITH reversed AS (
  UPDATE charge
     SET is_reversed = true
   WHERE id = ANY ($3::uuid[])
     AND NOT is_reversed
  RETURNING *
)
INSERT INTO charge (invoice_id, line_id, contract_id, site_id, pack_id, component, kind, fee_id,
                    during, period_days, price_amount, quantity, unit_price, amount, vat_mode,
                    vat_percent, revision, reverses_id)
SELECT onto.invoice_id, line_id, reversed.contract_id, site_id, pack_id, component, kind, fee_id,
       during, period_days, price_amount, quantity, unit_price, -amount, vat_mode, vat_percent,
       revision, id
  FROM reversed
  JOIN unnest($1::uuid[], $2::uuid[]) AS onto (contract_id, invoice_id)
    ON onto.contract_id = reversed.contract_id
 ORDER BY id
"""


async def take_back(
    tx: Connection, invoices: Mapping[UUID, UUID], charge_ids: Sequence[UUID]
) -> None:
    """Take charges back on the invoices of their contracts: their days are free to be charged
    anew."""
    await tx.execute(TAKE_BACK, list(invoices), list(invoices.values()), charge_ids)


# By the first thing that a line was put right by.
SETTLE = """
UPDATE restatement
   SET settled = true,
       settled_by = line.invoice_id
  FROM unnest($1::uuid[], $2::uuid[]) AS line (id, invoice_id)
 WHERE line_id = line.id
   AND NOT settled
"""


async def settle(tx: Connection, lines: Mapping[UUID, UUID | None]) -> None:
    """Note that what changed on lines, which the caller holds, was put right, on an invoice if it
    made a difference."""
    if lines:
        await tx.execute(SETTLE, list(lines), list(lines.values()))


RESTATE = """
INSERT INTO restatement (line_id, from_on)
SELECT line_id, min(lower(during))
  FROM charge
 WHERE id = ANY ($1::uuid[])
 GROUP BY line_id
"""


async def restate(tx: Connection, charge_ids: Sequence[UUID]) -> None:
    """Let the days of charges that were taken back be looked at by the next run."""
    await tx.execute(RESTATE, charge_ids)
