"""What a sheet must answer, and what may become of a pack by the rules of a day.

Rules are data with days. The law: since 2026-04-01 Order No. 73, whose Art. 22 keeps retired
traction batteries out of e-bikes and asks that a reprocessed product meets the standard of its new
use; before that the measures of 2018 (No. 43) and 2021 (No. 114). From which health on a pack may
be leased again is no law: the figures of the standards (GB/T 34015.3) were not to be had, so the
bands are the lessor's, entered by days, and the defaults are the trade's usual ones.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from leasing.kit.errors import FieldError
from leasing.kit.money import half_up
from leasing.returns.model import BadSheet, Band, Found, Offer
from schemas.contracts import PermittedUse
from schemas.outlets import Hazard
from schemas.packs import PackState
from schemas.returns import (
    Assumptions,
    CheckAnswer,
    CheckItem,
    Decision,
    DispositionOption,
    FormToFill,
    HazardFound,
    OptionPart,
    OptionReason,
    Sheet,
    TransportAnswer,
)

# Sheets


def travels_as(found: HazardFound) -> Hazard:
    """The class in which a pack is moved: what nobody could judge is the worst.

    >>> travels_as(HazardFound.UNKNOWN)
    <Hazard.CRITICAL: 'critical'>
    """
    return Hazard.CRITICAL if found is HazardFound.UNKNOWN else Hazard(found)


def refuse_bad_sheet(form: FormToFill, sheet: Sheet) -> None:
    """Raise `BadSheet`, with every fault at once, unless each item of the form is answered once
    and nothing else is."""
    if sheet.form_id != form.form_id:
        message = f"the form of that day is {form.form_id or 'the default, which has no id'}"
        raise BadSheet(message, fields=[FieldError("/sheet/form_id", "other_form", message)])
    faults = [
        *faults_of("/sheet/checks", form.checks, sheet.checks),
        *faults_of("/sheet/transport_checks", form.transport_checks, sheet.transport_checks),
    ]
    if faults:
        raise BadSheet("; ".join(fault.message for fault in faults), fields=faults)


def faults_of(
    pointer: str, items: Sequence[CheckItem], answers: Sequence[CheckAnswer | TransportAnswer]
) -> list[FieldError]:
    asked = {item.code for item in items}
    given = Counter(answer.code for answer in answers)
    missing = [code for code in sorted(asked) if code not in given]
    faults = [FieldError(pointer, "missing", f"{code} is not answered") for code in missing]
    for i, answer in enumerate(answers):
        at = f"{pointer}/{i}/code"
        if answer.code not in asked:
            faults.append(FieldError(at, "not_asked", f"the form does not ask {answer.code}"))
        elif given[answer.code] > 1:
            faults.append(FieldError(at, "twice", f"{answer.code} is answered twice"))
    return faults


def transport_passed(sheet: Sheet) -> bool:
    """Whether a pack may be packed for ordinary transport: one yes fails."""
    return not any(answer.yes for answer in sheet.transport_checks)


# The rules of a day


class Law(NamedTuple):
    """An instrument between two days."""

    from_on: date
    to_on: date | None
    name: str
    release: str
    """The article by which packs are used again."""
    waste: str
    """The article by which they are handed over."""


LAWS = (
    Law(
        date(2018, 8, 1),
        date(2021, 9, 1),
        "工信部联节〔2018〕43号 (2018 interim measures)",
        "No. 43 of 2018 (the articles were not read)",
        "No. 43 of 2018 (the articles were not read)",
    ),
    Law(
        date(2021, 9, 1),
        date(2026, 4, 1),
        "工信部联节〔2018〕43号 and 〔2021〕114号 (2018 and 2021 measures)",
        "No. 114 of 2021, cascade use measures",
        "No. 43 of 2018, No. 114 of 2021",
    ),
    Law(
        date(2026, 4, 1),
        None,
        "Order No. 73 of 2025 (six ministries)",
        "Order No. 73, Art. 22",
        "Order No. 73, Art. 18 and 19",
    ),
)


class Prohibition(NamedTuple):
    """A use that is closed to retired traction batteries between two days."""

    use: PermittedUse
    from_on: date
    to_on: date | None
    rule: str


PROHIBITIONS = (
    Prohibition(PermittedUse.E_BIKE, date(2024, 11, 1), date(2026, 4, 1), "GB 43854-2024"),
    Prohibition(PermittedUse.E_BIKE, date(2026, 4, 1), None, "Order No. 73, Art. 22"),
)

PRACTICE = "the trade's usual bands; not a standard (GB/T 34015.3-2021 was not read)"
STATIONARY = Band(Decimal(60), Decimal(40), PRACTICE)
DRIVING = Band(Decimal(80), Decimal(60), PRACTICE)
DEFAULT_BANDS = {
    PermittedUse.TELECOM_BACKUP: STATIONARY,
    PermittedUse.STATIONARY_STORAGE: STATIONARY,
    PermittedUse.LOGISTICS_VEHICLE: DRIVING,
    PermittedUse.FORKLIFT: DRIVING,
    PermittedUse.BUS: DRIVING,
    PermittedUse.E_BIKE: DRIVING,
}
"""Where nothing was entered for a use and a day."""

HAZARD_RULE = "ADR SP 376, and the lessor's own rule: what is damaged is not leased"
QUARANTINE_RULE = "the lessor's own rule: what is in quarantine is not handed over"
BURNT_RULE = "the lessor's own rule: what has burnt is waste"


def law_on(on: date) -> Law:
    """The instrument that holds on a day; the first one for days before."""
    return next((law for law in reversed(LAWS) if law.from_on <= on), LAWS[0])


def prohibition(use: PermittedUse, on: date) -> Prohibition | None:
    """What closes a use on a day.

    >>> prohibition(PermittedUse.E_BIKE, date(2026, 4, 1)).rule
    'Order No. 73, Art. 22'
    >>> prohibition(PermittedUse.E_BIKE, date(2024, 10, 31)) is None
    True
    """
    return next(
        (
            one
            for one in PROHIBITIONS
            if one.use is use and one.from_on <= on and (one.to_on is None or on < one.to_on)
        ),
        None,
    )


def health_percent(pack: Found) -> Decimal | None:
    """Tested over rated capacity, rounded down to a hundredth so that no pack is rounded into a
    band."""
    if pack.tested_capacity_mah is None:
        return None
    return Decimal(pack.tested_capacity_mah * 10_000 // pack.rated_capacity_mah) / 100


def usable_wh(pack: Found) -> int | None:
    """Tested capacity times rated voltage, in Wh, rounded down."""
    if pack.tested_capacity_mah is None:
        return None
    return pack.tested_capacity_mah * pack.rated_voltage_mv // 1_000_000


# Options


def options(
    pack: Found, band: Band, offers: Sequence[Offer], given: Assumptions, on: date
) -> list[DispositionOption]:
    """Every way there is, with what forbids it and what it is worth."""
    best = {offer.disposition: offer for offer in offers}
    rent = rent_parts(pack, given)
    return [
        option(Decision.RELEASE, against_release(pack, band, given, on), *rent),
        option(Decision.REPAIR, against_repair(pack, band, on), *repair_parts(given, rent[0])),
        *(
            option(waste, [], *scrap_parts(pack, best.get(waste)))
            for waste in (Decision.DISMANTLE, Decision.RECYCLE)
        ),
    ]


def option(
    decision: Decision, reasons: list[OptionReason], parts: list[OptionPart], why_not: str | None
) -> DispositionOption:
    return DispositionOption(
        decision=decision,
        admissible=not reasons,
        reasons=reasons,
        amount=None if why_not else sum(part.amount for part in parts),
        parts=[] if why_not else parts,
        no_amount_because=why_not,
    )


def against_release(pack: Found, band: Band, given: Assumptions, on: date) -> list[OptionReason]:
    reasons = remains(pack)
    closed = prohibition(given.permitted_use, on)
    if closed is not None:
        reasons.append(
            OptionReason(
                code="USE_PROHIBITED",
                en=f"retired traction batteries may not be used as {given.permitted_use}",
                zh="退役动力电池不得用于该领域(如电动自行车)",
                rule=closed.rule,
            )
        )
    if pack.quarantined:
        reasons.append(
            OptionReason(
                code="QUARANTINED",
                en="the pack is in quarantine until it is released after an inspection",
                zh="电池包处于隔离状态",
                rule=QUARANTINE_RULE,
            )
        )
    if pack.hazard is not Hazard.INTACT:
        reasons.append(
            OptionReason(
                code="HAZARD",
                en=f"the pack travels as {pack.hazard}",
                zh="电池包非完好状态",
                rule=HAZARD_RULE,
            )
        )
    return reasons + outside(pack, band.release_from_percent, band, law_on(on).release)


def against_repair(pack: Found, band: Band, on: date) -> list[OptionReason]:
    reasons = remains(pack)
    if pack.hazard is Hazard.CRITICAL:
        reasons.append(
            OptionReason(
                code="HAZARD",
                en="the pack is liable to react dangerously, or nobody knows",
                zh="电池包可能发生危险反应或状态不明",
                rule=HAZARD_RULE,
            )
        )
    return reasons + outside(pack, band.repair_from_percent, band, law_on(on).release)


def remains(pack: Found) -> list[OptionReason]:
    if pack.state is not PackState.BURNT:
        return []
    return [OptionReason(code="BURNT", en="the pack has burnt", zh="电池包已烧毁", rule=BURNT_RULE)]


def outside(pack: Found, least: Decimal, band: Band, article: str) -> list[OptionReason]:
    health = health_percent(pack)
    if health is None:
        return [
            OptionReason(
                code="HEALTH_UNKNOWN",
                en="its capacity was not tested, so that it cannot be shown to meet its new use",
                zh="未测容量,无法证明满足新用途要求",
                rule=article,
            )
        ]
    if health >= least:
        return []
    return [
        OptionReason(
            code="HEALTH_BELOW_BAND",
            en=f"its health is {health} %, and {least} % are asked for",
            zh=f"健康度 {health} %,低于 {least} %",
            rule=band.source,
        )
    ]


Parts = tuple[list[OptionPart], str | None]
"""Terms of a worth, or why there is none."""


def rent_parts(pack: Found, given: Assumptions) -> Parts:
    usable = usable_wh(pack)
    if usable is None:
        return [], "the capacity was not tested"
    rate, months = given.rent_per_kwh_month_amount, given.rent_months
    if rate is None or months is None:
        return [], "no rent for a usable kWh and month was stated"
    amount = half_up(Fraction(usable * rate * months, 1000))
    how = f"{usable} Wh × {rate} fen/kWh × {months} months"
    return [OptionPart(code="rent", amount=amount, how=how)], None


def repair_parts(given: Assumptions, rent: list[OptionPart]) -> Parts:
    if given.repair_cost_amount is None:
        return [], "no cost of the repair was entered"
    if not rent:
        return [], "the rent afterwards is not known"
    cost = OptionPart(code="repair", amount=-given.repair_cost_amount, how="as entered")
    return [cost, *rent], None


def scrap_parts(pack: Found, offer: Offer | None) -> Parts:
    if offer is None:
        return [], f"nobody offers anything for chemistry {pack.chemistry} that day"
    amount = half_up(Fraction(offer.cny_per_kg) * 100 * pack.mass_kg)
    how = f"{offer.cny_per_kg} CNY/kg × {pack.mass_kg} kg ({offer.recycler}; {offer.source})"
    return [OptionPart(code="offer", amount=amount, how=how)], None


LADDER = (Decision.RELEASE, Decision.RECYCLE, Decision.DISMANTLE, Decision.REPAIR)
"""The order among equals: use before recycling, and no repair that is worth no more than none."""


def proposal(found: Sequence[DispositionOption]) -> tuple[Decision, str]:
    """Another lease while nobody priced it; else the admissible way that is worth most. Waste that
    nobody offers anything for counts as nothing, and a repair that nobody priced is not proposed.
    Recycling is always admissible, so there is one."""
    open_ = {one.decision: one.amount for one in found if one.admissible}
    if Decision.RELEASE in open_ and open_[Decision.RELEASE] is None:
        return Decision.RELEASE, "use comes before recycling, and another lease has no price yet"
    if open_.get(Decision.REPAIR, 0) is None:
        del open_[Decision.REPAIR]
    best = max(LADDER, key=lambda one: (one in open_, open_.get(one) or 0, -LADDER.index(one)))
    return best, "worth most of what is admissible; waste without an offer counts as nothing"
