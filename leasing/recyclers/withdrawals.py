"""Many firms lose evidence on one day, as on 2026-07-30, when an announcement took 100 of them off
the list: written in one transaction, and answered with what it hits."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from asyncpg import Record

from leasing.db.pool import Connection
from leasing.events import store as events
from leasing.events.store import Event
from leasing.kit.errors import FieldError
from leasing.kit.rows import convert_all
from leasing.kit.time import civil_date
from leasing.recyclers import rules, service, store
from leasing.recyclers.model import (
    ListingStepRefused,
    NoSuchWithdrawal,
    Step,
    UnknownFirms,
)
from schemas.parties import QualificationKind
from schemas.recyclers import (
    ListingReason,
    ListingState,
    ListingStepCreate,
    WithdrawalCreate,
    WithdrawalView,
    WithdrawnFirm,
    WithdrawnOutlet,
)

MAX_FAULTS = 200


async def enter(
    tx: Connection, data: WithdrawalCreate, *, by: str, now: datetime
) -> WithdrawalView:
    """Withdraw evidence of many firms from a day on, which may be one to come. All of them or none:
    raises `UnknownFirms` and `ListingStepRefused` with the places of the firms in the list."""
    ids = await found(tx, data.firms)
    steps = await steps_of(tx, ids, data, now) if QualificationKind.LISTING in data.kinds else []
    document = f"{data.announcement_no} {data.document}"
    lost = await store.withdraw(tx, ids, sorted(set(data.kinds)), data.withdrawn_on, document)
    matched = ListingReason.ANNOUNCED_WITHDRAWAL  # by the statement above, for all of them
    await service.take(tx, steps, by=by, now=now, matched=matched)
    of_each = [(recycler_id, lost.get(recycler_id, [])) for recycler_id in ids]
    withdrawal_id = await store.add_withdrawal(tx, data, of_each, by, now)
    told = [
        Event(
            "party",
            recycler_id,
            "qualification.withdrawn",
            {"kind": kind, "on": data.withdrawn_on, "document": document},
        )
        for recycler_id, kinds in of_each
        for kind in kinds
    ]
    facts: dict[str, object] = {
        "announcement_no": data.announcement_no,
        "on": data.withdrawn_on,
        "kinds": sorted(set(data.kinds)),
        "firms": len(ids),
    }
    announced = Event("withdrawal", withdrawal_id, "withdrawal.announced", facts)
    await events.append(tx, [*told, announced], actor=by, now=now)
    return await get(tx, withdrawal_id)


async def found(tx: Connection, firms: Sequence[str]) -> list[UUID]:
    """Lock the firms that ids and credit codes name. Raises `UnknownFirms`."""
    wanted = [(as_uuid(text), text.strip().upper()) for text in firms]
    rows = await store.lock(
        tx,
        [recycler_id for recycler_id, _ in wanted if recycler_id],
        [code for recycler_id, code in wanted if not recycler_id],
    )
    by_name: dict[object, Record] = {row["id"]: row for row in rows}
    by_name |= {row["credit_code"]: row for row in rows if row["credit_code"]}
    faults, ids, seen = [], [], dict[UUID, int]()
    for position, (recycler_id, code) in enumerate(wanted):
        row = by_name.get(recycler_id or code)
        if row is None:
            message = f"no recycler has the {'id' if recycler_id else 'credit code'} {code[:60]}"
            faults.append(FieldError(f"/firms/{position}", "unknown_recycler", message))
        elif row["id"] in seen:
            message = f"{row['name']} is in the list already, at {seen[row['id']]}"
            faults.append(FieldError(f"/firms/{position}", "named_twice", message))
        else:
            seen[row["id"]] = position
            ids.append(row["id"])
    if faults:
        raise UnknownFirms(
            f"{len(faults)} of {len(firms)} firms cannot be withdrawn", fields=faults[:MAX_FAULTS]
        )
    return ids


def as_uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


async def steps_of(
    tx: Connection, ids: Sequence[UUID], data: WithdrawalCreate, now: datetime
) -> list[tuple[UUID, Step]]:
    """How the listings of the firms that are on the list go on. Raises `ListingStepRefused`."""
    latest: Mapping[UUID, Step] = await store.latest(tx, ids)
    reports = await store.filed(tx, ids)
    data_step = ListingStepCreate(
        reason=ListingReason.ANNOUNCED_WITHDRAWAL,
        on=data.withdrawn_on,
        document=f"{data.announcement_no} {data.document}",
        document_sha256=data.document_sha256,
    )
    until = min(data.withdrawn_on, civil_date(now))
    steps, faults = [], []
    for position, recycler_id in enumerate(ids):
        taken = rules.advance(latest.get(recycler_id), reports[recycler_id], until)
        current = taken[-1] if taken else latest.get(recycler_id)
        if current is not None and current.state in (ListingState.LISTED, ListingState.RECTIFYING):
            try:
                taken.append(rules.entered(current, data_step))
            except ListingStepRefused as refused:
                fault = FieldError(f"/firms/{position}", "before_last_step", refused.detail)
                faults.append(fault)
        steps += [(recycler_id, step) for step in taken]
    if faults:
        raise ListingStepRefused(faults[0].message, fields=faults[:MAX_FAULTS])
    return steps


async def get(tx: Connection, withdrawal_id: UUID) -> WithdrawalView:
    """What was withdrawn, and what of it is still to be moved as of now."""
    row = await store.withdrawal(tx, withdrawal_id)
    if row is None:
        raise NoSuchWithdrawal
    firms = convert_all(
        await store.hit_firms(tx, withdrawal_id, row["kinds"], row["withdrawn_on"], service.GATE),
        WithdrawnFirm,
    )
    outlets = await store.hit_outlets(tx, withdrawal_id, row["withdrawn_on"])
    return WithdrawalView(
        **{**dict(row), "kinds": [QualificationKind(kind) for kind in row["kinds"]]},
        firms=firms,
        outlets=convert_all(outlets, WithdrawnOutlet),
        open_routings=sum(firm.open_routings for firm in firms),
        open_kg=sum(firm.open_kg for firm in firms),
        to_reroute=sum(firm.open_routings for firm in firms if firm.gate_lost),
    )
