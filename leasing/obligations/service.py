"""Obligations opened, counted, escalated, reported and put right. Sending can be killed between any
two steps: a submission is made, then sent, then noted as sent, and goes out again as it was."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from uuid import UUID

import msgspec
from asyncpg import Record

from leasing.db.pool import Connection
from leasing.events import store as events
from leasing.events.store import Event
from leasing.kit.errors import FieldError, Invalid
from leasing.kit.rows import convert, convert_all, given
from leasing.kit.time import civil_date
from leasing.kit.versions import refuse_unless_current
from leasing.obligations import calendar_store, rules, store
from leasing.obligations.calendars import Year
from leasing.obligations.forms import UnreadableAnswer
from leasing.obligations.model import (
    LEVELS,
    MAX_ATTEMPTS,
    MAX_BATCH,
    Answer,
    Dispatch,
    FaultsRemain,
    NoSuchObligation,
    NoSuchRule,
    NoSuchSubmission,
    NotParked,
    ObligationStands,
    Report,
    Result,
    RuleIsConfirmed,
)
from schemas.obligations import (
    Basis,
    CorrectionCreate,
    DueChange,
    FaultView,
    ObligationDetail,
    ObligationState,
    ObligationView,
    PartyCounts,
    Recipient,
    ReportedCreate,
    RuleCreate,
    RulePatch,
    RuleView,
    SubmissionView,
)


async def note(
    tx: Connection,
    kind: str,
    ids: Sequence[UUID],
    facts: Mapping[str, object],
    *,
    by: str,
    now: datetime,
    aggregate: str = "obligation",
) -> None:
    told = [Event(aggregate, one, kind, dict(facts)) for one in ids]
    await events.append(tx, told, actor=by, now=now)


# --- Opening ------------------------------------------------------------------------------------


async def open_for(tx: Connection, pack_ids: Sequence[UUID], *, by: str, now: datetime) -> None:
    """Open the obligations that follow from what was recorded about packs at `now`, in the
    transaction that recorded it. Twice is once. An obligation is derived from its record and its
    rule, so opening one is no event of its own; that a correction made one void is."""
    voided = await store.open_for(tx, pack_ids, now)
    for row in voided:
        await note(
            tx, "obligation.void", [row["id"]], {"reason": row["void_reason"]}, by=by, now=now
        )


async def open_missing(
    tx: Connection,
    from_at: datetime,
    to_at: datetime,
    after: tuple[datetime, UUID],
    limit: int,
    *,
    by: str,
) -> tuple[datetime, UUID] | None:
    """Open what follows from records of a time by the rules of today, some packs at a time; returns
    where to go on, or None. For records written before there were obligations, and for a rule that
    was switched on late."""
    found = await store.recorded(tx, from_at, to_at, after, limit)
    by_instant: dict[datetime, list[UUID]] = {}
    for row in found:
        by_instant.setdefault(row["recorded_at"], []).append(row["pack_id"])
    for at, pack_ids in by_instant.items():
        await open_for(tx, pack_ids, by=by, now=at)
    return (found[-1]["recorded_at"], found[-1]["pack_id"]) if len(found) == limit else None


# --- Reading ------------------------------------------------------------------------------------


async def get(tx: Connection, obligation_id: UUID) -> ObligationDetail:
    row = await store.get(tx, obligation_id)
    if row is None:
        raise NoSuchObligation
    return ObligationDetail(
        obligation=convert(row, ObligationView),
        report=await store.payload(tx, obligation_id),
        faults=convert_all(await store.faults(tx, obligation_id), FaultView),
        due_changes=convert_all(await store.due_changes(tx, obligation_id), DueChange),
    )


def counts(row: Record) -> PartyCounts:
    percent = rules.on_time_percent(row["on_time"], row["judged"])
    return convert({**row, "on_time_percent": percent}, PartyCounts)


# --- One obligation -----------------------------------------------------------------------------


async def lock(tx: Connection, obligation_id: UUID) -> tuple[Record, ObligationState]:
    row = await store.lock(tx, obligation_id)
    if row is None:
        raise NoSuchObligation
    return row, ObligationState(row["state"])


async def correct(
    tx: Connection, obligation_id: UUID, data: CorrectionCreate, *, by: str, now: datetime
) -> ObligationDetail:
    """Put right what was rejected; it goes out with the next submission."""
    row, state = await lock(tx, obligation_id)
    rules.next_state(state, ObligationState.CORRECTED)
    faults = [fault["field"] for fault in await store.open_faults(tx, obligation_id)]
    remaining = rules.remaining(faults, data.values)
    if remaining:
        raise FaultsRemain(f"not put right: {', '.join(remaining)}", remaining=remaining)
    payload, was = rules.put_right(row["payload"], data.values)
    await store.correct(tx, obligation_id, payload, was, data.values, by=by, now=now)
    told = {"fields": sorted(data.values)}
    await note(tx, "obligation.corrected", [obligation_id], told, by=by, now=now)
    return await get(tx, obligation_id)


async def reported(
    tx: Connection, obligation_id: UUID, data: ReportedCreate, *, by: str, now: datetime
) -> ObligationDetail:
    """Note that it was reported and taken elsewhere, by its party or through a carmaker."""
    row, state = await lock(tx, obligation_id)
    in_flight = row["submission_id"] is not None
    if in_flight or state not in (ObligationState.DUE, ObligationState.PREPARED):
        raise ObligationStands(f"an obligation that is {state} goes its way through submissions")
    if data.reported_on > civil_date(now):
        fault = FieldError("/reported_on", "to_come", f"{data.reported_on} is yet to come")
        raise Invalid(fault.message, fields=[fault])
    await store.reported(tx, obligation_id, data.reported_on, data.receipt, now)
    told = {"on": data.reported_on, "receipt": data.receipt}
    await note(tx, "obligation.accepted", [obligation_id], told, by=by, now=now)
    return await get(tx, obligation_id)


async def void(
    tx: Connection, obligation_id: UUID, reason: str, *, by: str, now: datetime
) -> ObligationDetail:
    """Close an obligation that rests on something that did not happen."""
    row, state = await lock(tx, obligation_id)
    rules.next_state(state, ObligationState.VOID)
    if row["submission_id"] is not None:
        raise ObligationStands("its report is on the way")
    await store.void(tx, obligation_id, reason, now)
    await note(tx, "obligation.void", [obligation_id], {"reason": reason}, by=by, now=now)
    return await get(tx, obligation_id)


# --- The nightly job ----------------------------------------------------------------------------


async def recount(
    tx: Connection, after: UUID, limit: int, *, by: str, now: datetime
) -> tuple[int, UUID | None]:
    """Count some provisional deadlines anew; returns how many moved or became final, and after
    which one to go on."""
    row = await store.recount(tx, after, limit, by, now)
    for one in row["moved"]:
        told = {"was": one["was"], "due_on": one["due"], "provisional": one["provisional"]}
        await note(tx, "obligation.due_changed", [UUID(one["id"])], told, by=by, now=now)
    return len(row["moved"]), row["last_id"] if row["looked_at"] == limit else None


async def escalate(tx: Connection, on: date, limit: int, *, by: str, now: datetime) -> int:
    """Tell of some open obligations that are over on a day, once at each level; the worst first.
    Returns how many."""
    for level, days in sorted(LEVELS.items(), reverse=True):
        rows = await store.escalate(tx, level, on - timedelta(days=days), limit, now)
        told = [
            Event(
                "obligation",
                row["id"],
                "obligation.overdue",
                {"level": level, "due_on": row["due_on"], "days_over": (on - row["due_on"]).days},
            )
            for row in rows
        ]
        await events.append(tx, told, actor=by, now=now)
        if rows:
            return len(rows)
    return 0


async def prepare(tx: Connection, limit: int, *, by: str, now: datetime) -> int:
    """Write the reports of some of the lessor's own obligations; returns how many."""
    prepared = await store.prepare(tx, limit, now)
    await note(tx, "obligation.prepared", prepared, {}, by=by, now=now)
    return len(prepared)


