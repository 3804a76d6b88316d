"""GB/T 32960.3: what electric vehicles send, in the editions of 2016 and 2025.

A frame is: start (`##` 2016, `$$` 2025), command (1 byte), answer flag (1), VIN (17, ASCII, padded
with NULs), encryption (1), length (2, big-endian, at most 65531), the data unit, and the check
byte, which is the exclusive or of all bytes between the start and itself.

`Framer` cuts frames out of a byte stream, `read_frame` reads one, `decode` reads its data unit.
Times are six bytes of Beijing time, which has no daylight saving.
"""

import re
from datetime import datetime, timedelta, timezone
from enum import IntEnum

import msgspec

from leasing.telemetry.decoders import gbt32960_blocks as blocks
from leasing.telemetry.decoders.frames import FrameError, Reader, printable

STARTS = {b"##": 2016, b"$$": 2025}
START_OF = {edition: start for start, edition in STARTS.items()}
START = re.compile(rb"##|\$\$")
HEADER = 24
"""Bytes before the data unit."""
MAX_UNIT = 65_531
BEIJING = timezone(timedelta(hours=8))
CODE_LENGTH = 24
"""Of a GB/T 34014 code in a login of the 2025 edition."""


class Command(IntEnum):
    VEHICLE_LOGIN = 0x01
    REALTIME = 0x02
    REISSUE = 0x03
    VEHICLE_LOGOUT = 0x04
    PLATFORM_LOGIN = 0x05
    PLATFORM_LOGOUT = 0x06
    HEARTBEAT = 0x07
    TIME_SYNC = 0x08
    ACTIVATION = 0x09
    ACTIVATION_REPLY = 0x0A
    KEY_EXCHANGE = 0x0B
    QUERY = 0x80
    SET = 0x81
    CONTROL = 0x82


SINCE_2025 = {Command.ACTIVATION, Command.ACTIVATION_REPLY, Command.KEY_EXCHANGE}


class Ack(IntEnum):
    OK = 0x01
    ERROR = 0x02
    VIN_DUPLICATE = 0x03
    VIN_UNKNOWN = 0x04
    SIGNATURE = 0x05
    STRUCTURE = 0x06
    DECRYPTION = 0x07
    COMMAND = 0xFE
    """Not an answer."""


ACKS = frozenset(Ack)
ACKS_SINCE_2025 = {Ack.SIGNATURE, Ack.STRUCTURE, Ack.DECRYPTION}
PLAIN = 1
ALGORITHMS = {2016: {2: "RSA", 3: "AES128"}, 2025: {2: "RSA", 3: "AES128", 4: "SM2", 5: "SM4"}}
ENCRYPTIONS = {
    edition: frozenset({PLAIN, *names, 0xFE, 0xFF}) for edition, names in ALGORITHMS.items()
}


class Frame(msgspec.Struct, frozen=True):
    """A frame whose length and check byte are right. Its data unit is not looked at yet."""

    edition: int
    command: int
    ack: int
    vin: str
    encryption: int
    unit: bytes
    position: int = 0
    """Of its first byte, in the stream it was cut from."""

    @property
    def bcc(self) -> int:
        return encode(self)[-1]


class Login(msgspec.Struct, frozen=True):
    """Of the 2016 edition. Codes are of any length, and GB/T 34014 codes where they have 24."""

    collected_at: datetime
    serial: int
    iccid: str | None
    subsystems: int
    code_length: int
    codes: tuple[str, ...]


class Login2025(msgspec.Struct, frozen=True):
    """The codes are those of the packs in the vehicle, by GB/T 34014."""

    collected_at: datetime
    serial: int
    iccid: str | None
    bms_count: int
    packs_per_bms: tuple[int, ...]
    codes: tuple[str, ...]


class Logout(msgspec.Struct, frozen=True):
    """Of a vehicle or a platform."""

    time: datetime
    serial: int


class PlatformLogin(msgspec.Struct, frozen=True):
    time: datetime
    serial: int
    username: str
    password: str
    encryption: int


class Realtime(msgspec.Struct, frozen=True):
    """Also what is reissued after a time without connection."""

    collected_at: datetime
    infos: tuple[blocks.Info, ...]


class Empty(msgspec.Struct, frozen=True):
    """A heartbeat, or a question for the time."""


