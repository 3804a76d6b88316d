"""Sparkplug B: payloads, topics, and what births, sequences and aliases come to."""

import struct
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leasing.telemetry.decoders import sparkplug
from leasing.telemetry.decoders.frames import FrameError
from leasing.telemetry.decoders.sparkplug import (
    DataType,
    Heard,
    Metric,
    Nodes,
    Payload,
    encode,
    read,
    read_topic,
    reports,
)
from leasing.telemetry.model import Alarm, Missing, Source, SourceKind

NOW = datetime(2026, 6, 15, 4, 30, tzinfo=UTC)
SECOND = timedelta(seconds=1)
NODE = "spBv1.0/tower/{}/site7"
DEVICE = "spBv1.0/tower/{}/site7/pack1"


def metric(name: str | None, value: object, kind: DataType | None, **fields: object) -> Metric:
    return Metric(name, value, datatype=kind, **fields)


VOLTAGE = metric("battery/voltage_v", 53.5, DataType.DOUBLE, alias=1)
CURRENT = metric("battery/current_a", -3, DataType.INT16, alias=2)
BD_SEQ = metric("bdSeq", 4, DataType.INT64)
NBIRTH = Payload((BD_SEQ,), NOW, 0)
DBIRTH = Payload((VOLTAGE, CURRENT), NOW, 1)


def data(seq: int, *metrics: Metric, at: datetime = NOW) -> Payload:
    return Payload(metrics, at, seq)


CORPUS = [
    encode(NBIRTH),
    encode(DBIRTH),
    encode(
        data(2, metric("t", "文", DataType.TEXT), metric("n", None, DataType.INT8, is_null=True))
    ),
    encode(data(3, metric("b", b"\1\2", DataType.BYTES), metric("o", True, DataType.BOOLEAN))),
    encode(data(4, metric("f", 0.5, DataType.FLOAT, is_historical=True, at=NOW))),
]


class Session:
    """A host, and what it hears of one site."""

    def __init__(self) -> None:
        self.nodes = Nodes()
        self.now = NOW

    def hear(self, topic: str, payload: Payload) -> Heard:
        kind = topic.partition(" ")[0]
        pattern = DEVICE if kind.startswith("D") else NODE
        return self.nodes.hear(
            read_topic(pattern.format(kind)), read(encode_loose(payload)), self.now
        )

    def born(self) -> "Session":
        self.hear("NBIRTH", NBIRTH)
        self.hear("DBIRTH", DBIRTH)
        return self


def encode_loose(payload: Payload) -> bytes:
    """Also of metrics without a type, as data may have them: their values' fields are named by
    `carried`."""
    sent = sparkplug.wire().FromString(encode(Payload((), payload.at, payload.seq)))
    for one in payload.metrics:
        if one.carried is None:
            sent.metrics.add().ParseFromString(
                sparkplug.wire().FromString(encode(Payload((one,)))).metrics[0].SerializeToString()
            )
        else:
            made = sent.metrics.add(alias=one.alias)
            if one.name:
                made.name = one.name.encode()
            setattr(made, one.carried, one.value)
    return bytes(sent.SerializeToString())


def by_alias(alias: int, value: object, carried: str) -> Metric:
    return Metric(None, value, alias=alias, carried=carried)


def test_topics_name_a_group_a_type_a_node_and_maybe_a_device():
    topic = read_topic("spBv1.0/tower/DDATA/site7/pack1")
    assert (topic.group, topic.type, topic.node, topic.device) == (
        "tower",
        "DDATA",
        "site7",
        "pack1",
    )
    assert str(topic) == "spBv1.0/tower/DDATA/site7/pack1"
    assert str(read_topic("spBv1.0/g/NBIRTH/n")) == "spBv1.0/g/NBIRTH/n"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("spAv1.0/g/NDATA/n", "not of spBv1.0"),
        ("spBv1.0/g/NDATA", "is not namespace"),
        ("spBv1.0//NDATA/n", "is not namespace"),
        ("spBv1.0/g/NDATA/n/d", "has no device"),
        ("spBv1.0/g/DDATA/n", "needs a device"),
        ("spBv1.0/g/NEWS/n", "unknown type of message NEWS"),
        ("spBv1.0/+/NDATA/n", "wildcard"),
        ("", "not of spBv1.0"),
    ],
)
def test_a_topic_that_is_none_is_refused(text, reason):
    with pytest.raises(FrameError, match=reason):
        read_topic(text)


