"""Somebody who rules the database changes records behind our back, in every way there is; each is
found, by the chains alone or beside a head that was published before."""

import hashlib
from collections.abc import Awaitable, Callable
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
import uvloop
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from jobs import cli, cli_trace, runner, trace
from leasing.batteries import service
from leasing.db import clock
from leasing.db.pool import Database, connect
from leasing.kit.settings import Settings
from leasing.kit.time import midnight
from leasing.runs import store as runs
from leasing.traceability import checking, head_store, rules, store
from leasing.traceability.model import BadHead, Fault, Finding, Head, Newest
from leasing.traceability.store import Step
from schemas.packs import PackCreate
from tests import build

DAY = date(2026, 6, 14)
NOW = midnight(DAY) + timedelta(hours=9)
NEXT_NOON = midnight(DAY) + timedelta(hours=36)
PACKS, RECORDS = 5, 6


NEW = PackCreate(
    code=build.battery_code(),
    cells_in_series=16,
    rated_voltage_mv=51_200,
    rated_capacity_mah=100_000,
    mass_kg=46,
    acquired_on=DAY,
    acquired_from="Dismantler",
)


async def lives(db: Database) -> list[UUID]:
    """Packs with six records each, in the order of their ids."""
    async with build.world(db, DAY) as world:
        packs = sorted([UUID((await build.pack(world))["id"]) for _ in range(PACKS)])
    steps = [
        Step(pack, "pack.inspected", DAY, {"n": n, "why": "检验"})
        for n in range(2, RECORDS + 1)
        for pack in packs
    ]
    async with db.transaction() as tx:
        await store.record(tx, steps, by="staff", now=NOW)
    return packs


async def head_text(db: Database) -> tuple[Head, str]:
    text: list[str] = []
    async with db.transaction() as tx:
        head = await checking.close_day(tx, DAY, by="x", now=NEXT_NOON, write=text.append)
    return head, "".join(text)


# What the table's own function reckons, which is at hand for whoever rules the database.
REHASHED = """
CREATE OR REPLACE FUNCTION pg_temp.rehashed(step trace_record) RETURNS bytea
LANGUAGE sql STABLE AS $$
  SELECT trace_hash(step.previous_hash, step.id, step.pack_id, step.sequence, step.kind,
                    step.happened_on, step.adcode, step.party_id, step.corrects_id, step.actor,
                    step.recorded_at, step.data)
$$
"""


async def behind_our_back(db: Database, *statements: str, **values: Any) -> None:
    """As a superuser without triggers, keys and checks of ours."""
    async with db.transaction() as tx:
        await tx.execute("SET LOCAL session_replication_role = replica")
        await tx.execute(REHASHED)
        for statement in statements:
            filled = statement
            for name, value in values.items():
                filled = filled.replace(f"{{{name}}}", str(value))
            await tx.execute(filled)


async def check(db: Database, head: str | None = None, **arguments: Any) -> list[Finding]:
    found: list[Finding] = []
    lines = None if head is None else rules.read_head(iter(head.splitlines(keepends=True)))
    async with db.transaction(read_only=True) as tx:
        checked = await checking.verify(tx, found.append, head=lines, **arguments)
    assert checked.findings == len(found)
    return found


def places(found: list[Finding]) -> list[tuple[Fault, UUID | None, int | None]]:
    return [(one.fault, one.pack_id, one.sequence) for one in found]