class Answer(msgspec.Struct, frozen=True):
    """What the other side answered: the time of the command, or of its clock."""

    time: datetime


class Activation(msgspec.Struct, frozen=True):
    collected_at: datetime
    chip_id: str
    public_key: bytes
    vin: str
    signature: blocks.Signature


class ActivationReply(msgspec.Struct, frozen=True):
    """Status 1 ok, 2 not. Info 1 none, 2 the chip is in use, 3 the VIN is there already."""

    status: int
    info: int


class KeyExchange(msgspec.Struct, frozen=True):
    """A key for data units, valid in `[starts_at, ends_at)`."""

    key_type: int
    key: bytes
    starts_at: datetime
    ends_at: datetime


class Parameters(msgspec.Struct, frozen=True):
    """A platform's query, setting or control; what it asks for is kept as it is."""

    time: datetime
    content: bytes


class Sealed(msgspec.Struct, frozen=True):
    """An encrypted data unit: kept, never guessed at."""

    algorithm: str
    content: bytes


Payload = (
    Login
    | Login2025
    | Logout
    | PlatformLogin
    | Realtime
    | Empty
    | Answer
    | Activation
    | ActivationReply
    | KeyExchange
    | Parameters
    | Sealed
)


def check_byte(data: bytes) -> int:
    """The exclusive or of all bytes, by folding the halves of one long number onto each other."""
    folded, length = int.from_bytes(data, "big"), len(data)
    while length > 1:
        half = (length + 1) // 2
        folded = (folded >> 8 * half) ^ (folded & ((1 << 8 * half) - 1))
        length = half
    return folded


def read_frame(data: bytes) -> Frame:
    """Exactly one frame."""
    length = expected_length(data)
    if len(data) > length:
        raise FrameError(length, f"{len(data) - length} bytes follow the frame")
    return cut(data, length, 0)


def read_frames(data: bytes) -> list[Frame]:
    """One frame or several in a row, nothing before, between or after them."""
    found: list[Frame] = []
    at = 0
    while at < len(data) or not found:
        rest = data[at:]
        try:
            length = expected_length(rest)
            found.append(cut(rest[:length], length, at))
        except FrameError as error:
            raise FrameError(at + error.position, error.reason) from None
        at += length
    return found


def expected_length(data: bytes, max_unit: int = MAX_UNIT) -> int:
    """How long the frame is that begins here, by its header."""
    if len(data) < HEADER:
        raise FrameError(len(data), f"truncated: a header has {HEADER} bytes, here are {len(data)}")
    edition = STARTS.get(data[:2])
    if edition is None:
        raise FrameError(0, f"start is {data[:2].hex()}, neither 2323 nor 2424")
    if data[3] not in ACKS or (edition == 2016 and data[3] in ACKS_SINCE_2025):
        raise FrameError(3, f"unknown answer flag 0x{data[3]:02X} in edition {edition}")
    printable(data[4:21], 4, "the VIN")
    if data[21] not in ENCRYPTIONS[edition]:
        raise FrameError(21, f"unknown encryption {data[21]} in edition {edition}")
    length = data[22] << 8 | data[23]
    if length > max_unit:
        raise FrameError(22, f"length {length} is more than {max_unit}")
    return HEADER + length + 1


def cut(data: bytes, length: int, position: int) -> Frame:
    """The frame at the beginning of `data`, whose header was found to be right."""
    if len(data) < length:
        missing = length - len(data)
        raise FrameError(
            len(data), f"truncated: the frame has {length} bytes, {missing} are missing"
        )
    right = check_byte(data[2 : length - 1])
    if data[length - 1] != right:
        raise FrameError(
            length - 1, f"checksum: the check byte is 0x{data[length - 1]:02X}, not 0x{right:02X}"
        )
    return Frame(
        edition=STARTS[data[:2]],
        command=data[2],
        ack=data[3],
        vin=printable(data[4:21], 4, "the VIN"),
        encryption=data[21],
        unit=data[HEADER : length - 1],
        position=position,
    )


