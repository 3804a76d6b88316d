"""Taking readings in: nothing acknowledged is lost, nothing repeated counts twice."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from leasing.alarms import service as alarms
from leasing.db.pool import Connection
from leasing.kit.errors import FieldError, Invalid
from leasing.kit.time import month_of
from leasing.telemetry import store, watching
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
    # A UUID is hashed and compared in Python, its number in C.
    by_key = {(reading.pack_id.int, reading.at): reading for reading in readings}
    days = {at.astimezone(UTC).date() for _, at in by_key}
    await store.ensure_partitions(tx, {month_of(day)[0] for day in days})
    # In one order, so that two batches with the same readings queue up and do not lock each other
    # out; and a pack's readings from the earliest to the newest.
    rows = [store.as_row(by_key[key]) for key in sorted(by_key)]
    stored = await store.insert(tx, rows)
    newest = {row[0].int: row for row in rows}
    earliest = {row[0].int: row[1] for row in reversed(rows)}
    await store.note_latest(tx, list(newest.values()), [earliest[pack] for pack in newest])
    await alarms.watch(tx, watching.by_pack(by_key[key] for key in sorted(by_key)), now=now)
    return ReadingReceipt(stored=stored, repeated=len(readings) - stored)


async def refuse_impossible(tx: Connection, readings: Sequence[Reading], now: datetime) -> None:
    pack_ids = {reading.pack_id.int: reading.pack_id for reading in readings}
    unknown = await store.unknown_packs(tx, pack_ids.values())
    latest, oldest = now + MAX_AHEAD, now - MAX_AGE
    faults = []
    for i, reading in enumerate(readings):
        if unknown and reading.pack_id in unknown:
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
