"""Mass balances: whatever befalls packs adds up, and a row that was broken shows."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from jobs import cli
from leasing.access.model import Role
from leasing.balances import rules
from leasing.balances.model import Batch, Pack, Scope, Stay, Step
from leasing.db.pool import Database, connect
from leasing.kit.settings import Settings
from leasing.kit.time import midnight
from leasing.life_files import words
from leasing.traceability import store as traceability
from schemas.balances import Fate
from schemas.packs import PackState
from tests import build
from tests.build import Json, World
from tests.consignments import lots
from tests.passports.states import every_state

FIRST = date(2026, 1, 1)
DAYS = 60
LAST = FIRST + timedelta(days=DAYS)
FIRM, LESSEE, OUTLET = UUID(int=1), UUID(int=2), UUID(int=3)

KINDS = [*sorted(set(rules.STATE_AFTER) - {"pack.acquired"}), "waste.outbound", "pack.inspected"]

STEPS = st.builds(
    Step,
    kind=st.sampled_from(KINDS),
    happened_on=st.integers(0, DAYS - 1).map(lambda day: FIRST + timedelta(days=day)),
    party_id=st.sampled_from([FIRM, LESSEE]),
    outlet_id=st.just(OUTLET),
    adcode=st.sampled_from(["410100", "410200", "110100"]),
)
HISTORIES = st.lists(
    st.tuples(st.integers(0, DAYS - 1), st.lists(STEPS, max_size=8)), min_size=1, max_size=6
)


def history(acquired: int, steps: list[Step]) -> list[Step]:
    return [Step("pack.acquired", FIRST + timedelta(days=acquired), adcode="410100"), *steps]


def told_of(steps: list[Step], day: date) -> Step | None:
    """The step that holds on a day: the last that was recorded of those up to it. An oracle that
    keeps no stays."""
    found = None
    for step in steps:
        if step.happened_on <= day and step.kind in rules.STATE_AFTER:
            found = step
    return found


def custody_of(steps: list[Step]) -> list[Stay]:
    """What the database's table would hold, day by day, written down without regard to stays."""
    found: list[Stay] = []
    day = min(step.happened_on for step in steps)
    while day < LAST + timedelta(days=1):
        step = told_of(steps, day)
        if step is not None:
            state = rules.STATE_AFTER[step.kind]
            party = step.party_id if state in rules.HELD_BY_ANOTHER else None
            outlet = step.outlet_id if state in rules.AT_OUTLET | {"routed"} else None
            found.append(Stay(day, day + timedelta(days=1), state, party, outlet, step.adcode))
        day += timedelta(days=1)
    return found


def pack_of(number: int, steps: list[Step]) -> Pack:
    told = rules.replay(steps)
    return Pack(uuid4(), f"P{number}", 40 + number, 5_000 + number, told[-1].state, None)


SCOPES = st.sampled_from(
    [
        Scope(),
        Scope(adcode="410100"),
        Scope(adcode="410000"),
        Scope(party_id=FIRM),
        Scope(party_id=LESSEE),
        Scope(party_id=UUID(int=9), is_lessor=True),
        Scope(outlet_id=OUTLET),
    ]
)


@hypothesis_settings(max_examples=150, deadline=None)
@given(
    histories=HISTORIES,
    scope=SCOPES,
    begins=st.integers(0, DAYS - 2),
    length=st.integers(1, 60),
)
def test_any_histories_balance_in_any_scope_and_period(histories, scope, begins, length):
    from_on = FIRST + timedelta(days=begins)
    to_on = min(from_on + timedelta(days=length), LAST)
    balance = rules.Balance(scope, from_on, to_on, listed=100)
    for number, (acquired, steps) in enumerate(histories):
        told = history(acquired, steps)
        balance.take(pack_of(number, told), told, custody_of(told), is_now=True)
    made = balance.result()
    assert made.differences == []
    assert made.balances
    for unit in ("packs", "kg", "kwh"):
        parts = [getattr(one, unit) for one in made.by_fate.values()]
        assert sum(parts) == pytest.approx(getattr(made.retired, unit))
        both = getattr(made.opening, unit) + getattr(made.came_in, unit)
        assert both == pytest.approx(getattr(made.retired, unit))
    there = made.opening.packs
    for day in made.days:
        assert there + day.came_in.packs - day.went_out.packs == day.there.packs
        assert sum(one.packs for one in day.by_fate.values()) == day.there.packs
        assert day.differing == 0
        there = day.there.packs


AFTER = "SELECT kind, custody_after(kind) AS state FROM unnest($1::text[]) AS kind"


