"""Packs over HTTP."""

from datetime import date
from typing import Annotated, Literal
from uuid import UUID

from litestar import Response, get, patch, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from leasing.batteries import (
    capacity,
    capacity_store,
    codes,
    decoding,
    family,
    identifiers,
    parts,
    service,
    store,
)
from leasing.batteries.store import Filters
from leasing.http.batches import answer
from leasing.http.edge import EVERYONE, By, Now, Tx, Unreadable
from leasing.http.etag import IfMatch, etag, expected_version
from leasing.http.pages import Cursor, Limit, Page, after_id, before_id, page_by_id
from leasing.http.problems import when_editing, when_posting, when_reading
from leasing.kit.rows import convert_all
from leasing.kit.time import civil_date
from schemas.batches import BatchView
from schemas.codes import DecodedCode, PackFamily
from schemas.common import PRINTABLE
from schemas.packs import (
    CapacityTestCreate,
    CapacityTestView,
    IdentifierCreate,
    IdentifierEnd,
    IdentifierView,
    OriginsCreate,
    PackBatch,
    PackCreate,
    PackIdentifiers,
    PackOrigins,
    PackParts,
    PackPatch,
    PackSearch,
    PackState,
    PackView,
    PartRemoval,
    PartsCreate,
)

Bound = Annotated[int | None, QueryParameter(ge=1, le=2_000_000_000, description="Inclusive.")]


@post("/packs", responses=when_posting())
async def acquire_pack(
    tx: Tx, caller: By, now: Now, data: JSONBody[PackCreate]
) -> Response[PackView]:
    """Take a pack into stock."""
    (pack_id,) = await service.acquire(tx, [data], by=str(caller), now=now)
    pack = await service.get(tx, pack_id)
    return Response(pack, status_code=201, headers={"etag": etag(pack.version)})


@post("/packs:batch", status_code=200, responses=when_posting())
async def acquire_packs(
    tx: Tx, caller: By, now: Now, unreadable: Unreadable, data: JSONBody[PackBatch]
) -> BatchView:
    """Take up to 1,000 packs into stock; says of each what became of it. `id` is the pack."""
    outcomes = await service.acquire_each(tx, data.rows, by=str(caller), now=now)
    return answer(data, unreadable, outcomes)


