"""Groups of companies, as the database keeps them, whoever writes."""

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from time import perf_counter
from uuid import UUID

import asyncpg
import pytest

from leasing.db.pool import Connection, Database
from leasing.kit.errors import DomainError
from leasing.kit.time import system_now
from leasing.parties import roles, service, store
from leasing.parties.model import BadBillingParty, NoSuchParty, PayerStillChosen
from schemas.parties import PartyCreate, PartyKind, PartyPatch, PartyRole, RoleCreate, RoleEnd

NOW = datetime(2026, 6, 15, tzinfo=UTC)

MOVE = """
UPDATE party
   SET parent_id = $2,
       parent_level = (SELECT above.level FROM party AS above WHERE above.id = $2)
 WHERE id = $1
"""

# On the way up from each party: has it met itself?
CIRCLES = """
WITH RECURSIVE way AS (
  SELECT id AS start, parent_id AS at
    FROM party
   UNION
  SELECT start, parent_id
    FROM way
    JOIN party ON id = at
)
SELECT count(*) FROM way WHERE start = at
"""

LEVELS = """
WITH RECURSIVE downward AS (
  SELECT id, 0 AS depth
    FROM party
   WHERE parent_id IS NULL
   UNION ALL
  SELECT party.id, depth + 1
    FROM downward
    JOIN party ON party.parent_id = downward.id
)
SELECT count(*) FILTER (WHERE depth = level) AS right, count(*) AS all
  FROM downward
  JOIN party USING (id)
"""


async def enter(tx: Connection, name: str, parent_id: UUID | None = None) -> UUID:
    data = PartyCreate(PartyKind.CUSTOMER, name, parent_id=parent_id)
    return (await service.create(tx, data, by="test", now=NOW)).id


async def chain(db: Database, length: int) -> list[UUID]:
    found: list[UUID] = []
    async with db.transaction() as tx:
        for number in range(length):
            found.append(await enter(tx, f"Level {number}", found[-1] if found else None))
    return found


async def refuse_disorder(db: Database) -> None:
    async with db.transaction() as tx:
        assert await tx.fetchval(CIRCLES) == 0
        counted = await tx.fetchrow(LEVELS)
        assert counted is not None
        assert counted["right"] == counted["all"] == await tx.fetchval("SELECT count(*) FROM party")


@pytest.mark.parametrize("length", range(1, 9))
def test_the_database_itself_refuses_a_circle_of_any_length(database, length):
    async def scenario(db: Database) -> None:
        line = await chain(db, length)
        for parent in line:
            with pytest.raises(asyncpg.IntegrityConstraintViolationError) as refused:
                async with db.transaction() as tx:
                    await tx.execute(MOVE, line[0], parent)
            assert refused.value.constraint_name in ("party_level", "party_parent")
        await refuse_disorder(db)

    database(scenario)


def test_a_level_cannot_be_written_other_than_it_is(database):
    async def scenario(db: Database) -> None:
        top, middle, bottom = await chain(db, 3)
        lies = [
            ("UPDATE party SET level = 0 WHERE id = $1", bottom),
            ("UPDATE party SET parent_level = 0 WHERE id = $1", bottom),
            ("UPDATE party SET parent_level = NULL WHERE id = $1", middle),
            ("UPDATE party SET parent_level = 1 WHERE id = $1", top),
            ("DELETE FROM party WHERE id = $1", top),
        ]
        for lie, party_id in lies:
            with pytest.raises(asyncpg.PostgresError):
                async with db.transaction() as tx:
                    await tx.execute(lie, party_id)
        await refuse_disorder(db)

    database(scenario)


@pytest.mark.parametrize("isolation", ["READ COMMITTED", "REPEATABLE READ"])
def test_two_moves_at_once_that_together_make_a_circle_do_not_both_pass(database, isolation):
    """Without the service and its lock: the first has not committed when the second writes."""

    async def scenario(db: Database) -> None:
        async with db.transaction() as tx:
            one, other = await enter(tx, "One"), await enter(tx, "Other")
            below = await enter(tx, "Below", other)
        first, second = [await db.connect_alone() for _ in range(2)]
        for connection in (first, second):
            await connection.execute(f"BEGIN ISOLATION LEVEL {isolation}")
            await connection.fetch("SELECT id, level FROM party")
        await first.execute(MOVE, one, below)

        async def late() -> None:
            await second.execute(MOVE, other, one)
            await second.execute("COMMIT")

        task = asyncio.create_task(late())
        await asyncio.sleep(0.2)
        await first.execute("COMMIT")
        with pytest.raises((asyncpg.IntegrityConstraintViolationError, asyncpg.SerializationError)):
            await task
        await first.close()
        await second.close()
        await refuse_disorder(db)
        async with db.transaction() as tx:
            assert await store.is_within(tx, one, other)

    database(scenario)


