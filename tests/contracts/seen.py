"""What the database says about leases, day by day, and what must be true of it on every day."""

import itertools
from collections import Counter
from collections.abc import Iterable
from typing import Any

from leasing.db.pool import Connection
from tests.contracts.model import FOREVER, HORIZON, IN_FORCE, START, Book, Position

Row = dict[str, Any]
Tables = dict[str, list[Row]]

DAY = f"- DATE '{START}'"

# Days are counted from the start of the model's time, names are ids.
TABLES = {
    "contracts": f"""
SELECT contract.id, contract.lessee_id, state, offered_at, signed_at, activated_at, suspended_at,
       ending_at, ended_at, cancelled_at, ending_reason AS reason,
       ending_on {DAY} AS ending, ended_on {DAY} AS ended
  FROM contract""",
    "terms_of_time": f"""
SELECT contract_id, kind, lower(during) {DAY} AS from_day, upper(during) {DAY} AS to_day
  FROM contract_term
 ORDER BY contract_id, lower(during)""",
    "contract_revisions": f"""
SELECT contract_id, lower(during) {DAY} AS from_day, upper(during) {DAY} AS to_day,
       jsonb_build_object(
         'payment_days', payment_days, 'guarantee_percent', guarantee_percent::int,
         'notice_days', notice_days, 'renewal', renewal, 'renewal_months', renewal_months,
         'minimum_months', minimum_months, 'early_termination', early_termination,
         'buy_out', buy_out, 'escalator', escalator) AS terms
  FROM contract_revision""",
    "lines": f"""
SELECT id, contract_id, lessee_id, from_on {DAY} AS begins, started_on {DAY} AS started,
       ended_on {DAY} AS ended, end_reason AS reason
  FROM lease_line""",
    "line_revisions": f"""
SELECT line_id, contract_id, lower(during) {DAY} AS from_day, upper(during) {DAY} AS to_day,
       party_id AS customer, code, slot, rated_capacity_mah AS capacity, rent_amount AS rent,
       suspended, base_rent_amount AS agreed_rent, base_from_on {DAY} AS agreed_for
  FROM line_revision
  JOIN site ON site.id = site_id""",
    "placements": f"""
SELECT placement.line_id, placement.pack_id, placement.site_id, party_id AS customer, code, slot,
       accepted_on {DAY} AS accepted,
       lower(placement.during) {DAY} AS from_day, upper(placement.during) {DAY} AS to_day
  FROM placement
  JOIN site ON site.id = placement.site_id
  JOIN acceptance ON acceptance.id = acceptance_id""",
    "acceptances": "SELECT line_id, pack_id, remarks FROM acceptance",
    "returns": f"""
SELECT line_id, pack_id, reason, returned_on {DAY} AS day
  FROM pack_return""",
    "incidents": f"""
SELECT id, line_id, pack_id, kind, happened_on {DAY} AS happened, found_on {DAY} AS found
  FROM incident""",
    "fees": f"SELECT line_id, component, owed_on {DAY} AS day, amount FROM fee",
    "packs": f"SELECT id, state, acquired_on {DAY} AS acquired FROM pack",
    "reinstated": f"""
SELECT pack_id, decided_on {DAY} AS day
  FROM disposition""",
    "told": "SELECT count(*) AS events FROM domain_event",
}
READ = "SELECT jsonb_build_object({})".format(
    ", ".join(
        f"'{name}', (SELECT coalesce(jsonb_agg(to_jsonb(one)), '[]') FROM ({sql}) AS one)"
        for name, sql in TABLES.items()
    )
)


async def tables(tx: Connection) -> Tables:
    found: Tables = await tx.fetchval(READ)
    return found


def days(row: Row) -> range:
    return range(row["from_day"], HORIZON if row["to_day"] is None else row["to_day"])


# What must be true whatever happened


def refuse_disorder(seen: Tables) -> None:
    each_day_has_one_revision(seen)
    each_pack_is_in_one_place(seen)
    packs_stand_where_their_lines_are(seen)
    what_went_in_came_out_or_is_there(seen)
    states_have_their_times(seen)


