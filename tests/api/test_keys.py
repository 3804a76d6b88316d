"""API keys: which open the door, and where they are kept."""

from datetime import timedelta
from uuid import UUID

import pytest

from leasing.access import rules
from leasing.access import store as access
from leasing.access.model import Role
from leasing.db.pool import Database
from leasing.kit.time import system_now
from tests import build
from tests.build import World


async def refusal(world: World, authorization: str | None) -> str:
    """Why a header is refused, in the words of the problem."""
    headers = {} if authorization is None else {"authorization": authorization}
    client = world.client("")
    if authorization is None:
        del client.http.headers["authorization"]
    answer = await client.ask("GET", "/v1/me", headers=headers)
    assert answer.status_code == 401, authorization
    assert answer.headers["www-authenticate"] == "Bearer"
    problem = answer.json()
    assert problem["code"] == "key_refused"
    return str(problem["detail"])


def other_digit(digit: str) -> str:
    return "0" if digit != "0" else "1"


def test_a_key_that_is_malformed_mistyped_or_cut_is_refused(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            key = await world.key(Role.STAFF)
            bad = [None, "", "Bearer", "Bearer ", f"Basic {key}", key, f"Token {key}"]
            for authorization in bad:
                assert "send the API key as" in await refusal(world, authorization)
            for cut in (1, 10, 40, len(key) - 3):
                assert "this is not an API key" in await refusal(world, f"Bearer {key[:-cut]}")
            for longer in (key + "0", key + "_0", "x" + key):
                assert "this is not an API key" in await refusal(world, f"Bearer {longer}")
            for place in (4, 11, 12, 40, len(key) - 1):
                if key[place] != "_":
                    mistyped = key[:place] + other_digit(key[place]) + key[place + 1 :]
                    assert "checksum is wrong" in await refusal(world, f"Bearer {mistyped}")
            swapped = key[:20] + key[21] + key[20] + key[22:]
            if swapped != key:
                assert "checksum is wrong" in await refusal(world, f"Bearer {swapped}")
            assert (await world.client(key).get("/v1/me"))["role"] == "staff"

    database(scenario)


def test_a_well_formed_key_that_nobody_made_is_refused(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            assert await refusal(world, f"Bearer {rules.make()}") == "no such key"
            # The prefix of a real one, which logs may show, is of no help.
            key = await world.key(Role.STAFF)
            forged = key[:12] + rules.make()[12:-6]
            forged += rules.checksum(forged)
            assert await refusal(world, f"Bearer {forged}") == "no such key"

    database(scenario)


def test_an_expired_key_and_a_revoked_one_are_refused(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            old = await world.key(Role.STAFF, days=-1)
            assert "expired on" in await refusal(world, f"Bearer {old}")
            key = await world.key(Role.STAFF)
            assert (await world.client(key).get("/v1/me"))["role"] == "staff"
            async with db.transaction() as tx:
                assert await access.revoke(tx, rules.prefix_of(key), system_now())
                assert not await access.revoke(tx, rules.prefix_of(key), system_now())
            assert "was revoked" in await refusal(world, f"Bearer {key}")

    database(scenario)


def test_the_use_of_a_key_is_noted_once_a_minute(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            key = await world.key(Role.AUDITOR)

            async def last_used() -> object:
                async with db.transaction() as tx:
                    rows = await access.every(tx)
                found = {row["prefix"]: row["last_used_at"] for row in rows}
                return found[rules.prefix_of(key)]

            assert await last_used() is None
            await world.client(key).get("/v1/me")
            first = await last_used()
            assert first is not None
            await world.client(key).get("/v1/me")
            assert await last_used() == first
            async with db.transaction() as tx:
                before = system_now() - timedelta(minutes=2)
                await tx.execute("UPDATE api_key SET last_used_at = $1", before)
            await world.client(key).get("/v1/me")
            assert await last_used() != before

    database(scenario)


def test_a_key_has_256_random_bits_and_says_whose_it_is(database):
    keys = {rules.make() for _ in range(100)}
    assert len({key.split("_")[2][:64] for key in keys}) == 100
    assert all(len(bytes.fromhex(key.split("_")[2][:64])) == 32 for key in keys)

    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            party = await build.customer(world)
            client = await world.login(Role.CUSTOMER, party["id"])
            me = await client.get("/v1/me")
            assert (me["role"], me["party_id"]) == ("customer", party["id"])
            assert me["name"].startswith("customer-")
            assert me["expires_at"] > system_now().isoformat()

    database(scenario)


@pytest.mark.parametrize(
    ("role", "kind"), [("customer", "recycler"), ("recycler", "customer"), ("customer", "lessor")]
)
def test_a_key_is_bound_to_a_party_of_its_role(database, role, kind):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            party = await world.staff.post("/v1/parties", {"kind": kind, "name": "Somebody"})
            with pytest.raises(Exception, match="api_key_party_of_its_role"):
                await world.key(Role(role), party["id"])
            with pytest.raises(Exception, match="api_key_outsiders_have_a_party"):
                await world.key(Role(role))
            with pytest.raises(Exception, match=r"api_key_(outsiders_have_a_party|party_of_its)"):
                await world.key(Role.STAFF, party["id"])

    database(scenario)


COLUMNS = """
SELECT table_name::text AS table, column_name::text AS column, data_type::text AS type
  FROM information_schema.columns
 WHERE table_schema = current_schema()
"""


async def places(db: Database, wanted: str) -> list[str]:
    """Where a text is found in any row of any table, as it is or in the bytes."""
    found = []
    async with db.transaction() as tx:
        for row in await tx.fetch(COLUMNS):
            table, column = row["table"], row["column"]
            value = f"encode({column}, 'escape')" if row["type"] == "bytea" else f"{column}::text"
            if await tx.fetchval(
                f"SELECT EXISTS (SELECT FROM {table} WHERE position($1 in {value}) > 0)", wanted
            ):
                found.append(f"{table}.{column}")
    return found


def test_a_key_is_nowhere_kept_in_clear(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            key = await world.key(Role.STAFF)
            client = world.client(key)
            made = await client.post(
                "/v1/parties", {"kind": "customer", "name": "Needle"}, **{"idempotency-key": "k"}
            )
            await client.get("/v1/me")
            await client.ask("POST", "/v1/parties", json={}, headers={"idempotency-key": "l"})
            secret = key.split("_")[2]
            for text in (key, secret, secret[:64], secret[:32]):
                assert await places(db, text) == []
            # What is looked for would be found, also within the bytes of a saved answer.
            assert set(await places(db, "Needle")) == {
                "domain_event.data",
                "idempotent_answer.body",
                "party.name",
            }
            assert await places(db, rules.prefix_of(key)) == ["api_key.prefix"]
            async with db.transaction() as tx:
                digest = await tx.fetchval(
                    "SELECT digest FROM api_key WHERE prefix = $1", rules.prefix_of(key)
                )
            assert digest == rules.digest(key)
            assert UUID(made["id"])

    database(scenario)
