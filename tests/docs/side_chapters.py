"""Chapters beside the lease itself: groups and contacts, what a pack is made of, what people
write on things, spreadsheets, and the search for a pack for the next line."""

import hashlib
from datetime import date

from tests.annotations.files import PDF, PNG
from tests.build import Json, string
from tests.docs.teller import Teller, Voice

CUSTOMER_CODE = "91410100MA9EXABC1D"
MODULE_CODE = "0EYMB51EXAMPLEBC40000019"
CELL_CODE = "0EYCB51EXAMPLEBC40000101"
ORIGIN_CODE = "0EYPB51EXAMPLEBC40000021"


# --- Who --------------------------------------------------------------------------------------


async def a_group(staff: Voice, customer: Json) -> None:
    """The customer is the company of a city, below an operator."""
    firm = {"kind": "customer", "name": "示例铁塔集团有限公司", "short_name": "示例铁塔"}
    operator = await staff.post("an operator, above its companies", "/v1/parties", firm)
    path = f"/v1/parties/{customer['id']}"
    below = {"short_name": "郑州示例铁塔", "parent_id": operator["id"]}
    await staff.patch("moved below its operator", path, below, version=customer["version"])
    await staff.get("the operator above, nobody below", f"{path}/tree")


async def contacts(staff: Voice, customer: Voice, party_id: str) -> None:
    path = f"/v1/parties/{party_id}/contacts"
    someone = {
        "name": "李建国",
        "purpose": "operations",
        "phone": "0371-6585 1234",
        "email": "li.jianguo@tower.example",
    }
    contact = await staff.post("whom to call about a site", path, someone)
    await customer.get("for operations", path, purpose="operations")
    its_own = f"/v1/contacts/{contact['id']}"
    await customer.get("one contact", its_own)
    mobile = {"phone": "139 0000 1234", "note": "夜间请打手机"}
    await staff.patch("a mobile number instead", its_own, mobile, version=contact["version"])
    await staff.post("he left the company", f"{its_own}/removal")


async def roles(staff: Voice, recycler: Voice, party_id: str) -> None:
    path = f"/v1/parties/{party_id}/roles"
    taken = {"role": "dismantler", "valid_from": "2024-03-01"}
    role = await staff.post("a recycler that also takes packs apart", path, taken)
    await recycler.get("the roles of a day", path, as_of="2026-01-05")
    last = {"ended_on": "2026-07-01"}
    await staff.post("until the middle of the year", f"{path}/{role['id']}/end", last)


# --- What -------------------------------------------------------------------------------------


async def what_a_pack_is(staff: Voice, worn: Json, cascade: Json) -> None:
    path = f"/v1/packs/{worn['id']}"
    known = {
        "max_voltage_mv": 58_400,
        "min_voltage_mv": 40_000,
        "carmaker": "示例汽车有限公司",
        "vehicle_model": "EX5",
        "removed_on": "2025-12-01",
    }
    title = "the maker's data sheet arrived"
    await staff.patch(title, path, known, version=worn["version"])
    await the_identifiers(staff, path)
    await the_parts(staff, f"/v1/packs/{cascade['id']}")
    await a_capacity_test(staff, f"/v1/packs/{cascade['id']}")


async def the_identifiers(staff: Voice, path: str) -> None:
    serial = {
        "value": "SN-2021-000417",
        "scheme": "maker_serial",
        "assigned_by": "示例电池有限公司",
        "valid_from": "2021-12-04",
    }
    added = await staff.post("the maker's own serial", f"{path}/identifiers", serial)
    await staff.get("the printed code first", f"{path}/identifiers")
    await staff.get("a serial in lower case", "/v1/packs/search", q="sn-2021-000417")
    gone = {"ended_on": "2026-01-05"}
    title = "its label was taken off"
    await staff.post(title, f"{path}/identifiers/{added['id']}/end", gone)


async def the_parts(staff: Voice, path: str) -> None:
    inside = {
        "parts": [
            {"kind": "module", "code": MODULE_CODE},
            {"kind": "cell", "code": CELL_CODE, "within": MODULE_CODE},
        ]
    }
    made = await staff.post("a module and a cell in it", f"{path}/parts", inside)
    await staff.get("what is in a pack", f"{path}/parts")
    cell = made["parts"][1]["id"]
    out = {"removed_on": "2026-01-05"}
    await staff.post("a cell is taken out", f"{path}/parts/{cell}/removal", out)
    origins = {"origins": [{"code": ORIGIN_CODE}]}
    await staff.post("made from a pack that we never had", f"{path}/origins", origins)
    await staff.get("as far back as is known", f"{path}/origins")


