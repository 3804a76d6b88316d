"""Vehicles and platforms over TCP, by GB/T 32960.3 in the editions of 2016 and 2025.

A frame of readings is answered when they are committed. Frames of one instant belong together (a
2016 vehicle sends its cells in pages), so they wait for one another: until the cells are whole,
the vehicle goes on to another instant, or a second has passed.

A vehicle logs in with its identification number; one that is no vehicle of ours is told so and
keeps what it has. A platform logs in with a name and a password and speaks for any vehicle;
readings of vehicles we do not know are counted and acknowledged, as everywhere.
"""

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec
import structlog
from msgspec.structs import replace

from leasing.gateways.intake import Intake
from leasing.gateways.merging import merged
from leasing.gateways.model import Delivery, Unread
from leasing.telemetry.decoders import gbt32960_blocks as blocks
from leasing.telemetry.decoders.flags import FlagMemory
from leasing.telemetry.decoders.frames import FrameError
from leasing.telemetry.decoders.gbt32960 import (
    Ack,
    Activation,
    Command,
    Empty,
    Frame,
    Framer,
    KeyExchange,
    Login,
    Login2025,
    Payload,
    PlatformLogin,
    Realtime,
    Sealed,
    acknowledge,
    answer_activation,
    decode,
    encode,
)
from leasing.telemetry.decoders.gbt32960_reports import (
    ALARMS_OF,
    CellPages,
    reports,
    with_gaps,
)
from leasing.telemetry.model import Report

log = structlog.get_logger(__name__)

COMMAND_ITSELF = 0xFE


class Limits(msgspec.Struct, frozen=True):
    """What one peer may cost."""

    connections: int = 10_000
    silent_for: timedelta = timedelta(minutes=5)
    """A vehicle beats its heart every 30 s at most; silence for so long is a dead line."""
    answer_within: timedelta = timedelta(seconds=30)
    """A peer that does not read its answers is let go."""
    pages_within: timedelta = timedelta(seconds=1)
    errors: int = 20
    """Unreadable frames in one connection before it is ended."""
    read_bytes: int = 16_384
    """At once. Heartbeats of 25 bytes take forty times their size once they are decoded, and a peer
    may send nothing else."""