def test_the_database_s_own_table_of_states_says_the_same(database):
    async def scenario(db: Database) -> None:
        async with db.transaction() as tx:
            rows = await tx.fetch(AFTER, list(words.KINDS))
        found = {row["kind"]: row["state"] for row in rows if row["state"] is not None}
        assert found == rules.STATE_AFTER

    database(scenario)


@hypothesis_settings(max_examples=100, deadline=None)
@given(
    steps=st.lists(STEPS, max_size=8), acquired=st.integers(0, DAYS - 1), day=st.integers(0, DAYS)
)
def test_a_replay_says_of_each_day_what_was_said_last_of_it(steps, acquired, day):
    told = history(acquired, steps)
    on = FIRST + timedelta(days=day)
    found, holds = rules.at(rules.replay(told), on), told_of(told, on)
    assert (found and found.state) == (holds and rules.STATE_AFTER[holds.kind])


@hypothesis_settings(max_examples=150, deadline=None)
@given(
    steps=st.lists(STEPS, max_size=8),
    acquired=st.integers(0, DAYS - 5),
    where=st.integers(0, 10_000),
    how=st.sampled_from(["gone", "state", "party"]),
)
def test_a_day_that_was_broken_in_the_table_is_a_difference_with_its_pack(
    steps, acquired, where, how
):
    told = history(acquired, steps)
    table = custody_of(told)
    inside = [place for place, one in enumerate(table) if one.from_on < LAST]
    place = inside[where % len(inside)]
    one = table[place]
    other = "lost" if one.state != "lost" else "in_stock"
    broken = {
        "gone": [],
        "state": [Stay(one.from_on, one.to_on, other, one.party_id, one.outlet_id, one.adcode)],
        "party": [Stay(one.from_on, one.to_on, one.state, uuid4(), one.outlet_id, one.adcode)],
    }[how]
    table[place : place + 1] = broken
    balance = rules.Balance(Scope(), FIRST, LAST, listed=100)
    pack = pack_of(1, told)
    balance.take(pack, told, table, is_now=False)
    made = balance.result()
    assert not made.balances
    (found,) = made.differences
    assert (found.kind, found.code) == ("custody", "P1")
    assert (found.from_on, found.to_on) == (one.from_on, one.to_on)
    assert sum(day.differing for day in made.days) == 1


def test_every_state_of_a_pack_has_a_fate_and_words():
    assert set(rules.FATES) == set(words.STATES) == set(PackState)
    assert set(rules.STATE_AFTER.values()) == set(PackState)


def test_what_was_recycled_before_a_period_is_no_more_retired_in_it():
    over = FIRST + timedelta(days=9)
    told = [
        Step("pack.acquired", FIRST),
        Step("waste.declared", FIRST + timedelta(days=5)),
        Step("recycle.completed", over, FIRM, OUTLET),
    ]
    pack = Pack(uuid4(), "P", 46, 5120, "recycled", None)
    for from_on, packs in ((FIRST, 1), (over, 1), (over + timedelta(days=1), 0)):
        balance = rules.Balance(Scope(), from_on, LAST, listed=10)
        balance.take(pack, told, custody_of(told), is_now=True)
        made = balance.result()
        assert made.retired.packs == made.by_fate[Fate.RECYCLED].packs == packs, from_on


def test_a_pack_on_the_road_is_in_transit_until_it_arrives():
    left, came = FIRST + timedelta(days=9), FIRST + timedelta(days=12)
    told = [
        Step("pack.acquired", FIRST),
        Step("waste.declared", FIRST + timedelta(days=5)),
        Step("route.chosen", FIRST + timedelta(days=6), FIRM, OUTLET),
        Step("waste.outbound", left, FIRM, OUTLET),
        Step("waste.inbound", came, FIRM, OUTLET),
    ]
    table = [
        Stay(FIRST, FIRST + timedelta(days=5), "in_stock"),
        Stay(FIRST + timedelta(days=5), FIRST + timedelta(days=6), "condemned"),
        Stay(FIRST + timedelta(days=6), came, "routed", FIRM, OUTLET),
        Stay(came, None, "handed_over", FIRM, OUTLET),
    ]
    for to_on, expected in (
        (left, Fate.STORED),
        (left + timedelta(days=1), Fate.IN_TRANSIT),
        (came, Fate.IN_TRANSIT),
        (came + timedelta(days=1), Fate.STORED),
    ):
        balance = rules.Balance(Scope(), FIRST, to_on, listed=10)
        balance.take(Pack(uuid4(), "P", 46, 5120, "handed_over", None), told, table, is_now=False)
        made = balance.result()
        assert made.by_fate[expected].packs == 1, (to_on, made.by_fate)
        assert made.differences == []


