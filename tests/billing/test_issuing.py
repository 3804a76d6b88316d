"""Who an invoice is for, what holds it back, what takes it back, and what is known before."""

from datetime import date
from typing import Any

import asyncpg
import pytest

from leasing.access.model import Role
from leasing.billing import running
from leasing.db import clock
from leasing.db.pool import Database
from leasing.kit.time import midnight
from tests import build
from tests.billing.steps import (
    FEBRUARY,
    MARCH,
    advance,
    bill,
    books,
    invoices_of,
    lease_out,
    lines_of,
    one,
    postings,
    shown,
)
from tests.build import Json, World

WHOLE = {"reason": "made out to the wrong company"}


async def march(db: Database) -> None:
    async with db.transaction() as tx:
        await clock.move(tx, midnight(MARCH) + build.NOON)


# Consolidation


def test_companies_of_a_group_get_one_invoice_and_it_is_their_parents(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=date(2026, 1, 1)) as world:
            holding = await world.staff.post("/v1/parties", {"kind": "customer", "name": "集团"})
            chosen = {"parent_id": holding["id"], "billing_party_id": holding["id"]}
            leases = []
            for _ in range(2):
                leased = await build.leased_pack(world, "2026-01-01")
                path = f"/v1/parties/{leased['customer']['id']}"
                read = await world.staff.ask("GET", path)
                await world.staff.ask(
                    "PATCH", path, json=chosen, headers={"If-Match": read.headers["ETag"]}
                )
                leases.append(leased)
            await advance(world, date(2026, 2, 3))
            (invoice,) = await invoices_of(world, holding)
            assert invoice["net_amount"] == 62_000
            lines = await lines_of(world, invoice)
            assert {line["contract_id"] for line in lines} == {
                leased["contract"]["id"] for leased in leases
            }
            parent = await world.login(Role.CUSTOMER, holding["id"])
            assert len((await parent.get("/v1/invoices"))["items"]) == 1
            child = await world.login(Role.CUSTOMER, leases[0]["customer"]["id"])
            assert (await child.get("/v1/invoices"))["items"] == []

    database(scenario)


# Credit notes


def test_a_credit_note_mirrors_its_invoice_and_the_days_are_billed_anew(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=date(2026, 1, 11)) as world:
            leased = await build.leased_pack(world, "2026-01-11", rent_amount=31_007)
            await advance(world, date(2026, 2, 3))
            (invoice,) = await invoices_of(world, leased["customer"])
            path = f"/v1/invoices/{invoice['id']}"
            note = await world.staff.post(f"{path}/credit-notes", WHOLE)
            assert (note["kind"], note["number"]) == ("credit_note", "CN-2026-000001")
            assert (note["credits_id"], note["reason"]) == (invoice["id"], WHOLE["reason"])
            for amount in ("net_amount", "vat_amount", "total_amount"):
                assert note[amount] == -invoice[amount]
            booked = await postings(world, invoice)
            assert await postings(world, note) == {name: -sum_ for name, sum_ in booked.items()}
            (charge,) = await lines_of(world, invoice)
            (back,) = await lines_of(world, note)
            assert (back["reverses_id"], back["amount"]) == (charge["id"], -charge["amount"])
            assert await world.staff.get(path) == invoice
            # Not twice.
            again = await world.staff.refused("POST", f"{path}/credit-notes", 409, WHOLE)
            assert again["code"] in ("credited_already", "corrected_already")
            await advance(world, date(2026, 3, 3))
            *_, following = await invoices_of(world, leased["customer"])
            assert shown(await lines_of(world, following)) == [
                ("2026-01-11", "2026-02-01", charge["amount"]),
                ("2026-02-01", "2026-03-01", 31_007),
            ]
            assert [line["revision"] for line in await lines_of(world, following)] == [2, 1]
            assert (await world.staff.get("/v1/ledger/trial-balance"))["balanced"]

    database(scenario)


def test_a_draft_is_not_credited(database):
    async def scenario(db: Database) -> None:
        await lease_out(db, [1])
        async with build.world(db, on=None) as world:
            async with db.transaction() as tx:
                await running.begin(tx, FEBRUARY, None, 10, midnight(FEBRUARY))
            draft = await one(db, "SELECT id FROM invoice")
            refused = await world.staff.refused(
                "POST", f"/v1/invoices/{draft}/credit-notes", 409, WHOLE
            )
            assert refused["code"] == "invoice_is_draft"

    database(scenario)


# What waits for a person


