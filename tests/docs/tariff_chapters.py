"""Chapters on what a lease is charged by besides its rent, and on the facts that prices rest on."""

from tests.build import Json
from tests.docs.teller import Voice

COMPONENTS: list[Json] = [
    {"kind": "service", "code": "care", "name": "维护服务", "amount": 4_500, "vat_percent": "6"},
    {
        "kind": "capacity",
        "code": "capacity",
        "basis": "tested",
        "bands": [
            {"from_percent": "0", "unit_price": "1800"},
            {"from_percent": "80", "unit_price": "2400"},
        ],
    },
    {
        "kind": "throughput",
        "code": "energy",
        "pricing": {
            "model": "graduated",
            "tiers": [{"up_to": "100", "unit_price": "8.5"}, {"unit_price": "7.25"}],
        },
    },
    {
        "kind": "availability",
        "code": "sla",
        "codes": ["rent", "capacity"],
        "tiers": [
            {"below_percent": "99.9", "credit_percent": "5"},
            {"below_percent": "99", "credit_percent": "10"},
        ],
        "cap_percent": "15",
    },
    {
        "kind": "sharing",
        "code": "shared",
        "codes": ["rent", "capacity"],
        "discounts": [{"tenants": 2, "percent": "30"}, {"tenants": 3, "percent": "40"}],
        "anchor_percent": "5",
    },
]


async def a_price_plan(staff: Voice) -> Json:
    """Returns a version that was published."""
    named = {"code": "TOWER-2026", "name": "铁塔备电标准价", "name_en": "Tower backup, standard"}
    plan = await staff.post("a price plan", "/v1/price-plans", named)
    await staff.get("the first price plans", "/v1/price-plans", limit=2)
    path = f"/v1/price-plans/{plan['id']}"
    await staff.get("one price plan", path)
    wrong = {**COMPONENTS[1], "bands": COMPONENTS[1]["bands"][1:]}
    refused = {"valid_from": "2026-01-01", "components": [wrong]}
    title = "bands that leave a state of health without a price"
    await staff.refused(title, 400, "POST", f"{path}/versions", refused)
    drafted = {"valid_from": "2026-01-01", "components": COMPONENTS}
    version = await staff.post("by test, by use, less outages", f"{path}/versions", drafted)
    its_own = f"/v1/price-plan-versions/{version['id']}"
    later = {"valid_from": "2026-02-01"}
    version = await staff.patch("valid a month later", its_own, later, version=version["version"])
    published: Json = await staff.ask(
        "nobody changes it from now on",
        "POST",
        f"{its_own}/publication",
        headers={"If-Match": f'"v{version["version"]}"'},
    )
    await staff.get("the versions of a plan", f"{path}/versions", limit=2)
    await staff.get("a published version", its_own)
    return published


async def what_prices_rest_on(
    staff: Voice, customer: Voice, pack_id: str, site_id: str, line_id: str
) -> None:
    """Facts of the first months; one reading was mistyped."""
    reading = {
        "pack_id": pack_id,
        "measure": "throughput_wh",
        "at": "2026-01-31T16:00:00Z",
        "register_value": 1_254_300,
        "source": "BMS",
        "source_reference": "frame 88121",
    }
    path = "/v1/meter-readings:batch"
    entered = await staff.post("the register at a month's end", path, {"rows": [reading]})
    right = {
        **reading,
        "register_value": 1_245_300,
        "source": "photo of the display",
        "supersedes_id": entered["rows"][0]["id"],
    }
    await staff.post("digits were swapped: another row takes its place", path, {"rows": [right]})
    title = "both, the wrong one marked"
    await customer.get(title, "/v1/meter-readings", pack_id=pack_id, limit=2)
    outages = [
        {
            "site_id": site_id,
            "from_at": "2026-01-20T02:10:00Z",
            "to_at": "2026-01-20T09:40:00Z",
            "cause": "force_majeure",
            "evidence": "暴雪,市电中断超出保障时长",
            "reference": "GD-2026-0117",
        },
        {
            "line_id": line_id,
            "from_at": "2026-01-25T01:00:00Z",
            "to_at": "2026-01-25T04:30:00Z",
            "cause": "lessor",
            "evidence": "BMS 故障,更换保护板",
        },
    ]
    await staff.post("a site in the snow, and a board", "/v1/outages:batch", {"rows": outages})
    await customer.get("of a site", "/v1/outages", site_id=site_id, limit=2)
    shared = {"site_id": site_id, "from_on": "2026-01-01", "tenants": 2, "is_anchor": True}
    path = "/v1/site-tenancies:batch"
    await staff.post("two tenants, ours was first", path, {"rows": [shared]})
    await customer.get("who shares a site", "/v1/site-tenancies", site_id=site_id, limit=2)
    index = {
        "series": "CN-CPI",
        "month": "2025-12-01",
        "value": "102.4",
        "published_on": "2026-01-09",
        "source": "国家统计局",
    }
    await staff.post("a month's index", "/v1/price-indexes:batch", {"rows": [index]})
    await staff.get("a series", "/v1/price-indexes", series="CN-CPI", limit=2)
