"""E-invoices drafted, sent and answered. Sending and reading can be killed between any two steps:
a batch is made, then sent, then noted as sent; a file of answers is read, then put away."""

import hashlib
import re
from collections.abc import Sequence
from datetime import date, datetime
from enum import StrEnum
from typing import TypeVar
from uuid import UUID

import msgspec
from asyncpg import Record

from leasing.db.pool import Connection
from leasing.documents import sheets
from leasing.documents import store as documents
from leasing.documents.service import archived
from leasing.einvoices import rules, store
from leasing.einvoices.model import (
    CONSTRAINTS,
    MAX_BATCH,
    NEXT_RED_STATES,
    Answer,
    AnswerFile,
    CannotBecome,
    Dispatch,
    NoQuota,
    NoSuchEInvoice,
    NoSuchRedLetter,
    NotForRedLetter,
    QuotaExceeded,
)
from leasing.events import store as events
from leasing.events.store import Event
from leasing.http.batches import each
from leasing.kit.errors import DomainError, Invalid
from leasing.kit.rows import convert
from leasing.kit.time import civil_date, midnight, month_of
from schemas.billing import Component
from schemas.documents import DocumentLanguage
from schemas.einvoices import (
    EInvoiceCreate,
    EInvoiceKind,
    EInvoiceState,
    EInvoiceView,
    ItemPut,
    QuotaView,
    RedLetterCreate,
    RedLetterState,
    RedLetterView,
)


class UnreadableAnswer(Invalid):
    code = "unreadable_answer"
    title = "An answer of the tax administration cannot be read"


# --- Drafting -----------------------------------------------------------------------------------


async def draft_each(
    tx: Connection, wanted: Sequence[EInvoiceCreate], *, by: str, now: datetime
) -> list[UUID | DomainError]:
    """Draft e-invoices. Returns for each its id, or why it is refused."""

    async def together(part: Sequence[EInvoiceCreate]) -> list[UUID | DomainError]:
        outcomes: list[UUID | DomainError] = []
        for one in part:
            try:
                outcomes.append(await draft(tx, one, by=by, now=now))
            except DomainError as error:
                outcomes.append(error)
        return outcomes

    return await each(tx, wanted, CONSTRAINTS, together)


async def draft(tx: Connection, data: EInvoiceCreate, *, by: str, now: datetime) -> UUID:
    """Draft the e-invoice of an invoice. What will be sent is fixed from here on."""
    document = (await archived(tx, data.invoice_id, by=by, now=now)).document
    rules.refuse_unfit(document, data.kind)
    lines, is_summed = rules.tax_lines(document, await store.items(tx))
    sums = document.sums
    await refuse_beyond_quota(tx, sums.net_amount, now)
    serial = rules.serial_number(f"{civil_date(now):%Y%m%d}", await store.next_serial(tx))
    list_file = rules.list_name(serial) if is_summed else None
    made = await store.insert(
        tx,
        invoice_id=data.invoice_id,
        red_letter_id=None,
        kind=data.kind,
        serial=serial,
        net_amount=sums.net_amount,
        vat_amount=sums.vat_amount,
        request=rules.request(document, data.kind, serial, lines, list_file),
        has_list=is_summed,
        now=now,
    )
    await note(tx, "einvoice", made, "einvoice.drafted", {"serial": serial}, by, now)
    return made


async def refuse_beyond_quota(tx: Connection, amount: int, now: datetime) -> None:
    """Raise `QuotaExceeded` unless the month's quota has room for an amount without VAT."""
    month, following = month_of(civil_date(now))
    quota = await store.lock_quota(tx, month)
    if quota is None:
        raise QuotaExceeded(f"no quota was entered for {month:%Y-%m}")
    used = await store.used(tx, midnight(month), midnight(following))
    if used + amount > quota:
        raise QuotaExceeded(
            f"{month:%Y-%m}: {used:,} of {quota:,} are used, {amount:,} are wanted",
            quota=quota,
            used=used,
            wanted=amount,
        )


async def note(
    tx: Connection,
    aggregate: str,
    aggregate_id: UUID,
    kind: str,
    facts: dict[str, object],
    by: str,
    now: datetime,
) -> None:
    await events.append(tx, [Event(aggregate, aggregate_id, kind, facts)], actor=by, now=now)


async def get(tx: Connection, einvoice_id: UUID) -> EInvoiceView:
    row = await store.get(tx, einvoice_id)
    if row is None:
        raise NoSuchEInvoice
    return convert(row, EInvoiceView)


async def put_quota(
    tx: Connection, month: date, amount: int, *, by: str, now: datetime
) -> QuotaView:
    quota_id = await store.put_quota(tx, month, amount, by, now)
    facts: dict[str, object] = {"month": month, "amount": amount}
    await note(tx, "einvoice_quota", quota_id, "einvoice_quota.set", facts, by, now)
    return await quota(tx, month)


async def put_item(
    tx: Connection, component: Component, data: ItemPut, *, by: str, now: datetime
) -> None:
    item_id = await store.put_item(tx, component, data)
    facts: dict[str, object] = {"component": component, "tax_code": data.tax_code}
    await note(tx, "einvoice_item", item_id, "einvoice_item.set", facts, by, now)


