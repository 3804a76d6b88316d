"""The nightly check of a fleet, thirty days of sessions each, against reading the very same rows.

The check is the real job: what came in is followed session by session, judged, and stored with its
evidence. The floor fetches the same sessions by the same statement, a chunk of packs at a time, and
does nothing with them.
"""

import time
from collections.abc import Callable
from datetime import date, timedelta
from statistics import median
from uuid import UUID

from bench.place import SETTINGS, Place
from bench.result import Result, shown
from jobs import health, runner
from leasing.db.pool import connect
from leasing.health import session_store
from leasing.kit.time import civil_date, midnight
from leasing.telemetry import store

NIGHT = date(2026, 6, 30)
DAYS = 30
LEAST_RATIO = 0.05

PACKS = """
INSERT INTO pack (chemistry, maker, made_on, cells_in_series, rated_voltage_mv,
                  rated_capacity_mah, mass_kg, state, acquired_on, created_at)
SELECT CASE WHEN n % 2 = 0 THEN 'E' ELSE 'B' END, '0EY', '2024-01-01', 16, 51200, 100000, 46,
       'in_stock', '2025-01-02', '2025-01-02'
  FROM generate_series(1, $1::integer) AS n
"""

# Every night a charge: of LFP from empty to full, of ternary cells from 30 to 85 %.
SESSIONS = """
INSERT INTO pack_session (pack_id, started_at, ended_at, direction, samples, charge_ah, opening_ah,
                          sampling_ah, missing_share, before_v, start_v, end_v, start_a, end_a,
                          start_soc_percent, end_soc_percent, median_a, median_temperature_c,
                          rest_before_s, rest_after_s)
SELECT id, at, at + interval '5 hours', 1, 300,
       CASE chemistry WHEN 'B' THEN 92 ELSE 50 END + sin(nth * 7.0), 0.1, 0.1, 0,
       CASE chemistry WHEN 'B' THEN 2.85 ELSE 3.60 END,
       CASE chemistry WHEN 'B' THEN 2.90 ELSE 3.65 END,
       CASE chemistry WHEN 'B' THEN 3.63 ELSE 4.00 END, 20, 20,
       CASE chemistry WHEN 'B' THEN 0 ELSE 30 END,
       CASE chemistry WHEN 'B' THEN 100 ELSE 85 END, 20, 25, 14400, 600
  FROM pack
 CROSS JOIN generate_series(0, $2::integer - 1) AS nth
 CROSS JOIN LATERAL (SELECT $1::timestamptz + nth * interval '1 day' AS at) AS started
"""

TELEMETRY = """
INSERT INTO pack_telemetry (pack_id, latest_at, received_at, online_since, unevaluated_from)
SELECT id, $2, $2, $1, $1
  FROM pack
"""


async def measure(place: Place, packs: int, runs: int, say: Callable[[str], None]) -> list[Result]:
    began, ended = midnight(NIGHT - timedelta(days=DAYS)), midnight(NIGHT)
    await place.create("fleet")
    connection = await place.open("fleet")
    days = {civil_date(began + timedelta(days=n)) for n in range(DAYS)}
    await store.ensure_partitions(connection, store.SESSIONS, days)
    await connection.execute(PACKS, packs)
    await connection.execute(SESSIONS, began + timedelta(hours=1), DAYS)
    await connection.execute(TELEMETRY, began, ended - timedelta(minutes=1))
    await connection.execute("VACUUM ANALYZE")
    await connection.close()
    ours, floors = [], []
    for run in range(1, runs + 1):
        await place.copy("fleet", "night")
        floors.append(packs / await read(place, packs))
        ours.append(packs / await check(place))
        say(f"health: {run} of {runs}: {ours[-1]:,.0f} packs/s, rows alone {floors[-1]:,.0f}")
    for database in ("night", "fleet"):
        await place.drop(database)
    ratios = [one / floor for one, floor in zip(ours, floors, strict=True)]
    say(f"health: product ÷ reading the rows in turns: {shown(ratios, 3)} ({packs:,} packs)")
    return [
        Result(
            f"nightly check, {packs:,} packs, {DAYS} sessions each",
            "packs/s",
            median(ours),
            median(floors),
            median(ratios),
            at_least=LEAST_RATIO,
        )
    ]


async def check(place: Place) -> float:
    """Seconds of the job, and that it checked all."""
    async with await connect(place.dsn("night"), SETTINGS) as db:
        start = time.perf_counter()
        state = await runner.run_once(db, "health", health.run, NIGHT, lambda done, total: None)
        seconds = time.perf_counter() - start
        async with db.transaction(read_only=True) as tx:
            left = await tx.fetchval(
                "SELECT count(*) FROM pack WHERE NOT EXISTS"
                " (SELECT FROM health_check WHERE pack_id = pack.id AND verdict = 'pass')"
            )
    if state != "done" or left:
        raise RuntimeError(f"the check is {state}, {left} packs were not judged")
    return seconds


async def read(place: Place, packs: int) -> float:
    """Seconds of fetching the sessions of all packs."""
    connection = await place.open("night")
    ids = [row["id"] for row in await connection.fetch("SELECT id FROM pack ORDER BY id")]
    began, ended = midnight(NIGHT - timedelta(days=DAYS)), midnight(NIGHT)
    start, fetched = time.perf_counter(), 0
    for first in range(0, len(ids), health.CHUNK_PACKS):
        chunk: list[UUID] = ids[first : first + health.CHUNK_PACKS]
        from_ats = [began] * len(chunk)
        rows = await connection.fetch(session_store.ENDED, chunk, from_ats, began, ended)
        fetched += len(rows)
    seconds = time.perf_counter() - start
    await connection.close()
    if fetched != packs * DAYS:
        raise RuntimeError(f"{fetched} sessions were read")
    return seconds