async def a_capacity_test(staff: Voice, path: str) -> None:
    report = {
        "tested_on": "2025-12-22",
        "method": "gbt34015",
        "temperature_c": 25,
        "c_rate": 0.33,
        "depth_percent": 100,
        "discharged_mah": 96_400,
        "energy_wh": 4_930,
        "laboratory": "示例动力电池检测中心",
        "report_number": "SJ-2025-1222-07",
        "signatory": "赵敏",
    }
    await staff.post("a full test of a laboratory", f"{path}/capacity-tests", report)
    await staff.get("tests of a pack", f"{path}/capacity-tests")


# --- What is written on packs, sites and contracts ----------------------------------------------


async def what_is_written(
    staff: Voice, customer: Voice, pack_id: str, site_id: str, contract_id: str
) -> None:
    pack, site = f"/v1/packs/{pack_id}", f"/v1/sites/{site_id}"
    contract = f"/v1/contracts/{contract_id}"
    await notes(staff, customer, pack, site, contract)
    await attachments(staff, customer, pack, site, contract)
    await tags(staff, pack, site, contract)
    await custom_fields(staff, customer, pack, site, contract)


async def notes(staff: Voice, customer: Voice, pack: str, site: str, contract: str) -> None:
    seen = {"text": "外壳左下角有划痕,不影响使用。", "visible_to_customer": True}
    await staff.post("one that the customer sees", f"{pack}/notes", seen)
    await customer.get("a customer reads what is meant for it", f"{pack}/notes")
    key = {"text": "机房钥匙在物业值班室。"}
    wrong = await staff.post("how to get in", f"{site}/notes", key)
    moved = {"reason": "现为密码锁"}
    await staff.post("no longer true", f"/v1/notes/{wrong['id']}/strike", moved)
    await staff.get("one struck out stays", f"{site}/notes")
    agreed = {"text": "客户要求每季度对账一次。"}
    await staff.post("what was agreed by telephone", f"{contract}/notes", agreed)
    await staff.get("of a contract", f"{contract}/notes")


async def attachments(staff: Voice, customer: Voice, pack: str, site: str, contract: str) -> None:
    label = "铭牌.png"
    hashed = hashlib.sha256(PNG).hexdigest()
    photo = await staff.send(
        "a photo of the label, with its hash",
        f"{pack}/attachments",
        PNG,
        "image/png",
        label,
        filename=label,
        sha256=hashed,
        visible_to_customer=True,
    )
    await customer.get("what a customer may open", f"{pack}/attachments")
    await customer.get("the photo itself", f"/v1/attachments/{photo['id']}/content")
    plan, scan = "机房平面图.pdf", "合同扫描件.pdf"
    title = "the plan of a room"
    await staff.send(title, f"{site}/attachments", PDF, "application/pdf", plan, filename=plan)
    await staff.get("of a site", f"{site}/attachments")
    title = "the signed contract"
    sent = await staff.send(
        title, f"{contract}/attachments", PDF, "application/pdf", scan, filename=scan
    )
    wrong = {"reason": "缺签字页"}
    title = "a page was missing"
    await staff.post(title, f"/v1/attachments/{sent['id']}/removal", wrong)
    await staff.get("one removed stays on record", f"{contract}/attachments")


async def tags(staff: Voice, pack: str, site: str, contract: str) -> None:
    await staff.post("two at once", f"{pack}/tags", {"add": ["2025批次", "待复测"]})
    tested = {"remove": ["待复测"]}
    await staff.post("one taken away", f"{pack}/tags", tested)
    await staff.get("of a pack", f"{pack}/tags")
    await staff.post("a site in a pilot", f"{site}/tags", {"add": ["试点"]})
    await staff.get("of a site", f"{site}/tags")
    await staff.post("a contract in a pilot", f"{contract}/tags", {"add": ["试点"]})
    await staff.get("of a contract", f"{contract}/tags")
    await staff.get("all in use", "/v1/tags")
    await staff.get("sites that carry a tag", "/v1/tagged", kind="site", tag=["试点"])


async def custom_fields(staff: Voice, customer: Voice, pack: str, site: str, contract: str) -> None:
    feed = {
        "subject_kind": "site",
        "key": "grid_feed",
        "label_zh": "市电类别",
        "label_en": "Grid feed",
        "type": "choice",
        "choices": ["一类", "二类", "三类"],
        "visible_to_customer": True,
    }
    path = "/v1/custom-fields"
    field = await staff.post("a choice, on every site", path, feed)
    one = f"{path}/{field['id']}"
    more = {"choices": ["一类", "二类", "三类", "四类"]}
    await staff.patch("one choice more", one, more, version=field["version"])
    await customer.get("of sites", path, subject_kind="site")
    await customer.get("one definition", one)
    await fill(staff, "the grid at a tower", site, {"grid_feed": "二类"})
    await customer.get("a customer reads what it may", f"{site}/custom-fields")
    await staff.get("sites with one value", f"{one}/subjects", value="二类")
    bay = {"label_zh": "库位", "label_en": "Storage bay", "type": "text"}
    bays = await staff.post(
        "a text, on every pack", path, {"subject_kind": "pack", "key": "storage_bay", **bay}
    )
    await fill(staff, "where it stood in the warehouse", pack, {"storage_bay": "A-03-2"})
    await staff.get("of a pack", f"{pack}/custom-fields")
    await staff.post("no longer used", f"{path}/{bays['id']}/retirement")
    score = {
        "label_zh": "评标得分",
        "label_en": "Tender score",
        "type": "decimal",
        "maximum": "100",
    }
    await staff.post(
        "a number, on every contract",
        path,
        {"subject_kind": "contract", "key": "tender_score", **score},
    )
    await fill(staff, "a number is text, so that nobody rounds it", contract,
               {"tender_score": "92.5"})  # fmt: skip
    await staff.get("of a contract", f"{contract}/custom-fields")


