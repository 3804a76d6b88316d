"""The B-interface of tower sites (统一互联 B 接口技术规范 V1.0): what supervision units send.

A message is `<Request>` or `<Response>` with `PK_Type` (name and code) and `Info`, bare or as the
text of `xmlData` (`invokeReturn` in an answer) of one SOAP 1.1 operation, `invoke`. Times are
Beijing's. What devices are known to get wrong is taken: PaSCword and Vervion, names in other case,
`PK_Type` as plain text, no `Result`, and `Result` 0 beside data.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta, timezone
from enum import IntEnum
from math import isfinite
from xml.sax.saxutils import escape, quoteattr

import msgspec

from leasing.telemetry.decoders import safe_xml
from leasing.telemetry.decoders.frames import FrameError
from leasing.telemetry.decoders.safe_xml import Element
from leasing.telemetry.model import Alarm, Missing, Report, Source, SourceKind

BEIJING = timezone(timedelta(hours=8))
TIME_FORMAT = "%Y-%m-%d %H:%M:%S"
SC_NAMESPACE = "http://SCService.chinatowercom.com"
FSU_NAMESPACE = "http://FSUService.chinatowercom.com"
EVERYTHING = "9" * 10
"""As the id of a signal: all of a device. The code of all devices is fourteen nines."""

CODES = {
    "LOGIN": 101,
    "LOGIN_ACK": 102,
    "LOGOUT": 103,
    "LOGOUT_ACK": 104,
    "GET_DATA": 401,
    "GET_DATA_ACK": 402,
    "GET_HISDATA": 403,
    "GET_HISDATA_ACK": 404,
    "SEND_ALARM": 501,
    "SEND_ALARM_ACK": 502,
    "SET_POINT": 1001,
    "SET_POINT_ACK": 1002,
    "TIME_CHECK": 1301,
    "TIME_CHECK_ACK": 1302,
    "GET_LOGININFO": 1501,
    "GET_LOGININFO_ACK": 1502,
    "SET_LOGININFO": 1503,
    "SET_LOGININFO_ACK": 1504,
    "GET_FTP": 1601,
    "GET_FTP_ACK": 1602,
    "SET_FTP": 1603,
    "SET_FTP_ACK": 1604,
    "GET_FSUINFO": 1701,
    "GET_FSUINFO_ACK": 1702,
    "SET_FSUREBOOT": 1801,
    "SET_FSUREBOOT_ACK": 1802,
    "GET_THRESHOLD": 1901,
    "GET_THRESHOLD_ACK": 1902,
    "SET_THRESHOLD": 2001,
    "SET_THRESHOLD_ACK": 2002,
}
NAMES = {code: name for name, code in CODES.items()}
MADE_OF = {"Request", "Response"}


class Kind(IntEnum):
    """Of a signal, as its id has it."""

    DI = 0
    AI = 1
    DO = 2
    AO = 3


class SignalId(msgspec.Struct, frozen=True):
    """Ten digits: 0, class of the site, type of the device (2), kind, number (2), index (3)."""

    site_class: int
    """1 to 4 are A to D, 0 is special."""
    device_type: int
    """7 is a battery group, 32 an iron-lithium battery."""
    kind: Kind
    number: int
    """Provinces add theirs from 70 on."""
    index: int


class DeviceCode(msgspec.Struct, frozen=True):
    """Fourteen digits: county (GB/T 2260, 6), class of the site, type of the device (2), serial."""

    adcode: str
    site_class: int
    device_type: int
    serial: str


class Device(msgspec.Struct, frozen=True):
    id: str
    code: str


class Login(msgspec.Struct, frozen=True):
    fsu_id: str
    fsu_code: str
    devices: tuple[Device, ...]
    user_name: str | None = None
    password: str | None = None
    ip: str | None = None
    mac: str | None = None
    imsi: str | None = None
    network: str | None = None
    locked_network: str | None = None
    carrier: str | None = None
    modem_vendor: str | None = None
    modem_type: str | None = None
    registration_mode: str | None = None
    vendor: str | None = None
    type: str | None = None
    fsu_class: str | None = None
    version: str | None = None
    dictionary_version: str | None = None


class Logout(msgspec.Struct, frozen=True):
    fsu_id: str | None


class Signal(msgspec.Struct, frozen=True):
    id: str
    """As sent, also where it is no ten digits."""
    type: int | None
    value: float | None
    setting: float | None
    state: int | None
    """0 normal, 1 to 4 an alarm of that level, 5 an operation, 6 not valid."""
    recorded_at: datetime | None = None
    missing: Missing | None = None


class DeviceSignals(msgspec.Struct, frozen=True):
    id: str
    code: str
    signals: tuple[Signal, ...]


class Data(msgspec.Struct, frozen=True):
    """The answer to GET_DATA, or, with times, to GET_HISDATA."""

    name: str
    fsu_id: str | None
    fsu_code: str | None
    result: int | None
    """1 done, 0 failed; some devices leave it out, and some send 0 beside their data."""
    devices: tuple[DeviceSignals, ...]


class TAlarm(msgspec.Struct, frozen=True):
    serial: str
    signal_id: str
    fsu_id: str | None
    fsu_code: str | None
    device_id: str | None
    device_code: str | None
    at: datetime
    level: int
    begins: bool
    text: str | None
    value: float | None
    """What set the alarm off, where the text tells it in brackets."""


class Alarms(msgspec.Struct, frozen=True):
    alarms: tuple[TAlarm, ...]


class FsuInfo(msgspec.Struct, frozen=True):
    """The heartbeat."""

    fsu_id: str | None
    fsu_code: str | None
    cpu_percent: float | None
    memory_percent: float | None
    result: int | None


class Acknowledged(msgspec.Struct, frozen=True):
    """An answer that says whether it was done: to TIME_CHECK and to what is set."""

    name: str
    fsu_id: str | None
    result: int | None


Message = Login | Logout | Data | Alarms | FsuInfo | Acknowledged
ONLY_RESULT = {
    "TIME_CHECK_ACK",
    "SET_POINT_ACK",
    "SET_LOGININFO_ACK",
    "SET_FTP_ACK",
    "SET_FSUREBOOT_ACK",
    "SET_THRESHOLD_ACK",
}

TEN_DIGITS = re.compile(r"0([0-9])([0-9]{2})([0-3])([0-9]{2})([0-9]{3})")
FOURTEEN_DIGITS = re.compile(r"([0-9]{6})([0-9])([0-9]{2})([0-9]{5})")
NUMBER = re.compile(r"[+-]?([0-9]{1,30}(\.[0-9]{0,30})?|\.[0-9]{1,30})([eE][+-]?[0-9]{1,3})?")
TIME = re.compile(r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})[ T]+([0-9]{1,2}):([0-9]{2}):([0-9]{2})")
IN_BRACKETS = re.compile(r"[(（]\s*([+-]?[0-9]+(?:\.[0-9]+)?)[^()（）]*[)）]")
LEVELS = {"一级": 1, "二级": 2, "三级": 3, "四级": 4, "1": 1, "2": 2, "3": 3, "4": 4}
FLAGS = {"开始": True, "结束": False, "BEGIN": True, "END": False}
STATES = range(7)
INVALID_STATE = 6


def signal_id(text: str) -> SignalId | None:
    """What an id says, or None of one that is not built as the specification says."""
    found = TEN_DIGITS.fullmatch(text)
    if found is None:
        return None
    site_class, device_type, kind, number, index = map(int, found.groups())
    return SignalId(site_class, device_type, Kind(kind), number, index)


def device_code(text: str) -> DeviceCode | None:
    found = FOURTEEN_DIGITS.fullmatch(text)
    if found is None:
        return None
    adcode, site_class, device_type, serial = found.groups()
    return DeviceCode(adcode, int(site_class), int(device_type), serial)


def read(data: bytes | str) -> Message:
    """A message of a supervision unit. Errors count bytes of the text they were found in: of the
    message itself when it came within SOAP."""
    return message_of(unwrapped(safe_xml.read(data)))


def message_of(root: Element) -> Message:
    """What a `<Request>` or `<Response>` says."""
    if root.name not in MADE_OF:
        raise FrameError(root.position, f"<{root.name}> is neither Request nor Response")
    name = message_name(root)
    info = root.first("Info")
    if info is None:
        raise FrameError(root.position, f"{name} has no Info")
    if name in ("GET_DATA_ACK", "GET_HISDATA_ACK"):
        return data_of(info, name)
    if name in ONLY_RESULT:
        return Acknowledged(name, info.said("FsuId"), result(info))
    match name:
        case "LOGIN":
            return login(info)
        case "LOGOUT":
            return Logout(info.said("FsuId"))
        case "SEND_ALARM":
            found = tuple(alarm(one) for one in info.descendants("TAlarm"))
            if not found:
                raise FrameError(info.position, "SEND_ALARM has no TAlarm")
            return Alarms(found)
        case "GET_FSUINFO_ACK":
            return fsu_info(info)
    raise FrameError(root.position, f"{name} is not sent by a supervision unit, or not read here")


def unwrapped(root: Element) -> Element:
    """The message within a SOAP envelope, or the root itself."""
    if root.name != "Envelope":
        return root
    body = root.first("Body")
    if body is None or not body.children:
        raise FrameError(root.position, "the envelope has no body")
    call = body.children[0]
    if call.name in MADE_OF:
        return call
    if call.name == "Fault":
        raise FrameError(call.position, f"SOAP fault: {call.said('faultstring') or 'no reason'}")
    if call.name not in ("invoke", "invokeResponse"):
        raise FrameError(call.position, f"unknown operation {call.name}")
    holder = call.first("xmlData", "invokeReturn", "return", "out")
    if holder is None:
        raise FrameError(call.position, f"{call.name} has no xmlData or invokeReturn")
    inner = next((child for child in holder.children if child.name in MADE_OF), None)
    if inner is not None:
        return inner
    if not holder.text.strip():
        raise FrameError(holder.position, f"{holder.name} is empty")
    return safe_xml.read(holder.text.strip())


def message_name(root: Element) -> str:
    kind = root.first("PK_Type")
    if kind is None:
        raise FrameError(root.position, "PK_Type is missing")
    name = kind.said("Name") or kind.text.strip()
    code = kind.said("Code")
    if not name and code is not None and code.isdecimal():
        name = NAMES.get(int(code), "")
    if name not in CODES:
        raise FrameError(kind.position, f"unknown message {name or code or 'without a name'}")
    if code is not None and code != str(CODES[name]):
        raise FrameError(kind.position, f"{name} has code {CODES[name]}, not {code}")
    return name


def demanded(of: Element, *names: str) -> str:
    value = of.said(*names)
    if value is None:
        raise FrameError(of.position, f"{of.name} has no {names[0]}")
    return value


def login(info: Element) -> Login:
    return Login(
        fsu_id=demanded(info, "FsuId"),
        fsu_code=demanded(info, "FsuCode"),
        devices=tuple(
            Device(one.attributes.get("id", "").strip(), one.attributes.get("code", "").strip())
            for one in info.descendants("Device")
        ),
        user_name=info.said("UserName"),
        password=info.said("PassWord", "PaSCword"),
        ip=info.said("FsuIP"),
        mac=info.said("MacId"),
        imsi=info.said("ImsiId"),
        network=info.said("NetworkType"),
        locked_network=info.said("LockedNetworkType"),
        carrier=info.said("Carrier"),
        modem_vendor=info.said("NMVendor"),
        modem_type=info.said("NMType"),
        registration_mode=info.said("Reg_Mode"),
        vendor=info.said("FSUVendor"),
        type=info.said("FSUType"),
        fsu_class=info.said("FSUClass"),
        version=info.said("Version", "Vervion"),
        dictionary_version=info.said("DictVersion"),
    )


def result(info: Element) -> int | None:
    said = info.said("Result")
    if said is None:
        return None
    if said not in ("0", "1"):
        raise FrameError(info.position, f"Result is {said}, neither 0 nor 1")
    return int(said)


def data_of(info: Element, name: str) -> Data:
    is_history = name == "GET_HISDATA_ACK"
    devices = tuple(
        DeviceSignals(
            one.attributes.get("id", "").strip(),
            one.attributes.get("code", "").strip(),
            tuple(signal(each, is_history) for each in one.all("TSemaphore")),
        )
        for one in info.descendants("Device")
    )
    if any(not (device.id or device.code) for device in devices):
        raise FrameError(info.position, "a device has neither Id nor Code")
    return Data(name, info.said("FsuId"), info.said("FsuCode"), result(info), devices)


def signal(one: Element, is_history: bool) -> Signal:
    at_id = one.attributes.get("id", "").strip()
    if not at_id:
        raise FrameError(one.position, "a TSemaphore has no Id")
    recorded = one.attributes.get("recordtime", "").strip()
    if is_history and not recorded:
        raise FrameError(one.position, f"signal {at_id} has no RecordTime")
    state = whole(one.attributes.get("status"))
    value = number(one.attributes.get("measuredval"))
    missing = None
    if state == INVALID_STATE or value is None:
        value, missing = None, Missing.INVALID
    return Signal(
        id=at_id,
        type=whole(one.attributes.get("type")),
        value=value,
        setting=number(one.attributes.get("setupval")),
        state=state if state in STATES else None,
        recorded_at=instant(recorded, one) if recorded else None,
        missing=missing,
    )


def number(text: str | None) -> float | None:
    """A number in digits; None of anything else, also of one too large to be a number."""
    if text is None or NUMBER.fullmatch(text.strip()) is None:
        return None
    value = float(text)
    return value if isfinite(value) else None


def whole(text: str | None) -> int | None:
    text = (text or "").strip()
    return int(text) if re.fullmatch("[0-9]{1,4}", text) else None


def instant(text: str, of: Element) -> datetime:
    found = TIME.fullmatch(text)
    if found is None:
        raise FrameError(of.position, f"time {text!r} is not of the form YYYY-MM-DD hh:mm:ss")
    year, month, day, hour, minute, second = map(int, found.groups())
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=BEIJING)
    except ValueError as error:
        raise FrameError(of.position, f"time {text!r} does not exist: {error}") from None


def alarm(one: Element) -> TAlarm:
    level, flag = demanded(one, "AlarmLevel"), demanded(one, "AlarmFlag")
    if level not in LEVELS:
        raise FrameError(one.position, f"unknown AlarmLevel {level}")
    if flag.upper() not in FLAGS:
        raise FrameError(one.position, f"unknown AlarmFlag {flag}")
    text = one.said("AlarmDesc")
    value = IN_BRACKETS.search(text) if text else None
    device_id, device_code = one.said("DeviceId"), one.said("DeviceCode")
    if device_id is None and device_code is None:
        raise FrameError(one.position, "TAlarm has neither DeviceId nor DeviceCode")
    return TAlarm(
        serial=demanded(one, "SerialNo"),
        signal_id=demanded(one, "Id"),
        fsu_id=one.said("FsuId"),
        fsu_code=one.said("FsuCode"),
        device_id=device_id,
        device_code=device_code,
        at=instant(demanded(one, "AlarmTime"), one),
        level=LEVELS[level],
        begins=FLAGS[flag.upper()],
        text=text,
        value=number(value[1]) if value else None,
    )


def fsu_info(info: Element) -> FsuInfo:
    status = info.first("TFSUStatus") or info
    return FsuInfo(
        fsu_id=info.said("FsuId"),
        fsu_code=info.said("FsuCode"),
        cpu_percent=number(status.said("CPUUsage")),
        memory_percent=number(status.said("MEMUsage")),
        result=result(info),
    )


TOTAL_VOLTAGE = (7, Kind.AI, 2)
Meaning = Mapping[tuple[int, Kind, int], str]
SIGNALS: Meaning = {TOTAL_VOLTAGE: "voltage_v"}
"""Field of a report by type of device, kind and number of the signal: what the published dictionary
tells for certain. A province's own signals are added by whoever knows them."""
FIELDS = {
    "voltage_v": (0.0, 1000.0),
    "current_a": (-3000.0, 3000.0),
    "soc_percent": (0.0, 100.0),
    "soh_percent": (0.0, 100.0),
    "temperature_c": (-50.0, 150.0),
}


