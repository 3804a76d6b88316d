"""Lists of what is still to be reported, among five million obligations.

The statements are the store's own, explained and run warm, with a plan for the values asked and
with the plan for any values that a session may come to keep; the slower of the two counts.
Obligations are made by SQL: nine years of them, the lessor's own and of 2,000 recyclers, one in ten
still open. They are of no records, which no list reads.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from statistics import median
from uuid import UUID

from bench.place import Place
from bench.result import Result
from leasing.db.pool import Actor, DbRole, LoneConnection, step_down
from leasing.http.pages import FIRST
from leasing.obligations import store
from leasing.obligations.api import EVER

MOST_MS = 50.0
ROWS = 51
TURNS = 5
PACKS = 50_000
RECYCLERS = 2_000
TODAY = date(2026, 12, 1)
AT_ONCE = 500_000

PARTIES = """
INSERT INTO party (kind, name, created_at)
SELECT 'recycler', 'Recycler ' || n, now()
  FROM generate_series(1, $1::integer) AS n
"""

SOME_PACKS = """
INSERT INTO pack (chemistry, made_on, cells_in_series, rated_voltage_mv, rated_capacity_mah,
                  mass_kg, state, acquired_on, created_at)
SELECT 'B', '2018-01-01', 16, 51200, 100000, 46, 'in_stock', '2018-06-01', now()
  FROM generate_series(1, $1::integer)
"""

NUMBERED = """
CREATE TEMPORARY TABLE pack_number AS
SELECT row_number() OVER (ORDER BY id) - 1 AS n, id FROM pack;
CREATE TEMPORARY TABLE firm_number AS
SELECT row_number() OVER (ORDER BY id) - 1 AS n, id FROM party WHERE kind = 'recycler';
ANALYZE pack_number, firm_number
"""

RULE = "SELECT id FROM obligation_rule WHERE role = $1 ORDER BY id LIMIT 1"

# In order of recording; two in five are of recyclers.
OBLIGATIONS = """
INSERT INTO obligation (record_id, rule_id, pack_id, party_id, role, event_kind, event_on,
                        recipient, deadline_number, deadline_unit, due_on, is_provisional, state,
                        level, payload, submitted_on, void_reason, opened_at, changed_at)
SELECT uuidv7(), CASE WHEN is_theirs THEN $6::uuid ELSE $7::uuid END, pack.id, firm.id,
       CASE WHEN is_theirs THEN 'recycler' ELSE 'repurposer' END,
       CASE WHEN is_theirs THEN 'waste.inbound' ELSE 'cascade.shipped' END,
       event_on, 'platform', 30, 'calendar_days', event_on + 30, false, state,
       CASE WHEN state IN ('due', 'prepared') AND event_on + 30 < $4::date THEN 3 ELSE 0 END,
       CASE WHEN state NOT IN ('due', 'void') THEN '{"mass_kg": 46}'::jsonb END,
       CASE WHEN state IN ('submitted', 'accepted', 'rejected') THEN event_on + made.n % 33 END,
       CASE WHEN state = 'void' THEN 'corrected' END,
       event_on, event_on
  FROM (SELECT n,
               n % 5 < 2 AS is_theirs,
               DATE '2018-01-01' + (n::bigint * 3280 / $3)::integer AS event_on,
               CASE n / 7 % 20
                 WHEN 0 THEN 'due'
                 WHEN 10 THEN 'prepared'
                 WHEN 18 THEN 'submitted'
                 WHEN 19 THEN 'void'
                 ELSE 'accepted' END AS state
          FROM generate_series($1::integer, $2::integer) AS n) AS made
  JOIN pack_number AS pack ON pack.n = made.n % $5
  LEFT JOIN firm_number AS firm ON is_theirs AND firm.n = made.n / 5 % $8
 ORDER BY made.n
