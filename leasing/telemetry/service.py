"""Taking readings in: nothing acknowledged is lost, nothing repeated counts twice."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from leasing.db.pool import Connection
from leasing.kit.errors import FieldError, Invalid
from leasing.kit.time import month_of
from leasing.telemetry import store
from schemas.telemetry import Reading, ReadingReceipt

MAX_AHEAD = timedelta(days=1)
"""A clock in the field may be wrong by this much; what is dated later is refused."""
MAX_AGE = timedelta(days=3660)


class ReadingsRefused(Invalid):
    code = "readings_refused"
    title = "The batch was refused; nothing of it was stored"


async def ingest(tx: Connection, readings: Sequence[Reading], *, now: datetime) -> ReadingReceipt:
    """Store a batch, whole or not at all.

    Raises `ReadingsRefused` naming every reading of an unknown pack or an impossible time.
    """
    await refuse_impossible(tx, readings, now)
    rows = {(reading.pack_id, reading.at): store.as_row(reading) for reading in readings}
    days = {at.astimezone(UTC).date() for _, at in rows}
    await store.ensure_partitions(tx, {month_of(day)[0] for day in days})
    stored = await store.insert(tx, list(rows.values()))
    newest: dict[object, store.Row] = {}
    earliest: dict[object, datetime] = {}
    for (pack_id, at), row in rows.items():
        if pack_id not in newest or at > newest[pack_id][1]:
            newest[pack_id] = row
        if pack_id not in earliest or at < earliest[pack_id]:
            earliest[pack_id] = at
    await store.note_latest(tx, list(newest.values()), [earliest[pack_id] for pack_id in newest])
    return ReadingReceipt(stored=stored, repeated=len(readings) - stored)


async def refuse_impossible(tx: Connection, readings: Sequence[Reading], now: datetime) -> None:
    unknown = await store.unknown_packs(tx, {reading.pack_id for reading in readings})
    latest, oldest = now + MAX_AHEAD, now - MAX_AGE
    faults = []
    for i, reading in enumerate(readings):
        if reading.pack_id in unknown:
            faults.append(
                FieldError(f"/readings/{i}/pack_id", "pack_not_found", "there is no such pack")
            )
        if not oldest < reading.at < latest:
            faults.append(
                FieldError(
                    f"/readings/{i}/at",
                    "impossible_time",
                    f"{reading.at} is not between {oldest:%Y-%m-%d} and {latest:%Y-%m-%d %H:%MZ}",
                )
            )
    if faults:
        raise ReadingsRefused(f"{len(faults)} faults in {len(readings)} readings", fields=faults)
