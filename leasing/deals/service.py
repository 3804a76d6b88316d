"""Deals: offered with prices, accepted before those end, and a ledger of what is open.

What is open is the sum of entries and is stored nowhere. Whoever adds to a deal holds its row, and
the database sums up once more before it lets the entries in. In the books a delivery of scrap is
income and something owed; raw material or money settles that. An exchange is two sales: each side
bills the other in full, so that entries are without VAT, and the tax of both is kept apart and paid
in money.
"""

from collections.abc import Mapping
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from uuid import UUID

from asyncpg import Record

from leasing.db.pool import Connection, as_lessor
from leasing.deals import rules, store
from leasing.deals.model import (
    NEXT_STATES,
    BadDeal,
    Deal,
    DealExpired,
    DealInState,
    DealPriced,
    NoSuchDeal,
    NoSuchMovement,
    NotDelivered,
    NothingOpen,
    NotReversible,
    Open,
    OverLimit,
    Term,
)
from leasing.events import store as events
from leasing.events.store import Event
from leasing.kit.dates import refuse_future
from leasing.kit.money import percent_of
from leasing.kit.rows import convert, convert_all
from leasing.kit.time import civil_date
from leasing.ledger import service as ledger
from schemas.deals import (
    DealBalanceView,
    DealCreate,
    DealDetail,
    DealMovementKind,
    DealMovementView,
    DealPriceView,
    DealReversalCreate,
    DealSettlementCreate,
    DealSettlementKind,
    DealSnapshotCreate,
    DealSnapshotView,
    DealState,
    DealTermView,
    DealVatSettlementCreate,
    Material,
    ScrapDeliveryCreate,
    ScrapValuation,
    ScrapValuationCreate,
    ScrapValuationLine,
)

GRAMS = Decimal(1000)


def grams(kilograms: str) -> int:
    return int(Decimal(kilograms) * GRAMS)


def kilograms(grams: int | Decimal) -> Decimal:
    return (Decimal(grams) / GRAMS).quantize(Decimal("0.001"), ROUND_HALF_UP)


# Offering


async def offer(tx: Connection, data: DealCreate, *, by: str, now: datetime) -> DealDetail:
    """Write a deal down as it is offered. Raises `BadDeal`, `NoSuchRecycler`, `DealNumberTaken`."""
    terms = [
        Term(
            metal=one.metal,
            material=one.material,
            content_percent=Decimal(one.content_percent),
            recovery_percent=Decimal(one.recovery_percent),
            coefficient_percent=Decimal(one.coefficient_percent),
        )
        for one in data.terms
    ]
    rules.refuse_terms(data.chemistry, terms)
    rules.assayed(terms, [])
    for field, least in (("limit_kg", Decimal(data.limit_kg)), ("limit_amount", data.limit_amount)):
        if least == 0:
            raise BadDeal(f"/{field}", "nothing", "nothing could ever be open")
    refuse_snapshot(data.snapshot, terms, now, "/snapshot")
    deal_id = await store.insert(tx, data, terms, grams(data.limit_kg), now)
    await store.insert_snapshot(tx, deal_id, data.snapshot, by, now)
    facts: dict[str, object] = {"number": data.number, "recycler_id": data.recycler_id}
    await tell(tx, deal_id, "offered", facts, by=by, now=now)
    return await get(tx, deal_id)


def refuse_snapshot(
    data: DealSnapshotCreate, terms: list[Term], now: datetime, pointer: str = ""
) -> None:
    refuse_future(data.quoted_on, civil_date(now), f"{pointer[1:]}/quoted_on".lstrip("/"))
    if data.expires_at <= now:
        message = f"{data.expires_at.isoformat()} is over"
        raise BadDeal(f"{pointer}/expires_at", "expired", message)
    rules.refuse_prices(
        [term.material for term in terms], [one.material for one in data.prices], pointer
    )


