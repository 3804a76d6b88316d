"""Sites: towers and depots of customers."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from functools import partial
from uuid import UUID

import msgspec

from leasing.db.pool import Connection
from leasing.events import store as events
from leasing.events.store import Event
from leasing.http.batches import each, refusal
from leasing.kit import vin
from leasing.kit.errors import Conflict, DomainError, FieldError, Invalid, NotFound
from leasing.kit.rows import convert, given
from leasing.kit.versions import refuse_unless_current
from leasing.sites import store, strings
from schemas.sites import SiteCreate, SiteKind, SitePatch, SiteView


class NoSuchSite(NotFound):
    code = "site_not_found"
    title = "There is no such site"


class SiteCodeTaken(Conflict):
    code = "site_code_taken"
    title = "The customer has another site with this code"


class BadVin(Invalid):
    code = "bad_vin"
    title = "The vehicle identification number is not valid"


class VinTaken(Conflict):
    code = "vin_taken"
    title = "Another vehicle has this identification number"


class NotACustomer(Conflict):
    code = "not_a_customer"
    title = "Only a customer has sites and contracts"


class UnknownPrefecture(Conflict):
    code = "unknown_prefecture"
    title = "No prefecture-level division has this code"


CONSTRAINTS = {
    "site_code_once": SiteCodeTaken,
    "site_vin_once": VinTaken,
    "site_of_a_customer": NotACustomer,
    "contract_of_a_customer": NotACustomer,
    "site_prefecture": UnknownPrefecture,
    **strings.CONSTRAINTS,
}


async def create(
    tx: Connection, sites: Sequence[SiteCreate], *, by: str, now: datetime
) -> list[UUID]:
    sites = [with_vin_checked(site) for site in sites]
    ids = await store.insert(tx, sites, now)
    created = [
        Event("site", site_id, "site.created", {"code": site.code, "adcode": site.adcode})
        for site_id, site in zip(ids, sites, strict=True)
    ]
    await events.append(tx, created, actor=by, now=now)
    return ids


async def create_each(
    tx: Connection, wanted: Sequence[SiteCreate], *, by: str, now: datetime
) -> list[UUID | DomainError]:
    """Enter sites. Returns for each its id, or why it is refused."""

    async def together(part: Sequence[SiteCreate]) -> list[UUID | DomainError]:
        refused = [refusal(partial(with_vin_checked, site)) for site in part]
        good = [site for site, no in zip(part, refused, strict=True) if no is None]
        ids = iter(await create(tx, good, by=by, now=now))
        return [no or next(ids) for no in refused]

    return await each(tx, wanted, CONSTRAINTS, together)


def with_vin_checked(site: SiteCreate) -> SiteCreate:
    """The same site with its VIN in capitals. Raises `BadVin`."""
    return msgspec.structs.replace(site, vin=checked_vin(site.kind, site.vin))


def checked_vin(kind: SiteKind, text: str | None) -> str | None:
    """The VIN in capitals. Raises `BadVin` for a wrong one, and for one that is missing from a
    vehicle or given to anything else."""
    if (text is not None) != (kind is SiteKind.VEHICLE):
        fault = FieldError("/vin", "bad_vin", "a vehicle has a VIN, and nothing else has")
        raise BadVin(fault.message, fields=[fault])
    if text is None:
        return None
    try:
        return vin.validate(text)
    except vin.VinError as error:
        fault = FieldError("/vin", "bad_vin", str(error))
        raise BadVin(str(error), fields=[fault]) from error


async def get(tx: Connection, site_id: UUID) -> SiteView:
    row = await store.get(tx, site_id)
    if row is None:
        raise NoSuchSite
    return convert(row, SiteView)


async def change(
    tx: Connection, site_id: UUID, data: SitePatch, expected: int, *, by: str, now: datetime
) -> SiteView:
    """Change what was given. Raises `VersionChanged` when another editor was first."""
    await change_all(tx, {site_id: (data, expected)}, by=by, now=now)
    return await get(tx, site_id)


async def change_all(
    tx: Connection, patches: Mapping[UUID, tuple[SitePatch, int]], *, by: str, now: datetime
) -> None:
    """Change several sites, each based on a version."""
    rows = {row["id"]: row for row in await store.lock(tx, list(patches))}
    changed = []
    for site_id, (data, expected) in patches.items():
        if site_id not in rows:
            raise NoSuchSite
        row, changes = rows[site_id], given(data)
        refuse_unless_current(row["version"], expected, row, changes)
        changed.append(Event("site", site_id, "site.changed", changes))
    values = {one.aggregate_id: {**rows[one.aggregate_id], **one.data} for one in changed}
    await store.update(tx, values)
    await events.append(tx, changed, actor=by, now=now)


async def hand_over(
    tx: Connection, site_ids: Sequence[UUID], party_id: UUID, on: date, *, by: str, now: datetime
) -> None:
    """Make sure that another customer has sites of the same codes."""
    copied = [
        Event("site", row["id"], "site.created", {"code": row["code"], "adcode": row["adcode"]})
        for row in await store.copy(tx, site_ids, party_id, on, now)
    ]
    await events.append(tx, copied, actor=by, now=now)
