"""Messages of GB/T 32960.3 and MQTT until they are durable, against a loop that only decodes them.

Each gateway is a process of its own; whoever sends waits for the answer to a handful of messages.
"""

import asyncio
import os
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from statistics import median
from uuid import UUID

import msgspec

from bench import leases
from bench.place import SETTINGS, Place
from bench.result import cpu_seconds
from bench.serving import end_of, free_port, until_it_listens
from leasing.gateways import topics
from leasing.telemetry.decoders import gbt32960
from leasing.telemetry.decoders.binterface import BEIJING
from leasing.telemetry.decoders.gbt32960_reports import CellPages, reports

START = datetime(2026, 6, 14, tzinfo=UTC)
LINES, TOGETHER = 100, 10
PATIENCE_S = 120.0
PLATFORM, PASSWORD = "bench", "bench"

VEHICLES = """
UPDATE site
   SET kind = 'vehicle',
       vin = 'LTEST' || lpad((numbered.n - 1)::text, 12, '0')
  FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM site) AS numbered
 WHERE numbered.id = site.id
"""

STANDING = """
SELECT pack_id
  FROM placement
 WHERE slot > 1
   AND upper_inf(during)
 ORDER BY pack_id
 LIMIT 100
"""

STORED = """
SELECT coalesce(sum(readings), 0)::bigint
  FROM reading_chunk
"""


def vehicle_frame(number: int, second: int) -> bytes:
    """Of a vehicle with 108 cells and 12 probes, 300 bytes."""
    local = (START + timedelta(seconds=second)).astimezone(BEIJING)
    cells = "0801" + "01025a26dd006c00016c" + "0fbf" * 108
    vehicle = "01010301" + "0064000f423f13882775" + "5a010f1770" + "0a00"
    blocks = vehicle + cells + "090101000c" + "3e" * 12 + "0700" + "00000000" * 2
    unit = bytes([local.year - 2000, *local.timetuple()[1:6]]) + bytes.fromhex(blocks)
    vin = f"LTEST{number:012}"
    return gbt32960.encode(gbt32960.Frame(2016, 2, 0xFE, vin, 1, unit))


def message(pack_id: UUID, second: int) -> tuple[str, bytes]:
    said = {
        "at": START + timedelta(seconds=second),
        "voltage_v": 52.1,
        "current_a": -3.5,
        "soc_percent": 80.0,
        "temperature_c": 25.0,
    }
    return f"leasing/v1/packs/{pack_id}/readings", msgspec.json.encode(said)


async def measure(place: Place, count: int, runs: int, say: Callable[[str], None]) -> None:
    """Say both rates, and their ratio to a bare loop."""
    await place.create("gateways")
    connection = await place.open("gateways")
    # A site has a contract and four packs; as a vehicle, its first pack is spoken of.
    await leases.make(
        connection, LINES * leases.SLOTS, date(2026, 5, 1), date(2026, 7, 1), large=10, small=10
    )
    await connection.execute(VEHICLES)
    pack_ids = [row["pack_id"] for row in await connection.fetch(STANDING)]
    await connection.close()
    await measure_vehicles(place, count, runs, say)
    broker = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if broker is None:
        say("gateways: MQTT is not measured, no broker is installed: apt-get install mosquitto")
    else:
        await measure_mqtt(place, broker, pack_ids, count, runs, say)
    await place.drop("gateways")


def tell(
    what: str, rates: list[float], bare: float, cpu_us: float, say: Callable[[str], None]
) -> None:
    say(
        f"gateways: {what}: {median(rates):,.0f} messages/s durable, {cpu_us:.0f} µs of CPU each; "
        f"decoding alone {bare:,.0f}/s, ratio {median(rates) / bare:.3f}"
    )


# --- GB/T 32960.3 -----------------------------------------------------------------------------


async def measure_vehicles(place: Place, count: int, runs: int, say: Callable[[str], None]) -> None:
    each = count // LINES
    rates, cpu_us = [], []
    bare = decoded_frames(count)
    accounts = place.folder / "platforms.json"
    accounts.write_bytes(msgspec.json.encode({PLATFORM: PASSWORD}))
    port = free_port()
    arguments = ["gbt32960", "--platforms", str(accounts), "--port", str(port)]
    async with gateway(place, arguments) as process:
        await until_it_listens(process, port, log_of(place))
        for run in range(runs):
            frames = [
                [vehicle_frame(line, run * each + second) for second in range(each)]
                for line in range(LINES)
            ]
            before_s, began = cpu_seconds([process.pid]), time.perf_counter()
            await asyncio.gather(*(send_frames(port, mine) for mine in frames))
            rates.append(LINES * each / (time.perf_counter() - began))
            cpu_us.append((cpu_seconds([process.pid]) - before_s) * 1e6 / (LINES * each))
    tell("GB/T 32960.3, vehicles of 108 cells", rates, bare, median(cpu_us), say)


