"""Messages of protocols over HTTP: answered when durable, and kept when they cannot be read."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from leasing.access.model import Role
from leasing.db.pool import Database
from leasing.gateways import service, store
from leasing.telemetry import service as telemetry
from leasing.telemetry.decoders import binterface, bms48, safe_xml
from leasing.telemetry.decoders.binterface import in_soap
from leasing.telemetry.model import Alarm, Report, Source, SourceKind
from tests import build
from tests.build import Json, World
from tests.telemetry.test_binterface import LOGIN, alarm, alarms, request
from tests.telemetry.test_bms48 import ALARMS, TELEMETRY, answer

B_INTERFACE = "/v1/messages/b-interface"
DEVICE = "41010043200001"
AT = datetime(2026, 6, 14, 4, tzinfo=UTC)
CALM = bytes.fromhex("0001" + "10" + "00" * 16 + "06" + "00" * 6 + "0000" + "00")


async def send(
    world: World, text: str | bytes, media_type: str = "text/xml", **headers: str
) -> httpx.Response:
    body = text if isinstance(text, bytes) else text.encode()
    given = {"content-type": media_type, **headers}
    return await world.staff.ask("POST", B_INTERFACE, content=body, headers=given)


def said(response: httpx.Response) -> safe_xml.Element:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/xml")
    return binterface.unwrapped(safe_xml.read(response.content))


async def a_site_with_a_device(world: World) -> Json:
    lease = await build.leased_pack(world, on="2026-02-01")
    path = f"/v1/sites/{lease['site']['id']}/devices"
    body = {"devices": [{"code": DEVICE, "part": 1, "slot": 1}]}
    build.expect(await world.staff.ask("PUT", path, json=body), 200)
    return lease


async def alarms_of(world: World, pack_id: str, **query: Any) -> list[tuple[str, str, str]]:
    """Code, state and since when, oldest first."""
    found = (await world.staff.get("/v1/alarms", pack_id=pack_id, limit=200, **query))["items"]
    return sorted((one["code"], one["state"], one["since"]) for one in found)


@pytest.mark.parametrize("wrap", [str.encode, lambda text: in_soap(text, is_answer=False)])
def test_a_unit_logs_in_and_is_answered_as_it_asked(database, wrap):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            response = await send(world, wrap(LOGIN))
            assert (b"Envelope" in response.content) == (b"Envelope" in wrap(LOGIN))
            answered = said(response)
            assert binterface.message_name(answered) == "LOGIN_ACK"
            assert answered.descendants("RightLevel")[0].text == "2"
            assert answered.descendants("SCIP")[0].text == world.staff.http.base_url.host

    database(scenario)


def test_an_alarm_of_a_unit_begins_and_ends_by_its_serial(database):
    def told(flag: str, hour: int, serial: str) -> str:
        return alarm(
            flag,
            AlarmTime=f"2026-06-14 {hour}:00:00",
            SerialNo=serial,
            DeviceCode=DEVICE,
        )

    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease = await a_site_with_a_device(world)
            both = alarms(told("开始", 10, "17"), told("开始", 11, "18"))
            for _ in range(2):
                answered = said(await send(world, both))
                assert binterface.message_name(answered) == "SEND_ALARM_ACK"
                assert answered.descendants("Result")[0].text == "1"
            found = await alarms_of(world, lease["pack"]["id"])
            assert [state for _, state, _ in found] == ["raised", "raised"]
            said(await send(world, alarms(told("结束", 12, "17"))))
            assert [
                (state, since) for _, state, since in await alarms_of(world, lease["pack"]["id"])
            ] == [
                ("closed", "2026-06-14T02:00:00Z"),
                ("raised", "2026-06-14T03:00:00Z"),
            ]

    database(scenario)


def test_what_a_unit_measured_is_stored_and_counted(database):
    def data(name: str, *signals: str) -> str:
        inner = f'<Device Id="1" Code="{DEVICE}">{"".join(signals)}</Device>'
        info = (
            f"<FsuId>1</FsuId><Values><DeviceList>{inner}</DeviceList></Values><Result>1</Result>"
        )
        return request(name, info, "Response")

    def volts(value: float, at: str = "") -> str:
        time = f' RecordTime="{at}"' if at else ""
        return f'<TSemaphore Type="3" Id="0407102001" MeasuredVal="{value}" Status="0"{time}/>'

    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease = await a_site_with_a_device(world)
            past = data("GET_HISDATA_ACK", volts(52.1, "2026-06-14 09:00:00"))
            assert said(await send(world, past)).attributes["stored"] == "1"
            assert said(await send(world, past, "application/xml")).attributes["repeated"] == "1"
            assert (
                said(await send(world, data("GET_DATA_ACK", volts(53.2)))).attributes["stored"]
                == "1"
            )
            path = f"/v1/packs/{lease['pack']['id']}/readings"
            read = (await world.staff.get(path))["items"]
            assert [one["voltage_v"] for one in read] == [52.1, 53.2]
            assert read[0]["at"] == "2026-06-14T01:00:00Z"

    database(scenario)


def test_what_cannot_be_read_is_refused_with_its_place_and_kept_once(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            wrong = alarms(alarm(AlarmLevel="九级"))
            for key in ({}, {"idempotency-key": "k"}, {"idempotency-key": "k"}):
                response = await send(world, wrong, **key)
                problem = response.json()
                assert (response.status_code, problem["code"]) == (400, "frame_unreadable")
                assert problem["extra"]["position"] == wrong.encode().index(b"<TAlarm>")
                assert "AlarmLevel" in problem["extra"]["reason"]
            assert (await send(world, b"\xff\x00<x")).status_code == 400
            assert (await send(world, wrong, "application/json")).status_code == 415
            first, second = (await world.staff.get("/v1/unread-messages"))["items"]
            assert first["source"].startswith("b-interface ")
            assert first["size_bytes"] == len(wrong.encode())
            assert problem["extra"]["reason"] in first["reason"]
            path = f"/v1/unread-messages/{first['id']}/content"
            assert (await world.staff.ask("GET", path)).content == wrong.encode()
            page = await world.staff.get("/v1/unread-messages", source=second["source"], limit=1)
            assert page["items"] == [first]
            assert (await world.staff.get("/v1/unread-messages", source="x"))["items"] == []
            for role in (Role.AUDITOR, Role.CUSTOMER):
                party = (await build.customer(world))["id"] if role is Role.CUSTOMER else None
                other = await world.login(role, party)
                await other.refused("GET", path, 403)
                await other.refused("GET", "/v1/unread-messages", 403)
                await other.refused("POST", B_INTERFACE, 403)
            await world.staff.refused("GET", path.replace(first["id"][:8], "00000000"), 404)

    database(scenario)


def test_of_a_message_beyond_a_megabyte_the_beginning_is_kept(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            content = b"\0" * 1_500_000
            async with db.transaction() as tx:
                await service.keep_unread(tx, "a\0b", "\0 \ud800", content, now=AT)
            (kept,) = (await world.staff.get("/v1/unread-messages"))["items"]
            assert kept["size_bytes"] == store.MAX_BYTES
            assert kept["reason"].endswith("(cut: 1,500,000 bytes came)")

    database(scenario)


def frames(*given: tuple[int, bytes]) -> list[Json]:
    """Answers of a pack, each some minutes after the first."""
    return [
        {
            "at": (AT + timedelta(minutes=minute)).isoformat(),
            "frame": answer(info).decode(),
            "answers": "telemetry" if info == TELEMETRY else "alarms",
        }
        for minute, info in given
    ]


async def post(world: World, code: str, *given: tuple[int, bytes]) -> tuple[int, int, int, int]:
    body = {"source": {"kind": "pack_code", "value": code}, "frames": frames(*given)}
    made = await world.staff.post("/v1/messages/bms48", body)
    return made["stored"], made["repeated"], made["unmatched"], made["refused"]


def test_a_pack_s_telemetry_is_stored_once(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            pack = await build.pack(world)
            assert await post(world, pack["code"], (0, TELEMETRY), (1, TELEMETRY)) == (2, 0, 0, 0)
            assert await post(world, pack["code"], (1, TELEMETRY), (2, TELEMETRY)) == (1, 1, 0, 0)
            assert await post(world, "NOBODY", (0, TELEMETRY), (0, ALARMS)) == (0, 0, 2, 0)
            path = f"/v1/packs/{pack['id']}/readings"
            first, *_ = (await world.staff.get(path))["items"]
            assert (first["voltage_v"], first["current_a"]) == (52.51, -12.34)
            assert len(first["cells_mv"]) == 16

    database(scenario)


def test_flags_begin_and_end_alarms_whoever_took_the_frame_before(database):
    """Each request knows only what stands in the database."""

    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            pack, other = await build.pack(world), await build.pack(world)
            assert await post(world, pack["code"], (0, CALM)) == (0, 0, 0, 0)
            assert await alarms_of(world, pack["id"]) == []
            assert await post(world, pack["code"], (5, ALARMS)) == (0, 0, 0, 0)
            up = await alarms_of(world, pack["id"])
            told = bms48.read_alarms(bms48.read_frame(answer(ALARMS)))
            source = Source(SourceKind.PACK_CODE, pack["code"])
            expected = {one.code for one in bms48.alarm_report(told, source, AT).alarms}
            assert {code for code, _, _ in up} == expected
            assert len(up) == len(expected) > 5
            assert {state for _, state, _ in up} == {"raised"}
            assert {since for _, _, since in up} == {"2026-06-14T04:05:00Z"}
            # Seen again, told of another pack, and late: nothing changes.
            await post(world, pack["code"], (6, ALARMS))
            await post(world, other["code"], (7, CALM))
            await post(world, pack["code"], (4, CALM))
            assert await alarms_of(world, pack["id"]) == up
            await post(world, pack["code"], (9, CALM), (8, ALARMS))
            ended = await alarms_of(world, pack["id"])
            assert [(code, since) for code, _, since in ended] == [(c, s) for c, _, s in up]
            assert {state for _, state, _ in ended} == {"closed"}
            await post(world, pack["code"], (8, ALARMS))
            assert await alarms_of(world, pack["id"]) == ended

    database(scenario)


def test_alarms_of_other_ways_in_are_not_ended_by_a_frame_without_them(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease = await a_site_with_a_device(world)
            by_unit = alarm("开始", AlarmTime="2026-06-14 10:00:00", DeviceCode=DEVICE)
            said(await send(world, alarms(by_unit)))
            source = Source(SourceKind.PACK, lease["pack"]["id"])
            smoke = Report(source, AT, alarms=(Alarm("smoke", begins=True),))
            async with db.transaction() as tx:
                await telemetry.ingest_reports(tx, [smoke], now=AT)
            before = await alarms_of(world, lease["pack"]["id"])
            await post(world, lease["pack"]["code"], (0, ALARMS), (1, CALM))
            after = await alarms_of(world, lease["pack"]["id"])
            assert len(before) == 2
            assert [one for one in after if one[1] == "raised"] == before

    database(scenario)


def test_every_frame_that_cannot_be_read_is_named_and_nothing_is_stored(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            pack = await build.pack(world)
            given = frames((0, TELEMETRY), (1, TELEMETRY), (2, b"\0\1"), (3, TELEMETRY))
            given[0]["frame"] = given[0]["frame"].removesuffix("\r")
            given[1]["frame"] = given[1]["frame"].replace("0CBC", "0CBD")
            given[3]["answers"] = "alarms"
            body = {"source": {"kind": "pack", "value": pack["id"]}, "frames": given}
            problem = await world.staff.refused("POST", "/v1/messages/bms48", 400, body)
            assert problem["code"] == "frames_refused"
            named = {one["pointer"]: one["message"] for one in problem["errors"]}
            assert set(named) == {f"/frames/{place}/frame" for place in (1, 2, 3)}
            assert "checksum" in named["/frames/1/frame"]
            path = f"/v1/packs/{pack['id']}/readings"
            assert (await world.staff.get(path))["items"] == []

    database(scenario)


def test_a_code_that_a_vehicle_names_and_that_does_not_stand_in_it_is_listed(database):
    vin = "LSVAA4182E2184847"

    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease = await build.leased_pack(world, on="2026-02-01")
            async with db.transaction() as tx:
                vehicle = "UPDATE site SET kind = 'vehicle', vin = $1 WHERE id = $2"
                await tx.execute(vehicle, vin, UUID(lease["site"]["id"]))
            other = await build.pack(world)
            await service.compare_packs(db, vin, [lease["pack"]["code"]])
            assert (await world.staff.get("/v1/unmatched-sources"))["items"] == []
            for _ in range(2):
                named = [lease["pack"]["code"], other["code"], " "]
                await service.compare_packs(db, vin, named)
            (found,) = (await world.staff.get("/v1/unmatched-sources"))["items"]
            assert (found["value"], found["readings"]) == (other["code"], 2)
            assert found["reason"] == f"not in vehicle {vin}"

    database(scenario)
