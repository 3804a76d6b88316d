"""Packs: their states, and what may follow what."""

from leasing.kit.errors import Conflict, Invalid, NotFound
from schemas.packs import PackState

NEXT_STATES: dict[PackState, set[PackState]] = {
    PackState.IN_STOCK: {PackState.LEASED},
    PackState.LEASED: {PackState.RETURNED},
    PackState.RETURNED: {PackState.IN_STOCK, PackState.CONDEMNED},
    PackState.CONDEMNED: {PackState.ROUTED},
    PackState.ROUTED: {PackState.CONDEMNED, PackState.HANDED_OVER},
    PackState.HANDED_OVER: {PackState.RECYCLED},
    PackState.RECYCLED: set(),
}


class NoSuchPack(NotFound):
    code = "pack_not_found"
    title = "There is no such pack"


class PackCodeTaken(Conflict):
    code = "pack_code_taken"
    title = "Another pack carries this code"


class BadPackCode(Invalid):
    code = "bad_pack_code"
    title = "The battery code is not valid"


class IllegalPackTransition(Conflict):
    code = "pack_state"
    title = "The pack is in another state"


def refuse_unless_next(current: PackState, wanted: PackState) -> None:
    """Raise `IllegalPackTransition` unless a pack may go from one state to the other."""
    if wanted not in NEXT_STATES[current]:
        raise IllegalPackTransition(
            f"a pack that is {current} cannot become {wanted}", state=current, wanted=wanted
        )
