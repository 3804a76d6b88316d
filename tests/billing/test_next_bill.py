"""A customer looks at its next bill before it is made: it is the bill to the fen, it is nobody
else's, and nothing of it is kept."""

from datetime import date, timedelta
from typing import Any
from uuid import UUID

from leasing.access.model import Role
from leasing.billing import preview, rules
from leasing.db.pool import Actor, Database, DbRole, step_down
from tests import build
from tests.billing import steps
from tests.billing.steps import JANUARY, MARCH
from tests.billing.test_group_bills import BILLED, a_group
from tests.build import Client, Json

COUNTS = """
SELECT (SELECT count(*) FROM billing_run), (SELECT count(*) FROM billing_item),
       (SELECT count(*) FROM invoice), (SELECT count(*) FROM charge),
       (SELECT count(*) FROM billing_hold), (SELECT count(*) FROM domain_event),
       (SELECT max(last_number) FROM invoice_series)
"""


async def counted(db: Database) -> tuple[int, ...]:
    async with db.transaction() as tx:
        row = await tx.fetchrow(COUNTS)
        assert row is not None
        return tuple(row)


async def next_bill(client: Client, party: Json, as_of: date) -> Json:
    path = f"/v1/parties/{party['id']}/bill-previews"
    found: Json = await client.post(path, {"as_of": str(as_of)})
    return found


NAMED = ("line_id", "contract_id", "site_id", "pack_id", "component", "kind", "from_on", "to_on",
         "days", "period_days", "price_amount", "amount", "vat_mode", "vat_percent")  # fmt: skip
TOTALS = ("kind", "currency", "period_from", "period_to", "net_amount", "vat_amount",
          "total_amount", "buyer_id")  # fmt: skip


def only(names: tuple[str, ...], rows: list[Json]) -> list[tuple[Any, ...]]:
    return sorted((tuple(row[name] for name in names) for row in rows), key=str)


def test_the_next_bill_is_what_it_will_be_to_the_fen_and_nothing_of_it_is_kept(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, date(2026, 1, 11)) as world:
            lease = await build.leased_pack(world, str(JANUARY))
            other = await build.leased_pack(world, "2026-01-11")
            await steps.advance(world, BILLED)
            # Something changes after the first bill, also about days that were on it.
            back = build.returned("2026-01-21")
            await world.staff.post(f"/v1/lines/{lease['line']['id']}/returns", back)
            client = await world.login(Role.CUSTOMER, lease["customer"]["id"])
            before = await counted(db)
            told = await next_bill(client, lease["customer"], MARCH)
            assert await counted(db) == before
            assert told == await next_bill(world.staff, lease["customer"], MARCH)
            assert other["customer"]["id"] not in str(told)
            assert (await client.get("/v1/invoices"))["items"][0]["state"] == "final"
            assert len((await client.get("/v1/invoices"))["items"]) == 1
            await steps.advance(world, date(2026, 3, 3))
            (first, bill) = await steps.invoices_of(world, lease["customer"])
            lines = await steps.lines_of(world, bill)
            assert only(NAMED, told["lines"]) == only(NAMED, lines)
            assert only(TOTALS, told["invoices"]) == only(TOTALS, [bill])
            assert told["line_count"] == len(lines) == 2
            assert [one["takes_back"] for one in told["lines"]].count(True) == 1
            (shown,) = told["invoices"]
            assert shown["total_amount"] < 0
            assert (shown["before_number"], shown["before_amount"]) == (
                first["number"], first["total_amount"],
            )  # fmt: skip
            causes = {cause["cause"]: cause["amount"] for cause in told["causes"]}
            assert sum(causes.values()) == bill["net_amount"] - first["net_amount"]
            assert causes["correction"] < 0
            # When it is made, there is nothing left of it to come.
            again = await next_bill(client, lease["customer"], date(2026, 3, 3))
            assert (again["invoices"], again["lines"], again["line_count"]) == ([], [], 0)

    database(scenario)


def test_a_customer_sees_no_other_s_next_bill(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, JANUARY) as world:
            holding, (first, second, alone) = await a_group(world)
            (lessor,) = [await world.staff.post("/v1/parties", {"kind": "lessor", "name": "我方"})]
            await world.set_clock(BILLED)
            everyone = (holding, first["customer"], second["customer"], alone["customer"])
            clients = [await world.login(Role.CUSTOMER, one["id"]) for one in everyone]
            for client, own in zip(clients, everyone, strict=True):
                for other in (*everyone, lessor):
                    if other is not own:
                        path = f"/v1/parties/{other['id']}/bill-previews"
                        await client.refused("POST", path, 404, {"as_of": "2026-02-03"})
            told = [
                await next_bill(client, own, BILLED)
                for client, own in zip(clients, everyone, strict=True)
            ]
            # Who pays for a group sees the lines of those it pays for; they get no bill.
            assert [one["line_count"] for one in told] == [2, 0, 0, 1]
            assert {one["line_id"] for one in told[0]["lines"]} == {
                first["line"]["id"], second["line"]["id"],
            }  # fmt: skip
            assert [len(one["invoices"]) for one in told] == [1, 0, 0, 1]
            assert [one["causes"] == [] for one in told] == [False, True, True, False]
            path = f"/v1/parties/{holding['id']}/bill-previews"
            for role, party in ((Role.AUDITOR, None), (Role.RECYCLER, await build.recycler(world))):
                stranger = await world.login(role, party and party["id"])
                await stranger.refused("POST", path, 403, {"as_of": "2026-02-03"})

    database(scenario)


# Row-level security, below whatever a service asks for: drafts of a run, by who would get them.
SEEN = """
SELECT (SELECT array_agg(buyer_id) FROM invoice) AS buyers,
       (SELECT count(DISTINCT invoice_id) FROM charge) AS charged
"""