async def revalue(
    tx: Connection, deal_id: UUID, data: DealSnapshotCreate, *, by: str, now: datetime
) -> DealDetail:
    """Price an offer anew; what it was priced before is kept. Raises `NoSuchDeal`, `DealPriced`,
    `DealInState`, `BadDeal`."""
    deal = await locked(tx, deal_id)
    if deal.state in (DealState.ACCEPTED, DealState.CLOSED):
        raise DealPriced(f"deal {deal.number} is {deal.state}")
    refuse_state(deal, DealState.OFFERED)
    refuse_snapshot(data, await store.terms(tx, deal_id), now)
    await store.insert_snapshot(tx, deal_id, data, by, now)
    facts: dict[str, object] = {"source": data.source, "expires_at": data.expires_at}
    await tell(tx, deal_id, "revalued", facts, by=by, now=now)
    return await get(tx, deal_id)


async def accept(tx: Connection, deal_id: UUID, *, by: str, now: datetime) -> DealDetail:
    """A deal binds both sides at its newest prices. Raises `NoSuchDeal`, `DealInState`,
    `DealExpired`."""
    await seen(tx, deal_id)
    async with as_lessor(tx):
        deal = await locked(tx, deal_id)
        refuse_next(deal, DealState.ACCEPTED)
        snapshot = await store.snapshot(tx, deal_id)
        if now >= snapshot.expires_at:
            raise DealExpired(f"they held until {snapshot.expires_at.isoformat()}")
        await store.accept(tx, deal_id, snapshot.id, by, now)
        facts: dict[str, object] = {"number": deal.number, "snapshot": snapshot.number}
        await tell(tx, deal_id, "accepted", facts, by=by, now=now)
    return await get(tx, deal_id)


async def decline(
    tx: Connection, deal_id: UUID, reason: str, *, by: str, now: datetime
) -> DealDetail:
    """An offer comes to nothing. Raises `NoSuchDeal`, `DealInState`."""
    await seen(tx, deal_id)
    async with as_lessor(tx):
        deal = await locked(tx, deal_id)
        refuse_next(deal, DealState.DECLINED)
        await store.decline(tx, deal_id, reason, now)
        await tell(tx, deal_id, "declined", {"reason": reason}, by=by, now=now)
    return await get(tx, deal_id)


async def close(tx: Connection, deal_id: UUID, *, by: str, now: datetime) -> DealDetail:
    """Nothing is open and nothing more comes. Raises `NoSuchDeal`, `DealInState`, `StillOpen`."""
    deal = await locked(tx, deal_id)
    refuse_next(deal, DealState.CLOSED)
    await store.close(tx, deal_id, now)
    await tell(tx, deal_id, "closed", {"number": deal.number}, by=by, now=now)
    return await get(tx, deal_id)


# What scrap brings


async def valuate(
    tx: Connection, deal_id: UUID, data: ScrapValuationCreate, *, now: datetime
) -> ScrapValuation:
    """What so much scrap would bring by a deal; writes nothing. Raises `NoSuchDeal`, `BadDeal`."""
    await seen(tx, deal_id)
    scrap_g = some_grams(data.scrap_kg, "/scrap_kg")
    terms, snapshot = await store.terms(tx, deal_id), await store.snapshot(tx, deal_id)
    contents = rules.assayed(terms, data.assay)
    found = rules.appraise(scrap_g, terms, contents, snapshot.prices)
    amount = sum(one.amount for one in found)
    return ScrapValuation(
        deal_id=deal_id,
        scrap_kg=kilograms(scrap_g),
        lines=[
            ScrapValuationLine(
                metal=one.term.metal,
                content_percent=contents[one.term.metal],
                contained_kg=kilograms(one.contained_g),
                recovery_percent=one.term.recovery_percent,
                coefficient_percent=one.term.coefficient_percent,
                factor=rules.factor(one.term.material, one.term.metal),
                material=one.term.material,
                kg=kilograms(one.grams),
                amount_per_tonne=one.amount_per_tonne,
                amount=one.amount,
            )
            for one in found
        ],
        amount=amount,
        amount_per_tonne=rules.per_tonne(amount, scrap_g),
        source=snapshot.source,
        expires_at=snapshot.expires_at,
        is_expired=now >= snapshot.expires_at,
    )


