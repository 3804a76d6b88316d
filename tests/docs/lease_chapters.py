"""Chapters about one lease of several lines: everything that may happen to it until another lessee
takes it over and ends it early."""

from datetime import date
from typing import Any

from tests import build
from tests.build import Json
from tests.docs.teller import Teller, Voice

CODES = [f"0EYPB51EXAMPLEBC400001{number:02}" for number in range(1, 5)]
BATCH_CODES = [f"0EYPB51EXAMPLEBC400002{number:02}" for number in range(1, 4)]
SIGNED = {"lessor_signatory": "王芳", "lessee_signatory": "李建国"}


async def a_whole_lease(teller: Teller, staff: Voice, customer: Voice, lessee_id: str) -> None:
    await teller.wait_until(date(2026, 2, 18))
    quiet = staff.client
    towers = [await a_tower(quiet, lessee_id, number) for number in (1, 2)]
    packs = [await a_pack(quiet, code) for code in CODES]
    contract, lines = await from_draft_to_force(staff, lessee_id, towers[0])
    path = f"/v1/contracts/{contract}"
    await teller.wait_until(date(2026, 2, 20))
    for line, pack in zip(lines, packs, strict=False):
        given = build.acceptance(pack, "2026-02-20") | SIGNED
        await quiet.post(f"/v1/lines/{line}/acceptances", given)
    await a_roll_out(staff, lessee_id)
    await a_change_of_place_and_pause(teller, staff, customer, lines, towers[1])
    await a_theft(teller, staff, customer, lines[2])
    await other_terms(teller, staff, customer, path, lines[0])
    await a_settlement(staff, path)
    await a_purchase(teller, staff, customer, contract, lines)
    await notice_and_renewal(teller, staff, path)
    await another_lessee(teller, staff, contract)


async def a_tower(quiet: Any, party_id: str, number: int) -> str:
    site = await quiet.post(
        "/v1/sites",
        {
            "party_id": party_id,
            "code": f"ZZ-EQ-{number:04}",
            "name": f"郑州二七区 {number} 号塔",
            "kind": "tower",
            "adcode": "410100",
            "longitude": 113.64,
            "latitude": 34.72,
            "datum": "gcj02",
        },
    )
    return str(site["id"])


async def a_pack(quiet: Any, code: str) -> str:
    pack = await quiet.post(
        "/v1/packs",
        {
            "code": code,
            "cells_in_series": 16,
            "rated_voltage_mv": 51_200,
            "rated_capacity_mah": 100_000,
            "mass_kg": 46,
            "acquired_on": "2026-02-16",
            "acquired_from": "示例报废机动车回收拆解有限公司",
        },
    )
    return str(pack["id"])


async def from_draft_to_force(staff: Voice, lessee_id: str, tower: str) -> tuple[str, list[str]]:
    line = {"site_id": tower, "rated_capacity_mah": 100_000, "rent_amount": 30_000}
    terms = {
        "number": "ZZ-2026-0042",
        "lessee_id": lessee_id,
        "starts_on": "2026-02-19",
        "ends_on": "2029-02-19",
        "vat_percent": "13",
        "payment_days": 30,
        "guarantee_percent": "80",
        "replacement_days": 7,
        "autonomy_minutes": 180,
        "notice_days": 90,
        "renewal": "negotiated",
        "early_termination": {"kind": "months_of_rent", "months": 3},
        "buy_out": {
            "kind": "declining",
            "amount": 300_000,
            "monthly_percent": "1.5",
            "floor_amount": 60_000,
        },
        "escalator": {"kind": "fixed", "percent": "1", "every_months": 3},
        "lines": [{**line, "slot": slot} for slot in (1, 2, 3, 4)],
    }
    number, lines = terms.pop("number"), terms.pop("lines")
    terms.pop("lessee_id")
    positions = {"rated_capacity_mah": 100_000, "rent_amount": 30_000, "count": 4}
    longer = {"ends_on": "2030-02-19", "escalator": {"kind": "none"}, "label": "四年,租金不变"}
    both = [
        {**terms, "label": "三年,每季上调 1 %", "lines": [positions]},
        {**terms, **longer, "lines": [positions]},
    ]
    await a_short_quote(staff)
    quote = {"lessee_id": lessee_id, "valid_to": "2026-02-28", "alternatives": both}
    made = await staff.client.post("/v1/quotes", quote)
    await staff.get("what was offered to a customer", "/v1/quotes", lessee_id=lessee_id)
    accepted = {"alternative": 1, "number": number, "site_ids": [tower]}
    title = "the first alternative, at one tower"
    path = f"/v1/quotes/{made['id']}"
    contract = await staff.post(title, f"{path}/acceptance", accepted)
    terms |= {"number": number, "lessee_id": lessee_id, "lines": lines}
    bike = {**terms, "number": "ZZ-2026-0043", "permitted_use": "e_bike"}
    title = "a use that the law forbids"
    await staff.refused(title, 400, "POST", "/v1/contracts", bike)
    path = f"/v1/contracts/{contract['id']}"
    await staff.post("the lessee wants more", f"{path}/offer-withdrawal")
    more = {"from_on": "2026-02-19", "lines": [{**line, "slot": 5}]}
    added = await staff.post("one position more", f"{path}/lines", more)
    await staff.client.post(f"{path}/offer")
    await staff.post("both sides signed", f"{path}/signature", SIGNED)
    await staff.post("into force", f"{path}/activation")
    other = {**terms, "number": "ZZ-2026-0044", "lines": []}
    given_up = await staff.client.post("/v1/contracts", other)
    await staff.post("never signed", f"/v1/contracts/{given_up['id']}/cancellation")
    page = await staff.client.get("/v1/lines", contract_id=contract["id"])
    lines = sorted(page["items"], key=lambda one: one["slot"])
    assert lines[-1]["id"] == added["line_ids"][0]
    return contract["id"], [one["id"] for one in lines]