def test_many_moves_at_once_leave_a_tree(database):
    async def scenario(db: Database) -> None:
        async with db.transaction() as tx:
            ids = [await enter(tx, f"Party {number}") for number in range(6)]

        async def move(number: int) -> bool:
            mover, parent = ids[number % 6], ids[(number * 5 + 1) % 6]
            try:
                async with db.transaction() as tx:
                    version = (await service.get(tx, mover)).version
                    patch = PartyPatch(parent_id=parent)
                    await service.change(tx, mover, patch, version, by="test", now=NOW)
            except (DomainError, asyncpg.IntegrityConstraintViolationError):
                return False  # but no deadlock
            return True

        passed = [
            await asyncio.gather(*[move(turn * 7 + n) for n in range(7)]) for turn in range(8)
        ]
        assert any(any(turn) for turn in passed)
        assert not all(all(turn) for turn in passed)
        await refuse_disorder(db)

    database(scenario)


def test_a_group_of_a_whole_country_is_one_statement_and_stays_quick_to_move(database):
    async def scenario(db: Database) -> None:
        async with db.transaction() as tx:
            group = await enter(tx, "Group")
            provinces = [await enter(tx, f"Province {number}", group) for number in range(31)]
            cities = [
                await enter(tx, f"City {number}", provinces[number % 31]) for number in range(330)
            ]
            await enter(tx, "Somebody else")
            found = await store.tree(tx, group, 2_000)
            assert [row["id"] for row in found] == [group, *provinces, *cities]
            assert [row["level"] for row in found] == [0] + [1] * 31 + [2] * 330
            assert {row["id"]: row["parent_id"] for row in found}[cities[32]] == provinces[1]
            holding = await enter(tx, "Holding")
            began = perf_counter()
            patch = PartyPatch(parent_id=holding)
            await service.change(tx, group, patch, 1, by="test", now=NOW)
            assert perf_counter() - began < 5
            moved = await store.tree(tx, cities[0], 100)
            assert [row["id"] for row in moved] == [holding, group, provinces[0], cities[0]]
            assert [row["level"] for row in moved] == [0, 1, 2, 3]
        await refuse_disorder(db)

    database(scenario)


def test_a_tree_of_more_than_an_answer_holds_says_so(database):
    async def scenario(db: Database) -> None:
        async with db.transaction() as tx:
            group = await enter(tx, "Group")
            head = await enter(tx, "Head office", group)
            for expected in (service.MAX_DESCENDANTS, service.MAX_DESCENDANTS + 1):
                missing = expected - len((await service.tree(tx, head)).descendants)
                await tx.execute(
                    "INSERT INTO party (kind, name, parent_id, parent_level, created_at)"
                    " SELECT 'customer', 'Branch ' || number, $1, 1, $2"
                    "   FROM generate_series(1, $3::int) AS number",
                    head,
                    system_now(),
                    missing,
                )
                tree = await service.tree(tx, head)
                assert len(tree.descendants) == service.MAX_DESCENDANTS
                assert tree.is_complete is (expected == service.MAX_DESCENDANTS)
                assert [node.id for node in tree.ancestors] == [group]

    database(scenario)


def test_the_billing_party_is_the_nearest_choice_on_the_way_up(database):
    async def scenario(db: Database) -> None:
        group, province, city, district = await chain(db, 4)

        async def choose(chooser: UUID, chosen: UUID | None) -> list[int]:
            """Who gets the invoices of each, as places in the line."""
            async with db.transaction() as tx:
                version = (await service.get(tx, chooser)).version
                patch = PartyPatch(billing_party_id=chosen)
                await service.change(tx, chooser, patch, version, by="test", now=NOW)
                line = [group, province, city, district]
                resolved = [await service.billing_party(tx, party_id) for party_id in line]
                assert resolved == [(await service.get(tx, one)).billing_party_id for one in line]
                return [line.index(party_id) for party_id in resolved]

        assert await choose(group, None) == [0, 1, 2, 3]
        assert await choose(group, group) == [0, 0, 0, 0]
        assert await choose(city, city) == [0, 0, 2, 2]
        assert await choose(district, province) == [0, 0, 2, 1]
        assert await choose(group, None) == [0, 1, 2, 1]
        assert await choose(city, None) == [0, 1, 2, 1]
        assert await choose(province, group) == [0, 0, 0, 1]
        async with db.transaction() as tx:
            with pytest.raises(NoSuchParty):
                await service.billing_party(tx, UUID(int=7))

    database(scenario)


