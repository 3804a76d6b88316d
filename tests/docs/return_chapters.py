"""Packs at the end of a lease: ordered back, inspected, treated, decided on, and settled."""

from datetime import date, timedelta
from typing import Any

from tests import build
from tests.build import Json
from tests.docs.teller import Teller, Voice

CODES = [f"0EYPB51EXAMPLEBC400003{number:02}" for number in range(1, 4)]
SIGNED = {"lessor_signatory": "王芳", "lessee_signatory": "李建国"}


async def a_return(teller: Teller, staff: Voice, customer: Voice, lessee_id: str) -> None:
    lease = await a_lease(staff, lessee_id, teller.on)
    await teller.wait_until(teller.on + timedelta(days=20))
    order = await an_order(staff, customer, lease, teller.on)
    await forms(staff, lease["packs"][0], teller.on)
    await inspections(staff, customer, lease["packs"], teller.on)
    await decisions(staff, lease["packs"], teller.on)
    await a_statement(staff, customer, order, teller.on)


async def a_lease(staff: Voice, lessee_id: str, on: date) -> Json:
    """Three packs at a tower; nobody wants to read how they came there."""
    quiet = staff.client
    place = await quiet.post(
        "/v1/sites",
        {
            "party_id": lessee_id,
            "code": "ZZ-RT-0001",
            "name": "郑州中原区退租塔",
            "kind": "tower",
            "adcode": "410100",
            "longitude": 113.61,
            "latitude": 34.75,
            "datum": "gcj02",
        },
    )
    line = {"site_id": place["id"], "rated_capacity_mah": 100_000, "rent_amount": 31_000}
    terms = {
        "number": "ZZ-2026-0200",
        "lessee_id": lessee_id,
        "starts_on": str(on),
        "ends_on": str(on + timedelta(days=730)),
        "vat_percent": "13",
        "payment_days": 30,
        "guarantee_percent": "80",
        "replacement_days": 7,
        "buy_out": {"kind": "fixed", "amount": 150_000},
        "lines": [{**line, "slot": slot} for slot in (1, 2, 3)],
    }
    contract = await quiet.post("/v1/contracts", terms)
    await build.put_into_force(quiet, contract["id"])
    page = await quiet.get("/v1/lines", contract_id=contract["id"])
    lines = sorted(page["items"], key=lambda one: one["slot"])
    packs = [await a_pack(quiet, code, on) for code in CODES]
    for one, pack in zip(lines, packs, strict=True):
        given = build.acceptance(pack, on) | SIGNED
        await quiet.post(f"/v1/lines/{one['id']}/acceptances", given)
    return {"contract": contract["id"], "lines": [one["id"] for one in lines], "packs": packs}


async def a_pack(quiet: Any, code: str, on: date) -> str:
    pack = await quiet.post(
        "/v1/packs",
        {
            "code": code,
            "cells_in_series": 16,
            "rated_voltage_mv": 51_200,
            "rated_capacity_mah": 100_000,
            "mass_kg": 46,
            "acquired_on": str(on),
            "acquired_from": "示例报废机动车回收拆解有限公司",
        },
    )
    return str(pack["id"])


async def an_order(staff: Voice, customer: Voice, lease: Json, on: date) -> Json:
    wanted = {
        "contract_id": lease["contract"],
        "line_ids": lease["lines"],
        "mode": "pick_up",
        "place": "郑州中原区退租塔",
        "contact_name": "李建国",
        "contact_phone": "0371-5555-0101",
        "reason": "站点拆除",
    }
    early = await staff.client.post("/v1/return-orders", wanted)
    given_up = {"reason": "站点保留到月底"}
    await staff.post("not yet", f"/v1/return-orders/{early['id']}/cancellation", given_up)
    order: Json = await staff.post("three packs are to be picked up", "/v1/return-orders", wanted)
    path = f"/v1/return-orders/{order['id']}"
    await staff.post("on a day", f"{path}/schedule", {"planned_on": str(on)})
    title = "before anybody goes: what it would come to, and buying or going on instead"
    await staff.post(title, f"{path}/settlement-preview", {"settled_on": str(on)})
    test = build.returned(str(on)) | SIGNED
    stolen = {
        "kind": "stolen",
        "happened_on": str(on),
        "description": "机柜内缺一组电池",
        "police_report": "郑公(中原)受案字〔2026〕2231号",
        "liable": "lessee",
        "compensation_amount": 90_000,
    }
    first, second, third = [item["id"] for item in order["items"]]
    found = [
        {"item_id": first, "returned": test},
        {"item_id": second, "returned": {**test, "tested_capacity_mah": 58_000}},
        {"item_id": third, "incident": stolen},
    ]
    picked_up = {"on": str(on), "outcomes": found}
    await staff.post("two picked up, one was stolen", f"{path}/collection", picked_up)
    await staff.post("in the store", f"{path}/arrival", {"on": str(on)})
    await customer.get("what became of each pack", path)
    await customer.get("of one contract", "/v1/return-orders", contract_id=lease["contract"])
    return order


