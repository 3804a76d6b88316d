"""Vehicles on real sockets: what is answered was committed, and nobody stands in another's way."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from leasing.gateways.gbt32960 import Gateway, Limits
from leasing.gateways.intake import Intake
from leasing.gateways.model import Delivery
from leasing.telemetry.decoders.gbt32960 import Ack, Frame, Framer, encode
from leasing.telemetry.model import Missing, Report
from tests.telemetry.frames import SEALED, TIME, VIN, cells, frame, realtime

NOW = datetime(2026, 6, 15, 4, 0, tzinfo=UTC)
LOGIN = encode(frame(1, TIME + b"\0\1" + b"8" * 20 + b"\0\0"))
PLATFORM = TIME + b"\0\1" + b"platform".ljust(12, b"\0") + b"secret".ljust(20, b"\0") + b"\1"
VEHICLE = "01 01 03 01 0000 00000000 0232 26dd 32 01 00 03e8 00 00".replace(" ", "")


class Books:
    """Where deliveries go: a list, with what the database would do to them."""

    def __init__(self) -> None:
        self.kept: list[Delivery] = []
        self.commits = 0
        self.named: list[tuple[str, Sequence[str]]] = []
        self.before: Callable[[Sequence[Delivery]], Awaitable[None]] | None = None

    async def commit(self, deliveries: Sequence[Delivery]) -> None:
        if self.before is not None:
            await self.before(deliveries)
        await asyncio.sleep(0.002)
        self.commits += 1
        self.kept += deliveries

    async def compare(self, vin: str, codes: Sequence[str]) -> None:
        self.named.append((vin, codes))

    @property
    def reports(self) -> list[Report]:
        return [report for one in self.kept for report in one.reports]


class Line:
    """A client's end of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.framer = Framer()
        self.found: list[Any] = []

    async def answers(self, count: int) -> list[Frame]:
        while len(self.found) < count:
            async with asyncio.timeout(5):
                data = await self.reader.read(65_536)
            assert data, "the gateway closed the connection"
            self.found += self.framer.feed(data)
        answers, self.found = self.found[:count], self.found[count:]
        return answers

    async def ask(self, *data: bytes) -> list[int]:
        """Send frames and wait for their answers' results."""
        self.writer.write(b"".join(data))
        return [one.ack for one in await self.answers(len(data))]

    async def is_closed(self) -> bool:
        """Read what is left until the other side has ended."""
        try:
            async with asyncio.timeout(5):
                while await self.reader.read(65_536):
                    pass
        except TimeoutError:
            return False
        except ConnectionError:
            pass
        return True


@asynccontextmanager
async def gateway(books: Books, **limits: Any) -> AsyncIterator[Callable[[], Awaitable[Line]]]:
    async def knows(vin: str) -> bool:
        return vin == VIN

    async with Intake(books.commit) as intake:
        made = Gateway(
            intake,
            knows_vehicle=knows,
            now=lambda: NOW,
            platforms={"platform": "secret"},
            compare_packs=books.compare,
            limits=Limits(**limits),
        )
        server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        lines: list[Line] = []

        async def connect() -> Line:
            lines.append(Line(*await asyncio.open_connection(host, port)))
            return lines[-1]

        try:
            yield connect
        finally:
            for line in lines:
                line.writer.transport.abort()
            server.close()
            await server.wait_closed()


def play(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scenario, 60))


def at(second: int) -> bytes:
    return TIME[:5] + bytes([second])


def test_a_vehicle_logs_in_reports_and_is_answered_after_the_commit():
    async def scenario() -> None:
        books = Books()
        async with gateway(books) as connect:
            line = await connect()
            assert await line.ask(LOGIN) == [Ack.OK]
            line.writer.write(encode(realtime(VEHICLE)))
            (answer,) = await line.answers(1)
            assert len(books.reports) == 1
            assert (answer.command, answer.ack, answer.unit) == (2, Ack.OK, TIME)
            assert await line.ask(encode(frame(7, ""))) == [Ack.OK]
            assert await line.ask(encode(frame(4, TIME + b"\0\1"))) == [Ack.OK]
        (report,) = books.reports
        assert (report.source.value, report.voltage_v, report.soc_percent) == (VIN, 56.2, 50)

    play(scenario())


def test_a_vehicle_nobody_knows_is_told_so_and_nothing_is_taken_from_it():
    async def scenario() -> None:
        books = Books()
        stranger = {"vin": "LSTRANGER00000001"}
        async with gateway(books) as connect:
            line = await connect()
            unit = TIME + b"\0\1" + b"8" * 20 + b"\0\0"
            assert await line.ask(encode(frame(1, unit, **stranger))) == [Ack.VIN_UNKNOWN]
            assert await line.ask(encode(realtime(VEHICLE, **stranger))) == [Ack.ERROR]
            # Nor may one that is known speak for another.
            assert await line.ask(LOGIN) == [Ack.OK]
            assert await line.ask(encode(realtime(VEHICLE, **stranger))) == [Ack.ERROR]
        assert books.kept == []

    play(scenario())


