"""A network of outlets the size of the announced one, generated.

On 2022-08-31 the ministry counted 10,235 recycling service outlets (回收服务网点) in 326
prefecture-level units of all 31 provinces, and 45 backbone recyclers. The list itself was never
published as data, so tests and demonstrations need one of the same size and shape. Nothing in it
is real but the names and points of the divisions: outlets and recyclers say "示例" and
"Generated" in their names, documents begin with GENERATED, and the credit codes carry the word
EXAMPL where a firm has its organisation code.

The same arguments give the same network on every Python from 3.11: `random.Random.random` is
the one method whose sequence the language guarantees for a seed, so all choices are made from
it, shares are integers, and nothing is drawn from a set. Points are rounded to 1e-5 degrees,
about a metre, far above what the sine functions of two platforms differ by.

Outlet kinds and their limits are those of the 2019 guide for outlets (MIIT 2019 No. 46): it is
repealed since 2026-04-01, and still the only source with numbers.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from math import cos, pi, radians, sin, sqrt
from random import Random
from typing import Literal, TypeVar

import msgspec

from leasing.kit.money import allocate
from leasing.parties.credit_code import check_character, organisation_check_character
from leasing.regions.model import Prefecture, distance_km, prefectures

OutletKind = Literal["collecting", "concentrated"]
HazardClass = Literal["intact", "damaged", "critical"]
QualificationKind = Literal["filing", "eia", "discharge_permit", "listing"]

NOTE = "generated: same totals as the 2022 announcement, no outlet or recycler in it is real"
DEFAULT_SEED = 20220831

OUTLETS = 10_235
UNITS = 326
RECYCLERS = 45
# The announcement does not split the outlets by kind; 87 % collecting is an assumption.
CONCENTRATED_OUTLETS = 1_331

# 收集型 may hold 5 t at most, 集中贮存型 is built for 30 t at least.
COLLECTING_LIMITS_KG = (3_000, 5_000)
CONCENTRATED_LIMITS_KG = (30_000, 120_000)

# The announcement gives only the count: 326 of 337. Which eleven had no outlet is not said;
# these are remote, thinly settled or, in the case of Sansha, islands.
WITHOUT_OUTLETS = (
    "152900",  # Alxa League
    "232700",  # Da Hinggan Ling Prefecture
    "460300",  # Sansha
    "513300",  # Garze
    "533300",  # Nujiang
    "540300",  # Qamdo
    "540600",  # Nagqu
    "542500",  # Ngari Prefecture
    "632600",  # Golog
    "632700",  # Yushu
    "653000",  # Kizilsu
)

# No population table is shipped. Outlets follow the cars sold, and cars follow big cities, so
# each unit gets a weight by its rank, which is an assumption and documented as one:
# municipality 100, sub-provincial city 50, other provincial capital 40, city of a coastal
# province 16, other city 10, city of Tibet or Qinghai 3, everything that is no city 3.
SUB_PROVINCIAL = (
    *("210100", "210200", "220100", "230100", "320100", "330100", "330200", "350200"),
    *("370100", "370200", "420100", "440100", "440300", "510100", "610100"),
)
OTHER_CAPITALS = (
    *("130100", "140100", "150100", "340100", "350100", "360100", "410100", "430100", "450100"),
    *("460100", "520100", "530100", "540100", "620100", "630100", "640100", "650100"),
)
COASTAL_PROVINCES = ("130000", "320000", "330000", "350000", "370000", "440000")
SPARSE_PROVINCES = ("540000", "630000")
HOME_WEIGHT = 16

SCATTER_KM = 40.0
KM_PER_DEGREE = 111.195  # of a great circle on the sphere that distance_km uses

# Recyclers whose papers are not in order, by index, so that refusals can be shown: what lapsed
# and how many days after `as_of` its validity ends (half-open: on that day it is gone).
LAPSES: dict[int, tuple[QualificationKind, int]] = {
    6: ("discharge_permit", -40),
    18: ("discharge_permit", 20),
    30: ("listing", -95),
    39: ("listing", 45),
}
# A pollutant discharge permit runs five years; filing, EIA approval and listing have no end of
# their own and last until they are withdrawn.
DISCHARGE_PERMIT_DAYS = 1_826

T = TypeVar("T")


class GeneratedQualification(msgspec.Struct, frozen=True):
    """Evidence that a recycler may treat batteries, valid in [valid_from, valid_to).

    Filing of the investment, approval of the environmental impact assessment (EIA) and
    discharge permit are the hard gate of Order 73, Article 18; the listing is advisory.
    """

    kind: QualificationKind
    document: str
    valid_from: date
    valid_to: date | None


class GeneratedRecycler(msgspec.Struct, frozen=True):
    name_zh: str
    name_en: str
    home_adcode: str
    credit_code: str
    qualifications: tuple[GeneratedQualification, ...]


class GeneratedOutlet(msgspec.Struct, frozen=True):
    """One outlet. `recycler` is an index into the network's recyclers.

    Chemistries are letters of GB/T 34014, in order. Longitude and latitude are in the datum of
    the divisions table.
    """

    code: str
    name_zh: str
    name_en: str
    kind: OutletKind
    adcode: str
    longitude: float
    latitude: float
    store_limit_kg: int
    chemistries: tuple[str, ...]
    hazard_classes: tuple[HazardClass, ...]
    recycler: int


class Network(msgspec.Struct, frozen=True):
    note: str
    seed: int
    as_of: date
    recyclers: tuple[GeneratedRecycler, ...]
    outlets: tuple[GeneratedOutlet, ...]


def generate(as_of: date, seed: int = DEFAULT_SEED) -> Network:
    """The whole network; `as_of` only moves the dates of the recyclers' papers."""
    random = Random(seed)
    units = covered_units()
    weights = [weight(unit) for unit in units]
    counts = _outlets_per_unit(random, weights)
    concentrated = allocate(CONCENTRATED_OUTLETS, counts)
    homes = _homes(random, units, weights)
    recyclers = tuple(_recycler(random, i, home, as_of) for i, home in enumerate(homes))
    outlets: list[GeneratedOutlet] = []
    for unit, count, large in zip(units, counts, concentrated, strict=True):
        outlets += _outlets(random, unit, count, large, homes)
    return Network(NOTE, seed, as_of, recyclers, tuple(outlets))


