"""Looking at a bill before it is made, and putting right one that was."""

from datetime import date
from functools import partial

from jobs import billing, runner
from leasing.db import clock
from leasing.http.etag import etag
from leasing.kit.time import midnight
from tests import build
from tests.build import World
from tests.docs.teller import Teller, Voice


async def a_line_in_dispute(staff: Voice, customer: Voice, lessee_id: str) -> None:
    """A customer asks why, disputes one line of two, and is answered."""
    bills = await staff.get("a bill", "/v1/invoices", buyer_id=lessee_id, limit=1)
    lines = f"/v1/invoices/{bills['items'][0]['id']}/lines"
    first, second = (await customer.get("its lines", lines, limit=2))["items"]
    charges = f"/v1/parties/{lessee_id}/charges"
    await customer.get("what its lines cost, and on which bill", charges, limit=1)
    line = f"/v1/invoice-lines/{first['id']}"
    await customer.get("why it comes to that", f"{line}/explanation")
    wrong = {"reason": "第 3 天起无法使用"}
    made = await customer.post("one line is disputed", f"{line}/disputes", wrong)
    await customer.get("what is in dispute", "/v1/disputes", state="open")
    gives = {"answer": "确认 2 天无法使用", "credited_amount": 2_000}
    await staff.post("two days are given back", f"/v1/disputes/{made['id']}/answer", gives)
    other = f"/v1/invoice-lines/{second['id']}/disputes"
    made = await customer.post("another line", other, {"reason": "please check"})
    await customer.post("it was right after all", f"/v1/disputes/{made['id']}/withdrawal")


OCTOBER, NOVEMBER, DECEMBER = date(2026, 10, 2), date(2026, 11, 1), date(2026, 12, 1)


async def a_price_a_hundred_times_too_high(teller: Teller, staff: Voice) -> None:
    """A run that expects one bill and finds more stops; a bill many times the last one is held."""
    world = World(teller.world.db, teller.world.app, teller.world.openapi, staff.client)
    await teller.wait_until(OCTOBER)
    leases = [
        await build.leased_pack(world, str(OCTOBER), starts_on=str(OCTOBER)) for _ in range(2)
    ]
    lease = leases[0]
    path = f"/v1/contracts/{lease['contract']['id']}"
    rents = [{"line_id": lease["line"]["id"], "rent_amount": 31_000_00}]
    dearer = {"from_on": "2026-11-01", "reason": "yuan for fen", "terms": {}, "rents": rents}
    await run(teller, NOVEMBER, 1)
    stopped = (await world.staff.get("/v1/billing-runs", limit=200))["items"][-1]
    wrong = {"reason": "one of the contracts was entered twice"}
    title = "nothing of it is final: give it up"
    await staff.post(title, f"/v1/billing-runs/{stopped['id']}/discard", wrong)
    await run(teller, NOVEMBER, 1)
    reason = {"reason": "two it is"}
    await staff.post("go on", f"/v1/billing-runs/{stopped['id']}/approval", reason)
    await run(teller, NOVEMBER, 1)
    contract = await world.staff.get(path)
    asked = {"as_of": str(DECEMBER), "amendment": dearer}
    await staff.post("what an amendment would change", f"{path}/amendment-previews", asked)
    headers = {"If-Match": etag(contract["version"])}
    await world.staff.post(f"{path}/amendments", dearer, **headers)
    other = f"/v1/contracts/{leases[1]['contract']['id']}"
    headers = {"If-Match": etag((await world.staff.get(other))["version"])}
    rents = [{"line_id": leases[1]["line"]["id"], "rent_amount": 31_000_00}]
    await world.staff.post(f"{other}/amendments", {**dearer, "rents": rents}, **headers)
    await run(teller, DECEMBER, 9)
    held = await staff.get("bills that wait for a person", "/v1/invoices", held=True)
    bill = f"/v1/invoices/{held['items'][0]['id']}"
    await staff.post("it was meant so", f"{bill}/approval", {"reason": "the contract says so"})
    slip = f"/v1/invoices/{held['items'][1]['id']}"
    await staff.post("this one was a slip", f"{slip}/discard", {"reason": "yuan for fen"})


async def run(teller: Teller, on: date, most: int) -> None:
    """Untold: a billing run by hand at noon of a day."""
    db = teller.world.db
    async with db.transaction() as tx:
        await clock.move(tx, max(midnight(on) + build.NOON, await clock.now(tx)))
    job = partial(billing.bill, max_invoices=most)
    await runner.run_once(db, "billing", job, on, lambda done, total: None)


async def before_and_after_a_run(staff: Voice, customer: Voice, lessee_id: str) -> None:
    """Nothing is kept of a preview; a credit note is, and mirrors its invoice."""
    coming = {"as_of": "2027-01-01", "buyer_id": lessee_id}
    await staff.post("what the next bill comes to, and why", "/v1/billing-previews", coming)
    await staff.post("the same as a page", "/v1/billing-previews/page", coming)
    path = f"/v1/parties/{lessee_id}/bill-previews"
    await customer.post("a customer looks at its own", path, {"as_of": "2027-01-01"})
    runs = await staff.get("runs that had something to do", "/v1/billing-runs", limit=1)
    run = f"/v1/billing-runs/{runs['items'][0]['id']}"
    await staff.get("a run, stage by stage", run)
    await staff.get("what became of each contract", f"{run}/contracts", limit=2)
    await staff.get("lines whose packs have contradictory records", f"{run}/held-lines")
    reason = {"reason": "as expected"}
    await staff.refused("a run that did not stop", 409, "POST", f"{run}/approval", reason)
    (last,) = (await staff.get("the last bill", "/v1/invoices", buyer_id=lessee_id, limit=1))[
        "items"
    ]
    invoice = f"/v1/invoices/{last['id']}"
    await staff.refused("a bill that nobody holds", 409, "POST", f"{invoice}/approval", reason)
    wrong = {"reason": "made out to the wrong company"}
    await staff.post("a bill is taken back whole", f"{invoice}/credit-notes", wrong)