async def a_roll_out(staff: Voice, lessee_id: str) -> None:
    """Towers, packs, positions and hand-overs of a second contract, many rows at a time."""
    place = {
        "party_id": lessee_id,
        "name": "郑州批量起租塔",
        "kind": "tower",
        "adcode": "410100",
        "longitude": 113.66,
        "latitude": 34.75,
        "datum": "gcj02",
    }
    towers = {"rows": [{**place, "code": f"ZZ-RO-{number:04}"} for number in (1, 2)]}
    made = await staff.post("two towers", "/v1/sites:batch", towers)
    sites = [row["id"] for row in made["rows"]]
    pack = {
        "cells_in_series": 16,
        "rated_voltage_mv": 51_200,
        "rated_capacity_mah": 100_000,
        "mass_kg": 46,
        "acquired_on": "2026-02-16",
        "acquired_from": "示例报废机动车回收拆解有限公司",
    }
    bought = {"rows": [{**pack, "code": code} for code in [*BATCH_CODES, BATCH_CODES[0]]]}
    title = "three packs, and one that is there already"
    made = await staff.post(title, "/v1/packs:batch", bought)
    packs = [row["id"] for row in made["rows"]]
    terms = {
        "number": "ZZ-2026-0100",
        "lessee_id": lessee_id,
        "starts_on": "2026-02-19",
        "ends_on": "2029-02-19",
        "vat_percent": "13",
        "payment_days": 30,
        "guarantee_percent": "80",
        "replacement_days": 7,
    }
    contract = await staff.client.post("/v1/contracts", terms | {"lines": []})
    path = f"/v1/contracts/{contract['id']}"
    line = {"from_on": "2026-02-19", "rated_capacity_mah": 100_000, "rent_amount": 31_000}
    positions = {"rows": [{**line, "site_id": site, "slot": 1} for site in sites]}
    made = await staff.post("a position at each tower", f"{path}/lines:batch", positions)
    lines = [row["id"] for row in made["rows"]]
    await build.put_into_force(staff.client, contract["id"])
    tests = [build.acceptance(one, "2026-02-20") | SIGNED for one in packs[:3]]
    both = {
        "all_or_nothing": True,
        "rows": [{"line_id": lines[0], **tests[0]}, {"line_id": lines[1], **tests[0]}],
    }
    title = "one pack twice, and all or nothing"
    await staff.refused(title, 409, "POST", "/v1/acceptances:batch", both)
    both["rows"][1] = {"line_id": lines[1], **tests[1]}
    await staff.post("both signed for", "/v1/acceptances:batch", both)
    await staff.teller.wait_until(date(2026, 2, 21))
    fresh = {"rows": [{"line_id": lines[0], **tests[2], "accepted_on": "2026-02-21"}]}
    await staff.post("one for another", "/v1/swaps:batch", fresh)
    test = build.returned("2026-02-21") | SIGNED
    back = {"rows": [{"line_id": lines[1], **test}, {"line_id": lines[1], **test}]}
    await staff.post("one goes back, and it was sent twice", "/v1/returns:batch", back)


async def a_short_quote(staff: Voice) -> None:
    """Two months, so that the schedule can be read at a glance."""
    pack = {"rated_capacity_mah": 100_000, "count": 20}
    short = {
        "starts_on": "2026-03-16",
        "ends_on": "2026-05-01",
        "vat_percent": "13",
        "payment_days": 30,
        "guarantee_percent": "80",
        "replacement_days": 7,
    }
    rented = {**short, "label": "只租", "lines": [{**pack, "rent_amount": 31_000}]}
    bought = {
        **short,
        "label": "可买断",
        "lines": [{**pack, "rent_amount": 36_000}],
        "buy_out": {"kind": "fixed", "amount": 250_000},
    }
    wanted = {"valid_to": "2026-03-10", "alternatives": [rented, bought]}
    title = "two alternatives for somebody who is no customer yet"
    quote = await staff.post(title, "/v1/quotes", wanted)
    await staff.get("with every month of each alternative", f"/v1/quotes/{quote['id']}")