# --- Sending ------------------------------------------------------------------------------------


async def next_submission(tx: Connection, recipient: Recipient, now: datetime) -> UUID | None:
    """A new submission of what waits; None when nothing does."""
    return await store.make_submission(tx, recipient, MAX_BATCH, now)


async def dispatch(tx: Connection, submission_id: UUID) -> Dispatch:
    """What a submission consists of: the same each time."""
    row = await store.get_submission(tx, submission_id)
    if row is None:
        raise NoSuchSubmission
    items = await store.items(tx, submission_id)
    return Dispatch(
        id=submission_id,
        recipient=row["recipient"],
        made_at=row["made_at"].isoformat(),
        reports=[msgspec.convert(item["payload"], Report) for item in items],
    )


async def note_sent(tx: Connection, submission_id: UUID, *, by: str, now: datetime) -> int:
    """Note that a submission arrived; returns how many reports were in it."""
    sent = await store.note_sent(tx, submission_id, now, civil_date(now))
    await note(tx, "obligation.submitted", sent, {"submission_id": submission_id}, by=by, now=now)
    return len(sent)


async def note_failed(
    tx: Connection, submission_id: UUID, reason: str, *, for_good: bool, by: str, now: datetime
) -> None:
    state = await store.note_failed(tx, submission_id, reason, for_good=for_good, most=MAX_ATTEMPTS)
    if state == "parked":
        told = {"reason": reason}
        await note(
            tx,
            "submission.parked",
            [submission_id],
            told,
            by=by,
            now=now,
            aggregate="submission",
        )


