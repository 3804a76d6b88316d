"""A preview as a page for people, with a picture of why bills differ from the last ones."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from leasing.pricing.currencies import minor_units, to_major
from schemas.billing import BillingPreview, Cause, CauseKind

PAGES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}

NAMES = {
    CauseKind.NEW: ("New lines", "新增"),
    CauseKind.ENDED: ("Ended lines", "退租"),
    CauseKind.PRICE: ("Prices", "调价"),
    CauseKind.DAYS: ("Days", "天数"),
    CauseKind.USAGE: ("Use", "用量"),
    CauseKind.SLA: ("Availability", "可用率扣减"),
    CauseKind.CORRECTION: ("Corrections", "更正"),
    CauseKind.FEES: ("Fees", "一次性费用"),
}
LAST, THIS = ("The last bills", "上期"), ("These bills", "本期")


class Bar(NamedTuple):
    """A step of a waterfall: from one amount to another, in minor units. The first and the last
    begin at nothing."""

    name: str
    chinese: str
    lines: int | None
    low: int
    high: int
    amount: int
    kind: str
    """`whole`, `more` or `less`."""


class Waterfall(NamedTuple):
    currency: str
    bars: list[Bar]
    lowest: int
    highest: int

    def share(self, amount: int) -> float:
        """Where an amount lies between the lowest and the highest, in thousandths."""
        return round(1000 * (amount - self.lowest) / max(1, self.highest - self.lowest), 2)


def waterfall(currency: str, last_amount: int, causes: Iterable[Cause]) -> Waterfall:
    """What comes on top of the last bills and what goes off, each from where the one before it
    ended.

    Worked example: 1,000 the last time, 300 more for new lines, 100 less for those that ended.

    >>> new = Cause(currency="CNY", cause=CauseKind.NEW, lines=3, amount=300)
    >>> ended = Cause(currency="CNY", cause=CauseKind.ENDED, lines=1, amount=-100)
    >>> [(bar.low, bar.high) for bar in waterfall("CNY", 1_000, [new, ended]).bars]
    [(0, 1000), (1000, 1300), (1200, 1300), (0, 1200)]
    """
    bars = [whole(LAST, last_amount)]
    reached = last_amount
    for cause in causes:
        after = reached + cause.amount
        kind = "more" if cause.amount > 0 else "less"
        low, high = sorted((reached, after))
        bars.append(Bar(*NAMES[cause.cause], cause.lines, low, high, cause.amount, kind))
        reached = after
    bars.append(whole(THIS, reached))
    ends = [0, *(bar.low for bar in bars), *(bar.high for bar in bars)]
    return Waterfall(currency, bars, min(ends), max(ends))


def whole(name: tuple[str, str], amount: int) -> Bar:
    return Bar(*name, None, min(0, amount), max(0, amount), amount, "whole")


def render(preview: BillingPreview) -> str:
    pictures = [
        waterfall(
            one.currency,
            one.last_amount,
            [cause for cause in preview.causes if cause.currency == one.currency],
        )
        for one in preview.compared
    ]
    return PAGES.get_template("preview.html").render(
        preview=preview, pictures=pictures, money=money
    )


def money(amount: int, currency: str) -> str:
    return f"{to_major(amount, minor_units(currency)):,}"