@pytest.mark.parametrize("turn", range(4))
def test_a_payer_is_not_chosen_and_ended_at_once(database, turn):
    async def scenario(db: Database) -> None:
        async with db.transaction() as tx:
            bank = await service.create(
                tx, PartyCreate(PartyKind.PARTNER, "Bank"), by="test", now=NOW
            )
            data = RoleCreate(PartyRole.PAYER, NOW.date())
            role = await roles.add(tx, bank.id, data, by="test", now=NOW)
            firms = [await enter(tx, f"Firm {number}") for number in range(4)]

        async def choose(firm: UUID) -> bool:
            async with db.transaction() as tx:
                patch = PartyPatch(billing_party_id=bank.id)
                try:
                    await service.change(tx, firm, patch, 1, by="test", now=NOW)
                except BadBillingParty:
                    return False
                await asyncio.sleep(0.05)  # the other side decides before this is committed
                return True

        async def end() -> bool:
            async with db.transaction() as tx:
                end = RoleEnd(NOW.date() + timedelta(days=1))
                try:
                    await roles.end(tx, bank.id, role.id, end, by="test", now=NOW)
                except PayerStillChosen:
                    return False
                await asyncio.sleep(0.05)
                return True

        steps: list[Coroutine[None, None, bool]] = [choose(firm) for firm in firms]
        steps.insert(turn, end())
        *chosen, ended = await asyncio.gather(*steps[:turn], *steps[turn + 1 :], steps[turn])
        assert ended is not any(chosen)

    database(scenario)


WORDS = ["铁塔", "联通", "移动", "电信", "能源", "储能", "物流", "公交", "环卫", "科技"]
CITIES = ["郑州", "上海", "北京", "广州", "南京", "武汉", "成都", "西安", "长春", "昆明"]

FILL = """
INSERT INTO party (kind, name, parent_id, parent_level, created_at)
SELECT 'customer', name, $2, 0, now()
  FROM unnest($1::text[]) AS name
"""


@pytest.mark.slow
def test_a_search_among_a_hundred_thousand_names_uses_the_index(database):
    async def scenario(db: Database) -> None:
        names = [
            f"{CITIES[n % 10]}{WORDS[n // 10 % 10]}{n}号{WORDS[n // 100 % 10]}有限公司"
            for n in range(100_000)
        ]
        # One connection, so that the plan is tried beyond the five that are made to measure.
        async with db.transaction() as tx:
            group = await enter(tx, "Group")
            # Made at once, the index takes far less than name by name.
            index = await tx.fetchval("SELECT pg_get_indexdef('party_by_name'::regclass)")
            await tx.execute("DROP INDEX party_by_name")
            for start in range(0, len(names), 10_000):
                await tx.execute(FILL, names[start : start + 10_000], group)
            await tx.execute(index)
            await tx.execute("ANALYZE party")
            seconds: dict[str, float] = {}
            for part in ("郑州铁塔70000号", "70000", "郑州铁塔70", "号移动", "不存在", "公司"):
                for _ in range(8):
                    began = perf_counter()
                    found = await store.after(tx, UUID(int=0), None, None, None, part, 51)
                    took = perf_counter() - began
                    seconds[part] = min(took, seconds.get(part, took))
                expected = [name for name in names if part in name][:51]
                assert [row["name"] for row in found] == expected
            print({part: f"{1000 * took:.1f} ms" for part, took in seconds.items()})
            plan = "\n".join(
                row[0]
                for row in await tx.fetch("EXPLAIN " + literal(store.LIST, "郑州铁塔70000号"))
            )
            assert "party_by_name" in plan

    database(scenario)


def literal(sql: str, name: str) -> str:
    for number, value in enumerate((f"'{UUID(int=0)}'", "NULL", "NULL", "NULL", f"'{name}'", "51")):
        sql = sql.replace(f"${number + 1}", value)
    return sql