def some_grams(given: str, pointer: str) -> int:
    found = grams(given)
    if found == 0:
        raise BadDeal(pointer, "nothing", "it weighs nothing")
    return found


# The ledger


async def deliver(
    tx: Connection, deal_id: UUID, data: ScrapDeliveryCreate, *, by: str, now: datetime
) -> DealMovementView:
    """Scrap went to the recycler, which owes material for it. Raises `NoSuchDeal`, `DealInState`,
    `NotDelivered`, `BadDeal`, `OverLimit`."""
    refuse_future(data.delivered_on, civil_date(now), "delivered_on")
    deal = await locked(tx, deal_id)
    refuse_state(deal, DealState.ACCEPTED)
    scrap_g = await scrap_of(tx, deal, data)
    terms, snapshot = await store.terms(tx, deal_id), await store.snapshot(tx, deal_id)
    contents = rules.assayed(terms, data.assay)
    open_ = await store.balances(tx, deal_id)
    entries = {
        one.term.material: rules.moved(open_[one.term.material], one.grams, one.amount_per_tonne)
        for one in rules.appraise(scrap_g, terms, contents, snapshot.prices)
    }
    tax = vat_of(entries, data.vat_percent)
    movement_id = await store.insert_movement(
        tx,
        deal_id,
        DealMovementKind.SCRAP,
        data.delivered_on,
        entries,
        document=data.document,
        by=by,
        now=now,
        scrap_g=scrap_g,
        assay=contents,
        consignment_id=data.consignment_id,
        vat_percent=data.vat_percent,
        vat_amount=tax,
    )
    await post(tx, deal, DealMovementKind.SCRAP, movement_id, data.delivered_on, entries, tax)
    return await told(tx, deal, movement_id, "scrap_delivered", by=by, now=now)


async def scrap_of(tx: Connection, deal: Deal, data: ScrapDeliveryCreate) -> int:
    """Grams that were delivered: of a consignment what it weighed in."""
    if (data.scrap_kg is None) == (data.consignment_id is None):
        raise BadDeal("/scrap_kg", "one_of_two", "give a mass or a consignment, not both")
    if data.scrap_kg is not None:
        return some_grams(data.scrap_kg, "/scrap_kg")
    assert data.consignment_id is not None
    found = await store.delivered(tx, data.consignment_id, deal.recycler_id, deal.chemistry)
    if found is None or found["received_on"] > data.delivered_on or found["weighed_kg"] == 0:
        raise NotDelivered(f"consignment {data.consignment_id}")
    return int(found["weighed_kg"] * GRAMS)


async def settle(
    tx: Connection, deal_id: UUID, data: DealSettlementCreate, *, by: str, now: datetime
) -> DealMovementView:
    """Material came back, or money in place of it at the price of the deal. Raises `NoSuchDeal`,
    `DealInState`, `BadDeal`, `OverLimit`; money may not come for more than is owed."""
    refuse_future(data.settled_on, civil_date(now), "settled_on")
    deal = await locked(tx, deal_id)
    refuse_state(deal, DealState.ACCEPTED)
    settled_g = some_grams(data.kg, "/kg")
    open_ = await store.balances(tx, deal_id)
    if data.material not in open_:
        raise BadDeal("/material", "not_counted", "the deal does not give this material")
    of_it = open_[data.material]
    if data.kind is DealSettlementKind.MONEY and settled_g > of_it.grams:
        left = kilograms(of_it.grams)
        raise OverLimit(f"{left} kg of {data.material} are owed", kg=str(left))
    snapshot = await store.snapshot(tx, deal_id)
    moved = rules.moved(of_it, -settled_g, snapshot.prices[data.material])
    kind = DealMovementKind(data.kind)
    if kind is DealMovementKind.MONEY and data.vat_percent is not None:
        raise BadDeal("/vat_percent", "no_supply", "money is no supply; its VAT is paid by itself")
    entries = {data.material: moved}
    tax = vat_of(entries, data.vat_percent)
    movement_id = await store.insert_movement(
        tx,
        deal_id,
        kind,
        data.settled_on,
        entries,
        document=data.document,
        by=by,
        now=now,
        vat_percent=data.vat_percent,
        vat_amount=tax,
    )
    await post(tx, deal, kind, movement_id, data.settled_on, entries, tax)
    return await told(tx, deal, movement_id, f"settled_in_{kind}", by=by, now=now)