def each_day_has_one_revision(seen: Tables) -> None:
    starts = {row["contract_id"]: row["from_day"] for row in reversed(seen["terms_of_time"])}
    for contract in seen["contracts"]:
        found = [one for one in seen["contract_revisions"] if one["contract_id"] == contract["id"]]
        once_from(starts[contract["id"]], contract["ended"], found)
    for line in seen["lines"]:
        found = [one for one in seen["line_revisions"] if one["line_id"] == line["id"]]
        once_from(line["begins"], line["ended"], found)
        assert {one["contract_id"] for one in found} == {line["contract_id"]}


def once_from(first: int, end: int | None, revisions: list[Row]) -> None:
    """Each day from the first to before the end has one revision, and no other day has any."""
    held = Counter(day for one in revisions for day in days(one))
    assert held == Counter(range(first, HORIZON if end is None else end))


def claims(seen: Tables, pack: Row) -> list[tuple[int, int, str]]:
    """Where a pack was and when, but for the stock, as each table has it."""
    pack_id, sold = pack["id"], []
    found = [
        (stay["from_day"], days(stay).stop, stay["line_id"])
        for stay in seen["placements"]
        if stay["pack_id"] == pack_id
    ]
    bought = {line["id"]: line for line in seen["lines"] if line["reason"] == "bought_out"}
    for begin, end, line_id in found:
        if line_id in bought and end == bought[line_id]["ended"]:
            sold.append((begin, end))
    found += [(end, HORIZON, "sold") for _, end in sold]
    for incident in seen["incidents"]:
        if incident["pack_id"] == pack_id and incident["kind"] != "damaged":
            until = HORIZON if incident["found"] is None else incident["found"]
            found.append((incident["happened"], until, "lost"))
    back = sorted(one["day"] for one in seen["returns"] if one["pack_id"] == pack_id)
    again = sorted(one["day"] for one in seen["reinstated"] if one["pack_id"] == pack_id)
    for number, day in enumerate(back):
        found.append((day, again[number] if number < len(again) else HORIZON, "returned"))
    return [one for one in found if one[0] < one[1]]


def places(seen: Tables, pack: Row) -> dict[int, str]:
    """Where a pack is on each day; in two places on no day."""
    found: dict[int, str] = {}
    for begin, end, place in claims(seen, pack):
        for day in range(begin, end):
            assert day not in found, f"day {day}: {found[day]} and {place}"
            found[day] = place
    for day in range(pack["acquired"], HORIZON):
        found.setdefault(day, "stock")
    assert min(found) == pack["acquired"], "it stood somewhere before it was acquired"
    return found


def each_pack_is_in_one_place(seen: Tables) -> None:
    for pack in seen["packs"]:
        now = places(seen, pack)[FOREVER]
        expected = {"stock": "in_stock", "lost": "lost", "returned": "returned", "sold": "sold"}
        assert pack["state"] == expected.get(now, "leased")


def packs_stand_where_their_lines_are(seen: Tables) -> None:
    """A stay is within its line, in the line's slot, after a joint test; no slot has two packs."""
    positions = {
        (one["line_id"], day): (one["customer"], one["code"], one["slot"])
        for one in seen["line_revisions"]
        for day in days(one)
    }
    standing: Counter[tuple[Any, ...]] = Counter()
    for stay in seen["placements"]:
        place = (stay["customer"], stay["code"], stay["slot"])
        assert stay["accepted"] <= stay["from_day"]
        for day in days(stay):
            assert positions[stay["line_id"], day] == place
            standing[*place, day] += 1
    assert max(standing.values(), default=1) == 1


def what_went_in_came_out_or_is_there(seen: Tables) -> None:
    """For each line, and so for each customer: in = out + held + lost + bought."""
    handed_on = {line["id"] for line in seen["lines"] if line["reason"] == "transferred"}
    bought = {line["id"] for line in seen["lines"] if line["reason"] == "bought_out"}
    for line in seen["lines"]:
        mine = {
            name: [row for row in seen[name] if row["line_id"] == line["id"]]
            for name in ("acceptances", "returns", "incidents", "placements")
        }
        lost = len([one for one in mine["incidents"] if one["kind"] != "damaged"])
        out = len([one for one in mine["returns"] if one["reason"] != "found"])
        held = len([one for one in mine["placements"] if one["to_day"] is None])
        passed = line["id"] in handed_on and any(
            one["to_day"] == line["ended"] and one["pack_id"] not in gone(mine, line["ended"])
            for one in mine["placements"]
        )
        assert len(mine["acceptances"]) == out + held + lost + passed + (line["id"] in bought)
        assert (line["started"] is not None) == bool(mine["acceptances"])


