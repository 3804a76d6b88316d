"""Parts and origins moved about at random, and texts sought as badly as people write them."""

from datetime import date, timedelta
from typing import Any
from uuid import UUID

import asyncpg
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from leasing.batteries import identifiers, parts, service
from leasing.batteries.codes import Chemistry, ProductType, encode
from leasing.batteries.model import CONSTRAINTS
from leasing.db.pool import Connection, Database
from leasing.kit.errors import DomainError
from leasing.kit.time import midnight
from schemas.packs import (
    OriginCreate,
    OriginsCreate,
    PackCreate,
    PartCreate,
    PartKind,
    PartsCreate,
)
from tests import build

START = date(2026, 1, 1)
NOW = midnight(date(2026, 6, 15))
MODULES, PACKS = 4, 3

MOVES = st.lists(
    st.one_of(
        st.tuples(
            st.just("install"),
            st.integers(0, PACKS - 1),
            st.lists(
                st.tuples(st.integers(0, MODULES), st.none() | st.integers(0, MODULES - 1)),
                min_size=1,
                max_size=3,
                unique_by=lambda row: row[0],
            ),
        ),
        st.tuples(st.just("remove"), st.integers(0, MODULES), st.none()),
        st.tuples(st.just("made_from"), st.integers(0, PACKS - 1), st.integers(0, PACKS - 1)),
    ),
    min_size=1,
    max_size=14,
)


# One module in another, taken out with what it holds and put into another pack; and a circle.
EVERY_KIND = [
    ("install", 0, [(0, None), (1, 0), (MODULES, 1)]),
    ("remove", 1, None),
    ("install", 1, [(2, None), (1, 2)]),
    ("made_from", 0, 1),
    ("made_from", 1, 0),
]


def pack(code: str, originals: list[str]) -> PackCreate:
    return PackCreate(
        code=code,
        original_codes=originals,
        cells_in_series=16,
        rated_voltage_mv=51_200,
        rated_capacity_mah=100_000,
        mass_kg=46,
        acquired_on=date(2025, 1, 2),
        acquired_from="Dismantler",
    )


def module(number: int) -> PartCreate:
    """The last one is a cell."""
    is_cell = number == MODULES
    code = encode(
        manufacturer="9ZZ",
        product_type=ProductType.CELL if is_cell else ProductType.MODULE,
        chemistry=Chemistry.LFP,
        specification="51",
        traceability="GRAPH01",
        made_on=date(2021, 12, 4),
        serial=number + 1,
    )
    return PartCreate(kind=PartKind.CELL if is_cell else PartKind.MODULE, code=code)


STAYS = """
SELECT part_id, within_id, pack_id, depth, lower(during) AS from_on, upper(during) AS to_on
  FROM part_stay
"""

LINKS = "SELECT pack_id, origin_id FROM pack_origin WHERE origin_id IS NOT NULL"


async def refuse_disorder(tx: Connection) -> None:
    """On each day every part is in one place, with what it is in, and in no circle."""
    stays = await tx.fetch(STAYS)
    days = {stay["from_on"] for stay in stays}
    for day in days:
        there = [s for s in stays if s["from_on"] <= day and (s["to_on"] or date.max) > day]
        place = {stay["part_id"]: stay for stay in there}
        assert len(place) == len(there)
        for stay in there:
            seen, up = set(), stay
            while up["within_id"] is not None:
                assert up["part_id"] not in seen, "a part is inside itself"
                seen.add(up["part_id"])
                assert place[up["within_id"]]["pack_id"] == stay["pack_id"]
                up = place[up["within_id"]]
            assert stay["depth"] == len(seen) + 1
    made_from: dict[UUID, set[UUID]] = {}
    for link in await tx.fetch(LINKS):
        made_from.setdefault(link["pack_id"], set()).add(link["origin_id"])
    for start in made_from:
        seen, waiting = set(), list(made_from[start])
        while waiting:
            one = waiting.pop()
            assert one != start, "a pack is made from itself"
            if one not in seen:
                seen.add(one)
                waiting += made_from.get(one, set())


