"""Alarms: one that ends, and a thermal runaway with all that follows."""

from datetime import UTC, timedelta

from leasing.kit.time import midnight
from tests.build import Json
from tests.docs.teller import Teller, Voice

RUNAWAY_CODE = "0EYPB51ALARMEDBC40000091"
ALIKE_CODE = "0EYPB51ALARMEDBC40000092"


async def an_alarm(teller: Teller, staff: Voice, customer: Voice, lessee_id: str) -> None:
    """A pack is overcharged under limits of its model; another one runs away in stock."""
    limits = {
        "model": RUNAWAY_CODE[:7],
        "valid_from": str(teller.on),
        "limits": {"cell_over_warn_mv": 3550, "cell_over_critical_mv": 3650},
        "reason": "maker's data sheet of 2026-03",
    }
    await staff.post("limits of a model of pack", "/v1/alarm-limits", limits)
    await staff.get("what was set for it", "/v1/alarm-limits", model=RUNAWAY_CODE[:7], limit=1)
    pack = await a_pack(teller, staff, "a pack of that model", RUNAWAY_CODE)
    alike = await a_pack(teller, staff, "another one, with cells of the same batch", ALIKE_CODE)
    report = readings(teller, pack, [(52, 26), (57.2, 26), (57.2, 26)])
    await teller.world.staff.post("/v1/readings", report)
    raised = await staff.get("nobody looks after it yet", "/v1/alarms", pack_id=pack, limit=1)
    path = f"/v1/alarms/{raised['items'][0]['id']}"
    await staff.post("somebody does", f"{path}/acknowledgement")
    await staff.post("a charger was set wrong", f"{path}/closing", {"reason": "充电电压设置错误"})
    await staff.get("what it rested on", path)
    report = readings(teller, pack, [(52, 27), (50.5, 71)], minutes=10)
    await staff.post("a pack runs away", "/v1/readings", report)
    standing = await staff.get("it is in quarantine", "/v1/quarantines", open=True, limit=1)
    holds = await staff.get("packs with the same cells", "/v1/safety-holds", open=True, limit=1)
    assert [hold["pack_id"] for hold in holds["items"]] == [alike]
    note = {"note": "逐只测量单体电压与内阻,均正常"}
    await staff.post("one of them was looked at", f"{hold_path(holds)}/release", note)
    note = {"inspection_note": "冷却 48 h,无气体;由第 9 类危险货物承运人运走"}
    path = f"/v1/quarantines/{standing['items'][0]['id']}/release"
    await staff.post("inspected and taken away", path, note)
    await customer.get("a customer finds those of its own packs", "/v1/alarms", severity="critical")


def hold_path(holds: Json) -> str:
    return f"/v1/safety-holds/{holds['items'][0]['id']}"


async def a_pack(teller: Teller, staff: Voice, title: str, code: str) -> str:
    made = await staff.post(
        title,
        "/v1/packs",
        {
            "code": code,
            "cells_in_series": 16,
            "rated_voltage_mv": 51_200,
            "rated_capacity_mah": 100_000,
            "mass_kg": 46,
            "acquired_on": str(teller.on),
            "acquired_from": "示例拆解有限公司",
        },
    )
    return str(made["id"])


def readings(
    teller: Teller, pack_id: str, values: list[tuple[float, float]], minutes: int = 0
) -> Json:
    """Volts and degrees minute by minute, in the morning."""
    began = midnight(teller.on).astimezone(UTC) + timedelta(hours=9, minutes=minutes)
    return {
        "readings": [
            {
                "pack_id": pack_id,
                "at": (began + timedelta(minutes=n)).isoformat().replace("+00:00", "Z"),
                "voltage_v": voltage_v,
                "current_a": 0,
                "temperature_c": celsius,
            }
            for n, (voltage_v, celsius) in enumerate(values)
        ]
    }