# Of the pack in the middle: what is done to its records, and what the chains alone tell of it as
# (fault, record).
CHANGED_ALONE: dict[str, tuple[str, list[tuple[Fault, int]]]] = {
    "another word in the data": (
        """UPDATE trace_record SET data = '{"n":3,"why":"检查"}'
            WHERE pack_id = '{pack}' AND sequence = 3""",
        [(Fault.CHANGED, 3)],
    ),
    "a blank in the data": (
        """UPDATE trace_record SET data = replace(data::text, ':', ': ')::json
            WHERE pack_id = '{pack}' AND sequence = 3""",
        [(Fault.CHANGED, 3)],
    ),
    "the data of the last record": (
        "UPDATE trace_record SET data = '{}' WHERE pack_id = '{pack}' AND sequence = 6",
        [(Fault.CHANGED, 6)],
    ),
    "kind": (
        """UPDATE trace_record SET kind = 'pack.failed'
            WHERE pack_id = '{pack}' AND sequence = 1""",
        [(Fault.CHANGED, 1)],
    ),
    "day": (
        """UPDATE trace_record SET happened_on = happened_on - 1
            WHERE pack_id = '{pack}' AND sequence = 4""",
        [(Fault.CHANGED, 4)],
    ),
    "instant": (
        """UPDATE trace_record SET recorded_at = recorded_at + interval '1 microsecond'
            WHERE pack_id = '{pack}' AND sequence = 4""",
        [(Fault.CHANGED, 4)],
    ),
    "who": (
        "UPDATE trace_record SET actor = 'nobody' WHERE pack_id = '{pack}' AND sequence = 4",
        [(Fault.CHANGED, 4)],
    ),
    "place": (
        "UPDATE trace_record SET adcode = '410100' WHERE pack_id = '{pack}' AND sequence = 4",
        [(Fault.CHANGED, 4)],
    ),
    "party": (
        """UPDATE trace_record SET party_id = '00000000-0000-0000-0000-000000000001'
            WHERE pack_id = '{pack}' AND sequence = 4""",
        [(Fault.CHANGED, 4)],
    ),
    "id": (
        "UPDATE trace_record SET id = uuidv7() WHERE pack_id = '{pack}' AND sequence = 4",
        [(Fault.CHANGED, 4)],
    ),
    "hash": (
        "UPDATE trace_record SET hash = sha256('') WHERE pack_id = '{pack}' AND sequence = 4",
        [(Fault.CHANGED, 4), (Fault.UNLINKED, 5)],
    ),
    "one record hashed anew after a change": (
        """UPDATE trace_record SET actor = 'nobody' WHERE pack_id = '{pack}' AND sequence = 4;
           UPDATE trace_record SET hash = pg_temp.rehashed(trace_record)
            WHERE pack_id = '{pack}' AND sequence = 4""",
        [(Fault.UNLINKED, 5)],
    ),
    "the first deleted": (
        "DELETE FROM trace_record WHERE pack_id = '{pack}' AND sequence = 1",
        [(Fault.MISSING, 2)],
    ),
    "two deleted": (
        "DELETE FROM trace_record WHERE pack_id = '{pack}' AND sequence IN (3, 4)",
        [(Fault.MISSING, 5)],
    ),
    "one deleted and the others moved up": (
        """DELETE FROM trace_record WHERE pack_id = '{pack}' AND sequence = 3;
           UPDATE trace_record SET sequence = sequence + 1000
            WHERE pack_id = '{pack}' AND sequence > 3;
           UPDATE trace_record SET sequence = sequence - 1001
            WHERE pack_id = '{pack}' AND sequence > 1000""",
        [(Fault.UNLINKED, 3), *[(Fault.CHANGED, n) for n in (3, 4, 5)]],
    ),
    "two in each other's place": (
        """UPDATE trace_record SET sequence = sequence + 1000
            WHERE pack_id = '{pack}' AND sequence IN (3, 4);
           UPDATE trace_record SET sequence = 1007 - sequence
            WHERE pack_id = '{pack}' AND sequence > 1000""",
        [
            (Fault.UNLINKED, 3),
            (Fault.CHANGED, 3),
            (Fault.UNLINKED, 4),
            (Fault.CHANGED, 4),
            (Fault.UNLINKED, 5),
        ],
    ),
    "one put in between": (
        """UPDATE trace_record SET sequence = sequence + 1000
            WHERE pack_id = '{pack}' AND sequence > 3;
           UPDATE trace_record SET sequence = sequence - 999
            WHERE pack_id = '{pack}' AND sequence > 1000;
           INSERT INTO trace_record (pack_id, sequence, kind, happened_on, data, actor,
                                     recorded_at, previous_hash, hash)
           SELECT pack_id, 4, kind, happened_on, data, actor, recorded_at, hash, hash
             FROM trace_record WHERE pack_id = '{pack}' AND sequence = 3;
           UPDATE trace_record SET hash = pg_temp.rehashed(trace_record)
            WHERE pack_id = '{pack}' AND sequence = 4""",
        [(Fault.UNLINKED, 5), *[(Fault.CHANGED, n) for n in (5, 6, 7)]],
    ),
    "one given to another pack": (
        """UPDATE trace_record SET pack_id = '{other}', sequence = 7
            WHERE pack_id = '{pack}' AND sequence = 6""",
        [(Fault.UNLINKED, 7), (Fault.CHANGED, 7)],
    ),
    "all of a pack deleted": (
        "DELETE FROM trace_record WHERE pack_id = '{pack}'",
        [(Fault.NO_RECORDS, None)],  # type: ignore[list-item]
    ),
}


