"""Chapters about money: what is overdue, who is reminded, what is paid, what the account says."""

from datetime import date

from tests.build import Json
from tests.docs.teller import Teller, Voice


async def an_account(
    teller: Teller, staff: Voice, customer: Voice, lessee_id: str, contract_id: str
) -> None:
    """Half a year's invoices are open: they are dunned for, bear interest, and are paid in part."""
    bills = await customer.get("what is late", "/v1/receivables", overdue=True)
    oldest, second = bills["items"][:2]
    await customer.get("an invoice that is late", f"/v1/receivables/{oldest['id']}")
    await dunning(staff, lessee_id, oldest)
    await interest_is_agreed(staff, lessee_id)
    await teller.wait_until(date(2026, 6, 1))
    title = "a month, from the due day on"
    accrued = await customer.get(title, "/v1/interest-accruals", invoice_id=second["id"])
    await payments(staff, customer, lessee_id, oldest, accrued["items"][0])
    await a_payment_entered_late(teller, staff, lessee_id, second)
    await deposits(staff, customer, lessee_id, contract_id)
    last = await staff.client.get("/v1/receivables", party_id=lessee_id, open=True, limit=200)
    debts = [one for one in last["items"] if one["open_amount"] > 0]
    title = "what will not be paid is given up"
    given_up = {"reason": "金额争议,双方协商核销", "written_off_on": "2026-07-01"}
    await staff.post(title, f"/v1/receivables/{debts[-1]['id']}/write-off", given_up)
    path = f"/v1/parties/{lessee_id}/statement"
    await customer.get("two months", path, from_on="2026-05-01", to_on="2026-06-30")
    days = {"from_on": "2026-06-01", "to_on": "2026-06-30"}
    await customer.get("what is open, and how late", f"{path}/document", **days)
    await customer.get(
        "a file, in Chinese", f"{path}/document", format="csv", language="zh", **days
    )
    await staff.get("at the end of a quarter", "/v1/ageing", as_of="2026-06-30")


async def dunning(staff: Voice, lessee_id: str, oldest: Json) -> None:
    await staff.get("the four that a new deployment has", "/v1/dunning-steps")
    title = "which steps an invoice has reached"
    await staff.get(title, "/v1/dunning-notices", invoice_id=oldest["id"])
    steps = [
        {"number": 1, "name": "付款提醒", "days": 3, "day_kind": "business"},
        {"number": 2, "name": "催款函", "days": 15, "day_kind": "calendar"},
        {
            "number": 3,
            "name": "律师函",
            "days": 90,
            "day_kind": "calendar",
            "fee_amount": 20_000,
            "fee_currency": "CNY",
        },
    ]
    await staff.put("three, the last at a fee", "/v1/dunning-steps", {"steps": steps})
    pause = {"invoice_id": oldest["id"], "reason": "对账中", "until_on": "2026-06-30"}
    paused = await staff.post("an invoice in dispute", "/v1/dunning-pauses", pause)
    await staff.get("where dunning is held back", "/v1/dunning-pauses", limit=1)
    await staff.post("the dispute is over", f"/v1/dunning-pauses/{paused['id']}/end")


async def interest_is_agreed(staff: Voice, lessee_id: str) -> None:
    terms = {
        "party_id": lessee_id,
        "from_on": "2026-01-01",
        "annual_percent": "14.6",
        "grace_days": 5,
        "cap_percent": "20",
    }
    title = "four per ten thousand a day, after five days of grace"
    await staff.post(title, "/v1/interest-terms", terms)
    await staff.get("of one party", "/v1/interest-terms", party_id=lessee_id)


