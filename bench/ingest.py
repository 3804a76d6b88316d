"""Readings over HTTP until they are durable and summed up, against raw binary COPY of the same
readings as rows."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from statistics import median
from uuid import UUID

import asyncpg
import msgspec
import numpy as np

from bench import serving
from bench.load import Caller, callers, request
from bench.one_row import staff_key
from bench.place import SETTINGS, Place
from bench.result import Result, cpu_seconds, shown
from leasing.db.pool import connect
from leasing.health import summaries
from leasing.health.model import PackType
from leasing.health.sessions import cut
from leasing.telemetry import store
from leasing.telemetry.columns import CIVIL_OFFSET_US, DAY_US, Readings, civil_day, instant

AT_LEAST = 0.4
AT_LEAST_ROWS = 0.05
"""What was reached. Three times the rate of COPY, and half of it, are aimed at."""
COLUMN_PACKS, COLUMN_READINGS = 100, 500
"""In a batch of columns: what a hundred sites saw in eight hours."""

FIRST_US = 20_605 * DAY_US - CIVIL_OFFSET_US
"""A civil midnight in June 2026."""
MINUTE_US = 60_000_000
MSGPACK = "application/vnd.msgpack"

PACKS = """
INSERT INTO pack (chemistry, made_on, cells_in_series, rated_voltage_mv, rated_capacity_mah,
                  mass_kg, acquired_on, created_at)
SELECT 'B', '2021-12-04', 16, 51200, 100000, 46, '2025-01-02', now()
  FROM generate_series(1, $1::integer)
RETURNING id
"""

# A reading as a row, as they were stored before there were chunks.
ROWS = """
CREATE TABLE reading_row (
  pack_id uuid NOT NULL,
  at timestamptz NOT NULL,
  voltage_v real NOT NULL,
  current_a real NOT NULL,
  soc_percent real,
  temperature_c real,
  CONSTRAINT reading_row_once PRIMARY KEY (pack_id, at),
  CONSTRAINT reading_row_voltage CHECK (voltage_v BETWEEN 0 AND 2000),
  CONSTRAINT reading_row_current CHECK (current_a BETWEEN -5000 AND 5000),
  CONSTRAINT reading_row_soc CHECK (soc_percent BETWEEN 0 AND 100),
  CONSTRAINT reading_row_temperature CHECK (temperature_c BETWEEN -60 AND 200)
)
"""

COLUMNS = ("voltage_v", "current_a", "soc_percent", "temperature_c")


def minutes(first: int, packs: int, count: int, seed: int) -> Readings:
    """Packs that report once a minute: they charge at C/5 for two hours, rest, discharge, rest."""
    random = np.random.default_rng(seed)
    n = np.tile(np.arange(first, first + count), packs)
    amperes = np.array([20.0, 0.0, -20.0, 0.0])[n // 120 % 4]
    charged = np.select([n // 120 % 4 == 0, n // 120 % 4 == 2], [n % 120, 120 - n % 120])
    percent = 40 + np.where(n // 120 % 4 == 1, 120, charged) / 3
    noise = random.normal(size=(3, packs * count))
    return Readings(
        np.repeat(np.arange(packs, dtype=np.int32), count),
        FIRST_US + n * MINUTE_US,
        {
            "voltage_v": np.round(51.2 + percent / 40 + 0.02 * noise[0], 2).astype(np.float32),
            "current_a": np.round(amperes + 0.1 * noise[1], 1).astype(np.float32),
            "soc_percent": np.round(percent).astype(np.float32),
            "temperature_c": np.round(25 + 0.2 * noise[2], 1).astype(np.float32),
        },
    )


def as_columns(readings: Readings, pack_ids: Sequence[UUID]) -> bytes:
    packs = []
    for place, pack_id in enumerate(pack_ids):
        mine = readings.take(readings.pack == place)
        columns = {name: mine.scalars[name].astype("<f4").tobytes() for name in COLUMNS}
        at_ms = (mine.at // 1000).astype("<i8").tobytes()
        packs.append({"pack_id": str(pack_id), "at_ms": at_ms, **columns})
    return msgspec.msgpack.encode({"packs": packs})


def as_json(readings: Readings, pack_ids: Sequence[UUID]) -> bytes:
    columns = [readings.scalars[name].tolist() for name in COLUMNS]
    rows = zip(readings.pack.tolist(), readings.at.tolist(), *columns, strict=True)
    return msgspec.json.encode(
        {
            "readings": [
                {
                    "pack_id": pack_ids[pack],
                    "at": instant(at),
                    **dict(zip(COLUMNS, (round(value, 2) for value in values), strict=True)),
                }
                for pack, at, *values in rows
            ]
        }
    )


def as_copy(readings: Readings, pack_ids: Sequence[UUID]) -> bytes:
    """The same as rows in PostgreSQL's binary COPY format."""
    row = np.dtype(
        [("fields", ">i2"), ("l0", ">i4"), ("pack", "V16"), ("l1", ">i4"), ("at", ">i8")]
        + [(n + part, kind) for n in COLUMNS for part, kind in (("_l", ">i4"), ("", ">f4"))]
    )
    table = np.zeros(len(readings), row)
    table["fields"], table["l0"], table["l1"] = 6, 16, 8
    table["pack"] = np.array([one.bytes for one in pack_ids], "V16")[readings.pack]
    table["at"] = readings.at - 946_684_800_000_000
    for name in COLUMNS:
        table[f"{name}_l"], table[name] = 4, readings.scalars[name]
    return b"PGCOPY\n\xff\r\n\x00" + bytes(8) + table.tobytes() + b"\xff\xff"


