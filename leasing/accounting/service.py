"""Leases in the lessor's books: classified, planned, posted month by month."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from itertools import groupby
from uuid import UUID

import msgspec
from asyncpg import Record

from leasing.accounting import classification, rules, store
from leasing.accounting.model import (
    BadClassification,
    Basis,
    ClassIsPosted,
    LeaseLine,
    LinesDiffer,
    NotModified,
    Plan,
    Stretch,
)
from leasing.accounting.rules import Balances
from leasing.accounting.store import Decided, LeaseContract
from leasing.contracts import rules as contracts
from leasing.contracts.model import NoSuchContract
from leasing.db.pool import Connection
from leasing.events import store as events
from leasing.events.store import Event
from leasing.kit.errors import FieldError
from leasing.kit.money import half_up
from leasing.kit.rows import convert
from leasing.kit.time import civil_date, month_of
from leasing.ledger import service as ledger
from leasing.pricing import periods
from schemas.accounting import (
    LeaseClass,
    LeaseClassificationCreate,
    LeaseClassificationView,
    LeaseMonthView,
    LeaseScheduleView,
)
from schemas.contracts import BillingFrequency

# What lines owe


async def read_lines(
    tx: Connection, contract: LeaseContract, to_on: date, today: date, *, all_lines: bool = False
) -> list[LeaseLine]:
    """The lines of a contract that commenced before a day, as the books see them then."""
    rows = await store.lines(tx, contract.id, None if all_lines else to_on)
    billed = await store.billed(tx, contract.id, to_on)
    plans = await store.plans(tx, contract.id)
    decided = await store.classes(tx, contract.id)
    given = rows, billed, plans, decided
    return await asyncio.to_thread(lines_of, contract, *given, to_on, today)


def lines_of(
    contract: LeaseContract,
    rows: Sequence[Record],
    billed: Mapping[UUID, tuple[int, date]],
    plans: Mapping[UUID, tuple[Plan, ...]],
    decided: Mapping[UUID, Decided],
    to_on: date,
    today: date,
) -> list[LeaseLine]:
    found = []
    for line_id, alike in groupby(rows, key=lambda row: row["line_id"]):
        parts = list(alike)
        amount, billed_to = billed.get(line_id) or (0, None)
        decision = decided.get(line_id)
        found.append(
            LeaseLine(
                line_id=line_id,
                rated_capacity_mah=parts[-1]["rated_capacity_mah"],
                basis=basis_of(parts, contract, to_on, today),
                agreed_on=civil_date(max(contract.agreed_at, parts[0]["agreed_at"])),
                ended_on=parts[0]["ended_on"],
                end_reason=parts[0]["end_reason"],
                timing=contract.timing,
                billed_amount=amount,
                billed_to=billed_to,
                lease_class=decision.lease_class if decision else LeaseClass.OPERATING,
                values=decision.values if decision else None,
                plans=plans.get(line_id, ()),
            )
        )
    return found


def basis_of(parts: Sequence[Record], contract: LeaseContract, to_on: date, today: date) -> Basis:
    """What a line owes to the end of the term, with the steps its rent will take. A contract that
    holds over owes to the end of the month and no further."""
    until = contract.ends_on or to_on
    return rules.joined(
        stretch
        for part in parts
        if part["from_on"] is not None
        for stretch in stretches(part, contract, part["to_on"] or until, today)
    )


def stretches(part: Record, contract: LeaseContract, to_on: date, today: date) -> Iterator[Stretch]:
    """A stretch as it is agreed, cut where its escalator will change the rent. Of days that are
    past, the contract itself says what was taken. Income is spread over calendar months, whatever
    the period that a rent is for."""
    if part["from_on"] >= to_on:
        return
    coming = [
        on
        for on in contracts.steps(contract.escalator, contract.starts_on, to_on)
        if on > max(part["from_on"], today)
    ]
    rents = [part["rent_amount"]] + [
        contracts.escalated_rent(
            contract.escalator,
            part["base_rent_amount"],
            part["base_from_on"],
            contract.starts_on,
            on,
        )
        for on in coming
    ]
    days = [part["from_on"], *coming, to_on]
    frequency = BillingFrequency(part["billing_frequency"])
    for start, end, rent in zip(days, days[1:], rents, strict=False):
        yield Stretch(start, end, monthly_rent(rent, frequency), part["vat_percent"])


def monthly_rent(rent_amount: int, frequency: BillingFrequency) -> int:
    """
    >>> monthly_rent(100_000, BillingFrequency.QUARTERLY)
    33333
    >>> monthly_rent(12_000, BillingFrequency.WEEKLY)
    52000
    """
    return half_up(rent_amount / periods.months(contracts.FREQUENCIES[frequency]))


def with_plan(line: LeaseLine, to_on: date) -> LeaseLine:
    """The line with the plan that it needs at the end of a month."""
    plan = rules.planned(line, to_on)
    return line if plan is None else msgspec.structs.replace(line, plans=(*line.plans, plan))


# Months


async def post_month(
    tx: Connection, contract_id: UUID, to_on: date, *, by: str, now: datetime
) -> bool:
    """Post what the leases of a contract earned by the end of a month and was not posted before.
    Says whether there was anything to note: a month is posted once, and none before it later."""
    await store.lock_leases(tx, contract_id)
    month, _ = month_of(to_on - timedelta(days=1))
    last = await store.last_month(tx, contract_id)
    if last is not None and last["month"] >= month:
        return False
    contract = await store.contract(tx, contract_id)
    assert contract is not None
    before = await read_lines(tx, contract, to_on, civil_date(now))
    # Of a large contract this takes seconds, in which others are served.
    made, balances, settled = await asyncio.to_thread(reckon, before, to_on)
    if made:
        await store.insert_plans(tx, contract_id, made)
    month_id = await store.insert_month(tx, contract_id, month, balances, settled)
    moved = rules.difference(balances, last["balances"] if last else {})
    if moved:
        await ledger.post(
            tx,
            source="lease",
            source_id=contract_id,
            event=f"{month:%Y-%m}",
            currency=contract.currency,
            posted_on=to_on - timedelta(days=1),
            party_id=contract.lessee_id,
            amounts=moved,
        )
    facts: dict[str, object] = {"contract_id": contract_id, "month": month, "posted": moved}
    noted = Event("lease_month", month_id, "lease_month.posted", facts)
    await events.append(tx, [noted], actor=by, now=now)
    return True


def reckon(
    before: Sequence[LeaseLine], to_on: date
) -> tuple[list[tuple[UUID, int, Plan]], Balances, bool]:
    """The plans that lines lack, each with its line and number; what the lines should have posted;
    and whether nothing will change any more."""
    lines = [with_plan(line, to_on) for line in before]
    made = [
        (line.line_id, len(line.plans), line.plans[-1])
        for line, old in zip(lines, before, strict=True)
        if len(line.plans) > len(old.plans)
    ]
    balances = rules.total(rules.balances(line, to_on) for line in lines)
    return made, balances, all(rules.finished(line, to_on) for line in lines)


# Classification


async def classify(
    tx: Connection, contract_id: UUID, data: LeaseClassificationCreate, *, by: str, now: datetime
) -> LeaseClassificationView:
    """Judge lines that are alike and keep the decision. Raises `LinesDiffer`, `BadClassification`,
    `NotModified`, `ClassIsPosted`."""
    refuse_bad_option(data)
    await store.lock_leases(tx, contract_id)
    contract = await store.contract(tx, contract_id)
    if contract is None:
        raise NoSuchContract
    today = civil_date(now)
    found = await read_lines(tx, contract, today, today, all_lines=True)
    lines = chosen(found, data)
    values = store.values_of(data)
    try:
        proposal = classification.propose(lines[0].basis, contract.timing, values.end_amount, data)
    except ValueError as error:
        message = f"{error}: give the rate to discount by"
        fault = FieldError("/annual_rate_percent", "no_implicit_rate", message)
        raise BadClassification(message, fields=[fault]) from error
    decided = data.override.lease_class if data.override else proposal.lease_class
    await refuse_change_in_books(tx, contract, lines, decided)
    classification_id = await store.insert_classification(
        tx,
        contract_id,
        [line.line_id for line in lines],
        inputs=data,
        tests=proposal.tests,
        monthly_rate=proposal.monthly_rate,
        payments_value_amount=proposal.payments_value_amount,
        proposed_class=proposal.lease_class,
        decided_class=decided,
        by=by,
        now=now,
    )
    facts: dict[str, object] = {
        "contract_id": contract_id,
        "lines": len(lines),
        "proposed_class": proposal.lease_class,
        "decided_class": decided,
        "reason": data.override.reason if data.override else None,
    }
    noted = Event("lease_classification", classification_id, "lease.classified", facts)
    await events.append(tx, [noted], actor=by, now=now)
    return (await list_classifications(tx, contract_id))[-1]


def refuse_bad_option(data: LeaseClassificationCreate) -> None:
    if data.purchase_option_certain and data.purchase_option_amount is None:
        message = "an option that is certain to be used has a price"
        fault = FieldError("/purchase_option_amount", "missing", message)
        raise BadClassification(message, fields=[fault])


def chosen(found: Sequence[LeaseLine], data: LeaseClassificationCreate) -> list[LeaseLine]:
    """The lines that are meant, if they are alike: they owe the same for the same days."""
    by_id = {line.line_id: line for line in found}
    wanted = data.line_ids
    if wanted is None:
        wanted = [line.line_id for line in found if line.ended_on is None]
    strange = [
        FieldError(f"/line_ids/{i}", "not_in_contract", f"line {line_id} is not of the contract")
        for i, line_id in enumerate(wanted)
        if line_id not in by_id
    ]
    if strange:
        raise BadClassification(strange[0].message, fields=strange)
    lines = [by_id[line_id] for line_id in dict.fromkeys(wanted)]
    if not lines or not lines[0].basis:
        raise BadClassification("there is no line that owes rent")
    kinds = {(line.rated_capacity_mah, line.basis) for line in lines}
    if len(kinds) > 1:
        raise LinesDiffer(f"they differ in {len(kinds)} ways; name lines that are alike")
    return lines


async def refuse_change_in_books(
    tx: Connection, contract: LeaseContract, lines: Sequence[LeaseLine], decided: LeaseClass
) -> None:
    """A lease is classified at its inception, and again only when it is modified (IFRS 16.66)."""
    before: dict[UUID, Decided] = await store.classes(tx, contract.id)
    for line in lines:
        if not line.plans:
            continue
        posted = LeaseClass.FINANCE if line.plans[-1].finance else LeaseClass.OPERATING
        if posted is not decided:
            raise ClassIsPosted(
                f"line {line.line_id} is posted as {posted}; end it and lease anew to change that",
                line_id=line.line_id,
            )
        earlier = before.get(line.line_id)
        if earlier and civil_date(earlier.decided_at) > line.agreed_on:
            raise NotModified(f"nothing was agreed anew of line {line.line_id} since")


async def list_classifications(tx: Connection, contract_id: UUID) -> list[LeaseClassificationView]:
    rows = await store.classifications(tx, contract_id)
    if not rows and await store.contract(tx, contract_id) is None:
        raise NoSuchContract
    return [
        convert(
            {**row, "monthly_rate_percent": f"{row['monthly_rate'] * 100:.6f}"},
            LeaseClassificationView,
        )
        for row in rows
    ]


# Schedules


async def schedule(tx: Connection, contract_id: UUID, today: date) -> LeaseScheduleView:
    """The lines of a contract that commenced, month by month."""
    contract = await store.contract(tx, contract_id)
    if contract is None:
        raise NoSuchContract
    _, to_on = month_of(today)
    lines = [with_plan(line, to_on) for line in await read_lines(tx, contract, to_on, today)]
    planned = [line for line in lines if line.plans]
    operating = [line for line in planned if line.plans[-1].finance is None]
    finance = [line for line in planned if line.plans[-1].finance is not None]
    return LeaseScheduleView(
        contract_id=contract_id,
        currency=contract.currency,
        operating_lines=len(operating),
        operating=months_of(operating),
        finance_lines=len(finance),
        finance=months_of(finance),
    )


def months_of(lines: Sequence[LeaseLine]) -> list[LeaseMonthView]:
    """Lines month by month, summed. One whose months are over keeps the balance it ended with."""
    kinds = Counter(line.plans for line in lines)
    rows: dict[date, list[int]] = {}
    for plans, count in kinds.items():
        for month, rent, income, balance in rules.schedule(plans):
            row = rows.setdefault(month, [0, 0, 0])
            for i, amount in enumerate((rent, income, balance)):
                row[i] += count * amount
    return [
        LeaseMonthView(month=month, rent_amount=rent, income_amount=income, balance_amount=balance)
        for month, (rent, income, balance) in sorted(rows.items())
    ]
