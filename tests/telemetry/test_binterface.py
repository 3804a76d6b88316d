"""The B-interface of tower sites: messages of supervision units, and ours to them."""

from datetime import UTC, datetime
from html import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leasing.telemetry.decoders import binterface, safe_xml
from leasing.telemetry.decoders.binterface import Kind, SignalId, read, reports
from leasing.telemetry.decoders.frames import FrameError
from leasing.telemetry.model import Alarm, Missing, Source, SourceKind

NOW = datetime(2026, 6, 15, 4, 30, tzinfo=UTC)


def request(name: str, info: str, kind: str = "Request") -> str:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f"<{kind}><PK_Type><Name>{name}</Name><Code>{binterface.CODES[name]}</Code></PK_Type>"
        f"<Info>{info}</Info></{kind}>"
    )


def soap(text: str, call: str = "invoke", holder: str = "xmlData") -> bytes:
    return (
        '<S:Envelope xmlns:S="http://schemas.xmlsoap.org/soap/envelope/"><S:Header/><S:Body>'
        f'<n:{call} xmlns:n="{binterface.SC_NAMESPACE}"><{holder}>{escape(text)}</{holder}>'
        f"</n:{call}></S:Body></S:Envelope>"
    ).encode()


LOGIN = request(
    "LOGIN",
    "<UserName/><PaSCword>geheim</PaSCword><FsuId>51051243812345</FsuId>"
    "<FsuCode>51051243812345</FsuCode><FsuIP>10.1.2.3</FsuIP><Carrier>CM</Carrier>"
    "<FSUVendor>AMS</FSUVendor><Vervion>1.2</Vervion>"
    '<DeviceList><Device Id="51051240700002" Code="51051240700002"/><Device Id="" Code="x"/>'
    "</DeviceList>",
)
SIGNALS = (
    '<TSemaphore Type="3" Id="0407102001" MeasuredVal="53.9" SetupVal="0" Status="0"/>'
    '<TSemaphore Type="3" Id="0407102002" MeasuredVal="54.1" SetupVal="" Status="6"/>'
    '<TSemaphore Type="3" Id="0418101001" MeasuredVal="25.5" SetupVal="0" Status="0"/>'
    '<TSemaphore Type="2" Id="xyz" MeasuredVal="--" SetupVal="0" Status="9"/>'
)
DEVICES = (
    "<Values><DeviceList><Device Id='51051240700002' Code='51051240700002'>"
    f"{SIGNALS}</Device></DeviceList></Values>"
)
DATA = request("GET_DATA_ACK", f"<FsuId>1</FsuId><FsuCode/><Result>1</Result>{DEVICES}", "Response")
HISTORY = request(
    "GET_HISDATA_ACK",
    "<FSUID>1</FSUID>"
    + DEVICES.replace('Status="0"', 'Status="0" RecordTime="2026-06-15 12:00:00"')
    .replace('Status="6"', 'Status="6" RecordTime="2026-06-15 13:00:00"')
    .replace('Status="9"', 'Status="9" RecordTime="2026-06-15 13:00:00"'),
    "Response",
)


def alarm(flag: str = "开始", **changed: str) -> str:
    fields = {
        "SerialNo": "0012345678",
        "Id": "0407001001",
        "FsuId": "10024",
        "FsuCode": "11010143800001",
        "DeviceID": "11010140700001",
        "DeviceCode": "11010140700001",
        "AlarmTime": "2006-09-04 12:01:31",
        "AlarmLevel": "二级",
        "AlarmFlag": flag,
        "AlarmDesc": "欠压告警(46.1V)",
    } | changed
    inner = "".join(f"<{name}>{text}</{name}>" for name, text in fields.items())
    return f"<TAlarm>{inner}</TAlarm>"


def alarms(*listed: str) -> str:
    return request("SEND_ALARM", f"<Values><TAlarmList>{''.join(listed)}</TAlarmList></Values>")


