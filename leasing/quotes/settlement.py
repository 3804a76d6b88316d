"""What ending a contract early would cost, before anybody ends it: nothing is written."""

from collections.abc import Iterable
from datetime import date, timedelta
from uuid import UUID

from leasing.billing import charges
from leasing.billing import rules as billing
from leasing.billing.model import Sum, Until
from leasing.contracts import lines, rules, service, stays
from leasing.contracts import store as contracts
from leasing.contracts.model import Contract, Line, NoSuchContract, Terms
from leasing.db.pool import Connection
from leasing.kit.errors import Conflict
from leasing.receivables import deposits
from schemas.billing import Component
from schemas.contracts import NoBuyOut, NoEarlyEnd, ReturnDay
from schemas.quotes import SettledAlternative, SettledComponent, SettlementView


class BilledBeyond(Conflict):
    code = "billed_beyond"
    title = "Days after that one were billed already"


async def preview(tx: Connection, contract_id: UUID, on: date) -> SettlementView:
    """What would be owed if all packs went back on a day, and if they were bought then: rent not
    billed yet, fees not billed yet, and the price of either. Raises `BeforeMinimum`,
    `OutsideTerm`, `BilledBeyond`."""
    contract = await contracts.read(tx, contract_id)
    if contract is None:
        raise NoSuchContract
    rules.refuse_unless_in_force(contract.state)
    service.refuse_outside_term(contract, on)
    terms = await service.terms_on(tx, contract_id, on)
    rules.refuse_before_minimum(terms, on, contract.starts_on)
    found = await lines.read_open(tx, contract_id, on)
    ids = [line.id for line in found]
    owed = await not_billed(tx, contract_id, ids, on, billing.until_day(on))
    # Bought packs do not go back.
    owed_back = owed
    if terms.return_day is ReturnDay.BILLED:
        owed_back = await not_billed(tx, contract_id, ids, on, billing.until_returned(on))
    return SettlementView(
        contract_id=contract_id,
        on=on,
        currency=contract.currency,
        vat_percent=terms.vat_percent,
        lines=len(found),
        given_back=given_back(owed_back, contract, terms, found, on),
        bought=await bought(tx, owed, terms, found, on),
        deposit_amount=terms.deposit_amount,
        deposit_held_amount=await deposits.held_of(tx, contract_id),
    )


async def not_billed(
    tx: Connection, contract_id: UUID, line_ids: list[UUID], on: date, until: Until
) -> list[Sum]:
    """Rent and fees up to a day that are on no invoice yet."""
    billed_to = await charges.billed_to(tx, line_ids)
    if billed_to is not None and billed_to > on:
        raise BilledBeyond(f"rent was billed to {billed_to}", billed_to=billed_to)
    sums = []
    for line in await charges.billable(tx, await charges.of_lines(tx, line_ids), on):
        settled = billing.settle(line, until)
        taken_back = [one.owed for one in settled.taken_back]
        for sign, found in ((1, settled.owed), (-1, taken_back)):
            sums += [
                Sum(one.kind, one.vat_mode, one.vat_percent, sign * one.amount) for one in found
            ]
    fees = await charges.due_fees(tx, [contract_id], [on + timedelta(days=1)])
    return sums + [Sum(fee.kind, fee.vat_mode, fee.vat_percent, fee.amount) for fee in fees]


def given_back(
    owed: list[Sum], contract: Contract, terms: Terms, found: Iterable[Line], on: date
) -> SettledAlternative | None:
    if isinstance(terms.early_termination, NoEarlyEnd):
        return None
    fees = rules.early_termination_fees(terms, found, on, contract.ends_on)
    owed_then = [priced(Component.EARLY_TERMINATION, terms, fee) for fee in fees.values()]
    return alternative(owed + owed_then)


async def bought(
    tx: Connection, owed: list[Sum], terms: Terms, found: Iterable[Line], on: date
) -> SettledAlternative | None:
    if isinstance(terms.buy_out, NoBuyOut):
        return None
    since = await stays.standing_since(tx, [line.id for line in found])
    prices = [rules.buy_out_price(terms.buy_out, came_on, on) for came_on in since.values()]
    return alternative(owed + [priced(Component.BUY_OUT, terms, price) for price in prices])


def priced(component: Component, terms: Terms, amount: int) -> Sum:
    return Sum(component, terms.vat_mode, terms.vat_percent, amount)


def alternative(sums: list[Sum]) -> SettledAlternative:
    whole = billing.total(sums).whole
    by_component: dict[Component, list[int]] = {}
    for one in sums:
        by_component.setdefault(one.kind, []).append(one.amount)
    return SettledAlternative(
        components=[
            SettledComponent(component=component, charges=len(amounts), amount=sum(amounts))
            for component, amounts in by_component.items()
        ],
        net_amount=whole.net_amount,
        vat_amount=whole.vat_amount,
        total_amount=whole.total_amount,
    )
