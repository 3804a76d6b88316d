"""Late interest: month by month, rounded once, and corrected by rows of its own."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from jobs import runner
from jobs.registry import JOBS
from leasing.db.pool import Database
from leasing.receivables import interest, rules
from leasing.receivables.model import InterestTerms, Receivable
from schemas.receivables import ReceivableKind
from tests import build
from tests.build import Json, World
from tests.receivables import steps
from tests.receivables.steps import accounts, invoice, night, open_of, pay

DUE = date(2026, 1, 11)
FEB, MAR, APR, MAY = (date(2026, month, 1) for month in (2, 3, 4, 5))


async def agree(world: World, **changes: Any) -> Json:
    terms = {"from_on": "2025-01-01", "annual_percent": "36.5", **changes}
    made: Json = await world.staff.post("/v1/interest-terms", terms)
    return made


async def accrued(world: World, **query: str) -> list[tuple[str, int, int]]:
    page = await world.staff.get("/v1/interest-accruals", **query)
    return [(one["month"][:7], one["correction"], one["amount"]) for one in page["items"]]


async def accrue(world: World, on: date) -> None:
    """The job of the first of a month, twice, which is once."""
    await night(world, on, "interest")
    await steps.job(world.db, "interest", on)


def test_interest_accrues_by_month_on_what_is_overdue_and_is_owed_like_an_invoice(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=DUE) as world:
            payer = (await build.customer(world))["id"]
            bill = await invoice(world, payer, 100_000, DUE)
            await agree(world)  # 100 a day
            await accrue(world, FEB)
            await accrue(world, MAR)
            assert await accrued(world) == [("2026-01", 0, 2_100), ("2026-02", 0, 2_800)]
            page = await world.staff.get("/v1/interest-accruals", invoice_id=bill)
            first = page["items"][0]
            assert (first["from_on"], first["to_on"], first["posted_on"]) == (
                "2026-01-11", "2026-02-01", "2026-01-31",
            )  # fmt: skip
            owed = await steps.owed(world, first["id"])
            assert (owed["kind"], owed["invoice_id"], owed["open_amount"]) == (
                "interest", bill, 2_100,
            )  # fmt: skip
            await world.set_clock(date(2026, 3, 11))
            await pay(world, payer, 100_000 + 2_100, date(2026, 3, 11))
            await accrue(world, APR)
            assert await accrued(world) == [
                ("2026-01", 0, 2_100), ("2026-02", 0, 2_800), ("2026-03", 0, 1_000),
            ]  # fmt: skip
            await accrue(world, MAY)
            assert len(await accrued(world)) == 3
            assert await accounts(world, payer) == {
                "cash": 102_100, "receivable": 3_800, "revenue_rent": -100_000,
                "revenue_interest": -5_900,
            }  # fmt: skip
            await steps.refuse_disorder(world, [DUE, FEB, MAR, APR, MAY])

    database(scenario)


def test_a_payment_entered_late_corrects_what_was_accrued_and_changes_no_row(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=DUE) as world:
            payer = (await build.customer(world))["id"]
            bill = await invoice(world, payer, 100_000, DUE)
            await agree(world)
            await accrue(world, FEB)
            before = await world.staff.get("/v1/interest-accruals")
            await world.set_clock(date(2026, 2, 20))
            await pay(world, payer, 100_000, date(2026, 1, 16))
            await accrue(world, MAR)
            after = await world.staff.get("/v1/interest-accruals", invoice_id=bill)
            assert after["items"][0] == before["items"][0]
            assert await accrued(world) == [
                ("2026-01", 0, 2_100), ("2026-02", 1, -1_600), ("2026-02", 0, 0),
            ]  # fmt: skip
            correction = after["items"][1]
            assert correction["posted_on"] == "2026-03-01"
            # What is given back pays what is left of the same invoice's interest.
            interest_id, credit_id = after["items"][0]["id"], correction["id"]
            assert await open_of(world, bill, interest_id, credit_id) == [0, 500, 0]
            assert (await accounts(world, payer))["revenue_interest"] == -500
            await accrue(world, APR)
            assert len(await accrued(world)) == 3
            await steps.refuse_disorder(world, [DUE, FEB, MAR, APR])

    database(scenario)


def test_an_allocation_taken_back_never_stopped_interest(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=DUE) as world:
            payer = (await build.customer(world))["id"]
            await invoice(world, payer, 100_000, DUE)
            await agree(world)
            made = await pay(world, payer, 100_000, DUE)
            await accrue(world, FEB)
            assert await accrued(world) == []
            await world.set_clock(date(2026, 2, 20))
            await world.staff.post(f"/v1/payments/{made['id']}/bounce", {"reason": "no funds"})
            await accrue(world, MAR)
            assert await accrued(world) == [("2026-02", 0, 4_900)]
            await steps.refuse_disorder(world, [DUE, FEB, MAR])

    database(scenario)


def test_terms_of_a_party_go_before_those_of_all_and_each_is_for_what_is_due_from_its_day(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=DUE) as world:
            payer = (await build.customer(world))["id"]
            other = (await build.customer(world))["id"]
            old = await invoice(world, payer, 100_000, DUE - timedelta(days=1))
            new = await invoice(world, payer, 100_000, DUE)
            theirs = await invoice(world, other, 100_000, DUE)
            await agree(world, year_days=360, annual_percent="36")
            own = await agree(world, party_id=payer, from_on=str(DUE), annual_percent="73")
            await accrue(world, FEB)
            assert [await accrued(world, invoice_id=one) for one in (old, new, theirs)] == [
                [("2026-01", 0, 2_200)], [("2026-01", 0, 4_200)], [("2026-01", 0, 2_100)],
            ]  # fmt: skip
            listed = await world.staff.get("/v1/interest-terms", party_id=payer)
            assert [one["id"] for one in listed["items"]] == [own["id"]]
            for code, changes in (
                ("interest_accrued", {"from_on": "2026-01-05"}),
                ("interest_terms_taken", {"from_on": "2026-06-01"}),
                ("payer_not_found", {"from_on": "2026-06-01", "party_id": old}),
            ):
                terms = {"annual_percent": "10", **changes}
                if code == "interest_terms_taken":
                    await world.staff.post("/v1/interest-terms", terms)
                problem = await world.staff.refused("POST", "/v1/interest-terms", 409, terms)
                assert problem["code"] == code

    database(scenario)


def test_grace_and_a_cap_are_part_of_the_terms(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=DUE) as world:
            lessees = [(await build.customer(world))["id"] for _ in range(3)]
            bills = [await invoice(world, lessee, 100_000, DUE) for lessee in lessees]
            await agree(world, party_id=lessees[0], grace_days=5)
            await agree(world, party_id=lessees[1], grace_days=5, grace_is_free=True)
            await agree(world, party_id=lessees[2], cap_percent="3")
            await accrue(world, FEB)
            await accrue(world, MAR)
            await accrue(world, APR)
            amounts = [
                [amount for *_, amount in await accrued(world, invoice_id=bill)] for bill in bills
            ]
            assert amounts == [[2_100, 2_800, 3_100], [1_600, 2_800, 3_100], [2_100, 900, 0]]

    database(scenario)


def test_who_pays_within_the_days_of_grace_owes_no_interest(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=DUE) as world:
            payer = (await build.customer(world))["id"]
            await invoice(world, payer, 100_000, DUE)
            await agree(world, grace_days=5)
            await world.set_clock(DUE + timedelta(days=5))
            await pay(world, payer, 100_000, DUE + timedelta(days=5))
            await accrue(world, FEB)
            assert [amount for *_, amount in await accrued(world)] == [0]
            assert "revenue_interest" not in await accounts(world)

    database(scenario)


def test_months_that_nobody_accrued_are_made_good_by_the_next_run(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, on=DUE) as world:
            payer = (await build.customer(world))["id"]
            await invoice(world, payer, 100_000, DUE)
            await agree(world)
            await night(world, date(2026, 4, 20), "interest")
            assert await accrued(world) == [("2026-03", 0, 8_000)]

    database(scenario)


def test_an_invoice_paid_late_after_the_first_still_owes_the_days_until_then(database):
    """The job of a month may run late, when money of the next month is there already."""

    async def scenario(db: Database) -> None:
        async with build.world(db, on=DUE) as world:
            payer = (await build.customer(world))["id"]
            await invoice(world, payer, 100_000, DUE)
            await agree(world)
            await world.set_clock(date(2026, 2, 11))
            await pay(world, payer, 100_000, date(2026, 2, 11))
            await accrue(world, date(2026, 2, 12))
            assert await accrued(world) == [("2026-01", 0, 2_100)]
            await accrue(world, MAR)
            assert await accrued(world) == [("2026-01", 0, 2_100), ("2026-02", 0, 1_000)]

    database(scenario)


FIRSTS = [date(2026 + month // 12, month % 12 + 1, 1) for month in range(1, 14)]
BILL = Receivable(
    id=UUID(int=1), kind=ReceivableKind.INVOICE, invoice_id=UUID(int=1), number="INV",
    party_id=UUID(int=2), currency="CNY", issued_on=date(2026, 1, 1), due_on=DUE, amount=99_991,
    open_amount=99_991, changed_on=date(2026, 1, 1),
)  # fmt: skip
TERMS = InterestTerms(
    id=UUID(int=3), annual_percent=Decimal("7.77"), year_days=365, grace_days=3,
    grace_is_free=False, cap_percent=None,
)  # fmt: skip
PAYMENTS = st.lists(
    st.tuples(
        st.dates(date(2026, 1, 1), date(2027, 1, 31)),
        st.integers(min_value=1, max_value=60_000),
        st.integers(min_value=0, max_value=12),
    ),
    max_size=5,
)


@settings(deadline=None)
@given(PAYMENTS)
def test_whenever_payments_become_known_the_rows_come_to_what_is_owed(payments):
    rows: list[interest.Accrual] = []
    for at, until in enumerate(FIRSTS):
        known = [(on, amount) for on, amount, known_at in payments if known_at <= at]

        def owed(to_on: date, known: list[tuple[date, int]] = known) -> int:
            return rules.owed_interest(BILL, TERMS, known, to_on)

        months = [row for row in rows if row.correction == 0]
        month = FIRSTS[at - 1] if at else date(2026, 1, 1)
        accrued = interest.Accrued(
            amount=sum(row.amount for row in rows),
            to_on=months[-1].to_on if months else None,
            corrections=0,
        )
        made = interest.missing(DUE, accrued, until, month, until, owed)
        rows += made
        assert sum(row.amount for row in rows) == owed(until)
        assert len(made) - sum(row.correction for row in made) == 1
        again = caught_up(accrued, amount=owed(until), to_on=until)
        assert interest.missing(DUE, again, until, month, until, owed) == []
    assert {row.month for row in rows if row.correction == 0} == {
        date(2026, 1, 1), *FIRSTS[:-1],
    }  # fmt: skip


def caught_up(accrued: interest.Accrued, amount: int, to_on: date) -> interest.Accrued:
    return interest.Accrued(amount=amount, to_on=to_on, corrections=accrued.corrections)


def test_one_bad_invoice_is_put_aside_and_the_others_of_its_chunk_are_accrued(
    database, monkeypatch
):
    right = rules.owed_interest

    async def scenario(db: Database) -> None:
        async with build.world(db, on=DUE) as world:
            payer = (await build.customer(world))["id"]
            bills = [await invoice(world, payer, 100_000, DUE) for _ in range(4)]
            await agree(world)

            def wrong(receivable: Receivable, *arguments: Any) -> int:
                if str(receivable.id) == bills[1]:
                    raise ValueError("spoilt")
                return right(receivable, *arguments)

            monkeypatch.setattr(rules, "owed_interest", wrong)
            await world.set_clock(FEB)
            await runner.run_once(db, "interest", JOBS["interest"], FEB, lambda done, total: None)
            async with db.transaction() as tx:
                parked = [tuple(row) for row in await tx.fetch(PARKED)]
            assert parked == [("invoice", bills[1], "ValueError: spoilt")]
            assert len(await accrued(world)) == 3
            monkeypatch.setattr(rules, "owed_interest", right)
            await steps.job(db, "interest", FEB)
            assert [amount for *_, amount in await accrued(world)] == [2_100] * 4

    database(scenario)


PARKED = "SELECT subject, subject_id::text, error FROM job_parked"
