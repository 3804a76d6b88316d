"""What is to be reported: counted anew, written, sent, answered, and told of when it is late.

Each submission is made in one transaction, handed over, and noted as sent in another: killed in
between it is handed over again, the very same, under the id it had. Each answer is entered in one
transaction and then put away: killed in between it is read again, and changes nothing.
"""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

import structlog

from jobs.runner import Work, exclusive
from leasing.db import clock
from leasing.db.pool import Database, is_lost
from leasing.kit.settings import Settings
from leasing.obligations import forms, service, store
from leasing.obligations.gateway import FileDrop, Gateway, Http, NotSent, Refused
from leasing.obligations.model import AnswerFile
from schemas.obligations import Recipient

log: structlog.stdlib.BoundLogger = structlog.get_logger()

CHUNK = 500
MAX_SUBMISSIONS = 1_000
"""Sent, or asked after, in one go; more wait for the next."""

NOTHING = UUID(int=0)

Done = Callable[[int], None]


def gateways(settings: Settings) -> dict[Recipient, Gateway]:
    """Who is reached how. A recipient that is reached in no way waits."""
    found: dict[Recipient, Gateway] = {}
    if settings.obligations is not None:
        for recipient in Recipient:
            found[recipient] = FileDrop(settings.obligations / recipient)
    if settings.obligations_url is not None:
        url, token = settings.obligations_url, settings.obligations_token
        found[Recipient.PLATFORM] = Http(url, token)
    return found


async def run(work: Work) -> None:
    """Nightly: deadlines of years that were published since, reports, answers, what is overdue."""
    await work.step(await recount(work.db, by=work.by))
    await work.step(await prepare(work.db, by=work.by))
    for recipient, gateway in gateways(work.db.settings).items():
        changed, _ = await read_all(work.db, recipient, gateway, by=work.by)
        sent = await send_all(work.db, recipient, gateway, by=work.by)
        await work.step(changed + sent)
    escalated = CHUNK
    while escalated:
        async with work.db.transaction() as tx:
            now = await clock.now(tx)
            escalated = await service.escalate(tx, work.as_of_date, CHUNK, by=work.by, now=now)
        if escalated:
            await work.step(escalated)


async def recount(db: Database, *, by: str) -> int:
    """Count provisional deadlines anew; returns how many moved, or are final now."""
    moved, after = 0, NOTHING
    while True:
        async with db.transaction() as tx:
            now = await clock.now(tx)
            some, position = await service.recount(tx, after, CHUNK, by=by, now=now)
        moved += some
        if position is None:
            return moved
        after = position


async def prepare(db: Database, *, by: str) -> int:
    """Write every report of the lessor's own that is not written yet; returns how many."""
    prepared, some = 0, CHUNK
    while some == CHUNK:
        async with db.transaction() as tx:
            some = await service.prepare(tx, CHUNK, by=by, now=await clock.now(tx))
        prepared += some
    return prepared


async def open_missing(
    db: Database, from_at: datetime, to_at: datetime, *, by: str, done: Done
) -> None:
    """Open what follows from records of a time and was not opened when they were written."""
    after: tuple[datetime, UUID] | None = (from_at, NOTHING)
    while after is not None:
        async with db.transaction() as tx:
            after = await service.open_missing(tx, from_at, to_at, after, CHUNK, by=by)
        done(CHUNK)


async def send_all(db: Database, recipient: Recipient, gateway: Gateway, *, by: str) -> int:
    """Send everything that waits for a recipient; returns how many reports arrived. One process
    does so at a time. When the other side does not answer, the rest waits for the next time."""
    arrived = 0
    async with exclusive(db, f"submissions to {recipient}") as mine:
        if not mine:
            return 0
        after = NOTHING
        for _ in range(MAX_SUBMISSIONS):
            async with db.transaction() as tx:
                submission_id = await store.unsent(tx, recipient, after)
                if submission_id is None:
                    now = await clock.now(tx)
                    submission_id = await service.next_submission(tx, recipient, now)
            if submission_id is None:
                break
            try:
                arrived += await send(db, gateway, submission_id, by=by)
            except NotSent as error:
                await failed(db, submission_id, str(error), for_good=False, by=by)
                break
            except Refused as error:
                await failed(db, submission_id, str(error), for_good=True, by=by)
            after = submission_id
    return arrived


async def send(db: Database, gateway: Gateway, submission_id: UUID, *, by: str) -> int:
    async with db.transaction(read_only=True) as tx:
        dispatch = await service.dispatch(tx, submission_id)
    answer = await gateway.send(dispatch)
    async with db.transaction() as tx:
        arrived = await service.note_sent(tx, submission_id, by=by, now=await clock.now(tx))
    if answer is not None:
        await enter(db, gateway, answer, by=by)
    return arrived


async def failed(
    db: Database, submission_id: UUID, reason: str, *, for_good: bool, by: str
) -> None:
    log.warning("submission.failed", id=str(submission_id), reason=reason, for_good=for_good)
    async with db.transaction() as tx:
        now = await clock.now(tx)
        await service.note_failed(tx, submission_id, reason, for_good=for_good, by=by, now=now)


async def read_all(
    db: Database, recipient: Recipient, gateway: Gateway, *, by: str
) -> tuple[int, int]:
    """Read every answer; returns how many reports changed, and how many answers could not be read.
    Such an answer is put aside, with the reason in the log, and nothing of it is entered."""
    async with db.transaction(read_only=True) as tx:
        waiting = await store.waiting(tx, recipient, MAX_SUBMISSIONS)
    try:
        answers = await gateway.answers(waiting)
    except NotSent as error:
        log.warning("submission.not_answered", recipient=recipient, reason=str(error))
        return 0, 0
    changed = unreadable = 0
    for answer in answers:
        entered = await enter(db, gateway, answer, by=by)
        changed += entered or 0
        unreadable += entered is None
    return changed, unreadable


async def enter(db: Database, gateway: Gateway, answer: AnswerFile, *, by: str) -> int | None:
    """Enter one answer; None when it cannot be read."""
    entered: int | None = None
    try:
        async with db.transaction() as tx:
            now = await clock.now(tx)
            entered = await service.take_answer(tx, forms.read_answer(answer), by=by, now=now)
    except Exception as error:
        if is_lost(error):
            raise
        log.warning("submission.answer_unreadable", name=answer.name, reason=repr(error))
    await gateway.put_away(answer.name, readable=entered is not None)
    return entered
