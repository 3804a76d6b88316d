"""Readings over MQTT 5: JSON on topics of ours, and Sparkplug B.

A message is acknowledged (PUBACK) when what it says is committed. The broker keeps the session, so
what we did not acknowledge, because we were stopped or it was, comes again. How many may be on
their way to us unacknowledged is the broker's bound and ours (receive maximum): while commits are
slow, the broker waits.

Several gateways share the load by a shared subscription (`$share/…`); Sparkplug's sequence numbers
need one that sees all messages of a node, so its topics are read by one.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from leasing.gateways.intake import Intake
from leasing.gateways.model import Delivery, Unread
from leasing.telemetry.decoders.frames import FrameError
from leasing.telemetry.model import Report

if TYPE_CHECKING:
    import aiomqtt

log = structlog.get_logger(__name__)

RECEIVE_MAXIMUM = 1_000
SESSION_KEPT_S = 7 * 24 * 3600
RECONNECT_AFTER_S = 2.0
AT_LEAST_ONCE = 1

Decode = Callable[[str, bytes, datetime], "Decoded"]


class Publication(msgspec.Struct, frozen=True):
    """What is to be said to a device, such as a wish for a new birth certificate."""

    topic: str
    payload: bytes


class Decoded(msgspec.Struct, frozen=True):
    reports: list[Report]
    ask: list[Publication] = []


class Broker(msgspec.Struct, frozen=True):
    """Where the broker is, and who we are to it."""

    host: str
    port: int = 1883
    username: str | None = None
    password: str | None = None
    tls: bool = False
    identifier: str = "leasing-gateway"
    """The session that the broker keeps for us is known by this name: one process each."""


class Gateway:
    """Takes messages in until it is cancelled; connects again when the broker goes away."""

    def __init__(
        self,
        intake: Intake,
        broker: Broker,
        topics: Sequence[str],
        decode: Decode,
        *,
        now: Callable[[], datetime],
        ready: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.intake = intake
        self.broker = broker
        self.topics = topics
        self.decode = decode
        self.now = now
        self.ready = ready

    async def run(self) -> None:
        import aiomqtt

        while True:
            try:
                async with self.connect() as client:
                    await self.take_all(client)
            except* aiomqtt.MqttError as gone:
                log.warning("broker_away", broker=self.broker.host, error=str(gone.exceptions[0]))
            await asyncio.sleep(RECONNECT_AFTER_S)

    def connect(self) -> "aiomqtt.Client":
        import aiomqtt
        from paho.mqtt.packettypes import PacketTypes
        from paho.mqtt.properties import Properties

        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = SESSION_KEPT_S
        properties.ReceiveMaximum = RECEIVE_MAXIMUM
        client = aiomqtt.Client(
            self.broker.host,
            self.broker.port,
            username=self.broker.username,
            password=self.broker.password,
            identifier=self.broker.identifier,
            protocol=aiomqtt.ProtocolVersion.V5,
            clean_start=False,
            properties=properties,
            tls_context=ssl.create_default_context() if self.broker.tls else None,
        )
        # aiomqtt acknowledges when a message has arrived; we do when it is stored. It has no
        # option for that, but the client of paho that it drives has.
        client._client.manual_ack_set(True)
        return client

    async def take_all(self, client: "aiomqtt.Client") -> None:
        for topic in self.topics:
            await client.subscribe(topic, qos=AT_LEAST_ONCE)
        if self.ready is not None:
            await self.ready()
        async with asyncio.TaskGroup() as tasks:
            async for message in client.messages:
                # Read in order, as sequences ask for; stored together, acknowledged when stored.
                decoded = self.read(message)
                tasks.create_task(self.settle(client, message, decoded))

    def read(self, message: "aiomqtt.Message") -> "Decoded | Unread":
        topic, payload = message.topic.value, bytes_of(message.payload)
        now = self.now()
        try:
            return self.decode(topic, payload, now)
        except FrameError as error:
            log.info("message_unread", topic=topic, reason=str(error))
            return Unread(source=topic, reason=str(error), received_at=now, content=payload)

    async def settle(
        self, client: "aiomqtt.Client", message: "aiomqtt.Message", decoded: "Decoded | Unread"
    ) -> None:
        topic = message.topic.value
        if isinstance(decoded, Unread):
            delivery = Delivery(name=topic, reports=[], unread=[decoded])
            ask: list[Publication] = []
        else:
            delivery, ask = Delivery(name=topic, reports=decoded.reports), decoded.ask
        try:
            if delivery.reports or delivery.unread:
                await self.intake.put(delivery)
        except Exception as error:
            # What the database will never take is kept as it came, or it would come for ever.
            kept = Unread(topic, str(error) or repr(error), self.now(), bytes_of(message.payload))
            await self.intake.put(Delivery(name=topic, reports=[], unread=[kept]))
        if message.qos:
            client._client.ack(message.mid, message.qos)
        for one in ask:
            await client.publish(one.topic, one.payload)


def bytes_of(payload: Any) -> bytes:
    return payload if isinstance(payload, bytes) else str(payload or "").encode()
