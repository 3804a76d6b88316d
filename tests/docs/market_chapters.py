"""Supply and demand: needs and offers, a plan with its prices, proposals and what becomes of
them."""

from datetime import timedelta
from typing import Any

from tests import build
from tests.docs.teller import Teller, Voice


async def supply_and_demand(
    teller: Teller, staff: Voice, customer: Voice, customer_id: str
) -> None:
    """A customer needs packs for three sites; there are packs for two of them."""
    today = teller.on
    sites = [
        await build.site(teller.world, customer_id, code=f"GX-{number}", name=f"供需{number}号站")
        for number in range(1, 4)
    ]
    needs = await the_needs(teller, staff, customer, sites)
    offered = await the_packs(teller, staff)
    terms = {"warehouse_adcode": "410100", "valid_hours": 48}
    run = await staff.post("needs matched with packs", "/v1/market-runs", terms)
    await staff.get("the plans so far", "/v1/market-runs")
    path = f"/v1/market-runs/{run['id']}"
    await staff.get("value, bound and gap", path)
    await staff.get("the bound proven anew by its prices", f"{path}/verdict")
    await staff.get("what one more pack of each kind is worth", f"{path}/bins")
    await staff.get("who gets nothing, and why", f"{path}/unserved")
    page = await customer.get("packs proposed for a customer's sites", "/v1/market-proposals")
    first, second = sorted(page["items"], key=lambda one: needs.index(one["need_id"]))[:2]
    path = f"/v1/market-proposals/{first['id']}"
    await customer.get("packs by name for one site", path)
    await staff.get("why these packs", f"{path}/explanation")
    draft = {
        "number": "ZZ-2026-GX1",
        "starts_on": str(today + timedelta(days=30)),
        "ends_on": str(today + timedelta(days=30 + 730)),
        "vat_percent": "13",
        "payment_days": 30,
        "guarantee_percent": "75",
        "replacement_days": 7,
    }
    await staff.post("lines in a draft, packs reserved", f"{path}/acceptance", {"draft": draft})
    title = "accepted twice"
    await staff.refused(title, 409, "POST", f"{path}/acceptance", {"draft": draft})
    refusal = {"reason": "站址整改，暂缓安装"}
    path = f"/v1/market-proposals/{second['id']}/refusal"
    await staff.post("the site is not ready", path, refusal)
    path = f"/v1/market-offers/{offered}/withdrawal"
    await staff.post("the pack is needed elsewhere", path)


async def the_needs(
    teller: Teller, staff: Voice, customer: Voice, sites: list[dict[str, Any]]
) -> list[str]:
    need = {
        "site_id": sites[0]["id"],
        "slots": 4,
        "system_voltage_mv": 51_200,
        "energy_wh": 7_000,
        "lowest_celsius": -5,
        "starts_on": str(teller.on + timedelta(days=30)),
        "months": 24,
        "rent_amount": 62_000,
    }
    path = "/v1/market-needs"
    made = await customer.post("a customer's site needs 7 kWh for two years", path, need)
    other = {**need, "site_id": sites[1]["id"], "energy_wh": 3_500, "rent_amount": 30_000}
    second = await staff.post(
        "one that counts half as much again", path, {**other, "weight_percent": 150}
    )
    cold = {**need, "site_id": sites[2]["id"], "lowest_celsius": -30}
    await staff.post("a site too cold for packs without a heater", path, cold)
    bike = {**need, "permitted_use": "e_bike"}
    await customer.refused("what the law forbids", 400, "POST", path, bike)
    await customer.get("a customer's own needs", path)
    path = f"{path}/{made['id']}"
    await customer.patch("a higher rent", path, {"rent_amount": 65_000}, version=1)
    await customer.get("as it is now", path)
    return [made["id"], second["id"]]


async def the_packs(teller: Teller, staff: Voice) -> str:
    """Three packs in stock and one on offer in another place; returns the offer."""
    packs = []
    for serial in range(4):
        pack = await build.pack(
            teller.world,
            code=f"0EYPB51MARKET1BC4000{serial + 31:04}",
            acquired_on="2026-01-02",
            acquired_from="示例报废机动车回收有限公司",
        )
        await build.estimate(teller.world, pack["id"], 90_000 + 600 * serial, teller.on)
        packs.append(pack["id"])
    offer = {
        "pack_id": packs[3],
        "from_on": str(teller.on + timedelta(days=10)),
        "adcode": "410300",
        "residual_amount": 45_000,
        "reason": "在洛阳仓库",
    }
    made = await staff.post("a pack in another warehouse", "/v1/market-offers", offer)
    await staff.get("what is on offer beside the stock", "/v1/market-offers")
    return str(made["id"])