def reports(message: Message, now: datetime, signals: Meaning = SIGNALS) -> list[Report]:
    """What a message says of batteries: of a device, its alarms, or signals whose meaning is known.

    `now` is the instant of what was asked for as present. The part is the signal's index.
    """
    if isinstance(message, Alarms):
        return [alarm_report(one) for one in message.alarms]
    if not isinstance(message, Data):
        return []
    values: dict[tuple[str, int, datetime], dict[str, float]] = {}
    missing: dict[tuple[str, int, datetime], dict[str, Missing]] = {}
    for device in message.devices:
        for one in device.signals:
            known = signal_id(one.id)
            name = signals.get((known.device_type, known.kind, known.number)) if known else None
            if known is None or name is None:
                continue
            key = (device.code or device.id, known.index, one.recorded_at or now)
            low, high = FIELDS[name]
            found, gone = values.setdefault(key, {}), missing.setdefault(key, {})
            if one.value is None:
                gone[name] = one.missing or Missing.INVALID
            elif low <= one.value <= high:
                found[name] = one.value
            else:
                gone[name] = Missing.OUT_OF_RANGE
    return [
        Report(
            source=Source(SourceKind.DEVICE, device, index),
            at=at,
            voltage_v=found.get("voltage_v"),
            current_a=found.get("current_a"),
            soc_percent=found.get("soc_percent"),
            soh_percent=found.get("soh_percent"),
            temperature_c=found.get("temperature_c"),
            missing=tuple(sorted(missing[device, index, at].items())),
        )
        for (device, index, at), found in values.items()
    ]


