"""48 V packs that speak the ASCII protocol of YD/T 1363.3, as built by makers of tower batteries.

A frame is `~ VER ADR CID1 CID2 LENGTH INFO CHKSUM CR`, each byte as two hexadecimal digits. CID1 is
46H, a lithium battery; CID2 is the command of a question and the return code of an answer, so an
answer does not tell what it answers: whoever asked knows. LENGTH holds the number of digits of INFO
in its lower 12 bits and their check in the upper 4; CHKSUM guards all between `~` and itself.
Serial line: 9600 baud, 8N1, an answer within 500 ms.
"""

import re
from collections.abc import Iterator
from datetime import datetime
from struct import unpack

import msgspec

from leasing.telemetry.decoders.frames import FrameError, Reader
from leasing.telemetry.model import Alarm, Missing, Report, Source

LITHIUM = 0x46
VERSION = 0x20
GET_TELEMETRY = 0x42
GET_ALARMS = 0x44
MAX_DIGITS = 0xFFF
HEAD = 13
"""Characters up to the end of LENGTH."""
TAIL = 5

RETURN_CODES = {
    0x00: "ok",
    0x01: "version is wrong",
    0x02: "checksum is wrong",
    0x03: "checksum of the length is wrong",
    0x04: "unknown command (CID2)",
    0x05: "format of the command is wrong",
    0x06: "data are not valid",
    0x07: "no data",
    0xE1: "unknown device (CID1)",
    0xE2: "the command failed",
    0xE3: "the device is faulty",
    0xE4: "not permitted",
}

HEXADECIMAL = re.compile(rb"[0-9A-F]*")


class Frame(msgspec.Struct, frozen=True):
    version: int
    address: int
    cid1: int
    cid2: int
    """Command, or return code."""
    info: bytes = b""


class Telemetry(msgspec.Struct, frozen=True):
    """Current is positive while charging. Temperatures in °C, as many as the pack has; of six, the
    first four are of cells."""

    pack: int
    cells_mv: tuple[int, ...]
    temperatures_c: tuple[float, ...]
    current_a: float
    voltage_v: float
    residual_ah: float
    capacity_ah: float | None = None
    soc_percent: float | None = None
    rated_ah: float | None = None
    cycles: int | None = None
    soh_percent: float | None = None
    port_voltage_v: float | None = None
    reserved: tuple[int, ...] = ()


class Alarms(msgspec.Struct, frozen=True):
    """Bytes are 00 normal, 01 below its limit, 02 above it, F0 another alarm."""

    pack: int
    cells: tuple[int, ...]
    temperatures: tuple[int, ...]
    current: int
    voltage: int
    events: tuple[str, ...]
    """Bits that are set, by name, in the order of the protocol."""
    switches: int = 0
    """Bit 0 discharge, 1 charge, 2 current limit, 3 heating."""
    balancing: int = 0
    """Bit 0 is the first cell."""
    disconnected: int = 0
    system_state: int = 0
    """Bit 0 discharge, 1 charge, 2 float, 4 standby, 5 off."""
    reserved: tuple[int, ...] = ()