def vat_of(entries: Mapping[Material, Open], percent: str | None) -> int:
    """The tax on a movement as it was invoiced, owed by whoever got what was moved; on the whole of
    it, rounded once."""
    net = sum(one.amount for one in entries.values())
    return 0 if percent is None else percent_of(net, Decimal(percent))


async def settle_vat(
    tx: Connection, deal_id: UUID, data: DealVatSettlementCreate, *, by: str, now: datetime
) -> DealMovementView:
    """All that is open of VAT is paid. Raises `NoSuchDeal`, `DealInState`, `NothingOpen`."""
    refuse_future(data.settled_on, civil_date(now), "settled_on")
    deal = await locked(tx, deal_id)
    refuse_state(deal, DealState.ACCEPTED)
    paid = -await store.vat_open(tx, deal_id)
    if paid == 0:
        raise NothingOpen
    kind = DealMovementKind.VAT
    movement_id = await store.insert_movement(
        tx,
        deal_id,
        kind,
        data.settled_on,
        {},
        document=data.document,
        by=by,
        now=now,
        vat_amount=paid,
    )
    await post(tx, deal, kind, movement_id, data.settled_on, {}, paid)
    return await told(tx, deal, movement_id, "vat_settled", by=by, now=now)


async def reverse(
    tx: Connection, deal_id: UUID, data: DealReversalCreate, *, by: str, now: datetime
) -> DealMovementView:
    """Take a movement back by its mirror image. Raises `NoSuchDeal`, `DealInState`,
    `NoSuchMovement`, `NotReversible`, `ReversedAlready`, `OverLimit`."""
    refuse_future(data.reversed_on, civil_date(now), "reversed_on")
    deal = await locked(tx, deal_id)
    refuse_state(deal, DealState.ACCEPTED)
    found = await store.get_movement(tx, deal_id, data.movement_id)
    if found is None:
        raise NoSuchMovement(f"there is no movement {data.movement_id}")
    kind = DealMovementKind(found["kind"])
    if kind is DealMovementKind.REVERSAL:
        raise NotReversible
    entries = {
        material: Open(-one.grams, -one.amount)
        for material, one in (await store.entries_of(tx, data.movement_id)).items()
    }
    movement_id = await store.insert_movement(
        tx,
        deal_id,
        DealMovementKind.REVERSAL,
        data.reversed_on,
        entries,
        document=data.reason,
        by=by,
        now=now,
        reverses_id=data.movement_id,
        vat_amount=-found["vat_amount"],
    )
    await post(tx, deal, kind, movement_id, data.reversed_on, entries, -found["vat_amount"])
    return await told(tx, deal, movement_id, "reversed", by=by, now=now)


AGAINST = {
    DealMovementKind.SCRAP: "revenue_scrap",
    DealMovementKind.MATERIAL: "raw_material",
    DealMovementKind.MONEY: "cash",
}
"""What stands against that which is owed for scrap."""

TAX = {
    DealMovementKind.SCRAP: "vat_output",
    DealMovementKind.MATERIAL: "vat_input",
    DealMovementKind.VAT: "cash",
}


