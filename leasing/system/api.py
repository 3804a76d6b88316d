"""The system about itself: who is calling, what ran, what time it is."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from litestar import get, post
from litestar.params import JSONBody, QueryParameter
from msgspec import Meta

from leasing.db import clock
from leasing.events import store as events
from leasing.http.edge import EVERYONE, By, Now, Tx
from leasing.http.pages import (
    FIRST,
    Cursor,
    Limit,
    Page,
    after_id,
    decode,
    encode,
    page_by_id,
)
from leasing.http.problems import when_posting, when_reading
from leasing.kit.rows import convert_all
from leasing.runs import store as runs
from schemas.common import PRINTABLE
from schemas.system import (
    CallerView,
    ClockAdvance,
    ClockView,
    EventView,
    JobRunState,
    JobRunView,
)


@get("/me", opt={"access": EVERYONE}, responses=when_reading())
async def whoami(caller: By) -> CallerView:
    """What the API key stands for."""
    return CallerView(
        name=caller.name,
        role=caller.role,
        party_id=caller.party_id,
        expires_at=caller.expires_at,
    )


@get("/job-runs", responses=when_reading())
async def list_job_runs(
    tx: Tx,
    job: Annotated[str | None, QueryParameter(max_length=64, pattern=PRINTABLE)] = None,
    in_state: Annotated[JobRunState | None, QueryParameter(name="state")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[JobRunView]:
    """What jobs were due, and what became of it."""
    rows = await runs.after(tx, after_id(cursor), job, in_state, limit + 1)
    return page_by_id(convert_all(rows, JobRunView), limit)


@get("/clock", responses=when_reading())
async def read_clock(tx: Tx, now: Now) -> ClockView:
    """The time this deployment lives in."""
    return await view(tx, now)


@post("/clock/advance", status_code=202, responses=when_posting())
async def advance_clock(tx: Tx, data: JSONBody[ClockAdvance]) -> ClockView:
    """Move a sandbox clock forward. The worker gets it there, running every job that falls due
    on the way, in order."""
    await clock.ask(tx, data.to_at)
    return await view(tx, await clock.now(tx))


Position = Annotated[str, Meta(pattern=r"^[0-9]{1,19}$(?!\n)")]
"""A transaction's number, as text: it may be larger than what JSON numbers hold everywhere."""


@get("/events", responses=when_reading())
async def list_events(tx: Tx, limit: Limit = 50, cursor: Cursor = None) -> Page[EventView]:
    """Everything that happened, oldest first; nothing is skipped. The last page has a cursor
    too: ask again with it for what is new."""
    after = ("0", FIRST) if cursor is None else decode(cursor, tuple[Position, UUID])
    rows = await events.page(tx, after, limit)
    position = (rows[-1]["xact"], rows[-1]["id"]) if rows else after
    return Page(convert_all(rows, EventView), encode(*position))


async def view(tx: Tx, now: datetime) -> ClockView:
    state = await clock.read(tx)
    return ClockView(sandbox=state.sandbox, now_at=now, target_at=state.target_at)


HANDLERS = [whoami, list_events, list_job_runs, read_clock, advance_clock]