def alarm_report(one: TAlarm) -> Report:
    known = signal_id(one.signal_id)
    told = Alarm(
        code=one.signal_id, begins=one.begins, level=one.level, text=one.text, serial=one.serial
    )
    return Report(
        source=Source(
            SourceKind.DEVICE,
            one.device_code or one.device_id or "",
            known.index if known and known.index else 1,
        ),
        at=one.at,
        alarms=(told,),
    )


def message(name: str, info: str) -> str:
    """A message of ours; `info` is XML already."""
    kind = "Response" if name.endswith("_ACK") else "Request"
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f"<{kind}><PK_Type><Name>{name}</Name><Code>{CODES[name]}</Code></PK_Type>"
        f"<Info>{info}</Info></{kind}>"
    )


def tag(name: str, text: object) -> str:
    return f"<{name}>{escape(str(text))}</{name}>"


def login_answer(sc_ip: str, right_level: int = 2) -> str:
    """Rights: 0 none, 1 to read, 2 to read and write."""
    return message("LOGIN_ACK", tag("SCIP", sc_ip) + tag("RightLevel", right_level))


def result_answer(name: str, done: bool) -> str:
    """The answer to LOGOUT or SEND_ALARM."""
    return message(f"{name}_ACK", tag("Result", int(done)))


