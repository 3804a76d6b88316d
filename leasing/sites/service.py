"""Sites: towers and depots of customers."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from leasing.db.pool import Connection
from leasing.events import store as events
from leasing.events.store import Event
from leasing.kit import vin
from leasing.kit.errors import Conflict, FieldError, Invalid, NotFound
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


def with_vin_checked(site: SiteCreate) -> SiteCreate:
    """The same site with its VIN in capitals. Raises `BadVin` for a wrong one, and for one that
    is missing from a vehicle or given to anything else."""
    if (site.vin is not None) != (site.kind is SiteKind.VEHICLE):
        fault = FieldError("/vin", "bad_vin", "a vehicle has a VIN, and nothing else has")
        raise BadVin(fault.message, fields=[fault])
    if site.vin is None:
        return site
    try:
        return msgspec.structs.replace(site, vin=vin.validate(site.vin))
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
    row = await store.lock(tx, site_id)
    if row is None:
        raise NoSuchSite
    refuse_unless_current(row["version"], expected)
    changes = given(data)
    await store.update(tx, site_id, {**row, **changes})
    await events.append(tx, [Event("site", site_id, "site.changed", changes)], actor=by, now=now)
    return await get(tx, site_id)