async def payments(
    staff: Voice, customer: Voice, lessee_id: str, oldest: Json, interest: Json
) -> None:
    path = f"/v1/parties/{lessee_id}/allocation-order"
    await staff.get("the oldest due first", path)
    order = {"first": "kind", "kinds": ["invoice", "interest", "dunning_fee"]}
    await staff.put("invoices before interest", path, order)
    money = {
        "payer_id": lessee_id,
        "amount": oldest["amount"] + interest["amount"] + 10_000,
        "received_on": "2026-05-29",
        "method": "bank_transfer",
        "reference": "ICBC-20260529-004711",
        "allocations": [{"receivable_id": interest["id"], "amount": interest["amount"]}],
        "automatic": False,
    }
    title = "by hand, and more than is named"
    paid = await staff.post(title, "/v1/payments", money)
    title = "the same bank reference again"
    await staff.refused(title, 409, "POST", "/v1/payments", money)
    its_own = f"/v1/payments/{paid['id']}"
    await customer.get("what is left of it", its_own)
    named = {"allocations": [{"receivable_id": oldest["id"], "amount": oldest["amount"]}]}
    done = await staff.post("the oldest invoice", f"{its_own}/allocations", named)
    path = f"/v1/allocations/{done['allocations'][0]['id']}/reversal"
    await staff.post("it was meant for another", path, {"reason": "客户指定清偿其他账单"})
    await staff.client.post(f"{its_own}/allocations", named)
    await customer.get("what one payment paid", "/v1/allocations", payment_id=paid["id"])
    await customer.get("of one payer", "/v1/payments", payer_id=lessee_id, limit=1)
    slip = {
        "payer_id": lessee_id,
        "amount": 5_000,
        "received_on": "2026-06-01",
        "method": "card",
        "reference": "POS-88213",
    }
    bounced = await staff.client.post("/v1/payments", slip)
    gone = {"reason": "发卡行退单", "bounced_on": "2026-06-01"}
    await staff.post("the bank took it back", f"/v1/payments/{bounced['id']}/bounce", gone)


async def a_payment_entered_late(
    teller: Teller, staff: Voice, lessee_id: str, second: Json
) -> None:
    """It came weeks before it was entered, so interest was too high, and is given back."""
    row = {
        "payer_id": lessee_id,
        "amount": second["amount"],
        "received_on": "2026-05-06",
        "method": "bank_transfer",
        "reference": "ICBC-20260506-000093",
        "allocations": [{"receivable_id": second["id"], "amount": second["amount"]}],
    }
    title = "a bank statement, one row of it seen before"
    seen = {**row, "reference": "ICBC-20260529-004711"}
    await staff.post(title, "/v1/payments:batch", {"rows": [row, seen]})
    await teller.wait_until(date(2026, 7, 1))
    found = await staff.client.get("/v1/receivables", invoice_id=second["id"])
    credit = next(one for one in found["items"] if one["amount"] < 0)
    page = await staff.client.get("/v1/receivables", party_id=lessee_id, overdue=True)
    named = {"allocations": [{"receivable_id": page["items"][0]["id"], "amount": 500}]}
    title = "interest that was too much pays a part of an invoice"
    await staff.post(title, f"/v1/receivables/{credit['id']}/allocations", named)
    title = "and its rest what is due first"
    await staff.post(title, f"/v1/parties/{lessee_id}/credit-applications")


async def deposits(staff: Voice, customer: Voice, lessee_id: str, contract_id: str) -> None:
    money = {
        "payer_id": lessee_id,
        "amount": 100_000,
        "received_on": "2026-07-01",
        "method": "bank_transfer",
        "reference": "ICBC-20260701-001207",
        "automatic": False,
    }
    paid = await staff.client.post("/v1/payments", money)
    path = f"/v1/contracts/{contract_id}"
    received = {"kind": "received", "amount": 100_000, "payment_id": paid["id"]}
    await staff.post("a deposit comes in", f"{path}/deposit-movements", received)
    back = {"kind": "returned", "amount": 40_000}
    returned = await staff.post("a part goes back", f"{path}/deposit-movements", back)
    mistaken = {"reason": "转账被退回"}
    title = "the transfer came back"
    await staff.post(title, f"/v1/deposit-movements/{returned['id']}/reversal", mistaken)
    await customer.get("what is held", f"{path}/deposit")
    await customer.get("all that moved", f"{path}/deposit-movements")
