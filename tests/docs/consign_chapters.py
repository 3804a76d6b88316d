"""Lots on the road, what was recovered from them, and scrap for raw material."""

from datetime import timedelta
from decimal import Decimal

from leasing.access.model import Role
from leasing.kit.time import midnight
from tests import build
from tests.build import Json
from tests.docs.teller import Teller, Voice


async def scrap_on_the_road(teller: Teller, staff: Voice) -> None:
    """Two packs go to one outlet: one arrives and becomes raw material, one is refused."""
    first, second = await two_ways(teller)
    recycler = await teller.login(Role.RECYCLER, "weighbridge", first["recycler_id"])
    carrier_id = await a_carrier(teller, staff)
    lot = await a_lot(teller, staff, first["id"], carrier_id)
    await its_arrival(teller, staff, recycler, lot)
    await lots_that_did_not_arrive(teller, staff, recycler, second["id"], carrier_id)
    await what_was_recovered(teller, recycler, lot)
    await a_deal(teller, staff, recycler, lot)


async def two_ways(teller: Teller) -> list[Json]:
    """Two worn packs, on their way to one outlet."""
    quiet, on = teller.world.staff, str(teller.on)
    entered = {"kind": "customer", "name": "示例山区通信服务有限公司"}
    lessee = await quiet.post("/v1/parties", entered)
    tower = {
        "party_id": lessee["id"],
        "code": "ZZ-SQ-0001",
        "name": "郑州山区铁塔",
        "kind": "tower",
        "adcode": "410100",
        "longitude": 113.41,
        "latitude": 34.83,
        "datum": "gcj02",
    }
    site = await quiet.post("/v1/sites", tower)
    terms = build.contract_terms(
        lessee["id"],
        [build.line_terms(site["id"], slot) for slot in (1, 2)],
        number="ZZ-2026-0101",
    )
    contract = await quiet.post("/v1/contracts", terms)
    await build.put_into_force(quiet, contract["id"])
    lines = (await quiet.get("/v1/lines", contract_id=contract["id"]))["items"]
    routings = []
    for number, line in enumerate(sorted(lines, key=lambda one: one["slot"])):
        entered = {
            "code": f"0EYPB51EXAMPLEBC400009{number:02}",
            "cells_in_series": 16,
            "rated_voltage_mv": 51_200,
            "rated_capacity_mah": 100_000,
            "mass_kg": 46,
            "acquired_on": "2026-01-02",
            "acquired_from": "示例报废机动车回收拆解有限公司",
        }
        pack = await quiet.post("/v1/packs", entered)
        path = f"/v1/packs/{pack['id']}"
        accepted = build.acceptance(pack["id"], "2026-02-01")
        await quiet.post(f"/v1/lines/{line['id']}/acceptances", accepted)
        await quiet.post(f"/v1/lines/{line['id']}/returns", build.returned(on))
        found = {
            "inspected_on": on,
            "grade": "D",
            "hazard": "intact",
            "lessor_signatory": "王芳",
            "lessee_signatory": "李建国",
        }
        await quiet.post(f"{path}/inspections", found)
        verdict = {"decision": "recycle", "decided_on": on, "reason": "容量不足 70 %"}
        await quiet.post(f"{path}/dispositions", verdict)
        routings.append(await quiet.post(f"{path}/routings", {"hand_over_on": on}))
    return routings


async def a_carrier(teller: Teller, staff: Voice) -> str:
    quiet = teller.world.staff
    entered = {"kind": "partner", "name": "示例危险品运输有限公司"}
    carrier_id: str = (await quiet.post("/v1/parties", entered))["id"]
    path = f"/v1/parties/{carrier_id}"
    await quiet.post(f"{path}/roles", {"role": "carrier", "valid_from": "2026-01-01"})
    road = {
        "mode": "road",
        "document": "豫交运管许可郑字 410100000001 号(9类)",
        "valid_from": "2026-01-01",
        "valid_to": "2030-01-01",
    }
    await staff.post("dangerous goods of class 9 by road", f"{path}/carrier-permits", road)
    rail = {"mode": "rail", "document": "铁路危险货物托运 0007", "valid_from": "2026-01-01"}
    given = await quiet.post(f"{path}/carrier-permits", rail)
    withdrawn = {"withdrawn_on": "2026-12-01", "document": "铁监罚〔2026〕12号"}
    withdrawal = f"/v1/carrier-permits/{given['id']}/withdrawal"
    await staff.post("a permit is withdrawn", withdrawal, withdrawn)
    await staff.get("who may carry on a day", "/v1/carrier-permits", valid_on=str(teller.on))
    return carrier_id


