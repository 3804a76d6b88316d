"""Many rows in one call: what is asked of them together, and what became of each."""

from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from schemas.common import Incoming, Outgoing

MAX_ROWS = 1000


class Batch(Incoming, frozen=True, kw_only=True):
    """Rows that are done one after the other, as if each were sent alone. A subclass has them in
    `rows`, or in what it calls them. One that cannot be read is refused like one that cannot be
    done."""

    ROWS: ClassVar[str] = "rows"

    all_or_nothing: bool = False
    """Do none of the rows if one is refused. The answer is then 409 `batch_refused`."""


class BatchOutcome(StrEnum):
    DONE = "done"
    REFUSED = "refused"
    NOT_DONE = "not_done"
    """Nothing is wrong with the row, but with another one, and all were to be done or none."""


class BatchFaultView(Outgoing, frozen=True):
    """One thing wrong with one place in a row."""

    pointer: str
    code: str
    message: str


class BatchProblemView(Outgoing, frozen=True):
    """Why a row is refused: what a request with this row alone would be told."""

    code: str
    title: str
    detail: str
    errors: list[BatchFaultView]
    extra: dict[str, object]


class BatchRowView(Outgoing, frozen=True):
    row: int
    """Its place among the rows sent; the first is 0."""
    outcome: BatchOutcome
    status: int
    """The status that a request with this row alone is answered with; 424 if it was not done
    because of another."""
    id: UUID | None
    """What the row made, if it was done."""
    problem: BatchProblemView | None
    """Why it was refused, if it was."""


class BatchView(Outgoing, frozen=True):
    """What became of each row, in the order in which they were sent."""

    done: int
    refused: int
    not_done: int
    rows: list[BatchRowView]