def test_a_payload_is_what_the_published_field_numbers_make_of_it():
    """Written out by hand: the tags are number << 3 | wire type."""
    one = (
        b"\x0a\x01v"
        + b"\x10\x07"
        + b"\x18\xe8\x07"
        + b"\x20\x0a"
        + b"\x69"
        + struct.pack("<d", 53.5)
    )
    sent = b"\x08\xe8\x07" + b"\x12" + bytes((len(one),)) + one + b"\x18\x05"
    expected = Metric("v", 53.5, DataType.DOUBLE, 7, datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC))
    assert read(sent) == Payload((expected,), expected.at, 5)
    assert encode(read(sent)) == sent


@pytest.mark.parametrize(
    ("kind", "value", "field"),
    [
        (DataType.INT8, -1, b"\x50\xff\xff\xff\xff\x0f"),
        (DataType.INT16, -3, b"\x50\xfd\xff\xff\xff\x0f"),
        (DataType.INT32, 2**31 - 1, b"\x50\xff\xff\xff\xff\x07"),
        (DataType.INT64, -1, b"\x58" + b"\xff" * 9 + b"\x01"),
        (DataType.UINT8, 255, b"\x50\xff\x01"),
        (DataType.UINT32, 2**32 - 1, b"\x58\xff\xff\xff\xff\x0f"),
        (DataType.UINT64, 2**64 - 1, b"\x58" + b"\xff" * 9 + b"\x01"),
        (DataType.INT8, -1, b"\x50\xff\x01"),
        (DataType.FLOAT, 0.5, b"\x65" + struct.pack("<f", 0.5)),
        (DataType.BOOLEAN, True, b"\x70\x01"),
        (DataType.STRING, "é", b"\x7a\x02\xc3\xa9"),
        (DataType.BYTES, b"\xff", b"\x82\x01\x01\xff"),
        (DataType.DATASET, b"", b"\x8a\x01\x00"),
        (DataType.DATETIME, 5, b"\x58\x05"),
    ],
)
def test_values_are_read_by_their_type(kind, value, field):
    one = b"\x0a\x01m" + b"\x20" + bytes((kind,)) + field
    (found,) = read(b"\x12" + bytes((len(one),)) + one).metrics
    assert (found.value, type(found.value)) == (value, type(value))


@pytest.mark.parametrize(
    ("field", "reason"),
    [
        (b"\x20\x01\x50\x80\x02", "256 is no INT8"),
        (b"\x20\x05\x50\x80\x02", "256 is no UINT8"),
        (b"\x20\x09\x50\x01", "type 9 came as int_value"),
        (b"\x20\x03\x7a\x01a", "type INT32 came as string_value"),
        (b"\x20\x14\x50\x01", "unknown type of data 20"),
        (b"\x20\x0c\x7a\x01\xff", "a text is no UTF-8"),
        (b"\x18" + b"\xff" * 9 + b"\x01", "beyond all dates"),
    ],
)
def test_a_value_that_is_not_of_its_type_is_refused(field, reason):
    one = b"\x0a\x01m" + field
    with pytest.raises(FrameError, match=reason):
        read(b"\x12" + bytes((len(one),)) + one)


def test_a_payload_that_is_none_is_refused():
    for broken in (b"\x12\x05abc", b"\xff", b"\x12\x03\x0a\x01\xff", b"\x18\x80\x02", b"\x12\x00"):
        with pytest.raises(FrameError):
            read(broken)
    with pytest.raises(FrameError, match="more than"):
        read(b"\0" * 4_000_001)
    with pytest.raises(FrameError, match="more than 10000 metrics"):
        read(b"\x12\x02\x10\x01" * 10_001)


def test_data_by_alias_have_the_name_and_the_type_of_the_birth():
    session = Session().born()
    heard = session.hear(
        "DDATA", data(2, by_alias(1, 54.0, "double_value"), by_alias(2, 0xFFFFFFF8, "int_value"))
    )
    assert [(one.name, one.value) for one in heard.metrics] == [
        ("battery/voltage_v", 54.0),
        ("battery/current_a", -8),
    ]
    assert (heard.rebirth, heard.dropped) == (None, 0)
    named = Metric("battery/current_a", 9, alias=0, carried="int_value")
    assert session.hear("DDATA", data(3, named)).metrics[0].datatype == DataType.INT16


