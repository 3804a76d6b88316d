"""What becomes of obligations as days pass: a year is published, a deadline is over."""

from collections import Counter
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from click.testing import CliRunner

from jobs import cli
from jobs import obligations as job
from leasing.access.model import Role
from leasing.db.pool import Database
from leasing.kit.time import system_now
from leasing.obligations import calendar_store, calendars, rules, service
from leasing.obligations.model import LEVELS, NEXT_STATES, OPEN, NoSuchField, ObligationStands
from schemas.obligations import ObligationState
from tests import build
from tests.api import stories
from tests.build import Json, World
from tests.obligations.test_opening import UNLISTED, forget, step, write


@asynccontextmanager
async def a_rule_in_working_days(world: World) -> Any:
    """The rules of 2026 count calendar days; one of the lessor's own counts working days."""
    rule = {
        "code": f"own.{next(build.NUMBERS)}", "event_kind": "pack.inspected", "reporter": "lessor",
        "role": "repurposer", "reports": "inspection", "deadline_number": 15,
        "deadline_unit": "working_days", "valid_from": "2026-04-01", "article": "house rule",
        "source": "quality manual",
    }  # fmt: skip
    made = await world.staff.post("/v1/obligation-rules", rule)
    try:
        yield made
    finally:
        await forget(world.db, made["code"])
        async with world.db.transaction() as tx:
            await tx.execute("DELETE FROM calendar_year WHERE calendar = 'notice'")
            await calendar_store.load(tx, by="tests", now=system_now())


NOTICE = "day,is_working\n2027-01-01,no\n2027-01-03,yes\n2027-02-05,no\n"
"""Made up, as the real one is not out: Sunday the 3rd is worked."""


def test_a_deadline_is_provisional_until_its_year_is_published_and_then_logged(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, date(2026, 12, 11)) as world, a_rule_in_working_days(world):
            pack = await build.pack(world, acquired_on="2018-01-01")
            days = (date(2026, 12, 10), date(2026, 12, 11), date(2026, 12, 14))
            await write(world, *[step(pack, "pack.inspected", on) for on in days])
            before = await obligations_of(world, pack)
            assert [(one["due_on"], one["is_provisional"]) for one in before] == [
                ("2026-12-31", False), ("2027-01-04", True), ("2027-01-05", True)
            ]  # fmt: skip
            # Nothing is known yet that was not known before.
            assert await job.recount(db, by="test") == 0
            one = calendars.of_notice(2027, NOTICE, "made up")
            async with db.transaction() as tx:
                await service.enter_years(tx, [one], by="test", now=system_now())
            assert await job.recount(db, by="test") == 2
            assert await job.recount(db, by="test") == 0
            after = await obligations_of(world, pack)
            assert [(one["due_on"], one["is_provisional"]) for one in after] == [
                ("2026-12-31", False), ("2027-01-03", False), ("2027-01-04", False)
            ]  # fmt: skip
            detail = await world.staff.get(f"/v1/obligations/{after[1]['id']}")
            (change,) = detail["due_changes"]
            assert (change["was_due_on"], change["due_on"]) == ("2027-01-04", "2027-01-03")
            assert change["reason"] == "the working days of 2027 were published"
            await stories.settled(world)
            events = (await world.staff.get("/v1/events", limit=200))["items"]
            told = [one for one in events if one["kind"] == "obligation.due_changed"]
            assert [one["aggregate_id"] for one in told] == [after[1]["id"], after[2]["id"]]
            years = {one["year"]: one for one in await world.staff.get("/v1/working-years")}
            assert (years[2027]["calendar"], years[2027]["is_published"]) == ("notice", True)
            assert not years[2028]["is_published"]
            async with db.transaction() as tx:
                with pytest.raises(Exception, match="never changed"):
                    await tx.execute("DELETE FROM obligation_due_change")
                await tx.execute("ROLLBACK; BEGIN")

    database(scenario)


async def obligations_of(world: World, pack: Json) -> list[Json]:
    found: list[Json] = (await world.staff.get(f"/v1/packs/{pack['id']}/obligations"))["items"]
    return found


