"""`docs/states.md`: what may follow what, from the tables that the rules read.

`python -m tests.house.states` writes it anew; a test compares.
"""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from leasing.alarms import model as alarms
from leasing.batteries import model as batteries
from leasing.billing import model as billing
from leasing.consignments import model as consignments
from leasing.contracts import model as contracts
from leasing.deals import model as deals
from leasing.einvoices import model as einvoices
from leasing.maintenance import model as maintenance
from leasing.market import states as market
from leasing.obligations import model as obligations
from leasing.recyclers import model as recyclers
from leasing.returns import model as returns

FILE = Path(__file__).parents[2] / "docs" / "states.md"

HEAD = """\
# States

What may follow what. Written by `make states` from the tables that the rules read; a test compares.
"""


def page() -> str:
    parts = [
        HEAD,
        table("Contract 租赁合同", contracts.NEXT_STATES),
        table("Pack 电池包", batteries.NEXT_STATES),
        table("Alarm 告警", alarms.NEXT_STATES),
        table("Work order 作业工单", maintenance.NEXT_STATES),
        table("Return order 退租单", returns.NEXT_STATES),
        table("Consignment 托运批次", consignments.NEXT_STATES),
        table("Deal 废料换原材料协议", deals.NEXT_STATES),
        table("Dispute 账单争议", billing.DISPUTE_STATES),
        table("E-invoice 数电票", einvoices.NEXT_STATES),
        table("Red-letter confirmation 红字确认单", einvoices.NEXT_RED_STATES),
        table("Listing of a recycler 回收企业名单(有进有出)", recyclers.NEXT_STATES),
        table("Obligation to report 报送义务", obligations.NEXT_STATES),
        table("Need 供需对接需求", market.NEED_STATES),
        table("Proposal 匹配方案", market.PROPOSAL_STATES),
    ]
    return "\n".join(parts)


def table(title: str, following: Mapping[StrEnum, set[StrEnum]]) -> str:
    rows = [
        f"| {state} | {', '.join(sorted(following[state])) or 'nothing: it is the end'} |"
        for state in following
    ]
    return "\n".join([f"## {title}", "", "| state | may become |", "|---|---|", *rows, ""])


if __name__ == "__main__":
    FILE.write_text(page(), "utf-8")
