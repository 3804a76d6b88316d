"""A bill as a document and as an e-invoice (数电票), and its correction as a red letter."""

from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from jobs import einvoices
from leasing.access.model import Role
from leasing.einvoices.gateway import FileDrop
from tests import build
from tests.build import Json, World
from tests.docs.teller import Teller, Voice

LESSOR_CODE = "91410100MA9EXABE85"
CUSTOMER_CODE = "91410100MA9EXABG4T"
PACK_CODE = "0EYPB51EXAMPLEBC40000031"
AUGUST, MID_AUGUST, SEPTEMBER, OCTOBER = (
    date(2026, 8, 1),
    date(2026, 8, 15),
    date(2026, 9, 2),
    date(2026, 10, 2),
)
ISSUED_AT = "2026-09-02T15:00:00+08:00"


async def a_bill_for_the_tax_administration(teller: Teller, staff: Voice) -> None:
    # Before the bill is issued: what it says of the lessor is kept as it is then.
    (lessor,) = (await teller.world.staff.get("/v1/parties", kind="lessor"))["items"]
    title, code = "the lessor's credit code", {"credit_code": LESSOR_CODE}
    await staff.patch(title, f"/v1/parties/{lessor['id']}", code, version=lessor["version"])
    lessee, line = await a_lease(teller, staff)
    customer = await teller.login(Role.CUSTOMER, "accounts", lessee["id"])
    await teller.wait_until(SEPTEMBER)
    (invoice,) = await invoices_of(teller, lessee)
    path = f"/v1/invoices/{invoice['id']}/document"
    await customer.get("what is printed, as a value", path)
    await customer.get("its lines as a file, in Chinese", path, format="csv", language="zh")
    with TemporaryDirectory() as folder:
        office = Path(folder)
        blue = await an_e_invoice(teller, staff, customer, invoice, office)
        # The pack went back in the middle of August; that is entered in September.
        back = build.returned(str(MID_AUGUST))
        await teller.world.staff.post(f"/v1/lines/{line['id']}/returns", back)
        await teller.wait_until(OCTOBER)
        _, credit = await invoices_of(teller, lessee)
        await a_red_letter(teller, staff, customer, blue, credit)


async def a_lease(teller: Teller, staff: Voice) -> tuple[Json, Json]:
    """Untold: a customer with one pack from the first of August on."""
    await teller.wait_until(AUGUST)
    world = World(teller.world.db, teller.world.app, teller.world.openapi, staff.client)
    party = {"kind": "customer", "name": "示例物流有限公司", "credit_code": CUSTOMER_CODE}
    lessee = await world.staff.post("/v1/parties", party)
    place = await build.site(world, lessee["id"], code="KF-0001", adcode="410200")
    terms = [build.line_terms(place["id"])]
    _, (line,) = await build.active_contract(
        world, lessee["id"], terms, number="ZL-2026-0801", starts_on=str(AUGUST)
    )
    pack = await build.pack(world, code=PACK_CODE)
    given = build.acceptance(pack["id"], str(AUGUST))
    await world.staff.post(f"/v1/lines/{line['id']}/acceptances", given)
    return lessee, line


async def invoices_of(teller: Teller, lessee: Json) -> list[Json]:
    page = await teller.world.staff.get("/v1/invoices", buyer_id=lessee["id"])
    found: list[Json] = page["items"]
    return found


async def an_e_invoice(
    teller: Teller, staff: Voice, customer: Voice, invoice: Json, office: Path
) -> Json:
    """Drafted, sent and issued. The other side of the folder is played here."""
    rows = {"rows": [{"invoice_id": invoice["id"], "kind": "special"}]}
    item = {"name": "*经营租赁*电池租赁", "tax_code": "3040502020000000000"}
    await staff.put("what rent is to the tax administration", "/v1/einvoice-items/rent", item)
    await staff.get("every tax class", "/v1/einvoice-items")
    month = "/v1/einvoice-quotas/2026-09-01"
    await staff.put("what may be invoiced in July", month, {"amount": 100_000_000})
    drafted = await staff.post("one e-invoice", "/v1/einvoices:batch", rows)
    await staff.get("what is used of it", month)
    await sent_and_issued(teller, office)
    await customer.get("a customer sees its own", "/v1/einvoices", state="issued")
    one: Json = await customer.get("its number", f"/v1/einvoices/{drafted['rows'][0]['id']}")
    return one


async def sent_and_issued(teller: Teller, folder: Path) -> None:
    gateway = FileDrop(folder)
    await einvoices.send_all(teller.world.db, gateway, by="job:einvoices")
    (sent,) = (await teller.world.staff.get("/v1/einvoices", state="submitted"))["items"]
    answer = {"serial": sent["serial"], "result": "issued", "issued_at": ISSUED_AT}
    (folder / "in").mkdir()
    number = {"number": "26412000000000000007"}
    (folder / "in" / "1.json").write_bytes(msgspec.json.encode([answer | number]))
    await einvoices.read_all(teller.world.db, gateway, by="job:einvoices")


async def a_red_letter(
    teller: Teller, staff: Voice, customer: Voice, blue: Json, credit: Json
) -> None:
    path = f"/v1/einvoices/{blue['id']}/red-letters"
    wrong = {"credit_note_id": blue["invoice_id"], "reason": "wrong"}
    title = "a document that takes nothing back"
    await staff.refused(title, 409, "POST", path, wrong)
    rows = {"credit_note_id": credit["id"], "reason": "service_ended"}
    drafted = await staff.post("half a month less", path, rows)
    await staff.post("taken back", f"/v1/red-letters/{drafted['id']}/revocation")
    again = await staff.post("and applied for again", path, rows)
    await customer.get("both", "/v1/red-letters", einvoice_id=blue["id"])
    await customer.get("the one that waits", f"/v1/red-letters/{again['id']}")
