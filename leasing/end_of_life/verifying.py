"""A stored plan proved anew from what is stored with it, and nothing else.

The problem and the plan are read as arrays; `leasing.routing.certificate` computes values and bound
by formulas of its own. Nothing of the solver is used.
"""

from dataclasses import dataclass
from io import BytesIO

from asyncpg import Record

from leasing.routing import certificate, files
from leasing.routing.certificate import Verdict, Wrong
from leasing.routing.model import instance_digest


@dataclass(frozen=True)
class Proved:
    plan_id: str
    verdict: Verdict
    agrees: bool
    """Whether value, bound and both sources of the gap are those that are stored."""


def prove(row: Record) -> Proved:
    """Check a stored plan. Raises `certificate.Wrong` when it is not one."""
    instance = files.read_instance(BytesIO(row["instance"]))
    held = files.read_plan(BytesIO(row["solution"]))
    if held.instance != instance_digest(instance):
        raise Wrong("the plan is for another problem")
    certificate.whole(instance, held.plan)
    verdict = certificate.judge(instance, held.prices, held.plan, held.limit_prices)
    stored = (row["value"], row["bound"], row["outbid"], row["unused"])
    found = (verdict.value, verdict.bound, verdict.outbid, verdict.unused)
    return Proved(str(row["id"]), verdict, stored == found)
