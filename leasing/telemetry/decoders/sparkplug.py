"""Sparkplug B: what an edge node publishes over MQTT, after the Eclipse specification, version 3.0.

A node is born with all its metrics (NBIRTH), as are its devices (DBIRTH); data then may name a
metric by an alias only. Every message of a node but its death counts `seq` on, 0 to 255 and round
again: a gap means that something was lost, and a rebirth is asked for. A death bears the `bdSeq` of
the birth that it ends; one of an older session is out of date.

Field numbers are those of the published payload; what is not read here (meta data, properties, data
sets, templates) is carried as the bytes it came in.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from enum import IntEnum, StrEnum
from functools import cache
from math import isfinite
from typing import Any

import msgspec

from leasing.telemetry.decoders.frames import FrameError
from leasing.telemetry.model import Alarm, Missing, Report, Source, SourceKind

NAMESPACE = "spBv1.0"
BD_SEQ = "bdSeq"
REBIRTH = "Node Control/Rebirth"
MAX_METRICS = 10_000
"""In one message, and aliases of one node."""
MAX_BYTES = 4_000_000


class MessageType(StrEnum):
    NBIRTH = "NBIRTH"
    NDEATH = "NDEATH"
    NDATA = "NDATA"
    NCMD = "NCMD"
    DBIRTH = "DBIRTH"
    DDEATH = "DDEATH"
    DDATA = "DDATA"
    DCMD = "DCMD"


OF_DEVICE = {MessageType.DBIRTH, MessageType.DDEATH, MessageType.DDATA, MessageType.DCMD}
COMMANDS = {MessageType.NCMD, MessageType.DCMD}


class DataType(IntEnum):
    INT8 = 1
    INT16 = 2
    INT32 = 3
    INT64 = 4
    UINT8 = 5
    UINT16 = 6
    UINT32 = 7
    UINT64 = 8
    FLOAT = 9
    DOUBLE = 10
    BOOLEAN = 11
    STRING = 12
    DATETIME = 13
    TEXT = 14
    UUID = 15
    DATASET = 16
    BYTES = 17
    FILE = 18
    TEMPLATE = 19


FIRST_ARRAY, LAST_ARRAY = 22, 34
SIGNED_BITS = {DataType.INT8: 8, DataType.INT16: 16, DataType.INT32: 32, DataType.INT64: 64}
UNSIGNED_BITS = {DataType.UINT8: 8, DataType.UINT16: 16, DataType.UINT32: 32, DataType.UINT64: 64}
CARRIED_BY = {
    DataType.FLOAT: ("float_value",),
    DataType.DOUBLE: ("double_value",),
    DataType.BOOLEAN: ("boolean_value",),
    DataType.STRING: ("string_value",),
    DataType.TEXT: ("string_value",),
    DataType.UUID: ("string_value",),
    DataType.DATETIME: ("long_value",),
    DataType.DATASET: ("dataset_value",),
    DataType.BYTES: ("bytes_value",),
    DataType.FILE: ("bytes_value",),
    DataType.TEMPLATE: ("template_value",),
}
Value = int | float | bool | str | bytes | None


class Topic(msgspec.Struct, frozen=True):
    group: str
    type: MessageType
    node: str
    device: str | None = None

    def __str__(self) -> str:
        tail = f"/{self.device}" if self.device is not None else ""
        return f"{NAMESPACE}/{self.group}/{self.type}/{self.node}{tail}"


class Metric(msgspec.Struct, frozen=True):
    """Of data, the name or the type may be missing: the birth has them, under the alias. Until then
    a value without its type is what the field `carried` held."""

    name: str | None
    value: Value
    datatype: int | None = None
    alias: int | None = None
    at: datetime | None = None
    is_null: bool = False
    is_historical: bool = False
    carried: str | None = None


class Payload(msgspec.Struct, frozen=True):
    metrics: tuple[Metric, ...] = ()
    at: datetime | None = None
    seq: int | None = None


def read_topic(text: str) -> Topic:
    parts = text.split("/")
    if parts[0] != NAMESPACE:
        raise FrameError(0, f"topic is not of {NAMESPACE}")
    if len(parts) not in (4, 5) or not all(parts):
        raise FrameError(len(text), "topic is not namespace/group/type/node[/device]")
    if any(character in text for character in "+#\0"):
        raise FrameError(0, "topic holds a wildcard")
    try:
        kind = MessageType(parts[2])
    except ValueError:
        at = len(parts[0]) + len(parts[1]) + 2
        raise FrameError(at, f"unknown type of message {parts[2]}") from None
    if (kind in OF_DEVICE) != (len(parts) == 5):
        raise FrameError(len(text), f"{kind} {'needs a' if kind in OF_DEVICE else 'has no'} device")
    return Topic(parts[1], kind, parts[3], parts[4] if len(parts) == 5 else None)


METRIC_FIELDS = {
    1: ("name", "BYTES"),
    2: ("alias", "UINT64"),
    3: ("timestamp", "UINT64"),
    4: ("datatype", "UINT32"),
    5: ("is_historical", "BOOL"),
    6: ("is_transient", "BOOL"),
    7: ("is_null", "BOOL"),
    8: ("metadata", "BYTES"),
    9: ("properties", "BYTES"),
    10: ("int_value", "UINT32"),
    11: ("long_value", "UINT64"),
    12: ("float_value", "FLOAT"),
    13: ("double_value", "DOUBLE"),
    14: ("boolean_value", "BOOL"),
    15: ("string_value", "BYTES"),
    16: ("bytes_value", "BYTES"),
    17: ("dataset_value", "BYTES"),
    18: ("template_value", "BYTES"),
    19: ("extension_value", "BYTES"),
}
"""By number. Text is taken as bytes, so that we see ourselves whether it is UTF-8; a message within
is taken as the bytes that it is on the wire."""
FIRST_VALUE = 10
PAYLOAD_FIELDS = {
    1: ("timestamp", "UINT64"),
    3: ("seq", "UINT64"),
    4: ("uuid", "BYTES"),
    5: ("body", "BYTES"),
}


@cache
def wire() -> Any:
    """The class of payloads on the wire."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(
        name="sparkplug_b_read.proto", package="leasing.sparkplug", syntax="proto2"
    )
    kinds = descriptor_pb2.FieldDescriptorProto
    payload = file.message_type.add(name="Payload")
    metric = file.message_type.add(name="Metric")
    metric.oneof_decl.add(name="value")
    for number, (name, kind) in METRIC_FIELDS.items():
        field = metric.field.add(
            name=name, number=number, label=kinds.LABEL_OPTIONAL, type=f"TYPE_{kind}"
        )
        if number >= FIRST_VALUE:
            field.oneof_index = 0
    for number, (name, kind) in PAYLOAD_FIELDS.items():
        payload.field.add(name=name, number=number, label=kinds.LABEL_OPTIONAL, type=f"TYPE_{kind}")
    payload.field.add(
        name="metrics",
        number=2,
        label=kinds.LABEL_REPEATED,
        type=kinds.TYPE_MESSAGE,
        type_name=".leasing.sparkplug.Metric",
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("leasing.sparkplug.Payload"))


