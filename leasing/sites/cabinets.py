"""The strings of a site in the database, and the packs that stand in them."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from uuid import UUID

import msgspec
from msgspec.structs import replace

from leasing.batteries.model import NoSuchPack
from leasing.db.pool import Connection
from leasing.events import store as events
from leasing.events.store import Event
from leasing.kit.rows import convert
from leasing.kit.time import civil_date
from leasing.sites import store, strings
from leasing.sites.service import NoSuchSite
from leasing.sites.strings import Member, MixedString, Standing
from schemas.sites import StringsPut, StringView

OF_SITES = """
SELECT site_id,
       number,
       system_voltage_mv,
       lower(slots) AS first_slot,
       upper(slots) - 1 AS last_slot
  FROM site_string
 WHERE site_id = ANY ($1::uuid[])
 ORDER BY site_id, number
"""


async def of_sites(tx: Connection, site_ids: Sequence[UUID]) -> Mapping[UUID, list[StringView]]:
    """The strings of each site, in order of their numbers."""
    found: dict[UUID, list[StringView]] = {site_id: [] for site_id in site_ids}
    for row in await tx.fetch(OF_SITES, site_ids):
        found[row["site_id"]].append(convert(row, StringView))
    return found


async def of_site(tx: Connection, site_id: UUID) -> list[StringView]:
    """The strings of one site. Raises `NoSuchSite`."""
    if await store.get(tx, site_id) is None:
        raise NoSuchSite
    return (await of_sites(tx, [site_id]))[site_id]


REMOVE = """
DELETE FROM site_string
 WHERE site_id = $1
"""

INSERT = """
INSERT INTO site_string (site_id, number, system_voltage_mv, slots)
SELECT $1, number, system_voltage_mv, int4range(first_slot, last_slot, '[]')
  FROM unnest($2::int[], $3::int[], $4::int[], $5::int[])
       AS given (number, system_voltage_mv, first_slot, last_slot)
"""


async def put(
    tx: Connection, site_id: UUID, data: StringsPut, *, by: str, now: datetime
) -> list[StringView]:
    """Make these the strings of a site, all of them. The same list again changes nothing.

    Raises `BadStrings` when they contradict each other, `StringsInUse` when the packs that
    stand there today do not allow them; either names everything at once.
    """
    strings.refuse_contradictions(data.strings)
    if not await store.lock(tx, [site_id]):
        raise NoSuchSite
    before = await of_site(tx, site_id)
    after = [msgspec.convert(one, StringView, from_attributes=True) for one in data.strings]
    if sorted(after, key=lambda one: one.number) == before:
        return before
    present = await standing(tx, [site_id], civil_date(now), None)
    strings.refuse_unless_packs_allow(before, after, present.get(site_id, []))
    await tx.execute(REMOVE, site_id)
    await tx.execute(
        INSERT,
        site_id,
        [one.number for one in after],
        [one.system_voltage_mv for one in after],
        [one.first_slot for one in after],
        [one.last_slot for one in after],
    )
    facts: dict[str, object] = {"strings": after}
    changed = Event("site", site_id, "site.strings_changed", facts)
    await events.append(tx, [changed], actor=by, now=now)
    return await of_site(tx, site_id)


MEMBER = """pack.id AS pack_id,
       CASE WHEN pack_code.scheme LIKE 'gbt34014%'
            THEN substr(pack_code.code, 1, 3) ELSE '' END AS maker,
       CASE WHEN pack_code.scheme LIKE 'gbt34014%'
            THEN substr(pack_code.code, 6, 2) ELSE '' END AS specification,
       pack.chemistry,
       pack.cells_in_series,
       pack.rated_voltage_mv,
       pack.rated_capacity_mah,
       pack.made_on"""

# Who stood where in a time. The one statement here that knows how a line says its place.
STANDING = f"""
SELECT placement.line_id,
       placement.site_id,
       placement.slot,
       upper(placement.during) AS to_on,
       {MEMBER}
  FROM placement
  JOIN pack ON pack.id = placement.pack_id
  JOIN pack_code ON pack_code.pack_id = pack.id AND pack_code.is_current
 WHERE placement.site_id = ANY ($1::uuid[])
   AND placement.during && daterange($2, $3)
 ORDER BY placement.site_id, placement.slot, pack.id