async def post(
    tx: Connection,
    deal: Deal,
    kind: DealMovementKind,
    movement_id: UUID,
    on: date,
    entries: Mapping[Material, Open],
    tax: int = 0,
) -> None:
    """The same in the books, gross; a reversal is posted like what it takes back, the other way
    round."""
    net = sum(one.amount for one in entries.values())
    amounts = {"scrap_receivable": net + tax}
    if net:
        amounts[AGAINST[kind]] = -net
    if tax:
        amounts[TAX[kind]] = -tax
    if not (net or tax):
        return
    await ledger.post(
        tx,
        source="deal",
        source_id=deal.id,
        event=f"{kind}:{movement_id}",
        currency="CNY",
        posted_on=on,
        party_id=deal.recycler_id,
        amounts=amounts,
    )


async def told(
    tx: Connection, deal: Deal, movement_id: UUID, what: str, *, by: str, now: datetime
) -> DealMovementView:
    row = await store.get_movement(tx, deal.id, movement_id)
    assert row is not None
    facts: dict[str, object] = {
        "number": deal.number,
        "movement_id": movement_id,
        "entries": row["entries"],
        "on": row["happened_on"],
    }
    await tell(tx, deal.id, what, facts, by=by, now=now)
    return movement(row)


async def tell(
    tx: Connection, deal_id: UUID, what: str, facts: dict[str, object], *, by: str, now: datetime
) -> None:
    await events.append(tx, [Event("deal", deal_id, f"deal.{what}", facts)], actor=by, now=now)


# Reading


def movement(row: Record) -> DealMovementView:
    return convert(row, DealMovementView)


async def seen(tx: Connection, deal_id: UUID) -> Record:
    """Raises `NoSuchDeal` unless whoever asks may see it."""
    row = await store.get(tx, deal_id)
    if row is None:
        raise NoSuchDeal(f"there is no deal {deal_id}")
    return row


async def locked(tx: Connection, deal_id: UUID) -> Deal:
    deal = await store.lock(tx, deal_id)
    if deal is None:
        raise NoSuchDeal(f"there is no deal {deal_id}")
    return deal


def refuse_state(deal: Deal, wanted: DealState) -> None:
    if deal.state is not wanted:
        raise DealInState(f"deal {deal.number} is {deal.state}, not {wanted}", state=deal.state)


def refuse_next(deal: Deal, to: DealState) -> None:
    if to not in NEXT_STATES[deal.state]:
        message = f"a deal that is {deal.state} cannot become {to}"
        raise DealInState(message, state=deal.state)


async def get(tx: Connection, deal_id: UUID) -> DealDetail:
    """A deal with its terms, its prices and what is open. Raises `NoSuchDeal`."""
    row = await seen(tx, deal_id)
    snapshot = await store.newest_snapshot(tx, deal_id)
    terms = [
        DealTermView(
            metal=term.metal,
            material=term.material,
            content_percent=term.content_percent,
            recovery_percent=term.recovery_percent,
            coefficient_percent=term.coefficient_percent,
            factor=rules.factor(term.material, term.metal),
        )
        for term in await store.terms(tx, deal_id)
    ]
    prices = [
        DealPriceView(material=Material(material), amount_per_tonne=price)
        for material, price in sorted(snapshot["prices"].items())
    ]
    balances = [
        DealBalanceView(material=material, kg=kilograms(of.grams), amount=of.amount)
        for material, of in (await store.balances(tx, deal_id)).items()
    ]
    more = {
        "terms": terms,
        "snapshot": convert({**snapshot, "prices": prices}, DealSnapshotView),
        "balances": balances,
        "vat_open_amount": await store.vat_open(tx, deal_id),
    }
    return convert({**row, **more}, DealDetail)


async def movements(
    tx: Connection, deal_id: UUID, after: UUID, limit: int
) -> list[DealMovementView]:
    """The ledger of a deal, from the first entry on. Raises `NoSuchDeal`."""
    await seen(tx, deal_id)
    return convert_all(await store.movements_after(tx, deal_id, after, limit), DealMovementView)
