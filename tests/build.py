"""Builders: what a test needs to stand before its own story begins, made through the API."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import count
from typing import Any
from uuid import UUID

import httpx

from leasing.access import store as access
from leasing.access.model import Role
from leasing.app import create
from leasing.batteries.codes import Chemistry, ProductType, encode
from leasing.db import clock
from leasing.db.pool import Database
from leasing.kit.time import midnight, system_now

Json = dict[str, Any]

NUMBERS = count(1)
NOON = timedelta(hours=12)
TODAY = date(2026, 6, 15)
"""The day on the sandbox clock when a scenario begins."""


OPENAPI: Json = {}
"""The document of the first application this process made; it is the same for all, and takes
longer to make than most tests to run."""


class Answer(Exception):
    """An answer that a story did not expect, in full."""


class Client:
    """The API as one caller sees it.

    Every answer is compared with what the OpenAPI document promises for its route: a status, a
    media type or a header that is not documented fails the test, whatever the test was about.
    """

    documented_headers: tuple[str, ...] = ("ETag", "Idempotent-Replay")

    def __init__(self, http: httpx.AsyncClient, openapi: Json) -> None:
        self.http = http
        self.openapi = openapi

    async def ask(
        self, method: str, path: str, *, json: Any = None, **arguments: Any
    ) -> httpx.Response:
        """Send a request as it is and return the answer, whatever it is."""
        if json is not None:
            arguments["json"] = json
        response = await self.http.request(method, path, **arguments)
        refuse_undocumented(self.openapi, method, response, self.documented_headers)
        return response

    async def get(self, path: str, **query: Any) -> Any:
        response = await self.ask("GET", path, params=query)
        return expect(response, 200)

    async def post(self, path: str, json: Any = None, **headers: str) -> Any:
        response = await self.ask("POST", path, json=json, headers=headers)
        return expect(response, 200, 201, 202)

    async def refused(self, method: str, path: str, status: int, json: Any = None) -> Json:
        """A request that must be refused; returns the problem."""
        response = await self.ask(method, path, json=json)
        problem: Json = expect(response, status)
        assert response.headers["content-type"] == "application/problem+json"
        assert problem["status"] == status
        return problem


def expect(response: httpx.Response, *statuses: int) -> Any:
    if response.status_code not in statuses:
        raise Answer(f"{response.request.url.path}: {response.status_code} {response.text}")
    return response.json()


def refuse_undocumented(
    openapi: Json, method: str, response: httpx.Response, headers: tuple[str, ...]
) -> None:
    path = response.request.url.path
    route = next((known for known in openapi["paths"] if matches(known, path)), None)
    if route is None or method.lower() not in openapi["paths"][route]:
        return
    documented = openapi["paths"][route][method.lower()]["responses"]
    status = str(response.status_code)
    assert status in documented, f"{method} {route} does not document {status}"
    media_type = response.headers.get("content-type", "").split(";")[0]
    assert media_type in documented[status].get("content", {media_type: None}), (
        f"{method} {route} does not document {media_type} for {status}"
    )
    for header in headers:
        if header in response.headers:
            assert header in documented[status].get("headers", {}), f"{method} {route}: {header}"


def matches(route: str, path: str) -> bool:
    wanted, given = parts(route), parts(path)
    return len(wanted) == len(given) and all(
        part == other or part.startswith("{") for part, other in zip(wanted, given, strict=True)
    )


@lru_cache(maxsize=1000)
def parts(path: str) -> list[str]:
    return path.split("/")


class World:
    """A deployment with an application on it, and clients by role."""

    def __init__(self, db: Database, app: Any, openapi: Json, staff: Client) -> None:
        self.db = db
        self.app = app
        self.openapi = openapi
        self.staff = staff

    def client(self, key: str) -> Client:
        return Client(connect(self.app, key), self.openapi)

    async def key(self, role: Role, party_id: str | None = None, days: int = 1) -> str:
        async with self.db.transaction() as tx:
            now = system_now()
            return await access.create(
                tx,
                role=role,
                party_id=UUID(party_id) if party_id else None,
                name=f"{role}-{next(NUMBERS)}",
                now=now,
                expires_at=now + timedelta(days=days),
            )

    async def login(self, role: Role, party_id: str | None = None) -> Client:
        return self.client(await self.key(role, party_id))

    async def set_clock(self, on: date) -> None:
        """Noon of a civil day; no job runs on the way."""
        async with self.db.transaction() as tx:
            await clock.move(tx, midnight(on) + NOON)


def connect(app: Any, key: str) -> httpx.AsyncClient:
    # A deep look: the real middleware stack, without a socket in between.
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app, raise_app_exceptions=False),
        base_url="http://leasing.test",
        headers={"authorization": f"Bearer {key}"},
        timeout=60,
    )


@asynccontextmanager
async def world(db: Database, on: date | None = TODAY) -> AsyncIterator[World]:
    """An application on an empty database, in a sandbox whose clock shows noon of a day; on
    the system clock with `on=None`."""
    app = create(db)
    http = connect(app, "")
    if not OPENAPI:
        OPENAPI.update((await http.get("/schema/openapi.json")).json())
    made = World(db, app, OPENAPI, Client(http, OPENAPI))
    if on is not None:
        async with db.transaction() as tx:
            await clock.make_sandbox(tx, midnight(on) + NOON)
    made.staff = await made.login(Role.STAFF)
    yield made


def battery_code(
    made_on: date = date(2021, 12, 4),
    chemistry: str = Chemistry.LFP,
    manufacturer: str = "9ZZ",
    specification: str = "51",
) -> str:
    """A code that no other test uses."""
    return encode(
        manufacturer=manufacturer,
        product_type=ProductType.PACK,
        chemistry=Chemistry(chemistry),
        specification=specification,
        traceability="TEST001",
        made_on=made_on,
        serial=next(NUMBERS),
    )


async def customer(world: World, name: str = "Tower operator") -> Json:
    made: Json = await world.staff.post("/v1/parties", {"kind": "customer", "name": name})
    return made


async def recycler(
    world: World, valid_from: date = date(2025, 1, 1), valid_to: date = date(2030, 1, 1)
) -> Json:
    """A recycler that is qualified in a time."""
    made: Json = await world.staff.post(
        "/v1/parties", {"kind": "recycler", "name": f"Recycler {next(NUMBERS)}"}
    )
    for kind in ("filing", "eia", "discharge_permit"):
        await world.staff.post(
            f"/v1/parties/{made['id']}/qualifications",
            {
                "kind": kind,
                "valid_from": str(valid_from),
                "valid_to": str(valid_to),
                "document": f"{kind} {next(NUMBERS)}",
            },
        )
    return made


INSERT_OUTLET = """
INSERT INTO outlet (code, name_zh, name_en, kind, adcode, longitude, latitude, recycler_id,
                    chemistries, hazards, store_limit_kg)