EVENTS: dict[int, tuple[str | None, ...]] = {
    0: (
        "voltage_sensor_fault",
        "temperature_sensor_fault",
        "current_sensor_fault",
        "key_switch_fault",
        "cell_voltage_difference_fault",
        "charge_switch_fault",
        "discharge_switch_fault",
        "current_limit_switch_fault",
    ),
    1: (
        "cell_over_voltage",
        "cell_over_voltage_protection",
        "cell_under_voltage",
        "cell_under_voltage_protection",
        "pack_over_voltage",
        "pack_over_voltage_protection",
        "pack_under_voltage",
        "pack_under_voltage_protection",
    ),
    2: (
        "charge_over_temperature",
        "charge_over_temperature_protection",
        "charge_under_temperature",
        "charge_under_temperature_protection",
        "discharge_over_temperature",
        "discharge_over_temperature_protection",
        "discharge_under_temperature",
        "discharge_under_temperature_protection",
    ),
    3: (
        "ambient_over_temperature",
        "ambient_over_temperature_protection",
        "ambient_under_temperature",
        "ambient_under_temperature_protection",
        "power_over_temperature_protection",
        "power_over_temperature",
        "cell_heating",
        None,
    ),
    4: (
        "charge_over_current",
        "charge_over_current_protection",
        "discharge_over_current",
        "discharge_over_current_protection",
        "transient_over_current_protection",
        "short_circuit_protection",
        "transient_over_current_lockout",
        "short_circuit_lockout",
    ),
    5: (
        "charge_high_voltage_protection",
        "recharge_waiting",
        "residual_capacity_low",
        "residual_capacity_protection",
        "cell_too_low_to_charge",
        "reverse_polarity_protection",
        "output_connection_fault",
        None,
    ),
    12: (None, None, None, None, "automatic_charge_waiting", "manual_charge_waiting", None, None),
    13: (
        "storage_fault",
        "clock_fault",
        "voltage_not_calibrated",
        "current_not_calibrated",
        "zero_not_calibrated",
        None,
        None,
        None,
    ),
}
"""Names of bits by position of their byte; bytes 6 to 11 are states. None: for the maker's use."""
STATES = ("switches", "balancing_low", "balancing_high", "system_state", "open_low", "open_high")
FIRST_STATE, FIRST_RESERVED = 6, 14
NO_ALARMS = {
    "cell_heating",
    "recharge_waiting",
    "automatic_charge_waiting",
    "manual_charge_waiting",
}
"""Bits that tell of a state in which nothing is wrong."""
BYTE_ALARMS = {0x01: "low", 0x02: "high"}
EVERY_CODE = frozenset(
    name for names in EVENTS.values() for name in names if name and name not in NO_ALARMS
)
"""Alarms that can be up, but for those of single cells, probes and of undefined bits."""

OF_ONE = re.compile(
    r"(cell_voltage|temperature)_[0-9]+_(low|high|alarm)"
    r"|(current|pack_voltage)_(low|high|alarm)"
    r"|yd1363_event_[0-9]+_bit_[0-7]"
)


def is_said(code: str) -> bool:
    """Whether an alarm of this code is one that frames of this protocol raise."""
    return code in EVERY_CODE or OF_ONE.fullmatch(code) is not None


def length_check(digits: int) -> int:
    """Of the number of digits of INFO: minus the sum of its three nibbles, modulo 16."""
    return -((digits >> 8) + (digits >> 4 & 15) + (digits & 15)) & 15


def checksum(text: bytes) -> int:
    """Minus the sum of the characters, modulo 65536."""
    return -sum(text) & 0xFFFF


def encode(frame: Frame) -> bytes:
    digits = 2 * len(frame.info)
    if digits > MAX_DIGITS:
        raise ValueError(f"INFO has {digits} digits, at most {MAX_DIGITS} fit")
    length = length_check(digits) << 12 | digits
    head = bytes((frame.version, frame.address, frame.cid1, frame.cid2)).hex().upper()
    text = f"{head}{length:04X}{frame.info.hex().upper()}".encode()
    return b"~%b%04X\r" % (text, checksum(text))


def request(address: int, command: int, pack: int | None = None) -> bytes:
    """A question to the device at an address. 42H and 44H name the pack whose data are wanted."""
    info = b"" if pack is None else bytes((pack,))
    return encode(Frame(VERSION, address, LITHIUM, command, info))


