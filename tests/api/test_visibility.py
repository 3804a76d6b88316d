"""What an outsider sees: its own, and of everything else not even that it is there."""

import json
import re
from datetime import date
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from leasing.access.model import Role
from leasing.db.pool import Actor, Database, DbRole
from leasing.kit.time import midnight
from leasing.telemetry import store as telemetry
from tests import build
from tests.api import stories
from tests.build import Client, World

OUTSIDERS = (DbRole.CUSTOMER, DbRole.RECYCLER)

# --- The catalog ------------------------------------------------------------------------------

TABLES = """
SELECT relation.oid::regclass::text AS name,
       relkind::text AS kind,
       relrowsecurity AS secured,
       has_table_privilege($1, relation.oid, 'SELECT')
         OR has_any_column_privilege($1, relation.oid, 'SELECT') AS readable,
       has_table_privilege($1, relation.oid,
                           'INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER, MAINTAIN')
         OR has_any_column_privilege($1, relation.oid, 'INSERT, UPDATE, REFERENCES') AS writable,
       array(SELECT qual
               FROM pg_policies
              WHERE schemaname = current_schema()
                AND tablename = relation.relname
                AND (cmd IN ('SELECT', 'ALL'))
                AND ($1::name = ANY (roles) OR 'public' = ANY (roles))) AS policies
  FROM pg_class AS relation
 WHERE relnamespace = current_schema()::regnamespace
   AND relkind IN ('r', 'p', 'v', 'm', 'f')
 ORDER BY 1
"""

# Divisions of the country belong to nobody.
OFFERED = {
    Role.CUSTOMER: re.compile(
        r"/v1/(invoice-lines/.*/disputes|disputes/.*/withdrawal|parties/.*/bill-previews"
        r"|market-needs(/.*)?)"
    ),
    Role.RECYCLER: re.compile(
        r"/v1/(consignments/.*/(weigh-in|receipt|refusal)|recovery-batches(/.*/certificate)?"
        r"|deals/.*/(acceptance|decline|valuations)|obligations/.*/report)"
    ),
}
"""What an outsider may write. A customer disputes lines of its own invoices, previews its next
and says what it needs; a recycler weighs and takes what comes to it, certifies what it recovered,
agrees to its deals, and notes that it reported."""
PUBLIC = {"prefecture", "clock", "price_index", "obligation_rule", "working_day", "trace_head"}
DIRECTORY = "/v1/outlets/directory"
"""Where everybody finds every outlet that is open, and of it what stands on its door."""


@pytest.mark.parametrize("role", DbRole)
def test_every_table_is_invisible_to_a_role_or_has_a_policy_for_it(database, role):
    async def scenario(db: Database) -> None:
        async with db.transaction() as tx:
            days = {date(2026, 1, 1), date(2026, 2, 1)}
            for table in telemetry.PARTITIONED:
                await telemetry.ensure_partitions(tx, table, days)
            tables = await tx.fetch(TABLES, role.value)
        names = {table["name"] for table in tables}
        assert {"party", "reading_chunk", "reading_chunk_2026_01", "migration"} <= names
        for table in tables:
            name, policies = table["name"], table["policies"]
            assert not table["writable"], name
            assert table["kind"] in "rp", f"{name}: a view would run as its owner"
            if not table["readable"]:
                continue
            if role in OUTSIDERS:
                assert table["secured"], name
                assert policies, name
                assert name in PUBLIC or "true" not in policies, name
            else:
                assert not table["secured"] or policies, name
        hidden = {table["name"] for table in tables if not table["readable"]}
        assert {"api_key", "idempotent_answer", "migration", "reading_chunk_2026_01"} <= hidden

    database(scenario)


ESCAPES = """
SELECT proname
  FROM pg_proc
 WHERE pronamespace = current_schema()::regnamespace
   AND prosecdef
"""

POWERS = """
SELECT rolname
  FROM pg_roles
 WHERE rolname = ANY ($1::text[])
   AND (rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolcanlogin
        OR has_schema_privilege(rolname, current_schema(), 'CREATE')
        OR EXISTS (SELECT FROM pg_auth_members WHERE member = pg_roles.oid))
"""


def test_the_roles_have_no_other_power(database):
    async def scenario(db: Database) -> None:
        async with db.transaction() as tx:
            assert await tx.fetch(ESCAPES) == []
            assert await tx.fetch(POWERS, [role.value for role in DbRole]) == []

    database(scenario)