def test_a_value_of_another_type_than_the_birth_gave_is_refused():
    with pytest.raises(FrameError, match="came as int_value"):
        Session().born().hear("DDATA", data(2, by_alias(1, 54, "int_value")))


def test_a_gap_in_the_sequence_asks_for_one_rebirth_and_believes_no_alias_until_then():
    session = Session().born()
    lost = session.hear("DDATA", data(3, by_alias(1, 54.0, "double_value"), CURRENT))
    assert lost.rebirth == "seq is 3, not 2"
    assert (lost.metrics, lost.dropped) == ((CURRENT,), 1)
    session.now += SECOND
    assert session.hear("DDATA", data(4, by_alias(1, 54.0, "double_value"))).rebirth is None
    session.now += 30 * SECOND
    again = session.hear("DDATA", data(5, by_alias(1, 54.0, "double_value")))
    assert again == Heard(rebirth="the node is not born", dropped=1)
    session.born()
    assert session.hear("DDATA", data(2, by_alias(1, 54.0, "double_value"))).dropped == 0


def test_the_sequence_goes_round_at_256():
    session = Session().born()
    for nth in range(2, 600):
        heard = session.hear("DDATA", data(nth % 256, VOLTAGE, at=NOW + nth * SECOND))
        assert heard == Heard((VOLTAGE,))


def test_the_same_message_twice_says_nothing_the_second_time():
    session = Session().born()
    assert session.hear("DDATA", data(2, VOLTAGE)).metrics == (VOLTAGE,)
    assert session.hear("DDATA", data(2, VOLTAGE)) == Heard()
    assert session.hear("DDATA", data(3, VOLTAGE)).rebirth is None


def test_who_is_not_born_is_asked_to_be():
    assert Session().hear("NDATA", data(0, VOLTAGE)).rebirth == "the node is not born"
    session = Session()
    session.hear("NBIRTH", NBIRTH)
    assert session.hear("DDATA", data(1, CURRENT)).rebirth == "device pack1 is not born"
    without = Session().born()
    assert without.hear("DDATA", Payload((VOLTAGE,), NOW)).rebirth == "a message has no seq"
    unknown = Session().born()
    heard = unknown.hear("DDATA", data(2, by_alias(9, 1, "int_value")))
    assert (heard.rebirth, heard.dropped) == ("a metric was not in the birth", 1)


def test_an_alias_of_a_device_is_not_that_of_its_node():
    session = Session().born()
    assert session.hear("NDATA", data(2, by_alias(1, 54.0, "double_value"))).dropped == 1


def test_a_death_ends_its_own_session_only():
    session = Session().born()
    old = Payload((metric("bdSeq", 3, DataType.INT64),))
    assert session.hear("NDEATH", old) == Heard()
    assert session.hear("DDATA", data(2, VOLTAGE)).rebirth is None
    assert session.hear("NDEATH", Payload((BD_SEQ,))).is_dead
    assert session.hear("DDATA", data(3, VOLTAGE)).rebirth == "the node is not born"


def test_a_dead_device_is_asked_to_be_born_when_it_speaks():
    session = Session().born()
    session.hear("DDEATH", Payload((), NOW, 2))
    assert session.hear("DDATA", data(3, VOLTAGE)).rebirth == "device pack1 is not born"


def test_a_device_dies_alone_and_is_born_again_with_other_aliases():
    session = Session().born()
    assert session.hear("DDEATH", Payload((), NOW, 2)).is_dead
    again = Payload((metric("battery/soc_percent", 80, DataType.UINT8, alias=1),), NOW, 3)
    session.hear("DBIRTH", again)
    heard = session.hear("DDATA", data(4, by_alias(1, 79, "int_value")))
    assert heard.metrics[0].name == "battery/soc_percent"


@pytest.mark.parametrize(
    ("birth", "reason"),
    [
        (Payload((BD_SEQ,), NOW), "has no seq"),
        (data(0, VOLTAGE, metric("x", 1, DataType.INT8, alias=1)), "alias 1 is given twice"),
        (data(0, by_alias(1, 1, "int_value")), "without a name"),
        (data(0, Metric("x", 1, alias=1, carried="int_value")), "does not tell the type of x"),
    ],
)
def test_a_birth_without_what_births_must_have_is_refused(birth, reason):
    with pytest.raises(FrameError, match=reason):
        Session().hear("NBIRTH", birth)