VALUES ($1, '网点', 'Outlet', $2, '410100', $3, $4, $5, $6, $7, $8)
RETURNING id
"""


async def outlet(
    world: World,
    recycler_id: str,
    *,
    kind: str = "collecting",
    longitude: float = 113.65,
    latitude: float = 34.76,
    chemistries: tuple[str, ...] = ("B", "E"),
    hazards: tuple[str, ...] = ("intact",),
    store_limit_kg: int | None = None,
) -> str:
    limit = store_limit_kg or (5_000 if kind == "collecting" else 60_000)
    async with world.db.transaction() as tx:
        made = await tx.fetchval(
            INSERT_OUTLET,
            f"4101-{next(NUMBERS):04}",
            kind,
            longitude,
            latitude,
            UUID(recycler_id),
            list(chemistries),
            list(hazards),
            limit,
        )
    return str(made)


async def site(world: World, party_id: str, **changes: Any) -> Json:
    made: Json = await world.staff.post(
        "/v1/sites",
        {
            "party_id": party_id,
            "code": f"ZZ-{next(NUMBERS)}",
            "name": "郑州高新区铁塔",
            "kind": "tower",
            "adcode": "410100",
            "longitude": 113.56,
            "latitude": 34.81,
            "datum": "wgs84",
            **changes,
        },
    )
    return made


async def pack(world: World, **changes: Any) -> Json:
    made: Json = await world.staff.post(
        "/v1/packs",
        {
            "code": battery_code(),
            "cells_in_series": 16,
            "rated_voltage_mv": 51_200,
            "rated_capacity_mah": 100_000,
            "mass_kg": 46,
            "acquired_on": "2025-01-02",
            "acquired_from": "Dismantler 1",
            **changes,
        },
    )
    return made


INSERT_ESTIMATE = """
INSERT INTO health_check (pack_id, as_of, verdict, method, capacity_mah, lower_mah, upper_mah,
                          measured_at, evidence)
