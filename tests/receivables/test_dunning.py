"""Dunning: each step once, on business days, and not while it is held back."""

import asyncio
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs import receivables, runner
from jobs.registry import JOBS
from leasing.db.pool import Database, connect
from leasing.kit import calendars
from leasing.kit.settings import Settings
from leasing.receivables import rules
from schemas.receivables import DayKind
from tests import build
from tests.billing.steps import cancel_soon
from tests.build import Json, World
from tests.receivables import steps
from tests.receivables.steps import accounts, invoice, night, owed, pay

DUE = date(2026, 6, 1)
STEPS = [("reminder", 3, "business"), ("first", 15, "calendar"), ("second", 30, "calendar")]


async def put_steps(world: World, *steps: Json) -> Any:
    answer = await world.staff.ask("PUT", "/v1/dunning-steps", json={"steps": steps})
    return build.expect(answer, 200)


def step(number: int, **changes: Any) -> Json:
    name, days, kind = STEPS[number - 1]
    return {"number": number, "name": name, "days": days, "day_kind": kind, **changes}


async def add_steps(world: World, **fee: Any) -> None:
    await put_steps(world, step(1), step(2, **fee), step(3))


async def notices(world: World, **query: str) -> list[tuple[str, str]]:
    page = await world.staff.get("/v1/dunning-notices", **query)
    return [(one["step_name"], one["reached_on"]) for one in page["items"]]


def test_an_overdue_invoice_reaches_each_step_once_until_it_is_paid(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=DUE) as world:
            payer = (await build.customer(world))["id"]
            await add_steps(world)
            bill = await invoice(world, payer, 1_000, DUE)
            settled = await invoice(world, payer, 1_000, DUE - timedelta(days=1))
            await pay(world, payer, 1_000, DUE)
            for days in range(1, 21):
                await night(world, DUE + timedelta(days=days))
                await steps.job(db, "receivables", DUE + timedelta(days=days))
            # 19 June is the Dragon Boat Festival, but the 16th is a Tuesday.
            assert await notices(world) == [("reminder", "2026-06-04"), ("first", "2026-06-16")]
            assert await notices(world, invoice_id=settled) == []
            events = (await world.staff.get("/v1/events", limit=200))["items"]
            told = [one["data"] for one in events if one["kind"] == "receivable.dunned"]
            assert [(one["step"], one["open_amount"]) for one in told] == [(1, 1_000), (2, 1_000)]
            await pay(world, payer, 1_000, DUE + timedelta(days=20))
            await night(world, DUE + timedelta(days=40))
            assert len(await notices(world, party_id=payer)) == 2
            assert (await owed(world, bill))["open_amount"] == 0

    database(scenario)


def test_a_fee_of_a_step_is_owed_at_once_by_invoices_of_its_currency(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=DUE) as world:
            payer = (await build.customer(world))["id"]
            await add_steps(world, fee_amount=5_000, fee_currency="CNY")
            bill = await invoice(world, payer, 1_000, DUE)
            await invoice(world, payer, 1_000, DUE, currency="USD")
            await night(world, DUE + timedelta(days=15))
            assert len(await notices(world)) == 2
            page = await world.staff.get("/v1/receivables", party_id=payer)
            fees = [one for one in page["items"] if one["kind"] == "dunning_fee"]
            assert [(one["amount"], one["invoice_id"]) for one in fees] == [(5_000, bill)]
            assert fees[0]["number"].endswith("/D2")
            assert (await accounts(world))["revenue_fees"] == -5_000
            await steps.refuse_disorder(world, [DUE, DUE + timedelta(days=15)])

    database(scenario)


def test_a_step_that_was_leapt_over_is_not_noted_later(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=DUE) as world:
            payer = (await build.customer(world))["id"]
            await add_steps(world)
            await invoice(world, payer, 1_000, DUE)
            await night(world, DUE + timedelta(days=35))
            await night(world, DUE + timedelta(days=36))
            assert [name for name, _ in await notices(world)] == ["second"]
            await put_steps(world, step(1), step(2))
            await night(world, DUE + timedelta(days=37))
            assert [name for name, _ in await notices(world)] == ["second"]

    database(scenario)


@pytest.mark.parametrize("whose", ["party_id", "invoice_id"])
def test_a_pause_holds_dunning_back_for_a_party_or_an_invoice(database, whose):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=DUE) as world:
            payer = (await build.customer(world))["id"]
            other = (await build.customer(world))["id"]
            await add_steps(world)
            bill = await invoice(world, payer, 1_000, DUE)
            await invoice(world, other, 1_000, DUE)
            what = {"party_id": payer} if whose == "party_id" else {"invoice_id": bill}
            until = {"until_on": str(DUE + timedelta(days=20))}
            pause = {**what, "reason": "in dispute", **until}
            made = await world.staff.post("/v1/dunning-pauses", pause)
            await night(world, DUE + timedelta(days=16))
            assert await notices(world, party_id=payer) == []
            assert len(await notices(world, party_id=other)) == 1
            await world.staff.post(f"/v1/dunning-pauses/{made['id']}/end")
            again = f"/v1/dunning-pauses/{made['id']}/end"
            assert (await world.staff.refused("POST", again, 409))["code"] == "dunning_pause_over"
            await night(world, DUE + timedelta(days=17))
            assert [name for name, _ in await notices(world, party_id=payer)] == ["first"]
            await world.staff.post("/v1/dunning-pauses", {**what, "reason": "again"})
            await night(world, DUE + timedelta(days=31))
            assert len(await notices(world, party_id=payer)) == 1
            listed = await world.staff.get("/v1/dunning-pauses", **what)
            assert [one["reason"] for one in listed["items"]] == ["in dispute", "again"]

    database(scenario)


