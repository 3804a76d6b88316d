"""Alarms over HTTP: raised as readings come in, told until acknowledged, ended; and what a thermal
runaway stops."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from leasing.access.model import Role
from leasing.alarms import service
from leasing.db.pool import Database
from leasing.kit.time import midnight
from leasing.telemetry import service as telemetry
from leasing.telemetry.model import Alarm, Report, Source, SourceKind
from tests import build
from tests.api import stories
from tests.build import NOON, TODAY, Json, World

NOW = midnight(TODAY) + NOON
BEGAN = NOW - timedelta(hours=3)
MINUTE = timedelta(minutes=1)
FOR_SALE = {
    "kind": "declining",
    "amount": 300_000,
    "monthly_percent": "1.5",
    "floor_amount": 60_000,
}


def rows_of(
    pack_id: str, volts: list[float], celsius: list[float] | None = None, began: datetime = BEGAN
) -> list[Json]:
    return [
        {
            "pack_id": pack_id,
            "at": (began + i * MINUTE).astimezone(UTC).isoformat(),
            "voltage_v": voltage_v,
            "current_a": 0,
            "temperature_c": celsius[i] if celsius else 25,
        }
        for i, voltage_v in enumerate(volts)
    ]


async def send(world: World, *rows: Json) -> None:
    await world.staff.post("/v1/readings", {"readings": list(rows)})


async def alarms(world: World, **query: Any) -> list[Json]:
    page = await world.staff.get("/v1/alarms", limit=200, **query)
    found: list[Json] = page["items"]
    return found


async def overcharge(world: World, pack_id: str) -> Json:
    await send(world, *rows_of(pack_id, [52, 57.8, 57.8]))
    (alarm,) = await alarms(world, pack_id=pack_id)
    return alarm


async def run_away(world: World, pack_id: str, began: datetime = BEGAN) -> None:
    await send(world, *rows_of(pack_id, [52, 52, 50.5], [25, 26, 70], began))


async def timeline(world: World, pack_id: str) -> list[str]:
    page = await world.staff.get(f"/v1/packs/{pack_id}/timeline", limit=200)
    return [entry["kind"] for entry in page["items"]]


def test_an_alarm_shows_the_limits_and_the_readings_it_rests_on(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            pack = await build.pack(world)
            alarm = await overcharge(world, pack["id"])
            assert (alarm["kind"], alarm["severity"]) == ("cell_over_voltage", "warn")
            assert (alarm["state"], alarm["cell"], alarm["repeats"]) == ("raised", None, 0)
            since = BEGAN + 2 * MINUTE
            assert datetime.fromisoformat(alarm["since"]) == since
            assert alarm["limits"]["cell_over_warn_mv"] == 3600
            assert alarm["limits"]["cells_in_series"] == 16
            assert alarm["evidence"]["value"] == pytest.approx(57_800 / 16, abs=0.01)
            assert alarm["evidence"]["limit"] == 3600
            seen = [row["voltage_v"] for row in alarm["evidence"]["readings"]]
            assert seen == pytest.approx([52, 57.8, 57.8])
            assert await world.staff.get(f"/v1/alarms/{alarm['id']}") == alarm
            page = await world.staff.get(f"/v1/packs/{pack['id']}/timeline")
            told = page["items"][-1]
            assert told["kind"] == "pack.alarm_raised"
            assert told["summary_en"] == "An alarm was raised: cell_over_voltage, warn."

    database(scenario)


def test_the_same_readings_in_two_batches_or_twice_raise_one_alarm(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            pack = await build.pack(world)
            rows = rows_of(pack["id"], [52, 57.8, 57.8, 57.8])
            for row in rows:
                await send(world, row)
            await send(world, *rows)
            (alarm,) = await alarms(world)
            assert datetime.fromisoformat(alarm["since"]) == BEGAN + 2 * MINUTE

    database(scenario)


def test_an_alarm_grows_is_told_anew_and_ends_by_itself(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            pack = await build.pack(world)
            alarm = await overcharge(world, pack["id"])
            path = f"/v1/alarms/{alarm['id']}"
            await world.staff.post(f"{path}/acknowledgement")
            later = BEGAN + timedelta(minutes=10)
            await send(world, *rows_of(pack["id"], [58.8, 58.8], began=later))
            grown = await world.staff.get(path)
            assert (grown["severity"], grown["state"]) == ("critical", "raised")
            assert grown["acknowledged_by"] is None
            assert grown["since"] == alarm["since"]
            await send(world, *rows_of(pack["id"], [57.3] * 3, began=later + 5 * MINUTE))
            assert (await world.staff.get(path))["state"] == "raised"
            await send(world, *rows_of(pack["id"], [53] * 3, began=later + 10 * MINUTE))
            ended = await world.staff.get(path)
            assert (ended["state"], ended["close_reason"]) == ("closed", "back within its limits")
            assert (await timeline(world, pack["id"]))[-4:] == [
                "pack.alarm_raised",
                "pack.alarm_acknowledged",
                "pack.alarm_grown",
                "pack.alarm_closed",
            ]
            await send(world, *rows_of(pack["id"], [57.8] * 2, began=later + 20 * MINUTE))
            assert len(await alarms(world)) == 2

    database(scenario)


def test_an_alarm_is_told_again_until_it_is_acknowledged(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            pack = await build.pack(world)
            alarm = await overcharge(world, pack["id"])
            path = f"/v1/alarms/{alarm['id']}"

            async def repeat(after: timedelta) -> int:
                async with db.transaction() as tx:
                    return await service.repeat(tx, 100, by="job:alarms", now=NOW + after)

            day = timedelta(days=1)
            assert await repeat(day - timedelta(hours=1)) == 0
            assert await repeat(day) == 1
            assert await repeat(day) == 0
            # Long after, it is told once and not once for each day.
            assert await repeat(30 * day) == 1
            assert await repeat(30 * day) == 0
            found = await world.staff.get(path)
            assert found["repeats"] == 2
            assert datetime.fromisoformat(found["next_repeat_at"]) == NOW + 31 * day
            await world.staff.post(f"{path}/acknowledgement")
            assert await repeat(90 * day) == 0
            assert (await timeline(world, pack["id"])).count("pack.alarm_repeated") == 2

    database(scenario)


def test_an_alarm_is_closed_by_hand_once_and_with_a_reason(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            pack = await build.pack(world)
            path = f"/v1/alarms/{(await overcharge(world, pack['id']))['id']}"
            await world.staff.refused("POST", f"{path}/closing", 400, {"reason": " "})
            closed = await world.staff.post(f"{path}/closing", {"reason": "charger replaced"})
            assert (closed["state"], closed["close_reason"]) == ("closed", "charger replaced")
            assert closed["closed_by"].startswith("staff:")
            for step, body in (("closing", {"reason": "again"}), ("acknowledgement", None)):
                problem = await world.staff.refused("POST", f"{path}/{step}", 409, body)
                assert problem["code"] == "alarm_state"
            missing = f"/v1/alarms/{UUID(int=1)}"
            await world.staff.refused("POST", f"{missing}/acknowledgement", 404)
            await world.staff.refused("GET", missing, 404)

    database(scenario)


def test_the_database_refuses_a_second_open_alarm_of_one_kind_and_cell(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            pack = await build.pack(world)
            await overcharge(world, pack["id"])
            copied = """
            INSERT INTO alarm (pack_id, kind, cell, severity, since, last_seen_at, limits,
                               evidence, raised_at, next_repeat_at)
            SELECT pack_id, kind, $1, severity, since, last_seen_at, limits, evidence, raised_at,
                   next_repeat_at
              FROM alarm
             LIMIT 1
            """

            async def copy(cell: int | None) -> None:
                async with db.transaction() as tx:
                    await tx.execute(copied, cell)

            with pytest.raises(asyncpg.UniqueViolationError, match="alarm_one_open"):
                await copy(None)
            await copy(3)
            with pytest.raises(asyncpg.UniqueViolationError, match="alarm_one_open"):
                await copy(3)

    database(scenario)


def test_two_batches_of_one_pack_at_a_time_raise_one_alarm(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            pack = await build.pack(world)
            rows = rows_of(pack["id"], [52] + [57.8] * 7)
            await asyncio.gather(
                *[send(world, *rows[i : i + 2]) for i in range(0, 8, 2)], send(world, *rows)
            )
            assert [alarm["kind"] for alarm in await alarms(world)] == ["cell_over_voltage"]

    database(scenario)


def test_a_reading_with_a_clock_far_ahead_does_not_blind_us(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            pack = await build.pack(world)
            await send(world, *rows_of(pack["id"], [52], began=NOW + timedelta(hours=20)))
            assert (await overcharge(world, pack["id"]))["kind"] == "cell_over_voltage"

    database(scenario)


def test_a_customer_sees_the_alarms_of_packs_it_had_then_and_no_others(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            leased = await build.leased_pack(world)
            other = await build.leased_pack(world)
            stocked = await build.pack(world)
            mine = await overcharge(world, leased["pack"]["id"])
            for pack in (other["pack"], stocked):
                await overcharge(world, pack["id"])
            lessee = await world.login(Role.CUSTOMER, leased["customer"]["id"])
            page = await lessee.get("/v1/alarms")
            assert [alarm["id"] for alarm in page["items"]] == [mine["id"]]
            await lessee.get(f"/v1/alarms/{mine['id']}")
            theirs = (await alarms(world, pack_id=other["pack"]["id"]))[0]["id"]
            await lessee.refused("GET", f"/v1/alarms/{theirs}", 404)
            for path in ("acknowledgement", "closing"):
                await lessee.refused("POST", f"/v1/alarms/{mine['id']}/{path}", 403, {})
            for path in ("/v1/safety-holds", "/v1/alarm-limits"):
                await lessee.refused("GET", path, 403)
            auditor = await world.login(Role.AUDITOR)
            assert len((await auditor.get("/v1/alarms"))["items"]) == 3

    database(scenario)


def test_alarms_are_found_by_state_severity_kind_and_pack(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            first, second = [await build.pack(world) for _ in range(2)]
            warn = await overcharge(world, first["id"])
            await send(world, *rows_of(second["id"], [52, 39, 39]))
            (critical,) = await alarms(world, severity="critical")
            assert (critical["kind"], critical["pack_id"]) == ("cell_under_voltage", second["id"])
            await world.staff.post(f"/v1/alarms/{warn['id']}/acknowledgement")
            for query, wanted in (
                ({"state": "acknowledged"}, [warn["id"]]),
                ({"state": "raised"}, [critical["id"]]),
                ({"kind": "cell_under_voltage"}, [critical["id"]]),
                ({"pack_id": first["id"]}, [warn["id"]]),
                ({"state": "closed"}, []),
            ):
                assert [alarm["id"] for alarm in await alarms(world, **query)] == wanted
            await world.staff.refused("GET", "/v1/alarms?state=open", 400)

    database(scenario)


# Limits of a model


def model_of(pack: Json) -> str:
    return str(pack["code"][:7])


def limits_for(pack: Json, valid_from: date = TODAY, **limits: Any) -> Json:
    return {
        "model": model_of(pack),
        "valid_from": str(valid_from),
        "limits": limits,
        "reason": "maker's data sheet",
    }


def test_limits_of_a_model_hold_from_their_day_on_and_the_latest_version_wins(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            pack = await build.pack(world)
            other = await build.pack(world, code=build.battery_code(specification="52"))
            path = "/v1/alarm-limits"
            await world.staff.post(path, limits_for(pack, cell_over_warn_mv=3700))
            later = TODAY + timedelta(days=1)
            await world.staff.post(path, limits_for(pack, later, cell_over_warn_mv=3300))
            await send(world, *rows_of(pack["id"], [52, 57.8, 57.8]))
            assert await alarms(world, pack_id=pack["id"]) == []
            assert await overcharge(world, other["id"])
            made = await world.staff.post(
                path, limits_for(pack, cell_over_warn_mv=3500, cell_over_critical_mv=None)
            )
            assert made["version"] == 3
            await send(world, *rows_of(pack["id"], [59] * 2, began=BEGAN + 20 * MINUTE))
            (alarm,) = await alarms(world, pack_id=pack["id"])
            assert (alarm["severity"], alarm["evidence"]["limit"]) == ("warn", 3500)
            assert alarm["limits"]["cell_over_critical_mv"] is None
            page = await world.staff.get(path, model=model_of(pack))
            assert [one["version"] for one in page["items"]] == [1, 2, 3]
            with pytest.raises(asyncpg.CheckViolationError, match="never changed"):
                async with db.transaction() as tx:
                    await tx.execute("UPDATE alarm_limits SET reason = 'other'")

    database(scenario)


def test_a_limit_that_is_none_is_refused_by_name(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            pack = await build.pack(world)
            wrong = limits_for(pack, cell_over_warn_mv=3700, no_such=1, drift_days=None)
            problem = await world.staff.refused("POST", "/v1/alarm-limits", 400, wrong)
            assert problem["code"] == "bad_limits"
            pointers = sorted(fault["pointer"] for fault in problem["errors"])
            assert pointers == ["/limits/drift_days", "/limits/no_such"]

    database(scenario)


# Alarms of devices


def told(code: str, begins: bool, serial: str | None = None, level: int | None = 2) -> Alarm:
    return Alarm(code, begins, level=level, text="单体过压", serial=serial)


def test_a_devices_own_alarms_are_paired_by_serial_and_without_one_by_code(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            pack = await build.pack(world)

            async def report(*given: Alarm) -> list[tuple[str, str | None, str]]:
                async with db.transaction() as tx:
                    timed = [(BEGAN, alarm) for alarm in given]
                    await service.from_device(tx, UUID(pack["id"]), timed, now=NOW)
                return [
                    (alarm["code"], alarm["serial"], alarm["state"])
                    for alarm in await alarms(world)
                ]

            first = ("cell_over_voltage", "17", "raised")
            assert await report(told("cell_over_voltage", True, "17")) == [first]
            assert await report(told("cell_over_voltage", True, "17")) == [first]
            plain = ("mains_down", None, "raised")
            assert await report(told("mains_down", True)) == [first, plain]
            # An end of something else, and one of nothing, change nothing.
            other = told("cell_over_voltage", False, "18")
            assert await report(other, told("fan", False)) == [first, plain]
            assert await report(told("whatever", False, "17"), told("mains_down", False)) == [
                ("cell_over_voltage", "17", "closed"),
                ("mains_down", None, "closed"),
            ]
            (one, _) = await alarms(world)
            assert (one["kind"], one["severity"]) == ("device", "warn")
            assert one["evidence"] == {"text": "单体过压", "level": 2}
            assert one["close_reason"] == "ended by the device"

    database(scenario)


def test_a_thermal_event_of_the_device_puts_the_pack_into_quarantine(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            pack = await build.pack(world)
            async with db.transaction() as tx:
                event = told("thermal_event", True, level=None)
                await service.from_device(tx, UUID(pack["id"]), [(BEGAN, event)], now=NOW)
            (alarm,) = await alarms(world)
            assert alarm["severity"] == "critical"
            page = await world.staff.get("/v1/quarantines", open=True)
            assert [one["alarm_id"] for one in page["items"]] == [alarm["id"]]

    database(scenario)


def test_reports_with_cells_are_judged_by_cell(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            pack = await build.pack(world)
            source = Source(SourceKind.PACK, pack["id"])
            reports = [
                Report(
                    source,
                    BEGAN + i * MINUTE,
                    voltage_v=52.8,
                    cells_mv=(3300, None, *[3300] * 9, low, *[3300] * 4),
                )
                for i, low in enumerate([3300, 2400, 2400])
            ]
            async with db.transaction() as tx:
                taken = await telemetry.ingest_reports(tx, reports, now=NOW)
            assert taken.stored == 3
            (alarm,) = await alarms(world)
            assert (alarm["kind"], alarm["cell"]) == ("cell_under_voltage", 12)
            assert alarm["severity"] == "critical"
            assert alarm["evidence"]["readings"][-1]["cells_mv"][:2] == [3300, None]

    database(scenario)


def test_what_a_device_warns_of_comes_with_its_reports_even_without_a_value(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            pack = await build.pack(world)
            source = Source(SourceKind.PACK, pack["id"])
            smoke = told("smoke", True, level=1)
            over = told("smoke", False, level=1)
            nobody = Source(SourceKind.PACK_CODE, "NOBODY")
            async with db.transaction() as tx:
                reports = [
                    Report(source, BEGAN, alarms=(smoke,)),
                    Report(nobody, BEGAN, alarms=(smoke,)),
                ]
                taken = await telemetry.ingest_reports(tx, reports, now=NOW)
            assert (taken.stored, taken.unmatched) == (0, 1)
            (alarm,) = await alarms(world)
            assert (alarm["code"], alarm["state"]) == ("smoke", "raised")
            async with db.transaction() as tx:
                ends = [Report(source, BEGAN + MINUTE, alarms=(over,))]
                await telemetry.ingest_reports(tx, ends, now=NOW)
            (alarm,) = await alarms(world)
            assert alarm["state"] == "closed"

    database(scenario)


# Thermal runaway


async def quarantine_of(world: World, pack_id: str) -> Json:
    page = await world.staff.get("/v1/quarantines", open=True, pack_id=pack_id)
    (found,) = page["items"]
    return dict(found)


def test_a_runaway_is_in_quarantine_when_its_readings_are_answered(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            leased = await build.leased_pack(world)
            pack_id = leased["pack"]["id"]
            await run_away(world, pack_id)
            (alarm,) = await alarms(world, kind="thermal_runaway")
            assert (alarm["severity"], alarm["state"]) == ("critical", "raised")
            found = await quarantine_of(world, pack_id)
            assert found["alarm_id"] == alarm["id"]
            assert "thermal runaway" in found["reason"]
            assert (await timeline(world, pack_id))[-2:] == [
                "pack.alarm_raised",
                "pack.quarantined",
            ]
            lessee = await world.login(Role.CUSTOMER, leased["customer"]["id"])
            assert len((await lessee.get("/v1/quarantines"))["items"]) == 1
            # Hours without a sign do not end it, and another sign opens no second quarantine.
            calm = BEGAN + timedelta(minutes=5)
            await send(world, *rows_of(pack_id, [52] * 70, [30] * 70, began=calm))
            (same,) = await alarms(world, kind="thermal_runaway")
            assert same["state"] == "raised"
            await run_away(world, pack_id, began=BEGAN + timedelta(minutes=150))
            assert len(await alarms(world, kind="thermal_runaway")) == 1
            await quarantine_of(world, pack_id)

    database(scenario)


def test_a_batch_that_is_refused_raises_nothing(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            pack = await build.pack(world)
            rows = rows_of(pack["id"], [52, 52, 50.5], [25, 26, 70])
            rows += rows_of(str(UUID(int=5)), [52])
            await world.staff.refused("POST", "/v1/readings", 400, {"readings": rows})
            assert await alarms(world) == []

    database(scenario)


async def refused(world: World, path: str, body: Json, pack_id: str) -> None:
    problem = await world.staff.refused("POST", path, 409, body)
    assert problem["code"] == "pack_quarantined"
    found = await quarantine_of(world, pack_id)
    assert problem["detail"] == f"pack {pack_id} is in quarantine {found['id']}"


async def release(world: World, pack_id: str) -> None:
    found = await quarantine_of(world, pack_id)
    note = {"inspection_note": "cold for 48 h, no gas; goes by a carrier of class 9"}
    path = f"/v1/quarantines/{found['id']}/release"
    released = await world.staff.post(path, note)
    assert released["inspection_note"] == note["inspection_note"]
    problem = await world.staff.refused("POST", path, 409, note)
    assert problem["code"] == "released_already"


def test_a_pack_in_quarantine_is_not_taken_back_moved_or_sold(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            leased = await build.leased_pack(world)
            pack_id, line = leased["pack"]["id"], f"/v1/lines/{leased['line']['id']}"
            other = await build.site(world, leased["customer"]["id"])
            await run_away(world, pack_id)
            back = build.returned(str(TODAY))
            await refused(world, f"{line}/returns", back, pack_id)
            away = {"moved_on": str(TODAY), "site_id": other["id"], "slot": 1, "reason": "moved"}
            await refused(world, f"{line}/relocations", away, pack_id)
            await release(world, pack_id)
            await world.staff.post(f"{line}/returns", back)
            assert (await timeline(world, pack_id)).count("pack.quarantine_released") == 1

    database(scenario)


def test_a_pack_in_quarantine_is_not_handed_over(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lessee = await build.customer(world)
            place = await build.site(world, lessee["id"])
            _, (line,) = await build.active_contract(
                world, lessee["id"], [build.line_terms(place["id"])]
            )
            pack = await build.pack(world)
            await run_away(world, pack["id"])
            path = f"/v1/lines/{line['id']}/acceptances"
            await refused(world, path, build.acceptance(pack["id"], TODAY), pack["id"])
            batch = {"rows": [{"line_id": line["id"], **build.acceptance(pack["id"], TODAY)}]}
            await refused(world, "/v1/acceptances:batch", batch, pack["id"])
            assert (await world.staff.get(f"/v1/packs/{pack['id']}"))["state"] == "in_stock"
            await release(world, pack["id"])
            await world.staff.post(path, build.acceptance(pack["id"], TODAY))

    database(scenario)


def test_a_pack_in_quarantine_is_not_brought_to_an_outlet(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            firm = await build.recycler(world)
            await build.outlet(world, firm["id"])
            (pack,) = await stories.condemned_packs(world, 1)
            on = {"hand_over_on": str(TODAY)}
            routing = await world.staff.post(f"/v1/packs/{pack['id']}/routings", on)
            await run_away(world, pack["id"])
            path = f"/v1/routings/{routing['id']}/hand-over"
            body = {"handed_over_on": str(TODAY)}
            await refused(world, path, body, pack["id"])
            await release(world, pack["id"])
            await world.staff.post(path, body)

    database(scenario)


def test_a_pack_in_quarantine_is_not_sold(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            leased = await build.leased_pack(world, buy_out=FOR_SALE)
            pack_id, path = leased["pack"]["id"], f"/v1/lines/{leased['line']['id']}/buy-out"
            await run_away(world, pack_id)
            body = {"bought_on": str(TODAY)}
            await refused(world, path, body, pack_id)
            await release(world, pack_id)
            await world.staff.post(path, body)

    database(scenario)


def test_packs_with_the_same_cells_are_held_and_others_are_not(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            made_on = date(2021, 12, 4)
            one, alike = [
                await build.pack(world, code=build.battery_code(made_on)) for _ in range(2)
            ]
            next_day = build.battery_code(made_on + timedelta(days=1))
            other = await build.pack(world, code=next_day)
            await run_away(world, one["id"])
            page = await world.staff.get("/v1/safety-holds", open=True)
            (hold,) = page["items"]
            assert (hold["pack_id"], hold["batch"]) == (alike["id"], one["code"][:17])
            assert (await timeline(world, alike["id"]))[-1] == "pack.held"

            lessee = await build.customer(world)
            place = await build.site(world, lessee["id"])
            _, lines = await build.active_contract(
                world, lessee["id"], [build.line_terms(place["id"], slot=n) for n in (1, 2)]
            )
            paths = [f"/v1/lines/{line['id']}/acceptances" for line in lines]
            body = build.acceptance(alike["id"], TODAY)
            problem = await world.staff.refused("POST", paths[0], 409, body)
            assert problem["code"] == "pack_held"
            assert hold["id"] in problem["detail"]
            await world.staff.post(paths[1], build.acceptance(other["id"], TODAY))
            note = {"note": "cells of this pack were measured one by one"}
            await world.staff.post(f"/v1/safety-holds/{hold['id']}/release", note)
            again = f"/v1/safety-holds/{hold['id']}/release"
            await world.staff.refused("POST", again, 409, note)
            await world.staff.post(paths[0], body)
            # The one that ran away stays where it is.
            await quarantine_of(world, one["id"])

    database(scenario)


def test_packs_of_one_batch_that_run_away_at_once_are_both_in_quarantine(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            packs = [await build.pack(world) for _ in range(4)]
            await asyncio.gather(*[run_away(world, pack["id"]) for pack in packs])
            for pack in packs:
                await quarantine_of(world, pack["id"])
            page = await world.staff.get("/v1/safety-holds", limit=200)
            assert len(page["items"]) == 4 * 3

    database(scenario)


def test_a_hand_over_at_the_same_moment_is_before_the_quarantine_or_refused(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lessee = await build.customer(world)
            place = await build.site(world, lessee["id"])
            terms = [build.line_terms(place["id"], slot=n + 1) for n in range(4)]
            _, lines = await build.active_contract(world, lessee["id"], terms)
            packs = [
                await build.pack(world, code=build.battery_code(TODAY - timedelta(days=n)))
                for n in range(4)
            ]
            answers = await asyncio.gather(
                *[
                    world.staff.ask(
                        "POST",
                        f"/v1/lines/{line['id']}/acceptances",
                        json=build.acceptance(pack["id"], TODAY),
                    )
                    for line, pack in zip(lines, packs, strict=True)
                ],
                *[run_away(world, pack["id"]) for pack in packs],
            )
            for pack, answer in zip(packs, answers[:4], strict=True):
                (alarm,) = await alarms(world, kind="thermal_runaway", pack_id=pack["id"])
                state = (await world.staff.get(f"/v1/packs/{pack['id']}"))["state"]
                accepted = answer.status_code == 201
                assert accepted == (state == "leased")
                assert accepted or answer.json()["code"] == "pack_quarantined"
                await quarantine_of(world, pack["id"])
                assert alarm["state"] == "raised"

    database(scenario)


def test_what_a_pack_was_made_from_tells_its_cells_too(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            source = build.battery_code(date(2020, 3, 3))
            one = await build.pack(world, code=build.battery_code(date(2020, 3, 3)))
            second_life = await build.pack(world, code=build.battery_code(date(2024, 5, 5)))
            await world.staff.post(
                f"/v1/packs/{second_life['id']}/origins", {"origins": [{"code": source}]}
            )
            await run_away(world, one["id"])
            page = await world.staff.get("/v1/safety-holds", pack_id=second_life["id"])
            assert [hold["batch"] for hold in page["items"]] == [source[:17]]

    database(scenario)


def test_a_quarantine_that_is_not_there_is_not_released(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            note = "looked at and found nothing"
            path = f"/v1/quarantines/{UUID(int=1)}/release"
            await world.staff.refused("POST", path, 404, {"inspection_note": note})
            await world.staff.refused("POST", path, 400, {"inspection_note": "ok"})
            path = f"/v1/safety-holds/{UUID(int=1)}/release"
            await world.staff.refused("POST", path, 404, {"note": note})

    database(scenario)
