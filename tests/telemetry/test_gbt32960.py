"""GB/T 32960.3 frames, of both editions, by the standard's tables."""

from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from jobs.cli import main
from leasing.telemetry.decoders import gbt32960
from leasing.telemetry.decoders import gbt32960_blocks as blocks
from leasing.telemetry.decoders.frames import FrameError
from leasing.telemetry.decoders.gbt32960 import (
    Ack,
    Command,
    Frame,
    Framer,
    acknowledge,
    check_byte,
    decode,
    encode,
    read_frame,
    read_frames,
)
from leasing.telemetry.decoders.gbt32960_json import decoded
from tests.telemetry.frames import (
    OWN,
    SEALED,
    TIME,
    VIN,
    cells,
    frame,
    realtime,
    reference_or_skip,
)

AT = datetime(2026, 6, 15, 4, 30, 5, tzinfo=UTC)


def block(one: Frame) -> blocks.Block:
    payload = decode(one)
    assert isinstance(payload, gbt32960.Realtime)
    (info,) = payload.infos
    return info.block


def refusal(one: Frame) -> FrameError:
    with pytest.raises(FrameError) as caught:
        decode(one)
    return caught.value


def read_or_refused(one: Frame) -> gbt32960.Payload | FrameError:
    """Anything but these two is what a decoder must never come to."""
    try:
        decoded(one)
        return decode(one)
    except FrameError as error:
        return error


def test_every_reference_frame_decodes_to_its_listed_values():
    for one in reference_or_skip():
        data = bytes.fromhex(one["hex"])
        if one["decoded"] is None:
            continue
        shown = [decoded(found) for found in read_frames(data)]
        expected = one["decoded"]
        assert shown == (expected if isinstance(expected, list) else [expected]), one["id"]


def test_reference_frames_that_are_to_be_refused_are_refused_for_the_listed_reason():
    refused = {one["id"]: one for one in reference_or_skip() if one["decoded"] is None}
    for one in refused.values():
        reason = one["expect"].removeprefix("reject: ").partition(" (")[0]
        with pytest.raises(FrameError, match=reason):
            list(map(decoded, read_frames(bytes.fromhex(one["hex"]))))
    assert refused.keys() == {"neg-bad-bcc", "neg-impossible-time"}


def test_every_reference_frame_is_encoded_to_the_same_bytes():
    for one in reference_or_skip():
        if one["id"] != "neg-bad-bcc":
            data = bytes.fromhex(one["hex"])
            assert b"".join(encode(found) for found in read_frames(data)) == data


def test_the_check_byte_is_the_exclusive_or_of_all_bytes():
    assert check_byte(bytes.fromhex("07fe" + "00" * 17 + "010000")) == 0x07 ^ 0xFE ^ 0x01
    assert check_byte(b"") == 0


@given(st.binary(max_size=300))
def test_the_check_byte_is_the_same_byte_by_byte(data):
    expected = 0
    for byte in data:
        expected ^= byte
    assert check_byte(data) == expected


def test_current_is_offset_by_1000_a_in_2016_and_by_3000_a_in_2025():
    head = "01" + "010301" + "0064000f423f1388"
    old = block(realtime(head + "26dd" + "5a010f1770" + "0a00"))
    new = block(realtime(head + "74fd" + "5a010f1770", 2025))
    assert old.total_current_a == -5.1
    assert new.total_current_a == -5.1
    assert isinstance(old, blocks.Vehicle2016)
    assert not isinstance(new, blocks.Vehicle2016)


def test_current_within_the_cell_voltages_of_2016_is_offset_by_1000_a_too():
    (page,) = block(realtime("0801" + cells(1, 1, 1, 3276))).data
    assert (page.voltage_v, page.current_a) == (60.2, -5.1)


@pytest.mark.parametrize(
    ("field", "sent", "why"),
    [
        ("speed_kmh", "ffff", "invalid"),
        ("speed_kmh", "fffe", "abnormal"),
        ("speed_kmh", "fffd", None),
        ("odometer_km", "ffffffff", "invalid"),
        ("odometer_km", "fffffffe", "abnormal"),
        ("odometer_km", "0000ffff", None),
        ("soc_pct", "ff", "invalid"),
        ("soc_pct", "fe", "abnormal"),
        ("soc_pct", "fd", None),
        ("insulation_kohm", "ffff", "invalid"),
    ],
)
def test_what_stands_for_no_value_is_judged_by_the_width_of_its_field(field, sent, why):
    parts = {
        "head": "01010301",
        "speed_kmh": "0064",
        "odometer_km": "000f423f",
        "electric": "13882710",
        "soc_pct": "5a",
        "mode": "010f",
        "insulation_kohm": "1770",
    } | {field: sent}
    found = block(realtime("".join(parts.values()), 2025))
    assert (getattr(found, field) is None) == (why is not None)
    assert found.missing == (((field, why),) if why else ())