def test_a_pack_that_is_refused_comes_back_to_where_it_was():
    left, back = FIRST + timedelta(days=9), FIRST + timedelta(days=12)
    told = [
        Step("pack.acquired", FIRST),
        Step("waste.declared", FIRST + timedelta(days=5)),
        Step("route.chosen", FIRST + timedelta(days=6), FIRM, OUTLET),
        Step("waste.outbound", left, FIRM, OUTLET),
        Step("waste.inbound", back, None, OUTLET),
    ]
    pack = Pack(uuid4(), "P", 46, 5120, "routed", None)
    for to_on, expected in (
        (left, Fate.STORED),
        (left + timedelta(days=1), Fate.IN_TRANSIT),
        (back, Fate.IN_TRANSIT),
        (back + timedelta(days=1), Fate.STORED),
    ):
        balance = rules.Balance(Scope(), FIRST, to_on, listed=10)
        balance.take(pack, told, custody_of(told[:4]), is_now=False)
        made = balance.result()
        assert made.by_fate[expected].packs == 1, (to_on, made.by_fate)
        assert made.balances


# --- On the database ----------------------------------------------------------------------------

PERIOD = {"from_on": "2025-01-01", "to_on": "2026-06-16"}


async def balance_of(world: World, **query: Any) -> Json:
    made: Json = await world.staff.get("/v1/mass-balance", **(PERIOD | query))
    return made


def packs_by_fate(made: Json) -> dict[str, int]:
    return {name: one["packs"] for name, one in made["by_fate"].items()}


