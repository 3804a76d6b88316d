"""A pack's life as a chain of records: its codes, its family, its label, and the head of a day."""

from tests.docs.teller import Teller, Voice

CASCADE_CODE = "0EYPB51FBY0000001RM"


async def a_chain_of_records(teller: Teller, staff: Voice, worn_id: str, cascade_id: str) -> None:
    path = f"/v1/packs/{worn_id}/life"
    reason = {"reason": "收购单录错来源企业", "facts": {"from": "示例汽车维修有限公司"}}
    first = (await teller.world.staff.get(path))["records"][0]
    path = f"{path}/{first['id']}/correction"
    await staff.post("acquired from another firm than was typed", path, reason)
    again = {"reason": "再次更正", "facts": {"from": "示例二手车有限公司"}}
    title = "one record is corrected once"
    await staff.refused(title, 409, "POST", path, again)
    page = await staff.get("the newest head", "/v1/trace-heads", limit=1)
    for number, head in enumerate(page["items"], start=1):
        teller.known[head["sha256"]] = f"{number:064x}"
    await staff.get("what a cascade product's code says", f"/v1/codes/{CASCADE_CODE}")
    title = "every fault with its position"
    await staff.refused(title, 400, "GET", "/v1/codes/0EYXB51EXAMPLEBO40000017")
    await staff.get("what it was made from", f"/v1/packs/{cascade_id}/family")
    await staff.get("to print and stick on", f"/v1/packs/{cascade_id}/label")
