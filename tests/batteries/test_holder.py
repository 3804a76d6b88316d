"""Who has a pack, as the database keeps it: a customer sees by it what it saw by the stays."""

import asyncio
import random
from collections.abc import Iterator
from datetime import date, timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest

from leasing.batteries import identifier_store, store
from leasing.batteries.store import Filters
from leasing.db import migrate
from leasing.db.pool import (
    Actor,
    Connection,
    Database,
    DbRole,
    connect,
    quote_identifier,
    savepoint,
)
from leasing.http.pages import FIRST, LAST
from leasing.kit.settings import Settings
from leasing.regions import store as regions
from tests import build

# --- A small fleet, written past the API ------------------------------------------------------

CUSTOMERS = 3
LINES_OF_EACH = 2
PACKS = 5
PARTS = 4
BEGIN = date(2026, 1, 1)

MAKE = """
INSERT INTO party (kind, name, created_at)
SELECT 'customer', 'Customer ' || n, now()
  FROM generate_series(1, {customers}) AS n;

INSERT INTO site (party_id, code, name, kind, adcode, longitude, latitude, datum, created_at)
SELECT id, 'S', 'Tower', 'tower', '410100', 113.5, 34.8, 'wgs84', now()
  FROM party;

INSERT INTO contract (number, lessee_id, currency, created_at)
SELECT 'C-' || id, id, 'CNY', now()
  FROM party;

INSERT INTO contract_revision (
  contract_id, number, during, vat_mode, vat_percent, payment_days, billing_alignment,
  billing_timing, guarantee_percent, replacement_days, notice_days, renewal, minimum_months,
  deposit_amount, permitted_use, early_termination, buy_out, escalator, cause, entered_by,
  entered_at)
SELECT id, 1, daterange('2020-01-01', NULL), 'exclusive', 13, 30, 'calendar', 'arrears', 80, 7, 0,
       'none', 0, 0, 'telecom_backup', '{{"kind": "not_allowed"}}', '{{"kind": "none"}}',
       '{{"kind": "none"}}', 'agreed', '-', now()
  FROM contract;

INSERT INTO contract_term (contract_id, during, kind, entered_by, entered_at)
SELECT id, daterange('2020-01-01', '2035-01-01'), 'agreed', '-', now()
  FROM contract;

INSERT INTO lease_line (contract_id, lessee_id, from_on)
SELECT id, lessee_id, '2020-01-01'
  FROM contract, generate_series(1, {lines});

INSERT INTO line_revision (line_id, number, during, contract_id, lessee_id, site_id, slot,
                           rated_capacity_mah, base_rent_amount, base_from_on, rent_amount, cause,
                           entered_by, entered_at)
SELECT lease_line.id, 1, daterange('2020-01-01', NULL), contract_id, lessee_id, site.id,
       row_number() OVER (), 100000, 1, '2020-01-01', 1, 'agreed', '-', now()
  FROM lease_line
  JOIN site ON site.party_id = lessee_id;

INSERT INTO pack (chemistry, made_on, cells_in_series, rated_voltage_mv, rated_capacity_mah,
                  mass_kg, state, acquired_on, created_at)
SELECT 'B', '2021-12-04', 16, 51200, 100000, 46,
       CASE WHEN n % 2 = 0 THEN 'leased' ELSE 'in_stock' END, '2025-01-02', now()
  FROM generate_series(1, {packs}) AS n;

INSERT INTO pack_code (pack_id, scheme, code, is_printed)
SELECT id, 'unrecognised', 'PRINTED-' || row_number() OVER (), true
  FROM pack;

INSERT INTO part (kind, scheme, code, created_at)
SELECT 'module', 'unrecognised', 'PART-' || n, now()
  FROM generate_series(1, {parts}) AS n
"""


async def make_fleet(db: Database) -> None:
    counts = {"customers": CUSTOMERS, "lines": LINES_OF_EACH, "packs": PACKS, "parts": PARTS}
    async with db.transaction() as tx:
        await tx.execute(MAKE.format(**counts))


ACCEPT = """
INSERT INTO acceptance (line_id, contract_id, pack_id, accepted_on, tested_capacity_mah,
                        lessor_signatory, lessee_signatory)
SELECT lease_line.id, contract_id, $2, $3, 1, 'A', 'B'
  FROM lease_line
 WHERE lease_line.id = $1
RETURNING id
"""

PLACE = """
INSERT INTO placement (acceptance_id, line_id, pack_id, site_id, slot, during)
SELECT $1, line_id, $3, site_id, slot, daterange($4, $5)
  FROM line_revision
 WHERE line_id = $2
"""

MOVE_STAY = """
UPDATE placement
   SET acceptance_id = $2,
       line_id = $3,
       pack_id = $4,
       (site_id, slot) = (SELECT site_id, slot FROM line_revision WHERE line_id = $3)
 WHERE id = $1
"""