"""


@dataclass(frozen=True)
class Question:
    name: str
    sql: str
    arguments: tuple[object, ...]
    is_promised: bool = True


async def fill(place: Place, count: int, say: Callable[[str], None]) -> None:
    await place.create("obligations")
    connection = await place.open("obligations")
    try:
        await connection.execute(PARTIES, RECYCLERS)
        await connection.execute(SOME_PACKS, PACKS)
        await connection.execute(NUMBERED)
        # No record is behind them, so no key is checked.
        await connection.execute("SET session_replication_role = replica")
        rules = [await connection.fetchval(RULE, role) for role in ("recycler", "repurposer")]
        for start in range(0, count, AT_ONCE):
            end = min(start + AT_ONCE, count) - 1
            await connection.execute(
                OBLIGATIONS, start, end, count, TODAY, PACKS, *rules, RECYCLERS
            )
            say(f"obligations: {end + 1:,} made")
        await connection.execute("SET session_replication_role = origin")
        await connection.execute("VACUUM (ANALYZE) obligation")
    finally:
        await connection.close()


def questions(firm: UUID) -> list[Question]:
    december = (date(2026, 12, 1), date(2027, 1, 1))
    ever, overdue = (EVER[1], EVER[0], FIRST, ROWS), (TODAY, EVER[0], FIRST, ROWS)
    month = (december[1], december[0], FIRST, ROWS)
    middle = (EVER[1], date(2022, 6, 15), FIRST, ROWS)
    return [
        Question("all that is open", store.OPEN_OF_ALL, ever),
        Question("all that is overdue", store.OPEN_OF_ALL, overdue),
        Question("a page in the middle", store.OPEN_OF_ALL, middle),
        Question("due in a month", store.OPEN_OF_ALL, month),
        Question("the lessor's own", store.OPEN_OF_LESSOR, ever),
        Question("its own, due in a month", store.OPEN_OF_LESSOR, month),
        Question("its own, in a role", store.OPEN_OF_LESSOR_IN_ROLE, (*ever, "repurposer")),
        Question("its own, in a role of others", store.OPEN_OF_LESSOR_IN_ROLE, (*ever, "recycler")),
        Question("of one party", store.OPEN_OF_PARTY, (*ever, firm, None)),
        Question("one party's overdue", store.OPEN_OF_PARTY, (*overdue, firm, None)),
        Question("one party's, in another role", store.OPEN_OF_PARTY, (*ever, firm, "carmaker")),
        Question("in a role", store.OPEN_OF_ROLE, (*ever, "recycler")),
        Question("in a role, due in a month", store.OPEN_OF_ROLE, (*month, "recycler")),
        Question("in a role that has none", store.OPEN_OF_ROLE, (*ever, "carmaker")),
        Question("calendar of a month", store.BY_DAY, (*december, TODAY, None, False), False),
        Question("counts of a month", store.BY_PARTY, (*december, TODAY, None, ROWS), False),
    ]


async def explained(connection: LoneConnection, question: Question, mode: str) -> float:
    """Milliseconds, the median of some turns; the first warms the cache and is left out."""
    await connection.execute(f"SET LOCAL plan_cache_mode = {mode}")
    times = []
    for _ in range(TURNS + 1):
        told = await connection.fetchval(
            f"EXPLAIN (ANALYZE, FORMAT JSON) {question.sql}", *question.arguments
        )
        times.append(json.loads(told)[0]["Execution Time"])
    return median(times[1:])


async def generic(connection: LoneConnection, question: Question) -> float:
    """The same by the plan for any values."""
    name = "asked"
    arguments = ", ".join(
        "NULL" if one is None else f"'{one}'" if not isinstance(one, int | bool) else str(one)
        for one in question.arguments
    )
    await connection.execute("SET LOCAL plan_cache_mode = force_generic_plan")
    await connection.execute(f"PREPARE {name} AS {question.sql}")
    times = []
    for _ in range(TURNS + 1):
        told = await connection.fetchval(
            f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE {name}({arguments})"
        )
        times.append(json.loads(told)[0]["Execution Time"])
    await connection.execute(f"DEALLOCATE {name}")
    return median(times[1:])


async def measure(place: Place, count: int, say: Callable[[str], None]) -> list[Result]:
    await fill(place, count, say)
    connection = await place.open("obligations")
    worst = 0.0
    try:
        firm = await connection.fetchval(
            "SELECT party_id FROM obligation WHERE state = 'due' AND party_id IS NOT NULL LIMIT 1"
        )
        for actor in (Actor(), Actor(DbRole.RECYCLER, firm)):
            for question in questions(firm):
                async with connection.transaction():
                    await connection.execute(step_down(actor) or "SELECT 1")
                    planned = await explained(connection, question, "force_custom_plan")
                    kept = await generic(connection, question)
                who = actor.role or "staff"
                say(f"obligations: {who}: {question.name}: {planned:.2f} ms, any values {kept:.2f}")
                if question.is_promised:
                    worst = max(worst, planned, kept)
    finally:
        await connection.close()
    await place.drop("obligations")
    ratio = worst / MOST_MS
    what = f"slowest due list among {count:,} obligations"
    return [Result(what, "ms", worst, MOST_MS, ratio, at_most=1.0)]