ALARMS = alarms(alarm(), alarm("结束", AlarmTime="2006-09-04 12:31:31"))
FSU_INFO = request(
    "GET_FSUINFO_ACK",
    "<FsuId>1</FsuId><FsuCode>2</FsuCode><TFSUStatus><CPUUsage>12.5</CPUUsage>"
    "<MEMUsage>40</MEMUsage></TFSUStatus><Result>1</Result>",
    "Response",
)
CHECKED = request("TIME_CHECK_ACK", "<Result>1</Result>", "Response")
CORPUS = [
    *(one.encode() for one in (LOGIN, DATA, HISTORY, ALARMS, FSU_INFO, CHECKED)),
    soap(LOGIN),
    soap(DATA, "invokeResponse", "invokeReturn"),
    soap(ALARMS),
    request("LOGOUT", "").encode(),
]


def test_an_id_of_a_signal_is_ten_digits_with_a_meaning():
    assert binterface.signal_id("0407102001") == SignalId(4, 7, Kind.AI, 2, 1)
    assert binterface.signal_id("0132370016") == SignalId(1, 32, Kind.AO, 70, 16)
    for strange in ("407102001", "1407102001", "0407402001", "04071020O1", "٠407102001"):
        assert binterface.signal_id(strange) is None


def test_a_code_of_a_device_is_fourteen_digits_with_a_meaning():
    code = binterface.device_code("51051240700002")
    assert code == binterface.DeviceCode("510512", 4, 7, "00002")
    assert binterface.device_code("5105124070002") is None


@pytest.mark.parametrize("sent", [LOGIN, LOGIN.encode(), soap(LOGIN)])
def test_a_login_is_read_bare_and_within_soap_with_its_known_misspellings(sent):
    told = read(sent)
    assert isinstance(told, binterface.Login)
    assert (told.fsu_id, told.ip, told.carrier) == ("51051243812345", "10.1.2.3", "CM")
    assert (told.password, told.version, told.user_name) == ("geheim", "1.2", None)
    assert told.devices[0] == binterface.Device("51051240700002", "51051240700002")
    assert told.devices[1] == binterface.Device("", "x")


def test_signals_are_read_and_one_that_is_not_valid_has_no_value():
    told = read(DATA)
    assert isinstance(told, binterface.Data)
    (device,) = told.devices
    good, invalid, _, strange = device.signals
    assert (good.value, good.setting, good.state, good.missing) == (53.9, 0.0, 0, None)
    assert (invalid.value, invalid.state, invalid.missing) == (None, 6, Missing.INVALID)
    assert (strange.id, strange.value, strange.state) == ("xyz", None, None)


def test_reports_hold_only_what_is_known_to_be_of_a_battery():
    first, second = reports(read(DATA), NOW)
    assert first.source == Source(SourceKind.DEVICE, "51051240700002", 1)
    assert (first.at, first.voltage_v) == (NOW, 53.9)
    assert (second.source.part, second.voltage_v) == (2, None)
    assert second.missing == (("voltage_v", Missing.INVALID),)


def test_signals_of_a_province_are_known_once_they_are_named():
    mine = {**binterface.SIGNALS, (18, Kind.AI, 1): "temperature_c"}
    assert [one.temperature_c for one in reports(read(DATA), NOW, mine)] == [25.5, None]


def test_a_voltage_that_cannot_be_is_out_of_range():
    (first, _) = reports(read(DATA.replace("53.9", "1e4")), NOW)
    assert first.missing == (("voltage_v", Missing.OUT_OF_RANGE),)
    (first, _) = reports(read(DATA.replace("53.9", "1e999")), NOW)
    assert first.missing == (("voltage_v", Missing.INVALID),)


def test_history_has_its_own_times_in_beijing():
    first, second = reports(read(HISTORY), NOW)
    assert first.at == datetime(2026, 6, 15, 4, 0, tzinfo=UTC)
    assert second.at == datetime(2026, 6, 15, 5, 0, tzinfo=UTC)
    with pytest.raises(FrameError, match="no RecordTime"):
        read(HISTORY.replace(' RecordTime="2026-06-15 12:00:00"', ""))