"""


async def standing(
    tx: Connection, site_ids: Sequence[UUID], from_on: date, to_on: date | None
) -> Mapping[UUID, list[Standing]]:
    """The packs of each site that stood there on any day of `[from_on, to_on)`, by slot. With
    `to_on` None the time has no end."""
    found: dict[UUID, list[Standing]] = {}
    for row in await tx.fetch(STANDING, site_ids, from_on, to_on):
        one = Standing(row["line_id"], row["slot"], convert(row, Member), row["to_on"])
        found.setdefault(row["site_id"], []).append(one)
    return found


MEMBERS = f"""
SELECT {MEMBER}
  FROM pack
  JOIN pack_code ON pack_code.pack_id = pack.id AND pack_code.is_current
 WHERE pack.id = ANY ($1::uuid[])
"""

# Two hand-overs into two slots of one empty string see each other only if they queue up, those of
# many sites in one order. This lock leaves alone the foreign keys that point at the site.
LOCK_SITES = """
SELECT id
  FROM site
 WHERE id = ANY ($1::uuid[])
 ORDER BY id
   FOR NO KEY UPDATE
"""


async def hold(tx: Connection, site_ids: Collection[UUID]) -> None:
    """Let nobody else place packs at sites, or change their strings, until the transaction
    ends."""
    await tx.execute(LOCK_SITES, list(site_ids))


class Arrival(msgspec.Struct, frozen=True):
    """A pack that is to stand in a slot from a day on; one that stood there may leave that day."""

    line_id: UUID
    site_id: UUID
    slot: int
    pack_id: UUID
    from_on: date
    instead_of: UUID | None = None


async def refuse_mixed(
    tx: Connection, site_id: UUID, slot: int, pack_id: UUID, from_on: date
) -> None:
    """Raise `MixedString` unless a pack may stand in a slot from a day on, beside all that stand
    in the slot's string on that day or later. Call it with the line and the pack locked, before
    the placement is written; the site stays locked until the transaction ends."""
    await hold(tx, [site_id])
    (refused,) = await mixed(tx, [Arrival(pack_id, site_id, slot, pack_id, from_on)])
    if refused is not None:
        raise refused


async def mixed(
    tx: Connection, arrivals: Sequence[Arrival]
) -> list[MixedString | NoSuchPack | None]:
    """What speaks against each arrival, one after the other: the next one finds those that are
    not refused. The sites are held by the caller."""
    strings_of = await of_sites(tx, list({one.site_id for one in arrivals}))
    string_at = [strings.string_of(strings_of[one.site_id], one.slot) for one in arrivals]
    concerned = [one for one, string in zip(arrivals, string_at, strict=True) if string]
    if not concerned:
        return [None] * len(arrivals)
    site_ids = list({one.site_id for one in concerned})
    present = await standing(tx, site_ids, min(one.from_on for one in concerned), None)
    joining = [one.pack_id for one in concerned]
    members = {row["pack_id"]: convert(row, Member) for row in await tx.fetch(MEMBERS, joining)}
    beside = {site_id: list(present.get(site_id, [])) for site_id in site_ids}
    return [
        join(one, string, members.get(one.pack_id), beside[one.site_id]) if string else None
        for one, string in zip(arrivals, string_at, strict=True)
    ]


def join(
    arrival: Arrival, string: StringView, pack: Member | None, beside: list[Standing]
) -> MixedString | NoSuchPack | None:
    """Put a pack beside those that stand at a site, unless something speaks against it."""
    if pack is None:
        return NoSuchPack()
    staying = [
        replace(one, to_on=arrival.from_on)
        if one.pack.pack_id == arrival.instead_of and one.to_on is None
        else one
        for one in beside
    ]
    mates = [
        one.pack
        for one in strings.members(string, staying)
        if one.pack.pack_id != pack.pack_id and (one.to_on is None or one.to_on > arrival.from_on)
    ]
    try:
        strings.refuse_mixed(pack, mates, string.system_voltage_mv)
    except MixedString as refused:
        return refused
    beside[:] = [*staying, Standing(arrival.line_id, arrival.slot, pack)]
    return None
