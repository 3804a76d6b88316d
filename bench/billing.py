"""A billing run, against COPY of the very same rows into the same tables.

Run and COPY each begin with a copy of one prepared database: the same lines, the same charges of
earlier months, the same indexes, constraints and triggers.
"""

import asyncio
import io
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from statistics import median

import msgspec

from bench import leases
from bench.place import Place
from bench.result import Result, shown
from bench.run_billing import Spent
from leasing.db.pool import LoneConnection
from leasing.kit.time import month_of

MOST_TIMES_FLOOR = 3.0
"""What holds today. 1.6 is where it should be: docs/benchmarks.md."""
LEAST_OF_TWO_WORKERS = 1.3
"""The same: 1.6 is the aim."""
MOST_MEMORY_GROWTH = 1.1
MOST_MEMORY_MB = 300

BILLED = date(2026, 6, 1)
"""The month that is billed in the measurement."""
SWAPPED = date(2026, 6, 15)

THIS_RUN = "SELECT id FROM billing_run WHERE as_of = DATE '2026-07-01'"
THIS_INVOICE = f"SELECT id FROM invoice WHERE run_id = ({THIS_RUN})"
THIS_ENTRY = f"SELECT id FROM journal_entry WHERE source_id IN ({THIS_INVOICE})"

# Invoices are copied as drafts: a final one takes no charge.
WRITTEN = {
    "billing_run": ("*", f"id = ({THIS_RUN})"),
    "billing_stage": ("*", f"run_id = ({THIS_RUN})"),
    "billing_chunk": ("*", f"run_id = ({THIS_RUN})"),
    "invoice": (
        "id, run_id, seller_id, buyer_id, currency, period, net_amount, vat_amount, total_amount",
        f"run_id = ({THIS_RUN})",
    ),
    "billing_item": ("*", f"run_id = ({THIS_RUN})"),
    "charge": ("*", f"invoice_id IN ({THIS_INVOICE})"),
    "invoice_sum": ("*", f"invoice_id IN ({THIS_INVOICE})"),
    "invoice_vat": ("*", f"invoice_id IN ({THIS_INVOICE})"),
    "journal_entry": ("*", f"id IN ({THIS_ENTRY})"),
    "posting": ("*", f"entry_id IN ({THIS_ENTRY})"),
    "domain_event": (
        "id, aggregate, aggregate_id, sequence, kind, data, actor, occurred_at",
        f"aggregate_id IN ({THIS_INVOICE})",
    ),
    "invoice_delivery": ("*", f"invoice_id IN ({THIS_INVOICE})"),
}
"""Each table a run adds rows to, in an order that foreign keys allow."""


@dataclass
class Measured:
    lines: int
    rows: int = 0
    runs: list[Spent] = field(default_factory=list)
    pairs: list[Spent] = field(default_factory=list)
    """The same with two workers."""
    floors_s: list[float] = field(default_factory=list)

    @property
    def ratios(self) -> list[float]:
        pairs = zip(self.runs, self.floors_s, strict=True)
        return [run.seconds / floor_s for run, floor_s in pairs]

    def result(self) -> Result:
        return Result(
            f"billing run, {self.lines:,} lines",
            "rows/s",
            self.rows / median(run.seconds for run in self.runs),
            self.rows / median(self.floors_s),
            median(self.ratios),
            at_most=MOST_TIMES_FLOOR,
        )

    def lines_a_minute(self) -> Result:
        seconds = median(run.seconds for run in self.runs)
        together = median(run.seconds for run in self.pairs)
        return Result(
            f"two workers beside one, {self.lines:,} lines",
            "lines/min",
            60 * self.lines / together,
            60 * self.lines / seconds,
            median(
                one.seconds / two.seconds for one, two in zip(self.runs, self.pairs, strict=True)
            ),
            at_least=LEAST_OF_TWO_WORKERS,
        )

    @property
    def peak_kb(self) -> int:
        return max(run.peak_kb for run in self.runs)


async def measure(
    place: Place,
    sizes: list[int],
    history_months: int,
    runs: int,
    say: Callable[[str], None],
) -> list[Result]:
    measured = [await measure_size(place, lines, history_months, runs, say) for lines in sizes]
    first, last = measured[0], measured[-1]
    memory = Result(
        f"memory of a run, {last.lines:,} beside {first.lines:,} lines",
        "MB",
        last.peak_kb / 1024,
        first.peak_kb / 1024,
        last.peak_kb / first.peak_kb,
        at_most=MOST_MEMORY_GROWTH,
    )
    most = Result(
        f"memory of a worker, {last.lines:,} lines",
        "MB",
        last.peak_kb / 1024,
        MOST_MEMORY_MB,
        last.peak_kb / 1024 / MOST_MEMORY_MB,
        at_most=1.0,
    )
    return [last.result(), last.lines_a_minute(), memory, most]


