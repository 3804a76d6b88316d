"""Lists: page by page nothing twice and nothing missed, and no cursor that is not ours."""

import base64
import json
import re
from datetime import date
from typing import Any
from uuid import UUID

import pytest

from leasing.db.pool import Database
from leasing.kit.time import midnight
from tests import build
from tests.api import stories
from tests.build import Client

LISTS = [
    "/v1/parties",
    "/v1/outlets",
    "/v1/packs",
    "/v1/sites",
    "/v1/contracts",
    "/v1/lines",
    "/v1/duties",
    "/v1/fees",
    "/v1/incidents",
    "/v1/quotes",
    "/v1/invoices",
    "/v1/billing-runs",
    "/v1/receivables",
    "/v1/payments",
    "/v1/allocations",
    "/v1/refunds",
    "/v1/dunning-notices",
    "/v1/dunning-pauses",
    "/v1/interest-terms",
    "/v1/interest-accruals",
    "/v1/ancillary-vat",
    "/v1/journal-entries",
    "/v1/accounting-periods",
    "/v1/routings",
    "/v1/return-orders",
    "/v1/return-settlements",
    "/v1/inspections",
    "/v1/inspection-forms",
    "/v1/dispositions",
    "/v1/disposition-bands",
    "/v1/consignments",
    "/v1/carrier-permits",
    "/v1/recovery-batches",
    "/v1/deals",
    "/v1/job-runs",
    "/v1/events",
    "/v1/tags",
    "/v1/alarms",
    "/v1/quarantines",
    "/v1/safety-holds",
    "/v1/alarm-limits",
    "/v1/work-orders",
    "/v1/test-rules",
    "/v1/trace-heads",
    "/v1/tagged",
    "/v1/custom-fields",
    "/v1/disputes",
    "/v1/einvoices",
    "/v1/obligations",
    "/v1/obligation-rules",
    "/v1/submissions",
    f"/v1/packs/{UUID(int=1)}/obligations",
    "/v1/red-letters",
    "/v1/price-plans",
    "/v1/meter-readings",
    "/v1/outages",
    "/v1/site-tenancies",
    "/v1/price-indexes",
    "/v1/market-needs",
    "/v1/market-offers",
    "/v1/market-runs",
    "/v1/market-proposals",
    "/v1/autonomy",
    "/v1/silent-packs",
    "/v1/unmatched-sources",
    "/v1/unread-messages",
    "/v1/passport-declarations",
    "/v1/outlets/directory",
    "/v1/recycler-notices",
    "/v1/withdrawals",
    "/v1/scrap-offers",
    "/v1/routing-terms",
    "/v1/province-rules",
    "/v1/outlet-firms",
    "/v1/treatment-capacities",
    "/v1/routing-plans",
    "/v1/reroutings",
    f"/v1/packs/{UUID(int=1)}/readings",
    f"/v1/packs/{UUID(int=1)}/sessions",
    f"/v1/packs/{UUID(int=1)}/reading-flags",
    f"/v1/packs/{UUID(int=1)}/health-checks",
    f"/v1/packs/{UUID(int=1)}/capacity-tests",
]