def test_an_invoice_many_times_the_last_one_waits_for_an_approval(database, monkeypatch):
    monkeypatch.setattr(running, "JUMP_ABOVE", 1)

    async def scenario(db: Database) -> None:
        await lease_out(db, [1, 1])
        await bill(db)
        await one(
            db,
            "UPDATE line_revision SET rent_amount = rent_amount * 100 WHERE contract_id ="
            " (SELECT id FROM contract WHERE number = 'C-1')",
        )
        # Only of the month to come.
        await one(db, "UPDATE restatement SET settled = true")
        await march(db)
        assert await bill(db, MARCH) == "done"
        async with build.world(db, on=None) as world:
            (held,) = (await world.staff.get("/v1/invoices", held=True))["items"]
            assert "more than 10 times the last invoice" in held["held_because"]
            assert (held["state"], held["number"]) == ("draft", None)
            (run,) = (await world.staff.get("/v1/billing-runs"))["items"][1:]
            assert (run["state"], run["held_invoices"], run["invoices"]) == ("done", 1, 1)
            approved = await world.staff.post(
                f"/v1/invoices/{held['id']}/approval", {"reason": "the new price was agreed"}
            )
            assert (approved["state"], approved["number"]) == ("final", "INV-2026-000004")
            await world.staff.refused(
                "POST", f"/v1/invoices/{held['id']}/approval", 409, {"reason": "again"}
            )
        before = await books(db)
        assert await bill(db, MARCH) == "done"
        assert await books(db) == before

    database(scenario)


def test_more_invoices_than_expected_stop_the_run_before_any_is_final(database):
    async def scenario(db: Database) -> None:
        await lease_out(db, [1, 1, 1])
        async with db.transaction() as tx:
            run = await running.begin(tx, FEBRUARY, None, 2, midnight(FEBRUARY))
            assert run is not None
        steps = []
        while not steps or steps[-1] not in (running.Step.STOPPED, running.Step.OVER):
            did = await running.work(db, run.id, "test", "test")
            steps.append(did.step)
        found, charged = await books(db)
        assert ({row[2] for row in found}, len(charged)) == ({"draft"}, 3)
        async with build.world(db, on=None) as world:
            path = f"/v1/billing-runs/{run.id}"
            stopped = await world.staff.get(path)
            assert stopped["state"] == "stopped"
            assert stopped["stopped_because"] == "3 invoices are more than the 2 that were expected"
            stages = {stage["stage"]: stage["state"] for stage in stopped["stages"]}
            assert stages == {
                "plan": "done",
                "rate": "done",
                "draft": "done",
                "review": "running",
            }
            await world.staff.post(f"{path}/approval", {"reason": "three it is"})
        assert await bill(db) == "done"
        found, _ = await books(db)
        assert [row[1] for row in found] == [f"INV-2026-{n:06}" for n in (1, 2, 3)]

    database(scenario)


FORGED = """
UPDATE custody
   SET during = daterange(lower(during), '2026-01-20')
 WHERE line_id = (SELECT id FROM lease_line ORDER BY id LIMIT 1)
"""


def test_a_line_whose_pack_is_elsewhere_by_its_records_is_held_and_billed_once_they_agree(database):
    async def scenario(db: Database) -> None:
        await lease_out(db, [3])
        await one(db, FORGED)
        assert await bill(db) == "done"
        _, charged = await books(db)
        assert len(charged) == 2
        async with build.world(db, on=None) as world:
            (run,) = (await world.staff.get("/v1/billing-runs"))["items"]
            assert run["held_lines"] == 1
            (held,) = (await world.staff.get(f"/v1/billing-runs/{run['id']}/held-lines"))["items"]
            assert held["code"] == "custody_missing"
            assert "on 2026-01-20, its records say nothing" in held["reason"]
        mend = "UPDATE custody SET during = daterange(lower(during), NULL)"
        await one(db, mend)
        await march(db)
        assert await bill(db, MARCH) == "done"
        _, charged = await books(db)
        assert len(charged) == 6
        assert await one(db, "SELECT count(*) FROM billing_hold") == 1

    database(scenario)


# Known before


async def previewed(world: World, as_of: str, buyer_id: str | None = None) -> Json:
    found: Json = await world.staff.post(
        "/v1/billing-previews", {"as_of": as_of, "buyer_id": buyer_id}
    )
    return found


COUNTS = """
SELECT (SELECT count(*) FROM billing_run), (SELECT count(*) FROM billing_item),
       (SELECT count(*) FROM invoice), (SELECT count(*) FROM charge),
       (SELECT count(*) FROM billing_hold), (SELECT max(last_number) FROM invoice_series)
"""