@pytest.mark.parametrize("name", CHANGED_ALONE)
def test_the_chains_alone_tell_what_was_changed_and_where(database, name):
    statement, expected = CHANGED_ALONE[name]

    async def scenario(db: Database) -> None:
        packs = await lives(db)
        assert await check(db) == []
        values = {"pack": packs[2], "other": packs[3]}
        await behind_our_back(db, statement, **values)
        pack = packs[3] if name == "one given to another pack" else packs[2]
        told = [(fault, pack, sequence) for fault, sequence in expected]
        assert places(await check(db)) == told
        # One who looks at this pack only finds the same; one who looks at another, nothing.
        assert places(await check(db, pack_ids=[pack])) == told
        assert await check(db, pack_ids=[packs[1]]) == []

    database(scenario)


def test_two_records_under_one_number_are_found_where_no_key_keeps_them_apart(database):
    async def scenario(db: Database) -> None:
        packs = await lives(db)
        async with db.transaction() as tx:
            await tx.execute(
                "ALTER TABLE trace_record DROP CONSTRAINT trace_record_in_sequence;"
                "INSERT INTO trace_record (pack_id, sequence, kind, happened_on, data, actor,"
                " recorded_at, previous_hash, hash)"
                " SELECT pack_id, sequence, kind, happened_on, data, actor, recorded_at,"
                f" previous_hash, hash FROM trace_record WHERE pack_id = '{packs[0]}'"
                " AND sequence = 2"
            )
            found: list[Finding] = []
            await checking.verify(tx, found.append)
            await tx.execute("ROLLBACK; BEGIN")
        # Which of the two comes first is decided by their ids: the newer one is the copy.
        assert (Fault.NUMBERED_TWICE, packs[0], 2) in places(found)
        assert (Fault.CHANGED, packs[0], 2) in places(found)

    database(scenario)


REHASH = """
DO $$
DECLARE
  step trace_record;
  before bytea;
BEGIN
  FOR step IN SELECT * FROM trace_record WHERE pack_id = '{pack}' ORDER BY sequence LOOP
    step.previous_hash := before;
    step.hash := pg_temp.rehashed(step);
    UPDATE trace_record SET previous_hash = before, hash = step.hash WHERE id = step.id;
    before := step.hash;
  END LOOP;
END $$
"""

# What the chains alone cannot tell, and a head can: its newest stored hash that something is wrong,
# its text what.
NEEDS_A_HEAD: dict[str, tuple[list[str], tuple[Fault, int]]] = {
    "a whole pack written anew": (
        [
            "UPDATE trace_record SET actor = 'nobody' WHERE pack_id = '{pack}' AND sequence = 2",
            REHASH,
        ],
        (Fault.REWRITTEN, 6),
    ),
    "the end cut off": (
        ["DELETE FROM trace_record WHERE pack_id = '{pack}' AND sequence > 4"],
        (Fault.CUT_SHORT, 4),
    ),
    "a pack cut off and its end written anew": (
        [
            "DELETE FROM trace_record WHERE pack_id = '{pack}' AND sequence = 5",
            "UPDATE trace_record SET sequence = 5 WHERE pack_id = '{pack}' AND sequence = 6",
            REHASH,
        ],
        (Fault.CUT_SHORT, 5),
    ),
    "a pack with all its records gone": (
        [
            "DELETE FROM trace_record WHERE pack_id = '{pack}'",
            "DELETE FROM pack_code WHERE pack_id = '{pack}'",
            "DELETE FROM pack WHERE id = '{pack}'",
        ],
        (Fault.CUT_SHORT, 0),
    ),
}


@pytest.mark.parametrize("name", NEEDS_A_HEAD)
@pytest.mark.parametrize("which", [0, 2, PACKS - 1])
def test_a_head_tells_what_the_chains_alone_cannot(database, name, which):
    statements, (fault, sequence) = NEEDS_A_HEAD[name]

    async def scenario(db: Database) -> None:
        packs = await lives(db)
        known, text = await head_text(db)
        assert known.hash == hashlib.sha256(text.encode()).digest()
        assert (known.packs, known.records) == (PACKS, PACKS * RECORDS)
        assert await check(db, text) == []
        await behind_our_back(db, *statements, pack=packs[which])
        assert places(await check(db)) == [(Fault.OTHER_HEAD, None, None)]
        assert places(await check(db, text)) == [
            (fault, packs[which], sequence),
            (Fault.OTHER_HEAD, None, None),
        ]
        # Whoever also changes the heads that are stored is found by the one that was published.
        await behind_our_back(db, "DELETE FROM trace_head")
        assert await check(db) == []
        assert places(await check(db, text)) == [(fault, packs[which], sequence)]
        new, _ = await head_text(db)
        assert new.hash != known.hash

    database(scenario)


