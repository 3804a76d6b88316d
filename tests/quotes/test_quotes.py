"""Quotes: worked out before there is a lease, and equal to the invoices that follow."""

from datetime import date
from typing import Any

import pytest

from leasing.contracts import rules as contract_rules
from leasing.db.pool import Database
from tests import build
from tests.api.stories import run_job, settled
from tests.build import Json, World

SIGNED = {"lessor_signatory": "赵总", "lessee_signatory": "钱总"}
YEARLY = {"kind": "fixed", "percent": "3", "every_months": 2}
PRICE = {
    "kind": "declining",
    "amount": 300_000,
    "monthly_percent": "1.5",
    "floor_amount": 60_000,
}


def terms(label: str = "five months", **changes: Any) -> Json:
    return {
        "label": label,
        "starts_on": "2026-01-05",
        "ends_on": "2026-06-05",
        "vat_percent": "13",
        "payment_days": 30,
        "guarantee_percent": "80",
        "replacement_days": 7,
        "lines": [{"count": 2, "rated_capacity_mah": 100_000, "rent_amount": 31_001}],
        **changes,
    }


def quote(*alternatives: Json, **changes: Any) -> Json:
    return {"valid_to": "2026-12-31", "alternatives": list(alternatives or [terms()]), **changes}


def test_two_alternatives_stand_side_by_side_with_every_month(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            longer = terms("a year", ends_on="2027-01-05", buy_out=PRICE, deposit_amount=50_000)
            made = await world.staff.post("/v1/quotes", quote(terms(), longer))
            assert made["state"] == "open"
            first, second = made["alternatives"]
            assert (first["packs"], second["packs"]) == (2, 2)
            assert (first["buy_out_amount"], first["deposit_amount"]) == (None, 0)
            assert [month["from_on"] for month in first["months"]] == [
                f"2026-0{month}-01" for month in range(1, 7)
            ]
            assert len(second["months"]) == 13
            # 31,001 × 27/31 = 27,000.87, rounded for each pack; VAT once on the sum.
            january = first["months"][0]
            (charge,) = january["charges"]
            assert (charge["days"], charge["month_days"], charge["count"]) == (27, 31, 2)
            assert (charge["amount"], charge["total_amount"]) == (27_001, 54_002)
            assert (january["net_amount"], january["vat_amount"], january["total_amount"]) == (
                54_002,
                7_020,
                61_022,
            )
            # After twelve months a pack costs 300,000 × (1 - 12 × 1.5 %).
            assert (second["buy_out_amount"], second["deposit_amount"]) == (2 * 246_000, 50_000)
            for one in (first, second):
                for amount in ("net_amount", "vat_amount", "total_amount"):
                    assert one[amount] == sum(month[amount] for month in one["months"])

    database(scenario)


@pytest.mark.parametrize("vat_mode", ["exclusive", "inclusive"])
def test_what_was_quoted_is_what_is_invoiced_month_by_month(database, vat_mode):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=date(2026, 1, 5)) as world:
            lessee = await build.customer(world)
            place = await build.site(world, lessee["id"])
            lines = [
                {"count": 2, "rated_capacity_mah": 100_000, "rent_amount": 31_001},
                {
                    "slot": 3,
                    "site_id": place["id"],
                    "rated_capacity_mah": 100_000,
                    "rent_amount": 20_007,
                    "handed_over_on": "2026-02-10",
                },
            ]
            wanted = terms(lines=lines, escalator=YEARLY, vat_mode=vat_mode)
            made = await world.staff.post("/v1/quotes", quote(wanted, lessee_id=lessee["id"]))
            contract = await world.staff.post(
                f"/v1/quotes/{made['id']}/acceptance",
                {"alternative": 1, "number": "C-Q", "site_ids": [place["id"]]},
            )
            assert (contract["state"], contract["line_count"]) == ("offered", 3)
            path = f"/v1/contracts/{contract['id']}"
            await world.staff.post(f"{path}/signature", SIGNED)
            await world.staff.post(f"{path}/activation")
            days = {1: date(2026, 1, 5), 2: date(2026, 1, 5), 3: date(2026, 2, 10)}
            found = (await world.staff.get("/v1/lines", contract_id=contract["id"]))["items"]
            await play(world, {line["id"]: days[line["slot"]] for line in found})
            invoices = (await world.staff.get("/v1/invoices"))["items"]
            months = made["alternatives"][0]["months"]
            rents = {one["rent_amount"] for month in months for one in month["charges"]}
            assert {31_001, 31_931, 32_889} <= rents
            fields = ("net_amount", "vat_amount", "total_amount")
            assert [tuple(one[field] for field in fields) for one in invoices] == [
                tuple(one[field] for field in fields) for one in months
            ]

    database(scenario)


