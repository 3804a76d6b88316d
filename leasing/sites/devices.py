"""The devices of a site's supervision unit, and which slot each speaks of."""

from collections import Counter
from datetime import datetime
from uuid import UUID

import msgspec

from leasing.db.pool import Connection
from leasing.events import store as events
from leasing.events.store import Event
from leasing.kit.errors import Conflict, FieldError, Invalid
from leasing.kit.rows import convert_all
from leasing.sites import store
from leasing.sites.service import NoSuchSite
from schemas.sites import SiteDevicesPut, SiteDeviceView


class BadDevices(Invalid):
    code = "bad_devices"
    title = "The devices contradict each other"


class DeviceTaken(Conflict):
    code = "device_taken"
    title = "Another site has a device with this code"


CONSTRAINTS = {"site_device_once": DeviceTaken}

OF_SITE = """
SELECT code, part, slot
  FROM site_device
 WHERE site_id = $1
 ORDER BY code, part
"""


async def of_site(tx: Connection, site_id: UUID) -> list[SiteDeviceView]:
    """The devices of a site, by code. Raises `NoSuchSite`."""
    if await store.get(tx, site_id) is None:
        raise NoSuchSite
    return convert_all(await tx.fetch(OF_SITE, site_id), SiteDeviceView)


REMOVE = """
DELETE FROM site_device
 WHERE site_id = $1
"""

INSERT = """
INSERT INTO site_device (site_id, code, part, slot)
SELECT $1, code, part, slot
  FROM unnest($2::text[], $3::int[], $4::int[]) AS given (code, part, slot)
 ORDER BY code, part
"""


async def put(
    tx: Connection, site_id: UUID, data: SiteDevicesPut, *, by: str, now: datetime
) -> list[SiteDeviceView]:
    """Make these the devices of a site, all of them. The same list again changes nothing. Raises
    `BadDevices`, naming every row that says a device or a slot again, and `DeviceTaken`."""
    refuse_contradictions(data)
    if not await store.lock(tx, [site_id]):
        raise NoSuchSite
    before = await of_site(tx, site_id)
    after = [msgspec.convert(one, SiteDeviceView, from_attributes=True) for one in data.devices]
    if sorted(after, key=lambda one: (one.code, one.part)) == before:
        return before
    await tx.execute(REMOVE, site_id)
    await tx.execute(
        INSERT,
        site_id,
        [one.code for one in after],
        [one.part for one in after],
        [one.slot for one in after],
    )
    facts: dict[str, object] = {"devices": after}
    changed = Event("site", site_id, "site.devices_changed", facts)
    await events.append(tx, [changed], actor=by, now=now)
    return await of_site(tx, site_id)


def refuse_contradictions(data: SiteDevicesPut) -> None:
    named = Counter((one.code, one.part) for one in data.devices)
    slots = Counter(one.slot for one in data.devices)
    faults = []
    for n, one in enumerate(data.devices):
        if named[one.code, one.part] > 1:
            message = f"part {one.part} of {one.code} is named twice"
            faults.append(FieldError(f"/devices/{n}/code", "device_twice", message))
        if slots[one.slot] > 1:
            message = f"two devices speak of slot {one.slot}"
            faults.append(FieldError(f"/devices/{n}/slot", "slot_twice", message))
    if faults:
        raise BadDevices(f"{len(faults)} faults in {len(data.devices)} devices", fields=faults)
