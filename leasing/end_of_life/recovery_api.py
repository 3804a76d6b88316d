"""Batches at recyclers, their certificates, and the floors of recovery over HTTP."""

from datetime import date
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import get, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from leasing.end_of_life import floors, recovery, recovery_store
from leasing.http.edge import RECYCLERS, WITH_RECYCLERS, By, Now, Tx
from leasing.http.pages import Cursor, Limit, Page, after_id, encode
from leasing.http.problems import when_posting, when_reading
from leasing.kit.time import civil_date
from schemas.recovery import (
    BatchState,
    FloorView,
    RecoveryBatchCreate,
    RecoveryBatchView,
    RecoveryCertificateCreate,
)


class RecoveryFloors(msgspec.Struct, frozen=True):
    on: date
    floors: list[FloorView]


@get("/recovery-floors", opt={"access": RECYCLERS}, responses=when_reading())
async def list_floors(now: Now, on: FromQuery[date | None] = None) -> RecoveryFloors:
    """The least that is to be recovered on a day, by regime, with sources."""
    day = on or civil_date(now)
    return RecoveryFloors(day, floors.floors_on(day))


@post("/recovery-batches", opt={"access": WITH_RECYCLERS}, responses=when_posting(404))
async def receive_batch(
    tx: Tx, caller: By, now: Now, data: JSONBody[RecoveryBatchCreate]
) -> RecoveryBatchView:
    """Packs are taken into treatment together: all of a consignment, or those of some routings. A
    recycler does so with packs that were handed over to it."""
    return await recovery.receive(tx, data, owner=caller.party_id, by=str(caller), now=now)


@post(
    "/recovery-batches/{batch_id:uuid}/certificate",
    opt={"access": WITH_RECYCLERS},
    responses=when_posting(404),
)
async def certify_batch(
    tx: Tx,
    caller: By,
    now: Now,
    batch_id: FromPath[UUID],
    data: JSONBody[RecoveryCertificateCreate],
) -> RecoveryBatchView:
    """What was recovered from a batch, metal by metal. Less than the floors of the day is taken
    down and marked."""
    owner = caller.party_id
    return await recovery.certify(tx, batch_id, data, owner=owner, by=str(caller), now=now)


@get("/recovery-batches", opt={"access": RECYCLERS}, responses=when_reading())
async def list_batches(
    tx: Tx,
    recycler_id: FromQuery[UUID | None] = None,
    consignment_id: FromQuery[UUID | None] = None,
    in_state: Annotated[BatchState | None, QueryParameter(name="state")] = None,
    below_floor: FromQuery[bool | None] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[RecoveryBatchView]:
    """Batches with what was recovered from them; those below a floor of China, or not below. A
    recycler sees its own."""
    rows = await recovery_store.batches_after(
        tx, after_id(cursor), recycler_id, consignment_id, in_state, below_floor, limit + 1
    )
    shown = await recovery.views(tx, rows[:limit])
    return Page(shown, encode(shown[-1].id) if len(rows) > limit else None)


@get("/recovery-batches/{batch_id:uuid}", opt={"access": RECYCLERS}, responses=when_reading(404))
async def get_batch(tx: Tx, batch_id: FromPath[UUID]) -> RecoveryBatchView:
    """One batch, with each floor of its day and what was reported against it."""
    return await recovery.get(tx, batch_id)


HANDLERS = [list_floors, receive_batch, certify_batch, list_batches, get_batch]