def test_a_pause_ends_by_itself_after_its_last_day(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=DUE) as world:
            payer = (await build.customer(world))["id"]
            await add_steps(world)
            await invoice(world, payer, 1_000, DUE)
            last = DUE + timedelta(days=5)
            pause = {"party_id": payer, "reason": "talks", "until_on": str(last)}
            await world.staff.post("/v1/dunning-pauses", pause)
            await night(world, last)
            assert await notices(world) == []
            await night(world, last + timedelta(days=1))
            assert len(await notices(world)) == 1
            for wrong in ({}, {"party_id": payer, "invoice_id": payer},
                          {"party_id": payer, "until_on": "2026-01-01"}):  # fmt: skip
                data = {"reason": "x", **wrong}
                problem = await world.staff.refused("POST", "/v1/dunning-pauses", 400, data)
                assert problem["code"] == "bad_dunning_pause"
            unknown = {"reason": "x", "invoice_id": payer}
            await world.staff.refused("POST", "/v1/dunning-pauses", 404, unknown)

    database(scenario)


def test_steps_are_put_as_a_whole_and_those_left_out_are_not_used_any_more(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=DUE) as world:
            payer = (await build.customer(world))["id"]
            await add_steps(world)
            await invoice(world, payer, 1_000, DUE)
            before = await world.staff.get("/v1/dunning-steps")
            wanted = [step(1), step(2, days=16)]
            made = await put_steps(world, *wanted)
            assert await put_steps(world, *wanted) == made
            assert [one["id"] for one in made] == [one["id"] for one in before]
            assert [(one["name"], one["days"], one["active"]) for one in made] == [
                ("reminder", 3, True), ("first", 16, True), ("second", 30, False),
            ]  # fmt: skip
            # Not from the list: it waits for transactions of other tests.
            async with db.transaction() as tx:
                kinds = [row["kind"] for row in await tx.fetch("SELECT kind FROM domain_event")]
            assert kinds.count("dunning_steps.changed") == 2
            await night(world, DUE + timedelta(days=15))
            assert await notices(world) == [("reminder", "2026-06-16")]
            await night(world, DUE + timedelta(days=60))
            assert [name for name, _ in await notices(world)] == ["reminder", "first"]
            wrong = {"steps": [step(1), step(1, fee_amount=1)]}
            problem = await world.staff.refused("PUT", "/v1/dunning-steps", 400, wrong)
            assert [one["pointer"] for one in problem["errors"]] == [
                "/steps/1/number", "/steps/1/fee_amount",
            ]  # fmt: skip

    database(scenario)


def test_a_night_cut_short_between_two_chunks_goes_on_and_notes_nothing_twice(
    database, monkeypatch
):
    monkeypatch.setattr(receivables, "CHUNK_INVOICES", 4)

    async def scenario(db: Database) -> None:
        async with build.world(db, on=DUE) as world:
            payer = (await build.customer(world))["id"]
            await add_steps(world, fee_amount=5, fee_currency="CNY")
            for _ in range(14):
                await invoice(world, payer, 1_000, DUE)
            as_of = DUE + timedelta(days=16)
            await world.set_clock(as_of)
            for _ in range(3):
                attempt = asyncio.create_task(
                    runner.run_once(db, "receivables", JOBS["receivables"], as_of, cancel_soon)
                )
                with pytest.raises(asyncio.CancelledError):
                    await attempt
            assert 0 < len(await notices(world)) < 14
            await steps.job(db, "receivables", as_of)
            assert len(await notices(world)) == 14
            assert (await accounts(world))["revenue_fees"] == -14 * 5

    database(scenario)


def test_a_new_deployment_has_four_steps(dsn: str, own_schema: Settings) -> None:
    async def scenario() -> list[Any]:
        async with await connect(dsn, own_schema) as db, db.transaction() as tx:
            query = "SELECT number, days, day_kind FROM dunning_step ORDER BY number"
            return [tuple(row) for row in await tx.fetch(query)]

    assert asyncio.run(scenario()) == [
        (1, 3, "business"), (2, 15, "calendar"), (3, 30, "calendar"), (4, 60, "calendar"),
    ]  # fmt: skip


KINDS = st.sampled_from(DayKind)


@given(
    st.dates(date(2024, 1, 1), date(2027, 12, 31)), st.integers(min_value=1, max_value=90), KINDS
)
def test_the_last_due_day_splits_the_invoices_that_reached_a_step(as_of, days, kind):
    last = rules.last_due_on(as_of, days, kind)
    assert rules.reached_on(last, days, kind) <= as_of
    assert rules.reached_on(last + timedelta(days=1), days, kind) > as_of


@given(
    st.dates(date(2024, 1, 1), date(2027, 12, 31)), st.integers(min_value=1, max_value=60), KINDS
)
def test_a_step_is_reached_on_a_business_day_and_later_for_who_is_due_later(due_on, days, kind):
    reached = rules.reached_on(due_on, days, kind)
    assert calendars.china_or_weekday(reached)
    assert reached >= due_on + timedelta(days=days) or kind is DayKind.BUSINESS
    assert reached <= rules.reached_on(due_on + timedelta(days=1), days, kind)
    between = (due_on + timedelta(days=n) for n in range(1, (reached - due_on).days + 1))
    if kind is DayKind.BUSINESS:
        assert sum(map(calendars.china_or_weekday, between)) == days


def test_the_spring_festival_is_no_time_to_remind_anybody():
    # 15 to 23 February 2026; the 14th and the 28th are worked.
    assert rules.reached_on(date(2026, 2, 13), 3, DayKind.BUSINESS) == date(2026, 2, 25)
    assert rules.reached_on(date(2026, 2, 1), 15, DayKind.CALENDAR) == date(2026, 2, 24)