async def a_change_of_place_and_pause(
    teller: Teller, staff: Voice, customer: Voice, lines: list[str], tower: str
) -> None:
    await teller.wait_until(date(2026, 3, 15))
    first, second = f"/v1/lines/{lines[0]}", f"/v1/lines/{lines[1]}"
    paused = {"from_on": "2026-03-01", "reason": "站点停电改造"}
    await staff.post("no rent while the mains are rebuilt", f"{first}/suspension", paused)
    await staff.post("ten days later", f"{first}/resumption", {"from_on": "2026-03-11"})
    moved = {"site_id": tower, "slot": 1, "moved_on": "2026-03-15", "reason": "基站搬迁"}
    await staff.post("to another tower", f"{second}/relocations", moved)
    await customer.get("position and rent of every day", f"{first}/revisions")
    await customer.get("the same pack at two places", f"{second}/placements")
    await customer.get("where it was before", second, on="2026-03-14")


async def a_theft(teller: Teller, staff: Voice, customer: Voice, line: str) -> None:
    await teller.wait_until(date(2026, 3, 20))
    stolen = {
        "kind": "stolen",
        "happened_on": "2026-03-19",
        "description": "机柜被撬,电池组被盗",
        "police_report": "郑公(二七)受案字〔2026〕1187号",
        "liable": "open",
    }
    incident = await staff.post("a pack is stolen", f"/v1/lines/{line}/incidents", stolen)
    await customer.get("of one line", "/v1/incidents", line_id=line)
    ended = {"ended_on": "2026-03-31"}
    await teller.wait_until(date(2026, 3, 31))
    await staff.post("not replaced", f"/v1/lines/{line}/loss", ended)
    found = {"found_on": "2026-03-31"}
    await staff.post("the police found it", f"/v1/incidents/{incident['id']}/found", found)


async def other_terms(teller: Teller, staff: Voice, customer: Voice, path: str, line: str) -> None:
    contract = await staff.client.get(path)
    amended = {
        "from_on": "2026-03-01",
        "reason": "补充协议一",
        "terms": {"payment_days": 45},
        "rents": [{"line_id": line, "rent_amount": 28_500}],
    }
    headers = {"If-Match": f'"v{contract["version"]}"'}
    title = "a lower rent, agreed for a day that is past"
    await staff.ask(title, "POST", f"{path}/amendments", json=amended, headers=headers)
    title = "the second editor is told what differs"
    late = {"from_on": "2026-03-01", "reason": "补充协议二", "terms": {"payment_days": 60}}
    await staff.refused(title, 412, "POST", f"{path}/amendments", json=late, headers=headers)
    await customer.get("what held when", f"{path}/revisions")
    await customer.get("as it was on a day", path, on="2026-02-28")
    paused = {"from_on": "2026-04-01", "reason": "双方协商停租"}
    await staff.post("the whole contract rests", f"{path}/suspension", paused)
    await staff.post("and goes on", f"{path}/resumption", {"from_on": "2026-04-03"})
    await teller.wait_until(date(2026, 5, 20))
    title = "the first step of the escalator"
    await staff.post(title, f"{path}/escalations", {"from_on": "2026-05-19"})


async def a_settlement(staff: Voice, path: str) -> None:
    title = "ended in June, or bought"
    await staff.get(title, f"{path}/settlement", on="2026-06-15")


async def a_purchase(
    teller: Teller, staff: Voice, customer: Voice, contract: str, lines: list[str]
) -> None:
    bought = {"bought_on": "2026-05-20"}
    await staff.post("the lessee buys a pack", f"/v1/lines/{lines[3]}/buy-out", bought)
    given_up = {"on": "2026-05-20"}
    title = "a position that never had a pack"
    await staff.post(title, f"/v1/lines/{lines[4]}/removal", given_up)
    await customer.get("what is owed beside rent", "/v1/fees", contract_id=contract)


async def notice_and_renewal(teller: Teller, staff: Voice, path: str) -> None:
    notice = {"given_on": "2026-05-20", "ending_on": "2029-02-19", "reason": "网络调整"}
    await staff.post("it will not go on", f"{path}/notice", notice)
    await staff.post("or perhaps it will", f"{path}/notice-withdrawal")
    await staff.post("for another year", f"{path}/renewals", {"months": 12, "reason": "续租"})


async def another_lessee(teller: Teller, staff: Voice, contract: str) -> None:
    other: Json = await staff.client.post(
        "/v1/parties", {"kind": "customer", "name": "示例能源服务有限公司"}
    )
    taken = {
        "number": "ZZ-2026-0042-B",
        "lessee_id": other["id"],
        "from_on": "2026-05-20",
        **SIGNED,
        "new_lessee_signatory": "周敏",
    }
    title = "another lessee takes it over"
    successor = await staff.post(title, f"/v1/contracts/{contract}/transfers", taken)
    early = {"on": "2026-06-30", "reason": "业务终止"}
    title = "and ends it early, at three months' rent"
    await staff.post(title, f"/v1/contracts/{successor['id']}/termination", early)
