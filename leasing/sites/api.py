"""Sites over HTTP."""

from uuid import UUID

from litestar import Response, get, patch, post, put
from litestar.params import FromPath, FromQuery, JSONBody

from leasing.http.batches import answer
from leasing.http.edge import CUSTOMERS, By, Now, Tx, Unreadable
from leasing.http.etag import IfMatch, etag, expected_version
from leasing.http.pages import Cursor, Limit, Page, after_id, page_by_id
from leasing.http.problems import when_editing, when_posting, when_putting, when_reading
from leasing.kit.rows import convert_all
from leasing.sites import cabinets, devices, service, store
from schemas.batches import BatchView
from schemas.sites import (
    SiteBatch,
    SiteCreate,
    SiteDevicesPut,
    SiteDevicesView,
    SitePatch,
    SiteView,
    StringsPut,
    StringsView,
)


@post("/sites", responses=when_posting())
async def create_site(tx: Tx, caller: By, now: Now, data: JSONBody[SiteCreate]) -> SiteView:
    """Enter a site."""
    (site_id,) = await service.create(tx, [data], by=str(caller), now=now)
    return await service.get(tx, site_id)


@post("/sites:batch", status_code=200, responses=when_posting())
async def create_sites(
    tx: Tx, caller: By, now: Now, unreadable: Unreadable, data: JSONBody[SiteBatch]
) -> BatchView:
    """Enter up to 1,000 sites; says of each what became of it. `id` is the site."""
    outcomes = await service.create_each(tx, data.rows, by=str(caller), now=now)
    return answer(data, unreadable, outcomes)


@get("/sites", opt={"access": CUSTOMERS}, responses=when_reading())
async def list_sites(
    tx: Tx, party_id: FromQuery[UUID | None] = None, limit: Limit = 50, cursor: Cursor = None
) -> Page[SiteView]:
    """Sites in the order they were entered."""
    rows = await store.after(tx, after_id(cursor), party_id, limit + 1)
    return page_by_id(convert_all(rows, SiteView), limit)


@get(
    "/sites/{site_id:uuid}",
    opt={"access": CUSTOMERS, "one_statement": True},
    responses=when_reading(404),
)
async def get_site(tx: Tx, site_id: FromPath[UUID]) -> Response[SiteView]:
    """One site, with its version as ETag."""
    site = await service.get(tx, site_id)
    return Response(site, headers={"etag": etag(site.version)})


@patch("/sites/{site_id:uuid}", responses=when_editing(404, 409))
async def change_site(
    tx: Tx,
    caller: By,
    now: Now,
    site_id: FromPath[UUID],
    data: JSONBody[SitePatch],
    if_match: IfMatch = None,
) -> Response[SiteView]:
    """Change a site."""
    expected = expected_version(if_match)
    site = await service.change(tx, site_id, data, expected, by=str(caller), now=now)
    return Response(site, headers={"etag": etag(site.version)})


@get(
    "/sites/{site_id:uuid}/strings",
    opt={"access": CUSTOMERS},
    responses=when_reading(404),
)
async def get_strings(tx: Tx, site_id: FromPath[UUID]) -> StringsView:
    """The cabinet strings of a site, in order of their numbers."""
    return StringsView(site_id=site_id, strings=await cabinets.of_site(tx, site_id))


@put("/sites/{site_id:uuid}/strings", responses=when_putting(404, 409))
async def put_strings(
    tx: Tx, caller: By, now: Now, site_id: FromPath[UUID], data: JSONBody[StringsPut]
) -> StringsView:
    """Say which slots hang together, for the whole site at once. The same list again changes
    nothing. What is left out is no longer there, unless packs that stand in it forbid."""
    made = await cabinets.put(tx, site_id, data, by=str(caller), now=now)
    return StringsView(site_id=site_id, strings=made)


@get(
    "/sites/{site_id:uuid}/devices",
    opt={"access": CUSTOMERS},
    responses=when_reading(404),
)
async def get_devices(tx: Tx, site_id: FromPath[UUID]) -> SiteDevicesView:
    """The devices of a site's supervision unit, by code, and the slots they speak of."""
    return SiteDevicesView(site_id=site_id, devices=await devices.of_site(tx, site_id))


@put("/sites/{site_id:uuid}/devices", responses=when_putting(404, 409))
async def put_devices(
    tx: Tx, caller: By, now: Now, site_id: FromPath[UUID], data: JSONBody[SiteDevicesPut]
) -> SiteDevicesView:
    """Say which slot each device speaks of, for the whole site at once. What a device reports from
    now on is of the pack that stands in its slot."""
    made = await devices.put(tx, site_id, data, by=str(caller), now=now)
    return SiteDevicesView(site_id=site_id, devices=made)


HANDLERS = [
    create_site,
    create_sites,
    list_sites,
    get_site,
    change_site,
    get_strings,
    put_strings,
    get_devices,
    put_devices,
]
