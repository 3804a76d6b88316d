"""A bill that can be an e-invoice, and a tax administration that reads files and answers."""

import json
from datetime import date
from pathlib import Path
from typing import Any

from leasing.parties import credit_code
from tests import build
from tests.api.stories import run_job
from tests.billing import steps
from tests.build import Json, World
from tests.documents.asking import SELLER

SELLER_CODE = "91410100MA9EXABC1D"
BUYER_CODE = "MA9BUY01"
"""The first eight characters of an organisation code."""
ITEM = {"name": "*经营租赁*电池租赁", "tax_code": "3040502020000000000"}
JANUARY_11 = date(2026, 1, 11)


def code_of(organisation: str) -> str:
    """A credit code with both of its check characters."""
    first_17 = f"91410100{organisation}"
    first_17 += credit_code.organisation_check_character(organisation)
    return first_17 + credit_code.check_character(first_17)


async def put(world: World, path: str, body: Any, status: int = 200) -> Json:
    answer = await world.staff.ask("PUT", path, json=body)
    found: Json = build.expect(answer, status)
    return found


async def prepared(world: World, quota: int = 10**9) -> None:
    """A lessor, a tax class for rent and a quota of February."""
    seller = await world.staff.post("/v1/parties", {**SELLER, "credit_code": SELLER_CODE})
    assert seller["credit_code"] == SELLER_CODE
    await put(world, "/v1/einvoice-items/rent", ITEM)
    await put(world, "/v1/einvoice-quotas/2026-02-01", {"amount": quota})


async def billed(world: World, packs: int = 1, code: str | None = BUYER_CODE) -> Json:
    """A customer with a contract that was billed for January; its invoice."""
    party = {"kind": "customer", "name": "中国示例铁塔有限公司"}
    if code:
        party["credit_code"] = code_of(code)
    lessee = await world.staff.post("/v1/parties", party)
    place = await build.site(world, lessee["id"])
    terms = [build.line_terms(place["id"], slot=slot + 1) for slot in range(packs)]
    await world.set_clock(JANUARY_11)
    contract, lines = await build.active_contract(world, lessee["id"], terms)
    for line in lines:
        await steps.hand_over(world, line, await build.pack(world), JANUARY_11)
    await run_job(world, "billing", steps.FEBRUARY)
    (invoice,) = await steps.invoices_of(world, lessee)
    return {"customer": lessee, "contract": contract, "lines": lines, "invoice": invoice}


async def drafted(world: World, *invoices: Json, kind: str = "special") -> list[Json]:
    """Draft e-invoices; the rows of the answer."""
    rows = [{"invoice_id": invoice["id"], "kind": kind} for invoice in invoices]
    answer = await world.staff.post("/v1/einvoices:batch", {"rows": rows})
    found: list[Json] = answer["rows"]
    return found


class Office:
    """The other side of the folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = 0

    def batches(self) -> list[Json]:
        found = sorted((self.folder / "out").glob("batch-*.json"))
        return [json.loads(path.read_bytes()) for path in found]

    def requests(self) -> list[Json]:
        return [one for batch in self.batches() for one in batch["requests"]]

    def answer(self, *answers: Json, name: str | None = None) -> Path:
        self.files += 1
        folder = self.folder / "in"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / (name or f"answer-{self.files:03}.json")
        path.write_bytes(json.dumps(answers).encode())
        return path


def issued(serial: str, number: int = 1) -> Json:
    return {
        "serial": serial,
        "result": "issued",
        "number": f"2641000000{number:010}",
        "issued_at": "2026-02-02T09:30:00+08:00",
    }


def rejected(serial: str) -> Json:
    return {"serial": serial, "result": "rejected", "code": "E042", "message": "购方税号不存在"}
