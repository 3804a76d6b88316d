"""Chapters about where packs go at the end: outlets, the recyclers behind them, and what they
pay."""

from tests.build import Json
from tests.docs.teller import Teller, Voice


async def outlets_and_recyclers(
    teller: Teller, staff: Voice, customer: Voice, recycler_id: str
) -> None:
    await the_directory(staff, customer, recycler_id)
    await the_list(staff, recycler_id)
    await what_is_paid(staff, recycler_id)
    await a_withdrawal(staff, recycler_id)


async def the_directory(staff: Voice, customer: Voice, recycler_id: str) -> Json:
    """An outlet is entered, changed, limited from a day on, made a carmaker's, and closed."""
    shop = {
        "code": "ZZ-JK-001",
        "name_zh": "郑州经开区示例回收网点",
        "name_en": "Zhengzhou Jingkai outlet",
        "kind": "collecting",
        "adcode": "410100",
        "longitude": 113.7421,
        "latitude": 34.7218,
        "recycler_id": recycler_id,
        "chemistries": ["B", "E"],
        "hazards": ["intact"],
        "opening_hours": "周一至周六 8:30-17:30",
        "contact_name": "赵敏",
        "contact_phone": "0371-65850000",
    }
    made: Json = await staff.post("a collecting outlet", "/v1/outlets", shop)
    path = f"/v1/outlets/{made['id']}"
    await staff.get("one outlet", path)
    where = {"address": "郑州市航海东路 1 号"}
    await staff.patch("its address", path, where, version=made["version"])
    smaller = {
        "valid_from": "2026-03-01",
        "limit_kg": 4_000,
        "store_days": 30,
        "document": "消防验收意见 郑消验〔2026〕17号",
    }
    await staff.post("a smaller store from March on", f"{path}/limits", smaller)
    await staff.get("the limits by date", f"{path}/limits")
    maker = {"kind": "partner", "name": "示例汽车有限公司"}
    carmaker = await staff.post("a carmaker", "/v1/parties", maker)
    plays = {"role": "carmaker", "valid_from": "2020-01-01"}
    await staff.post("it makes cars", f"/v1/parties/{carmaker['id']}/roles", plays)
    duty = {
        "party_id": carmaker["id"],
        "role": "carmaker",
        "valid_from": "2026-01-01",
        "document": "回收服务网点信息公告 2026-01",
    }
    taken = await staff.post("its outlet in this city", f"{path}/duties", duty)
    await staff.get("whose outlet it is", f"{path}/duties", as_of="2026-02-01")
    over = {"ended_on": "2027-01-01"}
    title = "until the end of the year"
    await staff.post(title, f"{path}/duties/{taken['id']}/end", over)
    await customer.get("where to bring a pack", "/v1/outlets/directory", adcode="410100", limit=2)
    closing = {"closed_from": "2027-01-01", "reason": "租约到期"}
    await staff.post("closed from the new year on", f"{path}/closure", closing)
    return made


async def the_list(staff: Voice, recycler_id: str) -> None:
    path = f"/v1/recyclers/{recycler_id}"
    on_it = {
        "reason": "announced",
        "on": "2025-11-03",
        "document": "工信部公告 2025 年第 30 号(示例)",
    }
    await staff.post("announced, and so on the list", f"{path}/listing-steps", on_it)
    filed = {"year": 2025, "filed_on": "2026-01-05", "document": "2025 年度报告"}
    await staff.post("its report about last year", f"{path}/annual-reports", filed)
    wrong = {"reason": "application", "on": "2026-01-05", "document": "申请书"}
    title = "who is on the list does not apply"
    await staff.refused(title, 409, "POST", f"{path}/listing-steps", wrong)
    await staff.get("what was told of permits and deadlines", "/v1/recycler-notices", limit=2)


async def what_is_paid(staff: Voice, recycler_id: str) -> None:
    price = {
        "recycler_id": recycler_id,
        "chemistry": "B",
        "valid_from": "2026-01-01",
        "cny_per_kg": "3.12",
        "material_cny_per_kg": "0.40",
        "source": "报价单 2026-01",
    }
    made = await staff.post("for LFP, a part of it in material", "/v1/scrap-offers", price)
    lower = {**price, "valid_from": "2026-02-01", "cny_per_kg": "2.95", "source": "报价单 2026-02"}
    title = "a second price for the same days"
    await staff.refused(title, 409, "POST", "/v1/scrap-offers", lower)
    over = {"ended_on": "2026-02-01"}
    await staff.post("the first ends", f"/v1/scrap-offers/{made['id']}/end", over)
    await staff.post("so that the next can follow", "/v1/scrap-offers", lower)
    query = {"recycler_id": recycler_id, "on": "2026-01-20"}
    await staff.get("what a day paid", "/v1/scrap-offers", **query)


async def a_withdrawal(staff: Voice, recycler_id: str) -> None:
    gone = {
        "announcement_no": "工信部公告 2026 年第 20 号(示例)",
        "document": "撤销公告及名单",
        "withdrawn_on": "2027-07-30",
        "kinds": ["listing", "discharge_permit"],
        "firms": [recycler_id],
    }
    made = await staff.post("announced for a day to come", "/v1/withdrawals", gone)
    await staff.get("what of it is still to be moved", f"/v1/withdrawals/{made['id']}")
    await staff.get("withdrawals of many firms", "/v1/withdrawals")
    await staff.get("all there is of one recycler", f"/v1/recyclers/{recycler_id}")