async def retry(tx: Connection, submission_id: UUID, *, by: str, now: datetime) -> SubmissionView:
    """Have a parked submission sent again, under its own id."""
    row = await store.lock_submission(tx, submission_id)
    if row is None:
        raise NoSuchSubmission
    if not await store.unpark(tx, submission_id):
        raise NotParked
    await note(
        tx, "submission.retried", [submission_id], {}, by=by, now=now, aggregate="submission"
    )
    return await get_submission(tx, submission_id)


async def get_submission(tx: Connection, submission_id: UUID) -> SubmissionView:
    row = await store.get_submission(tx, submission_id)
    if row is None:
        raise NoSuchSubmission
    return convert(row, SubmissionView)


# --- Answers ------------------------------------------------------------------------------------


async def take_answer(tx: Connection, answer: Answer, *, by: str, now: datetime) -> int:
    """Enter what was answered to a submission, all or none; returns how many reports it changed.
    One that comes again changes nothing. One that comes before we noted that the submission was
    sent says that it was. Raises `UnreadableAnswer`."""
    row = await store.lock_submission(tx, answer.submission)
    if row is None:
        raise UnreadableAnswer(f"nothing was sent under the id {answer.submission}")
    sent = {item["obligation_id"]: item for item in await store.items(tx, answer.submission)}
    for result in answer.results:
        refuse_unreadable(result, sent)
    if row["state"] in ("made", "parked"):
        await note_sent(tx, answer.submission, by=by, now=now)
    receipts = {one.obligation: one.receipt for one in answer.results if one.result == "accepted"}
    rejected = [one.obligation for one in answer.results if one.result == "rejected"]
    accepted = await store.accept(tx, answer.submission, receipts, now)
    refused = await store.reject(tx, answer.submission, rejected, now)
    faults = [
        (one.obligation, fault.field, fault.code, fault.message)
        for one in answer.results
        if one.obligation in refused
        for fault in one.faults
    ]
    await store.add_faults(tx, answer.submission, faults, now)
    await store.close_answered(tx, answer.submission, now)
    told = {"submission_id": answer.submission}
    await note(tx, "obligation.accepted", accepted, told, by=by, now=now)
    await note(tx, "obligation.rejected", refused, told, by=by, now=now)
    return len(accepted) + len(refused)


