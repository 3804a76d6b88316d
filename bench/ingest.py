"""Readings over HTTP until they are durable, against raw COPY of the same rows."""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median
from uuid import UUID

import asyncpg
import msgspec

from bench import serving
from bench.load import Caller, callers, request
from bench.one_row import staff_key
from bench.place import SETTINGS, Place
from bench.result import Result, cpu_seconds, shown
from leasing.telemetry.store import COLUMNS, Row, ensure_partitions

AT_LEAST = 0.5

FIRST_AT = datetime(2026, 6, 1, tzinfo=UTC)
STEP = timedelta(seconds=60)

PACKS = """
INSERT INTO pack (chemistry, made_on, cells_in_series, rated_voltage_mv, rated_capacity_mah,
                  mass_kg, acquired_on, created_at)
SELECT 'B', '2021-12-04', 16, 51200, 100000, 46, '2025-01-02', now()
  FROM generate_series(1, $1::integer)
RETURNING id
"""


def batches(pack_ids: list[UUID], number: int, size: int) -> Iterator[list[Row]]:
    """Every pack reports once a minute; a batch is whatever came in, in order of time."""
    made = 0
    for _ in range(number):
        batch: list[Row] = []
        for _ in range(size):
            minute, pack = divmod(made, len(pack_ids))
            at = FIRST_AT + minute * STEP
            voltage_v, current_a = 51.2 + made % 40 / 10, made % 50 - 20.5
            batch.append((pack_ids[pack], at, voltage_v, current_a, made % 101 / 1, 25.5))
            made += 1
        yield batch


def as_json(batch: list[Row]) -> bytes:
    readings = [dict(zip(COLUMNS, row, strict=True)) for row in batch]
    return msgspec.json.encode({"readings": readings})


async def measure(
    place: Place,
    packs: int,
    number: int,
    size: int,
    connections: int,
    runs: int,
    say: Callable[[str], None],
) -> list[Result]:
    await place.create("readings")
    connection = await place.open("readings")
    pack_ids = [row["id"] for row in await connection.fetch(PACKS, packs)]
    await ensure_partitions(connection, {FIRST_AT.date()})
    await connection.execute("VACUUM ANALYZE")
    await connection.close()
    key = await staff_key(place, "readings")
    rows = list(batches(pack_ids, number, size))
    asked = [request("POST", "/v1/readings", key, as_json(batch)) for batch in rows]
    say(f"ingest: {number} batches of {size:,} readings, {packs:,} packs")
    ours: list[float] = []
    floors: list[float] = []
    for run in range(1, runs + 1):
        await place.copy("readings", "run")
        spent = await post_all(place, "run", asked, connections)
        ours.append(size / spent.seconds)
        await place.copy("readings", "floor")
        floors.append(size / await copy_all(place, "floor", rows))
        say(
            f"ingest: {run} of {runs}: {ours[-1]:,.0f} readings/s, CPU a batch "
            f"{spent.server_s * 1e3:.0f} ms + PostgreSQL {spent.postgres_s * 1e3:.0f} ms; "
            f"COPY {floors[-1]:,.0f}/s"
        )
    ratios = [one / floor for one, floor in zip(ours, floors, strict=True)]
    say(f"ingest: product ÷ COPY in turns: {shown(ratios)}")
    for database in ("run", "floor", "readings"):
        await place.drop(database)
    return [
        Result(
            f"reading ingest, {packs:,} packs, {connections} connections",
            "readings/s",
            median(ours),
            median(floors),
            median(ratios),
            at_least=AT_LEAST,
        )
    ]


@dataclass(frozen=True)
class Spent:
    """What a batch took, on average."""

    seconds: float
    server_s: float
    postgres_s: float


async def post_all(place: Place, database: str, asked: list[bytes], connections: int) -> Spent:
    """Send all batches; the first is to warm up and does not count."""
    waiting = list(reversed(asked))

    async def work(caller: Caller) -> None:
        while waiting:
            receipt = msgspec.json.decode(await caller.ask(waiting.pop()))
            if receipt["repeated"]:
                raise RuntimeError(f"readings were there already: {receipt}")

    log = place.folder / "product.log"
    async with (
        serving.product(place.dsn(database), SETTINGS.schema, log) as server,
        callers(server.port, connections) as made,
    ):
        await made[0].ask(waiting.pop())
        counted = len(waiting)
        server_s, postgres_s = cpu_seconds([server.pid]), cpu_seconds(await place.pids())
        start = time.perf_counter()
        await asyncio.gather(*(work(caller) for caller in made))
        return Spent(
            (time.perf_counter() - start) / counted,
            (cpu_seconds([server.pid]) - server_s) / counted,
            (cpu_seconds(await place.pids()) - postgres_s) / counted,
        )


async def copy_all(place: Place, database: str, rows: list[list[Row]]) -> float:
    """The same, by COPY on one connection, a transaction for each batch; returns seconds a
    batch."""
    connection: asyncpg.Connection = await place.open(database)
    try:
        start = time.perf_counter()
        for number, batch in enumerate(rows):
            if number == 1:
                start = time.perf_counter()
            await connection.copy_records_to_table("reading", records=batch, columns=COLUMNS)
        return (time.perf_counter() - start) / (len(rows) - 1)
    finally:
        await connection.close()
