"""Sparkplug B: what edge nodes publish, and what they are asked.

Births give names to aliases; after our start, or when a message is missing, a node is asked to be
born again. What it says until then by aliases alone cannot be read; it is kept as it came.
"""

from datetime import datetime

from leasing.gateways.mqtt import Decoded, Publication
from leasing.telemetry.decoders import sparkplug
from leasing.telemetry.decoders.sparkplug import MessageType, Nodes

TOPICS = ("spBv1.0/#",)
STATE = "spBv1.0/STATE/"


class Decoder:
    """Remembers nodes, so one sees all messages of a node, in their order."""

    def __init__(self) -> None:
        self.nodes = Nodes()

    def __call__(self, topic: str, payload: bytes, now: datetime) -> Decoded:
        """What a message says. Raises `FrameError` with the place and the reason."""
        if topic.startswith(STATE):
            return Decoded([])  # of host applications, ourselves among them
        where = sparkplug.read_topic(topic)
        if where.type in (MessageType.NCMD, MessageType.DCMD):
            return Decoded([])
        read = sparkplug.read(payload)
        heard = self.nodes.hear(where, read, now)
        ask = []
        if heard.rebirth is not None:
            ask.append(Publication(*sparkplug.rebirth_request(where.group, where.node, now)))
        unread = None
        if heard.dropped:
            unread = f"{heard.dropped} metrics by aliases that no birth explained"
        return Decoded(sparkplug.reports(where, heard.metrics, read.at, now), ask, unread)