async def quota(tx: Connection, month: date) -> QuotaView:
    row = await store.quota(tx, month)
    if row is None:
        raise NoQuota
    used = await store.used(tx, midnight(month), midnight(month_of(month)[1]))
    return convert({**row, "used_amount": used}, QuotaView)


# --- Red letters --------------------------------------------------------------------------------


async def draft_red(
    tx: Connection, einvoice_id: UUID, data: RedLetterCreate, *, by: str, now: datetime
) -> RedLetterView:
    """Draft the application for a red-letter confirmation of what a document takes back."""
    blue = await store.lock(tx, einvoice_id)
    if blue is None:
        raise NoSuchEInvoice
    if blue["state"] != EInvoiceState.ISSUED or blue["red_letter_id"] is not None:
        raise NotForRedLetter("only a blue e-invoice that was issued is taken back")
    credit = (await documents.load(tx, data.credit_note_id)).document
    lines = rules.red_lines(credit, blue["invoice_number"], await store.items(tx))
    net, vat = sum(one.net_amount for one in lines), sum(one.vat_amount for one in lines)
    left = blue["net_amount"] + await store.taken_back(tx, einvoice_id)
    if net >= 0 or left + net < 0:
        raise NotForRedLetter(f"{-net:,} are to be taken back of {left:,} that are left")
    serial = rules.serial_number(f"{civil_date(now):%Y%m%d}", await store.next_serial(tx))
    made = await store.insert_red(
        tx,
        einvoice_id=einvoice_id,
        credit_note_id=data.credit_note_id,
        reason=data.reason,
        serial=serial,
        net_amount=net,
        vat_amount=vat,
        request=rules.red_request(credit, blue["number"], serial, data.reason, lines),
        now=now,
    )
    await note(tx, "red_letter", made, "red_letter.drafted", {"serial": serial}, by, now)
    return await get_red(tx, made)


async def get_red(tx: Connection, red_letter_id: UUID) -> RedLetterView:
    row = await store.get_red(tx, red_letter_id)
    if row is None:
        raise NoSuchRedLetter
    return convert(row, RedLetterView)


async def revoke_red(
    tx: Connection, red_letter_id: UUID, *, by: str, now: datetime
) -> RedLetterView:
    """Take back an application that was not sent. One that was is revoked where it is, and the
    answer to that comes like any other."""
    row = await store.lock_red(tx, red_letter_id)
    if row is None:
        raise NoSuchRedLetter
    if row["state"] != RedLetterState.DRAFTED or row["batch_id"] is not None:
        raise CannotBecome("it was sent: revoke it at the tax administration")
    await store.set_red(tx, red_letter_id, RedLetterState.REVOKED, closed_at=now)
    await note(tx, "red_letter", red_letter_id, "red_letter.revoked", {}, by, now)
    return await get_red(tx, red_letter_id)


# --- Sending ------------------------------------------------------------------------------------


async def next_batch(tx: Connection, now: datetime) -> UUID | None:
    """The batch to be sent next: one that may have been sent without our knowing, or a new one of
    what waits. None when nothing does."""
    batch = await store.unsent(tx)
    if batch is None:
        counted = await store.next_serial(tx)
        batch = await store.make_batch(tx, f"batch-{counted:012}", MAX_BATCH, now)
    return batch["id"] if batch else None


async def dispatch(tx: Connection, batch_id: UUID) -> Dispatch:
    """What a batch consists of: the same bytes each time."""
    rows = await store.requests(tx, batch_id)
    name = await store.batch_name(tx, batch_id)
    lists = {}
    for row in rows:
        if row["list_of"] is not None:
            named = await documents.load(tx, row["list_of"])
            content = sheets.write_csv(named, DocumentLanguage.ZH)
            lists[rules.list_name(row["serial"])] = content
    content = msgspec.json.encode(
        {"format": rules.FORMAT, "batch": name, "requests": [row["request"] for row in rows]}
    )
    return Dispatch(name, content, lists)


async def note_sent(tx: Connection, batch_id: UUID, *, by: str, now: datetime) -> int:
    """Note that a batch was sent; returns how many requests were in it."""
    submitted, applied = await store.sent(tx, batch_id, now)
    facts = [
        *[Event("einvoice", row["id"], "einvoice.submitted", {}) for row in submitted],
        *[Event("red_letter", row["id"], "red_letter.applied", {}) for row in applied],
    ]
    await events.append(tx, facts, actor=by, now=now)
    return len(facts)


# --- Answers ------------------------------------------------------------------------------------


def read_answers(file: AnswerFile) -> list[Answer]:
    """Raises `UnreadableAnswer`."""
    try:
        return msgspec.json.decode(file.content, type=list[Answer])
    except msgspec.DecodeError as error:
        raise UnreadableAnswer(f"{file.name}: {error}") from error


