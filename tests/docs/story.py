"""One story in which every route is asked at least once, and what it answered.

`python -m tests.docs.story` (`make examples`) tells it and writes `leasing/http/examples.json`,
which the OpenAPI document and the documentation page show, and `docs/tour.md`. A test tells it
again and compares. To show a route, ask it in the chapter where it belongs, here or in
`lease_chapters.py`, `side_chapters.py` and `money_chapters.py`, and record anew:

    await staff.get("the sites of a customer", "/v1/sites", party_id=customer["id"])

A list is asked for with a `limit` that keeps it short, and what nobody wants to read, such as a
whole day of readings, goes through `teller.world.staff`, which keeps no record. When two branches
both recorded, merge the story and record anew; whatever is in the two files is overwritten.
"""

import asyncio
import tempfile
from datetime import date, datetime
from pathlib import Path
from uuid import uuid4

import msgspec

from jobs import runner
from jobs.registry import JOBS
from leasing.access.model import Role
from leasing.db.embedded import EmbeddedServer
from leasing.db.pool import connect
from leasing.http import examples
from leasing.http.examples import Examples
from leasing.kit import logs
from leasing.kit.settings import Settings
from leasing.kit.time import midnight
from leasing.outlets import generator
from leasing.outlets import store as outlets
from leasing.outlets.generator import (
    GeneratedOutlet,
    GeneratedQualification,
    GeneratedRecycler,
    Network,
)
from tests import build
from tests.api.stories import settled
from tests.build import Json, World
from tests.conftest import drop, prepare
from tests.docs import (
    alarm_chapters,
    bill_chapters,
    chain_chapters,
    consign_chapters,
    document_chapters,
    lease_chapters,
    maintenance_chapters,
    market_chapters,
    message_chapters,
    money_chapters,
    obligation_chapters,
    outlet_chapters,
    passport_chapters,
    return_chapters,
    route_chapters,
    side_chapters,
    tariff_chapters,
    tour,
)
from tests.docs.side_chapters import CUSTOMER_CODE
from tests.docs.teller import Recorder, Teller, Told, Voice, examples_of

BEGINS_ON = date(2026, 1, 5)

RECYCLER_CODE = "91410100MA9EXABDX5"
VIN = "LZE4C1CB9RA000017"
WORN_CODE = "0EYPB51EXAMPLEBC40000017"
CASCADE_CODE = "0EYPB51FBY0000001RM"
MODULE_CODE = "0EYMB51EXAMPLEBC40000018"


async def tell(world: World) -> list[Told]:
    teller = Teller(world, BEGINS_ON)
    staff = await teller.login(Role.STAFF, "wang.fang")
    await the_service(teller, staff)
    parties = await the_parties(staff)
    customer = await teller.login(Role.CUSTOMER, "dispatch", parties["customer"])
    await side_chapters.contacts(staff, customer, parties["customer"])
    site = await a_site(staff, customer, parties["customer"])
    packs = await two_packs(staff)
    contract, line = await a_contract(staff, customer, parties["customer"], site)
    await the_hand_over(staff, line, packs["worn"])
    await side_chapters.what_is_written(staff, customer, packs["worn"], site["id"], contract)
    await a_weak_pack(teller, staff, customer, packs["worn"])
    await the_swap(staff, customer, line, site["id"], packs)
    await the_lease_in_the_books(staff, contract)
    await the_bill(teller, staff, customer, parties["customer"])
    await the_network(teller, staff)
    await the_recycling(teller, staff, packs["worn"])
    await the_return(teller, staff, line, contract)
    await side_chapters.the_next_lease(teller, staff, customer, parties["customer"], packs["fresh"])
    await lease_chapters.a_whole_lease(teller, staff, customer, parties["customer"])
    await tariff_chapters.a_price_plan(staff)
    await tariff_chapters.what_prices_rest_on(staff, customer, packs["worn"], site["id"], line)
    await looking_back(teller, staff, packs["worn"])
    await timelines(staff, customer, packs["worn"], site["id"], contract)
    await chain_chapters.a_chain_of_records(teller, staff, packs["worn"], packs["fresh"])
    await money_chapters.an_account(teller, staff, customer, parties["customer"], contract)
    await document_chapters.a_bill_for_the_tax_administration(teller, staff)
    await bill_chapters.a_line_in_dispute(staff, customer, parties["customer"])
    await bill_chapters.a_price_a_hundred_times_too_high(teller, staff)
    await bill_chapters.before_and_after_a_run(staff, customer, parties["customer"])
    await alarm_chapters.an_alarm(teller, staff, customer, parties["customer"])
    await maintenance_chapters.chains(staff)
    await maintenance_chapters.a_check_discharge(teller, staff)
    await maintenance_chapters.an_order_given_up(staff)
    await message_chapters.messages(teller, staff, alarm_chapters.ALIKE_CODE)
    await return_chapters.a_return(teller, staff, customer, parties["customer"])
    await consign_chapters.scrap_on_the_road(teller, staff)
    await outlet_chapters.outlets_and_recyclers(teller, staff, customer, parties["recycler"])
    await route_chapters.ways_to_recyclers(teller, staff)
    await passport_chapters.a_passport(teller, staff, packs["fresh"])
    await passport_chapters.a_whole_life(teller, staff, packs["worn"])
    await obligation_chapters.obligations(teller, staff)
    await market_chapters.supply_and_demand(teller, staff, customer, parties["customer"])
    return teller.finished()


