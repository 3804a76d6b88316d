"""Statements and ageing, and what holds whatever is done: nothing is settled twice, and the ledger
says what the documents say, on every day."""

import random
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leasing.db.pool import Database
from leasing.receivables import rules
from leasing.receivables.model import Receivable
from schemas.receivables import DebtKind, FirstBy, ReceivableKind
from tests import build
from tests.build import Json, World
from tests.receivables import steps
from tests.receivables.steps import invoice, pay

TODAY = build.TODAY


def test_a_statement_tells_every_movement_with_what_is_owed_after_it(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            payer = (await build.customer(world))["id"]
            first = await invoice(
                world, payer, 1_000, date(2026, 2, 9), issued_on=date(2026, 1, 10)
            )
            await invoice(world, payer, -200, date(2026, 2, 20), issued_on=date(2026, 2, 20))
            await invoice(world, payer, 50, date(2026, 3, 1), currency="USD")
            gone = await pay(world, payer, 300, "2026-03-02", reference="slip 7")
            reason = {"reason": "no funds", "bounced_on": "2026-03-04"}
            await world.staff.post(f"/v1/payments/{gone['id']}/bounce", reason)
            await pay(world, payer, 900, "2026-03-05", reference="slip 8")
            off = {"reason": "small", "written_off_on": "2026-03-31"}
            await world.staff.post(f"/v1/receivables/{first}/write-off", off)
            path = f"/v1/parties/{payer}/statement"
            told = await world.staff.get(path, from_on="2026-02-01", to_on="2026-03-31")
            assert (told["opening_balance"], told["closing_balance"]) == (1_000, -200)
            assert [
                (one["posted_on"], one["kind"], one["amount"], one["balance"])
                for one in told["lines"]
            ] == [
                ("2026-02-20", "credit_note", -200, 800),
                ("2026-03-02", "payment", -300, 500),
                ("2026-03-04", "bounced_payment", 300, 800),
                ("2026-03-05", "payment", -900, -100),
                ("2026-03-31", "write_off", -100, -200),
            ]
            assert [one["number"] for one in told["lines"][1:4]] == ["slip 7", "slip 7", "slip 8"]
            before = await world.staff.get(path, from_on="2026-02-01", to_on="2026-03-03")
            assert before["closing_balance"] == 500
            dollars = await world.staff.get(
                path, from_on="2026-01-01", to_on="2026-12-31", currency="USD"
            )
            assert [one["amount"] for one in dollars["lines"]] == [50]
            for status, wrong in (
                (400, {"from_on": "2026-02-02", "to_on": "2026-02-01"}),
                (400, {"from_on": "2026-02-02"}),
            ):
                answer = await world.staff.ask("GET", path, params=wrong)
                assert answer.status_code == status
            nobody = f"/v1/parties/{first}/statement"
            query = {"from_on": "2026-02-01", "to_on": "2026-02-01"}
            assert (await world.staff.ask("GET", nobody, params=query)).status_code == 404

    database(scenario)


def test_ageing_puts_what_is_open_into_days_as_of_any_day_and_equals_the_ledger(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            payer = (await build.customer(world))["id"]
            other = (await build.customer(world))["id"]
            for days, amount in (
                (0, 1),
                (1, 20),
                (30, 300),
                (31, 4_000),
                (61, 50_000),
                (91, 600_000),
            ):
                await invoice(world, payer, amount, TODAY - timedelta(days=days))
            await invoice(world, other, -5, TODAY)
            await pay(world, other, 70, TODAY)
            (row,) = (await world.staff.get("/v1/ageing"))["rows"]
            assert row == {
                "currency": "CNY",
                "not_due": 1,
                "days_1_30": 320,
                "days_31_60": 4_000,
                "days_61_90": 50_000,
                "days_over_90": 600_000,
                "credit": -5,
                "total": 654_316,
                "ledger": 654_316,
                "agrees": True,
            }
            await pay(world, payer, 654_321, TODAY)
            (row,) = (await world.staff.get("/v1/ageing", party_id=payer))["rows"]
            assert (row["total"], row["agrees"]) == (0, True)
            eve = str(TODAY - timedelta(days=1))
            (row,) = (await world.staff.get("/v1/ageing", as_of=eve, party_id=payer))["rows"]
            assert (row["total"], row["days_1_30"]) == (654_321, 300 + 4_000)
            assert row["agrees"]

    database(scenario)


def test_ageing_says_so_when_the_ledger_says_something_else(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            payer = (await build.customer(world))["id"]
            await invoice(world, payer, 100, TODAY)
            async with db.transaction() as tx:
                await tx.execute(
                    """
                    WITH entry AS (
                      INSERT INTO journal_entry (source, source_id, event, currency, posted_on)
                      VALUES ('hand', uuidv7(), 'booked', 'CNY', '2026-06-01')
                      RETURNING id
                    )
                    INSERT INTO posting (entry_id, account, party_id, amount)
                    SELECT entry.id, account, party.id, amount
                      FROM entry, party,
                           (VALUES ('receivable', 7), ('cash', -7)) AS booked (account, amount)
                     WHERE party.kind = 'customer'
                    """
                )
            (row,) = (await world.staff.get("/v1/ageing"))["rows"]
            assert (row["total"], row["ledger"], row["agrees"]) == (100, 107, False)

    database(scenario)


SURE = ("bill", "note", "apply")


class Hand:
    """Somebody who does whatever comes to mind, with one payer's money."""

    def __init__(self, world: World, chance: random.Random, payer: str, contract: str) -> None:
        self.world = world
        self.chance = chance
        self.payer = payer
        self.contract = contract
        self.done: dict[str, int] = {}

    def day(self) -> date:
        """Today as often as not, or any day of five months."""
        return TODAY - timedelta(days=self.chance.choice([0, self.chance.randint(1, 150)]))

    async def one_of(self, path: str, **query: Any) -> Json | None:
        items = (await self.world.staff.get(path, limit=200, **query))["items"]
        return self.chance.choice(items) if items else None

    async def step(self) -> None:
        name = self.chance.choice(
            ["bill", "bill", "note", "pay", "pay", "allocate", "allocate", "reverse", "bounce",
             "credit", "credit", "write_off", "deposit", "deposit", "apply", "refund", "refund",
             "transfer_back"]
        )  # fmt: skip
        answer = await getattr(self, name)()
        if answer is None or answer.is_success:
            self.done[name] = self.done.get(name, 0) + (answer is not None or name in SURE)
        else:
            assert answer.status_code == 409, answer.text

    async def bill(self) -> None:
        await invoice(self.world, self.payer, self.chance.randint(1, 900), self.day())

    async def note(self) -> None:
        await invoice(self.world, self.payer, -self.chance.randint(1, 300), self.day())

    async def pay(self) -> Any:
        data = steps.payment(
            self.payer, self.chance.randint(1, 1_200), self.day(),
            automatic=self.chance.random() < 0.3,
        )  # fmt: skip
        return await self.world.staff.ask("POST", "/v1/payments", json=data)

    async def named(self) -> list[Json]:
        owed = await self.one_of("/v1/receivables", party_id=self.payer)
        if owed is None or self.chance.random() < 0.3:
            return []
        return [{"receivable_id": owed["id"], "amount": self.chance.randint(1, 500)}]

    async def allocate(self) -> Any:
        one = await self.one_of("/v1/payments")
        if one is not None:
            path = f"/v1/payments/{one['id']}/allocations"
            data = {"allocations": await self.named()}
            return await self.world.staff.ask("POST", path, json=data)
        return None

    async def credit(self) -> Any:
        one = await self.one_of("/v1/receivables", open=True)
        if one is not None and (one["amount"] < 0 or self.chance.random() < 0.3):
            path = f"/v1/receivables/{one['id']}/allocations"
            data = {"allocations": await self.named()}
            return await self.world.staff.ask("POST", path, json=data)
        return None

    async def reverse(self) -> Any:
        one = await self.one_of("/v1/allocations")
        if one is not None:
            path = f"/v1/allocations/{one['id']}/reversal"
            data = {"reason": "x", "reversed_on": str(self.day())}
            return await self.world.staff.ask("POST", path, json=data)
        return None

    async def bounce(self) -> Any:
        one = await self.one_of("/v1/payments")
        if one is not None and self.chance.random() < 0.5:
            path = f"/v1/payments/{one['id']}/bounce"
            data = {"reason": "x", "bounced_on": str(self.day())}
            return await self.world.staff.ask("POST", path, json=data)
        return None

    async def refund(self) -> Any:
        money = await self.one_of("/v1/payments", has_credit=True)
        credit = await self.one_of("/v1/receivables", open=True)
        data = {
            "amount": self.chance.randint(1, 200),
            "reference": f"R {self.chance.random()}",
            "reason": "x",
            "refunded_on": str(self.day()),
        }
        if money is not None and self.chance.random() < 0.5:
            path = f"/v1/payments/{money['id']}/refunds"
        elif credit is not None:
            path = f"/v1/receivables/{credit['id']}/refunds"
        else:
            return None
        return await self.world.staff.ask("POST", path, json=data)

    async def transfer_back(self) -> Any:
        one = await self.one_of("/v1/refunds")
        if one is not None:
            path = f"/v1/refunds/{one['id']}/reversal"
            data = {"reason": "x", "reversed_on": str(self.day())}
            return await self.world.staff.ask("POST", path, json=data)
        return None

    async def write_off(self) -> Any:
        one = await self.one_of("/v1/receivables", open=True)
        if one is not None and self.chance.random() < 0.5:
            path = f"/v1/receivables/{one['id']}/write-off"
            data = {"reason": "x", "written_off_on": str(self.day())}
            return await self.world.staff.ask("POST", path, json=data)
        return None

    async def deposit(self) -> Any:
        money = await self.one_of("/v1/payments", has_credit=True)
        owed = await self.one_of("/v1/receivables", open=True)
        if money is None or owed is None:
            return None
        data = {
            "kind": self.chance.choice(["received", "received", "used", "returned", "forfeited"]),
            "amount": self.chance.randint(1, 300),
            "reason": "x",
        }
        data |= {"payment_id": money["id"]} if data["kind"] == "received" else {}
        data |= {"receivable_id": owed["id"]} if data["kind"] == "used" else {}
        path = f"/v1/contracts/{self.contract}/deposit-movements"
        return await self.world.staff.ask("POST", path, json=data)

    async def apply(self) -> None:
        await self.world.staff.post(f"/v1/parties/{self.payer}/credit-applications")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_done_the_ledger_says_what_the_documents_say_on_every_day(database, seed):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            payer = (await build.customer(world))["id"]
            place = await build.site(world, payer)
            contract, _ = await build.active_contract(world, payer, [build.line_terms(place["id"])])
            hand = Hand(world, random.Random(seed), payer, contract["id"])
            days = [TODAY - timedelta(days=back) for back in range(0, 190, 19)]
            for number in range(1, 121):
                await hand.step()
                if number % 40 == 0:
                    await steps.refuse_disorder(world, days)
            assert sum(count > 0 for count in hand.done.values()) >= 9, hand.done
            await steps.job(db, "receivables", TODAY)
            await steps.refuse_disorder(world, days)

    database(scenario)


KINDS = st.sampled_from(ReceivableKind)
OWED = st.lists(
    st.builds(
        Receivable,
        id=st.uuids(),
        kind=KINDS,
        invoice_id=st.uuids(),
        number=st.just("INV"),
        party_id=st.uuids(),
        currency=st.just("CNY"),
        issued_on=st.just(date(2026, 1, 1)),
        due_on=st.dates(date(2026, 1, 1), date(2026, 1, 9)),
        amount=st.just(0),
        open_amount=st.integers(min_value=-20, max_value=50),
        changed_on=st.just(date(2026, 1, 1)),
    ),
    max_size=8,
    unique_by=lambda one: one.id,
)


@settings(deadline=None)
@given(
    st.integers(min_value=0, max_value=300),
    OWED,
    st.sampled_from(FirstBy),
    st.lists(st.sampled_from(DebtKind)),
    st.data(),
)
def test_money_pays_all_it_can_never_more_than_is_open_and_in_order(
    amount, owed, first, kinds, data
):
    # What is owed is what is open of it or more, and its lines are for this and that.
    for one in owed:
        one.amount = max(one.open_amount, 0) + data.draw(st.integers(0, 20))
    lines = st.dictionaries(st.sampled_from(sorted(rules.LINES)), st.integers(-5, 30))
    nets = {one.id: data.draw(lines) for one in owed if one.kind is ReceivableKind.INVOICE}
    parts = rules.by_order(amount, owed, rules.Order(first, kinds), nets)
    assert sum(part.amount for part in parts) == min(
        amount, sum(max(one.open_amount, 0) for one in owed)
    )
    assert all(0 < part.amount <= part.receivable.open_amount for part in parts)
    assert len({part.receivable.id for part in parts}) == len(parts)
    if first is FirstBy.DUE:
        due = [part.receivable.due_on for part in parts]
        assert due == sorted(due)
        # Whoever was due before the last that got something got all.
        earlier = [part for part in parts if part.receivable.due_on < due[-1]]
        assert all(part.amount == part.receivable.open_amount for part in earlier)