async def take_answers(tx: Connection, file: AnswerFile, *, by: str, now: datetime) -> int:
    """Enter the answers of a file, all or none; returns how many changed something. Raises
    `UnreadableAnswer` and `CannotBecome`. A file that was read before changes nothing."""
    answers = read_answers(file)
    if not await store.note_file(tx, hashlib.sha256(file.content).digest(), file.name, now):
        return 0
    return sum([await take_answer(tx, answer, by=by, now=now) for answer in answers])


async def take_answer(tx: Connection, answer: Answer, *, by: str, now: datetime) -> bool:
    row = await store.asked(tx, answer.serial)
    if row is None or row["batch_id"] is None:
        raise UnreadableAnswer(f"nothing was asked under the serial number {answer.serial}")
    if row["subject"] == "einvoice":
        return await answer_einvoice(tx, row, answer, by, now)
    return await answer_red(tx, row, answer, by, now)


async def answer_einvoice(
    tx: Connection, row: Record, answer: Answer, by: str, now: datetime
) -> bool:
    """Issued or rejected. An answer that says again what we know changes nothing; one that comes
    before we noted that the batch was sent says that it was."""
    state, then = EInvoiceState(row["state"]), state_in(answer, EInvoiceState)
    if then == state and answer.number == row["number"]:
        return False
    if state is EInvoiceState.DRAFTED:
        state = rules.next_state(state, EInvoiceState.SUBMITTED)
    rules.next_state(state, then)
    if then is EInvoiceState.ISSUED:
        await store.issued(tx, row["id"], *number_and_instant(answer), now)
        if row["red_letter_id"] is not None:
            await become(tx, row["red_letter_id"], RedLetterState.ISSUED, by=by, now=now)
    else:
        code = answer.code or "unknown"
        await store.rejected(tx, row["id"], code, answer.message, now)
    facts: dict[str, object] = {"number": answer.number, "code": answer.code}
    await note(tx, "einvoice", row["id"], f"einvoice.{then}", facts, by, now)
    return True


async def answer_red(tx: Connection, row: Record, answer: Answer, by: str, now: datetime) -> bool:
    """Confirmed, refused, lapsed or revoked. A confirmed one leads to its red e-invoice."""
    state, then = RedLetterState(row["state"]), state_in(answer, RedLetterState)
    if then in (state, RedLetterState.APPLIED):
        return False
    if then is RedLetterState.ISSUED:
        raise UnreadableAnswer(f"{answer.serial}: a red letter is issued by its red e-invoice")
    if state is RedLetterState.DRAFTED:
        state = rules.next_red_state(state, RedLetterState.APPLIED)
    rules.next_red_state(state, then)
    if then is RedLetterState.CONFIRMED and not answer.number:
        raise UnreadableAnswer(f"{answer.serial}: a confirmation has a number")
    await become(tx, row["id"], then, answer=answer, by=by, now=now)
    if then is RedLetterState.CONFIRMED and answer.number:
        await draft_red_einvoice(tx, row["id"], answer.number, by=by, now=now)
    return True


async def become(
    tx: Connection,
    red_letter_id: UUID,
    then: RedLetterState,
    *,
    answer: Answer | None = None,
    by: str,
    now: datetime,
) -> None:
    await store.set_red(
        tx,
        red_letter_id,
        then,
        number=answer.number if answer else None,
        message=answer.message if answer else None,
        closed_at=now if not NEXT_RED_STATES[then] else None,
    )
    await note(tx, "red_letter", red_letter_id, f"red_letter.{then}", {}, by, now)


async def draft_red_einvoice(
    tx: Connection, red_letter_id: UUID, confirmation_number: str, *, by: str, now: datetime
) -> None:
    """The red e-invoice of a confirmed red letter; it goes out with the next batch."""
    red = await store.red_to_issue(tx, red_letter_id)
    assert red is not None
    kind = EInvoiceKind(red["kind"])
    serial = rules.serial_number(f"{civil_date(now):%Y%m%d}", await store.next_serial(tx))
    made = await store.insert(
        tx,
        invoice_id=red["credit_note_id"],
        red_letter_id=red_letter_id,
        kind=kind,
        serial=serial,
        net_amount=red["net_amount"],
        vat_amount=red["vat_amount"],
        request=rules.red_issue(red["request"], kind, serial, confirmation_number),
        has_list=False,
        now=now,
    )
    await note(tx, "einvoice", made, "einvoice.drafted", {"serial": serial}, by, now)


S = TypeVar("S", bound=StrEnum)


def state_in(answer: Answer, states: type[S]) -> S:
    try:
        return states(answer.result)
    except ValueError as error:
        raise UnreadableAnswer(f"{answer.serial}: '{answer.result}' is no result") from error


def number_and_instant(answer: Answer) -> tuple[str, datetime]:
    try:
        at = datetime.fromisoformat(answer.issued_at or "")
    except ValueError as error:
        raise UnreadableAnswer(f"{answer.serial}: issued at '{answer.issued_at}'") from error
    if at.tzinfo is None or not NUMBER.fullmatch(answer.number or ""):
        raise UnreadableAnswer(
            f"{answer.serial}: an e-invoice is issued with a number of 20 digits and an instant"
            " with its zone"
        )
    return answer.number or "", at


NUMBER = re.compile(r"[0-9]{20}")