VALUES ($1, $2, 'pass', 'coulomb.anchored', $3 + 1000, $3, $3 + 2000, $2::date, '{}')
"""


async def estimate(
    world: World, pack_id: str, lower_mah: int, as_of: date = date(2026, 6, 1)
) -> None:
    """A health check whose 90 % interval begins at a capacity."""
    async with world.db.transaction() as tx:
        await tx.execute(INSERT_ESTIMATE, UUID(pack_id), as_of, lower_mah)


async def estimated_pack(world: World, lower_mah: int = 90_000, **changes: Any) -> Json:
    """A pack in stock whose capacity was estimated."""
    made = await pack(world, **changes)
    await estimate(world, made["id"], lower_mah)
    return made


def string(number: int, first: int, last: int, system_voltage_mv: int = 51_200) -> Json:
    return {
        "number": number,
        "system_voltage_mv": system_voltage_mv,
        "first_slot": first,
        "last_slot": last,
    }


async def put_strings(world: World, site_id: str, *strings: Json) -> Json:
    path = f"/v1/sites/{site_id}/strings"
    answer = await world.staff.ask("PUT", path, json={"strings": list(strings)})
    made: Json = expect(answer, 200)
    return made


def contract_terms(lessee_id: str, lines: list[Json], **changes: Any) -> Json:
    return {
        "number": f"C-{next(NUMBERS)}",
        "lessee_id": lessee_id,
        "starts_on": "2026-01-01",
        "ends_on": "2029-01-01",
        "vat_percent": "13",
        "payment_days": 30,
        "guarantee_percent": "80",
        "replacement_days": 7,
        "lines": lines,
        **changes,
    }


def line_terms(site_id: str, slot: int = 1, rent_amount: int = 31_000) -> Json:
    return {
        "site_id": site_id,
        "slot": slot,
        "rated_capacity_mah": 100_000,
        "rent_amount": rent_amount,
    }


async def active_contract(
    world: World, lessee_id: str, lines: list[Json], **changes: Any
) -> tuple[Json, list[Json]]:
    """A contract in force, and its lines in order of slot."""
    terms = contract_terms(lessee_id, lines, **changes)
    made = await world.staff.post("/v1/contracts", terms)
    made = await put_into_force(world.staff, made["id"])
    page = await world.staff.get("/v1/lines", contract_id=made["id"], limit=200)
    return made, sorted(page["items"], key=lambda line: line["slot"])


async def put_into_force(staff: Client, contract_id: str) -> Json:
    """Offer a draft, sign it and make it active."""
    path = f"/v1/contracts/{contract_id}"
    await staff.post(f"{path}/offer")
    signed = {"lessor_signatory": "赵总", "lessee_signatory": "钱总"}
    await staff.post(f"{path}/signature", signed)
    made: Json = await staff.post(f"{path}/activation")
    return made


def returned(on: Any, tested_capacity_mah: int = 75_000) -> Json:
    """The joint test on return."""
    return {
        "returned_on": on,
        "tested_capacity_mah": tested_capacity_mah,
        "lessor_signatory": "王工",
        "lessee_signatory": "李工",
    }


def acceptance(pack_id: str, on: date | str, tested_capacity_mah: int = 95_000) -> Json:
    return {
        "pack_id": pack_id,
        "accepted_on": str(on),
        "tested_capacity_mah": tested_capacity_mah,
        "lessor_signatory": "王工",
        "lessee_signatory": "李工",
        "photo_sha256": ["ab" * 32],
    }


async def leased_pack(
    world: World, on: date | str = "2026-01-11", rent_amount: int = 31_000, **changes: Any
) -> Json:
    """A customer with one site, one active contract and one pack handed over on a day."""
    lessee = await customer(world)
    place = await site(world, lessee["id"])
    contract, (line,) = await active_contract(
        world, lessee["id"], [line_terms(place["id"], rent_amount=rent_amount)], **changes
    )
    leased = await pack(world)
    await world.staff.post(f"/v1/lines/{line['id']}/acceptances", acceptance(leased["id"], on))
    return {
        "customer": lessee,
        "site": place,
        "contract": contract,
        "line": line,
        "pack": leased,
    }


def charge_readings(
    pack_id: str,
    start: datetime,
    *,
    capacity_ah: float = 90.0,
    current_a: float = 20.0,
    step_s: int = 300,
) -> list[Json]:
    """A whole charge of a 16-cell LFP pack at constant current, from empty to full, after four
    hours of rest."""
    readings: list[Json] = []

    def add(at: datetime, cell_v: float, current: float, soc: float) -> None:
        readings.append(
            {
                "pack_id": pack_id,
                "at": at.astimezone(UTC).isoformat(),
                "voltage_v": round(16 * cell_v, 3),
                "current_a": current,
                "soc_percent": round(soc, 1),
                "temperature_c": 25.0,
            }
        )

    at = start
    while at < start + timedelta(hours=4):
        add(at, 2.85, 0.0, 0.0)
        at += timedelta(seconds=step_s)
    moved_ah = 0.0
    while moved_ah < capacity_ah:
        z = moved_ah / capacity_ah
        cell_v = (
            2.9 + 0.35 * min(1.0, z / 0.1) + 0.08 * z + (0.3 * (z - 0.95) / 0.05 if z > 0.95 else 0)
        )
        add(at, cell_v, current_a, 100 * z)
        at += timedelta(seconds=step_s)
        moved_ah += current_a * step_s / 3600
    add(at, 3.63, current_a, 100.0)
    for _ in range(6):
        at += timedelta(seconds=step_s)
        add(at, 3.40, 0.0, 100.0)
    return readings
