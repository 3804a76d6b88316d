"""Where another party of its group gets the bill, a lessee sees what was charged for its own lines,
and of the bill its number: not its totals, nor the lines of others."""

from datetime import date
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from leasing.access.model import Role
from leasing.db.pool import Actor, Database, DbRole
from tests import build
from tests.billing import steps
from tests.billing.steps import FEBRUARY, JANUARY
from tests.build import Client, Json, World

BILLED = date(2026, 2, 3)


async def a_group(world: World) -> tuple[Json, list[Json]]:
    """A holding that pays for two companies with a line each, and a third that pays for itself."""
    holding = await world.staff.post("/v1/parties", {"kind": "customer", "name": "集团"})
    leases = [await build.leased_pack(world, str(JANUARY)) for _ in range(3)]
    chosen = {"parent_id": holding["id"], "billing_party_id": holding["id"]}
    for lease in leases[:2]:
        await change(world, lease["customer"], chosen)
    return holding, leases


async def change(world: World, party: Json, changes: Json) -> None:
    path = f"/v1/parties/{party['id']}"
    read = await world.staff.ask("GET", path)
    headers = {"If-Match": read.headers["ETag"]}
    answer = await world.staff.ask("PATCH", path, json=changes, headers=headers)
    assert answer.status_code == 200


async def charges(client: Client, lessee: Json, **query: Any) -> list[Json]:
    page = await client.get(f"/v1/parties/{lessee['id']}/charges", **query)
    found: list[Json] = page["items"]
    return found


VISIBLE = """
SELECT (SELECT array_agg(line_id) FROM charge) AS lines,
       (SELECT array_agg(lessee_id) FROM invoice_lessee) AS lessees,
       (SELECT count(*) FROM invoice) AS invoices,
       (SELECT count(*) FROM invoice_vat) + (SELECT count(*) FROM invoice_sum)
         + (SELECT count(*) FROM invoice_delivery) AS parts,
       (SELECT count(*) FROM charge_dispute) AS disputes
"""


async def visible(world: World, party: Json) -> Any:
    """What row-level security shows a customer, whatever a route would ask for."""
    async with world.db.transaction(Actor(DbRole.CUSTOMER, UUID(party["id"]))) as tx:
        return await tx.fetchrow(VISIBLE)


def test_a_lessee_sees_its_own_charges_on_the_bill_of_its_group_and_nothing_else_of_it(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, JANUARY) as world:
            holding, (first, second, alone) = await a_group(world)
            await steps.advance(world, BILLED)
            (bill,) = await steps.invoices_of(world, holding)
            (own_bill,) = await steps.invoices_of(world, alone["customer"])
            lines = {one["line_id"]: one for one in await steps.lines_of(world, bill)}
            for lease, other in ((first, second), (second, first)):
                client = await world.login(Role.CUSTOMER, lease["customer"]["id"])
                (shown,) = await charges(client, lease["customer"])
                assert [shown] == await charges(world.staff, lease["customer"])
                line = lines[lease["line"]["id"]]
                assert shown == line | {
                    "taken_back": False,
                    "invoice_number": bill["number"],
                    "invoice_state": "final",
                    "invoice_kind": "invoice",
                    "currency": "CNY",
                    "issued_on": bill["issued_on"],
                }
                found = await visible(world, lease["customer"])
                assert found["lines"] == [UUID(lease["line"]["id"])]
                assert found["lessees"] == [UUID(lease["customer"]["id"])]
                assert (found["invoices"], found["parts"]) == (0, 0)
                for path in ("", "/lines", "/document"):
                    await client.refused("GET", f"/v1/invoices/{bill['id']}{path}", 404)
                for party in (other["customer"], holding, alone["customer"]):
                    await client.refused("GET", f"/v1/parties/{party['id']}/charges", 404)
                for wrong in (other, alone):
                    query = {"line_id": wrong["line"]["id"]}
                    assert await charges(client, lease["customer"], **query) == []
            # Who pays sees the whole bill, and has no lines of its own.
            parent = await world.login(Role.CUSTOMER, holding["id"])
            assert len(await steps.lines_of(world, bill)) == 2
            assert await charges(parent, holding) == []
            assert set((await visible(world, holding))["lines"]) == {UUID(id_) for id_ in lines}
            # Who pays for itself sees its charges here, too.
            itself = await world.login(Role.CUSTOMER, alone["customer"]["id"])
            (shown,) = await charges(itself, alone["customer"])
            assert shown["invoice_number"] == own_bill["number"]
            assert (await visible(world, alone["customer"]))["lessees"] is None
            await world.staff.refused("GET", f"/v1/parties/{uuid4()}/charges", 404)

    database(scenario)