def dispatched(on: str, carrier_id: str, mode: str = "road") -> Json:
    return {
        "dispatched_on": on,
        "mode": mode,
        "carrier_id": carrier_id,
        "vehicle": "豫A·D1234",
        "driver": "张建军",
    }


async def a_lot(teller: Teller, staff: Voice, routing_id: str, carrier_id: str) -> Json:
    on = str(teller.on)
    await staff.get("what holds on a day, with sources", "/v1/transport-rules", on=on)
    packed = {"number": "TY-2026-0001", "packed_on": on, "routing_ids": [routing_id]}
    lot: Json = await staff.post("packed and marked for recycling", "/v1/consignments", packed)
    path = f"/v1/consignments/{lot['id']}"
    title = "by air, without papers and without a reading"
    flown = dispatched(on, carrier_id, mode="air")
    await staff.refused(title, 409, "POST", f"{path}/dispatch", flown)
    await staff.post("on the road", f"{path}/dispatch", dispatched(on, carrier_id))
    await staff.get("what goes with the driver", f"{path}/note", language="en")
    return lot


async def its_arrival(teller: Teller, staff: Voice, recycler: Voice, lot: Json) -> None:
    on, path = str(teller.on), f"/v1/consignments/{lot['id']}"
    await recycler.get("what is on the road to us", "/v1/consignments", state="dispatched")
    light = {"weighed_on": on, "weighed_kg": "44.2"}
    await recycler.post("lighter than it should be", f"{path}/weigh-in", light)
    taken = {"received_on": on}
    await recycler.refused("nobody said why", 409, "POST", f"{path}/receipt", taken)
    said = {"explanation": "安装支架已在站址拆除"}
    await staff.post("the bracket stayed at the site", f"{path}/explanation", said)
    await recycler.post("taken, and handed over with it", f"{path}/receipt", taken)
    await staff.get("how it went", path)
    days = {"from_on": on, "to_on": str(teller.on + timedelta(days=1))}
    register = f"/v1/outlets/{lot['outlet_id']}/register"
    await recycler.get("what came in that day", register, **days)
    await recycler.get("the same as a file", register, format="csv", language="en", **days)


async def lots_that_did_not_arrive(
    teller: Teller, staff: Voice, recycler: Voice, routing_id: str, carrier_id: str
) -> None:
    quiet, on = teller.world.staff, str(teller.on)
    packed = {"number": "TY-2026-0002", "packed_on": on, "routing_ids": [routing_id]}
    lot = await quiet.post("/v1/consignments", packed)
    given_up = {"cancelled_on": on, "reason": "车辆故障"}
    title = "unpacked before it left"
    await staff.post(title, f"/v1/consignments/{lot['id']}/cancellation", given_up)
    packed["number"] = "TY-2026-0003"
    lot = await quiet.post("/v1/consignments", packed)
    path = f"/v1/consignments/{lot['id']}"
    await quiet.post(f"{path}/dispatch", dispatched(on, carrier_id))
    refused = {"refused_on": on, "reason": "包装破损"}
    await recycler.post("the packaging is broken", f"{path}/refusal", refused)


async def what_was_recovered(teller: Teller, recycler: Voice, lot: Json) -> None:
    on = str(teller.on)
    await recycler.get("on a day, China and the Union", "/v1/recovery-floors", on="2032-01-01")
    taken = {
        "number": "HN-PC-0042",
        "received_on": on,
        "mass_in_kg": "44.2",
        "consignment_id": lot["id"],
    }
    title = "a consignment is taken into treatment"
    batch = await recycler.post(title, "/v1/recovery-batches", taken)
    path = f"/v1/recovery-batches/{batch['id']}"
    certificate = {
        "number": "HN-ZS-2026-00977",
        "recycled_on": on,
        "metals": [
            {"metal": "Li", "percent": "89.29", "input_kg": "1.12", "output_kg": "1.0"},
            {"metal": "Cu", "percent": "98.1"},
            {"metal": "Al", "percent": "97.6"},
        ],
        "recovered_kg": "31.5",
        "residue_kg": "9.1",
        "products": [
            {"product": "Li2CO3", "mass_kg": "5.32"},
            {"product": "FePO4", "mass_kg": "18.4"},
        ],
    }
    title = "lithium below the floor of China"
    await recycler.post(title, f"{path}/certificate", certificate)
    await recycler.get("with every floor of its day", path)
    below = {"below_floor": True, "limit": 1}
    await recycler.get("batches below a floor", "/v1/recovery-batches", **below)