class Gateway:
    """What connections share. `knows_vehicle` asks the database; `compare_packs` tells it which
    packs a vehicle says are in it (2025)."""

    def __init__(
        self,
        intake: Intake,
        *,
        knows_vehicle: Callable[[str], Awaitable[bool]],
        now: Callable[[], datetime],
        platforms: Mapping[str, str],
        limits: Limits | None = None,
        compare_packs: Callable[[str, Sequence[str]], Awaitable[None]] | None = None,
    ) -> None:
        self.intake = intake
        self.knows_vehicle = knows_vehicle
        self.now = now
        self.platforms = platforms
        self.limits = limits or Limits()
        self.compare_packs = compare_packs
        self.open = 0
        self.by_vehicle: dict[str, Session] = {}
        self.flags = FlagMemory()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from its first byte to its last."""
        if self.open >= self.limits.connections:
            log.warning("too_many_connections", peer=peer_of(writer))
            writer.transport.abort()
            return
        self.open += 1
        session = Session(self, writer)
        try:
            await session.read_all(reader)
        except (ConnectionError, TimeoutError) as error:
            log.info("connection_lost", peer=session.peer, error=str(error) or "silent too long")
        finally:
            self.open -= 1
            if self.by_vehicle.get(session.vin) is session:
                del self.by_vehicle[session.vin]
            writer.transport.abort()


def peer_of(writer: asyncio.StreamWriter) -> str:
    name = writer.get_extra_info("peername")
    return f"{name[0]}:{name[1]}" if name else "unknown"


class Together:
    """Frames of one vehicle and instant, and what they say."""

    def __init__(self, vin: str, at: datetime) -> None:
        self.vin = vin
        self.at = at
        self.frames: list[Frame] = []
        self.reports: list[Report] = []
        self.tells_alarms = False


class Session:
    """One connection: who speaks, and what waits for its commit."""

    def __init__(self, gateway: Gateway, writer: asyncio.StreamWriter) -> None:
        self.gateway = gateway
        self.limits = gateway.limits
        self.writer = writer
        self.peer = peer_of(writer)
        self.framer = Framer()
        self.pages = CellPages(max_sets=100)
        self.vin = ""
        self.is_platform = False
        self.errors = 0
        self.group: Together | None = None
        self.ready: list[Together] = []

    async def read_all(self, reader: asyncio.StreamReader) -> None:
        """Read until the other side ends, errs too often, or is silent too long."""
        while self.errors < self.limits.errors:
            waiting = self.group is not None
            patience = self.limits.pages_within if waiting else self.limits.silent_for
            try:
                async with asyncio.timeout(patience.total_seconds()):
                    data = await reader.read(self.limits.read_bytes)
            except TimeoutError:
                if not waiting:
                    raise
                await self.flush()
                continue
            if not data:
                break
            for found in self.framer.feed(data):
                await self.take(found)
            if self.group is not None and not self.pages.open:
                self.close_group()
            await self.commit_ready()
        await self.flush()

    # Frames

    async def take(self, found: Frame | FrameError) -> None:
        if isinstance(found, FrameError):
            self.errors += 1
            log.info("frame_unreadable", peer=self.peer, vin=self.vin, reason=str(found))
            return
        if found.ack != COMMAND_ITSELF:
            return  # an answer to nothing we asked
        try:
            payload = decode(found)
        except FrameError as error:
            self.errors += 1
            log.info("frame_refused", peer=self.peer, vin=found.vin, reason=str(error))
            await self.flush()
            if self.may_speak(found.vin):
                await self.settle(self.unread(found, str(error)), [])
            await self.answer(found, Ack.ERROR)
            return
        if isinstance(payload, Realtime):
            await self.add(found, payload)
            return
        # Answers come in the order of the commands.
        await self.flush()
        await self.obey(found, payload)

    async def obey(self, frame: Frame, payload: Payload) -> None:
        if isinstance(payload, Login | Login2025):
            await self.log_in(frame, payload)
        elif isinstance(payload, PlatformLogin):
            expected = self.gateway.platforms.get(payload.username)
            right = expected is not None and hmac.compare_digest(
                expected.encode(), payload.password.encode()
            )
            self.is_platform = right
            await self.answer(frame, Ack.OK if right else Ack.ERROR)
        elif isinstance(payload, Sealed):
            await self.keep(frame, payload)
        elif isinstance(payload, Activation):
            # Keys are not taken here: a vehicle is entered by people.
            await self.send(answer_activation(frame, status=2, info=1))
        elif isinstance(payload, KeyExchange):
            await self.answer(frame, Ack.ERROR)
        elif isinstance(payload, Empty) or frame.command in (
            Command.VEHICLE_LOGOUT,
            Command.PLATFORM_LOGOUT,
        ):
            await self.answer(frame, Ack.OK)
        else:
            await self.answer(frame, Ack.ERROR)

    async def log_in(self, frame: Frame, login: Login | Login2025) -> None:
        """A vehicle says who it is. One that connects anew replaces its old connection, which it
        has lost sight of."""
        if not await self.gateway.knows_vehicle(frame.vin):
            await self.answer(frame, Ack.VIN_UNKNOWN)
            return
        if isinstance(login, Login2025) and login.codes and self.gateway.compare_packs:
            await self.gateway.compare_packs(frame.vin, login.codes)
        self.vin = frame.vin
        older = self.gateway.by_vehicle.get(frame.vin)
        if older is not None and older is not self:
            older.writer.transport.abort()
        self.gateway.by_vehicle[frame.vin] = self
        await self.answer(frame, Ack.OK)

    def may_speak(self, vin: str) -> bool:
        return self.is_platform or vin == self.vin

    async def keep(self, frame: Frame, payload: Sealed) -> None:
        """Keep what we cannot read; it is acknowledged when it is kept."""
        if not self.may_speak(frame.vin):
            await self.answer(frame, Ack.ERROR)
            return
        await self.settle(self.unread(frame, f"sealed by {payload.algorithm}"), [frame])

    def unread(self, frame: Frame, reason: str) -> Delivery:
        kept = Unread(
            source=frame.vin,
            reason=reason,
            received_at=self.gateway.now(),
            content=encode(frame),
        )
        return Delivery(name=f"{self.peer} {frame.vin}", reports=[], unread=[kept])

    # Readings

    async def add(self, frame: Frame, payload: Realtime) -> None:
        if not self.may_speak(frame.vin):
            await self.flush()
            await self.answer(frame, Ack.ERROR)
            return
        at = payload.collected_at
        if self.group is not None and (self.group.vin, self.group.at) != (frame.vin, at):
            self.close_group()
        if self.group is None:
            self.group = Together(frame.vin, at)
        group = self.group
        group.frames.append(frame)
        group.reports += reports(frame, payload, self.pages)
        group.tells_alarms |= any(isinstance(info.block, blocks.Alarms) for info in payload.infos)

    def close_group(self) -> None:
        """Nothing more comes of this instant: rows of cells stay as far as they came."""
        if self.group is None:
            return
        for key in list(self.pages.open):
            self.group.reports.append(with_gaps(self.pages.close(key), is_reissued=key[2]))
        self.ready.append(self.group)
        self.group = None

    async def flush(self) -> None:
        self.close_group()
        await self.commit_ready()

    async def commit_ready(self) -> None:
        """Commit all closed groups at once, then answer their frames in order."""
        groups, self.ready = self.ready, []
        if not groups:
            return
        found = [report for group in groups for report in self.with_changes(group)]
        delivery = Delivery(name=f"{self.peer} {groups[0].vin}", reports=found)
        await self.settle(delivery, [frame for group in groups for frame in group.frames])

    def with_changes(self, group: Together) -> list[Report]:
        """A group's reports, with the alarms that begin and end in place of those that are up."""
        flags, codes = self.gateway.flags, ALARMS_OF[group.frames[0].edition]
        return [
            replace(one, alarms=flags.of(one, codes) if group.tells_alarms else ())
            for one in merged(group.reports)
        ]

    async def settle(self, delivery: Delivery, frames: list[Frame]) -> None:
        try:
            if delivery.reports or delivery.unread:
                await self.gateway.intake.put(delivery)
        except Exception:
            # Said in the log by the intake. The vehicle keeps its readings and reissues them, with
            # alarms of which we have not heard then.
            for report in delivery.reports:
                self.gateway.flags.known.pop(report.source, None)
            result = Ack.ERROR
        else:
            result = Ack.OK
        for frame in frames:
            await self.answer(frame, result)

    # Answers

    async def answer(self, frame: Frame, result: Ack) -> None:
        await self.send(acknowledge(frame, result, now=self.gateway.now()))

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        async with asyncio.timeout(self.limits.answer_within.total_seconds()):
            await self.writer.drain()
