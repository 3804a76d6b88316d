"""The life of a pack over HTTP, and the heads of days."""

from datetime import date
from uuid import UUID

from litestar import get, post
from litestar.params import FromPath, JSONBody

from leasing.http.edge import EVERYONE, By, Now, Tx
from leasing.http.pages import Cursor, Limit, Page, decode, page_by
from leasing.http.problems import when_posting, when_reading
from leasing.kit.rows import convert_all
from leasing.traceability import head_store, service, store
from leasing.traceability.model import NoSuchLife
from schemas.packs import LifeRecord, PackCodeView, PackLife
from schemas.traceability import CorrectionView, RecordCorrection, TraceHeadView


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


@post("/packs/{pack_id:uuid}/life/{record_id:uuid}/correction", responses=when_posting(404))
async def correct_record(
    tx: Tx,
    caller: By,
    now: Now,
    pack_id: FromPath[UUID],
    record_id: FromPath[UUID],
    data: JSONBody[RecordCorrection],
) -> CorrectionView:
    """Say what a record of a pack's life should have said. The record stays as it is; the
    correction is the newest record, and names it. One is corrected once, a correction by another.
    """
    return await service.correct(tx, pack_id, record_id, data, by=str(caller), now=now)


@get("/trace-heads", opt={"access": EVERYONE}, responses=when_reading())
async def list_trace_heads(tx: Tx, limit: Limit = 50, cursor: Cursor = None) -> Page[TraceHeadView]:
    """Heads of days, the newest first: one hash over the newest record of every pack at the day's
    end, to keep and to compare."""
    before = date.max if cursor is None else decode(cursor, tuple[date])[0]
    rows = await head_store.page(tx, before, limit + 1)
    return page_by(convert_all(rows, TraceHeadView), limit, lambda one: one.as_of)


HANDLERS = [pack_life, correct_record, list_trace_heads]
