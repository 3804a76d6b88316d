"""Obligations to report (报送义务): their states, what is sent and answered, what is refused."""

from datetime import date
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import Meta

from leasing.kit.errors import Conflict, NotFound
from schemas.obligations import ObligationState

S = ObligationState

NEXT_STATES: dict[ObligationState, set[ObligationState]] = {
    S.DUE: {S.PREPARED, S.VOID},
    S.PREPARED: {S.SUBMITTED, S.VOID},
    S.SUBMITTED: {S.ACCEPTED, S.REJECTED},
    S.REJECTED: {S.CORRECTED, S.VOID},
    S.CORRECTED: {S.SUBMITTED, S.VOID},
    S.ACCEPTED: set(),
    S.VOID: set(),
}

OPEN = (S.DUE, S.PREPARED, S.REJECTED, S.CORRECTED)
"""States in which it is the reporter's turn."""

LEVELS = {1: 1, 2: 7, 3: 30}
"""From how many days over an obligation is told of at which level, once at each."""

MAX_BATCH = 100
"""Reports of one submission."""
MAX_ATTEMPTS = 5
"""A submission that failed as often is parked, and waits for a person."""


class Calendar(StrEnum):
    """Where the days of a year come from, the best first."""

    NOTICE = "notice"
    """Typed in from the State Council's notice."""
    CHINESECALENDAR = "chinesecalendar"
    HOLIDAYS = "holidays"


class RuleOfReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    code: str
    article: str


class Firm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    credit_code: str | None


class Report(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is reported for one obligation."""

    obligation: UUID
    rule: RuleOfReport
    role: str
    reports: str
    event: str
    event_on: date
    due_on: date
    code: str | None
    """What is printed on the pack."""
    chemistry: Annotated[str, Meta(pattern=r"^[A-GZ]$(?!\n)")]
    mass_kg: Annotated[int, Meta(ge=1)]
    adcode: Annotated[str, Meta(pattern=r"^[1-9][0-9]{5}$(?!\n)")] | None
    counterparty: Firm | None
    data: dict[str, Any]
    """What the record of the event says."""


class Dispatch(msgspec.Struct, frozen=True):
    """Reports that go out together. Sent twice it is the same, under the same id."""

    id: UUID
    recipient: str
    made_at: str
    reports: list[Report]


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is wrong with one field of a report. `field` is a JSON pointer; "" is all of it."""

    field: str
    code: str
    message: str


class Result(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What became of one report: "accepted" with a receipt, or "rejected" with faults."""

    obligation: UUID
    result: str
    receipt: str | None = None
    faults: list[Fault] = []


class Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was answered to a submission. Reports that it leaves out are still being looked at."""

    submission: UUID
    results: list[Result]


class AnswerFile(msgspec.Struct, frozen=True):
    name: str
    content: bytes


class NoSuchObligation(NotFound):
    code = "obligation_not_found"
    title = "There is no such obligation"


class NoSuchRule(NotFound):
    code = "obligation_rule_not_found"
    title = "There is no such rule"


class NoSuchSubmission(NotFound):
    code = "submission_not_found"
    title = "There is no such submission"


class ObligationStands(Conflict):
    code = "obligation_state"
    title = "The obligation is not in a state in which this can happen"


class FaultsRemain(Conflict):
    code = "faults_remain"
    title = "Not every field that was rejected was put right"


class NoSuchField(Conflict):
    code = "no_such_field"
    title = "A report has no such field that may be put right"


class RuleIsConfirmed(Conflict):
    code = "rule_is_confirmed"
    title = "A rule that was read in its source is not changed; it can end"


class RuleOverlaps(Conflict):
    code = "obligation_rule_overlaps"
    title = "There is a rule of this code for some of these days"


class NotParked(Conflict):
    code = "submission_not_parked"
    title = "Only a submission that was parked is tried again by hand"


CONSTRAINTS = {
    "obligation_rule_one_at_a_time": RuleOverlaps,
}