def test_a_draft_is_shown_to_who_would_get_it_where_the_run_is_named_and_nowhere_else(database):
    async def scenario(db: Database) -> None:
        await steps.lease_out(db, [2, 3])
        one, other = [row["id"] for row in await customers(db)]
        async with db.transaction() as tx:
            await steps.charge_all(tx)
            run_id = await tx.fetchval("SELECT id FROM billing_run")
            assert await tx.fetchval("SELECT count(*) FROM invoice WHERE state = 'draft'") == 2
            await tx.execute(step_down(Actor(DbRole.CUSTOMER, one)))
            assert tuple(await tx.fetchrow(SEEN) or ()) == (None, 0)
            await tx.execute(preview.SHOW_DRAFTS, str(run_id))
            assert tuple(await tx.fetchrow(SEEN) or ()) == ([one], 1)
            await tx.execute(step_down(Actor(DbRole.CUSTOMER, other)))
            assert tuple(await tx.fetchrow(SEEN) or ()) == ([other], 1)
            await tx.execute(preview.SHOW_DRAFTS, str(one))
            assert tuple(await tx.fetchrow(SEEN) or ()) == (None, 0)
            # One that waits for the lessor's approval is not shown either.
            await tx.execute("SET LOCAL ROLE NONE")
            await tx.execute("UPDATE invoice SET held_because = 'many times the last'")
            await tx.execute(step_down(Actor(DbRole.CUSTOMER, one)))
            await tx.execute(preview.SHOW_DRAFTS, str(run_id))
            assert tuple(await tx.fetchrow(SEEN) or ()) == (None, 0)
        # And it is over with the transaction.
        async with db.transaction(Actor(DbRole.CUSTOMER, one)) as tx:
            assert tuple(await tx.fetchrow(SEEN) or ()) == (None, 0)

    database(scenario)


async def customers(db: Database) -> list[Any]:
    async with db.transaction() as tx:
        return await tx.fetch("SELECT id FROM party WHERE kind = 'customer' ORDER BY id")


def test_what_the_preview_reads_it_reads_as_the_customer(database, monkeypatch):
    async def scenario(db: Database) -> None:
        async with build.world(db, JANUARY) as world:
            lease = await build.leased_pack(world, str(JANUARY))
            other = await build.leased_pack(world, str(JANUARY))
            await world.set_clock(BILLED)
            client = await world.login(Role.CUSTOMER, lease["customer"]["id"])
            begin = preview.begin

            async def begin_for_all(tx: Any, as_of: date, buyer_id: Any, now: Any) -> Any:
                return await begin(tx, as_of, None, now)

            # A mistake in the code, by which everybody's bill is previewed.
            monkeypatch.setattr(preview, "begin", begin_for_all)
            told = await next_bill(client, lease["customer"], BILLED)
            assert (len(told["invoices"]), told["line_count"]) == (1, 1)
            assert other["line"]["id"] not in str(told)
            assert [cause["lines"] for cause in told["causes"]] == [1]

    database(scenario)


FORGED = """
UPDATE custody
   SET during = daterange(lower(during), '2026-01-20')
 WHERE line_id = $1
"""


def test_what_is_left_out_is_counted_and_not_told_why(database, monkeypatch):
    async def scenario(db: Database) -> None:
        async with build.world(db, date(2026, 1, 11)) as world:
            lease = await build.leased_pack(world, str(JANUARY))
            place = await build.site(world, lease["customer"]["id"])
            terms = [build.line_terms(place["id"])]
            _, (broken,) = await build.active_contract(world, lease["customer"]["id"], terms)
            await steps.hand_over(world, broken, await build.pack(world), date(2026, 1, 11))
            await world.set_clock(BILLED)
            await steps.one(db, FORGED, UUID(lease["line"]["id"]))
            # More periods than a run believes of a line on which something happened.
            monkeypatch.setattr(rules, "MAX_PERIODS", 0)
            client = await world.login(Role.CUSTOMER, lease["customer"]["id"])
            told = await next_bill(client, lease["customer"], BILLED)
            assert (told["contracts_left_out"], told["lines_left_out"]) == (1, 1)
            assert told["line_count"] == 0
            for secret in ("periods", "custody", "reason", "trouble", "held"):
                assert secret not in str(told)

    database(scenario)


def test_a_day_that_is_over_or_more_than_a_year_off_is_refused(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            party = await build.customer(world)
            client = await world.login(Role.CUSTOMER, party["id"])
            path = f"/v1/parties/{party['id']}/bill-previews"
            for days, status in ((-1, 400), (0, 200), (366, 200), (367, 400)):
                as_of = build.TODAY + timedelta(days=days)
                answer = await client.ask("POST", path, json={"as_of": str(as_of)})
                assert answer.status_code == status, days
            wrong = await client.refused("POST", path, 400, {"as_of": "2020-01-01"})
            assert wrong["code"] == "not_in_sight"
            assert [one["pointer"] for one in wrong["errors"]] == ["/as_of"]

    database(scenario)


def test_a_party_s_previews_are_made_one_at_a_time(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            party, other = [await build.customer(world) for _ in range(2)]
            client = await world.login(Role.CUSTOMER, party["id"])
            path = f"/v1/parties/{party['id']}/bill-previews"
            async with db.transaction() as tx:
                assert await tx.fetchval(preview.ONE_AT_A_TIME, party["id"])
                busy = await client.refused("POST", path, 409, {"as_of": str(build.TODAY)})
                assert busy["code"] == "preview_under_way"
                neighbour = await world.login(Role.CUSTOMER, other["id"])
                await next_bill(neighbour, other, build.TODAY)
            await next_bill(client, party, build.TODAY)

    database(scenario)