def read_frame(data: bytes) -> Frame:
    """Exactly one frame, from `~` to CR."""
    if data[:1] != b"~":
        raise FrameError(0, "a frame begins with ~")
    if len(data) < HEAD + TAIL:
        raise FrameError(len(data), f"truncated: a frame has at least {HEAD + TAIL} characters")
    matched = HEXADECIMAL.match(data, 1, len(data) - 1)
    end = matched.end() if matched else 1
    if end != len(data) - 1:
        raise FrameError(end, f"{data[end : end + 1]!r} is no hexadecimal digit")
    digits = int(data[10:HEAD], 16)
    if int(data[9:10], 16) != length_check(digits):
        raise FrameError(9, f"checksum of the length is {data[9:10].decode()}, which is wrong")
    if digits % 2:
        raise FrameError(10, f"INFO is said to have {digits} digits, which is odd")
    expected = HEAD + digits + TAIL
    if len(data) != expected:
        what = "truncated" if len(data) < expected else "too long"
        raise FrameError(
            min(len(data), expected), f"{what}: the frame has {expected} characters by its length"
        )
    if data[-1:] != b"\r":
        raise FrameError(len(data) - 1, "a frame ends with a carriage return")
    right = checksum(data[1:-TAIL])
    if int(data[-TAIL:-1], 16) != right:
        raise FrameError(
            len(data) - TAIL, f"checksum is {data[-TAIL:-1].decode()}, not {right:04X}"
        )
    version, address, cid1, cid2 = bytes.fromhex(data[1:9].decode())
    return Frame(version, address, cid1, cid2, bytes.fromhex(data[HEAD:-TAIL].decode()))


def answered(frame: Frame) -> Reader:
    """The data of an answer. Refused when the device returned an error."""
    if frame.cid1 != LITHIUM:
        raise FrameError(5, f"device 0x{frame.cid1:02X} is no lithium battery (0x46)")
    if frame.cid2:
        known = RETURN_CODES.get(frame.cid2)
        said = known or ("error of the maker's own" if 0x80 <= frame.cid2 <= 0xEF else "unknown")
        raise FrameError(7, f"the device returned 0x{frame.cid2:02X}: {said}")
    return Reader(frame.info)


def at_digit(error: FrameError) -> FrameError:
    """An error in INFO, counted in characters of the frame."""
    return FrameError(HEAD + 2 * error.position, error.reason)


def read_telemetry(frame: Frame) -> Telemetry:
    """The answer to 42H."""
    r = answered(frame)
    try:
        return telemetry(r)
    except FrameError as error:
        raise at_digit(error) from None


def telemetry(r: Reader) -> Telemetry:
    r.u8("data flag")
    pack = r.u8("pack")
    cells_mv = words(r, "cell voltages")
    kelvins = words(r, "temperatures")
    current, voltage, residual = unpack(">hHH", r.take(6, "current, voltage and capacity"))
    custom = words(r, "custom values")
    refuse_rest(r)
    known: list[int | None] = [*custom[:6], None, None, None, None, None, None]
    capacity, soc, rated, cycles, soh, port = known[:6]
    return Telemetry(
        pack=pack,
        cells_mv=cells_mv,
        temperatures_c=tuple((one - 2731) / 10 for one in kelvins),
        current_a=current / 100,
        voltage_v=voltage / 100,
        residual_ah=residual / 100,
        capacity_ah=part(capacity, 100),
        soc_percent=part(soc, 10),
        rated_ah=part(rated, 100),
        cycles=cycles,
        soh_percent=part(soh, 10),
        port_voltage_v=part(port, 100),
        reserved=custom[6:],
    )


def part(value: int | None, per: int) -> float | None:
    return None if value is None else value / per


def words(r: Reader, what: str) -> tuple[int, ...]:
    number = r.u8(f"number of {what}")
    return unpack(f">{number}H", r.take(2 * number, what))


def refuse_rest(r: Reader) -> None:
    if r.left:
        r.refuse(f"{r.left} bytes are left over")


def read_alarms(frame: Frame) -> Alarms:
    """The answer to 44H."""
    r = answered(frame)
    try:
        return alarms(r)
    except FrameError as error:
        raise at_digit(error) from None