async def the_service(teller: Teller, staff: Voice) -> None:
    anybody = teller.anybody()
    await anybody.get("the process answers", "/health/live")
    await anybody.get("the database answers too", "/health/ready")
    await staff.get("a key of the lessor's staff", "/v1/me")
    await anybody.refused("without a key", 401, "GET", "/v1/me")
    await staff.get("a sandbox clock at rest", "/v1/clock")


async def the_parties(staff: Voice) -> dict[str, str]:
    """The lessor, its customer, and a recycler that gains and loses qualifications."""
    lessor = {"kind": "lessor", "name": "示例梯次电池租赁有限公司", "home_adcode": "410100"}
    await staff.post("the lessor itself", "/v1/parties", lessor)
    entered = {
        "kind": "customer",
        "name": "示例铁塔服务有限公司",
        "credit_code": CUSTOMER_CODE,
        "home_adcode": "410100",
    }
    key = "party-91410100MA9EXABC1D"
    customer = await staff.post("a customer", "/v1/parties", entered, key=key)
    await staff.post("the same once more, after a lost answer", "/v1/parties", entered, key=key)
    wrong = {**entered, "credit_code": "91410100MA9EXABC1E"}
    title = "a credit code with a wrong check character"
    await staff.refused(title, 400, "POST", "/v1/parties", wrong)
    firm = {"kind": "recycler", "name": "示例循环科技有限公司", "credit_code": RECYCLER_CODE}
    recycler = await staff.post("a recycler", "/v1/parties", firm)
    await staff.get("customers only", "/v1/parties", kind="customer")
    await staff.get("a customer", f"/v1/parties/{customer['id']}")
    await side_chapters.a_group(staff, customer)
    path = f"/v1/parties/{recycler['id']}"
    filing = {"kind": "filing", "valid_from": "2024-03-01", "document": "豫发改备〔2024〕117号"}
    await staff.post("a filing, without an end", f"{path}/qualifications", filing)
    permit = {
        "kind": "discharge_permit",
        "valid_from": "2025-02-10",
        "valid_to": "2030-02-10",
        "document": "排污许可证 91410100MA9EXABDX5001V",
    }
    await staff.post("a discharge permit of five years", f"{path}/qualifications", permit)
    lost = {
        "kind": "filing",
        "withdrawn_on": "2026-01-05",
        "document": "豫发改撤〔2026〕3号",
    }
    await staff.post("a filing is withdrawn", f"{path}/withdrawals", lost)
    its_own = await staff.teller.login(Role.RECYCLER, "compliance", recycler["id"])
    await its_own.get("a recycler looks at its own papers", f"{path}/qualifications")
    await side_chapters.roles(staff, its_own, recycler["id"])
    return {"customer": customer["id"], "recycler": recycler["id"]}