def test_nodes_heard_least_recently_are_forgotten():
    nodes = Nodes(max_nodes=2)
    for name in "abc":
        nodes.hear(read_topic(f"spBv1.0/g/NBIRTH/{name}"), NBIRTH, NOW)
    assert list(nodes.nodes) == [("g", "b"), ("g", "c")]


def test_commands_of_others_say_nothing():
    assert Session().hear("NCMD", NBIRTH) == Heard()


def test_a_rebirth_is_asked_for_by_a_command_to_the_node():
    topic, payload = sparkplug.rebirth_request("tower", "site7", NOW)
    assert topic == "spBv1.0/tower/NCMD/site7"
    (one,) = read(payload).metrics
    assert (one.name, one.value, one.datatype) == ("Node Control/Rebirth", True, DataType.BOOLEAN)


TOPIC = read_topic(DEVICE.format("DDATA"))


def test_metrics_of_documented_names_make_reports():
    found = reports(
        TOPIC,
        [
            VOLTAGE,
            CURRENT,
            metric("battery/soc_percent", 120, DataType.INT32),
            metric("battery/soh_percent", None, DataType.INT32, is_null=True),
            metric("battery/temperature_c", float("nan"), DataType.DOUBLE),
            metric("battery/cells_mv/2", 3301, DataType.UINT16),
            metric("battery/cells_mv/1", 3300, DataType.UINT16),
            metric("battery/temperatures_c/2", 21.5, DataType.FLOAT),
            metric("battery/alarms/cell_over_voltage", True, DataType.BOOLEAN),
            metric("battery/2/voltage_v", 51.0, DataType.DOUBLE),
            metric("battery/mood", "good", DataType.STRING),
            metric("Properties/Software", "1", DataType.STRING),
        ],
        NOW,
        NOW + SECOND,
    )
    first, second = found
    assert first.source == Source(SourceKind.DEVICE, "tower/site7/pack1", 1)
    assert (first.at, first.voltage_v, first.current_a) == (NOW, 53.5, -3)
    assert first.cells_mv == (3300, 3301)
    assert first.temperatures_c == (None, 21.5)
    assert first.alarms == (Alarm("cell_over_voltage", begins=True),)
    assert dict(first.missing) == {
        "soc_percent": Missing.OUT_OF_RANGE,
        "soh_percent": Missing.INVALID,
        "temperature_c": Missing.INVALID,
        "temperatures_c": Missing.INCOMPLETE,
    }
    assert (second.source.part, second.voltage_v) == (2, 51.0)


def test_each_instant_makes_a_report_of_its_own_and_history_is_marked():
    old = metric("battery/voltage_v", 50.0, DataType.DOUBLE, at=NOW - SECOND, is_historical=True)
    first, second = reports(TOPIC, [old, VOLTAGE], None, NOW)
    assert (first.at, first.is_reissued) == (NOW - SECOND, True)
    assert (second.at, second.is_reissued) == (NOW, False)
    assert reports(TOPIC, [metric("battery", 1, DataType.INT8)], NOW, NOW) == []


@given(
    st.binary(max_size=120)
    | st.sampled_from(CORPUS).flatmap(
        lambda data: st.integers(0, len(data)).map(lambda end: data[:end])
    )
)
def test_any_payload_is_read_or_refused(data):
    payload = Payload()
    with suppress(FrameError):
        payload = read(data)
    assert all(one.name or one.alias is not None for one in payload.metrics)


@given(
    st.sampled_from([*sparkplug.SIGNED_BITS, *sparkplug.UNSIGNED_BITS]).flatmap(
        lambda kind: st.tuples(
            st.just(kind),
            st.integers(0, 2 ** sparkplug.UNSIGNED_BITS[kind] - 1)
            if kind in sparkplug.UNSIGNED_BITS
            else st.integers(
                -(2 ** (sparkplug.SIGNED_BITS[kind] - 1)),
                2 ** (sparkplug.SIGNED_BITS[kind] - 1) - 1,
            ),
        )
    )
)
def test_whole_numbers_come_back_as_they_were_sent(given_value):
    kind, value = given_value
    (found,) = read(encode(Payload((metric("m", value, kind),)))).metrics
    assert found.value == value
