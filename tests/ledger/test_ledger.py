"""The ledger: what was entered is found again, from both sides, and adds up to nothing."""

from datetime import date
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leasing.access.model import Role
from leasing.db.pool import Database
from leasing.ledger import service
from leasing.ledger.model import Entry
from tests import build
from tests.build import Json, World

JANUARY, FEBRUARY, MARCH = date(2026, 1, 31), date(2026, 2, 28), date(2026, 3, 31)


def fact(party_id: str, on: date = JANUARY, currency: str = "CNY", **amounts: int) -> Entry:
    return Entry(
        source="invoice",
        source_id=uuid4(),
        event="finalised",
        currency=currency,
        posted_on=on,
        party_id=UUID(party_id),
        amounts=amounts,
    )


async def post(db: Database, *entries: Entry) -> None:
    async with db.transaction() as tx:
        await service.post_all(tx, entries)


async def columns(world: World, *wanted: str, **query: Any) -> dict[str, list[int]]:
    """Some columns of the trial balance, by account."""
    balance = await world.staff.get("/v1/ledger/trial-balance", **query)
    assert balance["balanced"]
    return {one["account"]: [one[name] for name in wanted] for one in balance["accounts"]}


def test_the_trial_balance_is_read_as_of_a_day_and_between_days(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            a = (await build.customer(world))["id"]
            await post(
                db,
                fact(a, JANUARY, receivable=113, revenue_rent=-100, vat_output=-13),
                fact(a, FEBRUARY, cash=113, receivable=-113),
                fact(a, MARCH, receivable=226, revenue_rent=-200, vat_output=-26),
            )
            shown = "opening", "debit", "credit", "closing"
            assert (await columns(world, *shown))["receivable"] == [0, 339, 113, 226]
            until = await columns(world, *shown, as_of=JANUARY)
            assert until["receivable"] == [0, 113, 0, 113]
            assert "cash" not in until
            assert await columns(world, *shown, from_on=FEBRUARY, as_of=FEBRUARY) == {
                "receivable": [113, 0, 113, 0],
                "cash": [0, 113, 0, 113],
                "revenue_rent": [-100, 0, 0, -100],
                "vat_output": [-13, 0, 0, -13],
            }

    database(scenario)


def test_the_trial_balance_is_read_by_party_and_by_currency(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            a, b = [(await build.customer(world, name))["id"] for name in "AB"]
            await post(
                db,
                fact(a, receivable=1, revenue_rent=-1),
                fact(b, receivable=10, revenue_rent=-10),
                fact(b, currency="USD", receivable=100, revenue_rent=-100),
            )
            assert await columns(world, "closing", party_id=a) == {
                "receivable": [1],
                "revenue_rent": [-1],
            }
            assert (await columns(world, "closing", currency="CNY"))["receivable"] == [11]
            whole = await world.staff.get("/v1/ledger/trial-balance")
            assert [
                (one["account"], one["currency"], one["closing"]) for one in whole["accounts"]
            ] == [
                ("receivable", "CNY", 11),
                ("receivable", "USD", 100),
                ("revenue_rent", "CNY", -11),
                ("revenue_rent", "USD", -100),
            ]

    database(scenario)


def test_an_entry_is_found_by_its_source_and_says_where_its_source_is(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            a = (await build.customer(world))["id"]
            one, other = fact(a, receivable=5, revenue_rent=-5), fact(a, cash=5, receivable=-5)
            await post(db, one, other)
            asked = {"source": "invoice", "source_id": one.source_id}
            page = await world.staff.get("/v1/journal-entries", **asked)
            (found,) = page["items"]
            assert found["source_path"] == f"/v1/invoices/{one.source_id}"
            assert found["postings"] == [
                {"account": "receivable", "party_id": a, "amount": 5},
                {"account": "revenue_rent", "party_id": a, "amount": -5},
            ]
            assert await world.staff.get(f"/v1/journal-entries/{found['id']}") == found
            asked["source"] = "payment"
            assert (await world.staff.get("/v1/journal-entries", **asked))["items"] == []
            await world.staff.refused("GET", f"/v1/journal-entries/{uuid4()}", 404)

    database(scenario)


async def sources(world: World, **query: Any) -> list[str]:
    """Sources of all entries that answer to a query, two a page."""
    found: list[Json] = []
    cursor: Json = {}
    while True:
        page = await world.staff.get("/v1/journal-entries", **query, **cursor, limit=2)
        found += page["items"]
        if page["next_cursor"] is None:
            return [one["source_id"] for one in found]
        cursor = {"cursor": page["next_cursor"]}


def test_entries_are_listed_by_day_account_and_party(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            a, b = [(await build.customer(world, name))["id"] for name in "AB"]
            facts = [
                fact(a, JANUARY, receivable=1, revenue_rent=-1),
                fact(b, JANUARY, receivable=2, revenue_fees=-2),
                fact(a, FEBRUARY, cash=1, receivable=-1),
                fact(a, MARCH, receivable=3, revenue_rent=-3),
                fact(b, MARCH, receivable=4, revenue_rent=-4),
            ]
            await post(db, *facts)
            first, second, third, fourth, fifth = [str(one.source_id) for one in facts]
            assert await sources(world) == [first, second, third, fourth, fifth]
            assert await sources(world, party_id=b) == [second, fifth]
            assert await sources(world, account="revenue_rent") == [first, fourth, fifth]
            assert await sources(world, account="revenue_rent", party_id=a) == [first, fourth]
            assert await sources(world, from_on=FEBRUARY) == [third, fourth, fifth]
            assert await sources(world, as_of=JANUARY) == [first, second]
            assert await sources(world, source="payment") == []

    database(scenario)


def test_the_chart_names_every_account_in_two_languages(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            auditor = await world.login(Role.AUDITOR)
            chart = (await auditor.get("/v1/ledger/accounts"))["accounts"]
            kinds = [one["kind"] for one in chart]
            order = ["asset", "liability", "revenue", "expense"]
            assert kinds == sorted(kinds, key=order.index)
            assert {
                "code": "net_investment",
                "kind": "asset",
                "name": "租赁投资净额",
                "name_en": "Net investment in finance leases",
            } in chart
            customer = await world.login(Role.CUSTOMER, (await build.customer(world))["id"])
            for path in ("ledger/accounts", "ledger/trial-balance", "journal-entries"):
                await customer.refused("GET", f"/v1/{path}", 403)

    database(scenario)


REFUSED = {
    "posting_entry_balances": {"receivable": 1},
    "posting_account": {"receivable": 1, "petty_cash": -1},
}


@pytest.mark.parametrize(("constraint", "amounts"), REFUSED.items())
def test_one_wrong_entry_of_many_is_refused_with_all_of_them(database, constraint, amounts):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            a = (await build.customer(world))["id"]
            good = [fact(a, receivable=n, revenue_rent=-n) for n in range(1, 4)]
            # What two entries lack must not cancel out.
            wrong = [fact(a, **amounts), fact(a, **{name: -n for name, n in amounts.items()})]
            with pytest.raises(asyncpg.IntegrityConstraintViolationError) as refused:
                await post(db, *good, *wrong)
            assert refused.value.constraint_name == constraint
            assert await sources(world) == []

    database(scenario)


ONE_SIDED = """
INSERT INTO posting (entry_id, account, party_id, amount)
SELECT id, 'cash', $1, 1
  FROM journal_entry
"""


def test_nothing_is_added_to_an_entry_that_would_put_it_out_of_balance(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            a = (await build.customer(world))["id"]
            await post(db, fact(a, receivable=1, revenue_rent=-1))
            with pytest.raises(asyncpg.CheckViolationError, match="out of balance by 1"):
                async with db.transaction() as tx:
                    await tx.execute(ONE_SIDED, UUID(a))

    database(scenario)


AMOUNTS = st.dictionaries(
    st.sampled_from(["receivable", "revenue_rent", "vat_output", "cash"]),
    st.integers(-(10**12), 10**12),
    min_size=1,
)


def balanced(amounts: dict[str, int]) -> dict[str, int]:
    return {**amounts, "bad_debt": -sum(amounts.values())}


@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture
    ],  # it empties the database each time
)
@given(st.lists(AMOUNTS.map(balanced), max_size=8))
def test_whatever_is_posted_together_is_read_as_it_was_posted(database, wanted):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            a = (await build.customer(world))["id"]
            entries = [fact(a, **amounts) for amounts in wanted]
            await post(db, *entries)
            page = await world.staff.get("/v1/journal-entries", limit=200)
            found = {
                one["source_id"]: {p["account"]: p["amount"] for p in one["postings"]}
                for one in page["items"]
            }
            assert found == {
                str(one.source_id): {name: n for name, n in one.amounts.items() if n}
                for one in entries
            }

    database(scenario)