def test_location_has_its_sign_from_the_state_bits_and_in_2025_its_coordinate_system():
    degrees = "06caa9a8" + "01580268"
    west_south = block(realtime("0507" + degrees))
    assert (west_south.lon_deg, west_south.lat_deg) == (-113.945, -22.545)
    assert (west_south.fix_valid, west_south.south, west_south.west) == (False, True, True)
    south = block(realtime("0502" + degrees))
    assert (south.lon_deg, south.lat_deg, south.south, south.west) == (
        113.945,
        -22.545,
        True,
        False,
    )
    chinese = block(realtime("0500" + "02" + degrees, 2025))
    assert (chinese.lon_deg, chinese.lat_deg, chinese.coord_system) == (113.945, 22.545, "gcj02")


def test_alarms_of_2025_have_a_level_of_their_own():
    general = "02" + "0003" + "1703"
    found = block(realtime("0603" + "00800001" + "00000000" + general, 2025))
    assert found.flag_bits == (0, 23)
    assert found.general_alarm_levels == (blocks.AlarmLevel(0, 3), blocks.AlarmLevel(23, 3))


def test_fault_codes_are_listed_by_part_and_a_count_that_is_not_valid_lists_none():
    found = block(realtime("0702" + "00000000" + "ff" + "0100000001" + "fe" + "010000007d"))
    assert found.storage_faults == found.engine_faults == ()
    assert found.motor_faults == ("00000001",)
    assert found.other_faults == ("0000007D",)
    assert dict(found.missing) == {"storage_faults": "invalid", "engine_faults": "abnormal"}


def test_motors_have_other_offsets_in_2025():
    old = block(realtime("0201" + "01014f" + "4e20" + "4e21" + "50" + "1108" + "2710")).data[0]
    assert (old.speed_rpm, old.torque_nm, old.controller_temp_c) == (0, 0.1, 39)
    assert (old.controller_voltage_v, old.controller_current_a) == (436.0, 0.0)
    new = block(realtime("0201" + "01024f" + "7d01" + "00030d41" + "50", 2025)).data[0]
    assert (new.speed_rpm, new.torque_nm, new.state) == (1, 0.1, "generating")


def test_the_fuel_cell_of_2016_counts_its_probes():
    unit = "03" + "0fa0" + "0064" + "000a" + "0002" + "2832" + "01f4" + "01" + "0064" + "02"
    found = block(realtime(unit + "0078" + "03" + "01"))
    assert (found.voltage_v, found.current_a, found.fuel_kg_100km) == (400.0, 10.0, 0.1)
    assert found.probe_temps_c == (0, 10)
    assert (found.h2_max_temp_c, found.h2_max_press_mpa, found.hv_dcdc_state) == (
        10.0,
        12.0,
        "working",
    )


def test_stacks_and_supercapacitors_of_2025_are_read():
    stack = block(
        realtime("3001" + "01" + "0fa0" + "0064" + "03f2" + "03e8" + "3c" + "0001" + "28", 2025)
    )
    assert stack.data[0] == blocks.Stack(
        no=1,
        voltage_v=400.0,
        current_a=10.0,
        h2_in_press_kpa=1.0,
        air_in_press_kpa=0.0,
        air_in_temp_c=20,
        coolant_temps_c=(0,),
    )
    capacitor = block(
        realtime("31" + "01" + "01e0" + "7562" + "0002" + "0a8cfffe" + "0001" + "41", 2025)
    )
    assert capacitor.current_a == 5.0
    assert capacitor.cells_mv == (2700, None)
    assert capacitor.missing == (("cells/2", "abnormal"),)


def test_a_signature_is_kept_and_nothing_may_follow_it():
    signed = realtime("04" + "0084" + "ff" + "01" + "0002" + "abcd" + "0001" + "ef", 2025)
    payload = decode(signed)
    assert isinstance(payload, gbt32960.Realtime)
    assert payload.infos[-1].block == blocks.Signature(
        algorithm="SM2", algorithm_code=1, r=b"\xab\xcd", s=b"\xef"
    )
    assert "follow the signature" in refusal(realtime("ff0100000000" + "040084", 2025)).reason


def test_a_makers_own_block_is_passed_over_by_its_length():
    for edition, engine in ((2016, "040101f400c8"), (2025, "0401f4")):
        payload = decode(realtime("80" + "0003" + "010203" + "fe0000" + engine, edition))
        assert isinstance(payload, gbt32960.Realtime)
        assert [info.id for info in payload.infos] == [0x80, 0xFE, 0x04]
        assert payload.infos[0].block == blocks.Custom(length=3, content=b"\1\2\3")


