"""Periods as Kill Bill weighs them, to compare with what it billed."""

from leasing.pricing.periods import Cycle, Period, is_boundary, shift, whole
from leasing.pricing.proration import Share


def kill_bill_share(cycle: Cycle, part: Period) -> Share:
    """A stub is measured against one period back from its own end (a leading one) or on from its
    own start (a trailing one), and not against the aligned period around it. Near a short month the
    two differ, and a trailing stub may even weigh more than a period."""
    of = whole(cycle, part.from_on)
    if part != of:
        if is_boundary(cycle, part.from_on):
            of = Period(part.from_on, shift(part.from_on, cycle.frequency, 1))
        else:
            of = Period(shift(part.to_on, cycle.frequency, -1), part.to_on)
    return Share(part.days, of.days)