@dataclass(frozen=True)
class Load:
    """Batches of one shape: as they are sent, and as they are copied."""

    name: str
    path: str
    media: str
    readings: int
    bodies: list[bytes]
    copies: list[bytes]
    at_least: float


def column_load(pack_ids: Sequence[UUID], number: int) -> Load:
    """Batch by batch other packs, and in the next round their next hours."""
    bodies, copies = [], []
    sets = max(1, len(pack_ids) // COLUMN_PACKS)
    for n in range(number):
        mine = pack_ids[n % sets * COLUMN_PACKS :][:COLUMN_PACKS]
        first = n // sets * COLUMN_READINGS
        readings = minutes(first, len(mine), COLUMN_READINGS, n)
        bodies.append(as_columns(readings, mine))
        copies.append(as_copy(readings, mine))
    size = min(COLUMN_PACKS, len(pack_ids)) * COLUMN_READINGS
    return Load("columns", "/v1/readings:columns", MSGPACK, size, bodies, copies, AT_LEAST)


def row_load(pack_ids: Sequence[UUID], number: int, size: int) -> Load:
    """Batch by batch the next minutes of all packs."""
    bodies, copies = [], []
    each = max(1, size // len(pack_ids))
    for n in range(number):
        readings = minutes(n * each, len(pack_ids), each, n)
        bodies.append(as_json(readings, pack_ids))
        copies.append(as_copy(readings, pack_ids))
    size = each * len(pack_ids)
    return Load("JSON", "/v1/readings", "application/json", size, bodies, copies, AT_LEAST_ROWS)


async def measure(
    place: Place,
    packs: int,
    number: int,
    size: int,
    connections: int,
    runs: int,
    say: Callable[[str], None],
) -> list[Result]:
    evaluate(say)
    await place.create("readings")
    connection = await place.open("readings")
    pack_ids = sorted(row["id"] for row in await connection.fetch(PACKS, packs))
    days = {(instant(FIRST_US + CIVIL_OFFSET_US)).date()}
    for table in store.PARTITIONED:
        await store.ensure_partitions(connection, table, days)
    await connection.execute(ROWS)
    await connection.execute("VACUUM ANALYZE")
    await connection.close()
    key = await staff_key(place, "readings")
    results = []
    for load in (column_load(pack_ids, number), row_load(pack_ids, number, size)):
        results.append(await measure_load(place, load, key, connections, runs, say))
    for database in ("run", "floor", "readings"):
        await place.drop(database)
    return results


async def measure_load(
    place: Place, load: Load, key: str, connections: int, runs: int, say: Callable[[str], None]
) -> Result:
    say(f"ingest: {len(load.bodies)} batches of {load.readings:,} readings as {load.name}")
    asked = [request("POST", load.path, key, body, load.media) for body in load.bodies]
    counted = (len(asked) - 1) * load.readings
    ours: list[float] = []
    floors: list[float] = []
    for run in range(1, runs + 1):
        await place.copy("readings", "run")
        spent = await post_all(place, "run", asked, connections)
        summed_s = await sum_up(place, "run")
        all_readings = len(asked) * load.readings
        seconds = spent.seconds * len(asked) + summed_s
        ours.append(all_readings / seconds)
        chunk_bytes = await size_of(place, "run", "reading_chunk") / all_readings
        await place.copy("readings", "floor")
        floors.append(load.readings / await copy_all(place, "floor", load.copies))
        row_bytes = await size_of(place, "floor", "reading_row") / all_readings
        say(
            f"ingest: {run} of {runs}: {ours[-1]:,.0f} readings/s "
            f"({load.readings / spent.seconds:,.0f} durable, "
            f"{all_readings / summed_s:,.0f} summed up), CPU a batch "
            f"{spent.server_s * 1e3:.0f} ms + PostgreSQL {spent.postgres_s * 1e3:.0f} ms; "
            f"COPY {floors[-1]:,.0f}/s; {chunk_bytes:.1f} bytes a reading, as rows {row_bytes:.1f}"
        )
    ratios = [one / floor for one, floor in zip(ours, floors, strict=True)]
    say(f"ingest: product ÷ COPY in turns: {shown(ratios)} ({counted:,} readings)")
    return Result(
        f"readings as {load.name}, summed up, {connections} connections",
        "readings/s",
        median(ours),
        median(floors),
        median(ratios),
        at_least=load.at_least,
    )


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


async def sum_up(place: Place, database: str) -> float:
    """What the hourly job does with it; returns seconds."""
    async with await connect(place.dsn(database), SETTINGS) as db:
        start = time.perf_counter()
        position: UUID | None = UUID(int=0)
        while position is not None:
            async with db.transaction() as tx:
                done = await summaries.seal_next(tx, position, 50)
            position = done.last
        return time.perf_counter() - start


async def copy_all(place: Place, database: str, copies: list[bytes]) -> float:
    """The same, by COPY on one connection, a transaction for each batch; returns seconds a
    batch."""
    connection: asyncpg.Connection = await place.open(database)
    try:
        start = time.perf_counter()
        for number, copy in enumerate(copies):
            if number == 1:
                start = time.perf_counter()

            async def once(copy: bytes = copy) -> AsyncIterator[bytes]:
                yield copy

            await connection.copy_to_table("reading_row", source=once(), format="binary")
        return (time.perf_counter() - start) / (len(copies) - 1)
    finally:
        await connection.close()


SIZE = """
SELECT (pg_total_relation_size($1::text::regclass)
        + coalesce(sum(pg_total_relation_size(inhrelid)), 0))::bigint
  FROM pg_inherits
 WHERE inhparent = $1::text::regclass
"""


async def size_of(place: Place, database: str, table: str) -> int:
    """Bytes of a table with its indexes, once what was deleted is gone."""
    connection = await place.open(database)
    try:
        await connection.execute(f"VACUUM FULL {table}")
        found: int = await connection.fetchval(SIZE, table)
        return found
    finally:
        await connection.close()


def evaluate(say: Callable[[str], None]) -> float:
    """Sessions of 500 packs and two days, nothing else; returns readings/s."""
    packs = 500
    readings = minutes(0, packs, 2 * 1440, 1)
    types = [PackType("B", 16, 100_000)] * packs
    took = []
    for _ in range(5):
        start = time.perf_counter()
        found = cut(readings, types)
        took.append(time.perf_counter() - start)
    rate = len(readings) / min(took)
    say(
        f"ingest: pure evaluation {rate:,.0f} readings/s ({len(readings):,} readings of "
        f"{len(set(civil_day(readings.at).tolist()))} days, {len(found):,} sessions)"
    )
    return rate