async def measure_size(
    place: Place,
    lines: int,
    history_months: int,
    runs: int,
    say: Callable[[str], None],
) -> Measured:
    say(f"billing: preparing {lines:,} lines, {history_months} months billed before")
    prepared = f"lines_{lines}"
    await prepare(place, prepared, lines, history_months)
    measured = Measured(lines)
    to_on = month_of(BILLED)[1]
    for number in range(1, runs + 1):
        await place.copy(prepared, "run")
        before_s = await place.cpu_s()
        spent = await run(place.dsn("run"), to_on)
        run_cpu_s = spent.cpu_s + await place.cpu_s() - before_s
        measured.runs.append(spent)
        await place.copy(prepared, "pair")
        together = await run(place.dsn("pair"), to_on, workers=2)
        measured.pairs.append(together)
        rows = await dump(place, "run")
        say(f"billing: one worker {spent.seconds:.2f} s, two {together.seconds:.2f} s")
        await place.copy(prepared, "floor")
        before_s = await place.cpu_s()
        measured.rows, floor_s = await copy_in(place, "floor", rows)
        measured.floors_s.append(floor_s)
        copy_cpu_s = await place.cpu_s() - before_s
        say(f"billing: CPU of server and worker {run_cpu_s:.2f} s, of COPY {copy_cpu_s:.2f} s")
        say(
            f"billing: {lines:,} lines, {number} of {runs}: {measured.rows:,} rows in "
            f"{spent.seconds:.2f} s ({spent.cpu_s:.2f} s CPU, {spent.peak_kb / 1024:.1f} MB); "
            f"two workers {together.seconds:.2f} s; COPY {floor_s:.2f} s"
        )
    say(f"billing: {lines:,} lines, run ÷ COPY in turns: {shown(measured.ratios)}")
    for database in ("run", "pair", "floor", prepared):
        await place.drop(database)
    return measured


async def prepare(place: Place, database: str, lines: int, history_months: int) -> None:
    """A database whose lines were billed for some months before the one we measure."""
    await place.create(database)
    months = [BILLED]
    for _ in range(history_months):
        months.append((months[-1] - timedelta(days=1)).replace(day=1))
    connection = await place.open(database)
    try:
        await leases.make(connection, lines, months[-1], SWAPPED)
        await connection.execute("VACUUM ANALYZE")
    finally:
        await connection.close()
    for month in sorted(months[1:]):
        await run(place.dsn(database), month_of(month)[1])
    connection = await place.open(database)
    await connection.execute("VACUUM ANALYZE")
    await connection.close()


async def run(dsn: str, as_of: date, workers: int = 1) -> Spent:
    """A run by so many processes; returns what the one took that began it."""
    command = [sys.executable, "-m", "bench.run_billing", dsn, str(as_of)]
    helpers = [
        await asyncio.create_subprocess_exec(*command, "help", stdout=asyncio.subprocess.DEVNULL)
        for _ in range(workers - 1)
    ]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    for one in [process, *helpers]:
        if await one.wait() != 0:
            raise RuntimeError(f"the billing run ended with {one.returncode}")
    spent = msgspec.json.decode(out, type=Spent)
    if spent.state != "done":
        raise RuntimeError(f"the billing run is {spent.state}")
    return spent


async def dump(place: Place, database: str) -> dict[str, bytes]:
    """Everything the run added, as binary COPY has it."""
    connection = await place.open(database)
    try:
        if await connection.fetchval("SELECT count(*) FROM billing_item WHERE code IS NOT NULL"):
            raise RuntimeError("the billing run parked a contract")
        if await connection.fetchval("SELECT count(*) FROM billing_hold"):
            raise RuntimeError("the billing run held a line")
        return {
            table: await dump_table(connection, table, columns, where)
            for table, (columns, where) in WRITTEN.items()
        }
    finally:
        await connection.close()


async def dump_table(connection: LoneConnection, table: str, columns: str, where: str) -> bytes:
    into = io.BytesIO()
    await connection.copy_from_query(
        f"SELECT {columns} FROM {table} WHERE {where} ORDER BY 1", output=into, format="binary"
    )
    return into.getvalue()


async def copy_in(place: Place, database: str, rows: dict[str, bytes]) -> tuple[int, float]:
    """COPY it all in one transaction; returns how many rows there were and the seconds."""
    connection = await place.open(database)
    copied = 0
    try:
        start = time.perf_counter()
        async with connection.transaction():
            for table, content in rows.items():
                columns = WRITTEN[table][0]
                done = await connection.copy_to_table(
                    table,
                    source=io.BytesIO(content),
                    columns=None if columns == "*" else columns.split(", "),
                    format="binary",
                )
                copied += int(done.rpartition(" ")[2])
        return copied, time.perf_counter() - start
    finally:
        await connection.close()