@pytest.mark.parametrize(
    ("edition", "unknown"), [(2016, 0x0A), (2016, 0x30), (2016, 0xFF), (2025, 0x09), (2025, 0x33)]
)
def test_a_block_of_unknown_length_is_refused_by_its_id(edition, unknown):
    error = refusal(realtime(f"{unknown:02x}00000000", edition))
    assert error.position == 24 + 6
    assert f"unknown block 0x{unknown:02X} in edition {edition}" in error.reason


def test_an_encrypted_unit_is_kept_sealed():
    for encryption, edition, algorithm in ((3, 2016, "AES128"), (4, 2025, "SM2"), (5, 2025, "SM4")):
        sealed = decode(frame(2, b"\x17" * 32, edition, encryption=encryption))
        assert sealed == gbt32960.Sealed(algorithm, b"\x17" * 32)
    assert decoded(SEALED)["payload"]["sealed"] is True
    assert "abnormal" in refusal(frame(2, b"\x17", encryption=0xFE)).reason


def test_what_only_the_2025_edition_knows_is_refused_in_2016():
    assert "unknown command 0x09" in refusal(frame(9, "", 2016)).reason
    with pytest.raises(FrameError, match="unknown encryption 4"):
        read_frame(encode(frame(2, "", encryption=4)))
    with pytest.raises(FrameError, match="unknown answer flag 0x06"):
        read_frame(encode(frame(2, "", ack=6)))


def test_platforms_log_in_with_a_name_and_a_password():
    payload = decode(read_frame(OWN[2]))
    assert payload == gbt32960.PlatformLogin(AT, 1, "platform", "secret", 1)
    assert decode(read_frame(OWN[3])) == gbt32960.Logout(AT, 1)


def test_a_login_of_2025_lists_the_codes_of_all_packs():
    code = b"9ZZPB51000000G1A0000001" + b"7"
    unit = TIME + b"\0\7" + b"\xff" * 20 + b"\2\1\2" + code * 3
    payload = decode(frame(1, unit, 2025))
    assert isinstance(payload, gbt32960.Login2025)
    assert (payload.bms_count, payload.packs_per_bms, payload.iccid) == (2, (1, 2), None)
    assert payload.codes == (code.decode(),) * 3


def test_activation_its_reply_and_keys_are_read():
    activation = decode(read_frame(OWN[4]))
    assert isinstance(activation, gbt32960.Activation)
    assert (activation.chip_id, activation.public_key, activation.vin) == (
        "C" * 16,
        b"\xab\xcd",
        VIN,
    )
    assert activation.signature.s == b"\x09"
    assert decode(read_frame(OWN[5])) == gbt32960.ActivationReply(1, 2)
    assert decode(read_frame(OWN[6])) == gbt32960.KeyExchange(5, b"abcd", AT, AT)


def test_an_answer_keeps_the_commands_time_and_drops_the_rest():
    login = frame(1, TIME + b"\0\1" + b"8" * 20 + b"\0\0")
    answer = read_frame(acknowledge(login, Ack.OK, now=AT + timedelta(hours=1)))
    assert (answer.command, answer.ack, answer.vin, answer.unit) == (1, 1, VIN, TIME)
    assert decode(answer) == gbt32960.Answer(AT)
    refused = read_frame(acknowledge(frame(1, TIME, 2025), Ack.SIGNATURE, now=AT))
    assert (refused.edition, refused.ack) == (2025, 5)


def test_heartbeats_are_answered_with_nothing_and_questions_for_the_time_with_it():
    assert read_frame(acknowledge(frame(7, ""), Ack.OK, now=AT)).unit == b""
    assert read_frame(acknowledge(frame(8, ""), Ack.OK, now=AT)).unit == TIME
    assert read_frame(acknowledge(SEALED, Ack.ERROR, now=AT)).unit == TIME
    assert read_frame(acknowledge(SEALED, Ack.ERROR, now=AT)).encryption == 1


def test_an_activation_is_answered_by_a_command_of_its_own():
    reply = read_frame(gbt32960.answer_activation(read_frame(OWN[4]), 2, 3))
    assert reply.command == Command.ACTIVATION_REPLY
    assert decode(reply) == gbt32960.ActivationReply(2, 3)


@pytest.mark.parametrize("data", OWN)
def test_a_frame_cut_short_anywhere_is_refused_where_it_ends(data):
    for length in range(len(data)):
        with pytest.raises(FrameError) as caught:
            read_frame(data[:length])
        assert caught.value.position == length
        assert "truncated" in caught.value.reason


@pytest.mark.parametrize("data", OWN)
def test_a_data_unit_cut_short_is_refused_although_its_frame_is_right(data):
    whole = read_frame(data)
    if whole.encryption != 1:
        return
    complete = decode(whole)
    for length in range(len(whole.unit)):
        short = structs.replace(whole, unit=whole.unit[:length])
        outcome = read_or_refused(short)
        if isinstance(outcome, FrameError):
            assert outcome.position <= 24 + length
        else:
            assert outcome != complete