def test_a_result_may_be_left_out_or_be_0_beside_data():
    for said in ("<Result>0</Result>", "<Result/>", ""):
        told = read(DATA.replace("<Result>1</Result>", said))
        assert isinstance(told, binterface.Data)
        assert told.result == (0 if "0" in said else None)
        assert told.devices[0].signals[0].value == 53.9
    with pytest.raises(FrameError, match="neither 0 nor 1"):
        read(DATA.replace("<Result>1</Result>", "<Result>2</Result>"))


def test_an_alarm_begins_and_ends_by_its_serial_number():
    begun, ended = reports(read(ALARMS), NOW)
    assert begun.source == Source(SourceKind.DEVICE, "11010140700001", 1)
    assert begun.at == datetime(2006, 9, 4, 4, 1, 31, tzinfo=UTC)
    assert begun.alarms == (
        Alarm("0407001001", begins=True, level=2, text="欠压告警(46.1V)", serial="0012345678"),
    )
    assert not ended.alarms[0].begins
    assert ended.alarms[0].serial == "0012345678"


def test_what_set_an_alarm_off_is_read_from_its_text():
    told = read(alarms(alarm(), alarm(AlarmDesc="过温（61℃）"), alarm(AlarmDesc="熔断")))
    assert isinstance(told, binterface.Alarms)
    assert [one.value for one in told.alarms] == [46.1, 61.0, None]


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (alarm(AlarmTime="2026-02-30 12:00:00"), "does not exist"),
        (alarm(AlarmTime="yesterday"), "not of the form"),
        (alarm(AlarmTime=""), "no AlarmTime"),
        (alarm(AlarmLevel="五级"), "unknown AlarmLevel"),
        (alarm("maybe"), "unknown AlarmFlag"),
        (alarm(SerialNo=""), "no SerialNo"),
        (alarm(DeviceID="", DeviceCode=""), "neither DeviceId nor DeviceCode"),
        ("", "no TAlarm"),
    ],
)
def test_an_alarm_that_is_not_whole_is_refused(wrong, reason):
    with pytest.raises(FrameError, match=reason):
        read(alarms(wrong))


def test_the_heartbeat_and_plain_answers_are_read():
    assert read(FSU_INFO) == binterface.FsuInfo("1", "2", 12.5, 40.0, 1)
    assert read(CHECKED) == binterface.Acknowledged("TIME_CHECK_ACK", None, 1)
    assert read(request("LOGOUT", "<FsuId>7</FsuId>")) == binterface.Logout("7")
    for made in (FSU_INFO, CHECKED):
        assert reports(read(made), NOW) == []


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        ("<Other/>", "neither Request nor Response"),
        ("<Request/>", "PK_Type is missing"),
        ("<Request><PK_Type><Name>HEARTBEAT</Name></PK_Type></Request>", "unknown message"),
        (LOGIN.replace("<Code>101", "<Code>501"), "LOGIN has code 101, not 501"),
        ("<Request><PK_Type>LOGIN</PK_Type></Request>", "LOGIN has no Info"),
        (LOGIN.replace("51051243812345", ""), "Info has no FsuId"),
        (request("GET_DATA", ""), "not sent by a supervision unit"),
        ("<Envelope/>", "no body"),
        ("<Envelope><Body><other/></Body></Envelope>", "unknown operation other"),
        ("<Envelope><Body><invoke/></Body></Envelope>", "no xmlData"),
        ("<Envelope><Body><invoke><xmlData/></invoke></Body></Envelope>", "xmlData is empty"),
        (
            "<Envelope><Body><Fault><faultstring>no</faultstring></Fault></Body></Envelope>",
            "SOAP fault: no",
        ),
        (DATA.replace("Id='51051240700002' Code='51051240700002'", ""), "neither Id nor Code"),
        (DATA.replace('Id="xyz"', ""), "no Id"),
        ("", "no element found"),
        (DATA[:200], "unclosed"),
        (b'<?xml version="1.0" encoding="GB2312"?><a/>', "encoding"),
        ("<a>" * 40, "more than 32 deep"),
        ("<a>" + "<b/>" * 100_001, "more than 100000 elements"),
        (b" " * 4_000_001, "more than 4000000 bytes"),
        ("\ud800", "no XML"),
    ],
)
def test_what_is_no_message_is_refused_with_its_reason(sent, reason):
    with pytest.raises(FrameError, match=reason):
        read(sent)


