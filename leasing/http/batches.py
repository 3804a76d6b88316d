"""Many rows in one call (`POST /v1/acceptances:batch`).

Rows are written together, by a constant number of statements. What rules refuse is known before
anything is written. What the database refuses, it refuses without saying which row: then the set
is undone and each half is tried, so that one wrong row among a thousand costs twenty tries and not
a thousand savepoints.
"""

from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from typing import TypeVar
from uuid import UUID

import asyncpg
import msgspec

from leasing.db.pool import Connection, savepoint
from leasing.http.fields import Malformed
from leasing.http.problems import STATUS, constraint_error, unstorable
from leasing.kit.errors import Conflict, DomainError, FieldError
from schemas.batches import (
    Batch,
    BatchFaultView,
    BatchOutcome,
    BatchProblemView,
    BatchRowView,
    BatchView,
)

T = TypeVar("T")
R = TypeVar("R")

Constraints = Mapping[str, Callable[..., DomainError]]
Work = Callable[[Sequence[T]], Awaitable[list[R | DomainError]]]

FAILED_DEPENDENCY = 424
MAX_ERRORS = 200
"""Of the errors of a whole batch; `extra` has those of every row."""


class BatchRefused(Conflict):
    code = "batch_refused"
    title = "Rows of the batch are refused, so none was done"


# --- Doing ------------------------------------------------------------------------------------

# What waits for the end of the transaction is checked here, while the rows at fault can be told.
CHECK_NOW = "SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED"


async def each(
    tx: Connection, rows: Sequence[T], constraints: Constraints, work: Work[T, R]
) -> list[R | DomainError]:
    """Do rows together; returns for each what it made, or why it is refused. `work` does a set of
    them and returns the like; it raises when the database refuses one. A row that is refused
    leaves nothing behind."""
    if not rows:
        return []
    try:
        async with savepoint(tx):
            done = await work(rows)
            await tx.execute(CHECK_NOW)
            return done
    except asyncpg.PostgresError as error:
        known = constraint_error(error, constraints) or unstorable(error)
        if known is None:
            raise
        if len(rows) == 1:
            return [known]
    half = len(rows) // 2
    first = await each(tx, rows[:half], constraints, work)
    return first + await each(tx, rows[half:], constraints, work)


def waves(rows: Sequence[T], keys: Callable[[T], Iterable[Hashable]]) -> list[list[int]]:
    """The places of rows in sets that can be done together, one set after the other: in none of
    them two rows share a key, and those that share one follow each other in their order.

    >>> waves(["ab", "c", "bd", "d"], set)
    [[0, 1], [2], [3]]
    """
    last: dict[Hashable, int] = {}
    found: list[list[int]] = []
    for place, row in enumerate(rows):
        mine = list(keys(row))
        wave = max((last[key] + 1 for key in mine if key in last), default=0)
        last.update(dict.fromkeys(mine, wave))
        if wave == len(found):
            found.append([])
        found[wave].append(place)
    return found


async def in_waves(
    rows: Sequence[T], keys: Callable[[T], Iterable[Hashable]], work: Work[T, R]
) -> list[R | DomainError]:
    """Do rows in sets without a shared key; outcomes are in the order of the rows."""
    outcomes: dict[int, R | DomainError] = {}
    for places in waves(rows, keys):
        done = await work([rows[place] for place in places])
        outcomes.update(zip(places, done, strict=True))
    return [outcomes[place] for place in range(len(rows))]


def refusal(check: Callable[[], object]) -> DomainError | None:
    """What a rule that raises has against something."""
    try:
        check()
    except DomainError as error:
        return error
    return None


# --- Answering --------------------------------------------------------------------------------


def answer(
    batch: Batch,
    unreadable: Malformed,
    outcomes: Sequence[UUID | DomainError],
    *,
    status: int = 201,
) -> BatchView:
    """What became of each row that was sent: `outcomes` are those of the readable ones, in order.
    Raises `BatchRefused` if one was refused and all were to be done."""
    total = len(unreadable.rows) + len(outcomes)
    rest = iter(outcomes)
    told = [unreadable.rows[row] if row in unreadable.rows else next(rest) for row in range(total)]
    refused = sum(isinstance(one, DomainError) for one in told)
    give_up = batch.all_or_nothing and refused > 0
    rows = [row_view(row, one, status, give_up) for row, one in enumerate(told)]
    done = 0 if give_up else total - refused
    view = BatchView(done=done, refused=refused, not_done=total - done - refused, rows=rows)
    if give_up:
        raise refuse(view)
    return view


def row_view(row: int, outcome: UUID | DomainError, status: int, give_up: bool) -> BatchRowView:
    if isinstance(outcome, DomainError):
        return BatchRowView(
            row=row,
            outcome=BatchOutcome.REFUSED,
            status=status_of(outcome),
            id=None,
            problem=problem_of(row, outcome),
        )
    return BatchRowView(
        row=row,
        outcome=BatchOutcome.NOT_DONE if give_up else BatchOutcome.DONE,
        status=FAILED_DEPENDENCY if give_up else status,
        id=None if give_up else outcome,
        problem=None,
    )


def status_of(error: DomainError) -> int:
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)


def problem_of(row: int, error: DomainError) -> BatchProblemView:
    """The problem of a row; its pointers lead into the batch."""
    faults = [
        BatchFaultView(pointer=f"/rows/{row}{one.pointer}", code=one.code, message=one.message)
        for one in error.fields
    ]
    extra = msgspec.to_builtins(error.extra, enc_hook=str)
    return BatchProblemView(
        code=error.code, title=error.title, detail=error.detail, errors=faults, extra=extra
    )


def refuse(view: BatchView) -> BatchRefused:
    faults = [
        FieldError(fault.pointer, fault.code, fault.message)
        for one in view.rows
        if one.problem is not None
        for fault in one.problem.errors or [whole_row(one.row, one.problem)]
    ]
    rows = "row is" if view.refused == 1 else "rows are"
    return BatchRefused(
        f"{view.refused:,} {rows} refused; mend them, or ask without all_or_nothing for the others",
        fields=faults[:MAX_ERRORS],
        result=msgspec.to_builtins(view),
    )


def whole_row(row: int, problem: BatchProblemView) -> BatchFaultView:
    return BatchFaultView(pointer=f"/rows/{row}", code=problem.code, message=problem.detail)
