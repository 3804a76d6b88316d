"""Check discharges as work orders, and from an outage and a duty to what they rest on."""

from datetime import date

from tests.docs.teller import Teller, Voice


async def a_check_discharge(teller: Teller, staff: Voice) -> None:
    """A class of sites is tested every month from now on; the weekly job orders what is due."""
    rule = {
        "site_class": "C",
        "valid_from": "2026-12-01",
        "interval_months": 1,
        "depth_percent": 40,
        "reason": "新站首年加密核对性放电",
    }
    await staff.post("a class of sites is tested more often", "/v1/test-rules", rule)
    await staff.get("what was set so far", "/v1/test-rules")
    await teller.wait_until(date(2026, 12, 15))
    page = await staff.get("what the weekly job planned", "/v1/work-orders", limit=1)
    path = f"/v1/work-orders/{page['items'][0]['id']}"
    await staff.post("a team is sent", f"{path}/assignment", {"assignee": "代维一队"})
    result = {
        "tested_on": str(teller.on),
        "discharged_mah": 40_000,
        "depth_percent": 40,
        "duration_minutes": 120,
        "temperature_c": 24.5,
        "start_soc_percent": 100,
        "end_soc_percent": 56,
        "signatory": "王芳",
        "document_sha256": "5d" * 32,
    }
    await staff.post("40 Ah over 44 points", f"{path}/completion", result)
    await staff.get("done, with its result", path)


async def an_order_given_up(staff: Voice) -> None:
    await staff.teller.wait_until(date(2026, 12, 22))
    page = await staff.get("what is still planned", "/v1/work-orders", state="planned", limit=1)
    path = f"/v1/work-orders/{page['items'][0]['id']}/cancellation"
    await staff.post("the site is closed to us this month", path, {"reason": "站点停电改造"})


async def chains(staff: Voice) -> None:
    """From what was found to what it rests on."""
    duties = await staff.teller.world.staff.get("/v1/duties", limit=1)
    duty = duties["items"][0]
    await staff.get("why the lessor owes", f"/v1/duties/{duty['id']}/explanation")
    check = f"/v1/health-checks/{duty['health_check_id']}/explanation"
    await staff.get("the charge that showed it", check)
    outages = await staff.teller.world.staff.get("/v1/outages", limit=1)
    path = f"/v1/outages/{outages['items'][0]['id']}/explanation"
    await staff.get("what an outage rests on", path)