async def a_site(staff: Voice, customer: Voice, party_id: str) -> Json:
    tower = {
        "party_id": party_id,
        "code": "ZZ-GX-0412",
        "name": "郑州高新区科学大道铁塔",
        "kind": "tower",
        "adcode": "410100",
        "longitude": 113.5607,
        "latitude": 34.8119,
        "datum": "gcj02",
        "site_class": "B",
        "load_w": 1500,
        "required_autonomy_minutes": 180,
    }
    site: Json = await staff.post("a tower", "/v1/sites", tower)
    van = {
        "party_id": party_id,
        "code": "ZZ-V-0017",
        "name": "示例物流车 17 号",
        "kind": "vehicle",
        "adcode": "410100",
        "longitude": 113.62,
        "latitude": 34.75,
        "datum": "wgs84",
        "vin": VIN,
    }
    await staff.post("a vehicle that leases its pack", "/v1/sites", van)
    await customer.get("a customer sees its own", "/v1/sites", limit=1)
    path = f"/v1/sites/{site['id']}"
    await staff.get("a tower", path)
    more = {"load_w": 2200, "required_autonomy_minutes": 240}
    await staff.patch("more equipment was mounted", path, more, version=site["version"])
    late = {"load_w": 1800}
    title = "somebody else was first"
    headers = {"If-Match": '"v1"'}
    await staff.refused(title, 412, "PATCH", path, late, headers=headers)
    return site


async def two_packs(staff: Voice) -> dict[str, str]:
    """A pack as the car maker coded it, and one made of modules, with a code of its own."""
    worn = {
        "code": WORN_CODE,
        "cells_in_series": 16,
        "rated_voltage_mv": 51_200,
        "rated_capacity_mah": 100_000,
        "mass_kg": 46,
        "acquired_on": "2025-12-20",
        "acquired_from": "示例报废机动车回收拆解有限公司",
    }
    first = await staff.post("a retired traction pack", "/v1/packs", worn)
    cascade = {**worn, "code": CASCADE_CODE, "original_codes": [MODULE_CODE]}
    title = "a cascade product with the codes it was made from"
    second = await staff.post(title, "/v1/packs", cascade)
    wrong = {"code": "0EYPB51EXAMPLEBD40000019", "cells_in_series": 0, "mass": 46}
    await staff.refused("everything wrong is said at once", 400, "POST", "/v1/packs", wrong)
    await staff.get("found by a code it carried before", "/v1/packs", code=MODULE_CODE)
    await staff.get("a pack in stock", f"/v1/packs/{first['id']}")
    await side_chapters.what_a_pack_is(staff, first, second)
    return {"worn": first["id"], "fresh": second["id"]}


async def a_contract(staff: Voice, customer: Voice, lessee_id: str, site: Json) -> tuple[str, str]:
    terms = {
        "number": "ZZ-2026-0007",
        "lessee_id": lessee_id,
        "starts_on": "2026-01-01",
        "ends_on": "2029-01-01",
        "vat_percent": "13",
        "payment_days": 30,
        "guarantee_percent": "80",
        "replacement_days": 10,
        "lines": [
            {
                "site_id": site["id"],
                "slot": 1,
                "rated_capacity_mah": 100_000,
                "rent_amount": 31_000,
            }
        ],
    }
    contract = await staff.post("a draft with one line", "/v1/contracts", terms)
    path = f"/v1/contracts/{contract['id']}"
    sooner = {"replacement_days": 7}
    title = "a weak pack is replaced sooner"
    await staff.patch(title, path, sooner, version=contract["version"])
    await staff.post("an offer", f"{path}/offer")
    signed = {"lessor_signatory": "王芳", "lessee_signatory": "李建国"}
    await staff.post("signed by both sides", f"{path}/signature", signed)
    await staff.post("from now on packs may be handed over", f"{path}/activation")
    await customer.get("a customer reads its contract", path)
    await staff.get("of one customer", "/v1/contracts", lessee_id=lessee_id)
    lines = await customer.get("of one contract", "/v1/lines", contract_id=contract["id"])
    return contract["id"], lines["items"][0]["id"]