class Walk:
    """Anything that may befall packs and what is written beside them, in any order."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.day = BEGIN

    async def some(self, tx: Connection, table: str) -> UUID:
        ids = [row["id"] for row in await tx.fetch(f"SELECT id FROM {table} ORDER BY id")]
        found: UUID = self.random.choice(ids)
        return found

    async def step(self, tx: Connection) -> str | None:
        """One change; its name, or None when the database refused it or there was nothing."""
        self.day += timedelta(days=1)
        steps = (
            self.hand_over,
            self.hand_over,
            self.end_stay,
            self.reopen_stay,
            self.enter_past_stay,
            self.move_stay,
            self.delete_stay,
            self.give_code,
            self.move_code,
            self.install,
            self.move_part,
            self.rename_part,
            self.name_origin,
        )
        chosen = self.random.choice(steps)
        try:
            async with savepoint(tx):
                await chosen(tx)
                await tx.execute("SET CONSTRAINTS ALL IMMEDIATE")
        except (asyncpg.IntegrityConstraintViolationError, IndexError):
            return None
        return chosen.__name__

    async def hand_over(self, tx: Connection, to: date | None = None) -> None:
        line, pack = await self.some(tx, "lease_line"), await self.some(tx, "pack")
        accepted = await tx.fetchval(ACCEPT, line, pack, self.day)
        await tx.execute(PLACE, accepted, line, pack, self.day, to)

    async def enter_past_stay(self, tx: Connection) -> None:
        await self.hand_over(tx, self.day + timedelta(days=1))

    async def end_stay(self, tx: Connection) -> None:
        stay = await self.some(tx, "placement WHERE upper_inf(during)")
        sql = "UPDATE placement SET during = daterange(lower(during), $2) WHERE id = $1"
        await tx.execute(sql, stay, self.day + timedelta(days=1))

    async def reopen_stay(self, tx: Connection) -> None:
        stay = await self.some(tx, "placement WHERE NOT upper_inf(during)")
        sql = "UPDATE placement SET during = daterange(lower(during), NULL) WHERE id = $1"
        await tx.execute(sql, stay)

    async def move_stay(self, tx: Connection) -> None:
        stay = await self.some(tx, "placement")
        line, pack = await self.some(tx, "lease_line"), await self.some(tx, "pack")
        accepted = await tx.fetchval(ACCEPT, line, pack, self.day)
        await tx.execute(MOVE_STAY, stay, accepted, line, pack)

    async def delete_stay(self, tx: Connection) -> None:
        stay = await self.some(tx, "placement")
        await tx.execute("DELETE FROM placement WHERE id = $1", stay)

    async def give_code(self, tx: Connection) -> None:
        sql = (
            "INSERT INTO pack_code (pack_id, scheme, code, is_printed)"
            " VALUES ($1, 'unrecognised', $2, false)"
        )
        await tx.execute(sql, await self.some(tx, "pack"), f"CODE-{self.day}")

    async def move_code(self, tx: Connection) -> None:
        code = await self.some(tx, "pack_code WHERE NOT is_printed")
        sql = "UPDATE pack_code SET pack_id = $2 WHERE id = $1"
        await tx.execute(sql, code, await self.some(tx, "pack"))

    async def install(self, tx: Connection) -> None:
        sql = (
            "INSERT INTO part_stay (part_id, pack_id, depth, during)"
            " VALUES ($1, $2, 1, daterange($3, $4))"
        )
        pack = await self.some(tx, "pack") if self.random.random() < 0.8 else None
        to = self.random.choice((None, self.day + timedelta(days=1)))
        await tx.execute(sql, await self.some(tx, "part"), pack, self.day, to)

    async def move_part(self, tx: Connection) -> None:
        stay = await self.some(tx, "part_stay")
        pack = await self.some(tx, "pack") if self.random.random() < 0.8 else None
        await tx.execute("UPDATE part_stay SET pack_id = $2 WHERE id = $1", stay, pack)

    async def rename_part(self, tx: Connection) -> None:
        part = await self.some(tx, "part")
        await tx.execute("UPDATE part SET code = $2 WHERE id = $1", part, f"PART-{self.day}")

    async def name_origin(self, tx: Connection) -> None:
        sql = "INSERT INTO pack_origin (pack_id, scheme, code) VALUES ($1, 'unrecognised', $2)"
        await tx.execute(sql, await self.some(tx, "pack"), f"ORIGIN-{self.day}")


# --- What a customer is granted ---------------------------------------------------------------

HELD = """
SELECT pack_id
  FROM placement
  JOIN lease_line ON lease_line.id = line_id
 WHERE lessee_id = $1
   AND upper_inf(during)
