"""Listing and searching among a million packs: what PostgreSQL needs for the store's statements.

The statements are the store's own, explained and run. They are run as the lessor's staff, and as
customers that see a thousand packs and sixty thousand by row-level security. What is measured is
the execution time PostgreSQL reports; there is no floor but the promise, 20 ms a statement.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from statistics import median
from uuid import UUID

import msgspec

from bench import leases
from bench.place import Place
from bench.result import Result
from leasing.batteries import guesses, identifier_store, identifiers, store
from leasing.batteries.store import Filters
from leasing.db.pool import Actor, DbRole, LoneConnection, step_down
from leasing.http.pages import FIRST, LAST

MOST_MS = 20.0
ROWS = 51
TURNS = 5
LEASED = 100_000
"""The first has six lines in ten, forty others a thousand each (of a million packs), sixty none."""
MODULES_OF_EACH = 2
PACKS_WITH_PARTS = 100_000

# Fifty makers, thirty-two ratings, and one product ("NEW") that only the newest packs are of.
PACKS = """
INSERT INTO pack (chemistry, maker, made_on, cells_in_series, rated_voltage_mv,
                  rated_capacity_mah, mass_kg, state, acquired_on, recycled_on, created_at)
SELECT CASE WHEN n % 5 = 0 THEN 'E' ELSE 'B' END,
       CASE WHEN is_new THEN 'NEW' ELSE 'M' || lpad((n * 7 % 50)::text, 2, '0') END,
       DATE '2018-01-01' + (n * 2000::bigint / $3)::integer,
       16,
       CASE WHEN is_new THEN 76800 ELSE 12800 * (1 + n % 4) END,
       CASE WHEN is_new THEN 314000 ELSE 50000 + 10000 * (n / 4 % 8) END,
       46,
       state,
       '2025-01-02',
       CASE WHEN state = 'recycled' THEN DATE '2025-06-01' END,
       now()
  FROM (SELECT n, n > $3::integer - $3 / 500 AS is_new,
               CASE WHEN n % 1000 < 3 THEN 'routed'
                    WHEN n % 20 < 3 THEN 'returned'
                    WHEN n < $3 / 4 AND n % 20 < 10 THEN 'recycled'
                    ELSE 'in_stock' END AS state
          FROM generate_series($1::integer + 1, $2::integer) AS n) AS numbered
 ORDER BY n
"""

CODES = """
INSERT INTO pack_code (pack_id, scheme, code, assigned_by, is_printed, valid)
SELECT id, 'gbt34014',
       coalesce(maker, '9ZZ') || 'P' || chemistry || '51BENCH01BC4' || lpad(n::text, 7, '0'),
       coalesce(maker, '9ZZ'), true, daterange(made_on, NULL)
  FROM (SELECT id, maker, chemistry, made_on, row_number() OVER (ORDER BY id) AS n
          FROM pack) AS numbered
 ORDER BY id
"""

OLD_CODES = """
INSERT INTO pack_code (pack_id, scheme, code, assigned_by, is_printed)
SELECT id, 'maker_serial', 'SN' || lpad(n::text, 9, '0'), 'EVE', false
  FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM pack) AS numbered
 WHERE n % 2 = 0
 ORDER BY id
"""

PARTS = """
INSERT INTO part (id, kind, scheme, code, assigned_by, created_at)
SELECT uuidv7(), 'module', 'gbt34014', '9ZZMB51BENCH01BC4' || lpad(n::text, 7, '0'), '9ZZ', now()
  FROM generate_series(1, $1::integer) AS n
 ORDER BY n
"""

# In every tenth pack, so that the customers have some too.
STAYS = """
INSERT INTO part_stay (part_id, pack_id, depth, during)
SELECT part.id, holder.id, 1, daterange('2025-01-01', NULL)
  FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM part) AS part
  JOIN (SELECT id, row_number() OVER (ORDER BY id) AS n FROM pack) AS holder
    ON holder.n = ((part.n - 1) / $1 + 1) * 10
"""

# The customers that have packs, from the smallest on; one pack of each, and a part in one.
CUSTOMERS_BY_SIZE = """
SELECT lessee_id
  FROM lease_line
  JOIN placement ON placement.line_id = lease_line.id
 WHERE upper_inf(during)
 GROUP BY lessee_id
 ORDER BY count(*), lessee_id
"""

CUSTOMERS_PACK = """
SELECT code
  FROM pack_code
  JOIN placement ON placement.pack_id = pack_code.pack_id
  JOIN lease_line ON lease_line.id = placement.line_id
 WHERE lessee_id = $1
   AND is_current
   AND upper_inf(placement.during)
 ORDER BY code
 LIMIT 1
