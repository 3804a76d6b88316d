"""What a pack was made from and what was made from it, however far, and where its parts were."""

from collections.abc import Sequence
from uuid import UUID

from leasing.batteries import part_store, service, store
from leasing.db.pool import Connection
from leasing.kit.rows import convert_all
from schemas.codes import FamilyLink, FamilyMember, FamilyPart, PackFamily
from schemas.packs import CodeScheme

MOST = 2_000

Known = UUID | tuple[str, str]
"""A pack of ours, or the scheme and code of what is known by its code alone."""


async def family(tx: Connection, pack_id: UUID) -> PackFamily:
    """Raises `NoSuchPack`."""
    own = await service.get(tx, pack_id)
    rows = await part_store.family(tx, pack_id, MOST + 1)
    stays = await part_store.stays(tx, pack_id, MOST + 1)
    links: list[tuple[UUID, Known]] = [
        (row["made_id"], row["origin_id"] or (row["scheme"], row["code"])) for row in rows[:MOST]
    ]
    ids = {one for link in links for one in link if isinstance(one, UUID)}
    scheme_of = {row["pack_id"]: row for row in await store.current_codes(tx, ids | {own.id})}

    def named(one: Known) -> tuple[str, str]:
        if not isinstance(one, UUID):
            return one
        # A pack whose code the caller may not read keeps its id.
        row = scheme_of.get(one)
        return (row["scheme"], row["code"]) if row else (CodeScheme.UNRECOGNISED, str(one))

    found = generations(pack_id, links)
    return PackFamily(
        pack_id=pack_id,
        members=[
            FamilyMember(
                generation=generation,
                pack_id=one if isinstance(one, UUID) else None,
                scheme=CodeScheme(named(one)[0]),
                code=named(one)[1],
            )
            for one, generation in sorted(found.items(), key=lambda item: (item[1], str(item[0])))
        ],
        links=[FamilyLink(made=named(made)[1], origin=named(origin)[1]) for made, origin in links],
        parts=convert_all(stays[:MOST], FamilyPart),
        more=len(rows) > MOST or len(stays) > MOST,
    )


def generations(pack_id: UUID, links: Sequence[tuple[UUID, Known]]) -> dict[Known, int]:
    """How far each is from the pack, by the shortest way; origins below zero."""
    origins: dict[Known, list[Known]] = {}
    made: dict[Known, list[Known]] = {}
    for child, parent in links:
        origins.setdefault(child, []).append(parent)
        made.setdefault(parent, []).append(child)
    found: dict[Known, int] = {pack_id: 0}
    for step, following in ((-1, origins), (1, made)):
        level: list[Known] = [pack_id]
        generation = 0
        while level:
            generation += step
            level = [
                other
                for other in dict.fromkeys(
                    other for one in level for other in following.get(one, [])
                )
                if other not in found
            ]
            found |= dict.fromkeys(level, generation)
    return found