def read(data: bytes) -> Payload:
    """A payload. The wire format does not tell where it is broken, so errors of its own are at 0;
    errors of a metric count metrics."""
    from google.protobuf.message import DecodeError

    if len(data) > MAX_BYTES:
        raise FrameError(MAX_BYTES, f"more than {MAX_BYTES} bytes")
    try:
        sent = wire().FromString(data)
    except DecodeError as error:
        raise FrameError(0, f"no Sparkplug payload: {error}") from None
    if len(sent.metrics) > MAX_METRICS:
        raise FrameError(0, f"more than {MAX_METRICS} metrics")
    seq = sent.seq if sent.HasField("seq") else None
    if seq is not None and seq > 255:
        raise FrameError(0, f"seq is {seq}, more than 255")
    return Payload(
        metrics=tuple(metric(one, nth) for nth, one in enumerate(sent.metrics)),
        at=instant(sent.timestamp, 0) if sent.HasField("timestamp") else None,
        seq=seq,
    )


def instant(milliseconds: int, position: int) -> datetime:
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
    except OverflowError:
        raise FrameError(position, f"timestamp {milliseconds} is beyond all dates") from None


def text(data: bytes, position: int, what: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise FrameError(position, f"{what} is no UTF-8") from None


def metric(sent: Any, position: int) -> Metric:
    name = text(sent.name, position, "the name of a metric") if sent.HasField("name") else None
    alias = sent.alias if sent.HasField("alias") else None
    if not name and alias is None:
        raise FrameError(position, "a metric has neither name nor alias")
    datatype = sent.datatype if sent.HasField("datatype") else None
    carried = sent.WhichOneof("value")
    is_null = sent.is_null or carried is None
    value = None if is_null else getattr(sent, carried)
    if not is_null and datatype is not None:
        value = typed(value, carried, datatype, position)
    return Metric(
        name=name or None,
        value=value,
        datatype=datatype,
        alias=alias,
        at=instant(sent.timestamp, position) if sent.HasField("timestamp") else None,
        is_null=is_null,
        is_historical=sent.is_historical,
        carried=None if is_null or datatype is not None else carried,
    )


def typed(value: Any, carried: str, datatype: int, position: int) -> Value:
    """A value by its type. Negative whole numbers travel as the complement of two."""
    if FIRST_ARRAY <= datatype <= LAST_ARRAY:
        expected: tuple[str, ...] = ("bytes_value",)
    else:
        try:
            kind = DataType(datatype)
        except ValueError:
            raise FrameError(position, f"unknown type of data {datatype}") from None
        if kind in SIGNED_BITS or kind in UNSIGNED_BITS:
            return whole(value, carried, kind, position)
        expected = CARRIED_BY[kind]
    if carried not in expected:
        raise FrameError(position, f"a value of type {datatype} came as {carried}")
    return text(value, position, "a text") if carried == "string_value" else value


def whole(value: Any, carried: str, kind: DataType, position: int) -> int:
    if carried not in ("int_value", "long_value"):
        raise FrameError(position, f"a value of type {kind.name} came as {carried}")
    number = int(value)
    if kind in UNSIGNED_BITS:
        if number >> UNSIGNED_BITS[kind]:
            raise FrameError(position, f"{number} is no {kind.name}")
        return number
    bits, width = SIGNED_BITS[kind], 32 if carried == "int_value" else 64
    if number >> (width - 1):
        number -= 1 << width
    elif number >> (bits - 1) == 1:
        number -= 1 << bits
    if not -(1 << (bits - 1)) <= number < 1 << (bits - 1):
        raise FrameError(position, f"{number} is no {kind.name}")
    return number


def encode(payload: Payload) -> bytes:
    """A payload on the wire. Every metric needs its type, unless it is null."""
    sent = wire()()
    if payload.at is not None:
        sent.timestamp = milliseconds(payload.at)
    if payload.seq is not None:
        sent.seq = payload.seq
    for one in payload.metrics:
        made = sent.metrics.add(is_historical=True) if one.is_historical else sent.metrics.add()
        if one.name is not None:
            made.name = one.name.encode()
        if one.alias is not None:
            made.alias = one.alias
        if one.at is not None:
            made.timestamp = milliseconds(one.at)
        if one.datatype is not None:
            made.datatype = one.datatype
        if one.is_null:
            made.is_null = True
        else:
            carry(made, one)
    return bytes(sent.SerializeToString())


def milliseconds(at: datetime) -> int:
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def carry(made: Any, one: Metric) -> None:
    if one.datatype is None:
        raise ValueError(f"metric {one.name} has no type")
    if isinstance(one.value, int) and one.datatype in (*SIGNED_BITS, *UNSIGNED_BITS):
        bits = (SIGNED_BITS | UNSIGNED_BITS)[DataType(one.datatype)]
        field, width = ("int_value", 32) if bits <= 32 else ("long_value", 64)
        setattr(made, field, one.value & ((1 << width) - 1))
        return
    (field,) = CARRIED_BY.get(DataType(one.datatype), ("bytes_value",))
    setattr(made, field, one.value.encode() if isinstance(one.value, str) else one.value)


def rebirth_request(group: str, node: str, now: datetime) -> tuple[str, bytes]:
    """Topic and payload of a request to a node to be born again."""
    wanted = Metric(REBIRTH, True, datatype=DataType.BOOLEAN)
    topic = Topic(group, MessageType.NCMD, node)
    return str(topic), encode(Payload((wanted,), at=now))


class Known(msgspec.Struct, frozen=True):
    """What a birth told of a metric."""

    name: str
    datatype: int
    device: str | None


class Heard(msgspec.Struct, frozen=True):
    """What a message came to."""

    metrics: tuple[Metric, ...] = ()
    """With their names and types."""
    rebirth: str | None = None
    """Why the node is to be asked to be born again."""
    dropped: int = 0
    """Metrics whose meaning is not known until then."""
    is_dead: bool = False
    """The node or device is offline from now on; of what it said last nobody knows if it holds."""


class Node:
    def __init__(self) -> None:
        self.is_online = False
        self.bd_seq: int | None = None
        self.last: tuple[int, MessageType, str | None, datetime | None] | None = None
        self.aliases: dict[int, Known] = {}
        self.types: dict[tuple[str | None, str], int] = {}
        self.devices: set[str] = set()
        self.asked_at: datetime | None = None


class Nodes:
    """All nodes' births, sequences and aliases. Knows no network: it is told messages with the
    instant at which they came, and says what they mean and whether a rebirth is to be asked for.

    That is said at most once in `ask_again` for each node. The nodes heard least recently are
    forgotten; they are asked to be born again when they are heard next.
    """

    def __init__(
        self, ask_again: timedelta = timedelta(seconds=30), max_nodes: int = 100_000
    ) -> None:
        self.ask_again = ask_again
        self.max_nodes = max_nodes
        self.nodes: OrderedDict[tuple[str, str], Node] = OrderedDict()

    def hear(self, topic: Topic, payload: Payload, now: datetime) -> Heard:
        """Raises `FrameError` for a birth without what every birth must have, and for a value
        that is not of the type that the birth gave."""
        if topic.type in COMMANDS:
            return Heard()
        key = (topic.group, topic.node)
        node = self.nodes.setdefault(key, Node())
        self.nodes.move_to_end(key)
        if len(self.nodes) > self.max_nodes:
            self.nodes.popitem(last=False)
        match topic.type:
            case MessageType.NBIRTH:
                return born(node, payload)
            case MessageType.NDEATH:
                return died(node, payload)
        fault = out_of_step(node, topic, payload)
        if fault == REPEATED:
            return Heard()
        if fault is None and topic.type == MessageType.DBIRTH:
            return device_born(node, topic, payload)
        if fault is None and topic.type == MessageType.DDEATH:
            node.devices.discard(topic.device or "")
            return Heard(is_dead=True)
        return self.data(node, topic, payload, fault, now)

    def data(
        self, node: Node, topic: Topic, payload: Payload, fault: str | None, now: datetime
    ) -> Heard:
        if fault is None and topic.device is not None and topic.device not in node.devices:
            fault = f"device {topic.device} is not born"
        found = []
        for one in payload.metrics:
            known = resolved(node, topic.device, one, is_in_step=fault is None)
            if known is not None:
                found.append(known)
        dropped = len(payload.metrics) - len(found)
        if fault is None and dropped:
            fault = "a metric was not in the birth"
        return Heard(tuple(found), self.wanted(node, fault, now), dropped)

    def wanted(self, node: Node, fault: str | None, now: datetime) -> str | None:
        if fault is None:
            return None
        node.is_online = False
        if node.asked_at is not None and now - node.asked_at < self.ask_again:
            return None
        node.asked_at = now
        return fault


REPEATED = "repeated"


def out_of_step(node: Node, topic: Topic, payload: Payload) -> str | None:
    """Why a message is not the next one of its session; None when it is."""
    if payload.seq is None:
        return "a message has no seq"
    this = (payload.seq, topic.type, topic.device, payload.at)
    if not node.is_online or node.last is None:
        return "the node is not born"
    if this == node.last and payload.at is not None:
        return REPEATED
    expected = (node.last[0] + 1) % 256
    if payload.seq != expected:
        return f"seq is {payload.seq}, not {expected}"
    node.last = this
    return None


def born(node: Node, payload: Payload) -> Heard:
    if payload.seq is None:
        raise FrameError(0, "NBIRTH has no seq")
    aliases, types = learnt({}, {}, None, payload)
    node.is_online, node.asked_at = True, None
    node.bd_seq = bd_seq(payload)
    node.last = (payload.seq, MessageType.NBIRTH, None, payload.at)
    node.aliases, node.types, node.devices = aliases, types, set()
    return Heard(payload.metrics)


def device_born(node: Node, topic: Topic, payload: Payload) -> Heard:
    others = {alias: one for alias, one in node.aliases.items() if one.device != topic.device}
    types = {key: kind for key, kind in node.types.items() if key[0] != topic.device}
    node.aliases, node.types = learnt(others, types, topic.device, payload)
    node.devices.add(topic.device or "")
    return Heard(payload.metrics)


def learnt(
    aliases: dict[int, Known],
    types: dict[tuple[str | None, str], int],
    device: str | None,
    payload: Payload,
) -> tuple[dict[int, Known], dict[tuple[str | None, str], int]]:
    aliases, types = dict(aliases), dict(types)
    for position, one in enumerate(payload.metrics):
        if one.name is None:
            raise FrameError(position, "a birth has a metric without a name")
        if one.datatype is None:
            raise FrameError(position, f"the birth does not tell the type of {one.name}")
        types[device, one.name] = one.datatype
        if one.alias is not None:
            if one.alias in aliases:
                raise FrameError(position, f"alias {one.alias} is given twice")
            aliases[one.alias] = Known(one.name, one.datatype, device)
    if len(types) > MAX_METRICS:
        raise FrameError(0, f"a node has more than {MAX_METRICS} metrics")
    return aliases, types


def bd_seq(payload: Payload) -> int | None:
    for one in payload.metrics:
        if one.name == BD_SEQ and isinstance(one.value, int):
            return one.value
    return None


def died(node: Node, payload: Payload) -> Heard:
    told = bd_seq(payload)
    if node.bd_seq is not None and told is not None and told != node.bd_seq:
        return Heard()
    node.is_online, node.devices = False, set()
    return Heard(is_dead=True)


def resolved(node: Node, device: str | None, one: Metric, *, is_in_step: bool) -> Metric | None:
    """A metric with its name and type. Out of step only one that brings both is believed."""
    if one.name is not None and one.datatype is not None:
        return one
    if not is_in_step:
        return None
    if one.name is not None:
        if (device, one.name) not in node.types:
            return None
        datatype = node.types[device, one.name]
        return retyped(one, one.name, datatype)
    known = node.aliases.get(one.alias) if one.alias is not None else None
    if known is None or known.device != device:
        return None
    return retyped(one, known.name, known.datatype if one.datatype is None else one.datatype)


def retyped(one: Metric, name: str, datatype: int) -> Metric:
    """With the name and the type that the birth gave."""
    value = one.value
    if one.carried is not None:
        value = typed(value, one.carried, datatype, 0)
    return msgspec.structs.replace(one, name=name, datatype=datatype, value=value, carried=None)


PREFIX = "battery"
FIELDS: dict[str, tuple[float, float]] = {
    "voltage_v": (0, 2000),
    "current_a": (-5000, 5000),
    "soc_percent": (0, 100),
    "soh_percent": (0, 100),
    "temperature_c": (-50, 150),
    "temperature_min_c": (-50, 150),
    "insulation_kohm": (0, 1_000_000),
    "odometer_km": (0, 10_000_000),
}
"""Metrics `battery/<field>`, and the values that they can have."""
ROWS: dict[str, tuple[float, float]] = {"cells_mv": (0, 60_000), "temperatures_c": (-50, 150)}
"""Metrics `battery/<row>/<number>`, numbered from 1."""
ALARMS = "alarms"
"""Metrics `battery/alarms/<code>`: true begins an alarm, false ends it."""
MAX_ROW = 1_000
"""With several batteries behind one device, `battery/<part>/…`."""


class Parts:
    """What one battery said at one instant, on its way into a report."""

    def __init__(self) -> None:
        self.fields: dict[str, float] = {}
        self.rows: dict[str, dict[int, float | None]] = {"cells_mv": {}, "temperatures_c": {}}
        self.missing: dict[str, Missing] = {}
        self.alarms: list[Alarm] = []

    def put(self, path: list[str], one: Metric) -> bool:
        """Whether the metric was one of ours."""
        if len(path) == 1 and path[0] in FIELDS:
            value = self.number(path[0], one, FIELDS[path[0]])
            if value is not None:
                self.fields[path[0]] = value
            return True
        if len(path) != 2:
            return False
        row, last = path
        if row == ALARMS and isinstance(one.value, bool):
            self.alarms.append(Alarm(last, begins=one.value))
            return True
        if row in ROWS and (nth := counted(last)):
            self.rows[row][nth] = self.number(f"{row}/{nth}", one, ROWS[row])
            return True
        return False

    def number(self, name: str, one: Metric, bounds: tuple[float, float]) -> float | None:
        value = one.value
        if value is None or isinstance(value, (bool, str, bytes)) or not isfinite(value):
            self.missing[name] = Missing.INVALID
            return None
        if not bounds[0] <= value <= bounds[1]:
            self.missing[name] = Missing.OUT_OF_RANGE
            return None
        return value

    def row(self, name: str) -> tuple[float | None, ...]:
        """In the order of numbers; what was not sent is None, and the row is incomplete."""
        found = self.rows[name]
        if found and len(found) != max(found):
            self.missing[name] = Missing.INCOMPLETE
        return tuple(found.get(nth) for nth in range(1, max(found, default=0) + 1))


def counted(text: str) -> int | None:
    found = int(text) if text.isascii() and text.isdecimal() and len(text) <= 4 else 0
    return found if 1 <= found <= MAX_ROW else None


def reports(
    topic: Topic, metrics: Iterable[Metric], sent_at: datetime | None, now: datetime
) -> list[Report]:
    """What metrics say of batteries: a report for each battery and instant.

    A metric's instant is its own, else the payload's (`sent_at`), else `now`. Metrics that are not
    named as documented are passed over.
    """
    found: dict[tuple[int, datetime, bool], Parts] = {}
    for one in metrics:
        path = (one.name or "").split("/")
        if path[0] != PREFIX or len(path) < 2:
            continue
        part = counted(path[1]) if len(path) > 2 else None
        rest = path[2:] if part else path[1:]
        key = (part or 1, one.at or sent_at or now, one.is_historical)
        parts = found.get(key) or Parts()
        if parts.put(rest, one):
            found[key] = parts
    value = f"{topic.group}/{topic.node}" + (f"/{topic.device}" if topic.device else "")
    return [
        made(Source(SourceKind.DEVICE, value, part), at, parts, is_historical)
        for (part, at, is_historical), parts in found.items()
    ]


def made(source: Source, at: datetime, parts: Parts, is_historical: bool) -> Report:
    cells = parts.row("cells_mv")
    temperatures = parts.row("temperatures_c")
    get: Callable[[str], float | None] = parts.fields.get
    return Report(
        source=source,
        at=at,
        voltage_v=get("voltage_v"),
        current_a=get("current_a"),
        soc_percent=get("soc_percent"),
        soh_percent=get("soh_percent"),
        temperature_c=get("temperature_c"),
        temperature_min_c=get("temperature_min_c"),
        insulation_kohm=get("insulation_kohm"),
        odometer_km=get("odometer_km"),
        cells_mv=tuple(None if one is None else round(one) for one in cells),
        temperatures_c=temperatures,
        missing=tuple(sorted(parts.missing.items())),
        alarms=tuple(parts.alarms),
        is_reissued=is_historical,
    )