"""

CUSTOMERS_PART = """
SELECT part.code
  FROM part
  JOIN part_stay ON part_stay.part_id = part.id
  JOIN placement ON placement.pack_id = part_stay.pack_id
  JOIN lease_line ON lease_line.id = placement.line_id
 WHERE lessee_id = $1
   AND upper_inf(placement.during)
 ORDER BY part.code
 LIMIT 1
"""

VISIBLE = "SELECT count(*) FROM pack"

NEAR_THE_END = "SELECT id FROM pack ORDER BY id DESC OFFSET 50 LIMIT 1"
NEAR_THE_END_OF_STATE = """
SELECT id FROM pack WHERE state = $1 ORDER BY id DESC OFFSET 50 LIMIT 1
"""
IN_THE_MIDDLE = "SELECT id FROM pack ORDER BY id OFFSET $1 LIMIT 1"


NEWEST_MADE_FROM = "2023-06-01"
OTHERS_PARTS = "9ZZMB51BENCH01BC4000001"


@dataclass(frozen=True)
class Question:
    name: str
    sql: str
    arguments: tuple[object, ...]
    is_promised: bool = True
    """Under the bound. What is not is measured and told all the same."""
    knows_holder: bool = False
    """Its last parameter says whether a customer asks."""


@dataclass
class Answered:
    question: Question
    rows: int
    milliseconds: list[float]
    planning_ms: float
    plan: str


async def fill(place: Place, database: str, packs: int, say: Callable[[str], None]) -> None:
    """Packs, a tenth of them leased, each with a printed code, every second with a serial."""
    await place.create(database)
    connection = await place.open(database)
    leased = min(LEASED, packs // 10)
    others = packs - leased - leased // 50
    try:
        for start, end in ((0, others // 2), (others // 2, others)):
            if start:
                await leases.make(
                    connection,
                    leased,
                    date(2026, 1, 5),
                    date(2026, 3, 16),
                    large=leased,
                    small=leased // leases.SLOTS // 100,
                    quickly=False,
                )
                say(f"packs: {leased:,} lines leased out")
            await connection.execute(PACKS, start, end, others)
            say(f"packs: {end:,} others entered")
        for statement in (CODES, OLD_CODES):
            await connection.execute(statement)
        say("packs: codes given")
        with_parts = min(PACKS_WITH_PARTS, packs // 10)
        await connection.execute(PARTS, with_parts * MODULES_OF_EACH)
        await connection.execute(STAYS, MODULES_OF_EACH)
        say("packs: parts installed")
        await connection.execute("VACUUM (ANALYZE)")
    finally:
        await connection.close()


def listed(name: str, start: UUID, newest_first: bool = False, **filters: object) -> Question:
    sql = store.LIST_NEWEST_FIRST if newest_first else store.LIST
    wanted = msgspec.structs.astuple(msgspec.convert(filters, Filters, strict=False))
    return Question(name, sql, (start, ROWS, *wanted), knows_holder=True)


def sought(name: str, text: str) -> list[Question]:
    most = identifiers.MOST_MATCHES + 1
    return [
        Question(f"{name}, exact", identifier_store.BY_CODE, ([text], most)),
        prefix(f"{name}, by 20 characters", text[:20]),
    ]


def prefix(name: str, text: str) -> Question:
    upper = text + identifier_store.HIGHEST_CHARACTER
    arguments = (text, upper, identifiers.MOST_MATCHES + 1)
    return Question(name, identifier_store.BY_PREFIX, arguments, knows_holder=True)


async def questions(
    connection: LoneConnection, visible: int, code: str, part: str
) -> list[Question]:
    """What is asked by somebody who sees so many packs; pages begin where theirs do."""
    end = await connection.fetchval(NEAR_THE_END)
    middle = await connection.fetchval(IN_THE_MIDDLE, visible // 2)
    ends = {
        state: await connection.fetchval(NEAR_THE_END_OF_STATE, state)
        for state in ("leased", "in_stock", "routed")
    }
    of_state = {state: last for state, last in ends.items() if last is not None}
    tried = [guess.value for guess in guesses.guesses(code[14:] + code[:14])]
    found = [row["pack_id"] for row in await connection.fetch(identifier_store.BY_CODE, [code], 9)]
    return [
        listed("first page", FIRST),
        listed("a page in the middle", middle),
        listed("last page", end),
        listed("newest first", LAST, newest_first=True),
        *(listed(f"{state}, first page", FIRST, state=state) for state in of_state),
        *(listed(f"{state}, last page", last, state=state) for state, last in of_state.items()),
        listed("maker, chemistry, state", FIRST, maker="M10", chemistry="E", state="returned"),
        listed("maker and chemistry that none has", FIRST, maker="M07", chemistry="E"),
        listed("voltage and capacity", FIRST, **rating(51_200, 120_000)),
        replace(
            listed(
                "voltage, capacity, days of make",
                middle,
                **rating(25_600, 90_000),
                made_from="2021-01-01",
                made_to="2021-06-30",
            ),
            is_promised=False,
        ),
        listed("a rating that only the newest have", FIRST, **rating(76_800, 314_000)),
        listed("days of the newest, newest first", LAST, True, made_from=NEWEST_MADE_FROM),
        replace(
            listed("days of the newest, oldest first", FIRST, made_from=NEWEST_MADE_FROM),
            is_promised=False,
        ),
        listed("a rating that none has", FIRST, **rating(60_000, 60_000)),
        listed("list by code", FIRST, code=code),
        *sought("code", code),
        prefix("code, by 4 characters", code[:4]),
        *sought("part", part),
        prefix("part, by 4 characters", part[:4]),
        prefix("a beginning that none has", "9ZZX"),
        prefix("part that others have, by 23 characters", OTHERS_PARTS),
        Question(f"{len(tried)} guesses", identifier_store.BY_CODE, (tried, 21)),
        Question("what was found", store.GET_MANY, (found,)),
    ]


def rating(voltage_mv: int, capacity_mah: int) -> dict[str, object]:
    return {
        "least_voltage_mv": voltage_mv,
        "most_voltage_mv": voltage_mv,
        "least_capacity_mah": capacity_mah - 5_000,
        "most_capacity_mah": capacity_mah + 5_000,
    }


async def ask(connection: LoneConnection, question: Question, turns: int) -> Answered:
    """Explain and run a statement several times; the first time warms the cache."""
    times, planning = [], 0.0
    for _ in range(turns + 1):
        told = await connection.fetchval(
            f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {question.sql}", *question.arguments
        )
        (explained,) = json.loads(told)
        times.append(explained["Execution Time"])
        planning = explained["Planning Time"]
    lines = await connection.fetch(
        f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, COSTS OFF) {question.sql}", *question.arguments
    )
    return Answered(
        question,
        explained["Plan"]["Actual Rows"],
        times[1:],
        planning,
        "\n".join(line[0] for line in lines),
    )


async def ask_all(
    connection: LoneConnection,
    name: str,
    actor: Actor,
    code: str,
    part: str,
    say: Callable[[str], None],
) -> list[Answered]:
    async with connection.transaction(readonly=True):
        await connection.execute(step_down(actor) or "SELECT 1")
        visible = await connection.fetchval(VISIBLE)
        say(f"packs: {name}: {visible:,} to be seen")
        found = []
        by_holder = await store.plan_for_these_values(connection)
        for question in await questions(connection, visible, code, part):
            last = (by_holder,) if question.knows_holder else ()
            asked = replace(question, arguments=(*question.arguments, *last))
            one = await ask(connection, asked, TURNS)
            found.append(one)
            say(
                f"packs: {name}: {question.name}: {median(one.milliseconds):,.2f} ms "
                f"(most {max(one.milliseconds):,.2f}), planned in {one.planning_ms:.1f} ms, "
                f"{one.rows:.0f} rows"
            )
    return found


async def measure(
    place: Place, packs: int, plans: Path | None, say: Callable[[str], None]
) -> list[Result]:
    await fill(place, "packs", packs, say)
    connection = await place.open("packs")
    try:
        sizes = await connection.fetch(CUSTOMERS_BY_SIZE)
        smallest, largest = (sizes[at]["lessee_id"] for at in (0, -1))
        answered = {}
        for name, party_id, actor in (
            ("staff", smallest, Actor()),
            ("customer", smallest, Actor(DbRole.CUSTOMER, smallest)),
            ("large customer", largest, Actor(DbRole.CUSTOMER, largest)),
        ):
            code = await connection.fetchval(CUSTOMERS_PACK, party_id)
            part = await connection.fetchval(CUSTOMERS_PART, party_id)
            answered[name] = await ask_all(connection, name, actor, code, part, say)
    finally:
        await connection.close()
    await place.drop("packs")
    if plans is not None:
        write(plans, packs, answered)
    return [
        result(name, one)
        for name, found in answered.items()
        for one in found
        if one.question.is_promised
    ]


def result(name: str, answered: Answered) -> Result:
    took = median(answered.milliseconds)
    return Result(
        f"packs, {name}: {answered.question.name}",
        "µs",
        took * 1e3,
        MOST_MS * 1e3,
        took / MOST_MS,
        at_most=1.0,
    )


def write(plans: Path, packs: int, answered: dict[str, list[Answered]]) -> None:
    """The plans as PostgreSQL tells them, for the documentation."""
    parts = [f"Plans of the statements on packs, {packs:,} packs. Written by python -m bench."]
    for name, found in answered.items():
        for one in found:
            head = f"{name}: {one.question.name}, {median(one.milliseconds):.2f} ms"
            parts.append(f"== {head}\n\n{one.plan}")
    plans.parent.mkdir(parents=True, exist_ok=True)
    plans.write_text("\n\n".join(parts) + "\n", "utf-8")
