"""Records of packs' lives: appended with their links, beside a plain INSERT of the same rows; and
checked.

Several connections append to packs of their own, a batch a transaction. The floor writes the very
same rows, hashes and all, into the same table with its keys, checks and other triggers, without
what links them. The steps are of a kind that says nothing about who has the pack: what follows from
those is not traceability's.
"""

import asyncio
import resource
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from statistics import median
from uuid import UUID

from bench.packs import PACKS
from bench.place import SETTINGS, Place
from bench.result import Result, shown
from leasing.db.pool import Database, connect
from leasing.traceability import checking, store
from leasing.traceability.model import Finding
from leasing.traceability.store import Step

AT_LEAST = 0.7
CONNECTIONS = 4
BATCHES = (1, 500)
"""Steps of a transaction: one at a site, or a file or a batch of them."""
TEN_MILLION = 10_000_000
NOW = datetime(2026, 6, 15, 4, tzinfo=UTC)

PARTY = (
    "INSERT INTO party (kind, name, created_at) VALUES ('customer', 'Bench', now()) RETURNING id"
)
IDS = "SELECT id FROM pack ORDER BY id"


def inserting(given: str) -> str:
    return f"""
INSERT INTO trace_record
       (pack_id, sequence, kind, happened_on, adcode, party_id, corrects_id, data, actor,
        recorded_at, previous_hash, hash)
SELECT pack_id, sequence, kind, happened_on, adcode, party_id, corrects_id, data, $10, $11,
       CASE WHEN sequence > 1 THEN $9::bytea END, $9
  FROM {given}
       AS given (pack_id, sequence, kind, happened_on, adcode, party_id, corrects_id, data)
"""


PLAIN = inserting(
    """unnest($1::uuid[], $2::int[], $3::text[], $4::date[], $5::text[], $6::uuid[], $7::uuid[],
              $8::json[])"""
)
PLAIN_ONE = inserting(
    """(VALUES ($1::uuid, $2::int, $3::text, $4::date, $5::text, $6::uuid, $7::uuid, $8::json))"""
)

UNLINK = """
ALTER TABLE trace_record
  DISABLE TRIGGER trace_record_linked,
  DISABLE TRIGGER trace_record_fills_in_links
"""


async def measure(
    place: Place, packs: int, records: int, turns: int, say: Callable[[str], None]
) -> list[Result]:
    """`records` of each pack are appended, one of every pack of a connection after the other."""
    say(f"trace: preparing {packs:,} packs")
    await place.create("whole")
    async with await connect(place.dsn("whole"), SETTINGS) as db, db.transaction() as tx:
        party_id = await tx.fetchval(PARTY)
        await tx.execute(PACKS, 0, packs, packs)
        pack_ids = [row["id"] for row in await tx.fetch(IDS)]
    results = []
    for batch in BATCHES:
        # One by one it is the disk that takes its time; one pack in fifty is enough to see it.
        some = pack_ids if batch > 1 else pack_ids[::50]
        results.append(await beside_plain(place, some, party_id, records, batch, turns, say))
    await check(place, packs * records, say)
    for database in ("linked", "plain", "whole"):
        await place.drop(database)
    return results


async def beside_plain(
    place: Place,
    pack_ids: list[UUID],
    party_id: UUID,
    records: int,
    batch: int,
    turns: int,
    say: Callable[[str], None],
) -> Result:
    linked, plain = [], []
    for turn in range(turns):
        await place.copy("whole", "linked")
        await place.copy("whole", "plain")
        # Neither is always the first, which finds the machine's caches as they are.
        for database in ("linked", "plain") if turn % 2 else ("plain", "linked"):
            rate = await append(place, database, pack_ids, party_id, records, batch)
            (linked if database == "linked" else plain).append(rate)
    ratios = [one / floor for one, floor in zip(linked, plain, strict=True)]
    say(f"trace: {batch} at once: {shown(linked, 0)} records/s linked, {shown(plain, 0)} plain")
    return Result(
        f"records appended with links, {CONNECTIONS} connections, {batch} at once",
        "records/s",
        median(linked),
        median(plain),
        median(ratios),
        at_least=AT_LEAST,
    )


async def append(
    place: Place, database: str, pack_ids: list[UUID], party_id: UUID, records: int, batch: int
) -> float:
    """Append to all packs; returns records a second."""
    async with await connect(place.dsn(database), SETTINGS) as db:
        plain = database == "plain"
        if plain:
            async with db.transaction() as tx:
                await tx.execute(UNLINK)
        start = time.perf_counter()
        await asyncio.gather(
            *(
                one_connection(db, pack_ids[n::CONNECTIONS], party_id, records, batch, plain)
                for n in range(CONNECTIONS)
            )
        )
        return len(pack_ids) * records / (time.perf_counter() - start)


async def one_connection(
    db: Database, pack_ids: list[UUID], party_id: UUID, records: int, batch: int, plain: bool
) -> None:
    for number in range(1, records + 1):
        for first in range(0, len(pack_ids), batch):
            steps = [step(pack, party_id, number) for pack in pack_ids[first : first + batch]]
            async with db.transaction() as tx:
                if plain and batch == 1:
                    await tx.execute(PLAIN_ONE, *one_row(steps[0], number), "bench", NOW)
                elif plain:
                    await tx.execute(PLAIN, *columns(steps, number), "bench", NOW)
                else:
                    await store.append(tx, steps, by="bench", now=NOW)


def step(pack_id: UUID, party_id: UUID, number: int) -> Step:
    facts: dict[str, object] = {
        "grade": "B",
        "hazard": "intact",
        "tested_capacity_mah": 95_000 - number,
        "document": "验收单 2026-0615",
    }
    return Step(pack_id, "pack.inspected", date(2026, 6, 15), facts, "410100", party_id)


def columns(steps: list[Step], number: int) -> list[object]:
    rows = [one_row(step, number)[:-1] for step in steps]
    return [*map(list, zip(*rows, strict=True)), bytes(32)]


def one_row(step: Step, number: int) -> list[object]:
    pack_id, *others = store.fields(step)
    return [pack_id, number, *others, bytes(32)]


async def check(place: Place, records: int, say: Callable[[str], None]) -> None:
    """No bound but minutes for ten million, reckoned from fewer."""
    found: list[Finding] = []
    async with await connect(place.dsn("linked"), SETTINGS) as db:
        before = peak_mb()
        start = time.perf_counter()
        async with db.transaction(read_only=True) as tx:
            checked = await checking.verify(tx, found.append)
        took = time.perf_counter() - start
    assert (checked.records, found) == (records, []), found[:3]
    rate = records / took
    say(
        f"trace: {records:,} records checked in {took:.1f} s, {rate:,.0f}/s, with "
        f"{peak_mb() - before:.0f} MB more at the most; ten million would take "
        f"{TEN_MILLION / rate / 60:.1f} minutes at that rate"
    )


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