def get_data(fsu_id: str, fsu_code: str, devices: Iterable[Device]) -> str:
    """Ask for all signals of devices."""
    return message("GET_DATA", whose(fsu_id, fsu_code) + wanted(devices))


def get_history(
    fsu_id: str, fsu_code: str, devices: Iterable[Device], from_at: datetime, to_at: datetime
) -> str:
    """Ask for what was recorded, one point an hour."""
    times = tag("StartTime", beijing(from_at)) + tag("EndTime", beijing(to_at))
    return message("GET_HISDATA", whose(fsu_id, fsu_code) + times + wanted(devices))


def get_fsu_info(fsu_id: str, fsu_code: str) -> str:
    return message("GET_FSUINFO", whose(fsu_id, fsu_code))


def time_check(now: datetime) -> str:
    local = now.astimezone(BEIJING)
    parts = {
        "Years": local.year,
        "Month": local.month,
        "Day": local.day,
        "Hour": local.hour,
        "Minute": local.minute,
        "Second": local.second,
    }
    return message("TIME_CHECK", f"<Time>{''.join(tag(*one) for one in parts.items())}</Time>")


def whose(fsu_id: str, fsu_code: str) -> str:
    return tag("FsuId", fsu_id) + tag("FsuCode", fsu_code)


def wanted(devices: Iterable[Device]) -> str:
    every = tag("Id", EVERYTHING)
    listed = "".join(
        f"<Device Id={quoteattr(one.id)} Code={quoteattr(one.code)}>{every}</Device>"
        for one in devices
    )
    return f"<DeviceList>{listed}</DeviceList>"


def beijing(at: datetime) -> str:
    return at.astimezone(BEIJING).strftime(TIME_FORMAT)


def in_soap(text: str, *, is_answer: bool) -> bytes:
    """A message as the one string of the one operation: asked of a supervision unit, or answered
    by us."""
    call, holder = ("invokeResponse", "invokeReturn") if is_answer else ("invoke", "xmlData")
    namespace = SC_NAMESPACE if is_answer else FSU_NAMESPACE
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"'
        ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
        ' xmlns:soapenc="http://schemas.xmlsoap.org/soap/encoding/"'
        ' soap:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><soap:Body>'
        f'<impl:{call} xmlns:impl="{namespace}">'
        f'<{holder} xsi:type="soapenc:string">{escape(text)}</{holder}>'
        f"</impl:{call}></soap:Body></soap:Envelope>"
    ).encode()
