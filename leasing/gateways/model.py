"""What gateways hand over."""

from datetime import datetime

import msgspec

from leasing.telemetry.model import Report


class Unread(msgspec.Struct, frozen=True):
    """What came and could not be read: encrypted, or no such message. It is kept as it came, for
    whoever has the key or mends the sender."""

    source: str
    """Who sent it, as far as it can be told: a vehicle identification number, a topic."""
    reason: str
    received_at: datetime
    content: bytes


class Delivery(msgspec.Struct, frozen=True):
    """What one acknowledgement speaks of."""

    name: str
    """Of the sender, for the log."""
    reports: list[Report]
    unread: list[Unread] = []
