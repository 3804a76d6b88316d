"""VAT in late interest and fees, and that a bad debt gives none back."""

import doctest
from datetime import date
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from leasing.access.model import Role
from leasing.db.pool import Database
from leasing.receivables import ancillary
from leasing.receivables.ancillary import Gross
from tests import build
from tests.build import Json, World
from tests.receivables import steps
from tests.receivables.steps import accounts, owed

FEBRUARY, MARCH, MAY = date(2026, 2, 2), date(2026, 3, 2), date(2026, 5, 1)
TERMS = {"from_on": "2026-01-01", "annual_percent": "36.5"}
RATES = st.lists(
    st.builds(
        Gross,
        vat_percent=st.sampled_from([Decimal(0), Decimal(6), Decimal(13)]),
        amount=st.integers(-10_000, 10_000_000),
    ),
    max_size=3,
    unique_by=lambda part: part.vat_percent,
)


def test_the_examples_in_the_text_are_true():
    assert doctest.testmod(ancillary).failed == 0


@given(st.integers(-1_000_000, 1_000_000), RATES)
def test_the_tax_in_a_charge_lies_between_nothing_and_that_of_the_highest_rate(amount, parts):
    vat = ancillary.contained(amount, parts)
    highest = max((part.vat_percent for part in parts if part.amount > 0), default=Decimal(0))
    assert 0 <= abs(vat) <= abs(amount) * highest / (100 + highest) + len(parts)
    assert vat * amount >= 0
    # What is given back gives its tax back.
    assert ancillary.contained(-amount, parts) == -vat


async def billed(world: World) -> Json:
    """An invoice with 13 % VAT, due on 4 March."""
    lease = await build.leased_pack(world, on="2026-01-05")
    await steps.advance(world, FEBRUARY)
    payer = lease["customer"]["id"]
    (bill,) = (await world.staff.get("/v1/invoices", buyer_id=payer))["items"]
    assert bill["vat_amount"] > 0
    return {**bill, "payer_id": payer}


async def charged(world: World, payer: str, kind: str) -> list[Json]:
    page = await world.staff.get("/v1/receivables", party_id=payer, limit=200)
    return [one for one in page["items"] if one["kind"] == kind]


def test_late_interest_bears_the_vat_of_its_invoice_and_shows_it(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=date(2026, 1, 5)) as world:
            bill = await billed(world)
            await world.staff.post("/v1/interest-terms", TERMS)
            before = await accounts(world, bill["payer_id"])
            await steps.night(world, MAY, "interest")
            (interest,) = await charged(world, bill["payer_id"], "interest")
            vat = ancillary.contained(
                interest["amount"], [Gross(Decimal(13), bill["total_amount"])]
            )
            assert 0 < interest["vat_amount"] == vat
            after = await accounts(world, bill["payer_id"])
            assert after["revenue_interest"] == vat - interest["amount"]
            assert after["vat_output"] == before["vat_output"] - vat
            assert (await owed(world, bill["id"]))["vat_amount"] is None
            await steps.refuse_disorder(world, [FEBRUARY, MARCH, MAY])

    database(scenario)


def test_interest_that_is_given_back_gives_its_vat_back(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=date(2026, 1, 5)) as world:
            bill = await billed(world)
            await world.staff.post("/v1/interest-terms", TERMS)
            before = await accounts(world, bill["payer_id"])
            await steps.night(world, MAY, "interest")
            # It had been paid in time.
            await steps.pay(world, bill["payer_id"], bill["total_amount"], "2026-03-01")
            await steps.night(world, date(2026, 6, 1), "interest")
            rows = await charged(world, bill["payer_id"], "interest")
            assert sum(one["amount"] for one in rows) == 0
            assert [one["vat_amount"] < 0 for one in rows] == [False, True]
            after = await accounts(world, bill["payer_id"])
            assert after["vat_output"] == before["vat_output"]
            assert "revenue_interest" not in after

    database(scenario)


def test_a_fee_bears_it_too_and_from_the_day_that_was_said_nothing_does(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=date(2026, 1, 5)) as world:
            bill = await billed(world)
            one = {"name": "notice", "day_kind": "calendar", "fee_currency": "CNY"}
            dunned = [
                {**one, "number": 1, "days": 10, "fee_amount": 1_130},
                {**one, "number": 2, "days": 40, "fee_amount": 1_130},
            ]
            await world.staff.ask("PUT", "/v1/dunning-steps", json={"steps": dunned})
            await steps.night(world, date(2026, 3, 20))
            law = {"from_on": "2026-04-01", "taxed": False, "reason": "the law was changed"}
            said = await world.staff.post("/v1/ancillary-vat", law)
            assert (said["from_on"], said["taxed"]) == ("2026-04-01", False)
            again = await world.staff.refused("POST", "/v1/ancillary-vat", 409, law)
            assert again["code"] == "ancillary_vat_taken"
            await steps.night(world, date(2026, 4, 20))
            fees = await charged(world, bill["payer_id"], "dunning_fee")
            assert [fee["vat_amount"] for fee in fees] == [130, 0]
            await world.staff.post("/v1/interest-terms", TERMS)
            await steps.night(world, MAY, "interest")
            (interest,) = await charged(world, bill["payer_id"], "interest")
            assert interest["vat_amount"] == 0
            known = (await world.staff.get("/v1/ancillary-vat"))["items"]
            assert known == [said]
            client = await world.login(Role.CUSTOMER, bill["payer_id"])
            await client.refused("GET", "/v1/ancillary-vat", 403)
            auditor = await world.login(Role.AUDITOR)
            assert (await auditor.get("/v1/ancillary-vat"))["items"] == [said]

    database(scenario)


def test_a_bad_debt_is_given_up_with_its_vat_which_stays_paid(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=date(2026, 1, 5)) as world:
            bill = await billed(world)
            before = await accounts(world, bill["payer_id"])
            path = f"/v1/receivables/{bill['id']}/write-off"
            given_up = await world.staff.post(path, {"reason": "bankrupt"})
            assert given_up["amount"] == bill["total_amount"]
            after = await accounts(world, bill["payer_id"])
            assert after["bad_debt"] == bill["total_amount"]
            assert after["vat_output"] == before["vat_output"] == -bill["vat_amount"]
            assert "receivable" not in after

    database(scenario)