def test_a_preview_is_the_run_to_the_fen_and_keeps_nothing(database):
    async def scenario(db: Database) -> None:
        await lease_out(db, [3, 40, 1])
        await bill(db)
        await one(db, "UPDATE line_revision SET rent_amount = rent_amount + 777 WHERE slot = 3")
        async with build.world(db, on=None) as world:
            before = await counted(db)
            # Also of a day to come.
            preview = await previewed(world, "2026-03-01")
            assert await counted(db) == before
            await march(db)
            await bill(db, MARCH)
            found = [
                row
                for row in (await world.staff.get("/v1/invoices"))["items"]
                if row["period_to"] == "2026-03-01"
            ]
            named = ("net_amount", "vat_amount", "total_amount", "buyer_id", "period_from")
            assert [[row[name] for name in named] for row in preview["invoices"]] == [
                [row[name] for name in named] for row in found
            ]
            difference = sum(cause["amount"] for cause in preview["causes"])
            nets = sum(row["net_amount"] for row in preview["invoices"])
            assert difference == nets - await one(
                db, "SELECT sum(net_amount)::bigint FROM invoice WHERE upper(period) = '2026-02-01'"
            )
            causes = {cause["cause"] for cause in preview["causes"]}
            assert causes == {"days", "price", "correction"}

    database(scenario)


async def counted(db: Database) -> Any:
    async with db.transaction() as tx:
        return tuple(await tx.fetchrow(COUNTS))


def test_an_amendment_is_previewed_without_being_made(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=date(2026, 1, 1)) as world:
            leased = await build.leased_pack(world, "2026-01-01")
            await advance(world, date(2026, 2, 3))
            path = f"/v1/contracts/{leased['contract']['id']}"
            contract = await world.staff.get(path)
            rents = [{"line_id": leased["line"]["id"], "rent_amount": 62_000}]
            amendment = {"from_on": "2026-02-15", "reason": "larger", "terms": {}, "rents": rents}
            found = await world.staff.post(
                f"{path}/amendment-previews", {"as_of": "2026-03-01", "amendment": amendment}
            )
            before, after = found["before"]["invoices"], found["after"]["invoices"]
            assert before[0]["net_amount"] == 31_000
            assert after[0]["net_amount"] == 15_500 + 31_000
            assert await world.staff.get(path) == contract
            assert len(await invoices_of(world, leased["customer"])) == 1

    database(scenario)


def test_the_causes_of_a_difference_are_told_apart(database):
    """One line began, one ended, one costs more, one was corrected."""

    async def scenario(db: Database) -> None:
        async with build.world(db, on=date(2026, 1, 1)) as world:
            lessee = await build.customer(world)
            place = await build.site(world, lessee["id"])
            contract, lines = await build.active_contract(
                world, lessee["id"], [build.line_terms(place["id"], slot) for slot in range(1, 5)]
            )
            for line in lines[:3]:
                pack = await build.pack(world)
                given = build.acceptance(pack["id"], "2026-01-01")
                await world.staff.post(f"/v1/lines/{line['id']}/acceptances", given)
            await advance(world, date(2026, 2, 2))
            pack = await build.pack(world)
            given = build.acceptance(pack["id"], "2026-02-01")
            await world.staff.post(f"/v1/lines/{lines[3]['id']}/acceptances", given)
            back = build.returned("2026-02-01")
            await world.staff.post(f"/v1/lines/{lines[0]['id']}/returns", back)
            path = f"/v1/contracts/{contract['id']}"
            read = await world.staff.ask("GET", path)
            rents = [{"line_id": lines[1]["id"], "rent_amount": 62_000}]
            await world.staff.post(
                f"{path}/amendments",
                {"from_on": "2026-02-01", "reason": "dearer", "terms": {}, "rents": rents},
                **{"If-Match": read.headers["ETag"]},
            )
            gone = {"from_on": "2026-01-21", "reason": "no power"}
            await world.staff.post(f"/v1/lines/{lines[2]['id']}/suspension", gone)
            await world.staff.post(
                f"/v1/lines/{lines[2]['id']}/resumption", {"from_on": "2026-02-01"}
            )
            preview = await previewed(world, "2026-03-01", lessee["id"])
            assert {cause["cause"]: cause["amount"] for cause in preview["causes"]} == {
                "new": 31_000,
                "ended": -31_000,
                "price": 31_000,
                "correction": -11_000,
            }

    database(scenario)


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        (
            "INSERT INTO charge (invoice_id, line_id, contract_id, site_id, pack_id, component,"
            " during, period_days, price_amount, amount, vat_percent, revision) SELECT invoice_id,"
            " line_id, contract_id, site_id, pack_id, component, during, period_days,"
            " price_amount, amount, vat_percent, revision FROM charge",
            ("charge_once", "charge_days_once"),
        ),
        (
            "UPDATE invoice SET held_because = 'why not' WHERE state = 'final'",
            ("invoice_final_is_immutable",),
        ),
        ("UPDATE invoice_sum SET amount = 0", ("invoice_final_is_immutable",)),
    ],
)
def test_the_database_refuses_what_must_not_be(database, statement, name):
    async def scenario(db: Database) -> None:
        await lease_out(db, [1])
        await bill(db)
        with pytest.raises(asyncpg.IntegrityConstraintViolationError) as refused:
            await one(db, statement)
        assert refused.value.constraint_name in name

    database(scenario)
