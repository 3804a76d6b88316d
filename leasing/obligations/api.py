"""Obligations to report, their rules, and submissions over HTTP."""

from datetime import date
from typing import Annotated
from uuid import UUID

from litestar import MediaType, Response, get, patch, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from leasing.access.model import Role
from leasing.db.pool import Connection, as_lessor
from leasing.http.edge import RECYCLERS, By, Now, Tx
from leasing.http.etag import IfMatch, etag, expected_version
from leasing.http.pages import (
    FIRST,
    Cursor,
    Limit,
    Page,
    after_id,
    decode,
    encode,
    page_by,
    page_by_id,
)
from leasing.http.problems import when_editing, when_posting, when_reading
from leasing.kit.errors import FieldError, Invalid
from leasing.kit.rows import convert_all
from leasing.kit.time import civil_date, month_of
from leasing.obligations import calendar_store, page, service, store
from leasing.obligations.model import NoSuchObligation
from schemas.obligations import (
    CalendarDay,
    CalendarView,
    CorrectionCreate,
    ObligationDetail,
    ObligationRole,
    ObligationView,
    PartyCounts,
    ReportedCreate,
    RuleCreate,
    RulePatch,
    RuleView,
    Standing,
    SubmissionState,
    SubmissionView,
    VoidCreate,
    YearView,
)

MonthParameter = Annotated[
    str | None,
    QueryParameter(name="month", pattern=r"^20[0-9]{2}-(0[1-9]|1[0-2])$(?!\n)"),
]
Own = Annotated[bool, QueryParameter(name="own", description="The lessor's own alone.")]

EVER = (date(2000, 1, 1), date(2200, 1, 1))
BY_ITSELF = RECYCLERS - {Role.AUDITOR}
"""Who may say what was reported elsewhere."""


def days_of(month: str | None) -> tuple[date, date]:
    return EVER if month is None else month_of(date.fromisoformat(f"{month}-01"))