def test_what_is_recorded_later_leaves_a_head_as_it_is(database):
    async def scenario(db: Database) -> None:
        packs = await lives(db)
        known, text = await head_text(db)
        later = [Step(pack, "pack.failed", DAY, {}) for pack in packs[:2]]
        tomorrow = midnight(DAY + timedelta(days=1))
        async with db.transaction() as tx:
            await store.record(tx, later, by="x", now=tomorrow)
            await service.acquire(tx, [NEW], by="x", now=tomorrow)
        assert await check(db, text) == []
        assert await head_text(db) == (known, text)
        # And what was recorded since is all that a check since then looks at.
        since = midnight(DAY + timedelta(days=1))
        await behind_our_back(db, "UPDATE trace_record SET actor = 'nobody' WHERE sequence = 3")
        found = await check(db, text, since=since)
        assert places(found) == [(Fault.CHANGED, pack, 3) for pack in packs[:2]]

    database(scenario)


def test_small_pages_find_what_large_ones_find(database, monkeypatch):
    async def scenario(db: Database) -> None:
        packs = await lives(db)
        _, text = await head_text(db)
        await behind_our_back(
            db,
            "UPDATE trace_record SET actor = 'nobody' WHERE pack_id = '{pack}' AND sequence = 5",
            "DELETE FROM trace_record WHERE pack_id = '{other}' AND sequence > 2",
            pack=packs[1],
            other=packs[3],
        )
        whole = await check(db, text)
        since = await check(db, text, since=midnight(DAY))
        assert len(whole) == 3
        for size in (1, 2, 5, 6, 7, 30):
            monkeypatch.setattr(head_store, "AT_ONCE", size)
            assert await check(db, text) == whole
            assert await check(db, text, since=midnight(DAY)) == since
        assert head_store.AT_ONCE == 30

    database(scenario)


@given(cut=st.integers(0, 12), swap=st.booleans())
def test_a_head_that_is_not_whole_is_refused(cut, swap):
    writer = rules.HeadWriter(DAY)
    lines = [writer.begin()]
    lines += [
        writer.line(Newest(UUID(int=n), n, hashlib.sha256(b"").digest())) for n in range(1, 4)
    ]
    lines.append(writer.end())
    whole = "".join(lines).splitlines(keepends=True)
    assert len(list(rules.read_head(whole))) == 3
    broken = whole[: len(whole) - 1 - cut] if cut < len(whole) else [*whole, "more\n"]
    if swap and cut == 12:
        broken = [*whole[:2], whole[3], whole[2], *whole[4:]]
    with pytest.raises(BadHead):
        list(rules.read_head(broken))


@pytest.mark.parametrize(
    "line", ["x", "1 2 3\n", f"{UUID(int=1)} 1 00\n", f"{UUID(int=1)} x {64 * '0'}\n"]
)
def test_a_line_that_no_head_has_is_named(line):
    with pytest.raises(BadHead, match="line 3"):
        list(rules.read_head([f"{rules.TITLE}\n", "as_of 2026-06-14\n", line]))


# --- The command and the job ------------------------------------------------------------------


@pytest.fixture
def command(dsn, migrated, monkeypatch) -> Callable[..., Any]:
    monkeypatch.setenv("LEASING_DSN", dsn)
    monkeypatch.setenv("LEASING_SCHEMA", migrated.schema)
    return lambda *words: CliRunner().invoke(cli.main, ["trace", *map(str, words)])


@pytest.fixture
def meanwhile(
    dsn: str, migrated: Settings
) -> Callable[[Callable[[Database], Awaitable[Any]]], Any]:
    """Something done to the database as it is."""

    def play(scenario: Callable[[Database], Awaitable[Any]]) -> Any:
        async def work() -> Any:
            async with await connect(dsn, migrated) as db:
                return await scenario(db)

        return uvloop.run(work())

    return play


async def next_noon(db: Database) -> None:
    async with db.transaction() as tx:
        await clock.move(tx, NEXT_NOON)


def lines(output: str) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in output.splitlines()]


