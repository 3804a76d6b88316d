"""Our own layout of topics and JSON for MQTT.

    leasing/v1/packs/{id}/readings      leasing/v1/vehicles/{vin}/readings
    leasing/v1/codes/{code}/readings    leasing/v1/devices/{device code}/readings
    …/alarms in place of …/readings: alarms that the device itself raises and ends

A message is one reading or alarm, or a list of them. A code with `/`, `+` or `#` in it cannot be a
part of a topic; send its pack's id.
"""

import re
from datetime import datetime
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from leasing.gateways.mqtt import Decoded
from leasing.telemetry.decoders.frames import FrameError
from leasing.telemetry.model import Alarm, Report, Source, SourceKind

TOPICS = ("leasing/v1/+/+/readings", "leasing/v1/+/+/alarms")
PATTERN = re.compile(r"leasing/v1/(packs|codes|vehicles|devices)/([^/+#]+)/(readings|alarms)")
KINDS = {
    "packs": SourceKind.PACK,
    "codes": SourceKind.PACK_CODE,
    "vehicles": SourceKind.VEHICLE,
    "devices": SourceKind.DEVICE,
}
MAX_ITEMS = 10_000

Instant = Annotated[datetime, Meta(tz=True)]
Celsius = Annotated[float, Meta(ge=-60, le=200)]


class SaidReading(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A reading as a message has it: of the source in the topic."""

    at: Instant
    voltage_v: Annotated[float, Meta(ge=0, le=2000)] | None = None
    current_a: Annotated[float, Meta(ge=-5000, le=5000)] | None = None
    soc_percent: Annotated[float, Meta(ge=0, le=100)] | None = None
    temperature_c: Celsius | None = None
    temperature_min_c: Celsius | None = None
    insulation_kohm: Annotated[float, Meta(ge=0)] | None = None
    soh_percent: Annotated[float, Meta(ge=0, le=200)] | None = None
    odometer_km: Annotated[float, Meta(ge=0)] | None = None
    cells_mv: Annotated[tuple[int | None, ...], Meta(max_length=500)] = ()
    temperatures_c: Annotated[tuple[Celsius | None, ...], Meta(max_length=100)] = ()
    part: Annotated[int, Meta(ge=1, le=250)] = 1


class SaidAlarm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    at: Instant
    code: Annotated[str, Meta(min_length=1, max_length=100)]
    begins: bool
    level: Annotated[int, Meta(ge=1, le=4)] | None = None
    text: Annotated[str, Meta(max_length=400)] | None = None
    serial: Annotated[str, Meta(max_length=100)] | None = None
    part: Annotated[int, Meta(ge=1, le=250)] = 1


Said = TypeVar("Said", SaidReading, SaidAlarm)


def decode(topic: str, payload: bytes, now: datetime) -> Decoded:
    """What a message says. Raises `FrameError` with the place in the message and the reason."""
    found = PATTERN.fullmatch(topic)
    if found is None:
        raise FrameError(0, f"{topic} is no topic of readings or alarms")
    kind, value, what = found.groups()
    if what == "readings":
        return Decoded([reading(KINDS[kind], value, one) for one in read(payload, SaidReading)])
    return Decoded([alarm(KINDS[kind], value, one) for one in read(payload, SaidAlarm)])


def read(payload: bytes, type_: type[Said]) -> list[Said]:
    try:
        raw: Any = msgspec.json.decode(payload)
        items = raw if isinstance(raw, list) else [raw]
        said = [msgspec.convert(item, type_) for item in items]
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise FrameError(0, str(error)) from error
    if len(said) > MAX_ITEMS:
        raise FrameError(0, f"{len(said)} in one message, {MAX_ITEMS} at most")
    return said


def reading(kind: SourceKind, value: str, said: SaidReading) -> Report:
    values = msgspec.structs.asdict(said)
    return Report(source=Source(kind, value, values.pop("part")), **values)


def alarm(kind: SourceKind, value: str, said: SaidAlarm) -> Report:
    raised = Alarm(said.code, said.begins, said.level, said.text, said.serial)
    return Report(source=Source(kind, value, said.part), at=said.at, alarms=(raised,))