async def forms(staff: Voice, pack: str, on: date) -> None:
    path = f"/v1/packs/{pack}/inspection-form"
    await staff.get("the default, in our own words", path)
    form = {
        "maker": "0EY",
        "model": "51",
        "valid_from": str(on),
        "name": "51.2 V 100 Ah 退租检验单",
        "source": "与 GB/T 38698.1-2020 附录 A 逐条核对",
        "checks": [
            {"code": "housing_sound", "zh": "外壳完好", "en": "The housing is sound"},
            {"code": "insulation", "zh": "绝缘电阻(MΩ)", "en": "Insulation in MΩ"},
        ],
        "transport_checks": [
            {"code": "leaks", "zh": "是否泄漏?", "en": "Does it leak?"},
            {
                "code": "opened",
                "zh": "是否有无记录的拆解?",
                "en": "Was it opened, unrecorded?",
            },
        ],
    }
    await staff.post("a sheet of our own for a model", "/v1/inspection-forms", form)
    await staff.get("sheets that were entered", "/v1/inspection-forms", limit=1)


async def inspections(staff: Voice, customer: Voice, packs: list[str], on: date) -> None:
    form = await staff.client.get(f"/v1/packs/{packs[0]}/inspection-form")
    sheet = {
        "form_id": form["form_id"],
        "checks": [
            {"code": "housing_sound", "passed": True},
            {"code": "insulation", "passed": True, "value": 22.5},
        ],
        "transport_checks": [{"code": "leaks", "yes": False}, {"code": "opened", "yes": True}],
    }
    found = {
        "inspected_on": str(on),
        "grade": "C",
        "hazard": "intact",
        "tested_capacity_mah": 58_000,
        "photo_sha256": ["ab" * 32],
        "sheet": sheet,
        **SIGNED,
    }
    title = "one yes in the transport check"
    failed = await staff.post(title, f"/v1/packs/{packs[1]}/inspections", found)
    treated = {
        "treated_on": str(on),
        "measures": "开盖检查,补充绝缘,重新封装",
        "shipper_signatory": "王芳",
        "consignee_signatory": "周敏",
    }
    path = f"/v1/inspections/{failed['id']}"
    await staff.post("treated, and accepted by both", f"{path}/treatment", treated)
    passed = [{"code": "leaks", "yes": False}, {"code": "opened", "yes": False}]
    fine = {**found, "grade": "B", "tested_capacity_mah": 75_000}
    fine["sheet"] = {**sheet, "transport_checks": passed}
    await staff.client.post(f"/v1/packs/{packs[0]}/inspections", fine)
    await customer.get("a sheet, as the customer reads it", path)
    await customer.get("of one pack", "/v1/inspections", pack_id=packs[0])


async def decisions(staff: Voice, packs: list[str], on: date) -> None:
    band = {
        "permitted_use": "telecom_backup",
        "valid_from": str(on),
        "release_from_percent": "70",
        "repair_from_percent": "50",
        "source": "公司梯次利用规程 2026-3",
    }
    await staff.post("a rule of our own", "/v1/disposition-bands", band)
    await staff.get("rules that were entered", "/v1/disposition-bands", limit=1)
    path = f"/v1/packs/{packs[1]}"
    asked = {"rent_per_kwh_month_amount": 600, "rent_months": 24, "repair_cost_amount": 15_000}
    title = "too weak for a lease, worth a repair"
    await staff.get(title, f"{path}/disposition-options", **asked)
    verdict = {
        "decision": "repair",
        "decided_on": str(on),
        "reason": "更换两个模块后再租",
        "assumptions": asked,
    }
    await staff.client.post(f"{path}/dispositions", verdict)
    done = {
        "repaired_on": str(on),
        "tested_capacity_mah": 86_000,
        "report": "更换 2 个模块,检测报告 R-0317",
    }
    await staff.post("repaired, and in stock", f"{path}/repair", done)
    await staff.get("what was decided, among which ways", "/v1/dispositions", pack_id=packs[1])


async def a_statement(staff: Voice, customer: Voice, order: Json, on: date) -> None:
    path = f"/v1/return-orders/{order['id']}"
    wanted = {
        "settled_on": str(on),
        "missing_parts": [
            {"item_id": order["items"][0]["id"], "name": "通信线缆", "amount": 3_000}
        ],
        "shortfall": {"amount_per_ah": 1_500, "reason": "未按手册充电存放"},
        "logistics_amount": 12_000,
        "counter_claim": {
            "description": "承租方报废铅酸电池",
            "mass_kg": 100,
            "amount_per_kg": 750,
            "vat_percent": "13",
            "document": "承租方发票 4410",
        },
    }
    title = "everything on one statement, and nothing written yet"
    shown = await staff.post(title, f"{path}/settlement-preview", wanted)
    posted = await staff.post("the same to the fen, posted", f"{path}/settlement", wanted)
    assert posted["statement"] == shown
    await customer.get("as the customer reads it", f"{path}/settlement")
    of_it = {"contract_id": order["contract_id"]}
    await customer.get("statements of one contract", "/v1/return-settlements", **of_it)
