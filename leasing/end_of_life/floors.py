"""The least that is to be recovered from batteries, by regime and day, and what a certificate says
against it.

China: the industry conditions for recyclers of traction batteries (综合利用行业规范条件). The 2024
edition (MIIT 2024 No. 42, in force 2025-01-01) asks for lithium 90 %, and nickel, cobalt and
manganese 98 %. The 2019 edition asked for lithium 85 %; that it asked for 98 % of the others, and
when it came into force, is from memory. The conditions are advisory: a batch below them is marked,
not refused.

European Union: Annex XII of Regulation (EU) 2023/1542. Recycling efficiency of lithium-based
batteries by average weight: 65 % by 2025-12-31, 70 % by 2030-12-31. Recovery: cobalt, copper,
nickel 90 % and lithium 50 % by 2027-12-31; 95 % and 80 % by 2031-12-31. The Union judges a plant
by its year (Delegated Regulation (EU) 2025/606); for one batch the verdict is a hint. Manganese has
no floor there.

A floor "by" a day holds from that day on, and until the next one.
"""

from collections.abc import Iterable, Mapping
from datetime import date
from decimal import ROUND_HALF_UP, Decimal

from schemas.recovery import FloorResult, FloorVerdict, FloorView, Metal, Regime

CONDITIONS_2019 = "MIIT 2019 No. 59, industry conditions, 2019 edition"
CONDITIONS_2024 = "MIIT 2024 No. 42, industry conditions, 2024 edition"
ANNEX_XII = "Regulation (EU) 2023/1542, Annex XII"

FROM_2020, FROM_2025 = date(2020, 1, 1), date(2025, 1, 1)

THE_THREE = (Metal.NI, Metal.CO, Metal.MN, Metal.NICKEL_COBALT_MANGANESE)


def china(
    metals: Iterable[Metal], percent: int, valid_from: date, valid_to: date | None, source: str
) -> list[FloorView]:
    return [
        FloorView(
            regime=Regime.CHINA,
            metal=metal,
            percent=Decimal(percent),
            valid_from=valid_from,
            valid_to=valid_to,
            source=source,
        )
        for metal in metals
    ]


def union(metal: Metal | None, percent: int, valid_from: date, valid_to: date | None) -> FloorView:
    part = "part B" if metal is None else "part C"
    return FloorView(
        regime=Regime.EU,
        metal=metal,
        percent=Decimal(percent),
        valid_from=valid_from,
        valid_to=valid_to,
        source=f"{ANNEX_XII}, {part}",
    )


END_2025, END_2027 = date(2025, 12, 31), date(2027, 12, 31)
END_2030, END_2031 = date(2030, 12, 31), date(2031, 12, 31)

FLOORS: tuple[FloorView, ...] = (
    *china([Metal.LI], 85, FROM_2020, FROM_2025, CONDITIONS_2019),
    *china(THE_THREE, 98, FROM_2020, FROM_2025, CONDITIONS_2019),
    *china([Metal.LI], 90, FROM_2025, None, CONDITIONS_2024),
    *china(THE_THREE, 98, FROM_2025, None, CONDITIONS_2024),
    union(None, 65, END_2025, END_2030),
    union(None, 70, END_2030, None),
    *(union(metal, 90, END_2027, END_2031) for metal in (Metal.CO, Metal.CU, Metal.NI)),
    union(Metal.LI, 50, END_2027, END_2031),
    *(union(metal, 95, END_2031, None) for metal in (Metal.CO, Metal.CU, Metal.NI)),
    union(Metal.LI, 80, END_2031, None),
)


def floors_on(on: date) -> list[FloorView]:
    """The floors that hold on a day."""
    return [
        floor
        for floor in FLOORS
        if floor.valid_from <= on and (floor.valid_to is None or on < floor.valid_to)
    ]


def judge(
    rates: Mapping[Metal, Decimal], efficiency_percent: Decimal | None, on: date
) -> list[FloorVerdict]:
    """What was recovered, in percent, against every floor of the day it was recycled. A metal of
    which nothing was reported is neither met nor below: LFP holds no nickel."""
    verdicts = []
    for floor in floors_on(on):
        reported = efficiency_percent if floor.metal is None else rates.get(floor.metal)
        if reported is None:
            verdict = FloorResult.NOT_REPORTED
        else:
            verdict = FloorResult.BELOW if reported < floor.percent else FloorResult.MET
        verdicts.append(
            FloorVerdict(
                regime=floor.regime,
                metal=floor.metal,
                floor_percent=floor.percent,
                reported_percent=reported,
                verdict=verdict,
                source=floor.source,
            )
        )
    return verdicts


def is_below(verdicts: Iterable[FloorVerdict], regime: Regime) -> bool:
    return any(one.regime is regime and one.verdict is FloorResult.BELOW for one in verdicts)


def percent_of_mass(part_kg: Decimal, whole_kg: Decimal) -> Decimal:
    """A part of a mass in percent, to two decimals, a half up.

    >>> percent_of_mass(Decimal(2), Decimal(3))
    Decimal('66.67')
    """
    return (100 * part_kg / whole_kg).quantize(Decimal("0.01"), ROUND_HALF_UP)
