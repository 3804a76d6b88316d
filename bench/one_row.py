"""A GET of one row through the whole product, against a bare Litestar route with the same SQL.

Both servers are up all the time and take turns. Whoever waits costs nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from statistics import median

from bench import serving
from bench.load import hammer, request
from bench.place import SETTINGS, Place
from bench.result import Result, cpu_seconds, shown
from bench.serving import Server
from leasing.access import store as access
from leasing.access.model import Role
from leasing.db.pool import connect
from leasing.kit.time import system_now

AT_LEAST = 0.6

SITE = """
WITH customer AS (
  INSERT INTO party (kind, name, created_at) VALUES ('customer', 'Customer', now()) RETURNING id
)
INSERT INTO site (party_id, code, name, kind, adcode, longitude, latitude, datum, created_at)
SELECT id, 'S-1', '郑州高新区铁塔', 'tower', '410100', 113.56, 34.81, 'wgs84', now()
  FROM customer
RETURNING id
"""


@dataclass
class Side:
    name: str
    server: Server
    rates: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)
    postgres_us: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)


async def staff_key(place: Place, database: str) -> str:
    async with await connect(place.dsn(database), SETTINGS) as db, db.transaction() as tx:
        now = system_now()
        return await access.create(
            tx,
            role=Role.STAFF,
            party_id=None,
            name="bench",
            now=now,
            expires_at=now + timedelta(days=1),
        )


async def measure(
    place: Place, connections: int, seconds: float, rounds: int, say: Callable[[str], None]
) -> list[Result]:
    await place.create("one_row")
    key = await staff_key(place, "one_row")
    connection = await place.open("one_row")
    site_id = await connection.fetchval(SITE)
    await connection.close()
    asked = request("GET", f"/v1/sites/{site_id}", key)
    dsn = place.dsn("one_row")
    async with (
        serving.product(dsn, SETTINGS.schema, place.folder / "product.log") as ours,
        serving.bare(dsn, place.folder / "bare.log") as theirs,
    ):
        product, bare = Side("product", ours), Side("bare route", theirs)
        for side in (product, bare):
            await hammer(side.server.port, asked, connections, min(1.0, seconds))
        for _ in range(rounds):
            for side in (product, bare):
                await one_round(place, side, asked, connections, seconds)
                say(
                    f"GET: {side.name} {side.rates[-1]:,.0f}/s, p99 {side.p99_ms[-1]:.1f} ms, "
                    f"CPU a request {side.cpu_us[-1]:.0f} µs "
                    f"+ PostgreSQL {side.postgres_us[-1]:.0f} µs"
                )
    ratios = [ours / floor for ours, floor in zip(product.rates, bare.rates, strict=True)]
    say(f"GET: product ÷ bare route in turns: {shown(ratios)}")
    await place.drop("one_row")
    return [
        Result(
            f"one-row GET, {connections} connections",
            "requests/s",
            median(product.rates),
            median(bare.rates),
            median(ratios),
            at_least=AT_LEAST,
        )
    ]


async def one_round(
    place: Place, side: Side, asked: bytes, connections: int, seconds: float
) -> None:
    backends = await place.pids()
    before = cpu_seconds([side.server.pid]), cpu_seconds(backends)
    took = sorted(await hammer(side.server.port, asked, connections, seconds))
    after = cpu_seconds([side.server.pid]), cpu_seconds(backends)
    side.rates.append(len(took) / seconds)
    side.p99_ms.append(took[len(took) * 99 // 100] * 1e3)
    side.cpu_us.append((after[0] - before[0]) / len(took) * 1e6)
    side.postgres_us.append((after[1] - before[1]) / len(took) * 1e6)
