"""Leases as the books see them: what lines owe, what was billed, plans and months."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

import msgspec
from asyncpg import Record

from leasing.accounting.model import Basis, Finance, Plan, Values
from leasing.db.pool import Connection
from leasing.pricing.amortisation import Timing
from schemas.accounting import LeaseClass, LeaseClassificationCreate, LeaseTestView
from schemas.contracts import Escalator

# Contracts whose leases are not posted for the month before $1: those with a line that commenced,
# but for what is settled and was not billed in the month.
DUE = """
WITH billed AS (
  SELECT DISTINCT charge.contract_id
    FROM invoice
    JOIN charge ON charge.invoice_id = invoice.id
   WHERE invoice.state = 'final'
     AND invoice.issued_on >= $1::date - interval '1 month'
     AND invoice.issued_on < $1
)
SELECT contract.id
  FROM contract
  LEFT JOIN LATERAL (
         SELECT month, settled
           FROM lease_month
          WHERE contract_id = contract.id
          ORDER BY month DESC
          LIMIT 1) AS last ON true
 WHERE EXISTS (
         SELECT
           FROM lease_line
          WHERE contract_id = contract.id
            AND started_on < $1)
   AND (last.month IS NULL OR last.month < $1::date - interval '1 month')
   AND (last.settled IS NOT TRUE OR contract.id IN (SELECT contract_id FROM billed))
"""

DUE_AFTER = f"""{DUE}
   AND contract.id > $2
 ORDER BY contract.id
 LIMIT $3
"""


async def due(tx: Connection, to_on: date, after: UUID, limit: int) -> list[UUID]:
    """Contracts to be posted for the month that ends, in order of id."""
    return [row["id"] for row in await tx.fetch(DUE_AFTER, to_on, after, limit)]


class LeaseContract(msgspec.Struct, frozen=True):
    id: UUID
    lessee_id: UUID
    currency: str
    starts_on: date
    ends_on: date | None
    """The first day after the term or after the notice; none when it holds over."""
    escalator: Escalator
    timing: Timing
    agreed_at: datetime
    """When terms or term were last agreed."""


CONTRACT = """
SELECT contract.id,
       contract.lessee_id,
       contract.currency,
       term.starts_on,
       least(nullif(term.ends_on, 'infinity'), contract.ending_on) AS ends_on,
       terms.escalator,
       terms.billing_timing AS timing,
       greatest(term.agreed_at,
                (SELECT max(entered_at)
                   FROM contract_revision
                  WHERE contract_id = contract.id)) AS agreed_at
  FROM contract
  JOIN LATERAL (
         SELECT min(lower(during)) AS starts_on,
                max(coalesce(upper(during), 'infinity')) AS ends_on,
                max(entered_at) AS agreed_at
           FROM contract_term
          WHERE contract_id = contract.id) AS term ON true
  JOIN LATERAL (
         SELECT escalator, billing_timing
           FROM contract_revision
          WHERE contract_id = contract.id
          ORDER BY lower(during) DESC
          LIMIT 1) AS terms ON true
 WHERE contract.id = $1
"""


async def contract(tx: Connection, contract_id: UUID) -> LeaseContract | None:
    row = await tx.fetchrow(CONTRACT, contract_id)
    return msgspec.convert(dict(row), LeaseContract) if row else None


# A line that has not commenced counts as if its pack came on its first day.
LINES = """
SELECT lease_line.id AS line_id,
       lease_line.started_on,
       lease_line.ended_on,
       lease_line.end_reason,
       (SELECT max(entered_at) FROM line_revision WHERE line_id = lease_line.id) AS agreed_at,
       lower(segment.days) AS from_on,
       upper(segment.days) AS to_on,
       segment.rated_capacity_mah,
       segment.rent_amount,
       segment.base_rent_amount,
       segment.base_from_on,
       segment.billing_frequency,
       CASE segment.vat_mode WHEN 'inclusive' THEN segment.vat_percent END AS vat_percent
  FROM lease_line
  LEFT JOIN LATERAL (
         SELECT stay.during * position.during * terms.during AS days,
                position.rated_capacity_mah,
                position.rent_amount,
                position.base_rent_amount,
                position.base_from_on,
                terms.billing_frequency,
                terms.vat_mode,
                terms.vat_percent
           FROM line_revision AS position
           JOIN contract_revision AS terms ON terms.contract_id = position.contract_id
           JOIN (SELECT during
                   FROM placement
                  WHERE placement.line_id = lease_line.id
                  UNION ALL
                 SELECT daterange(lease_line.from_on, NULL)
                  WHERE lease_line.started_on IS NULL) AS stay ON true
          WHERE position.line_id = lease_line.id
            AND NOT position.suspended) AS segment ON NOT isempty(segment.days)
 WHERE lease_line.contract_id = $1
   AND ($2::date IS NULL OR lease_line.started_on < $2)
 ORDER BY lease_line.id, lower(segment.days)
