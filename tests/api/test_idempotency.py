"""An Idempotency-Key makes a POST happen once, however often it is sent."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from leasing.access.model import Role
from leasing.db.pool import Database
from tests import build
from tests.build import Client, Json, World

PARTY = {"kind": "customer", "name": "Once"}


async def post(client: Client, key: str, json: Any, path: str = "/v1/parties") -> httpx.Response:
    return await client.ask("POST", path, json=json, headers={"idempotency-key": key})


async def count(db: Database, table: str) -> int:
    async with db.transaction() as tx:
        found: int = await tx.fetchval(f"SELECT count(*) FROM {table}")
        return found


def lasting(answer: httpx.Response) -> tuple[int, bytes, dict[str, str]]:
    """An answer without what names this one exchange."""
    headers = {
        name: value
        for name, value in answer.headers.items()
        if name not in ("x-request-id", "idempotent-replay")
    }
    return answer.status_code, answer.content, headers


def test_the_same_key_brings_the_same_answer_and_no_second_effect(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            first = await post(world.staff, "k", PARTY)
            assert first.status_code == 201
            assert "idempotent-replay" not in first.headers
            for _ in range(2):
                again = await post(world.staff, "k", PARTY)
                assert lasting(again) == lasting(first)
                assert again.headers["idempotent-replay"] == "true"
                assert again.headers["x-request-id"] != first.headers["x-request-id"]
            assert await count(db, "party") == 1
            assert await count(db, "domain_event") == 1
            # Without a key, or with another one, it is another request.
            assert (await post(world.staff, "l", PARTY)).json()["id"] != first.json()["id"]
            await world.staff.post("/v1/parties", PARTY)
            assert await count(db, "party") == 3

    database(scenario)


def test_an_answer_with_an_etag_is_replayed_with_it(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lessee = await build.customer(world)
            place = await build.site(world, lessee["id"])
            terms = build.contract_terms(lessee["id"], [build.line_terms(place["id"])])
            made = await world.staff.post("/v1/contracts", terms)
            path = f"/v1/contracts/{made['id']}/offer"
            first = await post(world.staff, "k", None, path)
            again = await post(world.staff, "k", None, path)
            assert (first.status_code, first.headers["etag"]) == (200, '"v2"')
            assert lasting(again) == lasting(first)

    database(scenario)


@pytest.mark.parametrize(
    "change",
    [{"name": "Other"}, {"name": "Once "}, {"home_adcode": "410100"}],
)
def test_a_key_used_again_for_another_request_is_refused(database, change):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            await post(world.staff, "k", PARTY)
            answer = await post(world.staff, "k", {**PARTY, **change})
            assert answer.status_code == 422
            assert answer.json()["code"] == "idempotency_key_reused"
            answer = await post(world.staff, "k", PARTY, "/v1/parties?x=1")
            assert answer.status_code == 422
            answer = await post(world.staff, "k", PARTY, "/v1/sites")
            assert answer.status_code == 422
            assert await count(db, "party") == 1

    database(scenario)


def test_a_request_that_was_refused_is_not_remembered(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lessee = await build.customer(world)
            wrong = {"party_id": lessee["id"]}
            assert (await post(world.staff, "k", wrong, "/v1/sites")).status_code == 400
            path = f"/v1/parties/{uuid4()}/withdrawals"
            nobody = {"kind": "eia", "withdrawn_on": "2026-01-01", "document": "D"}
            assert (await post(world.staff, "k", nobody, path)).status_code == 404
            party = {"kind": "lessor", "name": "One"}
            assert (await post(world.staff, "other", party)).status_code == 201
            assert (await post(world.staff, "k", party)).status_code == 409
            assert await count(db, "idempotent_answer") == 1
            # The key is free for the request as it should have been.
            assert (await post(world.staff, "k", PARTY)).status_code == 201

    database(scenario)


def test_the_same_key_of_another_caller_is_another_request(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            colleague = await world.login(Role.STAFF)
            one = await post(world.staff, "k", PARTY)
            other = await post(colleague, "k", {**PARTY, "name": "Twice"})
            assert (one.status_code, other.status_code) == (201, 201)
            assert one.json()["id"] != other.json()["id"]

    database(scenario)


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "a\tb", "é".encode().decode("latin-1")])
def test_a_malformed_key_is_refused(database, key):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            answer = await world.staff.ask(
                "POST",
                "/v1/parties",
                json=PARTY,
                headers=httpx.Headers({"idempotency-key": key}, encoding="latin-1"),
            )
            assert answer.status_code == 400
            assert answer.json()["code"] == "bad_idempotency_key"
            assert await count(db, "party") == 0

    database(scenario)


async def waiting_for_the_pack(db: Database) -> None:
    """Until some transaction waits for a lock."""
    for _ in range(500):
        async with db.transaction() as tx:
            if await tx.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"):
                return
        await asyncio.sleep(0.01)
    raise AssertionError("nobody waits")


async def ready_to_accept(world: World) -> tuple[str, Json]:
    """A path and a payload that hand a pack over."""
    lessee = await build.customer(world)
    place = await build.site(world, lessee["id"])
    _, (line,) = await build.active_contract(world, lessee["id"], [build.line_terms(place["id"])])
    pack = await build.pack(world)
    return f"/v1/lines/{line['id']}/acceptances", build.acceptance(pack["id"], "2026-06-01")


def test_a_key_whose_request_still_runs_is_refused_until_it_has_ended(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            path, payload = await ready_to_accept(world)
            async with db.transaction() as holder:
                await holder.execute(
                    "SELECT FROM pack WHERE id = $1 FOR UPDATE", UUID(payload["pack_id"])
                )
                slow = asyncio.create_task(post(world.staff, "k", payload, path))
                await waiting_for_the_pack(db)
                answer = await post(world.staff, "k", payload, path)
                assert answer.status_code == 409
                assert answer.json()["code"] == "idempotency_key_in_flight"
            first = await slow
            assert first.status_code == 201
            assert lasting(await post(world.staff, "k", payload, path)) == lasting(first)
            assert await count(db, "placement") == 1

    database(scenario)


def test_of_many_requests_at_once_with_one_key_one_takes_effect(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            key = await world.key(Role.STAFF)
            clients = [world.client(key) for _ in range(6)]
            for attempt in range(3):
                answers = await asyncio.gather(
                    *(post(client, f"k{attempt}", PARTY) for client in clients)
                )
                done = {answer.content for answer in answers if answer.status_code == 201}
                refused = {answer.json()["code"] for answer in answers if answer.status_code != 201}
                assert len(done) == 1
                assert refused <= {"idempotency_key_in_flight"}
                assert await count(db, "party") == attempt + 1

    database(scenario)


def test_a_request_that_broke_off_can_be_sent_again(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            path, payload = await ready_to_accept(world)
            async with db.transaction() as holder:
                await holder.execute(
                    "SELECT FROM pack WHERE id = $1 FOR UPDATE", UUID(payload["pack_id"])
                )
                slow = asyncio.create_task(post(world.staff, "k", payload, path))
                await waiting_for_the_pack(db)
                slow.cancel()
                await asyncio.gather(slow, return_exceptions=True)
            assert await count(db, "placement") == 0
            assert (await post(world.staff, "k", payload, path)).status_code == 201
            assert await count(db, "placement") == 1

    database(scenario)
