"""The life of a pack over HTTP."""

from uuid import UUID

from litestar import get
from litestar.params import FromPath

from leasing.http.edge import EVERYONE, Tx
from leasing.http.problems import when_reading
from leasing.kit.errors import NotFound
from leasing.kit.rows import convert_all
from leasing.traceability import store
from schemas.packs import LifeRecord, PackCodeView, PackLife


class NoSuchLife(NotFound):
    code = "pack_not_found"
    title = "There is no such pack"


@get("/packs/{pack_id:uuid}/life", opt={"access": EVERYONE}, responses=when_reading(404))
async def pack_life(tx: Tx, pack_id: FromPath[UUID]) -> PackLife:
    """Everything that happened to a pack, in order."""
    records = await store.life(tx, pack_id)
    if not records:
        raise NoSuchLife
    codes = await store.codes(tx, pack_id)
    return PackLife(
        pack_id=pack_id,
        codes=convert_all(codes, PackCodeView),
        records=convert_all(records, LifeRecord),
    )


HANDLERS = [pack_life]
