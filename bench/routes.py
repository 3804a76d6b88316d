"""Ways to outlets through the whole product: one pack in process, over HTTP, with a reservation
that is on disk; a plan made and applied; and all of it at once in processes of their own.

Outlets, packs and prices are generated. Figures are milliseconds as seen by who asked, one after
the other, unless it says otherwise.
"""

import time
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from uuid import UUID

import numpy as np

from bench import races, serving, waste
from bench.load import Caller, callers, request
from bench.one_row import staff_key
from bench.place import SETTINGS, Place
from bench.result import cpu_seconds
from bench.serving import Server
from leasing.db.pool import Database, connect
from leasing.end_of_life import choosing, loads, plan_store, plans, rerouting, snapshot
from leasing.kit.time import civil_date, system_now

NAME = "routes"
WARM = 20


async def measure(place: Place, waiting: int, say: Callable[[str], None]) -> None:
    await place.create(NAME)
    key = await staff_key(place, NAME)
    dsn = place.dsn(NAME)
    today = civil_date(system_now())
    async with await connect(dsn, SETTINGS) as db:
        async with db.transaction() as tx:
            await waste.country(tx, today)
            ids = await waste.waiting(tx, waiting)
            await tx.execute("UPDATE outlet SET stock_kg = store_limit_kg * 6 / 10")
        await place_in_order(db)
        say(f"routes: {waiting:,} packs wait, {await free_room(db):,} t of room")
        await in_process(db, today, say)
        third = len(ids) // 3
        async with serving.product(dsn, SETTINGS.schema, place.folder / "routes.log") as server:
            await over_http(place, server, key, ids[:third], today, say)
        await planned_and_raced(db, ids, today, say)
        await withdrawn(db, say)
    await place.drop(NAME)


async def place_in_order(db: Database) -> None:
    async with db.pool.acquire() as connection:
        await connection.execute("ANALYZE")


async def free_room(db: Database) -> int:
    async with db.transaction(read_only=True) as tx:
        known = await snapshot.load(tx)
    return int(known.free_kg.sum()) // 1000


def told(milliseconds: Sequence[float]) -> str:
    p50, p99 = np.percentile(milliseconds, [50, 99])
    return f"{p50:.2f} ms p50, {p99:.2f} ms p99 of {len(milliseconds):,}"


async def in_process(db: Database, today: date, say: Callable[[str], None]) -> None:
    async with db.transaction(read_only=True) as tx:
        begun = time.perf_counter()
        known = await snapshot.load(tx)
        loaded = 1e3 * (time.perf_counter() - begun)
        everything = await loads.waiting(tx, 2_000)
        begun = time.perf_counter()
        await snapshot.read_room(tx, known)
        room = 1e3 * (time.perf_counter() - begun)
    day = known.on(today + timedelta(days=3))
    say(f"routes: all outlets loaded in {loaded:.0f} ms, their room alone in {room:.1f} ms")
    answers, answers_cpu, judged_cpu = [], [], []
    for load in everything[:500]:
        asked = day.question_of(load)
        begun, cpu = time.perf_counter(), time.thread_time()
        day.atlas.answer(asked)
        answers.append(1e3 * (time.perf_counter() - begun))
        answers_cpu.append(1e3 * (time.thread_time() - cpu))
        day.atlas.last = None
        cpu = time.thread_time()
        choosing.options(choosing.judge(day, asked), [load.pack_id], day.day)
        judged_cpu.append(1e3 * (time.thread_time() - cpu))
    say(
        f"routes: in process, exact over {len(known.ids):,} outlets: {told(answers[WARM:])}; "
        f"CPU {told(answers_cpu[WARM:])}"
    )
    say(f"routes: in process, with all that is told: CPU {told(judged_cpu[WARM:])}")


