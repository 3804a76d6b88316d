"""Mass balances over a scope and a period."""

from datetime import date, timedelta
from uuid import UUID

from leasing.balances import store
from leasing.balances.model import BadPeriod, Scope
from leasing.balances.rules import Balance
from leasing.db.pool import Connection
from leasing.kit.errors import FieldError, NotFound
from schemas.balances import MassBalance

LISTED = 1_000
"""Differences that are listed; more are counted."""

LONGEST = timedelta(days=3 * 366)


class NoSuchScope(NotFound):
    code = "scope_not_found"
    title = "There is no such party or outlet"


def refuse_bad_period(from_on: date, to_on: date, today: date) -> None:
    """Raises `BadPeriod` unless a period has days, three years at most, and none to come."""
    faults = []
    if to_on <= from_on:
        faults.append(FieldError("?to_on", "bad_period", "it is the first day after the period"))
    elif to_on - from_on > LONGEST:
        faults.append(FieldError("?to_on", "bad_period", "a balance covers three years at most"))
    if to_on > today + timedelta(days=1):
        faults.append(FieldError("?to_on", "bad_period", f"{today} is the last day that is known"))
    if faults:
        raise BadPeriod("; ".join(fault.message for fault in faults), fields=faults)


async def balance(
    tx: Connection,
    from_on: date,
    to_on: date,
    *,
    party_id: UUID | None,
    outlet_id: UUID | None,
    adcode: str | None,
    today: date,
) -> MassBalance:
    """retired = reused + recycled + stored + in transit + lost, reconciled day by day. Raises
    `NoSuchScope`, `BadPeriod`."""
    refuse_bad_period(from_on, to_on, today)
    lessor = await store.lessor(tx)
    kind = await store.party_kind(tx, party_id) if party_id is not None else None
    counted = await store.outlet_stock(tx, outlet_id) if outlet_id is not None else None
    if (party_id is not None and kind is None) or (outlet_id is not None and counted is None):
        raise NoSuchScope
    scope = Scope(party_id, kind == "lessor", outlet_id, adcode)
    is_now = to_on > today
    made = Balance(scope, from_on, to_on, listed=LISTED)
    home = lessor["home_adcode"] if lessor else None
    async for some in store.pieces(tx, scope, to_on, home):
        for pack, steps, stays, batch in some:
            made.take(pack, steps, stays, batch, is_now=is_now)
    if is_now and counted is not None and party_id is None and adcode is None:
        made.stock_differs(counted)
    return made.result()