LAUGHS = "".join(f'<!ENTITY lol{nth} "{f"&lol{nth - 1};" * 10}">' for nth in range(1, 10))
BOMB = (
    f'<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol0 "lol">{LAUGHS}]><Request>&lol9;</Request>'
)
EXTERNAL = (
    '<?xml version="1.0"?><!DOCTYPE Request [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    "<Request><PK_Type>&x;</PK_Type></Request>"
)
REMOTE = '<!DOCTYPE Request SYSTEM "http://example.org/x.dtd"><Request/>'


@pytest.mark.parametrize("evil", [BOMB, EXTERNAL, REMOTE])
def test_document_types_are_refused_before_anything_grows_or_is_fetched(evil):
    for sent in (evil, evil.encode(), evil.encode("utf-16"), soap(evil)):
        with pytest.raises(FrameError, match="a document type is not allowed"):
            read(sent)


def test_an_entity_that_nobody_declared_is_refused():
    with pytest.raises(FrameError, match="undefined entity"):
        read("<Request>&evil;</Request>")


def test_text_is_read_as_text_whatever_its_declaration_says():
    text = '<?xml version="1.0" encoding="iso-8859-1"?><a>告警</a>'
    assert safe_xml.read(text).text == "告警"


def test_our_messages_say_what_was_asked_of_them():
    at = datetime(2026, 6, 15, 16, 30, 5, tzinfo=UTC)
    answer = safe_xml.read(binterface.login_answer("10.0.0.1"))
    assert answer.descendants("SCIP")[0].text == "10.0.0.1"
    asked = safe_xml.read(
        binterface.get_history("1", "<2>", [binterface.Device('"3"', "4&")], at, at)
    )
    assert asked.descendants("FsuCode")[0].text == "<2>"
    assert asked.descendants("StartTime")[0].text == "2026-06-16 00:30:05"
    assert asked.descendants("Device")[0].attributes == {"id": '"3"', "code": "4&"}
    assert asked.descendants("Device")[0].said("Id") == "9999999999"
    time = safe_xml.read(binterface.time_check(at)).descendants("Time")[0]
    assert [one.text for one in time.children] == ["2026", "6", "16", "0", "30", "5"]
    assert "<Code>401</Code>" in binterface.get_data("1", "2", [])
    assert "<Code>1701</Code>" in binterface.get_fsu_info("1", "2")


def test_our_answers_travel_within_soap():
    answer = binterface.in_soap(binterface.result_answer("SEND_ALARM", True), is_answer=True)
    inner = binterface.unwrapped(safe_xml.read(answer))
    assert inner.name == "Response"
    assert binterface.message_name(inner) == "SEND_ALARM_ACK"
    assert inner.descendants("Result")[0].text == "1"
    asked = binterface.in_soap(binterface.get_fsu_info("1", "2"), is_answer=False)
    assert b"http://FSUService.chinatowercom.com" in asked
    assert binterface.message_name(binterface.unwrapped(safe_xml.read(asked))) == "GET_FSUINFO"


@given(st.sampled_from(CORPUS), st.data())
def test_a_message_cut_short_is_always_refused(data, draw):
    with pytest.raises(FrameError):
        read(data[: draw.draw(st.integers(0, len(data) - 1))])


@given(st.binary(max_size=100) | st.text(max_size=100))
def test_anything_is_read_or_refused(data):
    with pytest.raises(FrameError):
        read(data)