def joint_test(pack_id: str, on: str, tested_capacity_mah: int) -> Json:
    return {
        "pack_id": pack_id,
        "accepted_on": on,
        "tested_capacity_mah": tested_capacity_mah,
        "lessor_signatory": "王芳",
        "lessee_signatory": "李建国",
        "photo_sha256": ["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
    }


async def the_hand_over(staff: Voice, line_id: str, pack_id: str) -> None:
    await staff.teller.wait_until(date(2026, 1, 11))
    given = joint_test(pack_id, "2026-01-11", 92_000)
    title = "a pack is handed over, tested and signed for"
    await staff.post(title, f"/v1/lines/{line_id}/acceptances", given)


async def a_weak_pack(teller: Teller, staff: Voice, customer: Voice, pack_id: str) -> None:
    """A full charge of 70 Ah shows that the pack has lost more than its guarantee allows."""
    await teller.wait_until(date(2026, 1, 21))
    start = midnight(date(2026, 1, 20))
    reported = [
        {**reading, "at": in_utc(reading["at"])}
        for reading in build.charge_readings(pack_id, start, capacity_ah=70)
    ]
    two = {"readings": reported[-2:]}
    await staff.post("the end of a charge, and the rest after it", "/v1/readings", two)
    await teller.world.staff.post("/v1/readings", {"readings": reported[:-2]})
    asked = {"from_at": reported[60]["at"], "limit": 2}
    await customer.get("from an instant on", f"/v1/packs/{pack_id}/readings", **asked)
    await teller.wait_until(date(2026, 1, 23))
    title = "a breach, with its evidence"
    await customer.get(title, f"/v1/packs/{pack_id}/health-checks", limit=1)
    path = f"/v1/packs/{pack_id}/health/explanation"
    await customer.get("what it rests on, and why", path)
    await what_it_rests_on(staff, customer, pack_id)
    await customer.get("what the lessor still owes", "/v1/duties", open=True)


async def what_it_rests_on(staff: Voice, customer: Voice, pack_id: str) -> None:
    """The charge as a session, the newest values, and who is not heard of."""
    await customer.get("the charge, summed up", f"/v1/packs/{pack_id}/sessions")
    at_ms = round(midnight(date(2026, 1, 22)).timestamp() * 1000)
    columns = {"pack_id": pack_id, "at_ms": [at_ms, at_ms + 60_000], "voltage_v": [52.8, None]}
    columns |= {"current_a": [12.5, 12.4], "soc_percent": [80, None]}
    unknown = {"pack_code": "GATEWAY-7", "at_ms": [at_ms], "voltage_v": [51.2]}
    batch = {"all_or_nothing": False, "packs": [columns, unknown]}
    await staff.post("columns, one of nobody we know", "/v1/readings:columns", batch)
    await staff.get("who that was", "/v1/unmatched-sources")
    await customer.get("what a pack reported last", f"/v1/packs/{pack_id}/telemetry")
    await staff.get("who fell silent", "/v1/silent-packs")
    await staff.get("nothing to doubt", f"/v1/packs/{pack_id}/reading-flags")


def in_utc(at: str) -> str:
    return datetime.fromisoformat(at).isoformat().replace("+00:00", "Z")


async def the_swap(
    staff: Voice, customer: Voice, line_id: str, site_id: str, packs: dict[str, str]
) -> None:
    given = joint_test(packs["fresh"], "2026-01-23", 96_000)
    await staff.post("one pack out, another in", f"/v1/lines/{line_id}/swaps", given)
    await customer.get("what stands at a site now", "/v1/lines", site_id=site_id)
    await customer.get("the replacement came in time", "/v1/duties", line_id=line_id)
    await customer.get("which sites go dark first", "/v1/autonomy", adcode="41", limit=1)
    await customer.get("what each pack adds to that", f"/v1/sites/{site_id}/autonomy")


async def the_lease_in_the_books(staff: Voice, contract_id: str) -> None:
    path = f"/v1/contracts/{contract_id}"
    inputs = {
        "fair_value_amount": 1_500_000,
        "remaining_life_months": 96,
        "unguaranteed_residual_amount": 700_000,
        "annual_rate_percent": "6",
    }
    await staff.post("an operating lease", f"{path}/lease-classification", inputs)
    await staff.get("what was decided", f"{path}/lease-classification")
    await staff.get("rent and income by month", f"{path}/lease-schedule")


async def the_bill(teller: Teller, staff: Voice, customer: Voice, lessee_id: str) -> None:
    """A month passes because the sandbox clock is asked to move, and the worker moves it."""
    to_at = midnight(date(2026, 2, 2)) + build.NOON
    later = {"to_at": msgspec.to_builtins(to_at)}
    await staff.post("ten days on", "/v1/clock/advance", later)
    await runner.tick(teller.world.db, JOBS)
    teller.on = date(2026, 2, 2)
    await staff.get("what was billed", "/v1/billing-runs", limit=1)
    await staff.get("runs of one job", "/v1/job-runs", job="billing", limit=1)
    invoices = await customer.get("a customer sees its own", "/v1/invoices", buyer_id=lessee_id)
    path = f"/v1/invoices/{invoices['items'][0]['id']}"
    await customer.get("a month of rent", path)
    await customer.get("two packs in one month, each for its days", f"{path}/lines")
    auditor = await teller.login(Role.AUDITOR, "auditor")
    await auditor.get("after the first month", "/v1/ledger/trial-balance")
    await auditor.get("the chart of accounts", "/v1/ledger/accounts")
    of_it = {"source": "invoice", "source_id": invoices["items"][0]["id"]}
    entries = await auditor.get("what an invoice posted", "/v1/journal-entries", **of_it)
    await auditor.get("one entry", f"/v1/journal-entries/{entries['items'][0]['id']}")
    month = "/v1/accounting-periods/2026-01"
    await auditor.get("is January in order?", month)
    await staff.post("January is closed", f"{month}/closing")
    wrong = {"reason": "审计调整"}
    await staff.post("and opened again", f"{month}/reopening", wrong)
    await auditor.get("months that were closed once", "/v1/accounting-periods")


# No route enters outlets yet: the network of the country is generated. These are two of it.
RECYCLER = GeneratedRecycler(
    name_zh="示例再生利用企业 26",
    name_en="Generated recycler 26",
    home_adcode="410200",
    credit_code="91410200EXAMPLE26J",
    qualifications=tuple(
        GeneratedQualification(kind, f"GENERATED-{kind}-26", date(2025, 1, 1), date(2030, 1, 1))
        for kind in ("filing", "eia", "discharge_permit")
    ),
)


def generated_outlet(number: int, longitude: float, store_limit_kg: int) -> GeneratedOutlet:
    code = f"4101-{number:04}"
    return GeneratedOutlet(
        code=code,
        name_zh=f"示例回收服务网点 郑州市 {code}",
        name_en=f"Generated outlet Zhengzhou {code}",
        kind="collecting",
        adcode="410100",
        longitude=longitude,
        latitude=34.84447,
        store_limit_kg=store_limit_kg,
        chemistries=("B", "E"),
        hazard_classes=("intact",),
        recycler=0,
    )


async def the_network(teller: Teller, staff: Voice) -> None:
    near, far = generated_outlet(93, 113.53887, 40), generated_outlet(99, 113.44851, 4000)
    network = Network(generator.NOTE, generator.DEFAULT_SEED, BEGINS_ON, (RECYCLER,), (near, far))
    async with teller.world.db.transaction() as tx:
        await outlets.insert_network(tx, network, midnight(BEGINS_ON))
    await staff.get("of one prefecture", "/v1/outlets", adcode="410100", limit=1)
    await staff.get("a network of two", "/v1/outlets/coverage")


async def the_recycling(teller: Teller, staff: Voice, pack_id: str) -> None:
    path = f"/v1/packs/{pack_id}"
    found = {
        "inspected_on": "2026-02-01",
        "grade": "D",
        "hazard": "intact",
        "tested_capacity_mah": 69_400,
        "remarks": "外观完好,容量低于保证值",
        "lessor_signatory": "王芳",
        "lessee_signatory": "李建国",
    }
    await staff.post("looked at by both sides", f"{path}/inspections", found)
    verdict = {"decision": "recycle", "decided_on": "2026-02-02", "reason": "容量不足 70 %"}
    await staff.post("declared waste", f"{path}/dispositions", verdict)
    stored = {"received_on": "2026-02-02"}
    await staff.post("brought into the lessor's store", f"{path}/waste-receipt", stored)
    planned = {"hand_over_on": "2026-02-04"}
    title = "the nearest has no room, the next takes it"
    first = await staff.post(title, f"{path}/routings", planned)
    given_up = {"released_on": "2026-02-02", "reason": "运输车辆改期"}
    await staff.post("given up", f"/v1/routings/{first['id']}/release", given_up)
    later = {"hand_over_on": "2026-02-05"}
    routing = await staff.post("planned anew", f"{path}/routings", later)
    recycler = await teller.login(Role.RECYCLER, "gate", routing["recycler_id"])
    await recycler.get("what is on its way", "/v1/routings", state="reserved")
    await staff.get("with the reasons for the choice", f"/v1/routings/{routing['id']}")
    await teller.wait_until(date(2026, 2, 5))
    handed = {"handed_over_on": "2026-02-05"}
    await staff.post("at the gate", f"/v1/routings/{routing['id']}/hand-over", handed)
    await teller.wait_until(date(2026, 2, 12))
    certificate = {
        "number": "HN-ZS-2026-00381",
        "recycled_on": "2026-02-12",
        "lithium_percent": "91.5",
    }
    await staff.post("lithium recovered", f"/v1/routings/{routing['id']}/certificate", certificate)


async def the_return(teller: Teller, staff: Voice, line_id: str, contract_id: str) -> None:
    await teller.wait_until(date(2026, 2, 15))
    back = {
        "returned_on": "2026-02-15",
        "tested_capacity_mah": 95_800,
        "lessor_signatory": "王芳",
        "lessee_signatory": "李建国",
    }
    await staff.post("the pack goes back, rent stops", f"/v1/lines/{line_id}/returns", back)
    await staff.post("all packs are back", f"/v1/contracts/{contract_id}/end")


async def looking_back(teller: Teller, staff: Voice, pack_id: str) -> None:
    auditor = await teller.login(Role.AUDITOR, "traceability")
    await auditor.get("from purchase to recycling", f"/v1/packs/{pack_id}/life")
    await settled(teller.world)
    page = await auditor.get("from the beginning", "/v1/events", limit=2)
    await auditor.get("and on from there", "/v1/events", limit=1, cursor=page["next_cursor"])


async def timelines(
    staff: Voice, customer: Voice, pack_id: str, site_id: str, contract_id: str
) -> None:
    path = f"/v1/contracts/{contract_id}/timeline"
    page = await staff.get("from the first draft on", path, limit=2)
    await staff.get("and on from there", path, limit=1, cursor=page["next_cursor"])
    evening = {"until": "2026-01-23", "as_of": "2026-01-23", "limit": 2}
    title = "a site as a customer knew it one evening"
    await customer.get(title, f"/v1/sites/{site_id}/timeline", **evening)
    await customer.get("what stood there then", f"/v1/sites/{site_id}/packs", on="2026-01-23")
    await staff.get("a pack's own", f"/v1/packs/{pack_id}/timeline", limit=2)
    title = "who had the pack from day to day, and on one"
    await staff.get(title, f"/v1/packs/{pack_id}/custody", on="2026-01-22")


def written(examples: Examples) -> bytes:
    return msgspec.json.format(msgspec.json.encode(examples), indent=1) + b"\n"


async def play(dsn: str) -> list[Told]:
    """The story on a database of its own."""
    settings = Settings(
        schema=f"story_{uuid4().hex[:8]}",
        pool_size=8,
        key_memory_seconds=0.0,
        signing_passphrase="only of this story",
    )
    await prepare(dsn, settings)
    try:
        async with await connect(dsn, settings) as db, build.world(db, on=BEGINS_ON) as world:
            # What is done off stage may be done before the document has learnt of it.
            world.staff.documented_headers = Recorder.documented_headers
            return await tell(world)
    finally:
        await drop(dsn, settings)


def main() -> None:
    logs.configure("error")
    examples.FILE.write_bytes(written({}))  # the service must start, whatever a merge left here
    with tempfile.TemporaryDirectory(prefix="leasing-story-") as folder:
        Path(folder).chmod(0o711)
        with EmbeddedServer.start(Path(folder) / "postgres") as server:
            told = asyncio.run(play(server.dsn))
    examples.FILE.write_bytes(written(examples_of(told)))
    tour.FILE.write_text(tour.page(told), "utf-8")


if __name__ == "__main__":
    main()
