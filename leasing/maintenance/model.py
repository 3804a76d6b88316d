"""Check discharges: when they are due, and what their orders may become."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

import msgspec

from leasing.health.model import Health
from leasing.kit.errors import Conflict, FieldError, Invalid, NotFound
from schemas.health import Verdict
from schemas.maintenance import Why, WorkOrderState

NEXT_STATES: dict[WorkOrderState, set[WorkOrderState]] = {
    WorkOrderState.PLANNED: {WorkOrderState.ASSIGNED, WorkOrderState.CANCELLED},
    WorkOrderState.ASSIGNED: {WorkOrderState.DONE, WorkOrderState.CANCELLED},
    WorkOrderState.DONE: set(),
    WorkOrderState.CANCELLED: set(),
}


class Rule(msgspec.Struct, frozen=True):
    """When packs at sites of a class are tested, and how deep; `docs/consequences.md` gives the
    source of each default."""

    interval_months: int = 24
    life_months: int = 96
    life_percent: int = 25
    old_percent: int = 85
    old_months: int = 12
    drop_points: int = 10
    depth_percent: int = 40
    deep_percent: int = 80
    deep_every: int = 2


DEFAULTS = {
    "A": Rule(depth_percent=30),
    "B": Rule(depth_percent=30),
    "C": Rule(depth_percent=40),
    "D": Rule(depth_percent=40),
}
"""By class of site. The more important a site, the more stays in its packs for an outage."""


class Standing(msgspec.Struct, frozen=True):
    """A pack where it stands, and what is known of its tests."""

    pack_id: UUID
    line_id: UUID
    site_id: UUID
    site_class: str | None
    rated_capacity_mah: int
    first_on: date
    """Handed over for the first time."""
    tested_on: date
    """Tested to the end, or by a check discharge, for the last time."""
    first_mah: int
    latest_mah: int
    tests_done: int
    """Check discharges that were ordered and done."""


class Planned(msgspec.Struct, frozen=True):
    """An order to be written."""

    pack_id: UUID
    line_id: UUID
    site_id: UUID
    why: Why
    duty_id: UUID | None
    alarm_id: UUID | None
    due_on: date
    depth_percent: int


class Judged(msgspec.Struct, frozen=True):
    """What a check discharge says of a pack."""

    health: Health
    verdict: Verdict


class Dark(msgspec.Struct, frozen=True):
    """A site whose packs were all empty before they had carried it as long as agreed."""

    site_id: UUID
    pack_ids: list[UUID]
    started_at: datetime
    dark_at: datetime
    agreed_minutes: int
    back_at: datetime | None
    """The first charge after it."""


class NoSuchWorkOrder(NotFound):
    code = "work_order_not_found"
    title = "There is no such work order"


class WorkOrderInState(Conflict):
    code = "work_order_state"
    title = "The work order is in another state"


class WorkOrderOpenAlready(Conflict):
    code = "work_order_open_already"
    title = "A work order of this kind is open for the pack"


class PackGone(Conflict):
    code = "pack_not_in_line"
    title = "The pack did not stand in the line of the work order on that day"


class BadResult(Invalid):
    code = "bad_check_discharge"
    title = "This cannot be the result of a check discharge"

    def __init__(self, pointer: str, message: str) -> None:
        super().__init__(message, fields=[FieldError(pointer, self.code, message)])


class TestRuleExists(Conflict):
    __test__ = False
    code = "test_rule_exists"
    title = "There is a rule of this class from that day on"


class NoSuchOutage(NotFound):
    code = "outage_not_found"
    title = "There is no such outage"


class NoSuchDuty(NotFound):
    code = "duty_not_found"
    title = "There is no such duty"


class NoSuchHealthCheck(NotFound):
    code = "health_check_not_found"
    title = "There is no such health check"


CONSTRAINTS: dict[str, Any] = {
    "work_order_one_open": WorkOrderOpenAlready,
    "test_rule_once": TestRuleExists,
}