def covered_units() -> tuple[Prefecture, ...]:
    return tuple(p for p in prefectures() if p.adcode not in WITHOUT_OUTLETS)


def weight(unit: Prefecture) -> int:
    if unit.kind == "municipality":
        return 100
    if unit.adcode in SUB_PROVINCIAL:
        return 50
    if unit.adcode in OTHER_CAPITALS:
        return 40
    if unit.kind != "city" or unit.province_adcode in SPARSE_PROVINCES:
        return 3
    return 16 if unit.province_adcode in COASTAL_PROVINCES else 10


def _outlets_per_unit(random: Random, weights: Sequence[int]) -> list[int]:
    """At least one for each unit, the rest by weight, give or take 30 %."""
    swayed = [w * _between(random, 700, 1_300) for w in weights]
    return [1 + n for n in allocate(OUTLETS - len(weights), swayed)]


def _homes(random: Random, units: Sequence[Prefecture], weights: Sequence[int]) -> list[Prefecture]:
    """Where the recyclers sit: one in each province, the others in the larger cities."""
    homes: list[Prefecture] = []
    for province in dict.fromkeys(unit.province_adcode for unit in units):
        local = [unit for unit in units if unit.province_adcode == province]
        local.sort(key=lambda unit: (-weight(unit), unit.adcode))
        homes.append(_pick(random, local[:4]))
    large = [u for u, w in zip(units, weights, strict=True) if w >= HOME_WEIGHT and u not in homes]
    for _ in range(RECYCLERS - len(homes)):
        homes.append(large.pop(_between(random, 0, len(large) - 1)))
    return sorted(homes, key=lambda unit: unit.adcode)


def _recycler(random: Random, index: int, home: Prefecture, as_of: date) -> GeneratedRecycler:
    number = index + 1
    organisation = f"EXAMPL{number:02d}"
    first17 = f"91{home.adcode}{organisation}{organisation_check_character(organisation)}"
    return GeneratedRecycler(
        name_zh=f"示例再生利用企业 {number:02d}",
        name_en=f"Generated recycler {number:02d}",
        home_adcode=home.adcode,
        credit_code=first17 + check_character(first17),
        qualifications=_qualifications(random, index, as_of),
    )


