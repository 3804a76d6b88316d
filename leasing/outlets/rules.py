"""What an outlet may store, and what the counts of a network say."""

from datetime import date
from typing import Any

import msgspec

from leasing.kit.errors import FieldError
from leasing.outlets.model import LimitAgainstRule
from schemas.outlets import OutletKind

ANNOUNCED = {"outlets": 10_235, "prefectures": 326, "provinces": 31}
"""Counted by the ministry on 2022-08-31; see `generator`."""

GENERATED_NOTE = (
    "{generated:,} of the {outlets:,} outlets are generated, with the totals that were announced "
    "on 2022-08-31; none of them is real"
)
REAL_NOTE = "all {outlets:,} outlets were entered; none is generated"
EMPTY_NOTE = "there is no outlet yet"


class LimitRule(msgspec.Struct, frozen=True):
    """What the law says of outlets of a kind in `[valid_from, valid_to)`, in kilograms."""

    kind: OutletKind
    valid_from: date
    valid_to: date | None
    default_kg: int
    """What an outlet gets that names no limit."""
    least_kg: int | None
    most_kg: int | None
    document: str


GUIDE = "工信部公告 2019 年第 46 号"
AFTER_GUIDE = f"{GUIDE},2026-04-01 废止,数值沿用为默认值"
REPEALED_ON = date(2026, 4, 1)
"""Order No. 73 came into force and the guide was repealed. No other numbers were given, so the old
ones stay as what is taken when nothing is said, and bind nobody."""

LIMIT_RULES = (
    LimitRule(OutletKind.COLLECTING, date(2019, 11, 1), REPEALED_ON, 5_000, None, 5_000, GUIDE),
    LimitRule(OutletKind.CONCENTRATED, date(2019, 11, 1), REPEALED_ON, 30_000, 30_000, None, GUIDE),
    LimitRule(OutletKind.COLLECTING, REPEALED_ON, None, 5_000, None, None, AFTER_GUIDE),
    LimitRule(OutletKind.CONCENTRATED, REPEALED_ON, None, 30_000, None, None, AFTER_GUIDE),
)


def limit_rule(kind: OutletKind, on: date) -> LimitRule | None:
    """The rule of a day; None before there was one."""
    return next(
        (
            rule
            for rule in LIMIT_RULES
            if rule.kind == kind
            and rule.valid_from <= on
            and (rule.valid_to is None or on < rule.valid_to)
        ),
        None,
    )


def first_limit_kg(kind: OutletKind, wanted_kg: int | None, on: date) -> int:
    """The limit that an outlet entered on a day begins with. Raises `LimitAgainstRule`."""
    if wanted_kg is not None:
        refuse_against_rule(kind, wanted_kg, on, "store_limit_kg")
        return wanted_kg
    rule = limit_rule(kind, on) or next(one for one in LIMIT_RULES if one.kind == kind)
    return rule.default_kg


def refuse_against_rule(kind: OutletKind, limit_kg: int, on: date, field: str) -> None:
    """Raise `LimitAgainstRule` when the rule in force on the limit's first day forbids it."""
    rule = limit_rule(kind, on)
    if rule is None:
        return
    reason = None
    if rule.most_kg is not None and limit_kg > rule.most_kg:
        reason = f"a {kind} outlet stores {rule.most_kg:,} kg at most on {on}"
    if rule.least_kg is not None and limit_kg < rule.least_kg:
        reason = f"a {kind} outlet can store {rule.least_kg:,} kg at least on {on}"
    if reason is not None:
        fault = FieldError(f"/{field}", "against_rule", f"{reason} ({rule.document})")
        raise LimitAgainstRule(fault.message, fields=[fault])


def note(counts: dict[str, Any]) -> str:
    """Says how much of a network is generated; never leaves it out."""
    text = GENERATED_NOTE if counts["generated"] else REAL_NOTE if counts["outlets"] else EMPTY_NOTE
    return text.format_map(counts)