def refuse_unreadable(result: Result, sent: Mapping[UUID, Record]) -> None:
    item = sent.get(result.obligation)
    if item is None:
        raise UnreadableAnswer(f"{result.obligation} was not in the submission")
    if result.result not in ("accepted", "rejected"):
        raise UnreadableAnswer(f"'{result.result}' is no result")
    if item["result"] not in (None, result.result):
        raise UnreadableAnswer(
            f"{result.obligation} was {item['result']} before, and is said to be {result.result}"
        )
    if result.result == "rejected" and not result.faults:
        raise UnreadableAnswer(f"{result.obligation} was rejected without a reason")


# --- Rules --------------------------------------------------------------------------------------


async def get_rule(tx: Connection, rule_id: UUID) -> RuleView:
    row = await store.rule(tx, rule_id)
    if row is None:
        raise NoSuchRule
    return convert(row, RuleView)


async def add_rule(tx: Connection, data: RuleCreate, *, by: str, now: datetime) -> RuleView:
    """Enter a rule. It opens obligations of what is recorded from now on."""
    refuse_empty(data.valid_from, data.valid_to)
    values = (
        data.code,
        data.regime,
        data.event_kind,
        data.reporter,
        data.role,
        data.reports,
        data.recipient,
        data.deadline_number,
        data.deadline_unit,
        data.valid_from,
        data.valid_to,
        data.article,
        data.source,
        data.basis,
        data.is_enabled,
    )
    rule_id = await store.add_rule(tx, values, by, now)
    told = {"code": data.code, "from": data.valid_from}
    await note(
        tx, "obligation_rule.added", [rule_id], told, by=by, now=now, aggregate="obligation_rule"
    )
    return await get_rule(tx, rule_id)


async def change_rule(
    tx: Connection, rule_id: UUID, patch: RulePatch, expected: int, *, by: str, now: datetime
) -> RuleView:
    """Change an assumed rule, or end a rule. What was opened by it stays. Raises `VersionChanged`
    when another editor was first."""
    row, changes = await store.lock_rule(tx, rule_id), given(patch)
    if row is None:
        raise NoSuchRule
    rule = convert(row, RuleView)
    refuse_unless_current(rule.version, expected, row, changes)
    if rule.basis is Basis.CONFIRMED and changes.keys() - {"valid_to"}:
        raise RuleIsConfirmed
    values = {name: changes.get(name, getattr(rule, name)) for name in CHANGEABLE}
    refuse_empty(rule.valid_from, values["valid_to"])
    await store.change_rule(tx, rule.id, list(values.values()))
    await note(
        tx, "obligation_rule.changed", [rule.id], changes, by=by, now=now,
        aggregate="obligation_rule",
    )  # fmt: skip
    return await get_rule(tx, rule.id)


CHANGEABLE = ("deadline_number", "deadline_unit", "is_enabled", "basis", "source", "valid_to")


def refuse_empty(from_on: date, to_on: date | None) -> None:
    if to_on is not None and to_on <= from_on:
        fault = FieldError("/valid_to", "not_after_start", "a rule ends after it begins")
        raise Invalid(fault.message, fields=[fault])


# --- Calendar -----------------------------------------------------------------------------------


async def enter_years(tx: Connection, years: Sequence[Year], *, by: str, now: datetime) -> None:
    """Enter what sources say of years. Deadlines that were provisional are counted anew by
    `recount`."""
    for row in await calendar_store.put(tx, years, by=by, now=now):
        told = {"calendar": row["calendar"], "year": row["year"], "published": row["is_published"]}
        await note(
            tx, "working_calendar.entered", [row["id"]], told, by=by, now=now,
            aggregate="working_calendar",
        )  # fmt: skip
