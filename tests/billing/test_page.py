"""A preview as a page: the picture is read as a person would, from its bars and words."""

import doctest
import re
from datetime import date
from decimal import Decimal
from itertools import pairwise
from typing import NamedTuple
from xml.etree import ElementTree

from leasing.billing import page
from leasing.db.pool import Database
from schemas.billing import BillingPreview, Cause, CauseKind, Compared
from tests import build
from tests.billing.steps import bill, lease_out, one

SVG = re.compile(r"<svg.*?</svg>", re.DOTALL)


def test_examples_in_the_documentation_hold():
    assert doctest.testmod(page).failed == 0
    assert doctest.testmod(page).attempted >= 3


class Step(NamedTuple):
    kind: str
    left: float
    right: float
    amount: Decimal

    @property
    def reached(self) -> float:
        return self.left if self.kind == "less" else self.right


def steps(html: str) -> list[list[Step]]:
    """Of each picture its bars, from top to bottom."""
    return [
        [step(group) for group in ElementTree.fromstring(svg).iter("g")]
        for svg in SVG.findall(html)
    ]


def step(group: ElementTree.Element) -> Step:
    bar = group.find("rect")
    assert bar is not None
    left, width = float(bar.attrib["x"]), float(bar.attrib["width"])
    written = group.findall("text")[-1].text or ""
    return Step(bar.attrib["class"], left, left + width, Decimal(written.replace(",", "")))


def refuse_broken(picture: list[Step]) -> None:
    """Each bar begins where the one before it ended, and all are to one scale."""
    first, *between, last = picture
    for before, after in pairwise(picture[:-1]):
        begins = after.right if after.kind == "less" else after.left
        assert abs(begins - before.reached) < 0.1
    assert abs(last.right - [first, *between][-1].reached) < 0.1
    assert first.left == last.left
    assert first.amount + sum(bar.amount for bar in between) == last.amount
    scale = (first.right - first.left) / float(first.amount)
    for bar in picture:
        assert abs((bar.right - bar.left) - scale * abs(float(bar.amount))) < 0.2


def test_the_page_of_a_preview_shows_each_cause_as_a_step_from_the_last_bills_to_these(database):
    async def scenario(db: Database) -> None:
        await lease_out(db, [3, 40, 1])
        await bill(db)
        await one(db, "UPDATE line_revision SET rent_amount = rent_amount - 777 WHERE slot = 3")
        async with build.world(db, on=None) as world:
            asked = {"as_of": "2026-03-01"}
            preview = await world.staff.post("/v1/billing-previews", asked)
            answer = await world.staff.ask("POST", "/v1/billing-previews/page", json=asked)
            assert answer.status_code == 200
            assert answer.headers["content-type"].startswith("text/html")
            (picture,) = steps(answer.text)
            refuse_broken(picture)
            (sums,) = preview["compared"]
            assert (picture[0].amount * 100, picture[-1].amount * 100) == (
                sums["last_amount"],
                sums["this_amount"],
            )
            assert [bar.amount * 100 for bar in picture[1:-1]] == [
                cause["amount"] for cause in preview["causes"]
            ]
            assert {bar.kind for bar in picture[1:-1]} == {"more", "less"}
            assert sums["this_amount"] == sum(row["net_amount"] for row in preview["invoices"])
            assert "Customer 2" in answer.text

    database(scenario)


def test_a_currency_without_bills_before_and_one_that_falls_below_nothing_have_pictures():
    def cause(currency: str, kind: CauseKind, amount: int) -> Cause:
        return Cause(currency=currency, cause=kind, lines=1, amount=amount)

    preview = BillingPreview(
        as_of=date(2026, 3, 1),
        contracts=2,
        charges=2,
        invoice_count=0,
        invoices=[],
        trouble_count=0,
        trouble=[],
        held_lines=0,
        compared=[
            Compared(currency="CNY", last_amount=0, this_amount=31_000),
            Compared(currency="JPY", last_amount=100, this_amount=-50),
        ],
        causes=[
            cause("CNY", CauseKind.NEW, 31_000),
            cause("JPY", CauseKind.CORRECTION, -150),
        ],
    )
    yuan, yen = steps(page.render(preview))
    assert [bar.amount for bar in yuan] == [0, 310, 310]
    assert [(bar.kind, bar.amount) for bar in yen] == [
        ("whole", 100),
        ("less", -150),
        ("whole", -50),
    ]
    # Nothing lies a third of the way from the lowest amount to the highest.
    last, back, these = yen
    assert last.left == these.right
    assert (back.left, back.right) == (these.left, last.right)