"""

GRANTED = {
    "pack": f"SELECT id FROM pack WHERE id IN ({HELD})",
    "pack_code": f"SELECT id FROM pack_code WHERE pack_id IN ({HELD})",
    "pack_origin": f"SELECT id FROM pack_origin WHERE pack_id IN ({HELD})",
    "part_stay": f"SELECT id FROM part_stay WHERE pack_id IN ({HELD})",
    "part": f"SELECT id FROM part WHERE id IN"
    f" (SELECT part_id FROM part_stay WHERE pack_id IN ({HELD}))",
}


async def granted(db: Database, party_id: UUID) -> dict[str, set[UUID]]:
    async with db.transaction() as tx:
        return {
            table: {row["id"] for row in await tx.fetch(sql, party_id)}
            for table, sql in GRANTED.items()
        }


async def seen(db: Database, actor: Actor) -> dict[str, set[UUID]]:
    async with db.transaction(actor) as tx:
        return {
            table: {row["id"] for row in await tx.fetch(f"SELECT id FROM {table}")}
            for table in GRANTED
        }


async def customers(db: Database) -> list[UUID]:
    async with db.transaction() as tx:
        rows = await tx.fetch("SELECT id FROM party WHERE kind = 'customer' ORDER BY id")
        return [row["id"] for row in rows]


async def refuse_other_sight(db: Database) -> int:
    """Each customer sees what its stays grant it and nothing else; returns how many rows."""
    rows = 0
    for party_id in await customers(db):
        found = await seen(db, Actor(DbRole.CUSTOMER, party_id))
        assert found == await granted(db, party_id)
        rows += sum(map(len, found.values()))
    return rows


STEPS = 120
MOST_STEPS = 3_000


@pytest.mark.parametrize("seed", range(3))
def test_a_customer_sees_what_its_stays_grant_whatever_befalls_the_packs(database, seed):
    async def scenario(db: Database) -> None:
        await make_fleet(db)
        walk, taken, rows = Walk(seed), set(), 0
        for _ in range(STEPS):
            async with db.transaction() as tx:
                taken.add(await walk.step(tx))
            rows += await refuse_other_sight(db)
        assert len(taken - {None}) > 9, taken
        assert rows > STEPS

    database(scenario)


# --- The migration ----------------------------------------------------------------------------


@pytest.fixture
def empty(dsn: str) -> Iterator[Settings]:
    settings = Settings(schema=f"holder_{uuid4().hex[:8]}", pool_size=2)
    yield settings
    asyncio.run(drop(dsn, settings))


async def drop(dsn: str, settings: Settings) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute(f"DROP SCHEMA {quote_identifier(settings.schema)} CASCADE")
    await connection.close()


def test_customers_and_recyclers_see_after_the_migration_what_they_saw_before(dsn, empty):
    files = migrate.files()
    (holder,) = [one.number for one in files if one.name.endswith("_pack_holder.sql")]

    async def scenario() -> None:
        await migrate.migrate(dsn, empty, migrations=files[: holder - 1])
        async with await connect(dsn, empty) as db:
            async with db.transaction() as tx:
                await regions.load(tx)
            await make_fleet(db)
            walk = Walk(7)
            async with db.transaction() as tx:
                for _ in range(MOST_STEPS):
                    await walk.step(tx)
                    if await all_have_some(tx):
                        break
                recycler = await route_away(tx)
            actors = [Actor(DbRole.CUSTOMER, party_id) for party_id in await customers(db)]
            actors.append(Actor(DbRole.RECYCLER, recycler))
            before = [await seen(db, actor) for actor in actors]
            assert all(all(one.values()) for one in before)
        await migrate.migrate(dsn, empty, migrations=files)
        async with await connect(dsn, empty) as db:
            assert [await seen(db, actor) for actor in actors] == before
            assert await refuse_other_sight(db)

    asyncio.run(scenario())


async def all_have_some(tx: Connection) -> bool:
    """Whether every customer is granted a row of every table; every walk comes there in time."""
    parties = await tx.fetch("SELECT id FROM party WHERE kind = 'customer'")
    for party in parties:
        for sql in GRANTED.values():
            if not await tx.fetch(sql, party["id"]):
                return False
    return True


ROUTE = """
WITH chosen AS (
  SELECT pack_id
    FROM part_stay
   WHERE pack_id IN (SELECT pack_id FROM pack_origin)
   ORDER BY id
   LIMIT 1
), inspected AS (
  INSERT INTO inspection (pack_id, inspected_on, grade, hazard, remarks, lessor_signatory,
                          lessee_signatory)
  SELECT pack_id, '2026-01-01', 'D', 'intact', '', 'A', 'B'
    FROM chosen
  RETURNING id, pack_id
), decided AS (
  INSERT INTO disposition (pack_id, inspection_id, decision, decided_on, reason)
  SELECT pack_id, id, 'recycle', '2026-01-01', 'worn'
    FROM inspected
  RETURNING id, pack_id
)
INSERT INTO routing (pack_id, disposition_id, outlet_id, recycler_id, mass_kg, distance_m,
                     hand_over_on, explanation, chosen_at)