def alarms(r: Reader) -> Alarms:
    r.u8("data flag")
    pack = r.u8("pack")
    cells = tuple(r.take(r.u8("number of cells"), "alarms of cells"))
    temperatures = tuple(r.take(r.u8("number of temperatures"), "alarms of temperatures"))
    current, voltage = r.u8("alarm of current"), r.u8("alarm of voltage")
    custom = r.take(r.u8("number of events"), "events")
    refuse_rest(r)
    states = dict(zip(STATES, custom[FIRST_STATE:], strict=False))
    return Alarms(
        pack=pack,
        cells=cells,
        temperatures=temperatures,
        current=current,
        voltage=voltage,
        events=tuple(named(custom)),
        switches=states.get("switches", 0),
        balancing=states.get("balancing_low", 0) | states.get("balancing_high", 0) << 8,
        disconnected=states.get("open_low", 0) | states.get("open_high", 0) << 8,
        system_state=states.get("system_state", 0),
        reserved=tuple(custom[FIRST_RESERVED:]),
    )


def named(custom: bytes) -> Iterator[str]:
    for position, names in EVENTS.items():
        for bit, name in enumerate(names):
            if position < len(custom) and custom[position] >> bit & 1:
                yield name or f"yd1363_event_{position + 1}_bit_{bit}"


COLDEST_C, HOTTEST_C = -50.0, 150.0
CELL_PROBES = 4
PROBES_WITH_OTHERS = 6
"""Four of cells, one of the surroundings, one of the power stage."""


def report(telemetry: Telemetry, source: Source, at: datetime) -> Report:
    """What a pack said when it was asked at an instant: the protocol itself has no time.

    Temperatures are those of cells; with another number of probes than four or fewer, or six, which
    of them are of cells is not known, and none is reported.
    """
    missing: dict[str, Missing] = {}

    def within(name: str, value: float | None, low: float, high: float) -> float | None:
        if value is None or low <= value <= high:
            return value
        missing[name] = Missing.OUT_OF_RANGE
        return None

    probes = telemetry.temperatures_c
    if len(probes) == PROBES_WITH_OTHERS:
        probes = probes[:CELL_PROBES]
    elif len(probes) > CELL_PROBES:
        probes = ()
    temperatures = tuple(
        within(f"temperatures_c/{nth}", one, COLDEST_C, HOTTEST_C)
        for nth, one in enumerate(probes, 1)
    )
    known = [one for one in temperatures if one is not None]
    return Report(
        source=source,
        at=at,
        voltage_v=telemetry.voltage_v,
        current_a=telemetry.current_a,
        soc_percent=within("soc_percent", telemetry.soc_percent, 0, 100),
        soh_percent=within("soh_percent", telemetry.soh_percent, 0, 100),
        temperature_c=max(known, default=None),
        temperature_min_c=min(known, default=None),
        cells_mv=telemetry.cells_mv,
        temperatures_c=temperatures,
        missing=tuple(sorted(missing.items())),
    )


def alarm_report(alarms: Alarms, source: Source, at: datetime) -> Report:
    """The alarms that are up. `flags.FlagMemory` makes beginnings and ends of them."""
    codes = [name for name in alarms.events if name not in NO_ALARMS]
    codes += numbered("cell_voltage", alarms.cells) + numbered("temperature", alarms.temperatures)
    codes += single("current", alarms.current) + single("pack_voltage", alarms.voltage)
    return Report(source=source, at=at, alarms=tuple(Alarm(code, begins=True) for code in codes))


def numbered(what: str, states: tuple[int, ...]) -> list[str]:
    return [code for nth, one in enumerate(states, 1) for code in single(f"{what}_{nth}", one)]


def single(what: str, state: int) -> list[str]:
    return [f"{what}_{BYTE_ALARMS.get(state, 'alarm')}"] if state else []