def _qualifications(random: Random, index: int, as_of: date) -> tuple[GeneratedQualification, ...]:
    """Papers in the order in which a plant gets them; in LAPSES one of them ends."""
    permit_from = as_of - timedelta(days=_between(random, 200, 1_400))
    lapsing, ends_in_days = LAPSES.get(index, (None, 0))
    if lapsing == "discharge_permit":
        permit_from = as_of + timedelta(days=ends_in_days - DISCHARGE_PERMIT_DAYS)
    eia_from = permit_from - timedelta(days=_between(random, 150, 500))
    filing_from = eia_from - timedelta(days=_between(random, 60, 300))
    listing_from = permit_from + timedelta(days=_between(random, 20, 90))
    ends = {"discharge_permit": permit_from + timedelta(days=DISCHARGE_PERMIT_DAYS)}
    if lapsing is not None:
        ends[lapsing] = as_of + timedelta(days=ends_in_days)
    starts: dict[QualificationKind, date] = {
        "filing": filing_from,
        "eia": eia_from,
        "discharge_permit": permit_from,
        "listing": listing_from,
    }
    return tuple(
        GeneratedQualification(kind, f"GENERATED-{kind}-{index + 1:02d}", start, ends.get(kind))
        for kind, start in starts.items()
    )


def _outlets(
    random: Random, unit: Prefecture, count: int, concentrated: int, homes: Sequence[Prefecture]
) -> list[GeneratedOutlet]:
    radius = _scatter_radius_km(unit)
    order = sorted(range(len(homes)), key=lambda i: (_distance(unit, homes[i]), i))
    outlets = []
    for number in range(1, count + 1):
        kind: OutletKind = "concentrated" if number <= concentrated else "collecting"
        # The first outlet of a recycler's own city is always its own, so none goes without.
        recycler = order[0] if number == 1 else _near(random, order)
        outlets.append(_outlet(random, unit, number, kind, radius, recycler))
    return outlets


def _outlet(
    random: Random,
    unit: Prefecture,
    number: int,
    kind: OutletKind,
    radius_km: float,
    recycler: int,
) -> GeneratedOutlet:
    longitude, latitude = _scatter(random, unit, radius_km)
    limits = COLLECTING_LIMITS_KG if kind == "collecting" else CONCENTRATED_LIMITS_KG
    code = f"{unit.adcode[:4]}-{number:04d}"
    return GeneratedOutlet(
        code=code,
        name_zh=f"示例回收服务网点 {unit.name_zh} {code}",
        name_en=f"Generated outlet {unit.name_en} {code}",
        kind=kind,
        adcode=unit.adcode,
        longitude=longitude,
        latitude=latitude,
        # Limits are written on signs, and signs have round numbers.
        store_limit_kg=_between(random, limits[0] // 500, limits[1] // 500) * 500,
        chemistries=_chemistries(random),
        hazard_classes=_hazard_classes(random, kind),
        recycler=recycler,
    )


def _chemistries(random: Random) -> tuple[str, ...]:
    """Nearly all take LFP (B) and ternary (E), some also LMO (C), NiMH (A) and others (Z)."""
    roll = random.random()
    if roll < 0.70:
        return ("B", "E")
    if roll < 0.80:
        return ("B",)
    if roll < 0.85:
        return ("E",)
    return ("B", "C", "E") if roll < 0.95 else ("A", "B", "C", "E", "Z")


def _hazard_classes(random: Random, kind: OutletKind) -> tuple[HazardClass, ...]:
    """Damaged packs need the fire safety of a concentrated site, critical ones a rare one."""
    roll = random.random()
    if kind == "collecting" or roll < 0.35:
        return ("intact",)
    return ("intact", "damaged") if roll < 0.92 else ("intact", "damaged", "critical")


def _near(random: Random, order: Sequence[int]) -> int:
    """Mostly the nearest recycler, sometimes the second or third: contracts are not geometry."""
    roll = random.random()
    return order[0 if roll < 0.80 else 1 if roll < 0.95 else 2]


def _scatter_radius_km(unit: Prefecture) -> float:
    """Less than half way to the next centre, so every outlet is nearest to its own."""
    nearest = min(_distance(unit, other) for other in prefectures() if other is not unit)
    return min(SCATTER_KM, 0.49 * nearest)


def _scatter(random: Random, unit: Prefecture, radius_km: float) -> tuple[float, float]:
    """A point of the disc around the centre. It may fall into a lake: it is not an address."""
    r = radius_km * sqrt(random.random()) / KM_PER_DEGREE
    angle = 2 * pi * random.random()
    longitude = unit.longitude + r * cos(angle) / cos(radians(unit.latitude))
    return round(longitude, 5), round(unit.latitude + r * sin(angle), 5)


def _distance(a: Prefecture, b: Prefecture) -> float:
    return distance_km(a.longitude, a.latitude, b.longitude, b.latitude)


def _between(random: Random, low: int, high: int) -> int:
    """A whole number, both ends included. `randint` may change from one Python to the next."""
    return low + int(random.random() * (high - low + 1))


def _pick(random: Random, options: Sequence[T]) -> T:
    return options[_between(random, 0, len(options) - 1)]
