"""Rating alone: the rules without a database, and the statement that charges what is steady.

The rules are beside a loop that makes the same tuples with one multiplication each, the statement
beside COPY of the very same charges.
"""

import io
import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from decimal import Decimal
from statistics import median
from uuid import UUID

from bench import billing
from bench.billing import BILLED, SWAPPED
from bench.place import SETTINGS, Place
from bench.result import Result, shown
from leasing.billing import charges, results, rules, running, steady
from leasing.billing.model import BillableLine, Charge, Segment
from leasing.db.pool import connect
from leasing.kit.time import midnight, month_of
from leasing.pricing.plans import Facts
from leasing.pricing.proration import Basis
from schemas.billing import Component
from schemas.contracts import BillingAlignment, BillingFrequency, BillingTiming, VatMode

MOST_TIMES_LOOP = 20.0
MOST_TIMES_COPY = 2.0

TO_ON = month_of(BILLED)[1]
SITE, RATED_WH = UUID(int=1), 5_120
MONTHLY = rules.billing(
    BillingFrequency.MONTHLY,
    BillingAlignment.CALENDAR,
    BillingTiming.ARREARS,
    1,
    date(2020, 1, 1),
    False,
    Basis.ACTUAL,
)


async def measure(place: Place, lines: int, turns: int, say: Callable[[str], None]) -> list[Result]:
    return [by_rules(lines, turns, say), await by_statement(place, lines, turns, say)]


def by_rules(lines: int, turns: int, say: Callable[[str], None]) -> Result:
    known = list(made_up(lines))
    spent, floors = [], []
    for _ in range(turns):
        spent.append(microseconds(lines, lambda: [len(rated(line)) for line in known]))
        floors.append(microseconds(lines, lambda: [len(multiplied(line)) for line in known]))
    ratios = [one / floor for one, floor in zip(spent, floors, strict=True)]
    say(f"rating: by the rules {shown(spent)} µs a line, a bare loop {shown(floors)}")
    return Result(
        f"rating by the rules, {lines:,} lines",
        "µs/line",
        median(spent),
        median(floors),
        median(ratios),
        at_most=MOST_TIMES_LOOP,
    )


def made_up(lines: int) -> Iterator[BillableLine]:
    """Lines billed to the first day of a month; the pack of every other one is swapped in it, so
    that its rent is split."""
    for n in range(lines):
        swapped_on = SWAPPED if n % 2 else None
        stays = [stay(2 * n, BILLED, swapped_on, 20_000 + 100 * (n % 97))]
        if swapped_on:
            stays.append(stay(2 * n + 1, swapped_on, None, 20_000 + 100 * (n % 97)))
        line_id = UUID(int=n)
        yield BillableLine(line_id, line_id, stays, [], BILLED, False, {}, Facts(), {})


def stay(n: int, from_on: date, to_on: date | None, rent_amount: int) -> Segment:
    pack_id = UUID(int=n)
    vat = VatMode.EXCLUSIVE, Decimal(13)
    return Segment(from_on, to_on, pack_id, SITE, rent_amount, *vat, MONTHLY, None, RATED_WH)


UNTIL = rules.as_of(TO_ON)


def rated(line: BillableLine) -> list[Charge]:
    return list(rules.charges_of(line, rules.settle(line, UNTIL)))


def multiplied(line: BillableLine) -> list[Charge]:
    """What a line owes, by the shortest way there is."""
    of_days = (TO_ON - BILLED).days
    return [
        Charge(
            line.line_id,
            line.contract_id,
            part.site_id,
            part.pack_id,
            "rent",
            Component.RENT,
            None,
            part.from_on,
            part.to_on or TO_ON,
            of_days,
            part.rent_amount,
            None,
            None,
            part.rent_amount * ((part.to_on or TO_ON) - part.from_on) // (of_days * ONE_DAY),
            part.vat_mode,
            part.vat_percent,
            None,
            1,
        )
        for part in line.segments
    ]


ONE_DAY = timedelta(days=1)


def microseconds(lines: int, work: Callable[[], object]) -> float:
    """CPU time of this process for each line."""
    start = time.process_time()
    work()
    return 1_000_000 * (time.process_time() - start) / lines


async def by_statement(place: Place, lines: int, turns: int, say: Callable[[str], None]) -> Result:
    say(f"rating: preparing {lines:,} lines")
    await billing.prepare(place, "planned", lines, 1)
    async with await connect(place.dsn("planned"), SETTINGS) as db, db.transaction() as tx:
        await running.begin(tx, TO_ON, None, running.MAX_INVOICES, midnight(TO_ON))
    spent, floors = [], []
    for _ in range(turns):
        await place.copy("planned", "run")
        made, seconds = await charge_steady(place.dsn("run"))
        spent.append(1_000_000 * seconds / made)
        await place.copy("planned", "floor")
        floors.append(1_000_000 * await copy_charges(place, "run", "floor") / made)
    for database in ("run", "floor", "planned"):
        await place.drop(database)
    ratios = [one / floor for one, floor in zip(spent, floors, strict=True)]
    say(f"rating: by the statement {shown(spent)} µs a line, COPY {shown(floors)}")
    return Result(
        f"rating by the statement, {lines:,} lines",
        "µs/line",
        median(spent),
        median(floors),
        median(ratios),
        at_most=MOST_TIMES_COPY,
    )


CHUNKS = """
SELECT run_id, ids
  FROM billing_chunk
 WHERE stage = 'rate'
   AND state = 'pending'
 ORDER BY number
"""


async def charge_steady(dsn: str) -> tuple[int, float]:
    """Charge what is steady of a run that was planned; returns how many lines and the seconds that
    the statement alone took."""
    made, seconds = 0, 0.0
    async with await connect(dsn, SETTINGS) as db, db.transaction() as tx:
        for chunk in await tx.fetch(CHUNKS):
            items = await results.items(tx, chunk["run_id"], chunk["ids"])
            await charges.lock_contracts(tx, chunk["ids"])
            start = time.perf_counter()
            found = await steady.charge(tx, items, TO_ON)
            seconds += time.perf_counter() - start
            made += sum(found.made.values())
    return made, seconds


async def copy_charges(place: Place, of: str, into: str) -> float:
    """COPY what was charged into a database that was planned, too; returns the seconds."""
    columns, where = billing.WRITTEN["charge"]
    connection = await place.open(of)
    try:
        rows = await billing.dump_table(connection, "charge", columns, where)
    finally:
        await connection.close()
    connection = await place.open(into)
    try:
        async with connection.transaction():
            start = time.perf_counter()
            await connection.copy_to_table("charge", source=io.BytesIO(rows), format="binary")
            return time.perf_counter() - start
    finally:
        await connection.close()
