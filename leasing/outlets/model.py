"""What can go wrong with outlets."""

from leasing.kit.errors import Conflict, Invalid, NotFound


class NoSuchOutlet(NotFound):
    code = "outlet_not_found"
    title = "There is no such outlet"


class OutletCodeTaken(Conflict):
    code = "outlet_code_taken"
    title = "Another outlet has this code"


class OutletOfNoRecycler(Conflict):
    code = "outlet_of_no_recycler"
    title = "An outlet hands over to a party that is a recycler"


class UnknownDivision(Conflict):
    code = "unknown_prefecture"
    title = "No prefecture-level division has this code"


class LimitAgainstRule(Invalid):
    code = "limit_against_rule"
    title = "The rule of that day does not allow this limit"


class OutletClosed(Conflict):
    code = "outlet_closed"
    title = "The outlet is closed on that day"


class OutletClosedAlready(Conflict):
    code = "outlet_closed_already"
    title = "The outlet is closed already"


class NoSuchOutletDuty(NotFound):
    code = "outlet_duty_not_found"
    title = "The outlet has no such duty"


class OutletDutyOverlaps(Conflict):
    code = "outlet_duty_overlaps"
    title = "It is this party's outlet in that time already"


class RoleNotPlayed(Conflict):
    code = "role_not_played"
    title = "The party does not play this role on that day"


class OutletDutyEndsOtherwise(Conflict):
    code = "outlet_duty_ends_otherwise"
    title = "A duty ends after its first day, and not after an end it has already"


CONSTRAINTS = {
    "outlet_code_once": OutletCodeTaken,
    "outlet_of_a_recycler": OutletOfNoRecycler,
    "outlet_recycler": OutletOfNoRecycler,
    "outlet_prefecture": UnknownDivision,
    "outlet_duty_one_at_a_time": OutletDutyOverlaps,
    "routing_to_an_open_outlet": OutletClosed,
}