def gone(mine: Tables, day: int) -> set[str]:
    """Packs that left a line on a day by a return or a loss."""
    return {one["pack_id"] for one in mine["returns"] if one["day"] == day} | {
        one["pack_id"]
        for one in mine["incidents"]
        if one["kind"] != "damaged" and one["happened"] == day
    }


def states_have_their_times(seen: Tables) -> None:
    for contract in seen["contracts"]:
        state = contract["state"]
        if state not in ("draft", "cancelled"):
            assert contract["offered_at"]
        if state in ("signed", "ended", *IN_FORCE):
            assert contract["signed_at"]
        assert bool(contract["activated_at"]) == (state in ("ended", *IN_FORCE))
        assert state != "suspended" or contract["suspended_at"]
        for name, instant in (("ending", "ending_at"), ("ended", "ended_at")):
            assert (contract[name] is not None) == (contract[instant] is not None)
        assert (contract["ending"] is not None) == (state in ("ending", "ended"))
        assert (contract["ended"] is not None) == (state == "ended")
        assert bool(contract["cancelled_at"]) == (state == "cancelled")


# What the model says


def refuse_difference(book: Book, seen: Tables, names: dict[str, str]) -> None:
    """Raise unless the database holds what the book holds. `names` are the book's, by id."""
    contracts = {names[one["id"]]: one for one in seen["contracts"]}
    assert contracts.keys() == book.contracts.keys()
    for name, contract in book.contracts.items():
        found = contracts[name]
        terms = [one for one in seen["terms_of_time"] if one["contract_id"] == found["id"]]
        assert (contract.starts, contract.ends) == (terms[0]["from_day"], terms[-1]["to_day"])
        pairs = itertools.pairwise(terms)
        assert all(one["to_day"] == other["from_day"] for one, other in pairs)
        assert names[found["lessee_id"]] == contract.lessee
        for field in ("state", "ending", "reason", "ended"):
            assert found[field] == getattr(contract, field), (name, field)
        revisions = [one for one in seen["contract_revisions"] if one["contract_id"] == found["id"]]
        assert by_day(revisions, lambda one: one["terms"]) == contract.terms, name
    lines = {names[one["id"]]: one for one in seen["lines"]}
    assert lines.keys() == book.lines.keys()
    for name, line in book.lines.items():
        found = lines[name]
        assert names[found["contract_id"]] == line.contract.name
        for field in ("begins", "started", "ended", "reason"):
            assert found[field] == getattr(line, field), (name, field)
        revisions = [one for one in seen["line_revisions"] if one["line_id"] == found["id"]]
        assert by_day(revisions, lambda one: position(one, names)) == line.days, name
        stays = [one for one in seen["placements"] if one["line_id"] == found["id"]]
        assert by_day(stays, lambda one: names[one["pack_id"]]) == line.packs, name
    for pack in seen["packs"]:
        found_places = places(seen, pack)
        there = {day: names.get(place, place) for day, place in found_places.items()}
        assert there == book.place[names[pack["id"]]], names[pack["id"]]
    fees = [(names[one["line_id"]], one["component"], one["day"], one["amount"])
            for one in seen["fees"]]  # fmt: skip
    assert sorted(fees) == sorted(book.fees)


def by_day(rows: Iterable[Row], value: Any) -> dict[int, Any]:
    return {day: one for row in rows for one in [value(row)] for day in days(row)}


def position(one: Row, names: dict[str, str]) -> Position:
    return Position(
        (names[one["customer"]], one["code"]),
        one["slot"],
        one["capacity"],
        one["rent"],
        one["suspended"],
        one["agreed_rent"],
        one["agreed_for"],
    )