def test_a_line_on_the_bill_of_a_group_is_explained_to_who_has_it(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, JANUARY) as world:
            holding, (first, second, _) = await a_group(world)
            await steps.advance(world, BILLED)
            (bill,) = await steps.invoices_of(world, holding)
            client = await world.login(Role.CUSTOMER, first["customer"]["id"])
            (shown,) = await charges(client, first["customer"])
            path = f"/v1/invoice-lines/{shown['id']}/explanation"
            told, whole = await client.get(path), await world.staff.get(path)
            assert told["invoice_number"] == bill["number"]
            assert told["formula"] == whole["formula"] == "310.00 for a whole period = 310.00"
            assert told["currency"] == "CNY"
            # Of the evidence all but the bill, and every link leads somewhere.
            links = [one["path"] for one in told["evidence"]]
            assert [one["path"] for one in whole["evidence"]] == [
                f"/v1/invoices/{bill['id']}", *links,
            ]  # fmt: skip
            for link in links:
                await client.get(link)
            (other,) = await charges(world.staff, second["customer"])
            path = f"/v1/invoice-lines/{other['id']}/explanation"
            await client.refused("GET", path, 404)

    database(scenario)


def test_who_gets_the_bill_disputes_it_and_nobody_else(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, JANUARY) as world:
            holding, (first, _, _) = await a_group(world)
            await steps.advance(world, BILLED)
            client = await world.login(Role.CUSTOMER, first["customer"]["id"])
            (shown,) = await charges(client, first["customer"])
            path = f"/v1/invoice-lines/{shown['id']}/disputes"
            await client.refused("POST", path, 404, {"reason": "why"})
            parent = await world.login(Role.CUSTOMER, holding["id"])
            await parent.post(path, {"reason": "why"})
            assert (await client.get("/v1/disputes"))["items"] == []
            assert (await visible(world, first["customer"]))["disputes"] == 0
            assert (await visible(world, holding))["disputes"] == 1

    database(scenario)


def test_what_stands_on_a_draft_is_not_shown_yet(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, JANUARY) as world:
            _, (first, _, _) = await a_group(world)
            await world.set_clock(FEBRUARY)
            client = await world.login(Role.CUSTOMER, first["customer"]["id"])
            async with db.transaction() as tx:
                await steps.charge_all(tx)
            assert await steps.one(db, "SELECT count(*) FROM charge") == 3
            assert (await visible(world, first["customer"]))["lines"] is None
            assert await charges(client, first["customer"]) == []
            assert await charges(world.staff, first["customer"]) == []

    database(scenario)


def test_a_credit_note_stands_beside_what_it_takes_back_page_by_page(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, JANUARY) as world:
            holding, (first, second, _) = await a_group(world)
            await steps.advance(world, BILLED)
            (bill,) = await steps.invoices_of(world, holding)
            why = {"reason": "made out to the wrong company"}
            note = await world.staff.post(f"/v1/invoices/{bill['id']}/credit-notes", why)
            # From now on each pays for itself.
            for lease in (first, second):
                await change(world, lease["customer"], {"billing_party_id": None})
            await steps.advance(world, date(2026, 3, 3))
            client = await world.login(Role.CUSTOMER, first["customer"]["id"])
            own = await steps.invoices_of(world, first["customer"])
            shown = await charges(client, first["customer"])
            assert [one["invoice_number"] for one in shown] == [
                bill["number"], note["number"], *[own[0]["number"]] * 2,
            ]  # fmt: skip
            assert [one["amount"] for one in shown] == [31_000, -31_000, 31_000, 31_000]
            assert [one["taken_back"] for one in shown] == [True, False, False, False]
            assert [one["invoice_kind"] for one in shown[:2]] == ["invoice", "credit_note"]
            assert shown[1]["reverses_id"] == shown[0]["id"]
            path = f"/v1/invoice-lines/{shown[1]['id']}/explanation"
            told = await client.get(path)
            assert [one["kind"] for one in told["evidence"]][-1] == "taken_back"
            paged: list[Json] = []
            cursor: dict[str, str] = {}
            while True:
                path = f"/v1/parties/{first['customer']['id']}/charges"
                page = await client.get(path, limit=1, **cursor)
                paged += page["items"]
                if page["next_cursor"] is None:
                    break
                cursor = {"cursor": page["next_cursor"]}
            assert paged == shown
            path = f"/v1/parties/{first['customer']['id']}/charges?cursor="
            await client.refused("GET", f"{path}WzFd", 400)
            of_it = await charges(client, first["customer"], contract_id=first["contract"]["id"])
            assert of_it == shown
            assert await charges(client, first["customer"], contract_id=str(uuid4())) == []

    database(scenario)


def test_what_a_lessee_was_told_of_a_bill_is_never_changed(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, date(2026, 1, 1)) as world:
            await a_group(world)
            await steps.advance(world, BILLED)
            assert await steps.one(db, "SELECT count(*) FROM invoice_lessee") == 2
            for change_it in (
                "UPDATE invoice_lessee SET number = 'X'",
                "DELETE FROM invoice_lessee",
            ):
                with pytest.raises(asyncpg.CheckViolationError, match="never changed"):
                    async with db.transaction() as tx:
                        await tx.execute(change_it)

    database(scenario)