"""


async def lines(tx: Connection, contract_id: UUID, started_before: date | None) -> list[Record]:
    """Lines of a contract and the days on which they owe rent, a row for each stretch. Rents are of
    a billing period."""
    return await tx.fetch(LINES, contract_id, started_before)


# Of an amount with VAT in it the net part; numeric rounds half away from zero, as we do.
BILLED = """
SELECT charge.line_id,
       sum(CASE charge.vat_mode
             WHEN 'inclusive' THEN round(charge.amount * 100 / (100 + charge.vat_percent))
             ELSE charge.amount
           END)::bigint AS amount,
       max(upper(charge.during))
         FILTER (WHERE charge.reverses_id IS NULL AND NOT charge.is_reversed) AS to_on
  FROM charge
  JOIN invoice ON invoice.id = charge.invoice_id
 WHERE charge.contract_id = $1
   AND charge.component = 'rent'
   AND invoice.state = 'final'
   AND invoice.issued_on < $2
 GROUP BY charge.line_id
"""


async def billed(tx: Connection, contract_id: UUID, before: date) -> dict[UUID, tuple[int, date]]:
    """Rent of each line on invoices issued before a day, without VAT, and to which day."""
    rows = await tx.fetch(BILLED, contract_id, before)
    return {row["line_id"]: (row["amount"], row["to_on"]) for row in rows}


PLANS = """
SELECT line_id, from_on, made_on, basis, recognised_amount, principal_amount, rate,
       residual_amount, timing, commenced_amount, asset_amount, remeasured_amount
  FROM lease_plan
 WHERE contract_id = $1
 ORDER BY line_id, number
"""


async def plans(tx: Connection, contract_id: UUID) -> dict[UUID, tuple[Plan, ...]]:
    """The plans of each line, the first first."""
    found: dict[UUID, tuple[Plan, ...]] = {}
    # Lines are mostly alike, and so are the texts of what they owe.
    seen: dict[str, Basis] = {}
    for row in await tx.fetch(PLANS, contract_id):
        stretches = row["basis"]["stretches"]
        basis = seen.setdefault(repr(stretches), msgspec.convert(stretches, Basis))
        finance = None
        if row["rate"] is not None:
            finance = Finance(**{name: row[name] for name in Finance._fields})
        plan = Plan(row["from_on"], row["made_on"], basis, row["recognised_amount"], finance)
        found[row["line_id"]] = (*found.get(row["line_id"], ()), plan)
    return found


INSERT_PLANS = """
INSERT INTO lease_plan (contract_id, line_id, number, from_on, made_on, basis, recognised_amount,
                        principal_amount, rate, residual_amount, timing, commenced_amount,
                        asset_amount, remeasured_amount)
SELECT $1, plan.*
  FROM unnest($2::uuid[], $3::int[], $4::date[], $5::date[], $6::jsonb[], $7::bigint[],
              $8::bigint[], $9::numeric[], $10::bigint[], $11::text[], $12::bigint[],
              $13::bigint[], $14::bigint[]) AS plan
"""


async def insert_plans(
    tx: Connection, contract_id: UUID, made: Sequence[tuple[UUID, int, Plan]]
) -> None:
    """Keep plans, each with its line and its number."""
    rows = [
        (
            line_id,
            number,
            plan.from_on,
            plan.made_on,
            {"stretches": msgspec.to_builtins(plan.basis)},
            plan.recognised_amount,
            *(plan.finance or [None] * len(Finance._fields)),
        )
        for line_id, number, plan in made
    ]
    await tx.execute(INSERT_PLANS, contract_id, *map(list, zip(*rows, strict=True)))


CLASSES = """
SELECT DISTINCT ON (lease_component.line_id)
       lease_component.line_id, decided_class, inputs, decided_at
  FROM lease_classification
  JOIN lease_component ON classification_id = lease_classification.id
 WHERE contract_id = $1
 ORDER BY lease_component.line_id, number DESC