async def visible_rows(db: Database, actor: Actor) -> dict[str, int]:
    """How many rows of each table an actor sees; a table it may not read is left out."""
    async with db.transaction() as tx:
        names = [row["name"] for row in await tx.fetch(TABLES, str(actor.role))]
    found = {}
    for name in names:
        try:
            async with db.transaction(actor) as tx:
                found[name] = await tx.fetchval(f"SELECT count(*) FROM {name}")
        except asyncpg.InsufficientPrivilegeError:
            continue
    return found


def test_a_party_without_anything_sees_nothing_of_a_full_database(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=date(2026, 1, 5)) as world:
            await stories.neighbours(world)
            for role in OUTSIDERS:
                found = await visible_rows(db, Actor(role, uuid4()))
                assert found.pop("prefecture") > 300
                assert found.pop("clock") == 1
                # What the law says is shown to whom it binds.
                law = {found.pop(name, 0) > 0 for name in ("obligation_rule", "working_day")}
                assert law == {role is DbRole.RECYCLER}
                assert len(found) > 4
                assert set(found.values()) == {0}, found
            everything = await visible_rows(db, Actor(DbRole.AUDITOR))
            assert (
                min(everything[name] for name in ("invoice", "routing", "duty", "reading_chunk"))
                > 0
            )

    database(scenario)


def test_without_a_party_an_outsider_s_transaction_fails_rather_than_shows_all(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            await build.customer(world)
            for role in OUTSIDERS:
                with pytest.raises(asyncpg.InvalidTextRepresentationError):
                    async with db.transaction(Actor(role, None)) as tx:
                        await tx.fetch("SELECT * FROM party")

    database(scenario)


def test_the_party_does_not_survive_the_release_of_its_connection(database):
    async def scenario(db: Database) -> None:
        one, other = (Actor(DbRole.CUSTOMER, uuid4()) for _ in range(2))
        for actor in (one, other, one):
            async with db.transaction(actor) as tx:
                backend = await tx.fetchval("SELECT pg_backend_pid()")
                party = await tx.fetchval("SELECT current_setting('leasing.party')")
                assert UUID(party) == actor.party_id
            async with db.pool.acquire() as connection:
                # The pool gives the connection that was used last.
                assert await connection.fetchval("SELECT pg_backend_pid()") == backend
                assert not await connection.fetchval("SELECT current_setting('leasing.party')")
                assert await connection.fetchval("SELECT current_user = session_user")

    database(scenario)


# --- Crawling the API -------------------------------------------------------------------------


def reading_routes(openapi: Any) -> list[tuple[str, list[str]]]:
    """Every GET behind the edge, with its parameters that are ids or codes. A search, which
    cannot be asked for nothing, has tests of its own."""
    found = []
    for path, item in openapi["paths"].items():
        if path.startswith("/v1/") and "get" in item and not path.endswith("/search"):
            query = [
                parameter["name"]
                for parameter in item["get"].get("parameters", [])
                if parameter["in"] == "query"
                and (parameter["name"].endswith("_id") or parameter["name"] == "code")
            ]
            found.append((path, query))
    return found


def askable_for_nothing(openapi: Any) -> list[str]:
    """Routes that answer without an id and without a parameter that they require."""
    return [
        path
        for path, _ in reading_routes(openapi)
        if "{" not in path
        and not any(
            one.get("required") for one in openapi["paths"][path]["get"].get("parameters", [])
        )
    ]


def anonymous(text: str, asked: str) -> str:
    """An answer without what differs from one request to the next."""
    return re.sub(r'"request_id":"[^"]*"', "", text).replace(asked, "ASKED")


OF_THE_TEXT_ALONE = {"/v1/codes/{code}"}
"""Looks nothing up: says of any code the same, whether or not something carries it."""


async def answers(client: Client, openapi: Any, value: str) -> dict[str, tuple[int, str]]:
    """What a client is told about an id, wherever it can ask for one."""
    found = {}
    for path, query in reading_routes(openapi):
        if "{" in path and path not in OF_THE_TEXT_ALONE:
            response = await client.ask("GET", re.sub(r"\{\w+\}", value, path))
            found[path] = (response.status_code, anonymous(response.text, value))
        for name in query:
            response = await client.ask("GET", path, params={name: value})
            found[f"{path}?{name}"] = (response.status_code, anonymous(response.text, value))
    return found


async def everything_listed(client: Client, openapi: Any) -> str:
    """All that a client can list without asking for anything."""
    found = []
    for path in askable_for_nothing(openapi):
        if path != DIRECTORY:
            response = await client.ask("GET", path)
            assert response.status_code in (200, 403), path
            found.append(response.text)
    return "\n".join(found)


@pytest.mark.parametrize("role", [Role.CUSTOMER, Role.RECYCLER])
def test_of_a_neighbour_s_things_not_even_their_existence_is_seen(database, role):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=date(2026, 1, 5)) as world:
            await crawl(world, role)

    database(scenario)


