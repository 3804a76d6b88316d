"""Recyclers: steps of their listing, annual reports, and all there is to know of one."""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

from asyncpg import Record

from leasing.db.pool import Connection
from leasing.events import store as events
from leasing.events.store import Event
from leasing.kit.dates import refuse_future
from leasing.kit.rows import convert, convert_all
from leasing.kit.time import civil_date
from leasing.parties import service as parties
from leasing.parties import store as parties_store
from leasing.recyclers import offers_store, rules, store
from leasing.recyclers.model import NotARecyclerHere, Step
from schemas.parties import QualificationCreate, QualificationKind
from schemas.recyclers import (
    AnnualReportCreate,
    AnnualReportView,
    ListingReason,
    ListingState,
    ListingStepCreate,
    ListingStepView,
    NoticeView,
    OfferView,
    RecyclerOutlet,
    RecyclerView,
)

OUTLETS_SHOWN = 100
PRICES_SHOWN = 200
"""More than chemistries times dispositions: one day has no more prices."""
GATE = [str(kind) for kind in rules.GATE]


async def lock(tx: Connection, recycler_id: UUID) -> Record:
    rows = await store.lock(tx, [recycler_id])
    if not rows:
        raise NotARecyclerHere
    return rows[0]


async def enter_step(
    tx: Connection, recycler_id: UUID, data: ListingStepCreate, *, by: str, now: datetime
) -> list[ListingStepView]:
    """Take a step of the listing. What came due by itself before and after it is taken with it, so
    that it is as if the daily job had run on each day. Returns all steps that were taken.

    Raises `ListingStepRefused` and `NotEntered`.
    """
    today = civil_date(now)
    refuse_future(data.on, today, "on")
    await lock(tx, recycler_id)
    current = (await store.latest(tx, [recycler_id])).get(recycler_id)
    reports = (await store.filed(tx, [recycler_id]))[recycler_id]
    taken = rules.advance(current, reports, data.on)
    taken.append(rules.entered(taken[-1] if taken else current, data))
    taken += rules.advance(taken[-1], reports, today)
    return await take(tx, [(recycler_id, step) for step in taken], by=by, now=now)


async def take(
    tx: Connection,
    steps: Sequence[tuple[UUID, Step]],
    *,
    by: str,
    now: datetime,
    matched: ListingReason | None = None,
) -> list[ListingStepView]:
    """Write steps down, with the evidence of being on the list that begins or ends by them. A
    caller who has seen to the evidence of all steps of one reason says so by `matched`."""
    views = convert_all(await store.add_steps(tx, steps, by, now), ListingStepView)
    for step in views:
        if step.reason is not matched:
            await match_evidence(tx, step)
    facts = [
        Event(
            "party",
            step.recycler_id,
            f"listing.{step.state}",
            {
                "on": step.from_on,
                "reason": step.reason,
                "document": step.document,
                "ends_on": step.ends_on,
            },
        )
        for step in views
    ]
    await events.append(tx, facts, actor=by, now=now)
    return views


async def match_evidence(tx: Connection, step: ListingStepView) -> None:
    """Being on the list is evidence, too, though nothing hangs on it."""
    listing = QualificationKind.LISTING
    if step.state is ListingState.WITHDRAWN:
        await parties_store.withdraw(tx, step.recycler_id, listing, step.from_on, step.document)
    elif step.reason is ListingReason.ANNOUNCED and await store.missing(
        tx, step.recycler_id, step.from_on, [listing]
    ):
        evidence = QualificationCreate(
            kind=listing,
            valid_from=step.from_on,
            document=step.document,
            document_sha256=step.document_sha256,
        )
        await parties_store.qualify(tx, step.recycler_id, evidence)


async def advance(
    tx: Connection, ids: Sequence[UUID], as_of: date, *, by: str, now: datetime
) -> int:
    """Take the steps of firms that came due by itself up to a day; returns how many."""
    await store.lock(tx, ids)
    current = await store.latest(tx, ids)
    reports = await store.filed(tx, ids)
    steps = [
        (recycler_id, step)
        for recycler_id in ids
        for step in rules.advance(current.get(recycler_id), reports[recycler_id], as_of)
    ]
    await take(tx, steps, by=by, now=now)
    return len(steps)


async def file_report(
    tx: Connection, recycler_id: UUID, data: AnnualReportCreate, *, by: str, now: datetime
) -> list[AnnualReportView]:
    """Record that a firm filed its annual report. When that was in time and only the entry is
    late, a firm that was set to rectify for it is back on the list from today on."""
    today = civil_date(now)
    refuse_future(data.filed_on, today, "filed_on")
    await lock(tx, recycler_id)
    await store.add_report(tx, recycler_id, data, by, now)
    facts: dict[str, object] = {
        "year": data.year,
        "filed_on": data.filed_on,
        "document": data.document,
    }
    filed = Event("party", recycler_id, "annual_report.filed", facts)
    await events.append(tx, [filed], actor=by, now=now)
    current = (await store.latest(tx, [recycler_id])).get(recycler_id)
    back = rules.found_in_time(current, data.year, data.filed_on, today)
    if back is not None:
        await take(tx, [(recycler_id, back)], by=by, now=now)
    return await reports(tx, recycler_id)


async def reports(tx: Connection, recycler_id: UUID) -> list[AnnualReportView]:
    return convert_all(await store.reports(tx, recycler_id), AnnualReportView)


async def get(tx: Connection, recycler_id: UUID, as_of: date) -> RecyclerView:
    """Everything of one recycler, as it stands on a day."""
    row = await store.get(tx, recycler_id)
    if row is None:
        raise NotARecyclerHere
    steps = convert_all(await store.steps(tx, recycler_id), ListingStepView)
    present = next((step for step in reversed(steps) if step.from_on <= as_of), None)
    outlets = await store.outlets(tx, recycler_id, as_of, OUTLETS_SHOWN)
    prices = await offers_store.after(
        tx, UUID(int=0), PRICES_SHOWN, recycler_id=recycler_id, on=as_of
    )
    return RecyclerView(
        **convert(row, dict),
        as_of=as_of,
        missing=[
            QualificationKind(kind) for kind in await store.missing(tx, recycler_id, as_of, GATE)
        ],
        evidence=await parties.qualifications(tx, recycler_id),
        listing_state=present.state if present else None,
        listing_ends_on=present.ends_on if present else None,
        steps=steps,
        reports=await reports(tx, recycler_id),
        outlets=await store.count_outlets(tx, recycler_id),
        first_outlets=convert_all(outlets, RecyclerOutlet),
        prices=convert_all(prices, OfferView),
        notices=convert_all(await store.notices_ahead(tx, recycler_id, as_of), NoticeView),
    )
