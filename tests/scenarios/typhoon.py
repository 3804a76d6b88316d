"""What the story of the typhoon stands on: a coast of 500 sites on lease, what the storm did to
each pack, and checks of the end that share no code with what they check."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from math import asin, cos, radians, sin, sqrt
from typing import Any

from bench import waste
from leasing.db.pool import Connection, Database
from leasing.regions.model import prefectures
from tests import build
from tests.build import Json, World

LEASED_ON = date(2026, 9, 1)
SITES = 500

FULL = (
    *("440400", "440700", "440800", "440900", "441700", "442000"),  # Guangdong
    *("450500", "450600", "450700"),  # Guangxi
    *("460100", "460200", "460400"),  # Hainan
)
"""Twelve prefectures in which no outlet has room for another kilogram."""
BESIDE = ("440100", "440600", "445300", "450100")
"""Four behind them that were struck as well, where outlets have some."""
ISLAND = "460000"
"""Hainan: while the strait is closed its waste stays there."""


@dataclass(frozen=True)
class Fate:
    """What the storm left of a pack."""

    gone: str = ""
    """`missing` or `burnt` in place of a joint test."""
    capacity_mah: int = 55_000
    grade: str = "D"
    hazard: str = "intact"
    fails: tuple[str, ...] = ()
    """What of the transport check speaks against packing it."""
    treated: bool = False
    decision: str = "recycle"


WORN = Fate()
SOUND = Fate(capacity_mah=88_000, grade="A", decision="release")
MISSING = Fate(gone="missing", decision="")
BURNT = Fate(gone="burnt", hazard="critical")
DENTED = Fate(hazard="damaged")
HOT = Fate(hazard="critical")
LEAKS = Fate(hazard="damaged", fails=("leaks",))
WET = Fate(hazard="damaged", fails=("water", "voltage_abnormal"), treated=True)

OF_THIRTY = {
    **dict.fromkeys((1, 5, 9, 15, 21, 25), SOUND),
    7: MISSING,
    11: BURNT,
    **dict.fromkeys((3, 13, 23), DENTED),
    19: HOT,
    17: LEAKS,
    27: WET,
}


def fate_of(number: int) -> Fate:
    return OF_THIRTY.get(number % 30, WORN)


def is_ternary(number: int) -> bool:
    return number % 7 == 0


@dataclass
class Pack:
    """A pack of the story, by its number in it."""

    number: int
    id: str
    mass_kg: int
    chemistry: str
    adcode: str
    fate: Fate
    line_id: str = ""


@dataclass
class Coast:
    leases: dict[str, Json]
    """The lease of the mainland and that of the island."""
    packs: list[Pack]

    def __post_init__(self) -> None:
        self.by_id = {pack.id: pack for pack in self.packs}
        self.by_line = {pack.line_id: pack for pack in self.packs}

    def of(self, *fates: Fate) -> set[str]:
        return {pack.id for pack in self.packs if pack.fate in fates}


FILL = "UPDATE outlet SET stock_kg = store_limit_kg WHERE adcode = ANY ($1::text[])"
LEAVE_SOME = """
UPDATE outlet
   SET stock_kg = greatest(0, store_limit_kg - CASE kind WHEN 'collecting' THEN 300 ELSE 2000 END)
 WHERE left(adcode, 2) IN ('44', '45')
   AND NOT adcode = ANY ($1::text[])