async def crawl(world: World, role: Role) -> None:
    both = await stories.neighbours(world)
    own, other = both["a"], both["b"]
    client = await world.login(role, own[str(role)])
    # The worn packs went on to a recycler: its former lessee still knows it had one, by name
    # of the pack in its invoices, and the recycler sees the pack that comes to it.
    theirs = {name: value for name, value in other.items() if not name.endswith("_code")}
    unknown = await answers(client, world.openapi, str(uuid4()))
    for name, value in theirs.items():
        assert await answers(client, world.openapi, value) == unknown, name
    unknown_code = await answers(client, world.openapi, build.battery_code())
    for name in ("worn_code", "fresh_code"):
        found = await client.get("/v1/packs", code=other[name])
        assert found == {"items": [], "next_cursor": None}
        assert await answers(client, world.openapi, other[name]) == unknown_code
    listed = await everything_listed(client, world.openapi)
    for name, value in other.items():
        assert value not in listed, name
    # The crawl is worth something only if there is something to be seen.
    things = stories.CUSTOMERS_THINGS if role is Role.CUSTOMER else stories.RECYCLERS_THINGS
    for name in things:
        assert own[name] in listed, name
    for name, value in own.items():
        if name in ("site", "contract", "invoice", "fresh") and role is Role.CUSTOMER:
            assert await answers(client, world.openapi, value) != unknown, name
    every_id = await everything_listed(world.staff, world.openapi)
    assert all(other[name] in every_id for name in ("site", "contract", "line", "routing"))


STAFF_ALONE = {
    "/v1/me",
    "/v1/unread-messages",
    "/v1/unread-messages/{message_id}/content",
}
"""What is everyone's own, and messages of devices, in which there may be passwords."""


def test_an_auditor_reads_what_staff_read_and_writes_nothing(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=date(2026, 1, 5)) as world:
            both = await stories.neighbours(world)
            await stories.settled(world)
            auditor = await world.login(Role.AUDITOR)
            openapi = world.openapi
            for path in askable_for_nothing(openapi):
                if path not in STAFF_ALONE:
                    mine, theirs = [await one.get(path) for one in (auditor, world.staff)]
                    assert mine == theirs, path
            for name in ("customer", "contract", "site", "worn", "invoice", "recycler", "routing"):
                value = both["a"][name]
                mine, theirs = [
                    await answers(one, openapi, value) for one in (auditor, world.staff)
                ]
                for path in STAFF_ALONE & mine.keys():
                    assert mine.pop(path) != theirs.pop(path)
                assert mine == theirs
            for path, item in openapi["paths"].items():
                for method in set(item) - {"get"}:
                    asked = re.sub(r"\{\w+\}", both["a"]["contract"], path)
                    problem = await auditor.refused(method.upper(), asked, 403, {})
                    assert problem["code"] == "role_not_allowed", path

    database(scenario)


@pytest.mark.parametrize("role", [Role.CUSTOMER, Role.RECYCLER])
def test_an_outsider_writes_nothing(database, role):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            party = await (build.customer if role is Role.CUSTOMER else build.recycler)(world)
            client = await world.login(role, party["id"])
            for path, item in world.openapi["paths"].items():
                for method in set(item) - {"get"}:
                    asked = re.sub(r"\{\w+\}", str(uuid4()), path)
                    for headers in ({}, {"idempotency-key": "k"}):
                        answer = await client.ask(
                            method.upper(), asked, json={"reason": "why"}, headers=headers
                        )
                        may = OFFERED[role].fullmatch(asked)
                        # Of what is not its own it finds nothing.
                        refused = (404, 400) if may else (403,)
                        assert answer.status_code in refused, (method, path)

    database(scenario)


# --- One pack, two lessees one after the other ------------------------------------------------


async def report(world: World, pack_id: str, *days: date, voltage_v: float) -> None:
    readings = [
        {
            "pack_id": pack_id,
            "at": (midnight(day) + stories.hours(hour)).isoformat(),
            "voltage_v": voltage_v,
            "current_a": 0,
        }
        for day in days
        for hour in (0, 12, 23)
    ]
    await world.staff.post("/v1/readings", {"readings": readings})


