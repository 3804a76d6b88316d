"""Readings over a real broker: counts in are counts stored, whoever is restarted on the way."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiomqtt
import asyncpg
import msgspec
import pytest

from leasing.gateways import topics
from leasing.gateways.intake import Intake
from leasing.gateways.model import Delivery
from leasing.gateways.mqtt import Broker, Gateway
from leasing.telemetry.decoders.frames import FrameError
from leasing.telemetry.model import Source, SourceKind
from tests.gateways.mosquitto import Mosquitto
from tests.gateways.test_gbt32960 import Books

START = datetime(2026, 6, 15, 4, 0, tzinfo=UTC)


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    broker = Mosquitto(tmp_path)
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leasing.gateways.mqtt.RECONNECT_AFTER_S", 0.1)
    monkeypatch.setattr("leasing.gateways.intake.FIRST_WAIT_S", 0.05)


@asynccontextmanager
async def gateway(broker: Mosquitto, books: Books) -> AsyncIterator[None]:
    subscribed = asyncio.Event()

    async def ready() -> None:
        subscribed.set()

    async with Intake(books.commit) as intake:
        made = Gateway(
            intake,
            Broker("127.0.0.1", broker.port),
            topics.TOPICS,
            topics.decode,
            now=lambda: START,
            ready=ready,
        )
        running = asyncio.create_task(made.run())
        try:
            async with asyncio.timeout(10):
                await subscribed.wait()
            yield
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


def message(minute: int, **values: Any) -> bytes:
    at = START + timedelta(minutes=minute)
    return msgspec.json.encode({"at": at, "voltage_v": 52.0, "soc_percent": 80.0, **values})


async def publish(broker: Mosquitto, *said: tuple[str, bytes], name: str | None = None) -> None:
    async with aiomqtt.Client("127.0.0.1", broker.port, identifier=name) as client:
        for topic, payload in said:
            await client.publish(topic, payload, qos=1)


async def until(reached: Callable[[], bool], within_s: float = 30) -> None:
    deadline = time.monotonic() + within_s
    while not reached():
        assert time.monotonic() < deadline, "what was waited for did not come"
        await asyncio.sleep(0.05)


def play(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scenario, 120))


def pack(number: int) -> str:
    return f"leasing/v1/codes/PACK-{number}/readings"


def stored(books: Books) -> set[tuple[str, datetime]]:
    return {(one.source.value, one.at) for one in books.reports}


def test_what_a_device_publishes_is_a_report_of_it(mosquitto):
    async def scenario() -> None:
        books = Books()
        async with gateway(mosquitto, books):
            cells = {"cells_mv": [3300, None, 3302], "part": 2}
            await publish(mosquitto, ("leasing/v1/vehicles/LV1/readings", message(0, **cells)))
            alarm = {"at": START, "code": "smoke", "begins": True, "level": 1}
            said = msgspec.json.encode([alarm, {**alarm, "begins": False}])
            await publish(mosquitto, ("leasing/v1/devices/D7/alarms", said))
            await until(lambda: len(books.reports) == 3)
        reading, begins, ends = sorted(books.reports, key=lambda one: len(one.alarms))
        assert reading.source == Source(SourceKind.VEHICLE, "LV1", 2)
        assert (reading.at, reading.voltage_v) == (START, 52.0)
        assert reading.cells_mv == (3300, None, 3302)
        assert [one.alarms[0].begins for one in (begins, ends)] == [True, False]
        assert begins.source == Source(SourceKind.DEVICE, "D7")

    play(scenario())


def test_what_was_not_committed_comes_again_after_our_restart(mosquitto):
    async def scenario() -> None:
        books = Books()

        async def gone(deliveries: Sequence[Delivery]) -> None:
            raise asyncpg.ConnectionDoesNotExistError("gone")

        books.before = gone
        async with gateway(mosquitto, books):
            await publish(mosquitto, *[(pack(n), message(0)) for n in range(100)])
            await asyncio.sleep(0.3)
        assert books.reports == []
        books.before = None
        async with gateway(mosquitto, books):
            await until(lambda: len(stored(books)) == 100)
        # What was acknowledged does not.
        books.kept.clear()
        async with gateway(mosquitto, books):
            await publish(mosquitto, (pack(0), message(1)))
            await until(lambda: len(books.reports) >= 1)
            await asyncio.sleep(0.2)
        assert stored(books) == {("PACK-0", START + timedelta(minutes=1))}

    play(scenario())


def test_a_message_that_cannot_be_read_is_kept_as_it_came_and_holds_nothing_up(mosquitto):
    async def scenario() -> None:
        books = Books()
        async with gateway(mosquitto, books):
            bad = (pack(1), b'{"at": "yesterday"}')
            await publish(mosquitto, bad, (pack(2), message(0)))
            await until(lambda: len(books.kept) == 2)
        ((kept,),) = [one.unread for one in books.kept if one.unread]
        assert (kept.source, kept.content) == bad
        assert "at" in kept.reason
        assert [one.source.value for one in books.reports] == ["PACK-2"]

    play(scenario())


def test_what_the_database_refuses_is_kept_too(mosquitto):
    async def scenario() -> None:
        books = Books()

        async def refuse(deliveries: Sequence[Delivery]) -> None:
            if any(report.odometer_km == 13 for one in deliveries for report in one.reports):
                raise asyncpg.CheckViolationError("no such odometer")

        books.before = refuse
        async with gateway(mosquitto, books):
            said = [(pack(n), message(0, odometer_km=n)) for n in range(30)]
            await publish(mosquitto, *said)
            await until(lambda: len(stored(books)) == 29)
            await until(lambda: any(one.unread for one in books.kept))
        ((kept,),) = [one.unread for one in books.kept if one.unread]
        assert (kept.source, kept.reason) == (pack(13), "no such odometer")

    play(scenario())


@pytest.mark.slow
def test_a_thousand_publishers_a_restarted_broker_our_restart_and_repeats(mosquitto):
    """Every publisher sends three readings, the second twice."""

    async def publisher(number: int, room: asyncio.Semaphore) -> None:
        said = [(pack(number), message(minute)) for minute in (0, 1, 1, 2)]
        async with room:
            while True:
                try:
                    return await publish(mosquitto, *said, name=f"p{number}")
                except aiomqtt.MqttError:
                    await asyncio.sleep(0.2)

    async def scenario() -> None:
        books = Books()
        room = asyncio.Semaphore(50)
        async with gateway(mosquitto, books):
            await asyncio.gather(*(publisher(n, room) for n in range(400)))
        # Nobody listens for a while; the broker keeps what comes, over its restart as well.
        await asyncio.gather(*(publisher(n, room) for n in range(400, 600)))
        await asyncio.to_thread(mosquitto.stop)
        last = asyncio.gather(*(publisher(n, room) for n in range(600, 1000)))
        await asyncio.to_thread(mosquitto.start)
        async with gateway(mosquitto, books):
            await asyncio.sleep(0.3)
            await asyncio.to_thread(mosquitto.stop)
            await asyncio.to_thread(mosquitto.start)
            await last
            await until(lambda: len(stored(books)) >= 3000, within_s=60)
        assert len(stored(books)) == 3000

    play(scenario())


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        ("leasing/v1/boats/1/readings", b"{}"),
        ("leasing/v1/packs/1", b"{}"),
        (pack(1), b""),
        (pack(1), b"\xff"),
        (pack(1), b"[" * 100_000),
        (pack(1), b'{"at": "2026-06-15T04:00:00"}'),
        (pack(1), b'{"at": "2026-06-15T04:00:00Z", "volts": 52}'),
        (pack(1), b'{"at": "2026-06-15T04:00:00Z", "voltage_v": -1}'),
        (pack(1), b'[[{"at": "2026-06-15T04:00:00Z"}]]'),
    ],
)
def test_what_is_no_reading_is_refused_by_one_error(topic, payload):
    with pytest.raises(FrameError):
        topics.decode(topic, payload, START)
