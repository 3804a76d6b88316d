"""Who and what is there when the story begins: outlets, customers, sites, packs, contracts."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from itertools import groupby
from random import Random
from uuid import UUID

import msgspec

from jobs.demo import battery
from jobs.demo.model import (
    FLEET_PRODUCTS,
    TOWER_PRODUCTS,
    Cast,
    Lease,
    Line,
    Pack,
    Product,
    Scale,
    after_months,
)
from jobs.demo.stage import ACTOR
from leasing.batteries import service as batteries
from leasing.batteries.codes import ProductType, encode
from leasing.contracts import lines as lease_lines
from leasing.contracts import service as contracts
from leasing.db.pool import Connection
from leasing.kit.time import civil_date
from leasing.outlets import generator
from leasing.outlets import store as outlets
from leasing.parties import service as parties
from leasing.regions.model import Prefecture, prefecture, prefectures
from leasing.sites import service as sites
from schemas.contracts import ContractCreate, LineCreate, Signature
from schemas.packs import PackCreate
from schemas.parties import PartyCreate, PartyKind
from schemas.sites import Datum, SiteCreate, SiteKind

SLOTS_PER_TOWER = 2
SCATTER_DEGREES = 0.25
TOWER_WEIGHTS = (20, 50, 20, 10)
UNSETTLED = ("460300",)  # Sansha: islands
DEPOT_CITIES = ("440300", "410100", "510100", "330100")  # Shenzhen, Zhengzhou, Chengdu, Hangzhou
SPARES_PER_100 = 6
GUARANTEE_PERCENT = 70
REPLACEMENT_DAYS = 7
SHORT_LEASES_ONE_IN = 5
"""One lease in so many ends before the story does."""
LONG_MONTHS = 60
SIGNED = Signature(lessor_signatory="赵总", lessee_signatory="钱总")


class Place(msgspec.Struct, frozen=True):
    """A site to be made, and the products wanted in its slots."""

    site: SiteCreate
    products: list[Product]


async def enter_network(tx: Connection, scale: Scale, now: datetime) -> int:
    """The outlets and recyclers of the whole country; returns the number of outlets."""
    network = generator.generate(scale.starts_on)
    await outlets.insert_network(tx, network, now)
    return len(network.outlets)


async def enter_cast(tx: Connection, scale: Scale, now: datetime) -> Cast:
    """Everything else, ready for the first hand-over."""
    random = Random(f"{scale.seed} cast")
    lessor = PartyCreate(PartyKind.LESSOR, "示例电池租赁有限公司 Demo Battery Leasing")
    operator = PartyCreate(PartyKind.CUSTOMER, "示例铁塔 Demo Towers", home_adcode="110000")
    fleet = PartyCreate(PartyKind.CUSTOMER, "示例车队 Demo Fleet", home_adcode="440300")
    _, operator_id, fleet_id = [
        (await parties.create(tx, party, by=ACTOR, now=now)).id
        for party in (lessor, operator, fleet)
    ]
    leases = await lease_out(tx, scale, "T", towers(scale, operator_id, random), now)
    leases += await lease_out(tx, scale, "F", depots(scale, fleet_id, random), now)
    wanted = [line.product for lease in leases for line in lease.lines]
    packs = await buy(tx, scale, stock(wanted), 1, random, now)
    return Cast(operator_id=operator_id, fleet_id=fleet_id, leases=leases, packs=packs)


def towers(scale: Scale, party_id: UUID, random: Random) -> list[Place]:
    """Towers all over the country, each with packs of one product."""
    settled = [one for one in prefectures() if one.adcode not in UNSETTLED]
    chosen = sorted(random.choices(settled, k=scale.sites), key=lambda one: one.adcode)
    places = []
    for number, home in enumerate(chosen, start=1):
        (product,) = random.choices(TOWER_PRODUCTS, TOWER_WEIGHTS)
        name = f"{home.name_zh} 铁塔 {number:04}"
        site = near(home, random, party_id, f"TW-{number:04}", name, SiteKind.TOWER)
        places.append(Place(site, [product] * SLOTS_PER_TOWER))
    return places


def depots(scale: Scale, party_id: UUID, random: Random) -> list[Place]:
    """A few depots with many slots, ternary and LFP packs in turn."""
    places = []
    for number, adcode in enumerate(DEPOT_CITIES):
        count = len(range(number, scale.fleet_packs, len(DEPOT_CITIES)))
        home = prefecture(adcode)
        code, name = f"DP-{number + 1:02}", f"{home.name_zh} 车场"
        site = near(home, random, party_id, code, name, SiteKind.DEPOT)
        places.append(Place(site, [FLEET_PRODUCTS[slot % 2] for slot in range(count)]))
    return places


def near(
    home: Prefecture, random: Random, party_id: UUID, code: str, name: str, kind: SiteKind
) -> SiteCreate:
    return SiteCreate(
        party_id=party_id,
        code=code,
        name=name,
        kind=kind,
        adcode=home.adcode,
        longitude=round(home.longitude + random.uniform(-1, 1) * SCATTER_DEGREES, 5),
        latitude=round(home.latitude + random.uniform(-1, 1) * SCATTER_DEGREES, 5),
        datum=Datum.GCJ02,
    )


async def lease_out(
    tx: Connection, scale: Scale, prefix: str, places: Sequence[Place], now: datetime
) -> list[Lease]:
    """Make the sites and a contract for each province, and put the contracts into force."""
    ids = await sites.create(tx, [place.site for place in places], by=ACTOR, now=now)
    with_ids = list(zip(places, ids, strict=True))
    leases = []
    by_province = groupby(
        with_ids, key=lambda pair: prefecture(pair[0].site.adcode).province_adcode
    )
    for number, (_, found) in enumerate(by_province):
        short = number % SHORT_LEASES_ONE_IN == 0
        months = scale.months * 3 // 4 if short else LONG_MONTHS
        leases.append(
            await contract(tx, scale, f"{prefix}-{number + 1:02}", months, list(found), now)
        )
    return leases


async def contract(
    tx: Connection,
    scale: Scale,
    number: str,
    months: int,
    places: Sequence[tuple[Place, UUID]],
    now: datetime,
) -> Lease:
    wanted = {
        (site_id, slot): product
        for place, site_id in places
        for slot, product in enumerate(place.products, start=1)
    }
    data = ContractCreate(
        number=f"{number}-{scale.starts_on.year}",
        lessee_id=places[0][0].site.party_id,
        starts_on=scale.starts_on,
        ends_on=after_months(scale.starts_on, months),
        vat_percent="13",
        payment_days=30,
        guarantee_percent=str(GUARANTEE_PERCENT),
        replacement_days=REPLACEMENT_DAYS,
        lines=[
            LineCreate(
                site_id=site_id,
                slot=slot,
                rated_capacity_mah=product.rated_capacity_mah,
                rent_amount=product.rent_amount,
            )
            for (site_id, slot), product in wanted.items()
        ],
    )
    made = await contracts.create(tx, data, by=ACTOR, now=now)
    await contracts.offer(tx, made.id, by=ACTOR, now=now)
    await contracts.sign(tx, made.id, SIGNED, by=ACTOR, now=now)
    await contracts.activate(tx, made.id, by=ACTOR, now=now)
    rows = await lease_lines.after(tx, UUID(int=0), scale.starts_on, made.id, None, len(wanted))
    found = {(row["site_id"], row["slot"]): row["id"] for row in rows}
    return Lease(
        id=made.id,
        ends_on=data.ends_on,
        lines=[Line(found[place], product) for place, product in wanted.items()],
    )


def stock(wanted: Iterable[Product]) -> list[Product]:
    """What to buy: a pack for each line, and spares of every product."""
    needed = list(wanted)
    spares = [
        product
        for product in (*TOWER_PRODUCTS, *FLEET_PRODUCTS)
        for _ in range(-(-needed.count(product) * SPARES_PER_100 // 100))
    ]
    return needed + spares


async def buy(
    tx: Connection,
    scale: Scale,
    products: Sequence[Product],
    first_number: int,
    random: Random,
    now: datetime,
) -> list[Pack]:
    """Acquire packs, numbered on from a number."""
    on = civil_date(now)
    numbered = list(enumerate(products, start=first_number))
    offers = [offer(number, product, on, random) for number, product in numbered]
    ids = await batteries.acquire(tx, offers, by=ACTOR, now=now)
    return [
        draw(pack_id, number, product, on, scale, random)
        for pack_id, (number, product) in zip(ids, numbered, strict=True)
    ]


def offer(number: int, product: Product, on: date, random: Random) -> PackCreate:
    """Most packs are used as they are; one in three was made anew from modules of others."""
    made_on = on - timedelta(days=1_200 + int(random.random() * 1_200))
    code, originals = code_as_new(number, product, made_on), []
    if number % 3 == 0:
        originals = [code, code_as_new(1_000_000 + number, product, made_on)]
        code = encode(
            manufacturer="0EX",
            product_type=ProductType.PACK,
            chemistry=product.chemistry,
            specification=product.specification,
            made_on=on - timedelta(days=30),
            serial=number,
            cascade_source=ProductType.MODULE,
        )
    return PackCreate(
        code=code,
        original_codes=originals,
        cells_in_series=product.cells_in_series,
        rated_voltage_mv=product.rated_voltage_mv,
        rated_capacity_mah=product.rated_capacity_mah,
        full_cell_mv=product.full_cell_mv,
        mass_kg=product.mass_kg,
        acquired_on=on,
        acquired_from="示例拆解企业 Demo Dismantler",
    )


def code_as_new(serial: int, product: Product, made_on: date) -> str:
    return encode(
        manufacturer="0EY",
        product_type=ProductType.PACK,
        chemistry=product.chemistry,
        specification=product.specification,
        traceability="EXAMPLE",
        made_on=made_on,
        serial=serial,
    )


def draw(
    pack_id: UUID, number: int, product: Product, on: date, scale: Scale, random: Random
) -> Pack:
    """What nature gave a pack."""
    fails = random.random() < scale.failing_share
    fails_on = scale.starts_on + random.random() * (scale.ends_on - scale.starts_on)
    return Pack(
        id=pack_id,
        number=number,
        product=product,
        bought_on=on,
        first_share=random.uniform(*battery.FIRST_SHARE),
        fade_per_year=random.uniform(*battery.FADE_PER_YEAR),
        fails_on=fails_on if fails else None,
        failure_share=random.uniform(*battery.FAILURE_SHARE),
        sensor_gain=random.uniform(*battery.SENSOR_GAIN),
    )