class Framer:
    """Frames out of a stream, however it is chopped.

    What is no frame is passed over up to the next start that leads to one, and told of as one
    error. After a wrong check byte only the start is passed over: the frame's length may be what
    was damaged, and the next frame may lie within it.
    """

    def __init__(self, max_unit: int = MAX_UNIT) -> None:
        self.max_unit = max_unit
        self.buffer = bytearray()
        self.position = 0
        """Of the buffer's first byte in the stream."""
        self.skipped: FrameError | None = None
        """Why bytes are being passed over, until a frame ends that."""

    @property
    def pending(self) -> int:
        """Bytes that wait for the rest of their frame."""
        return len(self.buffer)

    def feed(self, data: bytes) -> list[Frame | FrameError]:
        self.buffer += data
        found: list[Frame | FrameError] = []
        at = 0
        while (start := self.next_start(at)) is not None:
            at = start
            if len(self.buffer) - at < HEADER:
                break
            try:
                length = expected_length(bytes(self.buffer[at : at + HEADER]), self.max_unit)
                if len(self.buffer) - at < length:
                    break
                frame = cut(bytes(self.buffer[at : at + length]), length, self.position + at)
            except FrameError as error:
                self.skip(at + error.position, error.reason)
                at += 1
                continue
            found += self.told()
            found.append(frame)
            at += length
        else:
            at = self.end_without_start(at)
        del self.buffer[:at]
        self.position += at
        return found

    def finish(self) -> list[FrameError]:
        """The stream has ended: what is left is no frame any more."""
        if self.buffer:
            self.skip(len(self.buffer), f"truncated: the stream ends within {self.pending} bytes")
        self.position += self.pending
        self.buffer.clear()
        return self.told()

    def next_start(self, at: int) -> int | None:
        found = START.search(self.buffer, at)
        if found is None:
            return None
        if found.start() > at:
            self.skip(at, "no frame begins here")
        return found.start()

    def end_without_start(self, at: int) -> int:
        """Where to go on when no start is left: at a last byte that may be half of one."""
        end = len(self.buffer)
        if end > at and self.buffer[-1] in b"#$":
            end -= 1
        if end > at:
            self.skip(at, "no frame begins here")
        return end

    def skip(self, at: int, reason: str) -> None:
        self.skipped = self.skipped or FrameError(self.position + at, reason)

    def told(self) -> list[FrameError]:
        skipped, self.skipped = self.skipped, None
        return [skipped] if skipped else []


def decode(frame: Frame) -> Payload:
    """What a frame says. Errors count from the frame's first byte."""
    try:
        command = Command(frame.command)
    except ValueError:
        command = None
    if command is None or (frame.edition == 2016 and command in SINCE_2025):
        raise FrameError(2, f"unknown command 0x{frame.command:02X} in edition {frame.edition}")
    if frame.encryption != PLAIN and frame.unit:
        algorithm = ALGORITHMS[frame.edition].get(frame.encryption)
        if algorithm is None:
            word = blocks.ABNORMAL_OR_INVALID[frame.encryption]
            raise FrameError(21, f"the encryption is given as {word}")
        return Sealed(algorithm, frame.unit)
    r = Reader(frame.unit, HEADER)
    payload = read_payload(r, frame, command)
    if r.left:
        r.refuse(f"{r.left} bytes are left over in the data unit")
    return payload


def read_payload(r: Reader, frame: Frame, command: Command) -> Payload:
    if frame.ack != Ack.COMMAND and command != Command.ACTIVATION_REPLY:
        return Answer(read_time(r)) if r.left else Empty()
    match command:
        case Command.VEHICLE_LOGIN:
            return login_2016(r) if frame.edition == 2016 else login_2025(r)
        case Command.REALTIME | Command.REISSUE:
            return Realtime(read_time(r), blocks.read(r, frame.edition))
        case Command.VEHICLE_LOGOUT | Command.PLATFORM_LOGOUT:
            return Logout(read_time(r), r.unsigned(2, "serial"))
        case Command.PLATFORM_LOGIN:
            return platform_login(r)
        case Command.HEARTBEAT | Command.TIME_SYNC:
            return Answer(read_time(r)) if r.left else Empty()
        case Command.ACTIVATION:
            return activation(r)
        case Command.ACTIVATION_REPLY:
            return ActivationReply(r.u8("status"), r.u8("info"))
        case Command.KEY_EXCHANGE:
            return key_exchange(r)
        case Command.QUERY | Command.SET | Command.CONTROL:
            return Parameters(read_time(r), r.take(r.left, "parameters"))


