"""China's prefecture-level divisions, and how far two points are apart.

Take-back duties are counted by division: a carmaker needs an outlet in every prefecture-level
city where it sells, a battery maker one per province. The table has the 333 prefecture-level
divisions of the mainland's 27 provinces and autonomous regions, and the four municipalities
directly under the central government, which have no prefectures but are counted beside them.
Where it comes from and what was corrected: SOURCE.md in this folder.

A handful of counties report straight to their province (Jiyuan 419001, Xiantao 429004,
Shihezi 659001, Wenchang 469005 …). They belong to no prefecture and are not listed.
"""

import csv
from functools import cache
from importlib.resources import files
from math import asin, cos, radians, sin, sqrt
from typing import Literal

import msgspec

Kind = Literal["city", "autonomous_prefecture", "prefecture", "league", "municipality"]

# The package does not name its datum; its points equal those of a Chinese map service, which
# uses GCJ-02, some 500 m off WGS 84. That does not matter between cities, and forbids routing.
DATUM = "GCJ-02"

# Mean radius R1 of the earth: (2a + b) / 3 of the GRS 80 and WGS 84 ellipsoids, IUGG 1980.
EARTH_RADIUS_KM = 6371.0088

# Codes still found in older data, and what became of the division.
SUPERSEDED = {
    "371200": ("370100", "Laiwu was merged into Jinan in 2019"),
    "542400": ("540600", "Nagqu Prefecture became Nagqu City in 2018"),
}


class Prefecture(msgspec.Struct, frozen=True):
    """One division. Codes are text: GB/T 2260 digits are read in pairs, never added up."""

    adcode: str
    province_adcode: str
    kind: Kind
    name_zh: str
    name_en: str
    province_zh: str
    province_en: str
    longitude: float
    latitude: float


class UnknownPrefectureError(LookupError):
    """No prefecture-level division has this code."""

    code = "unknown_prefecture"

    def __init__(self, adcode: str) -> None:
        super().__init__(adcode)
        self.adcode = adcode

    def __str__(self) -> str:
        message = f"{self.adcode!r} is not the code of a prefecture-level division"
        if self.adcode in SUPERSEDED:
            successor, reason = SUPERSEDED[self.adcode]
            message += f": {reason}, use {successor}"
        return message


@cache
def prefectures() -> tuple[Prefecture, ...]:
    """All 337 in the order of their codes, read once."""
    text = files(__package__).joinpath("prefectures.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    return tuple(msgspec.convert(row, Prefecture, strict=False) for row in rows)


@cache
def _by_adcode() -> dict[str, Prefecture]:
    return {p.adcode: p for p in prefectures()}


def prefecture(adcode: str) -> Prefecture:
    """The division with this six-digit code."""
    try:
        return _by_adcode()[adcode]
    except KeyError:
        raise UnknownPrefectureError(adcode) from None


def distance_km(lon1: float, lat1: float, lon2: float, lat2: float) -> float:
    """Great-circle distance by the haversine formula, degrees in, kilometres out.

    The haversine keeps its precision for near points, where the cosine rule loses it. A sphere
    is up to 0.5 % off the ellipsoid: enough to rank outlets, too little to bill freight.
    """
    phi1, phi2 = radians(lat1), radians(lat2)
    h = sin((phi2 - phi1) / 2) ** 2 + cos(phi1) * cos(phi2) * sin(radians(lon2 - lon1) / 2) ** 2
    # Rounding can carry h a hair over 1 for antipodes, where asin is no longer defined.
    return 2 * EARTH_RADIUS_KM * asin(sqrt(min(1.0, h)))
