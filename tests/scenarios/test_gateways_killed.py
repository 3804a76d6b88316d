"""Gateways as processes, killed with kill -9 under load and among peers that misbehave: what was
acknowledged is in the database."""

import asyncio
import os
import random
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import UUID

import aiomqtt
import msgspec
import pytest

from leasing.db.pool import Database, connect
from leasing.kit.settings import Settings
from leasing.kit.time import system_now
from leasing.telemetry import storage
from leasing.telemetry.columns import us
from leasing.telemetry.decoders.binterface import BEIJING
from leasing.telemetry.decoders.gbt32960 import Ack, Frame, Framer, encode
from tests import fleet
from tests.gateways.mosquitto import Mosquitto
from tests.gateways.test_gbt32960 import VEHICLE
from tests.scenarios.test_ingest_killed import free_port
from tests.telemetry.frames import TIME, frame, realtime

ROOT = Path(__file__).parents[2]
KILLS, VEHICLES, TOGETHER = 5, 12, 4
CONNECTIONS, MISBEHAVING, REPORTS = 500, 250, 5
START = datetime(2026, 6, 14, tzinfo=UTC)
MAX_GROWTH_KB = 150_000
"""Of 250 that send halves of messages and never read: 600 kB each, buffers and all."""


@contextmanager
def gateway(dsn: str, settings: Settings, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A gateway of its own process, which is killed in the end."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("LEASING_")}
    ours = {
        "LEASING_DSN": dsn,
        "LEASING_SCHEMA": settings.schema,
        "LEASING_LOG_LEVEL": "error",
        "PYTHONPATH": str(ROOT),
    }
    process = subprocess.Popen(
        [sys.executable, "-c", "from jobs.cli import main; main()", "gateway", *arguments],
        cwd=ROOT,
        env=own | ours,
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def until(reached: Callable[[], Awaitable[bool]], within_s: float = 90) -> None:
    deadline = time.monotonic() + within_s
    while not await reached():
        assert time.monotonic() < deadline, "what was waited for did not come"
        await asyncio.sleep(0.05)


def vin(number: int) -> str:
    return f"LTEST{number:012}"


VEHICLE_PACKS = """
SELECT site.vin, placement.pack_id
  FROM site
  JOIN placement ON placement.site_id = site.id
"""


async def vehicles(db: Database, count: int) -> dict[str, UUID]:
    """Vehicles with a pack in each, by identification number."""
    async with db.transaction() as tx:
        await fleet.lease_out(tx, [1] * count, date(2026, 1, 1), entered_at=system_now())
        sites = [row["id"] for row in await tx.fetch("SELECT id FROM site ORDER BY id")]
        await tx.executemany(
            "UPDATE site SET kind = 'vehicle', vin = $1 WHERE id = $2",
            [(vin(number), site_id) for number, site_id in enumerate(sites)],
        )
        return {row["vin"]: row["pack_id"] for row in await tx.fetch(VEHICLE_PACKS)}


async def held(db: Database, packs: list[UUID]) -> set[tuple[UUID, int]]:
    """Every stored reading, as pack and microsecond; none is there twice."""
    async with db.transaction() as tx:
        # Whoever was killed may still be writing: its rows are waited for.
        await tx.execute("SELECT FROM pack_telemetry ORDER BY pack_id FOR UPDATE")
    async with db.transaction() as tx:
        far = START + timedelta(days=3000)
        found = await storage.read(tx, packs, [START] * len(packs), [far] * len(packs))
    places = zip(found.pack.tolist(), found.at.tolist(), strict=True)
    stored = {(packs[place], at) for place, at in places}
    assert len(stored) == len(found)
    return stored


# --- Vehicles ---------------------------------------------------------------------------------


def at(second: int) -> datetime:
    return START + timedelta(seconds=second)


def time_bytes(instant: datetime) -> bytes:
    local = instant.astimezone(BEIJING)
    return bytes([local.year - 2000, *local.timetuple()[1:6]])


def login(number: int) -> bytes:
    return encode(frame(1, TIME + b"\0\1" + b"8" * 20 + b"\0\0", vin=vin(number)))


def report(number: int, second: int) -> bytes:
    return encode(realtime(VEHICLE, time=time_bytes(at(second)), vin=vin(number)))


class Line:
    """A vehicle's end of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.framer = Framer()

    async def ask(self, *data: bytes) -> list[int]:
        """Send frames at once; the results of their answers. Raises `ConnectionError` when the
        gateway has ended."""
        self.writer.write(b"".join(data))
        answers: list[int] = []
        while len(answers) < len(data):
            got = await self.reader.read(65_536)
            if not got:
                raise ConnectionResetError("the gateway has ended")
            answers += [one.ack for one in self.framer.feed(got) if isinstance(one, Frame)]
        return answers


@asynccontextmanager
async def line_to(port: int) -> AsyncIterator[Line]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Line(reader, writer)
    finally:
        writer.transport.abort()


async def until_it_listens(port: int) -> None:
    async def listens() -> bool:
        with suppress(OSError):
            async with line_to(port):
                return True
        return False

    await until(listens)


class Vehicle:
    """Reports second by second, several at once, and reissues what was not answered."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.acknowledged: list[int] = []

    async def drive(self, port: int) -> None:
        async with line_to(port) as line:
            assert await line.ask(login(self.number)) == [Ack.OK]
            while True:
                first = len(self.acknowledged)
                seconds = range(first, first + TOGETHER)
                answers = await line.ask(*(report(self.number, one) for one in seconds))
                assert answers == [Ack.OK] * TOGETHER
                self.acknowledged += seconds


@pytest.mark.slow
def test_what_a_vehicle_was_answered_is_there_however_often_the_gateway_is_killed(dsn, own_schema):
    async def scenario() -> None:
        async with await connect(dsn, own_schema) as db:
            packs = await vehicles(db, VEHICLES)
            driven = [Vehicle(number) for number in range(VEHICLES)]
            for life in range(KILLS):
                port = free_port()
                with gateway(dsn, own_schema, "gbt32960", "--port", str(port)) as process:
                    await until_it_listens(port)
                    ends = await drive_until_killed(driven, port, process)
                # Only the kill ended them.
                assert all(isinstance(end, ConnectionError) for end in ends), ends
                there = await held(db, list(packs.values()))
                answered = {
                    (packs[vin(one.number)], int(us(at(second))))
                    for one in driven
                    for second in one.acknowledged
                }
                assert len(answered) > life * VEHICLES
                assert answered <= there

    asyncio.run(scenario())


async def drive_until_killed(
    driven: list[Vehicle], port: int, process: subprocess.Popen[bytes]
) -> list[BaseException | None]:
    before = sum(len(one.acknowledged) for one in driven)
    driving = [asyncio.create_task(one.drive(port)) for one in driven]

    async def is_under_load() -> bool:
        return sum(len(one.acknowledged) for one in driven) > before + VEHICLES * TOGETHER

    await until(is_under_load)
    await asyncio.sleep(random.uniform(0, 0.3))
    process.kill()
    process.wait()
    return await asyncio.gather(*driving, return_exceptions=True)


# --- Peers that misbehave ---------------------------------------------------------------------


async def drips(line: Line, number: int) -> None:
    """A byte every now and then."""
    for byte in login(number) + report(number, 0):
        line.writer.write(bytes([byte]))
        await asyncio.sleep(0.3)


async def talks_nonsense(line: Line, number: int) -> None:
    for _ in range(50):
        line.writer.write(random.randbytes(2_000) + b"##\x02\xfe")
        await line.writer.drain()
        await asyncio.sleep(0.05)


async def stops_in_the_middle(line: Line, number: int) -> None:
    await line.ask(login(number))
    line.writer.write(report(number, 0)[:-9])


async def never_reads(line: Line, number: int) -> None:
    for _ in range(20):
        line.writer.write(encode(frame(7, "", vin=vin(number))) * 200)
        await line.writer.drain()
    await asyncio.sleep(3600)


async def says_goodbye_at_once(line: Line, number: int) -> None:
    line.writer.write(login(number) + report(number, 1))


MISBEHAVIOURS = (drips, talks_nonsense, stops_in_the_middle, never_reads, says_goodbye_at_once)


async def misbehave(port: int, number: int) -> None:
    behave = MISBEHAVIOURS[number % len(MISBEHAVIOURS)]
    with suppress(ConnectionError):
        async with line_to(port) as line:
            await behave(line, number)
            if behave is stops_in_the_middle:
                await asyncio.sleep(3600)


async def report_in_peace(port: int, number: int, first: int = 0) -> None:
    async with line_to(port) as line:
        assert await line.ask(login(number)) == [Ack.OK]
        for second in range(first, first + REPORTS):
            assert await line.ask(report(number, second)) == [Ack.OK]
            await asyncio.sleep(random.uniform(0, 0.5))


def peak_kb(process: subprocess.Popen[bytes]) -> int:
    """The most memory a process ever had."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


@pytest.mark.slow
def test_half_of_five_hundred_peers_misbehave_and_the_other_half_is_served(dsn, own_schema):
    async def scenario() -> None:
        async with await connect(dsn, own_schema) as db:
            packs = await vehicles(db, CONNECTIONS)
            port = free_port()
            with gateway(dsn, own_schema, "gbt32960", "--port", str(port)) as process:
                await until_it_listens(port)
                healthy = range(MISBEHAVING, CONNECTIONS)
                async with asyncio.timeout(90):
                    await asyncio.gather(*(report_in_peace(port, n) for n in healthy))
                # From here on memory is what the others cost.
                before = peak_kb(process)
                bad = [asyncio.create_task(misbehave(port, n)) for n in range(MISBEHAVING)]
                async with asyncio.timeout(90):
                    await asyncio.gather(*(report_in_peace(port, n, REPORTS) for n in healthy))
                grown = peak_kb(process) - before
                assert grown < MAX_GROWTH_KB
                process.kill()
                process.wait()
                for one in bad:
                    one.cancel()
                await asyncio.gather(*bad, return_exceptions=True)
            there = await held(db, list(packs.values()))
            answered = {
                (packs[vin(number)], int(us(at(second))))
                for number in healthy
                for second in range(2 * REPORTS)
            }
            assert answered <= there
            # Of the others nothing but whole reports.
            assert {moment for _, moment in there - answered} <= {
                int(us(at(second))) for second in (0, 1)
            }

    asyncio.run(scenario())


# --- A broker ---------------------------------------------------------------------------------

MESSAGES, PUBLISHERS = 800, 4


def until_it_takes(process: subprocess.Popen[bytes]) -> None:
    assert process.stderr is not None
    assert any(b"taking readings" in line for line in process.stderr)


class Devices:
    """Packs that publish a reading each second, and how many the broker has."""

    def __init__(self, broker: Mosquitto, packs: list[UUID]) -> None:
        self.broker = broker
        self.packs = packs
        self.published: list[tuple[UUID, int]] = []

    async def publish(self, which: range) -> None:
        async with aiomqtt.Client("127.0.0.1", self.broker.port) as client:
            for number in which:
                pack = self.packs[number % len(self.packs)]
                said = {"at": at(number // len(self.packs)), "voltage_v": 52.0}
                topic = f"leasing/v1/packs/{pack}/readings"
                await client.publish(topic, msgspec.json.encode(said), qos=1)
                self.published.append((pack, int(us(at(number // len(self.packs))))))

    async def publish_all(self, life: int) -> None:
        mine = range(life * MESSAGES, (life + 1) * MESSAGES)
        shares = [mine[first::PUBLISHERS] for first in range(PUBLISHERS)]
        await asyncio.gather(*(self.publish(share) for share in shares))


@pytest.mark.slow
def test_what_the_broker_holds_no_more_is_there_however_often_the_gateway_is_killed(
    dsn, own_schema, tmp_path
):
    broker = Mosquitto(tmp_path)

    async def scenario() -> None:
        async with await connect(dsn, own_schema) as db:
            devices = Devices(broker, list((await vehicles(db, 8)).values()))

            async def stored() -> int:
                async with db.transaction() as tx:
                    return int(await tx.fetchval(STORED))

            behind = 0
            for life in range(KILLS):
                with gateway(dsn, own_schema, "mqtt", "--port", str(broker.port)) as process:
                    await asyncio.to_thread(until_it_takes, process)
                    before = await stored()
                    publishing = asyncio.create_task(devices.publish_all(life))

                    async def goes_on(before: int = before) -> bool:
                        return await stored() > before

                    await until(goes_on)
                    await asyncio.sleep(random.uniform(0, 0.2))
                    process.kill()
                    process.wait()
                    behind += await stored() < len(devices.published)
                await publishing
            assert behind > 0, "no kill came in the middle"
            assert len(devices.published) == KILLS * MESSAGES

            async def is_there() -> bool:
                return await held(db, devices.packs) == set(devices.published)

            with gateway(dsn, own_schema, "mqtt", "--port", str(broker.port)):
                await until(is_there, within_s=60)

    broker.start()
    try:
        asyncio.run(scenario())
    finally:
        broker.stop()


STORED = """
SELECT coalesce(sum(readings), 0)
  FROM reading_chunk
"""