@get("/obligations", opt={"access": RECYCLERS}, responses=when_reading())
async def list_obligations(
    tx: Tx,
    now: Now,
    standing: FromQuery[Standing] = Standing.OPEN,
    party_id: FromQuery[UUID | None] = None,
    own: Own = False,
    role: FromQuery[ObligationRole | None] = None,
    month: MonthParameter = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[ObligationView]:
    """What is still to be reported, the most urgent first: of all, of a party, or the lessor's own;
    in a role; due in a month; or overdue. A recycler finds its own."""
    from_on, to_on = days_of(month)
    if standing is Standing.OVERDUE:
        to_on = min(to_on, civil_date(now))
    after = (date.min, FIRST) if cursor is None else decode(cursor, tuple[date, UUID])
    rows = await store.open_after(
        tx, (from_on, to_on), after, limit + 1, party_id=party_id, own=own, role=role
    )
    shown = convert_all(rows[:limit], ObligationView)
    more = encode(shown[-1].due_on, shown[-1].id) if len(rows) > limit else None
    return Page(shown, more)


@get("/packs/{pack_id:uuid}/obligations", opt={"access": RECYCLERS}, responses=when_reading(404))
async def list_obligations_of_a_pack(
    tx: Tx, pack_id: FromPath[UUID], limit: Limit = 50, cursor: Cursor = None
) -> Page[ObligationView]:
    """Every obligation that a pack's life brought about, whatever became of it."""
    rows = await store.of_pack(tx, pack_id, after_id(cursor), limit + 1)
    return page_by_id(convert_all(rows, ObligationView), limit)


@get("/obligations/{obligation_id:uuid}", opt={"access": RECYCLERS}, responses=when_reading(404))
async def get_obligation(tx: Tx, obligation_id: FromPath[UUID]) -> ObligationDetail:
    """One obligation: its report, why it was rejected and what was put right, and how its deadline
    moved."""
    return await service.get(tx, obligation_id)


@post("/obligations/{obligation_id:uuid}/correction", status_code=200, responses=when_posting(404))
async def correct_obligation(
    tx: Tx, caller: By, now: Now, obligation_id: FromPath[UUID], data: JSONBody[CorrectionCreate]
) -> ObligationDetail:
    """Put the fields right that were rejected. The report goes out with the next submission."""
    return await service.correct(tx, obligation_id, data, by=str(caller), now=now)


@post(
    "/obligations/{obligation_id:uuid}/report",
    status_code=200,
    opt={"access": BY_ITSELF},
    responses=when_posting(404),
)
async def report_obligation(
    tx: Tx, caller: By, now: Now, obligation_id: FromPath[UUID], data: JSONBody[ReportedCreate]
) -> ObligationDetail:
    """Note that it was reported elsewhere, with the receipt. A recycler does so for its own."""
    await refuse_unseen(tx, obligation_id)
    async with as_lessor(tx):
        return await service.reported(tx, obligation_id, data, by=str(caller), now=now)


async def refuse_unseen(tx: Connection, obligation_id: UUID) -> None:
    if await store.get(tx, obligation_id) is None:
        raise NoSuchObligation


@post("/obligations/{obligation_id:uuid}/void", status_code=200, responses=when_posting(404))
async def void_obligation(
    tx: Tx, caller: By, now: Now, obligation_id: FromPath[UUID], data: JSONBody[VoidCreate]
) -> ObligationDetail:
    """Close an obligation that rests on something that did not happen."""
    return await service.void(tx, obligation_id, data.reason, by=str(caller), now=now)


# --- Overviews ----------------------------------------------------------------------------------


async def month_view(
    tx: Connection, today: date, month: str | None, party_id: UUID | None, own: bool
) -> CalendarView:
    shown = month or f"{today:%Y-%m}"
    rows = await store.by_day(tx, days_of(shown), today, party_id, own)
    return CalendarView(month=shown, today=today, days=convert_all(rows, CalendarDay))


@get("/obligations/calendar", opt={"access": RECYCLERS}, responses=when_reading())
async def obligations_calendar(
    tx: Tx,
    now: Now,
    month: MonthParameter = None,
    party_id: FromQuery[UUID | None] = None,
    own: Own = False,
) -> CalendarView:
    """How many obligations end on each day of a month, this one unless another is named."""
    return await month_view(tx, civil_date(now), month, party_id, own)


@get(
    "/obligations/calendar/{day:str}/page",
    opt={"access": RECYCLERS},
    media_type=MediaType.HTML,
    responses=when_reading(404),
)
async def obligations_calendar_page(
    tx: Tx,
    now: Now,
    day: FromPath[date],
    party_id: FromQuery[UUID | None] = None,
    own: Own = False,
) -> Response[str]:
    """The month of a day as a sheet for people."""
    view = await month_view(tx, civil_date(now), f"{day:%Y-%m}", party_id, own)
    whose = "the lessor" if own else "one party" if party_id else "all that may be seen"
    html = page.render(view, whose, await calendar_store.horizon(tx))
    return Response(html, media_type=MediaType.HTML, headers=page.HEADERS)


@get("/obligations/counts", opt={"access": RECYCLERS}, responses=when_reading())
async def obligations_counts(
    tx: Tx,
    now: Now,
    from_on: FromQuery[date | None] = None,
    to_on: FromQuery[date | None] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[PartyCounts]:
    """Of each party: what ended in `[from_on, to_on)`, this year unless days are named, what became
    of it, and how much was sent by its last day, in percent of what was sent or is over."""
    today = civil_date(now)
    from_on = from_on or today.replace(month=1, day=1)
    to_on = to_on or from_on.replace(year=from_on.year + 1, month=1, day=1)
    if to_on <= from_on:
        fault = FieldError("?to_on", "not_after_start", "the days end after they begin")
        raise Invalid(fault.message, fields=[fault])
    # The lessor comes first, as the id of zeros.
    after = None if cursor is None else decode(cursor, tuple[UUID])[0]
    rows = await store.by_party(tx, (from_on, to_on), today, after, limit + 1)
    found = [service.counts(row) for row in rows]
    return page_by(found, limit, lambda one: one.party_id or FIRST)


# --- Rules --------------------------------------------------------------------------------------


@get("/obligation-rules", opt={"access": RECYCLERS}, responses=when_reading())
async def list_rules(
    tx: Tx,
    as_of: FromQuery[date | None] = None,
    role: FromQuery[ObligationRole | None] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[RuleView]:
    """What has to be reported by whom, to whom and by when; of a day, or ever."""
    rows = await store.rules_after(tx, after_id(cursor), as_of, role, limit + 1)
    return page_by_id(convert_all(rows, RuleView), limit)


@post("/obligation-rules", responses=when_posting())
async def add_rule(tx: Tx, caller: By, now: Now, data: JSONBody[RuleCreate]) -> RuleView:
    """Enter a rule: one that became known, or one of the lessor's own."""
    return await service.add_rule(tx, data, by=str(caller), now=now)


@get("/obligation-rules/{rule_id:uuid}", opt={"access": RECYCLERS}, responses=when_reading(404))
async def get_rule(tx: Tx, rule_id: FromPath[UUID]) -> Response[RuleView]:
    """One rule."""
    rule = await service.get_rule(tx, rule_id)
    return Response(rule, headers={"etag": etag(rule.version)})


@patch("/obligation-rules/{rule_id:uuid}", responses=when_editing(404, 409))
async def change_rule(
    tx: Tx,
    caller: By,
    now: Now,
    rule_id: FromPath[UUID],
    data: JSONBody[RulePatch],
    if_match: IfMatch = None,
) -> Response[RuleView]:
    """Change a rule whose text is not known, switch it on or off, or end a rule. What was opened by
    it stays as it is."""
    expected = expected_version(if_match)
    rule = await service.change_rule(tx, rule_id, data, expected, by=str(caller), now=now)
    return Response(rule, headers={"etag": etag(rule.version)})


# --- Submissions, calendar ------------------------------------------------------------------------


@get("/submissions", responses=when_reading())
async def list_submissions(
    tx: Tx,
    standing: Annotated[SubmissionState | None, QueryParameter(name="state")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[SubmissionView]:
    """Reports that were sent together, in the order they were made; what failed says why."""
    rows = await store.submissions_after(tx, after_id(cursor), standing, limit + 1)
    return page_by_id(convert_all(rows, SubmissionView), limit)


@post("/submissions/{submission_id:uuid}/retry", status_code=200, responses=when_posting(404))
async def retry_submission(
    tx: Tx, caller: By, now: Now, submission_id: FromPath[UUID]
) -> SubmissionView:
    """Have a submission that was parked sent again by the next job, under its own id."""
    return await service.retry(tx, submission_id, by=str(caller), now=now)


@get("/working-years", responses=when_reading())
async def list_working_years(tx: Tx) -> list[YearView]:
    """By which calendar the working days of each year are counted, and whether it is published."""
    return convert_all(await calendar_store.years(tx), YearView)


HANDLERS = [
    list_obligations,
    list_obligations_of_a_pack,
    get_obligation,
    correct_obligation,
    report_obligation,
    void_obligation,
    obligations_calendar,
    obligations_calendar_page,
    obligations_counts,
    list_rules,
    add_rule,
    get_rule,
    change_rule,
    list_submissions,
    retry_submission,
    list_working_years,
]
