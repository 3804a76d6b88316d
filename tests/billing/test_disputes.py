"""A customer asks why a line comes to what it comes to, and disputes it; the lessor answers."""

from datetime import date

from leasing.access.model import Role
from leasing.db.pool import Database
from tests import build
from tests.billing.steps import advance, invoices_of, lines_of, postings
from tests.build import Client, Json, World


async def billed(world: World) -> tuple[Json, Json, Client]:
    """A lease with VAT at 9 %, its only line of January, and its customer."""
    leased = await build.leased_pack(world, "2026-01-11", vat_percent="9")
    await advance(world, date(2026, 2, 3))
    (invoice,) = await invoices_of(world, leased["customer"])
    (line,) = await lines_of(world, invoice)
    return leased, line, await world.login(Role.CUSTOMER, leased["customer"]["id"])


def test_a_line_prints_its_formula_and_leads_to_what_it_rests_on(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=date(2026, 1, 11)) as world:
            leased, line, customer = await billed(world)
            told = await customer.get(f"/v1/invoice-lines/{line['id']}/explanation")
            assert told["formula"] == "310.00 × 21 ÷ 31 days = 210.00"
            assert told["line"] == line
            assert told["proration"] == "actual"
            kinds = [one["kind"] for one in told["evidence"]]
            assert kinds == ["invoice", "contract", "line", "traceability", "joint_test"]
            for one in told["evidence"]:
                await customer.get(one["path"])
            # Whoever it does not concern finds nothing.
            other = await build.customer(world, "Other")
            stranger = await world.login(Role.CUSTOMER, other["id"])
            refused = await stranger.refused(
                "GET", f"/v1/invoice-lines/{line['id']}/explanation", 404
            )
            assert refused["code"] == "invoice_line_not_found"
            assert leased["line"]["id"] == line["line_id"]

    database(scenario)


def test_what_is_given_back_is_on_the_next_bill_at_the_tax_of_the_line(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=date(2026, 1, 11)) as world:
            leased, line, customer = await billed(world)
            path = f"/v1/invoice-lines/{line['id']}/disputes"
            made = await customer.post(path, {"reason": "no power from the third day on"})
            assert (made["state"], made["line_id"]) == ("open", line["id"])
            again = await customer.refused("POST", path, 409, {"reason": "again"})
            assert again["code"] == "disputed_already"
            # The tax changes before the next bill; the line is put right at its own.
            answer = f"/v1/disputes/{made['id']}/answer"
            too_much = {"answer": "all and more", "credited_amount": 21_001}
            refused = await world.staff.refused("POST", answer, 409, too_much)
            assert (refused["code"], refused["extra"]["left"]) == ("more_than_charged", 21_000)
            given = await world.staff.post(answer, {"answer": "3 days", "credited_amount": 3_000})
            assert (given["state"], given["credited_amount"]) == ("accepted", 3_000)
            await world.staff.refused("POST", answer, 409, {"answer": "nothing"})
            await advance(world, date(2026, 3, 3))
            *_, march = await invoices_of(world, leased["customer"])
            adjustment, rent = sorted(await lines_of(world, march), key=lambda one: one["amount"])
            assert (adjustment["kind"], adjustment["amount"]) == ("adjustment", -3_000)
            assert (adjustment["vat_percent"], rent["amount"]) == ("9.00", 31_000)
            told = await customer.get(f"/v1/invoice-lines/{adjustment['id']}/explanation")
            assert told["evidence"][-1] == {
                "kind": "adjusted",
                "id": line["id"],
                "path": f"/v1/invoice-lines/{line['id']}/explanation",
            }
            assert (await postings(world, march))["revenue_rent"] == -28_000

    database(scenario)


def test_a_dispute_is_rejected_or_withdrawn_and_only_its_own_customer_may(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=date(2026, 1, 11)) as world:
            leased, line, customer = await billed(world)
            other = await build.customer(world, "Other")
            stranger = await world.login(Role.CUSTOMER, other["id"])
            path = f"/v1/invoice-lines/{line['id']}/disputes"
            await stranger.refused("POST", path, 404, {"reason": "why not"})
            made = await customer.post(path, {"reason": "check it"})
            withdrawal = f"/v1/disputes/{made['id']}/withdrawal"
            await stranger.refused("POST", withdrawal, 404)
            assert (await stranger.get("/v1/disputes"))["items"] == []
            assert (await customer.post(withdrawal))["state"] == "withdrawn"
            await customer.refused("POST", withdrawal, 409)
            made = await customer.post(path, {"reason": "check it again"})
            answer = {"answer": "the readings say otherwise"}
            rejected = await world.staff.post(f"/v1/disputes/{made['id']}/answer", answer)
            assert (rejected["state"], rejected["fee_id"]) == ("rejected", None)
            states = [one["state"] for one in (await customer.get("/v1/disputes"))["items"]]
            assert states == ["withdrawn", "rejected"]
            await advance(world, date(2026, 3, 3))
            *_, march = await invoices_of(world, leased["customer"])
            assert march["net_amount"] == 31_000

    database(scenario)