@get("/packs", opt={"access": EVERYONE}, responses=when_reading())
async def list_packs(
    tx: Tx,
    in_state: Annotated[PackState | None, QueryParameter(name="state")] = None,
    code: Annotated[str | None, QueryParameter(max_length=80, pattern=PRINTABLE)] = None,
    chemistry: Annotated[str | None, QueryParameter(pattern=r"^[A-GZ]$(?!\n)")] = None,
    maker: Annotated[str | None, QueryParameter(pattern=r"^[0-9A-Z]{3,4}$(?!\n)")] = None,
    made_from: FromQuery[date | None] = None,
    made_to: FromQuery[date | None] = None,
    least_voltage_mv: Bound = None,
    most_voltage_mv: Bound = None,
    least_capacity_mah: Bound = None,
    most_capacity_mah: Bound = None,
    order: Annotated[
        Literal["id", "-id"],
        QueryParameter(description="As they were acquired, or `-id`: the newest first."),
    ] = "id",
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[PackView]:
    """Packs in the order they were acquired, or against it; `code` finds one by any code it ever
    carried. A cursor is of the order it was given for."""
    filters = Filters(
        state=in_state,
        code=codes.normalise(code) if code is not None else None,
        chemistry=chemistry,
        maker=maker,
        made_from=made_from,
        made_to=made_to,
        least_voltage_mv=least_voltage_mv,
        most_voltage_mv=most_voltage_mv,
        least_capacity_mah=least_capacity_mah,
        most_capacity_mah=most_capacity_mah,
    )
    newest_first = order == "-id"
    start = before_id(cursor) if newest_first else after_id(cursor)
    rows = await store.after(tx, start, filters, limit + 1, newest_first=newest_first)
    return page_by_id(convert_all(rows, PackView), limit)


@get("/packs/search", opt={"access": EVERYONE}, responses=when_reading())
async def search_packs(
    tx: Tx,
    q: Annotated[
        str,
        QueryParameter(
            min_length=1,
            max_length=120,
            pattern=PRINTABLE,
            description="A code or its beginning, as scanned: blanks, two lines and lower case "
            "are accepted.",
        ),
    ],
) -> PackSearch:
    """Packs by any identifier of theirs, of a part, or of what they were made from. Exact ones
    come first, then those that begin with it (four characters at least)."""
    return await identifiers.search(tx, q)


@get(
    "/packs/{pack_id:uuid}",
    opt={"access": EVERYONE, "one_statement": True},
    responses=when_reading(404),
)
async def get_pack(tx: Tx, pack_id: FromPath[UUID]) -> Response[PackView]:
    """One pack, with its version as ETag."""
    pack = await service.get(tx, pack_id)
    return Response(pack, headers={"etag": etag(pack.version)})


@patch("/packs/{pack_id:uuid}", responses=when_editing(404, 409))
async def correct_pack(
    tx: Tx,
    caller: By,
    now: Now,
    pack_id: FromPath[UUID],
    data: JSONBody[PackPatch],
    if_match: IfMatch = None,
) -> Response[PackView]:
    """Correct what was entered of a pack."""
    expected = expected_version(if_match)
    pack = await service.change(tx, pack_id, data, expected, by=str(caller), now=now)
    return Response(pack, headers={"etag": etag(pack.version)})


# --- Codes ------------------------------------------------------------------------------------


@get("/codes/{code:str}", opt={"access": EVERYONE}, responses=when_reading())
async def decode_code(now: Now, code: FromPath[str]) -> DecodedCode:
    """What a GB/T 34014 or GB/T 45565 code says, field by field, whether or not anything carries
    it. A code that cannot be read is refused with the position of each fault."""
    return decoding.decoded(code, civil_date(now))


# --- Identifiers ------------------------------------------------------------------------------


@post("/packs/{pack_id:uuid}/identifiers", responses=when_posting(404))
async def add_identifier(
    tx: Tx, caller: By, now: Now, pack_id: FromPath[UUID], data: JSONBody[IdentifierCreate]
) -> IdentifierView:
    """Give a pack another identifier, or with `replaces` a new printed code."""
    return await identifiers.add(tx, pack_id, data, by=str(caller), now=now)


@get("/packs/{pack_id:uuid}/identifiers", opt={"access": EVERYONE}, responses=when_reading(404))
async def list_identifiers(tx: Tx, pack_id: FromPath[UUID]) -> PackIdentifiers:
    """All that a pack is or was known by, the printed code first."""
    return await identifiers.of_pack(tx, pack_id)


@post("/packs/{pack_id:uuid}/identifiers/{identifier_id:uuid}/end", responses=when_posting(404))
async def end_identifier(
    tx: Tx,
    caller: By,
    now: Now,
    pack_id: FromPath[UUID],
    identifier_id: FromPath[UUID],
    data: JSONBody[IdentifierEnd],
) -> IdentifierView:
    """End an identifier. It still finds the pack."""
    return await identifiers.end(tx, pack_id, identifier_id, data.ended_on, by=str(caller), now=now)


# --- Parts and origins ------------------------------------------------------------------------


@post("/packs/{pack_id:uuid}/parts", responses=when_posting(404))
async def install_parts(
    tx: Tx, caller: By, now: Now, pack_id: FromPath[UUID], data: JSONBody[PartsCreate]
) -> PackParts:
    """Put modules and cells into a pack, all or none."""
    return await parts.install(tx, pack_id, data, by=str(caller), now=now)


@get("/packs/{pack_id:uuid}/parts", opt={"access": EVERYONE}, responses=when_reading(404))
async def list_parts(
    tx: Tx, pack_id: FromPath[UUID], on: FromQuery[date | None] = None
) -> PackParts:
    """What was in a pack on a day, or is now, each part behind what it is in."""
    return await parts.of_pack(tx, pack_id, on)


@post("/packs/{pack_id:uuid}/parts/{part_id:uuid}/removal", responses=when_posting(404))
async def remove_part(
    tx: Tx,
    caller: By,
    now: Now,
    pack_id: FromPath[UUID],
    part_id: FromPath[UUID],
    data: JSONBody[PartRemoval],
) -> PackParts:
    """Take a part out of a pack, with all that is in it."""
    return await parts.remove(tx, pack_id, part_id, data.removed_on, by=str(caller), now=now)


@post("/packs/{pack_id:uuid}/origins", responses=when_posting(404))
async def add_origins(
    tx: Tx, caller: By, now: Now, pack_id: FromPath[UUID], data: JSONBody[OriginsCreate]
) -> PackOrigins:
    """Say what a pack was made from: packs of ours, or codes."""
    return await parts.add_origins(tx, pack_id, data, by=str(caller), now=now)


@get("/packs/{pack_id:uuid}/origins", opt={"access": EVERYONE}, responses=when_reading(404))
async def list_origins(tx: Tx, pack_id: FromPath[UUID]) -> PackOrigins:
    """What a pack was made from, as far back as is known, the nearest first."""
    return await parts.origins(tx, pack_id)


@get("/packs/{pack_id:uuid}/family", opt={"access": EVERYONE}, responses=when_reading(404))
async def get_family(tx: Tx, pack_id: FromPath[UUID]) -> PackFamily:
    """What a pack was made from and what was made from it, however far; and where the parts were
    that ever were in it."""
    return await family.family(tx, pack_id)


# --- Capacity tests ---------------------------------------------------------------------------


@post("/packs/{pack_id:uuid}/capacity-tests", responses=when_posting(404))
async def report_capacity_test(
    tx: Tx, caller: By, now: Now, pack_id: FromPath[UUID], data: JSONBody[CapacityTestCreate]
) -> CapacityTestView:
    """Enter the report of a capacity test. One that stops before the end is a partial one and
    gives no capacity."""
    return await capacity.report(tx, pack_id, data, by=str(caller), now=now)


@get("/packs/{pack_id:uuid}/capacity-tests", opt={"access": EVERYONE}, responses=when_reading(404))
async def list_capacity_tests(
    tx: Tx, pack_id: FromPath[UUID], limit: Limit = 50, cursor: Cursor = None
) -> Page[CapacityTestView]:
    """Capacity tests of a pack in the order they were entered."""
    rows = await capacity_store.after(tx, pack_id, after_id(cursor), limit + 1)
    return page_by_id(convert_all(rows, CapacityTestView), limit)


HANDLERS = [
    decode_code,
    acquire_pack,
    acquire_packs,
    list_packs,
    search_packs,
    get_pack,
    correct_pack,
    add_identifier,
    list_identifiers,
    end_identifier,
    install_parts,
    list_parts,
    remove_part,
    add_origins,
    list_origins,
    get_family,
    report_capacity_test,
    list_capacity_tests,
]