def test_packs_of_every_state_balance_for_parties_places_and_outlets(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            home = {"kind": "lessor", "name": "Lessor", "home_adcode": "410100"}
            lessor = await world.staff.post("/v1/parties", home)
            await every_state(world)
            made = await balance_of(world)
            assert made["balances"]
            assert made["differences"] == []
            assert packs_by_fate(made) == {
                "reused": 2,
                "recycled": 1,
                "stored": 6,
                "in_transit": 0,
                "lost": 1,
            }
            assert made["retired"] == {"packs": 10, "kg": 10 * 46, "kwh": pytest.approx(51.2)}
            outlet = (await world.staff.get("/v1/outlets"))["items"][0]
            at_outlet = await balance_of(world, outlet_id=outlet["id"])
            assert at_outlet["balances"], at_outlet["differences"]
            assert at_outlet["retired"]["packs"] == 2
            assert packs_by_fate(at_outlet) | {"stored": 1, "recycled": 1} == packs_by_fate(
                at_outlet
            )
            mine = await balance_of(world, party_id=lessor["id"])
            assert mine["balances"]
            assert mine["retired"]["packs"] == 10
            recycler = await balance_of(world, party_id=outlet["recycler_id"])
            assert recycler["balances"]
            assert recycler["retired"]["packs"] == 3  # routed to it, handed over, recycled
            for adcode, packs in (("410000", 10), ("410100", 10), ("110100", 0)):
                placed = await balance_of(world, adcode=adcode)
                assert placed["balances"]
                assert placed["retired"]["packs"] == packs
            early = await balance_of(world, to_on="2026-01-12")
            assert packs_by_fate(early) | {"reused": 9, "stored": 1} == packs_by_fate(early)

    database(scenario)


def test_a_lot_on_the_road_is_in_transit_until_it_is_received(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            routings, _, _ = await lots.ways(world, 2)
            lot = await lots.pack_lot(world, routings)
            assert packs_by_fate(await balance_of(world))["in_transit"] == 0
            await lots.send(world, lot)
            sent = await balance_of(world)
            assert sent["balances"], sent["differences"]
            assert packs_by_fate(sent)["in_transit"] == 2
            assert sent["by_fate"]["in_transit"]["kg"] == 92
            regulator = await world.login(Role.REGULATOR)
            assert await regulator.get("/v1/mass-balance", **PERIOD) == sent
            await world.set_clock(date(2026, 6, 16))
            path = f"/v1/consignments/{lot['id']}"
            weight = {"weighed_on": "2026-06-16", "weighed_kg": "92"}
            await world.staff.post(f"{path}/weigh-in", weight)
            await world.staff.post(f"{path}/receipt", {"received_on": "2026-06-16"})
            here = await balance_of(world, to_on="2026-06-17")
            assert packs_by_fate(here) | {"in_transit": 0, "stored": 2} == packs_by_fate(here)
            assert await balance_of(world) == sent  # yesterday stays what it was

    database(scenario)


def test_a_lot_that_is_refused_is_in_the_lessors_store_again(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            (routing,), _, _ = await lots.ways(world, 1)
            lot = await lots.pack_lot(world, [routing])
            await lots.send(world, lot)
            await world.set_clock(date(2026, 6, 16))
            refused = {"refused_on": "2026-06-16", "reason": "gate closed"}
            await world.staff.post(f"/v1/consignments/{lot['id']}/refusal", refused)
            pack = routing["pack_id"]
            records = (await world.staff.get(f"/v1/packs/{pack}/life"))["records"]
            assert [one["kind"] for one in records[-2:]] == ["waste.outbound", "waste.inbound"]
            assert [one["party_id"] for one in records[-2:]] == [routing["recycler_id"], None]
            (held,) = (await world.staff.get(f"/v1/packs/{pack}/custody"))["history"][-1:]
            assert held["state"] == "routed"
            made = await balance_of(world, to_on="2026-06-17")
            assert made["balances"], made["differences"]
            assert packs_by_fate(made)["in_transit"] == 0
            found = (await world.staff.get(f"/v1/packs/{pack}/obligations"))["items"]
            assert [(one["rule_code"], one["due_on"]) for one in found[-2:]] == [
                ("repurposer.waste.outbound", "2026-07-15"),
                ("repurposer.waste.inbound", "2026-07-16"),
            ]

    database(scenario)


BREAK = """
UPDATE custody
   SET during = daterange(lower(during), upper(during) - 3)
 WHERE pack_id = $1
   AND state = 'leased'
"""
MISCOUNT = "UPDATE outlet SET stock_kg = stock_kg + 7"
MISSTATE = "UPDATE pack SET state = 'returned' WHERE id = $1"


def test_a_broken_row_a_wrong_state_and_a_wrong_count_are_listed(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            packs = await every_state(world)
            async with db.transaction() as tx:
                await tx.execute(BREAK, UUID(packs["returned"]["id"]))
                await tx.execute(MISSTATE, UUID(packs["leased"]["id"]))
                await tx.execute(MISCOUNT)
            made = await balance_of(world)
            assert not made["balances"]
            found = {one["kind"]: one for one in made["differences"]}
            assert set(found) == {"custody", "present_state"}
            broken = found["custody"]
            assert broken["code"] == packs["returned"]["code"]
            assert (broken["from_on"], broken["to_on"]) == ("2026-05-29", "2026-06-01")
            assert broken["by_records"].startswith("leased, party ")
            assert broken["by_table"] == "nothing"
            assert found["present_state"]["pack_id"] == packs["leased"]["id"]
            outlet = (await world.staff.get("/v1/outlets"))["items"][0]
            (stock,) = (await balance_of(world, outlet_id=outlet["id"]))["differences"]
            assert stock["kind"] == "outlet_stock"
            assert (stock["by_records"], stock["by_table"]) == ("46 kg", "53 kg")
            # In a period that ended before, there is nothing to tell.
            assert (await balance_of(world, to_on="2026-05-01"))["balances"]

    database(scenario)


def test_a_batch_that_weighs_otherwise_than_its_packs_is_listed_once(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lot, _, _, firm = await lots.arrived(world, 3)
            received = {"received_on": lots.TODAY}
            await world.staff.post(f"/v1/consignments/{lot['id']}/receipt", received)
            path = "/v1/recovery-batches"
            batch = {"number": "B-1", "consignment_id": lot["id"], "mass_in_kg": "130", **received}
            await world.staff.post(path, batch)
            made = await balance_of(world)
            assert not made["balances"]
            (found,) = made["differences"]
            assert (found["kind"], found["from_on"]) == ("batch_mass", lots.TODAY)
            assert found["by_records"] == "138 kg"
            assert found["by_table"] == "130.00 kg in batch B-1"
            regulator = await world.login(Role.REGULATOR)
            assert await regulator.get("/v1/mass-balance", **PERIOD) == made
            its_own = await balance_of(world, party_id=firm["id"])
            assert [one["kind"] for one in its_own["differences"]] == ["batch_mass"]
            assert (await balance_of(world, to_on=lots.TODAY))["balances"]  # the day before

    database(scenario)


@pytest.mark.parametrize(("mass_in_kg", "differs"), [("1.5", 0), ("1.51", 1), ("-1.51", 1)])
def test_a_batch_may_differ_by_what_weighing_tolerates(mass_in_kg, differs):
    told = [Step("pack.acquired", FIRST)]
    mass = 138 + Decimal(mass_in_kg)
    batch = Batch(uuid4(), "B-1", FIRST, 3, 138, mass)
    balance = rules.Balance(Scope(), FIRST, LAST, listed=10)
    for _ in range(3):
        pack = Pack(uuid4(), "P", 46, 5120, "in_stock", None)
        balance.take(pack, told, custody_of(told), batch, is_now=False)
    assert len(balance.result().differences) == differs


LOOSE = [
    "pack.returned",
    "pack.lost",
    "pack.found",
    "pack.sold",
    "waste.declared",
    "pack.reinstated",
    "pack.repaired",
    "pack.burnt",
]
"""Steps whose custody the database can note without a lease or a routing."""

LIVES = st.lists(
    st.lists(
        st.tuples(st.sampled_from(LOOSE), st.integers(0, 150), st.sampled_from(["410100", None])),
        max_size=6,
    ),
    min_size=1,
    max_size=4,
)


@hypothesis_settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(lives=LIVES, to=st.integers(1, 160))
def test_random_lives_that_the_database_itself_kept_balance(database, lives, to):
    """The table of custody by its trigger, against the replay of the records."""

    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            begins = date(2026, 1, 2)
            for life in lives:
                made = await build.pack(world, acquired_on=str(begins))
                steps = [
                    traceability.Step(
                        UUID(made["id"]), kind, begins + timedelta(days=day), {}, adcode
                    )
                    for kind, day, adcode in life
                ]
                async with db.transaction() as tx:
                    await traceability.record(tx, steps, by="test", now=midnight(build.TODAY))
            to_on = str(begins + timedelta(days=to))
            made = await balance_of(world, from_on="2026-01-01", to_on=to_on)
            differences = {one["kind"] for one in made["differences"]}
            assert differences <= {"present_state"}  # nobody told the packs themselves
            assert made["retired"]["packs"] == len(lives)
            assert sum(packs_by_fate(made).values()) == len(lives)
            assert made["unaccounted"] == {"packs": 0, "kg": 0, "kwh": 0.0}

    database(scenario)


def test_what_is_asked_of_no_scope_or_no_period_is_refused(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            for query in (
                {"to_on": "2025-01-01"},
                {"to_on": "2026-06-17"},
                {"from_on": "2020-01-01"},
            ):
                response = await world.staff.ask("GET", "/v1/mass-balance", params=PERIOD | query)
                assert response.status_code == 400
                assert response.json()["errors"][0]["pointer"] == "?to_on"
            for scope in ("party_id", "outlet_id"):
                response = await world.staff.ask(
                    "GET", "/v1/mass-balance", params=PERIOD | {scope: str(uuid4())}
                )
                assert response.status_code == 404
            customer = await build.customer(world)
            client = await world.login(Role.CUSTOMER, customer["id"])
            refused = await client.ask("GET", "/v1/mass-balance", params=PERIOD)
            assert refused.status_code == 403

    database(scenario)


# --- The command --------------------------------------------------------------------------------


@pytest.fixture
def command(dsn, migrated, monkeypatch) -> Callable[..., Any]:
    monkeypatch.setenv("LEASING_DSN", dsn)
    monkeypatch.setenv("LEASING_SCHEMA", migrated.schema)
    days = ["--from", "2025-01-01", "--to", "2026-06-16"]
    return lambda *words: CliRunner().invoke(cli.main, ["trace", "balance", *days, *words])


async def meanwhile(
    dsn: str, settings: Settings, scenario: Callable[[Database], Awaitable[None]]
) -> None:
    async with await connect(dsn, settings) as db:
        await scenario(db)


def test_the_command_prints_the_balance_and_ends_with_1_when_it_differs(
    database, command, dsn, migrated
):
    packs: dict[str, Json] = {}

    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            packs.update(await every_state(world))

    async def breaking(db: Database) -> None:
        async with db.transaction() as tx:
            await tx.execute(BREAK, UUID(packs["sold"]["id"]))

    database(scenario)
    done = command()
    assert done.exit_code == 0, done.output
    rows = {line.split("│")[1].strip(): line for line in done.output.splitlines() if "│" in line}
    assert [cell.strip() for cell in rows["retired"].split("│")[2:5]] == ["10", "460", "51.2"]
    assert rows["reused"].split("│")[2].strip() == "2"
    made = msgspec.json.decode(command("--json", "--adcode", "110000").output)
    assert made["retired"]["packs"] == 0
    asyncio.run(meanwhile(dsn, migrated, breaking))
    done = command()
    assert done.exit_code == 1
    assert packs["sold"]["code"] in done.output
