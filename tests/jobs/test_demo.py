"""The demo at a small scale, played on the real jobs and services."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
import uvloop
from msgspec.structs import replace

from jobs.demo import battery, cast, keys, play, stage
from jobs.demo.model import FLEET_PRODUCTS, TOWER_PRODUCTS, Scale, after_months
from jobs.demo.stage import InUse, NotOurs, Progress
from leasing.access import store as access
from leasing.access.model import KeyRefused, Role
from leasing.batteries import codes
from leasing.db import clock
from leasing.db.migrate import migrate
from leasing.db.pool import Database, connect, quote_identifier
from leasing.health import rules
from leasing.health.model import PackType, Sample
from leasing.health.sessions import sessions
from leasing.kit.settings import Settings
from leasing.kit.time import system_now
from leasing.ledger import store as ledger

SMALL = Scale(sites=10, fleet_packs=10, months=6, failing_share=0.3)
TINY = Scale(sites=2, fleet_packs=4, months=2)


@pytest.fixture
def settings(dsn: str) -> Iterator[Settings]:
    """A schema that nobody has used."""
    made = Settings(schema=f"demo_{uuid4().hex[:12]}", pool_size=4)
    yield made
    asyncio.run(drop(dsn, made.schema))


async def drop(dsn: str, schema: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute(f"DROP SCHEMA IF EXISTS {quote_identifier(schema)} CASCADE")
    await connection.close()


Look = Callable[[Database], Coroutine[Any, Any, Any]]


def demo(
    dsn: str, settings: Settings, look: Look, *, scale: Scale = TINY, fresh: bool = False
) -> tuple[Any, list[str]]:
    """Open the demo as the command does; returns what was seen, and what was said."""
    said: list[str] = []

    async def work() -> Any:
        async with play.ready(dsn, settings, scale=scale, fresh=fresh, say=said.append) as db:
            return await look(db)

    return uvloop.run(work()), said


async def nothing(db: Database) -> None: ...


async def fetch(db: Database, query: str) -> list[tuple[Any, ...]]:
    async with db.transaction(read_only=True) as tx:
        return [tuple(row) for row in await tx.fetch(query)]


INVOICES = """
SELECT number, net_amount, vat_amount, total_amount, issued_on, due_on
  FROM invoice
 ORDER BY number
"""
PACKS = "SELECT state, count(*), sum(mass_kg) FROM pack GROUP BY state ORDER BY state"
VERDICTS = "SELECT verdict, count(*), sum(capacity_mah) FROM health_check GROUP BY 1 ORDER BY 1"
ROUTINGS = """
SELECT outlet.code, state, mass_kg, handed_over_on
  FROM routing
  JOIN outlet ON outlet.id = outlet_id
 ORDER BY outlet.code, mass_kg, state, handed_over_on