def prices(teller: Teller, amount_per_tonne: int, source: str) -> Json:
    return {
        "source": source,
        "quoted_on": str(teller.on),
        "expires_at": (midnight(teller.on) + build.NOON * 2).isoformat().replace("+00:00", "Z"),
        "prices": [{"material": "Li2CO3", "amount_per_tonne": amount_per_tonne}],
    }


async def a_deal(teller: Teller, staff: Voice, recycler: Voice, lot: Json) -> None:
    quiet, on = teller.world.staff, str(teller.on)
    offered = {
        "number": "FL-2026-0009",
        "recycler_id": lot["recycler_id"],
        "chemistry": "B",
        "terms": [
            {
                "metal": "Li",
                "material": "Li2CO3",
                "content_percent": "2.5",
                "recovery_percent": "90",
                "coefficient_percent": "104.5",
            }
        ],
        "snapshot": prices(teller, 7_500_000, "SMM 电池级碳酸锂均价"),
        "limit_kg": "2000",
        "limit_amount": 20_000_000,
    }
    deal = await staff.post("lithium carbonate for LFP scrap", "/v1/deals", offered)
    path = f"/v1/deals/{deal['id']}"
    ternary = {**offered, "number": "FL-2026-0010", "chemistry": "E"}
    title = "ternary scrap is counted by nickel and cobalt"
    await staff.refused(title, 400, "POST", "/v1/deals", ternary)
    higher = prices(teller, 7_620_000, "SMM 电池级碳酸锂均价,午后")
    await staff.post("priced anew while it is an offer", f"{path}/revaluation", higher)
    tonne = {"scrap_kg": "1000", "assay": [{"metal": "Li", "content_percent": "2.8"}]}
    await recycler.post("what a tonne would bring", f"{path}/valuations", tonne)
    await recycler.post("agreed before the prices end", f"{path}/acceptance")
    title = "an accepted deal stays as it was priced"
    await staff.refused(title, 409, "POST", f"{path}/revaluation", higher)
    await staff.get("deals in force", "/v1/deals", state="accepted")
    of_lot = {"delivered_on": on, "consignment_id": lot["id"], "document": "TY-2026-0001"}
    moved = await staff.post("the lot, by what it weighed in", f"{path}/deliveries", of_lot)
    wrong = {"movement_id": moved["id"], "reversed_on": on, "reason": "化验结果更正"}
    await staff.post("assayed too late", f"{path}/reversals", wrong)
    assay = [{"metal": "Li", "content_percent": "2.53"}]
    assayed = {**of_lot, "assay": assay, "vat_percent": "13"}
    moved = await quiet.post(f"{path}/deliveries", assayed)
    (owed,) = moved["entries"]
    came = {
        "settled_on": on,
        "kind": "material",
        "material": "Li2CO3",
        "kg": "5",
        "vat_percent": "13",
        "document": "入库单 RK-2026-118",
    }
    await staff.post("lithium carbonate comes in", f"{path}/settlements", came)
    await recycler.get("what is open", path)
    rest = str(Decimal(owed["kg"]) - 5)
    paid = {**came, "kind": "money", "kg": rest, "document": "银行回单 20261222"}
    del paid["vat_percent"]
    await staff.post("money for the rest", f"{path}/settlements", paid)
    tax = {"settled_on": on, "document": "银行回单 20261222"}
    await staff.post("VAT on scrap, less that on material", f"{path}/vat-settlements", tax)
    await recycler.get("to and fro", f"{path}/ledger", limit=2)
    await staff.post("nothing is open any more", f"{path}/closing")
    other = await quiet.post("/v1/deals", {**offered, "number": "FL-2026-0011"})
    no = {"reason": "报价低于市场"}
    await recycler.post("the price fell", f"/v1/deals/{other['id']}/decline", no)