def test_a_lessee_sees_of_a_pack_only_its_own_time_with_it(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=date(2026, 1, 5)) as world:
            await lease_one_after_the_other(world)

    database(scenario)


async def lease_one_after_the_other(world: World) -> None:
    staff = world.staff
    await world.set_clock(date(2026, 6, 15))
    first = await build.leased_pack(world, on="2026-02-01")
    second = await build.leased_pack(world, on="2026-02-01")
    pack = first["pack"]["id"]
    # First lessee from February 1st to before March 1st, the second from April 10th on.
    await stories.give_back(world, first["line"]["id"], "2026-03-01")
    await stories.inspect(world, pack, "2026-03-02")
    await stories.decide(world, pack, "release", "2026-03-03")
    swap = build.acceptance(pack, "2026-04-10")
    await staff.post(f"/v1/lines/{second['line']['id']}/swaps", swap)
    before, at_first, between, at_second = (
        date(2026, 1, 31),
        date(2026, 2, 1),
        date(2026, 3, 1),
        date(2026, 4, 10),
    )
    for volts, day in enumerate((before, at_first, between, at_second), start=50):
        await report(world, pack, day, voltage_v=volts)
    last_of_first = date(2026, 2, 28)
    await report(world, pack, last_of_first, voltage_v=51)
    await report(world, pack, date(2026, 4, 9), voltage_v=52)

    seen = {}
    for name, lease in (("first", first), ("second", second)):
        client = await world.login(Role.CUSTOMER, lease["customer"]["id"])
        readings = (await client.get(f"/v1/packs/{pack}/readings", limit=200))["items"]
        seen[name] = client
        expected = {"first": ({51.0}, 6), "second": ({53.0}, 3)}[name]
        assert ({one["voltage_v"] for one in readings}, len(readings)) == expected
    everyone = (await staff.get(f"/v1/packs/{pack}/readings", limit=200))["items"]
    assert len(everyone) == 18

    # Checks belong to the line they were made for.
    async with world.db.transaction() as tx:
        for lease, on in ((first, date(2026, 2, 10)), (second, date(2026, 4, 20)), (None, before)):
            line = lease and UUID(lease["line"]["id"])
            await tx.execute(
                "INSERT INTO health_check (pack_id, line_id, as_of, verdict, evidence)"
                " VALUES ($1, $2, $3, 'abstained', '{}')",
                UUID(pack),
                line,
                on,
            )
    for name, on in (("first", "2026-02-10"), ("second", "2026-04-20")):
        checks = (await seen[name].get(f"/v1/packs/{pack}/health-checks"))["items"]
        assert [check["as_of"] for check in checks] == [on]

    # The pack itself is with the second lessee now.
    await seen["first"].refused("GET", f"/v1/packs/{pack}", 404)
    assert (await seen["first"].get("/v1/packs"))["items"] == []
    assert (await seen["second"].get(f"/v1/packs/{pack}"))["id"] == pack

    # Of its life, each sees the steps that concerned it.
    others = {"first": second, "second": first}
    for name, kinds in (
        ("first", ["pack.commissioned", "pack.returned"]),
        ("second", ["pack.swapped"]),
    ):
        life = await seen[name].get(f"/v1/packs/{pack}/life")
        assert [record["kind"] for record in life["records"]] == kinds
        for thing in ("customer", "site", "line", "contract"):
            assert others[name][thing]["id"] not in json.dumps(life)
    async with world.db.transaction(Actor(DbRole.CUSTOMER, UUID(first["customer"]["id"]))) as tx:
        assert await tx.fetchval("SELECT count(*) FROM pack_telemetry") == 0


def test_a_draft_invoice_is_not_the_customer_s_yet(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease = await build.leased_pack(world)
            async with db.transaction() as tx:
                run = await tx.fetchval(
                    "INSERT INTO billing_run (as_of, started_at)"
                    " VALUES ('2026-02-01', now()) RETURNING id"
                )
                await tx.execute(
                    "INSERT INTO invoice (run_id, buyer_id, currency, period)"
                    " VALUES ($1, $2, 'CNY', '[2026-01-01,2026-02-01)')",
                    run,
                    UUID(lease["customer"]["id"]),
                )
            client = await world.login(Role.CUSTOMER, lease["customer"]["id"])
            assert (await client.get("/v1/invoices"))["items"] == []
            assert len((await world.staff.get("/v1/invoices"))["items"]) == 1

    database(scenario)