def cursor(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


AN_ID, AN_INSTANT = str(UUID(int=7)), "2026-01-01T00:00:00Z"

# What each kind of list puts into its cursors.
OURS = {
    "/v1/events": ["12", AN_ID],
    "/v1/accounting-periods": ["2026-01-01"],
    "/v1/trace-heads": ["2026-01-01"],
    "/readings": [AN_INSTANT],
    "/v1/autonomy": [7, AN_ID],
    "/v1/obligations": ["2026-01-01", AN_ID],
    "/sessions": [AN_INSTANT],
    "/reading-flags": [AN_INSTANT, "stuck", "soc_percent"],
    "/v1/unmatched-sources": ["device", "FSU-7", 1],
}

FOREIGN: list[Any] = [
    [AN_ID],
    ["12", AN_ID],
    [AN_INSTANT],
    ["no number", AN_ID],
    ["-1", AN_ID],
    ["9" * 25, AN_ID],
    [" 1", AN_ID],
    ["1\n", AN_ID],
    ["\u0661", AN_ID],
    ["2026-01-01T00:00:00"],
    ["0001-01-01T00:00:00+14:00"],
    [AN_ID, AN_ID],
    [],
    None,
    {},
    12,
    AN_ID,
    [None],
    b"\xff\xfe\xfd",
    b"",
    b"[",
    b'["\xff"]',
]


def is_ours(path: str, value: Any) -> bool:
    expected = next((own for end, own in OURS.items() if path.endswith(end)), [AN_ID])
    return bool(value == expected)


@pytest.mark.parametrize("path", LISTS)
def test_a_cursor_that_is_not_of_this_list_is_refused(database, path):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            texts = ["!", "é", "a", "%00", "=", "A" * 5000]
            texts += [cursor(value) for value in FOREIGN if not is_ours(path, value)]
            for text in texts:
                answer = await world.staff.ask("GET", path, params={"cursor": text})
                assert answer.status_code == 400, (text, answer.text)
                assert [error["pointer"] for error in answer.json()["errors"]] in (["?cursor"], [])
            for own in [value for value in FOREIGN if is_ours(path, value)]:
                await world.staff.get(path, cursor=cursor(own))

    database(scenario)


def test_every_list_has_a_maximum_and_says_so(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            documented = {
                path
                for path, item in world.openapi["paths"].items()
                if "next_cursor" in json.dumps(page_schema(world.openapi, item))
            }
            concrete = {re.sub(r"/[0-9a-f-]{36}/", "/{pack_id}/", path) for path in LISTS}
            # These ask first whether there is such an invoice, party, field, line or thing.
            below = {f"/v1/{kind}s/{{{kind}_id}}" for kind in ("pack", "site", "contract")}
            assert documented - concrete == {
                "/v1/contracts/{contract_id}/deposit-movements",
                # This asks for days.
                "/v1/obligations/counts",
                "/v1/billing-runs/{run_id}/contracts",
                "/v1/billing-runs/{run_id}/held-lines",
                "/v1/invoices/{invoice_id}/lines",
                "/v1/parties/{party_id}/charges",
                "/v1/lines/{line_id}/candidates",
                "/v1/price-plans/{plan_id}/versions",
                "/v1/parties/{party_id}/contacts",
                "/v1/parties/{party_id}/roles",
                "/v1/outlets/{outlet_id}/limits",
                "/v1/outlets/{outlet_id}/duties",
                "/v1/custom-fields/{field_id}/subjects",
                *[f"{path}/notes" for path in below],
                *[f"{path}/attachments" for path in below],
                *[f"{path}/timeline" for path in below],
                "/v1/sites/{site_id}/packs",
                "/v1/deals/{deal_id}/ledger",
                "/v1/routing-plans/{plan_id}/items",
                "/v1/market-runs/{run_id}/bins",
                "/v1/market-runs/{run_id}/unserved",
            }
            assert concrete <= documented
            for path in LISTS:
                for limit in (0, -1, 201, 10**20):
                    problem = await world.staff.ask("GET", path, params={"limit": limit})
                    assert problem.status_code == 400, (path, limit)
                await world.staff.get(path, limit=200)

    database(scenario)


def page_schema(openapi: Any, item: Any) -> Any:
    """What a GET answers with, one reference resolved."""
    if "get" not in item:
        return {}
    content = item["get"]["responses"].get("200", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema", {})
    if "$ref" in schema:
        return openapi["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


async def pages(client: Client, path: str, limit: int, **query: Any) -> list[list[Any]]:
    found, after = [], None
    while True:
        page = await client.get(path, limit=limit, **query, **({"cursor": after} if after else {}))
        found.append(page["items"])
        after = page["next_cursor"]
        if after is None:
            return found


def test_pages_put_together_are_the_whole_list(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lessee = await build.customer(world)
            made = [(await build.site(world, lessee["id"]))["id"] for _ in range(7)]
            for limit, lengths in ((3, [3, 3, 1]), (7, [7]), (8, [7]), (1, [1] * 7)):
                found = await pages(world.staff, "/v1/sites", limit)
                assert [len(page) for page in found] == lengths
                assert [one["id"] for page in found for one in page] == made
            assert await pages(world.staff, "/v1/sites", 3, party_id=AN_ID) == [[]]

    database(scenario)


def test_a_list_that_grows_while_it_is_read_shows_nothing_twice_and_misses_nothing(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lessee, other = [await build.customer(world) for _ in range(2)]
            made = [(await build.site(world, lessee["id"]))["id"] for _ in range(6)]
            seen: list[str] = []
            after: dict[str, Any] = {}
            for _ in range(20):
                page = await world.staff.get("/v1/sites", limit=2, **after)
                seen += [one["id"] for one in page["items"]]
                if page["next_cursor"] is None:
                    break
                after = {"cursor": page["next_cursor"]}
                if len(seen) <= 6:
                    made.append((await build.site(world, other["id"]))["id"])
            assert seen == made

    database(scenario)


def test_readings_are_paged_by_instant_within_their_bounds(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            pack = await build.pack(world)
            start = midnight(date(2026, 6, 1))
            # Across the end of a month, and with fractions of a second.
            instants = [
                (start + stories.hours(-3 + hour)).replace(microsecond=hour) for hour in range(7)
            ]
            readings = [
                {"pack_id": pack["id"], "at": at.isoformat(), "voltage_v": 50, "current_a": 0}
                for at in instants
            ]
            await world.staff.post("/v1/readings", {"readings": readings})
            path = f"/v1/packs/{pack['id']}/readings"
            found = await pages(world.staff, path, 2)
            times = [one["at"].replace("Z", "+00:00") for page in found for one in page]
            assert times == [at.isoformat() for at in instants]
            bounds = {"from_at": instants[1].isoformat(), "to_at": instants[5].isoformat()}
            found = await pages(world.staff, path, 3, **bounds)
            assert [len(page) for page in found] == [3, 1]

    database(scenario)