def read_time(r: Reader) -> datetime:
    year, month, day, hour, minute, second = r.take(6, "time")
    if year > 99:
        r.refuse(f"time field out of range: year {year}", back=6)
    try:
        return datetime(2000 + year, month, day, hour, minute, second, tzinfo=BEIJING)
    except ValueError as error:
        r.refuse(f"time field out of range: {error}", back=6)


def text(r: Reader, length: int, what: str) -> str:
    at = r.base + r.position
    return printable(r.take(length, what), at, what)


def read_iccid(r: Reader) -> str | None:
    """The SIM card's number, or None where all bytes say that it is invalid or abnormal."""
    if r.data[r.position : r.position + 20] in (b"\xff" * 20, b"\xfe" * 20):
        r.take(20, "ICCID")
        return None
    return text(r, 20, "the ICCID")


def login_2016(r: Reader) -> Login:
    collected_at, serial, iccid = read_time(r), r.unsigned(2, "serial"), read_iccid(r)
    number, length = r.u8("subsystems"), r.u8("length of codes")
    listed = number if length else 0
    codes = tuple(text(r, length, "a code") for _ in range(listed))
    return Login(collected_at, serial, iccid, number, length, codes)


def login_2025(r: Reader) -> Login2025:
    collected_at, serial, iccid = read_time(r), r.unsigned(2, "serial"), read_iccid(r)
    packs = tuple(r.take(r.u8("number of battery management systems"), "packs of each"))
    codes = tuple(text(r, CODE_LENGTH, "a pack's code") for _ in range(sum(packs)))
    return Login2025(collected_at, serial, iccid, len(packs), packs, codes)


def platform_login(r: Reader) -> PlatformLogin:
    return PlatformLogin(
        time=read_time(r),
        serial=r.unsigned(2, "serial"),
        username=text(r, 12, "the user's name"),
        password=text(r, 20, "the password"),
        encryption=r.u8("encryption"),
    )


def activation(r: Reader) -> Activation:
    return Activation(
        collected_at=read_time(r),
        chip_id=text(r, 16, "the chip's id"),
        public_key=r.take(r.unsigned(2, "length of the key"), "public key"),
        vin=text(r, 17, "the VIN"),
        signature=blocks.signature(r),
    )


def key_exchange(r: Reader) -> KeyExchange:
    return KeyExchange(
        key_type=r.u8("type of key"),
        key=r.take(r.unsigned(2, "length of the key"), "key"),
        starts_at=read_time(r),
        ends_at=read_time(r),
    )


def encode(frame: Frame) -> bytes:
    body = b"%c%c%b%c%b%b" % (
        frame.command,
        frame.ack,
        frame.vin.encode("ascii").ljust(17, b"\0"),
        frame.encryption,
        len(frame.unit).to_bytes(2, "big"),
        frame.unit,
    )
    return b"%b%b%c" % (START_OF[frame.edition], body, check_byte(body))


def time_bytes(at: datetime) -> bytes:
    local = at.astimezone(BEIJING)
    return bytes(
        (local.year - 2000, local.month, local.day, local.hour, local.minute, local.second)
    )


def acknowledge(frame: Frame, result: Ack, *, now: datetime) -> bytes:
    """The answer to a command: its time is kept, the rest of its data unit is dropped.

    A heartbeat is answered without a data unit; a question for the time with `now`, as is a command
    that begins with no time of its own, or with one that is encrypted.
    """
    unit = b""
    if frame.command == Command.TIME_SYNC:
        unit = time_bytes(now)
    elif frame.command != Command.HEARTBEAT:
        has_time = frame.command != Command.KEY_EXCHANGE and len(frame.unit) >= 6
        unit = frame.unit[:6] if has_time and frame.encryption == PLAIN else time_bytes(now)
    return encode(
        msgspec.structs.replace(frame, ack=int(result), encryption=PLAIN, unit=unit, position=0)
    )


def answer_activation(frame: Frame, status: int, info: int) -> bytes:
    """What answers an activation: a command of its own."""
    return encode(
        msgspec.structs.replace(
            frame,
            command=int(Command.ACTIVATION_REPLY),
            ack=int(Ack.OK if status == 1 else Ack.ERROR),
            encryption=PLAIN,
            unit=bytes((status, info)),
            position=0,
        )
    )