@given(st.sampled_from(OWN), st.data())
def test_one_damaged_byte_is_always_noticed(data, draw):
    at = draw.draw(st.integers(0, len(data) - 1))
    damaged = bytearray(data)
    damaged[at] ^= draw.draw(st.integers(1, 255))
    with pytest.raises(FrameError):
        read_frame(bytes(damaged))


@given(st.binary(max_size=200), st.sampled_from(list(Command)), st.sampled_from([2016, 2025]))
def test_any_data_unit_is_read_or_refused(unit, command, edition):
    outcome = read_or_refused(frame(command, unit, edition))
    if isinstance(outcome, FrameError):
        assert 0 <= outcome.position <= 24 + len(unit)


@given(st.lists(st.sampled_from(OWN), min_size=1, max_size=6), st.lists(st.integers(1, 40)))
def test_a_stream_gives_the_same_frames_however_it_is_chopped(frames, chops):
    stream, framer = b"".join(frames), Framer()
    found, at = [], 0
    for chop in [*chops, len(stream)]:
        found += framer.feed(stream[at : at + chop])
        at += chop
    assert [encode(one) for one in found] == frames
    assert framer.finish() == []


@given(
    st.lists(st.tuples(st.binary(max_size=30), st.sampled_from(OWN)), min_size=1, max_size=4),
    st.integers(1, 50),
)
def test_frames_are_found_again_after_what_is_none(parts, chop):
    parts = [(noise.replace(b"#", b"").replace(b"$", b""), one) for noise, one in parts]
    stream = b"".join(noise + one for noise, one in parts)
    framer, found = Framer(), []
    for at in range(0, len(stream), chop):
        found += framer.feed(stream[at : at + chop])
    assert [encode(one) for one in found if isinstance(one, Frame)] == [one for _, one in parts]
    assert len([one for one in found if isinstance(one, FrameError)]) == len(
        [noise for noise, _ in parts if noise]
    )
    assert framer.pending == 0


def test_a_frame_with_a_wrong_length_does_not_swallow_the_next():
    damaged = bytearray(OWN[0])
    damaged[23] = 60
    framer = Framer()
    found = framer.feed(bytes(damaged) + OWN[1] + OWN[0] * 3)
    assert [encode(one) for one in found[1:]] == [OWN[1], OWN[0], OWN[0], OWN[0]]
    assert isinstance(found[0], FrameError)
    assert "checksum" in found[0].reason
    assert found[1].position == len(damaged)


def test_half_a_start_before_a_frame_does_not_hide_it():
    for noise in (b"#", b"$", b"#$", b"##", b"###"):
        found = Framer().feed(noise + OWN[0])
        assert [encode(one) for one in found if isinstance(one, Frame)] == [OWN[0]]
        assert isinstance(found[0], FrameError)


def test_a_frame_longer_than_allowed_is_not_waited_for():
    framer = Framer(max_unit=64)
    long = encode(frame(2, b"\0" * 65))
    (error, one) = framer.feed(long + OWN[0])
    assert "more than 64" in error.reason
    assert encode(one) == OWN[0]
    with pytest.raises(FrameError, match="length 65532"):
        read_frame(OWN[0][:22] + b"\xff\xfc" + b"\0" * 70_000)


def test_a_stream_that_ends_within_a_frame_says_so():
    framer = Framer()
    assert framer.feed(OWN[2][:30]) == []
    assert framer.pending == 30
    (error,) = framer.finish()
    assert "truncated" in error.reason
    assert error.position == 30
    assert framer.pending == 0


def test_noise_full_of_starts_takes_no_longer_than_its_length():
    header = b"##\x02\xfe" + VIN.encode() + b"\x01\xff\xf0"
    framer = Framer()
    framer.feed(b"##" * 30_000)
    framer.feed(header * 3_000)
    framer.finish()
    assert framer.pending == 0


def test_the_command_line_shows_a_frame_and_names_what_is_wrong_with_it():
    runner = CliRunner()
    shown = runner.invoke(main, ["decode", "frame", OWN[3].hex(" ")])
    assert shown.exit_code == 0
    assert '"command_name": "platform_logout"' in shown.output
    several = runner.invoke(main, ["decode", "frame", "-"], input=(OWN[0] + OWN[1]).hex())
    assert several.output.startswith("[")
    wrong = runner.invoke(main, ["decode", "frame", OWN[0].hex()[:-2] + "00"])
    assert wrong.exit_code == 1
    assert "at 24: checksum: the check byte is 0x00" in wrong.output
    odd = runner.invoke(main, ["decode", "frame", "2323zz"])
    assert odd.exit_code == 2
    assert "HEX" in odd.output
