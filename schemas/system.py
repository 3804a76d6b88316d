"""Callers, events, jobs and the clock."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from msgspec import Meta

from schemas.common import Incoming, Outgoing


class CallerView(Outgoing, frozen=True):
    name: str
    role: str
    party_id: UUID | None
    expires_at: datetime


class EventView(Outgoing, frozen=True):
    id: UUID
    aggregate: str
    aggregate_id: UUID
    sequence: int
    kind: str
    data: dict[str, object]
    actor: str
    occurred_at: datetime


class JobRunState(StrEnum):
    DUE = "due"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    """It will be tried again."""
    PARKED = "parked"
    """It was tried often enough: a person has to look at it."""


class JobRunView(Outgoing, frozen=True):
    id: UUID
    job: str
    as_of: datetime
    state: JobRunState
    attempts: int
    worker: str | None
    done: int
    parked: int
    error: str | None
    started_at: datetime | None
    finished_at: datetime | None


class ClockView(Outgoing, frozen=True):
    sandbox: bool
    now_at: datetime
    target_at: datetime | None


class ClockAdvance(Incoming, frozen=True):
    to_at: Annotated[datetime, Meta(tz=True)]