@pytest.mark.parametrize(("password", "result"), [(b"secret", Ack.OK), (b"guess", Ack.ERROR)])
def test_a_platform_speaks_for_any_vehicle_when_its_password_is_right(password, result):
    async def scenario() -> None:
        books = Books()
        async with gateway(books) as connect:
            line = await connect()
            unit = TIME + b"\0\1" + b"platform".ljust(12, b"\0") + password.ljust(20, b"\0") + b"\1"
            assert await line.ask(encode(frame(5, unit))) == [result]
            frames = [encode(realtime(VEHICLE, vin=f"LFLEET{n:011}")) for n in range(50)]
            assert await line.ask(*frames) == [result] * 50
        assert len(books.reports) == (50 if result == Ack.OK else 0)

    play(scenario())


def test_the_time_is_told_by_our_clock():
    async def scenario() -> None:
        async with gateway(Books()) as connect:
            line = await connect()
            line.writer.write(encode(frame(8, "", 2025)))
            (answer,) = await line.answers(1)
        assert (answer.ack, answer.unit.hex()) == (Ack.OK, "1a060f0c0000")

    play(scenario())


def test_cells_in_pages_are_one_row_with_the_vehicles_values():
    async def scenario() -> None:
        books = Books()
        first = realtime(VEHICLE + "08 01".replace(" ", "") + cells(1, 4, 1, 3300, 3301))
        second = realtime("0801" + cells(1, 4, 3, 3302, 3303))
        later = realtime(VEHICLE, time=at(9))
        async with gateway(books) as connect:
            line = await connect()
            await line.ask(LOGIN)
            line.writer.write(encode(first))
            await asyncio.sleep(0.05)
            assert books.kept == [], "the rest of the row is waited for"
            assert await line.ask(encode(second), encode(later)) == [Ack.OK] * 2
            assert [one.ack for one in await line.answers(1)] == [Ack.OK]
        row, after = books.reports
        assert (row.cells_mv, row.soc_percent) == ((3300, 3301, 3302, 3303), 50)
        assert after.at - row.at == timedelta(seconds=4)

    play(scenario())


def test_a_row_that_stays_incomplete_is_kept_as_far_as_it_came():
    async def scenario() -> None:
        books = Books()
        first = realtime(VEHICLE + "0801" + cells(1, 4, 1, 3300, 3301))
        async with gateway(books, pages_within=timedelta(milliseconds=50)) as connect:
            line = await connect()
            assert await line.ask(LOGIN, encode(first)) == [Ack.OK] * 2
        (row,) = books.reports
        assert row.cells_mv == (3300, 3301, None, None)
        assert row.soc_percent == 50
        assert ("cells_mv", Missing.INCOMPLETE) in row.missing

    play(scenario())


def test_what_is_encrypted_is_kept_sealed():
    async def scenario() -> None:
        books = Books()
        async with gateway(books) as connect:
            line = await connect()
            assert await line.ask(encode(SEALED)) == [Ack.ERROR]
            assert await line.ask(LOGIN, encode(SEALED)) == [Ack.OK] * 2
        ((kept,),) = [one.unread for one in books.kept]
        assert (kept.source, kept.reason, kept.received_at) == (VIN, "sealed by AES128", NOW)
        assert kept.content == encode(SEALED)

    play(scenario())


def test_a_frame_that_cannot_be_read_is_kept_and_refused():
    async def scenario() -> None:
        books = Books()
        broken = frame(2, TIME + b"\x01\x01")
        async with gateway(books) as connect:
            line = await connect()
            assert await line.ask(LOGIN, encode(broken)) == [Ack.OK, Ack.ERROR]
            assert await line.ask(encode(realtime(VEHICLE))) == [Ack.OK]
        (kept,) = [message for one in books.kept for message in one.unread]
        assert "truncated" in kept.reason
        assert len(books.reports) == 1

    play(scenario())


def test_noise_on_the_line_costs_no_frame_until_there_is_too_much_of_it():
    async def scenario() -> None:
        books = Books()
        async with gateway(books, errors=3) as connect:
            line = await connect()
            assert await line.ask(b"noise" + LOGIN) == [Ack.OK]
            assert await line.ask(b"##" + encode(realtime(VEHICLE))) == [Ack.OK]
            line.writer.write(b"noise" + encode(frame(7, "")))
            assert await line.is_closed()
        assert len(books.reports) == 1

    play(scenario())