async def move(tx: Connection, packs: list[UUID], on: date, step: tuple[Any, Any, Any]) -> bool:
    """Whether there was anything to move."""
    kind, subject, objects = step
    if kind == "install":
        codes = [module(number).code for number in range(MODULES + 1)]
        named = {number for number, _ in objects}
        held = {part.code for part in (await parts.of_pack(tx, packs[subject], None)).parts}
        present = {number for number, code in enumerate(codes) if code in held}
        rows = [
            PartCreate(
                kind=module(number).kind,
                code=codes[number],
                within=codes[within] if within in named or within in present else None,
            )
            for number, within in objects
        ]
        data = PartsCreate(parts=rows, installed_on=on)
        await parts.install(tx, packs[subject], data, by="test", now=NOW)
    elif kind == "remove":
        for pack_id in packs:
            for part in (await parts.of_pack(tx, pack_id, None)).parts:
                if part.code == module(subject).code:
                    await parts.remove(tx, pack_id, part.id, on, by="test", now=NOW)
                    return True
        return False
    else:
        data_ = OriginsCreate(origins=[OriginCreate(pack_id=packs[objects])])
        await parts.add_origins(tx, packs[subject], data_, by="test", now=NOW)
    return True


def test_however_parts_are_moved_none_is_in_two_places_or_in_itself(database) -> None:
    done = {"install": 0, "remove": 0, "made_from": 0, "refused": 0}

    async def play(db: Database, moves: list[tuple[Any, Any, Any]]) -> None:
        async with db.transaction() as tx:
            offers = [pack(build.battery_code(), []) for _ in range(PACKS)]
            packs = await service.acquire(tx, offers, by="test", now=NOW)
        for number, step in enumerate(moves):
            try:
                async with db.transaction() as tx:
                    moved = await move(tx, packs, START + timedelta(days=number), step)
                done[step[0]] += moved
            except DomainError:
                done["refused"] += 1
            except asyncpg.PostgresError as error:
                if error.constraint_name not in CONSTRAINTS:
                    raise
                done["refused"] += 1
            async with db.transaction() as tx:
                await refuse_disorder(tx)

    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(MOVES)
    @example(EVERY_KIND)
    def move_about(moves: list[tuple[Any, Any, Any]]) -> None:
        database(lambda db: play(db, moves))

    move_about()
    assert min(done.values()) > 0, done


TEXTS = st.text(
    alphabet=st.characters(min_codepoint=33, max_codepoint=0x2FFF, exclude_categories=["C"]),
    min_size=1,
    max_size=30,
).filter(lambda text: bool(text.strip()))

# Where a blank or a line break is put, and which letters are written small.
NOISE = st.tuples(
    st.lists(st.integers(0, 40), max_size=5), st.lists(st.booleans(), min_size=1, max_size=8)
)


def with_noise(text: str, blanks: list[int], small: list[bool]) -> str:
    characters = [
        character.lower() if character.isascii() and small[n % len(small)] else character
        for n, character in enumerate(text)
    ]
    for place in sorted(blanks, reverse=True):
        characters.insert(place % (len(characters) + 1), (" ", "\n", "\t")[place % 3])
    return "".join(characters)


def test_search_finds_what_was_stored_whatever_the_case_and_blanks(database) -> None:
    async def play(db: Database, texts: list[tuple[str, tuple[list[int], list[bool]]]]) -> None:
        async with db.transaction() as tx:
            offers = [pack(build.battery_code(), [text]) for text, _ in texts]
            ids = await service.acquire(tx, offers, by="test", now=NOW)
            for pack_id, (text, noise) in zip(ids, texts, strict=True):
                found = await identifiers.search(tx, with_noise(text, *noise))
                assert pack_id in {match.pack.id for match in found.matches if match.is_exact}

    @settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.lists(st.tuples(TEXTS, NOISE), min_size=1, max_size=15))
    def look(texts: list[tuple[str, tuple[list[int], list[bool]]]]) -> None:
        database(lambda db: play(db, texts))

    look()
