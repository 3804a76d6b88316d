"""Putting a record right, by another that names it."""

from datetime import datetime
from uuid import UUID

from leasing.db.pool import Connection
from leasing.events import store as events
from leasing.events.store import Event
from leasing.kit.errors import FieldError
from leasing.kit.time import civil_date
from leasing.traceability import store
from leasing.traceability.model import BadCorrection, NoSuchLife, NoSuchRecord
from leasing.traceability.store import Step
from schemas.traceability import CorrectionView, RecordCorrection


async def correct(
    tx: Connection,
    pack_id: UUID,
    record_id: UUID,
    data: RecordCorrection,
    *,
    by: str,
    now: datetime,
) -> CorrectionView:
    """Write what a record should have said, for the same party and place. Raises `NoSuchLife`,
    `NoSuchRecord`, `BadCorrection`; the table refuses to correct a record twice."""
    if not await store.lock(tx, pack_id):
        raise NoSuchLife
    wrong = await store.one(tx, pack_id, record_id)
    if wrong is None:
        raise NoSuchRecord
    today = civil_date(now)
    if data.happened_on is None and not data.facts:
        raise BadCorrection("neither another day nor another fact")
    if data.happened_on is not None and data.happened_on > today:
        fault = FieldError("/happened_on", "future_date", f"{data.happened_on} is still to come")
        raise BadCorrection(fault.message, fields=[fault])
    said: dict[str, object] = {
        "corrects": wrong["sequence"],
        "kind": wrong["kind"],
        "reason": data.reason,
        "facts": data.facts,
    }
    if data.happened_on is not None:
        said["happened_on"] = data.happened_on
    step = Step(
        pack_id, "record.corrected", today, said, wrong["adcode"], wrong["party_id"], record_id
    )
    await store.record(tx, [step], by=by, now=now)
    made = (await store.life(tx, pack_id))[-1]
    # Of the record, not of the pack: whoever had the pack that day need not see the lessor's own.
    about = {**said, "pack_id": pack_id, "on": today}
    fact = Event("trace_record", made["id"], "trace.record_corrected", about)
    await events.append(tx, [fact], actor=by, now=now)
    return CorrectionView(
        id=made["id"],
        pack_id=pack_id,
        sequence=made["sequence"],
        corrects_id=made["corrects_id"],
        hash=made["hash"],
    )
