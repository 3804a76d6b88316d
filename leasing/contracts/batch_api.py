"""Many positions, hand-overs, swaps and returns in one call."""

from collections.abc import Sequence
from uuid import UUID

from litestar import post
from litestar.params import FromPath, JSONBody

from leasing.contracts import handovers, service
from leasing.http.batches import answer
from leasing.http.edge import By, Now, Tx, Unreadable
from leasing.http.problems import when_posting
from leasing.kit.errors import DomainError
from schemas.batches import BatchView
from schemas.contracts import (
    AcceptanceBatch,
    LineBatch,
    LineCreate,
    LineRow,
    PlacementView,
    ReturnBatch,
    SwapBatch,
)


def ids_of(outcomes: Sequence[PlacementView | DomainError]) -> list[UUID | DomainError]:
    return [one if isinstance(one, DomainError) else one.id for one in outcomes]


def as_line(row: LineRow) -> LineCreate:
    return LineCreate(
        site_id=row.site_id,
        slot=row.slot,
        pack_id=row.pack_id,
        rated_capacity_mah=row.rated_capacity_mah,
        rent_amount=row.rent_amount,
        price_plan_version_id=row.price_plan_version_id,
    )


@post("/contracts/{contract_id:uuid}/lines:batch", status_code=200, responses=when_posting(404))
async def add_contract_lines_each(
    tx: Tx,
    caller: By,
    now: Now,
    unreadable: Unreadable,
    contract_id: FromPath[UUID],
    data: JSONBody[LineBatch],
) -> BatchView:
    """Add up to 1,000 positions, each from a day on; says of each what became of it. `id` is the
    line."""
    wanted = [(row.from_on, as_line(row)) for row in data.rows]
    outcomes = await service.add_each_line(tx, contract_id, wanted, by=str(caller), now=now)
    return answer(data, unreadable, outcomes)


@post("/acceptances:batch", status_code=200, responses=when_posting())
async def accept_packs(
    tx: Tx, caller: By, now: Now, unreadable: Unreadable, data: JSONBody[AcceptanceBatch]
) -> BatchView:
    """Hand up to 1,000 packs over; says of each what became of it. `id` is the placement."""
    rows = [(row.line_id, row) for row in data.rows]
    outcomes = await handovers.accept_all(tx, rows, by=str(caller), now=now)
    return answer(data, unreadable, ids_of(outcomes))


@post("/swaps:batch", status_code=200, responses=when_posting())
async def swap_packs(
    tx: Tx, caller: By, now: Now, unreadable: Unreadable, data: JSONBody[SwapBatch]
) -> BatchView:
    """Swap up to 1,000 packs; says of each what became of it. `id` is the placement of the pack
    that came."""
    rows = [(row.line_id, row) for row in data.rows]
    outcomes = await handovers.swap_all(tx, rows, by=str(caller), now=now)
    return answer(data, unreadable, ids_of(outcomes))


@post("/returns:batch", status_code=200, responses=when_posting())
async def return_packs(
    tx: Tx, caller: By, now: Now, unreadable: Unreadable, data: JSONBody[ReturnBatch]
) -> BatchView:
    """End up to 1,000 lines whose packs go back; says of each what became of it. `id` is the
    pack."""
    rows = [(row.line_id, row) for row in data.rows]
    outcomes = await handovers.return_all(tx, rows, by=str(caller), now=now)
    return answer(data, unreadable, outcomes)


HANDLERS = [add_contract_lines_each, accept_packs, swap_packs, return_packs]
