"""Invoices to make documents of: a small one through the API, a large one beside it."""

import csv
import io
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

import httpx

from leasing.db.pool import Database
from leasing.documents import store
from leasing.documents.model import Named
from tests import build
from tests.api.stories import run_job
from tests.billing import steps
from tests.build import Client, Json, World

SELLER = {
    "kind": "lessor",
    "name": "梯次能源租赁(河南)有限公司",
    "name_en": "Cascade Energy Leasing (Henan) Co., Ltd.",
    "registered_address": "郑州市高新区科学大道1号",
}


async def a_bill(world: World, **terms: Any) -> Json:
    """A lessor and a lease that was billed for January; the invoice with its parties."""
    seller = await world.staff.post("/v1/parties", SELLER)
    await world.set_clock(date(2026, 1, 11))
    lease = await build.leased_pack(world, "2026-01-11", **terms)
    await run_job(world, "billing", steps.FEBRUARY)
    (invoice,) = await steps.invoices_of(world, lease["customer"])
    return {**lease, "seller": seller, "invoice": invoice}


async def document(client: Client, invoice: Json, **query: str) -> httpx.Response:
    answer = await client.ask("GET", f"/v1/invoices/{invoice['id']}/document", params=query)
    assert answer.status_code == 200, answer.text
    return answer


async def load(db: Database, invoice_id: str | UUID) -> Named:
    async with db.transaction(read_only=True) as tx:
        return await store.load(tx, UUID(str(invoice_id)))


def csv_rows(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def minor(text: str | float, digits: int = 2) -> int:
    return int((Decimal(str(text)) * 10**digits).to_integral_value())