def test_a_deadline_that_no_year_touches_stays_provisional_and_moves_with_what_is_known(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, date(2026, 12, 31)) as world, a_rule_in_working_days(world):
            pack = await build.pack(world, acquired_on="2018-01-01")
            await write(world, step(pack, "pack.inspected", date(2027, 12, 20)))
            (before,) = await obligations_of(world, pack)
            one = calendars.of_notice(2027, "2027-12-21,no\n", "made up")
            async with db.transaction() as tx:
                await service.enter_years(tx, [one], by="test", now=system_now())
            assert await job.recount(db, by="test") == 1
            (after,) = await obligations_of(world, pack)
            assert after["due_on"] > before["due_on"] >= "2028-01-01"
            assert after["is_provisional"]
            detail = await world.staff.get(f"/v1/obligations/{after['id']}")
            assert detail["due_changes"][0]["reason"] == "the calendar changed"

    database(scenario)


def test_what_is_overdue_is_told_once_at_each_level(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, date(2026, 7, 1)) as world:
            pack = await build.pack(world, acquired_on="2018-01-01")
            # 30 days: due on 31 July.
            await write(world, step(pack, "cascade.shipped", date(2026, 7, 1)))
            (one,) = await obligations_of(world, pack)
            assert one["due_on"] == "2026-07-31"
            levels = {}
            for on in ("2026-07-31", "2026-08-01", "2026-08-02", "2026-08-06", "2026-08-07",
                       "2026-08-29", "2026-08-30", "2026-12-01"):  # fmt: skip
                await stories.run_job(world, "obligations", date.fromisoformat(on))
                levels[on] = (await obligations_of(world, pack))[0]["level"]
            assert list(levels.values()) == [0, 1, 1, 1, 2, 2, 3, 3]
            await stories.settled(world)
            events = (await world.staff.get("/v1/events", limit=200))["items"]
            told = [one["data"] for one in events if one["kind"] == "obligation.overdue"]
            assert [(one["level"], one["days_over"]) for one in told] == [(1, 1), (2, 7), (3, 30)]

    database(scenario)


def test_what_is_found_long_overdue_is_told_once_at_its_level(database, monkeypatch):
    monkeypatch.setattr(job, "CHUNK", 2)

    async def scenario(db: Database) -> None:
        async with build.world(db, date(2026, 7, 1)) as world:
            pack = await build.pack(world, acquired_on="2018-01-01")
            steps = [step(pack, "cascade.shipped", date(2026, 1, 5))] * 5
            steps += [step(pack, "cascade.shipped", date(2026, 5, 31))]
            await write(world, *steps)
            await stories.run_job(world, "obligations", date(2026, 7, 1))
            found = await obligations_of(world, pack)
            assert Counter(one["level"] for one in found) == {3: 5, 1: 1}
            assert {one["state"] for one in found} == {"prepared"}
            await stories.settled(world)
            events = (await world.staff.get("/v1/events", limit=200))["items"]
            assert sum(one["kind"] == "obligation.overdue" for one in events) == 6

    database(scenario)


def test_lists_are_by_party_role_and_month_the_most_urgent_first(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, date(2026, 6, 15)) as world:
            firm = await build.recycler(world)
            pack = await build.pack(world, acquired_on="2018-01-01")
            await write(
                world,
                step(pack, "cascade.shipped", date(2026, 6, 10)),
                step(pack, "cascade.shipped", date(2026, 5, 1)),
                step(pack, "recycle.completed", date(2026, 4, 20), firm["id"]),
                step(pack, "pack.repaired", date(2026, 3, 31)),
            )

            async def due(**query: Any) -> list[tuple[str, str]]:
                found: list[tuple[str, str]] = []
                after: dict[str, str] = {}
                while True:
                    page = await world.staff.get("/v1/obligations", limit=1, **query, **after)
                    found += [(one["due_on"], one["role"]) for one in page["items"]]
                    if page["next_cursor"] is None:
                        return found
                    after = {"cursor": page["next_cursor"]}

            late = ("2026-05-15", "independent_lessor")
            received, may, july = (
                ("2026-05-20", "recycler"), ("2026-05-31", "repurposer"),
                ("2026-07-10", "repurposer"),
            )  # fmt: skip
            assert await due() == [late, received, may, july]
            assert await due(own=True) == [late, may, july]
            assert await due(own=True, role="repurposer") == [may, july]
            assert await due(party_id=firm["id"]) == [received]
            assert await due(party_id=firm["id"], role="repurposer") == []
            assert await due(role="repurposer") == [may, july]
            assert await due(month="2026-05") == [late, received, may]
            assert await due(standing="overdue", role="repurposer") == [may]
            assert await due(standing="overdue", month="2026-07") == []
            await world.staff.refused("GET", "/v1/obligations?month=2026-13", 400)

    database(scenario)