"""


async def country(world: World) -> None:
    """10,235 outlets; on the coast the storms before this one left little room or none."""
    async with world.db.transaction() as tx:
        await waste.country(tx)
        await tx.execute(FILL, FULL)
        await tx.execute(LEAVE_SOME, FULL)


async def batch(world: World, path: str, rows: list[Json]) -> list[str]:
    done = await world.staff.post(f"{path}:batch", {"all_or_nothing": True, "rows": rows})
    return [row["id"] for row in done["rows"]]


async def coast(world: World) -> Coast:
    """Two tower companies with 500 sites in sixteen prefectures; every fifth has two packs."""
    place = {one.adcode: one for one in prefectures()}
    struck = FULL + BESIDE
    adcodes = [struck[number % len(struck)] for number in range(SITES)]
    lessees = {name: await build.customer(world, name) for name in ("mainland", "island")}
    site_rows = [
        {
            "party_id": lessees["island" if adcode[:2] == ISLAND[:2] else "mainland"]["id"],
            "code": f"TY-{number:03}",
            "name": f"{place[adcode].name_zh}铁塔",
            "kind": "tower",
            "adcode": adcode,
            "longitude": round(place[adcode].longitude + 0.004 * (number % 41) - 0.08, 5),
            "latitude": round(place[adcode].latitude + 0.005 * (number % 37) - 0.09, 5),
            "datum": "wgs84",
        }
        for number, adcode in enumerate(adcodes)
    ]
    sites = await batch(world, "/v1/sites", site_rows)
    slots = [(site, slot) for site in range(SITES) for slot in range(1, 2 if site % 5 else 3)]
    pack_rows = [
        {
            "code": build.battery_code(chemistry="E" if is_ternary(number) else "B"),
            "cells_in_series": 14 if is_ternary(number) else 16,
            "rated_voltage_mv": 51_800 if is_ternary(number) else 51_200,
            "rated_capacity_mah": 100_000,
            "mass_kg": 58 if is_ternary(number) else 46,
            "acquired_on": "2025-01-02",
            "acquired_from": "Dismantler 1",
        }
        for number in range(len(slots))
    ]
    ids = await batch(world, "/v1/packs", pack_rows)
    packs = [
        Pack(
            number,
            ids[number],
            pack_rows[number]["mass_kg"],
            "E" if is_ternary(number) else "B",
            adcodes[site],
            fate_of(number),
        )
        for number, (site, _) in enumerate(slots)
    ]
    leases = {}
    for name, lessee in lessees.items():
        on_island = name == "island"
        ours = [pack for pack in packs if (pack.adcode[:2] == ISLAND[:2]) == on_island]
        terms = [build.line_terms(sites[slots[p.number][0]], slots[p.number][1]) for p in ours]
        made = await world.staff.post(
            "/v1/contracts",
            build.contract_terms(lessee["id"], terms, starts_on=str(LEASED_ON)),
        )
        made = await build.put_into_force(world.staff, made["id"])
        leases[name] = {"contract": made, "customer": lessee}
        lines = await everything(world, "/v1/lines", contract_id=made["id"])
        found = {(line["site_id"], line["slot"]): line["id"] for line in lines}
        for pack in ours:
            site, slot = slots[pack.number]
            pack.line_id = found[sites[site], slot]
    rows = [{"line_id": pack.line_id, **build.acceptance(pack.id, LEASED_ON)} for pack in packs]
    await batch(world, "/v1/acceptances", rows)
    return Coast(leases, packs)


async def everything(world: World, path: str, **query: Any) -> list[Json]:
    """All pages of a list."""
    found: list[Json] = []
    cursor: str | None = ""
    while cursor is not None:
        asked = query | ({"cursor": cursor} if cursor else {})
        page = await world.staff.get(path, limit=200, **asked)
        found += page["items"]
        cursor = page["next_cursor"]
    return found


# --- Checks of the end, by code of their own --------------------------------------------------

WAYS = """
SELECT routing.id, routing.pack_id, routing.chosen_at, routing.hand_over_on, routing.distance_m,
       routing.mass_kg, routing.explanation -> 'parts' AS parts, pack.chemistry,
       inspection.hazard, site.longitude, site.latitude, site.adcode,
       outlet.longitude AS outlet_longitude, outlet.latitude AS outlet_latitude,
       outlet.adcode AS outlet_adcode, outlet.chemistries, outlet.hazards, outlet.kind,
       (SELECT cny_per_kg
          FROM scrap_offer
         WHERE scrap_offer.recycler_id = routing.recycler_id
           AND scrap_offer.chemistry = pack.chemistry
           AND scrap_offer.valid @> routing.hand_over_on) AS cny_per_kg,
       (SELECT count(DISTINCT kind)
          FROM qualification
         WHERE party_id = routing.recycler_id
           AND kind <> 'listing'
           AND (valid @> routing.hand_over_on
                OR withdrawn_on IS NOT NULL AND routing.chosen_at < $1)) AS papers
  FROM routing
  JOIN pack ON pack.id = routing.pack_id
  JOIN disposition ON disposition.id = routing.disposition_id
  JOIN inspection ON inspection.id = disposition.inspection_id
  JOIN placement ON placement.pack_id = routing.pack_id
  JOIN site ON site.id = placement.site_id
  JOIN outlet ON outlet.id = routing.outlet_id
 ORDER BY routing.id
