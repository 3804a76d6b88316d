"""48 V packs by YD/T 1363.3."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leasing.telemetry.decoders import bms48
from leasing.telemetry.decoders.bms48 import Frame, encode, read_alarms, read_frame, read_telemetry
from leasing.telemetry.decoders.flags import FlagMemory
from leasing.telemetry.decoders.frames import FrameError
from leasing.telemetry.model import Missing, Source, SourceKind

AT = datetime(2026, 6, 15, 4, 30, tzinfo=UTC)
PACK = Source(SourceKind.PACK_CODE, "04QCB76836300JBC40000903")
CELLS = "10" + "0CCC" * 15 + "0CBC"
TEMPERATURES = "06" + "0BA5" * 3 + "0AAB" + "0B9B" + "0BE1"
REST = (
    "FB2E"
    + "1483"
    + "2134"
    + "0A"
    + "2710"
    + "0352"
    + "2AF8"
    + "004D"
    + "03CF"
    + "1480"
    + "0000" * 4
)
TELEMETRY = bytes.fromhex("0001" + CELLS + TEMPERATURES + REST)
CELL_ALARMS = "10" + "00" * 14 + "0102" + "06" + "000000000002" + "00" + "F0"
EVENTS = "010500400004" + "03" + "0180" + "02" + "0100" + "1001" + "00" * 6
ALARMS = bytes.fromhex("0001" + CELL_ALARMS + "14" + EVENTS)


def answer(info: bytes, cid2: int = 0) -> bytes:
    return encode(Frame(0x20, 0, 0x46, cid2, info))


CORPUS = [bms48.request(0, 0x42, 0), answer(TELEMETRY), answer(ALARMS), answer(b"", 4)]


def test_a_question_is_the_one_that_makers_publish():
    assert bms48.request(0, 0x42, 0) == b"~20004642E00200FD37\r"
    assert bms48.request(1, 0x44, 1) == encode(Frame(0x20, 1, 0x46, 0x44, b"\1"))


def test_telemetry_is_read_in_the_units_of_its_names():
    told = read_telemetry(read_frame(answer(TELEMETRY)))
    assert told.cells_mv == (3276,) * 15 + (3260,)
    assert told.temperatures_c == (25.0, 25.0, 25.0, 0.0, 24.0, 31.0)
    assert (told.current_a, told.voltage_v, told.residual_ah) == (-12.34, 52.51, 85.0)
    assert (told.capacity_ah, told.soc_percent, told.rated_ah) == (100.0, 85.0, 110.0)
    assert (told.cycles, told.soh_percent, told.port_voltage_v) == (77, 97.5, 52.48)
    assert (told.pack, told.reserved) == (1, (0, 0, 0, 0))


def test_a_report_has_the_temperatures_of_cells_only():
    made = bms48.report(read_telemetry(read_frame(answer(TELEMETRY))), PACK, AT)
    assert (made.source, made.at) == (PACK, AT)
    assert made.temperatures_c == (25.0, 25.0, 25.0, 0.0)
    assert (made.temperature_c, made.temperature_min_c) == (25.0, 0.0)
    assert (made.current_a, made.soc_percent, made.soh_percent) == (-12.34, 85.0, 97.5)
    assert made.missing == ()


def test_what_cannot_be_is_out_of_range():
    info = TELEMETRY.replace(bytes.fromhex("0352"), b"\x27\x10").replace(b"\x0a\xab", b"\0\0")
    made = bms48.report(read_telemetry(read_frame(answer(info))), PACK, AT)
    assert (made.soc_percent, made.temperatures_c[3]) == (None, None)
    assert dict(made.missing) == {
        "soc_percent": Missing.OUT_OF_RANGE,
        "temperatures_c/4": Missing.OUT_OF_RANGE,
    }


@pytest.mark.parametrize(("probes", "of_cells"), [(3, 3), (4, 4), (5, 0), (6, 4), (7, 0)])
def test_which_of_five_or_seven_probes_are_of_cells_is_not_guessed(probes, of_cells):
    info = "0001" + "010CCC" + f"{probes:02x}" + "0BA5" * probes + "0000" * 3 + "00"
    told = read_telemetry(read_frame(answer(bytes.fromhex(info))))
    assert len(told.temperatures_c) == probes
    assert told.soc_percent is None
    assert bms48.report(told, PACK, AT).temperatures_c == (25.0,) * of_cells


def test_alarms_are_named_and_states_are_told_apart_from_them():
    told = read_alarms(read_frame(answer(ALARMS)))
    assert told.events == (
        "voltage_sensor_fault",
        "cell_over_voltage",
        "cell_under_voltage",
        "cell_heating",
        "residual_capacity_low",
        "automatic_charge_waiting",
        "storage_fault",
    )
    assert (told.switches, told.balancing, told.system_state) == (3, 0x8001, 2)
    assert (told.disconnected, told.reserved) == (1, (0,) * 6)
    codes = [alarm.code for alarm in bms48.alarm_report(told, PACK, AT).alarms]
    assert codes == [
        "voltage_sensor_fault",
        "cell_over_voltage",
        "cell_under_voltage",
        "residual_capacity_low",
        "storage_fault",
        "cell_voltage_15_low",
        "cell_voltage_16_high",
        "temperature_6_high",
        "pack_voltage_alarm",
    ]


def test_alarms_end_when_their_flag_is_down():
    up = bms48.alarm_report(read_alarms(read_frame(answer(ALARMS))), PACK, AT)
    memory = FlagMemory()
    memory.of(up, bms48.EVERY_CODE)
    calm = bytes.fromhex("0001" + "00" + "00" + "0000" + "14" + "00" * 20)
    down = bms48.alarm_report(read_alarms(read_frame(answer(calm))), PACK, AT)
    ended = memory.of(down, bms48.EVERY_CODE)
    assert {alarm.code for alarm in ended} == {alarm.code for alarm in up.alarms}
    assert not any(alarm.begins for alarm in ended)


@pytest.mark.parametrize(
    ("code", "words"),
    [(4, "unknown command"), (0xE3, "faulty"), (0x90, "maker's own"), (0x44, "unknown")],
)
def test_a_returned_error_is_told_in_words(code, words):
    for read in (read_telemetry, read_alarms):
        with pytest.raises(FrameError, match=words) as caught:
            read(read_frame(answer(b"", code)))
        assert caught.value.position == 7


@pytest.mark.parametrize(
    ("damaged", "position", "reason"),
    [
        (b"", 0, "begins with ~"),
        (b"~2000", 5, "truncated"),
        (b"~20004642E00200FD3G\r", 18, "no hexadecimal digit"),
        (b"~20004642D00200FD37\r", 9, "checksum of the length"),
        (b"~20004642E00200FD38\r", 15, "checksum is FD38, not FD37"),
        (b"~20004642E00200FD370", 19, "carriage return"),
        (b"~20004642E00200FD37\r\r", 19, "no hexadecimal digit"),
        (b"~20004642F0010FD37\r", 10, "odd"),
        (b"~20004642E00200FD3\r", 19, "truncated"),
        (b"~20004642E0020 FD37\r", 14, "no hexadecimal digit"),
        (b"~20004642E00200fd37\r", 15, "no hexadecimal digit"),
    ],
)
def test_a_damaged_frame_is_refused_where_it_is_damaged(damaged, position, reason):
    with pytest.raises(FrameError, match=reason) as caught:
        read_frame(damaged)
    assert caught.value.position == position


def test_data_that_are_too_short_or_too_long_are_refused_at_their_digit():
    for info in (TELEMETRY, ALARMS):
        read = read_telemetry if info is TELEMETRY else read_alarms
        for length in range(len(info)):
            with pytest.raises(FrameError, match="truncated") as caught:
                read(read_frame(answer(info[:length])))
            assert 13 <= caught.value.position <= 13 + 2 * length
        with pytest.raises(FrameError, match="1 bytes are left over"):
            read(read_frame(answer(info + b"\0")))


def test_another_device_is_no_battery():
    with pytest.raises(FrameError, match="no lithium battery"):
        read_telemetry(Frame(0x20, 0, 0x42, 0, TELEMETRY))


def test_info_that_is_too_long_to_be_counted_is_not_encoded():
    with pytest.raises(ValueError, match="at most"):
        answer(b"\0" * 2048)


@given(st.sampled_from(CORPUS), st.data())
def test_one_damaged_character_is_always_noticed(data, draw):
    at = draw.draw(st.integers(0, len(data) - 1))
    other = draw.draw(st.integers(0, 255).filter(lambda byte: byte != data[at]))
    damaged = data[:at] + bytes((other,)) + data[at + 1 :]
    with pytest.raises(FrameError):
        read_frame(damaged)


@given(st.binary(max_size=120))
def test_any_data_are_read_or_refused(info):
    for read in (read_telemetry, read_alarms):
        try:
            read(read_frame(answer(info)))
        except FrameError as error:
            position = error.position
        else:
            position = 13
        assert position >= 13


@given(st.binary(max_size=200), st.integers(0, 255), st.integers(0, 255))
def test_what_is_encoded_is_read_back(info, address, cid2):
    frame = Frame(0x20, address, 0x46, cid2, info)
    assert read_frame(encode(frame)) == frame