SELECT pack_id, id, $1, $2, 46, 1, '2026-01-01', '{}', now()
  FROM decided
RETURNING pack_id
"""


async def route_away(tx: Connection) -> UUID:
    """A recycler, and a pack with a part and an origin that is on its way to it."""
    made: UUID = await tx.fetchval(
        "INSERT INTO party (kind, name, created_at) VALUES ('recycler', 'R', now()) RETURNING id"
    )
    outlet = await tx.fetchval(
        build.INSERT_OUTLET, "O", "collecting", 113.5, 34.8, made, ["B"], ["intact"], 5_000
    )
    assert await tx.fetchval(ROUTE, outlet, made)
    return made


# --- Two at the same time ---------------------------------------------------------------------


async def waiting(db: Database) -> None:
    """Until a session waits for another."""
    for _ in range(500):
        async with db.transaction() as tx:
            if await tx.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
                return
        await asyncio.sleep(0.01)
    raise AssertionError("nobody waits")


@pytest.mark.parametrize("first", ["hand-over", "code"])
def test_a_code_given_while_a_pack_is_handed_over_is_the_new_holder_s(database, first):
    async def scenario(db: Database) -> None:
        await make_fleet(db)
        async with db.transaction() as tx:
            line = await tx.fetchrow("SELECT id, lessee_id FROM lease_line LIMIT 1")
            pack = await tx.fetchval("SELECT id FROM pack LIMIT 1")
            accepted = await tx.fetchval(ACCEPT, line["id"], pack, BEGIN)

        async def hand_over(tx: Connection) -> None:
            await tx.execute(PLACE, accepted, line["id"], pack, BEGIN, None)

        async def give_code(tx: Connection) -> None:
            await tx.execute(
                "INSERT INTO pack_code (pack_id, scheme, code, is_printed)"
                " VALUES ($1, 'unrecognised', 'NEW', false)",
                pack,
            )

        async def alone(work) -> None:
            async with db.transaction() as tx:
                await work(tx)

        one, other = (hand_over, give_code) if first == "hand-over" else (give_code, hand_over)
        async with db.transaction() as tx:
            await one(tx)
            later = asyncio.create_task(alone(other))
            await waiting(db)
        await later
        async with db.transaction(Actor(DbRole.CUSTOMER, line["lessee_id"])) as tx:
            assert await tx.fetchval("SELECT count(*) FROM pack_code WHERE code = 'NEW'") == 1

    database(scenario)


# --- Lists and searches -----------------------------------------------------------------------


async def walked(tx: Connection, filters: Filters, *, newest_first: bool) -> list[UUID]:
    """The ids of a list, page by page."""
    found: list[UUID] = []
    while True:
        start = found[-1] if found else LAST if newest_first else FIRST
        page = await store.after(tx, start, filters, 2, newest_first=newest_first)
        if not page:
            return found
        found += [row["id"] for row in page]


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("filters", [Filters(), Filters(state="leased"), Filters(chemistry="B")])
def test_a_customer_s_pages_are_those_of_the_staff_without_the_others_packs(
    database, newest_first, filters
):
    async def scenario(db: Database) -> None:
        await make_fleet(db)
        first, second, _ = await customers(db)
        async with db.transaction() as tx:
            packs = [row["id"] for row in await tx.fetch("SELECT id FROM pack ORDER BY id")]
            for party_id, held in ((first, packs[:2]), (second, packs[3:])):
                lines = await tx.fetch("SELECT id FROM lease_line WHERE lessee_id = $1", party_id)
                await hand_to(tx, held, [row["id"] for row in lines])
            everything = await walked(tx, filters, newest_first=newest_first)
        for party_id in (first, second):
            async with db.transaction(Actor(DbRole.CUSTOMER, party_id)) as tx:
                found = await walked(tx, filters, newest_first=newest_first)
                codes = await identifier_store.by_prefix(tx, "PRINTED-", 9)
            own = (await granted(db, party_id))["pack"]
            assert found == [pack_id for pack_id in everything if pack_id in own]
            assert found
            assert [row["pack_id"] for row in codes] == sorted(own)

    database(scenario)


async def hand_to(tx: Connection, packs: list[UUID], lines: list[UUID]) -> None:
    for pack, line in zip(packs, lines, strict=False):
        accepted = await tx.fetchval(ACCEPT, line, pack, BEGIN)
        await tx.execute(PLACE, accepted, line, pack, BEGIN, None)
