"""What came out of the demo, in numbers."""

from asyncpg import Record
from rich.table import Table

from leasing.db.pool import Connection
from leasing.ledger import store as ledger

COUNTS = """
SELECT (SELECT count(*) FROM site) AS sites,
       (SELECT count(*) FROM contract) AS contracts,
       (SELECT count(*) FROM contract WHERE state = 'active') AS contracts_active,
       (SELECT count(*) FROM lease_line WHERE started_on IS NOT NULL) AS leases,
       (SELECT count(*) FROM lease_line WHERE started_on IS NOT NULL AND ended_on IS NULL)
         AS leases_running,
       (SELECT count(*) FROM pack_return WHERE reason = 'swapped_out') AS swaps,
       (SELECT coalesce(sum(readings), 0) FROM reading_chunk) AS readings,
       (SELECT count(*) FROM outlet) AS outlets,
       (SELECT count(*) FROM recycling_certificate) AS certificates,
       (SELECT count(*) FROM job_run WHERE state = 'done') AS runs_done,
       (SELECT count(*) FROM job_run WHERE state <> 'done') AS runs_not_done,
       (SELECT count(*) FROM job_parked) AS parked
"""

CHECKS = """
SELECT verdict, count(*) AS checks
  FROM health_check
 GROUP BY verdict
 ORDER BY verdict
"""

DUTIES = """
SELECT kind, coalesce(outcome, 'open') AS outcome, count(*) AS duties
  FROM duty
 GROUP BY kind, outcome
 ORDER BY kind, outcome
"""

INVOICES = """
SELECT party.name,
       currency,
       count(*) AS invoices,
       sum(net_amount)::bigint AS net_amount,
       sum(vat_amount)::bigint AS vat_amount,
       sum(total_amount)::bigint AS total_amount
  FROM invoice
  JOIN party ON party.id = invoice.buyer_id
 WHERE invoice.state = 'final'
 GROUP BY party.id, currency
 ORDER BY party.id, currency
"""

PACKS = """
SELECT state, count(*) AS packs, sum(mass_kg)::bigint AS mass_kg
  FROM pack
 GROUP BY state
 ORDER BY state
"""

ROUTINGS = """
SELECT state, count(*) AS routings
  FROM routing
 GROUP BY state
 ORDER BY state
"""

# Taken: handed over at any time. Stock: what the outlet's own books say it has now.
OUTLETS = """
SELECT outlet.kind,
       coalesce(sum(taken.packs), 0)::bigint AS packs,
       coalesce(sum(taken.mass_kg), 0)::bigint AS taken_kg,
       sum(stock_kg)::bigint AS stock_kg,
       sum(reserved_kg)::bigint AS reserved_kg
  FROM outlet
  LEFT JOIN (SELECT outlet_id, count(*) AS packs, sum(mass_kg) AS mass_kg
               FROM routing
              WHERE handed_over_on IS NOT NULL
              GROUP BY outlet_id) AS taken ON taken.outlet_id = outlet.id
 GROUP BY outlet.kind
 ORDER BY outlet.kind
"""


async def table(tx: Connection) -> Table:
    """The summary, ready to print."""
    shown = Table("", "", title="Demo", show_header=False, min_width=72)
    shown.columns[1].justify = "right"

    def section(rows: list[tuple[str, str]]) -> None:
        for label, value in rows:
            shown.add_row(label, value)
        shown.add_section()

    counts = await tx.fetchrow(COUNTS)
    assert counts is not None
    section(
        [
            ("sites", f"{counts['sites']:,}"),
            ("contracts", f"{counts['contracts']:,}, {counts['contracts_active']:,} in force"),
            ("leases", f"{counts['leases']:,}, {counts['leases_running']:,} running"),
            ("packs swapped", f"{counts['swaps']:,}"),
            ("readings", f"{counts['readings']:,}"),
            ("job runs", f"{counts['runs_done']:,} done, {counts['runs_not_done']:,} not done"),
            ("items parked", f"{counts['parked']:,}"),
        ]
    )
    section([(f"health: {row['verdict']}", f"{row['checks']:,}") for row in await tx.fetch(CHECKS)])
    section(
        [
            (f"duty: {row['kind']}, {row['outcome']}".replace("_", " "), f"{row['duties']:,}")
            for row in await tx.fetch(DUTIES)
        ]
    )
    section([line for row in await tx.fetch(INVOICES) for line in billed(row)])
    section(
        [
            (f"packs {row['state']}".replace("_", " "), packs(row["packs"], row["mass_kg"]))
            for row in await tx.fetch(PACKS)
        ]
    )
    section(
        [
            (f"routings {row['state']}".replace("_", " "), f"{row['routings']:,}")
            for row in await tx.fetch(ROUTINGS)
        ]
        + [("recycling certificates", f"{counts['certificates']:,}")]
    )
    section([line for row in await tx.fetch(OUTLETS) for line in taken(row)])
    section(await in_balance(tx))
    return shown


def billed(row: Record) -> list[tuple[str, str]]:
    currency = row["currency"]
    return [
        (f"invoices to {row['name']}", f"{row['invoices']:,}"),
        ("  net", money(row["net_amount"], currency)),
        ("  VAT", money(row["vat_amount"], currency)),
        ("  total", money(row["total_amount"], currency)),
    ]


def taken(row: Record) -> list[tuple[str, str]]:
    return [
        (f"{row['kind']} outlets took", packs(row["packs"], row["taken_kg"])),
        ("  have in stock", tonnes(row["stock_kg"])),
        ("  keep room for", tonnes(row["reserved_kg"])),
    ]


async def in_balance(tx: Connection) -> list[tuple[str, str]]:
    """The trial balance, which must say yes."""
    balances = await ledger.balances(tx)
    debit = sum(row["debit"] for row in balances)
    credit = sum(row["credit"] for row in balances)
    return [
        ("ledger in balance", "yes" if debit == credit else "NO"),
        ("  debit", f"{debit:,} fen"),
        ("  credit", f"{credit:,} fen"),
    ]


def packs(count: int, mass_kg: int) -> str:
    return f"{count:,} ({tonnes(mass_kg)})"


def tonnes(mass_kg: int) -> str:
    return f"{mass_kg / 1000:,.3f} t"


def money(amount: int, currency: str) -> str:
    """Whole minor units as people write them: 1234567 is 12,345.67."""
    return f"{amount // 100:,}.{amount % 100:02} {currency}"