async def over_http(
    place: Place, server: Server, key: str, ids: list[UUID], today: date, say: Callable[[str], None]
) -> None:
    on = today + timedelta(days=3)
    body = f'{{"hand_over_on": "{on}"}}'.encode()
    asked = {
        "a GET that does next to nothing": [request("GET", "/v1/me", key)] * len(ids),
        "options read": [
            request("GET", f"/v1/packs/{one}/route-options?hand_over_on={on}", key) for one in ids
        ],
        "reserved and on disk": [
            request("POST", f"/v1/packs/{one}/routings", key, body) for one in ids
        ],
    }
    async with callers(server.port, 1) as (caller,):
        for what, requests in asked.items():
            cpu, postgres = cpu_seconds([server.pid]), await place.cpu_s()
            took = await timed(caller, requests)
            spent = 1e3 * (cpu_seconds([server.pid]) - cpu) / len(requests)
            theirs = 1e3 * (await place.cpu_s() - postgres) / len(requests)
            say(
                f"routes: over HTTP, {what}: {told(took)}; CPU {spent:.1f} ms "
                f"+ PostgreSQL {theirs:.1f} ms each"
            )


async def timed(caller: Caller, requests: list[bytes]) -> list[float]:
    took = []
    for asked in requests:
        begun = time.perf_counter()
        await caller.ask(asked)
        took.append(1e3 * (time.perf_counter() - begun))
    return took[min(WARM, len(took) // 2) :]


async def planned_and_raced(
    db: Database, ids: list[UUID], today: date, say: Callable[[str], None]
) -> None:
    begun = time.perf_counter()
    plan_id = await plans.make(db, today, by="bench")
    made = time.perf_counter() - begun
    assert plan_id is not None
    async with db.transaction(read_only=True) as tx:
        plan = await plans.get(tx, plan_id)
        places = await plan_store.prefectures(tx, plan_id)
    say(
        f"routes: a plan for {plan.packs:,} packs in {made:.1f} s ({plan.solver_seconds} s of it "
        f"solving), {plan.gap_ppm:.0f} ppm below its bound, {plan.held} held"
    )
    async with db.transaction() as tx:
        ids = ids + await waste.waiting(tx, len(ids) // 3, 2)
    seen = await races.race(
        db, plan_id, ids, batches=4, streams=2, on=races.handed_over_on(today), seconds=60
    )
    batches = [one for ran in seen.batches for one in ran.milliseconds]
    singles = [one for ran in seen.streams for one in ran.milliseconds]
    errors = [one for ran in seen.batches + seen.streams for one in ran.others]
    applied = sum(ran.routed for ran in seen.batches)
    alone = sum(ran.routed for ran in seen.streams)
    say(
        f"routes: 4 batches ({len(places)} chunks, {told(batches)}) and 2 streams at once, each a "
        f"process: {applied:,} packs by plan, {alone:,} one by one ({told(singles)})"
    )
    say(
        f"routes: oversold {seen.oversold_kg} kg, {seen.unbalanced} outlets out of balance, "
        f"{seen.twice} packs twice, "
        f"{sum(ran.deadlocks for ran in seen.batches + seen.streams)} deadlocks, "
        f"other errors {errors[:3]}"
    )


WITHDRAW = """
UPDATE qualification
   SET valid = daterange(lower(valid), $1::date),
       withdrawn_on = $1,
       withdrawal_document = 'bench'
 WHERE kind = 'discharge_permit'
   AND valid @> $1::date
   AND lower(valid) < $1
   AND party_id IN (
         SELECT recycler_id
           FROM (SELECT recycler_id, sum(count(*)) OVER (ORDER BY count(*), recycler_id) AS many
                   FROM outlet
                  GROUP BY recycler_id) AS by_size
          WHERE many <= (SELECT count(*) / 10 FROM outlet))
"""


async def withdrawn(db: Database, say: Callable[[str], None]) -> None:
    now = system_now()
    async with db.transaction() as tx:
        await tx.execute(WITHDRAW, civil_date(now))
    async with db.transaction() as tx:
        begun = time.perf_counter()
        done = await rerouting.reroute(tx, "bench", by="bench", now=now)
        took = time.perf_counter() - begun
    say(
        f"routes: recyclers of some 10 % of outlets withdrawn: {done.hit} routings hit, "
        f"{done.rerouted} elsewhere, {len(done.held)} held, {took:.2f} s with all that is written"
    )