"""


class Decided(msgspec.Struct, frozen=True):
    """What was last decided of a line."""

    lease_class: LeaseClass
    values: Values
    decided_at: datetime


async def classes(tx: Connection, contract_id: UUID) -> dict[UUID, Decided]:
    found = {}
    for row in await tx.fetch(CLASSES, contract_id):
        inputs = msgspec.convert(row["inputs"], LeaseClassificationCreate)
        values = values_of(inputs)
        found[row["line_id"]] = Decided(LeaseClass(row["decided_class"]), values, row["decided_at"])
    return found


def values_of(inputs: LeaseClassificationCreate) -> Values:
    carrying = inputs.carrying_amount
    rate = inputs.annual_rate_percent
    end = inputs.guaranteed_residual_amount + inputs.unguaranteed_residual_amount
    if inputs.purchase_option_certain:
        end = inputs.purchase_option_amount or 0
    return Values(
        fair_value_amount=inputs.fair_value_amount,
        carrying_amount=inputs.fair_value_amount if carrying is None else carrying,
        initial_direct_costs_amount=inputs.initial_direct_costs_amount,
        end_amount=end,
        annual_rate_percent=None if rate is None else Decimal(rate),
    )


LAST_MONTH = """
SELECT month, balances
  FROM lease_month
 WHERE contract_id = $1
 ORDER BY month DESC
 LIMIT 1
"""


async def last_month(tx: Connection, contract_id: UUID) -> Record | None:
    return await tx.fetchrow(LAST_MONTH, contract_id)


INSERT_MONTH = """
INSERT INTO lease_month (contract_id, month, balances, settled)
VALUES ($1, $2, $3, $4)
RETURNING id
"""


async def insert_month(
    tx: Connection, contract_id: UUID, month: date, balances: dict[str, int], settled: bool
) -> UUID:
    month_id: UUID = await tx.fetchval(INSERT_MONTH, contract_id, month, balances, settled)
    return month_id


# The contract itself stays free: a large one takes seconds, and packs are handed over meanwhile.
LOCK_LEASES = """
SELECT pg_advisory_xact_lock(hashtextextended('leases of ' || $1::text, 0))
"""


async def lock_leases(tx: Connection, contract_id: UUID) -> None:
    """Wait for whoever writes the leases of a contract in the books."""
    await tx.execute(LOCK_LEASES, str(contract_id))


INSERT_CLASSIFICATION = """
INSERT INTO lease_classification (contract_id, number, inputs, tests, monthly_rate,
                                  payments_value_amount, proposed_class, decided_class, decided_by,
                                  decided_at)
SELECT $1, coalesce(max(number), 0) + 1, $2, $3, $4, $5, $6, $7, $8, $9
  FROM lease_classification
 WHERE contract_id = $1
RETURNING id
"""

INSERT_COMPONENTS = """
INSERT INTO lease_component (classification_id, line_id)
SELECT $1, unnest($2::uuid[])
"""


async def insert_classification(
    tx: Connection,
    contract_id: UUID,
    line_ids: Sequence[UUID],
    *,
    inputs: LeaseClassificationCreate,
    tests: Sequence[LeaseTestView],
    monthly_rate: Decimal,
    payments_value_amount: int,
    proposed_class: LeaseClass,
    decided_class: LeaseClass,
    by: str,
    now: datetime,
) -> UUID:
    # The lines are rows of their own; of a large contract they would be most of the text.
    kept = msgspec.structs.replace(inputs, line_ids=None)
    classification_id: UUID = await tx.fetchval(
        INSERT_CLASSIFICATION,
        contract_id,
        msgspec.to_builtins(kept),
        msgspec.to_builtins(tests),
        monthly_rate,
        payments_value_amount,
        proposed_class,
        decided_class,
        by,
        now,
    )
    await tx.execute(INSERT_COMPONENTS, classification_id, line_ids)
    return classification_id


CLASSIFICATIONS = """
SELECT id, contract_id, number, inputs, tests, monthly_rate, payments_value_amount, proposed_class,
       decided_class, decided_by, decided_at,
       (SELECT count(*)
          FROM lease_component
         WHERE classification_id = lease_classification.id) AS lines
  FROM lease_classification
 WHERE contract_id = $1
 ORDER BY number
"""


async def classifications(tx: Connection, contract_id: UUID) -> list[Record]:
    return await tx.fetch(CLASSIFICATIONS, contract_id)
