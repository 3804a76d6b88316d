"""Packs: their states, what may follow what, and what is refused."""

from leasing.kit.errors import Conflict, Invalid, NotFound
from schemas.packs import PackState

NEXT_STATES: dict[PackState, set[PackState]] = {
    PackState.IN_STOCK: {PackState.LEASED},
    PackState.LEASED: {PackState.RETURNED, PackState.LOST, PackState.BURNT, PackState.SOLD},
    PackState.LOST: {PackState.RETURNED},
    PackState.BURNT: {PackState.CONDEMNED},
    PackState.SOLD: set(),
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


class BadPack(Invalid):
    code = "bad_pack"
    title = "This cannot be true of a pack"


class NoSuchSource(Conflict):
    code = "source_not_found"
    title = "There is no such party that a pack could come from"


class IllegalPackTransition(Conflict):
    code = "pack_state"
    title = "The pack is in another state"


class NoSuchIdentifier(NotFound):
    code = "identifier_not_found"
    title = "The pack has no such identifier"


class BadIdentifier(Invalid):
    code = "bad_identifier"
    title = "The identifier is not valid"


class IdentifierTaken(Conflict):
    code = "identifier_taken"
    title = "This identifier was given already"


class IdentifierEnded(Conflict):
    code = "identifier_ended"
    title = "The identifier has ended, or begins later than that day"


class PrintedCodeStays(Conflict):
    code = "printed_code_stays"
    title = "A pack always has one printed code: give it a new one that replaces this"


class TooManyIdentifiers(Conflict):
    code = "too_many_identifiers"
    title = "The pack has as many identifiers as a pack may have"


class BadSearch(Invalid):
    code = "bad_search"
    title = "There is nothing to look for"


class BadParts(Invalid):
    code = "bad_parts"
    title = "Some of the parts are not valid"


class PartsElsewhere(Conflict):
    code = "parts_elsewhere"
    title = "Some of the parts cannot be put there on that day"


class PartElsewhere(Conflict):
    code = "part_elsewhere"
    title = "A part is in one place at a time, and with what it is in"


class PartCodeTaken(Conflict):
    code = "part_code_taken"
    title = "Another part carries this code"


class NoSuchPart(NotFound):
    code = "part_not_found"
    title = "The pack has no such part at present"


class RemovedBeforeInstalled(Conflict):
    code = "removed_before_installed"
    title = "The part, or something in it, was installed on that day or later"


class TooManyParts(Conflict):
    code = "too_many_parts"
    title = "The pack has as many parts as a pack may have"


class BadOrigins(Invalid):
    code = "bad_origins"
    title = "Some of the origins are not valid"


class OriginTwice(Conflict):
    code = "origin_exists"
    title = "The pack has this origin already"


class OriginCircle(Conflict):
    code = "origin_circle"
    title = "A pack cannot be made from itself, however far back"


class ImpossibleTest(Invalid):
    code = "impossible_test"
    title = "The report of the test cannot be right"


class ReportTwice(Conflict):
    code = "report_exists"
    title = "This report was entered for the pack already"


CONSTRAINTS = {
    "trace_record_party_id_fkey": NoSuchSource,
    "pack_code_once": PackCodeTaken,
    "pack_code_serial_once": IdentifierTaken,
    "pack_code_once_per_pack": IdentifierTaken,
    "pack_code_one_printed": PrintedCodeStays,
    "part_code_once": PartCodeTaken,
    "part_serial_once": PartCodeTaken,
    "part_stay_part_once": PartElsewhere,
    "part_stay_within_the_same_pack": PartElsewhere,
    "pack_origin_once": OriginTwice,
    "pack_origin_code_once": OriginTwice,
    "pack_origin_not_itself": OriginCircle,
    "pack_origin_never_circular": OriginCircle,
    "capacity_test_report_once": ReportTwice,
}


def refuse_unless_next(current: PackState, wanted: PackState) -> None:
    """Raise `IllegalPackTransition` unless a pack may go from one state to the other."""
    if wanted not in NEXT_STATES[current]:
        raise IllegalPackTransition(
            f"a pack that is {current} cannot become {wanted}", state=current, wanted=wanted
        )