def decoded_frames(count: int) -> float:
    framer, pages = gbt32960.Framer(), CellPages()
    stream = b"".join(vehicle_frame(1, second) for second in range(count))
    began = time.perf_counter()
    for frame in framer.feed(stream):
        assert isinstance(frame, gbt32960.Frame)
        reports(frame, gbt32960.decode(frame), pages)
    return count / (time.perf_counter() - began)


async def send_frames(port: int, frames: list[bytes]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    framer = gbt32960.Framer()
    time6 = frames[0][24:30]
    unit = time6 + b"\0\1" + PLATFORM.encode().ljust(12, b"\0") + PASSWORD.encode().ljust(20, b"\0")
    login = gbt32960.Frame(2016, 5, 0xFE, "0" * 17, 1, unit + b"\1")
    waiting = [[gbt32960.encode(login)]]
    waiting += [frames[n : n + TOGETHER] for n in range(0, len(frames), TOGETHER)]
    for together in waiting:
        writer.write(b"".join(together))
        answered = 0
        while answered < len(together):
            data = await reader.read(65_536)
            if not data:
                raise RuntimeError("the gateway closed the connection")
            for one in framer.feed(data):
                assert isinstance(one, gbt32960.Frame)
                assert one.ack == gbt32960.Ack.OK
                answered += 1
    writer.close()


# --- MQTT -------------------------------------------------------------------------------------


async def measure_mqtt(
    place: Place,
    broker: str,
    pack_ids: list[UUID],
    count: int,
    runs: int,
    say: Callable[[str], None],
) -> None:
    each = count // len(pack_ids)
    rates, cpu_us = [], []
    async with (
        mosquitto(broker) as port,
        gateway(place, ["mqtt", "--port", str(port)]) as process,
    ):
        await until_ready(place)
        for run in range(runs):
            said = [
                message(pack_id, run * each + second)
                for second in range(each)
                for pack_id in pack_ids
            ]
            bare = decoded_messages(said)
            before = await stored(place)
            before_s, began = cpu_seconds([process.pid]), time.perf_counter()
            await asyncio.gather(*(publish(port, said[first::8]) for first in range(8)))
            async with asyncio.timeout(PATIENCE_S):
                while await stored(place) < before + len(said):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            rates.append(len(said) / (time.perf_counter() - began))
            cpu_us.append((cpu_seconds([process.pid]) - before_s) * 1e6 / len(said))
    tell("MQTT, JSON", rates, bare, median(cpu_us), say)


def decoded_messages(said: list[tuple[str, bytes]]) -> float:
    began = time.perf_counter()
    for topic, payload in said:
        topics.decode(topic, payload, START)
    return len(said) / (time.perf_counter() - began)


async def publish(port: int, said: list[tuple[str, bytes]]) -> None:
    import aiomqtt

    async with aiomqtt.Client("127.0.0.1", port, max_queued_outgoing_messages=0) as client:
        for first in range(0, len(said), TOGETHER):
            await asyncio.gather(
                *(client.publish(*one, qos=1) for one in said[first : first + TOGETHER])
            )


async def stored(place: Place) -> int:
    connection = await place.open("gateways")
    try:
        return int(await connection.fetchval(STORED))
    finally:
        await connection.close()


@asynccontextmanager
async def mosquitto(program: str) -> AsyncIterator[int]:
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "mosquitto.conf"
        config.write_text(
            f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_inflight_messages 1000\n"
            "max_queued_messages 0\n"
        )
        quiet = asyncio.subprocess.DEVNULL
        broker = await asyncio.create_subprocess_exec(
            program, "-c", str(config), stdout=quiet, stderr=quiet
        )
        try:
            await until_it_listens(broker, port, config)
            yield port
        finally:
            broker.terminate()
            await broker.wait()


# --- A gateway --------------------------------------------------------------------------------


def log_of(place: Place) -> Path:
    return place.folder / "gateway.log"


@asynccontextmanager
async def gateway(place: Place, arguments: list[str]) -> AsyncIterator[asyncio.subprocess.Process]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LEASING_")}
    env = clean | {"LEASING_DSN": place.dsn("gateways"), "LEASING_SCHEMA": SETTINGS.schema}
    program = ["-c", "from jobs.cli import main; main()", "gateway", *arguments]
    with log_of(place).open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *program, env=env, stderr=file
        )
    try:
        yield process
    finally:
        process.terminate()
        await process.wait()


async def until_ready(place: Place) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while "taking readings" not in end_of(log_of(place)):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