def test_a_calendar_sheet_counts_what_ends_on_each_day(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, date(2026, 6, 15)) as world:
            firm = await build.recycler(world)
            pack = await build.pack(world, acquired_on="2018-01-01")
            await write(
                world,
                *[step(pack, "cascade.shipped", date(2026, 5, 2))] * 2,
                step(pack, "cascade.shipped", date(2026, 5, 20)),
                step(pack, "recycle.completed", date(2026, 5, 20), firm["id"]),
            )
            first, second, third, theirs = await obligations_of(world, pack)
            given = {"reported_on": "2026-06-01", "receipt": "R-1"}
            await world.staff.post(f"/v1/obligations/{first['id']}/report", given)
            void = {"reason": "entered twice"}
            sheet = await world.staff.get("/v1/obligations/calendar")
            assert (sheet["month"], sheet["today"], len(sheet["days"])) == (
                "2026-06", "2026-06-15", 30
            )  # fmt: skip
            by_day = {day["day"]: day for day in sheet["days"] if day["total"]}
            counted = ("is_working", "total", "open", "overdue", "accepted", "provisional")
            assert {on: [day[name] for name in counted] for on, day in by_day.items()} == {
                "2026-06-01": [True, 2, 1, 1, 1, 0],
                "2026-06-19": [False, 2, 2, 0, 0, 0],  # Dragon Boat Festival
            }
            mine = await world.staff.get("/v1/obligations/calendar", own=True, month="2026-06")
            assert sum(day["total"] for day in mine["days"]) == 3
            hers = await world.staff.get("/v1/obligations/calendar", party_id=firm["id"])
            assert sum(day["total"] for day in hers["days"]) == 1
            answer = await world.staff.ask(
                "GET", "/v1/obligations/calendar/2026-06-30/page?own=true"
            )
            assert answer.headers["content-type"].startswith("text/html")
            assert "default-src 'none'" in answer.headers["content-security-policy"]
            text = " ".join(answer.text.split())
            assert "2026-06" in text
            assert '<li class="overdue">1 overdue</li>' in text
            assert text.count("<td") == 35
            assert text.count('class="off"') == sum(not day["is_working"] for day in sheet["days"])
            # What is void is counted nowhere.
            await world.staff.post(f"/v1/obligations/{second['id']}/void", void)
            await world.staff.refused("POST", f"/v1/obligations/{second['id']}/void", 409, void)
            sheet = await world.staff.get("/v1/obligations/calendar")
            assert [day["total"] for day in sheet["days"] if day["total"]] == [1, 2]
            assert third["party_id"] is None
            assert theirs["party_id"] == firm["id"]

    database(scenario)


def test_counts_say_of_each_party_how_much_was_in_time(database):
    async def scenario(db: Database) -> None:
        async with build.world(db, date(2026, 6, 15)) as world:
            firm = await build.recycler(world)
            pack = await build.pack(world, acquired_on="2018-01-01")
            await write(
                world,
                *[step(pack, "cascade.shipped", date(2026, 5, 2))] * 3,  # due on 1 June
                step(pack, "cascade.shipped", date(2026, 6, 2)),
                step(pack, "recycle.completed", date(2026, 6, 2), firm["id"]),
            )
            found = await obligations_of(world, pack)
            for one, on in zip(found[:2], ("2026-06-01", "2026-06-02"), strict=True):
                given = {"reported_on": on, "receipt": "R-1"}
                await world.staff.post(f"/v1/obligations/{one['id']}/report", given)
            path, span = "/v1/obligations/counts", {"from_on": "2026-06-01", "to_on": "2026-08-01"}
            first = await world.staff.get(path, **span, limit=1)
            (own,) = first["items"]
            rest = await world.staff.get(path, **span, cursor=first["next_cursor"])
            (hers,) = rest["items"]
            assert rest["next_cursor"] is None
            shown = ("total", "open", "overdue", "accepted", "judged", "on_time", "on_time_percent")
            # One in time, one late, one over and never sent, one not over yet.
            assert [own[name] for name in shown] == [4, 2, 1, 2, 3, 1, "33.33"]
            assert own["party_id"] is None
            assert [hers[name] for name in shown] == [1, 1, 0, 0, 0, 0, None]
            assert (hers["party_id"], hers["name"]) == (firm["id"], firm["name"])
            await world.staff.refused("GET", f"{path}?from_on=2026-06-01&to_on=2026-06-01", 400)
            early = {"reported_on": "2026-06-16", "receipt": "R-1"}
            path = f"/v1/obligations/{found[3]['id']}/report"
            await world.staff.refused("POST", path, 400, early)
            recycler = await world.login(Role.RECYCLER, firm["id"])
            counts = await recycler.get("/v1/obligations/counts", **span)
            assert [one["party_id"] for one in counts["items"]] == [firm["id"]]

    database(scenario)


