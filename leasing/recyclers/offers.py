"""What recyclers pay: a price holds for a window of days and is never written over."""

from datetime import datetime
from uuid import UUID

from leasing.db.pool import Connection
from leasing.events import store as events
from leasing.events.store import Event
from leasing.kit.errors import FieldError
from leasing.kit.rows import convert
from leasing.parties.model import EmptyValidity
from leasing.recyclers import offers_store as store
from leasing.recyclers.model import NoSuchOffer, OfferEndsOtherwise, OfferOverlaps
from leasing.recyclers.service import lock
from schemas.recyclers import OfferCreate, OfferEnd, OfferView


async def enter(tx: Connection, data: OfferCreate, *, by: str, now: datetime) -> OfferView:
    """Enter a price. Raises `OfferOverlaps`, which names the one that holds in that time."""
    if data.valid_to is not None and data.valid_to <= data.valid_from:
        fault = FieldError("/valid_to", "not_after_valid_from", "must be after valid_from")
        raise EmptyValidity(fields=[fault])
    await lock(tx, data.recycler_id)
    other = await store.overlapping(tx, data)
    if other is not None:
        reason = (
            f"{other['cny_per_kg']} CNY/kg hold from {other['valid_from']} to "
            f"{other['valid_to'] or 'no end'} by {other['source']}: end that first"
        )
        fault = FieldError("/valid_from", "overlaps", reason)
        raise OfferOverlaps(reason, fields=[fault], offer_id=other["id"])
    offer = convert(await store.insert(tx, data, by, now), OfferView)
    facts: dict[str, object] = {
        "offer_id": offer.id,
        "chemistry": offer.chemistry,
        "disposition": offer.disposition,
        "from": offer.valid_from,
        "to": offer.valid_to,
        "cny_per_kg": str(offer.cny_per_kg),
        "material_cny_per_kg": str(offer.material_cny_per_kg),
        "source": offer.source,
    }
    entered = Event("party", offer.recycler_id, "offer.entered", facts)
    await events.append(tx, [entered], actor=by, now=now)
    return offer


async def end(
    tx: Connection, offer_id: UUID, data: OfferEnd, *, by: str, now: datetime
) -> OfferView:
    """End a price on a day, so that another can follow. It held for one day at least."""
    row = await store.lock(tx, offer_id)
    if row is None:
        raise NoSuchOffer
    ended = await store.end(tx, offer_id, data.ended_on)
    if ended is None:
        raise OfferEndsOtherwise(
            f"it holds from {row['valid_from']} to {row['valid_to'] or 'no end'}"
        )
    facts: dict[str, object] = {"offer_id": offer_id, "on": data.ended_on}
    over = Event("party", row["recycler_id"], "offer.ended", facts)
    await events.append(tx, [over], actor=by, now=now)
    return convert(ended, OfferView)
