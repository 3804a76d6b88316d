"""Quotes: made, looked at, accepted."""

from datetime import date, datetime
from uuid import UUID

from asyncpg import Record

from leasing.contracts import rules as contract_rules
from leasing.contracts import service as contracts
from leasing.contracts import store as contract_store
from leasing.db.pool import Connection
from leasing.events import store as events
from leasing.events.store import Event
from leasing.kit.errors import Conflict, FieldError, NotFound
from leasing.kit.time import civil_date
from leasing.quotes import rules, store
from leasing.quotes.rules import BadQuote
from schemas.contracts import ContractCreate, ContractTerms, ContractView, LineCreate
from schemas.quotes import QuoteAcceptance, QuoteCreate, QuotedTerms, QuoteState, QuoteView


class NoSuchQuote(NotFound):
    code = "quote_not_found"
    title = "There is no such quote"


class QuoteAccepted(Conflict):
    code = "quote_accepted"
    title = "The quote was accepted before"


class QuoteExpired(Conflict):
    code = "quote_expired"
    title = "The quote is not valid any more"


CONSTRAINTS = {"quote_contract_once": QuoteAccepted}


async def create(tx: Connection, data: QuoteCreate, *, by: str, now: datetime) -> QuoteView:
    """Work out what alternatives would cost and keep them. Raises `BadTerms`, `ForbiddenUse`,
    `BadQuote`."""
    for i, terms in enumerate(data.alternatives):
        prefix = f"/alternatives/{i}"
        contract_rules.refuse_backwards_term(terms.starts_on, terms.ends_on, prefix)
        contract_rules.refuse_bad_zone(terms.time_zone, prefix)
        contract_rules.refuse_bad_terms(contract_store.terms_of(terms), prefix)
        rules.refuse_days_outside(terms, prefix)
        rules.refuse_too_long(terms, prefix)
    quote_id = await store.insert(tx, data.lessee_id, data.valid_to, data.alternatives, by, now)
    facts: dict[str, object] = {"labels": [terms.label for terms in data.alternatives]}
    await events.append(tx, [Event("quote", quote_id, "quote.made", facts)], actor=by, now=now)
    return await get(tx, quote_id, civil_date(now))


async def get(tx: Connection, quote_id: UUID, today: date) -> QuoteView:
    """A quote with the schedule of each alternative."""
    row = await store.get(tx, quote_id)
    if row is None:
        raise NoSuchQuote
    return QuoteView(
        id=row["id"],
        lessee_id=row["lessee_id"],
        valid_to=row["valid_to"],
        state=state_of(row, today),
        alternatives=[rules.alternative(terms) for terms in store.alternatives_of(row)],
        accepted_alternative=row["accepted_alternative"],
        contract_id=row["contract_id"],
        accepted_at=row["accepted_at"],
        created_by=row["created_by"],
        created_at=row["created_at"],
    )


def state_of(row: Record, today: date) -> QuoteState:
    if row["accepted_at"] is not None:
        return QuoteState.ACCEPTED
    return QuoteState.OPEN if today <= row["valid_to"] else QuoteState.EXPIRED


async def accept(
    tx: Connection, quote_id: UUID, data: QuoteAcceptance, *, by: str, now: datetime
) -> ContractView:
    """Make the contract that was quoted. It is offered as it is: only the signatures are missing.
    Raises `QuoteAccepted`, `QuoteExpired`, and `BadQuote` when lessee or sites are missing."""
    row = await store.lock(tx, quote_id)
    if row is None:
        raise NoSuchQuote
    if row["contract_id"] is not None:
        raise QuoteAccepted(f"it became {row['contract_id']}", contract_id=row["contract_id"])
    if state_of(row, civil_date(now)) is QuoteState.EXPIRED:
        raise QuoteExpired(f"it was valid to {row['valid_to']}", valid_to=row["valid_to"])
    alternatives = store.alternatives_of(row)
    if data.alternative > len(alternatives):
        message = f"the quote has {len(alternatives)}"
        fault = FieldError("/alternative", "no_such_alternative", message)
        raise BadQuote(message, fields=[fault])
    lessee_id = row["lessee_id"] or data.lessee_id
    if lessee_id is None or data.lessee_id not in (None, lessee_id):
        message = f"the quote is for {row['lessee_id'] or 'nobody yet, so a lessee is needed'}"
        raise BadQuote(message, fields=[FieldError("/lessee_id", "lessee", message)])
    terms = alternatives[data.alternative - 1]
    draft = contract_of(terms, data, lessee_id)
    made = await contracts.create(tx, draft, by=by, now=now)
    await store.accept(tx, quote_id, lessee_id, data.alternative, made.id, now)
    facts: dict[str, object] = {"contract_id": made.id, "label": terms.label}
    accepted = Event("quote", quote_id, "quote.accepted", facts)
    await events.append(tx, [accepted], actor=by, now=now)
    return await contracts.offer(tx, made.id, by=by, now=now)


def contract_of(terms: QuotedTerms, data: QuoteAcceptance, lessee_id: UUID) -> ContractCreate:
    """The contract that an alternative becomes."""
    missing = sum(line.site_id is None for line in terms.lines)
    if len(data.site_ids) != missing:
        message = f"{missing} lines were quoted without a site, {len(data.site_ids)} are given"
        raise BadQuote(message, fields=[FieldError("/site_ids", "sites", message)])
    given = iter(data.site_ids)
    lines = [
        LineCreate(
            site_id=line.site_id or next(given),
            slot=line.slot,
            count=line.count,
            rated_capacity_mah=line.rated_capacity_mah,
            rent_amount=line.rent_amount,
        )
        for line in terms.lines
    ]
    agreed = {name: getattr(terms, name) for name in ContractTerms.__struct_fields__}
    return ContractCreate(
        number=data.number,
        lessor_id=data.lessor_id,
        lessee_id=lessee_id,
        lines=lines,
        **agreed,
    )