def test_states_follow_the_table():
    for now in ObligationState:
        for then in ObligationState:
            if then in NEXT_STATES[now]:
                assert rules.next_state(now, then) is then
            else:
                with pytest.raises(ObligationStands):
                    rules.next_state(now, then)
    # What is open may become void, and what is closed may not.
    assert {
        state for state in ObligationState if ObligationState.VOID in NEXT_STATES[state]
    } == set(OPEN)


def test_levels_begin_on_their_days():
    for level, days in LEVELS.items():
        assert (rules.level(days - 1), rules.level(days)) == (level - 1, level)


@pytest.mark.parametrize("pointer", ["mass_kg", "/obligation", "/event", "/data/a/b", "/nothing"])
def test_what_is_no_field_of_a_report_is_not_put_right(pointer):
    with pytest.raises(NoSuchField):
        rules.put_right({"mass_kg": 1, "data": {"a": 1}, "event": "x"}, {pointer: 2})


def test_commands_compare_and_enter_calendars_and_show_what_is_due(
    dsn, own_schema, monkeypatch, tmp_path: Path
):
    monkeypatch.setenv("LEASING_DSN", dsn)
    monkeypatch.setenv("LEASING_SCHEMA", own_schema.schema)
    runner = CliRunner()

    def asked(*words: str) -> str:
        result = runner.invoke(cli.main, list(words))
        assert result.exit_code == 0, result.output
        return result.output

    output = asked("calendar", "compare")
    assert "0 published days differ; published until 2026-12-31" in output
    assert "2026" in output
    assert "0 deadlines moved" in asked("calendar", "import")
    file = tmp_path / "notice.csv"
    file.write_text(NOTICE)
    asked("calendar", "notice", "2027", str(file), "--source", "made up")
    assert "published until 2027-12-31" in asked("calendar", "compare")
    assert "due_on" in asked("obligations", "due", "--own", "--overdue")
    asked("obligations", "parked")
    asked("obligations", "open-missing", "--from", "2026-01-01", "--to", "2026-02-01")
    assert "0 reports to the platform" in asked("obligations", "send", "--folder", str(tmp_path))
    assert "0 reports answered" in asked("obligations", "read", "--folder", str(tmp_path))
    result = runner.invoke(cli.main, ["obligations", "retry", str(UUID(int=1))])
    assert result.exit_code == 1
    assert "There is no such submission" in result.output
    assert runner.invoke(cli.main, ["obligations", "send"]).exit_code == 1


def test_the_job_sends_and_reads_by_the_folder_of_the_settings(database, tmp_path):
    async def scenario(db: Database) -> None:
        async with build.world(db, UNLISTED) as world:
            await build.pack(world, acquired_on=str(UNLISTED))
            db.settings = build_settings(db, tmp_path)
            await stories.run_job(world, "obligations", UNLISTED)
            (one,) = (tmp_path / "platform" / "out").glob("*.json")
            assert one.with_suffix(".xml").exists()
            (made,) = (await world.staff.get("/v1/submissions"))["items"]
            assert (made["state"], made["recipient"]) == ("sent", "platform")

    database(scenario)


def build_settings(db: Database, folder: Path) -> Any:
    from msgspec.structs import replace

    return replace(db.settings, obligations=folder)
