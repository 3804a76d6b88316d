"""A contract of many positions filled and activated from a file, against COPY of the same rows.

The file is read, judged and written by the code of `leasing contract fill` and `leasing contract
activate`. COPY begins with a copy of the same prepared database, with the same indexes,
constraints and triggers; and once more with bare tables, which have none.
"""

import csv
import io
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from statistics import median

from bench.place import SETTINGS, Place
from bench.result import Result, shown
from jobs import rollout as command
from leasing.batteries.codes import Chemistry, ProductType, encode
from leasing.contracts import service as contracts
from leasing.db.pool import Database, LoneConnection, connect
from leasing.kit.time import system_now
from leasing.sheets import rollout
from leasing.sheets.rollout import Count, Task
from schemas.contracts import ContractCreate, Signature
from schemas.sheets import SheetFormat

MOST_TIMES_FLOOR = 5.0

NUMBER = "ROLL-OUT"
ACCEPTED_ON = date(2026, 1, 11)

PARTY = """
INSERT INTO party (kind, name, created_at) VALUES ('customer', 'Tower operator', now())
RETURNING id
"""

SITES = """
INSERT INTO site (party_id, code, name, kind, adcode, longitude, latitude, datum, created_at)
SELECT $1, 'S-' || n, 'Site', 'tower', '410100', 113.6, 34.8, 'wgs84', now()
  FROM generate_series(1, $2::integer) AS n
 ORDER BY n
"""

PACKS = """
INSERT INTO pack (chemistry, maker, made_on, cells_in_series, rated_voltage_mv,
                  rated_capacity_mah, mass_kg, acquired_on, created_at)
SELECT 'B', '9ZZ', '2021-12-04', 16, 51200, 100000, 46, '2025-01-02', now()
  FROM generate_series(1, $1::integer) AS n
"""

CODES = """
INSERT INTO pack_code (pack_id, scheme, code, assigned_by, is_printed, valid)
SELECT id, 'gbt34014', code, '9ZZ', true, daterange(made_on, NULL)
  FROM (SELECT id, made_on, row_number() OVER (ORDER BY id) AS n FROM pack) AS numbered
  JOIN unnest($1::text[]) WITH ORDINALITY AS given (code, n) USING (n)
"""

# What a run adds, in an order that foreign keys allow. A line is copied as it was before its first
# hand-over: the acceptance that starts it is not there yet.
WRITTEN = {
    "lease_line": ("id, contract_id, lessee_id, from_on", "true"),
    "line_revision": ("*", "true"),
    "acceptance": ("*", "true"),
    "placement": ("*", "true"),
    "trace_record": ("*", "kind = 'pack.commissioned'"),
    "domain_event": ("*", "kind = 'line.accepted'"),
}


@dataclass
class Measured:
    positions: int
    fills_s: list[float] = field(default_factory=list)
    activations_s: list[float] = field(default_factory=list)
    floors_s: list[float] = field(default_factory=list)
    bare_s: list[float] = field(default_factory=list)

    @property
    def runs_s(self) -> list[float]:
        return [sum(pair) for pair in zip(self.fills_s, self.activations_s, strict=True)]

    def ratios(self, floors_s: list[float]) -> list[float]:
        return [run_s / floor_s for run_s, floor_s in zip(self.runs_s, floors_s, strict=True)]

    def result(self) -> Result:
        return Result(
            f"roll-out of {self.positions:,} positions",
            "positions/s",
            self.positions / median(self.runs_s),
            self.positions / median(self.floors_s),
            median(self.ratios(self.floors_s)),
            at_most=MOST_TIMES_FLOOR,
        )


async def measure(
    place: Place, positions: int, runs: int, say: Callable[[str], None]
) -> list[Result]:
    codes = [pack_code(number) for number in range(1, positions + 1)]
    await prepare(place, "ready", positions, codes)
    body = sheet(codes)
    say(f"roll-out: {positions:,} sites and packs stand ready, the file has {len(body):,} bytes")
    measured = Measured(positions)
    for number in range(1, runs + 1):
        await place.copy("ready", "run")
        await roll_out(place, body, measured)
        rows = await dump(place, "run")
        await place.copy("ready", "floor")
        measured.floors_s.append(await copy_in(place, "floor", rows, bare=False))
        await place.copy("ready", "floor")
        measured.bare_s.append(await copy_in(place, "floor", rows, bare=True))
        say(
            f"roll-out: turn {number}: filled in {measured.fills_s[-1]:.2f} s, activated in "
            f"{measured.activations_s[-1]:.2f} s, copied in {measured.floors_s[-1]:.2f} s, into "
            f"bare tables in {measured.bare_s[-1]:.2f} s"
        )
    say(f"roll-out: times of COPY {shown(measured.ratios(measured.floors_s))}")
    say(f"roll-out: times of COPY into bare tables {shown(measured.ratios(measured.bare_s))}")
    for database in ("run", "floor", "ready"):
        await place.drop(database)
    return [measured.result()]