def test_what_the_database_refuses_is_refused_for_that_vehicle_alone():
    async def scenario() -> None:
        books = Books()

        async def refuse(deliveries: Sequence[Delivery]) -> None:
            if any(report.odometer_km == 0 for one in deliveries for report in one.reports):
                raise asyncpg.CheckViolationError("no such odometer")

        books.before = refuse
        good = VEHICLE[:12] + "00000001" + VEHICLE[20:]
        async with gateway(books) as connect:
            lines = [await connect() for _ in range(6)]
            for line in lines:
                await line.ask(encode(frame(5, PLATFORM)))
            asked = [
                line.ask(encode(realtime(good if n else VEHICLE, vin=f"LFLEET{n:011}")))
                for n, line in enumerate(lines)
            ]
            results = await asyncio.gather(*asked)
        assert results == [[Ack.ERROR]] + [[Ack.OK]] * 5
        assert len(books.reports) == 5

    play(scenario())


def test_while_the_database_is_away_nobody_is_answered_and_nothing_is_lost(monkeypatch):
    monkeypatch.setattr("leasing.gateways.intake.FIRST_WAIT_S", 0.05)

    async def scenario() -> None:
        books = Books()
        away = asyncio.Event()

        async def gone(deliveries: Sequence[Delivery]) -> None:
            if not away.is_set():
                raise asyncpg.ConnectionDoesNotExistError("gone")

        books.before = gone
        async with gateway(books) as connect:
            line = await connect()
            await line.ask(LOGIN)
            asked = asyncio.create_task(line.ask(encode(realtime(VEHICLE))))
            await asyncio.sleep(0.2)
            assert not asked.done()
            away.set()
            assert await asked == [Ack.OK]
        assert len(books.reports) == 1

    play(scenario())


def test_a_vehicle_that_connects_anew_replaces_the_line_it_lost():
    async def scenario() -> None:
        async with gateway(Books()) as connect:
            old, new = await connect(), await connect()
            assert await old.ask(LOGIN) == [Ack.OK]
            assert await new.ask(LOGIN) == [Ack.OK]
            assert await old.is_closed()
            assert await new.ask(encode(frame(7, ""))) == [Ack.OK]

    play(scenario())


def test_a_silent_line_is_ended_and_there_is_a_most_of_lines():
    async def scenario() -> None:
        silent = timedelta(milliseconds=300)
        async with gateway(Books(), connections=1, silent_for=silent) as connect:
            first = await connect()
            await first.ask(LOGIN)
            assert await (await connect()).is_closed()
            assert await first.is_closed()
            await asyncio.sleep(0.05)
            assert await (await connect()).ask(LOGIN) == [Ack.OK]

    play(scenario())


def test_commits_are_shared_by_many_lines():
    async def scenario() -> None:
        books = Books()
        async with gateway(books) as connect:
            lines = await asyncio.gather(*(connect() for _ in range(200)))
            await asyncio.gather(*(line.ask(encode(frame(5, PLATFORM))) for line in lines))
            for second in range(3):
                await asyncio.gather(
                    *(
                        line.ask(encode(realtime(VEHICLE, time=at(second), vin=f"LFLEET{n:011}")))
                        for n, line in enumerate(lines)
                    )
                )
        assert len({(one.source, one.at) for one in books.reports}) == 600
        assert books.commits < 300

    play(scenario())


def test_an_alarm_begins_once_and_ends_when_its_flag_is_down():
    def alarms(bits: int) -> str:
        return f"07{'01' if bits else '00'}{bits:08x}00000000"

    async def scenario() -> None:
        books = Books()
        async with gateway(books) as connect:
            line = await connect()
            await line.ask(LOGIN)
            for second, said in enumerate(
                [alarms(0), alarms(1 << 5), "", alarms(1 << 5), alarms(0)]
            ):
                await line.ask(encode(realtime(VEHICLE + said, time=at(second))))
        told = [
            (nth, alarm.code, alarm.begins)
            for nth, report in enumerate(books.reports)
            for alarm in report.alarms
            if alarm.code == "cell_over_voltage"
        ]
        over = "cell_over_voltage"
        assert told == [(0, over, False), (1, over, True), (4, over, False)]

    play(scenario())


def test_a_vehicle_of_2025_says_at_its_login_which_packs_are_in_it():
    codes = ("9ZZPB51000000G1A00000017", "9ZZPB51000000G1A00000018")
    unit = TIME + b"\0\1" + b"8" * 20 + b"\1\2" + "".join(codes).encode()

    async def scenario() -> None:
        books = Books()
        async with gateway(books) as connect:
            line = await connect()
            assert await line.ask(encode(frame(1, unit, 2025, vin="LSTRANGER00000001"))) == [
                Ack.VIN_UNKNOWN
            ]
            assert await line.ask(encode(frame(1, unit, 2025))) == [Ack.OK]
            assert await line.ask(LOGIN) == [Ack.OK]
        assert books.named == [(VIN, codes)]

    play(scenario())