def test_the_commands_take_a_head_and_say_which_record_is_another(
    database, command, tmp_path, meanwhile
):
    packs: list[UUID] = database(lives)
    pack = packs[2]
    meanwhile(next_noon)
    out = tmp_path / "head.txt"
    early = command("head", "--as-of", DAY + timedelta(days=1))
    assert (early.exit_code, "is not over" in early.output) == (1, True)
    taken = command("head", "--as-of", DAY, "--out", out)
    assert taken.exit_code == 0, taken.output
    told = hashlib.sha256(out.read_bytes()).hexdigest()
    assert taken.stdout.split() == [told]
    again = command("head", "--as-of", DAY)
    assert (again.exit_code, again.stdout.split()) == (0, [told])

    whole = command("verify", "--head", out)
    assert (whole.exit_code, whole.stdout) == (0, "30 records of 5 packs: nothing found\n")

    change = "UPDATE trace_record SET actor = 'nobody' WHERE pack_id = '{pack}' AND sequence = 2"
    meanwhile(lambda db: behind_our_back(db, change, REHASH, pack=pack))
    other = command("head", "--as-of", DAY)
    assert (other.exit_code, "another head" in other.output) == (1, True)
    found = command("verify", "--json", "--head", out)
    assert found.exit_code == 1
    first, second, summed = lines(found.stdout)
    assert (first["fault"], first["pack_id"], first["sequence"]) == ("rewritten", str(pack), 6)
    assert (second["fault"], second["pack_id"]) == ("other_head", None)
    assert summed == {"packs": 5, "records": 30, "findings": 2}

    meanwhile(lambda db: behind_our_back(db, change.replace("nobody", "them"), pack=pack))
    code = meanwhile(lambda db: code_of(db, pack))
    found = command("verify", "--pack", f" {code[:9].lower()} {code[9:]}")
    assert found.exit_code == 1
    assert f"pack {pack} record 2 changed: pack.inspected carries" in found.stdout
    assert found.stdout.endswith("6 records of 1 packs: 1 found\n")
    whole = command("verify", "--since", DAY + timedelta(days=1))
    assert (whole.exit_code, whole.stdout) == (0, "0 records of 0 packs: nothing found\n")
    nobody = command("verify", "--pack", "nobody")
    assert (nobody.exit_code, "no pack carries" in nobody.output) == (1, True)
    assert command("verify", "--pack", "x", "--since", DAY).exit_code == 2
    not_one = tmp_path / "other.txt"
    not_one.write_text("leasing\n")
    assert "is not a head" in command("verify", "--head", not_one).output


def test_the_command_shows_a_hundred_findings_and_counts_the_rest(database, command, monkeypatch):
    monkeypatch.setattr(cli_trace, "SHOWN", 3)

    async def scenario(db: Database) -> None:
        await lives(db)
        await behind_our_back(db, "UPDATE trace_record SET actor = 'nobody'")

    database(scenario)
    found = command("verify")
    assert found.exit_code == 1
    assert found.stdout.count("changed:") == 3
    assert "… and 27 more" in found.stdout


async def code_of(db: Database, pack: UUID) -> str:
    async with db.transaction() as tx:
        code: str = await tx.fetchval("SELECT code FROM pack_code WHERE pack_id = $1", pack)
        return code


async def parked(db: Database, on: date) -> dict[tuple[str, UUID], str]:
    """What a run of the job put aside, with the reasons."""
    state = await runner.run_once(db, "trace", trace.run, on, lambda done, total: None)
    assert state == "done"
    async with db.transaction() as tx:
        run = await runs.get(tx, "trace", runner.instant_on("trace", on))
        assert run is not None
        rows = await runs.parked(tx, run.id)
    return {(row["subject"], row["subject_id"]): row["error"] for row in rows}


def test_the_nightly_job_takes_the_head_and_parks_packs_with_broken_chains(database):
    async def scenario(db: Database) -> None:
        packs = await lives(db)
        await next_noon(db)
        assert await parked(db, DAY + timedelta(days=1)) == {}
        async with db.transaction() as tx:
            head = await head_store.latest(tx)
        assert head is not None
        assert (head.as_of, head.records) == (DAY, PACKS * RECORDS)
        await behind_our_back(
            db,
            "UPDATE trace_record SET actor = 'nobody' WHERE pack_id = '{pack}' AND sequence < 4",
            "DELETE FROM trace_record WHERE pack_id = '{other}' AND sequence = 6",
            pack=packs[1],
            other=packs[2],
        )
        async with db.transaction() as tx:
            await clock.move(tx, NEXT_NOON + timedelta(days=1))
        # A day that is run again says that its head is another, and checks nothing else.
        again = await parked(db, DAY + timedelta(days=1))
        assert set(again) == {("head", UUID(int=0))}
        assert "OtherHead" in again["head", UUID(int=0)]
        told = await parked(db, DAY + timedelta(days=2))
        assert set(told) == {("records", packs[1]), ("records", UUID(int=0))}
        assert told["records", packs[1]].count("changed:") == 3
        assert f"the head of {DAY} was" in told["records", UUID(int=0)]
        # The new head agrees with what is there; that of the day before still does not.
        assert set(await parked(db, DAY + timedelta(days=2))) == {("records", packs[1])}
        assert (await parked(db, DAY + timedelta(days=1))).keys() == again.keys()

    database(scenario)