def pack_code(number: int) -> str:
    return encode(
        manufacturer="9ZZ",
        product_type=ProductType.PACK,
        chemistry=Chemistry.LFP,
        specification="51",
        traceability="BENCH01",
        made_on=date(2021, 12, 4),
        serial=number,
    )


async def prepare(place: Place, database: str, positions: int, codes: list[str]) -> None:
    """Sites, packs in stock, and a draft without positions."""
    await place.create(database)
    connection = await place.open(database)
    try:
        async with connection.transaction():
            party_id = await connection.fetchval(PARTY)
            await connection.execute(SITES, party_id, positions)
            await connection.execute(PACKS, positions)
            await connection.execute(CODES, codes)
        await connection.execute("VACUUM (ANALYZE)")
    finally:
        await connection.close()
    async with await connect(place.dsn(database), SETTINGS) as db, db.transaction() as tx:
        terms = ContractCreate(
            number=NUMBER,
            lessee_id=party_id,
            starts_on=date(2026, 1, 1),
            ends_on=date(2035, 1, 1),
            vat_percent="13",
            payment_days=30,
            guarantee_percent="80",
            replacement_days=7,
            lines=[],
        )
        await contracts.create(tx, terms, by="bench", now=system_now())


def sheet(codes: list[str]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([column.field for column in rollout.POSITIONS.columns])
    for number, code in enumerate(codes, start=1):
        test = [ACCEPTED_ON, 95_000, "Lessor", "Lessee"]
        writer.writerow([f"S-{number}", 1, 100_000, 31_000, "", code, *test])
    return out.getvalue().encode()


async def roll_out(place: Place, body: bytes, measured: Measured) -> None:
    async with await connect(place.dsn("run"), SETTINGS) as db:
        measured.fills_s.append(await run(db, body, Task.FILL))
        async with db.transaction() as tx:
            contract_id = await tx.fetchval("SELECT id FROM contract")
            both = Signature(lessor_signatory="Lessor", lessee_signatory="Lessee")
            await contracts.offer(tx, contract_id, by="bench", now=system_now())
            await contracts.sign(tx, contract_id, both, by="bench", now=system_now())
        measured.activations_s.append(await run(db, body, Task.ACTIVATE))


async def run(db: Database, body: bytes, task: Task) -> float:
    """From the bytes of the file to the last commit; returns the seconds."""
    count = Count()
    start = time.perf_counter()
    out = command.opened(body, SheetFormat.CSV, None, task)
    await command.run(db, NUMBER, out, count)
    took = time.perf_counter() - start
    done = count.positions if task is Task.FILL else count.packs
    assert (done, count.refused) == (len(out.drafts), 0), count
    return took


COLUMNS = """
SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum)
  FROM pg_attribute
 WHERE attrelid = $1::regclass
   AND attnum > 0
   AND NOT attisdropped
   AND attgenerated = ''
"""

Rows = list[tuple[str, str, bytes]]


async def dump(place: Place, database: str) -> Rows:
    """`(table, columns, rows in binary)` of what a run has written."""
    connection = await place.open(database)
    found = []
    try:
        for table, (columns, which) in WRITTEN.items():
            names = await connection.fetchval(COLUMNS, table) if columns == "*" else columns
            out = io.BytesIO()
            query = f"SELECT {names} FROM {table} WHERE {which} ORDER BY ctid"
            await connection.copy_from_query(query, output=out, format="binary")
            found.append((table, names, out.getvalue()))
    finally:
        await connection.close()
    return found


async def copy_in(place: Place, database: str, rows: Rows, *, bare: bool) -> float:
    """Seconds until the same rows are in the same tables, or in bare ones, in one transaction."""
    connection = await place.open(database)
    try:
        if bare:
            for table, _, _ in rows:
                await connection.execute(f"CREATE TABLE bare_{table} (LIKE {table})")
        start = time.perf_counter()
        async with connection.transaction():
            for table, names, content in rows:
                await copy_table(connection, f"bare_{table}" if bare else table, names, content)
        return time.perf_counter() - start
    finally:
        await connection.close()


async def copy_table(connection: LoneConnection, table: str, names: str, content: bytes) -> None:
    columns = names.split(", ")
    await connection.copy_to_table(
        table, source=io.BytesIO(content), columns=columns, format="binary"
    )