async def fill(staff: Voice, title: str, subject: str, values: Json) -> None:
    path = f"{subject}/custom-fields"
    before = await staff.client.get(path)
    await staff.patch(title, path, values, version=before["version"])


# --- Sheets -----------------------------------------------------------------------------------

HEADER = "owner,code,kind,name,adcode,longitude,latitude,datum,load_w,required_autonomy_minutes"
TOWER = f"{CUSTOMER_CODE},ZZ-GX-0413,tower,郑州高新区莲花街铁塔,410100,113.552,34.803,gcj02,800,180"


async def a_sheet(staff: Voice, customer: Voice, party_id: str) -> Json:
    """A tower comes as a row of a file; returns it."""
    path = "/v1/imports/sites"
    wrong = f"{HEADER}\n{TOWER.replace('410100,113', '419900,213')}\n".encode()
    title = "a row that cannot be"
    headers = {"Content-Type": "text/csv"}
    await staff.refused(title, 400, "POST", path, content=wrong, headers=headers)
    right = f"{HEADER}\n{TOWER}\n".encode()
    await staff.send("only asked, not written", path, right, "text/csv", dry_run=True)
    await staff.send("a tower from a spreadsheet", path, right, "text/csv")
    await customer.get("as a file, in Chinese", "/v1/exports/sites", format="csv", lang="zh")
    await staff.get("as a workbook", "/v1/exports/packs", format="xlsx", state="in_stock")
    page = await staff.client.get("/v1/sites", party_id=party_id)
    tower: Json = page["items"][-1]
    return tower


# --- The next lease ---------------------------------------------------------------------------


async def the_next_lease(
    teller: Teller, staff: Voice, customer: Voice, lessee_id: str, pack_id: str
) -> None:
    """The pack that came back is looked at, and found fit for a line of the next contract."""
    await teller.wait_until(date(2026, 2, 17))
    pack = f"/v1/packs/{pack_id}"
    found = {
        "inspected_on": "2026-02-16",
        "grade": "A",
        "hazard": "intact",
        "tested_capacity_mah": 95_600,
        "remarks": "外观完好,容量正常",
        "lessor_signatory": "王芳",
        "lessee_signatory": "李建国",
    }
    await staff.post("nothing is wrong with it", f"{pack}/inspections", found)
    verdict = {"decision": "release", "decided_on": "2026-02-17", "reason": "容量正常"}
    await staff.post("back into stock", f"{pack}/dispositions", verdict)
    tower = await a_sheet(staff, customer, lessee_id)
    hanging = {"strings": [string(1, 1, 4)]}
    path = f"/v1/sites/{tower['id']}/strings"
    await staff.put("four slots on one bus", path, hanging)
    await customer.get("how slots hang together", path)
    path = f"/v1/sites/{tower['id']}/devices"
    spoken_of = {"devices": [{"code": "41010043200001", "slot": 1}]}
    await staff.put("which slot a monitoring device speaks of", path, spoken_of)
    await customer.get("the devices of a site", path)
    line = {"site_id": tower["id"], "rated_capacity_mah": 100_000, "rent_amount": 31_000}
    terms = {
        "number": "ZZ-2026-0031",
        "lessee_id": lessee_id,
        "starts_on": "2026-03-01",
        "ends_on": "2029-03-01",
        "vat_percent": "13",
        "payment_days": 30,
        "guarantee_percent": "80",
        "replacement_days": 7,
        "lines": [{**line, "slot": 1}, {**line, "slot": 2}],
    }
    contract = await staff.post("a draft with two lines", "/v1/contracts", terms)
    title = "a pack for one line, and why there is none for the other"
    await staff.get(title, f"/v1/contracts/{contract['id']}/candidates")
    lines = await staff.client.get("/v1/lines", contract_id=contract["id"])
    title = "the best pack in stock"
    await staff.get(title, f"/v1/lines/{lines['items'][0]['id']}/candidates")