async def play(world: World, days: dict[str, date]) -> None:
    """Hand packs over on their days, bill every month, and take everything back at the end."""
    jobs = [("contracts", date(2026, month, day)) for month in range(1, 7) for day in (1, 5)]
    jobs += [("billing", date(2026, month, 1)) for month in range(2, 8)]
    for on in sorted({on for _, on in jobs} | set(days.values()) | {date(2026, 6, 5)}):
        if on > date(2026, 1, 5):
            await world.set_clock(on)
        for name, _ in [job for job in jobs if job[1] == on and on > date(2026, 1, 1)]:
            await run_job(world, name, on)
        for line in [line for line, day in days.items() if day == on]:
            pack = await build.pack(world)
            path = f"/v1/lines/{line}/acceptances"
            await world.staff.post(path, build.acceptance(pack["id"], on))
        if on == date(2026, 6, 5):
            for line in days:
                await world.staff.post(f"/v1/lines/{line}/returns", build.returned(str(on)))


def test_a_quote_is_accepted_once_while_it_is_valid(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lessee = await build.customer(world)
            place = await build.site(world, lessee["id"])
            made = await world.staff.post("/v1/quotes", quote(terms(), terms("other")))
            path = f"/v1/quotes/{made['id']}/acceptance"
            wanted = {"alternative": 2, "number": "C-1", "site_ids": [place["id"]]}
            problem = await world.staff.refused("POST", path, 400, wanted)
            assert [error["pointer"] for error in problem["errors"]] == ["/lessee_id"]
            wanted["lessee_id"] = lessee["id"]
            problem = await world.staff.refused("POST", path, 400, {**wanted, "site_ids": []})
            assert [error["pointer"] for error in problem["errors"]] == ["/site_ids"]
            contract = await world.staff.post(path, wanted)
            problem = await world.staff.refused("POST", path, 409, {**wanted, "number": "C-2"})
            assert problem["code"] == "quote_accepted"
            assert problem["extra"] == {"contract_id": contract["id"]}
            seen = await world.staff.get(f"/v1/quotes/{made['id']}")
            assert (seen["state"], seen["accepted_alternative"], seen["contract_id"]) == (
                "accepted",
                2,
                contract["id"],
            )
            late = await world.staff.post("/v1/quotes", quote(valid_to="2026-06-15"))
            await world.set_clock(date(2026, 6, 16))
            path = f"/v1/quotes/{late['id']}"
            assert (await world.staff.get(path))["state"] == "expired"
            wanted = {**wanted, "alternative": 1, "number": "C-3"}
            problem = await world.staff.refused("POST", f"{path}/acceptance", 409, wanted)
            assert problem["code"] == "quote_expired"
            await settled(world)
            events = (await world.staff.get("/v1/events", limit=200))["items"]
            kinds = [event["kind"] for event in events]
            assert (kinds.count("quote.made"), kinds.count("quote.accepted")) == (2, 1)

    database(scenario)


@pytest.mark.parametrize(
    ("changes", "code", "pointers"),
    [
        ({"ends_on": "2026-01-05"}, "ends_before_start", ["/alternatives/0/ends_on"]),
        ({"permitted_use": "e_bike"}, "forbidden_use", ["/alternatives/0/permitted_use"]),
        ({"time_zone": "Mars/Base"}, "bad_terms", ["/alternatives/0/time_zone"]),
        ({"ends_on": "2056-01-05"}, "bad_quote", ["/alternatives/0/ends_on"]),
        (
            {
                "lines": [
                    {
                        "rated_capacity_mah": 1,
                        "rent_amount": 1,
                        "handed_over_on": "2026-06-05",
                    }
                ]
            },
            "bad_quote",
            ["/alternatives/0/lines/0/handed_over_on"],
        ),
        ({"lines": []}, "invalid_payload", ["/alternatives/0/lines"]),
    ],
)
def test_what_cannot_be_quoted_is_refused_with_the_place(database, changes, code, pointers):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            wanted = quote(terms(**changes))
            problem = await world.staff.refused("POST", "/v1/quotes", 400, wanted)
            assert problem["code"] == code
            assert [error["pointer"] for error in problem["errors"]] == pointers
            assert (await world.staff.get("/v1/quotes"))["items"] == []

    database(scenario)


def test_a_customer_sees_its_own_quotes_and_accepts_none_itself(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lessees = [await build.customer(world) for _ in range(2)]
            made = [
                await world.staff.post("/v1/quotes", quote(lessee_id=lessee["id"]))
                for lessee in lessees
            ]
            await world.staff.post("/v1/quotes", quote())
            client = await world.login(build.Role.CUSTOMER, lessees[0]["id"])
            page = await client.get("/v1/quotes")
            assert [one["id"] for one in page["items"]] == [made[0]["id"]]
            await client.get(f"/v1/quotes/{made[0]['id']}")
            await client.refused("GET", f"/v1/quotes/{made[1]['id']}", 404)
            wanted = {"alternative": 1, "number": "C-1"}
            path = f"/v1/quotes/{made[0]['id']}/acceptance"
            await client.refused("POST", path, 403, wanted)

    database(scenario)


# --- Settlements ------------------------------------------------------------------------------


def test_a_settlement_says_beforehand_what_the_last_invoice_will_be(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            early = {"kind": "months_of_rent", "months": 3}
            lease = await build.leased_pack(world, early_termination=early, buy_out=PRICE)
            contract, line = f"/v1/contracts/{lease['contract']['id']}", lease["line"]["id"]
            await run_job(world, "billing", date(2026, 7, 1))
            await world.set_clock(date(2026, 7, 16))
            seen = await world.staff.get(f"{contract}/settlement", on="2026-07-16")
            back, bought = seen["given_back"], seen["bought"]
            # Rent of 15 of 31 days, and three months' rent; or 300,000 × (1 - 6 × 1.5 %).
            assert {one["component"]: one["amount"] for one in back["components"]} == {
                "rent": 15_000,
                "early_termination": 93_000,
            }
            assert {one["component"]: one["amount"] for one in bought["components"]} == {
                "rent": 15_000,
                "buy_out": 273_000,
            }
            assert back["total_amount"] == 108_000 + 14_040
            assert await world.staff.get(f"{contract}/settlement", on="2026-07-16") == seen
            assert (await world.staff.get(contract))["state"] == "active"
            end = {"on": "2026-07-16", "reason": "closed"}
            await world.staff.post(f"{contract}/termination", end)
            await world.staff.post(f"/v1/lines/{line}/returns", build.returned("2026-07-16"))
            await run_job(world, "billing", date(2026, 8, 1))
            last = (await world.staff.get("/v1/invoices"))["items"][-1]
            for amount in ("net_amount", "vat_amount", "total_amount"):
                assert last[amount] == back[amount]

    database(scenario)


def test_a_settlement_is_refused_where_an_end_would_be(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease = await build.leased_pack(world, minimum_months=6)
            path = f"/v1/contracts/{lease['contract']['id']}/settlement"

            async def code(on: str) -> str:
                answer = await world.staff.ask("GET", path, params={"on": on})
                assert answer.status_code == 409
                return str(answer.json()["code"])

            assert await code("2026-06-30") == "before_minimum"
            assert await code("2029-01-01") == "outside_term"
            await run_job(world, "billing", date(2026, 8, 1))
            assert await code("2026-07-20") == "billed_beyond"
            seen = await world.staff.get(path, on="2026-08-01")
            assert (seen["given_back"], seen["bought"]) == (None, None)

    database(scenario)


def test_steps_of_an_escalator_are_those_days_on_which_the_rent_changes():
    from schemas.contracts import EscalationStep, FixedEscalator, NoEscalator, TableEscalator

    start, until = date(2026, 1, 31), date(2027, 2, 1)
    fixed = FixedEscalator(percent="1", every_months=5)
    assert contract_rules.steps(fixed, start, until) == [date(2026, 6, 30), date(2026, 11, 30)]
    table = TableEscalator(
        steps=[
            EscalationStep(from_on=on, percent_of_base="101")
            for on in (date(2026, 1, 1), date(2026, 5, 1), until)
        ]
    )
    assert contract_rules.steps(table, start, until) == [date(2026, 5, 1)]
    assert contract_rules.steps(NoEscalator(), start, until) == []