"""

# CNY/(kg·km) of road and CNY/kg, as the documentation has them; a road is 1.3 great circles.
FREIGHT = {"intact": 0.0014, "damaged": 0.0026, "critical": 0.0055}
PACKING = {"intact": Decimal("0.12"), "damaged": Decimal("0.65"), "critical": Decimal("2.10")}
HEAVIEST_KG = {"collecting": 600, "concentrated": 5_000}


def kilometres(row: Any) -> float:
    """Great circle, by haversines."""
    north, south = radians(row["latitude"]), radians(row["outlet_latitude"])
    east = radians(row["longitude"] - row["outlet_longitude"])
    half = sin((north - south) / 2) ** 2 + cos(north) * cos(south) * sin(east / 2) ** 2
    return 2 * 6371.0088 * asin(sqrt(half))


async def refuse_unlawful_ways(db: Database, withdrawn_at: Any) -> int:
    """Every way that any pack was ever given, judged from the tables by the rules of the trade.
    Returns how many there were."""
    async with db.transaction(read_only=True) as tx:
        rows = await tx.fetch(WAYS, withdrawn_at)
    for row in rows:
        assert row["chemistry"] in row["chemistries"]
        assert row["hazard"] in row["hazards"]
        assert row["papers"] == 3
        assert row["mass_kg"] <= HEAVIEST_KG[row["kind"]]
        assert row["adcode"][:2] != ISLAND[:2] or row["outlet_adcode"][:2] == ISLAND[:2]
        far = kilometres(row)
        assert abs(row["distance_m"] - 1000 * far) <= 51
        offer = round(100 * row["cny_per_kg"] * row["mass_kg"])
        packing = round(100 * PACKING[row["hazard"]] * row["mass_kg"])
        freight = 130 * FREIGHT[row["hazard"]] * far * row["mass_kg"]
        parts = row["parts"]
        assert abs(parts["offer_amount"] - offer) <= 1
        assert parts["packing_amount"] == -packing
        # Distances are rounded to 100 m, and rates to 0.0001 CNY/kg.
        assert abs(parts["freight_amount"] + freight) < 2 + 0.035 * row["mass_kg"]
        three = [parts[f"{name}_amount"] for name in ("offer", "freight", "packing")]
        assert sum(three) == parts["net_amount"]
    return len(rows)


# Room is taken when a way is chosen, and free again when it is given up or the pack is recycled.
MOVES = """
SELECT domain_event.id, routing.outlet_id,
       CASE domain_event.kind WHEN 'routing.chosen' THEN mass_kg ELSE -mass_kg END AS kg
  FROM domain_event
  JOIN routing ON routing.id = aggregate_id
 WHERE aggregate = 'routing'
   AND domain_event.kind IN ('routing.chosen', 'routing.released', 'routing.recycled')
 ORDER BY domain_event.id
"""
OUTLETS = "SELECT id, store_limit_kg, stock_kg + reserved_kg + in_transit_kg AS kg FROM outlet"


async def loads_of_outlets(tx: Connection) -> tuple[dict[Any, int], dict[Any, int]]:
    rows = await tx.fetch(OUTLETS)
    return {row["id"]: row["kg"] for row in rows}, {
        row["id"]: row["store_limit_kg"] for row in rows
    }


async def refuse_overfilled(db: Database, before: dict[Any, int]) -> None:
    """Replay every kilogram that was promised or given back, in the order in which it was: no
    outlet ever had more than it may, and at the end each has what its row says."""
    async with db.transaction(read_only=True) as tx:
        moves = await tx.fetch(MOVES)
        after, limits = await loads_of_outlets(tx)
    held = defaultdict(int, before)
    for move in moves:
        held[move["outlet_id"]] += move["kg"]
        assert held[move["outlet_id"]] <= limits[move["outlet_id"]]
    assert dict(held) == after