"""
RUNS = "SELECT job, count(*) FROM job_run WHERE state = 'done' GROUP BY job ORDER BY job"


async def outcome(db: Database) -> list[list[tuple[Any, ...]]]:
    return [await fetch(db, query) for query in (INVOICES, PACKS, VERDICTS, ROUTINGS, RUNS)]


@pytest.mark.slow
def test_a_small_demo_plays_to_its_end_and_every_book_agrees(dsn, settings):
    async def look(db: Database) -> Any:
        async with db.transaction(read_only=True) as tx:
            time = await clock.read(tx)
            balances = await ledger.balances(tx)
        assert time.sandbox
        assert sum(row["debit"] for row in balances) == sum(row["credit"] for row in balances) > 0
        await refuse_unbalanced_mass(db)
        return await outcome(db)

    found, _ = demo(dsn, settings, look, scale=SMALL)
    invoices, packs, verdicts, routings, runs = found
    # Six months, two customers; nothing was parked, left open or failed.
    assert len(invoices) == 12
    counts = dict(runs)
    # An hourly one runs wherever the sandbox stops for another.
    assert counts.pop("telemetry") > 184
    assert counts == {
        "accounting": 6,
        "billing": 184,
        "contracts": 184,
        "documents": 184,
        "duties": 184,
        "einvoices": 184,
        "health": 184,
        "housekeeping": 26,
        "interest": 6,
        "obligations": 184,
        "market": 184,
        "receivables": 184,
        "recyclers": 184,
        "routing": 184,
        "tests": 26,
        "trace": 184,
    }
    assert sum(count for _, count, _ in packs) >= SMALL.sites * 2 + SMALL.fleet_packs
    assert {verdict for verdict, _, _ in verdicts} >= {"pass", "breach"}
    assert "abstained" not in {verdict for verdict, _, _ in verdicts}
    # A recycler lost its permit between choice and hand-over: its routing was given up.
    assert {"released", "recycled"} <= {state for _, state, _, _ in routings}

    # The same scale tells the same story, in another schema too.
    other = replace(settings, schema=settings.schema + "_b")
    try:
        again, _ = demo(dsn, other, outcome, scale=SMALL)
    finally:
        asyncio.run(drop(dsn, other.schema))
    assert again == found


async def refuse_unbalanced_mass(db: Database) -> None:
    """Every pack bought is in one state; what outlets hold is what was routed to them."""
    ((acquired, packs),) = await fetch(
        db,
        "SELECT (SELECT count(*) FROM trace_record WHERE kind = 'pack.acquired'),"
        " (SELECT count(*) FROM pack)",
    )
    assert acquired == packs
    wrong = await fetch(
        db,
        """
        SELECT outlet.code
          FROM outlet
          LEFT JOIN LATERAL (
                 SELECT coalesce(sum(mass_kg) FILTER (WHERE state = 'handed_over'), 0) AS stock_kg,
                        coalesce(sum(mass_kg) FILTER (WHERE state = 'reserved'), 0) AS reserved_kg
                   FROM routing
                  WHERE outlet_id = outlet.id) AS routed ON true
         WHERE (outlet.stock_kg, outlet.reserved_kg) <> (routed.stock_kg, routed.reserved_kg)
        """,
    )
    assert wrong == []
    odd = await fetch(
        db,
        """
        SELECT pack.id, pack.state, routing.state
          FROM pack
          LEFT JOIN routing ON routing.pack_id = pack.id AND routing.state <> 'released'
         WHERE CASE pack.state
                 WHEN 'routed' THEN routing.state IS DISTINCT FROM 'reserved'
                 WHEN 'handed_over' THEN routing.state IS DISTINCT FROM 'handed_over'
                 WHEN 'recycled' THEN routing.state IS DISTINCT FROM 'recycled'
                 ELSE routing.state IS NOT NULL
               END
            OR pack.mass_kg <> routing.mass_kg
        """,
    )
    assert odd == []


@pytest.mark.slow
def test_a_second_start_finds_the_demo_and_a_fresh_one_makes_another(dsn, settings):
    async def party(db: Database) -> Any:
        return await fetch(db, "SELECT id FROM party WHERE kind = 'lessor'")

    first, _ = demo(dsn, settings, party)
    second, said = demo(dsn, settings, party)
    assert second == first
    assert said == []
    third, _ = demo(dsn, settings, party, fresh=True)
    assert third != first


@pytest.mark.slow
def test_an_interrupted_demo_is_played_again_from_the_start(dsn, settings, monkeypatch):
    async def cut_short(*arguments: Any, **named: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(cast, "enter_cast", cut_short)
        with pytest.raises(KeyboardInterrupt):
            demo(dsn, settings, nothing)
    assert asyncio.run(progress(dsn, settings)) is Progress.BEGUN
    _, said = demo(dsn, settings, nothing)
    assert said[0] == "the demo was interrupted; it is played again"
    assert asyncio.run(progress(dsn, settings)) is Progress.COMPLETED


async def progress(dsn: str, settings: Settings) -> Progress:
    async with stage.kept(dsn, settings.schema) as connection:
        return await stage.progress(connection, settings.schema)


@asynccontextmanager
async def occupied(dsn: str, settings: Settings, deed: Look) -> AsyncIterator[None]:
    await migrate(dsn, settings)
    async with await connect(dsn, settings) as db:
        await deed(db)
        yield


async def enter_a_party(db: Database) -> None:
    async with db.transaction() as tx:
        await tx.execute(
            "INSERT INTO party (kind, name, created_at) VALUES ('customer', 'Real', now())"
        )


async def make_a_sandbox(db: Database) -> None:
    async with db.transaction() as tx:
        await clock.make_sandbox(tx, system_now())


async def make_a_table_of_another_program(db: Database) -> None:
    async with db.transaction() as tx:
        await tx.execute("DROP TABLE domain_event CASCADE")


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("deed", [enter_a_party, make_a_sandbox, make_a_table_of_another_program])
def test_a_schema_that_is_not_the_demos_is_neither_used_nor_dropped(dsn, settings, deed, fresh):
    async def work() -> None:
        async with occupied(dsn, settings, deed):
            with pytest.raises(NotOurs):
                async with play.ready(dsn, settings, scale=TINY, fresh=fresh):
                    pass
            async with stage.kept(dsn, settings.schema) as connection:
                assert await connection.fetchval("SELECT to_regnamespace($1)", settings.schema)

    asyncio.run(work())


def test_two_processes_do_not_play_in_one_schema(dsn, settings):
    async def work() -> None:
        async with stage.kept(dsn, settings.schema):
            with pytest.raises(InUse):
                async with play.ready(dsn, settings, scale=TINY):
                    pass

    asyncio.run(work())


@pytest.mark.slow
def test_each_start_gives_new_keys_and_revokes_the_last(dsn, settings):
    async def look(db: Database) -> None:
        async with db.transaction() as tx:
            old = await keys.renew(tx, system_now())
        async with db.transaction() as tx:
            new = await keys.renew(tx, system_now())
        async with db.transaction() as tx:
            callers = [await access.verify(tx, one.key, system_now()) for one in new]
            for one in old:
                with pytest.raises(KeyRefused):
                    await access.verify(tx, one.key, system_now())
        assert [caller.role for caller in callers] == [
            Role.STAFF,
            Role.CUSTOMER,
            Role.CUSTOMER,
            Role.RECYCLER,
            Role.AUDITOR,
        ]

    demo(dsn, settings, look)


def test_a_commit_that_does_not_wait_is_asked_for_in_any_form_of_dsn():
    assert play.unhurried("postgresql://a/b") == "postgresql://a/b?synchronous_commit=off"
    assert play.unhurried("postgresql:///b?host=%2Frun").endswith("&synchronous_commit=off")


@pytest.mark.parametrize("product", [*TOWER_PRODUCTS, *FLEET_PRODUCTS])
def test_a_quarterly_charge_tells_the_capacity_to_within_its_interval(product):
    random = Random(1)
    for number in range(1, 30):
        pack = cast.draw(UUID(int=number), number, product, SMALL.starts_on, SMALL, random)
        on = after_months(SMALL.starts_on, 5)
        readings = battery.quarterly_charge(pack, on, random)
        assert 20 <= len(readings) <= 40
        samples = [
            Sample(
                at=reading.at,
                voltage_v=reading.voltage_v,
                current_a=reading.current_a,
                soc_percent=reading.soc_percent,
                temperature_c=reading.temperature_c,
            )
            for reading in readings
        ]
        pack_type = PackType(
            product.chemistry,
            product.cells_in_series,
            product.rated_capacity_mah,
            None if product.full_cell_mv is None else product.full_cell_mv / 1000,
        )
        found = rules.conclude(
            [rules.estimate(one, pack_type) for one in sessions(samples, pack_type)]
        )
        assert found.method == "coulomb.anchored", found.evidence
        assert found.lower_mah is not None
        assert found.upper_mah is not None
        assert found.capacity_mah is not None
        assert found.lower_mah <= battery.capacity_mah(pack, on) <= found.upper_mah
        assert found.upper_mah - found.lower_mah < 0.1 * found.capacity_mah


@pytest.mark.parametrize("number", [1, 2, 3])
def test_packs_carry_valid_codes_and_a_cascade_pack_remembers_its_origin(number):
    offer = cast.offer(number, TOWER_PRODUCTS[0], SMALL.starts_on, Random(number))
    decoded = codes.decode(offer.code)
    assert decoded.chemistry == TOWER_PRODUCTS[0].chemistry
    assert len(offer.code) == (19 if number == 3 else 24)
    assert len(offer.original_codes) == (2 if number == 3 else 0)
    for original in offer.original_codes:
        codes.decode(original)
